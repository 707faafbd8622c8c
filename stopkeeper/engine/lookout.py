"""One look at a time: who asks for an account while a look is under way shares the next one with all who wait.

A look serves everybody who asked before it began, because it is later than whatever they did. So a hundred keys woken
by one move of the market cost a handful of looks, not a hundred.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Condition
from typing import Any, TypeVar

from stopkeeper.core.actions import Field

T = TypeVar("T")
PATIENCE_S = 0.5  # how often who waits may look after its own lease


@dataclass
class _Lane:
    """The looks of one kind: how many have begun, the last one's number, fields and answer."""

    begun: int = 0
    busy: bool = False
    wanted: frozenset[Field] = frozenset()
    last: tuple[int, frozenset[Field], Any] = (0, frozenset(), None)


@dataclass
class Lookout:
    """Shares looks among the threads of this process; one an account."""

    _turn: Condition = field(default_factory=Condition)
    _lanes: dict[Hashable, _Lane] = field(default_factory=dict)

    def share(
        self,
        lane: Hashable,
        fields: frozenset[Field],
        read: Callable[[frozenset[Field]], T],
        between: Callable[[], None],
    ) -> T:
        """Return the answer of a look at these fields that began after this call, read by whoever is first.

        ``lane`` keeps apart what must not answer for each other; ``between`` is called while waiting. Raises what
        ``read`` raises, to whom it happened; the others ask again.
        """
        with self._turn:
            mine = self._lanes.setdefault(lane, _Lane())
            after = mine.begun
            mine.wanted |= fields
        while True:
            with self._turn:
                number, seen, answer = mine.last
                if number > after and fields <= seen:
                    return answer  # type: ignore[no-any-return]
                if not mine.busy:
                    number, asked = self._begin(mine, fields)
                    break
                self._turn.wait(PATIENCE_S)
            between()
        return self._look(mine, number, asked, read)

    def _begin(self, lane: _Lane, fields: frozenset[Field]) -> tuple[int, frozenset[Field]]:
        lane.busy, lane.begun = True, lane.begun + 1
        asked, lane.wanted = lane.wanted | fields, frozenset()
        return lane.begun, asked

    def _look(self, lane: _Lane, number: int, asked: frozenset[Field], read: Callable[[frozenset[Field]], T]) -> T:
        try:
            answer = read(asked)
        except BaseException:
            with self._turn:
                lane.busy = False
                self._turn.notify_all()
            raise
        with self._turn:
            lane.busy, lane.last = False, (number, asked, answer)
            self._turn.notify_all()
        return answer
