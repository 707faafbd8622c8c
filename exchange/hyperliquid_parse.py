"""Hyperliquid's read side: its JSON into the heart's words, numbers straight from the venue's own text.

Fills and funding: hyperliquid_fills. No network. Anything unreadable raises Unreadable; the caller makes it Unknown.
Shapes: venue docs, info endpoint.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

from exchange.fields import Unreadable, get, integer, number, rows, told
from stopkeeper.core.ids import MAGIC
from stopkeeper.core.model import (
    OVER,
    ZERO,
    Candle,
    Funds,
    History,
    Holdings,
    Lookup,
    MarginMode,
    Order,
    OrderKind,
    OrderState,
    Position,
    Side,
)
from stopkeeper.core.prices import parse_price

_STANDING = re.compile(r"^price (above|below) ", re.IGNORECASE)
_KINDS = {
    "Stop Market": OrderKind.STOP_MARKET,
    "Stop Limit": OrderKind.STOP_LIMIT,
    "Take Profit Market": OrderKind.TARGET_MARKET,
    "Take Profit Limit": OrderKind.TARGET_LIMIT,
}
_STATES = {
    "open": OrderState.LIVE,
    "waitingForFill": OrderState.LIVE,
    "waitingForTrigger": OrderState.LIVE,
    "triggered": OrderState.FIRED,
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "scheduledCancel": OrderState.CANCELED,
    "internalCancel": OrderState.CANCELED,
    "rejected": OrderState.REJECTED,
}


def side_of(raw: object) -> Side:
    """Return LONG for B (bid), SHORT for A (ask). Raises Unreadable."""
    if raw not in ("B", "A"):
        raise Unreadable(f"not a side: {raw!r}")
    return Side.LONG if raw == "B" else Side.SHORT


def is_perp(coin: str) -> bool:
    """Tell whether a coin is a perpetual of the main exchange.

    Not spot (@107, PURR/USDC), not of a dex (flx:CRCL), not an outcome (#5160; venue docs, asset ids).
    """
    return not coin.startswith(("@", "#")) and "/" not in coin and ":" not in coin


def client_id_of(row: Mapping[str, Any]) -> str | None:
    """Return an order's client id without its 0x, or None."""
    raw = row.get("cloid")
    return raw.lower().removeprefix("0x") if isinstance(raw, str) else None


# --- account ----------------------------------------------------------------------------------------------------


def holdings(state: object) -> tuple[Holdings, int]:
    """Return positions and money of a ``clearinghouseState``, with its own time in ms.

    Coin and size must be readable. No other field of a row or of the money may hide what is held: all positions of the
    account would stay without a stop. Money that cannot be read is none to open anything with.
    """
    held: dict[str, Position] = {}
    for row in rows(get(state, "assetPositions")):
        position = _position(get(row, "position"))
        if position is not None and held.setdefault(position.symbol, position) != position:
            raise Unreadable(f"two positions on {position.symbol}")
    value = told(state.get("marginSummary") if isinstance(state, dict) else None, "accountValue")
    return Holdings(held, Funds(value or ZERO, told(state, "withdrawable") or ZERO)), integer(get(state, "time"))


def _position(row: Mapping[str, Any]) -> Position | None:
    signed, coin = number(get(row, "szi")), get(row, "coin")
    if not isinstance(coin, str):
        raise Unreadable(f"not a coin: {coin!r}")
    if signed == 0:
        return None
    size, value, pnl = abs(signed), told(row, "positionValue"), told(row, "unrealizedPnl")
    mark = None if value is None else mark_of(value, size)
    entry, leverage = _entry_price(row, mark, signed, pnl), row.get("leverage")
    if pnl is None:
        pnl = ZERO if mark is None else (mark - entry) * signed
    # of a mode nobody documented no more is known than that the margin is not kept by the position alone
    isolated = isinstance(leverage, dict) and leverage.get("type") == "isolated"
    return Position(
        symbol=coin,
        side=Side.LONG if signed > 0 else Side.SHORT,
        size=size,
        entry_price=entry,
        margin_mode=MarginMode.ISOLATED if isolated else MarginMode.CROSS,
        leverage=told(leverage, "value") or ZERO,  # no position has 0x
        liquidation_price=parse_price(row.get("liquidationPx")),
        mark=mark,
        unrealized_pnl=pnl,
    )


def _entry_price(row: Mapping[str, Any], mark: Decimal | None, signed: Decimal, pnl: Decimal | None) -> Decimal:
    """Return a position's entry price, by mark and open P&L where the venue names none; the mark where they tell none.

    Raises Unreadable where nothing tells any price.
    """
    entry = parse_price(row.get("entryPx"))
    if entry is None and mark is not None:
        entry = (None if pnl is None else mark_of(mark * signed - pnl, signed)) or mark
    if entry is None:
        raise Unreadable(f"no price in {str(row)[:120]}")
    return entry


def mark_of(value: Decimal, size: Decimal) -> Decimal | None:
    """Return the mark a position's value implies, or None where that is no price.

    The value is printed to six decimals, so a tiny position's quotient has a tail: ten figures are kept.
    """
    with localcontext() as context:
        context.prec = 10
        return parse_price(f"{value / size:f}")


def settings(data: object) -> tuple[int, MarginMode, Decimal | None]:
    """Return leverage, margin mode and mark (None where the venue tells none) of an ``activeAssetData``."""
    leverage = get(data, "leverage")
    mode = get(leverage, "type")
    if mode not in ("isolated", "cross"):
        raise Unreadable(f"not a margin mode: {mode!r}")
    mark = parse_price(data.get("markPx")) if isinstance(data, dict) else None
    return integer(get(leverage, "value")), MarginMode(mode), mark


# --- orders -----------------------------------------------------------------------------------------------------


def orders(raw: object) -> tuple[Order, ...]:
    """Return the live perpetual orders of ``frontendOpenOrders``, each once.

    Children of a parent that still stands are listed at the top level too, but are not live before the parent is filled
    completely (venue docs, TP/SL): they are no cover, so they are left out.
    """
    top = rows(raw)
    waiting = {integer(get(child, "oid")) for row in top for child in _children(row)}
    found: dict[str, Order] = {}
    for row in top:
        if is_perp(str(get(row, "coin"))) and integer(get(row, "oid")) not in waiting:
            order = _order(row)
            found[order.id] = order
    return tuple(found.values())


def _children(row: object) -> Iterable[Any]:
    return rows(row.get("children") or []) if isinstance(row, dict) else ()


def _order(row: Mapping[str, Any]) -> Order:
    triggers = row.get("isTrigger") is True
    kind = OrderKind.LIMIT
    if triggers:
        # a trigger of a kind nobody documented must not pass for a market stop; a stop limit is never cover
        kind = _KINDS.get(str(get(row, "orderType")), OrderKind.STOP_LIMIT)
    price = parse_price(row.get("limitPx"))
    if price is None and kind is OrderKind.STOP_MARKET:
        kind = OrderKind.STOP_LIMIT  # nobody can tell how far it would fill
    whole = row.get("isPositionTpsl") is True
    return Order(
        id=str(integer(get(row, "oid"))),
        symbol=str(get(row, "coin")),
        client_id=client_id_of(row),
        side=side_of(get(row, "side")),
        kind=kind,
        size=ZERO if whole else number(get(row, "sz")),
        price=price,
        trigger=parse_price(row.get("triggerPx")) if triggers else None,
        mark_triggered=triggers,  # this venue's triggers know no other price (venue docs, TP/SL)
        reduce_only=row.get("reduceOnly") is True,
        whole=whole,
        fired=triggers and _has_fired(row),
        placed_ms=integer(get(row, "timestamp")),
    )


def _has_fired(row: Mapping[str, Any]) -> bool:
    """Tell whether a trigger no longer waits: the venue then stops saying "Price above/below X"."""
    return row.get("status") == "triggered" or _STANDING.match(str(row.get("triggerCondition"))) is None


def lookup(raw: object, symbol: str, client_id: str) -> Lookup:
    """Return what ``orderStatus`` knows of a client id. ``filled`` is exact for entries only.

    A reduce-only order's size also shrinks with its position, and that looks like a fill here.
    """
    if get(raw, "status") == "unknownOid":
        return Lookup(client_id, None)
    entry = get(raw, "order")
    row, status = get(entry, "order"), str(get(entry, "status"))
    if str(get(row, "coin")) != symbol or client_id_of(row) not in (None, client_id.lower().removeprefix("0x")):
        raise Unreadable(f"asked for {client_id} on {symbol}, told of {str(row)[:120]}")
    state = _state(status)
    if state is None:
        raise Unreadable(f"not an order's state: {status!r}")
    filled = ZERO if state is OrderState.REJECTED else number(get(row, "origSz")) - number(get(row, "sz"))
    order = _order(row) if state is OrderState.LIVE else None
    return Lookup(client_id, state, str(integer(get(row, "oid"))), max(filled, ZERO), order)


def _state(status: str) -> OrderState | None:
    """Return what a status says of an order; None = it is not documented."""
    if status.endswith("Canceled"):
        return OrderState.CANCELED
    return OrderState.REJECTED if status.endswith("Rejected") else _STATES.get(status)


def on_record(raw: object) -> tuple[list[Any], list[str]]:
    """Return, of ``historicalOrders``, the rows of perpetual orders with an id like ours of which none names an end.

    An order may have a row for each of its states, also of one moment, so that the newest is not told by its time. And
    the symbols on which orders with such an id were placed.
    """
    ended: set[int] = set()
    last: dict[int, Any] = {}
    symbols: set[str] = set()
    for entry in rows(raw):
        row = get(entry, "order")
        oid, state, symbol = integer(get(row, "oid")), _state(str(get(entry, "status"))), str(get(row, "coin"))
        ours = (client_id_of(row) or "").startswith(MAGIC) and is_perp(symbol)
        if ours:
            symbols.add(symbol)
        if state in OVER:
            ended.add(oid)
        elif ours:
            before = last.get(oid)
            if before is None or integer(get(entry, "statusTimestamp")) >= integer(get(before, "statusTimestamp")):
                last[oid] = entry
    return [entry for oid, entry in last.items() if oid not in ended], sorted(symbols)


def history(unended: Iterable[Any], symbols: Iterable[str]) -> History:
    """Return what such rows and symbols tell; an order that fired is said to have by its status alone."""
    told = ((get(entry, "order"), str(get(entry, "status"))) for entry in unended)
    orders = (replace(_order(row), fired=_state(status) is OrderState.FIRED) for row, status in told)
    return History(tuple(orders), frozenset(symbols))


# --- the rest ---------------------------------------------------------------------------------------------------


def actions_left(raw: object) -> int:
    """Return how many actions ``userRateLimit`` leaves an address before it is throttled."""
    return integer(get(raw, "nRequestsCap")) - integer(get(raw, "nRequestsUsed"))


def agents(raw: object) -> dict[str, int]:
    """Return when the approval of each agent in ``extraAgents`` ends, UTC ms, by its address in lower case."""
    return {str(get(row, "address")).lower(): integer(get(row, "validUntil")) for row in rows(raw)}


def agent_until(raw: object, agent: str) -> int:
    """Return when an agent's approval ends by ``extraAgents``, UTC ms. Raises Unreadable where it is not listed."""
    listed = agents(raw)
    if agent not in listed:
        raise Unreadable(f"the account lists no agent {agent}")
    return listed[agent]


def candles(raw: object) -> tuple[Candle, ...]:
    """Return the bars of a ``candleSnapshot``, oldest first."""
    bars = [
        Candle(integer(get(row, "t")), number(get(row, "h")), number(get(row, "l")), number(get(row, "c")))
        for row in rows(raw)
    ]
    return tuple(sorted(bars, key=lambda bar: bar.opened_ms))
