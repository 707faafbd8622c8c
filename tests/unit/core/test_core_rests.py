"""What a turn ends in when there is nothing to do: which rest, when it is looked at again, what is told beside it."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Action, Rest, RestKind
from stopkeeper.core.case import Case, build
from stopkeeper.core.decide import decide, rest
from stopkeeper.core.model import OrderKind, Resting, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, Unknown
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.record import KeyRecord, Sent
from stopkeeper.core.rules import OrphanPolicy, Switches
from tests.unit.core.scene import (
    LAG,
    NOW,
    RULES,
    TERMS,
    TRADE,
    D,
    cid,
    found_trade,
    frame,
    held_trade,
    plan,
    position,
    record,
    seen,
    sent,
    signal,
    stop,
)

DOWN = Unknown("down")
TRAIL = Policy(Trail(TrailKind.PERCENT, D("0.02")))
RESTS = sent(Accepted("e1", D("0.4"), D(100)), terms=replace(TERMS, resting=Resting.GTC))
SOON, LATER = NOW + 500, NOW + 1_000
ALONE = found_trade(orphan=OrphanPolicy.ALERT, stop=None)
TWO = (stop(), stop("94", order_id="s2"))
GOING = (("s2", NOW),)
UNDER_WAY = (RestKind.PROTECTED, SOON)
LIFTED = held_trade(off_until_ms=NOW + 90_000)


@pytest.mark.parametrize(
    ("stops", "stands_ms", "due_ms"),
    [(2, 600, 601), (2, 100, 500), (2, 0, 500), (2, -1, None), (1, 600, None)],
)
def test_a_stop_too_many_is_looked_at_again_once_it_may_go(stops: int, stands_ms: int, due_ms: int | None) -> None:
    """Which of two stops covers is told once views show the size as it is, a lag after it changed."""
    rec = record(held_trade(sized_ms=NOW + stands_ms - LAG))
    both = (stop("96", order_id="s1", n=1), stop("95", order_id="s2", n=2))[:stops]
    assert rest(build(rec, seen(position(), both), frame())).due_ms == (None if due_ms is None else NOW + due_ms)


@pytest.mark.parametrize(
    ("what", "rec", "look", "ends"),
    [
        ("covered, the orders unread", record(held_trade()), seen(position(), DOWN), (RestKind.BLIND, LATER)),
        ("never covered, the orders unread", record(held_trade(covered=False)), seen(position(), DOWN), (None, SOON)),
        ("naked", record(held_trade()), seen(position()), (None, SOON)),
        (
            "acked, under its stop",
            record(held_trade(), quiet_ms=NOW),
            seen(None, (stop(),)),
            (RestKind.PROTECTED, NOW + RULES.confirm_ms[0]),
        ),
        ("protected", record(held_trade()), seen(position(), (stop(),)), (RestKind.PROTECTED, None)),
        ("flat", record(), seen(), (RestKind.FLAT, None)),
        ("flat, an order of ours shown", record(), seen(None, (stop(),)), (RestKind.FLAT, SOON)),
        ("nothing can be told", record(quiet_ms=NOW), seen(), (RestKind.BLIND, LATER)),
        ("lifted", record(LIFTED), seen(position()), (RestKind.LIFTED, NOW + RULES.lifted_look_ms)),
        (
            "lifted, the time nearly up",
            record(replace(LIFTED, off_until_ms=NOW + 700)),
            seen(position()),
            (RestKind.LIFTED, NOW + 701),
        ),
        ("part of it covered", record(held_trade()), seen(position("2"), (stop(),)), (None, SOON)),
        ("left alone", record(ALONE), seen(position()), (None, NOW + 60_000)),
        ("a cancel of ours is to show", record(held_trade(), canceled=GOING), seen(position(), TWO), UNDER_WAY),
    ],
)  # fmt: skip
def test_how_a_key_is_left(what: str, rec: KeyRecord, look: Seen, ends: tuple[RestKind | None, int | None]) -> None:
    left = rest(build(rec, look, frame()))
    assert ((left.kind if isinstance(left, Rest) else None), left.due_ms) == ends, what
    assert left.why


def test_why_it_is_flat_or_unknown_is_told() -> None:
    assert rest(build(record(), seen(), frame())).why == "nothing is held on a read later than all we sent can appear"
    assert "may still appear" in rest(build(record(quiet_ms=NOW), seen(), frame())).why


def due(rec: KeyRecord, look: Seen, now_ms: int = NOW) -> int | None:
    """Return when a key at rest is due, before anything of the look is learned."""
    return rest(build(rec, look, frame(now_ms))).due_ms


def test_what_is_overdue_is_looked_at_soon_and_never_in_the_past() -> None:
    under = (stop(),)
    ahead = record(held_trade(policy=TRAIL, peak=D(110), stop_moved_ms=NOW - 60_000))
    assert due(ahead, seen(position(mark="110"), under, mark="110")) == SOON
    resting = replace(
        stop(), id="e1", client_id=cid(Role.ENTRY, 0), side=Side.LONG, kind=OrderKind.LIMIT, reduce_only=False
    )
    expired = record(held_trade(signal=signal(expires_ms=NOW - 60_000)))
    assert due(expired, seen(position(), (*under, resting))) == SOON
    later = record(held_trade(signal=signal(expires_ms=NOW + 60_000)))
    assert due(later, seen(position(), (*under, resting))) == NOW + 60_001
    other = stop("105", n=3, order_id="s3", side=Side.LONG, placed_ms=NOW - 60_000)
    assert due(record(held_trade()), seen(position(), (*under, other))) == SOON


@pytest.mark.parametrize(
    ("what", "attempt", "quiet_ms", "trade", "due_ms"),
    [
        ("its entry rests: a fill, or its expiry, wakes the key", RESTS, NOW + 700, TRADE, None),
        ("unproven", replace(RESTS, outcome=DOWN), NOW + 700, TRADE, None),
        ("over, and its fills may be late", replace(RESTS, over=True), NOW + 700, TRADE, NOW + 701),
        ("over, and quiet in a moment", replace(RESTS, over=True), NOW, TRADE, SOON),
        ("over, and quiet", replace(RESTS, over=True), NOW - 1, TRADE, NOW + LAG - 99),
        ("another trade's", RESTS, NOW + 700, "ffffffffffff", NOW + LAG - 99),
    ],
)
def test_a_stop_of_the_other_side_is_looked_at_again_once_it_may_be_litter(
    what: str, attempt: Sent, quiet_ms: int, trade: str, due_ms: int | None
) -> None:
    other = stop("105", order_id="s3", side=Side.LONG, placed_ms=NOW - 100, client_id=cid(Role.STOP, 3, trade))
    rec = record(held_trade(sent=(attempt,)), quiet_ms=quiet_ms)
    assert due(rec, seen(position(), (stop(), other))) == due_ms, what


def test_every_stop_that_covers_is_named() -> None:
    halves = (stop(size="0.5"), stop("94.5", size="0.5", n=2, order_id="s2"))
    why = rest(build(record(held_trade()), seen(position(), halves), frame())).why
    assert why == "1 long covered by stop s1 at 95, stop s2 at 94.5"


@pytest.mark.parametrize(
    ("what", "rec", "look", "alarms"),
    [
        (
            "naked",
            record(held_trade(naked_since_ms=NOW - 40)),
            seen(position()),
            {"naked": "main:BTC: naked for 40 ms"},
        ),
        (
            "left alone",
            record(ALONE),
            seen(position()),
            {"naked": "main:BTC: long 1 is naked and left alone by the policy; see stopkeeper orphans"},
        ),
        (
            "unsafe",
            record(held_trade()),
            seen(position(liquidation_price=D(96)), (stop(),)),
            {"unsafe": "main:BTC: the liquidation price lies in front of the stop"},
        ),
        (
            "lifted",
            record(LIFTED),
            seen(position()),
            {"off": "main:BTC: held without a stop for 90000 ms more, as asked"},
        ),
        ("well", record(held_trade()), seen(position(), (stop(),)), {}),
    ],
)
def test_what_somebody_is_told(what: str, rec: KeyRecord, look: Seen, alarms: dict[str, str]) -> None:
    assert {alarm.kind: alarm.text for alarm in plan(rec, look).alarms} == alarms, what


def test_the_alarm_of_a_bar_says_why() -> None:
    barred = frame(switches=Switches(barred="the agent has expired"))
    assert [alarm.text for alarm in plan(record(), seen(), barred).alarms] == ["main: the agent has expired"]


def test_a_wait_is_a_lifted_rest_only_where_a_position_is_without_its_stop() -> None:
    waits = plan(record(LIFTED), seen(None, (), DOWN)).ends
    assert isinstance(waits, Rest)
    assert waits.kind is RestKind.BLIND


def test_alarms_are_told_also_where_the_turn_ends_in_a_wait() -> None:
    barred = frame(switches=Switches(barred="the agent has expired"))
    waits = plan(record(held_trade()), seen(None, (), DOWN), barred)
    assert waits.ends is not None
    assert [alarm.kind for alarm in waits.alarms] == ["barred"]


def test_who_may_do_less_is_asked_about_each_action_and_its_case() -> None:
    asked: list[tuple[str, type, bool]] = []

    def allows(concern: str, action: Action, case: Case) -> bool:
        asked.append((concern, type(action), case.naked))
        return False

    made = decide(record(held_trade()), seen(position()), frame(), allows)
    assert made.actions == ()
    assert asked[0][0] == "protection"
    assert all(naked for _, _, naked in asked)
