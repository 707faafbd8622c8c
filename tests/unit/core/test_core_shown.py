"""What people are shown, whole: rows of positions, rules in the words they are given in, and what stands on a venue."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.case import build
from stopkeeper.core.inventory import Orphan, OrphanKind, orphans_of
from stopkeeper.core.model import (
    AccountSeen,
    FillPage,
    Funds,
    Holdings,
    Known,
    Order,
    OrderKind,
    Resting,
    Role,
    Seen,
    Side,
)
from stopkeeper.core.outcomes import Accepted, Unknown
from stopkeeper.core.policy import BreakEven, Gain, Policy, Trail, TrailKind
from stopkeeper.core.record import Goal, KeyRecord, Placed, StopSeen
from stopkeeper.core.report import Phase, PositionRow, phase_of, position_row
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.core.sweep import project
from tests.unit.core.scene import (
    AIM,
    ENTERED_MS,
    ENTRY_FILL,
    KEY,
    NOW,
    TERMS,
    TRADE,
    D,
    cid,
    fill,
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
HOUR_MS = 3_600_000
RULE = Policy(Trail(TrailKind.PERCENT, D("0.02"), start=Gain(r=D(1))), BreakEven(after_target=True))
HALVES = (Goal(D(110), D("0.5")), Goal(D(120), D("0.5")))
ACKED = record(held_trade(placed=(Placed(Role.STOP, "s2", 2, NOW),)))
AT_STOP = seen(position(liquidation_price=D(95)), (stop(),))
BEFORE_STOP = seen(position(liquidation_price=D("94.5")), (stop(),))
SEEN_BEFORE = StopSeen("s7", D(96), NOW - 400)


def row(rec: KeyRecord, look: Seen) -> PositionRow:
    found = position_row(rec, look, frame())
    assert found is not None
    return found


def differing(found: PositionRow, **expected: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in expected}


def test_of_two_stops_that_cover_together_none_is_named_as_the_stop() -> None:
    halves = (stop("96", "0.5"), stop("95", "0.5", n=2, order_id="s2"))
    found = row(record(held_trade(stop_seen=SEEN_BEFORE), quiet_ms=NOW), seen(position(), halves))
    assert (found.phase, found.stop_price, found.stop_order_id, found.stop_verified_at_ms) == (
        Phase.PROTECTED,
        D(95),
        None,
        None,
    )


def test_of_what_is_closed_no_stop_is_shown_as_verified() -> None:
    closed = (ENTRY_FILL, fill("c", "-1", "95", NOW - 9_000, "1"))
    found = row(record(held_trade(stop_seen=SEEN_BEFORE), quiet_ms=NOW), seen(None, (), closed))
    assert (found.phase, found.stop_price, found.stop_order_id, found.stop_verified_at_ms) == (
        Phase.SETTLING,
        D(95),
        None,
        None,
    )


def test_a_limit_is_shown_until_a_part_of_it_is_held() -> None:
    rests = sent(
        Accepted("e1", D("0.4"), D(99), live=True), terms=replace(TERMS, resting=Resting.GTC, worst_price=D(99))
    )
    for held, limit in ((None, D(99)), (position("0.4"), None)):
        trade = new_trade(sent=(rests,), stop=D(95))
        assert row(record(trade), seen(held, (stop(),) if held else ())).limit_price == limit


def test_a_protected_position_with_its_rules() -> None:
    trade = held_trade(targets=HALVES, taken=D("0.5"), policy=RULE, moves_ms=(NOW - HOUR_MS, NOW - 9, NOW - 5))
    found = row(record(trade), seen(position("0.5", mark="103"), (stop(),), mark="103"))
    expected = {
        "trade_id": TRADE, "account": "main", "symbol": "BTC", "side": "long", "phase": Phase.PROTECTED,
        "size": D("0.5"), "entry_price": D(100), "stop_price": D(95), "stop_order_id": "s1", "stop_verified_at_ms": NOW,
        "target_price": D(120), "naked_ms": 0, "unrealized_pnl": D("1.5"), "targets": HALVES[1:], "trail": "2%@1R",
        "breakeven": "target", "stop_moves_last_hour": 2, "stop_off_until_ms": None, "limit_price": None,
    }  # fmt: skip
    assert found.orphan is None
    assert differing(found, **expected) == expected


def test_an_entry_that_rests() -> None:
    rests = sent(Accepted("e1", live=True), terms=replace(TERMS, resting=Resting.GTC, worst_price=D(99)))
    found = row(record(new_trade(sent=(rests,), stop=D(95), targets=HALVES, side=Side.SHORT)), seen())
    expected = {
        "side": "short", "phase": Phase.ENTRY_RESTING, "size": None, "entry_price": None, "stop_price": D(95),
        "stop_order_id": None, "stop_verified_at_ms": None, "targets": HALVES, "limit_price": D(99), "trail": "off",
        "breakeven": "off", "stop_moves_last_hour": 0, "naked_ms": 0,
    }  # fmt: skip
    assert differing(found, **expected) == expected


@pytest.mark.parametrize(
    ("what", "quiet_ms", "covered", "price", "order", "verified"),
    [
        ("older than what was sent: the stop a drive saw is shown", NOW, True, "96", "s7", NOW - 400),
        ("newer: it is gone", NOW - 1, True, "95", None, None),
        ("older, and none was ever seen to cover", NOW, False, "95", None, None),
    ],
)
def test_a_look_that_cannot_show_the_stop_yet(
    what: str, quiet_ms: int, covered: bool, price: str, order: str | None, verified: int | None
) -> None:
    found = row(record(held_trade(stop_seen=SEEN_BEFORE, covered=covered), quiet_ms=quiet_ms), seen(position()))
    assert (found.stop_price, found.stop_order_id, found.stop_verified_at_ms) == (D(price), order, verified), what


def test_a_lifted_stop_and_a_position_that_is_nobodys() -> None:
    lifted = row(record(held_trade(off_until_ms=NOW + 9)), seen(position()))
    assert (lifted.phase, lifted.stop_off_until_ms) == (Phase.NAKED, NOW + 9)
    nobodys = row(record(), seen(position(side=Side.SHORT)))
    expected = {
        "trade_id": "", "side": "short", "naked_ms": 0, "stop_price": None, "trail": "off", "breakeven": "off",
        "stop_moves_last_hour": 0, "stop_off_until_ms": None, "limit_price": None, "targets": (),
        "orphan": OrphanPolicy.PROTECT,
    }  # fmt: skip
    assert differing(nobodys, **expected) == expected


@pytest.mark.parametrize(
    ("what", "rec", "look", "phase"),
    [
        (
            "a stop was acked and is to show",
            record(held_trade(placed=(Placed(Role.STOP, "s2", 2, NOW),))),
            seen(position()),
            Phase.ENTERING,
        ),
        (
            "the liquidation at the very stop",
            record(held_trade()),
            seen(position(liquidation_price=D(95)), (stop(),)),
            Phase.UNSAFE,
        ),
        (
            "a little before it",
            record(held_trade()),
            seen(position(liquidation_price=D("94.5")), (stop(),)),
            Phase.PROTECTED,
        ),
    ],
)
def test_phases_at_their_edges(what: str, rec: KeyRecord, look: Seen, phase: Phase) -> None:
    assert phase_of(build(rec, look, frame())) is phase, what


# --- rules in words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Gain(), "off"),
        (Gain(r=D("1.5")), "1.5R"),
        (Gain(fraction=D("0.01")), "1%"),
        (Trail(), "off"),
        (Trail(TrailKind.PERCENT, D("0.02")), "2%"),
        (Trail(TrailKind.PERCENT, D("0.02"), start=Gain(r=D(1))), "2%@1R"),
        (BreakEven(), "off"),
        (BreakEven(after_target=True), "target"),
        (BreakEven(Gain(r=D(1))), "1R"),
    ],
)
def test_a_rule_in_its_own_words(rule: object, said: str) -> None:
    assert str(rule) == said


# --- what stands on a venue --------------------------------------------------------------------------------------

SELLS = Order("x1", "DOGE", None, Side.SHORT, OrderKind.STOP_MARKET, D(3), None, D(7), True, True, False, False, NOW)
BUYS = replace(SELLS, id="x2", side=Side.LONG, kind=OrderKind.LIMIT, price=D(6), trigger=None, reduce_only=False)
NOWHERE = replace(SELLS, id="x3", trigger=None, reduce_only=False, whole=True)
THEIRS = replace(SELLS, id="x4", client_id=cid(Role.STOP, 1, installation="fffff"))


def test_each_thing_that_is_nobodys_in_words() -> None:
    held = Holdings({"DOGE": position("2", symbol="DOGE")}, Funds(D(9), D(8)))
    look = AccountSeen(Known(held, NOW), Known((SELLS, BUYS, NOWHERE, THEIRS), NOW), Known(FillPage(0, ()), NOW))
    case = (record(), seen(position("2", side=Side.SHORT)), frame())
    assert orphans_of("main", look, [case], ("ETH",)) == (
        Orphan("main", "BTC", OrphanKind.STRANGER_POSITION, "short 2, no trade has taken it in yet", None),
        Orphan("main", "DOGE", OrphanKind.STRANGER_POSITION, "long 2 from 100, not among the account's symbols", None),
        Orphan("main", "DOGE", OrphanKind.STRANGER_ORDER, "stop_market x1: sell 3 at 7, reduce-only", NOW),
        Orphan("main", "DOGE", OrphanKind.STRANGER_ORDER, "limit x2: buy 3 at 6", NOW),
        Orphan("main", "DOGE", OrphanKind.STRANGER_ORDER, "stop_market x3: sell 3, reduce-only", NOW),
        Orphan("main", "DOGE", OrphanKind.OTHER_INSTALLATION, "stop x4 of installation fffff", NOW),
    )


def test_a_target_of_a_lost_trade_is_needed_while_what_it_closes_is_held() -> None:
    lost = target(client_id=cid(Role.TARGET, 2, "f" * 12))
    found = orphans_of(
        "main", AccountSeen(), [(record(held_trade(targets=AIM)), seen(position(), (stop(), lost)), frame())], ("BTC",)
    )
    assert found == ()


def test_what_an_account_shows_cut_to_a_symbol() -> None:
    held = Holdings({"BTC": position(), "ETH": position(symbol="ETH")}, Funds(D(9), D(8)))
    other = replace(stop(), symbol="ETH", id="s2")
    fills = Known(FillPage(ENTERED_MS, ()), NOW - 1)
    account = AccountSeen(Known(held, NOW - 3), Known((stop(), other), NOW - 2), fills)
    cut = project(account, KEY.symbol)
    assert (cut.position, cut.funds) == (Known(position(), NOW - 3), Funds(D(9), D(8)))
    assert (cut.orders, cut.fills) == (Known((stop(),), NOW - 2), fills)
    assert cut.lookups == {}
    assert project(AccountSeen(), KEY.symbol) == Seen()
