"""Virtual time and who acts when: tasks that sleep, and things that happen later, in one order given by the seed.

Each task is a greenlet, so that the engine stays the synchronous code it is; wherever it sleeps, others act.
"""

import heapq
from collections.abc import Callable
from random import Random

from greenlet import getcurrent, greenlet


class Timeline:
    """One thread of time, in microseconds UTC. Of what falls on one moment, ``rng`` says what comes first."""

    def __init__(self, start_ms: int, rng: Random) -> None:
        self.now_us = start_ms * 1000
        self._rng = rng
        self._later: list[tuple[int, float, int, Callable[[], object]]] = []
        self._number = 0
        self._tasks: list[greenlet] = []
        self._hub = getcurrent()

    def now_ms(self) -> int:
        """Return the time of everything here."""
        return self.now_us // 1000

    def at(self, after_ms: float, act: Callable[[], object]) -> None:
        """Have something happen after a while."""
        self._number += 1
        heapq.heappush(self._later, (self.now_us + int(after_ms * 1000), self._rng.random(), self._number, act))

    def spawn(self, body: Callable[[], None], after_ms: float = 0) -> None:
        """Begin a task; what it raises ends the run."""
        task = greenlet(body, self._hub)
        self._tasks.append(task)
        self.at(after_ms, task.switch)

    def sleep(self, for_ms: float) -> None:
        """Let others act; the running task goes on after a while."""
        self.at(for_ms, getcurrent().switch)
        self._hub.switch()

    def run(self, until_ms: int) -> None:
        """Let time pass until a moment. Raises what a task raised."""
        self._hub = getcurrent()
        while self._later and self._later[0][0] <= until_ms * 1000:
            self.now_us, _, _, act = heapq.heappop(self._later)
            act()
        self.now_us = max(self.now_us, until_ms * 1000)

    def end(self) -> None:
        """End every task wherever it sleeps: who sleeps for ever keeps its whole world in memory."""
        self._hub = getcurrent()
        for task in self._tasks:
            task.parent = self._hub
            while not task.dead:  # what it does on its way out may sleep again
                task.throw()
        self._tasks.clear()
        self._later.clear()
