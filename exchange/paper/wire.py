"""How the venue prints numbers, orders, fills and positions, and how it reads an order. No state, no rules.

Shapes: the recorded answers of hyperliquid-python-sdk, venue docs
`info-endpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from exchange.paper.margin import Marks, cross_used, cross_value, free, isolated_value, liquidation_px, maintenance
from exchange.paper.margin import unrealized as open_profit
from exchange.paper.model import ZERO, Account, Fill, Instrument, NewOrder, Order, Position, Tif, Tpsl, Trigger

_NUMBER = re.compile(r"^\d{1,20}(\.\d{1,18})?$")
_CLOID = re.compile(r"^0x[0-9a-fA-F]{32}$")
_ADDRESS = re.compile(r"^(0x)?[0-9a-fA-F]{40}$")
_TIFS: dict[str, Tif] = {"Gtc": "Gtc", "Ioc": "Ioc", "Alo": "Alo", "FrontendMarket": "FrontendMarket"}
_KINDS: dict[str, Tpsl] = {"tp": "tp", "sl": "sl"}


class WireError(ValueError):
    """The body is not of the venue's form: HTTP 422 there."""


def number(value: Decimal, places: int = 8) -> str:
    """Print a decimal as the venue does: no exponent, no superfluous zeros, at least one decimal."""
    text = f"{round(value, places).normalize():f}"
    return text if "." in text else f"{text}.0" if text != "-0" else "0.0"


def amount(text: object) -> Decimal:
    """Read a decimal string. Raise WireError for anything else, numbers included."""
    if not isinstance(text, str) or not _NUMBER.match(text):
        raise WireError(f"not a decimal string: {text!r}")
    return Decimal(text)


def whole(value: object) -> int:
    """Read an integer. Raise WireError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"not an integer: {value!r}")
    return value


def flag(value: object) -> bool:
    """Read a boolean. Raise WireError for anything else."""
    if not isinstance(value, bool):
        raise WireError(f"not a boolean: {value!r}")
    return value


def table(value: object) -> dict[str, Any]:
    """Read an object. Raise WireError for anything else."""
    if not isinstance(value, dict):
        raise WireError(f"not an object: {value!r}")
    return value


def rows(value: object) -> list[Any]:
    """Read a list. Raise WireError for anything else."""
    if not isinstance(value, list):
        raise WireError(f"not a list: {value!r}")
    return value


def address(value: object) -> str:
    """Read an address, in lower case with 0x (ccxt sends a vault without). Raise WireError for anything else."""
    if not isinstance(value, str) or not _ADDRESS.match(value):
        raise WireError(f"not an address: {value!r}")
    return f"0x{value.lower().removeprefix('0x')}"


def cloid(value: object) -> str:
    """Read a client order id (0x + 32 hex), in lower case. Raise WireError for anything else."""
    if not isinstance(value, str) or not _CLOID.match(value):
        raise WireError(f"not a cloid: {value!r}")
    return value.lower()


def order_ref(value: object) -> int | str:
    """Read an order id or a cloid."""
    return cloid(value) if isinstance(value, str) else whole(value)


def new_order(raw: object, coins: Mapping[int, str], builder: Mapping[str, Any] | None) -> NewOrder:
    """Read one order of an action. Raise WireError for a malformed one, KeyError for an unknown asset number."""
    row = table(raw)
    kind = table(row.get("t"))
    trigger: Trigger | None = None
    tif: Tif | None = None
    if "trigger" in kind:
        inner = table(kind["trigger"])
        if inner.get("tpsl") not in _KINDS:
            msg = "tpsl"
            raise WireError(msg)
        trigger = Trigger(amount(inner.get("triggerPx")), flag(inner.get("isMarket")), _KINDS[inner["tpsl"]])
    else:
        name = table(kind.get("limit")).get("tif")
        if name not in _TIFS:
            msg = "tif"
            raise WireError(msg)
        tif = _TIFS[name]
    return NewOrder(
        coin=coins[whole(row.get("a"))],
        is_buy=flag(row.get("b")),
        limit_px=amount(row.get("p")),
        size=amount(row.get("s")),
        reduce_only=flag(row.get("r")),
        tif=tif,
        trigger=trigger,
        cloid=cloid(row["c"]) if row.get("c") is not None else None,
        builder=address(builder.get("b")) if builder else None,
        builder_fee=whole(builder.get("f")) if builder else 0,
    )


def order_type(order: Order) -> str:
    """Return the venue's name of an order's kind."""
    if order.trigger is None:
        return "Market" if order.tif == "FrontendMarket" else "Limit"
    kind = "Stop" if order.trigger.tpsl == "sl" else "Take Profit"
    return f"{kind} {'Market' if order.trigger.is_market else 'Limit'}"


def _condition(order: Order) -> str:
    if order.trigger is None:
        return "N/A"
    if order.fired_ms is not None:
        return "Triggered"
    above = order.is_buy == (order.trigger.tpsl == "sl")
    return f"Price {'above' if above else 'below'} {order.trigger.px.normalize():f}"


def basic_order(order: Order) -> dict[str, Any]:
    """Print an order as `openOrders` and `orderUpdates` do."""
    row: dict[str, Any] = {
        "coin": order.coin,
        "side": "B" if order.is_buy else "A",
        "limitPx": number(order.limit_px),
        "sz": number(order.size),
        "oid": order.oid,
        "timestamp": order.placed_ms,
        "origSz": number(order.orig_size),
    }
    if order.cloid:
        row["cloid"] = order.cloid
    if order.reduce_only:
        row["reduceOnly"] = True
    return row


def full_order(order: Order, known: Mapping[int, Order] | None = None) -> dict[str, Any]:
    """Print an order as `frontendOpenOrders`, `orderStatus` and `historicalOrders` do."""
    children = [known[oid] for oid in order.children if oid in known] if known else []
    return {
        "coin": order.coin,
        "side": "B" if order.is_buy else "A",
        "limitPx": number(order.limit_px),
        "sz": number(order.size),
        "oid": order.oid,
        "timestamp": order.placed_ms,
        "triggerCondition": _condition(order),
        "isTrigger": order.trigger is not None,
        "triggerPx": number(order.trigger.px) if order.trigger else "0.0",
        "children": [full_order(child) for child in children],
        "isPositionTpsl": order.is_position_tpsl,
        "reduceOnly": order.reduce_only,
        "orderType": order_type(order),
        "origSz": number(order.orig_size),
        "tif": order.tif,
        "cloid": order.cloid,
    }


def shown_status(order: Order) -> str:
    """Return the status as the venue prints it: a child waiting for its parent is `open` there."""
    return "open" if order.status == "waitingForFill" else order.status


def on_record(order: Order) -> dict[str, Any]:
    """Print a status record."""
    return {"order": full_order(order), "status": shown_status(order), "statusTimestamp": order.status_ms}


def update(order: Order) -> dict[str, Any]:
    """Print a row of the `orderUpdates` stream."""
    return {"order": basic_order(order), "status": shown_status(order), "statusTimestamp": order.status_ms}


def fill_row(fill: Fill) -> dict[str, Any]:
    """Print a fill."""
    row: dict[str, Any] = {
        "coin": fill.coin,
        "px": number(fill.px),
        "sz": number(fill.size),
        "side": "B" if fill.is_buy else "A",
        "time": fill.time_ms,
        "startPosition": number(fill.start_position),
        "dir": fill.direction,
        "closedPnl": number(fill.closed_pnl, 6),
        "hash": f"0x{fill.tid:064x}",
        "oid": fill.oid,
        "crossed": fill.crossed,
        "fee": number(fill.fee, 6),
        "tid": fill.tid,
        "feeToken": "USDC",
        "twapId": None,
    }
    if fill.cloid:
        row["cloid"] = fill.cloid
    if fill.builder_fee:
        row["builderFee"] = number(fill.builder_fee, 6)
    if fill.liquidation_mark is not None:
        mark = number(fill.liquidation_mark)
        row["liquidation"] = {"liquidatedUser": fill.user, "markPx": mark, "method": "market"}
    return row


def _position(account: Account, held: Position, marks: Marks, listing: Mapping[str, Instrument]) -> dict[str, Any]:
    notional = abs(held.size) * marks[held.coin]
    profit = open_profit(held, marks[held.coin])
    at_entry = abs(held.size) * held.entry_px / held.leverage
    liq = liquidation_px(account, held, marks, listing)
    leverage: dict[str, Any] = {"type": "cross" if held.is_cross else "isolated", "value": held.leverage}
    if not held.is_cross:
        leverage["rawUsd"] = number(held.margin - held.size * held.entry_px, 6)
    return {
        "type": "oneWay",
        "position": {
            "coin": held.coin,
            "szi": number(held.size),
            "leverage": leverage,
            "entryPx": number(held.entry_px, 6),
            "positionValue": number(notional, 6),
            "unrealizedPnl": number(profit, 6),
            "returnOnEquity": number(profit / at_entry),
            "liquidationPx": None if liq is None else number(liq),
            "marginUsed": number(notional / held.leverage if held.is_cross else held.margin + profit, 6),
            "maxLeverage": listing[held.coin].max_leverage,
            "cumFunding": {name: number(held.funding, 6) for name in ("allTime", "sinceOpen", "sinceChange")},
        },
    }


def clearinghouse(account: Account, marks: Marks, listing: Mapping[str, Instrument], time_ms: int) -> dict[str, Any]:
    """Print an account's positions and margin; `time` is the time of the state."""
    held = list(account.positions.values())
    total_notional = sum((abs(p.size) * marks[p.coin] for p in held), ZERO)
    cross_notional = sum((abs(p.size) * marks[p.coin] for p in held if p.is_cross), ZERO)
    crossed, isolated = cross_value(account, marks), isolated_value(account, marks)
    used = cross_used(account, marks)

    def summary(worth: Decimal, notional: Decimal, bound: Decimal, signed: Decimal) -> dict[str, str]:
        return {
            "accountValue": number(worth, 6),
            "totalNtlPos": number(notional, 6),
            "totalRawUsd": number(worth - signed, 6),
            "totalMarginUsed": number(bound, 6),
        }

    signed = sum((p.size * marks[p.coin] for p in held), ZERO)
    cross_signed = sum((p.size * marks[p.coin] for p in held if p.is_cross), ZERO)
    return {
        "marginSummary": summary(crossed + isolated, total_notional, used + isolated, signed),
        "crossMarginSummary": summary(crossed, cross_notional, used, cross_signed),
        "crossMaintenanceMarginUsed": number(maintenance(account, marks, listing), 6),
        "withdrawable": number(max(ZERO, free(account, marks)), 6),
        "assetPositions": [_position(account, p, marks, listing) for p in held],
        "time": time_ms,
    }
