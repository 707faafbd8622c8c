"""The disk of the data directory is full: signals are refused in a line, protection goes on, room mends it all."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stopkeeper.core.model import Key
from stopkeeper.engine.ports import StoreGone
from tests.integration.processes.conftest import House, free_port, get, house, until
from workers.wiring import System

SIZE_MB = 48
BTC = Key("main", "BTC")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few MB of its own, which takes a right to mount."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "stopkeeper-test", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        assert os.geteuid(), f"root cannot mount a disk here: {mounted.stderr.strip()}"
        pytest.skip(f"only root may mount a disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["/bin/umount", "-l", str(place)], check=True)


@pytest.fixture
def machine(tmp_path: Path, disk: Path) -> Iterator[House]:
    ports = f'\n[paper]\nport = {free_port()}\ncontrol_port = {free_port()}\nprices = "still"\n'
    with house(disk, more=ports) as made:
        text = made.config.read_text().replace("[flower]\n", "[flower]\nenabled = false\n")
        made.config.write_text(text)
        made.folder = tmp_path  # its own log is elsewhere: it is to be read while the disk is full
        yield made


def fill(disk: Path) -> Path:
    """Write a file until nothing more fits."""
    path = disk / "everything-else"
    with path.open("wb", buffering=0) as file:
        for size in (1_000_000, 4_096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return path


def post(machine: House, path: str, **body: Any) -> None:
    url = f"http://127.0.0.1:{machine.settings.paper.control_port}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()


def covered(machine: House) -> bool:
    """Return whether the witness saw the position naked, and sees it covered."""
    url = f"http://127.0.0.1:{machine.settings.paper.control_port}/witness"
    address = machine.settings.accounts["main"].wallet_address.lower()
    naked = json.loads(get(url)[1])[address]["BTC"]["naked_intervals"]
    return bool(naked) and naked[-1]["to_ms"] is not None


@pytest.mark.timeout(150)
def test_a_full_disk_refuses_signals_protects_and_mends_itself(machine: House, disk: Path) -> None:
    up = machine.start("up", "--config", str(machine.config))
    until(lambda: "Everything runs." in machine.log("up"), 40, lambda: machine.log("up"))
    opened = machine.run("open", "main", "BTC", "long", "--notional", "500", "--stop", "2%", "--wait", "20", "--json")
    assert opened.returncode == 0, opened.stderr
    everything = fill(disk)
    until(lambda: "is full" in machine.log("up"), 20, lambda: machine.log("up"))

    post(machine, "/hand", account=machine.settings.accounts["main"].wallet_address, symbol="BTC", cancel="stops")
    for words in (("status",), ("open", "main", "ETH", "long", "--notional", "100", "--stop", "2%")):
        refused = machine.run(*words)
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: redis: the embedded server has ended: the disk of ")
        assert refused.stderr.count("\n") == 1
    until(lambda: covered(machine), 30, "nobody placed a stop while nothing could be written")
    assert up.poll() is None

    everything.unlink()
    until(lambda: "it was started again with what is on disk" in machine.log("up"), 20, lambda: machine.log("up"))
    system = System(machine.settings)
    try:
        until(lambda: _kinds(system) >= {"guardian", "store"}, 30, lambda: str(_kinds(system)))
        until(lambda: (rows := machine.positions()) and rows[0]["phase"] == "protected", 30)
        again = machine.run("open", "main", "ETH", "long", "--notional", "100", "--stop", "2%")
        assert again.returncode == 0, again.stderr
    finally:
        system.close()
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0


def _kinds(system: System) -> set[str]:
    try:
        return {fields["kind"] for _, fields in system.ports("main").journal.read("main", "", 100)}
    except StoreGone:
        return set()
