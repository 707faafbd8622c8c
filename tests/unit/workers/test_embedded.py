"""The embedded server under ``up`` when it ends: started again, or waited for while its disk has no room."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis

from stopkeeper.store.embedded import discover
from stopkeeper.store.room import ROOM_BYTES, disk_full, free_bytes
from workers import embedded
from workers.embedded import Embedded


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Embedded]:
    monkeypatch.setattr(embedded, "AGAIN_S", 0.0)
    made = Embedded(tmp_path)
    made.start()
    yield made
    made.stop()


def end(server: Embedded, data_dir: Path) -> None:
    url = discover(data_dir)
    assert url is not None
    with Redis.from_url(url) as client:
        client.shutdown()
    with suppress(ChildProcessError):  # it may have been waited for already
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    assert discover(data_dir) is None


def test_one_that_ended_is_started_again_on_its_port(running: Embedded, tmp_path: Path) -> None:
    port = running.port
    assert running.revive() == ""
    end(running, tmp_path)
    assert running.revive() == "the embedded Redis had ended; it was started again with what is on disk"
    assert (running.port, running.revive()) == (port, "")


def test_without_room_it_waits_says_so_once_and_starts_when_there_is_some(
    running: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(running, tmp_path)
    monkeypatch.setattr(embedded, "disk_full", lambda _: "the disk of x is full; make room there")
    said = running.revive()
    assert said.startswith("the embedded Redis has ended and is not started: the disk of x is full; make room there")
    assert running.revive() == ""
    monkeypatch.undo()
    monkeypatch.setattr(embedded, "AGAIN_S", 0.0)
    assert running.revive().endswith("having waited because the disk of x is full")
    assert discover(tmp_path) is not None


def test_one_that_cannot_be_started_does_not_end_who_watches_it(running: Embedded, tmp_path: Path) -> None:
    end(running, tmp_path)
    script = tmp_path / "redis-tethered"
    script.unlink()
    script.mkdir()
    assert "is not started" in running.revive()
    script.rmdir()
    assert "started again" in running.revive()


def test_one_that_ends_at_once_each_time_is_not_started_all_the_time(running: Embedded, tmp_path: Path) -> None:
    end(running, tmp_path)
    assert "started again" in running.revive()
    end(running, tmp_path)
    assert "ends as soon as it is started" in running.revive()
    assert running.revive() == "", "it waits"
    assert discover(tmp_path) is None


def test_room_is_what_may_still_be_written(tmp_path: Path) -> None:
    free = free_bytes(tmp_path)
    assert free is not None
    assert (disk_full(tmp_path) == "") is (free >= ROOM_BYTES)
    assert free_bytes(tmp_path / "nowhere") is None
    assert disk_full(tmp_path / "nowhere") == ""


def test_a_disk_that_takes_nothing_any_more_does_not_end_who_watches_it(
    running: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(running, tmp_path)

    def refused(_path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        assert "is not started: [Errno 30] Read-only file system" in running.revive()
    assert "started again" in running.revive()
