"""What is cleared away beside a position, and what hangs unseen once it is gone: by name, and nothing else."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Cancel
from stopkeeper.core.case import build
from stopkeeper.core.guard import never_lower
from stopkeeper.core.hygiene import hygiene
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Lookup, Order, OrderKind, OrderState, Role, Seen, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord, Outstanding
from tests.unit.core.scene import (
    AIM,
    ENTRY_FILL,
    LAG,
    NOW,
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
    stop,
    target,
)

STOPPED = (ENTRY_FILL, fill("c", "-1", "94.9", NOW - 20_000, "1", "hand"))
TURNED = (ENTRY_FILL, fill("c", "-2", "94.9", NOW - 20_000, "1", "hand"))
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
    rec = record(held_trade(), outstanding=hidden)
    assert cleared(rec, seen(None, (), STOPPED, lookups=answers)) == [(name, Role.STOP) for name in gone], what


def test_what_hangs_is_cancelled_once() -> None:
    rec = record(held_trade(), outstanding=(hangs(1, "s1"),), canceled=(("s1", NOW),))
    assert cleared(rec, seen(None, (), STOPPED, lookups=answer(1, FIRED, "s1"))) == []


FLAT_SINCE = NOW - LAG - 1
ORDERS = (stop(), target())
ALL = [("s1", Role.STOP), ("t1", Role.TARGET)]
SHOWN = (Outstanding(TRADE, Role.STOP, 1, "s1", NOW - 50_000), Outstanding(TRADE, Role.TARGET, 2, "t1", NOW - 50_000))


@pytest.mark.parametrize(
    ("what", "rec", "look", "gone"),
    [
        ("one reading without the position", record(held_trade()), seen(None, ORDERS, (ENTRY_FILL,)), []),
        ("and no fills that can be read", record(held_trade()), seen(None, ORDERS, Unknown("down")), []),
        ("a found one", record(found_trade()), seen(None, ORDERS), []),
        (
            "the second a lag later",
            record(held_trade(flat_since_ms=FLAT_SINCE, held=D(0))),
            seen(None, ORDERS, (ENTRY_FILL,)),
            ALL,
        ),
        (
            "the second too soon",
            record(held_trade(flat_since_ms=FLAT_SINCE + 1, held=D(0))),
            seen(None, ORDERS, (ENTRY_FILL,)),
            [],
        ),
        (
            "the second a lag later, and it was shown in between",
            record(held_trade(flat_since_ms=FLAT_SINCE, held_again=True)),
            seen(None, ORDERS, Unknown("down")),
            [],
        ),
        ("fills that tell of the close", record(held_trade()), seen(None, ORDERS, STOPPED), ALL),
        ("fills that tell of another after the close", record(held_trade()), seen(None, ORDERS, TURNED), []),
        (
            "fills that tell of another, and the second a lag later",
            record(held_trade(flat_since_ms=FLAT_SINCE, held=D(0))),
            seen(None, ORDERS, TURNED),
            ALL,
        ),
        ("no trade whose position it was", record(), seen(None, ORDERS), ALL),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_guards_a_position_outlives_one_reading_that_denies_it(
    what: str, rec: KeyRecord, look: Seen, gone: list[tuple[str, Role]]
) -> None:
    assert cleared(replace(rec, outstanding=SHOWN), look) == gone, what


def test_of_a_signal_that_did_not_enter_no_position_is_denied() -> None:
    litter = [Cancel("s1", Role.STOP, "litter")]
    for trade, kept in ((new_trade(), litter), (held_trade(), [])):
        assert never_lower(litter, build(record(trade), seen(None, ORDERS, ()), frame())) == kept


def test_a_position_of_the_other_side_between_two_readings_that_deny_one_counts_as_well() -> None:
    """Somebody turned it over by hand, and no fills can be read: the stop is what covers it."""
    before = record(held_trade(flat_since_ms=FLAT_SINCE, held=D(0)))
    between = learn(before, seen(position("2", Side.SHORT), ORDERS, Unknown("down")), frame())
    assert cleared(replace(between, outstanding=SHOWN), seen(None, ORDERS, Unknown("down"))) == []
