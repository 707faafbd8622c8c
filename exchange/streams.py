"""The venue's pushes: mark prices, and what happens to the account's orders and fills, through ccxt.pro's connection.

Streams wake, they never tell: whoever is woken reads the venue. Nothing is signed, no key and no market list is needed.
"""

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import ccxt.pro

from exchange.account import VenueAccount
from exchange.clock import mono_ms
from exchange.gateway import scrub
from exchange.hyperliquid_parse import is_perp
from stopkeeper.core.prices import parse_price

logger = logging.getLogger(__name__)
OnMarks = Callable[[Mapping[str, Decimal]], Awaitable[None] | None]
OnEvent = Callable[[str, str], Awaitable[None] | None]
OnGap = Callable[[str], Awaitable[None] | None]
READY_S = 10.0
BACKOFF_S = (0.25, 15.0)
CONNECTION, ORDERS, FILLS = "connection", "orders", "fills"


class _NotReady(ccxt.NetworkError):  # type: ignore[misc]
    """The venue did not confirm the subscriptions."""


class _Feed(ccxt.pro.hyperliquid):  # type: ignore[misc]
    """ccxt.pro's connection, ping and dead-peer detection; the messages go to us as they came."""

    sink: Callable[[Mapping[str, Any]], None]

    async def initialize_client(self) -> bool:
        """Send nothing."""
        return True

    def handle_message(self, client: Any, message: Any) -> None:
        """Hand a message on; a pong also keeps ccxt from giving the connection up."""
        if isinstance(message, dict):
            if message.get("channel") == "pong":
                self.handle_pong(client, message)
            self.sink(message)


class Streams:
    """One connection with the marks of some symbols and the orders and fills of one account, kept up for ever."""

    def __init__(self, account: VenueAccount, symbols: Sequence[str]) -> None:
        self._account, self._symbols = account, tuple(symbols)
        self.dropped = 0
        self.connections = 0
        self._heard: dict[str, float] = {}
        self._marks: dict[str, Decimal] = {}
        self._events: dict[tuple[str, str], None] = {}
        self._gap: str | None = None
        self._unconfirmed: set[str] = set()
        self._fresh = asyncio.Event()
        self._ready = asyncio.Event()

    def ages_ms(self) -> Mapping[str, int | None]:
        """Return how long each stream has been silent; None = never heard. A stream of marks is its symbol.

        ``orders`` and ``fills`` are silent while nothing happens; ``connection`` is not: a ping is answered every 20 s.
        """
        names = (CONNECTION, ORDERS, FILLS, *self._symbols)
        now = mono_ms()
        return {name: int(now - self._heard[name]) if name in self._heard else None for name in names}

    async def run(self, on_marks: OnMarks, on_event: OnEvent, on_gap: OnGap) -> None:
        """Connect, subscribe, call back; again after every loss, until cancelled. Raises only what the callbacks raise.

        ``on_marks`` gets the marks that moved (finite, > 0), ``on_event`` (symbol, what) for orders and fills,
        ``on_gap`` why, once after every connection: what happened before it was not pushed and must be read.
        """
        delay, why = BACKOFF_S[0], "connected"
        while True:
            why = await self._connection(why, on_marks, on_event, on_gap)
            logger.warning("stream of %s lost: %s", self._account.name, why)
            delay = BACKOFF_S[0] if self._ready.is_set() else min(2 * delay, BACKOFF_S[1])
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            why = f"reconnected after: {why}"[:200]

    async def _connection(self, why: str, on_marks: OnMarks, on_event: OnEvent, on_gap: OnGap) -> str:
        """Hold one connection until it is lost; return why it was."""
        feed, url = self._new_feed(), self._account.stream_url
        wanted = self._subscriptions()
        self._unconfirmed, self._gap = set(wanted), why
        self._ready.clear()
        # these never resolve: they fail when the connection does
        lost: asyncio.Future[Any] = asyncio.gather(
            *(
                feed.watch(url, name, {"method": "subscribe", "subscription": body}, name)
                for name, body in wanted.items()
            )
        )
        pump: asyncio.Future[Any] = asyncio.ensure_future(self._pump(on_marks, on_event, on_gap))
        try:
            await asyncio.wait({lost, pump}, return_when=asyncio.FIRST_COMPLETED)
            failed = pump if pump.done() else lost
            await failed
        except ccxt.BaseError as error:
            return scrub(f"{type(error).__name__}: {error}")
        finally:
            lost.cancel()
            pump.cancel()
            await asyncio.gather(lost, pump, return_exceptions=True)
            await feed.close()
        return "ended"

    def _new_feed(self) -> _Feed:
        url = self._account.stream_url
        feed = _Feed({"enableRateLimit": False, "urls": {"api": {"ws": {"public": url}}}})
        feed.sink = self._take
        self.connections += 1
        return feed

    def _subscriptions(self) -> dict[str, dict[str, str]]:
        user = self._account.address
        marks = {symbol: {"type": "activeAssetCtx", "coin": symbol} for symbol in self._symbols}
        return {ORDERS: {"type": "orderUpdates", "user": user}, FILLS: {"type": "userFills", "user": user}} | marks

    async def _pump(self, on_marks: OnMarks, on_event: OnEvent, on_gap: OnGap) -> None:
        """Call back with what has come together since the last call, so that a slow callback never makes a queue."""
        try:
            await asyncio.wait_for(self._ready.wait(), READY_S)
        except TimeoutError as error:
            raise _NotReady(f"not confirmed: {', '.join(sorted(self._unconfirmed))}") from error
        while True:
            gap, marks, events = self._gap, self._marks, tuple(self._events)
            self._gap, self._marks, self._events = None, {}, {}
            self._fresh.clear()
            if gap is not None:
                await _done(on_gap(gap))
            if marks:
                await _done(on_marks(marks))
            for symbol, what in events:
                await _done(on_event(symbol, what))
            await self._fresh.wait()

    def _take(self, message: Mapping[str, Any]) -> None:
        """Sort a message in. Never raises: what cannot be read is not news."""
        self._heard[CONNECTION] = mono_ms()
        channel, data = message.get("channel"), message.get("data")
        if channel == "subscriptionResponse":
            self._confirm(data)
        elif channel == "activeAssetCtx" and isinstance(data, dict):
            self._mark(data)
        elif channel == "orderUpdates" and isinstance(data, list):
            self._heard[ORDERS] = mono_ms()
            for row in data:
                if isinstance(row, dict) and isinstance(row.get("order"), dict):
                    self._event(row["order"].get("coin"), f"order {row.get('status')}")
        elif channel == "userFills" and isinstance(data, dict):
            self._heard[FILLS] = mono_ms()
            if data.get("isSnapshot") is not True:  # a snapshot is history: the gap is what wakes
                for row in data.get("fills") or ():
                    if isinstance(row, dict):
                        self._event(row.get("coin"), "liquidation" if row.get("liquidation") else "fill")
        elif channel == "error":
            logger.error("stream of %s: %s", self._account.name, scrub(str(data)))

    def _confirm(self, data: object) -> None:
        body = data.get("subscription") if isinstance(data, dict) else None
        if isinstance(body, dict):
            names = {"orderUpdates": ORDERS, "userFills": FILLS}
            self._unconfirmed.discard(names.get(str(body.get("type")), str(body.get("coin"))))
        if not self._unconfirmed:
            self._ready.set()

    def _mark(self, data: Mapping[str, Any]) -> None:
        symbol, context = str(data.get("coin")), data.get("ctx")
        price = parse_price(context.get("markPx")) if isinstance(context, dict) else None
        if price is None:
            self.dropped += 1  # 0, NaN or nothing, as after a venue's restart: not a price, and not a sign of life
            return
        self._heard[symbol] = mono_ms()
        self._marks[symbol] = price
        self._fresh.set()

    def _event(self, coin: object, what: str) -> None:
        if isinstance(coin, str) and is_perp(coin):
            self._events[coin, what] = None
            self._fresh.set()


async def _done(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
