"""Positions that no trade owns: what a trade looks like that takes one into our care."""

from decimal import Decimal

from stopkeeper.core.believe import Held, covers_alone
from stopkeeper.core.case import Case
from stopkeeper.core.ids import found_id
from stopkeeper.core.model import ZERO, Role, Side
from stopkeeper.core.record import Origin, Trade


def best_trigger(c: Case, held: Held) -> Decimal | None:
    """Return the trigger nearest to the price among the stops that cover the position alone."""
    triggers = [o.trigger for o in c.cover.stops if o.trigger is not None and covers_alone(o, held)]
    return (max if held.side is Side.LONG else min)(triggers, default=None)


def covered_at(c: Case, held: Held) -> Decimal | None:
    """Return the trigger at which the position is covered: of stops of ours that only do so in sum, the farthest."""
    best = best_trigger(c, held)
    mine = {o.id for o, k in c.ours if k.role is Role.STOP}
    if best is not None or not any(o.id in mine for o in c.cover.stops):
        return best
    triggers = (o.trigger for o in c.cover.stops if o.trigger is not None)
    return (min if held.side is Side.LONG else max)(triggers, default=None)


def found_trade(
    c: Case,
    held: Held,
    seen_ms: int,
    opening: Decimal,
    price: Decimal | None,
    side: Side | None = None,
    fee: Decimal = ZERO,
) -> Trade:
    """Return a trade of origin found that begins with ``opening`` at ``price`` and takes over the stop that stands.

    ``fee`` was paid for the opening before any fill that will be counted as its own.
    """
    side = side or held.side
    standing = best_trigger(c, held)
    stop = None
    if side is held.side:
        stop = standing if standing is not None else c.orphan_stop(held)
    return Trade(
        id=found_id(c.frame.installation, c.record.key, seen_ms),
        origin=Origin.FOUND,
        key=c.record.key,
        side=side,
        created_ms=seen_ms,
        entered_ms=seen_ms,
        opening_size=abs(opening),
        opening_price=price,
        opening_fee=fee,
        held=held.size,
        explained=abs(opening),
        stop=stop,
        first_stop=stop,
    )
