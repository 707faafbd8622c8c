"""Run tests that mostly wait side by side: each at a venue and a desk of its own, each reported in its own place.

What one of them is given is its desk and its parameters, nothing else: who patches a module would patch it for all.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Thread

import pytest

from tests.integration.engine.conftest import Desk

AT_ONCE = 4


def fits(item: pytest.Item) -> bool:
    """Return whether a test can run beside others: it is a function of a desk, and of parameters written beside it."""
    if not isinstance(item, pytest.Function):
        return False
    names = set(item.function.__code__.co_varnames[: item.function.__code__.co_argcount])
    return "market" in names and names - {"market"} <= set(_parameters(item))


def _parameters(item: pytest.Function) -> dict[str, object]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


class SideBySide:
    """Tests under way, and what came of them. Its threads are no reason for a process to stay: one may hang."""

    def __init__(self, items: Sequence[pytest.Item], desk: Callable[[], AbstractContextManager[Desk]]) -> None:
        chosen = [item for item in items if isinstance(item, pytest.Function) and fits(item)]
        self._came: dict[str, Future[None]] = {item.nodeid: Future() for item in chosen}
        self._left: SimpleQueue[pytest.Function] = SimpleQueue()
        self._desk = desk
        for item in chosen:
            self._left.put(item)
        for _ in range(min(AT_ONCE, len(chosen))):
            Thread(target=self._work, daemon=True).start()

    def __contains__(self, item: pytest.Item) -> bool:
        return item.nodeid in self._came

    def result(self, item: pytest.Item) -> None:
        """Wait for a test; raises what it raised."""
        self._came[item.nodeid].result()

    def join(self) -> None:
        """Wait until all have ended: what comes next must be alone."""
        wait(self._came.values())

    def _next(self) -> Iterator[pytest.Function]:
        while True:
            try:
                yield self._left.get_nowait()
            except Empty:
                return

    def _work(self) -> None:
        for item in self._next():
            came = self._came[item.nodeid]
            try:
                with self._desk() as market:
                    item.function(market=market, **_parameters(item))
            except BaseException as error:  # also what pytest.fail raises; whoever asks for the result gets it
                came.set_exception(error)
            else:
                came.set_result(None)
