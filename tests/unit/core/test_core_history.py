"""The venue's history of orders: what a record that is lost had sent, and no list of open orders shows."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Again, Book, Cancel, Enter, Rest, RestKind
from stopkeeper.core.asking import history_after_ms
from stopkeeper.core.case import ADMISSION_MARGIN_MS, LOOK_AGAIN_MS
from stopkeeper.core.learn import learn
from stopkeeper.core.model import History, Known, Lookup, Order, OrderKind, OrderState, Role, Seen, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.outstanding import KEPT
from stopkeeper.core.record import KeyRecord, Origin, Outstanding, Trade
from tests.unit.core.scene import (
    KEY,
    LAG,
    NOW,
    TRADE,
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
)

HUNG = stop(order_id="h1", fired=True)
NAME = cid(Role.STOP, 1)
SINCE = NOW - 60_000
TOLD = SINCE + ADMISSION_MARGIN_MS + LAG  # from then on a history shows all that was sent before the loss
FOUND_ONE = replace(
    held_trade(), id="ffffff000001", origin=Origin.FOUND, signal=None, sent=(), opening_size=D(1), opening_price=D(100)
)
CLOSED = (fill("c", "-1", "94.9", NOW - 20_000, "1", "hand"),)
FLAT = seen(None, (), CLOSED)


def heard(look: Seen, *orders: Order, at_ms: int = NOW, traded: str = "ETH") -> Seen:
    return replace(look, history=Known(History(orders, frozenset({traded})), at_ms))


def lost(trade: Trade | None = FOUND_ONE, **more: Any) -> KeyRecord:
    return replace(record(trade), since_ms=SINCE, history_ms=0, **more)


def rests_at_venue(order_id: str, client_id: str) -> Order:
    entry = stop(order_id=order_id, client_id=client_id, kind=OrderKind.LIMIT)
    return replace(entry, trigger=None, reduce_only=False, side=Side.LONG)


def canceled(rec: KeyRecord, shown: set[Order], answer: Lookup, at_ms: int) -> list[str]:
    """Return the stops that are cancelled, where nothing is held and one is asked after by its id."""
    look = seen(None, tuple(shown), lookups={answer.client_id: answer}, at_ms=at_ms)
    made = plan(learn(rec, look, frame(at_ms)), look, frame(at_ms))
    return [action.order_id for action in made.actions if isinstance(action, Cancel) and action.role is Role.STOP]


def asks(rec: KeyRecord, look: Seen) -> int | None:
    return history_after_ms(rec, look, LAG)


def test_what_is_on_record_and_shown_nowhere_is_asked_after_by_its_id_and_cancelled() -> None:
    look = heard(FLAT, HUNG)
    rec = learn(lost(), look, frame())
    assert rec.outstanding == (Outstanding(TRADE, Role.STOP, 1, "h1", NOW),)
    assert rec.history_ms == NOW
    assert not any(isinstance(action, Book) for action in plan(rec, look).actions)
    rec = replace(rec, denied=(*rec.denied, NOW + 1))
    assert canceled(rec, {}, Lookup(NAME, OrderState.FIRED, "h1"), NOW + LAG) == []  # its position may be late to show
    assert canceled(rec, {}, Lookup(NAME, OrderState.FIRED, "h1"), NOW + LAG + 1) == ["h1"]


def test_what_was_placed_with_an_entry_stays_until_no_fill_of_it_can_be_late() -> None:
    """A store went back and forgot an entry that rests: its cancel was sent and not answered, and it may fill yet."""
    child = Lookup(NAME, OrderState.LIVE, "h1")
    entry = rests_at_venue("e1", cid(Role.ENTRY, 0))
    foreign = rests_at_venue("e2", cid(Role.ENTRY, 0, installation="fffff"))
    rec = learn(lost(canceled=(("e1", NOW),)), heard(seen(None, (entry,)), HUNG), frame())
    later = NOW + 2 * LAG
    assert canceled(rec, {entry, foreign}, child, later) == []
    rec = learn(rec, seen(None, (entry,), at_ms=later), frame(later))
    assert canceled(rec, set(), child, later + LAG) == []
    assert canceled(rec, set(), child, later + LAG + 1) == ["h1"]
    assert canceled(rec, {foreign}, child, later + LAG + 1) == ["h1"]


def test_what_was_found_leaves_its_key_only_after_a_history_that_shows_all_that_was_sent() -> None:
    made = plan(lost(), FLAT)
    assert isinstance(made.ends, Again)
    assert made.ends.due_ms == NOW + 2 * LOOK_AGAIN_MS
    young = plan(replace(lost(), since_ms=NOW - 1_000), FLAT)
    assert isinstance(young.ends, Again)
    assert young.ends.due_ms == NOW - 1_000 + ADMISSION_MARGIN_MS + LAG + 1
    assert isinstance(plan(replace(lost(), history_ms=TOLD), FLAT).ends, Again)
    (booked,) = plan(replace(lost(), history_ms=TOLD + 1), FLAT).actions
    assert isinstance(booked, Book)


def test_what_was_entered_leaves_its_key_without_another() -> None:
    entry = fill("e", "1", "100", NOW - 50_000, "0", "e1", client_id=cid(Role.ENTRY, 0))
    (booked,) = plan(replace(lost(held_trade()), history_ms=1), seen(None, (), (entry, *CLOSED))).actions
    assert isinstance(booked, Book)


def test_no_first_entry_leaves_before_the_history_was_read() -> None:
    made = plan(lost(new_trade()), seen())
    assert isinstance(made.ends, Rest)
    assert (made.ends.kind, made.ends.due_ms) == (RestKind.BLIND, NOW + 2 * LOOK_AGAIN_MS)
    rec = learn(lost(new_trade()), heard(seen()), frame())
    assert [type(action) for action in plan(rec, seen()).actions] == [Enter]
    assert not rec.lost
    hung = learn(lost(new_trade()), heard(seen(), HUNG), frame())
    assert not any(isinstance(action, Enter) for action in plan(hung, seen()).actions)


def test_where_a_record_is_lost_an_entry_waits_for_what_that_one_may_have_sent() -> None:
    """All of Redis was lost while an entry was on its way: nothing else tells of it, and it may land within seconds."""
    told = NOW + ADMISSION_MARGIN_MS + LAG
    rec = learn(replace(lost(new_trade()), since_ms=0), heard(seen(), traded="BTC"), frame())
    assert rec.lost
    assert (rec.since_ms, rec.quiet_ms) == (NOW, told)
    assert entries(rec, seen(at_ms=told), told) == 0
    assert asks(rec, seen(at_ms=told)) is None
    assert entries(rec, seen(at_ms=told + 1), told + 1) == 0  # the history is as of before it
    assert asks(rec, seen(at_ms=told + 1)) == told
    again = heard(seen(at_ms=told + 1), at_ms=told + 1)
    assert entries(rec, again, told + 1) == 1
    assert learn(rec, again, frame(told + 1)).lost
    assert asks(learn(rec, again, frame(told + 1)), seen(at_ms=told + 9_000)) is None


def entries(rec: KeyRecord, look: Seen, at_ms: int) -> int:
    made = plan(rec, look, frame(at_ms))
    return sum(isinstance(action, Enter) for action in made.actions)


@pytest.mark.parametrize(
    ("what", "rec", "look", "after"),
    [
        ("a signal that was not sent, on a key that is new", lost(new_trade()), seen(), 0),
        ("on one whose history is known", replace(lost(new_trade()), history_ms=1), seen(), None),
        ("one that was sent", lost(new_trade(sent=(sent(),))), seen(), None),
        ("one that was sent, after a loss", lost(new_trade(sent=(sent(),)), lost=True), seen(), None),
        ("after a loss, on a key that is new", lost(new_trade(), lost=True), seen(), TOLD),
        ("nothing", lost(None), seen(), None),
        ("found, and held", lost(), seen(position()), None),
        ("found, and flat", lost(), FLAT, TOLD),
        ("flat, and read too early to tell", lost(), seen(None, (), CLOSED, at_ms=TOLD), None),
        ("flat, and a history that was too early", replace(lost(), history_ms=TOLD), FLAT, TOLD),
        ("flat, and a history that shows all", replace(lost(), history_ms=TOLD + 1), FLAT, None),
        ("positions that cannot be read", lost(new_trade()), seen(Unknown("down")), None),
    ],
)  # fmt: skip
def test_when_the_history_is_asked_for(what: str, rec: KeyRecord, look: Seen, after: int | None) -> None:
    assert asks(rec, look) == after, what


def test_only_stops_and_targets_of_ours_on_this_key_are_taken_from_it() -> None:
    others = (
        replace(HUNG, symbol="ETH"),
        replace(HUNG, client_id=cid(Role.ENTRY, 0)),
        replace(HUNG, client_id=cid(Role.STOP, 1, installation="fffff")),
        replace(HUNG, client_id="x"),
    )
    assert learn(lost(), heard(FLAT, *others), frame()).outstanding == ()


def test_an_older_history_and_one_of_what_is_going_or_known_add_nothing() -> None:
    known = Outstanding(TRADE, Role.STOP, 1, "h0", seen_ms=5)
    assert learn(lost(outstanding=(known,)), heard(FLAT, HUNG), frame()).outstanding == (known,)
    assert learn(lost(canceled=(("h1", NOW),)), heard(FLAT, HUNG), frame()).outstanding == ()
    assert learn(replace(lost(), history_ms=NOW), heard(FLAT, HUNG), frame()).outstanding == ()
    many = tuple(Outstanding(TRADE, Role.STOP, n) for n in range(100, 100 + KEPT))
    assert len(learn(lost(outstanding=many), heard(FLAT, HUNG), frame()).outstanding) == KEPT


def test_a_record_begins_with_its_first_trade() -> None:
    assert learn(KeyRecord(KEY), seen(), frame()).since_ms == 0
    first = learn(KeyRecord(KEY, trade=new_trade()), seen(), frame())
    assert first.since_ms == NOW
    assert learn(first, seen(), frame(NOW + 9_000)).since_ms == NOW
