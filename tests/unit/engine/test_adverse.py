"""Answers that leave something out, late views, records that went back: nothing is stripped or closed by them."""

from collections.abc import Callable
from dataclasses import replace
from types import MethodType
from typing import Any

import pytest

from stopkeeper.core.model import FillPage, Holdings, Known, Lookup, OrderKind, OrderState, Position, Role, Side
from stopkeeper.core.outcomes import Reason, Rejected, Unknown
from stopkeeper.core.record import CloseAsk, Outstanding
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.engine import adopting, desk
from stopkeeper.engine.drive import drive
from stopkeeper.engine.observe import with_left_out
from tests.unit.core.scene import (
    ENTRY_FILL,
    INST,
    KEY,
    NOW,
    RULES,
    TRADE,
    D,
    Distance,
    cid,
    fill,
    found_trade,
    held_trade,
    new_trade,
    position,
    record,
    seen,
    signal,
    stop,
)
from tests.unit.engine.scene import Stage, naked, protected

NEXT = "bbbbbbbbbbbb"
DAY_MS = 24 * 3_600_000
SHOWN = (Outstanding(TRADE, Role.STOP, 1, "s1", NOW - 60_000, listed=True),)


def answer(stage: Stage, name: str, say: Callable[..., Any]) -> None:
    """Let the venue answer a question in another way."""
    setattr(stage.venue, name, MethodType(lambda _venue, *args: say(*args), stage.venue))


def lives(stage: Stage, side: Side = Side.SHORT) -> bool:
    """Return whether a stop stands at the venue that closes a position of the other side."""
    return any(order.side is side and order.kind is OrderKind.STOP_MARKET for order in stage.venue.live)


def drives(stage: Stage, times: int, apart_ms: int) -> None:
    for _ in range(times):
        drive(KEY, stage.ports)
        stage.now += apart_ms


# --- a list of open orders that leaves a stop out ----------------------------------------------------------------


def test_a_list_that_leaves_a_stop_out_for_long_closes_nothing() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), outstanding=SHOWN))
    answer(stage, "orders", lambda _urgency: Known((), stage.now))
    drives(stage, 30, 500)
    assert stage.sent() == []
    assert stage.trade().naked_since_ms is None


def test_a_stop_that_neither_list_nor_id_shows_is_placed_again() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), outstanding=SHOWN))
    stage.venue.live.clear()
    drive(KEY, stage.ports)
    assert stage.sent() == ["place_stop"]


def test_what_is_told_of_an_order_that_is_no_stop_is_not_put_beside_the_list() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), outstanding=SHOWN))
    rests = replace(stop(), kind=OrderKind.LIMIT)
    answer(stage, "orders", lambda _urgency: Known((), stage.now))
    answer(stage, "lookup", lambda _s, name, _u: Known(Lookup(name, OrderState.LIVE, "s1", order=rests), stage.now))
    drive(KEY, stage.ports)
    assert "place_stop" in stage.sent()


def test_where_no_trade_is_on_record_a_stop_that_is_shown_nowhere_keeps_no_position_naked() -> None:
    """It was litter of a lost record, and seen; then a person opened, and cancelled it."""
    stage = Stage()
    stage.put(replace(record(), outstanding=SHOWN))
    stage.venue.held["BTC"] = position()
    stage.venue.past = [ENTRY_FILL]
    drives(stage, 3, 500)
    assert lives(stage)


def test_a_stop_that_is_listed_under_another_number_of_the_venue_counts_once() -> None:
    half = stop(size="0.5", order_id="s9")
    look = seen(position(), (half,), (ENTRY_FILL,))
    told = {cid(Role.STOP, 1): Known(Lookup(cid(Role.STOP, 1), OrderState.LIVE, "s9", order=half), NOW)}
    shown = with_left_out(record(held_trade(), outstanding=SHOWN), look, told, INST)
    assert shown.orders == look.orders


# --- a side that is shown wrong, or late -------------------------------------------------------------------------


def test_turned_over_and_back_while_views_are_late_it_keeps_its_stop() -> None:
    late_ms, stage = 1_000, protected()
    states = [(0, position()), (NOW, position(side=Side.SHORT)), (NOW + 1_000, position())]
    fills = (
        ENTRY_FILL,
        fill("h1", "-2", "100", NOW, "1", "x1"),
        fill("h2", "2", "100", NOW + 1_000, "-1", "x2"),
    )

    def holdings(_urgency: Any) -> Known[Holdings]:
        at = stage.now - late_ms
        row: Position = [each for ms, each in states if ms <= at][-1]
        return Known(Holdings({"BTC": row}, stage.venue.funds), at)

    def page(since_ms: int, _urgency: Any) -> Known[FillPage]:
        at = stage.now - late_ms
        return Known(FillPage(since_ms, tuple(f for f in fills if since_ms <= f.time_ms <= at)), at)

    answer(stage, "holdings", holdings)
    answer(stage, "fills", page)
    stage.now = NOW + 1_050  # the second fill wakes it, and the view is of before
    for _ in range(20):
        drive(KEY, stage.ports)
        assert lives(stage)
        stage.now += min(stage.due_ms() or 15_000, 15_000)


def test_rows_that_show_the_other_side_for_some_seconds_take_no_stop_away() -> None:
    stage = protected()
    answer(
        stage,
        "holdings",
        lambda _urgency: Known(Holdings({"BTC": position(side=Side.SHORT)}, stage.venue.funds), stage.now),
    )
    drives(stage, 5, 500)
    assert lives(stage)


def test_what_covers_another_side_is_waited_for_without_haste() -> None:
    stage = Stage()
    stage.venue.live = [stop(), stop(n=2, order_id="w", side=Side.LONG, trigger="105", placed_ms=NOW - 60_000)]
    stage.venue.held["BTC"] = position()
    stage.venue.past = [ENTRY_FILL]
    while stage.now < NOW + 15_000:
        drive(KEY, stage.ports)
        stage.now += min(stage.due_ms() or 15_000, 15_000)
    assert "cancel" in stage.sent()
    assert stage.reads().count("holdings") < 6


# --- a record that went back -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "mark"),
    [
        ({"signal": signal(time_limit_ms=57_000)}, "100"),
        ({"close": CloseAsk("manual_close", NOW - 5_500)}, "100"),
        ({"stop": D(98), "first_stop": D(98)}, "97"),
    ],
    ids=["its time is up", "it was to be closed", "the price is beyond its stop"],
)
def test_a_record_that_went_back_closes_no_position_of_the_next_signal(more: dict[str, Any], mark: str) -> None:
    """It was closed and booked, and the next signal entered with the same size: what is held looks like its own."""
    stage = Stage()
    stage.venue.held["BTC"] = position(mark=mark)
    stage.venue.marks["BTC"] = D(mark)
    stage.venue.live = [stop("92", client_id=cid(Role.STOP, 2, NEXT), order_id="sb", placed_ms=NOW - 700)]
    stage.venue.past = [
        ENTRY_FILL,
        fill("f2", "-1", "97.9", NOW - 5_000, "1", "c1"),
        fill("f3", "1", mark, NOW - 700, "0", "eb", client_id=cid(Role.ENTRY, 0, NEXT)),
    ]
    stage.put(record(held_trade(order_roles=(("e1", "entry"), ("s1", "stop_loss")), **more), quiet_ms=NOW - 30_000))
    stage.hear(mark)
    drives(stage, 4, 1_000)
    assert "close" not in stage.sent()
    assert lives(stage)


def test_a_part_that_was_closed_is_not_closed_again_by_a_record_that_went_back() -> None:
    stage = protected()
    stage.now += 10_000
    desk.ask_close(KEY, stage.ports, keep_fraction=D("0.5"))
    asked = stage.stored()  # the ask is on disk, and nothing yet of what came of it
    drive(KEY, stage.ports)
    assert stage.venue.held["BTC"].size == D("0.5")
    stage.now += 1_000
    stage.put(asked)
    drives(stage, 6, 4_000)
    assert stage.venue.held["BTC"].size == D("0.5")


def test_one_reading_of_another_size_does_not_close_more_than_the_part() -> None:
    stage = protected()
    stage.now += 10_000
    true, wrong = stage.venue.held["BTC"], [True]
    desk.ask_close(KEY, stage.ports, keep_fraction=D("0.5"))

    def holdings(_urgency: Any) -> Known[Holdings]:
        held = {"BTC": replace(true, size=D("0.1"))} if wrong and wrong.pop() else dict(stage.venue.held)
        return Known(Holdings(held, stage.venue.funds), stage.now)

    answer(stage, "holdings", holdings)
    drives(stage, 6, 1_000)
    assert stage.venue.held["BTC"].size == D("0.5")


# --- a wish is of the trade it was meant for ---------------------------------------------------------------------


def test_a_stop_that_was_meant_for_a_trade_is_not_the_next_ones() -> None:
    stage = protected()

    def swapped() -> None:
        wish = signal(id="s2", side=Side.SHORT, stop=Distance(price=D(105)))
        stage.put(record(held_trade(id=NEXT, side=Side.SHORT, stop=D(105), first_stop=D(105), signal=wish)))

    stage.meanwhile("records.request", swapped)
    with pytest.raises(desk.Refused, match="the trade on it has just ended"):
        desk.move_stop(KEY, D(97), stage.ports)
    assert stage.trade().stop == D(105)


@pytest.mark.parametrize("wish", [
    lambda stage: desk.lift_stop(KEY, DAY_MS, stage.ports),
    lambda stage: desk.set_policy(KEY, stage.ports, trail=None, breakeven=None),
], ids=["lifted", "moved by a rule"])  # fmt: skip
@pytest.mark.parametrize("left", [True, False], ids=["none is there", "another is there"])
def test_a_wish_about_a_trade_that_has_just_ended_is_refused(wish: Callable[[Stage], object], *, left: bool) -> None:
    stage = protected()
    then = record() if left else record(new_trade(id=NEXT, signal=signal(id="s2")))
    stage.meanwhile("records.request", lambda: stage.put(then))
    with pytest.raises(desk.Refused, match="the trade on it has just ended") as caught:
        wish(stage)
    assert (caught.value.field, caught.value.value) == ("symbol", "BTC")
    assert stage.stored().trade == then.trade


def test_an_orphan_that_has_just_ended_is_not_adopted() -> None:
    stage = protected()
    stage.put(record(found_trade(orphan=OrphanPolicy.PROTECT)))
    stage.meanwhile("records.request", lambda: stage.put(record(new_trade(id=NEXT, signal=signal(id="s2")))))
    with pytest.raises(desk.Refused, match="the trade on it has just ended"):
        adopting.adopt(KEY, None, stage.ports)
    assert stage.trade().id == NEXT


def test_what_was_taken_over_from_a_lost_record_has_fills_read_only_at_first() -> None:
    stage = Stage()
    stage.venue.live, stage.venue.past = [stop()], [ENTRY_FILL]
    stage.venue.held["BTC"] = position()
    drives(stage, 5, 15_000)
    stage.calls.clear()
    drives(stage, 10, 15_000)
    assert stage.reads().count("fills") <= 1


# --- time in which nobody acted ----------------------------------------------------------------------------------


def test_who_takes_over_tries_a_stop_before_it_closes() -> None:
    """The answer to a stop was lost and its worker died: nobody drove the key until the lease had run out."""
    stage = naked()
    stage.answers("venue.place_stop", Unknown("no answer"))
    drive(KEY, stage.ports)
    stage.now += 11_000
    drive(KEY, stage.ports)
    assert "close" not in stage.sent()
    assert lives(stage)


@pytest.mark.parametrize(("limit_ms", "look_ms"), [(1_000, 1_100), (2_000, 700), (5_000, 5_600)])
def test_where_a_look_takes_longer_than_the_limit_it_is_closed_after_some_tries(limit_ms: int, look_ms: int) -> None:
    stage = naked(rules=replace(RULES, naked_limit_ms=limit_ms))
    stage.answers("venue.place_stop", *[Rejected(Reason.BAD_PRICE, "no")] * 200)
    stage.always("venue.orders", stage.passes(look_ms))
    drives(stage, 12, 500)
    assert "close" in stage.sent()


def test_stops_refused_for_their_own_deadline_close_nothing() -> None:
    """The venue's clock leapt, and the new time is not believed yet."""
    stage = naked()
    stage.answers("venue.place_stop", *[Rejected(Reason.EXPIRED, "expiresAfter")] * 6)
    drives(stage, 6, 700)
    stage.now += 20_000
    drives(stage, 2, 500)
    assert "close" not in stage.sent()
    assert lives(stage)
