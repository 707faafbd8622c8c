"""The entry that rests, by situation: when it stands, when it goes, and that it never leaves twice."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from stopkeeper.core.actions import Book, Cancel, Enter, Flatten, PlaceStop, Refuse, Rest
from stopkeeper.core.asking import entry_id, questions
from stopkeeper.core.believe import Held
from stopkeeper.core.case import Frame, build
from stopkeeper.core.danger import flatten
from stopkeeper.core.effects import announce, conclude
from stopkeeper.core.learn import learn
from stopkeeper.core.model import (
    Distance,
    Lookup,
    Order,
    OrderKind,
    OrderState,
    Resting,
    Role,
    Seen,
    Side,
    TargetWish,
)
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.record import CloseAsk, KeyRecord, Outstanding, Sent, Trade
from stopkeeper.core.rules import Switches
from tests.unit.core.scene import (
    AIM,
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
    new_trade,
    plan,
    position,
    record,
    seen,
    signal,
    stop,
    target,
    told,
)

DOWN = Unknown("down")
RESTING = replace(TERMS, worst_price=D(98), resting=Resting.GTC)
UNTIL = NOW + 3_600_000
WISH = signal(limit=D(98), resting=Resting.GTC, expires_ms=UNTIL)
NAME = cid(Role.ENTRY, 0)
FED = frame(feed_age_ms=500)
ROUND_MS = NOW - 20_000
STANDS = Accepted("e1", live=True)


def attempt(outcome: Any, **more: Any) -> Sent:
    base = Sent(0, 0, 1, ROUND_MS + 4_000, ROUND_MS, RESTING, outcome)
    return replace(base, **more)


def resting(outcome: Any = STANDS, *, over: bool = False, **more: Any) -> Trade:
    base = new_trade(signal=WISH, sent=(attempt(outcome, over=over),), stop=D(95), first_stop=D(95))
    return replace(base, **{"created_ms": ROUND_MS - 5_000, "order_roles": (("e1", "entry"),), **more})


def lost(**more: Any) -> Trade:
    """Sent, and its answer lost: it may stand in the book or not."""
    sent = attempt(Unknown("timeout"), deadline_ms=NOW - LAG - 1_000)
    return replace(resting(), sent=(sent,), order_roles=(), **more)


def book(size: str = "1", order_id: str = "e1", trade: str = TRADE, **more: Any) -> Order:
    """The entry as the book shows it: ``size`` is what is left of it."""
    base = stop(size=size, order_id=order_id, client_id=cid(Role.ENTRY, 0, trade), side=Side.LONG, placed_ms=ROUND_MS)
    return replace(
        base, kind=OrderKind.LIMIT, price=D(98), trigger=None, reduce_only=False, mark_triggered=False, **more
    )


def filled(size: str, at_ms: int = NOW - 5_000, start: str = "0", name: str = "f1") -> Any:
    return fill(name, size, "98", at_ms, start, "e1", client_id=NAME)


def answered(state: OrderState | None, size: str = "0", order_id: str | None = "e1") -> dict[str, Lookup]:
    return {NAME: Lookup(NAME, state, order_id, D(size))}


PART = filled("0.4")
BY_HAND = fill("h", "0.3", "100", NOW - 5_000, "0")
OUT = fill("c", "-0.4", "94.9", NOW - 4_000, "0.4", "s1")
ENTERED: dict[str, Any] = {"entered_ms": NOW - 5_000, "held": D("0.4"), "explained": D("0.4"), "covered": True}
COVERED = (stop(size="0.4"), book("0.6"))
MINE = position("0.4", entry_price=D(98))


@dataclass
class Situation:
    what: str
    rec: KeyRecord
    look: Seen
    expected: str
    frm: Frame = FED


def switched(**more: Any) -> Frame:
    return replace(FED, switches=Switches(**more))


TABLE = [
    # --- before it leaves
    Situation("a signal that may rest", record(new_trade(signal=WISH)), seen(), "entry: Enter"),
    Situation("streams silent", record(new_trade(signal=WISH)), seen(), "entry: Refuse", frame(feed_age_ms=5_000)),
    Situation("streams never heard", record(new_trade(signal=WISH)), seen(), "entry: Refuse", frame()),
    Situation("an entry that does not rest needs no streams", record(new_trade()), seen(), "entry: Enter", frame()),
    Situation("paused", record(new_trade(signal=WISH)), seen(), "entry: Refuse", switched(paused=True)),
    # --- it rests
    Situation("it rests", record(resting()), seen(orders=(book(),)), "entry: rest entry_resting"),
    Situation(
        "its children are shown too, and are left alone",
        record(resting()),
        seen(orders=(book(), stop(n=2, order_id="s2"), target(n=3, order_id="t3"))),
        "entry: rest entry_resting",
    ),
    Situation("the orders cannot be read", record(resting()), seen(orders=DOWN), "entry: rest unproven"),
    Situation("nothing can be read", record(resting()), seen(DOWN, DOWN, DOWN), "entry: rest unproven"),
    Situation(
        "the price is far beyond its stop: nothing is held",
        record(resting()),
        seen(orders=(book(),), mark="80"),
        "entry: rest entry_resting",
    ),
    Situation(
        "a hand opened beside it, as the fills tell: covered first",
        record(resting()),
        seen(position("0.3"), (book(),), (BY_HAND,)),
        "protection: PlaceStop",
    ),
    Situation(
        "a hand opened beside it and is covered",
        record(resting()),
        seen(position("0.3"), (book(), stop(size="0.3")), (BY_HAND,)),
        "entry: Cancel",
    ),
    Situation(
        "a position is shown, and no fill tells whose it is",
        record(resting()),
        seen(position("0.3"), (book(), stop(size="0.3"))),
        "entry: rest entry_resting",
    ),
    Situation(
        "a hand opened beside it, its cancel is done",
        record(resting(over=True)),
        seen(position("0.3"), (stop(size="0.3"),), (BY_HAND,), lookups=answered(OrderState.CANCELED)),
        "entry: Refuse",
    ),
    # --- it is not wanted any more
    Situation(
        "expired", record(resting(signal=replace(WISH, expires_ms=NOW - 1))), seen(orders=(book(),)), "entry: Cancel"
    ),
    Situation(
        "expires this very moment",
        record(resting(signal=replace(WISH, expires_ms=NOW))),
        seen(orders=(book(),)),
        "entry: rest entry_resting",
    ),
    Situation(
        "paused while it rests", record(resting()), seen(orders=(book(),)), "entry: Cancel", switched(paused=True)
    ),
    Situation(
        "halted while it rests", record(resting()), seen(orders=(book(),)), "entry: Cancel", switched(halted=True)
    ),
    Situation("barred", record(resting()), seen(orders=(book(),)), "entry: Cancel", switched(barred="agent")),
    Situation(
        "streams fell silent", record(resting()), seen(orders=(book(),)), "entry: Cancel", frame(feed_age_ms=5_000)
    ),
    Situation(
        "close asked", record(resting(close=CloseAsk("manual_close", NOW))), seen(orders=(book(),)), "entry: Cancel"
    ),
    Situation(
        "close of a part asked, and nothing filled",
        record(resting(close=CloseAsk("manual_close", NOW, D("0.5")))),
        seen(orders=(book(),)),
        "entry: rest entry_resting",
    ),
    Situation(
        "expired, its cancel is under way",
        record(resting(signal=replace(WISH, expires_ms=NOW - 1)), canceled=(("e1", NOW - 100),)),
        seen(orders=(book(),)),
        "entry: rest unproven",
    ),
    Situation(
        "expired, its cancel was lost",
        record(resting(signal=replace(WISH, expires_ms=NOW - 1)), canceled=(("e1", NOW - LAG),)),
        seen(orders=(book(),)),
        "entry: Cancel",
    ),
    # --- its answer was lost
    Situation("answer lost", record(lost()), seen(), "entry: rest unproven"),
    Situation("answer lost, found in the book", record(lost()), seen(orders=(book(),)), "entry: rest entry_resting"),
    Situation(
        "answer lost, found in the book, expired",
        record(lost(signal=replace(WISH, expires_ms=NOW - 1))),
        seen(orders=(book(),)),
        "entry: Cancel",
    ),
    Situation(
        "answer lost, its id says it stands",
        record(lost()),
        seen(lookups=answered(OrderState.LIVE)),
        "entry: rest unproven",
    ),
    Situation(
        "answer lost, its id says it filled",
        record(lost(), quiet_ms=NOW),
        seen(lookups=answered(OrderState.FILLED, "1")),
        "protection: PlaceStop",
    ),
    Situation("answer lost, proved absent", record(lost()), seen(lookups=answered(None)), "entry: Enter"),
    Situation(
        "answer lost, nothing tells yet",
        record(lost()),
        seen(lookups=answered(None), fills=DOWN),
        "entry: rest unproven",
    ),
    Situation(
        "answer lost, and it was cancelled on the venue: it stood, and is not sent again",
        record(lost()),
        seen(lookups=answered(OrderState.CANCELED)),
        "rest: rest blind",
    ),
    Situation(
        "answer lost, refused by the venue",
        record(lost()),
        seen(lookups=answered(OrderState.REJECTED)),
        "entry: Enter",
    ),
    # --- it is gone
    Situation("gone, nobody was asked yet", record(resting()), seen(), "entry: rest unproven"),
    Situation("gone, a late view", record(resting()), seen(lookups=answered(OrderState.LIVE)), "entry: rest unproven"),
    Situation(
        "gone, cancelled on the venue",
        record(resting()),
        seen(lookups=answered(OrderState.CANCELED)),
        "rest: rest blind",
    ),
    Situation("over a while ago", record(resting(over=True)), seen(), "booking: Refuse"),
    Situation(
        "over, and its children stand",
        record(resting(over=True), outstanding=(Outstanding(TRADE, Role.STOP, 1, "s1", ROUND_MS),), denied=TOLD),
        seen(orders=(stop(placed_ms=ROUND_MS),)),
        "hygiene: Cancel",
    ),
    Situation(
        "gone and filled, shown by nothing else yet",
        record(resting()),
        seen(lookups=answered(OrderState.FILLED, "1")),
        "protection: PlaceStop",
    ),
    Situation(
        "gone and cancelled after a part had filled",
        record(resting()),
        seen(lookups=answered(OrderState.CANCELED, "0.4")),
        "protection: PlaceStop",
    ),
    # --- it fills
    Situation("a part is held, naked", record(resting()), seen(MINE, (book("0.6"),), (PART,)), "protection: PlaceStop"),
    Situation(
        "a part is held, and no fill tells of it",
        record(resting()),
        seen(MINE, (book("0.6"),)),
        "protection: PlaceStop",
    ),
    Situation(
        "a part is held and covered", record(resting(**ENTERED)), seen(MINE, COVERED, (PART,)), "rest: rest protected"
    ),
    Situation(
        "a part is held and covered, and no fill tells of it",
        record(resting()),
        seen(MINE, COVERED),
        "entry: rest entry_resting",
    ),
    Situation(
        "a part is held and covered, the rest expired",
        record(
            resting(
                **ENTERED,
            )
        ),
        seen(MINE, COVERED, (PART,)),
        "entry: Cancel",
        replace(FED, now_ms=UNTIL + 1),
    ),
    Situation(
        "a part is held and covered, the streams fell silent",
        record(resting(**ENTERED)),
        seen(MINE, COVERED, (PART,)),
        "entry: Cancel",
        frame(),
    ),
    Situation(
        "a part is held, the rest is gone",
        record(resting(**ENTERED)),
        seen(MINE, (stop(size="0.4"),), (PART,)),
        "rest: rest protected",
    ),
    Situation(
        "more of it filled: the stop grows first",
        record(resting(**ENTERED)),
        seen(position("0.7"), (stop(size="0.4"), book("0.3")), (PART, filled("0.3", NOW - 1_000, "0.4", "f2"))),
        "protection: PlaceStop",
    ),
    Situation(
        "its stop is too large while it still fills: it waits",
        record(resting(**ENTERED)),
        seen(MINE, (stop(size="1"), book("0.6")), (PART,)),
        "rest: rest protected",
    ),
    Situation(
        "its stop is too large and nothing comes any more",
        record(resting(over=True, **ENTERED)),
        seen(MINE, (stop(size="1"),), (PART,)),
        "trailing: PlaceStop",
    ),
    Situation(
        "a target for what filled",
        record(resting(**ENTERED, targets=AIM, entry_filled=D("0.4"))),
        seen(MINE, COVERED, (PART,)),
        "targets: PlaceTarget",
    ),
    Situation(
        "close asked while a part is held",
        record(resting(**ENTERED, close=CloseAsk("manual_close", NOW))),
        seen(MINE, COVERED, (PART,)),
        "closing: Cancel, Flatten",
    ),
    Situation(
        "halted while a part is held",
        record(resting(**ENTERED)),
        seen(MINE, COVERED, (PART,)),
        "danger: Cancel, Flatten",
        switched(halted=True),
    ),
    # --- it ends
    Situation(
        "stopped out while the rest of it stands",
        record(resting(**ENTERED)),
        seen(None, (book("0.6"),), (PART, OUT)),
        "entry: Cancel",
    ),
    Situation(
        "stopped out, the rest's cancel is under way",
        record(resting(**ENTERED), canceled=(("e1", NOW - 100),)),
        seen(None, (book("0.6"),), (PART, OUT)),
        "booking: again",
    ),
    Situation(
        "stopped out, nothing stands",
        record(resting(over=True, **ENTERED)),
        seen(None, (), (PART, OUT)),
        "booking: Book",
    ),
    Situation(
        "stopped out, and the rest filled on its way out",
        record(resting(**ENTERED)),
        seen(position("0.6"), (), (PART, OUT, filled("0.6", NOW - 3_500, "0", "f2"))),
        "ending: Book",
    ),
    Situation(
        "some was sold by hand while the rest stands",
        record(resting(**ENTERED)),
        seen(position("0.3"), COVERED, (PART, replace(OUT, size=D("0.1"), order_id="z"))),
        "entry: Cancel",
    ),
    Situation(
        "stopped out, and nothing stands for the first time",
        record(resting(**ENTERED)),
        seen(None, (), (PART, OUT)),
        "booking: again",
    ),
    # --- of a trade that has ended
    Situation(
        "the entry of a dead trade beside a position",
        record(resting(over=True, **ENTERED)),
        seen(MINE, (stop(size="0.4"), book(order_id="e9", trade="ffffffffffff")), (PART,)),
        "hygiene: Cancel",
    ),
    Situation(
        "the entry of a dead trade, nothing is held",
        record(),
        seen(orders=(book(trade="ffffffffffff"),)),
        "hygiene: Cancel",
    ),
    Situation(
        "a stranger's entry is a stranger's",
        record(),
        seen(orders=(book(client_id=None),)),
        "rest: rest flat",
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=[s.what for s in TABLE])
def test_situations(case: Situation) -> None:
    look = case.look
    if case.frm.now_ms != NOW:
        look = replace(look, position=replace(look.position, at_ms=case.frm.now_ms))  # type: ignore[arg-type]
    assert told(plan(case.rec, look, case.frm)) == case.expected


@pytest.mark.parametrize("case", TABLE, ids=[s.what for s in TABLE])
def test_whatever_happens_it_never_leaves_twice(case: Situation) -> None:
    """Only what is proved absent, or was never sent, may be sent."""
    made = plan(case.rec, case.look, case.frm)
    for action in made.actions:
        if isinstance(action, Enter):
            learned = learn(case.rec, case.look, case.frm).trade
            assert learned is not None
            assert action.attempt == len(learned.sent)
            assert all(sent.absent for sent in learned.sent)


def test_the_terms_of_an_entry_that_rests() -> None:
    """Its distances count from where it will fill; its targets leave once it has."""
    wish = replace(WISH, stop=Distance(fraction=D("0.05")), targets=(TargetWish(Distance(fraction=D("0.1"))),))
    (action,) = plan(record(new_trade(signal=wish)), seen(), FED).actions
    assert isinstance(action, Enter)
    terms = action.terms
    assert (terms.worst_price, terms.stop, terms.resting) == (D(98), D("93.1"), Resting.GTC)
    assert [goal.price for goal in terms.goals] == [D("107.8")]
    assert terms.targets == ()


def sent_now(outcome: EntryOutcome) -> KeyRecord:
    """Return the record after an entry that rests was sent and answered so."""
    rec = record(new_trade(signal=WISH))
    (action,) = plan(rec, seen(), FED).actions
    return conclude(announce(rec, action, NOW + 4_000, 1, NOW), action, outcome, NOW + 100, LAG)


def test_it_is_looked_for_when_it_expires() -> None:
    rec = sent_now(EntryOutcome(Accepted("e1", live=True), Accepted("s2", live=True)))
    assert rec.trade is not None
    assert rec.trade.placed == (), "the stop of an entry that rests is no order yet"
    assert rec.quiet_ms == NOW + 100 + LAG
    ends = plan(rec, seen(orders=(book(),)), FED).ends
    assert isinstance(ends, Rest)
    assert (ends.due_ms, ends.why) == (UNTIL + 1, "the entry rests at 98")


@pytest.mark.parametrize(
    ("what", "trade", "fills", "due"),
    [
        ("no fill tells yet whose the position is", {}, (), NOW + 500),
        ("a part is ours, and the rest of it expires", ENTERED, (PART,), UNTIL + 1),
    ],
)
def test_a_part_that_is_held_is_looked_at_in_time(what: str, trade: dict[str, Any], fills: Any, due: int) -> None:
    ends = plan(record(resting(**trade)), seen(MINE, COVERED, fills), FED).ends
    assert isinstance(ends, Rest), what
    assert ends.due_ms == due


def test_a_stop_refused_with_an_entry_that_rests_says_nothing_of_a_later_fill() -> None:
    rec = sent_now(EntryOutcome(Accepted("e1", live=True), Rejected(Reason.CROSSED, "no")))
    assert rec.trade is not None
    assert not rec.trade.crossed
    filled_now = sent_now(EntryOutcome(Accepted("e1", D("0.4"), D(98), live=True), Rejected(Reason.CROSSED, "no")))
    assert filled_now.trade is not None
    assert filled_now.trade.crossed


def test_while_one_rests_the_next_is_not_asked_for() -> None:
    rec = record(resting(created_ms=NOW - 1_000))
    assert questions(rec, seen(orders=(book(),), fills=DOWN), INST, LAG) == ()


def test_what_is_not_quiet_is_not_gone() -> None:
    """Acked a moment ago, and not in the book as a late view shows it: its id is asked, nothing is concluded."""
    rec = sent_now(EntryOutcome(Accepted("e1", live=True), Accepted()))
    assert told(plan(rec, seen(at_ms=NOW + 200), replace(FED, now_ms=NOW + 200))) == "entry: rest unproven"
    assert questions(rec, seen(), INST, LAG) == (NAME,)
    assert questions(rec, seen(orders=(book(),)), INST, LAG) == ()
    assert questions(rec, seen(orders=DOWN), INST, LAG) == ()


def test_filled_as_it_came_it_is_a_position() -> None:
    rec = sent_now(EntryOutcome(Accepted("e1", D("0.4"), D(98), live=True), Accepted()))
    assert rec.trade is not None
    assert (rec.trade.held, rec.trade.entry_filled, rec.trade.entered_ms) == (D("0.4"), D("0.4"), NOW + 100)
    look = seen(orders=(book("0.6"),), at_ms=NOW + 200)
    (action,) = plan(rec, look, replace(FED, now_ms=NOW + 200)).actions
    assert isinstance(action, PlaceStop)
    assert (action.size, action.trigger) == (D("0.4"), D(95))


@pytest.mark.parametrize(
    ("what", "outcome", "says"),
    [
        (
            "it would have filled",
            Rejected(Reason.WOULD_MATCH, "would match"),
            "the venue refused the entry: would match",
        ),
        ("it was never sent", Throttled("busy"), "not sent: busy"),
    ],
)
def test_why_it_never_rested(what: str, outcome: Any, says: str) -> None:
    rec = record(resting(outcome, nonces=(1,)))
    (action,) = plan(rec, seen(), FED).actions
    assert isinstance(action, Refuse), what
    assert action.why == says


@pytest.mark.parametrize(
    ("what", "trade", "frm", "says"),
    [
        ("cancelled by hand", {}, FED, "the resting entry was cancelled before it filled, and not by us"),
        (
            "expired",
            {"signal": replace(WISH, expires_ms=NOW - 1)},
            FED,
            "the entry rested until the signal expired",
        ),
        ("paused", {}, switched(paused=True), "the account is paused: no new entries"),
        ("closed", {"close": CloseAsk("manual_close", NOW)}, FED, "it was closed before it entered"),
        (
            "deaf",
            {},
            frame(feed_age_ms=9_000),
            "the account's streams are silent: a fill would not be seen at once",
        ),
    ],
)
def test_why_it_ended_unfilled(what: str, trade: dict[str, Any], frm: Frame, says: str) -> None:
    (action,) = plan(record(resting(over=True, **trade)), seen(), frm).actions
    assert isinstance(action, Refuse), what
    assert action.why == says


def test_a_cancel_of_it_names_why() -> None:
    (action,) = plan(record(resting()), seen(orders=(book(),)), frame()).actions
    assert action == Cancel("e1", Role.ENTRY, "the account's streams are silent: a fill would not be seen at once")


def test_what_an_ended_rest_filled_is_learned() -> None:
    rec = learn(record(resting()), seen(lookups=answered(OrderState.CANCELED, "0.4")), FED)
    assert rec.trade is not None
    (only,) = rec.trade.sent
    assert (only.over, only.rests) == (True, False)
    assert only.outcome == Accepted("e1", D("0.4"))
    assert (rec.trade.held, rec.trade.entered_ms) == (D("0.4"), NOW)
    assert rec.quiet_ms == NOW + LAG, "when it ended is not known: what it filled may be shown a lag from now"


def test_a_record_that_went_back_finds_it_in_the_book() -> None:
    """The store forgot that it was sent; before another leaves, its id is asked, and it is ours again."""
    rec = record(new_trade(signal=WISH, created_ms=ROUND_MS))
    look = seen(orders=(book(),), lookups={**answered(OrderState.LIVE)})
    learned = learn(rec, look, FED)
    assert learned.trade is not None
    assert [s.outcome for s in learned.trade.sent] == [Accepted("e1", live=True)]
    assert told(plan(rec, look, FED)) == "entry: rest entry_resting"
    assert entry_id(learned.trade, 0, INST) == NAME


def test_the_successor_of_a_rest_that_filled_late() -> None:
    look = seen(position("0.6", entry_price=D(98)), (), (PART, OUT, filled("0.6", NOW - 3_500, "0", "f2")))
    (action,) = plan(record(resting(**ENTERED)), look, FED).actions
    assert isinstance(action, Book)
    assert action.exit.size == D("0.4")
    assert action.successor is not None
    assert action.successor.held == D("0.6")


@pytest.mark.parametrize(
    ("what", "trade", "orders", "canceled", "cancels"),
    [
        ("it is not shown", resting(held=D(1)), (), (), ["e1"]),
        ("no orders can be read", resting(held=D(1)), Unknown("down"), (), ["e1"]),
        ("it is shown", resting(held=D(1)), (book(),), (), ["e1"]),
        ("its cancel was sent", resting(held=D(1)), Unknown("down"), (("e1", NOW),), []),
        ("it is over", resting(held=D(1), over=True), Unknown("down"), (), []),
        ("its answer was lost", lost(held=D(1)), Unknown("down"), (), []),
        ("no id came with its answer", resting(Accepted(live=True), held=D(1)), Unknown("down"), (), []),
    ],
)
def test_a_close_takes_what_rests_of_the_entry_along_seen_or_not(
    what: str, trade: Trade, orders: Any, canceled: Any, cancels: list[str]
) -> None:
    case = build(record(trade, canceled=canceled), seen(position(), orders), frame())
    verdict = flatten(case, Held(Side.LONG, D(1), "venue", position()), "emergency_exit", "naked")
    assert isinstance(verdict, list)
    assert [each.order_id for each in verdict if isinstance(each, Cancel)] == cancels, what
    assert isinstance(verdict[-1], Flatten)
