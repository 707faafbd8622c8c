"""Which of an account's fills are read and kept: those that an open trade, or one that settles, may still ask for."""

from collections.abc import Iterable, Sequence

from stopkeeper.core.model import Fill
from stopkeeper.core.record import KeyRecord, Trade

FILLS_BEFORE_MS = 60_000  # how far back fills are read when no trade is open
FILLS_KEPT_MS = 120_000  # how long those of a symbol without a trade stay: far longer than any view may lag


def fills_since(records: Sequence[KeyRecord], now_ms: int) -> int:
    """Return from when on fills are read: since the oldest trade that is open or settles."""
    return min((t.created_ms for r in records for t in _trades(r)), default=now_ms - FILLS_BEFORE_MS)


def still_asked_for(fills: Iterable[Fill], records: Sequence[KeyRecord], now_ms: int) -> tuple[Fill, ...]:
    """Return the fills, oldest first, without those of trades that are over: of a symbol since its own oldest trade.

    One position held for weeks would otherwise keep the fills of all that was traded beside it.
    """
    since = {r.key.symbol: min(t.created_ms for t in trades) for r in records if (trades := _trades(r))}
    old_ms = now_ms - FILLS_KEPT_MS
    kept = (f for f in fills if f.time_ms >= min(since.get(f.symbol, old_ms), old_ms))
    return tuple(sorted(kept, key=lambda f: f.time_ms))


def _trades(record: KeyRecord) -> list[Trade]:
    return [t for t in (record.trade, *record.settling) if t is not None]
