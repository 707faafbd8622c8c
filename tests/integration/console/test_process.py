"""The command as a process: exit codes, a quick --help, closed pipes, Ctrl-C; and a trade through a whole stack."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

STOPKEEPER = [sys.executable, "-m", "workers.main"]
ROOT = Path(__file__).parents[3]


def run(*words: str, cwd: Path, seconds: float = 40) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*STOPKEEPER, *words], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=seconds, check=False
    )


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOPKEEPER__")}
    return {**kept, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--help",), 0),
        (("open", "--help"), 0),
        (("opne",), 1),
        (("status", "--loud"), 1),
        (("status",), 4),
        (("worker", "--queues", "fast"), 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_exit_codes_of_the_process(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    result = run(*words, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from workers.main import Program; from stopkeeper.console.cli import build; build(Program())"
    code += "; print(sorted({'ccxt', 'celery', 'redis', 'rich', 'pydantic', 'aiohttp', 'apprise'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run ``stopkeeper up`` in a directory of its own, on free ports, and end it."""
    place = tmp_path_factory.mktemp("stack")
    assert run("init", cwd=place).returncode == 0
    path = place / "stopkeeper.toml"
    port, control = free_ports(2)
    text = path.read_text().replace("[flower]\n", "[flower]\nenabled = false\n")
    path.write_text(f'{text}\n[paper]\nport = {port}\ncontrol_port = {control}\nprices = "still"\n')
    with (place / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*STOPKEEPER, "up"], cwd=place, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for_processes(place)
            yield place
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(40) == 0
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def wait_for_processes(place: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        result = run("status", "--json", cwd=place)
        if result.returncode == 0:
            names = {each["process"].partition("-")[0] for each in json.loads(result.stdout)["processes"]}
            if names >= {"urgent", "orders", "beat", "feed"}:
                return
        time.sleep(0.3)
    raise AssertionError((place / "up.log").read_text())


def told(*words: str, cwd: Path) -> Any:
    result = run(*words, "--json", cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_a_trade_from_open_to_booked(stack: Path) -> None:
    opened = told("open", "main", "BTC", "long", "--notional", "500", "--stop", "2%", "--wait", "20", cwd=stack)
    assert opened["phase"] == "protected"
    assert opened["stop_order_id"]
    (held,) = told("positions", cwd=stack)
    assert held["trade_id"] == opened["trade_id"]

    again = run("open", "main", "BTC", "short", "--notional", "500", "--stop", "2%", cwd=stack)
    assert again.returncode == 3
    assert again.stderr.startswith("error: symbol: ")

    wanted = int(float(held["stop_price"])) + 200
    moved = told("stop", "main", "BTC", "--to", str(wanted), "--wait", "20", cwd=stack)
    assert moved["stop_price"] == str(wanted)
    assert moved["stop_order_id"] != held["stop_order_id"]
    assert run("stop", "main", "BTC", "--to", str(wanted - 100), cwd=stack).returncode == 3
    assert told("audit", cwd=stack) == []

    done = told("close", "main", "BTC", "--wait", "30", cwd=stack)
    assert (done["trade_id"], done["exit_reason"], done["naked_ms"]) == (opened["trade_id"], "manual_close", 0)
    assert told("trades", cwd=stack) == [done]
    assert told("positions", cwd=stack) == []
    assert run("close", "main", "BTC", cwd=stack).returncode == 2


def test_paused_refuses_and_resume_allows(stack: Path) -> None:
    assert told("pause", cwd=stack)[0]["paused"] is True
    result = run("open", "main", "ETH", "long", "--notional", "200", "--stop", "2%", cwd=stack)
    assert result.returncode == 3
    assert "paused" in result.stderr
    assert told("resume", cwd=stack)[0]["paused"] is False


def test_one_id_is_one_trade(stack: Path) -> None:
    words = ("open", "main", "ETH", "short", "--notional", "200", "--stop", "2%", "--id", "once", "--wait", "20")
    first, second = (told(*words, cwd=stack) for _ in range(2))
    assert first["trade_id"] == second["trade_id"]
    other = run(*("1%" if word == "2%" else word for word in words), cwd=stack)
    assert other.returncode == 3
    assert [each["state"] for each in told("flatten", "main", "--wait", "30", cwd=stack)] == ["flat"]


def test_doctor_finds_nothing_wrong(stack: Path) -> None:
    assert {row["status"] for row in told("doctor", cwd=stack)} == {"ok"}


def test_a_closed_pipe_and_ctrl_c_are_quiet(stack: Path) -> None:
    process = subprocess.Popen(
        [*STOPKEEPER, "journal", "-f", "--json"],
        cwd=stack,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # a shell's background ignores it
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["account"] == "main"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert errors.strip() == ""  # a line break after ^C
    piped = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m workers.main journal --last 10000 | head -1"],
        cwd=stack,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert piped.stderr == ""
    assert piped.stdout.count("\n") == 1
