"""What an adversary thought of: actions without end, rests due in the past, closes that starve, false closes."""

from typing import Any

import pytest

from stopkeeper.core.actions import Action, Again, Cancel, Flatten, PlaceStop, PlaceTarget, Plan, Rest
from stopkeeper.core.case import doubtful
from stopkeeper.core.decide import decide
from stopkeeper.core.effects import announce, conclude, lift_stop, move_stop
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Order, Seen, Side
from stopkeeper.core.outcomes import Accepted, Outcome, Reason, Rejected
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, Goal, KeyRecord, Sighting
from tests.unit.core.scene import (
    ENTRY_FILL,
    LAG,
    NOW,
    RULES,
    D,
    fill,
    frame,
    held_trade,
    plan,
    position,
    record,
    seen,
    stop,
    target,
    told,
)

TRAILS = Policy(Trail(TrailKind.PERCENT, D("0.02")))
HALF = (Goal(D(110), D("0.5")),)
STRANGER: dict[str, Any] = {"client_id": None, "order_id": "z9"}


def turn(rec: KeyRecord, look: Seen, now: int) -> tuple[KeyRecord, Plan]:
    """Learn and decide; return the record as it was learned, too."""
    rec = learn(rec, look, frame(now))
    return rec, decide(rec, look, frame(now))


def do(rec: KeyRecord, action: Action, outcome: Outcome, now: int) -> KeyRecord:
    return conclude(announce(rec, action, now + 4_000, 1, now), action, outcome, now, LAG)


def effects(rec: KeyRecord, orders: list[Order], minutes: int = 5, **held: Any) -> int:
    """Count what is sent in minutes of looks every 2 s at a venue that obeys at once and whose price stands still."""
    sent, now, n = 0, NOW, 100
    for _ in range(minutes * 30):
        look = seen(position(**held), tuple(orders), at_ms=now)
        rec, made = turn(rec, look, now)
        for action in made.actions:
            sent, n = sent + 1, n + 1
            name = f"o{n}"
            match action:
                case PlaceStop():
                    orders.append(stop(str(action.trigger), str(action.size), rec.n + 1, name, placed_ms=now))
                case PlaceTarget():
                    orders.append(target(str(action.trigger), str(action.size), rec.n + 1, name, placed_ms=now))
                case Cancel():
                    orders[:] = [o for o in orders if o.id != action.order_id]
            rec = do(rec, action, Accepted(name), now)
        now += 2_000
    return sent


# --- place and cancel without end ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "rec", "orders", "most"),
    [
        (
            "a stranger's target at the same price",
            record(held_trade(targets=HALF)),
            [stop(), target(size="0.3", **STRANGER)],
            1,
        ),
        ("a stranger's larger stop, nearer", record(held_trade()), [stop(), stop("97", "2", **STRANGER)], 0),
        (
            "loosened, and a stranger's larger stop is nearer",
            record(held_trade(stop=D(90), loosened=True)),
            [stop("90"), stop("95", "2", **STRANGER)],
            0,
        ),
        (
            "loosened, its nearer ones go",
            record(held_trade(stop=D(90), loosened=True)),
            [stop(), stop("94", n=2, order_id="s2")],
            3,
        ),
        (
            "loosened, two where it is wanted",
            record(held_trade(stop=D(90), loosened=True)),
            [stop("90", "2"), stop("90", n=2, order_id="s2")],
            1,
        ),
        (
            "stops that cover in sum are brought together",
            record(held_trade()),
            [stop(size="0.6"), stop(size="0.6", n=2, order_id="s2")],
            3,
        ),
        ("larger than the position", record(held_trade()), [stop(size="2")], 2),
    ],
)
def test_it_comes_to_an_end(what: str, rec: KeyRecord, orders: list[Order], most: int) -> None:
    assert effects(rec, orders) == most, what
    assert effects(rec, orders) == 0, what


def test_a_drifting_liquidation_price_is_no_reason_for_ever_more_stops() -> None:
    """A person wants the stop farther than the liquidation price lets it stand, and that moves by every tick."""
    rec, orders, sent, now = record(held_trade(stop=D(80), loosened=True)), [stop()], 0, NOW
    for number in range(60):
        edge = D(81) - D(number % 7) / 100
        look = seen(position(liquidation_price=edge), tuple(orders), at_ms=now)
        rec, made = turn(rec, look, now)
        for action in made.actions:
            sent += 1
            if isinstance(action, PlaceStop):
                orders.append(stop(str(action.trigger), "1", rec.n + 1, f"o{sent}", placed_ms=now))
            elif isinstance(action, Cancel):
                orders = [o for o in orders if o.id != action.order_id]
            rec = do(rec, action, Accepted(f"o{sent}"), now)
        now += 12_000
    assert sent == 2, "one is placed, the nearer one goes"
    assert len(orders) == 1


def test_a_stop_stays_a_persons_where_a_stranger_stands_nearer() -> None:
    """Ours was larger than the position beside a stranger's: it is not carried to the stranger's trigger."""
    made = plan(record(held_trade()), seen(position(), (stop(size="2"), stop("97", "2", **STRANGER))))
    assert not any(isinstance(a, PlaceStop) and a.trigger == D(97) for a in made.actions)


def test_stops_that_cover_in_sum_still_move() -> None:
    both = (stop(size="0.6"), stop(size="0.6", n=2, order_id="s2"))
    (action,) = plan(record(held_trade(stop=D(97), stop_moved_ms=NOW - 1)), seen(position(), both)).actions
    assert isinstance(action, PlaceStop)
    assert (action.trigger, action.size) == (D(97), D(1))


def test_what_strangers_cover_in_sum_is_left_to_them() -> None:
    both = (stop(size="0.6", **STRANGER), stop(size="0.6", client_id=None, order_id="z8"))
    assert told(plan(record(held_trade()), seen(position(), both))) == "rest: rest protected"


# --- due in the past, or never ---------------------------------------------------------------------------------


def due(made: Plan) -> int | None:
    assert isinstance(made.ends, Rest | Again)
    return made.ends.due_ms


def test_a_wish_that_must_be_confirmed_is_not_asked_for_without_end() -> None:
    """The sources contradict each other: the stop does not move, and nobody looks in a tight loop for it to."""
    made = plan(record(held_trade(policy=TRAILS, peak=D(105))), seen(position(mark="104"), (stop(),), second="102"))
    assert told(made) == "rest: rest protected"
    assert due(made) is None


def test_a_wish_that_must_wait_is_looked_at_then() -> None:
    rec = record(held_trade(policy=TRAILS, peak=D(104), stop_moved_ms=NOW - 10_000))
    assert due(plan(rec, seen(position(mark="104"), (stop(),)))) == NOW + 20_001


# --- what starves what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "more", "expected"),
    [
        ("nothing else is wanted", {}, "rest: rest protected"),
        ("a close is asked", {"close": CloseAsk("manual_close", NOW)}, "closing: Flatten"),
        ("the liquidation price is in front", {"unsafe": Sighting(NOW - 900, 1, NOW - 900)}, "rest: rest protected"),
    ],
)
def test_a_price_between_the_stop_and_the_buffer_starves_nothing(what: str, more: Any, expected: str) -> None:
    """The stop stands in front of the liquidation price, if not by the whole buffer, and will work."""
    rec = record(held_trade(stop=D(91), **more))
    assert told(plan(rec, seen(position(mark="92", liquidation_price=D(90)), (stop("91"),)))) == expected, what


# --- false closes ----------------------------------------------------------------------------------------------


def test_one_reading_by_one_source_moves_no_stop() -> None:
    """Else the venue refuses the stop, and the next good price seems to have passed where it belongs: a false close."""
    rec = record(held_trade(policy=TRAILS, peak=D(100), stop=D(98)))
    spike = seen(position(mark="104.9"), (stop("98"),), second=None)
    assert doubtful(rec, spike, RULES), "it must be asked for"
    rec, made = turn(rec, spike, NOW)
    assert not made.actions
    rec, made = turn(rec, seen(position(), (stop("98"),)), NOW + 200)
    assert told(made) == "rest: rest protected"


@pytest.mark.parametrize("side", list(Side))
def test_the_first_reading_counts_from_the_entry(side: Side) -> None:
    mark = "150" if side is Side.LONG else "50"
    level = "95" if side is Side.LONG else "105"
    rec = record(held_trade(policy=TRAILS, side=side, stop=D(level), first_stop=D(level)))
    order = stop(level, side=side.opposite, price=D(level) * (1 - side.sign * D("0.1")))
    look = seen(position("1", side, mark, liquidation_price=None), (order,), second=None)
    assert doubtful(rec, look, RULES)
    learned = learn(rec, look, frame()).trade
    assert learned is not None
    assert (learned.peak, learned.stop) == (None, D(level))


def test_of_two_sources_the_worse_is_the_best_price() -> None:
    rec = record(held_trade(policy=TRAILS, peak=D(100)))
    learned = learn(rec, seen(position(mark="110"), (stop(),), second="109.5"), frame()).trade
    assert learned is not None
    assert (learned.peak, learned.stop) == (D("109.5"), D("107.31"))


def test_a_refused_move_says_nothing_of_the_stop_that_stands() -> None:
    """A view that once does not show it is a reason to place another, not to close."""
    rec = record(held_trade(stop=D("99.9"), stop_moved_ms=NOW - 1))
    rec, made = turn(rec, seen(position(), (stop(),)), NOW)
    rec = do(rec, made.actions[0], Rejected(Reason.CROSSED, "no"), NOW)
    rec, made = turn(rec, seen(position()), NOW + 600)
    assert told(made) == "protection: PlaceStop"


@pytest.mark.parametrize("ended", ["said", "moved", "time"])
def test_who_wants_the_stop_again_has_the_whole_time_to_get_it(ended: str) -> None:
    """A stop that was lifted for long is not missing for long: one refusal is no reason to close."""
    rec = record(held_trade(off_until_ms=NOW + 300_000))
    rec, _ = turn(rec, seen(position()), NOW)
    now = NOW + 200_000
    rec, _ = turn(rec, seen(position(), at_ms=now), now)
    if ended == "said":
        rec = lift_stop(rec, 0)
    elif ended == "moved":
        rec = move_stop(rec, trigger=D(96), now_ms=now, loosened=False)
    else:
        now += 100_001
    rec, made = turn(rec, seen(position(), at_ms=now), now)
    (action,) = made.actions
    assert isinstance(action, PlaceStop)
    rec = do(rec, action, Rejected(Reason.BAD_PRICE, "no"), now)
    rec, made = turn(rec, seen(position(), at_ms=now + 600), now + 600)
    assert told(made) == "protection: PlaceStop"


def test_a_target_that_fired_is_not_taken_twice() -> None:
    """It fired between two reads, and was refused when placed again: the position is read late enough to tell."""
    rec = record(held_trade(targets=HALF))
    rec, made = turn(rec, seen(position(mark="110"), (stop(),)), NOW)
    (action,) = made.actions
    rec = do(rec, action, Rejected(Reason.CROSSED, "no"), NOW)
    for later in (100, LAG):
        rec, made = turn(rec, seen(position(mark="111"), (stop(),), at_ms=NOW + later), NOW + later)
        assert told(made) == "targets: rest protected"
    rec, made = turn(rec, seen(position(mark="111"), (stop(),), at_ms=NOW + LAG + 1), NOW + LAG + 1)
    (action,) = made.actions
    assert isinstance(action, Flatten)
    assert (action.keep, action.reason) == (D("0.5"), "take_profit")


# --- what is said ----------------------------------------------------------------------------------------------


def test_what_waits_without_a_stop_is_not_called_protected() -> None:
    rec = record(held_trade(off_until_ms=NOW + 60_000, close=CloseAsk("manual_close", NOW, D("0.5"))), quiet_ms=NOW)
    assert told(plan(rec, seen(position()))) == "closing: rest lifted"


def test_nothing_is_unsafe_that_is_not_held() -> None:
    rec = record(held_trade(unsafe=Sighting(NOW - 6_000, 3, NOW - 1)))
    out = fill("c", "-1", "94.9", NOW - 5_000, "1", "s1")
    assert [a.kind for a in plan(rec, seen(None, (), (ENTRY_FILL, out))).alarms] == []
