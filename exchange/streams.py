"""The venue's pushes: mark prices, and what happens to the account's orders, fills and positions, by ccxt.pro.

Streams wake, they never tell: whoever is woken reads the venue. Nothing is signed, no key and no market list is needed.
What a message says stands in frames.py; here are the connection, its subscriptions, and giving it up.
"""

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import ccxt.pro

from exchange.account import VenueAccount
from exchange.clock import mono_ms
from exchange.frames import FILLS, OPEN, ORDERS, POSITIONS, Frames, News
from exchange.gateway import scrub

logger = logging.getLogger(__name__)
OnNews = Callable[[News], Awaitable[None] | None]
OnGap = Callable[[str], Awaitable[None] | None]
READY_S = 10.0
WATCH_S = 0.5
BACKOFF_S = (0.25, 15.0)
STEADY_MS = 3_000  # what is lost sooner counts as no connection: each begins with a look, which spends the budget
JUMP = Decimal("0.05")


class _Feed(ccxt.pro.hyperliquid):  # type: ignore[misc]
    """ccxt.pro's connection, ping and dead-peer detection; the messages go to us as they came."""

    sink: Callable[[Mapping[str, Any]], None]

    def client(self, url: str) -> Any:
        """Return the client of an address; a frame that it cannot read ends its connection."""
        client = super().client(url)
        client.handle_text_or_binary_message = partial(self._read, client)
        return client

    def _read(self, client: Any, data: str | bytes) -> None:
        """Read a frame. To raise would end ccxt's reading for good, and what cannot be read may have been an event."""
        try:
            type(client).handle_text_or_binary_message(client, data)
        except ValueError as error:
            client.on_error(ccxt.NetworkError(f"unreadable frame: {error}"))

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
    """One connection with the marks of some symbols and what happens to one account, kept up for ever."""

    def __init__(self, account: VenueAccount, symbols: Sequence[str], jump: Decimal = JUMP) -> None:
        self._account, self._symbols = account, tuple(symbols)
        self.frames = Frames(self._symbols, jump)
        self.connections = 0
        self._wanted: set[str] = set()
        self._gap: str | None = None
        self._fresh = asyncio.Event()
        self._ready = asyncio.Event()
        self._ready_ms: float | None = None

    def ages_ms(self) -> Mapping[str, int | None]:
        """Return how long each stream has been silent; None = never heard. A stream of marks is its symbol."""
        return self.frames.ages_ms(int(mono_ms()))

    @property
    def alive(self) -> bool:
        """Return whether a connection stands, confirmed and not silent."""
        return self._ready.is_set() and self.frames.silent(int(mono_ms())) is None

    async def run(self, on_news: OnNews, on_gap: OnGap) -> None:
        """Connect, subscribe, call back; again after every loss, until cancelled. Raises only what the callbacks raise.

        ``on_news`` gets what came since the last call, ``on_gap`` why, once after every connection: what happened
        before it was not pushed and must be read.
        """
        delay, why = BACKOFF_S[0], "connected"
        while True:
            why = await self._connection(why, on_news, on_gap)
            logger.warning("stream of %s lost: %s", self._account.name, why)
            steady = self._ready_ms is not None and mono_ms() - self._ready_ms >= STEADY_MS
            delay = BACKOFF_S[0] if steady else min(2 * delay, BACKOFF_S[1])
            self._ready.clear()
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            why = f"reconnected after: {why}"[:200]

    async def _connection(self, why: str, on_news: OnNews, on_gap: OnGap) -> str:
        """Hold one connection until it is lost; return why it was."""
        feed, url = self._new_feed(), self._account.stream_url
        needed, wished = self._subscriptions()
        self._wanted, self._gap = set(needed), why
        self._ready.clear()
        self._ready_ms = None
        self._fresh.clear()
        self.frames.begin(int(mono_ms()))
        # these never resolve: they fail when the connection does
        lost: asyncio.Future[Any] = asyncio.gather(
            *(
                feed.watch(url, name, {"method": "subscribe", "subscription": body}, name)
                for name, body in (needed | wished).items()
            )
        )
        watch = asyncio.ensure_future(self._watch())
        pump = asyncio.ensure_future(self._pump(on_news, on_gap))
        parts = (lost, watch, pump)
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()  # raises what a callback raised
            return scrub(watch.result() if watch.done() else _end_of(lost))
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await feed.session.close()  # first: ccxt would wait 10 s for a dead peer's goodbye
            await feed.close()

    def _new_feed(self) -> _Feed:
        url = self._account.stream_url
        feed = _Feed({"enableRateLimit": False, "urls": {"api": {"ws": {"public": url}}}})
        feed.sink = self._take
        self.connections += 1
        return feed

    def _subscriptions(self) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
        """Return what a connection must have, and the states that are good to have: not every server has them."""
        user = self._account.address
        marks = {symbol: {"type": "activeAssetCtx", "coin": symbol} for symbol in self._symbols}
        needed = {ORDERS: {"type": "orderUpdates", "user": user}, FILLS: {"type": "userFills", "user": user}} | marks
        return needed, {
            POSITIONS: {"type": "clearinghouseState", "user": user},
            OPEN: {"type": "openOrders", "user": user},
        }

    async def _watch(self) -> str:
        """Return why the connection must be given up: not confirmed, or silent, which is not a quiet market."""
        try:
            async with asyncio.timeout(READY_S):  # wait_for would swallow a cancellation that comes with the answer
                await self._ready.wait()
        except TimeoutError:
            missing = ", ".join(sorted(self._wanted - self.frames.confirmed))
            return f"not confirmed: {missing}; {' '.join(self.frames.refused)}"
        while True:
            await asyncio.sleep(WATCH_S)
            why = self.frames.silent(int(mono_ms()))
            if why is not None:
                return why

    async def _pump(self, on_news: OnNews, on_gap: OnGap) -> None:
        """Call back with what has come together since the last call, so that a slow callback never makes a queue."""
        await self._ready.wait()
        while True:
            gap, self._gap = self._gap, None
            self._fresh.clear()
            if gap is not None:
                await _done(on_gap(gap))
            news = self.frames.drain()
            if news:
                await _done(on_news(news))
            await self._fresh.wait()

    def _take(self, message: Mapping[str, Any]) -> None:
        """Sort a message in. Never raises: what cannot be read is not news."""
        refused = len(self.frames.refused)
        self.frames.take(message, int(mono_ms()))
        if len(self.frames.refused) > refused:
            logger.warning("stream of %s: %s", self._account.name, scrub(self.frames.refused[-1]))
        if self._ready_ms is None and self._wanted <= self.frames.confirmed:
            self._ready_ms = mono_ms()
            self._ready.set()
        self._fresh.set()


def _end_of(lost: asyncio.Future[Any]) -> str:
    """Return how a connection's futures ended: ccxt fails them with its own errors or a socket's, or cancels them."""
    error = lost.exception()  # of a gathering: the cancellation of a part is an exception of the whole
    return "ended" if error is None else f"{type(error).__name__}: {error}"


async def _done(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
