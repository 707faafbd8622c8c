"""What is noted of an effect before it is sent, and of its answer: every field that a later turn goes by."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Book, Enter, Exit, Flatten, PlaceStop, PlaceTarget
from stopkeeper.core.effects import adopt, announce, ask_close, booked, conclude, lift_stop, move_stop, set_policy
from stopkeeper.core.model import Role
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Outcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, KeyRecord, Placed, StopSeen, TargetTerms, Trade
from stopkeeper.core.rules import OrphanPolicy
from tests.unit.core.scene import AIM, LAG, NOW, TERMS, D, fill, found_trade, held_trade, new_trade, record, sent

DUE = NOW + 4_000
AT = NOW + 100
TRAIL = Policy(Trail(TrailKind.PERCENT, D("0.01")))
NO, REPEATED = Rejected(Reason.MARGIN, "no"), Rejected(Reason.DUPLICATE_ID, "known")


def concluded(rec: KeyRecord, action: Any, outcome: Outcome | EntryOutcome) -> Trade:
    trade = conclude(announce(rec, action, DUE, 9, NOW), action, outcome, AT, LAG).trade
    assert trade is not None
    return trade


def placing(trigger: str = "96", moved_by: Any = "policy") -> PlaceStop:
    return PlaceStop(D(1), D(trigger), D("86"), moved_by, "why")


# --- an entry ----------------------------------------------------------------------------------------------------

TWO = replace(TERMS, goals=AIM, targets=(TargetTerms(D("0.5"), D(110), D(99)), TargetTerms(D("0.5"), D(120), D(108))))


def test_an_attempt_is_noted_with_all_it_is_known_by() -> None:
    first, again = sent(absent=True), Enter(1, TWO, "go")
    rec = announce(record(new_trade(sent=(first,))), again, DUE, 9, NOW)
    assert rec.trade is not None
    assert rec.trade.sent[0] == first
    attempt = rec.trade.sent[1]
    assert (attempt.attempt, attempt.n, attempt.nonce, attempt.deadline_ms, attempt.sent_ms) == (1, 1, 9, DUE, NOW)
    assert (attempt.terms, attempt.outcome) == (TWO, Unknown("no answer yet"))
    assert (rec.trade.stop, rec.trade.first_stop, rec.trade.targets) == (D(95), D(95), AIM)
    assert rec.n == record().n + 3


def test_what_an_entry_filled_is_what_is_held() -> None:
    outcome = EntryOutcome(Accepted("e1", D("0.7"), D(100)), Accepted("s1"), (Accepted("t1"), NO))
    trade = concluded(record(new_trade()), Enter(0, TWO, "go"), outcome)
    assert trade.held == trade.entry_filled == trade.traded == trade.explained == D("0.7")
    assert (trade.sized_ms, trade.entered_ms) == (AT, AT)
    assert trade.placed == (Placed(Role.STOP, "s1", 2, AT), Placed(Role.TARGET, "t1", 3, AT))
    assert trade.goals_refused == ((D(120), "margin"),)
    assert trade.order_roles == (("e1", "entry"), ("s1", "stop_loss"), ("t1", "take_profit"))


def test_targets_that_were_not_answered_are_not_concluded() -> None:
    """The venue may answer fewer legs than were sent."""
    trade = concluded(record(new_trade()), Enter(0, TWO, "go"), EntryOutcome(Accepted("e1", D(1)), NO, ()))
    assert (trade.placed, trade.goals_refused) == ((), ())


# --- a stop ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moved_by", "seen", "reason", "moves"),
    [
        ("policy", "95", "trailing_stop", (AT,)),
        ("person", "95", "stop_loss", (AT,)),
        ("entry", "95", "stop_loss", ()),
        ("policy", "96", "trailing_stop", ()),
        ("policy", None, "trailing_stop", ()),
    ],
)
def test_an_accepted_stop(moved_by: str, seen: str | None, reason: str, moves: tuple[int, ...]) -> None:
    stood = None if seen is None else StopSeen("s1", D(seen), NOW)
    before = held_trade(stop_seen=stood, moves_refused=3, stop_answers=1, stop=D(96))
    trade = concluded(record(before), placing(moved_by=moved_by), Accepted("s2"))
    assert trade.order_roles[-1] == ("s2", reason)
    assert trade.placed == (Placed(Role.STOP, "s2", 2, AT),)
    assert (trade.moves_ms, trade.moves_refused, trade.stop_answers, trade.stop) == (moves, 0, 2, D(96))


def test_an_accepted_stop_takes_the_place_of_the_last_and_leaves_what_else_was_acked() -> None:
    before = (Placed(Role.STOP, "s1", 1, NOW), Placed(Role.TARGET, "t1", 1, NOW), Placed(Role.FLATTEN, "c1", 1, NOW))
    trade = concluded(record(held_trade(placed=before)), placing(), Accepted("s2"))
    assert trade.placed == (*before[1:], Placed(Role.STOP, "s2", 2, AT))
    target = concluded(record(held_trade(placed=before)), PlaceTarget(D(1), D(110), D(99), "x"), Accepted("t2"))
    assert target.placed == (*before, Placed(Role.TARGET, "t2", 2, AT))


@pytest.mark.parametrize(
    ("what", "covered", "outcome", "refused", "answered"),
    [
        ("refused, another stands", True, NO, 3, 2),
        ("refused, none stands", False, NO, 2, 2),
        ("unanswered, another stands", True, Unknown("timeout"), 3, 2),
        ("unanswered, none stands", False, Unknown("timeout"), 2, 2),
        ("not processed, none stands", False, Throttled("busy"), 2, 1),
    ],
)
def test_a_stop_that_was_not_accepted(what: str, covered: bool, outcome: Outcome, refused: int, answered: int) -> None:
    trade = concluded(record(held_trade(covered=covered, moves_refused=2, stop_answers=1)), placing(), outcome)
    assert (trade.moves_refused, trade.stop_answers, trade.placed) == (refused, answered, ()), what


def test_a_found_trades_stop_is_where_it_was_first_put() -> None:
    assert concluded(record(found_trade(stop=None)), placing(), Accepted("s2")).stop == D(96)
    assert concluded(record(found_trade()), placing(), Accepted("s2")).stop == D(95)


# --- a target, a close -------------------------------------------------------------------------------------------


def test_a_refused_target_is_noted_by_its_price() -> None:
    before = held_trade(goals_refused=((D(110), "margin"), (D(120), "margin")))
    crossed = Rejected(Reason.CROSSED, "crossed")
    trade = concluded(record(before), PlaceTarget(D(1), D(110), D(99), "x"), crossed)
    assert trade.goals_refused == ((D(120), "margin"), (D(110), "crossed"))
    assert concluded(record(before), PlaceTarget(D(1), D(110), D(99), "x"), Throttled("busy")).placed == ()


def closing(keep: str = "0") -> Flatten:
    return Flatten(D("0.03"), "manual_close", "why", D(keep))


def test_an_accepted_close_is_waited_for_and_counts_for_its_reason() -> None:
    trade = concluded(record(held_trade()), closing(), Accepted("c1", D("0.6")))
    assert trade.placed == (Placed(Role.FLATTEN, "c1", 2, AT),)
    assert ("c1", "manual_close") in trade.order_roles
    assert ("n2", "manual_close") in trade.order_roles
    assert (trade.held, trade.flatten_tried_ms) == (D("0.4"), NOW)


@pytest.mark.parametrize(
    ("what", "keep", "reason", "asked"),
    [
        ("too small a part", "0.5", Reason.TOO_SMALL, False),
        ("too small, and all is to go", "0", Reason.TOO_SMALL, True),
        ("a part, refused for another reason", "0.5", Reason.MARGIN, True),
    ],
)
def test_only_a_part_too_small_to_sell_is_given_up(what: str, keep: str, reason: Reason, asked: bool) -> None:
    before = held_trade(close=CloseAsk("manual_close", NOW))
    assert (concluded(record(before), closing(keep), Rejected(reason, "no")).close is not None) is asked, what


# --- until when it may appear ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "quiet_ms"),
    [
        (Accepted("s2"), AT + LAG),
        (Unknown("timeout"), DUE + LAG),
        (NO, 0),
        (Rejected(Reason.DUPLICATE_ID, "x"), DUE + LAG),
    ],
)
def test_until_when_an_effect_may_appear(outcome: Outcome, quiet_ms: int) -> None:
    rec = announce(record(held_trade(), quiet_ms=0), placing(), DUE, 9, NOW)
    after = conclude(rec, placing(), outcome, AT, LAG)
    assert (after.quiet_ms, after.pending_ms) == (quiet_ms, 0)


# --- the booking -------------------------------------------------------------------------------------------------

DONE = Exit("external", "", (), None, None, D(1), D(0), D(0), D(0), D(0), 0, NOW - 9, complete=True)
USED = tuple(fill(f"f{n}", "1", "100", NOW) for n in range(40))


def test_a_booked_trade_leaves_its_key_and_its_fills_are_not_counted_again() -> None:
    heir = found_trade()
    after = booked(record(held_trade()), Book(held_trade(), DONE, USED, heir, "why"))
    assert (after.trade, after.settling) == (heir, ())
    assert after.cursor.time_ms == NOW - 9
    assert after.cursor.fill_ids == tuple(f"f{n}" for n in range(8, 40))


def test_what_is_booked_as_incomplete_goes_on_settling_among_the_last_eight() -> None:
    old = tuple(held_trade(id=f"{n:012x}") for n in range(8))
    unfinished = held_trade(revision=4)
    after = booked(record(unfinished, settling=old), Book(unfinished, replace(DONE, complete=False), (), None, "why"))
    assert after.settling == (*old[1:], replace(unfinished, revision=5))


# --- wishes ------------------------------------------------------------------------------------------------------

ALL, PART = CloseAsk("manual_close", NOW), CloseAsk("manual_close", NOW, D("0.5"))
LESS = CloseAsk("manual_close", AT, D("0.2"))


@pytest.mark.parametrize(
    ("before", "asked", "kept"),
    [
        (None, ALL, ALL),
        (None, PART, PART),
        (PART, ALL, ALL),
        (ALL, PART, ALL),
        (PART, replace(PART, asked_ms=AT), replace(PART, asked_ms=AT)),
    ],
)
def test_a_wish_to_close_all_outlives_one_for_a_part(before: CloseAsk | None, asked: CloseAsk, kept: CloseAsk) -> None:
    after = ask_close(record(held_trade(close=before)), asked)
    assert after.trade is not None
    assert after.trade.close == kept
    assert ask_close(record(), asked) == record()


LEFT = record(found_trade(orphan=OrphanPolicy.ALERT))


def test_who_says_anything_of_the_stop_wants_it_to_stand() -> None:
    kept = record(found_trade(orphan=OrphanPolicy.CLOSE))
    for after in (
        move_stop(LEFT, trigger=D(96), now_ms=NOW, loosened=False),
        lift_stop(LEFT, 0),
        set_policy(LEFT, TRAIL),
    ):
        assert after.trade is not None
        assert after.trade.orphan is OrphanPolicy.PROTECT
    lifted, moved = lift_stop(LEFT, NOW + 9), move_stop(kept, trigger=D(96), now_ms=NOW, loosened=True)
    assert lifted.trade is not None
    assert moved.trade is not None
    assert (lifted.trade.off_until_ms, lifted.trade.orphan) == (NOW + 9, OrphanPolicy.ALERT)
    assert (moved.trade.loosened, moved.trade.orphan) == (True, OrphanPolicy.CLOSE)
    assert adopt(LEFT, trigger=D(96), policy=TRAIL, now_ms=NOW, by_person=True).trade.orphan is None  # type: ignore[union-attr]
