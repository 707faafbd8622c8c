"""Starting, refusing to start, persisting, price sources: as a process and in a thread."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.paper import server
from exchange.paper.errors import PaperError
from exchange.paper.inprocess import start_in_thread
from exchange.paper.options import PaperOptions, Where
from exchange.paper.prices import Replay, Walk
from exchange.paper.server import build
from exchange.paper.symbols import listing
from tests.unit.paper.helpers import ADDRESS, Client, row, stop_row

ROOT = Path(__file__).parents[3]
BAD = [
    ({"prices": "nowhere.csv"}, "nowhere.csv"),
    ({"prices": "nonsense"}, "it must be walk"),
    ({"prices": "mirror:ftp://x"}, "mirror:"),
    ({"control_host": "0.0.0.0"}, "control_host"),
    ({"port": 70000}, "port is 70000"),
    ({"speed": Decimal(0)}, "speed is 0"),
    ({"balance": Decimal(-1)}, "balance is -1"),
    ({"symbols": ("NOPE",)}, "NOPE"),
    ({"settings": {"colour": 1}}, "colour"),
    ({"settings": {"taker_fee": "x"}}, "taker_fee"),
    ({"state": "/nowhere/at/all.json"}, "/nowhere/at/all.json"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_options_that_cannot_be_used(change: dict[str, object], words: str) -> None:
    with pytest.raises(PaperError, match=words.replace("(", r"\(")):
        build(PaperOptions(**change))  # type: ignore[arg-type]


def test_a_taken_port_is_named() -> None:
    with start_in_thread() as (where, _), pytest.raises(PaperError, match=f"port {where.port} on"):
        start_in_thread(port=where.port).__enter__()


def test_a_csv_with_a_missing_column_or_a_bad_price(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    for text, words in (
        ("timestamp,open,high,low\n1,2,3,4\n", "lacks the column 'close'"),
        ("timestamp,open,high,low,close\n1,2,3,4,x\n", "line 2"),
        ("timestamp,open,high,low,close\n1,2,3,0,4\n", "above 0"),
        ("timestamp,open,high,low,close,symbol\n1,2,3,1,4,NOPE\n", "NOPE"),
        ("timestamp,open,high,low,close\n", "empty"),
    ):
        file.write_text(text)
        with pytest.raises(PaperError, match=words):
            build(PaperOptions(prices=str(file)))


def test_a_replay_walks_open_low_high_close_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(
        "timestamp,open,high,low,close,volume\n2022-01-01 00:00:00,100,130,90,120,1\n"
        "2022-01-01 00:01:00,120,125,80,85,1\n"
    )
    source = Replay(file, listing(["BTC"]), Decimal(60))
    seen = [source.step(0)["BTC"]] + [source.step(0.25)["BTC"] for _ in range(8)]
    assert seen[:3] == [Decimal(100), Decimal(90), Decimal(130)]
    assert seen[4:7] == [Decimal(120), Decimal(125), Decimal(80)]
    assert source.step(100)["BTC"] == Decimal(85)


def days(file: Path) -> None:
    """Three days of one-minute bars, named by their close, that rise by one a bar."""
    began = datetime(2021, 12, 31, 23, 1, tzinfo=UTC)
    lines = ["timestamp,open,high,low,close,volume"]
    for n in range(3 * 1440):
        at = (began + timedelta(minutes=n)).strftime("%Y-%m-%d %H:%M:%S.%f")
        lines.append(f"{at},{20000 + n}.0,{20001 + n}.0,{20000 + n}.0,{20001 + n}.0,1.5")
    file.write_text("\n".join(lines) + "\n")


def test_days_of_minutes_start_where_they_are_told_to(tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    days(file)
    whole, _ = build(PaperOptions(prices=str(file)))
    assert whole.market.marks["BTC"] == 20_000
    for offset, mark in (
        ("2021-12-31T23:00", 20_000),  # the first bar closes at 23:01
        ("2022-01-02T10:00", 20_000 + 1440 + 11 * 60),
        ("2022-01-02T11:00:00+01:00", 20_000 + 1440 + 11 * 60),
        ("2022-01-03 22:59", 20_000 + 3 * 1440 - 1),
        ("2022-01-03T23:00", 20_000 + 3 * 1440),
    ):
        venue, _ = build(PaperOptions(prices=f"{file}@{offset}", speed=Decimal(60)))
        assert venue.market.marks["BTC"] == mark
        venue.tick(2.0)
        assert venue.market.marks["BTC"] == min(mark + 2, 20_000 + 3 * 1440)
    span = "2021-12-31T23:00:00 to 2022-01-03T23:00:00 UTC"
    for offset in ("2021-12-31T22:59", "2022-02-01T10:00"):
        with pytest.raises(PaperError, match=f"start {offset} lies outside .*{span}"):
            build(PaperOptions(prices=f"{file}@{offset}"))
    with pytest.raises(PaperError, match=f"start 'noon' is no time; write one within {span}"):
        build(PaperOptions(prices=f"{file}@noon"))
    with pytest.raises(PaperError, match="nowhere"):
        build(PaperOptions(prices="nowhere.csv@2022-01-05T10:00"))


def test_a_file_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a@b.csv"
    file.write_text("timestamp,open,high,low,close\n1640995260,100,110,90,105\n")
    assert build(PaperOptions(prices=str(file)))[0].market.marks["BTC"] == 100
    assert build(PaperOptions(prices=f"{file}@1640995260"))[0].market.marks["BTC"] == 105


def test_a_walk_repeats_with_its_seed() -> None:
    def path(seed: int) -> list[Decimal]:
        walk = Walk(listing(), seed, Decimal(1000))
        return [walk.step(0.25)["kPEPE"] for _ in range(20)]

    assert path(1) == path(1)
    assert path(1) != path(2)
    assert len(set(path(1))) > 5


def start(*more: str) -> tuple[subprocess.Popen[str], Client]:
    command = [sys.executable, "-m", "exchange.paper", "--port", "0", "--control-port", "0", "--ready-json"]
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    return process, Client(Where("127.0.0.1", ready["port"], ready["control_port"]))


def test_a_process_keeps_its_state_over_a_restart(tmp_path: Path) -> None:
    state = str(tmp_path / "venue.json")
    process, client = start("--prices", "still", "--state", state)
    try:
        client.info("clearinghouseState", user=ADDRESS)
        name = "0x57b" + "a1b2c" + "1" + "00001" + "abcdefabcdef" + "123456"
        client.order(row("buy", "0.01", "99000", c=name), stop_row("sell", "0.01", "93000", "84000"))
        body = client.body({"type": "noop"})
        client.post("/exchange", body)
        before = client.info("clearinghouseState", user=ADDRESS)["assetPositions"]
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert process.stdout is not None
    process.stdout.close()
    process, client = start("--prices", "still", "--state", state)
    try:
        assert client.info("clearinghouseState", user=ADDRESS)["assetPositions"] == before
        assert len(client.info("frontendOpenOrders", user=ADDRESS)) == 1
        assert "duplicate nonce" in client.post("/exchange", body)[1]["response"]
        assert client.control("/witness")[1][ADDRESS]["BTC"]["entries_by_signal"] == {"abcdefabcdef": 1}
        client.control("/mark", {"symbol": "BTC", "price": 92900})
        assert client.info("clearinghouseState", user=ADDRESS)["assetPositions"] == []
    finally:
        os.kill(process.pid, signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stdout is not None
    process.stdout.close()


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    file = tmp_path / "venue.json"
    file.write_text("{")
    with pytest.raises(PaperError, match="move it away"):
        build(PaperOptions(state=file))


def test_a_mirror_takes_the_marks_of_another_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MIRROR_EVERY_S", 0.02)
    with (
        start_in_thread(prices="still") as (far, _),
        start_in_thread(prices=f"mirror:{far.url}", tick_ms=20) as (near, _),
    ):
        Client(far).control("/mark", {"symbol": "ETH", "price": "3333.3"})
        for _ in range(100):
            if Client(near).control("/mark")[1]["ETH"] == "3333.3":
                break
            time.sleep(0.03)
        assert Client(near).control("/mark")[1]["ETH"] == "3333.3"


def test_a_pushed_mark_is_held_and_then_let_go(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text("timestamp,open,high,low,close\n1640995200,100,100,100,100\n")
    with start_in_thread(prices=str(file), tick_ms=20) as (where, _):
        client = Client(where)
        client.control("/mark", {"symbol": "BTC", "price": 50, "hold_ms": 150})
        time.sleep(0.06)
        assert client.control("/mark")[1]["BTC"] == "50.0"
        for _ in range(100):
            if client.control("/mark")[1]["BTC"] == "100.0":
                break
            time.sleep(0.03)
        assert client.control("/mark")[1]["BTC"] == "100.0"
