"""Whether entries are let in, why not, and how far each limit is: in status for people and programs, and in doctor."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from stopkeeper.console.backend import AccountFacts
from stopkeeper.console.commands.inspecting import naked_seconds
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.missing import Clock
from stopkeeper.core.model import Funds, Holdings, Known, MarginMode, Position, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.rules import Limits, Switches
from stopkeeper.engine import showing
from tests.unit.console.conftest import FakeHouse, Run
from tests.unit.console.test_shapes import ROW, booked

NOW = 1_790_000_000_000  # the fake venue's time: 2026-09-21T14:13:20Z
HOUR = 3_600_000
ALL = Limits(
    max_open_trades=3,
    max_leverage=5,
    max_notional=Decimal(5000),
    max_daily_loss=Decimal(200),
    max_drawdown=Decimal(500),
    drawdown_since_ms=1_788_220_800_000,
    cooldown_after=3,
    cooldown_ms=2 * HOUR,
    max_stop_distance=Decimal("0.1"),
)


@pytest.fixture(autouse=True)
def _one_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((replace(ROW, naked_ms=1_240),), ""))


def losses(*usd: str) -> list[LedgerLine]:
    return [booked(n, pnl, NOW - HOUR + n * 1_000) for n, pnl in enumerate(usd)]


def told(run: Run) -> dict[str, Any]:
    document = json.loads(run("status", "--json").stdout)
    (account,) = document["accounts"]
    return dict(account)


def lines_of(run: Run) -> Sequence[str]:
    return run("status").stdout.splitlines()


def test_without_limits_entries_are_open_and_no_figure_is_shown(run: Run) -> None:
    account = told(run)
    assert (account["entries"], account["reasons"]) == ("open", [])
    assert account["limits"]["max_daily_loss"] is None
    assert "  entries: open" in lines_of(run)
    assert "limits:" not in run("status").stdout


def test_figures_stand_against_the_limits_that_are_set(run: Run, house: FakeHouse) -> None:
    house.limits, house.ledger = ALL, losses("30", "-12.5")
    house.reserved = {str(ROW.trade_id): Decimal("950.25")}
    assert told(run)["limits"] == {
        "lost_today": "0", "max_daily_loss": "200",
        "drawdown": "12.5", "max_drawdown": "500", "drawdown_since": "2026-09-01T00:00:00.000Z",
        "losses_in_a_row": 1, "cooldown_after": 3, "cooldown_until": None,
        "open_trades": 1, "max_open_trades": 3, "notional": "950.25", "max_notional": "5000",
        "max_leverage": 5, "max_stop_distance": "0.1",
    }  # fmt: skip
    shown = " ".join(run("status").stdout.split())
    assert (
        "entries: open limits: lost today 0.00 of 200.00 USD, drawdown 12.50 of 500.00 USD, open trades 1 of 3, "
        "notional 950.25 of 5,000.00 USD, losses in a row 1 of 3"
    ) in shown
    first, second = (line for line in lines_of(run) if "of 3" in line)
    assert (first[-1], second) == (",", "    notional 950.25 of 5,000.00 USD, losses in a row 1 of 3")
    house.limits = Limits(max_open_trades=3)
    assert "  limits: open trades 1 of 3" in lines_of(run)


def test_a_limit_that_is_reached_refuses_with_its_sentence(run: Run, house: FakeHouse) -> None:
    house.limits, house.ledger = ALL, losses("-100", "-60", "-40")
    account = told(run)
    daily = "200.00 USD were lost today (UTC), the account's limit is 200"
    row = "the last 3 trades were losses: no entry before 15:13:22 UTC"
    assert (account["entries"], account["reasons"]) == ("refused", [daily, row])
    assert account["limits"]["lost_today"] == "200"
    assert account["limits"]["cooldown_until"] == "2026-09-21T15:13:22.000Z"
    assert f"  entries: refused: {daily}; {row}" in lines_of(run)
    assert "losses in a row 3 of 3, cooldown until 15:13:22 UTC" in " ".join(run("status").stdout.split())


def test_an_open_loss_counts_and_an_unread_one_is_said(run: Run, house: FakeHouse) -> None:
    house.limits, house.ledger = Limits(max_daily_loss=Decimal(200)), losses("-190")
    position = Position(
        "BTC", Side.LONG, Decimal(1), Decimal(100), MarginMode.ISOLATED, Decimal(5), None, None, Decimal(-15)
    )
    house.venue.holdings_answer = Known(Holdings({"BTC": position}, Funds(Decimal(1000), Decimal(900))), NOW)
    assert told(run)["reasons"] == [
        "205.00 USD were lost today (UTC), 15.00 of it on what is open, the account's limit is 200"
    ]
    house.venue.holdings_answer = Unknown("timed out")
    assert told(run)["entries"] == "open"
    house.ledger = losses("-200")
    assert told(run)["reasons"][0].endswith("; what is open could not be read and counts as 0")


@pytest.mark.parametrize(
    ("switches", "reason"),
    [
        (Switches(paused=True), "the account is paused: no new entries"),
        (Switches(halted=True), "the account is halted: no new entries"),
        (Switches(barred="no [such] agent"), "the venue bars the account: no [such] agent"),
    ],
)
def test_switches_and_a_bar_refuse_in_the_same_place(
    run: Run, house: FakeHouse, switches: Switches, reason: str
) -> None:
    house.switches["main"] = switches
    account = told(run)
    assert (account["entries"], account["reasons"]) == ("refused", [reason])
    assert f"  entries: refused: {reason}" in lines_of(run)


def test_no_room_for_another_trade_refuses(run: Run, house: FakeHouse) -> None:
    house.limits = Limits(max_open_trades=1, max_notional=Decimal(100))
    house.reserved = {"t1": Decimal("100.00")}
    assert told(run)["reasons"] == [
        "1 trade is open, the account's limit is 1",
        "the open trades fill the account's limit of 100 USD",
    ]


def test_time_without_cover_is_added_up_over_open_and_booked(run: Run, house: FakeHouse) -> None:
    line = booked()
    house.ledger = [replace(line, trade=replace(line.trade, naked_ms=ms)) for ms in (36, 2_000)]
    house.accounts = {name: AccountFacts(name, "hyperliquid", "paper", ("BTC",)) for name in ("main", "other")}
    document = json.loads(run("status", "--json").stdout)
    assert [each["naked_seconds"] for each in document["accounts"]] == [3.3, 3.3]
    assert document["naked_seconds"] == 6.6
    assert "  2 trades closed, 1 open, none naked, naked 3.3 s in all" in lines_of(run)


@pytest.mark.parametrize(("ms", "seconds"), [(0, 0.0), (1, 0.1), (36, 0.1), (100, 0.1), (101, 0.2), (12_345, 12.4)])
def test_a_short_time_without_cover_never_shows_as_none(ms: int, seconds: float) -> None:
    assert naked_seconds(ms) == seconds


def rows(run: Run) -> dict[str, tuple[str, str]]:
    return {row["check"]: (row["status"], row["detail"]) for row in json.loads(run("doctor", "--json").stdout)}


def test_doctor_warns_of_a_live_account_that_nothing_bounds(run: Run, house: FakeHouse) -> None:
    assert "main limits" not in rows(run), "paper is not money"
    house.accounts = {"main": AccountFacts("main", "hyperliquid", "live", ("BTC",))}
    assert rows(run)["main limits"] == ("warn", "risk.max_notional is not set; risk.max_daily_loss is not set")
    house.limits = Limits(max_notional=Decimal(5000))
    assert rows(run)["main limits"] == ("warn", "risk.max_daily_loss is not set")
    house.limits = Limits(max_notional=Decimal(5000), max_daily_loss=Decimal(200))
    assert rows(run)["main limits"] == ("ok", "notional 5,000.00 USD, loss of a day 200.00 USD")


def test_doctor_warns_of_a_curve_that_has_not_begun(run: Run, house: FakeHouse) -> None:
    house.limits = Limits(max_drawdown=Decimal(1), drawdown_since_ms=NOW + 1)
    status, detail = rows(run)["main limits"]
    assert (status, detail.partition(" ")[0]) == ("warn", "risk.drawdown_since")


def test_where_the_venue_could_not_be_read_it_is_not_called_a_trouble_of_the_clock(run: Run, house: FakeHouse) -> None:
    house.venue.measured = Clock(None)
    assert told(run)["reasons"] == ["the venue could not be read just now, and an entry waits until it can"]
    house.venue.measured = Clock(61_000)
    assert told(run)["reasons"] == [
        "the offset to the venue's clock is 61 s old: no entries until it is measured, protection goes on"
    ]


def test_what_is_held_that_no_signal_reserved_counts_towards_the_notional(run: Run, house: FakeHouse) -> None:
    """Found, adopted, or rebuilt after a loss of Redis: 0.01 BTC from 95,000."""
    house.limits, house.reserved = (
        Limits(max_notional=Decimal(1000)),
        {"t1": Decimal(50), str(ROW.trade_id): Decimal(0)},
    )
    account = told(run)
    assert account["limits"]["notional"] == "1000"
    assert account["reasons"] == ["the open trades fill the account's limit of 1000 USD"]
