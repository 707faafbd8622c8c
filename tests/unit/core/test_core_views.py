"""What people are shown: rows and phases, the tally, what a sweep wakes and what an audit names."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from stopkeeper.core.actions import Exit
from stopkeeper.core.audit import breaches
from stopkeeper.core.case import build
from stopkeeper.core.ledger import LedgerLine, tally
from stopkeeper.core.model import AccountSeen, FillPage, Funds, Holdings, Known, MarginMode, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, Reason, Rejected, Unknown
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import CloseAsk, KeyRecord, Outstanding, StopSeen
from stopkeeper.core.report import Phase, phase_of, position_row, trade_row
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.core.sweep import differences, project
from tests.unit.core.scene import (
    AIM,
    ENTERED_MS,
    ENTRY_FILL,
    KEY,
    LOST,
    NOW,
    TOLD,
    TRADE,
    D,
    cid,
    found_trade,
    frame,
    held_trade,
    new_trade,
    position,
    record,
    seen,
    sent,
    stop,
    target,
)

DOWN = Unknown("down")
SHOWN = (Outstanding(TRADE, Role.STOP, 1, "s1", ENTERED_MS),)


def exit_(pnl: str, fees: str = "1", **more: Any) -> Exit:
    base = Exit(
        "stop_loss", "by id", (("stop_loss", D(1)),), D(100), D(95), D(1),
        D(fees), D(pnl), D(0), D(pnl), ENTERED_MS, NOW,
        complete=True
    )  # fmt: skip
    return replace(base, **more)


@pytest.mark.parametrize(
    ("what", "rec", "look", "phase"),
    [
        ("admitted", record(new_trade()), seen(), Phase.ADMITTED),
        ("unanswered", record(new_trade(sent=(sent(),))), seen(), Phase.UNPROVEN),
        (
            "refused, about to end",
            record(new_trade(sent=(sent(Rejected(Reason.MARGIN, "no")),))),
            seen(),
            Phase.ENTERING,
        ),
        ("between attempts", record(new_trade(sent=(sent(LOST, absent=True),))), seen(), Phase.ENTERING),
        ("acked without a fill", record(new_trade(sent=(sent(Accepted("e1")),))), seen(), Phase.ENTERING),
        ("protected", record(held_trade()), seen(position(), (stop(),)), Phase.PROTECTED),
        ("naked", record(held_trade()), seen(position()), Phase.NAKED),
        ("cover cannot be seen", record(held_trade()), seen(position(), DOWN), Phase.UNPROVEN),
        (
            "closing",
            record(held_trade(close=CloseAsk("manual_close", NOW))),
            seen(position(), (stop(),)),
            Phase.CLOSING,
        ),
        ("liquidation first", record(held_trade()), seen(position(liquidation_price=D(96)), (stop(),)), Phase.UNSAFE),
        (
            "no liquidation named",
            record(held_trade()),
            seen(position(liquidation_price=None), (stop(),)),
            Phase.PROTECTED,
        ),
        ("flat, to be booked", record(held_trade()), seen(), Phase.SETTLING),
        ("gone from sight", record(held_trade(held=D(0))), seen(DOWN), Phase.UNPROVEN),
        ("nothing", record(), seen(), Phase.CLOSED),
        (
            "left alone, and the orders are older than the position",
            record(found_trade(orphan=OrphanPolicy.ALERT, stop=None)),
            replace(seen(position()), orders=Known((), NOW - 1)),
            Phase.NAKED,
        ),
        (
            "flipped a moment ago",
            record(held_trade(stop_seen=StopSeen("s1", D(95), NOW - 9)), quiet_ms=NOW),
            seen(position(side=Side.SHORT), (stop(),)),
            Phase.NAKED,
        ),
    ],
)
def test_phases(what: str, rec: KeyRecord, look: Seen, phase: Phase) -> None:
    assert phase_of(build(rec, look, frame())) is phase, what


def test_a_row_of_a_protected_position() -> None:
    row = position_row(
        record(held_trade(targets=AIM, naked_ms=40)), seen(position(mark="103"), (stop(),), mark="103"), frame()
    )
    assert row is not None
    assert (row.phase, row.size, row.entry_price, row.stop_price, row.stop_order_id) == (
        "protected",
        D(1),
        D(100),
        D(95),
        "s1",
    )
    assert (row.target_price, row.naked_ms, row.unrealized_pnl, row.stop_verified_at_ms) == (D(110), 40, D(3), NOW)


def test_a_found_position_that_cannot_be_read_is_shown_as_it_was_found() -> None:
    row = position_row(record(found_trade(opening_price=D(97))), seen(DOWN), frame())
    assert row is not None
    assert (row.size, row.entry_price, row.unrealized_pnl) == (D(1), D(97), None)


def test_a_row_of_an_acked_entry_and_of_a_waiting_signal() -> None:
    acked = position_row(record(held_trade(naked_since_ms=NOW - 5), quiet_ms=NOW), seen(), frame())
    assert acked is not None
    assert (acked.size, acked.entry_price, acked.stop_order_id, acked.naked_ms, acked.unrealized_pnl) == (
        D(1),
        D(100),
        None,
        5,
        None,
    )
    waiting = position_row(record(new_trade()), seen(), frame())
    assert waiting is not None
    assert (waiting.phase, waiting.size, waiting.stop_price, waiting.entry_price) == ("admitted", None, None, None)


def test_rows_without_a_trade() -> None:
    assert position_row(record(), seen(), frame()) is None
    row = position_row(record(), seen(position(unrealized_pnl=D(7)), mark=None), frame())
    assert row is not None
    assert (row.trade_id, row.phase, row.unrealized_pnl) == ("", "naked", D(7))
    found = position_row(record(found_trade(), quiet_ms=NOW), seen(), frame())
    assert found is not None
    assert found.entry_price == 100


@pytest.mark.parametrize(("complete", "phase"), [(True, Phase.CLOSED), (False, Phase.SETTLING)])
def test_a_row_of_a_booked_trade(complete: bool, phase: Phase) -> None:
    row = trade_row(LedgerLine(held_trade(), exit_("-5", complete=complete), 2, NOW))
    assert (row.phase, row.exit_reason, row.realized_pnl, row.revision) == (phase, "stop_loss", D(-5), 2)


def test_the_tally() -> None:
    lines = [LedgerLine(held_trade(), exit_(pnl), 1, NOW) for pnl in ("9.5", "-4", "0", "0.5")]
    got = tally(lines, D(1_008), D(2))
    assert (got.trades, got.wins, got.losses, got.win_rate) == (4, 2, 1, D("0.5"))
    assert (got.realized_pnl, got.fees, got.best, got.worst) == (D(6), D(4), D("9.5"), D(-4))
    assert (got.start_value, got.return_since_start) == (D(1_000), D("0.008"))


@pytest.mark.parametrize(("value", "since"), [("5", None), ("10", None), ("11", D(10)), ("10.5", D(20))])
def test_a_return_is_told_of_an_account_that_began_with_something(value: str, since: Decimal | None) -> None:
    """What our own profits were made with; an account that was emptied began, as far as can be told, with less."""
    lines = [LedgerLine(held_trade(), exit_("10"), 1, NOW)]
    assert tally(lines, D(value), D(0)).return_since_start == since


def test_an_empty_tally_divides_by_nothing() -> None:
    got = tally([], None, D(0))
    assert (got.win_rate, got.start_value, got.return_since_start, got.best) == (None, None, None, None)
    assert tally([], D(0), D(0)).return_since_start is None


def account(**more: Any) -> AccountSeen:
    other = position(symbol="ETH")
    base = AccountSeen(
        Known(Holdings({"BTC": position(mark="101"), "ETH": other}, Funds(D(9), D(8))), NOW),
        Known((stop(), stop(symbol="ETH")), NOW),
        Known(FillPage(0, (ENTRY_FILL, replace(ENTRY_FILL, symbol="ETH"))), NOW),
    )
    return replace(base, **more)


def test_an_account_is_cut_to_a_symbol() -> None:
    got = project(account(), "BTC")
    assert isinstance(got.position, Known)
    assert isinstance(got.orders, Known)
    assert isinstance(got.fills, Known)
    assert (got.position.value, got.orders.value, got.fills.value.fills) == (
        position(mark="101"),
        (stop(),),
        (ENTRY_FILL,),
    )
    assert got.mark == Price(D(101), Source.POSITION, 0)
    flat = project(account(), "SOL", Price(D(5), Source.STREAM, 9))
    assert isinstance(flat.position, Known)
    assert (flat.position.value, flat.mark) == (None, Price(D(5), Source.STREAM, 9))
    asked = {"id": DOWN}
    assert (project(account(), "BTC", lookups=asked).lookups, got.lookups) == (asked, {})
    blind = project(AccountSeen(DOWN, DOWN, DOWN), "BTC")
    assert (blind.position, blind.orders, blind.fills, blind.funds, blind.mark) == (DOWN, DOWN, DOWN, None, None)


@pytest.mark.parametrize(
    ("what", "rec", "look", "why"),
    [
        ("protected", record(held_trade()), seen(position(), (stop(),)), None),
        ("flat", record(), seen(), None),
        ("blind", record(), seen(DOWN), None),
        ("naked", record(held_trade()), seen(position()), "protection: the position is naked"),
        (
            "orphan",
            record(),
            seen(position()),
            "protection: a position is held that no trade owns, protected by the policy",
        ),
        (
            "litter",
            record(outstanding=SHOWN, denied=TOLD),
            seen(None, (stop(),)),
            "hygiene: nothing is held that needs it",
        ),
        ("litter nobody knew", record(), seen(None, (stop(),)), "an order of ours lives and nothing is held"),
        (
            "naked, and a stop was tried a moment ago",
            record(held_trade(covered=False, naked_since_ms=NOW - 200, stop_tried_ms=NOW - 100)),
            seen(position()),
            "a stop was tried a moment ago and is not there",
        ),
        (
            "its mark is to be confirmed",
            record(held_trade(targets=AIM)),
            seen(position(mark="111"), (stop(), target()), second=None),
            "its mark is at a stop or target and must be confirmed",
        ),
        (
            "fired",
            record(held_trade()),
            seen(position(), (stop(fired=True),)),
            "a stop has fired and the venue is at work",
        ),
        ("unproven", record(new_trade(sent=(sent(),))), seen(), "attempt 1 was not answered: waiting for proof"),
    ],
)
def test_what_a_sweep_wakes(what: str, rec: KeyRecord, look: Seen, why: str | None) -> None:
    assert [(w.key, w.why) for w in differences([(rec, look, frame())])] == ([(KEY, why)] if why else []), what


@pytest.mark.parametrize(
    ("what", "rec", "look", "kinds"),
    [
        ("all is well", record(held_trade()), seen(position(), (stop(),)), []),
        ("naked", record(held_trade()), seen(position()), ["naked"]),
        ("unowned and naked", record(), seen(position()), ["naked", "orphan_position"]),
        ("unsafe", record(held_trade()), seen(position(liquidation_price=D(96)), (stop(),)), ["unsafe"]),
        (
            "cross, and isolated was asked for",
            record(held_trade()),
            seen(position(margin_mode=MarginMode.CROSS), (stop(),)),
            ["margin_mode"],
        ),
        ("cross, as found", record(found_trade()), seen(position(margin_mode=MarginMode.CROSS), (stop(),)), []),
        ("no target", record(held_trade(targets=AIM)), seen(position(), (stop(),)), ["no_target"]),
        ("with target", record(held_trade(targets=AIM)), seen(position(), (stop(), target())), []),
        ("litter", record(), seen(None, (stop(),)), ["orphan_order"]),
        ("unknown", record(quiet_ms=NOW), seen(), ["unknown"]),
        (
            "another installation",
            record(),
            seen(None, (stop(client_id=cid(Role.STOP, 1, installation="fffff")),)),
            ["other_installation_live"],
        ),
        (
            "another installation, long ago",
            record(),
            seen(None, (stop(client_id=cid(Role.STOP, 1, installation="fffff"), placed_ms=NOW - 120_000),)),
            ["other_installation"],
        ),
    ],
)
def test_breaches(what: str, rec: KeyRecord, look: Seen, kinds: list[str]) -> None:
    held = replace(account(), holdings=Known(Holdings({"BTC": position()}, Funds(D(9), D(8))), NOW))
    assert [b.kind for b in breaches("main", held, [(rec, look, frame())], ("BTC", "ETH"))] == kinds, what


def test_breaches_of_an_account() -> None:
    btc = [(record(held_trade()), seen(position(), (stop(),)), frame())]
    assert [b.symbol for b in breaches("main", account(), btc, ("BTC",))] == ["ETH"]
    assert [b.kind for b in breaches("main", AccountSeen(), [], ())] == ["blind"] * 3
