"""``stopkeeper up``: everything on one machine, refused twice, restarted, ended in order, and nothing left behind."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stopkeeper.core.model import Key
from stopkeeper.store.embedded import EmbeddedServer
from tests.integration.processes.conftest import House, free_port, house, until
from workers.alive import signs
from workers.wiring import System

READY = "Everything runs."


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    ports = f'\n[paper]\nport = {free_port()}\ncontrol_port = {free_port()}\nprices = "still"\n'
    with house(tmp_path_factory.mktemp("up"), more=ports) as made:
        yield made


def _up(machine: House, times: int) -> int:
    """Start ``up`` and wait until it says that everything runs; return its place among the processes."""
    machine.start("up", "--config", str(machine.config))
    until(lambda: machine.log("up").count(READY) == times, seconds=30, what=machine.log("up"))
    return len(machine.running) - 1


def _strays(machine: House) -> list[int]:
    """Return the processes that name this house's folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode()
            where = (folder / "cwd").readlink()
        except OSError:
            continue
        if str(machine.folder) in words or str(machine.folder) in str(where):
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and prctl are Linux's")
def test_up_from_start_to_end_and_again(machine: House) -> None:
    up = machine.running[_up(machine, 1)]
    table = machine.log("up")
    for name in ("redis", "paper", "urgent-1", "orders-1", "orders-2", "beat", "feed", "flower"):
        assert name in table
    assert "Flower's login, shown this once: stopkeeper / " in table

    second = machine.run("up")
    assert second.returncode == 1
    assert f"another stopkeeper up (pid {up.pid}) already runs here" in second.stderr

    opened = machine.run("open", "main", "BTC", "long", "--notional", "500", "--stop", "2%", "--wait", "20", "--json")
    assert opened.returncode == 0, opened.stderr + opened.stdout
    _a_killed_worker_comes_back(machine)

    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0
    said = machine.log("up")
    assert "was killed" not in said
    assert said.rstrip().endswith("stopped")
    assert _strays(machine) == []

    again = machine.running[_up(machine, 2)]
    rows = machine.positions()
    assert [(row["symbol"], row["phase"]) for row in rows] == [("BTC", "protected")]
    assert "shown this once" not in machine.log("up").rpartition("stopped")[2]

    again.send_signal(signal.SIGKILL)
    again.wait()
    until(lambda: _strays(machine) == [], seconds=10, what="strays are left")


def _a_killed_worker_comes_back(machine: House) -> None:
    system = System(machine.settings)
    try:
        pid = next(sign.pid for sign in signs(system.store) if sign.process == "orders-1")
        os.kill(pid, signal.SIGKILL)
        until(lambda: "orders-1 ended with -9; it is started again" in machine.log("up"))
        until(lambda: any(s.process == "orders-1" and s.pid != pid for s in signs(system.store)), seconds=20)
        assert system.store.records.load(Key("main", "BTC")).trade is not None
    finally:
        system.close()


def test_a_taken_port_is_a_clear_line(machine: House) -> None:
    until(lambda: _strays(machine) == [], seconds=10)
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", machine.settings.paper.port))
        holder.listen()
        began = time.monotonic()
        refused = machine.run("up")
    assert refused.returncode == 1
    assert f"paper.port: port {machine.settings.paper.port} on 127.0.0.1 is taken" in refused.stderr
    assert time.monotonic() - began < 20  # nothing was waited for: a part that does not come up has 30 s


def test_a_process_without_its_store_says_what_to_do_and_waits(machine: House) -> None:
    until(lambda: _strays(machine) == [], seconds=10)
    waiting = {name: machine.start(name, "--config", str(machine.config)) for name in ("worker", "beat", "feed")}
    for name in waiting:
        until(lambda name=name: "does not answer; start it with `stopkeeper up`" in machine.log(name))  # type: ignore[misc]
    waiting["worker"].send_signal(signal.SIGTERM)
    waiting["feed"].send_signal(signal.SIGINT)
    assert [waiting[name].wait(10) for name in ("worker", "feed")] == [0, 0]
    with EmbeddedServer(machine.settings.redis.data_dir):
        system = System(machine.settings)
        until(lambda: waiting["beat"].pid in {sign.pid for sign in signs(system.store)}, what=machine.log("beat"))
        machine.stop(waiting["beat"])
        system.close()
    assert waiting["beat"].returncode == 0
