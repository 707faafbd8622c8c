"""Which of our stops and targets may live unseen: noted, asked after, dropped."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Cancel, Enter, Flatten, PlaceStop, PlaceTarget
from stopkeeper.core.asking import another_trades, questions
from stopkeeper.core.effects import announce, conclude
from stopkeeper.core.ids import decode
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Lookup, Order, OrderState, Role
from stopkeeper.core.outcomes import (
    Accepted,
    Barred,
    EntryOutcome,
    Outcome,
    Reason,
    Rejected,
    Throttled,
    Unknown,
)
from stopkeeper.core.outstanding import KEPT, hidden
from stopkeeper.core.record import KeyRecord, Outstanding, TargetTerms
from tests.unit.core.scene import (
    ENTRY_FILL,
    INST,
    LAG,
    NOW,
    TERMS,
    TOLD,
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
    target,
)

DUE = NOW + 4_000
DOWN = Unknown("down")
ENTER = Enter(0, replace(TERMS, targets=(TargetTerms(D(1), D(110), D(99)),)), "go")
STOP = PlaceStop(D(1), D(95), D("85.5"), "entry", "naked")
TARGET = PlaceTarget(D(1), D(110), D(99), "none")
FIRST, SECOND = Outstanding(TRADE, Role.STOP, 1, "s1"), Outstanding(TRADE, Role.STOP, 2)
SHOWN = replace(FIRST, seen_ms=NOW, listed=True)
CLOSED = (ENTRY_FILL, fill("c", "-1", "94.9", NOW - 5_000, "1", "hand"))
NAME = cid(Role.STOP, 1)
NEW, NEWEST, AIM = (
    replace(SECOND, order_id="s2", listed=True),
    cid(Role.STOP, 2),
    Outstanding(TRADE, Role.TARGET, 3, "t3"),
)
OLD, LONG = (stop(),), seen(position(), ())
NEWER = stop(client_id=NEWEST, order_id="s2")
MADE = "f0d000000001"
MADE_MS = held_trade().created_ms


def done(action: Any, outcome: Outcome | EntryOutcome, **more: Any) -> tuple[Outstanding, ...]:
    trade = new_trade() if isinstance(action, Enter) else held_trade()
    rec = announce(record(trade, **more), action, DUE, 1, NOW)
    return conclude(rec, action, outcome, NOW + 100, LAG).outstanding


def test_stops_and_targets_are_noted_before_they_are_sent() -> None:
    rec = announce(record(new_trade()), ENTER, DUE, 1, NOW)
    assert rec.outstanding == (SECOND, Outstanding(TRADE, Role.TARGET, 3))
    assert announce(record(held_trade()), TARGET, DUE, 1, NOW).outstanding == (Outstanding(TRADE, Role.TARGET, 2),)
    assert announce(record(held_trade()), Flatten(D("0.03"), "manual_close", "x"), DUE, 1, NOW).outstanding == ()
    assert announce(record(), STOP, DUE, 1, NOW).outstanding == ()


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        (Accepted("s2"), (replace(SECOND, order_id="s2"),)),
        (Unknown("timeout"), (SECOND,)),
        (Rejected(Reason.DUPLICATE_ID, "known"), (SECOND,)),
        (Rejected(Reason.STALE_NONCE, "used"), (SECOND,)),
        (Rejected(Reason.CROSSED, "crossed"), ()),
        (Throttled("later"), ()),
        (Barred("no"), ()),
    ],
    ids=repr,
)
def test_what_was_surely_not_placed_is_dropped(outcome: Outcome, left: tuple[Outstanding, ...]) -> None:
    assert done(STOP, outcome) == left


def test_an_answer_names_its_own_order_and_no_other() -> None:
    assert done(STOP, Accepted("s2"), outstanding=(FIRST,)) == (FIRST, replace(SECOND, order_id="s2"))


def test_each_leg_of_an_entry_is_noted_by_its_own_answer() -> None:
    left = done(ENTER, EntryOutcome(Accepted("e1", D(1)), Rejected(Reason.CROSSED, "x"), (Accepted("t3"),)))
    assert left == (Outstanding(TRADE, Role.TARGET, 3, "t3"),)


@pytest.mark.parametrize(
    ("order", "outcome", "left"),
    [
        ("s1", Accepted("s1"), ()),
        ("s1", Rejected(Reason.GONE, "not live"), (replace(FIRST, gone=("s1",)),)),
        ("s1", Rejected(Reason.EXPIRED, "late"), (FIRST,)),
        ("s1", Unknown("timeout"), (FIRST,)),
        ("s9", Accepted("s9"), (FIRST,)),
    ],
    ids=repr,
)
def test_what_was_surely_cancelled_is_dropped(order: str, outcome: Outcome, left: tuple[Outstanding, ...]) -> None:
    assert done(Cancel(order, Role.STOP, "older"), outcome, outstanding=(FIRST,)) == left


def test_what_is_shown_is_noted_also_where_the_record_had_forgotten_it() -> None:
    theirs = stop(order_id="x", client_id=cid(Role.STOP, 99, installation="fffff"))
    entry = stop(order_id="e", client_id=cid(Role.ENTRY, 0))
    rec = learn(record(held_trade()), seen(position(), (stop(), target(), theirs, entry)), frame())
    assert rec.outstanding == (SHOWN, Outstanding(TRADE, Role.TARGET, 2, "t1", NOW, listed=True))
    assert learn(rec, seen(position(), DOWN), frame()).outstanding == rec.outstanding


def test_what_was_placed_with_an_entry_that_is_shown_is_not_listed_by_that() -> None:
    """The child of an entry that filled in part is open by its id, and guards nothing."""
    entry = stop(order_id="e", client_id=cid(Role.ENTRY, 0))
    rec = learn(record(held_trade(), outstanding=(FIRST,)), seen(position(), (entry,)), frame())
    assert rec.outstanding == (replace(FIRST, seen_ms=NOW),)


FIRED_ANEW = Lookup(NAME, OrderState.FIRED, "s9", D(0))


def flat(rec: KeyRecord, *answers: Lookup, now_ms: int = NOW) -> KeyRecord:
    return learn(rec, seen(None, (), CLOSED, lookups={each.client_id: each for each in answers}), frame(now_ms))


def test_a_stop_that_lives_on_under_another_venue_id_is_cancelled_under_that() -> None:
    gone = replace(SHOWN, gone=("s1",), seen_ms=NOW - 60_000)
    rec = flat(record(held_trade(), outstanding=(gone,), denied=TOLD), FIRED_ANEW)
    assert rec.outstanding == (replace(gone, order_id="s9"),)
    made = plan(rec, seen(None, (), CLOSED, lookups={NAME: FIRED_ANEW}))
    assert [a.order_id for a in made.actions if isinstance(a, Cancel)] == ["s9"]


def test_what_is_fired_for_good_under_an_id_that_is_gone_has_ended() -> None:
    gone = replace(SHOWN, order_id="s9", gone=("s1", "s9"))
    assert flat(record(held_trade(), outstanding=(gone,)), FIRED_ANEW).outstanding == ()


def test_what_is_told_to_live_under_an_id_that_is_gone_is_asked_after_again_and_not_cancelled() -> None:
    live = Lookup(NAME, OrderState.LIVE, "s1", D(0))  # a view from before the cancel
    gone = replace(SHOWN, gone=("s1",), seen_ms=NOW - 60_000)
    rec = flat(record(held_trade(), outstanding=(gone,)), live)
    assert rec.outstanding == (gone,)
    assert plan(rec, seen(None, (), CLOSED, lookups={NAME: live})).actions == ()


def test_an_id_is_gone_once() -> None:
    gone = replace(FIRST, gone=("s1",))
    again = Rejected(Reason.GONE, "not live")
    assert done(Cancel("s1", Role.STOP, "older"), again, outstanding=(gone,)) == (gone,)


def test_since_when_it_is_seen_stays_with_it() -> None:
    rec = learn(record(held_trade()), seen(position(), (stop(),)), frame())
    later = learn(rec, seen(position(), (stop(),)), frame(NOW + 9_000))
    assert later.outstanding == (SHOWN,)


def test_what_was_cancelled_does_not_come_back_with_a_view_that_is_late() -> None:
    going = (("s1", NOW - 100),)
    assert learn(record(held_trade(), canceled=going), seen(None, (stop(),), CLOSED), frame()).outstanding == ()
    unanswered = record(held_trade(), canceled=going, outstanding=(FIRST,))
    assert learn(unanswered, seen(None, (stop(),), CLOSED), frame()).outstanding == (SHOWN,)


def test_no_more_are_kept_than_a_record_can_bear() -> None:
    many = tuple(Outstanding(TRADE, Role.STOP, n) for n in range(100, 100 + KEPT))
    rec = announce(record(held_trade(), outstanding=many), STOP, DUE, 1, NOW)
    assert rec.outstanding == (*many[1:], SECOND)
    crowded = learn(record(held_trade(), outstanding=many), seen(position(), (stop(),)), frame())
    assert crowded.outstanding == (*many[1:], SHOWN)


@pytest.mark.parametrize(
    ("what", "look", "ended"),
    [
        ("nothing tells", seen(None, (), CLOSED), False),
        ("it is live", seen(None, (), CLOSED, lookups={NAME: Lookup(NAME, OrderState.LIVE, "s1")}), False),
        ("it has fired", seen(None, (), CLOSED, lookups={NAME: Lookup(NAME, OrderState.FIRED, "s1")}), False),
        ("it was cancelled", seen(None, (), CLOSED, lookups={NAME: Lookup(NAME, OrderState.CANCELED, "s1")}), True),
        ("it was filled", seen(None, (), CLOSED, lookups={NAME: Lookup(NAME, OrderState.FILLED, "s1")}), True),
        ("nobody knows it", seen(None, (), CLOSED, lookups={NAME: Lookup(NAME, None)}), True),
        ("asked too early", seen(None, (), CLOSED, at_ms=NOW - 60_000, lookups={NAME: Lookup(NAME, None)}), False),
        ("it was asked in vain", replace(seen(None, (), CLOSED), lookups={NAME: DOWN}), False),
        ("a fill bears its venue id", seen(None, (), (*CLOSED, fill("z", "-1", "95", NOW, order="s1"))), True),
        ("a fill bears its name", seen(None, (), (*CLOSED, fill("z", "-1", "95", NOW, client_id=NAME))), True),
        ("fills unknown", seen(None, (), DOWN), False),
    ],
)  # fmt: skip
def test_when_one_has_ended(what: str, look: Any, ended: bool) -> None:
    rec = learn(record(held_trade(), outstanding=(FIRST,)), look, frame())
    assert (rec.outstanding == ()) is ended, what


def test_what_is_shown_lives_whatever_else_tells_of_its_end() -> None:
    """A fill may have taken a part of it, and a look-up may be older than the view of the open orders."""
    part = (ENTRY_FILL, fill("z", "-0.4", "95", NOW - 50, "1", order="s1"))
    gone = {NAME: Lookup(NAME, OrderState.CANCELED, "s1")}
    look = seen(position("0.6"), (stop(size="0.6"),), part, lookups=gone)
    assert learn(record(held_trade(), outstanding=(FIRST,)), look, frame()).outstanding == (SHOWN,)


@pytest.mark.parametrize(("at_ms", "ended"), [(NOW, False), (NOW + 1, True)])
def test_an_id_nobody_knows_is_believed_only_once_it_is_too_late_to_appear(at_ms: int, ended: bool) -> None:
    look = seen(None, (), at_ms=at_ms, lookups={NAME: Lookup(NAME, None)})
    rec = record(outstanding=(FIRST,), quiet_ms=NOW)
    assert (hidden(rec, look, INST) == ()) is ended
    assert hidden(replace(rec, pending_ms=NOW - 60_000), look, INST) == (FIRST,)


def test_where_the_orders_cannot_be_read_each_may_live() -> None:
    assert hidden(record(outstanding=(FIRST, SECOND)), seen(None, DOWN), INST) == (FIRST, SECOND)


@pytest.mark.parametrize(
    ("what", "rec", "look", "asked"),
    [
        ("flat", record(held_trade(), outstanding=(FIRST,)), seen(None, (), CLOSED), (NAME,)),
        ("no trade", record(outstanding=(FIRST,)), seen(), (NAME,)),
        ("held", record(held_trade(), outstanding=(SHOWN,)), seen(position(), ()), (NAME,)),
        ("held, never listed", record(held_trade(), outstanding=(replace(SHOWN, listed=False),)), LONG, ()),
        ("held, a newer one stands", record(held_trade(), outstanding=(NEW, SHOWN)), seen(position(), (NEWER,)), ()),
        ("held, newer left out", record(held_trade(), outstanding=(NEW, SHOWN)), seen(position(), OLD), (NEWEST,)),
        ("what is held unknown", record(held_trade(), outstanding=(SHOWN,)), seen(DOWN, ()), ()),
        ("held, orders unknown", record(held_trade(), outstanding=(SHOWN,)), seen(position(), DOWN), ()),
        ("held, only a target is out", record(held_trade(), outstanding=(AIM,)), seen(position(), ()), ()),
        ("shown", record(held_trade(), outstanding=(FIRST,)), seen(None, (stop(),), CLOSED), ()),
        ("orders unknown", record(held_trade(), outstanding=(FIRST,)), seen(None, DOWN, CLOSED), ()),
        ("told by a fill", record(outstanding=(FIRST,)), seen(None, (), (fill("z", "-1", "95", NOW, order="s1"),)), ()),
        ("no proof yet", record(new_trade(sent=(sent(),)), outstanding=(FIRST,)), seen(), (cid(Role.ENTRY, 0),)),
        ("nothing outstanding", record(held_trade()), seen(None, (), CLOSED), ()),
    ],
)  # fmt: skip
def test_what_is_asked_after(what: str, rec: KeyRecord, look: Any, asked: tuple[str, ...]) -> None:
    assert questions(rec, look, INST, LAG) == asked, what


def test_what_is_shown_bears_the_id_it_is_shown_by_whatever_an_older_answer_named() -> None:
    older = {NAME: Lookup(NAME, OrderState.LIVE, "s0")}
    rec = learn(record(held_trade()), seen(position(), (stop(order_id="s9"),), lookups=older), frame())
    assert [each.order_id for each in rec.outstanding] == ["s9"]


@pytest.mark.parametrize(
    ("order", "another"),
    [
        (stop(), False),
        (stop(client_id=cid(Role.STOP, 1, "abcdef000001"), placed_ms=MADE_MS), True),
        (stop(client_id=cid(Role.STOP, 1, "abcdef000001"), placed_ms=MADE_MS - 1), False),
        (stop(client_id=cid(Role.STOP, 1, MADE, "fffff")), False),
        (stop(client_id=None), False),
        (stop(client_id=cid(Role.STOP, 1, MADE), placed_ms=MADE_MS - 1), True),
        (stop(client_id=cid(Role.STOP, 1, MADE), symbol="ETH"), False),
    ],
    ids=[
        "its own",
        "a later signal's",
        "an earlier one's",
        "another installation's",
        "a stranger's",
        "one the guardian made",
        "on another symbol",
    ],
)
def test_which_order_is_of_a_trade_that_is_not_on_record(order: Order, *, another: bool) -> None:
    assert another_trades(held_trade(), (order,), INST) is another
    client = decode(order.client_id)
    if client is not None:
        assert not another_trades(replace(held_trade(), id=client.trade), (order,), INST)
        assert not another_trades(replace(held_trade(), before=client.trade), (order,), INST)
