"""Out at once: why a position is closed, as the ledger will have it, what goes along, and what must be true first."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Action, Cancel, Flatten, PlaceStop, Wait
from stopkeeper.core.case import Frame, build
from stopkeeper.core.concerns import closing, protection
from stopkeeper.core.danger import WHOSE_AGAIN_MS, danger, flatten
from stopkeeper.core.ids import close_number
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Fill, OrderKind, Role, Seen, Side
from stopkeeper.core.outcomes import Reason, Rejected, Unknown
from stopkeeper.core.record import CloseAsk, KeyRecord, Placed, Sighting
from stopkeeper.core.rules import Switches
from tests.unit.core.scene import (
    ENTRY_FILL,
    LAG,
    NOW,
    RULES,
    D,
    cid,
    fill,
    frame,
    held_trade,
    plan,
    position,
    record,
    seen,
    sent,
    signal,
    stop,
    told,
)

REFUSED = sent(Rejected(Reason.NO_LIQUIDITY, "no bid"))
DOWN = Unknown("down")
SOON = NOW + 500
LONG = position()
UNDER = (stop(),)
HALTED = frame(switches=Switches(halted=True))
TWICE = Sighting(NOW - 10_000, 2, NOW - 100)
ONCE = Sighting(NOW - 10_000, 1, NOW - 10_000)
LIMIT_MS = RULES.naked_limit_ms
AT_96 = seen(position(mark="96"), UNDER, mark="96")
BEYOND = seen(position(mark="94"), UNDER, mark="94")
NEAR = seen(position(liquidation_price=D("94.5")), UNDER)
ENTRY = replace(stop(), id="e1", client_id=cid(Role.ENTRY, 0), kind=OrderKind.LIMIT, side=Side.LONG, reduce_only=False)
ASKED = CloseAsk("manual_close", NOW - 100)
CLOSES = cid(Role.FLATTEN, close_number(2, "manual_close"))
PART = fill("p1", "-0.5", "100", ASKED.asked_ms, "1", "c1", client_id=CLOSES)


def out(verdict: list[Action] | Wait) -> tuple[str, str] | int | None:
    """Return a close's reason and why, or until when is waited, or None for nothing."""
    if isinstance(verdict, Wait):
        return verdict.due_ms
    closes = [action for action in verdict if isinstance(action, Flatten)]
    return (closes[0].reason, closes[0].why) if closes else None


@pytest.mark.parametrize(
    ("what", "rec", "look", "frm", "expected"),
    [
        ("halted", record(held_trade()), seen(LONG, UNDER), HALTED, ("manual_close", "the account is halted")),
        (
            "naked for too long, and a stop was answered",
            record(held_trade(naked_since_ms=NOW - LIMIT_MS, stop_answers=1, stop_tried_ms=NOW - LIMIT_MS)),
            seen(LONG),
            frame(),
            ("emergency_exit", f"naked for {LIMIT_MS} ms and no stop holds"),
        ),
        (
            "naked for nearly too long",
            record(held_trade(naked_since_ms=NOW - LIMIT_MS + 1, stop_answers=1, stop_tried_ms=NOW - LIMIT_MS)),
            seen(LONG),
            frame(),
            None,
        ),
        (
            "naked for too long, tried three times, though long ago",
            record(held_trade(naked_since_ms=NOW - LIMIT_MS, stop_answers=3, stop_tried_ms=NOW - 60_000)),
            seen(LONG),
            frame(),
            ("emergency_exit", f"naked for {LIMIT_MS} ms and no stop holds"),
        ),
        (
            "naked for too long, tried twice, and long ago",
            record(held_trade(naked_since_ms=NOW - LIMIT_MS, stop_answers=2, stop_tried_ms=NOW - 60_000)),
            seen(LONG),
            frame(),
            None,
        ),
        (
            "naked for too long, and nobody was there to try",
            record(held_trade(naked_since_ms=NOW - 60_000, stop_answers=1, stop_tried_ms=NOW - LIMIT_MS - 1)),
            seen(LONG),
            frame(),
            None,
        ),
        (
            "naked for too long, and no stop was answered yet",
            record(held_trade(naked_since_ms=NOW - 60_000)),
            seen(LONG),
            frame(),
            None,
        ),
        (
            "naked for long because a person wished so, until a moment ago",
            record(held_trade(naked_since_ms=NOW - 60_000, stop_answers=1, off_until_ms=NOW - 100)),
            seen(LONG),
            frame(),
            None,
        ),
        (
            "cover lost three times",
            record(held_trade(lost_ms=(NOW - 30, NOW - 20, NOW - 10))),
            seen(LONG),
            frame(),
            ("emergency_exit", "cover was lost 3 times within a minute"),
        ),
        ("cover lost twice", record(held_trade(lost_ms=(NOW - 20, NOW - 10))), seen(LONG), frame(), None),
        (
            "the venue says the trigger is crossed",
            record(held_trade(crossed=True)),
            seen(LONG),
            frame(),
            ("emergency_exit", "naked, and the price is beyond the stop"),
        ),
        (
            "beyond the stop, twice seen, and not carried out",
            record(held_trade(beyond=TWICE)),
            BEYOND,
            frame(),
            ("emergency_exit", "the price is beyond the stop at 95 and the venue has not carried it out"),
        ),
        ("beyond the stop, seen once", record(held_trade(beyond=ONCE)), BEYOND, frame(), SOON),
        (
            "beyond the stop, twice seen, a moment ago",
            record(held_trade(beyond=replace(TWICE, first_ms=NOW - LAG + 1))),
            BEYOND,
            frame(),
            SOON,
        ),
        (
            "passed where the stop belongs, and a farther one stands",
            record(held_trade(stop=D(97))),
            AT_96,
            frame(),
            ("stop_loss", "the price has passed 97, where the stop belongs, and only 95 stands"),
        ),
        (
            "so, and no fills tell why it is of another size",
            record(held_trade(stop=D(97))),
            seen(position("0.4", mark="96"), UNDER, DOWN, mark="96"),
            frame(),
            NOW + WHOSE_AGAIN_MS,
        ),
        (
            "so, and its fills tell",
            record(held_trade(stop=D(97))),
            seen(position("0.4", mark="96"), UNDER, (ENTRY_FILL, fill("p", "-0.6", "96", NOW - 900, "1")), mark="96"),
            frame(),
            ("stop_loss", "the price has passed 97, where the stop belongs, and only 95 stands"),
        ),
        (
            "so, and no fills are read while it is of its size",
            record(held_trade(stop=D(97))),
            seen(position(mark="96"), UNDER, DOWN, mark="96"),
            frame(),
            ("stop_loss", "the price has passed 97, where the stop belongs, and only 95 stands"),
        ),
        (
            "so, where the signal has not entered",
            record(held_trade(stop=D(97), entered_ms=None, sent=(REFUSED,))),
            seen(position(mark="96"), UNDER, (), mark="96"),
            frame(),
            None,
        ),
        (
            "so, and the liquidation has come",
            record(held_trade(stop=D(97), entered_ms=None, sent=(REFUSED,), unsafe=TWICE)),
            seen(position("0.4", liquidation_price=D(101)), UNDER, DOWN),
            frame(),
            ("emergency_exit", "the price has passed 101, where the stop belongs, and only 95 stands"),
        ),
        (
            "passed where a policy wanted the stop",
            record(held_trade(stop=D(97), stop_moved_by="policy")),
            AT_96,
            frame(),
            ("trailing_stop", "the price has passed 97, where the stop belongs, and only 95 stands"),
        ),
        (
            "the liquidation in front of the stop, and the venue takes no nearer one",
            record(held_trade(unsafe=TWICE, moves_refused=3)),
            NEAR,
            frame(),
            ("emergency_exit", "the liquidation price lies in front of the stop and the venue takes no nearer one"),
        ),
        ("so, and it refused twice", record(held_trade(unsafe=TWICE, moves_refused=2)), NEAR, frame(), None),
        ("so, and seen once", record(held_trade(unsafe=ONCE, moves_refused=3)), NEAR, frame(), None),
        ("moves refused, the liquidation far", record(held_trade(moves_refused=3)), NEAR, frame(), None),
        (
            "the liquidation has come, seen once",
            record(held_trade(unsafe=ONCE)),
            seen(position(liquidation_price=D(101)), UNDER),
            frame(),
            SOON,
        ),
        (
            "so, seen twice, and no fills tell why it is of another size",
            record(held_trade(unsafe=TWICE)),
            seen(position("0.4", liquidation_price=D(101)), UNDER, DOWN),
            frame(),
            ("emergency_exit", "the price has passed 101, where the stop belongs, and only 95 stands"),
        ),
        ("well", record(held_trade()), seen(LONG, UNDER), frame(), None),
        (
            "a stop is to show",
            record(held_trade(crossed=True, placed=(Placed(Role.STOP, "s2", 2, NOW),))),
            seen(LONG),
            frame(),
            None,
        ),
        (
            "covered as far as is known, the orders unread",
            record(held_trade(crossed=True)),
            seen(LONG, DOWN),
            frame(),
            None,
        ),
        (
            "never covered, the orders unread",
            record(held_trade(crossed=True, covered=False)),
            seen(LONG, DOWN),
            frame(),
            ("emergency_exit", "naked, and the price is beyond the stop"),
        ),
    ],
)
def test_when_it_is_closed_at_once(
    what: str, rec: KeyRecord, look: Seen, frm: Frame, expected: tuple[str, str] | int | None
) -> None:
    assert out(danger(build(rec, look, frm))) == expected, what


@pytest.mark.parametrize(
    ("what", "rec", "look", "expected"),
    [
        (
            "the time is up",
            record(held_trade(signal=signal(time_limit_ms=60_000))),
            seen(LONG, UNDER),
            ("time_limit", "the trade's time is up"),
        ),
        ("nearly up", record(held_trade(signal=signal(time_limit_ms=60_001))), seen(LONG, UNDER), None),
        ("asked", record(held_trade(close=ASKED)), seen(LONG, UNDER), ("manual_close", "somebody asked to close")),
        (
            "a part is asked for, of a position that shows all we sent",
            record(held_trade(close=replace(ASKED, keep_fraction=D("0.5"), keep_size=D("0.5"))), quiet_ms=NOW - 1),
            seen(LONG, UNDER),
            ("manual_close", "somebody asked to close a part"),
        ),
        (
            "a part is asked for, and what we sent may not show",
            record(held_trade(close=replace(ASKED, keep_fraction=D("0.5"), keep_size=D("0.5"))), quiet_ms=NOW),
            seen(LONG, UNDER),
            SOON,
        ),
        (
            "a part is asked for, and the position cannot be read",
            record(held_trade(close=replace(ASKED, keep_fraction=D("0.5"), keep_size=D("0.5")))),
            seen(DOWN, UNDER),
            SOON,
        ),
        (
            "a part of nobody knows what",
            record(held_trade(close=replace(ASKED, keep_fraction=D("0.5"))), quiet_ms=NOW - 1),
            seen(LONG, UNDER),
            SOON,
        ),
    ],
)
def test_when_it_is_closed_as_asked(
    what: str, rec: KeyRecord, look: Seen, expected: tuple[str, str] | int | None
) -> None:
    assert out(closing(build(rec, look, frame()))) == expected, what


ACKED = (Placed(Role.FLATTEN, "c1", 0, NOW - 100),)


@pytest.mark.parametrize(
    ("what", "rec", "look", "waits"),
    [
        ("a close was acked, and less must be left", record(held_trade(placed=ACKED, held=D("0.4"))), seen(LONG), True),
        ("a close was acked, and what is left shows", record(held_trade(placed=ACKED, held=D(1))), seen(LONG), False),
        ("none was acked, and more is held", record(held_trade(held=D("0.4"))), seen(LONG), False),
        ("acked, and the position cannot be read", record(held_trade(placed=ACKED)), seen(DOWN), False),
        ("tried half a second ago", record(held_trade(flatten_tried_ms=NOW - 500)), seen(LONG), False),
        ("tried a moment ago", record(held_trade(flatten_tried_ms=NOW - 499)), seen(LONG), True),
    ],
)
def test_a_close_is_not_sent_again_before_it_can_show(what: str, rec: KeyRecord, look: Seen, waits: bool) -> None:
    case = build(rec, look, frame())
    verdict = flatten(case, case.belief, "manual_close", "why")  # type: ignore[arg-type]
    assert isinstance(verdict, Wait) is waits, what
    if isinstance(verdict, Wait):
        assert NOW < verdict.due_ms <= SOON


def test_what_rests_of_the_entry_goes_first_and_is_cancelled_once() -> None:
    case = build(record(held_trade()), seen(LONG, (*UNDER, ENTRY)), frame())
    close = Flatten(RULES.flatten_worst[0], "manual_close", "why")
    assert flatten(case, case.belief, "manual_close", "why") == [Cancel("e1", Role.ENTRY, "why"), close]  # type: ignore[arg-type]
    going = build(record(held_trade(), canceled=(("e1", NOW),)), seen(LONG, (*UNDER, ENTRY)), frame())
    assert flatten(going, going.belief, "manual_close", "why") == [close]  # type: ignore[arg-type]


def test_a_position_without_a_trade_is_closed_at_the_first_worst_price() -> None:
    case = build(record(), seen(LONG), frame())
    assert flatten(case, case.belief, "manual_close", "why") == [Flatten(RULES.flatten_worst[0], "manual_close", "why")]  # type: ignore[arg-type]


# --- the stop that comes before it -------------------------------------------------------------------------------

HALF = (stop(size="0.4"),)


@pytest.mark.parametrize(
    ("what", "rec", "look", "size", "mover"),
    [
        ("naked", record(held_trade()), seen(LONG), "1", "entry"),
        ("a part is covered", record(held_trade()), seen(LONG, HALF), "1", "entry"),
        (
            "a part is covered, the whole is refused",
            record(held_trade(oversize=True)),
            seen(LONG, HALF),
            "0.6",
            "entry",
        ),
        ("the whole is refused, nothing is covered", record(held_trade(oversize=True)), seen(LONG), "1", "entry"),
        (
            "tried half a second ago",
            record(held_trade(stop_tried_ms=NOW - 500)),
            seen(LONG),
            "1",
            "entry",
        ),
        (
            "the whole is refused a moment ago, once",
            record(held_trade(oversize=True, stop_tried_ms=NOW - 1, stop_answers=1)),
            seen(LONG, HALF),
            "0.6",
            "entry",
        ),
        (
            "the whole is refused a moment ago, twice",
            record(held_trade(oversize=True, stop_tried_ms=NOW - 1, stop_answers=2)),
            seen(LONG, HALF),
            None,
            None,
        ),
        ("a person's stop", record(held_trade(stop_moved_by="person")), seen(LONG), "1", "person"),
        (
            "the liquidation is in front of a person's stop",
            record(held_trade(stop_moved_by="person")),
            seen(position(liquidation_price=D("94.5"))),
            "1",
            "venue",
        ),
        ("blind, and never covered", record(held_trade(covered=False)), seen(LONG, DOWN), "1", "entry"),
        (
            "blind, tried half a second ago",
            record(held_trade(covered=False, stop_tried_ms=NOW - 500)),
            seen(LONG, DOWN),
            "1",
            "entry",
        ),
        ("blind, and covered when last seen", record(held_trade()), seen(LONG, DOWN), None, None),
        (
            "blind, and no price is known",
            record(held_trade(covered=False, stop=None)),
            seen(position(mark=None), DOWN, mark=None),
            None,
            None,
        ),
    ],
)
def test_the_stop_that_a_naked_position_gets(
    what: str, rec: KeyRecord, look: Seen, size: str | None, mover: str | None
) -> None:
    verdict = protection(build(rec, look, frame()))
    placed = [action for action in verdict if isinstance(action, PlaceStop)] if isinstance(verdict, list) else []
    assert [(p.size, p.moved_by) for p in placed] == ([] if size is None else [(D(size), mover)]), what


@pytest.mark.parametrize(
    ("fills", "kept"),
    [
        ((), "0.25"),
        ((PART,), "0.5"),
        ((replace(PART, time_ms=ASKED.asked_ms - 1),), "0.25"),
        ((replace(PART, client_id=cid(Role.FLATTEN, close_number(2, "time_limit"))),), "0.25"),
    ],
    ids=["nothing was closed", "half was", "half was, before it was asked for", "half was, for another reason"],
)
def test_a_part_is_of_what_was_held_when_it_was_asked_for(fills: tuple[Fill, ...], kept: str) -> None:
    """A record that went back knows of the ask, and not of the close that followed it."""
    half = replace(ASKED, keep_fraction=D("0.5"))
    asked = record(held_trade(close=half, held=D("0.5"), sized_ms=NOW - 1), quiet_ms=NOW - 1)
    trade = learn(asked, seen(position("0.5"), (stop(),), (ENTRY_FILL, *fills)), frame()).trade
    assert trade is not None
    assert trade.close == replace(ASKED, keep_fraction=D("0.5"), keep_size=D(kept))


def test_a_stop_that_was_crossed_before_it_was_lifted_closes_nothing_after_that() -> None:
    trade = held_trade(covered=False, lifted=True, crossed=True, off_until_ms=NOW - 1, naked_since_ms=NOW - 500)
    assert told(plan(record(trade), seen(position(), ()))) == "protection: PlaceStop"


@pytest.mark.parametrize(("sized_ms", "known"), [(NOW, False), (NOW - 1, True)])
def test_a_part_is_of_a_size_that_a_second_reading_shows(sized_ms: int, *, known: bool) -> None:
    asked = record(held_trade(close=replace(ASKED, keep_fraction=D("0.5")), sized_ms=sized_ms), quiet_ms=NOW - 1)
    trade = learn(asked, seen(position(), UNDER), frame()).trade
    assert trade is not None
    assert trade.close is not None
    assert (trade.close.keep_size is not None) is known
