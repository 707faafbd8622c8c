"""How a process begins: it waits for a store that is away, and ends where only a person can make it right."""

import logging
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.durability import StoreUnfit
from workers import processes
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_at_once_and_is_free_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    told: list[Any] = [StoreGone("away"), lambda: os.kill(os.getpid(), number), SimpleNamespace()]
    with pytest.raises(SystemExit) as ended:
        _wait(*told)
    assert ended.value.code == 0
    assert signal.getsignal(number) is before
