"""The streams against a websocket server that does as a test says, and against futures that end in any way."""

import asyncio
import gc
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError, web

from exchange import streams
from exchange.account import VenueAccount
from exchange.signing import SecretKey
from exchange.streams import Streams
from tests.unit.exchange.conftest import KEY


def account(port: int) -> VenueAccount:
    key = SecretKey(KEY)
    return VenueAccount("main", "hyperliquid", "paper", key.address, key, base_url=f"http://127.0.0.1:{port}")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BACKOFF_S", (0.01, 0.02))


@dataclass
class Heard:
    """What came of a run: the gaps, how it ended by itself, and what was left for the loop to complain of."""

    gaps: list[str] = field(default_factory=list)
    ended: BaseException | None = None
    noise: list[str] = field(default_factory=list)
    leaving_s: float = 0.0


Play = Callable[[web.Request, web.WebSocketResponse, Heard], Awaitable[None]]


async def _confirm(socket: web.WebSocketResponse) -> None:
    for _ in range(5):
        body = json.loads((await socket.receive()).data)["subscription"]
        await socket.send_json({"channel": "subscriptionResponse", "data": {"subscription": body}})


async def _until(condition: Callable[[], object], seconds: float = 3) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.005)


def _hear(first: Play, until: Callable[[Heard], object]) -> Heard:
    """Run streams against a server that plays so with the first connection, and confirms and holds all others."""
    heard, over, plays = Heard(), asyncio.Event(), [first]

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        await (plays.pop()(request, socket, heard) if plays else _confirm(socket))
        await over.wait()
        return socket

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.noise.append(str(context["message"])))
        app = web.Application()
        app.router.add_get("/ws", serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        listening = Streams(account(runner.addresses[0][1]), ("BTC",))
        run = asyncio.create_task(listening.run(lambda _: None, heard.gaps.append))
        await _until(lambda: run.done() or until(heard))
        heard.ended = run.exception() if run.done() else None
        left = time.monotonic()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        heard.leaving_s = time.monotonic() - left
        over.set()
        await runner.cleanup()
        gc.collect()  # what nobody retrieved is complained of now

    asyncio.run(main())
    return heard


def test_a_socket_that_is_reset_after_the_handshake_is_a_lost_connection() -> None:
    async def reset(request: web.Request, _socket: web.WebSocketResponse, _heard: Heard) -> None:
        assert request.transport is not None
        request.transport.abort()

    heard = _hear(reset, lambda heard: heard.gaps)
    assert (heard.ended, heard.noise) == (None, [])
    assert [gap.partition(":")[0] for gap in heard.gaps] == ["reconnected after"]


@pytest.mark.parametrize(
    "frame",
    ['{"channel":"orderUpdates","data":[{"or', b'{"channel":"\xff"}', '{"channel":"activeAssetCtx","data":1e400}'],
    ids=["cut off", "not UTF-8", "a number beyond all"],
)
def test_a_frame_that_cannot_be_read_ends_the_connection(frame: str | bytes) -> None:
    async def odd(_request: web.Request, socket: web.WebSocketResponse, heard: Heard) -> None:
        await _confirm(socket)
        await _until(lambda: heard.gaps)
        await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))

    heard = _hear(odd, lambda heard: len(heard.gaps) == 2)
    assert (heard.ended, heard.noise) == (None, [])
    assert heard.gaps[0] == "connected"
    assert heard.gaps[1].startswith("reconnected after: NetworkError: unreadable frame: ")


def test_what_is_no_object_is_no_news_and_ends_nothing() -> None:
    """The venue greets with a line of plain text."""

    async def greet(_request: web.Request, socket: web.WebSocketResponse, heard: Heard) -> None:
        for text in ("Websocket connection established.", "[]", "null", '"x"', "{}"):
            await socket.send_str(text)
        await _confirm(socket)

    heard = _hear(greet, lambda heard: heard.gaps)
    assert (heard.gaps, heard.ended, heard.noise) == (["connected"], None, [])


def test_a_peer_that_answers_no_goodbye_is_not_waited_for() -> None:
    async def dead(_request: web.Request, socket: web.WebSocketResponse, _heard: Heard) -> None:
        await _confirm(socket)

    heard = _hear(dead, lambda heard: heard.gaps)
    assert (heard.gaps, heard.noise) == (["connected"], [])
    assert heard.leaving_s < 3


# --- without a network: futures as ccxt may leave them ------------------------------------------------------------


class _Unheld(streams._Feed):
    """A connection that confirms all at once, over nothing; what it waits for are ``futures``."""

    futures: list[asyncio.Future[Any]]

    def watch(self, _url: str, _name: str, message: Mapping[str, Any], *_: object) -> asyncio.Future[Any]:
        self.open()
        self.sink({"channel": "subscriptionResponse", "data": message})
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        return future


@pytest.fixture
def futures(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Future[Any]]:
    monkeypatch.setattr(streams, "_Feed", _Unheld)
    _Unheld.futures = []
    return _Unheld.futures


@pytest.mark.parametrize("how", [ClientConnectionResetError("closing"), RuntimeError("odd"), None], ids=str)
def test_however_the_futures_end_it_connects_again(futures: list[asyncio.Future[Any]], how: Exception | None) -> None:
    gaps: list[str] = []

    def on_gap(why: str) -> None:
        gaps.append(why)
        lost = futures[-1]
        asyncio.get_running_loop().call_soon(lost.set_exception, how) if how else lost.cancel()

    async def main() -> None:
        run = asyncio.create_task(Streams(account(9), ("BTC",)).run(lambda _: None, on_gap))
        await _until(lambda: run.done() or len(gaps) >= 3)
        assert not run.done()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    asyncio.run(main())
    name = type(how or asyncio.CancelledError()).__name__
    assert gaps[0] == "connected"
    assert all(gap.startswith(f"reconnected after: {name}") for gap in gaps[1:])


def test_what_a_callback_raises_comes_out_also_where_the_connection_is_lost_with_it(
    futures: list[asyncio.Future[Any]],
) -> None:
    class Gone(Exception):
        pass

    def on_gap(_why: str) -> None:
        if len(futures) == 5:
            futures[0].set_exception(ConnectionResetError())
            raise Gone

    async def main() -> None:
        await asyncio.wait_for(Streams(account(9), ("BTC",)).run(lambda _: None, on_gap), 3)

    with pytest.raises(Gone):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("stood_ms", "waits"), [(100, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]), (4_000, [0.25] * 7)], ids=["soon", "late"]
)
def test_connections_that_are_lost_as_soon_as_they_stand_come_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, stood_ms: int, waits: list[float]
) -> None:
    now, waited = [1_000.0], list[float]()

    async def connection(self: Streams, *_: object) -> str:
        self._ready.clear()
        self._take({"channel": "pong"})
        now[0] += stood_ms
        return "lost"

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == len(waits):
            raise asyncio.CancelledError

    monkeypatch.setattr(streams, "BACKOFF_S", (0.25, 15.0))
    monkeypatch.setattr(streams, "mono_ms", lambda: now[0])
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    monkeypatch.setattr(Streams, "_connection", connection)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Streams(account(9), ("BTC",)).run(lambda _: None, lambda _: None))
    assert waited == waits
