"""A drive: whose lease it is, how it ends and when the key is due, what it looks at anew, what it must wait for."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import ALL_FIELDS, Again, Rest, RestKind
from stopkeeper.core.case import LOOK_AGAIN_MS
from stopkeeper.core.model import Known, Lookup, Role
from stopkeeper.core.outcomes import Reason, Rejected, Throttled, Unknown
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.prices import Flaw
from stopkeeper.core.record import CloseAsk, Trade
from stopkeeper.engine.drive import BOOK_AGAIN_MS, BUSY_MS, MAX_TURNS, TIRED_MS, drive
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.perform import FUNDING_PERIOD_MS
from stopkeeper.engine.ports import LeaseLost, StoreGone, Urgency
from tests.unit.core.scene import KEY, NOW, D, cid, fill, held_trade, new_trade, position, record, sent, signal, stop
from tests.unit.engine.scene import TIMES, Stage, naked, protected

ASKED = CloseAsk("manual_close", NOW)


def settled(**more: object) -> Stage:
    """Return a stage at rest of which a drive has nothing to learn."""
    stage = protected(**more)
    drive(KEY, stage.ports)
    stage.calls.clear()
    stage.world.state.journal.clear()
    return stage


def closing(**more: object) -> Stage:
    """Return a stage where a person asked for the close of a position that is covered."""
    stage = protected(**more)
    stage.put(replace(stage.stored(), trade=held_trade(close=ASKED)))
    return stage


def ended() -> Stage:
    """Return a stage where a position was closed by its stop in another full hour than it was opened in."""
    stage = protected()
    hour = (NOW // FUNDING_PERIOD_MS + 1) * FUNDING_PERIOD_MS
    stage.now = hour + 60_000
    stage.venue.past.append(fill("f2", "-1", "95", hour + 1, "1", "s1"))
    del stage.venue.held["BTC"]
    stage.venue.live = []
    return stage


# --- the lease -------------------------------------------------------------------------------------------------


def test_a_key_that_another_drives_is_left_alone_and_comes_due_soon() -> None:
    stage = naked()
    assert stage.other.leases.acquire(KEY) is not None
    assert drive(KEY, stage.ports) is None
    assert stage.reads() == []
    assert stage.sent() == []
    state = stage.world.state
    assert state.due[KEY] == NOW + BUSY_MS


def test_a_drive_that_ends_lets_the_key_go() -> None:
    stage = protected()
    end = drive(KEY, stage.ports)
    assert isinstance(end, Rest)
    assert end.kind is RestKind.PROTECTED
    assert stage.holders() == []
    assert len(stage.done("leases.acquire")) == 1
    assert stage.due_ms() is None, "nothing is to be done of its own accord"


@pytest.mark.parametrize("failed", [StoreGone("blinked"), LeaseLost("moved")])
def test_a_store_that_blinks_frees_the_key_for_the_next_in_a_moment(failed: Exception) -> None:
    stage = naked()
    stage.answers("records.load", failed)
    with pytest.raises(type(failed)):
        drive(KEY, stage.ports)
    assert stage.holders() == []
    assert stage.due_ms() == BUSY_MS


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ((), "the venue's list of perpetuals could not be read"),
        (("ETH",), "the venue's list of perpetuals does not name BTC"),
    ],
)
def test_where_nothing_can_be_judged_it_is_said_and_asked_again_by_itself(listed: tuple[str, ...], why: str) -> None:
    stage = naked()
    known = dict(stage.venue.listed)
    stage.venue.listed = {name: known[name] for name in listed}
    with pytest.raises(VenueAway, match=why):
        drive(KEY, stage.ports)
    assert [(line["symbol"], line["text"]) for line in stage.lines("blind")] == [("BTC", why)]
    assert (stage.sent(), stage.holders(), stage.due_ms()) == ([], [], 2 * LOOK_AGAIN_MS)
    stage.venue.listed = known
    drive(KEY, stage.ports)
    assert stage.sent() == ["place_stop"]


def test_a_line_that_the_store_does_not_take_keeps_no_key_that_cannot_be_judged() -> None:
    stage = naked()
    stage.venue.listed.clear()
    stage.answers("journal.write", StoreGone("blinked"))
    with pytest.raises(StoreGone):
        drive(KEY, stage.ports)
    assert (stage.holders(), stage.due_ms()) == ([], 2 * LOOK_AGAIN_MS)


def test_a_store_that_is_gone_for_good_is_said_to_be_gone() -> None:
    stage = naked()
    stage.meanwhile("venue.holdings", lambda: setattr(stage.world, "gone", True))
    with pytest.raises(StoreGone):
        drive(KEY, stage.ports)
    stage.world.gone = False
    assert stage.holders() == [KEY], "it runs out by itself"
    assert stage.sent() == []


@pytest.mark.parametrize("bug", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_a_bug_keeps_a_key_from_nobody_and_is_not_repeated_at_once(bug: BaseException) -> None:
    stage = naked()
    stage.answers("venue.holdings", bug)
    with pytest.raises(type(bug)):
        drive(KEY, stage.ports)
    assert stage.holders() == []
    assert stage.due_ms() == TIMES.claim_ms


def test_a_lease_that_another_took_meanwhile_is_not_let_go_for_it() -> None:
    stage = naked()

    def overtake() -> None:
        stage.now += TIMES.lease_ms + 1
        assert stage.other.leases.acquire(KEY) is not None

    stage.meanwhile("venue.orders", overtake)
    with pytest.raises(LeaseLost):
        drive(KEY, stage.ports)
    assert stage.holders() == [KEY]
    assert stage.sent() == []


def test_each_turn_begins_with_a_whole_lease() -> None:
    stage = protected()
    stage.meanwhile("venue.orders", stage.wake)
    drive(KEY, stage.ports)
    renewed = [call["deadline_ms"] for call in stage.done("leases.renew")]
    assert renewed == [0, 0]


@pytest.mark.parametrize(("slow_ms", "renewals"), [(5_000, 1), (5_001, 2)])
def test_a_lease_that_is_half_spent_by_a_slow_venue_is_renewed(slow_ms: int, renewals: int) -> None:
    stage = settled()
    stage.meanwhile("venue.holdings", stage.passes(slow_ms))
    drive(KEY, stage.ports)
    assert [call["deadline_ms"] for call in stage.done("leases.renew")] == [0] * renewals


@pytest.mark.parametrize("slow", ["venue.holdings", "venue.orders"])
def test_a_slow_look_costs_no_lease_however_many_reads_it_has(slow: str) -> None:
    stage = naked()
    stage.put(replace(stage.stored(), trade=held_trade(flat_since_ms=NOW)))  # its fills are read too
    stage.always(slow, stage.passes(9_000))
    drive(KEY, stage.ports)
    assert "place_stop" in stage.sent()


# --- how it ends -----------------------------------------------------------------------------------------------


def test_a_wake_up_during_a_drive_is_looked_into() -> None:
    stage = settled()
    stage.meanwhile("venue.orders", stage.wake)
    end = drive(KEY, stage.ports)
    assert isinstance(end, Rest)
    assert stage.reads() == ["holdings", "orders", "holdings", "orders", "fills"], "all of it is read again"
    urgent = {call["urgency"] for call in stage.calls if "urgency" in call.given}
    assert urgent == {Urgency.PROTECTIVE}, "whatever woke it, it may be for a stop"
    assert stage.holders() == []


def test_a_key_that_is_woken_all_the_time_is_handed_on_after_so_many_turns() -> None:
    stage = settled()
    stage.always("venue.orders", stage.wake)
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == NOW + TIRED_MS
    assert stage.reads().count("holdings") == MAX_TURNS
    assert stage.holders() == []
    assert [(line["symbol"], line["kind"], line["text"]) for line in stage.lines()] == [("BTC", "again", end.why)]
    assert stage.due_ms() == 0, "it was woken"


def test_a_key_whose_wakes_were_looked_into_is_due_soon_after_so_many_turns() -> None:
    stage = settled()
    stage.meanwhile("venue.orders", *[stage.wake] * MAX_TURNS)
    stage.meanwhile("leases.release", *[None] * MAX_TURNS, stage.world.state.due.clear)
    drive(KEY, stage.ports)
    assert stage.holders() == []
    assert stage.due_ms() == TIRED_MS
    assert stage.done("leases.abandon") == [], "what is released leaves no deadline to wait for"


def test_a_key_woken_in_the_very_moment_of_its_release_is_let_go_all_the_same() -> None:
    stage = settled()
    stage.always("leases.release", stage.wake)
    stage.meanwhile("leases.abandon", stage.world.state.due.clear)
    drive(KEY, stage.ports)
    assert stage.holders() == []
    assert stage.due_ms() == TIRED_MS


def slow(stage: Stage, ms: int) -> None:
    """Let a read take so long, and the key be woken during it."""
    stage.now += ms
    stage.wake()


def test_a_drive_takes_no_longer_than_a_drive_may() -> None:
    stage = settled()
    stage.always("venue.orders", lambda: slow(stage, 8_000))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert stage.reads().count("orders") == TIMES.drive_ms // 8_000 + 1


def test_a_drive_may_go_on_for_as_long_as_it_may() -> None:
    stage = settled()
    stage.meanwhile("venue.orders", *[lambda: slow(stage, TIMES.drive_ms // MAX_TURNS)] * MAX_TURNS)
    drive(KEY, stage.ports)
    assert stage.reads().count("orders") == MAX_TURNS


def test_a_turn_may_begin_in_the_last_moment_a_drive_has() -> None:
    stage = settled()
    stage.always("venue.holdings", stage.passes(6_000))
    stage.always("venue.orders", lambda: slow(stage, 4_000))
    drive(KEY, stage.ports)
    assert stage.reads().count("orders") == TIMES.drive_ms // 10_000 + 1


def test_what_is_to_be_looked_at_again_is_due_when_it_was_said_to_be() -> None:
    stage = protected()
    stage.answers("venue.holdings", Unknown("away"))
    stage.answers("venue.orders", Unknown("away"))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Rest)
    assert end.kind is RestKind.BLIND
    assert end.due_ms is not None
    assert stage.due_ms() == end.due_ms - NOW > 0


def test_what_is_overdue_when_a_drive_ends_is_due_at_once() -> None:
    stage = protected()
    stage.answers("venue.holdings", Unknown("away"))
    stage.answers("venue.orders", Unknown("away"))
    stage.meanwhile("records.save", stage.passes(3_000))
    drive(KEY, stage.ports)
    assert stage.done("leases.release")[-1]["after_ms"] == 0
    assert stage.due_ms() == 0


def test_a_position_that_stood_as_it_stands_is_worth_no_line() -> None:
    stage = settled()
    end = drive(KEY, stage.ports)
    assert isinstance(end, Rest)
    assert stage.lines() == []


def test_a_flat_key_without_a_trade_is_worth_no_line() -> None:
    stage = Stage()
    end = drive(KEY, stage.ports)
    assert isinstance(end, Rest)
    assert end.kind is RestKind.FLAT
    assert stage.lines() == []


def test_what_a_drive_did_is_told_with_how_it_ended() -> None:
    stage = naked()
    drive(KEY, stage.ports)
    assert stage.kinds() == ["alarm:naked", "PlaceStop", "protected"]
    assert {line["symbol"] for line in stage.lines()} == {"BTC"}
    assert stage.lines("protected")[0]["text"]


def test_what_a_drive_learned_is_saved_and_told() -> None:
    stage = protected()
    end = drive(KEY, stage.ports)
    assert isinstance(end, Rest)
    seen = stage.trade().stop_seen
    assert seen is not None
    assert seen.order_id == "s1"
    assert [(line["kind"], line["text"]) for line in stage.lines()] == [("protected", end.why)]


def test_an_unrest_is_told_each_time() -> None:
    stage = settled()
    stage.answers("venue.orders", Unknown("away"))
    stage.put(replace(stage.stored(), blind_since_ms=NOW))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Rest)
    assert end.kind is RestKind.BLIND
    assert stage.kinds() == ["blind"]


def test_what_a_person_must_know_is_told_as_an_alarm_of_its_kind() -> None:
    stage = naked()
    drive(KEY, stage.ports)
    (line,) = stage.lines("alarm:naked")
    assert line["symbol"] == "BTC"
    assert "main:BTC" in line["text"]
    assert stage.other.prices.counts("main") == {}


def test_marks_that_contradict_each_other_are_told_and_counted() -> None:
    stage = protected()
    stage.hear("90")
    drive(KEY, stage.ports)
    assert "alarm:price" in stage.kinds()
    assert stage.other.prices.counts("main") == {Flaw.ONE_SOURCE: 1}


# --- what must wait --------------------------------------------------------------------------------------------


def taken_over(stage: Stage, open_ms: int = TIMES.deadline_ms) -> int:
    """Let another process die with a deadline open; return the deadline."""
    lease = stage.other.leases.acquire(KEY)
    assert lease is not None
    stage.other.leases.renew(lease, stage.now + open_ms)
    deadline_ms = stage.now + open_ms
    stage.world.kill(stage.boots[1])
    stage.now += TIMES.heartbeat_lost_ms
    return deadline_ms


@pytest.mark.parametrize(("late_ms", "waits"), [(-1, True), (0, True), (1, False)])
def test_a_close_waits_for_the_last_deadline_of_a_holder_that_died(*, late_ms: int, waits: bool) -> None:
    stage = closing()
    deadline_ms = taken_over(stage)
    stage.now = deadline_ms + late_ms
    end = drive(KEY, stage.ports)
    if waits:
        assert isinstance(end, Again)
        assert end.due_ms == deadline_ms + 1
        assert stage.sent() == []
        assert stage.due_ms() == 1 - late_ms
        assert stage.lines("again")[0]["text"] == end.why
    else:
        assert stage.sent()[0] == "close"


def test_a_cancel_waits_for_the_last_deadline_of_a_holder_that_died() -> None:
    stage = protected()
    stage.venue.live = [stop(n=1, order_id="11"), stop(n=2, order_id="12")]
    taken_over(stage)
    assert isinstance(drive(KEY, stage.ports), Again)
    assert stage.sent() == []
    stage.now += TIMES.deadline_ms
    drive(KEY, stage.ports)
    assert stage.sent() == ["cancel"]


def test_nothing_waits_for_a_deadline_that_only_a_wrong_clock_can_have_set() -> None:
    stage = closing()
    taken_over(stage, 365 * 24 * 3_600_000)
    drive(KEY, stage.ports)
    assert stage.sent()[0] == "close"


def test_a_stop_waits_for_nobody() -> None:
    stage = naked()
    taken_over(stage)
    drive(KEY, stage.ports)
    assert stage.sent() == ["place_stop"]


@pytest.mark.parametrize(("slept_ms", "looks"), [(TIMES.http_ms, 1), (TIMES.http_ms + 1, 2)])
def test_a_close_decided_by_an_old_look_is_decided_anew(slept_ms: int, looks: int) -> None:
    stage = closing()
    looked_before = list[int]()
    stage.meanwhile("records.save", stage.passes(slept_ms))
    stage.meanwhile("venue.permit", lambda: looked_before.append(len(stage.done("venue.orders"))))
    drive(KEY, stage.ports)
    assert looked_before == [looks]


def test_a_stop_decided_by_an_old_look_is_placed_all_the_same() -> None:
    stage = naked()
    stage.meanwhile("records.save", stage.passes(TIMES.http_ms + 1))
    drive(KEY, stage.ports)
    assert stage.sent() == ["place_stop"]
    assert len(stage.done("venue.orders")) == 1


# --- after an effect -------------------------------------------------------------------------------------------


def test_a_stop_that_was_placed_is_read_back_alone_by_its_id() -> None:
    stage = naked()
    drive(KEY, stage.ports)
    assert stage.reads() == ["holdings", "orders", "lookup"]
    (asked,) = stage.done("venue.lookup")
    assert asked["symbol"] == "BTC"
    assert asked["client_id"] == stage.venue.live[0].client_id == cid(Role.STOP, 2)
    assert asked["urgency"] is Urgency.PROTECTIVE


@pytest.mark.parametrize("answer", [Unknown("away"), None])
def test_a_stop_that_does_not_read_back_has_all_orders_read(answer: Unknown | None) -> None:
    stage = naked()

    gone = Known(Lookup(cid(Role.STOP, 2), None), NOW)
    stage.answers("venue.lookup", answer or gone, answer or gone)
    drive(KEY, stage.ports)
    assert stage.reads()[2:5] == ["lookup", "holdings", "orders"]


def test_a_position_that_was_closed_is_read_with_all_else() -> None:
    stage = closing()
    end = drive(KEY, stage.ports)
    assert stage.sent()[0] == "close"
    assert stage.reads()[:3] == ["holdings", "orders", "holdings"], "the close reads the position itself"
    assert stage.reads()[3:6] == ["holdings", "orders", "fills"]
    assert end is not None


def test_an_effect_that_was_refused_has_all_looked_at_again() -> None:
    stage = naked()
    stage.answers("venue.place_stop", Rejected(Reason.BAD_PRICE, "tick"))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert stage.reads() == ["holdings", "orders", "holdings", "orders", "fills"]


def test_what_was_not_granted_is_asked_for_again_soon_and_nothing_else_is_asked() -> None:
    stage = naked()
    stage.answers("venue.permit", Throttled("own rate budget"))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == NOW + LOOK_AGAIN_MS
    assert stage.due_ms() == LOOK_AGAIN_MS
    assert stage.reads() == ["holdings", "orders"]
    assert stage.kinds() == ["alarm:naked", "throttled", "again"]


@pytest.mark.parametrize(("free_ms", "pause_ms"), [(100, LOOK_AGAIN_MS), (7_000, 7_000)])
def test_what_the_budget_grants_later_is_asked_for_then(free_ms: int, pause_ms: int) -> None:
    stage = naked()
    stage.answers("venue.permit", Throttled("own rate budget", free_ms))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == NOW + pause_ms


@pytest.mark.parametrize(("wait_ms", "pause_ms"), [(100, 900), (2_200, 2_200)])
def test_what_is_asked_for_again_waits_for_the_look_that_comes_before_it(wait_ms: int, pause_ms: int) -> None:
    stage = Stage()
    stage.put(record(new_trade()))
    stage.answers("venue.permit", Throttled("own rate budget", 900))
    stage.meanwhile("venue.permit", lambda: stage.answers("venue.wait_ms", wait_ms))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == NOW + pause_ms
    asked = stage.done("venue.wait_ms")[-1]
    assert (asked["fields"], asked["urgency"]) == (ALL_FIELDS, Urgency.ORDINARY)


@pytest.mark.parametrize(("attempt", "age_ms", "enters"), [
    (None, 8_000, False),
    (Throttled("own rate budget"), 8_000, False),
    (Throttled("own rate budget"), 8_001, True),
    (None, None, True),
])  # fmt: skip
def test_no_attempt_leaves_while_what_the_store_forgot_may_be_on_its_way(
    attempt: Throttled | None, age_ms: int | None, enters: bool
) -> None:
    stage = Stage()
    stage.put(record(new_trade(sent=() if attempt is None else (sent(attempt),))))
    if age_ms is not None:
        stage.other.records.forgot_ms()
        stage.world.go_back(stage.world.save_point())
        stage.now -= age_ms
        stage.other.records.forgot_ms()
        stage.now += age_ms
    drive(KEY, stage.ports)
    assert ("enter" in stage.sent()) == enters


@pytest.mark.parametrize(("moved_by", "pause_ms"), [("policy", 5_000), ("person", 900)])
def test_a_move_of_a_stop_waits_for_a_look_where_a_rule_wants_it(moved_by: str, pause_ms: int) -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(stop=D(97), stop_moved_by=moved_by)))
    stage.answers("venue.permit", Throttled("own rate budget", 900))
    stage.meanwhile("venue.permit", lambda: stage.answers("venue.wait_ms", 5_000))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == NOW + pause_ms


def test_protection_does_not_wait_for_a_look() -> None:
    stage = naked()
    stage.answers("venue.permit", Throttled("own rate budget", 900))
    stage.meanwhile("venue.permit", lambda: stage.answers("venue.wait_ms", 5_000))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == NOW + 900


@pytest.mark.parametrize(("wait_ms", "pause_ms"), [(0, BOOK_AGAIN_MS), (9_000, 9_000)])
def test_a_booking_asks_for_its_funding_again_in_a_while(wait_ms: int, pause_ms: int) -> None:
    stage = ended()
    stage.answers("venue.funding", Unknown("away"))
    stage.meanwhile("venue.funding", lambda: stage.answers("venue.wait_ms", wait_ms))
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == stage.now + pause_ms
    assert len(stage.done("venue.funding")) == 1
    assert stage.done("venue.wait_ms")[-1]["urgency"] is Urgency.ORDINARY


def test_a_close_that_could_not_read_the_position_comes_again_soon() -> None:
    stage = closing()
    stage.meanwhile("venue.orders", lambda: stage.answers("venue.holdings", Unknown("away")))  # the one the close makes
    end = drive(KEY, stage.ports)
    assert isinstance(end, Again)
    assert end.due_ms == NOW + LOOK_AGAIN_MS
    assert "away" in end.why
    assert stage.sent() == []


def test_after_what_was_refused_no_other_action_of_the_plan_is_sent() -> None:
    stage = protected()
    stage.venue.live = [stop(n=n, order_id=f"1{n}") for n in (1, 2, 3)]
    stage.answers("venue.cancel", Unknown("no answer"))
    drive(KEY, stage.ports)
    first = next(i for i, call in enumerate(stage.calls) if call.name == "venue.cancel")
    after = [call.name for call in stage.calls[first + 1 :]]
    assert "venue.orders" in after, "it looks again"
    assert "venue.cancel" not in after[: after.index("venue.orders")]


def test_all_actions_of_a_plan_are_sent_where_each_is_accepted() -> None:
    stage = protected()
    stage.venue.live = [stop(n=n, order_id=f"1{n}") for n in (1, 2, 3)]
    drive(KEY, stage.ports)
    assert [call["order_id"] for call in stage.done("venue.cancel")] == ["11", "12"]
    assert [order.id for order in stage.venue.live] == ["13"]
    names = [call.name for call in stage.calls]
    first, *_, last = (i for i, name in enumerate(names) if name == "venue.cancel")
    assert "records.load" not in names[first:last], "both in one turn"


def test_a_stop_placed_while_the_orders_cannot_be_read_is_looked_for_among_all_of_them() -> None:
    stage = naked()
    stage.put(replace(stage.stored(), trade=held_trade(covered=False)))
    stage.answers("venue.orders", Unknown("away"))
    end = drive(KEY, stage.ports)
    assert stage.reads() == ["holdings", "orders", "lookup", "holdings", "orders"]
    assert isinstance(end, Rest)
    assert end.kind is RestKind.PROTECTED


@pytest.mark.parametrize("left", [None, held_trade()])
def test_a_stop_that_the_store_forgot_has_all_orders_read(left: Trade | None) -> None:
    stage = naked()

    def forget() -> None:
        row = stage.world.state.records[KEY]
        assert row.doc is not None
        row.doc = replace(row.doc, trade=left)

    stage.meanwhile("records.load", None, forget)
    drive(KEY, stage.ports)
    assert stage.reads()[:4] == ["holdings", "orders", "holdings", "orders"]


def test_what_was_done_is_told_with_how_it_ended_also_where_there_is_nothing_to_learn() -> None:
    stage = Stage()
    stage.put(record(new_trade(signal=signal(expires_ms=NOW - 1))))

    def moved() -> None:
        raise LeaseLost("moved")

    stage.meanwhile("records.save", None, moved)  # what was learned is saved, the refusal is not
    with pytest.raises(LeaseLost):
        drive(KEY, stage.ports)
    stage.world.state.journal.clear()
    drive(KEY, stage.ports)
    assert stage.kinds() == ["refused", "flat"]


def test_a_stop_tightened_for_the_liquidation_price_is_urgent_whoever_moved_it_last() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position(liquidation_price=D(96))
    trailed = held_trade(stop_moved_by="policy", policy=Policy(Trail(TrailKind.PERCENT, D("0.10"))))
    stage.put(replace(stage.stored(), trade=trailed))
    for _ in range(3):
        drive(KEY, stage.ports)
        stage.now += 1_000
    assert stage.done("venue.place_stop")[0]["trigger"] == D(97)
    assert stage.done("venue.permit")[0]["urgency"] is Urgency.PROTECTIVE
