"""The control API: faults, hand-pushed marks, a person's hand, liquidations, accounts, the witness, counters, knobs.

It listens on loopback only and is no part of the venue's wire. What it refuses it refuses with HTTP 400 and
`{"error": one clear line}`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from exchange.paper.errors import PaperError
from exchange.paper.faults import Rule
from exchange.paper.model import Account, NewOrder, Refused
from exchange.paper.streams import Streams
from exchange.paper.venue import Venue
from exchange.paper.wire import WireError, address, number

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SIDES = {"buy": True, "long": True, "sell": False, "short": False}


@web.middleware
async def _one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a refusal into HTTP 400 with its sentence."""
    try:
        return await handler(request)
    except PaperError as error:
        return web.json_response({"error": str(error)}, status=400)


async def _body(request: web.Request, *fields: str) -> dict[str, Any]:
    """Read a JSON object with no other fields than these."""
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise PaperError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        msg = "the body must be a JSON object"
        raise PaperError(msg)
    for name in body:
        if fields and name not in fields:
            raise PaperError(f"unknown field {name!r}: known are {', '.join(fields)}")
    return body


class Control:
    """The handlers over one venue."""

    def __init__(self, venue: Venue, streams: Streams) -> None:
        self.venue = venue
        self.streams = streams

    def app(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(middlewares=[_one_line])
        app.add_routes(
            [
                web.post("/faults", self.add_fault),
                web.get("/faults", self.list_faults),
                web.delete("/faults/{id}", self.drop_fault),
                web.delete("/faults", self.drop_faults),
                web.post("/mark", self.mark),
                web.get("/mark", self.marks),
                web.post("/hand", self.hand),
                web.post("/liquidate", self.liquidate),
                web.post("/adl", self.adl),
                web.post("/accounts", self.add_account),
                web.post("/agents", self.add_agent),
                web.post("/subaccounts", self.add_sub_account),
                web.get("/witness", self.witness),
                web.get("/stats", self.stats),
                web.post("/stats/reset", self.reset),
                web.get("/health", self.health),
                web.post("/settings", self.settings),
                web.get("/settings", self.show_settings),
            ]
        )
        return app

    # readings of the body ---------------------------------------------------------------------------------------------
    def _coin(self, value: object) -> str:
        name = str(value).partition("/")[0]
        if name not in self.venue.listing:
            matches = [coin for coin in self.venue.listing if coin.upper() == name.upper()]
            if not matches:
                raise PaperError(f"symbol is {value!r}: listed are {', '.join(self.venue.listing)}")
            return matches[0]
        return name

    def _address(self, field: str, value: object) -> str:
        try:
            return address(value)
        except WireError as error:
            raise PaperError(f"{field} is {value!r}: it must be 0x and 40 hex digits") from error

    def _account(self, value: object) -> Account:
        account = self.venue.market.accounts.get(self._address("account", value))
        if account is None:
            raise PaperError(f"account {value} is unknown: POST /accounts {{address, balance}} makes it")
        return account

    def _positive(self, field: str, value: object) -> Decimal:
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            found = Decimal(-1)
        if not found.is_finite() or found <= 0 or isinstance(value, bool):
            raise PaperError(f"{field} is {value!r}: it must be a number above 0")
        return found

    # faults -----------------------------------------------------------------------------------------------------------
    async def add_fault(self, request: web.Request) -> web.Response:
        """Take a fault; some strike at once."""
        rule = self.venue.faults.add(await _body(request), self.venue.now_ms())
        if rule.kind == "liquidation" and (rule.account is None or rule.symbol is None):
            self.venue.faults.drop(rule.id)
            msg = "a liquidation fault needs match.account and match.symbol"
            raise PaperError(msg)
        if rule.kind in ("liquidation", "ws_drop"):
            self.venue.later(rule.delay_ms, lambda: self._strike(rule))
        return web.json_response({"id": rule.id})

    def _strike(self, rule: Rule) -> None:
        if rule.id not in self.venue.faults.rules:
            return
        rule.used += 1
        if rule.kind == "ws_drop":
            self.streams.drop(rule.account)
        elif rule.account is not None and rule.symbol is not None and rule.account in self.venue.market.accounts:
            self.venue.market.liquidate(rule.account, rule.symbol, self.venue.now_ms())
            self.venue.settle()

    async def list_faults(self, _request: web.Request) -> web.Response:
        """List the faults with how often each was met and used."""
        return web.json_response([rule.as_json() for rule in self.venue.faults.rules.values()])

    async def drop_fault(self, request: web.Request) -> web.Response:
        """End a fault."""
        if not self.venue.faults.drop(request.match_info["id"]):
            return web.json_response({"error": f"no fault {request.match_info['id']!r}"}, status=404)
        return web.json_response({"ok": True})

    async def drop_faults(self, _request: web.Request) -> web.Response:
        """End all faults."""
        self.venue.faults.rules.clear()
        return web.json_response({"ok": True})

    # the world --------------------------------------------------------------------------------------------------------
    async def mark(self, request: web.Request) -> web.Response:
        """Push a mark."""
        body = await _body(request, "symbol", "price", "hold_ms")
        coin, price = self._coin(body.get("symbol")), self._positive("price", body.get("price"))
        hold = body.get("hold_ms", 0)
        if hold is not None and (isinstance(hold, bool) or not isinstance(hold, int) or hold < 0):
            raise PaperError(
                f"hold_ms is {hold!r}: it must be a whole number of milliseconds, or null to hold for ever"
            )
        self.venue.push_mark(coin, price, hold)
        self.streams.tick(frozenset({coin}))
        return web.json_response({"symbol": coin, "mark": number(price)})

    async def marks(self, _request: web.Request) -> web.Response:
        """Return the true marks, whatever feeds show."""
        return web.json_response({coin: number(mark) for coin, mark in self.venue.market.marks.items()})

    async def hand(self, request: web.Request) -> web.Response:
        """Do what a person does in the venue's own interface: trade at market, close, cancel."""
        body = await _body(request, "account", "symbol", "side", "size", "close", "cancel")
        account = self._account(body.get("account"))
        if "cancel" in body:
            return web.json_response({"canceled": self._cancel_by_hand(account, body)})
        coin = self._coin(body.get("symbol"))
        if body.get("close") is True:
            held = account.positions.get(coin)
            if held is None:
                raise PaperError(f"close: the account holds no {coin}")
            order = NewOrder(coin, held.size < 0, Decimal(1), abs(held.size), reduce_only=True)
        else:
            if body.get("side") not in _SIDES:
                raise PaperError(f"side is {body.get('side')!r}: it must be one of {', '.join(_SIDES)}")
            size = self._positive("size", body.get("size"))
            order = NewOrder(coin, _SIDES[body["side"]], Decimal(1), size, reduce_only=False)
        placed = self.venue.market.hand(account.address, order, self.venue.now_ms())
        self.venue.settle()
        if isinstance(placed, Refused):
            raise PaperError(f"the venue refuses: {placed.text}")
        held = account.positions.get(coin)
        return web.json_response({"oid": placed.order.oid, "position": number(held.size) if held else "0.0"})

    def _cancel_by_hand(self, account: Account, body: dict[str, Any]) -> list[int]:
        what = body["cancel"]
        coin = self._coin(body["symbol"]) if body.get("symbol") is not None else None
        live = [order for order in account.orders.values() if coin in (None, order.coin)]
        if what == "stops":
            live = [order for order in live if order.trigger is not None and order.trigger.tpsl == "sl"]
        elif what != "all":
            live = [order for order in live if str(order.oid) == str(what)]
            if not live:
                raise PaperError(f'cancel is {what!r}: it must be the id of a live order, "stops" or "all"')
        now_ms = self.venue.now_ms()
        for order in live:
            self.venue.market.cancel(account.address, order.coin, order.oid, now_ms)
        self.venue.settle()
        return [order.oid for order in live]

    async def liquidate(self, request: web.Request) -> web.Response:
        """Liquidate a position now."""
        return await self._force(request, None)

    async def adl(self, request: web.Request) -> web.Response:
        """Auto-deleverage a position now."""
        return await self._force(request, "Auto-Deleveraging")

    async def _force(self, request: web.Request, words: str | None) -> web.Response:
        body = await _body(request, "account", "symbol")
        account, coin = self._account(body.get("account")), self._coin(body.get("symbol"))
        if not self.venue.market.liquidate(account.address, coin, self.venue.now_ms(), words=words):
            raise PaperError(f"the account holds no {coin}")
        self.venue.settle()
        return web.json_response({"ok": True})

    # accounts ---------------------------------------------------------------------------------------------------------
    async def add_account(self, request: web.Request) -> web.Response:
        """Create an account, or set the cash of the one there is."""
        body = await _body(request, "address", "balance")
        where = self._address("address", body.get("address"))
        balance = self._positive("balance", body.get("balance", self.venue.balance))
        account = self.venue.open_account(where, balance)
        account.cash = balance
        self.venue.market.changed(where)
        self.venue.settle()
        return web.json_response({"address": where, "balance": number(balance)})

    async def add_agent(self, request: web.Request) -> web.Response:
        """Let an agent key sign for an account."""
        body = await _body(request, "account", "agent", "valid_until_ms", "name")
        where = self._address("account", body.get("account"))
        agent = self._address("agent", body.get("agent"))
        until = body.get("valid_until_ms")
        if until is not None and (isinstance(until, bool) or not isinstance(until, int)):
            raise PaperError(f"valid_until_ms is {until!r}: it must be a time in milliseconds, or be left out")
        account = self.venue.open_account(where, self.venue.balance)
        self.venue.add_agent(account, agent, str(body.get("name") or f"agent {agent[2:10]}"), until)
        return web.json_response({"account": where, "agent": agent})

    async def add_sub_account(self, request: web.Request) -> web.Response:
        """Create a sub-account (or vault) that its master's signers may trade for with vaultAddress."""
        body = await _body(request, "master", "address", "balance")
        master = self._address("master", body.get("master"))
        where = self._address("address", body.get("address"))
        balance = self._positive("balance", body.get("balance", self.venue.balance))
        self.venue.open_account(master, self.venue.balance)
        account = self.venue.open_account(where, balance, master=master)
        account.master, account.role = master, "subAccount"
        return web.json_response({"master": master, "address": where})

    # looking ----------------------------------------------------------------------------------------------------------
    async def witness(self, _request: web.Request) -> web.Response:
        """Return the venue's own account of what happened."""
        return web.json_response(self.venue.witness.as_json(self.venue.now_us()))

    async def stats(self, _request: web.Request) -> web.Response:
        """Return requests, weights and accepted orders since the last reset."""
        return web.json_response(self.venue.meter.as_json())

    async def reset(self, _request: web.Request) -> web.Response:
        """Start counting anew."""
        self.venue.meter.reset(self.venue.now_ms())
        return web.json_response({"ok": True})

    async def health(self, _request: web.Request) -> web.Response:
        """Say that the venue runs, its time, and how many accounts, connections and subscriptions it has."""
        connections = self.streams.connections
        counts = {
            "accounts": len(self.venue.market.accounts),
            "connections": len(connections),
            "subscriptions": sum(len(connection.subs) for connection in connections),
        }
        return web.json_response({"ok": True, "time_ms": self.venue.now_ms(), **counts})

    async def settings(self, request: web.Request) -> web.Response:
        """Turn knobs."""
        self.venue.knobs.turn(await _body(request))
        return web.json_response(self.venue.knobs.as_json())

    async def show_settings(self, _request: web.Request) -> web.Response:
        """Return every knob."""
        return web.json_response(self.venue.knobs.as_json())
