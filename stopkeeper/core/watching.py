"""Which price is worth a look: what a stream's mark means for a key whose record is known. It concludes nothing.

A look costs requests; a price that changes nothing costs none. Who is woken reads the venue before anything is done.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from stopkeeper.core.case import passed
from stopkeeper.core.model import Key
from stopkeeper.core.moving import next_price
from stopkeeper.core.record import KeyRecord, Trade
from stopkeeper.core.rules import Rules

AT_TARGET = "the price is at a target"
REPEATS = 15  # pauses after any look until a target is a reason: beyond one that was taken the price may stay for days


def why_look(record: KeyRecord, mark: Decimal, rules: Rules) -> str | None:
    """Return why a key is to be looked at when its mark is this, or None."""
    trade = record.trade
    if trade is None or trade.entered_ms is None or trade.flat_since_ms is not None:
        return None
    if _at_stop(trade, mark):
        return "the price is at the stop"
    better = next_price(trade, rules.stop_step)
    if better is not None and not passed(mark, better, trade.side):
        return "a new best price: the stop may follow"
    return AT_TARGET if any(not passed(mark, goal.price, trade.side) for goal in trade.targets) else None


def _at_stop(trade: Trade, mark: Decimal) -> bool:
    levels = (trade.stop, trade.stop_seen.trigger if trade.stop_seen else None)
    return any(level is not None and passed(mark, level, trade.side) for level in levels)


class Watch:
    """The records of an account as last loaded, held against marks; a key is named at most once in ``pause_ms``.

    For a target only where it was not looked at for long: the venue's own order is at work there, or it was taken.
    """

    def __init__(self, rules: Rules, pause_ms: int) -> None:
        self._rules, self._pause_ms = rules, pause_ms
        self._records: dict[str, KeyRecord] = {}
        self._named_ms: dict[str, int] = {}
        self._again_ms: dict[str, int] = {}  # from when on a target is a reason again

    @property
    def records(self) -> tuple[KeyRecord, ...]:
        """The records as last loaded: what a guardian would go by."""
        return tuple(self._records.values())

    def load(self, records: Sequence[KeyRecord]) -> None:
        """Take the records of now."""
        self._records = {record.key.symbol: record for record in records}

    def look_at(self, marks: Mapping[str, Decimal], now_ms: int) -> list[tuple[Key, str]]:
        """Return the keys that these marks make worth a look, and why."""
        found = []
        for symbol, mark in marks.items():
            record = self._records.get(symbol)
            if record is None or now_ms - self._named_ms.get(symbol, -self._pause_ms) < self._pause_ms:
                continue
            why = why_look(record, mark, self._rules)
            if why is None or (why == AT_TARGET and now_ms < self._again_ms.get(symbol, now_ms)):
                continue
            self._again_ms[symbol] = now_ms + REPEATS * self._pause_ms
            self._named_ms[symbol] = now_ms
            found.append((record.key, why))
        return found

    def doubt(self, symbol: str, now_ms: int) -> Key | None:
        """Return the key of a symbol whose price came far off, if a trade is on it: the venue is asked what is true."""
        record = self._records.get(symbol)
        if record is None or record.trade is None:
            return None
        if now_ms - self._named_ms.get(symbol, -self._pause_ms) < self._pause_ms:
            return None
        self._named_ms[symbol] = now_ms
        return record.key
