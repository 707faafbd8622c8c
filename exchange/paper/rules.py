"""What the venue refuses at the door, and in which words. Pure: an order, an account and a quote in, a refusal out.

Texts and statuses: venue docs `error-responses`, public probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from exchange.paper.book import Quote
from exchange.paper.knobs import Knobs
from exchange.paper.margin import free, opening
from exchange.paper.model import ZERO, Account, Instrument, NewOrder, Order, Position, Refused, Trigger
from exchange.paper.symbols import has_lot, has_tick

MIN_NOTIONAL = Decimal(10)
FARTHEST = Decimal("0.8")


def refusal(
    new: NewOrder,
    instrument: Instrument,
    account: Account,
    at: Quote,
    knobs: Knobs,
    *,
    attached: bool = False,
    is_position: bool = False,
) -> Refused | None:
    """Return why the venue does not take an order, or None.

    `attached` children are not held against the position; only `is_position` triggers may have size 0 (all of it).
    """
    position = account.positions.get(new.coin)
    checks = (
        _shape(new, instrument, at),
        _crowd(new, account, knobs),
        None if attached or is_position or _whole(new, position) else _notional(new, at),
        _trigger(new, new.trigger, at) if new.trigger else None,
        None if attached else _reduce_only(new, position, account, knobs, is_position=is_position),
    )
    found = next((found for found in checks if found is not None), None)
    return Refused(f"{found.text} asset={instrument.asset}", found.status) if found else None


def _shape(new: NewOrder, instrument: Instrument, at: Quote) -> Refused | None:
    prices = [new.limit_px] + ([new.trigger.px] if new.trigger else [])
    if any(not px.is_finite() or px <= 0 for px in prices):
        return Refused("Order has invalid price.", "tickRejected")
    if not all(has_tick(instrument, px) for px in prices):
        return Refused("Price must be divisible by tick size.", "tickRejected")
    if not new.size.is_finite() or new.size < 0 or not has_lot(instrument, new.size):
        return Refused("Order has invalid size.", "rejected")
    if new.trigger is None and abs(new.limit_px - at.mark) > at.mark * FARTHEST:
        return Refused("Order price cannot be more than 80% away from the reference price", "oracleRejected")
    return None


def _crowd(new: NewOrder, account: Account, knobs: Knobs) -> Refused | None:
    if (new.reduce_only or new.trigger) and len(account.orders) >= knobs.max_open_orders:
        return Refused("Too many open orders.", "rejected")
    used = knobs.cloid_reuse_refused and new.cloid is not None
    if used and any(order.cloid == new.cloid for order in account.orders.values()):
        return Refused("Duplicate cloid among open orders.", "rejected")
    return None


def _whole(new: NewOrder, position: Position | None) -> bool:
    """Tell whether an order would close the whole position: such an order may be below the minimum."""
    if position is None or (position.size > 0) == new.is_buy or not new.reduce_only:
        return False
    return new.size >= abs(position.size)


def _notional(new: NewOrder, at: Quote) -> Refused | None:
    if new.size == 0:
        return Refused("Order has zero size.", "rejected")
    px = new.trigger.px if new.trigger else at.mark if new.tif in ("Ioc", "FrontendMarket") else new.limit_px
    if new.size * px < MIN_NOTIONAL:
        return Refused("Order must have minimum value of $10.", "minTradeNtlRejected")
    return None


def crossed(trigger: Trigger, mark: Decimal, *, is_buy: bool) -> bool:
    """Tell whether the mark is at or beyond a trigger: stops below for sells and above for buys, targets reversed."""
    upwards = is_buy == (trigger.tpsl == "sl")
    return mark >= trigger.px if upwards else mark <= trigger.px


def _trigger(new: NewOrder, trigger: Trigger, at: Quote) -> Refused | None:
    beyond = new.limit_px < trigger.px if new.is_buy else new.limit_px > trigger.px
    if crossed(trigger, at.mark, is_buy=new.is_buy) or (trigger.is_market and beyond):
        return Refused("Invalid TP/SL price.", "badTriggerPxRejected")
    return None


def _reduce_only(
    new: NewOrder, position: Position | None, account: Account, knobs: Knobs, *, is_position: bool
) -> Refused | None:
    if not new.reduce_only:
        return None
    refused = Refused("Reduce only order would increase position.", "reduceOnlyRejected")
    against = position is not None and (position.size > 0) != new.is_buy
    if new.trigger is None or is_position or knobs.ro_trigger_needs_position:
        return None if against else refused
    if knobs.ro_triggers_sum_limited and against and position is not None:
        standing = sum((order.size for order in closing_triggers(account, new)), ZERO)
        return refused if standing + new.size > abs(position.size) else None
    return None


def closing_triggers(account: Account, new: NewOrder) -> list[Order]:
    """Return the live reduce-only triggers of the same kind on the same side of the same coin."""
    return [
        order
        for order in account.orders.values()
        if order.coin == new.coin
        and order.reduce_only
        and order.is_buy == new.is_buy
        and order.trigger is not None
        and new.trigger is not None
        and order.trigger.tpsl == new.trigger.tpsl
    ]


def unaffordable(
    order: Order | NewOrder, px: Decimal, account: Account, marks: Mapping[str, Decimal], fee: Decimal
) -> bool:
    """Tell whether the account lacks the margin for the part of an order that opens, at a price, with its fee."""
    leverage, _ = account.leverage[order.coin]
    size = opening(account.positions.get(order.coin), order.size, is_buy=order.is_buy)
    return size > 0 and size * px / leverage + size * px * fee > free(account, marks)
