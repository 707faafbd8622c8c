"""The faults of websocket frames, heard by a bare websocket client: lost, twice, late, unsaid, refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from exchange.paper import streams
from tests.unit.paper.helpers import ADDRESS, Client, row, stop_row

CONTEXT = {"type": "activeAssetCtx", "coin": "BTC"}
UPDATES = {"type": "orderUpdates", "user": ADDRESS}
FILLS = {"type": "userFills", "user": ADDRESS}
STATE = {"type": "clearinghouseState", "user": ADDRESS}


class Ear:
    """A websocket that keeps what it hears."""

    def __init__(self, client: Client, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.client = client
        self.socket = socket
        self.heard: list[Any] = []
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            self.heard.append(json.loads(message.data))

    async def control(self, path: str, body: Any) -> Any:
        code, answer = await asyncio.to_thread(self.client.control, path, body)
        assert code == 200, answer
        return answer

    async def fault(self, kind: str, **more: Any) -> Any:
        return await self.control("/faults", {"kind": kind, **more})

    async def mark(self, price: int) -> None:
        await self.control("/mark", {"symbol": "BTC", "price": price, "hold_ms": None})

    async def order(self, *rows: Any) -> Any:
        return await asyncio.to_thread(self.client.order, *rows)

    async def subscribe(self, *subscriptions: dict[str, Any]) -> None:
        for subscription in subscriptions:
            await self.socket.send_json({"method": "subscribe", "subscription": subscription})
        await self.echo()

    async def echo(self) -> None:
        """Wait until all that was queued before now has come."""
        before = len(self.of("pong"))
        await self.socket.send_json({"method": "ping"})
        await self.until(lambda: len(self.of("pong")) > before)

    async def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not met():
            assert time.monotonic() < deadline, self.heard
            await asyncio.sleep(0.005)

    def of(self, channel: str) -> list[Any]:
        return [message.get("data") for message in self.heard if message["channel"] == channel]

    def marks(self) -> list[Any]:
        """The marks heard, neighbours that are the same told once."""
        found = [data["ctx"]["markPx"] for data in self.of("activeAssetCtx")]
        return [px for number, px in enumerate(found) if number == 0 or px != found[number - 1]]


def hearing(client: Client, body: Callable[[Ear], Awaitable[None]]) -> None:
    async def main() -> None:
        url = client.where.url + "/ws"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            ear = Ear(client, socket)
            try:
                await asyncio.wait_for(body(ear), 20)
            finally:
                ear.reader.cancel()

    asyncio.run(main())


class Hand:
    """The clock of the streams, moved by hand; it counts how often it is looked at, which each tick does."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.looks = 1_000.0, 0
        patch.setattr(streams, "time", SimpleNamespace(monotonic=self._look))

    def _look(self) -> float:
        self.looks += 1
        return self.now

    async def ticks(self, ear: Ear) -> None:
        """Wait until the venue has ticked a few times more, and what it said has come."""
        before = self.looks
        await ear.until(lambda: self.looks >= before + 4)
        await ear.echo()


def test_a_market_that_does_not_move_is_told_about_once_a_second(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(monkeypatch)

    async def body(ear: Ear) -> None:
        await ear.subscribe(CONTEXT, {"type": "l2Book", "coin": "BTC"})
        for told in (1, 2, 3):
            await ear.until(lambda told=told: len(ear.of("activeAssetCtx")) >= told)
            hand.now += 0.875
            await hand.ticks(ear)
            assert len(ear.of("activeAssetCtx")) == told  # and not more often
            hand.now += 0.125
        await ear.until(lambda: len(ear.of("activeAssetCtx")) >= 4)
        assert ear.marks() == ["95000.0"]
        assert len(ear.of("l2Book")) == 1

    hearing(client, body)


@pytest.mark.parametrize(("text", "shown"), [("NaN", "NaN"), ("null", None), ("", "")])
def test_a_bad_price_on_streams_alone(client: Client, text: str, shown: Any) -> None:
    async def body(ear: Ear) -> None:
        await ear.fault("bad_price", match={"action": "stream", "symbol": "BTC"}, text=text)
        await ear.subscribe(CONTEXT, {"type": "bbo", "coin": "BTC"}, {"type": "allMids"})
        assert ear.marks() == [shown]
        assert ear.of("bbo")[0]["bbo"][0]["px"] == shown
        assert ear.of("allMids")[0]["mids"]["BTC"] == shown
        assert ear.of("allMids")[0]["mids"]["ETH"] == "3400.0"
        assert (await asyncio.to_thread(client.info, "allMids"))["BTC"] == "95000.0"

    hearing(client, body)


def test_each_second_frame_is_bad(client: Client) -> None:
    async def body(ear: Ear) -> None:
        await ear.subscribe(CONTEXT)
        await ear.fault("bad_price", match={"action": "stream", "symbol": "BTC"}, factor="0.5", every=2, times=2)
        await ear.until(lambda: len(ear.marks()) >= 5)  # while the fault stands every tick is a frame
        assert ear.marks() == ["95000.0", "47500.0", "95000.0", "47500.0", "95000.0"]

    hearing(client, body)


def test_frames_are_dropped_by_channel_and_count(client: Client) -> None:
    async def body(ear: Ear) -> None:
        await ear.subscribe({"type": "bbo", "coin": "BTC"}, {"type": "l2Book", "coin": "BTC"})
        await ear.fault("drop_frames", match={"action": "bbo", "symbol": "BTC"}, every=2)
        for price in (94_000, 94_100, 94_200, 94_300):
            await ear.mark(price)
        await ear.echo()
        assert [data["bbo"][0]["px"] for data in ear.of("bbo")] == ["94995.0", "93995.0", "94195.0"]
        assert len(ear.of("l2Book")) == 5

    hearing(client, body)


def test_private_frames_are_dropped_and_prices_go_on(client: Client) -> None:
    async def body(ear: Ear) -> None:
        await ear.subscribe(CONTEXT, UPDATES, FILLS, STATE)
        before = len(ear.of("clearinghouseState"))
        await ear.fault("drop_frames", match={"action": "private", "account": ADDRESS})
        await ear.order(row("buy", "0.01", "99000"))
        await ear.mark(94_000)
        await ear.echo()
        assert ear.of("orderUpdates") == []
        assert len(ear.of("userFills")) == 1  # the snapshot
        assert len(ear.of("clearinghouseState")) == before
        assert ear.marks() == ["95000.0", "94000.0"]

    hearing(client, body)


def test_frames_come_twice(client: Client) -> None:
    async def body(ear: Ear) -> None:
        await ear.subscribe(UPDATES, FILLS)
        await ear.fault("repeat_frames", match={"action": "userFills"}, times=1)
        for _ in range(2):
            await ear.order(row("buy", "0.01", "99000"))
        await ear.echo()
        fills = [data["fills"][0]["tid"] for data in ear.of("userFills")[1:]]
        assert fills == [fills[0], fills[0], fills[2]]
        assert len(ear.of("orderUpdates")) == 2

    hearing(client, body)


def test_late_frames_are_overtaken(client: Client) -> None:
    async def body(ear: Ear) -> None:
        await ear.subscribe(UPDATES)
        await ear.fault("late_frames", match={"action": "orderUpdates"}, every=2, delay_ms=300)
        cloids = ["0x" + str(number) * 32 for number in (1, 2, 3)]
        for cloid in cloids:
            await ear.order(row("buy", "0.01", "90000", tif="Gtc", c=cloid))
        await ear.until(lambda: len(ear.of("orderUpdates")) == 3)
        heard = [data[0]["order"]["cloid"] for data in ear.of("orderUpdates")]
        assert heard == [cloids[0], cloids[2], cloids[1]]

    hearing(client, body)


def test_a_deaf_channel_says_nothing_while_the_connection_lives(client: Client) -> None:
    async def body(ear: Ear) -> None:
        await ear.subscribe(CONTEXT, UPDATES, FILLS)
        identity = (await ear.fault("ws_deaf", match={"action": "orderUpdates"}))["id"]
        await ear.order(row("buy", "0.01", "99000"), stop_row("sell", "0.01", "93000", "84000"))
        await ear.mark(94_000)
        await ear.echo()
        assert ear.of("orderUpdates") == []
        assert len(ear.of("userFills")) == 2
        assert ear.marks() == ["95000.0", "94000.0"]
        await asyncio.to_thread(client.control, f"/faults/{identity}", method="DELETE")
        await ear.mark(92_900)
        await ear.echo()
        statuses = [update["status"] for data in ear.of("orderUpdates") for update in data]
        assert statuses == ["triggered", "filled"]  # what was missed is lost

    hearing(client, body)


def test_a_refused_subscription_pushes_nothing_and_may_come_again(client: Client) -> None:
    async def body(ear: Ear) -> None:
        await ear.fault("refuse_subscription", match={"action": "userFills"}, text="Cannot track more than 10 users")
        await ear.subscribe(FILLS, UPDATES)
        assert "Cannot track more than 10 users" in ear.of("error")[0]
        assert ear.of("userFills") == []
        assert [answer["subscription"] for answer in ear.of("subscriptionResponse")] == [UPDATES]
        await ear.order(row("buy", "0.01", "99000"))
        await ear.echo()
        assert ear.of("userFills") == []
        assert len(ear.of("orderUpdates")) == 1
        await ear.subscribe(FILLS)
        assert len(ear.of("userFills")[0]["fills"]) == 1

    hearing(client, body)


@pytest.mark.parametrize("kind", ["drop_frames", "repeat_frames", "late_frames", "ws_deaf", "refuse_subscription"])
def test_only_channels_can_be_named(client: Client, kind: str) -> None:
    code, answer = client.control("/faults", {"kind": kind, "match": {"action": "order"}})
    assert code == 400
    assert "known are any, prices, private, allMids" in answer["error"]
