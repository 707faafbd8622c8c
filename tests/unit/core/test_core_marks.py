"""When a mark is believed, doubted or beyond: by one source or two, at the very price, where a stop belongs then."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.believe import Held
from stopkeeper.core.case import Case, build, doubtful, viewed_ms
from stopkeeper.core.model import Known, Order, Position, Role, Seen
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import Goal, KeyRecord, Placed, Sighting
from stopkeeper.core.rules import Switches
from tests.unit.core.scene import (
    LAG,
    NOW,
    RULES,
    D,
    frame,
    held_trade,
    plan,
    position,
    record,
    seen,
    stop,
    target,
    told,
)

DOWN = Unknown("down")
TRAILS = Policy(Trail(TrailKind.PERCENT, D("0.02")))
AIMS = (Goal(D(110), D("0.5")), Goal(D(120), D("0.5")))


def look(mark: str | None, second: str | None = None, orders: tuple[Order, ...] | Unknown = (), **held: Any) -> Seen:
    return seen(position(mark=mark, **held), orders, second=second, mark=mark)


@pytest.mark.parametrize(
    ("what", "rec", "view", "doubted"),
    [
        ("no trade", record(), look("1"), False),
        ("the position unread", record(held_trade()), seen(DOWN), False),
        ("no position", record(held_trade()), seen(mark="1"), False),
        ("no mark", record(held_trade()), look(None), False),
        ("in between", record(held_trade()), look("100", orders=(target(),)), False),
        ("at the stop that is wanted", record(held_trade()), look("95"), True),
        ("just above it", record(held_trade()), look("95.01"), False),
        ("at a stop that stands", record(held_trade()), look("97", orders=(stop("97"),)), True),
        ("at a stop that is not read", record(held_trade()), look("97", orders=DOWN), False),
        ("near the liquidation", record(held_trade()), look("99.25", liquidation_price=D(99)), True),
        ("not so near", record(held_trade()), look("99.26", liquidation_price=D(99)), False),
        ("another source agrees", record(held_trade()), look("95", "95.5"), False),
        ("another source contradicts", record(held_trade()), look("95", "100"), True),
        ("a step above the entry", record(held_trade(policy=TRAILS)), look("100.25"), True),
        ("less than a step", record(held_trade(policy=TRAILS)), look("100.24"), False),
        ("a step above the best price", record(held_trade(policy=TRAILS, peak=D(110))), look("110.275"), True),
        ("less than a step above the best", record(held_trade(policy=TRAILS, peak=D(110))), look("110.27"), False),
        ("far above, and the stop does not move", record(held_trade()), look("150"), False),
        ("beyond a target", record(held_trade(targets=AIMS)), look("110.01"), True),
        ("at a target", record(held_trade(targets=AIMS)), look("110"), False),
        ("beyond a target that was taken", record(held_trade(targets=AIMS, taken=D("0.5"))), look("115"), False),
        ("beyond the next", record(held_trade(targets=AIMS, taken=D("0.5"))), look("120.01"), True),
    ],
)
def test_which_mark_must_be_confirmed(what: str, rec: KeyRecord, view: Seen, doubted: bool) -> None:
    assert doubtful(rec, view, RULES) is doubted, what


def case(view: Seen, **trade: Any) -> tuple[Case, Held]:
    made = build(record(held_trade(**trade)), view, frame())
    assert isinstance(made.belief, Held)
    return made, made.belief


def aged(view: Seen, age_ms: int) -> Seen:
    assert view.second is not None
    return replace(view, second=replace(view.second, age_ms=age_ms))


@pytest.mark.parametrize(
    ("what", "view", "stopped", "reached"),
    [
        ("both at it", look("100", "100"), True, True),
        ("one source", look("100"), False, False),
        ("the position's a little below", look("99.9", "100"), True, False),
        ("the other a little below", look("100", "99.9"), True, False),
        ("the position's a little above", look("100.1", "100"), False, True),
        ("the other a little above", look("100", "100.1"), False, True),
        ("both far below", look("90", "90.1"), True, False),
        ("both far above", look("110", "110.1"), False, True),
        ("one per cent apart", look("99", "100"), True, False),
        ("farther apart", look("98.9", "100"), False, False),
        ("both beyond a target, and farther apart", look("110", "120"), False, False),
        ("as old as it may be", aged(look("100", "100"), RULES.mark_age_ms), True, True),
        ("too old", aged(look("100", "100"), RULES.mark_age_ms + 1), False, False),
        ("no mark at all", replace(look(None), second=Price(D(100), Source.STREAM, 0)), False, False),
    ],
)
def test_what_two_sources_show_at_a_level(what: str, view: Seen, stopped: bool, reached: bool) -> None:
    made, held = case(view)
    assert made.surely_beyond(D(100), held) is stopped, what
    assert made.surely_reached(D(100), held) is reached, what


@pytest.mark.parametrize(
    ("what", "held", "mark", "wanted"),
    [
        ("far from liquidation", position(), "100", "95"),
        (
            "liquidation in front of it: a quarter nearer",
            position(liquidation_price=D(96)),
            "100",
            "97",
        ),
        ("rounded towards the price", position(liquidation_price=D("95.12345")), "100", "96.343"),
        ("a little inside the edge", position(liquidation_price=D("92.6")), "100", "95"),
        ("liquidation a little in front of the entry", position(liquidation_price=D("99.5")), "104", "99.625"),
        ("margin taken out, and the mark is near", position(liquidation_price=D(101)), "101.5", "101.13"),
        ("at the edge itself", position(liquidation_price=D("93.3344")), "100", "95.001"),
        ("margin taken out: by the mark", position(liquidation_price=D(101)), "105", "102"),
        ("the mark is beyond it as well", position(liquidation_price=D(101)), "100.5", "101"),
        ("no mark", position(liquidation_price=D(101)), None, "101"),
        ("at the entry", position(liquidation_price=D(100)), "104", "101"),
        ("none is named", position(liquidation_price=None), "100", "95"),
    ],
)
def test_where_the_stop_belongs(what: str, held: Position, mark: str | None, wanted: str) -> None:
    made, belief = case(seen(replace(held, mark=None if mark is None else D(mark)), mark=mark))
    assert made.wanted_stop(belief) == D(wanted), what


@pytest.mark.parametrize(
    ("tried_ms", "barred", "then"),
    [
        (499, "", "protection: again"),
        (500, "", "protection: PlaceStop"),
        (4_999, "no such agent", "protection: again"),
        (5_000, "no such agent", "protection: PlaceStop"),
    ],
)
def test_a_stop_is_tried_again_soon_and_less_often_where_the_venue_bars_all(
    tried_ms: int, barred: str, then: str
) -> None:
    naked = record(held_trade(stop_tried_ms=NOW - tried_ms))
    assert told(plan(naked, look("100"), frame(switches=Switches(barred=barred)))) == then


@pytest.mark.parametrize(
    ("what", "trade", "wanted", "stands"),
    [
        ("where the trade wants it", {}, "95", True),
        ("the trade wants it a little nearer", {"stop": D("95.1")}, "95.1", False),
        ("the liquidation does, by less than a step", {}, "95.2", True),
        ("the liquidation does, by a step", {}, "95.2375", False),
        ("the liquidation does, and has passed the stop", {"unsafe": Sighting(NOW, 1, NOW)}, "95.2", False),
    ],
)
def test_whether_a_stop_stands_where_it_is_wanted(what: str, trade: dict[str, Any], wanted: str, stands: bool) -> None:
    made, held = case(look("100"), **trade)
    assert made.stands_at(D(95), D(wanted), held) is stands, what


def test_without_a_trade_the_price_says_where_and_drifts() -> None:
    made = build(record(), look("100"), frame())
    assert isinstance(made.belief, Held)
    assert made.stands_at(D(95), D("95.2"), made.belief)


def test_an_acked_order_may_be_unseen_for_a_lag_after_its_ack() -> None:
    acked = Placed(Role.STOP, "s9", 9, NOW - LAG + 1)
    assert case(look("100"), placed=(acked,))[0].unseen(Role.STOP) == acked
    assert case(look("100"), placed=(replace(acked, acked_ms=NOW - LAG),))[0].unseen(Role.STOP) is None
    assert case(look("100", orders=(stop(order_id="s9"),)), placed=(acked,))[0].unseen(Role.STOP) is None


@pytest.mark.parametrize(("at_ms", "viewed"), [(NOW + 5, NOW), (NOW - 5, NOW - 5), (NOW - 9_000, NOW - 3_000)])
def test_of_when_a_view_is(at_ms: int, viewed: int) -> None:
    assert viewed_ms(replace(seen(), orders=Known((), at_ms)), NOW) == viewed
    assert viewed_ms(seen(None, DOWN), NOW) == NOW


def test_a_lifted_stop_is_lifted_until_its_ms() -> None:
    assert case(look("100"), off_until_ms=NOW + 1)[0].lifted
    assert not case(look("100"), off_until_ms=NOW)[0].lifted
