"""Hyperliquid's write side as data: orders and actions as they are signed, and what its answers and words mean.

No network, no keys. Shapes: SDK utils/signing.py; words: the venue's docs, error responses.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from exchange.fields import Unreadable, get, integer, number
from exchange.gateway import Fault, Reply, scrub
from stopkeeper.core.model import Market, Side
from stopkeeper.core.outcomes import Accepted, Barred, Outcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.prices import Toward, to_grid, to_step

Action = dict[str, Any]
Tif = Literal["Ioc", "Gtc", "Alo"]
Grouping = Literal["na", "normalTpsl"]


class Tpsl(StrEnum):
    """The two kinds of trigger orders."""

    STOP = "sl"
    TARGET = "tp"


def text_of(value: Decimal) -> str:
    """Return a decimal as the venue hashes it: no exponent, no superfluous zeros. Raises ValueError unless > 0."""
    if not value.is_finite() or value <= 0:
        raise ValueError(f"{value} cannot go into an order")
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def on_grid(price: Decimal, market: Market, toward: Toward) -> Decimal:
    """Return a price on the market's grid; one that is on it already is not moved."""
    return to_grid(price, decimals=market.decimals, significant=market.significant, tick=market.tick, toward=toward)


@dataclass(frozen=True, slots=True)
class Leg:
    """One order to be: ``side`` pushes towards long (buy) or short (sell)."""

    asset: int
    market: Market
    side: Side
    size: Decimal
    price: Decimal
    client_id: str
    reduce_only: bool
    trigger: Decimal | None = None
    tpsl: Tpsl = Tpsl.STOP
    tif: Tif = "Ioc"

    def wire(self) -> Action:
        """Return the order in the key order that is hashed.

        Off-grid numbers move to the safe side: an opening price and size inwards; a closing order's size up (it is
        reduce-only), its worst price outwards so that it fills, and a stop's trigger towards the price. A sale's worst
        price is a tick at least. Raises ValueError for what no order can be made of.
        """
        buys = self.side is Side.LONG
        outwards = Toward.UP if buys else Toward.DOWN
        inwards = Toward.DOWN if buys else Toward.UP
        size = to_step(self.size, self.market.size_step, Toward.UP if self.reduce_only else Toward.DOWN)
        price = on_grid(self.price, self.market, outwards if self.reduce_only else inwards)
        if self.reduce_only and not buys:
            price = price or self.market.tick or Decimal(1).scaleb(-self.market.decimals)
        kind: Action = {"limit": {"tif": self.tif}}
        if self.trigger is not None:
            # a sell stop lies below the price, so inwards (up) is towards the price; targets are mirrored
            towards = inwards if self.tpsl is Tpsl.STOP else outwards
            px = text_of(on_grid(self.trigger, self.market, towards))
            kind = {"trigger": {"isMarket": True, "triggerPx": px, "tpsl": str(self.tpsl)}}
        return {
            "a": self.asset,
            "b": buys,
            "p": text_of(price),
            "s": text_of(size),
            "r": self.reduce_only,
            "t": kind,
            "c": "0x" + self.client_id.removeprefix("0x"),
        }


def order_action(legs: Sequence[Leg], grouping: Grouping = "na") -> Action:
    """Return one action that places all legs, in order and independent of each other.

    With ``normalTpsl`` the later legs belong to the first and come alive when it has filled (venue docs, TP/SL).
    """
    return {"type": "order", "orders": [leg.wire() for leg in legs], "grouping": grouping}


def cancel_action(asset: int, order_id: int) -> Action:
    """Return the action that cancels one order by the venue's id."""
    return {"type": "cancel", "cancels": [{"a": asset, "o": order_id}]}


def leverage_action(asset: int, leverage: int, *, cross: bool) -> Action:
    """Return the action that sets leverage and margin mode of a symbol."""
    return {"type": "updateLeverage", "asset": asset, "isCross": cross, "leverage": leverage}


# --- words ------------------------------------------------------------------------------------------------------

_BARRED = (
    r"user or api wallet \S* ?does not exist",
    r"must deposit before performing actions",
    r"(agent|api wallet).*(expired|not valid|revoked)",
    r"vault not registered",
)
_THROTTLED = (r"too many cumulative requests", r"too many requests", r"rate limit")
_REASONS: tuple[tuple[str, Reason], ...] = (
    (r"invalid tp/sl price", Reason.CROSSED),
    (r"reduce only order would increase position", Reason.NO_POSITION),
    (r"minimum value of \$?10", Reason.TOO_SMALL),
    (r"insufficient margin", Reason.MARGIN),
    (r"sufficient margin available to decrease leverage", Reason.MARGIN),
    (r"never placed, already canceled, or filled", Reason.GONE),
    (r"could not immediately match", Reason.NO_LIQUIDITY),
    (r"no liquidity available for market order", Reason.NO_LIQUIDITY),
    (r"order has invalid (price|size)", Reason.BAD_PRICE),
    (r"order has zero size", Reason.BAD_PRICE),
    (r"divisible by (tick|lot) size", Reason.BAD_PRICE),
    (r"more than \d+% away from the reference price", Reason.BAD_PRICE),
    (r"post only order would have immediately matched", Reason.WOULD_MATCH),
    (r"open interest", Reason.CAP),
    (r"too many open orders", Reason.CAP),
    (r"max(imum)? (position|leverage)", Reason.CAP),
    (r"invalid leverage", Reason.CAP),
    (r"cannot switch leverage type with open position", Reason.CAP),
    (r"cross margin is not allowed", Reason.CAP),
    (r"signed action over weight limit", Reason.CAP),
    (r"duplicate cloid", Reason.DUPLICATE_ID),
    (r"invalid nonce", Reason.STALE_NONCE),
    (r"expiresafter|action (has )?expired", Reason.EXPIRED),
)


def _any(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_IS_BARRED, _IS_THROTTLED = _any(_BARRED), _any(_THROTTLED)
_IS_REASON = tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in _REASONS)


def refusal(words: object) -> Rejected | Fault:
    """Return what the venue's words prove: by the allow-list above, else Unknown."""
    if not isinstance(words, str):
        return Unknown(scrub(f"an error without words: {words}"))
    text = scrub(words)
    if _IS_BARRED.search(text):
        return Barred(text)
    if _IS_THROTTLED.search(text):
        return Throttled(text)
    reason = next((reason for pattern, reason in _IS_REASON if pattern.search(text)), None)
    return Rejected(reason, text) if reason else Unknown(text)


# --- answers ----------------------------------------------------------------------------------------------------

_ROWLESS = ("updateLeverage", "noop")  # the actions whose acceptance has no row


def outcomes(reply: Reply, kind: str, count: int) -> tuple[Outcome, ...]:
    """Return what came of each of ``count`` orders of one action of this kind, by the answer's own rows.

    Only an answer of the venue's own form tells; without one the fault does, which never proves a refusal.
    """
    body = reply.body
    if not isinstance(body, dict) or body.get("status") not in ("ok", "err"):
        return (reply.fault or Unknown(scrub(f"unreadable answer: {body}")),) * count
    response = body.get("response")
    if body["status"] == "err":
        return (refusal(response),) * count
    if kind in _ROWLESS and isinstance(response, dict) and response.get("type") == "default":
        return (Accepted(),) * count
    data = response.get("data") if isinstance(response, dict) else None
    statuses = data.get("statuses") if isinstance(data, dict) else None
    found = tuple(_row(kind, status) for status in statuses) if isinstance(statuses, list) else ()
    if len(found) == 1 and not isinstance(found[0], Accepted):
        return found * count
    return found if len(found) == count else (Unknown(scrub(f"not {count} statuses: {body}")),) * count


def _row(kind: str, status: object) -> Outcome:
    with suppress(Unreadable):
        match status:
            case {"error": _, "resting": _} | {"error": _, "filled": _}:
                pass  # it says both
            case {"error": words}:
                return refusal(words)
            case "success" if kind == "cancel":
                return Accepted()
            case "waitingForTrigger" | "waitingForFill" if kind == "order":
                return Accepted(live=True)  # the venue names no order here
            case {"resting": order} if kind == "order":
                return Accepted(order_id=str(integer(get(order, "oid"))), live=True)
            case {"filled": order} if kind == "order":
                size, price = number(get(order, "totalSz")), number(get(order, "avgPx"))
                return Accepted(order_id=str(integer(get(order, "oid"))), filled=size, average=price)
    return Unknown(scrub(f"unreadable status: {status}"))
