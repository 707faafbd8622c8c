"""Take-profits: when they are placed beside the stop, what is taken at the market, and which of them go."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Action, Cancel, Flatten, PlaceTarget, RestKind, Wait
from stopkeeper.core.believe import Held
from stopkeeper.core.case import build
from stopkeeper.core.danger import WHOSE_AGAIN_MS
from stopkeeper.core.model import Order, Role, Seen, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Goal, KeyRecord, Placed
from stopkeeper.core.targets import superfluous, targets, wanted_targets
from tests.unit.core.scene import (
    AIM,
    ENTRY_FILL,
    LAG,
    NOW,
    RULES,
    D,
    fill,
    frame,
    held_trade,
    new_trade,
    position,
    record,
    seen,
    stop,
    target,
)

HALVES = (Goal(D(110), D("0.5")), Goal(D(120), D("0.5")))
UNDER = (stop(),)
LONG = position()
BOTH = [("110", "0.5"), ("120", "0.5")]
CROSSED = ((D(110), "crossed"),)
ABOVE = seen(position(mark="111"), UNDER, mark="111")
SOLD = fill("p", "-0.6", "110", NOW - 900, "1")
LESS = seen(position("0.4", mark="111"), UNDER, (ENTRY_FILL, SOLD), mark="111")
DOWN = Unknown("down")


def trade(**more: Any) -> KeyRecord:
    quiet = more.pop("quiet_ms", NOW - 30_000)
    return record(held_trade(targets=HALVES, **more), quiet_ms=quiet)


HALF_TAKEN = trade(taken=D("0.5"), held=D("0.5"), explained=D("0.5"))
WHOLE = record(held_trade(targets=AIM, goals_refused=CROSSED), quiet_ms=NOW)
FOLLOWS = target(size="0", n=3, order_id="t2", whole=True)


def placed(verdict: list[Action] | Wait) -> list[tuple[str, str]]:
    assert isinstance(verdict, list), verdict
    return [(f"{a.trigger:f}", f"{a.size:f}") for a in verdict if isinstance(a, PlaceTarget)]


@pytest.mark.parametrize(
    ("what", "rec", "look", "expected"),
    [
        ("protected", trade(), seen(LONG, UNDER), BOTH),
        ("one stands", trade(), seen(LONG, (*UNDER, target(size="0.5"))), BOTH[1:]),
        ("acked only", trade(quiet_ms=NOW), seen(None, UNDER), []),
        ("no trade", record(), seen(LONG, UNDER), []),
        ("naked", trade(), seen(LONG), []),
        ("not entered", record(new_trade(targets=HALVES, stop=D(95))), seen(LONG, UNDER), []),
        ("of the other side", trade(side=Side.SHORT), seen(LONG, UNDER), []),
        ("none is wanted", record(held_trade()), seen(LONG, UNDER), []),
        ("one is to show", trade(placed=(Placed(Role.TARGET, "t9", 9, NOW - 100),)), seen(LONG, UNDER), []),
        ("one has fired", trade(), seen(LONG, (*UNDER, target(fired=True))), []),
        ("tried for long", trade(target_tried_ms=NOW - RULES.retry_ms), seen(LONG, UNDER), BOTH),
        ("tried lately", trade(target_tried_ms=NOW - RULES.retry_ms + 1), seen(LONG, UNDER), []),
        ("fills do not tell of the size yet", trade(explained=D("0.9")), seen(LONG, UNDER), []),
        ("what was sent shows", trade(quiet_ms=NOW - 1), seen(LONG, UNDER), BOTH),
        (
            "of the first nothing is wanted any more",
            trade(taken=D("0.5"), held=D("0.5"), explained=D("0.5")),
            seen(position("0.5"), UNDER),
            BOTH[1:],
        ),
    ],
)
def test_which_targets_are_placed(what: str, rec: KeyRecord, look: Seen, expected: list[tuple[str, str]]) -> None:
    assert placed(targets(build(rec, look, frame()))) == expected, what


@pytest.mark.parametrize(("quiet_ms", "due_ms"), [(NOW, NOW + 500), (NOW + 700, NOW + 701)])
def test_a_target_waits_for_what_was_sent(quiet_ms: int, due_ms: int) -> None:
    waits = targets(build(trade(quiet_ms=quiet_ms), seen(LONG, UNDER), frame()))
    why = "a target is to be placed once all we sent can be seen"
    assert waits == Wait(due_ms, why, RestKind.PROTECTED)


@pytest.mark.parametrize(
    ("what", "rec", "look", "keep"),
    [
        ("crossed, and the price is beyond it", trade(goals_refused=CROSSED), ABOVE, "0.5"),
        (
            "the whole, though what was sent may not show",
            record(held_trade(targets=AIM, goals_refused=CROSSED), quiet_ms=NOW),
            ABOVE,
            "0",
        ),
        ("refused a lag ago", trade(goals_refused=CROSSED, target_tried_ms=NOW - LAG - 1), ABOVE, "0.5"),
        ("refused a moment ago", trade(goals_refused=CROSSED, target_tried_ms=NOW - LAG), ABOVE, None),
        ("what was sent may not show", trade(goals_refused=CROSSED, quiet_ms=NOW), ABOVE, None),
        ("refused for another reason", trade(goals_refused=((D(110), "margin"),)), ABOVE, None),
        ("the price is not beyond it", trade(goals_refused=CROSSED), seen(LONG, UNDER), None),
        ("of another size, and its fills tell", trade(goals_refused=CROSSED), LESS, "0"),
        ("of its size, and no fills are read", trade(goals_refused=CROSSED), replace(ABOVE, fills=DOWN), "0.5"),
        ("it may be another's", trade(goals_refused=CROSSED), replace(LESS, fills=DOWN), None),
    ],
)
def test_what_no_order_can_take_is_taken_at_the_market(what: str, rec: KeyRecord, look: Seen, keep: str | None) -> None:
    verdict = targets(build(rec, look, frame()))
    closes = [a for a in verdict if isinstance(a, Flatten)] if isinstance(verdict, list) else []
    why = "the price is beyond the target 110 and the venue takes no order there"
    assert [(a.reason, a.keep, a.why) for a in closes] == ([] if keep is None else [("take_profit", D(keep), why)]), (
        what
    )


def test_whose_a_position_is_that_stands_beyond_a_target_is_asked_without_haste() -> None:
    verdict = targets(build(trade(goals_refused=CROSSED), replace(LESS, fills=DOWN), frame()))
    assert verdict == Wait(NOW + WHOSE_AGAIN_MS, "no fills tell whose the position is, and a stop stands for it")


@pytest.mark.parametrize(
    ("what", "orders", "gone"),
    [
        ("each at its price", (target(size="0.5"), target("120", "0.5", n=3, order_id="t2")), []),
        ("at no price that is wanted", (target("115", "0.5"),), ["t1"]),
        ("an older one of two", (target(size="0.5"), target(size="0.5", n=3, order_id="t2")), ["t1"]),
        ("the older one, shown last", (target(size="0.5", n=3, order_id="t2"), target(size="0.5")), ["t1"]),
        ("the newer is of another size", (target(size="0.5"), target(size="0.4", n=3, order_id="t2")), []),
        (
            "the newer follows the position",
            (target(size="0.5"), target(size="0", n=3, order_id="t2", whole=True)),
            ["t1"],
        ),
        ("one that has fired is at work", (target("115", "0.5", fired=True),), []),
        ("one whose cancel is under way", (target("115", "0.5", order_id="going"),), []),
        ("a stop is none", UNDER, []),
    ],
)
def test_which_targets_are_superfluous(what: str, orders: tuple[Order, ...], gone: list[str]) -> None:
    rec = replace(trade(), canceled=(("going", NOW),))
    case = build(rec, seen(LONG, orders), frame())
    assert isinstance(case.belief, Held)
    assert case.trade is not None
    cancels = superfluous(case, case.belief, case.trade)
    assert [(a.order_id, a.role) for a in cancels if isinstance(a, Cancel)] == [(name, Role.TARGET) for name in gone], (
        what
    )


def test_a_target_that_fills_do_not_account_for_yet_stays() -> None:
    """It may be the one that has just taken its part: the position is older than it."""
    case = build(trade(explained=D("0.9")), seen(LONG, (target("115", "0.5"),)), frame())
    assert isinstance(case.belief, Held)
    assert case.trade is not None
    assert superfluous(case, case.belief, case.trade) == []


def test_before_any_fill_told_of_the_entry_the_position_counts() -> None:
    case = build(trade(entry_filled=D(0)), seen(LONG, UNDER), frame())
    assert isinstance(case.belief, Held)
    assert [(goal.price, size) for goal, size in wanted_targets(case, case.belief)] == [
        (D(110), D("0.5")),
        (D(120), D("0.5")),
    ]
