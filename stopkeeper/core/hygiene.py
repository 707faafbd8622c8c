"""What may be cleared away: orders of ours that no live or unproven entry and no position needs."""

from stopkeeper.core.actions import Action, Cancel, Verdict
from stopkeeper.core.believe import Flat, Held, covers_alone
from stopkeeper.core.case import Case
from stopkeeper.core.model import Order, OrderKind, Role
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.trailing import improves

TARGET_KINDS = (OrderKind.TARGET_MARKET, OrderKind.TARGET_LIMIT)


def is_target(order: Order, held: Held) -> bool:
    """Return whether an order takes profit of a position of this side and has not fired."""
    return order.kind in TARGET_KINDS and order.side is held.side.opposite and order.reduce_only and not order.fired


def hygiene(c: Case) -> Verdict:
    """Take away what no live or unproven entry and no position needs; only orders of this installation."""
    if not c.orders_known or isinstance(c.belief, Unknown):
        return []
    going = {order for order, _ in c.record.canceled}
    if isinstance(c.belief, Flat):
        if c.trade and not c.entered and any(s.unproven for s in c.trade.sent):
            return []
        return [
            Cancel(o.id, k.role, "nothing is held that needs it")
            for o, k in c.ours
            if o.id not in going and not o.fired and _outlived(o, c)
        ]
    held = c.belief
    if held.by != "venue":
        return []
    litter: list[Action] = [
        Cancel(o.id, k.role, "it is on the wrong side of the position")
        for o, k in c.ours
        if o.reduce_only and o.side is held.side and o.id not in going
    ]
    stops = [(k.n, o) for o, k in c.ours if k.role is Role.STOP and o in c.cover.stops]
    litter += _older(stops, held, going, "a newer stop covers the position alone")
    live_targets = [(k.n, o) for o, k in c.ours if k.role is Role.TARGET and is_target(o, held)]
    return litter + _older(live_targets, held, going, "a newer target covers the position alone")


def _outlived(order: Order, c: Case) -> bool:
    """Flat must be read later than the order could show a position: the record may have forgotten what was sent."""
    read = c.seen.position
    return not isinstance(read, Unknown) and read.at_ms > order.placed_ms + c.frame.can.lag_ms


def _older(orders: list[tuple[int, Order]], held: Held, going: set[str], why: str) -> list[Action]:
    """Cancel what is older than the newest order that covers the position alone."""
    alone = [(n, o) for n, o in orders if covers_alone(o, held)]
    if not alone:
        return []
    keeper, best = max(alone, key=lambda pair: pair[0])
    return [
        Cancel(o.id, Role.STOP if o.kind is OrderKind.STOP_MARKET else Role.TARGET, why)
        for n, o in orders
        if n < keeper and o.id not in going and not _better(o, best, held)
    ]


def _better(older: Order, keeper: Order, held: Held) -> bool:
    """Return whether an older stop is the nearer one: a record that went back may have placed the newer too far."""
    if older.kind in TARGET_KINDS or older.trigger is None or keeper.trigger is None:
        return False
    return covers_alone(older, held) and improves(older.trigger, keeper.trigger, held.side)
