"""What is cleared away beside a position, and what hangs unseen once it is gone: by name, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Cancel, Rest, RestKind
from stopkeeper.core.case import LOOK_AGAIN_MS, build
from stopkeeper.core.guard import never_lower
from stopkeeper.core.hygiene import hygiene
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Fill, Lookup, Order, OrderKind, OrderState, Role, Seen, Side
from stopkeeper.core.outcomes import Reason, Rejected, Unknown
from stopkeeper.core.record import KeyRecord, Outstanding, Trade
from tests.unit.core.scene import (
    AIM,
    ENTRY_FILL,
    LAG,
    NOW,
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
    stop,
    target,
)

STOPPED = (ENTRY_FILL, fill("c", "-1", "94.9", NOW - 20_000, "1", "hand"))
TURNED = (ENTRY_FILL, fill("c", "-2", "94.9", NOW - 20_000, "1", "hand"))
REOPENED = fill("o", "-1", "94.9", NOW - 19_000, "0", "hand")
OLD_ENTRY = replace(
    stop(), id="e9", client_id=cid(Role.ENTRY, 0, "f" * 12), kind=OrderKind.LIMIT, side=Side.LONG, reduce_only=False
)
LIFTED = held_trade(off_until_ms=NOW + 60_000, targets=AIM)


def cleared(rec: KeyRecord, look: Seen) -> list[tuple[str, Role]]:
    """Return what a turn cancels, each with its reason."""
    cancels = [action for action in plan(rec, look).actions if isinstance(action, Cancel)]
    assert all(cancel.why for cancel in cancels)
    return [(cancel.order_id, cancel.role) for cancel in cancels]


@pytest.mark.parametrize(
    ("what", "rec", "orders", "gone"),
    [
        ("an entry of a trade that has ended", record(held_trade()), (stop(), OLD_ENTRY), [("e9", Role.ENTRY)]),
        ("a lifted stop, its target stays", record(LIFTED), (stop(), target()), [("s1", Role.STOP)]),
        (
            "a stop of ours that the last price triggers, beside a good one",
            record(held_trade()),
            (stop("96", mark_triggered=False), stop(n=2, order_id="s2")),
            [("s1", Role.STOP)],
        ),
        (
            "a limit stop of ours, its cancel under way",
            replace(record(held_trade()), canceled=(("s1", NOW),)),
            (stop("96", kind=OrderKind.STOP_LIMIT), stop(n=2, order_id="s2")),
            [],
        ),
        (
            "a stop that has fired is at work",
            record(held_trade()),
            (stop("96", fired=True), stop(n=2, order_id="s2")),
            [],
        ),
        (
            "a wrong stop is left while nothing covers",
            record(held_trade(stop_tried_ms=NOW)),
            (stop("96", mark_triggered=False),),
            [],
        ),
        (
            "a lifted stop whose cancel is under way",
            replace(record(LIFTED), canceled=(("s1", NOW),)),
            (stop(), target()),
            [],
        ),
        (
            "a target at no price that is wanted, though it is the newest",
            record(held_trade(targets=AIM)),
            (stop(), target(), target("120", n=3, order_id="t2")),
            [("t2", Role.TARGET)],
        ),
        (
            "an older target where none is wanted by price",
            record(held_trade()),
            (stop(), target(), target("120", n=3, order_id="t2")),
            [("t1", Role.TARGET)],
        ),
        (
            "an older target that has fired is at work",
            record(held_trade()),
            (stop(), target(fired=True), target("120", n=3, order_id="t2")),
            [],
        ),
        (
            "an older stop farther away",
            record(held_trade()),
            (stop("94"), stop("95", n=2, order_id="s2")),
            [("s1", Role.STOP)],
        ),
        (
            "an older target that takes more, where none is wanted by price",
            record(held_trade()),
            (stop(), target("120"), target("110", n=3, order_id="t2")),
            [("t1", Role.TARGET)],
        ),
        ("two stops of one number", record(held_trade()), (stop("94"), stop("95", order_id="s2")), []),
        (
            "the nearer stop, where a person wants it farther",
            record(held_trade(stop=D(94), loosened=True, stop_moved_by="person")),
            (stop(), stop("94", n=2, order_id="s2")),
            [("s1", Role.STOP)],
        ),
        ("an older stop nearer to the price", record(held_trade()), (stop("96"), stop("95", n=2, order_id="s2")), []),
        (
            "a newer stop over a part",
            record(held_trade()),
            (stop(), stop(n=2, order_id="s2", size="0.5")),
            [("s2", Role.STOP)],
        ),
    ],
)
def test_what_is_cleared_beside_a_position(
    what: str, rec: KeyRecord, orders: tuple[Order, ...], gone: list[tuple[str, Role]]
) -> None:
    assert cleared(rec, seen(position(), orders)) == gone, what


def test_the_nearer_stop_stays_while_the_farther_covers_a_part_only() -> None:
    rec = record(held_trade(stop=D(94), loosened=True, stop_moved_by="person"))
    look = seen(position(), (stop(), stop("94", "0.5", n=2, order_id="s2")))
    assert hygiene(build(rec, look, frame())) == []


def test_an_older_stop_that_has_fired_is_at_work_and_stays() -> None:
    look = seen(position(), (stop("94", fired=True), stop("95", n=2, order_id="s2")))
    assert hygiene(build(record(held_trade()), look, frame())) == []


def hangs(n: int, order_id: str | None = None, role: Role = Role.STOP) -> Outstanding:
    return Outstanding(TRADE, role, n, order_id)


def answer(n: int, state: OrderState, order_id: str | None = None, order: Order | None = None) -> dict[str, Lookup]:
    name = cid(Role.STOP, n)
    return {name: Lookup(name, state, order_id, order=order)}


FIRED = OrderState.FIRED
YOUNG, AGED = stop(placed_ms=NOW - LAG), stop(placed_ms=NOW - LAG - 1)


@pytest.mark.parametrize(
    ("what", "hidden", "answers", "gone"),
    [
        ("fired, its id told", (hangs(1),), answer(1, FIRED, "x1"), ["x1"]),
        ("fired, its id on record", (hangs(1, "s1"),), answer(1, FIRED), ["s1"]),
        ("fired, and nobody knows its id", (hangs(1),), answer(1, FIRED), []),
        ("live", (hangs(1, "s1"),), answer(1, OrderState.LIVE, "s1"), ["s1"]),
        ("nothing is told of the first", (hangs(1, "s1"), hangs(2, "s2")), answer(2, FIRED, "s2"), ["s2"]),
        ("placed so late that its position may show yet", (hangs(1, "s1"),), answer(1, FIRED, "s1", YOUNG), []),
        ("placed long ago", (hangs(1, "s1"),), answer(1, FIRED, "s1", AGED), ["s1"]),
    ],
)
def test_what_hangs_unseen_once_flat_is_cancelled_by_name(
    what: str, hidden: tuple[Outstanding, ...], answers: dict[str, Lookup], gone: list[str]
) -> None:
    rec = record(held_trade(), outstanding=hidden, denied=TOLD)
    assert cleared(rec, seen(None, (), STOPPED, lookups=answers)) == [(name, Role.STOP) for name in gone], what


def test_what_hangs_is_cancelled_once() -> None:
    rec = record(held_trade(), outstanding=(hangs(1, "s1"),), canceled=(("s1", NOW),), denied=TOLD)
    assert cleared(rec, seen(None, (), STOPPED, lookups=answer(1, FIRED, "s1"))) == []


ORDERS = (stop(), target())
ALL = [("s1", Role.STOP), ("t1", Role.TARGET)]
SHOWN = (Outstanding(TRADE, Role.STOP, 1, "s1", NOW - 50_000), Outstanding(TRADE, Role.TARGET, 2, "t1", NOW - 50_000))
DOWN = Unknown("down")
REFUSED = new_trade(sent=(sent(Rejected(Reason.NO_LIQUIDITY, "nobody")),))
STOP_FILL = fill("c", "-1", "94.9", NOW - 20_000, "1", "s1", client_id=cid(Role.STOP, 1))
HALF = fill("h", "-0.5", "95", NOW - 21_000, "1", "hand")
TAKEN = replace(STOPPED[1], liquidation=True)
REDUCED = replace(STOPPED[1], adl=True)


@pytest.mark.parametrize(
    ("what", "trade", "fills"),
    [
        ("no fill of the close yet", held_trade(), (ENTRY_FILL,)),
        ("no fills that can be read", held_trade(), DOWN),
        ("a found one", found_trade(), ()),
        ("a close by hand, which may have opened again", held_trade(), STOPPED),
        ("a turn by hand", held_trade(), TURNED),
        ("a stop that fired, and a turn by hand", held_trade(), (*TURNED[:1], STOP_FILL, REOPENED)),
        ("a signal that waits", new_trade(), ()),
        ("a signal whose entry was refused", REFUSED, ()),
        ("no trade: the record is lost, or only a guardian's stop stands", None, ()),
    ],
)
def test_what_may_guard_a_position_outlives_one_answer_that_denies_it(
    what: str, trade: Trade | None, fills: Any
) -> None:
    look = seen(None, ORDERS, fills)
    young, few = (TOLD[0] + 1, *TOLD[1:]), (TOLD[0], NOW)
    for denied, gone in (((), []), (young, []), (few, []), (TOLD, ALL), (TOLD[:2], ALL)):
        assert cleared(record(trade, outstanding=SHOWN, denied=denied), look) == gone, (what, denied)


@pytest.mark.parametrize(
    ("fills", "gone"),
    [
        ((STOP_FILL,), ALL),
        ((replace(STOP_FILL, order_id="x9"),), ALL),
        ((TAKEN,), ALL),
        ((REDUCED,), ALL),
        ((HALF, replace(STOP_FILL, size=D("0.5"), start=D("0.5"))), ALL),
        ((replace(HALF, order_id="s1"), replace(STOPPED[1], size=D("0.5"), start=D("0.5"))), []),
    ],
    ids=["our stop", "by its own id", "liquidation", "adl", "the last part by our stop", "the last part by hand"],
)
def test_what_we_or_the_venue_closed_needs_no_other_answer(fills: tuple[Fill, ...], gone: Any) -> None:
    assert cleared(record(held_trade(), outstanding=SHOWN), seen(None, ORDERS, (ENTRY_FILL, *fills))) == gone


@pytest.mark.parametrize(("since_ms", "gone"), [(NOW - LAG, ALL[1:]), (NOW - LAG - 1, ALL)], ids=["a lag", "more"])
def test_a_stop_that_was_placed_long_ago_is_as_young_as_it_lives(since_ms: int, gone: Any) -> None:
    awoken = replace(SHOWN[0], seen_ms=since_ms)  # it was placed with an entry that rested, and lives since that filled
    rec = record(held_trade(), outstanding=(awoken, SHOWN[1]))
    assert cleared(rec, seen(None, ORDERS, (ENTRY_FILL, TAKEN))) == gone


def test_fewer_answers_are_not_enough() -> None:
    litter = [Cancel("s1", Role.STOP, "litter")]
    for denied, kept in (((), []), (TOLD[:2], []), (TOLD, litter)):
        assert never_lower(litter, build(record(denied=denied), seen(None, ORDERS), frame())) == kept
    unread = build(record(denied=TOLD), seen(DOWN, ORDERS), frame())
    assert not unread.disproved


GONE, THERE = seen(None, ORDERS, DOWN), seen(position(), ORDERS, DOWN)
OTHER = seen(position("2", Side.SHORT), ORDERS, DOWN)
EARLIER = (NOW - 60_000,)


@pytest.mark.parametrize(
    ("what", "trade", "look", "more", "looks"),
    [
        ("the first that denies it", held_trade(), GONE, {}, (NOW,)),
        ("a later one", held_trade(), GONE, {"denied": EARLIER}, (*EARLIER,NOW)),
        ("the same once more", held_trade(), GONE, {"denied": (NOW,)}, (NOW,) ),
        ("one more than enough", held_trade(), GONE, {"denied": TOLD}, TOLD),
        ("one that shows it", held_trade(), THERE, {"denied": EARLIER}, ()),
        ("turned over", held_trade(held=D(0)), OTHER, {"denied": EARLIER}, ()),
        (
            "shown, though its fills say closed a moment ago",
            held_trade(),
            seen(position(), ORDERS, (ENTRY_FILL, fill("c", "-1", "94.9", NOW - 100, "1", "hand"))),
            {"denied": EARLIER},
            (),
        ),
        ("without a trade", None, GONE, {}, (NOW,)),
        ("shown, without a trade", None, THERE, {"denied": EARLIER}, ()),
        ("nothing of ours is there", held_trade(), seen(None, (), DOWN), {"outstanding": ()}, ()),
        ("nothing any more", held_trade(), seen(None, (), DOWN), {"outstanding": (), "denied": EARLIER}, ()),
        ("a target alone", None, seen(None, (target(),)), {"outstanding": ()}, (NOW,)),
        ("what hangs unseen", held_trade(), seen(None, (), DOWN), {}, (NOW,)),
        ("positions that cannot be read", held_trade(), seen(DOWN, ORDERS), {"denied": EARLIER}, EARLIER),
        ("it may still appear", held_trade(), GONE, {"quiet_ms": NOW}, ()),
        ("it may still appear, without a trade", None, GONE, {"quiet_ms": NOW}, ()),
        ("a refused entry will not", REFUSED, GONE, {"quiet_ms": NOW}, (NOW,)),
        ("but that of a lost record may", REFUSED, GONE, {"quiet_ms": NOW, "lost": True}, ()),
        ("nothing was sent yet", new_trade(), GONE, {"quiet_ms": NOW}, ()),
        ("an entry is on its way", new_trade(sent=(sent(),)), GONE, {"denied": EARLIER}, ()),
    ],
)  # fmt: skip
def test_which_looks_deny_a_position(
    what: str, trade: Trade | None, look: Seen, more: dict[str, Any], looks: tuple[int, ...]
) -> None:
    assert learn(record(trade, **{"outstanding": SHOWN, **more}), look, frame()).denied == looks, what


def test_what_hangs_unseen_is_looked_at_until_that_is_believed() -> None:
    hung = record(None, outstanding=SHOWN[:1])
    third = (TOLD[0] + 1, *TOLD[1:])
    again = {
        (): NOW + LAG // 2 + 1,
        (NOW - 100,): NOW - 100 + LAG + 1,
        (NOW - LAG + 200,): NOW + LOOK_AGAIN_MS,
        third: NOW + LOOK_AGAIN_MS,
        TOLD: None,
    }
    for denied, due_ms in again.items():
        ends = plan(replace(hung, denied=denied), seen(None, ())).ends
        assert isinstance(ends, Rest)
        assert (ends.kind, ends.due_ms, type(ends.due_ms)) == (RestKind.FLAT, due_ms, type(due_ms))
