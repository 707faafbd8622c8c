"""Moments that a clock wrote which was far ahead keep nothing waiting."""

from dataclasses import replace

import pytest

from stopkeeper.core.case import ADMISSION_MARGIN_MS
from stopkeeper.core.model import Role
from stopkeeper.core.record import Cursor, KeyRecord, Outstanding, Placed, Sighting
from stopkeeper.core.righting import AHEAD_MS, LANDS_MS, LIFTED_AT_MOST_MS, believed_deadline_ms, righted
from tests.unit.core.scene import (
    ENTRY_FILL,
    NOW,
    PREPARED,
    held_trade,
    plan,
    position,
    record,
    seen,
    sent,
    stop,
    told,
)

YEARS_MS = NOW * 1_000
PAST = (
    "entered_ms",
    "naked_since_ms",
    "flat_since_ms",
    "stop_moved_ms",
    "peak_ms",
    "sized_ms",
    "stop_tried_ms",
    "flatten_tried_ms",
    "target_tried_ms",
    "prepare_tried_ms",
    "settle_tried_ms",
)


def held(**more: object) -> KeyRecord:
    return record(held_trade(**more))


def test_a_record_without_such_a_moment_is_left_as_it_is() -> None:
    whole = record(
        held_trade(
            placed=(Placed(Role.STOP, "s1", 1, NOW),),
            lost_ms=(NOW,),
            moves_ms=(NOW,),
            beyond=Sighting(NOW, 1, NOW),
            unsafe=Sighting(NOW, 1, NOW),
            pressed=Sighting(NOW, 1, NOW),
        ),
        canceled=(("s0", NOW + LANDS_MS),),
        outstanding=(Outstanding("t", Role.STOP, 1, "s1", NOW),),
        settling=(held_trade(),),
        quiet_ms=NOW + LANDS_MS,
        pending_ms=NOW + LANDS_MS,
        cursor=Cursor(NOW + AHEAD_MS),
    )
    assert righted(whole, NOW) is whole
    assert righted(record(), NOW) == record()


@pytest.mark.parametrize("name", PAST)
@pytest.mark.parametrize("settling", [False, True])
def test_what_had_happened_then_happened_now(name: str, settling: bool) -> None:
    def moment(at_ms: int) -> int:
        trade = held_trade(**{name: at_ms})
        made = righted(record(settling=(trade,)) if settling else record(trade), NOW)
        done = made.settling[0] if settling else made.trade
        return int(getattr(done, name))

    assert moment(NOW + AHEAD_MS) == NOW + AHEAD_MS, "clocks differ"
    assert moment(NOW + AHEAD_MS + 1) == NOW
    assert moment(YEARS_MS) == NOW


def test_a_trade_made_then_was_made_a_moment_before_its_entry() -> None:
    made = righted(held(created_ms=NOW + AHEAD_MS + 1), NOW).trade
    assert made is not None
    assert made.created_ms == NOW - ADMISSION_MARGIN_MS


@pytest.mark.parametrize("name", ["blind_since_ms", "since_ms", "history_ms"])
def test_nor_does_a_key_wait_for_them(name: str) -> None:
    assert getattr(righted(replace(record(), **{name: NOW + AHEAD_MS}), NOW), name) == NOW + AHEAD_MS
    assert getattr(righted(replace(record(), **{name: YEARS_MS}), NOW), name) == NOW


def test_looks_of_then_are_counted_again() -> None:
    far = NOW + AHEAD_MS
    assert righted(record(denied=(NOW, far)), NOW).denied == (NOW, far)
    assert righted(record(denied=(NOW, far + 1)), NOW).denied == ()


def test_an_order_acked_then_is_not_waited_for_longer_than_one_acked_now() -> None:
    acked = held(placed=(Placed(Role.STOP, "s1", 1, YEARS_MS), Placed(Role.TARGET, "t1", 2, NOW)))
    assert righted(acked, NOW) == held(placed=(Placed(Role.STOP, "s1", 1, NOW), Placed(Role.TARGET, "t1", 2, NOW)))


def test_a_deadline_far_ahead_is_one_within_which_all_has_landed() -> None:
    until_ms = NOW + LANDS_MS
    ahead = record(
        held_trade(sent=(sent(deadline_ms=YEARS_MS, sent_ms=YEARS_MS),)),
        quiet_ms=YEARS_MS,
        pending_ms=YEARS_MS,
        canceled=(("s1", YEARS_MS), ("s2", NOW)),
    )
    right = record(
        held_trade(sent=(sent(deadline_ms=until_ms, sent_ms=NOW),)),
        quiet_ms=until_ms,
        pending_ms=until_ms,
        canceled=(("s1", until_ms), ("s2", NOW)),
    )
    assert righted(ahead, NOW) == right
    only_one = [righted(replace(record(), **{name: until_ms + 1}), NOW) for name in ("quiet_ms", "pending_ms")]
    assert only_one == [replace(record(), quiet_ms=until_ms), replace(record(), pending_ms=until_ms)]


def test_what_a_dead_holder_left_is_waited_for_only_where_it_can_be_under_way() -> None:
    assert believed_deadline_ms(NOW + LANDS_MS, NOW) == NOW + LANDS_MS
    assert believed_deadline_ms(NOW + LANDS_MS + 1, NOW) == 0


def test_readings_from_then_count_no_more() -> None:
    ahead = held(
        lost_ms=(NOW - 1, YEARS_MS),
        moves_ms=(YEARS_MS, NOW - 2),
        beyond=Sighting(NOW, 1, YEARS_MS),
        unsafe=Sighting(NOW, 2, NOW),
        pressed=Sighting(NOW, 1, YEARS_MS),
    )
    assert righted(ahead, NOW) == held(lost_ms=(NOW - 1,), moves_ms=(NOW - 2,), unsafe=Sighting(NOW, 2, NOW))
    assert righted(held(unsafe=Sighting(NOW, 2, NOW + AHEAD_MS + 1)), NOW) == held()


def test_what_was_read_then_is_read_back_again() -> None:
    made = righted(
        record(
            prepared=replace(PREPARED, at_ms=YEARS_MS),
            cursor=Cursor(YEARS_MS, ("f1",)),
            outstanding=(Outstanding("t", Role.STOP, 1, "s1", YEARS_MS),),
        ),
        NOW,
    )
    stands = (Outstanding("t", Role.STOP, 1, "s1", NOW),)
    assert made == record(prepared=None, cursor=Cursor(NOW, ("f1",)), outstanding=stands)


def test_a_stop_and_a_close_that_were_tried_then_are_tried_within_a_moment() -> None:
    tried = held(stop_tried_ms=YEARS_MS, covered=False, naked_since_ms=NOW - 100, stop_answers=1)
    look = seen(position(), (), (ENTRY_FILL,))
    waits = plan(tried, look)
    assert waits.ends is not None
    assert NOW < (waits.ends.due_ms or 0) <= NOW + 1_000
    naked = held(naked_since_ms=NOW - 60_000, covered=False, stop_answers=1, stop_tried_ms=NOW - 900)
    assert naked.trade is not None
    close = replace(naked, trade=replace(naked.trade, flatten_tried_ms=YEARS_MS))
    closes = plan(close, look)
    assert closes.ends is not None
    assert NOW < (closes.ends.due_ms or 0) <= NOW + 1_000
    assert told(plan(held(stop_tried_ms=NOW - 60_000, covered=False), look)) == "protection: PlaceStop"
    assert told(plan(held(stop_tried_ms=YEARS_MS), seen(position(), (stop(),), (ENTRY_FILL,)))).endswith("protected")


@pytest.mark.parametrize(("ahead_ms", "kept"), [(0, True), (AHEAD_MS, True), (AHEAD_MS + 1, False)])
def test_a_stop_is_lifted_for_no_longer_than_a_person_may_lift_it(ahead_ms: int, *, kept: bool) -> None:
    """The clock of a command whose first answer came from a server a year ahead."""
    until_ms = NOW + LIFTED_AT_MOST_MS + ahead_ms
    trade = righted(held(off_until_ms=until_ms), NOW).trade
    assert trade is not None
    assert trade.off_until_ms == (until_ms if kept else 0)
