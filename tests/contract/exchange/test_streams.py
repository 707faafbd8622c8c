"""The streams against the paper venue: marks, wake-ups, gaps, losses."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from decimal import Decimal as Dec
from typing import Any

import pytest

from exchange.account import VenueAccount
from exchange.frames import News
from exchange.streams import Streams
from stopkeeper.core.prices import Flaw
from tests.contract.exchange.conftest import Paper


class _Ear:
    """Takes every call back."""

    def __init__(self) -> None:
        self.marks: list[Mapping[str, Dec]] = []
        self.events: list[tuple[str, str]] = []
        self.gaps: list[str] = []
        self.doubts: set[str] = set()
        self.flaws: Counter[Flaw] = Counter()

    async def on_news(self, news: News) -> None:
        self.marks.append(news.marks)
        self.events.extend(news.events)
        self.doubts |= news.doubts
        self.flaws.update(news.flaws)

    def on_gap(self, why: str) -> None:
        self.gaps.append(why)

    async def until(self, condition: Callable[[], object], seconds: float = 5) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{self.gaps} {self.events} {self.marks[-3:]}"
            await asyncio.sleep(0.01)


def _listening(account: VenueAccount, story: Callable[[Streams, _Ear], Coroutine[Any, Any, None]]) -> Streams:
    streams, ear = Streams(account, ("BTC", "ETH")), _Ear()

    async def main() -> None:
        task = asyncio.create_task(streams.run(ear.on_news, ear.on_gap))
        try:
            await story(streams, ear)
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    return streams


def _act(paper: Paper, path: str, body: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    return asyncio.to_thread(paper.control, path, body)


def test_marks_fills_and_orders_wake(paper: Paper) -> None:
    account = paper.account()
    paper.control("/accounts", {"address": account.address})
    hand = {"account": account.address, "symbol": "BTC", "side": "buy", "size": "0.01"}
    paper.control("/hand", hand)  # history: it is in the snapshot and wakes nothing

    async def story(streams: Streams, ear: _Ear) -> None:
        await ear.until(lambda: ear.gaps)
        await _act(paper, "/mark", {"symbol": "ETH", "price": "3456.7", "hold_ms": 1000})
        await ear.until(lambda: any(marks.get("ETH") == Dec("3456.7") for marks in ear.marks))
        assert ear.events == []
        await _act(paper, "/hand", hand)
        await ear.until(lambda: ("BTC", "fill") in ear.events and ("BTC", "order filled") in ear.events)
        assert ear.gaps == ["connected"]
        ages = streams.ages_ms()
        assert all(age is not None and age < 3_000 for name, age in ages.items() if name != "BTC")

    assert _listening(account, story).connections == 1


def test_a_lost_connection_comes_back_with_a_gap(paper: Paper) -> None:
    account = paper.account()

    async def story(streams: Streams, ear: _Ear) -> None:
        await ear.until(lambda: ear.gaps)
        await asyncio.to_thread(paper.fault, "ws_drop")
        await ear.until(lambda: len(ear.gaps) == 2)
        assert ear.gaps[1].startswith("reconnected after: NetworkError")

    assert _listening(account, story).connections == 2


def test_a_zero_is_no_mark(paper: Paper) -> None:
    async def story(streams: Streams, ear: _Ear) -> None:
        await ear.until(lambda: ear.gaps)
        await asyncio.to_thread(paper.fault, "zero_price", match={"symbol": "BTC"}, delay_ms=1_000)
        await _act(paper, "/mark", {"symbol": "BTC", "price": "94000"})
        await ear.until(lambda: ear.flaws[Flaw.ZERO])
        assert all(price > 0 for marks in ear.marks for price in marks.values())

    _listening(paper.account(), story)


def test_a_venue_that_is_not_there_is_tried_again() -> None:
    account = replace(Paper("http://127.0.0.1:9", "").account())

    async def story(streams: Streams, ear: _Ear) -> None:
        await ear.until(lambda: streams.connections >= 2)
        assert ear.gaps == []
        assert set(streams.ages_ms().values()) == {None}

    _listening(account, story)


def test_what_a_callback_raises_comes_out(paper: Paper) -> None:
    class Gone(Exception):
        pass

    def on_gap(_why: str) -> None:
        raise Gone

    async def main() -> None:
        await Streams(paper.account(), ()).run(lambda _: None, on_gap)

    with pytest.raises(Gone):
        asyncio.run(asyncio.wait_for(main(), 5))
