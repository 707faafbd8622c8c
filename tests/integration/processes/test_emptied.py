"""A real Redis that is emptied under everything that runs: what is held is found, kept, told and booked."""

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.integration.processes.conftest import House, free_port, house, until
from workers.wiring import redis_url


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[House]:
    ports = f'\n[paper]\nport = {free_port()}\ncontrol_port = {free_port()}\nprices = "still"\n'
    with house(tmp_path, more=ports) as made:
        text = made.config.read_text().replace("[flower]\n", "[flower]\nenabled = false\n")
        made.config.write_text(text)
        yield made


def empty(machine: House) -> None:
    with Redis.from_url(redis_url(machine.settings)) as client:
        assert client.flushall()


def control(machine: House, path: str, **body: Any) -> Any:
    url = f"http://127.0.0.1:{machine.settings.paper.control_port}{path}"
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def stop_of(machine: House) -> str | None:
    return next((row["stop_order_id"] for row in machine.positions()), None)


def enter(machine: House, symbol: str, *more: str) -> dict[str, Any]:
    words = ("open", "main", symbol, "long", "--notional", "500", "--stop", "2%", "--wait", "30", "--json", *more)
    done = machine.run(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    return dict(json.loads(done.stdout))


@pytest.mark.timeout(150)
def test_what_is_held_outlives_all_of_redis(machine: House) -> None:
    up = machine.start("up", "--config", str(machine.config))
    until(lambda: "Everything runs." in machine.log("up"), 40, lambda: machine.log("up"))
    before = enter(machine, "BTC")
    address = machine.settings.accounts["main"].wallet_address

    empty(machine)
    rows = until(lambda: [row for row in machine.positions() if row["phase"] == "protected"], 30)
    assert [(row["symbol"], row["size"]) for row in rows] == [("BTC", before["size"])]
    assert rows[0]["stop_order_id"] == before["stop_order_id"], "its stop was kept, and no other was placed"
    assert rows[0]["stop_price"] == before["stop_price"]
    audit = machine.run("audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr

    control(machine, "/hand", account=address, symbol="BTC", cancel="stops")
    until(lambda: stop_of(machine) not in (None, before["stop_order_id"]), 20)

    empty(machine)
    control(machine, "/hand", account=address, symbol="BTC", close=True)
    entered = enter(machine, "BTC", "--expires", "60s")
    assert entered["phase"] == "protected"

    closed = machine.run("close", "main", "BTC", "--wait", "30")
    assert closed.returncode == 0, closed.stderr
    trades = until(lambda: json.loads(machine.run("trades", "--json").stdout), 20)
    assert trades[-1]["trade_id"] == entered["trade_id"]
    assert trades[-1]["exit_reason"] == "manual_close"

    seen = control(machine, "/witness")[address.lower()]["BTC"]
    assert (seen["duplicates"], seen["flips"], seen["non_reduce_only"]) == (0, 0, 0)
    assert all(naked["to_ms"] - naked["from_ms"] < 5_000 for naked in seen["naked_intervals"]), seen["naked_intervals"]
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0
