"""The very moment at which a belief changes: a read of just that venue time proves nothing yet, one a ms later does."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Action, Book, Cancel, Exit, PlaceStop
from stopkeeper.core.believe import CoverKind, FaultKind, Flat, Held, believe, cover, fault_of
from stopkeeper.core.case import build
from stopkeeper.core.evidence import follow
from stopkeeper.core.guard import never_lower
from stopkeeper.core.model import Fill, Known, Order, Position, Resting, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, Unknown
from stopkeeper.core.record import Cursor, KeyRecord
from tests.unit.core.scene import (
    CAN,
    ENTRY_FILL,
    INST,
    LAG,
    NOW,
    RULES,
    TERMS,
    D,
    cid,
    fill,
    frame,
    held_trade,
    new_trade,
    position,
    record,
    seen,
    sent,
    stop,
    target,
)

DOWN = Unknown("down")
ENTERED_NOW = replace(ENTRY_FILL, time_ms=NOW)
CLOSE = fill("c", "-1", "95", NOW, "1", "s1")
BY_HAND = fill("h", "1", "96", NOW, "0")
LONG = position()


def belief(rec: KeyRecord, look: Seen) -> Held | Flat | Unknown:
    return believe(rec, look, follow(rec.trade, look.fills, INST), LAG)


@pytest.mark.parametrize(
    ("what", "rec", "held", "fills", "at_ms", "before", "after"),
    [
        ("its close may not show yet", record(held_trade()), LONG, (ENTRY_FILL, CLOSE), NOW + LAG, Unknown, Held),
        ("a booked close may not show", record(cursor=Cursor(NOW, frozenset())), LONG, (), NOW + LAG, Unknown, Held),
        (
            "what was opened after the close may not show yet",
            record(held_trade(), quiet_ms=0),
            None,
            (ENTRY_FILL, CLOSE, BY_HAND),
            NOW + LAG,
            Unknown,
            Flat,
        ),
        ("its entry may not show yet", record(held_trade()), None, (ENTERED_NOW,), NOW + LAG, Held, Flat),
        ("what was sent may not show yet", record(quiet_ms=NOW), None, (), NOW, Unknown, Flat),
        ("what is being sent may not show yet", record(pending_ms=NOW), None, (), NOW + LAG, Unknown, Flat),
    ],
)  # fmt: skip
def test_a_read_of_just_that_time_proves_nothing(
    what: str, rec: KeyRecord, held: Position | None, fills: tuple[Fill, ...], at_ms: int, before: type, after: type
) -> None:
    assert isinstance(belief(rec, seen(held, fills=fills, at_ms=at_ms)), before), what
    assert isinstance(belief(rec, seen(held, fills=fills, at_ms=at_ms + 1)), after), what


def test_what_no_read_can_deny_is_held_as_acked() -> None:
    assert belief(record(held_trade()), seen(DOWN)) == Held(Side.LONG, D(1), "ack")


def test_a_fill_newer_than_the_read_tells_side_and_size() -> None:
    sold = fill("f1", "-0.4", "100", NOW, "0", "e1", client_id=cid(Role.ENTRY, 0))
    rec = record(new_trade(side=Side.SHORT, sent=(sent(),)))
    assert belief(rec, seen(None, fills=(sold,))) == Held(Side.SHORT, D("0.4"), "ack")


def test_after_a_booking_what_a_new_entry_opened_is_believed_at_once() -> None:
    """Only of a trade for which nothing was sent may the position be the old one's."""
    booked = Cursor(NOW, frozenset())
    assert isinstance(belief(record(new_trade(), cursor=booked), seen(LONG)), Unknown)
    assert isinstance(belief(record(new_trade(sent=(sent(),)), cursor=booked), seen(LONG)), Held)


# --- cover -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("worst", "fault"), [("90.25", None), ("90.26", FaultKind.WORST_TOO_NEAR)])
def test_half_of_the_room_a_stop_is_given_is_the_least_it_may_have(worst: str, fault: FaultKind | None) -> None:
    found = fault_of(stop("95", price=D(worst)), Side.LONG, RULES)
    assert (found and found.kind) == fault


def test_no_cover_reads_as_nothing() -> None:
    none = cover(Held(Side.LONG, D(1), "venue"), (), RULES, CAN)
    assert (none.kind, f"{none.size:f}") == (CoverKind.NONE, "0")


# --- the guard -------------------------------------------------------------------------------------------------

PLACE = PlaceStop(D(1), D(95), D("85.5"), "entry", "naked")
BOTH = (stop(), stop("96", order_id="s2", n=2))
RESTS = sent(Accepted("e1", D("0.4"), D(100)), terms=replace(TERMS, resting=Resting.GTC))
OVER = replace(RESTS, over=True)


def booking() -> Book:
    done = Exit("external", "", (), None, None, D(1), D(0), D(0), D(0), D(0), 0, 0, complete=True)
    return Book(held_trade(), done, (), None, "why")


def kept(actions: list[Action], rec: KeyRecord, look: Seen) -> list[Action]:
    return never_lower(actions, build(rec, look, frame()))


def test_what_follows_a_dropped_action_is_done_all_the_same() -> None:
    refused = Cancel("s1", Role.STOP, "tidy")
    assert kept([refused, PLACE], record(held_trade()), seen(LONG, (stop(),))) == [PLACE]
    assert kept([refused, PLACE], record(held_trade()), seen(LONG, DOWN)) == [PLACE]
    assert kept([booking(), PLACE], record(held_trade()), seen(LONG, (stop(),))) == [PLACE]


@pytest.mark.parametrize(
    ("what", "attempt", "sizes", "quiet_ms", "goes"),
    [
        ("rests, quiet: it may have filled since", RESTS, ("2", "1"), NOW - 1, False),
        ("rests, of the position's size: it covers no more", RESTS, ("1", "1"), NOW - 1, True),
        ("over, quiet", OVER, ("2", "1"), NOW - 1, True),
        ("over, read no later than its fills may show", OVER, ("2", "1"), NOW, False),
        ("never rested", sent(Accepted("e1", D(1), D(100))), ("2", "1"), NOW, True),
        ("unproven", replace(RESTS, outcome=DOWN), ("2", "1"), NOW - 1, False),
    ],
)
def test_a_larger_stop_stays_while_an_entry_may_have_filled_more(
    what: str, attempt: object, sizes: tuple[str, str], quiet_ms: int, goes: bool
) -> None:
    stops = tuple(stop(size=size, order_id=f"s{n}", n=n) for n, size in enumerate(sizes, 1))
    cancel = Cancel("s1", Role.STOP, "tidy")
    rec = record(held_trade(sent=(attempt,)), quiet_ms=quiet_ms)
    assert kept([cancel], rec, seen(LONG, stops)) == ([cancel] if goes else []), what


@pytest.mark.parametrize(("sized_ms", "goes"), [(NOW - LAG, False), (NOW - LAG - 1, True)])
def test_a_stop_goes_beside_another_once_the_size_was_read_as_it_stands(sized_ms: int, goes: bool) -> None:
    cancel = Cancel("s1", Role.STOP, "tidy")
    assert kept([cancel], record(held_trade(sized_ms=sized_ms)), seen(LONG, BOTH)) == ([cancel] if goes else [])


def test_a_stop_larger_than_a_position_nobody_owns_goes_where_another_covers() -> None:
    cancel = Cancel("s1", Role.STOP, "tidy")
    assert kept([cancel], record(), seen(LONG, (stop(size="2"), BOTH[1]))) == [cancel]


@pytest.mark.parametrize(("role", "placed_ms", "goes"), [
    (Role.STOP, NOW - LAG - 1, True),
    (Role.STOP, NOW - LAG, False),
    (Role.TARGET, NOW, True),
])  # fmt: skip
def test_a_young_stop_of_the_other_side_stays_until_its_position_would_show(
    role: Role, placed_ms: int, goes: bool
) -> None:
    made = stop if role is Role.STOP else target
    other: Order = replace(made("105", order_id="x", n=3), side=Side.LONG, placed_ms=placed_ms)
    cancel = Cancel("x", role, "wrong side")
    assert kept([cancel], record(held_trade()), seen(LONG, (stop(), other))) == ([cancel] if goes else [])


OTHERS = cid(Role.STOP, 1, "ffffffffffff")


@pytest.mark.parametrize(("what", "attempt", "quiet_ms", "more", "goes"), [
    ("rests", RESTS, NOW - 1, {}, False),
    ("unproven", replace(RESTS, outcome=DOWN), NOW - 1, {}, False),
    ("over, read no later than its fills may show", OVER, NOW, {}, False),
    ("over, quiet", OVER, NOW - 1, {}, True),
    ("never rested", sent(Accepted("e1", D(1), D(100))), NOW, {}, True),
    ("another trade's", RESTS, NOW - 1, {"client_id": OTHERS}, True),
    ("on the side that is held, and none as it stands", RESTS, NOW - 1, {"side": Side.SHORT, "fired": True}, True),
])  # fmt: skip
def test_the_stop_of_an_entry_that_may_have_turned_a_hands_position_round_stays(
    what: str, attempt: object, quiet_ms: int, more: dict[str, Any], goes: bool
) -> None:
    own: Order = stop("105", order_id="x", **{"side": Side.LONG, "placed_ms": NOW - LAG - 1} | more)
    rec = record(held_trade(side=Side.SHORT, sent=(attempt,)), quiet_ms=quiet_ms)
    cancel = Cancel("x", Role.STOP, "wrong side")
    assert kept([cancel], rec, seen(LONG, (own,))) == ([cancel] if goes else []), what


def test_of_a_position_nobody_owns_a_stop_of_the_other_side_goes() -> None:
    other: Order = replace(stop("105", order_id="x"), side=Side.LONG, placed_ms=NOW - LAG - 1)
    cancel = Cancel("x", Role.STOP, "wrong side")
    assert kept([cancel], record(), seen(LONG, (other,))) == [cancel]


def test_nothing_but_an_entry_is_cancelled_while_only_an_ack_tells_of_the_position() -> None:
    stop_out, entry_out = Cancel("s1", Role.STOP, "tidy"), Cancel("e9", Role.ENTRY, "out")
    look = replace(seen(None, BOTH), position=Known(None, NOW))
    assert kept([stop_out, entry_out], record(held_trade(), quiet_ms=NOW), look) == [entry_out]
