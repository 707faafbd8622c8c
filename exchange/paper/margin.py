"""Margin arithmetic of one account: value, margin used, free collateral, liquidation price. Pure.

Formulas: venue docs, margining and liquidations. Isolated collateral lives in the position, cross collateral is
the cash.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from exchange.paper.model import ZERO, Account, Instrument, Order, Position

Marks = Mapping[str, Decimal]


def unrealized(position: Position, mark: Decimal) -> Decimal:
    """Return the open profit at a mark."""
    return position.size * (mark - position.entry_px)


def cross_value(account: Account, marks: Marks) -> Decimal:
    """Return cash plus the open profit of cross positions."""
    return account.cash + sum((unrealized(p, marks[p.coin]) for p in account.positions.values() if p.is_cross), ZERO)


def isolated_value(account: Account, marks: Marks) -> Decimal:
    """Return the collateral plus open profit of isolated positions."""
    held = (p for p in account.positions.values() if not p.is_cross)
    return sum((p.margin + unrealized(p, marks[p.coin]) for p in held), ZERO)


def value(account: Account, marks: Marks) -> Decimal:
    """Return what the account is worth."""
    return cross_value(account, marks) + isolated_value(account, marks)


def cross_used(account: Account, marks: Marks) -> Decimal:
    """Return the initial margin that cross positions bind."""
    held = (p for p in account.positions.values() if p.is_cross)
    return sum((abs(p.size) * marks[p.coin] / p.leverage for p in held), ZERO)


def order_hold(account: Account, orders: Mapping[int, Order]) -> Decimal:
    """Return the margin that resting, non-reduce-only limit orders bind."""
    held = ZERO
    for order in orders.values():
        if order.reduce_only or order.trigger is not None or order.status != "open":
            continue
        position = account.positions.get(order.coin)
        leverage = position.leverage if position else account.leverage.get(order.coin, (1, True))[0]
        held += opening(position, order.size, is_buy=order.is_buy) * order.limit_px / leverage
    return held


def opening(position: Position | None, size: Decimal, *, is_buy: bool) -> Decimal:
    """Return the part of an order that would enlarge or open a position, the closing part taken off."""
    held = position.size if position else ZERO
    if held == 0 or (held > 0) == is_buy:
        return size
    return max(ZERO, size - abs(held))


def free(account: Account, marks: Marks) -> Decimal:
    """Return what may back new positions."""
    return cross_value(account, marks) - cross_used(account, marks) - order_hold(account, account.orders)


def maintenance(account: Account, marks: Marks, listing: Mapping[str, Instrument]) -> Decimal:
    """Return the maintenance margin of all cross positions."""
    held = (p for p in account.positions.values() if p.is_cross)
    return sum((abs(p.size) * marks[p.coin] * listing[p.coin].maintenance_rate for p in held), ZERO)


def liquidation_px(
    account: Account, position: Position, marks: Marks, listing: Mapping[str, Instrument]
) -> Decimal | None:
    """Return the mark at which the position is liquidated, or None where there is none above 0.

    liq = mark - side * available / size / (1 - rate * side); docs: liquidations.
    """
    rate = listing[position.coin].maintenance_rate
    mark = marks[position.coin]
    size = abs(position.size)
    side = 1 if position.size > 0 else -1
    if position.is_cross:
        spare = cross_value(account, marks) - maintenance(account, marks, listing)
    else:
        spare = position.margin + unrealized(position, mark) - size * mark * rate
    price = mark - side * spare / size / (1 - rate * side)
    return price if price > 0 else None


def doomed(account: Account, marks: Marks, listing: Mapping[str, Instrument]) -> list[Position]:
    """Return the positions that have to be liquidated at these marks."""
    found: list[Position] = []
    for position in account.positions.values():
        if not position.is_cross:
            mark = marks[position.coin]
            equity = position.margin + unrealized(position, mark)
            if equity < abs(position.size) * mark * listing[position.coin].maintenance_rate:
                found.append(position)
    if cross_value(account, marks) < maintenance(account, marks, listing):
        found += [p for p in account.positions.values() if p.is_cross]
    return found
