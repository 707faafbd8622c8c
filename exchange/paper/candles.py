"""Bars of every coin, built from the marks the venue saw; before its start they are walked backwards so charts are
full."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exchange.paper.model import Instrument
from exchange.paper.symbols import on_tick
from exchange.paper.wire import number

INTERVAL_MS = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "3d": 259_200_000,
    "1w": 604_800_000,
    "1M": 2_592_000_000,
}
KEPT = 5000
BEFORE = 1500


@dataclass
class Bar:
    """One minute: opening time in ms, prices, and how many marks made it."""

    t: int
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 (the venue's own names)
    c: Decimal
    n: int = 1

    def add(self, px: Decimal, count: int = 1) -> None:
        """Take in one more price."""
        self.h, self.l, self.c, self.n = max(self.h, px), min(self.l, px), px, self.n + count


class Candles:
    """Minute bars per coin."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.bars: dict[str, deque[Bar]] = {}
        self.bare: dict[str, Instrument] = {}  # coins without bars from before the start

    def add(self, instrument: Instrument, px: Decimal, now_ms: int) -> Bar:
        """Take in a mark."""
        bars = self.bars.get(instrument.name)
        start = now_ms - now_ms % 60_000
        if bars is None:
            bars = self.bars[instrument.name] = deque(maxlen=KEPT)
            self.bare[instrument.name] = instrument
        if bars and bars[-1].t == start:
            bars[-1].add(px)
        else:
            opened = bars[-1].c if bars else px
            bars.append(Bar(start, opened, max(opened, px), min(opened, px), px))
        return bars[-1]

    def _fill(self, coin: str) -> None:
        """Invent the bars before the first one, the first time somebody asks for bars of the coin."""
        instrument = self.bare.pop(coin, None)
        if instrument is not None:
            bars = self.bars[coin]
            self.bars[coin] = deque([*self._before(instrument, bars[0].o, bars[0].t), *bars], maxlen=KEPT)

    def _before(self, instrument: Instrument, px: Decimal, start: int) -> list[Bar]:
        """Walk backwards from a price; floats stay inside."""
        dice = random.Random(f"{self.seed}:{instrument.name}:before")
        spread = float(instrument.volatility) / math.sqrt(365 * 24 * 60)
        bars: list[Bar] = []
        close = px
        for back in range(1, BEFORE + 1):
            opened = on_tick(instrument, close * Decimal(repr(math.exp(dice.gauss(0, 1) * spread))))
            wick = Decimal(repr(1 + abs(dice.gauss(0, 1)) * spread / 2))
            high = on_tick(instrument, max(opened, close) * wick)
            low = on_tick(instrument, min(opened, close) / wick)
            bars.append(Bar(start - back * 60_000, opened, high, low, close, 20))
            close = opened
        bars.reverse()
        return bars

    def snapshot(self, coin: str, interval: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Return bars of an interval that opened within the times, oldest first, at most 5000."""
        self._fill(coin)
        width = INTERVAL_MS[interval]
        found: list[Bar] = []
        for bar in self._within(coin, start_ms - width, end_ms):
            opened = bar.t - bar.t % width
            if found and found[-1].t == opened:
                found[-1].h, found[-1].l = max(found[-1].h, bar.h), min(found[-1].l, bar.l)
                found[-1].add(bar.c, bar.n)
            else:
                found.append(Bar(opened, bar.o, bar.h, bar.l, bar.c, bar.n))
        return [candle(bar, coin, interval) for bar in found if start_ms <= bar.t <= end_ms][-KEPT:]

    def _within(self, coin: str, start_ms: int, end_ms: int) -> Iterable[Bar]:
        return (bar for bar in self.bars.get(coin, ()) if start_ms <= bar.t <= end_ms)

    def latest(self, coin: str, interval: str, now_ms: int) -> dict[str, Any] | None:
        """Return the bar of an interval that is being made."""
        width = INTERVAL_MS[interval]
        rows = self.snapshot(coin, interval, now_ms - now_ms % width, now_ms)
        return rows[-1] if rows else None


def candle(bar: Bar, coin: str, interval: str) -> dict[str, Any]:
    """Print a bar as `candleSnapshot` and the candle stream do."""
    return {
        "t": bar.t,
        "T": bar.t + INTERVAL_MS[interval] - 1,
        "s": coin,
        "i": interval,
        "o": number(bar.o),
        "c": number(bar.c),
        "h": number(bar.h),
        "l": number(bar.l),
        "v": number(Decimal(bar.n) / 10),
        "n": bar.n,
    }
