"""How a process begins: it waits for a store that is away, and ends where only a person can make it right."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.durability import StoreUnfit
from workers import processes
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
    processes.wait_for_store(cast(System, Opening(*answers)))


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


@pytest.mark.parametrize("waits", [True, False])
def test_a_signal_ends_a_process_that_does_not_hear_it_yet_itself(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, *, waits: bool
) -> None:
    """While it waits for the store, and while what it runs is loaded: either takes a second."""
    before = signal.getsignal(number)

    def end() -> None:
        os.kill(os.getpid(), number)

    def run() -> None:
        with processes._begun(cast(Settings, None)):
            assert not waits
            end()

    told: list[Any] = [StoreGone("away"), end if waits else SimpleNamespace(), SimpleNamespace()]
    monkeypatch.setattr(processes, "opened", lambda _settings: nullcontext(Opening(*told)))
    monkeypatch.setattr(processes.settings_load, "secrets", lambda _settings: ())
    monkeypatch.setattr(processes.logs, "set_up", lambda _secrets: None)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0
    assert signal.getsignal(number) is before
