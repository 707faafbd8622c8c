"""How a process begins: it waits for a store that is away, and ends where only a person can make it right."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest
from celery import Celery

from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.durability import StoreUnfit
from workers import processes
from workers.clock import Clock
from workers.feed import serve
from workers.settings import Settings
from workers.wiring import System


class Opening:
    """A system whose store answers in turn: an error is raised, anything else is the store."""

    def __init__(self, *answers: object) -> None:
        self._answers: Iterator[object] = iter(answers)

    @property
    def store(self) -> object:
        answer = next(self._answers)
        if callable(answer):
            answer()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(processes, "AGAIN_S", 0.0)
    caplog.set_level(logging.INFO)


def _wait(*answers: object) -> None:
    processes.wait_for_store(cast(System, Opening(*answers)), lambda: False)


def test_a_store_that_is_away_is_waited_for_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    _wait(*[StoreGone("NOREPLICAS: not enough")] * 500, SimpleNamespace())
    told = [record.getMessage() for record in caplog.records]
    assert told == ["waiting for the store: NOREPLICAS: not enough", told[1]]
    assert told[1].startswith("the store is there after ")


def test_it_is_told_again_seldom(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(processes, "TELL_EVERY_S", 0.0)
    _wait(*[StoreGone("away")] * 3, SimpleNamespace())
    assert [record.getMessage() for record in caplog.records].count("waiting for the store: away") == 3


def test_nothing_is_said_of_a_store_that_is_there(caplog: pytest.LogCaptureFixture) -> None:
    _wait(SimpleNamespace())
    assert caplog.records == []


def test_what_only_a_person_can_make_right_is_not_waited_for() -> None:
    with pytest.raises(StoreUnfit, match="belongs to another"):
        _wait(StoreGone("away"), StoreUnfit("this Redis belongs to another"), SimpleNamespace())


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that ends no test."""
    found: signal.Signals = request.param
    before = signal.signal(found, lambda *_: None)
    yield found
    signal.signal(found, before)


def _with(monkeypatch: pytest.MonkeyPatch, *answers: object) -> None:
    monkeypatch.setattr(processes, "opened", lambda _settings: nullcontext(Opening(*answers)))
    monkeypatch.setattr(processes.settings_load, "secrets", lambda _settings: ())
    monkeypatch.setattr(processes.logs, "set_up", lambda _secrets: None)


@pytest.mark.parametrize("then", [StoreGone("away"), SimpleNamespace()])
def test_a_signal_ends_a_process_that_waits_for_its_store(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, then: object
) -> None:
    before = signal.getsignal(number)

    def heard() -> None:
        os.kill(os.getpid(), number)
        if isinstance(then, StoreGone):
            raise then

    def run() -> None:
        with processes._begun(cast(Settings, None)):
            raise AssertionError

    _with(monkeypatch, StoreGone("away"), heard)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code in (0, None)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("early", [True, False])
def test_a_signal_while_what_is_run_is_loaded_interrupts_nothing_and_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, *, early: bool
) -> None:
    """What was raised there was lost in an object's last breath, and the process went on for ever."""
    ended = []
    _with(monkeypatch, SimpleNamespace())
    with processes._begun(cast(Settings, None)) as (_, told):
        if early:
            os.kill(os.getpid(), number)
        processes._hand_over(told, lambda: ended.append("ended"))
        if not early:
            assert ended == []
            os.kill(os.getpid(), number)
        assert ended == ["ended"]


class Ticking:
    """A clock's service, of which nothing else may be touched within a signal."""

    stopped = False

    @property
    def scheduler(self) -> None:
        return None

    def stop(self) -> None:
        self.stopped = True


def test_a_signal_tells_the_clock_to_end_and_does_nothing_else(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    service = Ticking()

    def run() -> None:
        with processes._begun(cast(Settings, None)) as (_, told):
            Clock(told, app=Celery(set_as_current=False)).install_sync_handler(service)
            assert not service.stopped
            os.kill(os.getpid(), number)

    _with(monkeypatch, SimpleNamespace())
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0
    assert service.stopped


def test_a_signal_while_the_clock_loads_its_scheduler_breaks_off_nothing_and_ends_it_then(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    loaded = []

    class Loading(Ticking):
        @property
        def scheduler(self) -> None:
            os.kill(os.getpid(), number)
            loaded.append("all of it")

    def run() -> None:
        with processes._begun(cast(Settings, None)) as (_, told):
            Clock(told, app=Celery(set_as_current=False)).install_sync_handler(Loading())

    _with(monkeypatch, SimpleNamespace())
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0
    assert loaded == ["all of it"]


def test_a_feed_that_was_told_to_end_before_it_heard_signals_does_not_begin() -> None:
    asyncio.run(serve(cast(System, None), lambda: True))
