"""What a turn ends in when there is nothing to do: which rest, when it is looked at again, what is told beside it."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Action, Rest, RestKind
from stopkeeper.core.case import Case, build
from stopkeeper.core.decide import decide, rest
from stopkeeper.core.model import Seen
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import OrphanPolicy, Switches
from tests.unit.core.scene import (
    NOW,
    RULES,
    found_trade,
    frame,
    held_trade,
    plan,
    position,
    record,
    seen,
    stop,
)

DOWN = Unknown("down")
SOON, LATER = NOW + 500, NOW + 1_000
ALONE = found_trade(orphan=OrphanPolicy.ALERT, stop=None)
TWO = (stop(), stop("94", order_id="s2"))
GOING = (("s2", NOW),)
UNDER_WAY = (RestKind.PROTECTED, SOON)
LIFTED = held_trade(off_until_ms=NOW + 90_000)


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
