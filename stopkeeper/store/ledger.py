"""The append-only list of booked exits, read side; lines are written by record_save.lua in the write that books."""

from collections.abc import Iterable, Sequence

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.store import keys
from stopkeeper.store.codec import LINE
from stopkeeper.store.wire import Wire


def last_revisions(lines: Iterable[LedgerLine]) -> list[LedgerLine]:
    """Return the last revision of every trade, in the order in which the trades were first booked."""
    first: dict[str, tuple[int, str]] = {}
    last: dict[str, LedgerLine] = {}
    for line in sorted(lines, key=lambda line: line.revision):
        first.setdefault(line.trade.id, (line.booked_ms, line.trade.id))
        last[line.trade.id] = line
    return [last[trade] for trade in sorted(last, key=lambda trade: first[trade])]


class RedisLedger:
    """Implements ports.Ledger."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def lines(self, account: str) -> Sequence[LedgerLine]:
        """Return the last revision of every trade, oldest first. Raises StoreGone."""
        return last_revisions(LINE.load(text) for text in self._wire.read("HVALS", keys.ledger(account)))
