"""One action: what is reserved, noted and renewed before it leaves, what is noted and told of it, what is booked."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Book, Cancel, Enter, Exit, Flatten, Found, PlaceStop, PlaceTarget, Prepare, Refuse
from stopkeeper.core.model import Known, MarginMode, Role, Side
from stopkeeper.core.orphans import said_of
from stopkeeper.core.outcomes import (
    Accepted,
    Barred,
    EntryOutcome,
    Outcome,
    Reason,
    Rejected,
    Throttled,
    Unknown,
)
from stopkeeper.core.record import KeyRecord, Prepared, Trade
from stopkeeper.engine.perform import FUNDING_LATE_MS, FUNDING_PERIOD_MS, perform
from stopkeeper.engine.ports import LeaseLost, Permit, Settings, StoreGone, Urgency
from tests.unit.core.scene import (
    KEY,
    LAG,
    NOW,
    RULES,
    TERMS,
    TRADE,
    found_trade,
    held_trade,
    new_trade,
    position,
    record,
    stop,
)
from tests.unit.engine.scene import TIMES, D, Stage, naked, protected

STOP = PlaceStop(D(1), D(95), D("85.5"), "entry", "the position is naked")
CLOSE = Flatten(D("0.03"), "manual_close", "somebody asked")
ENTER = Enter(0, TERMS, "signal s1")
CANCEL = Cancel("s1", Role.STOP, "it is too much")
PREPARE = Prepare(5, MarginMode.ISOLATED, "not known to be set")
HOUR = NOW // FUNDING_PERIOD_MS * FUNDING_PERIOD_MS
DEADLINE = NOW + TIMES.deadline_ms


def done(stage: Stage, action: Any) -> tuple[KeyRecord, Outcome]:
    """Perform an action on the record as it is stored, under a lease."""
    lease = stage.take()
    return perform(action, stage.stored(), lease, stage.ports)


def new(**more: Any) -> Stage:
    """Return a stage with a signal that may enter now."""
    stage = Stage()
    stage.put(record(new_trade(**more)))
    return stage


# --- before it is sent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "verb"),
    [
        (STOP, "place_stop"),
        (PlaceTarget(D(1), D(110), D(99), "it is missing"), "place_target"),
        (CANCEL, "cancel"),
        (CLOSE, "close"),
        (PREPARE, "prepare"),
    ],
)
def test_the_lease_outlives_what_is_sent_and_whoever_takes_over_knows_its_deadline(action: Any, verb: str) -> None:
    stage = protected()
    lease = stage.take()
    stage.now += 3_000
    at_send = list[tuple[int, int]]()
    row = stage.world.state.leases[KEY]
    stage.meanwhile(f"venue.{verb}", lambda: at_send.append((row.until_ms, row.noted_ms)))
    perform(action, stage.stored(), lease, stage.ports)
    assert at_send == [(stage.now + TIMES.lease_ms, stage.now + TIMES.deadline_ms)]


def test_a_stop_is_on_record_with_its_number_and_deadline_before_it_leaves() -> None:
    stage = naked()
    at_send = list[KeyRecord]()
    stage.meanwhile("venue.place_stop", lambda: at_send.append(stage.stored()))
    done(stage, STOP)
    (noted,) = at_send
    assert noted.n == 2
    assert noted.pending_ms == DEADLINE
    assert noted.trade is not None
    assert noted.trade.stop_tried_ms == NOW
    assert [each.n for each in noted.outstanding] == [2]


def test_an_entry_is_on_record_with_its_nonce_and_deadline_before_it_leaves() -> None:
    stage = new(nonces=(81, 82, 83, 84))
    at_send = list[Trade]()
    stage.meanwhile("venue.enter", lambda: at_send.append(stage.trade()))
    done(stage, ENTER)
    (sent,) = at_send[0].sent
    assert (sent.attempt, sent.nonce, sent.deadline_ms, sent.sent_ms) == (0, 81, DEADLINE, NOW)
    assert stage.done("venue.enter")[0]["permit"] == Permit(81, DEADLINE)
    assert isinstance(sent.outcome, Unknown), "whoever finds it does not take it for absent"


def test_what_leaves_bears_the_permit_that_was_noted() -> None:
    stage = naked()
    stage.answers("venue.permit", Permit(77, NOW + 1_234))
    done(stage, STOP)
    (call,) = stage.done("venue.place_stop")
    assert call["permit"] == Permit(77, NOW + 1_234)
    assert stage.world.state.leases[KEY].noted_ms == NOW + 1_234


def test_what_the_budget_does_not_grant_leaves_no_trace_but_a_line() -> None:
    stage = naked()
    stage.answers("venue.permit", Throttled("own rate budget", 900))
    before = stage.stored()
    after, outcome = done(stage, STOP)
    assert outcome == Throttled("own rate budget", 900)
    assert after == before == stage.stored()
    assert stage.sent() == []
    assert stage.done("leases.renew") == []
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("BTC", "throttled")
    assert "PlaceStop" in line["text"]
    assert "own rate budget" in line["text"]


@pytest.mark.parametrize(("slow_ms", "leaves"), [(6_000, True), (6_001, False)])
def test_nothing_leaves_under_a_lease_that_might_end_before_its_answer(*, slow_ms: int, leaves: bool) -> None:
    stage = naked()
    stage.meanwhile("records.save", stage.passes(slow_ms))
    if leaves:
        done(stage, STOP)
    else:
        with pytest.raises(LeaseLost):
            done(stage, STOP)
    assert stage.sent() == ["place_stop"] * leaves
    assert stage.stored().n == 2, "it may have left, for all that the next one knows"


def test_nothing_leaves_under_a_lease_that_is_lost() -> None:
    stage = naked()
    stage.meanwhile("venue.permit", stage.passes(TIMES.lease_ms))
    with pytest.raises(LeaseLost):
        done(stage, STOP)
    assert stage.sent() == []


def test_nothing_leaves_that_could_not_be_noted() -> None:
    stage = naked()
    stage.answers("records.save", StoreGone("gone"))
    with pytest.raises(StoreGone):
        done(stage, STOP)
    assert stage.sent() == []


# --- what came of it -------------------------------------------------------------------------------------------


def test_an_ack_is_noted_with_its_order() -> None:
    stage = naked()
    after, outcome = done(stage, STOP)
    assert outcome == Accepted("o2", live=True)
    assert after == stage.stored()
    (placed,) = stage.trade().placed
    assert (placed.role, placed.order_id, placed.n, placed.acked_ms) == (Role.STOP, "o2", 2, NOW)
    assert stage.stored().quiet_ms == NOW + LAG
    assert stage.stored().pending_ms == 0


def test_an_unanswered_effect_may_appear_until_its_deadline_and_a_lag() -> None:
    stage = naked()
    stage.answers("venue.place_stop", Unknown("no answer"))
    _, outcome = done(stage, STOP)
    assert outcome == Unknown("no answer")
    assert stage.stored().quiet_ms == DEADLINE + LAG
    assert stage.trade().placed == ()


def test_the_time_of_an_answer_is_that_of_its_coming() -> None:
    stage = naked()
    stage.meanwhile("venue.place_stop", stage.passes(2_000))
    done(stage, STOP)
    assert stage.trade().placed[0].acked_ms == NOW + 2_000


def test_what_was_done_is_told_with_its_trade() -> None:
    stage = naked()
    done(stage, STOP)
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"], line["trade"]) == ("BTC", "PlaceStop", TRADE)
    assert "the position is naked" in line["text"]
    assert "o2" in line["text"]


def test_what_was_done_without_a_trade_names_none() -> None:
    stage = Stage()
    stage.venue.live = [stop()]
    stage.put(record())
    done(stage, CANCEL)
    (line,) = stage.lines()
    assert (line["kind"], line["trade"]) == ("Cancel", "")


@pytest.mark.parametrize("mover", ["policy", "person"])
def test_a_stop_that_moves_is_told_with_who_moved_it(mover: Any) -> None:
    stage = protected()
    done(stage, replace(STOP, trigger=D(96), moved_by=mover))
    assert stage.lines()[0]["moved_by"] == mover


def test_only_a_stop_is_told_with_who_moved_it() -> None:
    stage = protected()
    done(stage, CANCEL)
    assert "moved_by" not in stage.lines()[0]


def test_a_stop_for_a_position_that_was_naked_moved_nothing() -> None:
    stage = naked()
    stage.put(replace(stage.stored(), trade=held_trade(covered=False)))
    done(stage, STOP)
    assert "moved_by" not in stage.lines()[0]


def test_what_was_done_is_told_although_its_outcome_could_not_be_noted() -> None:
    stage = naked()
    stage.meanwhile("venue.place_stop", stage.passes(TIMES.lease_ms))
    stage.meanwhile("records.save", None, lambda: stage.other.leases.acquire(KEY))
    with pytest.raises(LeaseLost):
        done(stage, STOP)
    assert [line["kind"] for line in stage.lines()] == ["PlaceStop"]


def test_the_outcome_of_an_entry_is_that_of_its_first_leg_and_all_legs_are_told() -> None:
    stage = new()
    answer = EntryOutcome(Accepted("e9", D(1), D(100)), Rejected(Reason.CROSSED, "too near"))
    stage.answers("venue.enter", answer)
    _, outcome = done(stage, ENTER)
    assert outcome == answer.entry
    assert stage.trade().held == 1
    assert stage.trade().crossed
    (line,) = stage.lines()
    assert line["kind"] == "Enter"
    assert "e9" in line["text"]
    assert "too near" in line["text"]


@pytest.mark.parametrize("verb", ["place_stop", "enter"])
def test_a_bar_is_switched_on_for_the_whole_account(verb: str) -> None:
    stage = naked() if verb == "place_stop" else new()
    barred = Barred("agent expired")
    stage.answers(f"venue.{verb}", barred if verb == "place_stop" else EntryOutcome(barred, barred))
    _, outcome = done(stage, STOP if verb == "place_stop" else ENTER)
    assert outcome == barred
    assert stage.other.flags.read("main").barred == "agent expired"


def test_a_refusal_bars_nothing() -> None:
    stage = naked()
    stage.answers("venue.place_stop", Rejected(Reason.CAP, "too many"))
    done(stage, STOP)
    assert stage.other.flags.read("main").barred == ""


# --- leverage --------------------------------------------------------------------------------------------------


def unprepared() -> Stage:
    stage = Stage()
    stage.put(record(new_trade(), prepared=None))
    return stage


def test_a_leverage_is_known_once_it_has_been_read_back() -> None:
    stage = unprepared()
    _, outcome = done(stage, PREPARE)
    assert isinstance(outcome, Accepted)
    assert stage.stored().prepared == Prepared(5, MarginMode.ISOLATED, NOW)
    (asked,) = stage.done("venue.settings")
    assert (asked["symbol"], asked["urgency"]) == ("BTC", Urgency.ORDINARY)


@pytest.mark.parametrize("shown", [Prepared(3, MarginMode.ISOLATED, NOW), Prepared(5, MarginMode.CROSS, NOW)])
def test_a_leverage_that_reads_back_otherwise_is_not_known(shown: Prepared) -> None:
    stage = unprepared()
    stage.answers("venue.settings", Known(Settings(shown, None), NOW))
    _, outcome = done(stage, PREPARE)
    assert isinstance(outcome, Unknown)
    assert stage.stored().prepared is None
    assert outcome.why in stage.lines()[0]["text"]


def test_a_leverage_that_could_not_be_read_back_is_not_known() -> None:
    stage = unprepared()
    stage.answers("venue.settings", Unknown("away"))
    _, outcome = done(stage, PREPARE)
    assert outcome == Unknown("away")
    assert stage.stored().prepared is None


def test_a_refused_leverage_is_not_read_back() -> None:
    stage = unprepared()
    stage.answers("venue.prepare", Rejected(Reason.CAP, "at most 3"))
    _, outcome = done(stage, PREPARE)
    assert outcome == Rejected(Reason.CAP, "at most 3")
    assert stage.reads() == []
    assert stage.stored().prepared is None
    assert stage.trade().refusal


def test_where_a_venue_does_not_tell_its_settings_the_ack_counts() -> None:
    stage = unprepared()
    stage.answers("venue.settings", Known(Settings(None, None), NOW))
    stage.meanwhile("venue.settings", stage.passes(300))
    done(stage, PREPARE)
    assert stage.stored().prepared == Prepared(5, MarginMode.ISOLATED, NOW + 300)


@pytest.mark.parametrize(
    ("heard_ago_ms", "mark"), [(None, "100"), (TIMES.look_fresh_ms, "99"), (TIMES.look_fresh_ms + 1, "100")]
)
def test_a_mark_that_comes_with_the_settings_is_shared_unless_the_stream_tells_a_newer_one(
    heard_ago_ms: int | None, mark: str
) -> None:
    stage = unprepared()
    if heard_ago_ms is not None:
        stage.hear("99")
        stage.now += heard_ago_ms
    done(stage, PREPARE)
    shared = stage.other.prices.get("main", "BTC")
    assert shared is not None
    assert shared.value == D(mark)


def test_settings_without_a_mark_share_none() -> None:
    stage = unprepared()
    stage.venue.marks.clear()
    done(stage, PREPARE)
    assert stage.other.prices.get("main", "BTC") is None


# --- closing ---------------------------------------------------------------------------------------------------


def test_a_close_is_of_what_the_venue_holds_at_that_moment() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position("2.5")
    _, outcome = done(stage, CLOSE)
    (call,) = stage.done("venue.close")
    assert (call["symbol"], call["held"], call["size"], call["worst"]) == ("BTC", Side.LONG, D("2.5"), D(97))
    assert isinstance(outcome, Accepted)
    assert stage.venue.held == {}


def test_a_close_whose_position_cannot_be_read_is_not_sent() -> None:
    stage = protected()
    stage.answers("venue.holdings", Unknown("away"))
    before = stage.stored()
    after, outcome = done(stage, CLOSE)
    assert outcome == Unknown("away")
    assert after == before
    assert stage.sent() == []


@pytest.mark.parametrize(
    ("heard_ago_ms", "worst"), [(TIMES.look_fresh_ms, "87.3"), (TIMES.look_fresh_ms + 1, "97"), (None, "97")]
)
def test_a_fresh_mark_of_the_stream_counts_where_it_contradicts_the_position(
    heard_ago_ms: int | None, worst: str
) -> None:
    stage = protected()
    stage.venue.marks["BTC"] = D(90)
    if heard_ago_ms is not None:
        stage.hear("90")
        stage.now += heard_ago_ms
    done(stage, CLOSE)
    assert stage.done("venue.close")[0]["worst"] == D(worst)


# --- what only changes the record ------------------------------------------------------------------------------


def test_a_position_that_was_found_gets_a_trade_and_a_line() -> None:
    stage = Stage()
    stage.put(record())
    trade = found_trade()
    after, outcome = done(stage, Found(trade, "nobody owns it"))
    assert isinstance(outcome, Accepted)
    assert after.trade == trade == stage.trade()
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"], line["trade"]) == ("BTC", "found", trade.id)
    for said in ("nobody owns it", "long", "1"):
        assert said in line["text"]


def test_a_signal_that_never_entered_ends_as_refused_with_its_reason() -> None:
    stage = Stage()
    trade = new_trade(id="5e1f5e1f5e1f")
    stage.other.records.admit(trade, "digest", D(100), RULES.limits)
    done(stage, Refuse("it expired"))
    assert stage.stored().trade is None
    state = stage.other.records.signal(trade.id)
    assert state is not None
    assert (state.state, state.why) == ("refused", "it expired")
    assert stage.other.records.reserved("main") == {}
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"], line["text"], line["trade"]) == ("BTC", "refused", "it expired", trade.id)


def test_a_refusal_without_a_trade_names_none() -> None:
    stage = Stage()
    stage.put(record())
    done(stage, Refuse("it expired"))
    assert stage.lines()[0]["trade"] == ""


def test_a_position_beside_a_signal_that_is_refused_is_handed_on_in_the_same_write() -> None:
    stage = new()
    heir = found_trade()
    done(stage, Refuse("it expired", heir))
    assert stage.trade() == heir
    assert [(line["kind"], line["trade"]) for line in stage.lines()] == [("refused", TRADE), ("found", heir.id)]
    assert said_of(heir) in stage.lines("found")[0]["text"]
    assert len(stage.done("records.save")) == 1


# --- booking ---------------------------------------------------------------------------------------------------


def exit_of(opened_ms: int, closed_ms: int, **more: Any) -> Exit:
    base = Exit(
        reason="stop_loss",
        evidence="fill f2 of order s1",
        shares=(("stop_loss", D(1)),),
        entry_price=D(100),
        exit_price=D(95),
        size=D(1),
        fees=D("0.1"),
        gross_pnl=D(-5),
        funding=D(0),
        realized_pnl=D("-5.1"),
        opened_ms=opened_ms,
        closed_ms=closed_ms,
        complete=True,
    )
    return replace(base, **more)


def book(exit_: Exit, trade: Trade | None = None, successor: Trade | None = None) -> Book:
    return Book(trade or held_trade(), exit_, (), successor, "its fills add up to the close")


def settling(*names: str) -> tuple[Trade, ...]:
    return tuple(held_trade(id=name, revision=1, flat_since_ms=NOW - 1) for name in names)


WITHIN = exit_of(HOUR + 60_000, HOUR + 60_100)
ACROSS = exit_of(HOUR - 1, HOUR)


def test_an_exit_is_booked_and_the_key_is_free_in_one_write() -> None:
    stage = protected()
    after, outcome = done(stage, book(WITHIN))
    assert isinstance(outcome, Accepted)
    assert after.trade is None
    assert stage.stored() == after
    (line,) = stage.other.ledger.lines("main")
    assert line.exit == WITHIN
    assert (line.trade.id, line.revision, line.booked_ms) == (TRADE, 1, NOW)
    assert len(stage.done("records.save")) == 1
    assert stage.done("venue.funding") == [], "no full hour has passed"


def test_a_booking_is_told_with_its_evidence_and_result() -> None:
    stage = protected()
    done(stage, book(WITHIN))
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"], line["trade"]) == ("BTC", "booked", TRADE)
    assert line["evidence"] == WITHIN.evidence
    for said in ("stop_loss", "95", "-5.10", "0.10", "its fills add up to the close"):
        assert said in line["text"]


@pytest.mark.parametrize("paid", ["0.5", "-0.25"])
def test_the_funding_of_each_full_hour_belongs_to_the_result(paid: str) -> None:
    stage = protected()
    stage.venue.paid = D(paid)
    done(stage, book(ACROSS))
    (line,) = stage.other.ledger.lines("main")
    assert line.exit.funding == D(paid)
    assert line.exit.realized_pnl == ACROSS.realized_pnl + D(paid)
    (asked,) = stage.done("venue.funding")
    assert (asked["symbol"], asked["since_ms"], asked["until_ms"]) == ("BTC", HOUR - 1, HOUR)
    assert f"{D('-5.1') + D(paid):+.2f}" in stage.lines()[0]["text"]


@pytest.mark.parametrize(("late_ms", "asked"), [(0, 1), (FUNDING_LATE_MS - 1, 1), (FUNDING_LATE_MS, 0)])
def test_an_entry_of_the_first_seconds_of_an_hour_may_have_paid_for_it(late_ms: int, asked: int) -> None:
    stage = protected()
    stage.venue.paid = D("-1")
    done(stage, book(replace(ACROSS, opened_ms=HOUR + late_ms, closed_ms=HOUR + 60_000)))
    assert len(stage.done("venue.funding")) == asked
    assert stage.other.ledger.lines("main")[0].exit.funding == -asked


def test_funding_is_not_asked_for_while_the_fills_are_incomplete() -> None:
    stage = protected()
    after, _ = done(stage, book(replace(ACROSS, complete=False)))
    assert stage.done("venue.funding") == []
    assert [trade.revision for trade in after.settling] == [1]


@pytest.mark.parametrize(("since_ms", "booked"), [(RULES.incomplete_after_ms - 1, 0), (RULES.incomplete_after_ms, 1)])
def test_a_booking_waits_a_minute_for_its_funding_and_is_incomplete_then(since_ms: int, booked: int) -> None:
    stage = protected()
    (another,) = settling("aaaaaaaaaaaa")
    stage.put(replace(stage.stored(), settling=(another,)))
    stage.answers("venue.funding", Unknown("away"))
    stage.now = HOUR + since_ms
    before = stage.stored()
    after, outcome = done(stage, book(ACROSS))
    lines = stage.other.ledger.lines("main")
    assert len(lines) == booked
    if not booked:
        assert outcome == Unknown("away")
        assert after == before
        return
    assert isinstance(outcome, Accepted)
    assert not lines[0].exit.complete
    assert lines[0].exit.realized_pnl == ACROSS.realized_pnl
    assert ACROSS.evidence in lines[0].exit.evidence
    assert ACROSS.evidence != lines[0].exit.evidence
    assert [trade.id for trade in after.settling] == [another.id, TRADE], "its correction is still to come"
    assert [trade.settle_tried_ms for trade in after.settling] == [0, stage.now]


def test_a_position_that_is_handed_on_waits_for_no_funding() -> None:
    stage = protected()
    stage.answers("venue.funding", Unknown("away"))
    stage.now = HOUR + 1
    heir = found_trade()
    after, outcome = done(stage, book(ACROSS, successor=heir))
    assert isinstance(outcome, Accepted)
    assert after.trade == heir
    assert [(trade.id, trade.settle_tried_ms) for trade in after.settling] == [(TRADE, stage.now)]
    assert not stage.other.ledger.lines("main")[0].exit.complete


def test_a_correction_whose_funding_cannot_be_read_is_tried_again_in_a_while() -> None:
    stage = protected()
    first, second = settling("aaaaaaaaaaaa", "bbbbbbbbbbbb")
    stage.put(record(None, settling=(first, second)))
    stage.answers("venue.funding", Unknown("away"))
    after, outcome = done(stage, book(ACROSS, second))
    assert outcome == Unknown("away")
    assert [(trade.id, trade.settle_tried_ms) for trade in after.settling] == [(first.id, 0), (second.id, NOW)]
    assert stage.stored() == after
    assert stage.other.ledger.lines("main") == []


def test_a_correction_is_a_later_revision_of_the_same_trade() -> None:
    stage = protected()
    (old,) = settling("aaaaaaaaaaaa")
    stage.put(replace(stage.stored(), settling=(old,)))
    after, _ = done(stage, book(WITHIN, old))
    (line,) = stage.other.ledger.lines("main")
    assert (line.trade.id, line.revision) == (old.id, 2)
    assert after.settling == ()
    assert after.trade is not None
    assert after.trade.id == TRADE, "who is on the key now is not touched"


def test_a_position_that_is_held_after_the_end_is_handed_on_in_the_same_write() -> None:
    stage = protected()
    heir = found_trade()
    after, _ = done(stage, book(WITHIN, successor=heir))
    assert after.trade == heir
    assert [(line["kind"], line["trade"]) for line in stage.lines()] == [("booked", TRADE), ("found", heir.id)]
    assert said_of(heir) in stage.lines("found")[0]["text"]
    assert len(stage.done("records.save")) == 1


def test_an_exit_that_could_not_be_booked_is_not_told() -> None:
    stage = protected()
    stage.answers("records.save", StoreGone("gone"))
    with pytest.raises(StoreGone):
        done(stage, book(WITHIN))
    assert stage.lines() == []
