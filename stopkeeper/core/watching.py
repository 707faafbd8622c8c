"""What a stream tells that is worth a look: marks of keys whose records are known, and events. It concludes nothing.

A look costs requests; a price that changes nothing costs none. Who is woken reads the venue before anything is done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from stopkeeper.core.actions import Field
from stopkeeper.core.case import passed
from stopkeeper.core.model import Key
from stopkeeper.core.moving import may_follow
from stopkeeper.core.record import KeyRecord, Trade
from stopkeeper.core.rules import Rules
from stopkeeper.core.slices import standing

FOLLOW = "a new best price: the stop may follow"
DOUBT = "its price came far off: the venue is asked"
LOOK = frozenset({Field.HOLDINGS, Field.ORDERS})  # what is read to see what became of an event
ENDED_MS = 1_000  # so long after every view shows that a trade has ended the records tell it
AGAIN = "what happened a moment ago is shown by every view by now"


def why_look(record: KeyRecord, mark: Decimal, rules: Rules) -> tuple[str, Decimal] | None:
    """Return why a key is to be looked at when its mark is this, and the level it reached; None = it is not."""
    trade = record.trade
    if trade is None or trade.entered_ms is None or (trade.flat_since_ms is not None and not trade.held):
        return None
    reached = _at_stop(trade, mark)
    if reached is not None:
        far = passed(mark, reached * (1 - trade.side.sign * rules.breach_margin), trade.side)
        return f"the price is {'beyond' if far else 'at'} the stop", reached
    if trade.peak is not None and may_follow(trade, mark, rules.stop_step):
        return FOLLOW, trade.peak
    aims = (goal.price for goal in standing(trade.targets, trade.entry_filled, trade.taken))
    met = next((price for price in aims if not passed(mark, price, trade.side)), None)
    return None if met is None else ("the price is at a target", met)


def _at_stop(trade: Trade, mark: Decimal) -> Decimal | None:
    """Return the stop a mark has reached; a stop that a person lifted is none."""
    levels = (trade.stop, trade.stop_seen.trigger if trade.stop_seen else None)
    if trade.off_until_ms:
        return None
    return next((level for level in levels if level is not None and passed(mark, level, trade.side)), None)


@dataclass(frozen=True, slots=True)
class _Named:
    """When a symbol was last named, what for, and how long it is not named for the same again."""

    cause: tuple[str, Decimal | None]
    at_ms: int
    pause_ms: int


@dataclass(frozen=True, slots=True)
class _Event:
    """When what happened is looked at again, whether a trade was on record then, and whether it is the last time."""

    due_ms: int
    owned: bool
    last: bool = False


class Watch:
    """The records of an account as last loaded, held against marks.

    A key is named at most once in ``pause_ms``, and for one and the same reached level ever more rarely: whoever was
    woken for it either did something about it, or could not. What an event told is worth a second look once every view
    shows it, ``lag_ms`` later: the first may have seen what was before, and found all as it was.
    """

    def __init__(self, rules: Rules, pause_ms: int, lag_ms: int, fresh_ms: int, most_ms: int = 60_000) -> None:
        self._rules, self._pause_ms, self._most_ms = rules, pause_ms, most_ms
        self._lag_ms, self._fresh_ms = lag_ms, fresh_ms
        self._again: dict[str, _Event] = {}
        self._records: dict[str, KeyRecord] = {}
        self._named: dict[str, _Named] = {}

    @property
    def records(self) -> tuple[KeyRecord, ...]:
        """The records as last loaded."""
        return tuple(self._records.values())

    def load(self, records: Sequence[KeyRecord]) -> None:
        """Take the records of now."""
        self._records = {record.key.symbol: record for record in records}

    def look_at(
        self, marks: Mapping[str, Decimal], now_ms: int, spare: Callable[[], bool] = lambda: True
    ) -> list[tuple[Key, str]]:
        """Return the keys that these marks make worth a look, and why.

        ``spare`` says whether a look may be spent on what protects nothing; it is asked only where one would be.
        """
        found = []
        for symbol, mark in marks.items():
            record = self._records.get(symbol)
            why = None if record is None else why_look(record, mark, self._rules)
            if record is None or why is None or (why[0] == FOLLOW and not spare()):
                continue
            if self._name(symbol, why, now_ms):
                found.append((record.key, why[0]))
        return found

    def happened(self, symbol: str, now_ms: int) -> None:
        """Note that a stream told an event of a symbol."""
        self._again[symbol] = _Event(now_ms + self._lag_ms + ENDED_MS, owned=self._trade(symbol) is not None)

    def again(self, now_ms: int, spare: Callable[[], bool]) -> list[str]:
        """Return the symbols of which an event is to be looked at once more now.

        Each is named once; where the budget has no look to ``spare``, twice: whoever is woken may lean on a look that
        is up to ``fresh_ms`` older. It is no more often, for that would keep the budget as it is. Where a trade has
        ended since, or is naked or flat, looks later than this are made in any case.
        """
        due = {symbol: event for symbol, event in self._again.items() if event.due_ms <= now_ms}
        for symbol in due:
            self._again.pop(symbol, None)
        due = {symbol: event for symbol, event in due.items() if self._rests(symbol, event)}
        if due and not spare():
            self._again |= {
                symbol: replace(event, due_ms=now_ms + self._fresh_ms, last=True)
                for symbol, event in due.items()
                if not event.last
            }
        return list(due)

    def _rests(self, symbol: str, event: "_Event") -> bool:
        trade = self._trade(symbol)
        if trade is None:
            return not event.owned
        return trade.flat_since_ms is None and trade.naked_since_ms is None

    def _trade(self, symbol: str) -> Trade | None:
        record = self._records.get(symbol)
        return None if record is None else record.trade

    def doubt(self, symbol: str, now_ms: int) -> Key | None:
        """Return the key of a symbol whose price came far off, if a trade is on it: the venue is asked what is true."""
        record = self._records.get(symbol)
        if record is None or record.trade is None or not self._name(symbol, (DOUBT, None), now_ms):
            return None
        return record.key

    def _name(self, symbol: str, cause: tuple[str, Decimal | None], now_ms: int) -> bool:
        before = self._named.get(symbol)
        if before is not None and before.cause == cause:
            if now_ms - before.at_ms < before.pause_ms:
                return False
            pause_ms = min(2 * before.pause_ms, self._most_ms)
        elif before is not None and now_ms - before.at_ms < self._pause_ms:
            return False
        else:
            pause_ms = self._pause_ms
        self._named[symbol] = _Named(cause, now_ms, pause_ms)
        return True
