"""The paper market's objects in the heart's words: positions, orders, fills, look-ups, answers. No time passes here.

For the simulation, which puts the engine on the paper market without a wire between them. Nothing here is shared with
the gateway: that reads what the wire prints, this what the market remembers, and a contract test holds both together.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from exchange.paper.margin import cross_value, free, isolated_value, liquidation_px, unrealized
from exchange.paper.model import Account, Instrument, Refused, Resting, Waiting
from exchange.paper.model import Fill as VenueFill
from exchange.paper.model import Order as VenueOrder
from exchange.paper.model import Placed as VenueAnswer
from exchange.paper.model import Position as VenuePosition
from stopkeeper.core.ids import MAGIC
from stopkeeper.core.model import (
    ZERO,
    Fill,
    Funds,
    History,
    Holdings,
    Lookup,
    MarginMode,
    Market,
    Order,
    OrderKind,
    OrderState,
    Position,
    Side,
)
from stopkeeper.core.outcomes import Accepted, Outcome, Reason, Rejected, Throttled, Unknown

MICRO = Decimal("0.000001")  # amounts of money leave the venue with six decimals
_WORDS: tuple[tuple[str, Reason], ...] = (  # how the paper venue begins its refusals
    ("Invalid TP/SL price", Reason.CROSSED),
    ("Reduce only order would increase", Reason.NO_POSITION),
    ("Order must have minimum value", Reason.TOO_SMALL),
    ("Insufficient margin", Reason.MARGIN),
    ("Order could not immediately match", Reason.NO_LIQUIDITY),
    ("Order has", Reason.BAD_PRICE),
    ("Price must be divisible", Reason.BAD_PRICE),
    ("Order price cannot be more than", Reason.BAD_PRICE),
    ("Post only order would have", Reason.WOULD_MATCH),
    ("Too many open orders", Reason.CAP),
    ("Invalid leverage", Reason.CAP),
    ("Cannot switch leverage type", Reason.CAP),
    ("Duplicate cloid", Reason.DUPLICATE_ID),
    ("Order was never placed", Reason.GONE),
    ("Invalid nonce", Reason.STALE_NONCE),
    ("Action expired", Reason.EXPIRED),
)
_STATES = {
    "open": OrderState.LIVE,
    "waitingForFill": OrderState.LIVE,
    "triggered": OrderState.FIRED,
    "filled": OrderState.FILLED,
    "scheduledCancel": OrderState.CANCELED,
    "canceled": OrderState.CANCELED,
}
_UNENDED = (OrderState.LIVE, OrderState.FIRED)
_KINDS = {
    ("sl", True): OrderKind.STOP_MARKET,
    ("sl", False): OrderKind.STOP_LIMIT,
    ("tp", True): OrderKind.TARGET_MARKET,
    ("tp", False): OrderKind.TARGET_LIMIT,
}
_ORDINARY = ("Open ", "Close ", "Long > ", "Short > ")


def side_of(*, is_buy: bool) -> Side:
    """Return the side an order or fill pushes towards."""
    return Side.LONG if is_buy else Side.SHORT


def market_of(item: Instrument, taker_fee: Decimal) -> Market:
    """Return what an instrument demands of an order: five figures, six decimals less those of the size."""
    return Market(
        symbol=item.name,
        size_step=Decimal(1).scaleb(-item.sz_decimals),
        min_notional=Decimal(10),
        max_leverage=item.max_leverage,
        maintenance_rate=item.maintenance_rate,
        taker_fee=taker_fee,
        decimals=6 - item.sz_decimals,
        significant=5,
    )


def holdings_of(
    account: Account,
    marks: Mapping[str, Decimal],
    shown: Mapping[str, Decimal | None],
    listing: Mapping[str, Instrument],
) -> Holdings:
    """Return positions and money; ``shown`` are the marks its rows imply, None where that is no price."""
    held = {coin: _position(account, p, marks, shown[coin], listing) for coin, p in account.positions.items()}
    worth = cross_value(account, marks) + isolated_value(account, marks)
    return Holdings(held, Funds(round(worth, 6), max(ZERO, round(free(account, marks), 6))))


def _position(
    account: Account,
    held: VenuePosition,
    marks: Mapping[str, Decimal],
    mark: Decimal | None,
    listing: Mapping[str, Instrument],
) -> Position:
    liquidation = liquidation_px(account, held, marks, listing)
    return Position(
        symbol=held.coin,
        side=side_of(is_buy=held.size > 0),
        size=abs(held.size),
        entry_price=round(held.entry_px, 6),
        margin_mode=MarginMode.CROSS if held.is_cross else MarginMode.ISOLATED,
        leverage=Decimal(held.leverage),
        liquidation_price=None if liquidation is None else round(liquidation, 8),
        mark=mark,
        unrealized_pnl=round(unrealized(held, marks[held.coin]), 6),
    )


def orders_of(found: Iterable[VenueOrder]) -> tuple[Order, ...]:
    """Return live orders, newest first: not those at work, nor children whose parent still stands."""
    standing = [order for order in found if order.status not in ("triggered", "waitingForFill")]
    return tuple(order_of(order) for order in sorted(standing, key=lambda order: -order.oid))


def history_of(records: Sequence[VenueOrder]) -> History:
    """Return the orders with an id like ours whose newest record, which comes last, names no end; and all's symbols."""
    newest = {record.oid: record for record in records if (_client_id(record.cloid) or "").startswith(MAGIC)}
    found = sorted(newest.values(), key=lambda order: -order.oid)
    unended = tuple(order_of(o) for o in found if _STATES.get(o.status) in _UNENDED)
    return History(unended, frozenset(o.coin for o in found))


def order_of(order: VenueOrder) -> Order:
    """Return one live order."""
    trigger = order.trigger
    return Order(
        id=str(order.oid),
        symbol=order.coin,
        client_id=_client_id(order.cloid),
        side=side_of(is_buy=order.is_buy),
        kind=OrderKind.LIMIT if trigger is None else _KINDS[trigger.tpsl, trigger.is_market],
        size=ZERO if order.is_position_tpsl else order.size,
        price=order.limit_px,
        trigger=None if trigger is None else trigger.px,
        mark_triggered=trigger is not None,
        reduce_only=order.reduce_only,
        whole=order.is_position_tpsl,
        fired=order.fired_ms is not None,
        placed_ms=order.placed_ms,
    )


def _client_id(cloid: str | None) -> str | None:
    return None if cloid is None else cloid.removeprefix("0x")


def lookup_of(client_id: str, order: VenueOrder | None) -> Lookup:
    """Return what the venue's record of a client id tells; None = it knows no such id."""
    if order is None:
        return Lookup(client_id, None)
    state = _STATES.get(order.status)
    if state is None:
        state = OrderState.CANCELED if order.status.endswith("Canceled") else OrderState.REJECTED
    filled = ZERO if state is OrderState.REJECTED else max(ZERO, order.orig_size - order.size)
    live = order_of(order) if state is OrderState.LIVE else None
    return Lookup(client_id, state, str(order.oid), filled, live)


def fill_of(fill: VenueFill) -> Fill:
    """Return one execution."""
    return Fill(
        id=str(fill.tid),
        symbol=fill.coin,
        order_id=str(fill.oid),
        client_id=_client_id(fill.cloid),
        side=side_of(is_buy=fill.is_buy),
        size=fill.size,
        price=fill.px,
        fee=fill.fee,
        closed_pnl=round(fill.closed_pnl, 6),
        time_ms=fill.time_ms,
        start=fill.start_position,
        liquidation=fill.liquidation_mark is not None,
        adl="deleverag" in fill.direction.lower(),
        words="" if fill.direction.startswith(_ORDINARY) else fill.direction,
    )


def refusal_of(words: str) -> Outcome:
    """Return what a refusal in the paper venue's words proves; words not on the list prove nothing."""
    if words.startswith("Too many cumulative requests"):
        return Throttled(words)
    reason = next((reason for begin, reason in _WORDS if words.startswith(begin)), None)
    return Unknown(words) if reason is None else Rejected(reason, words)


def outcome_of(answer: VenueAnswer) -> Outcome:
    """Return what came of one order. A child that waits, or comes alive with its parent's fill, is named by no id."""
    if isinstance(answer, Refused):
        return refusal_of(answer.text)
    if isinstance(answer, Waiting):
        return Accepted(live=True)
    if isinstance(answer, Resting):
        return Accepted(str(answer.order.oid), live=True)
    return Accepted(str(answer.order.oid), answer.size, round(answer.avg_px, 6))
