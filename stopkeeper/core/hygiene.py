"""What may be cleared away: orders of ours that no live or unproven entry and no position needs."""

from stopkeeper.core.actions import Action, Cancel, Verdict
from stopkeeper.core.believe import Flat, Held, covers_alone
from stopkeeper.core.case import Case
from stopkeeper.core.ids import encode
from stopkeeper.core.model import Order, OrderState, Role
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.outstanding import client_of
from stopkeeper.core.targets import is_target, superfluous
from stopkeeper.core.trailing import improves


def hygiene(c: Case) -> Verdict:
    """Take away what no live or unproven entry and no position needs; only orders of this installation."""
    if not c.orders_known or isinstance(c.belief, Unknown):
        return []
    going = c.going
    if isinstance(c.belief, Flat):
        if c.trade and not c.entered and any(s.unproven or s.rests for s in c.trade.sent):
            return []
        since = {client_of(o, c.frame.installation): o.seen_ms for o in c.record.outstanding}
        unneeded: list[Action] = [
            Cancel(o.id, k.role, "nothing is held that needs it")
            for o, k in c.ours
            if o.id not in going and _outlived(max(o.placed_ms, since.get(k, 0)), c)
        ]
        return unneeded + _hanging(c)
    held = c.belief
    if held.by != "venue":
        return []
    litter: list[Action] = [
        Cancel(o.id, k.role, "it is on the wrong side of the position")
        for o, k in c.ours
        if o.reduce_only and o.side is held.side and o.id not in going
    ]
    litter += [
        Cancel(o.id, k.role, "it is the entry of a trade that has ended")
        for o, k in c.ours
        if k.role is Role.ENTRY and o not in c.entries and o.id not in going
    ]
    if c.lifted:
        why = "a person lifted the stop"
        return litter + [Cancel(o.id, k.role, why) for o, k in c.ours if k.role is Role.STOP and o.id not in going]
    litter += _older_stops(c, held) + _broken_stops(c)
    return litter + (superfluous(c, held, c.trade) if c.trade and c.trade.targets else _stray_targets(c, held))


def _hanging(c: Case) -> list[Action]:
    """Cancel what no list shows and its id tells alive: a stop that fired and found nobody closes the next position."""
    found: list[Action] = []
    for order in c.hidden:
        answer = c.seen.lookups.get(encode(client_of(order, c.frame.installation)), Unknown("not asked"))
        if isinstance(answer, Unknown) or answer.value.state not in (OrderState.LIVE, OrderState.FIRED):
            continue
        name, told = answer.value.order_id or order.order_id, answer.value.order
        placed_ms = max(order.seen_ms, told.placed_ms if told else 0)  # its position may be as late to show as it is
        if name is not None and name not in {*c.going, *order.gone} and _outlived(placed_ms, c):
            found.append(Cancel(name, order.role, "it is shown nowhere and lives, and nothing is held that needs it"))
    return found


def _stray_targets(c: Case, held: Held) -> list[Action]:
    """A trade without targets of its own keeps the newest that takes the whole position, of those we find."""
    return _older([(k.n, o) for o, k in c.ours if k.role is Role.TARGET and is_target(o, held)], held, c)


def _outlived(placed_ms: int, c: Case) -> bool:
    """Flat must be read later than an order could show a position: the record may have forgotten what was sent."""
    read = c.seen.position
    return not isinstance(read, Unknown) and read.at_ms > placed_ms + c.frame.can.lag_ms


def _broken_stops(c: Case) -> list[Action]:
    """Cancel stops of ours beside whole cover that protect nothing as they are; one that has fired is at work."""
    if not c.whole:
        return []
    assert isinstance(c.belief, Held)
    side = c.belief.side.opposite
    broken = [o for o, k in c.ours if k.role is Role.STOP and o.side is side and o not in c.cover.stops and not o.fired]
    return [Cancel(o.id, Role.STOP, "it is no protective stop as it stands") for o in broken if o.id not in c.going]


def _older_stops(c: Case, held: Held) -> list[Action]:
    """Cancel stops that are older than the newest that covers alone, unless they are nearer to the price.

    A record that went back may have placed the newer one too far. Where a person loosened the stop, the newest at the
    price asked for is kept, and the nearer ones go.
    """
    stops = [(k.n, o) for o, k in c.ours if k.role is Role.STOP and o in c.cover.stops]
    if c.trade is None or not c.trade.loosened:
        return _older(stops, held, c)
    wanted = c.wanted_stop(held)
    there = [
        (n, o)
        for n, o in stops
        if wanted is not None and o.trigger is not None and c.stands_at(o.trigger, wanted, held)
    ]
    if not any(covers_alone(o, held) for _, o in there):
        return []
    farther: list[Action] = [
        Cancel(o.id, Role.STOP, "a person wants the stop farther away")
        for n, o in stops
        if (n, o) not in there and o.id not in c.going
    ]
    return farther + _older(there, held, c)


def _older(orders: list[tuple[int, Order]], held: Held, c: Case) -> list[Action]:
    """Cancel what is older than the newest order that takes or covers the position alone, and what covers a part."""
    alone = [(n, o) for n, o in orders if covers_alone(o, held)]
    if not alone:
        return []
    keeper, best = max(alone, key=lambda pair: pair[0])
    role = {o.id: k.role for o, k in c.ours}
    return [
        Cancel(o.id, role[o.id], "a newer one covers the position alone")
        for n, o in orders
        if (n < keeper or not covers_alone(o, held)) and o.id not in c.going and not _better(o, best, held, role[o.id])
    ]


def _better(older: Order, keeper: Order, held: Held, role: Role) -> bool:
    """Return whether an older stop is the nearer one."""
    if role is not Role.STOP or older.trigger is None or keeper.trigger is None:
        return False
    return covers_alone(older, held) and improves(older.trigger, keeper.trigger, held.side)
