"""The concern ``targets``: which take-profits must stand beside the stop, and which of ours are no longer needed."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from stopkeeper.core.actions import Action, Cancel, PlaceTarget, RestKind, Verdict, Wait
from stopkeeper.core.believe import Held
from stopkeeper.core.case import LOOK_AGAIN_MS, Case, viewed_ms
from stopkeeper.core.danger import flatten, whose
from stopkeeper.core.model import ZERO, Order, OrderKind, Role
from stopkeeper.core.outcomes import Reason
from stopkeeper.core.record import Goal, Trade
from stopkeeper.core.sizing import worst_of_stop
from stopkeeper.core.slices import slices

TARGET_KINDS = (OrderKind.TARGET_MARKET, OrderKind.TARGET_LIMIT)


def is_target(order: Order, held: Held) -> bool:
    """Return whether an order takes profit of a position of this side and has not fired."""
    return order.kind in TARGET_KINDS and order.side is held.side.opposite and order.reduce_only and not order.fired


def wanted_targets(c: Case, held: Held) -> Iterator[tuple[Goal, Decimal]]:
    """Yield what each target of the trade is to close now."""
    trade = c.trade
    if trade is None or trade.side is not held.side:
        return
    filled = trade.entry_filled or held.size
    sizes = slices(trade.targets, filled, trade.taken, held.size, c.frame.market)
    yield from ((goal, size) for goal, size in zip(trade.targets, sizes, strict=True) if size > 0)


def targets(c: Case) -> Verdict:
    """A protected position has a take-profit at each of its trade's targets, beside the stop, never instead of it."""
    trade, held = c.trade, c.belief
    if not isinstance(held, Held) or held.by != "venue" or trade is None or not c.whole or not c.entered:
        return []
    if c.unseen(Role.TARGET):
        return []
    if any(is_target(replace(o, fired=False), held) for o in c.live if o.fired):
        return []  # a target is at work
    missing = [(goal, size) for goal, size in wanted_targets(c, held) if _standing(c, held, goal) != size]
    for goal, size in missing:
        refused = dict(trade.goals_refused).get(goal.price)
        if refused == Reason.CROSSED and c.surely_reached(goal.price, held):
            return whose(c, held, trade) or _take_at_market(c, held, goal, size)
    missing = [(g, s) for g, s in missing if dict(trade.goals_refused).get(g.price, Reason.CROSSED) == Reason.CROSSED]
    if not missing or c.now < trade.target_tried_ms + c.rules.retry_ms:
        return []
    if viewed_ms(c.seen, c.now) <= c.record.quiet_ms:
        return when_quiet(c, "a target is to be placed once all we sent can be seen")
    if trade.explained != held.size:
        return []  # the fills do not tell yet what was closed by what: a target that was taken must not be placed again
    return [_place(c, held, goal, size) for goal, size in missing]


def _standing(c: Case, held: Held, goal: Goal) -> Decimal:
    """Return what our youngest order takes at a target's price; where none of ours stands, what others' take there."""
    at = [o for o in c.live if is_target(o, held) and o.trigger == goal.price and o.id not in c.going]
    mine = [(k.n, o) for o, k in c.ours if k.role is Role.TARGET and o in at]
    counted = [max(mine, key=lambda pair: pair[0])[1]] if mine else at
    return sum((held.size if o.whole else o.size for o in counted), ZERO)


def _place(c: Case, held: Held, goal: Goal, size: Decimal) -> Action:
    worst = worst_of_stop(goal.price, held.side, c.rules, c.frame.market)
    return PlaceTarget(size, goal.price, worst, "the position has no such target")


def _take_at_market(c: Case, held: Held, goal: Goal, size: Decimal) -> Verdict:
    """The price is beyond a target and no order can be placed there: its slice is closed at the market.

    It may be that the order was there and has just fired: what it took shows a lag after the refusal.
    """
    tried = c.trade.target_tried_ms + c.frame.can.lag_ms if c.trade else 0
    if viewed_ms(c.seen, c.now) <= max(c.record.quiet_ms, tried) and size < held.size:
        return when_quiet(c, "a part is to be closed once all we sent can show in the position")
    why = f"the price is beyond the target {goal.price:f} and the venue takes no order there"
    return flatten(c, held, "take_profit", why, held.size - size)


def when_quiet(c: Case, why: str) -> Wait:
    """What is no emergency is not sent twice because an answer was lost or a view lags."""
    return Wait(max(c.record.quiet_ms + 1, c.now + LOOK_AGAIN_MS), why, RestKind.PROTECTED)


def superfluous(c: Case, held: Held, trade: Trade) -> list[Action]:
    """Return cancels of our targets at prices where none is wanted, and of older ones where a newer has the size."""
    wanted = {goal.price: size for goal, size in wanted_targets(c, held)}
    live = sorted(
        ((k.n, o) for o, k in c.ours if k.role is Role.TARGET and is_target(o, held) and o.id not in c.going),
        key=lambda pair: -pair[0],
    )
    found: list[Action] = []
    whole: set[Decimal] = set()  # prices at which a newer order of the wanted size stands
    for _, order in live:
        price = order.trigger
        if price is None or price not in wanted:
            if trade.explained == held.size:
                found.append(Cancel(order.id, Role.TARGET, "no target is wanted at its price"))
        elif price in whole:
            found.append(Cancel(order.id, Role.TARGET, "a newer target stands in for it"))
        elif order.size == wanted[price] or order.whole:
            whole.add(price)
    return found
