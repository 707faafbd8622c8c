"""Fault 3: after a reconnect the stream said 0, the stop seemed breached, and the position was closed.

The feed is the real one, on the venue's websocket; the desk's ticks drive the keys it wakes.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Thread

import pytest

from exchange.streams import Streams
from stopkeeper.core.prices import Flaw
from stopkeeper.engine.sweep import sweep
from tests.audit.promise import REPAIRED_MS, SIZES, closes, kept
from tests.integration.engine.conftest import Desk
from workers import feed

LOST = "was closed on a price that one reading alone told"
ZERO_MS = 1_000


@contextmanager
def listening(market: Desk, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lead the account as the feed does, until the block ends; what it publishes to a queue is done here."""
    patch.setattr(feed, "drain", lambda *_ports, **_urgent: None)  # the key is due, and the next tick drives it
    patch.setattr(feed, "start_sweep", sweep)
    streams = Streams(market.ports.venue.account, market.ports.symbols, market.ports.rules.price_jump)
    loop = asyncio.new_event_loop()
    leading = loop.create_task(feed.Leader(market.ports, streams).run())

    def lead() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.gather(leading, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = Thread(target=lead, daemon=True)
    thread.start()
    try:
        market.until(lambda: streams.alive and market.ports.prices.heard_ms("main") is not None)
        yield
    finally:
        loop.call_soon_threadsafe(leading.cancel)
        thread.join(5)


def protected(market: Desk, symbol: str = "BTC") -> None:
    market.submit(symbol, size=SIZES[symbol])
    market.until_phase("protected", symbol)
    market.until(lambda: market.ports.records.load(market.key(symbol)).trade.entered_ms is not None)


def closes_nothing(market: Desk, done: Callable[[], bool], symbol: str = "BTC", naked_ms: int = 0) -> None:
    """Look again and again until something holds, and require that nothing was closed meanwhile."""

    def looked() -> bool:
        market.ports.wakes.wake(market.key(symbol), "a price")
        return done() or bool(closes(market, symbol))

    market.until(looked)
    market.tick()
    assert closes(market, symbol) == [], f"{symbol} {LOST}: {market.story()[-5:]}"
    kept(market, symbol, naked_ms=naked_ms)


@pytest.mark.parametrize("symbol", ["BTC", "SOL"])
def test_a_zero_after_a_reconnect_is_no_price(market, monkeypatch, symbol):
    """Lost: the connection came back and said 0; below any stop of a long, so an emergency close at the market."""
    protected(market, symbol)
    with listening(market, monkeypatch):
        market.post("/faults", kind="zero_price", match={"symbol": symbol}, delay_ms=ZERO_MS)
        market.post("/faults", kind="ws_drop", match={"account": market.address})

        until_ms = market.ports.venue.now_ms() + ZERO_MS

        def heard_and_over() -> bool:
            zeros, mark = market.ports.prices.counts("main").get(Flaw.ZERO, 0), market.ports.prices.get("main", symbol)
            return market.ports.venue.now_ms() > until_ms and zeros > 0 and mark is not None and mark.age_ms < 500

        closes_nothing(market, heard_and_over, symbol)


def test_a_price_far_off_on_the_stream_alone_closes_nothing(market):
    """Lost: not 0 but any number that only the stream told was as good a reason."""
    protected(market)
    count = iter(range(5))

    def said_often() -> bool:
        market.ports.prices.put("main", {"BTC": Decimal(50_000)})
        return next(count, None) is None

    closes_nothing(market, said_often)


def test_a_price_far_off_in_the_position_row_alone_closes_nothing(market):
    """Lost: for a second the venue's own row of the position named a mark of 92000, below the stop."""
    protected(market)
    market.post("/faults", kind="bad_price", match={"action": "position"}, text="920", delay_ms=1_000)
    count = market.ports.prices.counts
    closes_nothing(market, lambda: count("main").get(Flaw.ONE_SOURCE, 0) >= 2)


def test_a_naked_position_gets_its_stop_and_is_not_closed_on_one_price(market):
    """Lost: the stop was gone and one price said too late; the position was closed that a stop would have kept."""
    protected(market)
    market.ports.prices.put("main", {"BTC": Decimal(50_000)})
    market.hand(cancel="stops")
    sweep(market.ports)
    closes_nothing(market, lambda: market.rows()["BTC"].stop_order_id is not None, naked_ms=REPAIRED_MS)
