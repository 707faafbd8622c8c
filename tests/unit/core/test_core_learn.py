"""What is written down: of an observation, of an effect before it is sent, and of what came of it."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Cancel, Enter, Flatten, PlaceStop, PlaceTarget, Prepare
from stopkeeper.core.asking import questions
from stopkeeper.core.attempts import ROLES_KEPT, with_role
from stopkeeper.core.case import ADMISSION_MARGIN_MS
from stopkeeper.core.effects import announce, ask_close, conclude, move_stop
from stopkeeper.core.learn import NUMBERS_LOST, learn
from stopkeeper.core.model import Lookup, MarginMode, OrderState, Role, Side
from stopkeeper.core.outcomes import (
    Accepted,
    Barred,
    EntryOutcome,
    Outcome,
    Reason,
    Rejected,
    Throttled,
    Unknown,
    settle,
)
from stopkeeper.core.record import CloseAsk, KeyRecord, Placed, TargetTerms, Trade
from tests.unit.core.scene import (
    AIM,
    ENTERED_MS,
    ENTRY_FILL,
    INST,
    LAG,
    LOST,
    NOW,
    TERMS,
    D,
    cid,
    fill,
    found_trade,
    frame,
    held_trade,
    new_trade,
    plan,
    position,
    record,
    seen,
    sent,
    stop,
    target,
    told,
)

DOWN = Unknown("down")
DUE = NOW + 4_000
ENTER = Enter(0, replace(TERMS, goals=AIM, targets=(TargetTerms(D(1), D(110), D(99)),)), "go")
STOP = PlaceStop(D(1), D(95), D("85.5"), "entry", "naked")
TARGET = PlaceTarget(D(1), D(110), D(99), "none")
CLOSE = Flatten(D("0.03"), "manual_close", "asked")
CANCEL = Cancel("s1", Role.STOP, "older")
PREPARE = Prepare(5, MarginMode.ISOLATED, "unset")


def no(reason: Reason) -> Rejected:
    return Rejected(reason, "no")


def learned(trade: Trade | None, look: Any, **more: Any) -> Trade:
    rec = learn(record(trade, **more), look, frame())
    assert rec.trade is not None
    return rec.trade


def done(action: Any, outcome: Outcome | EntryOutcome, trade: Trade | None = None, **more: Any) -> KeyRecord:
    rec = announce(record(held_trade() if trade is None else trade, **more), action, DUE, 1, NOW)
    return conclude(rec, action, outcome, NOW + 100, LAG)


# --- observations ----------------------------------------------------------------------------------------------


def test_nothing_learned_changes_nothing() -> None:
    for rec in (record(), record(held_trade(entered_ms=ENTERED_MS))):
        look = seen(None if rec.trade is None else position(), () if rec.trade is None else (stop(),))
        once = learn(rec, look, frame())
        assert learn(once, look, frame()) == once


def test_the_stop_a_drive_saw_is_noted_once_and_again_when_it_is_another() -> None:
    held = (position(), (stop(),))
    rec = learn(record(held_trade(entered_ms=ENTERED_MS)), seen(*held), frame())
    assert rec.trade is not None
    noted = rec.trade.stop_seen
    assert noted is not None
    assert (noted.order_id, noted.trigger, noted.at_ms) == (stop().id, stop().trigger, NOW)
    later = learn(rec, seen(*held), frame(now_ms=NOW + 1))
    assert later.trade is not None
    assert later.trade.stop_seen == noted
    moved = learn(rec, seen(position(), (stop(id="another"),)), frame(now_ms=NOW + 1))
    assert moved.trade is not None
    assert moved.trade.stop_seen is not None
    assert moved.trade.stop_seen.order_id == "another"


def test_a_crash_between_send_and_note_may_appear_until_its_deadline_and_lag() -> None:
    rec = learn(record(pending_ms=DUE), seen(), frame())
    assert (rec.quiet_ms, rec.pending_ms) == (DUE + LAG, 0)


@pytest.mark.parametrize(
    ("rec", "look", "leaps"),
    [
        (record(new_trade(), n=3), seen(position()), True),
        (record(new_trade(), n=3), seen(), False),
        (record(new_trade(), n=3), seen(Unknown("down")), False),
        (record(new_trade(), n=3, quiet_ms=NOW), seen(position()), False),
        (record(new_trade(sent=(sent(),)), n=3), seen(position()), False),
        (record(new_trade(entered_ms=NOW - 9_000), n=3), seen(position()), False),
        (record(found_trade(), n=3), seen(position()), False),
    ],
    ids=["a position", "none", "unread", "within what may still appear", "sent", "entered", "found"],
)
def test_beside_a_signal_that_was_not_sent_a_position_may_be_what_a_lost_record_sent(
    rec: KeyRecord, look: Any, *, leaps: bool
) -> None:
    after = learn(rec, look, frame())
    assert after.n == 3 + (NUMBERS_LOST if leaps else 0)
    assert not leaps or after.quiet_ms == NOW + ADMISSION_MARGIN_MS + LAG


def test_cancels_are_forgotten_after_a_lag_and_settling_trades_after_a_day() -> None:
    old, new = held_trade(flat_since_ms=NOW - 86_400_000), held_trade(flat_since_ms=NOW - 86_399_999)
    rec = record(canceled=(("a", NOW - LAG), ("b", NOW - LAG + 1)), settling=(old, new))
    rec = learn(rec, seen(), frame())
    assert (rec.canceled, rec.settling) == ((("b", NOW - LAG + 1),), (new,))


def test_numbers_and_roles_are_read_from_the_venue() -> None:
    theirs = stop(order_id="x", client_id=cid(Role.STOP, 99, installation="fffff"))
    entry = stop(order_id="e", client_id=cid(Role.ENTRY, 77))
    rec = learn(record(held_trade()), seen(position(), (stop(n=9), target(n=8), theirs, entry)), frame())
    assert rec.n == 9
    assert rec.trade is not None
    assert dict(rec.trade.order_roles) == {"e1": "entry", "s1": "stop_loss", "t1": "take_profit", "e": "entry"}


def test_a_young_order_seen_is_as_good_as_acked() -> None:
    young = stop(order_id="s5", n=5, placed_ms=NOW - 100)
    trade = learned(held_trade(placed=(Placed(Role.STOP, "s4", 4, NOW - 200),)), seen(position(), (young,)))
    assert trade.placed == (Placed(Role.STOP, "s5", 5, NOW - 100),)
    assert learned(trade, seen(position(), (stop(order_id="s4", n=4, placed_ms=NOW - 200),))).placed == trade.placed
    assert learned(held_trade(placed=(Placed(Role.STOP, "s4", 4, NOW - LAG),)), seen(position())).placed == ()


@pytest.mark.parametrize(
    ("state", "waits"),
    [(None, True), (OrderState.LIVE, True),
     (OrderState.CANCELED, False), (OrderState.FILLED, False), (OrderState.REJECTED, False)],
)  # fmt: skip
def test_a_young_stop_that_is_not_shown_is_waited_for_unless_its_id_tells_that_it_is_over(
    state: OrderState | None, waits: bool
) -> None:
    rec, name = record(held_trade(placed=(Placed(Role.STOP, "s2", 2, NOW - 100),))), cid(Role.STOP, 2)
    assert questions(rec, seen(position()), INST, LAG) == (name,)
    assert questions(rec, seen(position(), (stop(order_id="s2"),)), INST, LAG) == ()
    made = plan(rec, seen(position(), lookups={name: Lookup(name, state)}))
    assert told(made) == ("protection: again" if waits else "protection: PlaceStop")


def test_only_so_many_roles_are_kept() -> None:
    trade = held_trade(order_roles=())
    for i in range(ROLES_KEPT + 5):
        trade = with_role(trade, f"o{i}", "stop_loss")
    assert len(trade.order_roles) == ROLES_KEPT
    assert with_role(trade, "o9", "other") is trade


@pytest.mark.parametrize(
    ("what", "found", "fills", "entered", "unproven"),
    [
        ("unknown id, too early", Lookup(cid(Role.ENTRY, 0), None), (), False, True),
        ("filled", Lookup(cid(Role.ENTRY, 0), OrderState.FILLED, "e1", D(1)), (), True, False),
        ("part filled", Lookup(cid(Role.ENTRY, 0), OrderState.CANCELED, "e1", D("0.4")), (), True, False),
        ("a fill that bears its id", None, (ENTRY_FILL,), True, False),
    ],
)
def test_an_unanswered_entry(what: str, found: Lookup | None, fills: Any, entered: bool, unproven: bool) -> None:
    look = seen(fills=fills, lookups={cid(Role.ENTRY, 0): found} if found else None)
    trade = learned(new_trade(sent=(sent(),), created_ms=ENTERED_MS - 1), look, quiet_ms=NOW)
    assert (trade.entered_ms is not None, trade.sent[0].unproven) == (entered, unproven), what
    if entered:
        assert dict(trade.order_roles)["e1"] == "entry"


def test_absence_proved_is_noted() -> None:
    look = seen(lookups={cid(Role.ENTRY, 0): Lookup(cid(Role.ENTRY, 0), None)})
    assert learned(new_trade(sent=(sent(deadline_ms=NOW - LAG - 1),)), look).sent[0].absent


@pytest.mark.parametrize("before", [(), (sent(absent=True),)])
def test_an_attempt_the_record_has_forgotten_is_taken_up(before: Any) -> None:
    """Redis went back: the look-up before the first send finds what was sent."""
    name = cid(Role.ENTRY, len(before))
    look = seen(lookups={name: Lookup(name, OrderState.FILLED, "e7", D(1))})
    trade = learned(new_trade(sent=before), look)
    assert trade.sent[-1].attempt == len(before)
    assert trade.sent[-1].outcome == Accepted("e7", D(1))
    assert (trade.entered_ms, trade.held) == (NOW, D(1))


def test_numbers_that_a_lost_record_may_have_given_are_not_given_again() -> None:
    """Its stop may live and no list be readable: two that live must not bear one id."""
    name = cid(Role.ENTRY, 0)
    look = seen(orders=DOWN, lookups={name: Lookup(name, OrderState.FILLED, "e7", D(1))})
    assert learn(record(new_trade(), n=3), look, frame()).n == 3 + NUMBERS_LOST
    assert learn(record(new_trade(sent=(sent(),)), n=3), look, frame()).n == 3, "what is on record has lost nothing"


def test_look_ups_of_what_was_answered_or_never_sent_are_passed_over() -> None:
    names = [cid(Role.ENTRY, i) for i in range(3)]
    look = seen(lookups={names[0]: Lookup(names[0], OrderState.FILLED), names[2]: Lookup(names[2], OrderState.LIVE)})
    trade = new_trade(sent=(sent(no(Reason.MARGIN)),))
    assert learned(trade, look).sent == trade.sent


@pytest.mark.parametrize(
    ("what", "trade", "look", "expected"),
    [
        ("covered", held_trade(covered=False, naked_since_ms=NOW - 300, crossed=True, oversize=True, stop_answers=2),
         seen(position(), (stop(),)),
         {"covered": True, "naked_since_ms": None, "naked_ms": 300, "crossed": False, "oversize": False,
          "stop_answers": 0}),
        ("cover lost", held_trade(lost_ms=(NOW - 60_000, NOW - 5)), seen(position()),
         {"covered": False, "naked_since_ms": NOW, "lost_ms": (NOW - 5, NOW)}),
        ("still naked", held_trade(covered=False, naked_since_ms=NOW - 9), seen(position()),
         {"naked_since_ms": NOW - 9, "lost_ms": ()}),
        ("enlarged by hand is not lost", held_trade(), seen(position("2"), (stop(),)),
         {"covered": False, "naked_since_ms": NOW, "lost_ms": (), "held": D(2)}),
        ("acked a moment ago", held_trade(placed=(Placed(Role.STOP, "s9", 9, NOW - 1),)), seen(position()),
         {"covered": True, "naked_since_ms": None}),
        ("orders unreadable, seen once", held_trade(), seen(position(), DOWN),
         {"covered": True, "naked_since_ms": None}),
        ("orders unreadable, never seen", held_trade(covered=False), seen(position(), DOWN), {"naked_since_ms": NOW}),
        ("found without a price", found_trade(stop=None), seen(position(), (stop("93"),)), {"stop": D(93)}),
        ("flat", held_trade(naked_since_ms=NOW - 7), seen(),
         {"covered": False, "held": D(0), "flat_since_ms": NOW, "naked_ms": 7, "naked_since_ms": None}),
        ("flat for a while", held_trade(flat_since_ms=5, held=D(0), covered=False), seen(), {"flat_since_ms": 5}),
        ("flat a second time", held_trade(flat_since_ms=5), seen(fills=DOWN), {"flat_since_ms": NOW, "held": D(0)}),
        ("there again", held_trade(flat_since_ms=5), seen(position(), (stop(),)), {"flat_since_ms": None}),
        ("smaller", held_trade(), seen(position("0.4"), (stop(),)), {"held": D("0.4")}),
        ("a part to keep", held_trade(close=CloseAsk("manual_close", NOW, D("0.5"))), seen(position(), (stop(),)),
         {"close": CloseAsk("manual_close", NOW, D("0.5"), D("0.500"))}),
        ("the part is kept", held_trade(widen=2, close=CloseAsk("manual_close", NOW, D("0.5"), D("0.5"))),
         seen(position("0.5"), (stop(),)), {"close": None, "widen": 0}),
    ],
)  # fmt: skip
def test_observations(what: str, trade: Trade, look: Any, expected: dict[str, Any]) -> None:
    got = learned(trade, look)
    assert {name: getattr(got, name) for name in expected} == expected, what


@pytest.mark.parametrize(("held", "quiet_ms", "left"), [("0", 0, "0"), ("1", 0, "0"), ("1", NOW, "1")])
def test_what_stands_on_the_other_side_is_none_of_the_trades(held: str, quiet_ms: int, left: str) -> None:
    turned = seen(position("2", Side.SHORT), (stop(),))
    assert learned(held_trade(held=D(held)), turned, quiet_ms=quiet_ms).held == D(left)


def test_a_read_that_may_be_stale_makes_nothing_larger() -> None:
    assert learned(held_trade(held=D(0)), seen(position(), (stop(),)), quiet_ms=NOW).held == 0
    ask = CloseAsk("manual_close", NOW, D("0.5"))
    assert learned(held_trade(close=ask), seen(position(), (stop(),)), quiet_ms=NOW).close == ask


# --- effects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "n", "pending"),
    [(ENTER, 3, DUE), (replace(ENTER, terms=TERMS), 2, DUE), (STOP, 2, DUE), (TARGET, 2, DUE), (CLOSE, 2, DUE),
     (CANCEL, 1, 0), (PREPARE, 1, 0)],
)  # fmt: skip
def test_announcing_takes_a_number_and_notes_the_deadline(action: Any, n: int, pending: int) -> None:
    rec = announce(record(held_trade()), action, DUE, 7, NOW)
    assert (rec.n, rec.pending_ms) == (n, pending)
    assert rec.trade is not None
    tried = {STOP: "stop_tried_ms", TARGET: "target_tried_ms", CLOSE: "flatten_tried_ms", PREPARE: "prepare_tried_ms"}
    if action in tried:
        assert getattr(rec.trade, tried[action]) == NOW


def test_an_entry_is_written_before_it_is_sent() -> None:
    before = new_trade(crossed=True, oversize=True, stop_answers=3, goals_refused=((D(110), "cap"),), sent=(sent(),))
    trade = announce(record(before), ENTER, DUE, 7, NOW).trade
    assert trade is not None
    (only,) = trade.sent
    assert (only.nonce, only.deadline_ms, only.unproven) == (7, DUE, True)
    assert (trade.stop, trade.targets) == (D(95), AIM)
    assert (trade.crossed, trade.oversize, trade.stop_answers, trade.goals_refused) == (False, False, 0, ())


def test_a_close_notes_its_reason_by_number_and_needs_no_trade() -> None:
    assert announce(record(), CLOSE, DUE, 7, NOW).n == 2
    trade = announce(record(held_trade()), CLOSE, DUE, 7, NOW).trade
    assert trade is not None
    assert dict(trade.order_roles)["n2"] == "manual_close"


@pytest.mark.parametrize(
    ("outcome", "quiet"),
    [
        (Accepted("o"), NOW + 100 + LAG),
        (LOST, DUE + LAG),
        (no(Reason.STALE_NONCE), DUE + LAG),
        (no(Reason.MARGIN), NOW - 30_000),
        (Throttled("busy"), NOW - 30_000),
        (Barred("agent"), NOW - 30_000),
    ],
)
def test_until_when_an_effect_may_appear(outcome: Outcome, quiet: int) -> None:
    rec = done(STOP, outcome)
    assert (rec.quiet_ms, rec.pending_ms) == (quiet, 0)


def test_an_entry_of_which_nothing_was_answered_stays_unproven() -> None:
    rec = announce(record(new_trade()), ENTER, NOW + 4_000, 1, NOW)
    after = conclude(rec, ENTER, LOST, NOW + 100, LAG).trade
    assert after is not None
    assert [s.unproven for s in after.sent] == [True]


def test_an_entry_answered_in_full() -> None:
    answer = EntryOutcome(Accepted("e2", D(1), D(100)), Accepted("s2", live=True), (Accepted("t2", live=True),))
    trade = done(ENTER, answer, new_trade()).trade
    assert trade is not None
    assert (trade.held, trade.entered_ms) == (D(1), NOW + 100)
    assert trade.placed == (Placed(Role.STOP, "s2", 2, NOW + 100), Placed(Role.TARGET, "t2", 3, NOW + 100))
    assert dict(trade.order_roles) == {"e2": "entry", "s2": "stop_loss", "t2": "take_profit"}


@pytest.mark.parametrize("reason", [Reason.STALE_NONCE, Reason.DUPLICATE_ID])
def test_a_used_nonce_may_be_this_very_attempts(reason: Reason) -> None:
    trade = done(ENTER, EntryOutcome(no(reason), no(reason)), new_trade()).trade
    assert trade is not None
    assert trade.sent[0].unproven


def test_an_entry_without_its_stop_and_target() -> None:
    answer = EntryOutcome(Accepted("e2", D(1), D(100)), no(Reason.CROSSED), (no(Reason.TOO_SMALL),))
    rec = done(ENTER, answer, new_trade())
    assert rec.trade is not None
    assert (rec.trade.crossed, rec.trade.stop_answers, rec.trade.goals_refused) == (True, 1, ((D(110), "too_small"),))
    assert rec.quiet_ms == NOW + 100 + LAG


@pytest.mark.parametrize(
    ("what", "action", "outcome", "expected"),
    [
        (
            "stop accepted",
            STOP,
            Accepted("s2"),
            {"stop_answers": 1, "placed": (Placed(Role.STOP, "s2", 2, NOW + 100),)},
        ),
        ("without an id", STOP, Accepted(), {"placed": (Placed(Role.STOP, None, 2, NOW + 100),)}),
        ("stop refused", STOP, no(Reason.OVERSIZE), {"stop_answers": 1, "oversize": True, "crossed": False}),
        ("stop barred", STOP, Barred("agent"), {"stop_answers": 0}),
        ("target accepted", TARGET, Accepted("t2"), {"placed": (Placed(Role.TARGET, "t2", 2, NOW + 100),)}),
        ("target refused", TARGET, no(Reason.CROSSED), {"goals_refused": ((D(110), "crossed"),)}),
        ("target lost", TARGET, LOST, {"goals_refused": (), "placed": ()}),
        ("closed in part", CLOSE, Accepted("x2", D("0.4")), {"held": D("0.6")}),
        ("close found nobody", CLOSE, no(Reason.NO_LIQUIDITY), {"widen": 1, "flatten_tried_ms": 0}),
        ("part too small", replace(CLOSE, keep=D("0.5")), no(Reason.TOO_SMALL), {"close": None}),
        ("close lost", CLOSE, LOST, {"held": D(1), "widen": 0}),
        ("leverage refused", PREPARE, no(Reason.CAP), {"refusal": "the venue refused the leverage: no"}),
        ("leverage expired", PREPARE, no(Reason.EXPIRED), {"refusal": ""}),
    ],
)
def test_outcomes(what: str, action: Any, outcome: Outcome, expected: dict[str, Any]) -> None:
    trade = done(action, outcome, held_trade(close=CloseAsk("manual_close", NOW))).trade
    assert {name: getattr(trade, name) for name in expected} == expected, what


def test_a_close_that_finds_nobody_at_the_widest_is_paced() -> None:
    trade = done(CLOSE, no(Reason.NO_LIQUIDITY), held_trade(widen=3)).trade
    assert trade is not None
    assert (trade.widen, trade.flatten_tried_ms) == (4, NOW)


def test_a_policys_stop_and_a_found_trades_first_stop() -> None:
    trade = done(replace(STOP, moved_by="policy"), Accepted("s2"), found_trade(stop=None)).trade
    assert trade is not None
    assert (dict(trade.order_roles)["s2"], trade.stop) == ("trailing_stop", D(95))


@pytest.mark.parametrize("outcome", [Accepted(), no(Reason.GONE)])
def test_a_cancel_is_not_repeated_within_a_lag(outcome: Outcome) -> None:
    assert done(CANCEL, outcome).canceled == (("s1", NOW + 100),)
    assert conclude(record(), CANCEL, outcome, NOW, LAG).canceled == (("s1", NOW),)


def test_a_cancel_is_noted_before_it_is_sent_and_unanswered_until_it_can_no_longer_be_done() -> None:
    assert announce(record(held_trade()), CANCEL, DUE, 1, NOW).canceled == (("s1", DUE),)
    assert done(CANCEL, LOST).canceled == (("s1", DUE),)
    again = announce(record(held_trade(), canceled=(("s0", NOW), ("s1", NOW))), CANCEL, DUE, 1, NOW)
    assert again.canceled == (("s0", NOW), ("s1", DUE))


def test_a_resend_can_only_improve() -> None:
    assert settle(LOST, Accepted("e")) == Accepted("e")
    assert settle(LOST, no(Reason.EXPIRED)) == LOST
    assert settle(no(Reason.MARGIN), Accepted("e")) == no(Reason.MARGIN)


# --- wishes ----------------------------------------------------------------------------------------------------


def test_a_wish_to_close_all_is_not_weakened() -> None:
    all_of_it, part = CloseAsk("manual_close", NOW), CloseAsk("manual_close", NOW + 1, D("0.5"))
    rec = ask_close(record(held_trade()), all_of_it)
    assert ask_close(rec, part) == rec
    assert ask_close(ask_close(record(held_trade()), part), all_of_it) == rec
    assert ask_close(record(), part) == record()
    newer = CloseAsk("emergency_exit", NOW + 2)
    assert ask_close(rec, newer) == ask_close(record(held_trade()), newer), "of two such wishes the later counts"


def test_a_persons_stop() -> None:
    trade = move_stop(record(held_trade()), trigger=D(97), now_ms=NOW, loosened=False).trade
    assert trade is not None
    assert (trade.stop, trade.stop_moved_by, trade.stop_moved_ms) == (D(97), "person", NOW)
    assert move_stop(record(), trigger=D(97), now_ms=NOW, loosened=False) == record()


def test_a_hand_fill_does_not_enter_a_signal() -> None:
    look = seen(position(), (stop(),), (fill("h", "1", "100", NOW - 10, "0"),))
    assert learned(new_trade(side=Side.LONG), look).entered_ms is None
