"""What may be concluded: Held, Flat or Unknown; absence; cover and its faults; and the guard over all cancels."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopkeeper.core.actions import Book, Cancel, Exit, Flatten
from stopkeeper.core.asking import questions
from stopkeeper.core.believe import CoverKind, Flat, Held, NotYet, Proof, absence, believe, cover, fault_of
from stopkeeper.core.case import build
from stopkeeper.core.evidence import Chain, follow
from stopkeeper.core.guard import never_lower
from stopkeeper.core.model import Lookup, Order, OrderKind, OrderState, Role, Seen, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Cursor, KeyRecord
from tests.unit.core.scene import (
    CAN,
    ENTRY_FILL,
    INST,
    LAG,
    NOW,
    RULES,
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
    sent,
    stop,
    target,
)

DOWN = Unknown("down")
CLOSE = fill("c", "-1", "95", NOW - 100, "1", "s1")
CLOSED = (ENTRY_FILL, CLOSE)


def belief(rec: KeyRecord, look: Seen) -> Held | Flat | Unknown:
    return believe(rec, look, follow(rec.trade, look.fills, INST), LAG)


@pytest.mark.parametrize(
    ("what", "rec", "look", "kind", "says"),
    [
        ("shown", record(held_trade()), seen(position()), Held, "venue"),
        ("shown, no trade", record(), seen(position()), Held, "venue"),
        ("nothing, read late enough", record(), seen(), Flat, "later than all we sent"),
        ("not readable, acked", record(held_trade()), seen(DOWN), Held, "ack"),
        (
            "not readable, fills say closed",
            record(held_trade()),
            seen(DOWN, fills=CLOSED),
            Unknown,
            "could not be read",
        ),
        ("not readable, nothing acked", record(), seen(DOWN), Unknown, "down"),
        ("a stale nothing after an ack", record(held_trade(), quiet_ms=NOW), seen(), Held, "ack"),
        ("a stale nothing, effects open", record(quiet_ms=NOW), seen(), Unknown, "may still appear"),
        (
            "and a record before it is lost",
            record(quiet_ms=NOW, lost=True),
            seen(),
            Unknown,
            "what a lost record sent may",
        ),
        ("an effect being sent", record(pending_ms=NOW - LAG), seen(), Unknown, "may still appear"),
        ("fills say closed", record(held_trade(), quiet_ms=NOW), seen(fills=CLOSED), Flat, "add up to the close"),
        (
            "fills say closed, a fill is missing",
            record(held_trade(), quiet_ms=NOW),
            seen(fills=(ENTRY_FILL, replace(CLOSE, start=D("0.5"), size=D("0.5")))),
            Held,
            "ack",
        ),
        (
            "fills say closed, an old view of it",
            record(held_trade()),
            seen(position(), fills=CLOSED),
            Unknown,
            "no later",
        ),
        (
            "fills say closed, and it is there long after",
            record(held_trade()),
            seen(position(), fills=CLOSED, at_ms=NOW + LAG),
            Held,
            "venue",
        ),
        (
            "closed, then opened again by hand, and shown",
            record(held_trade()),
            seen(position(), fills=(*CLOSED, fill("h", "1", "96", NOW - 50, "0"))),
            Held,
            "venue",
        ),
        (
            "closed, then opened again by hand, and not shown yet",
            record(held_trade()),
            seen(fills=(*CLOSED, fill("h", "1", "96", NOW - 50, "0"))),
            Unknown,
            "opened after the close",
        ),
        (
            "flipped, and not shown yet",
            record(held_trade()),
            seen(fills=(ENTRY_FILL, replace(CLOSE, size=D(3)))),
            Unknown,
            "opened after the close",
        ),
        (
            "closed, opened and closed again",
            record(held_trade(), quiet_ms=NOW),
            seen(fills=(*CLOSED, fill("h", "1", "96", NOW - 50, "0"), fill("i", "-1", "96", NOW - 40, "1"))),
            Flat,
            "add up",
        ),
        (
            "a ghost of what was booked a moment ago",
            record(cursor=Cursor(NOW - 100)),
            seen(position()),
            Unknown,
            "booked a moment ago",
        ),
        (
            "the same, with a signal waiting",
            record(new_trade(), cursor=Cursor(NOW - 100)),
            seen(position()),
            Unknown,
            "booked a moment ago",
        ),
        (
            "an entry's fills, newer than the view of the position",
            record(held_trade(held=D(0))),
            seen(fills=(replace(ENTRY_FILL, time_ms=NOW - LAG),)),
            Held,
            "ack",
        ),
        (
            "an entry's fills, and a position read long after",
            record(held_trade(held=D(0))),
            seen(fills=(replace(ENTRY_FILL, time_ms=NOW - LAG - 1),)),
            Flat,
            "later than all",
        ),
        ("booked a while ago", record(cursor=Cursor(NOW - LAG - 1)), seen(position()), Held, "venue"),
        ("a found trade gone", record(found_trade()), seen(), Flat, "later than all"),
    ],
)
def test_beliefs(what: str, rec: KeyRecord, look: Seen, kind: type, says: str) -> None:
    got = belief(rec, look)
    assert isinstance(got, kind), (what, got)
    assert says in (got.by if isinstance(got, Held) else got.why)


# --- absence ---------------------------------------------------------------------------------------------------

LATE = NOW + LAG
ID = cid(Role.ENTRY, 0)


UNKNOWN_ID, NO_FILLS = Lookup(ID, None), Chain()


def proof(look: Seen, chain: Chain = NO_FILLS, found: Lookup | None = UNKNOWN_ID) -> Proof | NotYet:
    look = replace(look, lookups={} if found is None else seen(lookups={ID: found}, at_ms=LATE).lookups)
    return absence(sent(deadline_ms=NOW - 1), ID, look, chain, LAG)


def entered_by(name: str | None) -> Chain:
    return Chain(used=(replace(ENTRY_FILL, client_id=name),), started=True)


def test_absence_is_proved_by_four_late_reads_that_agree() -> None:
    assert isinstance(proof(seen(at_ms=LATE)), Proof)


@pytest.mark.parametrize(
    ("what", "look", "chain", "found"),
    [
        ("not looked up", seen(at_ms=LATE), Chain(), None),
        ("it rests", seen(at_ms=LATE), Chain(), Lookup(ID, OrderState.LIVE)),
        ("it fired", seen(at_ms=LATE), Chain(), Lookup(ID, OrderState.FIRED)),
        ("it filled", seen(at_ms=LATE), Chain(), Lookup(ID, OrderState.FILLED)),
        ("cancelled after a part fill", seen(at_ms=LATE), Chain(), Lookup(ID, OrderState.CANCELED, "e", D("0.1"))),
        ("position unreadable", seen(DOWN, at_ms=LATE), Chain(), Lookup(ID, None)),
        ("orders unreadable", seen(orders=DOWN, at_ms=LATE), Chain(), Lookup(ID, None)),
        ("fills unreadable", seen(fills=DOWN, at_ms=LATE), Chain(), Lookup(ID, None)),
        ("reads too early", seen(at_ms=LATE - 1), Chain(), Lookup(ID, None)),
        ("fills of it", seen(at_ms=LATE), Chain(started=True), Lookup(ID, None)),
        ("its own fill", seen(at_ms=LATE), entered_by(cid(Role.ENTRY, 0)), Lookup(ID, None)),
        ("a fill without an id", seen(at_ms=LATE), entered_by(None), Lookup(ID, None)),
        ("a fill of a stop", seen(at_ms=LATE), entered_by(cid(Role.STOP, 1)), Lookup(ID, None)),
        ("a position it may have opened", seen(position(), at_ms=LATE), Chain(), Lookup(ID, None)),
    ],
)
def test_a_missing_leg_is_no_proof(what: str, look: Seen, chain: Chain, found: Lookup | None) -> None:
    assert isinstance(proof(look, chain, found), NotYet), what


def test_that_another_attempt_entered_does_not_keep_one_from_being_proved_absent() -> None:
    """A store that went back forgets which attempt entered: its fills must not keep the key for ever."""
    assert isinstance(proof(seen(at_ms=LATE), entered_by(cid(Role.ENTRY, 1)), Lookup(ID, None)), Proof)


def test_an_early_look_up_is_no_proof() -> None:
    look = seen(at_ms=LATE)
    look = replace(look, lookups=seen(lookups={ID: Lookup(ID, None)}, at_ms=LATE - 1).lookups)
    assert isinstance(absence(sent(deadline_ms=NOW - 1), ID, look, Chain(), LAG), NotYet)


def test_a_position_that_other_fills_tell_of_is_not_the_entrys() -> None:
    """Else the signal waits for proof as long as somebody's position stands on its key."""
    hand = fill("h", "1", "99", NOW, "0", "hand")
    assert isinstance(proof(seen(position(), fills=(hand,), at_ms=LATE)), Proof)
    assert isinstance(proof(seen(position("2"), fills=(hand,), at_ms=LATE)), NotYet)


def test_the_venues_own_refusal_is_proof_though_somebodys_position_is_held() -> None:
    assert isinstance(proof(seen(position(), at_ms=LATE), Chain(), Lookup(ID, OrderState.REJECTED)), Proof)


@pytest.mark.parametrize(
    ("what", "rec", "look", "asked"),
    [
        ("no trade", record(), seen(), ()),
        ("entered", record(held_trade()), seen(), ()),
        (
            "entered, and of another attempt nothing is known",
            record(held_trade(sent=(sent(), *held_trade().sent))),
            seen(),
            (cid(Role.ENTRY, 0),),
        ),
        ("found", record(found_trade()), seen(), ()),
        ("before the first send", record(new_trade()), seen(fills=DOWN), (cid(Role.ENTRY, 0),)),
        ("before the first send, but reads tell", record(new_trade(created_ms=NOW - 5_001)), seen(), ()),
        ("reads older than the signal", record(new_trade(created_ms=NOW - 5_000)), seen(), (cid(Role.ENTRY, 0),)),
        ("a page too short", record(new_trade()), seen(since_ms=NOW), (cid(Role.ENTRY, 0),)),
        ("a page that begins a ms late", record(new_trade()), seen(since_ms=NOW - 5_999), (cid(Role.ENTRY, 0),)),
        ("a page that begins with the signal", record(new_trade()), seen(since_ms=NOW - 6_000), ()),
        ("after the last attempt", record(new_trade(nonces=(1,), sent=(sent(absent=True),))), seen(orders=DOWN), ()),
        ("unproven", record(new_trade(sent=(sent(),))), seen(), (cid(Role.ENTRY, 0),)),
        ("the second", record(new_trade(sent=(sent(absent=True),))), seen(orders=DOWN), (cid(Role.ENTRY, 1),)),
    ],
)
def test_what_must_be_looked_up(what: str, rec: KeyRecord, look: Seen, asked: tuple[str, ...]) -> None:
    assert questions(rec, look, INST, LAG) == asked, what


# --- cover -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "changed", "says"),
    [
        ("good", {}, None),
        ("whole, not marked reduce-only", {"whole": True, "reduce_only": False}, None),
        ("no worst price", {"price": None}, None),
        ("a target", {"kind": OrderKind.TARGET_MARKET}, "target_market"),
        ("a limit", {"kind": OrderKind.LIMIT}, "limit"),
        ("a stop limit", {"kind": OrderKind.STOP_LIMIT}, "stop_limit"),
        ("wrong side", {"side": Side.LONG}, "wrong side"),
        ("opens", {"reduce_only": False}, "not reduce-only"),
        ("fired", {"fired": True}, "fired"),
        ("last price", {"mark_triggered": False}, "mark price"),
        ("no trigger", {"trigger": None}, "no trigger"),
        ("worst price at the trigger", {"price": D("94.9")}, "too near its trigger"),
        ("worst price beyond the trigger", {"price": D(96)}, "too near its trigger"),
    ],
)
def test_read_back_faults(what: str, changed: dict[str, Any], says: str | None) -> None:
    fault = fault_of(replace(stop(), **changed), Side.LONG, RULES)
    assert fault is None if says is None else says in (fault.text if fault else ""), what


HELD = Held(Side.LONG, D(1), "venue", position())
EXACT = replace(CAN, oversize_covers=False)


@pytest.mark.parametrize(
    ("what", "orders", "can", "kind", "size"),
    [
        ("none", (), CAN, CoverKind.NONE, "0"),
        ("one", (stop(),), CAN, CoverKind.WHOLE, "1"),
        ("two halves", (stop(size="0.5"), stop(size="0.5", order_id="s2")), CAN, CoverKind.WHOLE, "1"),
        ("half", (stop(size="0.5"),), CAN, CoverKind.SUM, "0.5"),
        ("too large, where that covers", (stop(size="2"),), CAN, CoverKind.WHOLE, "2"),
        ("too large, where that is refused", (stop(size="2"),), EXACT, CoverKind.SUM, "2"),
        ("exact", (stop(),), EXACT, CoverKind.WHOLE, "1"),
        ("whole", (stop(size="0", whole=True),), EXACT, CoverKind.WHOLE, "1"),
        ("a foreign one counts", (stop(client_id=None),), CAN, CoverKind.WHOLE, "1"),
        ("fired is none", (stop(fired=True),), CAN, CoverKind.NONE, "0"),
        ("a target is none", (target(),), CAN, CoverKind.NONE, "0"),
    ],
)
def test_cover(what: str, orders: tuple[Order, ...], can: Any, kind: CoverKind, size: str) -> None:
    got = cover(HELD, orders, RULES, can)
    assert (got.kind, got.size) == (kind, D(size)), what


def test_what_is_wrong_with_a_stop_is_said() -> None:
    got = cover(HELD, (stop(fired=True), stop(order_id="s2", side=Side.LONG)), RULES, CAN)
    assert got.wrong == ("stop s1: it has fired", "stop s2: it is on the wrong side")


# --- the guard -------------------------------------------------------------------------------------------------

orders = st.lists(
    st.builds(
        lambda i, size, bad, whole: stop(size=size, order_id=f"o{i}", n=i, whole=whole, **bad),
        st.integers(0, 6),
        st.sampled_from(["0.3", "0.5", "1", "2"]),
        st.sampled_from(
            [{}, {}, {"fired": True}, {"side": Side.LONG}, {"kind": OrderKind.STOP_LIMIT}, {"client_id": None}]
        ),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda o: o.id,
).map(tuple)
cancels = st.lists(st.integers(0, 6).map(lambda i: Cancel(f"o{i}", Role.STOP, "tidy")), max_size=6)


@settings(max_examples=150, deadline=None)
@given(orders, cancels, st.sampled_from([CAN, EXACT]))
def test_whatever_is_cancelled_cover_is_never_lowered(live: tuple[Order, ...], wish: list[Cancel], can: Any) -> None:
    case = build(record(held_trade()), seen(position(), live), frame(can=can))
    kept = never_lower(wish, case)
    gone = {c.order_id for c in kept if isinstance(c, Cancel)}
    left = [o for o in live if o.id not in gone]
    after = cover(HELD, left, RULES, can)
    if any(o.id in gone and fault_of(o, Side.LONG, RULES) is None for o in live):
        assert after.kind is CoverKind.WHOLE
    if case.cover.kind is CoverKind.WHOLE:
        assert after.kind is CoverKind.WHOLE
    # an order whose cancel is under way no longer counts
    again = build(record(held_trade(), canceled=tuple((o, NOW) for o in gone)), seen(position(), live), frame(can=can))
    more = {c.order_id for c in never_lower(wish, again) if isinstance(c, Cancel)}
    if any(o.id in more and fault_of(o, Side.LONG, RULES) is None for o in live if o.id not in gone):
        assert cover(HELD, [o for o in left if o.id not in more], RULES, can).kind is CoverKind.WHOLE


@settings(max_examples=60, deadline=None)
@given(orders, cancels, st.booleans())
def test_nothing_is_cancelled_on_unknown(live: tuple[Order, ...], wish: list[Cancel], blind: bool) -> None:
    look = seen(position(), DOWN) if blind else seen(None, live)
    case = build(record(held_trade() if not blind else None, quiet_ms=NOW), look, frame())
    assert never_lower(wish, case) == []
    entry = Cancel("e", Role.ENTRY, "out")
    assert never_lower([entry], case) == [entry]


def _book(successor: bool) -> Book:
    done = Exit("external", "", (), None, None, D(1), D(0), D(0), D(0), D(0), 0, 0, complete=True)
    return Book(held_trade(), done, (), found_trade() if successor else None, "why")


@pytest.mark.parametrize(
    ("what", "look", "successor", "kept"),
    [
        ("flat", seen(), False, True),
        ("held, with a successor", seen(position()), True, True),
        ("held, without", seen(position()), False, False),
        ("unknown", seen(DOWN, fills=CLOSED), True, False),
    ],
)
def test_what_may_be_booked(what: str, look: Seen, successor: bool, kept: bool) -> None:
    book = _book(successor)
    assert never_lower([book], build(record(held_trade()), look, frame())) == ([book] if kept else []), what


def test_a_correction_may_be_booked_whatever_is_held() -> None:
    book = _book(successor=False)
    case = build(record(found_trade(), settling=(book.trade,)), seen(position()), frame())
    assert never_lower([book], case) == [book]


def test_a_cancel_of_an_order_nobody_sees_needs_cover_without_it() -> None:
    ghost = Cancel("nobody", Role.STOP, "tidy")
    assert never_lower([ghost], build(record(held_trade()), seen(position(), (stop(),)), frame())) == [ghost]
    assert never_lower([ghost], build(record(held_trade()), seen(position()), frame())) == []


def test_flatten_is_never_vetoed() -> None:
    out = Flatten(D("0.03"), "manual_close", "why")
    assert never_lower([out], build(record(), seen(DOWN, DOWN, DOWN), frame())) == [out]
