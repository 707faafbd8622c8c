"""The paper venue as a process: options, sockets, the ticking loop, the state file, a clean end."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from exchange.paper import hyperliquid, info
from exchange.paper.control import Control
from exchange.paper.edge import Edge, Reply
from exchange.paper.errors import PaperError
from exchange.paper.faults import FEED
from exchange.paper.knobs import Knobs
from exchange.paper.model import Instrument
from exchange.paper.options import PaperOptions, Where, check
from exchange.paper.prices import Mirror, Replay, Source, Still, Walk
from exchange.paper.store import Store
from exchange.paper.streams import Streams
from exchange.paper.symbols import listing
from exchange.paper.venue import Venue, real_us

log = logging.getLogger("paper")
SAVE_EVERY_S = 0.2
MIRROR_EVERY_S = 1.0


def price_source(options: PaperOptions, listed: dict[str, Instrument]) -> Source:
    """Return the source of marks the options name. Raise PaperError for one that is none."""
    text = options.prices
    if text == "walk":
        return Walk(listed, options.seed, options.speed)
    if text == "still":
        return Still()
    if text.startswith("mirror:"):
        if not text.removeprefix("mirror:").startswith(("http://", "https://")):
            raise PaperError(
                f"prices is {text!r}: write mirror: and a url, for example mirror:https://api.hyperliquid.xyz"
            )
        return Mirror(listed)
    name, start = text, None
    if "@" in text and not Path(text).exists():
        name, _, start = text.rpartition("@")
    if not name.lower().endswith(".csv") and not Path(name).exists():
        raise PaperError(f"prices is {text!r}: it must be walk, still, a CSV file, FILE.csv@START or mirror:URL")
    return Replay(Path(name), listed, options.speed, start)


def build(options: PaperOptions, clock_us: Callable[[], int] = real_us) -> tuple[Venue, Store | None]:
    """Put a venue together, with its state from disk. Raise PaperError for options that cannot be used."""
    check(options)
    listed = listing(options.symbols)
    knobs = Knobs(latency_ms=options.latency_ms)
    knobs.turn(options.settings)
    names = frozenset((*info.ANSWERS, *hyperliquid.ACTIONS))
    source = price_source(options, listed)
    venue = Venue(
        listed,
        knobs,
        source,
        names,
        balance=options.balance,
        faucet=options.faucet,
        seed=options.seed,
        clock_us=clock_us,
    )
    store = Store(Path(options.state)) if options.state is not None else None
    if store is not None:
        store.load(venue)
        store.save(venue)  # a place that cannot be written to must be known at the start
    venue.tick(0.0)
    return venue, store


class Server:
    """One venue with its sockets and loops."""

    def __init__(self, options: PaperOptions) -> None:
        self.options = options
        self.venue, self.store = build(options)
        self.edge = Edge(self.venue, options.seed)
        self.streams = Streams(self.venue, self.edge)
        self.control = Control(self.venue, self.streams)
        self.runners: list[web.AppRunner] = []
        self.loops: list[asyncio.Task[None]] = []

    async def start(self) -> Where:
        """Open both ports and start ticking. Raise PaperError if a port is taken."""
        loop = asyncio.get_running_loop()
        self.venue.later = lambda delay_ms, act: _later(loop, delay_ms, act)
        app = web.Application(client_max_size=1 << 22)
        app.add_routes(
            [web.post("/info", self._info), web.post("/exchange", self._exchange), web.get("/ws", self.streams.serve)]
        )
        port = await self._listen("port", app, self.options.host, self.options.port)
        control = self.control.app()
        control_port = await self._listen("control_port", control, self.options.control_host, self.options.control_port)
        self.loops = [asyncio.ensure_future(self._ticking())]
        if self.store is not None:
            self.loops.append(asyncio.ensure_future(self._saving(self.store)))
        if isinstance(self.venue.source, Mirror):
            self.loops.append(asyncio.ensure_future(self._mirroring(self.venue.source)))
        return Where(self.options.host, port, control_port)

    async def _listen(self, name: str, app: web.Application, host: str, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self.runners.append(runner)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await self.stop()
            words = (
                f"{name} {port} on {host} cannot be opened ({error.strerror}): choose another, or 0 for any free one"
            )
            raise PaperError(words) from error
        found: int = runner.addresses[0][1]
        return found

    async def stop(self) -> None:
        """Close everything and write the state one last time."""
        for loop in self.loops:
            loop.cancel()
        await asyncio.gather(*self.loops, return_exceptions=True)
        for connection in list(self.streams.connections):
            connection.drop()
        for runner in self.runners:
            await runner.cleanup()
        if self.store is not None:
            self.store.save(self.venue)

    async def _info(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "info")

    async def _exchange(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "exchange")

    async def _answer(self, request: web.Request, path: str) -> web.StreamResponse:
        try:
            body: object = json.loads(await request.read())
        except (ValueError, RecursionError):
            body = None
        reply = await self.edge.handle(path, body, request.remote or "?")
        if reply.cut and request.transport is not None:
            request.transport.abort()
        return _response(reply)

    async def _ticking(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(self.options.tick_ms / 1000)
            now = time.monotonic()
            moved = self.venue.tick(now - before)
            before = now
            if any(rule.kind in FEED for rule in self.venue.faults.rules.values()):
                moved = list(self.venue.listing)
            self.streams.tick(frozenset(moved))

    async def _saving(self, store: Store) -> None:
        rest, quiet = SAVE_EVERY_S, False
        while True:
            await asyncio.sleep(rest)
            if not self.venue.dirty:
                continue
            self.venue.dirty = False
            before = time.monotonic()
            try:
                store.save(self.venue)
                quiet = False
            except PaperError as error:  # the venue goes on in memory: a full disk is to be the trader's trouble alone
                if not quiet:
                    log.warning("%s; it goes on and tries again", error)
                self.venue.dirty = quiet = True
            rest = max(SAVE_EVERY_S, 10 * (time.monotonic() - before))

    async def _mirroring(self, source: Mirror) -> None:
        url = self.options.prices.removeprefix("mirror:").rstrip("/") + "/info"
        quiet = False
        async with ClientSession(timeout=ClientTimeout(total=5)) as session:
            while True:
                try:
                    async with session.post(url, json={"type": "metaAndAssetCtxs"}) as answer:
                        listed, contexts = await answer.json()
                    pairs = zip(listed["universe"], contexts, strict=False)
                    source.put({row["name"]: str(context.get("markPx")) for row, context in pairs})
                    quiet = False
                except (ClientError, OSError, ValueError, KeyError, TypeError, TimeoutError) as error:
                    if not quiet:
                        log.warning("paper venue: no prices from %s (%r); the last ones stand", url, error)
                    quiet = True
                await asyncio.sleep(MIRROR_EVERY_S)


def _later(loop: asyncio.AbstractEventLoop, delay_ms: int, act: Callable[[], None]) -> None:
    loop.call_later(delay_ms / 1000, act)


def _response(reply: Reply) -> web.Response:
    if reply.cut:
        return web.Response(status=500)
    if reply.text is not None:
        return web.Response(status=reply.code, text=reply.text)
    return web.Response(status=reply.code, body=json.dumps(reply.body).encode(), content_type="application/json")


async def serve(
    options: PaperOptions,
    *,
    ready: Callable[[Where], None] | None = None,
    stop: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Run a venue until `stop` returns (for ever without one); tell `ready` where it listens."""
    server = Server(options)
    where = await server.start()
    try:
        if ready is not None:
            ready(where)
        await (stop() if stop is not None else asyncio.Event().wait())
    finally:
        await server.stop()


def run(options: PaperOptions) -> int:
    """Run a venue until SIGTERM or SIGINT; return 0. Raise PaperError if it cannot start."""

    def ready(where: Where) -> None:
        log.info("paper venue on %s, control on %s, prices %s", where.url, where.control_url, options.prices)
        if options.ready_json:
            line = {"ready": True, "url": where.url, "control_url": where.control_url}
            line |= {"port": where.port, "control_port": where.control_port}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    async def main() -> None:
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await serve(options, ready=ready, stop=ended.wait)

    asyncio.run(main())
    return 0


__all__ = ["PaperOptions", "Server", "Where", "run", "serve"]
