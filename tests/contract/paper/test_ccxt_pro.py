"""ccxt.pro 4.5.90 watches the paper venue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro
import pytest

from tests.unit.paper.helpers import ADDRESS, KEY, Client, row, stop_row

BTC = "BTC/USDC:USDC"


async def _true() -> bool:
    return True


def watching(venue: Client, body: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        options = {"fetchMarkets": {"types": ["swap"]}, "enableUnifiedMargin": False}
        made = ccxt.pro.hyperliquid({"walletAddress": ADDRESS, "privateKey": KEY, "options": options})
        url = venue.where.url
        made.urls["api"] = {"public": url, "private": url, "ws": {"public": url.replace("http", "ws") + "/ws"}}
        made.initialize_client = _true
        made.enableRateLimit = False
        try:
            await made.load_markets()
            await asyncio.wait_for(body(made), 15)
        finally:
            await made.close()

    asyncio.run(main())


async def soon(venue: Client, subs: int, task: Awaitable[Any], act: Callable[[], Any]) -> Any:
    """Start watching, act once so many subscriptions stand at the venue, return what was seen."""
    watch = asyncio.ensure_future(task)
    for _ in range(200):
        if (await asyncio.to_thread(venue.control, "/health"))[1]["subscriptions"] >= subs:
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.02)
    await asyncio.to_thread(act)
    return await watch


def test_ticker_shows_the_mark(venue: Client) -> None:
    async def body(made: Any) -> None:
        assert (await made.watch_ticker(BTC))["info"]["markPx"] == "95000.0"
        push = {"symbol": "BTC", "price": 94000}
        seen = await soon(venue, 1, made.watch_ticker(BTC), lambda: venue.control("/mark", push))
        assert seen["info"]["markPx"] == "94000.0"
        tickers = await made.watch_tickers([BTC])
        assert tickers[BTC]["last"] == pytest.approx(94000, abs=10)

    watching(venue, body)


def test_orders_fills_and_positions(venue: Client) -> None:
    orders = [row("buy", "0.01", "99000", c="0x" + "1" * 32), stop_row("sell", "0.01", "93000", "84000")]

    async def body(made: Any) -> None:
        tasks = asyncio.gather(made.watch_orders(BTC), made.watch_my_trades(BTC), made.watch_positions([BTC]))
        seen, trades, positions = await soon(venue, 3, tasks, lambda: venue.order(*orders))
        assert seen[-1]["status"] == "open"
        assert trades[0]["info"]["dir"] == "Open Long"
        assert positions[0]["contracts"] == 0.01
        pushed = {"symbol": "BTC", "price": 92900}
        trades = await soon(venue, 3, made.watch_my_trades(BTC), lambda: venue.control("/mark", pushed))
        assert trades[-1]["info"]["dir"] == "Close Long"
        # its channel stands already and tells only changes: without one after the call there may be nothing to hear
        balance = await soon(venue, 3, made.watch_balance(), lambda: venue.order(row("buy", "0.01", "99000")))
        assert balance["USDC"]["total"] < 10000

    watching(venue, body)


def test_book_trades_and_bars(venue: Client) -> None:
    async def body(made: Any) -> None:
        book = await made.watch_order_book(BTC)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await made.watch_ohlcv(BTC, "1m"))[-1][4] == 95000
        trades = await soon(venue, 3, made.watch_trades(BTC), lambda: venue.order(row("buy", "0.01", "99000")))
        assert trades[-1]["amount"] == 0.01

    watching(venue, body)


def test_orders_over_the_socket(venue: Client) -> None:
    async def body(made: Any) -> None:
        made_order = await made.create_order_ws(BTC, "limit", "buy", 0.01, 90000)
        assert (await made.fetch_open_orders(BTC))[0]["id"] == made_order["id"]
        await made.cancel_order_ws(made_order["id"], BTC)
        assert await made.fetch_open_orders(BTC) == []

    watching(venue, body)


def test_a_dropped_stream_raises_and_comes_back(venue: Client) -> None:
    async def body(made: Any) -> None:
        await made.watch_ticker(BTC)
        with pytest.raises(ccxt.NetworkError):
            await soon(venue, 2, made.watch_orders(BTC), lambda: venue.control("/faults", {"kind": "ws_drop"}))
        assert (await made.watch_ticker(BTC))["info"]["markPx"] == "95000.0"

    watching(venue, body)


def test_silence_and_a_silent_cancel(venue: Client) -> None:
    async def body(made: Any) -> None:
        fault = {"kind": "ws_silence", "delay_ms": 300}
        await asyncio.to_thread(venue.control, "/faults", fault)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(made.watch_ticker(BTC), 0.15)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(venue.control, "/faults", {"kind": "cancel_stop"})
        orders = [row("buy", "0.01", "99000"), stop_row("sell", "0.01", "93000", "84000")]
        await soon(venue, 2, made.watch_orders(BTC), lambda: venue.order(*orders))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(made.watch_orders(BTC), 0.2)
        assert await made.fetch_open_orders(BTC) == []

    watching(venue, body)
