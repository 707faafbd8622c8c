"""The rules by situation: what is on record, what is seen, and what is done about it."""

from dataclasses import dataclass, replace

import pytest

from stopkeeper.core.actions import (
    Again,
    Book,
    Cancel,
    Enter,
    Flatten,
    Found,
    PlaceStop,
    PlaceTarget,
    Prepare,
    Refuse,
    Rest,
)
from stopkeeper.core.case import Frame
from stopkeeper.core.decide import ORDER
from stopkeeper.core.effects import announce, conclude
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Distance, Lookup, MarginMode, OrderState, Resting, Role, Seen, Side, TargetWish
from stopkeeper.core.outcomes import Accepted, Barred, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.record import (
    CloseAsk,
    Cursor,
    KeyRecord,
    Outstanding,
    Placed,
    Prepared,
    Sighting,
    TargetTerms,
    Trade,
)
from stopkeeper.core.rules import Switches
from tests.unit.core.scene import (
    AIM,
    ENTERED_MS,
    ENTRY_FILL,
    LAG,
    NOW,
    TERMS,
    TOLD,
    TRADE,
    D,
    cid,
    fill,
    found_trade,
    frame,
    held_trade,
    new_trade,
    plan,
    position,
    record,
    seen,
    sent,
    signal,
    stop,
    target,
    told,
)

DOWN = Unknown("down")
HALTED, PAUSED = frame(switches=Switches(halted=True)), frame(switches=Switches(paused=True))
STOP_FILL = fill("c", "-1", "94.9", NOW - 5_000, "1", "s1")
HAND_FILL = fill("c", "-1", "94.9", NOW - 5_000, "1", "hand")
OLD = (Outstanding(TRADE, Role.STOP, 1, "s1", ENTERED_MS),)  # shown for long
FIRED = Outstanding(TRADE, Role.STOP, 1, "s1")  # a stop that is in no list, and may be so because it has fired
RESTED = sent(
    Accepted("e1", live=True), over=True, terms=replace(TERMS, resting=Resting.GTC), sent_ms=NOW - 60_000, deadline_ms=0
)
LOST = sent(Unknown("timeout"))
SEEN_BEFORE = Sighting(NOW - 1_000, 1, NOW - 1_000)


def refused(reason: Reason) -> Rejected:
    return Rejected(reason, "no")


@dataclass
class Situation:
    what: str
    rec: KeyRecord
    look: Seen
    expected: str
    frm: Frame | None = None


def by_id(state: OrderState | None) -> dict[str, Lookup]:
    """What the look-up of the stop's id answers."""
    name = cid(Role.STOP, 1)
    return {name: Lookup(name, state, None if state is None else "s1")}


def naked(ms: int, **more: object) -> KeyRecord:
    return record(held_trade(covered=False, naked_since_ms=NOW - ms, **more))


TABLE = [
    # --- entry
    Situation("a new signal", record(new_trade()), seen(), "entry: Enter"),
    Situation("leverage not known", record(new_trade(), prepared=None), seen(), "entry: Prepare"),
    Situation(
        "leverage of another trade",
        record(new_trade(), prepared=Prepared(3, MarginMode.ISOLATED, NOW)),
        seen(),
        "entry: Prepare",
    ),
    Situation(
        "leverage read long ago",
        record(new_trade(), prepared=Prepared(5, MarginMode.ISOLATED, NOW - 3_600_000)),
        seen(),
        "entry: Prepare",
    ),
    Situation(
        "leverage set a moment ago and not read back",
        record(new_trade(prepare_tried_ms=NOW - 100), prepared=None),
        seen(),
        "entry: rest blind",
    ),
    Situation("leverage refused", record(new_trade(refusal="the venue refused it")), seen(), "entry: Refuse"),
    Situation("paused", record(new_trade()), seen(), "entry: Refuse", PAUSED),
    Situation("halted", record(new_trade()), seen(), "entry: Refuse", HALTED),
    Situation("barred", record(new_trade()), seen(), "entry: Refuse", frame(switches=Switches(barred="no agent"))),
    Situation("expired", record(new_trade(signal=signal(expires_ms=NOW - 1))), seen(), "entry: Refuse"),
    Situation(
        "closed before it entered", record(new_trade(close=CloseAsk("manual_close", NOW))), seen(), "entry: Refuse"
    ),
    Situation(
        "price too far from the signal's",
        record(new_trade(signal=signal(price=D(98), max_deviation=D("0.01")))),
        seen(),
        "entry: Refuse",
    ),
    Situation(
        "price near enough to the signal's",
        record(new_trade(signal=signal(price=D("99.5"), max_deviation=D("0.01")))),
        seen(),
        "entry: Enter",
    ),
    Situation("a stop on the wrong side by now", record(new_trade()), seen(mark="94"), "entry: Refuse"),
    Situation("clock never measured", record(new_trade()), seen(), "entry: rest blind", frame(clock_age_ms=None)),
    Situation("clock measured long ago", record(new_trade()), seen(), "entry: rest blind", frame(clock_age_ms=60_001)),
    Situation("this machine is late", record(new_trade()), seen(), "entry: rest blind", frame(clock_apart_ms=60_001)),
    Situation("this machine is early", record(new_trade()), seen(), "entry: rest blind", frame(clock_apart_ms=-60_001)),
    Situation("a minute apart is drift", record(new_trade()), seen(), "entry: Enter", frame(clock_apart_ms=-60_000)),
    Situation("no price", record(new_trade()), seen(mark=None), "entry: rest blind"),
    Situation("position unreadable", record(new_trade()), seen(DOWN), "entry: rest blind"),
    Situation("orders unreadable", record(new_trade()), seen(orders=DOWN), "entry: rest blind"),
    Situation("fills unreadable", record(new_trade()), seen(fills=DOWN), "entry: rest blind"),
    Situation(
        "something may still appear", record(new_trade(), quiet_ms=NOW - 1), seen(at_ms=NOW - 2), "entry: rest blind"
    ),
    Situation("its id not looked up", record(new_trade(created_ms=NOW - 4_000)), seen(), "entry: rest blind"),
    Situation(
        "litter first", record(new_trade(), outstanding=OLD, denied=TOLD), seen(orders=(stop(),)), "hygiene: Cancel"
    ),
    Situation(
        "litter that is seen for the first time: its position may be as late to show, and the record be what is lost",
        record(new_trade()),
        seen(orders=(stop(),)),
        "booking: again",
    ),
    Situation(
        "litter whose cancel is under way",
        record(new_trade(), canceled=(("s1", NOW - 100),)),
        seen(orders=(stop(placed_ms=NOW - 9_000),)),
        "booking: again",
    ),
    Situation(
        "somebody's position is held and covered", record(new_trade()), seen(position(), (stop(),)), "entry: Refuse"
    ),
    # --- after the send
    Situation("answer lost", record(new_trade(sent=(LOST,))), seen(), "entry: rest unproven"),
    Situation(
        "answer lost, the position shows: its stop comes first",
        record(new_trade(sent=(LOST,), stop=D(95))),
        seen(position()),
        "protection: PlaceStop",
    ),
    Situation("refused for good", record(new_trade(sent=(sent(refused(Reason.MARGIN)),))), seen(), "booking: Refuse"),
    Situation("barred at the send", record(new_trade(sent=(sent(Barred("agent")),))), seen(), "booking: Refuse"),
    Situation("never processed", record(new_trade(sent=(sent(Throttled("busy")),))), seen(), "entry: Enter"),
    Situation("expired at the venue", record(new_trade(sent=(sent(refused(Reason.EXPIRED)),))), seen(), "entry: Enter"),
    Situation(
        "four attempts",
        record(new_trade(sent=tuple(sent(refused(Reason.EXPIRED), attempt=i) for i in range(4)))),
        seen(),
        "booking: Refuse",
    ),
    Situation(
        "refused, and its stop rests",
        record(new_trade(sent=(sent(refused(Reason.MARGIN)),)), outstanding=OLD, denied=TOLD),
        seen(orders=(stop(placed_ms=NOW - 9_000),)),
        "hygiene: Cancel",
    ),
    Situation(
        "refused while somebody's position stands",
        record(new_trade(sent=(sent(refused(Reason.MARGIN)),))),
        seen(position(), (stop(),)),
        "entry: Refuse",
    ),
    Situation(
        "acked, and shown by nothing yet",
        record(held_trade(), quiet_ms=NOW),
        seen(orders=(stop(),)),
        "rest: rest protected",
    ),
    # --- protection
    Situation("protected", record(held_trade()), seen(position(), (stop(),)), "rest: rest protected"),
    Situation(
        "naked: the stop was silently cancelled", record(held_trade()), seen(position()), "protection: PlaceStop"
    ),
    Situation(
        "a stop accepted a moment ago",
        record(held_trade(placed=(Placed(Role.STOP, "s9", 9, NOW - 500),))),
        seen(position()),
        "protection: again",
    ),
    Situation(
        "a stop accepted and never shown",
        record(held_trade(placed=(Placed(Role.STOP, "s9", 9, NOW - LAG),))),
        seen(position()),
        "protection: PlaceStop",
    ),
    Situation("a stop tried a moment ago", naked(600, stop_tried_ms=NOW - 100), seen(position()), "protection: again"),
    Situation(
        "no price at all", record(held_trade(stop=None)), seen(position(mark=None), mark=None), "protection: again"
    ),
    Situation("size doubled by hand", record(held_trade()), seen(position("2"), (stop(),)), "protection: PlaceStop"),
    Situation("stop crossed by the price", record(held_trade()), seen(position(mark="94")), "danger: Flatten"),
    Situation("venue says crossed", naked(100, crossed=True, stop_answers=1), seen(position()), "danger: Flatten"),
    Situation(
        "crossed, acked and not shown yet",
        record(held_trade(covered=False, crossed=True), quiet_ms=NOW),
        seen(),
        "danger: again",
    ),
    Situation(
        "naked for 5 s, tried",
        naked(5_000, stop_answers=1, stop_tried_ms=NOW - 5_000),
        seen(position()),
        "danger: Flatten",
    ),
    Situation(
        "naked for long, nobody was there",
        naked(60_000, stop_answers=1, stop_tried_ms=NOW - 5_001),
        seen(position()),
        "protection: PlaceStop",
    ),
    Situation(
        "naked for 5 s, never answered",
        naked(5_000, stop_tried_ms=NOW - 900),
        seen(position()),
        "protection: PlaceStop",
    ),
    Situation("naked for less", naked(4_999, stop_answers=1), seen(position()), "protection: PlaceStop"),
    Situation(
        "cover lost three times", record(held_trade(lost_ms=(NOW - 9, NOW - 5))), seen(position()), "danger: Flatten"
    ),
    Situation(
        "fired and not filled",
        record(held_trade()),
        seen(position(), (stop(fired=True),)),
        "danger: again",
    ),
    Situation(
        "fired, price beyond its worst",
        record(held_trade()),
        seen(position(mark="85"), (stop(fired=True),)),
        "danger: Flatten",
    ),
    Situation("fired long ago", naked(LAG), seen(position(mark="94"), (stop(fired=True),)), "danger: Flatten"),
    Situation(
        "a close accepted and not shown yet",
        replace(
            naked(100, crossed=True, held=D(0), placed=(Placed(Role.FLATTEN, "x9", 9, NOW - 100),)),
            quiet_ms=NOW + LAG - 100,
        ),
        seen(position()),
        "danger: again",
    ),
    Situation(
        "a close tried a moment ago",
        naked(100, crossed=True, flatten_tried_ms=NOW - 1),
        seen(position()),
        "danger: again",
    ),
    Situation("halted", record(held_trade()), seen(position(), (stop(),)), "danger: Flatten", HALTED),
    Situation(
        "halted, nobody's position is taken in first",
        record(),
        seen(position(), (stop(),)),
        "protection: Found",
        HALTED,
    ),
    Situation(
        "paused changes nothing of protection", record(held_trade()), seen(position()), "protection: PlaceStop", PAUSED
    ),
    # --- liquidation
    Situation(
        "liquidation in front of the stop, seen once",
        record(held_trade()),
        seen(position(liquidation_price=D("96")), (stop(),)),
        "trailing: again",
    ),
    Situation(
        "liquidation in front of the stop, seen again",
        record(held_trade(pressed=SEEN_BEFORE)),
        seen(position(liquidation_price=D("96")), (stop(),)),
        "trailing: PlaceStop",
    ),
    Situation(
        "liquidation in front of the stop and the price in between, seen once",
        record(held_trade()),
        seen(position(mark="96.9", liquidation_price=D("96")), (stop(),)),
        "danger: again",
    ),
    Situation(
        "liquidation in front of the stop and the price in between, seen before",
        record(held_trade(unsafe=SEEN_BEFORE)),
        seen(position(mark="96.9", liquidation_price=D("96")), (stop(),)),
        "danger: Flatten",
    ),
    Situation(
        "liquidation in front of the stop and the price in between, by one source",
        record(held_trade(unsafe=SEEN_BEFORE)),
        seen(position(mark="96.9", liquidation_price=D("96")), (stop(),), second="99"),
        "rest: rest protected",
    ),
    Situation(
        "liquidation in front of the stop and no nearer stop is taken",
        record(held_trade(unsafe=Sighting(NOW - 6_000, 3, NOW - 1_000), moves_refused=3)),
        seen(position(mark="105", liquidation_price=D("96")), (stop(),)),
        "danger: Flatten",
    ),
    # --- a stop that stands and is not carried out
    Situation(
        "price beyond a stop that stands, seen once",
        record(held_trade()),
        seen(position(mark="94"), (stop(),)),
        "danger: again",
    ),
    Situation(
        "price beyond a stop that stands, twice, and the venue has had its time",
        record(held_trade(beyond=Sighting(NOW - 3_000, 1, NOW - 1_000))),
        seen(position(mark="94"), (stop(),)),
        "danger: Flatten",
    ),
    Situation(
        "price beyond a stop that stands, the very same reading again",
        record(held_trade(beyond=Sighting(NOW - 3_000, 1, NOW))),
        seen(position(mark="94"), (stop(),)),
        "danger: again",
    ),
    Situation(
        "price beyond a stop that stands, but within the margin",
        record(held_trade(beyond=Sighting(NOW - 9_000, 5, NOW - 1_000))),
        seen(position(mark="94.9"), (stop(),)),
        "rest: rest protected",
    ),
    *(
        Situation(
            f"price beyond a stop that stands, {name}",
            record(held_trade(beyond=Sighting(NOW - 9_000, 5, NOW - 1_000))),
            seen(position(mark="94"), (stop(),), second=second),
            "rest: rest protected",
        )
        for name, second in (("by one source alone", None), ("and another source says otherwise", "99"))
    ),
    Situation(
        "naked and beyond by one source alone",
        record(held_trade(stop_tried_ms=NOW - 600)),
        seen(position(mark="94"), second=None),
        "protection: PlaceStop",
    ),
    # --- a person lifted the stop
    Situation(
        "stop lifted: ours go",
        record(held_trade(off_until_ms=NOW + 60_000)),
        seen(position(), (stop(),)),
        "hygiene: Cancel",
    ),
    Situation(
        "stop lifted: nothing is placed, nothing closed",
        record(held_trade(off_until_ms=NOW + 60_000, naked_since_ms=NOW - 50_000, stop_answers=2)),
        seen(position(mark="94")),
        "rest: rest lifted",
    ),
    Situation(
        "stop lifted and blind",
        record(held_trade(off_until_ms=NOW + 60_000, covered=False, order_roles=())),
        seen(position(), DOWN),
        "rest: rest lifted",
    ),
    Situation(
        "stop lifted: a stranger's stays",
        record(held_trade(off_until_ms=NOW + 60_000)),
        seen(position(), (stop(client_id=None),)),
        "rest: rest lifted",
    ),
    Situation(
        "stop lifted and halted",
        record(held_trade(off_until_ms=NOW + 60_000)),
        seen(position()),
        "danger: Flatten",
        HALTED,
    ),
    Situation(
        "the time of a lifted stop is up",
        record(held_trade(off_until_ms=NOW - 1, naked_since_ms=NOW - 50_000, stop_answers=2)),
        seen(position()),
        "protection: PlaceStop",
    ),
    Situation(
        "margin taken out: liquidation above the entry",
        record(held_trade(pressed=SEEN_BEFORE)),
        seen(position(mark="120", liquidation_price=D(104)), (stop("103"),)),
        "trailing: PlaceStop",
    ),
    # --- moves
    Situation(
        "a person moved the stop", record(held_trade(stop=D(97))), seen(position(), (stop(),)), "trailing: PlaceStop"
    ),
    Situation(
        "the moved stop is seen: the older goes",
        record(held_trade(stop=D(97))),
        seen(position(), (stop(), stop("97", n=3, order_id="s3"))),
        "hygiene: Cancel",
    ),
    Situation(
        "an older stop that is nearer stays",
        record(held_trade()),
        seen(position(), (stop("97"), stop("95", n=3, order_id="s3"))),
        "rest: rest protected",
    ),
    Situation(
        "the price passed where a person wants the stop",
        record(held_trade(stop=D(97))),
        seen(position(mark="96.5"), (stop(),)),
        "danger: Flatten",
    ),
    Situation(
        "the move was just refused",
        record(held_trade(stop=D(97), stop_tried_ms=NOW - 5_000)),
        seen(position(), (stop(),)),
        "rest: rest protected",
    ),
    Situation(
        "the answer to the move was lost",
        record(held_trade(stop=D(97), stop_moved_ms=NOW, stop_tried_ms=NOW - 1), quiet_ms=NOW + 4_000),
        seen(position(), (stop(),)),
        "trailing: rest protected",
    ),
    # --- closing
    Situation(
        "close asked",
        record(held_trade(close=CloseAsk("manual_close", NOW))),
        seen(position(), (stop(),)),
        "closing: Flatten",
    ),
    Situation(
        "part asked",
        record(held_trade(close=CloseAsk("manual_close", NOW, D("0.5")))),
        seen(position(), (stop(),)),
        "closing: Flatten",
    ),
    Situation(
        "part asked, something may still show",
        record(held_trade(close=CloseAsk("manual_close", NOW, D("0.5"))), quiet_ms=NOW),
        seen(position(), (stop(),)),
        "closing: rest protected",
    ),
    Situation(
        "part closed",
        record(held_trade(close=CloseAsk("manual_close", NOW, D("0.5"), D("0.5")))),
        seen(position("0.5"), (stop(),)),
        "rest: rest protected",
    ),
    Situation(
        "time is up",
        record(held_trade(signal=signal(time_limit_ms=60_000))),
        seen(position(), (stop(),)),
        "closing: Flatten",
    ),
    # --- targets
    Situation("target missing", record(held_trade(targets=AIM)), seen(position(), (stop(),)), "targets: PlaceTarget"),
    Situation(
        "target live", record(held_trade(targets=AIM)), seen(position(), (stop(), target())), "rest: rest protected"
    ),
    Situation(
        "whole target by hand",
        record(held_trade(targets=AIM)),
        seen(position(), (stop(), target(size="0", whole=True, client_id=None))),
        "rest: rest protected",
    ),
    Situation(
        "target at work",
        record(held_trade(targets=AIM)),
        seen(position(), (stop(), target(fired=True))),
        "rest: rest protected",
    ),
    Situation(
        "target refused as crossed and passed",
        record(held_trade(targets=AIM, goals_refused=((D(110), "crossed"),))),
        seen(position(mark="111"), (stop(),)),
        "targets: Flatten",
    ),
    Situation(
        "target refused as crossed, price back",
        record(held_trade(targets=AIM, goals_refused=((D(110), "crossed"),), target_tried_ms=NOW - 100)),
        seen(position(), (stop(),)),
        "rest: rest protected",
    ),
    Situation(
        "target refused for good",
        record(held_trade(targets=AIM, goals_refused=((D(110), "too_small"),))),
        seen(position(), (stop(),)),
        "rest: rest protected",
    ),
    Situation(
        "target, answer lost",
        record(held_trade(targets=AIM), quiet_ms=NOW + 1),
        seen(position(), (stop(),)),
        "targets: rest protected",
    ),
    Situation(
        "an older target goes",
        record(held_trade(targets=AIM)),
        seen(position(), (stop(), target(), target(n=5, order_id="t5"))),
        "hygiene: Cancel",
    ),
    # --- what we do not own
    Situation("somebody opened a position", record(), seen(position()), "protection: Found"),
    Situation("found and naked", record(found_trade()), seen(position()), "protection: PlaceStop"),
    Situation(
        "flipped by hand",
        record(held_trade()),
        seen(position("2", Side.SHORT), (stop(),), (ENTRY_FILL, replace(STOP_FILL, size=D(3)))),
        "ending: Book",
    ),
    Situation(
        "our stop of the other side is litter",
        record(found_trade(side=Side.SHORT, stop=D(105))),
        seen(position("1", Side.SHORT), (stop(), stop("105", side=Side.LONG, order_id="s2", n=2, price=D(115)))),
        "hygiene: Cancel",
    ),
    Situation(
        "closed by hand",
        record(held_trade()),
        seen(None, (), (ENTRY_FILL, replace(STOP_FILL, order_id="z"))),
        "booking: Book",
    ),
    # --- blind
    Situation("nothing readable", record(), seen(DOWN, DOWN, DOWN), "rest: rest blind"),
    Situation(
        "nothing readable, covered when last seen", record(held_trade()), seen(DOWN, DOWN, DOWN), "rest: rest blind"
    ),
    Situation(
        "orders unreadable, never covered",
        record(held_trade(covered=False)),
        seen(position(), DOWN),
        "protection: PlaceStop",
    ),
    Situation(
        "orders unreadable, never covered, price beyond",
        record(held_trade(covered=False)),
        seen(position(mark="94"), DOWN),
        "danger: Flatten",
    ),
    Situation(
        "orders unreadable, a stop was acked: no second one",
        record(held_trade(covered=False, placed=(Placed(Role.STOP, "s9", 9, NOW - 60_000),))),
        seen(position(), DOWN),
        "rest: again",
    ),
    Situation(
        "orders unreadable, stop tried",
        record(held_trade(covered=False, stop_tried_ms=NOW)),
        seen(position(), DOWN),
        "protection: again",
    ),
    Situation("flat, orders unreadable", record(held_trade()), seen(None, DOWN), "booking: rest blind"),
    # --- booking
    Situation("stopped out", record(held_trade()), seen(None, (), (ENTRY_FILL, STOP_FILL)), "booking: Book"),
    Situation(
        "stopped out, target left",
        record(held_trade(), outstanding=(Outstanding(TRADE, Role.TARGET, 2, "t1", ENTERED_MS),)),
        seen(None, (target(),), (ENTRY_FILL, STOP_FILL)),
        "hygiene: Cancel",
    ),
    Situation(
        "stopped out, something may still appear",
        record(held_trade(), quiet_ms=NOW),
        seen(None, (), (ENTRY_FILL, STOP_FILL)),
        "booking: again",
    ),
    Situation("flat, fills not complete yet", record(held_trade()), seen(None, (), (ENTRY_FILL,)), "booking: again"),
    Situation(
        "flat for a minute, fills never came",
        record(held_trade(flat_since_ms=NOW - 60_000, held=D(0))),
        seen(None, (), (ENTRY_FILL,)),
        "booking: Book",
    ),
    Situation(
        "the missing fills of an older trade have come",
        record(None, settling=(held_trade(flat_since_ms=NOW - 99_000),)),
        seen(None, (), (ENTRY_FILL, STOP_FILL)),
        "booking: Book",
    ),
    Situation("nothing at all", record(), seen(), "rest: rest flat"),
    Situation(
        "a fired order of ours that nobody needs goes like any other",
        record(outstanding=OLD, denied=TOLD),
        seen(None, (stop(fired=True),)),
        "hygiene: Cancel",
    ),
    Situation(
        "flat, and nothing tells what became of the stop",
        record(held_trade(), outstanding=(FIRED,)),
        seen(None, (), (ENTRY_FILL, HAND_FILL)),
        "booking: again",
    ),
    Situation(
        "flat, and the stop has fired and hangs",
        record(held_trade(), outstanding=(FIRED,), denied=TOLD),
        seen(None, (), (ENTRY_FILL, HAND_FILL), lookups=by_id(OrderState.FIRED)),
        "hygiene: Cancel",
    ),
    Situation(
        "flat as read, and younger is what would hang: the position may not show yet",
        record(None, outstanding=(replace(FIRED, seen_ms=NOW - LAG),)),
        seen(None, lookups=by_id(OrderState.LIVE)),
        "rest: rest flat",
    ),
    Situation(
        "flat, the cancel of what hangs is under way",
        record(held_trade(), outstanding=(FIRED,), canceled=(("s1", NOW - 100),)),
        seen(None, (), (ENTRY_FILL, HAND_FILL), lookups=by_id(OrderState.FIRED)),
        "booking: again",
    ),
    Situation(
        "flat, and the stop's id tells that it is over",
        record(held_trade(), outstanding=(FIRED,)),
        seen(None, (), (ENTRY_FILL, HAND_FILL), lookups=by_id(OrderState.CANCELED)),
        "booking: Book",
    ),
    Situation(
        "stopped out by the stop itself: its fill is its end",
        record(held_trade(), outstanding=(FIRED,)),
        seen(None, (), (ENTRY_FILL, STOP_FILL)),
        "booking: Book",
    ),
    Situation(
        "no entry leaves while an old stop may live",
        record(new_trade(), outstanding=(replace(FIRED, trade="ba9876543210"),)),
        seen(),
        "booking: again",
    ),
    Situation(
        "a signal whose resting entry was cancelled is refused once its stop is known to be none",
        record(new_trade(sent=(RESTED,)), outstanding=(FIRED,)),
        seen(None, lookups=by_id(None)),
        "booking: Refuse",
    ),
    Situation(
        "flipped as read: a stop of the other side is cancelled once it is no young one",
        record(held_trade(covered=True)),
        seen(position(), (stop(), stop("105", n=3, order_id="s3", side=Side.LONG, placed_ms=NOW - LAG - 1))),
        "hygiene: Cancel",
    ),
    Situation(
        "flipped as an older view may read: the young stop of the side that is not shown stays",
        record(held_trade(covered=True)),
        seen(position(), (stop(), stop("105", n=3, order_id="s3", side=Side.LONG, placed_ms=NOW - 500))),
        "rest: rest protected",
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=[s.what for s in TABLE])
def test_situations(case: Situation) -> None:
    assert told(plan(case.rec, case.look, case.frm)) == case.expected


def test_the_order_is_the_policy() -> None:
    names = [concern.__name__ for concern in ORDER]
    assert names == ["ending", "danger", "protection", "closing", "entry", "trailing", "targets", "hygiene", "booking"]


def only(rec: KeyRecord, look: Seen, frm: Frame | None = None) -> object:
    made = plan(rec, look, frm)
    assert len(made.actions) == 1, told(made)
    return made.actions[0]


def test_an_entry_names_everything() -> None:
    wish = signal(targets=(TargetWish(Distance(price=D(110))),))
    action = only(record(new_trade(signal=wish)), seen())
    assert isinstance(action, Enter)
    assert (action.attempt, action.why) == (0, "signal s1")
    assert action.terms == replace(TERMS, goals=AIM, targets=(TargetTerms(D(1), D(110), D(99)),))


def test_prepare_names_the_signals_leverage() -> None:
    action = only(record(new_trade(signal=signal(leverage=3))), seen())
    assert action == Prepare(3, MarginMode.ISOLATED, "the leverage is not known to be set")


@pytest.mark.parametrize(
    ("what", "rec", "look", "frm", "says"),
    [
        ("expired", record(new_trade(signal=signal(expires_ms=NOW - 1))), seen(), None, "the signal expired before"),
        (
            "deviation",
            record(new_trade(signal=signal(price=D(98), max_deviation=D("0.01")))),
            seen(),
            None,
            "the price 100 is 2.04% away from it, more than 1.00%",
        ),
        ("paused", record(new_trade()), seen(), PAUSED, "the account is paused: no new entries"),
        (
            "venue",
            record(new_trade(sent=(sent(refused(Reason.MARGIN)),))),
            seen(),
            None,
            "the venue refused the entry: no",
        ),
        ("barred", record(new_trade(sent=(sent(Barred("agent")),))), seen(), None, "the venue bars the account: agent"),
        ("nothing filled", record(new_trade(sent=(sent(Accepted("e1")),))), seen(), None, "the entry did not fill"),
        ("throttled", record(new_trade(sent=(sent(Throttled("busy")),), nonces=(1,))), seen(), None, "not sent: busy"),
    ],
)
def test_why_a_signal_ends(what: str, rec: KeyRecord, look: Seen, frm: Frame | None, says: str) -> None:
    action = only(rec, look, frm)
    assert isinstance(action, Refuse), what
    assert says in action.why


def test_a_refused_signal_leaves_a_strangers_position_to_a_trade_of_its_own() -> None:
    action = only(record(new_trade(sent=(sent(refused(Reason.MARGIN)),), stop=D(99))), seen(position(), (stop("93"),)))
    assert isinstance(action, Refuse)
    assert action.successor is not None
    assert (action.successor.origin, action.successor.stop, action.successor.opening_size) == ("found", D(93), D(1))


@pytest.mark.parametrize(
    ("what", "rec", "look"),
    [
        ("not proved absent", record(new_trade(sent=(LOST,))), seen(position(), (stop(),))),
        (
            "fills unreadable",
            record(new_trade(sent=(sent(refused(Reason.MARGIN)),))),
            seen(position(), (stop(),), DOWN),
        ),
        (
            "too early",
            record(new_trade(sent=(sent(refused(Reason.MARGIN)),)), quiet_ms=NOW),
            seen(position(), (stop(),)),
        ),
    ],
)
def test_a_signal_that_may_have_entered_keeps_its_key(what: str, rec: KeyRecord, look: Seen) -> None:
    assert not plan(rec, look).actions, what


def test_an_unproven_entry_is_looked_at_on_a_schedule() -> None:
    def due(now: int) -> int:
        trade = new_trade(sent=(sent(Unknown("?"), sent_ms=NOW, deadline_ms=NOW + 4_000),))
        ends = plan(record(trade), seen(at_ms=now), frame(now)).ends
        assert isinstance(ends, Rest)
        return (ends.due_ms or 0) - NOW

    assert [due(NOW + ms) for ms in (0, 2_000, 5_000, 7_001, 8_000)] == [2_000, 5_000, 7_001, 8_000, 13_000]


def test_absence_proved_leads_to_the_second_attempt() -> None:
    rec = record(new_trade(sent=(replace(LOST, deadline_ms=NOW - LAG - 1),)), quiet_ms=NOW - 1)
    look = seen(lookups={cid(Role.ENTRY, 0): Lookup(cid(Role.ENTRY, 0), None)})
    action = only(rec, look)
    assert isinstance(action, Enter)
    assert action.attempt == 1


def test_a_stop_is_placed_where_the_trade_wants_it() -> None:
    action = only(record(held_trade()), seen(position("1.5")))
    assert action == PlaceStop(D("1.5"), D(95), D("85.5"), "entry", "the position is naked")


def test_refused_as_oversize_what_is_left_is_covered() -> None:
    rec = naked(100, oversize=True, stop_answers=1, stop_tried_ms=NOW - 1)
    action = only(rec, seen(position("3"), (stop(),)))
    assert isinstance(action, PlaceStop)
    assert action.size == 2


@pytest.mark.parametrize(("widen", "worst"), [(0, "0.03"), (1, "0.10"), (2, "0.30"), (9, "0.30")])
def test_a_close_widens(widen: int, worst: str) -> None:
    action = only(record(held_trade(close=CloseAsk("manual_close", NOW), widen=widen)), seen(position(), (stop(),)))
    assert isinstance(action, Flatten)
    assert (action.worst, action.keep, action.reason) == (D(worst), D(0), "manual_close")


def test_a_close_takes_resting_entries_along() -> None:
    entry = replace(stop(order_id="e9"), client_id=cid(Role.ENTRY, 0), reduce_only=False, side=Side.LONG)
    rec, look = record(held_trade(close=CloseAsk("manual_close", NOW))), seen(position(), (stop(), entry))
    assert told(plan(rec, look)) == "closing: Cancel, Flatten"
    again = plan(replace(rec, canceled=(("e9", NOW - 100),)), look)
    assert told(again) == "closing: Flatten"  # a cancel that was refused does not hold the close up


def test_a_part_is_rounded_in_favour_of_what_stays() -> None:
    rec = record(held_trade(close=CloseAsk("manual_close", NOW, D("0.3333333"))))
    action = only(rec, seen(position(), (stop(),)))
    assert isinstance(action, Flatten)
    assert action.keep == D("0.334")


@pytest.mark.parametrize(
    ("what", "rec", "look", "reason"),
    [
        ("overtaken by the price", record(held_trade(stop=D(97))), seen(position(mark="96.5"), (stop(),)), "stop_loss"),
        (
            "overtaken by liquidation",
            record(held_trade(unsafe=SEEN_BEFORE)),
            seen(position(mark="96.9", liquidation_price=D("96")), (stop(),)),
            "emergency_exit",
        ),
        ("naked and beyond", record(held_trade()), seen(position(mark="94")), "emergency_exit"),
        (
            "target passed",
            record(held_trade(targets=AIM, goals_refused=((D(110), "crossed"),))),
            seen(position(mark="111"), (stop(),)),
            "take_profit",
        ),
    ],
)
def test_reasons_of_a_close(what: str, rec: KeyRecord, look: Seen, reason: str) -> None:
    action = only(rec, look)
    assert isinstance(action, Flatten), what
    assert action.reason == reason


@pytest.mark.parametrize(
    ("what", "orders", "stop_at"),
    [("with a stop of its own", (stop("93", client_id=None),), "93"), ("without one", (), "95")],
)
def test_a_position_is_taken_in_with_the_stop_that_stands(what: str, orders: tuple[object, ...], stop_at: str) -> None:
    action = only(record(), seen(position(), orders))  # type: ignore[arg-type]
    assert isinstance(action, Found), what
    assert (action.trade.stop, action.trade.opening_price, action.trade.entered_ms) == (D(stop_at), D(100), NOW)
    assert action.trade.created_ms == NOW - LAG, "the read may be that late: what happened since is the trade's"
    assert action.trade.sized_ms == 0


def test_what_was_booked_a_moment_ago_is_not_taken_in_beside_a_refused_entry() -> None:
    gone = record(new_trade(sent=(sent(refused(Reason.MARGIN)),)), cursor=Cursor(NOW - 1_000))
    look = seen(position(), (stop(),))  # a view from before the close
    assert plan(gone, look).actions == ()
    assert isinstance(only(replace(gone, cursor=Cursor(NOW - LAG - 1)), look), Refuse)


def test_a_flip_makes_a_successor_of_the_remainder() -> None:
    flip = replace(STOP_FILL, size=D(3), order_id="z")
    action = only(record(held_trade()), seen(position("2", Side.SHORT), (stop(),), (ENTRY_FILL, flip)))
    assert isinstance(action, Book)
    nxt = action.successor
    assert nxt is not None
    assert (nxt.side, nxt.opening_size, nxt.opening_price, nxt.held) == (Side.SHORT, D(2), D("94.9"), D(2))
    assert (nxt.stop, nxt.created_ms) == (D(105), STOP_FILL.time_ms)
    assert nxt.sized_ms == NOW, "until its side has stood for a lag, what covers the other side stays"
    assert (action.exit.reason, action.exit.complete, action.exit.size) == ("external", True, D(1))


@pytest.mark.parametrize("side", list(Side))
def test_stops_of_both_sides_mirror(side: Side) -> None:
    trade = held_trade(side=side, stop=None, signal=None)
    action = only(record(trade), seen(position("1", side)))
    assert isinstance(action, PlaceStop)
    assert action.trigger == (D(95) if side is Side.LONG else D(105))


def test_targets_name_size_and_worst() -> None:
    rec = record(held_trade(targets=AIM, explained=D(2), held=D(2)))
    assert only(rec, seen(position("2"), (stop(size="2"),))) == PlaceTarget(
        D(2), D(110), D(99), "the position has no such target"
    )


def test_a_size_that_was_shown_larger_a_moment_ago_keeps_the_stops_of_the_larger() -> None:
    two = (stop(), stop("96", n=2, order_id="s2"))
    rec = learn(record(held_trade(covered=True)), seen(position("2"), two, at_ms=NOW - 500), frame(NOW - 500))
    older = seen(position("1"), two)  # a view from before a hand enlarged it
    rec = learn(rec, older, frame())
    assert plan(rec, older).actions == ()
    assert [a.order_id for a in plan(rec, seen(position("1"), two, at_ms=NOW + LAG + 1), frame(NOW + LAG + 1)).actions
            if isinstance(a, Cancel)] == ["s1"]  # fmt: skip
    ends = plan(rec, older).ends
    assert ends is not None
    assert ends.due_ms == NOW + LAG + 1


@pytest.mark.parametrize(
    ("trade", "gone"), [(held_trade(), ["s1"]), (found_trade(), []), (found_trade(before=TRADE), [])]
)
def test_beside_what_was_found_no_stop_goes_before_a_lost_records_cancels_can_be_seen(
    trade: Trade, gone: list[str]
) -> None:
    """The newer stop may be the one that is going: only the record that is lost knew."""
    two, quiet_ms = (stop(), stop(n=2, order_id="s2")), NOW + 4_000
    rec = record(replace(trade, held=D(1), entry_filled=D(1)), quiet_ms=quiet_ms)
    made = plan(rec, seen(position(), two))
    assert [a.order_id for a in made.actions if isinstance(a, Cancel)] == gone
    if not gone:
        assert made.ends is not None
        assert made.ends.due_ms == quiet_ms + 1
        late = plan(rec, seen(position(), two, at_ms=quiet_ms + 1), frame(quiet_ms + 1))
        assert [a.order_id for a in late.actions if isinstance(a, Cancel)] == ["s1"]


def test_a_larger_size_counts_also_while_something_of_ours_may_still_appear() -> None:
    two = (stop(), stop("96", n=2, order_id="s2"))
    rec = learn(record(held_trade(), quiet_ms=NOW + LAG), seen(position("2"), two, at_ms=NOW - 500), frame(NOW - 500))
    assert rec.trade is not None
    assert (rec.trade.held, rec.trade.sized_ms) == (D(1), NOW - 500)


def test_only_our_own_litter_is_cancelled() -> None:
    litter = (
        stop(),
        stop(order_id="s2", client_id=None),
        stop(order_id="s3", client_id=cid(Role.STOP, 1, TRADE, "fffff")),
    )
    made = plan(record(outstanding=OLD, denied=TOLD), seen(None, litter))
    assert [a.order_id for a in made.actions if isinstance(a, Cancel)] == ["s1"]


def test_rest_names_when_it_is_due() -> None:
    timed = record(held_trade(signal=signal(time_limit_ms=90_000)))
    ends = plan(timed, seen(position(), (stop(),))).ends
    assert isinstance(ends, Rest)
    assert ends.due_ms == ENTERED_MS + 90_000
    assert "covered by stop s1 at 95" in ends.why


def test_what_is_under_way_is_looked_at_soon() -> None:
    """Else the older of two stops stands until the next sweep."""
    moved = record(held_trade(stop=D(97), placed=(Placed(Role.STOP, "s3", 3, NOW - 100),)))
    ends = plan(moved, seen(position(), (stop(),))).ends
    assert isinstance(ends, Rest)
    assert ends.due_ms == NOW + 500


def test_alarms_ride_beside() -> None:
    kinds = [a.kind for a in plan(record(), seen(position()), frame(switches=Switches(barred="agent"))).alarms]
    assert kinds == ["orphan", "barred"]
    assert [a.kind for a in plan(record(held_trade()), seen(position())).alarms] == ["naked"]


def test_the_liquidation_edge_is_not_chased_tick_by_tick() -> None:
    drifted = position(liquidation_price=D("93.5"))  # edge 95.125
    assert told(plan(record(held_trade()), seen(drifted, (stop(),)))) == "rest: rest protected"


def test_a_stop_inside_a_liquidation_that_has_come_is_not_placed_but_closed() -> None:
    gone = position(mark="100", liquidation_price=D(101))
    assert told(plan(record(held_trade(unsafe=SEEN_BEFORE)), seen(gone, (stop(),)))) == "danger: Flatten"


def test_naked_waits_are_again_never_rest() -> None:
    rec = record(new_trade(sent=(LOST,), stop=D(95), stop_tried_ms=NOW - 1))
    assert isinstance(plan(rec, seen(position())).ends, Again)


def test_a_refused_move_does_not_spin() -> None:
    """The old stop stands; the venue refuses the new one: one try, not one a turn."""
    rec, look = record(held_trade(stop=D("99.9"), stop_moved_ms=NOW - 1)), seen(position(), (stop(),))
    tries = 0
    for turn in range(12):
        frm = frame(NOW + turn * 40)
        made = plan(rec, look, frm)
        if not made.actions:
            break
        (action,) = made.actions
        assert isinstance(action, PlaceStop)
        rec = conclude(
            announce(rec, action, frm.now_ms + 4_000, 9, frm.now_ms), action, refused(Reason.CROSSED), frm.now_ms, LAG
        )
        tries += 1
    assert tries == 1


def test_a_young_stop_of_the_side_that_is_not_shown_is_looked_at_again_once_it_is_old() -> None:
    young = stop("105", n=3, order_id="s3", side=Side.LONG, placed_ms=NOW - 500)
    made = plan(record(held_trade(covered=True)), seen(position(), (stop(), young)))
    assert isinstance(made.ends, Rest)
    assert made.ends.due_ms == NOW - 500 + LAG + 1


@pytest.mark.parametrize(("quiet_ms", "expected"), [(NOW, "rest: rest protected"), (NOW - 1, "hygiene: Cancel")])
def test_the_stop_of_an_entry_that_rested_stays_until_all_it_may_have_filled_can_show(
    quiet_ms: int, expected: str
) -> None:
    """The entry is gone from the book, its stop for the whole is alive, and only the first part is held as read."""
    part, whole = stop("95.5", "0.5", 3, "s3"), stop("95", "1", 2, "s2")
    trade = held_trade(sent=(replace(RESTED, outcome=Accepted("e1", D("0.5"))),), held=D("0.5"), stop=D("95.5"))
    rec = record(replace(trade, explained=D("0.5"), traded=D("0.5"), entry_filled=D("0.5")), quiet_ms=quiet_ms)
    assert told(plan(rec, seen(position("0.5"), (part, whole)))) == expected
