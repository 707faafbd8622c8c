"""What a person does in the venue's own interface: trade at market, close, place an order, cancel. No client order ids.

The words and shapes are those of `POST /hand` of the control API.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchange.paper.errors import PaperError
from exchange.paper.model import Account, Filled, NewOrder, Order, Placed, Refused, Tif, Trigger
from exchange.paper.readings import account_of, coin_of, is_buy, only, positive
from exchange.paper.symbols import on_tick
from exchange.paper.venue import Venue
from exchange.paper.wire import number

FIELDS = ("account", "symbol", "side", "size", "close", "cancel", "place")
_PLACE = ("kind", "side", "size", "price", "worst", "tif", "reduce_only")
_KINDS = ("stop", "target", "limit")
_TIFS: dict[str, Tif] = {"Gtc": "Gtc", "Alo": "Alo", "Ioc": "Ioc"}
_ROOM = Decimal("0.1")  # the interface lets a stop or target at market slip so far (venue docs: order-types, TP/SL)


class Hand:
    """A person's hand on one venue."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    def move(self, body: dict[str, Any]) -> dict[str, Any]:
        """Do what the body says. Raise PaperError for what cannot be read, and in the venue's words if it refuses."""
        account = account_of(self.venue, body.get("account"))
        if "cancel" in body:
            return {"canceled": self._cancel(account, body)}
        coin = coin_of(self.venue, body.get("symbol"))
        if "place" in body:
            return self._told(account, coin, self._place(account, coin, body["place"]))
        if body.get("close") is True:
            held = account.positions.get(coin)
            if held is None:
                raise PaperError(f"close: the account holds no {coin}")
            order = NewOrder(coin, held.size < 0, Decimal(1), abs(held.size), reduce_only=True)
        else:
            buys = is_buy(body.get("side"))
            order = NewOrder(coin, buys, Decimal(1), positive("size", body.get("size")), reduce_only=False)
        return self._told(account, coin, self.venue.market.hand(account.address, order, self.venue.now_ms()))

    def _told(self, account: Account, coin: str, placed: Placed) -> dict[str, Any]:
        self.venue.settle()
        if isinstance(placed, Refused):
            raise PaperError(f"the venue refuses: {placed.text}")
        held = account.positions.get(coin)
        state = "filled" if isinstance(placed, Filled) else "resting"
        return {"oid": placed.order.oid, "state": state, "position": number(held.size) if held else "0.0"}

    def _place(self, account: Account, coin: str, raw: object) -> Placed:
        """Place a stop, a target or a limit order as asked."""
        if not isinstance(raw, dict):
            raise PaperError(f"place is {raw!r}: it must be an object with {', '.join(_PLACE)}")
        only(raw, _PLACE)
        if raw.get("kind") not in _KINDS:
            raise PaperError(f"place.kind is {raw.get('kind')!r}: it must be one of {', '.join(_KINDS)}")
        order = self._limit(coin, raw) if raw["kind"] == "limit" else self._trigger(account, coin, raw)
        return self.venue.market.place(account.address, [order], "na", self.venue.now_ms())[0]

    def _limit(self, coin: str, raw: dict[str, Any]) -> NewOrder:
        tif = raw.get("tif", "Gtc")
        if tif not in _TIFS:
            raise PaperError(f"place.tif is {tif!r}: it must be one of {', '.join(_TIFS)}")
        size, price = positive("place.size", raw.get("size")), positive("place.price", raw.get("price"))
        reduces = _flag("place.reduce_only", raw.get("reduce_only", False))
        return NewOrder(coin, is_buy(raw.get("side")), price, size, reduces, _TIFS[tif])

    def _trigger(self, account: Account, coin: str, raw: dict[str, Any]) -> NewOrder:
        """Read a trigger at market; without side and size it closes the whole position."""
        held = account.positions.get(coin)
        if held is None and ("side" not in raw or "size" not in raw):
            raise PaperError(f"place: the account holds no {coin}, so side and size must be said")
        buys = is_buy(raw["side"]) if "side" in raw or held is None else held.size < 0
        size = positive("place.size", raw["size"]) if "size" in raw or held is None else abs(held.size)
        price = positive("place.price", raw.get("price"))
        farthest = on_tick(self.venue.listing[coin], price * (1 + _ROOM if buys else 1 - _ROOM))
        worst = positive("place.worst", raw["worst"]) if "worst" in raw else farthest
        reduces = _flag("place.reduce_only", raw.get("reduce_only", True))
        wake = Trigger(price, is_market=True, tpsl="sl" if raw["kind"] == "stop" else "tp")
        return NewOrder(coin, buys, worst, size, reduces, None, wake)

    def _cancel(self, account: Account, body: dict[str, Any]) -> list[int]:
        coin = coin_of(self.venue, body["symbol"]) if body.get("symbol") is not None else None
        live = [order for order in account.orders.values() if coin in (None, order.coin)]
        chosen = _chosen(live, body["cancel"])
        now_ms = self.venue.now_ms()
        for order in chosen:
            self.venue.market.cancel(account.address, order.coin, order.oid, now_ms, cause="person")
        self.venue.settle()
        return [order.oid for order in chosen]


def _chosen(live: list[Order], what: object) -> list[Order]:
    if what == "all":
        return live
    if what == "stops":
        return [order for order in live if order.trigger is not None and order.trigger.tpsl == "sl"]
    if what == "entries":
        return [order for order in live if not order.reduce_only]
    found = [order for order in live if str(order.oid) == str(what)]
    if not found:
        raise PaperError(f'cancel is {what!r}: it must be the id of a live order, "stops", "entries" or "all"')
    return found


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise PaperError(f"{field} is {value!r}: it must be true or false")
    return value
