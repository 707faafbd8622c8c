"""Corners of the rules that no longer story turns: a table of situations, and single values."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Book, PlaceStop, Prepare, Refuse, Rest
from stopkeeper.core.audit import breaches
from stopkeeper.core.believe import Held
from stopkeeper.core.case import build
from stopkeeper.core.decide import decide
from stopkeeper.core.effects import announce, ask_close, booked, conclude, lift_stop, move_stop, set_policy
from stopkeeper.core.evidence import exit_of, follow
from stopkeeper.core.hygiene import hygiene
from stopkeeper.core.learn import learn
from stopkeeper.core.model import AccountSeen, Distance, Lookup, MarginMode, Resting, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Reason, Rejected, Unknown
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.prices import CONFIRMATIONS, Flaw, Tape, Toward, to_grid
from stopkeeper.core.record import CloseAsk, Goal, KeyRecord
from stopkeeper.core.report import Phase, phase_of, position_row
from stopkeeper.core.sweep import differences
from stopkeeper.core.targets import wanted_targets
from stopkeeper.core.trailing import Course
from tests.unit.core.scene import (
    AIM,
    ENTRY_FILL,
    INST,
    LAG,
    NOW,
    RULES,
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
    signal,
    stop,
    target,
    told,
)

DOWN = Unknown("down")
ENTRY = cid(Role.ENTRY, 0)
NO = Rejected(Reason.MARGIN, "no")
CROSSED = record(held_trade(targets=AIM, goals_refused=((D(110), "crossed"),), target_tried_ms=NOW - 100))
TRAILS = Policy(Trail(TrailKind.PERCENT, D("0.02")))


@pytest.mark.parametrize(
    ("what", "rec", "look", "expected"),
    [
        (
            "a young signal whose id is not known at the venue",
            record(new_trade(created_ms=NOW - 4_000)),
            seen(lookups={ENTRY: Lookup(ENTRY, None)}),
            "entry: Enter",
        ),
        (
            "flat, and the orders were read too early",
            record(new_trade(), quiet_ms=NOW - 1),
            replace(seen(), orders=replace(seen(at_ms=NOW - 2).orders)),
            "entry: rest flat",
        ),
        (
            "refused, while an earlier attempt is not proved",
            record(new_trade(sent=(sent(), sent(NO, attempt=1)))),
            seen(position(), (stop(),)),
            "rest: rest protected",
        ),
        (
            "a passed target by one source alone",
            CROSSED,
            seen(position(mark="111"), (stop(),), second=None),
            "rest: rest protected",
        ),
        (
            "a passed target, the other source is old",
            CROSSED,
            replace(
                seen(position(mark="111"), (stop(),)),
                second=replace(seen(position(mark="111")).second, age_ms=RULES.mark_age_ms + 1),  # type: ignore[type-var]
            ),
            "rest: rest protected",
        ),
        (
            "found with two targets: the newest that takes all stays",
            record(found_trade()),
            seen(position(), (stop(), target(), target("120", n=5, order_id="t5"))),
            "hygiene: Cancel",
        ),
        (
            "found with two targets, none takes all",
            record(found_trade()),
            seen(position(), (stop(), target(size="0.5"), target("120", "0.5", n=5, order_id="t5"))),
            "rest: rest protected",
        ),
        (
            "a stop that stands and a stop that is on its way out",
            record(held_trade(), canceled=(("s2", NOW - 100),)),
            seen(position(), (stop(), stop("94", n=2, order_id="s2"))),
            "rest: rest protected",
        ),
    ],
)
def test_situations(what: str, rec: KeyRecord, look: Seen, expected: str) -> None:
    assert told(plan(rec, look)) == expected, what


def test_nothing_is_asked_of_a_rest_without_a_trade() -> None:
    """As the guardian decides, who may not take a position in."""
    made = decide(record(), seen(position(), (stop(),)), frame(), lambda _concern, _action, _case: False)
    assert made.ends == Rest(made.ends.kind, None, "1 long covered by stop s1 at 95")  # type: ignore[union-attr]


def test_hygiene_leaves_what_an_entry_that_rests_may_need() -> None:
    resting = replace(TERMS, resting=Resting.GTC)
    trade = new_trade(sent=(sent(Accepted("e1", live=True), terms=resting),), signal=signal(resting=Resting.GTC))
    assert hygiene(build(record(trade), seen(orders=(stop(placed_ms=NOW - 99_000),)), frame())) == []


def test_a_key_without_a_trade_has_not_entered() -> None:
    case = build(record(), seen(), frame())
    assert (case.entered, case.lifted, case.entries) == (False, False, ())


def test_targets_of_the_other_side_are_not_wanted() -> None:
    case = build(record(held_trade(targets=AIM)), seen(position("1", Side.SHORT)), frame())
    assert isinstance(case.belief, Held)
    assert list(wanted_targets(case, case.belief)) == []


def test_blind_for_long_is_an_alarm() -> None:
    for since, kinds in ((NOW - 10_000, []), (NOW - 10_001, ["blind"])):
        made = plan(record(blind_since_ms=since), seen(DOWN, DOWN, DOWN))
        assert [alarm.kind for alarm in made.alarms] == kinds


def test_contradicting_sources_are_an_alarm() -> None:
    (alarm,) = plan(record(held_trade()), seen(position(), (stop(),), second="102")).alarms
    assert alarm.kind == "price"
    assert (
        alarm.text == "main:BTC: the sources of its mark contradict each other: 100 by the position, 102 by the stream"
    )


def test_lifted_is_an_alarm() -> None:
    made = plan(record(held_trade(off_until_ms=NOW + 9_000)), seen(position()))
    assert [(a.kind, a.text) for a in made.alarms] == [
        ("off", "main:BTC: held without a stop for 9000 ms more, as asked")
    ]
    assert isinstance(made.ends, Rest)
    assert made.ends.due_ms == NOW + 9_001
    long = plan(record(held_trade(off_until_ms=NOW + 900_000)), seen(position())).ends
    assert isinstance(long, Rest)
    assert long.due_ms == NOW + RULES.lifted_look_ms


def test_what_changes_only_the_record_announces_nothing() -> None:
    rec = record(new_trade())
    assert announce(rec, Refuse("no"), NOW, 1, NOW) == rec
    prepared = announce(rec, Prepare(5, MarginMode.ISOLATED, "x"), NOW, 1, NOW).trade
    assert prepared is not None
    assert prepared.prepare_tried_ms == NOW


def test_an_entry_answered_without_an_id() -> None:
    rec = record(new_trade())
    (action,) = plan(rec, seen()).actions
    done = conclude(
        announce(rec, action, NOW + 4_000, 1, NOW), action, EntryOutcome(Accepted(), Accepted("s1")), NOW, LAG
    ).trade
    assert done is not None
    assert done.order_roles == (("s1", "stop_loss"),)
    assert done.entered_ms is None


def test_a_fill_told_by_an_id_that_names_no_order() -> None:
    learned = learn(
        record(new_trade(sent=(sent(),)), quiet_ms=NOW), seen(lookups={ENTRY: Lookup(ENTRY, None, None, D(1))}), frame()
    )
    assert learned.trade is not None
    assert (learned.trade.held, learned.trade.order_roles) == (D(1), ())


def test_a_late_booking_touches_no_trade_of_today() -> None:
    old, new = held_trade(id="f" * 12, flat_since_ms=NOW), held_trade()
    fills = seen(fills=(replace(ENTRY_FILL, client_id=None), fill("c", "-1", "94.9", NOW - 5_000, "1", "s1"))).fills
    chain = follow(old, fills, INST)
    book = Book(old, exit_of(old, chain, RULES, INST), chain.used, None, "the fills that were missing have come")
    assert book.exit.complete
    rec = booked(record(new, settling=(old,)), book)
    assert (rec.trade, rec.settling, rec.cursor.time_ms) == (new, (), 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda rec: ask_close(rec, CloseAsk("manual_close", NOW)),
        lambda rec: move_stop(rec, trigger=D(1), now_ms=NOW, loosened=True),
        lambda rec: lift_stop(rec, NOW + 1),
        lambda rec: set_policy(rec, TRAILS),
    ],
)
def test_a_wish_about_nothing_changes_nothing(change: Any) -> None:
    assert change(record()) == record()


def test_a_persons_move_ends_what_was_lifted() -> None:
    trade = move_stop(
        record(held_trade(off_until_ms=NOW + 9, stop_why="x")), trigger=D(96), now_ms=NOW, loosened=False
    ).trade
    assert trade is not None
    assert (trade.off_until_ms, trade.stop, trade.stop_moved_by, trade.stop_why) == (0, D(96), "person", "")


def test_moves_that_were_acked_are_counted_for_an_hour() -> None:
    trade = learn(record(held_trade(moves_ms=(NOW - 3_600_000, NOW - 99))), seen(position(), (stop(),)), frame()).trade
    move = PlaceStop(D(1), D(97), D(87), "policy", "it moves")
    done = conclude(record(trade), move, Accepted("s2"), NOW, LAG).trade
    assert done is not None
    assert done.moves_ms == (NOW - 99, NOW)
    same = conclude(record(trade), replace(move, trigger=D(95)), Accepted("s2"), NOW, LAG).trade
    assert same is not None
    assert same.moves_ms == (NOW - 3_600_000, NOW - 99), "a stop that only follows the size has not moved"


def test_a_step_by_one_source_is_believed() -> None:
    rec = record(held_trade(policy=TRAILS, peak=D(100), stop=D(98)))
    learned = learn(rec, seen(position(mark="100.24"), (stop("98"),), second=None), frame()).trade
    assert learned is not None
    assert learned.peak == D("100.24")


def test_no_measure_of_what_was_never_said() -> None:
    course = Course(Side.LONG, D(100), None, D(110), D(0))
    assert course.risk is None


@pytest.mark.parametrize(("raw", "expected"), [("0.123456", "0.1234"), ("123456.789", "123456.7890")])
def test_a_grid_without_figures(raw: str, expected: str) -> None:
    assert to_grid(D(raw), decimals=4, significant=None, tick=None, toward=Toward.DOWN) == D(expected)


def test_a_tape_believes_what_is_near_or_confirmed() -> None:
    tape, flaw = Tape().take(D(100), 0, D("0.05"), 60_000)
    assert (tape, flaw) == (Tape(D(100), 0), None)
    for number in range(1, CONFIRMATIONS):
        tape, flaw = tape.take(D(120), number, D("0.05"), 60_000)
        assert (tape.good, tape.others, flaw) == (D(100), number, Flaw.FAR_OFF)
    assert tape.take(D(80), 9, D("0.05"), 60_000)[0] == Tape(D(100), 0, D(80), 1)
    assert tape.take(D(121), 9, D("0.05"), 60_000) == (Tape(D(121), 9), None)
    assert tape.take(D(80), 60_001, D("0.05"), 60_000) == (Tape(D(80), 60_001), None)


def test_what_an_entry_is_worth() -> None:
    assert TERMS.notional == D(100)
    assert replace(TERMS, resting=Resting.GTC, worst_price=D(98)).notional == D(98)


def test_how_a_resting_entry_shows() -> None:
    resting = replace(TERMS, resting=Resting.GTC, worst_price=D(98))
    trade = new_trade(sent=(sent(Accepted("e1", live=True), terms=resting),), signal=signal(resting=Resting.GTC))
    assert phase_of(build(record(trade), seen(), frame())) is Phase.ENTRY_RESTING
    row = position_row(record(trade), seen(), frame())
    assert row is not None
    assert row.phase is Phase.ENTRY_RESTING


def test_a_doubtful_mark_wakes() -> None:
    rec, look = (
        record(held_trade(targets=(Goal(D(110), D(1)),))),
        seen(position(mark="111"), (stop(), target()), second=None),
    )
    (wake,) = differences([(rec, look, frame())])
    assert wake.why == "its mark is at a stop or target and must be confirmed"
    assert differences([(rec, seen(position(mark="111"), (stop(), target())), frame())]) == ()


def test_no_breach_where_nothing_can_be_told() -> None:
    found = breaches("main", AccountSeen(), [(record(held_trade()), seen(position(), DOWN), frame())], ())
    assert {breach.kind for breach in found} == {"blind"}


def test_a_signal_at_a_distance_from_its_limit() -> None:
    wish = signal(limit=D(101), stop=Distance(fraction=D("0.05")))
    (action,) = plan(record(new_trade(signal=wish)), seen()).actions
    assert action.terms.stop == D(95), "what does not rest counts from the mark"  # type: ignore[union-attr]
