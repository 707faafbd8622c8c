"""A position that no trade owns: whose it is by its ids, by which policy it is kept, and on every road it is found."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from stopkeeper.core import effects
from stopkeeper.core.actions import Again, Book, Found, PlaceStop, Plan, Refuse, Rest
from stopkeeper.core.case import Frame
from stopkeeper.core.decide import decide
from stopkeeper.core.guarding import alone, copy_of, noted, pressing
from stopkeeper.core.ids import FOUND, found_id
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Fill, Order, Position, Role, Seen, Side
from stopkeeper.core.outcomes import Reason, Rejected, Unknown
from stopkeeper.core.policy import FIXED, Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, KeyRecord, Trade
from stopkeeper.core.report import position_row
from stopkeeper.core.rules import OrphanPolicy, Switches
from stopkeeper.core.sweep import differences
from tests.unit.core.scene import (
    ENTRY_FILL,
    INST,
    KEY,
    LAG,
    NOW,
    RULES,
    D,
    cid,
    fill,
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

P = OrphanPolicy
TRAIL = Policy(Trail(TrailKind.PERCENT, D("0.01")))
EMPTY = KeyRecord(KEY)
STRANGERS = stop("96", order_id="x", client_id=None)
OURS = stop("95")
KEPT = stop("95", client_id=cid(Role.STOP, 1, FOUND + "0" * 9))
OTHERS = cid(Role.ENTRY, 0, "0" * 12, "fffff")
DOWN = Unknown("down")


def by(policy: OrphanPolicy, now_ms: int = NOW, moves: Policy = FIXED, **more: Any) -> Frame:
    return frame(now_ms, rules=replace(RULES, orphan_policy=policy, policy=moves), **more)


def found(policy: OrphanPolicy, look: Seen, rec: KeyRecord = EMPTY) -> Trade:
    """Return the trade a look at a position leads to."""
    (action,) = plan(rec, look, by(policy, moves=TRAIL)).actions
    assert isinstance(action, Found)
    return action.trade


@dataclass
class Claim:
    what: str
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    kept: tuple[OrphanPolicy | None, ...]  # by protect, adopt, close, alert
    held: Position | None = None


NOBODYS = (P.PROTECT, None, P.CLOSE, P.ALERT)
OWN = (None, None, None, None)
BEFORE = (P.PROTECT, None, P.PROTECT, P.PROTECT)
CLAIMS = [
    Claim("nothing of ours", (), (), NOBODYS),
    Claim("a stranger's stop", (STRANGERS,), (), NOBODYS),
    Claim("a stop of ours", (OURS,), (), OWN),
    Claim("a part of a stop of ours", (stop("95", size="0.2"),), (), OWN),
    Claim("a target of ours", (target(),), (), OWN),
    Claim("a stop of ours for a long, and a short is held", (OURS,), (), NOBODYS, position(side=Side.SHORT)),
    Claim("a stop of another installation", (stop(client_id=cid(Role.STOP, 1, installation="fffff")),), (), NOBODYS),
    Claim("an entry of ours in the book only", (replace(OURS, client_id=cid(Role.ENTRY, 0)),), (), NOBODYS),
    Claim("a stop we gave a stranger's position once", (KEPT,), (), BEFORE),
    Claim("such a stop, and one of a trade", (KEPT, stop(n=2, order_id="s2")), (), OWN),
    Claim("opened by an entry of ours", (), (ENTRY_FILL,), OWN),
    Claim("opened by us, enlarged by hand", (), (ENTRY_FILL, fill("h", "2", "100", NOW - 9, "1")), OWN),
    Claim(
        "a small one opened by us, enlarged by hand",
        (),
        (replace(ENTRY_FILL, size=D("0.2")), fill("h", "0.3", "100", NOW - 9, "0.2")),
        OWN,
        position("0.5"),
    ),
    Claim(
        "ours was opened and closed within one ms, and what opened this one is not shown yet",
        (),
        (replace(ENTRY_FILL, id="2"), fill("1", "-1", "99", ENTRY_FILL.time_ms, "1")),
        NOBODYS,
    ),
    Claim(
        "ours was closed, a stranger opened another",
        (),
        (ENTRY_FILL, fill("c", "-1", "99", NOW - 90, "1"), fill("h", "1", "100", NOW - 9, "0")),
        NOBODYS,
    ),
    Claim(
        "ours was flipped by hand",
        (),
        (ENTRY_FILL, fill("c", "-2", "99", NOW - 90, "1")),
        NOBODYS,
        position(side=Side.SHORT),
    ),
    Claim(
        "opened by hand, reduced by an entry of ours",
        (),
        (fill("h", "2", "100", NOW - 90, "0"), fill("e", "-1", "99", NOW - 9, "2", client_id=cid(Role.ENTRY, 0))),
        NOBODYS,
    ),
    Claim("opened by another installation", (), (replace(ENTRY_FILL, client_id=OTHERS),), NOBODYS),
]


@pytest.mark.parametrize("policy", P)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.what)
def test_ids_go_before_the_policy(claim: Claim, policy: OrphanPolicy) -> None:
    kept = claim.kept[list(P).index(policy)]
    trade = found(policy, seen(claim.held or position(), claim.orders, claim.fills))
    assert trade.orphan is kept
    assert trade.policy == (TRAIL if kept is None else FIXED)
    assert trade.id.startswith(FOUND)


@pytest.mark.parametrize(("until_ms", "kept"), [(-1, None), (0, P.CLOSE), (30_000, P.CLOSE)])
def test_a_booked_entry_claims_nothing(until_ms: int, kept: OrphanPolicy | None) -> None:
    booked = replace(EMPTY, cursor=replace(EMPTY.cursor, time_ms=ENTRY_FILL.time_ms + until_ms))
    assert found(P.CLOSE, seen(position(), (), (ENTRY_FILL,)), booked).orphan is kept


def test_fills_that_are_not_read_claim_nothing() -> None:
    assert found(P.CLOSE, seen(position(), (), DOWN)).orphan is P.CLOSE


def test_a_found_trades_id_tells_that_it_was_found() -> None:
    assert found_id(INST, KEY, 1).startswith(FOUND)
    assert len(found_id(INST, KEY, 1)) == 12


THIRD = (target("110", "0.333", n=2, order_id="t1"), target("120", "0.667", n=3, order_id="t2"))


@pytest.mark.parametrize(
    ("what", "held", "orders", "goals", "then"),
    [
        ("none", position(), (OURS,), [], "rest: rest protected"),
        ("one for all", position(), (OURS, target()), ["110"], "rest: rest protected"),
        ("thirds", position(), (OURS, *THIRD), ["110", "120"], "rest: rest protected"),
        ("a part, the rest is the stop's", position(), (OURS, THIRD[0]), ["110"], "rest: rest protected"),
        (
            "of a larger position",
            position("7.013"),
            (stop(size="7.013"), *THIRD),
            ["110", "120"],
            "rest: rest protected",
        ),
        ("more than is held", position("0.5"), (stop(size="0.5"), *THIRD), [], "hygiene: Cancel"),
        ("a stranger's", position(), (OURS, target(client_id=None)), [], "rest: rest protected"),
        ("one that has fired", position(), (OURS, target(fired=True)), [], "rest: rest protected"),
    ],
)
def test_targets_of_a_lost_record_are_rebuilt_by_the_orders_that_stand(
    what: str, held: Position, orders: tuple[Order, ...], goals: list[str], then: str
) -> None:
    look = seen(held, orders)
    trade = replace(found(P.PROTECT, look), policy=FIXED)
    assert [str(goal.price) for goal in trade.targets] == goals, what
    assert told(plan(replace(EMPTY, trade=trade), look, by(P.PROTECT))) == then, what


def test_a_rebuilt_target_that_is_cancelled_is_placed_again_in_its_size() -> None:
    trade = replace(found(P.PROTECT, seen(position(), (OURS, *THIRD))), policy=FIXED)
    later = NOW + 60_000
    made = plan(replace(EMPTY, trade=trade), seen(position(), (OURS, THIRD[1]), at_ms=later), by(P.PROTECT, later))
    assert told(made) == "targets: PlaceTarget"
    assert made.actions[0].size == D("0.333")  # type: ignore[union-attr]


# --- what is done for it -----------------------------------------------------------------------------------------


def kept(policy: OrphanPolicy, ago_ms: int = LAG + 1_000, **more: Any) -> KeyRecord:
    """Return a record whose trade was found under a policy, so long ago."""
    trade = found(policy, seen(position()))
    young = replace(trade, created_ms=NOW - ago_ms, entered_ms=NOW - ago_ms, **more)
    return KeyRecord(
        KEY, n=1, trade=replace(young, policy=more.get("policy", FIXED if policy is not P.ADOPT else TRAIL))
    )


MINE = cid(Role.STOP, 1, kept(P.PROTECT).trade.id)  # type: ignore[union-attr]
COVER = stop("95", client_id=MINE)
ASKED = CloseAsk("manual_close", NOW)


@dataclass
class Deed:
    what: str
    rec: KeyRecord
    look: Seen
    said: str
    policy: OrphanPolicy = P.PROTECT
    switches: Switches = Switches()


DEEDS = [
    Deed("protect: naked", kept(P.PROTECT), seen(position()), "protection: PlaceStop"),
    Deed("protect: covered", kept(P.PROTECT), seen(position(), (COVER,)), "rest: rest protected"),
    Deed("adopt: naked", kept(P.ADOPT), seen(position()), "protection: PlaceStop", P.ADOPT),
    Deed("close: naked, it is covered first", kept(P.CLOSE), seen(position()), "protection: PlaceStop", P.CLOSE),
    Deed("close: covered", kept(P.CLOSE), seen(position(), (COVER,)), "closing: Flatten", P.CLOSE),
    Deed(
        "close: ids may still show",
        kept(P.CLOSE, LAG - 1),
        seen(position(), (COVER,)),
        "rest: rest protected",
        P.CLOSE,
    ),
    Deed(
        "close: fills cannot be read",
        kept(P.CLOSE),
        seen(position(), (COVER,), DOWN),
        "rest: rest protected",
        P.CLOSE,
    ),
    Deed(
        "close: fills begin later",
        kept(P.CLOSE),
        seen(position(), (COVER,), since_ms=NOW - 10),
        "rest: rest protected",
        P.CLOSE,
    ),
    Deed(
        "close: fills begin with it",
        kept(P.CLOSE),
        seen(position(), (COVER,), since_ms=NOW - LAG - 1_000),
        "closing: Flatten",
        P.CLOSE,
    ),
    Deed(
        "close: from the first look that would show our ids",
        kept(P.CLOSE, LAG + 1),
        seen(position(), (COVER,)),
        "closing: Flatten",
        P.CLOSE,
    ),
    Deed("close: a stop of ours shows late", kept(P.CLOSE), seen(position(), (OURS,)), "rest: rest protected", P.CLOSE),
    Deed(
        "close: an entry of ours shows late",
        kept(P.CLOSE),
        seen(position(), (COVER,), (replace(ENTRY_FILL, time_ms=NOW - LAG - 2_000),)),
        "rest: rest protected",
        P.CLOSE,
    ),
    Deed(
        "close: a stop of ours shows once it was asked for",
        kept(P.CLOSE, close=CloseAsk("emergency_exit", NOW)),
        seen(position(), (OURS,)),
        "rest: rest protected",
        P.CLOSE,
    ),
    Deed(
        "close: a stop of ours shows, and a person wants it closed",
        kept(P.CLOSE, close=ASKED),
        seen(position(), (OURS,)),
        "closing: Flatten",
        P.CLOSE,
    ),
    Deed("alert: naked", kept(P.ALERT), seen(position()), "rest: again", P.ALERT),
    Deed(
        "alert: half a stranger's stop",
        kept(P.ALERT),
        seen(position(), (replace(STRANGERS, size=D("0.5")),)),
        "rest: again",
        P.ALERT,
    ),
    Deed("alert: a person gave it one", kept(P.ALERT), seen(position(), (STRANGERS,)), "rest: rest protected", P.ALERT),
    Deed("alert: naked and beyond any stop", kept(P.ALERT), seen(position(mark="82")), "rest: again", P.ALERT),
    Deed("alert: orders unknown", kept(P.ALERT), seen(position(), DOWN), "rest: again", P.ALERT),
    Deed("alert: halted", kept(P.ALERT), seen(position()), "danger: Flatten", P.ALERT, Switches(halted=True)),
    Deed("alert: a person closes it", kept(P.ALERT, close=ASKED), seen(position()), "closing: Flatten", P.ALERT),
    Deed(
        "alert: a stop of ours shows late",
        kept(P.ALERT),
        seen(position(), (stop(size="0.5"),)),
        "protection: PlaceStop",
        P.ALERT,
    ),
    Deed(
        "alert: a stop we gave it once shows late",
        kept(P.ALERT),
        seen(position(), (replace(KEPT, size=D("0.5")),)),
        "protection: PlaceStop",
        P.ALERT,
    ),
    Deed("alert: gone by hand", kept(P.ALERT, 60_000), seen(), "booking: again", P.ALERT),
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.what)
def test_what_is_done_for_a_found_position(deed: Deed) -> None:
    now = by(deed.policy, switches=deed.switches)
    assert told(plan(deed.rec, deed.look, now)) == deed.said


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.what)
def test_the_guardian_goes_by_the_same_rules(deed: Deed) -> None:
    now = by(deed.policy, switches=deed.switches)
    rec = learn(copy_of(deed.rec), deed.look, now)
    assert told(decide(rec, deed.look, now, alone)) == deed.said


def test_before_it_is_taken_in_a_row_says_how_it_will_be_kept() -> None:
    said = []
    for look in (seen(position()), seen(position(), (OURS,)), seen()):
        row = position_row(EMPTY, look, by(P.CLOSE))
        said.append(row.orphan if row else "no row")
    assert said == ["close", None, "no row"]


def test_a_close_by_the_policy_says_so() -> None:
    (action,) = plan(kept(P.CLOSE), seen(position(), (COVER,)), by(P.CLOSE)).actions
    assert (action.reason, action.why) == ("emergency_exit", "the policy closes a position that is nobody's")  # type: ignore[union-attr]


def test_a_waiting_close_is_due_when_the_ids_would_show() -> None:
    rec = kept(P.CLOSE, LAG - 2_500)
    ends = plan(rec, seen(position(), (COVER,)), by(P.CLOSE)).ends
    assert isinstance(ends, Rest)
    assert ends.due_ms == rec.trade.created_ms + LAG + 1  # type: ignore[union-attr]


def test_only_adopt_lets_the_accounts_rule_move_the_stop() -> None:
    far = seen(position(mark="110"), (COVER,), mark="110")
    wanted = {}
    for policy in (P.PROTECT, P.ADOPT):
        after = learn(kept(policy), far, by(policy, moves=TRAIL))
        assert after.trade is not None
        wanted[policy] = after.trade.stop
    assert wanted == {P.PROTECT: D(95), P.ADOPT: D("108.9")}


# --- alert: seen for ever, told for ever, never spinning ---------------------------------------------------------


def test_what_is_left_alone_is_no_rest_and_no_spin() -> None:
    now = by(P.ALERT)
    made = plan(kept(P.ALERT), seen(position()), now)
    assert isinstance(made.ends, Again)
    assert made.ends.due_ms == NOW + RULES.lifted_look_ms
    assert [alarm.kind for alarm in made.alarms] == ["naked"]
    assert "left alone" in made.alarms[0].text
    assert not pressing(made, NOW)
    young = plan(kept(P.ALERT, 100), seen(position()), now)
    assert isinstance(young.ends, Again)
    assert young.ends.due_ms == NOW - 100 + LAG + 1, "an id of ours may still show"


def test_a_sweep_wakes_it_once_a_minute_also_where_its_due_time_is_lost() -> None:
    look, now = seen(position()), by(P.ALERT)
    fresh = learn(kept(P.ALERT), look, now)
    assert differences([(fresh, look, now)]) == ()
    later_ms = NOW + RULES.lifted_look_ms
    later = seen(position(), at_ms=later_ms)
    assert len(differences([(fresh, later, by(P.ALERT, later_ms))])) == 1
    assert len(differences([(kept(P.ALERT), look, now)])) == 1


def test_its_naked_time_is_counted_and_closes_nothing_once_it_is_adopted() -> None:
    rec, clock = kept(P.ALERT), NOW
    for _ in range(3):
        rec = learn(rec, seen(position(), at_ms=clock), by(P.ALERT, clock))
        clock += 60_000
    assert rec.trade is not None
    assert (rec.trade.naked_ms, rec.trade.lost_ms) == (120_000, ())
    taken = effects.adopt(rec, trigger=D(95), by_person=False, policy=TRAIL, now_ms=clock)
    assert taken.trade is not None
    moved = learn(taken, seen(position(), (stop("95"),), at_ms=clock), by(P.ALERT, clock)).trade
    assert moved is not None
    assert moved.first_stop == D(95), "risk is counted from where a person put it"
    refused = replace(taken, trade=replace(taken.trade, stop_answers=1))
    look = seen(position(), at_ms=clock)
    assert told(plan(refused, look, by(P.ALERT, clock))) == "protection: PlaceStop"


# --- every road --------------------------------------------------------------------------------------------------

FLIPPED = (ENTRY_FILL, fill("c", "-3", "100", NOW - 2 * LAG, "1"))


def successor(made: Plan) -> Trade:
    (action,) = made.actions
    assert isinstance(action, Book | Refuse)
    assert action.successor is not None
    return action.successor


@pytest.mark.parametrize("policy", P)
def test_what_a_flip_by_hand_leaves_is_kept_by_the_policy(policy: OrphanPolicy) -> None:
    look = seen(position("2", Side.SHORT), (stop(),), FLIPPED)
    left = successor(plan(record(held_trade()), look, by(policy)))
    assert left.orphan is (None if policy is P.ADOPT else policy)
    assert (left.stop is None) is (policy is P.ALERT)


def test_of_what_was_turned_round_twice_each_turn_is_a_trade_and_takes_over_nothing_of_the_others_side() -> None:
    """The first turn left a short; the long that is held now is what its own end will leave."""
    again = fill("d", "5", "100", NOW - 2 * LAG + 9, "-2")
    look = seen(position("3"), (stop(size="3"), target()), (*FLIPPED, again))
    left = successor(plan(record(held_trade()), look, by(P.ADOPT)))
    assert (left.side, left.opening_size) == (Side.SHORT, D(2))
    assert (left.stop, left.first_stop, left.targets) == (None, None, ())


def test_a_target_of_the_trade_that_ended_is_none_of_what_a_person_opened_after_it() -> None:
    reopened = (
        ENTRY_FILL,
        fill("c", "-1", "100", NOW - 3 * LAG, "1"),
        fill("h", "1", "100", NOW - 2 * LAG, "0"),
    )
    left = successor(plan(record(held_trade()), seen(position(), (stop(), target()), reopened), by(P.PROTECT)))
    assert (left.orphan, left.targets, left.entry_filled) == (P.PROTECT, (), D(0))


@pytest.mark.parametrize("policy", P)
def test_what_displaces_a_signal_is_kept_by_the_policy(policy: OrphanPolicy) -> None:
    refused = new_trade(sent=(sent(Rejected(Reason.MARGIN, "no")),))
    strangers = (fill("h", "1", "100", NOW - 9_000, "0"),)
    look = seen(position(), (stop(),), strangers)  # its stop bears the id of the signal whose place it took
    left = successor(plan(record(refused), look, by(policy)))
    assert left.orphan is (None if policy is P.ADOPT else policy)
    after = learn(record(left), look, by(policy)).trade
    assert after is not None
    assert after.orphan is left.orphan


@pytest.mark.parametrize("policy", P)
def test_the_guardian_takes_in_and_ends_by_the_policy(policy: OrphanPolicy) -> None:
    now, look = by(policy), seen(position("2", Side.SHORT), (stop(),), FLIPPED)
    for rec in (EMPTY, copy_of(record(held_trade()))):
        after = noted(rec, decide(learn(rec, look, now), look, now, alone))
        assert after is not None
        assert after.trade is not None
        assert after.trade.orphan is (None if policy is P.ADOPT else policy)
        then = decide(learn(after, look, now), look, now, alone)
        placed = [type(action) for action in then.actions]
        assert placed == ([] if policy is P.ALERT else [PlaceStop])


@pytest.mark.parametrize(("by_person", "mover", "moved_ms"), [(True, "person", NOW), (False, "entry", 0)])
def test_an_adopted_position_is_the_accounts_own_and_a_persons_stop_is_a_persons(
    by_person: bool, mover: str, moved_ms: int
) -> None:
    rec = record(replace(kept(P.ALERT).trade, loosened=True, stop_why="x"))  # type: ignore[type-var]
    trade = effects.adopt(rec, trigger=D(97), policy=TRAIL, now_ms=NOW, by_person=by_person).trade
    assert trade is not None
    assert (trade.orphan, trade.policy, trade.stop) == (None, TRAIL, D(97))
    assert (trade.stop_moved_by, trade.stop_moved_ms) == (mover, moved_ms)
    assert (trade.loosened, trade.stop_why) == ((False, "") if by_person else (True, "x"))
    assert effects.adopt(EMPTY, trigger=D(97), policy=TRAIL, now_ms=NOW, by_person=by_person) == EMPTY


def test_a_policy_changed_later_changes_nothing_of_what_was_found() -> None:
    assert told(plan(kept(P.PROTECT), seen(position(), (COVER,)), by(P.CLOSE))) == "rest: rest protected"
    assert told(plan(kept(P.ALERT), seen(position()), by(P.PROTECT))) == "rest: again"
