"""Whether what is due can be published: the ticker's own word, which the feed's guardian goes by."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from stopkeeper.core.model import Key
from stopkeeper.engine.ports import StoreGone
from tests.unit.engine.scene import Stage
from workers import ticker

BTC = Key("main", "BTC")


class Queue:
    """A ticker for two accounts, what is due, what sweeps were published, and what fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.due: Sequence[Key] = ()
        self.sweeps: list[str] = []
        self.store_fails: Exception | None = None
        self.queue_fails: Exception | None = None
        self.hangs: Callable[[], None] = lambda: None
        monkeypatch.setattr(ticker, "mono_ms", lambda: self.now)
        monkeypatch.setattr(ticker, "drain", self._drain)
        monkeypatch.setattr(ticker, "start_sweep", self._sweep)
        ports = Stage().ports
        system: Any = SimpleNamespace(store=None, accounts=("main", "other"))
        self.ticker = ticker.Ticker([ports, replace(ports, account="other")], system)

    def _drain(self, _ports: Any) -> Sequence[Key]:
        self.hangs()
        if self.store_fails:
            raise self.store_fails
        if self.due and self.queue_fails:
            raise self.queue_fails
        return self.due

    def _sweep(self, ports: Any) -> None:
        if self.queue_fails:
            raise self.queue_fails
        self.sweeps.append(ports.account)

    def tick(self, *due: Key) -> bool:
        """Let the ticker tick with this due; return whether it says that it publishes."""
        self.due = due
        self.ticker._tick()
        return self.ticker.publishes


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    return Queue(monkeypatch)


@pytest.mark.parametrize("error", [OperationalError("max number of clients reached"), ConnectionResetError()])
def test_a_queue_that_took_nothing_is_lost_until_it_takes_a_message(queue: Queue, error: Exception) -> None:
    assert queue.tick(BTC)
    queue.queue_fails = error
    assert not queue.tick(BTC)
    assert not queue.tick(), "nothing is due: that says nothing of the queue"
    queue.queue_fails = None
    assert queue.sweeps == []
    assert queue.tick()
    assert queue.sweeps == ["main", "other"], "what nobody could be told meanwhile is looked for"
    assert queue.tick()
    assert queue.sweeps == ["main", "other"]


def test_a_store_that_is_back_says_nothing_of_the_queue(queue: Queue) -> None:
    queue.store_fails, queue.queue_fails = StoreGone("gone"), OperationalError("gone")
    assert not queue.tick()
    queue.store_fails = None
    assert not queue.tick()
    queue.queue_fails = None
    assert queue.tick()


def test_a_tick_that_hangs_publishes_nothing(queue: Queue) -> None:
    said: list[bool] = []

    def hang() -> None:
        for ms in (ticker.STUCK_MS - 1, 1):
            queue.now += ms
            said.append(queue.ticker.publishes)

    queue.hangs = hang
    assert queue.tick(BTC), "it was slow, and came through"
    assert said == [True, False]
    queue.now += 60_000
    assert queue.ticker.publishes, "what the ticker does beside its ticks may last"


def test_a_sweep_that_cannot_be_published_says_that_the_queue_is_gone(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "noted_ms", lambda _store, _name: None)
    monkeypatch.setattr(ticker.Ticker, "_miss", lambda _self, _ports: None)
    queue.queue_fails = OperationalError("max number of clients reached")
    assert queue.tick()
    queue.ticker._sweeps()
    assert not queue.ticker.publishes
    queue.queue_fails = None
    assert queue.tick()
