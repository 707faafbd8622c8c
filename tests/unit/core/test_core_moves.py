"""The stop that follows: which move is made, when it is tried again, when it is due by itself, of what it is made."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Book, PlaceStop, Wait
from stopkeeper.core.believe import Held
from stopkeeper.core.case import LOOK_AGAIN_MS, build
from stopkeeper.core.concerns import booking, move_due_ms, trailing
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Fill, Order, Role, Seen, Side
from stopkeeper.core.outcomes import Reason, Rejected
from stopkeeper.core.record import KeyRecord, Sighting
from stopkeeper.core.rules import OrphanPolicy
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
    stop,
)

LONG = position()
UNDER = (stop(),)
RETRY_MS = RULES.retry_ms
BETTER = held_trade(stop=D(97), stop_moved_by="policy", stop_why="3% behind the best price 100")
REFUSED = sent(Rejected(Reason.NO_LIQUIDITY, "no bid"))
LARGE = (stop(size="2"),)


def moved(rec: KeyRecord, look: Seen) -> tuple[str, str, str] | int | None:
    """Return trigger, mover and reason of a move, or until when is waited, or None."""
    verdict = trailing(build(rec, look, frame()))
    if isinstance(verdict, Wait):
        return verdict.due_ms
    assert all(isinstance(action, PlaceStop) and action.size == 1 for action in verdict)
    found = [(f"{a.trigger:f}", a.moved_by, a.why) for a in verdict if isinstance(a, PlaceStop)]
    return found[0] if found else None


MOVE = ("97", "policy", "the stop moves from 95 to 97: 3% behind the best price 100")
FOLLOW = ("95", "entry", "the stop at 95 follows the position, which is 1 now")


def tried(ago_ms: int, refused: int = 0) -> KeyRecord:
    return record(replace(BETTER, stop_tried_ms=NOW - ago_ms, stop_moved_ms=NOW - 60_000_000, moves_refused=refused))


@pytest.mark.parametrize(
    ("what", "rec", "look", "expected"),
    [
        ("a better one is wanted", record(BETTER), seen(LONG, UNDER), MOVE),
        ("nobody said why", record(replace(BETTER, stop_why="")), seen(LONG, UNDER), (*MOVE[:2], MOVE[2][:28])),
        ("it stands well", record(held_trade()), seen(LONG, UNDER), None),
        ("a person lifted the stop", record(replace(BETTER, off_until_ms=NOW + 1)), seen(LONG, UNDER), None),
        ("left alone by the policy", record(replace(BETTER, orphan=OrphanPolicy.ALERT)), seen(LONG, UNDER), None),
        ("tried, not refused", tried(RETRY_MS), seen(LONG, UNDER), MOVE),
        ("tried too lately", tried(RETRY_MS - 1), seen(LONG, UNDER), None),
        ("refused twice", tried(4 * RETRY_MS), seen(LONG, UNDER), MOVE),
        ("refused twice, too lately", tried(4 * RETRY_MS - 1, 2), seen(LONG, UNDER), None),
        ("refused often", tried(64 * RETRY_MS, 9), seen(LONG, UNDER), MOVE),
        ("refused often, too lately", tried(64 * RETRY_MS - 1, 9), seen(LONG, UNDER), None),
        (
            "wanted elsewhere since it was tried",
            record(replace(BETTER, stop_tried_ms=NOW - 2, stop_moved_ms=NOW - 1)),
            seen(LONG, UNDER),
            MOVE,
        ),
        (
            "wanted in the ms in which it was tried",
            record(replace(BETTER, stop_tried_ms=NOW - 1, stop_moved_ms=NOW - 1)),
            seen(LONG, UNDER),
            None,
        ),
        ("what was sent may not show", record(BETTER, quiet_ms=NOW), seen(LONG, UNDER), NOW + 500),
        ("only an ack tells of it", record(BETTER, quiet_ms=NOW), seen(None, UNDER), None),
        ("what was sent shows", record(BETTER, quiet_ms=NOW - 1), seen(LONG, UNDER), MOVE),
        ("larger than the position for a lag", record(held_trade(sized_ms=NOW - LAG)), seen(LONG, LARGE), FOLLOW),
        ("larger for a moment", record(held_trade(sized_ms=NOW - LAG + 1)), seen(LONG, LARGE), None),
    ],
)
def test_which_move_is_made(what: str, rec: KeyRecord, look: Seen, expected: tuple[str, str, str] | int | None) -> None:
    assert moved(rec, look) == expected, what


def test_the_stop_of_what_a_signal_did_not_open_is_not_moved_to_its_own() -> None:
    rec = record(replace(BETTER, entered_ms=None, sent=(REFUSED,)))
    assert moved(rec, seen(LONG, UNDER)) is None
    assert moved(record(BETTER), seen(LONG, UNDER)) is not None
    near = moved(rec, seen(position(liquidation_price=D(95)), UNDER))
    assert near is not None, "the liquidation price moves it all the same"
    assert near[0] == "96.25"


@pytest.mark.parametrize(
    ("what", "rec", "orders", "due_ms"),
    [
        ("no trade", record(), UNDER, None),
        ("it stands well", record(held_trade()), UNDER, None),
        ("a better one is wanted", tried(100, 1), UNDER, NOW - 100 + 2 * RETRY_MS + 1),
        ("of the other side", record(replace(BETTER, side=Side.SHORT)), UNDER, None),
        ("not entered", record(replace(BETTER, entered_ms=None, sent=(REFUSED,))), UNDER, None),
        ("lifted", record(replace(BETTER, off_until_ms=NOW + 1)), UNDER, None),
        ("left alone", record(replace(BETTER, orphan=OrphanPolicy.ALERT)), UNDER, None),
        ("no stop", record(BETTER), (), None),
        ("too large for a moment", record(held_trade(sized_ms=NOW - 100)), LARGE, NOW - 100 + LAG + 1),
        (
            "too large for a lag",
            record(held_trade(sized_ms=NOW - LAG, stop_tried_ms=NOW - 60_000)),
            LARGE,
            NOW - 60_000 + RETRY_MS + 1,
        ),
        ("of its size for a moment", record(held_trade(sized_ms=NOW - 100)), UNDER, None),
        (
            "it follows the position by itself",
            record(held_trade(sized_ms=NOW - 100)),
            (stop(size="2", whole=True),),
            None,
        ),
        (
            "too large for a moment, and lately refused",
            record(held_trade(sized_ms=NOW - 100, stop_tried_ms=NOW - 50, moves_refused=6)),
            LARGE,
            NOW - 50 + 64 * RETRY_MS + 1,
        ),
    ],
)
def test_when_a_move_is_due_by_itself(what: str, rec: KeyRecord, orders: tuple[Order, ...], due_ms: int | None) -> None:
    case = build(rec, seen(LONG, orders), frame())
    assert isinstance(case.belief, Held)
    assert move_due_ms(case, case.belief) == due_ms, what


# --- what is booked ----------------------------------------------------------------------------------------------

BY_NAME = fill("c", "-1", "97", NOW - 9_000, "1", "x9", client_id=cid(Role.TARGET, 1))
BY_PRICE = fill("c", "-1", "95", NOW - 9_000, "1", "x9")
UNKNOWN_IDS = held_trade(order_roles=())


@pytest.mark.parametrize(("close", "reason"), [(BY_NAME, "take_profit"), (BY_PRICE, "stop_loss")])
def test_an_exit_is_classified_though_no_order_was_ever_learned(close: Fill, reason: str) -> None:
    """By the name in its id, or by its price where it has none of ours."""
    look = seen(fills=(ENTRY_FILL, close))
    (book,) = plan(record(UNKNOWN_IDS), look).actions
    assert isinstance(book, Book)
    assert (book.exit.reason, book.exit.complete, bool(book.why)) == (reason, True, True)
    settled = replace(UNKNOWN_IDS, revision=1)
    (later,) = plan(record(settling=(settled,)), look).actions
    assert isinstance(later, Book)
    assert (later.trade.id, later.exit.reason, later.successor) == (settled.id, reason, None)


def test_what_is_settling_is_not_booked_again_before_its_fills_add_up() -> None:
    settled = replace(UNKNOWN_IDS, revision=1)
    assert plan(record(settling=(settled,)), seen(fills=(ENTRY_FILL,))).actions == ()


def test_flat_a_moment_ago_waits_for_its_fills() -> None:
    waits = booking(build(record(held_trade()), seen(fills=(ENTRY_FILL,)), frame()))
    assert isinstance(waits, Wait)
    assert waits.due_ms == NOW + 1_000


CLOSE = fill("c", "-1", "95", NOW - 9_000, "1", "s1")


def test_what_is_held_after_the_close_is_a_successors_as_the_venue_shows_it() -> None:
    look = seen(position("0.7", entry_price=D(97)), (stop(),), (ENTRY_FILL, CLOSE))
    (book,) = plan(record(held_trade()), look).actions
    assert isinstance(book, Book)
    assert book.why
    made = book.successor
    assert made is not None
    assert (made.side, made.opening_size, made.opening_price) == (Side.LONG, D("0.7"), D(97))


def test_what_is_held_though_later_fills_cancel_out_is_of_the_side_that_is_shown() -> None:
    by_hand = (fill("h1", "1", "96", NOW - 80, "0", "x"), fill("h2", "-1", "96", NOW - 70, "1", "x"))
    look = seen(LONG, (stop(),), (ENTRY_FILL, CLOSE, *by_hand), at_ms=NOW + LAG)
    (book,) = plan(record(held_trade()), look).actions
    assert isinstance(book, Book)
    assert book.successor is not None
    assert book.successor.side is Side.LONG


def test_a_flip_that_only_fills_tell_of_makes_a_successor_of_the_other_side() -> None:
    """The position is an older view: it still shows what the trade had."""
    flip = fill("c", "-3", "95", NOW - 50, "1", "hand")
    (book,) = plan(record(held_trade()), seen(LONG, (stop(),), (ENTRY_FILL, flip))).actions
    assert isinstance(book, Book)
    assert book.successor is not None
    assert (book.successor.side, book.successor.opening_size) == (Side.SHORT, D(2))


PRESSED = seen(position(liquidation_price=D(95)), UNDER)
RUMOUR, TWICE = Sighting(NOW - 900, 1, NOW - 900), Sighting(NOW - 900, 2, NOW)


def test_one_reading_of_a_liquidation_price_moves_no_stop() -> None:
    """It would never go back."""
    first = learn(record(BETTER), PRESSED, frame()).trade
    assert first is not None
    assert first.pressed == Sighting(NOW, 1, NOW)
    again = learn(record(replace(BETTER, pressed=RUMOUR)), PRESSED, frame()).trade
    assert again is not None
    assert again.pressed == Sighting(NOW - 900, 2, NOW)
    calm = learn(record(replace(BETTER, pressed=TWICE)), seen(LONG, UNDER), frame()).trade
    assert calm is not None
    assert calm.pressed is None
    bare = learn(record(replace(BETTER, pressed=TWICE)), seen(LONG, ()), frame()).trade
    assert bare is not None
    assert bare.pressed is None


@pytest.mark.parametrize(("pressed", "moves"), [(RUMOUR, False), (TWICE, True)])
def test_a_liquidation_price_that_two_readings_show_moves_it(pressed: Sighting, *, moves: bool) -> None:
    rec = record(replace(BETTER, entered_ms=None, sent=(REFUSED,), pressed=pressed))
    assert isinstance(moved(rec, PRESSED), tuple) is moves
    assert moves or moved(rec, PRESSED) == NOW + LOOK_AGAIN_MS


def test_a_rumour_keeps_no_stop_from_where_its_trade_wants_it() -> None:
    assert isinstance(moved(record(replace(BETTER, pressed=RUMOUR)), seen(LONG, UNDER)), tuple)
