"""The supervisor's children: restarted with a growing pause, stopped in good order or by force, logs kept small."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stopkeeper.console.backend import StackWish
from stopkeeper.console.failures import Failure
from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.durability import StoreUnfit
from tests.unit.workers.conftest import Write
from workers import children, stack
from workers.alive import Sign
from workers.children import Child, Command, rotate, stop
from workers.embedded import Lock
from workers.settings import Settings
from workers.settings_load import load


def _child(tmp_path: Path, code: str, stop_s: float = 5.0) -> Child:
    return Child(Command("it", (sys.executable, "-c", code), tmp_path / "logs" / "it.log", stop_s=stop_s))


def _until(true: object, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_child_that_ends_is_started_again_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(children, "time", SimpleNamespace(monotonic=lambda: now[0]))
    child = _child(tmp_path, "print('hello'); raise SystemExit(7)")
    child.start()
    codes: list[int | None] = []
    _until(lambda: codes.append(child.watch()) or codes[-1] == 7)
    now[0] += children.BACKOFF_S[1] - 0.125
    assert child.watch() is None  # not at once
    assert (child.pid, child.restarts) == (None, 0)
    now[0] += 0.125
    assert child.watch() is None
    assert child.restarts == 1
    stop([child])
    assert "hello" in child.command.log.read_text()


def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = _child(tmp_path, deaf, stop_s=0.1)
    child.start()
    _until(lambda: child.command.log.exists() and "up" in child.command.log.read_text())
    assert stop([child]) == ["it"]
    assert child.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from workers.children import Child, Command\n"
        "child = Child(Command('it', (sys.executable, '-c', 'import time; time.sleep(60)'), Path(sys.argv[1])))\n"
        "child.start(); print(child.pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=root
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
        _until(lambda: not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text())


def test_a_full_log_is_set_aside_and_the_process_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("ab") as file:
        for text in (b"one\n", b"two\n", b"three\n", b"four\n"):
            file.write(text)
            file.flush()
            assert rotate(log, limit=3, files=2)
        file.write(b"end")
        file.flush()
    assert log.read_text() == "end"
    assert (tmp_path / "x.log.1").read_text() == "four\n"
    assert not (tmp_path / "x.log.2").exists()
    assert not rotate(log, limit=100)


def test_one_up_per_data_directory(tmp_path: Path) -> None:
    with Lock(tmp_path), pytest.raises(Failure, match=f"another stopkeeper up .pid {os.getpid()}. already runs here"):
        Lock(tmp_path).__enter__()
    with Lock(tmp_path):
        pass


def test_the_stack_runs_every_process_and_every_queue(write: Write) -> None:
    settings = load(write())
    commands = {command.name: command.argv[3:] for command in stack.commands(settings, StackWish())}
    assert list(commands) == ["paper", "urgent-1", "orders-1", "orders-2", "beat", "feed", "flower"]
    assert commands["beat"] == ("beat", "--config", str(settings.source))
    assert "--state" in commands["paper"]
    assert commands["urgent-1"][commands["urgent-1"].index("--queues") + 1] == "urgent"


def test_what_is_switched_off_or_elsewhere_is_not_started(write: Write) -> None:
    settings = load(write({"flower.enabled": "false", "accounts.main.base_url": '"http://127.0.0.1:1"'}))
    names = [command.name for command in stack.commands(settings, StackWish(workers=1))]
    assert names == ["urgent-1", "orders-1", "beat", "feed"]


def test_wishes_reach_the_paper_venue(write: Write) -> None:
    words = stack.paper_words(load(write()), StackWish(prices="still", seed=0))
    assert (words[words.index("--prices") + 1], words[words.index("--seed") + 1]) == ("still", "0")


def test_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert stack.last_line(log) == "(no log)"
    log.write_text("first\nlast\n\n")
    assert stack.last_line(log) == "last"


def test_backoff_grows() -> None:
    assert list(children.BACKOFF_S) == sorted(children.BACKOFF_S)


def test_a_server_that_does_not_answer_yet_does_not_end_who_waits_for_its_processes(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = stack.Stack(load(write()), StackWish())
    up._redis = None
    child = SimpleNamespace(command=SimpleNamespace(name="beat"), pid=7, watch=lambda: None)
    up._children = cast(Any, [child])
    asked = list[int]()

    def signs(_store: object) -> list[Sign]:
        asked.append(1)
        if len(asked) < 3:
            raise StoreGone("loading the dataset in memory")
        return [Sign("beat", "here", 7, 0)]

    monkeypatch.setattr(stack, "signs", signs)
    monkeypatch.setattr(stack, "open_store", lambda _settings: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(stack, "LOOK_S", 0.001)
    up._wait_ready()
    assert len(asked) == 3


def test_a_process_that_does_not_begin_is_named_with_what_it_waits_for(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    up = stack.Stack(load(write()), StackWish())
    up._redis = None
    log = tmp_path / "beat.log"
    log.write_text("waiting for the store: connection refused\n")
    child = SimpleNamespace(command=SimpleNamespace(name="beat", log=log), pid=7, watch=lambda: None)
    up._children = cast(Any, [child])
    monkeypatch.setattr(stack, "open_store", lambda _settings: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(stack, "signs", lambda _store: [])
    monkeypatch.setattr(stack, "READY_S", 0.0)
    up._wait_ready()
    said = capsys.readouterr().out
    assert f"beat has not said yet that it lives. {log}: waiting for the store: connection refused" in said


def _over(settings: Settings, monkeypatch: pytest.MonkeyPatch, wrong: StoreGone) -> tuple[stack.Stack, list[str]]:
    """Return an ``up`` with one child over a store that is not right, and what is done."""
    up, done = stack.Stack(settings, StackWish()), list[str]()
    up._redis = None
    child = SimpleNamespace(command=SimpleNamespace(name="beat"), start=lambda: done.append("started"))
    up._children = [cast(Any, child)]

    def verify() -> None:
        raise wrong

    opened = SimpleNamespace(verify=verify, close=lambda: done.append("closed"))
    monkeypatch.setattr(stack, "open_store", lambda _settings: opened)
    monkeypatch.setattr(up, "_wait_ready", lambda: None)
    monkeypatch.setattr(up, "_show", lambda: None)
    return up, done


def test_a_store_that_only_a_person_can_make_right_ends_up_before_anything_is_started(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(write({"flower.enabled": "false"}))
    up, done = _over(settings, monkeypatch, StoreUnfit("this Redis belongs to installation ffff0"))
    with pytest.raises(StoreUnfit, match="ffff0"):
        up._start()
    assert done == ["closed"]


def test_a_store_that_is_away_is_left_to_the_processes_to_wait_for(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(write({"flower.enabled": "false"}))
    up, done = _over(settings, monkeypatch, StoreGone("connection refused"))
    up._start()
    assert done == ["closed", "started"]
