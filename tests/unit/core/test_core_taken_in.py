"""What is found: the stop it is covered by, the trade it becomes, and what is learned of whose it is afterwards."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Found
from stopkeeper.core.believe import Held
from stopkeeper.core.case import Frame, build
from stopkeeper.core.ids import ClientId
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Order, Role, Seen, Side
from stopkeeper.core.orphans import best_trigger, covered_at, orphan_due_ms, taken_over
from stopkeeper.core.policy import FIXED, Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, Goal, Trade
from stopkeeper.core.rules import OrphanPolicy
from tests.unit.core.scene import (
    INST,
    LAG,
    NOW,
    RULES,
    D,
    found_trade,
    frame,
    held_trade,
    plan,
    position,
    record,
    seen,
    stop,
    target,
)

P = OrphanPolicy
TRAIL = Policy(Trail(TrailKind.PERCENT, D("0.01")))
WIDE = Policy(Trail(TrailKind.PERCENT, D("0.05")))
STRANGERS = tuple(stop(size="0.5", order_id=f"x{n}", client_id=None) for n in (1, 2))
LONG, SHORT = position(), position(side=Side.SHORT)


def over(trigger: str, size: str = "1", n: int = 1, order_id: str = "s1") -> Order:
    return stop(trigger, size, n, order_id, side=Side.LONG, price=D(trigger) * D("1.1"))


@pytest.mark.parametrize(
    ("what", "look", "best", "covered"),
    [
        ("one", seen(LONG, (stop(),)), "95", "95"),
        ("the nearest of two", seen(LONG, (stop(), stop("96", n=2, order_id="s2"))), "96", "96"),
        ("a nearer one over a part", seen(LONG, (stop(), stop("96", "0.5", 2, "s2"))), "95", "95"),
        ("halves: the farthest", seen(LONG, (stop(size="0.5"), stop("96", "0.5", 2, "s2"))), None, "95"),
        (
            "strangers' halves",
            seen(LONG, STRANGERS),
            None,
            None,
        ),
        ("short: the nearest of two", seen(SHORT, (over("105"), over("104", n=2, order_id="s2"))), "104", "104"),
        ("short, halves: the farthest", seen(SHORT, (over("105", "0.5"), over("104", "0.5", 2, "s2"))), None, "105"),
        ("none", seen(LONG), None, None),
    ],
)
def test_where_a_position_is_covered(what: str, look: Seen, best: str | None, covered: str | None) -> None:
    case = build(record(), look, frame())
    assert isinstance(case.belief, Held)
    found = (best_trigger(case, case.belief), covered_at(case, case.belief))
    assert found == tuple(None if each is None else D(each) for each in (best, covered)), what


def by(policy: OrphanPolicy, moves: Policy = FIXED) -> Frame:
    return frame(rules=replace(RULES, orphan_policy=policy, policy=moves))


def taken_in(look: Seen, frm: Frame) -> Trade:
    (found,) = plan(record(), look, frm).actions
    assert isinstance(found, Found)
    return found.trade


def test_a_position_with_our_orders_is_rebuilt_by_them() -> None:
    made = taken_in(seen(LONG, (stop("96"), target(size="0.4"))), by(P.PROTECT, TRAIL))
    assert (made.orphan, made.policy, made.before) == (None, TRAIL, "")
    assert (made.stop, made.first_stop, made.entered_ms, made.created_ms) == (D(96), D(96), NOW, NOW - LAG)
    assert (made.targets, made.entry_filled) == ((Goal(D(110), D("0.4")),), D(1))


def test_a_strangers_is_kept_by_the_policy_with_a_stop_of_the_price() -> None:
    made = taken_in(seen(LONG), by(P.PROTECT, TRAIL))
    assert (made.orphan, made.policy, made.targets, made.entry_filled) == (P.PROTECT, FIXED, (), D(0))
    assert made.stop == made.first_stop == D(95)
    assert taken_in(seen(LONG), by(P.ALERT)).stop is None


@pytest.mark.parametrize(
    ("what", "trade", "orders", "policy", "orphan"),
    [
        ("an id of ours shows", {}, (stop("95"),), TRAIL, None),
        (
            "an id of ours shows, and a rule was set",
            {"policy": Policy(Trail(TrailKind.PERCENT, D("0.05")))},
            (stop("95"),),
            Policy(Trail(TrailKind.PERCENT, D("0.05"))),
            None,
        ),
        ("none does", {}, (stop("95", client_id=None),), FIXED, P.CLOSE),
    ],
)
def test_what_shows_an_id_of_ours_is_the_accounts_own(
    what: str, trade: dict[str, Any], orders: tuple[Order, ...], policy: Policy, orphan: OrphanPolicy | None
) -> None:
    kept = found_trade(orphan=P.CLOSE, first_stop=D(95), **trade)
    after = learn(record(kept), seen(LONG, orders), by(P.CLOSE, TRAIL)).trade
    assert after is not None
    assert (after.policy, after.orphan) == (policy, orphan), what
    assert (after.close is None) is (orphan is None)
    if after.close is not None:
        assert after.close == CloseAsk("emergency_exit", NOW)


@pytest.mark.parametrize(
    ("what", "trade", "first"),
    [
        ("found without one", found_trade(), "95"),
        ("found with one", found_trade(first_stop=D(93)), "93"),
        ("left alone", found_trade(orphan=P.ALERT), None),
        ("entered by a signal", held_trade(first_stop=None), None),
    ],
)
def test_the_first_stop_of_what_was_found_is_what_it_was_given(what: str, trade: Trade, first: str | None) -> None:
    after = learn(record(trade), seen(LONG, (stop(client_id=None),)), frame()).trade
    assert after is not None
    assert after.first_stop == (None if first is None else D(first)), what


@pytest.mark.parametrize(
    ("what", "trade", "quiet_ms"),
    [
        ("found a moment ago", found_trade(entered_ms=NOW - 100), NOW - 100 + 5_000 + LAG),
        ("the successor of a trade of ours", found_trade(entered_ms=NOW - 100, before="0123456789ab"), 7),
        ("entered by a signal", held_trade(), 7),
    ],
)
def test_a_key_with_a_found_position_is_held_as_after_a_send(what: str, trade: Trade, quiet_ms: int) -> None:
    assert learn(record(trade, quiet_ms=7), seen(LONG, (stop(),)), frame()).quiet_ms == quiet_ms, what


@pytest.mark.parametrize(
    ("what", "trade", "side", "role", "taken"),
    [
        ("a stop that closes it", found_trade(), Side.SHORT, Role.STOP, True),
        ("a target that closes it", found_trade(), Side.SHORT, Role.TARGET, True),
        ("a stop of the other side", found_trade(), Side.LONG, Role.STOP, False),
        ("an entry", found_trade(), Side.SHORT, Role.ENTRY, False),
        ("of a trade that is known", held_trade(), Side.SHORT, Role.STOP, False),
    ],
)
def test_which_orders_of_a_lost_record_count(what: str, trade: Trade, side: Side, role: Role, taken: bool) -> None:
    assert taken_over(trade, stop(side=side), ClientId(INST, role, 1, "f" * 12)) is taken, what


@pytest.mark.parametrize(
    ("what", "trade", "due_ms"),
    [
        ("found a moment ago, left alone", found_trade(orphan=P.ALERT, entered_ms=NOW - 100), NOW - 100 + LAG + 1),
        ("found nearly a lag ago", found_trade(orphan=P.ALERT, entered_ms=NOW - LAG), NOW + 1_000),
        ("found a lag ago", found_trade(orphan=P.ALERT, entered_ms=NOW - LAG - 1), None),
        ("to be closed", found_trade(orphan=P.CLOSE), NOW + 1_000),
        ("its close is asked for", found_trade(orphan=P.CLOSE, close=CloseAsk("emergency_exit", NOW)), None),
        ("protected", found_trade(orphan=P.PROTECT), None),
    ],
)
def test_when_a_found_position_is_looked_at_for_an_id_of_ours(what: str, trade: Trade, due_ms: int | None) -> None:
    assert orphan_due_ms(build(record(trade), seen(LONG, (stop(),)), frame())) == due_ms, what


def test_targets_that_take_more_than_is_held_are_not_rebuilt() -> None:
    for orders in ((target(), target("120", "0.1", 3, "t2")), (target(whole=True),), (target(reduce_only=False),)):
        assert taken_in(seen(LONG, (stop("96"), *orders)), frame()).targets == ()
