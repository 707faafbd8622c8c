"""The right to send, the ids and prices of what is sent, and that its words say what it was."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from stopkeeper.core.actions import Cancel, Enter, Flatten, PlaceStop, PlaceTarget, Prepare
from stopkeeper.core.ids import ClientId, close_reason, decode
from stopkeeper.core.model import MarginMode, Resting, Role, Side
from stopkeeper.core.outcomes import Accepted, Barred, EntryOutcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import Goal, TargetTerms
from stopkeeper.engine.ports import EntryIds, Permit, Urgency
from stopkeeper.engine.sending import (
    NOBODY,
    Effect,
    closing_mark,
    closing_price,
    describe,
    permit_for,
    say,
    send,
    to_close,
    told,
)
from tests.unit.core.scene import INST, MARKET, NOW, RULES, TERMS, TRADE, cid, held_trade, new_trade, position, record
from tests.unit.engine.scene import TIMES, D, Stage, protected

STOP = PlaceStop(D("1.5"), D(95), D("85.5"), "entry", "the position is naked")
TARGET = PlaceTarget(D("0.5"), D(110), D(99), "it is missing")
CLOSE = Flatten(D("0.03"), "manual_close", "somebody asked")
ENTER = Enter(2, TERMS, "signal s1")
CANCEL = Cancel("s7", Role.STOP, "it is too much")
PREPARE = Prepare(7, MarginMode.CROSS, "not known to be set")
PERMIT = Permit(5, NOW + 4_000)


# --- the right to send -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "covered", "urgency"),
    [
        (STOP, True, Urgency.PROTECTIVE),
        (replace(STOP, moved_by="person"), True, Urgency.PROTECTIVE),
        (replace(STOP, moved_by="policy"), True, Urgency.FOLLOWING),
        (replace(STOP, moved_by="policy"), False, Urgency.PROTECTIVE),
        (CANCEL, True, Urgency.PROTECTIVE),
        (CLOSE, True, Urgency.PROTECTIVE),
        (ENTER, False, Urgency.ORDINARY),
        (PREPARE, False, Urgency.ORDINARY),
        (TARGET, True, Urgency.ORDINARY),
    ],
)
def test_what_protects_may_draw_on_the_share_that_is_kept_for_it(
    action: Effect, *, covered: bool, urgency: Urgency
) -> None:
    stage = Stage()
    kept = record(held_trade(covered=covered))
    permit_for(action, kept, stage.ports.venue, TIMES)
    (asked,) = stage.done("venue.permit")
    assert asked["urgency"] is urgency


def test_a_stop_that_trails_without_a_trade_is_as_urgent_as_any() -> None:
    stage = Stage()
    permit_for(replace(STOP, moved_by="policy"), record(), stage.ports.venue, TIMES)
    assert stage.done("venue.permit")[0]["urgency"] is Urgency.PROTECTIVE


def test_what_is_sent_must_be_over_before_the_lease_is() -> None:
    stage = Stage()
    permit_for(STOP, record(held_trade()), stage.ports.venue, TIMES)
    (asked,) = stage.done("venue.permit")
    assert NOW < asked["until_ms"] == NOW + TIMES.lease_ms - 1_000
    assert asked["nonce"] is None, "it gets a fresh one"


def test_each_attempt_of_an_entry_has_the_nonce_that_was_minted_for_it() -> None:
    stage = Stage()
    permit = permit_for(ENTER, record(new_trade(nonces=(11, 12, 13, 14))), stage.ports.venue, TIMES)
    assert permit == Permit(13, NOW + TIMES.deadline_ms)


# --- what is sent ----------------------------------------------------------------------------------------------


def sent(action: Effect, verb: str, **more: Any) -> Any:
    """Send an action for the seventh order of a key and return what the venue was given."""
    stage = protected()
    closing = (position("2"), D("1.25"), D(97)) if isinstance(action, Flatten) else None
    outcome = send(action, closing, record(**{"trade": held_trade(), "n": 7, **more}), PERMIT, stage.ports.venue, INST)
    (call,) = stage.done(f"venue.{verb}")
    assert call["permit"] == PERMIT
    assert call["symbol"] == "BTC"
    assert isinstance(outcome, (Accepted, EntryOutcome, Rejected))
    return call


@pytest.mark.parametrize(("worst", "side"), [("85.5", Side.LONG), ("104.5", Side.SHORT)])
def test_a_stop_is_for_the_side_whose_loss_its_worst_price_is(worst: str, side: Side) -> None:
    call = sent(replace(STOP, worst=D(worst)), "place_stop")
    assert (call["held"], call["size"], call["trigger"], call["worst"]) == (side, D("1.5"), D(95), D(worst))
    assert call["client_id"] == cid(Role.STOP, 7)


@pytest.mark.parametrize(("worst", "side"), [("99", Side.LONG), ("121", Side.SHORT)])
def test_a_target_is_for_the_side_whose_loss_its_worst_price_is(worst: str, side: Side) -> None:
    call = sent(replace(TARGET, worst=D(worst)), "place_target")
    assert (call["held"], call["size"], call["trigger"], call["worst"]) == (side, D("0.5"), D(110), D(worst))
    assert call["client_id"] == cid(Role.TARGET, 7)


def test_a_stop_whose_worst_price_is_its_trigger_is_that_of_a_short() -> None:
    assert sent(replace(STOP, worst=D(95)), "place_stop")["held"] is Side.SHORT


def test_an_order_that_no_trade_asked_for_is_known_as_ours_all_the_same() -> None:
    call = sent(STOP, "place_stop", trade=None)
    assert decode(call["client_id"]) == ClientId(INST, Role.STOP, 7, NOBODY)


def test_a_cancel_is_of_the_order_as_it_was_seen() -> None:
    assert sent(CANCEL, "cancel")["order_id"] == "s7"


def test_leverage_is_set_as_asked() -> None:
    call = sent(PREPARE, "prepare")
    assert (call["leverage"], call["mode"]) == (7, MarginMode.CROSS)


def test_a_close_tells_its_reason_by_its_id() -> None:
    call = sent(CLOSE, "close")
    assert (call["held"], call["size"], call["worst"]) == (Side.LONG, D("1.25"), D(97))
    told_by = decode(call["client_id"])
    assert told_by is not None
    assert (told_by.role, told_by.trade, told_by.n & 0xFFFF) == (Role.FLATTEN, TRADE, 7)
    assert close_reason(told_by.n) == "manual_close"


def test_an_entry_leaves_as_one_with_the_ids_of_its_attempt_and_of_each_leg() -> None:
    goals = (TargetTerms(D("0.5"), D(110), D(99)), TargetTerms(D("0.5"), D(120), D(108)))
    terms = replace(TERMS, targets=goals)
    call = sent(Enter(2, terms, "signal s1"), "enter", trade=new_trade(side=Side.SHORT))
    assert (call["side"], call["terms"]) == (Side.SHORT, terms)
    targets = (cid(Role.TARGET, 6), cid(Role.TARGET, 7))
    assert call["ids"] == EntryIds(cid(Role.ENTRY, 2), cid(Role.STOP, 5), targets)


# --- what is closed --------------------------------------------------------------------------------------------


def test_a_close_reads_the_position_itself_and_urgently() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position("2.5")
    assert to_close(CLOSE, "BTC", stage.ports.venue, RULES) == (position("2.5"), D("2.5"), D(97))
    assert [call["urgency"] for call in stage.done("venue.holdings")] == [Urgency.PROTECTIVE]


def test_what_is_to_stay_is_left_and_the_rest_goes_in_whole_steps() -> None:
    stage = protected()
    found = to_close(replace(CLOSE, keep=D("0.3005")), "BTC", stage.ports.venue, RULES)
    assert isinstance(found, tuple)
    assert found[1] == D("0.699"), "never more than was asked"


@pytest.mark.parametrize("keep", ["1", "0.9995", "2"])
def test_nothing_is_closed_where_no_more_than_what_is_to_stay_is_held(keep: str) -> None:
    found = to_close(replace(CLOSE, keep=D(keep)), "BTC", protected().ports.venue, RULES)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.NO_POSITION


def test_nothing_is_closed_where_nothing_is_held() -> None:
    found = to_close(CLOSE, "ETH", protected().ports.venue, RULES)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.NO_POSITION


def test_nothing_is_closed_that_cannot_be_read() -> None:
    stage = protected()
    stage.answers("venue.holdings", Unknown("away"))
    assert to_close(CLOSE, "BTC", stage.ports.venue, RULES) == Unknown("away")


def test_a_close_counts_from_a_mark_that_is_not_contradicted() -> None:
    stage = protected()
    stage.venue.marks["BTC"] = D(90)
    other = Price(D(90), Source.STREAM, 0)
    found = to_close(CLOSE, "BTC", stage.ports.venue, RULES, other)
    assert isinstance(found, tuple)
    assert found[2] == D("87.3")


def mark_of(give: str, row: str | None, told_: str | None, asked: str | None) -> tuple[Decimal, int]:
    """Return the mark a close counts from, and how often the venue was asked for its own."""
    stage = Stage()
    stage.venue.marks.clear()
    if asked:
        stage.venue.marks["BTC"] = D(asked)
    other = Price(D(told_), Source.STREAM, 0) if told_ else None
    mark = closing_mark(D(give), position(mark=row, entry_price=D(77)), stage.ports.venue, RULES, other)
    calls = stage.done("venue.mark")
    assert all((call["symbol"], call["urgency"]) == ("BTC", Urgency.PROTECTIVE) for call in calls)
    return mark, len(calls)


@pytest.mark.parametrize(
    ("row", "told_", "mark"),
    [("100", None, "100"), ("100", "100.5", "100"), ("100", "99.5", "100")],
)
def test_the_mark_of_the_position_serves_where_nothing_contradicts_it(row: str, told_: str | None, mark: str) -> None:
    assert mark_of("0.03", row, told_, "50") == (D(mark), 0)


@pytest.mark.parametrize(
    ("row", "told_", "asked", "mark"),
    [
        ("100", "90", "91", "91"),  # the middle of three
        ("100", "90", "110", "100"),
        ("100", "90", None, "100"),  # two: the position's own
        (None, "90", "91", "91"),  # the venue's own where the position has none
        (None, "90", None, "90"),
        (None, None, "91", "91"),
        (None, None, None, "77"),  # what was paid, for want of any mark
    ],
)
def test_a_mark_that_is_contradicted_or_missing_has_the_venue_asked(
    row: str | None, told_: str | None, asked: str | None, mark: str
) -> None:
    assert mark_of("0.03", row, told_, asked) == (D(mark), 1)


@pytest.mark.parametrize(
    ("row", "told_", "asked", "mark"),
    [
        ("100", "100", "90", "100"),
        ("100", None, "90", "90"),  # the row was what did not work
        ("100", "95", None, "95"),
        ("100", None, None, "100"),
    ],
)
def test_once_a_close_was_refused_the_row_alone_is_not_believed(
    row: str | None, told_: str | None, asked: str | None, mark: str
) -> None:
    assert mark_of("0.10", row, told_, asked) == (D(mark), 1)


@pytest.mark.parametrize(("side", "worst"), [(Side.LONG, "97.01"), (Side.SHORT, "103.1")])
def test_the_worst_price_of_a_close_is_beyond_the_mark_and_never_nearer_for_the_grid(side: Side, worst: str) -> None:
    market = replace(MARKET, significant=4)
    assert closing_price(position(side=side), D("0.03"), market, D("100.012")) == D(worst)


# --- in words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (PREPARE, ["7", "cross"]),
        (ENTER, ["enter", "1", "102", "95", "3"]),
        (STOP, ["stop", "1.5", "95"]),
        (TARGET, ["target", "0.5", "110"]),
        (CANCEL, ["cancel", "stop", "s7"]),
        (CLOSE, ["flatten", "3%"]),
    ],
)
def test_an_action_is_told_with_its_numbers_its_reason_and_its_outcome(action: Effect, said: list[str]) -> None:
    text = told(action, Rejected(Reason.CAP, "too many"))
    for each in [*said, action.why, "cap", "too many"]:
        assert each in text
    assert describe(action) in text


def test_an_entry_is_told_with_every_target_and_whether_it_rests() -> None:
    goals = (Goal(D(110), D("0.5")), Goal(D(120), D("0.5")))
    plain, aimed = describe(ENTER), describe(replace(ENTER, terms=replace(TERMS, goals=goals)))
    resting = describe(replace(ENTER, terms=replace(TERMS, resting=Resting.POST_ONLY)))
    assert "post_only" in resting
    assert "rest" not in plain
    assert aimed.index("110") < aimed.index("120")
    assert plain.replace(", attempt", f"{aimed[aimed.index(', target') : aimed.index(', attempt')]}, attempt") == aimed
    assert len(aimed) - len(plain) == 2 * len(", target 110")


def test_a_part_that_is_to_stay_is_told_and_only_then() -> None:
    whole, part = describe(CLOSE), describe(replace(CLOSE, keep=D("0.4")))
    assert part.startswith(whole)
    assert "0.4" in part
    assert part != whole
    assert describe(replace(CLOSE, keep=D(0))) == whole
    assert whole.endswith("%")


def test_each_leg_of_an_entry_is_told() -> None:
    legs = EntryOutcome(Accepted("e1", D(1), D(100)), Unknown("no answer"), (Rejected(Reason.CAP, "too many"),))
    text = told(ENTER, legs)
    said = zip(("entry", "stop", "target"), (legs.entry, legs.stop, *legs.targets), strict=True)
    assert text.endswith("; ".join(f"{name} {say(leg)}" for name, leg in said))


def test_an_ack_is_told_with_its_order_and_fill_where_it_has_them() -> None:
    bare, named, filled = say(Accepted()), say(Accepted("o1")), say(Accepted("o1", D("0.5"), D("99.5")))
    assert bare.isalpha()
    assert named.startswith(bare)
    assert named.endswith("o1")
    assert filled.startswith(named)
    assert "0.5" in filled
    assert "99.5" in filled


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Rejected(Reason.CROSSED, "its own words"), ["crossed", "its own words"]),
        (Throttled("its own words"), ["its own words"]),
        (Barred("its own words"), ["its own words"]),
        (Unknown("its own words"), ["its own words"]),
    ],
)
def test_what_came_of_it_is_told_in_the_venues_words(outcome: Any, said: list[str]) -> None:
    assert all(each in say(outcome) for each in said)


def test_no_two_outcomes_sound_the_same() -> None:
    texts = {
        say(each) for each in (Throttled("x"), Barred("x"), Unknown("x"), Rejected(Reason.CAP, "x"), Accepted("x"))
    }
    assert len(texts) == 5
