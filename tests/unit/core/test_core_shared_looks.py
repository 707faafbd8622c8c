"""A look that another process made a moment ago: it may be older than what this key did since."""

from dataclasses import replace

import pytest

from stopkeeper.core.case import OLD_VIEW_MS, build
from stopkeeper.core.effects import lift_stop
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Known, Role, Seen
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Goal, Placed
from stopkeeper.core.report import Phase, phase_of
from tests.unit.core.scene import LAG, NOW, D, frame, held_trade, plan, position, record, seen, stop, told

ACKED_MS = NOW - LAG - 100  # the venue's lag is over now, and was not when the others looked
PLACED = (Placed(Role.STOP, "s9", 9, ACKED_MS),)


def viewed(ago_ms: int, *orders: object) -> Seen:
    look = seen(position(), orders)  # type: ignore[arg-type]
    return replace(look, orders=Known(look.orders.value, NOW - ago_ms))  # type: ignore[union-attr]


@pytest.mark.parametrize(("ago_ms", "missing"), [(0, True), (99, True), (2_000, False)])
def test_a_stop_acked_since_the_look_is_not_lost(ago_ms: int, missing: bool) -> None:
    """Three such losses within a minute would close the position."""
    rec = record(held_trade(placed=PLACED, covered=True))
    learned = learn(rec, viewed(ago_ms), frame())
    assert learned.trade is not None
    assert bool(learned.trade.lost_ms) is missing
    assert ("PlaceStop" in told(plan(rec, viewed(ago_ms), frame()))) is missing


def test_a_venue_whose_time_stands_still_is_not_waited_for_long() -> None:
    rec = record(held_trade(placed=(Placed(Role.STOP, "s9", 9, NOW - LAG - OLD_VIEW_MS - 1),), covered=True))
    assert "PlaceStop" in told(plan(rec, viewed(600_000), frame()))


def test_neither_target_nor_move_is_sent_by_a_look_from_before_the_key_was_quiet() -> None:
    aims = held_trade(targets=(Goal(D(110), D(1)),), explained=D(1))
    moved = held_trade(stop=D(97), stop_moved_ms=NOW - 1)
    for trade, action in ((aims, "PlaceTarget"), (moved, "PlaceStop")):
        rec = record(trade, quiet_ms=NOW - 500)
        assert action in told(plan(rec, viewed(0, stop()), frame()))
        assert action not in told(plan(rec, viewed(2_000, stop()), frame()))


def test_orders_that_cannot_be_read_are_of_no_time() -> None:
    case = build(record(held_trade(placed=PLACED)), replace(seen(position()), orders=Unknown("no")), frame())
    assert case.unseen(Role.STOP) is None


def test_a_lifted_stop_shows_as_naked_by_whatever_look() -> None:
    """Orders older than the position cannot tell of a stop; that a person took it away is known all the same."""
    rec = record(held_trade(off_until_ms=NOW + 60_000))
    assert phase_of(build(rec, viewed(2_000), frame())) is Phase.NAKED
    assert phase_of(build(record(held_trade()), viewed(2_000), frame())) is Phase.UNPROVEN


def test_lifted_time_is_counted_and_nobody_is_closed_for_it() -> None:
    rec = record(held_trade(off_until_ms=NOW + 60_000))
    for at in (NOW, NOW + 30_000, NOW + 59_000):
        rec = learn(rec, seen(position(), at_ms=at), frame(at))
    rec = lift_stop(rec, 0)
    rec = learn(rec, seen(position(), at_ms=NOW + 59_500), frame(NOW + 59_500))
    assert rec.trade is not None
    assert (rec.trade.naked_ms, rec.trade.naked_since_ms) == (59_500, NOW + 59_500)
    covered = learn(rec, seen(position(), (stop(),), at_ms=NOW + 60_000), frame(NOW + 60_000)).trade
    assert covered is not None
    assert (covered.naked_ms, covered.lifted, covered.lost_ms) == (60_000, False, ())
