"""Hyperliquid's reads: one account observed, each reading Known with the venue's time or Unknown. No effects, no keys.

Facts: the venue's docs (info endpoint, rate limits).
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from exchange import hyperliquid_fills as filled
from exchange import hyperliquid_parse as parse
from exchange.account import VenueAccount
from exchange.budget import IpBudget, surcharge_of, weight_of
from exchange.clock import VenueClock, mono_ms
from exchange.fields import rows
from exchange.gateway import Ask, Fault, Gateway, Reply, scrub
from exchange.hyperliquid_markets import Markets, coin_of, context_mark
from exchange.hyperliquid_pages import FILLS, FUNDING, Pages
from exchange.transport import parse_json
from stopkeeper.core.actions import Field
from stopkeeper.core.missing import Clock, Silence
from stopkeeper.core.model import Candle, FillPage, History, Holdings, Known, Lookup, Market, Order, Side
from stopkeeper.core.outcomes import Throttled, Unknown
from stopkeeper.core.prices import Price, Source, parse_price
from stopkeeper.core.record import Prepared
from stopkeeper.core.trailing import INTERVALS_MS
from stopkeeper.engine.ports import Settings, TextCache, Urgency

T = TypeVar("T")
_KINDS = {
    Field.HOLDINGS: "clearinghouseState",
    Field.ORDERS: "frontendOpenOrders",
    Field.FILLS: "userFillsByTime",
    Field.PLACED: "orderStatus",
}
_NO_TIME = Unknown("no venue time yet: holdings are read first")
_NO_USER = frozenset({"metaAndAssetCtxs", "candleSnapshot"})
_BAR_MS = 500
_DENIED = frozenset({400, 404, 405, 422, 501})  # the server does not know the question
_ODD = frozenset({200, 500})  # neither an answer nor a denial: it may be either, and is taken for one at the third
_ODD_TIMES = 3
_ASK_AGAIN_MS = 3_600_000
_UNREADABLE = (ValueError, AttributeError, TypeError, KeyError, IndexError, ArithmeticError)


class Reads:
    """What can be seen of one account."""

    def __init__(self, account: VenueAccount, gateway: Gateway, budget: IpBudget, cache: TextCache) -> None:
        self.account, self.budget, self._gateway = account, budget, gateway
        self._time = VenueClock()
        self._cache = cache
        self._markets = Markets(gateway, cache, account.http_url)
        self._seen_ms: int | None = None
        self._held: tuple[Mapping[str, Side], float] = ({}, 0.0)
        self._silence: tuple[str, float] | None = None
        self._odd = Counter[str]()  # questions: answers in a row that were none

    def now_ms(self) -> int:
        """Return the venue's time by the measured offset (the local clock where none was measured)."""
        return self._time.now_ms()

    def clock_age_ms(self) -> int | None:
        """Return how old the measured offset is; None = never measured, or contradicted."""
        return self._time.age_ms()

    def clock(self) -> Clock:
        """Return what is known of the venue's time."""
        return self._time.known()

    def silence(self) -> Silence | None:
        """Return the last reading of positions if it was asked for and could not be had."""
        silence = self._silence
        return None if silence is None else Silence(silence[0], int(mono_ms() - silence[1]))

    def markets(self) -> Mapping[str, Market]:
        """Return all markets by coin, delisted ones too; empty where the venue never told them."""
        listing = self._markets.listing()
        return {} if listing is None else listing.markets

    def symbol(self, text: str) -> str | None:
        """Return the venue's coin for what a person wrote (BTC, BTC/USDC:USDC, KPEPE), or None where it is unknown."""
        return coin_of(text, self.markets())

    def wait_ms(self, fields: Collection[Field], urgency: Urgency) -> int:
        """Return 0 if the rate budget would grant a look at these fields now, else the ms until it would."""
        weight = sum(weight_of(_KINDS[field]) for field in fields)
        return self.budget.wait_ms(2 * weight, urgency)  # another process may begin one at this very moment

    def holdings(self, urgency: Urgency) -> Known[Holdings] | Unknown:
        """Read positions and money of the account: one request, weight 2. Measures the clock on the way."""
        reply = self._info("clearinghouseState", urgency)
        found = parsed(reply, parse.holdings)
        if isinstance(found, Unknown):
            if not isinstance(reply.fault, Throttled):
                self._silence = (found.why, mono_ms())
            return found
        self._silence = None
        held, at_ms = found
        at_ms = self._time.measure(reply.sent, reply.received, at_ms)
        self._held = ({coin: position.side for coin, position in held.positions.items()}, mono_ms())
        self._seen_ms = at_ms
        return Known(held, at_ms)

    def orders(self, urgency: Urgency) -> Known[tuple[Order, ...]] | Unknown:
        """Read all live orders: one request, weight 20. Carries the time of the holdings read before it."""
        return self._stamped(lambda: parsed(self._info("frontendOpenOrders", urgency), parse.orders))

    def fills(self, since_ms: int, urgency: Urgency) -> Known[FillPage] | Unknown:
        """Read every fill from ``since_ms`` on, oldest first: weight 20 and rows/20 a page of 2000, Unknown if cut."""

        def read() -> FillPage | Unknown:
            rows = self._pages(urgency).read(FILLS, since_ms, None)
            if isinstance(rows, Unknown):
                return rows
            return FillPage(since_ms, tuple(filled.fills(rows, self.account.address)))

        return self._stamped(read)

    def lookup(self, symbol: str, client_id: str, urgency: Urgency) -> Known[Lookup] | Unknown:
        """Look an order up by its client id: one request, weight 2. The newest is told where an id was used twice."""
        cloid = "0x" + client_id.removeprefix("0x")
        return self._stamped(
            lambda: parsed(
                self._info("orderStatus", urgency, oid=cloid), lambda body: parse.lookup(body, symbol, client_id)
            )
        )

    def history(self, after_ms: int, urgency: Urgency) -> Known[History] | Unknown:
        """Read what is on record of the account's orders: weight 20 and rows/20, one for all processes and keys.

        The venue tells the newest 2000 records (venue docs). A server that does not know the question names none, and
        is not asked again for an hour.
        """
        name = f"history:{self.account.http_url}:{self.account.address}"
        kept = self._cache.load(name)
        if kept is not None:
            at_ms, *found = parse_json(kept)
            if at_ms > after_ms:
                return Known(parse.history(*found), at_ms)

        def read() -> History | Unknown:
            began_ms = self._seen_ms  # another thread may read positions while this one asks
            if self._cache.load(self._unasked("historicalOrders")):
                return History()
            reply = self._info("historicalOrders", urgency)
            records = parsed(reply, parse.on_record)
            if isinstance(records, Unknown):
                # the venue itself knows it (ccxt asks it): what is no answer there is never "nothing on record"
                known = isinstance(reply.body, list) or self.account.base_url is None
                return records if known or not self._never_heard_of("historicalOrders", reply) else History()
            del self._odd["historicalOrders"]
            self.budget.add(surcharge_of("historicalOrders", len(rows(reply.body))))
            found = parse.history(*records)
            self._cache.save(name, json.dumps([began_ms, *records], default=str), _ASK_AGAIN_MS)
            return found

        return self._stamped(read)

    def settings(self, symbol: str, urgency: Urgency) -> Known[Settings] | Unknown:
        """Read leverage, margin mode and mark of a symbol: one request, weight 20.

        A server that does not know the question (the venue's docs name it; no ccxt client asks it) answers nothing
        about either, and is not asked again for an hour.
        """
        at_ms = self._seen_ms or self.now_ms()
        if self._cache.load(self._unasked("activeAssetData")):
            return Known(Settings(None, None), at_ms)
        reply = self._info("activeAssetData", urgency, coin=symbol)
        found = parsed(reply, parse.settings)
        if isinstance(found, Unknown):
            return Known(Settings(None, None), at_ms) if self._never_heard_of("activeAssetData", reply) else found
        del self._odd["activeAssetData"]
        leverage, mode, mark = found
        return Known(Settings(Prepared(leverage, mode, at_ms), _priced(mark, reply)), at_ms)

    def mark(self, symbol: str, urgency: Urgency) -> Price | None:
        """Read the mark of a symbol from the contexts of all: one request, weight 20; None where it names none."""
        reply = self._info("metaAndAssetCtxs", urgency)
        found = parsed(reply, lambda body: context_mark(body, symbol))
        return None if isinstance(found, Unknown) else _priced(found, reply)

    def candles(self, symbol: str, interval: str, count: int) -> Known[tuple[Candle, ...]] | Unknown:
        """Read the last bars of a symbol: weight 20 and rows/60, once a bar for all processes."""
        width, now = INTERVALS_MS[interval], self.now_ms()
        bar = (now - _BAR_MS) // width  # by the venue's time: a text that outlives its bar is nobody's answer
        name = f"candles:{self.account.http_url}:{symbol}:{interval}:{count}:{bar}"
        text = self._cache.load(name)
        if text is None:
            req = {"coin": symbol, "interval": interval, "startTime": now - width * count, "endTime": now}
            reply = self._info("candleSnapshot", Urgency.ORDINARY, req=req)
            found = parsed(reply, parse.candles)
            if isinstance(found, Unknown):
                return found
            self.budget.add(surcharge_of("candleSnapshot", len(found)))
            # kept until the bar that is being made has ended, and a little for the venue to count it
            self._cache.save(name, json.dumps(reply.body, default=str), width - now % width + _BAR_MS)
            return Known(found, now)
        return Known(parse.candles(parse_json(text)), now)

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Known[Decimal] | Unknown:
        """Sum the funding received (> 0) or paid (< 0) on a symbol in [since, until]: weight 20 and rows/20 a page."""
        try:
            rows = self._pages(Urgency.ORDINARY).read(FUNDING, since_ms, until_ms)
            if isinstance(rows, Unknown):
                return rows
            return Known(filled.funding(rows, symbol), self._seen_ms or self.now_ms())
        except _UNREADABLE as error:
            return Unknown(scrub(f"funding: {error}"))

    def signer_valid_until_ms(self) -> Known[int | None] | Unknown:
        """Return when the agent's approval ends; None = the wallet's own key, which never does. Weight 20."""
        if self.account.key.address == self.account.wallet_address.lower():
            return Known(None, self.now_ms())
        reply = self._info("extraAgents", Urgency.ORDINARY, user=self.account.wallet_address)
        found = parsed(reply, lambda body: parse.agent_until(body, self.account.key.address))
        return found if isinstance(found, Unknown) else Known(found, self.now_ms())

    def key_trouble(self) -> str:
        """Return why the venue's list of agents has no valid approval of ours; "" = it has, or none is needed.

        Weight 20. The list knows named agents only (venue docs), so a word here is a doubt and no proof.
        """
        signer = self.account.key.address
        if signer == self.account.wallet_address.lower():
            return ""
        reply = self._info("extraAgents", Urgency.ORDINARY, user=self.account.wallet_address)
        listed = parsed(reply, parse.agents)
        if isinstance(listed, Unknown):
            return ""
        until_ms = listed.get(signer)
        if until_ms is None:
            return f"the account lists no agent {signer}"
        return "" if self.now_ms() < until_ms else f"the approval of agent {signer} has ended"

    def _info(self, kind: str, urgency: Urgency, **fields: Any) -> Reply:
        user = {} if kind in _NO_USER else {"user": self.account.address}
        body = {"type": kind} | user | fields
        return self._gateway.call(Ask(kind, "public", "info", body, weight_of(kind), urgency))

    def _unasked(self, kind: str) -> str:
        return f"no-{kind}:{self.account.http_url}"

    def _never_heard_of(self, kind: str, reply: Reply) -> bool:
        """Return whether the server does not know a question, and keep it from being asked again for a while.

        Something else than an answer, once, is a bad moment of a server that does know it: what it was to read back is
        not known then.
        """
        self._odd[kind] += reply.status in _ODD
        unknown = reply.status in _DENIED or self._odd[kind] >= _ODD_TIMES
        if unknown:
            del self._odd[kind]
            self._cache.save(self._unasked(kind), "1", _ASK_AGAIN_MS)
        return unknown

    def _pages(self, urgency: Urgency) -> Pages:
        def page(kind: str, **fields: Any) -> list[Any] | Unknown:
            found = parsed(self._info(kind, urgency, **fields), rows)
            if isinstance(found, list):
                self.budget.add(surcharge_of(kind, len(found)))
            return found

        return Pages(page)

    def _stamped(self, read: Callable[[], T | Unknown]) -> Known[T] | Unknown:
        """Give a reading without a venue time that of the holdings read before it began: older than true at worst."""
        at_ms = self._seen_ms
        if at_ms is None:
            return _NO_TIME
        try:
            found = read()
        except _UNREADABLE as error:
            return Unknown(scrub(f"unreadable: {error}"))
        return found if isinstance(found, Unknown) else Known(found, at_ms)


def said(fault: Fault | None) -> str:
    """Return a fault's own words."""
    if fault is None:
        return "no answer"
    return fault.why if isinstance(fault, Unknown) else fault.text


def _priced(raw: object, reply: Reply) -> Price | None:
    mark = None if raw is None else parse_price(raw)
    return None if mark is None else Price(mark, Source.VENUE, max(0, int(mono_ms() - reply.sent)))


def parsed(reply: Reply, read: Callable[[Any], T]) -> T | Unknown:
    """Return what a reader makes of an answer, or why nobody can tell."""
    if reply.body is None:
        return Unknown(said(reply.fault))
    try:
        return read(reply.body)
    except _UNREADABLE as error:
        return Unknown(scrub(f"unreadable: {error}"))
