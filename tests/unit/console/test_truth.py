"""What is said is so: no data read as markup, nothing shown as live that was only asked for, no option ignored."""

import json
from dataclasses import replace
from decimal import Decimal
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest

from stopkeeper.console import words
from stopkeeper.console.backend import AccountFacts, Check, Heartbeat
from stopkeeper.core.model import Key
from stopkeeper.core.report import Phase
from stopkeeper.engine import desk, direct, showing
from tests.unit.console.conftest import FakeHouse, Run
from tests.unit.console.test_shapes import ROW

GONE = "the embedded server is not running; start it with `stopkeeper up`, or set [redis] url to a server of your own"


def line(ms: int, symbol: str) -> tuple[str, dict[str, str]]:
    return f"{ms}-0", {"symbol": symbol, "kind": "Enter", "text": f"enter at {ms}"}


def test_brackets_in_what_is_told_are_no_markup(run: Run, house: FakeHouse) -> None:
    house.checks = [Check("redis", "fail", GONE)]
    shown = " ".join(run("doctor").stdout.split())
    assert "set [redis] url" in shown


def test_a_store_that_is_gone_has_its_advice_in_hint(run: Run, house: FakeHouse) -> None:
    house.gone = GONE
    told = json.loads(run("positions", "--json").stdout)
    assert told["error"] == "the embedded server is not running"
    assert told["hint"].startswith("start it with `stopkeeper up`")
    assert "error: redis: " + GONE in run("positions").stderr


def test_the_last_lines_of_a_symbol_are_counted_after_choosing_it(run: Run, house: FakeHouse) -> None:
    house.journal = [line(1, "ETH"), line(2, "ETH"), line(3, "ETH"), *(line(10 + n, "BTC") for n in range(9))]
    told = json.loads(run("journal", "--symbol", "eth", "--last", "2", "--json").stdout)
    assert [each["text"] for each in told] == ["enter at 2", "enter at 3"]


def test_the_last_lines_are_so_many_of_all_accounts_together(run: Run, house: FakeHouse) -> None:
    house.accounts = {name: AccountFacts(name, "hyperliquid", "paper", ("BTC",)) for name in ("main", "other")}
    house.journal = [line(1, "BTC"), line(2, "BTC")]
    assert len(json.loads(run("journal", "--last", "2", "--json").stdout)) == 2


def test_a_journal_of_nothing_says_so(run: Run) -> None:
    assert run("journal").stdout == "nothing in the journal\n"
    assert run("journal", "--symbol", "ETH").stdout == "nothing in the journal about ETH\n"


def test_a_stop_that_was_only_asked_for_is_not_shown_as_live(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((ROW,), ""))
    monkeypatch.setattr(desk, "move_stop", lambda _key, price, _ports, loosen: replace(ROW, stop_price=price))
    told = json.loads(run("stop", "main", "BTC", "--to", "94000", "--json").stdout)
    assert told == {
        "trade_id": ROW.trade_id, "account": "main", "symbol": "BTC", "state": "moving", "stop_price": "94000",
    }  # fmt: skip


def test_close_of_a_part_waits_too(run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.trade = SimpleNamespace(id=ROW.trade_id)
    rows = iter([ROW, replace(ROW, phase=Phase.CLOSING), replace(ROW, size=Decimal("0.005"))])
    monkeypatch.setattr(desk, "ask_close", lambda _key, _ports, keep_fraction: None)
    monkeypatch.setattr(showing, "position", lambda _trade, _ports: next(rows))
    monkeypatch.setattr("stopkeeper.console.rows.POLL_S", 0.001)
    told = json.loads(run("close", "main", "BTC", "--part", "50%", "--wait", "5", "--json").stdout)
    assert (told["phase"], told["size"]) == ("protected", "0.005")


def test_close_of_a_part_that_does_not_come_about_exits_5(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.trade = SimpleNamespace(id=ROW.trade_id)
    monkeypatch.setattr(desk, "ask_close", lambda _key, _ports, keep_fraction: None)
    monkeypatch.setattr(showing, "position", lambda _trade, _ports: ROW)
    monkeypatch.setattr("stopkeeper.console.rows.POLL_S", 0.01)
    assert run("close", "main", "BTC", "--part", "50%", "--wait", "0.05").exit_code == 5


def test_flatten_direct_names_the_account_of_each_line(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close_all(_venue: object, _installation: str, symbols: Any, _rules: object, say: Any) -> bool:
        house.asked.append(symbols)
        say("BTC: close 1 long")
        return True

    monkeypatch.setattr(direct, "flatten_direct", close_all)
    assert run("flatten", "--all", "--direct").stderr == "main: BTC: close 1 long\n"
    assert house.asked[-1] == ("BTC", "ETH"), "every symbol the venue lists, as flatten closes what was opened by hand"


def test_doctor_shows_the_table_of_times_once(run: Run, house: FakeHouse) -> None:
    house.accounts = {name: AccountFacts(name, "hyperliquid", "paper", ("BTC",)) for name in ("main", "other")}
    checks = [row["check"] for row in json.loads(run("doctor", "--json").stdout)]
    assert checks.count("table of times") == 1


def test_a_number_that_is_none_is_named_in_plain_words(run: Run) -> None:
    result = run("paper", "--latency-ms", "x")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: latency-ms: must be a whole number (got x); stopkeeper paper --help")


def test_a_loss_too_small_to_show_has_no_sign() -> None:
    assert words.percent(Decimal("-0.00001")) == "+0.00 %"
    assert words.money(Decimal("-0.001")) == "0.00"


def test_the_same_signal_again_is_told_as_such(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "submit", lambda signal, _ports: desk.Submitted("my-1", "0123456789ab", "open"))
    told = run("open", "main", "BTC", "long", "--size", "0.01", "--stop", "2%", "--id", "my-1").stdout
    assert told == "accepted before: signal my-1, trade 0123456789ab is open\n"


def test_an_account_whose_venue_is_away_keeps_no_other_from_being_flattened(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.accounts = {name: AccountFacts(name, "hyperliquid", "paper", ("BTC",)) for name in ("away", "there")}

    def close_all(ports: Any) -> tuple[Key, ...]:
        if ports.account == "away":
            raise desk.VenueAway("timed out")
        return (Key("there", "BTC"),)

    house.beats = [Heartbeat("orders-1", "here", 7, 120)]
    monkeypatch.setattr(desk, "flatten", close_all)
    result = run("flatten", "--all")
    assert result.exit_code == 1
    assert "away: timed out" in result.stderr
    assert ("nudge", Key("there", "BTC")) in house.asked


def test_flatten_direct_closes_all_accounts_at_once(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.accounts = {name: AccountFacts(name, "hyperliquid", "paper", ("BTC",)) for name in ("away", "there")}
    both = Barrier(2, timeout=5)
    monkeypatch.setattr(direct, "flatten_direct", lambda *_args: both.wait() >= 0)
    assert run("flatten", "--all", "--direct").exit_code == 0
