"""What may be done without a record: a table of actions, and the plans that are left of whole cases."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import (
    Again,
    Book,
    Cancel,
    Enter,
    Flatten,
    Found,
    PlaceStop,
    PlaceTarget,
    Plan,
    Prepare,
    Refuse,
)
from stopkeeper.core.case import build
from stopkeeper.core.decide import decide
from stopkeeper.core.evidence import exit_of, follow
from stopkeeper.core.guarding import NUMBERS_APART, alone, copy_of, noted, pressing
from stopkeeper.core.ids import CLOSE_REASONS, N_MAX, ClientId, close_number, close_reason, decode, encode
from stopkeeper.core.learn import learn
from stopkeeper.core.model import MarginMode, OrderKind, Role, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import FIXED, Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, KeyRecord, Placed, Sighting
from stopkeeper.core.rules import Switches
from tests.unit.core.scene import (
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
    position,
    record,
    seen,
    stop,
    target,
    told,
)

MOVE = PlaceStop(D(1), D(97), D(87), "policy", "it moves")
BOOK = Book(held_trade(), exit_of(held_trade(), follow(None, seen().fills, INST), RULES, INST), (), None, "flat")
SUCCESSOR = found_trade()


@pytest.mark.parametrize(
    ("concern", "action", "may"),
    [
        ("protection", replace(MOVE, moved_by="entry"), True),
        ("trailing", MOVE, False),
        ("trailing", replace(MOVE, moved_by="person"), False),
        ("danger", Flatten(D("0.03"), "emergency_exit", "naked"), True),
        ("closing", Flatten(D("0.03"), "manual_close", "a part", D("0.5")), False),
        ("entry", Cancel("e1", Role.ENTRY, "deaf"), True),
        ("hygiene", Cancel("s1", Role.STOP, "older"), False),
        ("hygiene", Cancel("t1", Role.TARGET, "flat"), False),
        ("hygiene", Cancel("x1", Role.FLATTEN, "flat"), False),
        ("entry", Prepare(5, MarginMode.ISOLATED, "new"), False),
        ("entry", Enter(0, TERMS, "signal"), False),
        ("targets", PlaceTarget(D(1), D(110), D(99), "none"), False),
        ("protection", Found(SUCCESSOR, "held"), True),
        ("booking", BOOK, True),
        ("entry", Refuse("expired"), False),
        ("entry", Refuse("displaced", SUCCESSOR), True),
    ],
)
def test_what_may_be_done_alone(concern: str, action: object, may: bool) -> None:
    case = build(record(held_trade()), seen(position(), (stop(),)), frame())
    assert alone(concern, action, case) is may  # type: ignore[arg-type]


def test_a_stop_may_move_where_the_liquidation_price_came_before_it() -> None:
    unsafe = held_trade(unsafe=Sighting(NOW, 1, NOW))
    assert alone("trailing", MOVE, build(record(unsafe), seen(position(), (stop(),)), frame()))


def left(rec: KeyRecord, look: object, **more: object) -> str:
    """Learn and decide as the guardian does."""
    now = frame(**more)
    return told(decide(learn(copy_of(rec), look, now), look, now, alone))  # type: ignore[arg-type]


RESTING = stop(order_id="e9", kind=OrderKind.LIMIT, client_id=cid(Role.ENTRY, 0), side=Side.LONG, reduce_only=False)
CASES = {
    "a covered position rests": (record(held_trade()), seen(position(), (stop(),)), "rest: rest protected"),
    "a naked one gets its stop": (record(held_trade(covered=False)), seen(position()), "protection: PlaceStop"),
    "naked beyond the stop": (record(held_trade(covered=False)), seen(position(mark="94")), "danger: Flatten"),
    "naked beyond by one source": (
        record(held_trade(covered=False)),
        seen(position(mark="94"), second="100"),
        "protection: PlaceStop",
    ),
    "an accepted stop is waited for": (
        record(held_trade(placed=(Placed(Role.STOP, "s9", 9, NOW - 100),))),
        seen(position()),
        "protection: again",
    ),
    "a wish to close a part hides nothing": (
        record(held_trade(close=CloseAsk("manual_close", NOW, D("0.5"), D("0.5")))),
        seen(position(), (stop(), RESTING)),
        "closing: Cancel",
    ),
    "litter stays": (
        record(held_trade()),
        seen(position(), (stop(), stop(n=2, order_id="s2"))),
        "rest: rest protected",
    ),
    "flat with litter": (
        record(held_trade(held=D(0))),
        seen(None, (target(),), (ENTRY_FILL, fill("c", "-1", "99", NOW - 9_000, "1"))),
        "booking: again",
    ),
    "an entry nobody knows": (record(), seen(None, (RESTING,)), "hygiene: Cancel"),
    "a new signal": (record(new_trade()), seen(None), "rest: rest flat"),
    "an orphan": (KeyRecord(record().key), seen(position()), "protection: Found"),
}


@pytest.mark.parametrize(("rec", "look", "plan"), CASES.values(), ids=CASES)
def test_what_is_left_of_a_plan(rec: KeyRecord, look: object, plan: str) -> None:
    assert left(rec, look) == plan


def test_paused_changes_nothing_and_halted_closes() -> None:
    rec, look = record(held_trade()), seen(position(), (stop(),))
    assert left(rec, look, switches=Switches(paused=True)) == "rest: rest protected"
    assert left(rec, look, switches=Switches(halted=True)) == "danger: Flatten"


def test_a_copy_counts_no_time_in_which_nobody_could_act() -> None:
    """A stop was refused, then Redis went: ten seconds later the stop is tried again before anything is closed."""
    rec = record(held_trade(covered=False, naked_since_ms=NOW - 12_000, stop_answers=1, stop_tried_ms=NOW - 900))
    assert left(rec, seen(position())) == "protection: PlaceStop"
    assert told(decide(rec, seen(position()), frame())) == "danger: Flatten"


def test_a_copy_follows_no_policy_and_settles_nothing() -> None:
    trail = Policy(Trail(TrailKind.PERCENT, D("0.01")))
    sighting = Sighting(NOW, 2, NOW)
    trade = held_trade(policy=trail, beyond=sighting, unsafe=sighting, pressed=sighting)
    rec = record(trade, settling=(found_trade(),))
    copied = copy_of(rec)
    assert copied.trade == held_trade(policy=FIXED)
    assert copied.settling == ()
    assert copied.n == rec.n + NUMBERS_APART
    assert copy_of(record()) == replace(record(), n=record().n + NUMBERS_APART)
    assert learn(copied, seen(position(mark="110"), (stop(),)), frame()).trade.stop == D(95)  # type: ignore[union-attr]


def test_what_only_changes_a_record_changes_the_copy() -> None:
    rec = record(held_trade())
    assert noted(record(), Plan("protection", (Found(SUCCESSOR, "held"),))).trade == SUCCESSOR  # type: ignore[union-attr]
    assert noted(rec, Plan("entry", (Refuse("displaced", SUCCESSOR),))).trade == SUCCESSOR  # type: ignore[union-attr]
    after = noted(rec, Plan("ending", (replace(BOOK, successor=SUCCESSOR),)))
    assert (after.trade, after.settling[0].id) == (SUCCESSOR, rec.trade.id)  # type: ignore[union-attr]
    assert noted(rec, Plan("danger", (Flatten(D("0.03"), "emergency_exit", "naked"),))) is None
    assert noted(rec, Plan("rest")) is None


def test_a_flip_is_covered_in_two_steps_of_one_round() -> None:
    fills = (ENTRY_FILL, fill("c", "-3", "100", NOW - 2 * LAG, "1"))
    look = seen(position("2", Side.SHORT), (stop(),), fills)
    rec = learn(copy_of(record(held_trade())), look, frame())
    plan = decide(rec, look, frame(), alone)
    assert told(plan) == "ending: Book"
    after = noted(rec, plan)
    assert after is not None
    again = decide(learn(after, look, frame()), look, frame(), alone)
    assert told(again) == "protection: PlaceStop"
    assert again.actions[0].trigger > 100  # type: ignore[union-attr]


def test_only_what_cannot_wait_presses() -> None:
    naked, covered = seen(position()), seen(position(), (stop(),))
    waits = record(held_trade(covered=False, stop_tried_ms=NOW - 100))
    assert pressing(decide(waits, naked, frame(), alone), NOW)
    assert pressing(decide(record(held_trade(covered=False)), naked, frame(), alone), NOW)
    assert not pressing(decide(record(held_trade()), covered, frame(), alone), NOW)
    flat = seen(None, (target(),), (ENTRY_FILL, fill("c", "-1", "99", NOW - 9_000, "1")))
    assert not pressing(decide(record(held_trade(held=D(0))), flat, frame(), alone), NOW)


@pytest.mark.parametrize(("due_ms", "presses"), [(NOW + 1_999, True), (NOW + 2_000, False)])
def test_who_waits_for_long_does_not_press(due_ms: int, presses: bool) -> None:
    assert pressing(Plan("protection", ends=Again(due_ms, "a stop is to show")), NOW) is presses
    assert not pressing(Plan("booking", ends=Again(due_ms, "fills are to show")), NOW)


def test_blind_it_places_a_stop_only_where_none_was_ever_seen() -> None:
    blind = seen(Unknown("no answer"), Unknown("no answer"))
    assert left(record(held_trade()), blind) == "rest: rest blind"
    assert left(record(held_trade(covered=False)), blind) == "protection: PlaceStop"


# --- a close tells its reason


@pytest.mark.parametrize("reason", CLOSE_REASONS)
def test_a_closes_number_tells_its_reason_and_stays_in_its_digits(reason: str) -> None:
    for n in (0, 1, 0xFFFF, N_MAX):
        number = close_number(n, reason)
        assert close_reason(number) == reason
        assert decode(encode(ClientId(INST, Role.FLATTEN, number, "0" * 12))) is not None
    assert len({close_number(n, reason) for n in range(16)}) == 16, "each close has an id of its own"


def test_a_number_without_a_reason_tells_none() -> None:
    assert close_number(7, "some day's word") == 7
    assert close_reason(7) is None
    assert close_reason(0xFFFFF) is None
    first, second = (close_number(0, reason) for reason in CLOSE_REASONS[:2])
    later = first + len(CLOSE_REASONS) * (second - first)
    assert [close_reason(later - 1), close_reason(later)] == [CLOSE_REASONS[-1], None], "a later version's reason"


def test_the_reason_in_a_closes_id_counts_where_no_record_noted_it() -> None:
    number = close_number(6, "emergency_exit")
    out = fill("c", "-1", "93", NOW - 10, "1", "z", client_id=cid(Role.FLATTEN, number))
    trade = held_trade()
    done = exit_of(trade, follow(trade, seen(fills=(ENTRY_FILL, out)).fills, INST), RULES, INST)
    assert done.reason == "emergency_exit"
    noted_otherwise = held_trade(order_roles=(("z", "time_limit"),))
    assert exit_of(noted_otherwise, follow(trade, seen(fills=(ENTRY_FILL, out)).fills, INST), RULES, INST).reason == (
        "time_limit"
    )
