"""The control API: faults, hand-pushed marks, a person's hand, liquidations, accounts, the witness, counters, knobs.

It listens on loopback only and is no part of the venue's wire. What it refuses it refuses with HTTP 400 and
`{"error": one clear line}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from exchange.paper.errors import PaperError
from exchange.paper.faults import Rule
from exchange.paper.hand import FIELDS, Hand
from exchange.paper.readings import account_address, account_of, body_of, coin_of, positive
from exchange.paper.streams import Streams
from exchange.paper.venue import Venue
from exchange.paper.wire import number

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a refusal into HTTP 400 with its sentence."""
    try:
        return await handler(request)
    except PaperError as error:
        return web.json_response({"error": str(error)}, status=400)


class Control:
    """The handlers over one venue."""

    def __init__(self, venue: Venue, streams: Streams) -> None:
        self.venue = venue
        self.streams = streams
        self.person = Hand(venue)

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
                web.get("/mark/history", self.mark_history),
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

    # faults -----------------------------------------------------------------------------------------------------------
    async def add_fault(self, request: web.Request) -> web.Response:
        """Take a fault; some strike at once."""
        rule = self.venue.faults.add(await body_of(request), self.venue.now_ms())
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
        body = await body_of(request, "symbol", "price", "hold_ms")
        coin, price = coin_of(self.venue, body.get("symbol")), positive("price", body.get("price"))
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

    async def mark_history(self, request: web.Request) -> web.Response:
        """Return the newest true marks, oldest first, from a number on; ``next`` is the number to ask for then."""
        rows, count = self.venue.marked, self.venue.marked_count
        try:
            begin = int(request.query.get("from", "0"))
        except ValueError as error:
            raise PaperError(f"from: {request.query['from']!r} is no number, such as 0") from error
        newest = list(rows)[max(0, begin - (count - len(rows))) :]
        return web.json_response({"next": count, "marks": [[ms, coin, number(px)] for ms, coin, px in newest]})

    async def hand(self, request: web.Request) -> web.Response:
        """Do what a person does in the venue's own interface: trade at market, close, place, cancel."""
        return web.json_response(self.person.move(await body_of(request, *FIELDS)))

    async def liquidate(self, request: web.Request) -> web.Response:
        """Liquidate a position now."""
        return await self._force(request, None)

    async def adl(self, request: web.Request) -> web.Response:
        """Auto-deleverage a position now."""
        return await self._force(request, "Auto-Deleveraging")

    async def _force(self, request: web.Request, words: str | None) -> web.Response:
        body = await body_of(request, "account", "symbol")
        account, coin = account_of(self.venue, body.get("account")), coin_of(self.venue, body.get("symbol"))
        if not self.venue.market.liquidate(account.address, coin, self.venue.now_ms(), words=words):
            raise PaperError(f"the account holds no {coin}")
        self.venue.settle()
        return web.json_response({"ok": True})

    # accounts ---------------------------------------------------------------------------------------------------------
    async def add_account(self, request: web.Request) -> web.Response:
        """Create an account, or set the cash of the one there is."""
        body = await body_of(request, "address", "balance")
        where = account_address("address", body.get("address"))
        balance = positive("balance", body.get("balance", self.venue.balance))
        account = self.venue.open_account(where, balance)
        account.cash = balance
        self.venue.market.changed(where)
        self.venue.settle()
        return web.json_response({"address": where, "balance": number(balance)})

    async def add_agent(self, request: web.Request) -> web.Response:
        """Let an agent key sign for an account."""
        body = await body_of(request, "account", "agent", "valid_until_ms", "name")
        where = account_address("account", body.get("account"))
        agent = account_address("agent", body.get("agent"))
        until = body.get("valid_until_ms")
        if until is not None and (isinstance(until, bool) or not isinstance(until, int)):
            raise PaperError(f"valid_until_ms is {until!r}: it must be a time in milliseconds, or be left out")
        account = self.venue.open_account(where, self.venue.balance)
        self.venue.add_agent(account, agent, str(body.get("name") or f"agent {agent[2:10]}"), until)
        return web.json_response({"account": where, "agent": agent})

    async def add_sub_account(self, request: web.Request) -> web.Response:
        """Create a sub-account (or vault) that its master's signers may trade for with vaultAddress."""
        body = await body_of(request, "master", "address", "balance")
        master = account_address("master", body.get("master"))
        where = account_address("address", body.get("address"))
        balance = positive("balance", body.get("balance", self.venue.balance))
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
        self.venue.knobs.turn(await body_of(request))
        return web.json_response(self.venue.knobs.as_json())

    async def show_settings(self, _request: web.Request) -> web.Response:
        """Return every knob."""
        return web.json_response(self.venue.knobs.as_json())
