"""The promise as code: whatever the concerns ask for, cover never goes down by our doing. A sceptic reads this file."""

from collections.abc import Sequence

from stopkeeper.core.actions import Action, Book, Cancel
from stopkeeper.core.believe import CoverKind, Flat, Held, cover
from stopkeeper.core.case import Case
from stopkeeper.core.evidence import reason_of
from stopkeeper.core.model import Order, Resting, Role
from stopkeeper.core.outcomes import Unknown


def never_lower(actions: Sequence[Action], case: Case) -> list[Action]:
    """Drop every action that could leave a position without whole cover.

    A Cancel survives only if the position is believed flat (by several looks where no fills tell that we or the venue
    closed it), or its size has stood for a lag and the orders *seen live in this very observation* cover it without
    that one and without all cancelled before, or a person lifted the stop until a time that is not up. Nothing is
    cancelled on Unknown but an entry; nothing is booked on Unknown, nor on Held without a successor.
    """
    kept: list[Action] = []
    going = {order for order, _ in case.record.canceled}
    live = [order for order in case.live if order.id not in going]
    for action in actions:
        if isinstance(action, Cancel):
            without = [order for order in live if order.id != action.order_id]
            if not _may_cancel(action, case, without):
                continue
            live = without
        if isinstance(action, Book) and not _may_book(action, case):
            continue
        kept.append(action)
    return kept


def _may_cancel(action: Cancel, case: Case, without: list[Order]) -> bool:
    if action.role is Role.ENTRY:
        return True
    if not case.orders_known:
        return False
    if case.lifted and any(order.id == action.order_id for order, _ in case.ours):
        return True
    match case.belief:
        case Flat():
            return _is_surely_gone(case)
        case Held() as held if held.by == "venue":
            target = next((order for order in case.live if order.id == action.order_id), None)
            if target is not None and target not in case.cover.stops:
                if action.role is Role.STOP and target in own_of_other_side(case, held) and may_have_grown(case):
                    return False  # it covers what the entry may have turned the position to since it was read
                if action.role is Role.STOP:  # no cover of what is held, if the side that is shown has stood for a lag
                    return _shows_by_now(target, case) and _stands(case)
                return True
            if target is not None and target.size > held.size and may_have_grown(case):
                return False  # it covers what the entry may have filled since the position was read
            if not _stands(case):
                return False
            return cover(held, without, case.rules, case.frame.can).kind is CoverKind.WHOLE
        case _:
            return False


def _is_surely_gone(case: Case) -> bool:
    """Return whether we or the venue closed what was held, as fills tell, or enough looks in a row showed no position.

    One answer without the position is all that a server which lies, or has just begun, needs to have its stop taken;
    and who closed by hand may have opened again since, which no fills tell yet.
    """
    chain = case.chain
    if case.trade is not None and chain.closed and not chain.left:
        last = chain.used[-1]
        if last.liquidation or last.adl or reason_of(last, case.trade, case.frame.installation) is not None:
            return True
    return case.disproved


def own_of_other_side(case: Case, held: Held) -> list[Order]:
    """Return the trade's own stops for the side that is not held: its entry may have met a position opened by hand."""
    own = (o for o, k in case.ours if k.role is Role.STOP and case.trade is not None and k.trade == case.trade.id)
    return [order for order in own if order.side is held.side]


def may_have_grown(case: Case) -> bool:
    """Return whether an entry that rests, or has just ended in the book, may have filled more than is shown."""
    trade, read = case.trade, case.seen.position
    rested = [s for s in trade.sent if s.terms.resting is not Resting.NO] if trade else []
    quiet = not isinstance(read, Unknown) and read.at_ms > case.record.quiet_ms
    return any(s.rests or s.unproven or not quiet for s in rested)


def _stands(case: Case) -> bool:
    """Return whether positions and orders were read late enough to tell what covers what."""
    read, orders = case.seen.position, case.seen.orders
    return (
        not isinstance(read, Unknown)
        and not isinstance(orders, Unknown)
        and min(read.at_ms, orders.at_ms) > case.stands_from_ms
    )


def _shows_by_now(order: Order, case: Case) -> bool:
    """Return whether the position was read later than one that a stop was placed for may be to show.

    After a flip an older view may show the old side again: the stop of the new one is no litter because of it.
    """
    read = case.seen.position
    return not isinstance(read, Unknown) and read.at_ms > order.placed_ms + case.frame.can.lag_ms


def _may_book(action: Book, case: Case) -> bool:
    if action.trade in case.record.settling or isinstance(case.belief, Flat):
        return True
    return isinstance(case.belief, Held) and action.successor is not None
