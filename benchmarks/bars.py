"""Files of prices: bars of one market made into those of several, and a seeded market for where there is no file."""

import csv
import math
import random
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

from exchange.paper.symbols import listing

COLUMNS = ("open", "high", "low", "close")
APART = 547  # bars between one symbol's market and the next one's: nine hours and a bit
MINUTE_MS = 60_000


def several(path: Path, symbols: Sequence[str], into: Path) -> Path:
    """Write the bars of one market as those of several: each begins elsewhere in the file and goes round.

    Prices are scaled to the order of magnitude of each symbol; where a file goes round, its prices are carried on.
    """
    with path.open(newline="") as file:
        bars = list(csv.DictReader(file))
    listed = listing(symbols)
    with into.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", *COLUMNS, "symbol"))
        for number, symbol in enumerate(symbols):
            shift = number * APART % len(bars)
            scale = listed[symbol].start_px / listed[symbols[0]].start_px
            joint = Decimal(bars[-1]["close"]) / Decimal(bars[0]["open"])
            for index, bar in enumerate(bars):
                place = index + shift
                taken = bars[place % len(bars)]
                factor = scale * (joint if place >= len(bars) else 1)
                prices = [_short(Decimal(taken[name]) * factor) for name in COLUMNS]
                writer.writerow((bar["timestamp"], *prices, symbol))
    return into


def _short(price: Decimal) -> Decimal:
    return price.quantize(Decimal(1).scaleb(price.adjusted() - 6), ROUND_HALF_EVEN)


def invented(into: Path, *, minutes: int, seed: int, price: float = 40_000.0, volatility: float = 1.5) -> Path:
    """Write minute bars of a seeded walk: calm hours, wild hours, and gaps of up to a few percent."""
    dice = random.Random(seed)
    minute = volatility / math.sqrt(365 * 24 * 60)
    with into.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", *COLUMNS))
        pace = 1.0
        for number in range(1, minutes + 1):
            if number % 60 == 0:
                pace = dice.choice((0.5, 1.0, 1.0, 3.0))
            opened = price
            if dice.random() < 0.001:
                opened *= math.exp(dice.choice((-1, 1)) * dice.uniform(0.005, 0.03))
            price = opened * math.exp(dice.gauss(0, 1) * minute * pace)
            wicks = [abs(dice.gauss(0, 1)) * minute * pace / 2 for _ in range(2)]
            high, low = max(opened, price) * math.exp(wicks[0]), min(opened, price) * math.exp(-wicks[1])
            row = (f"{each:.1f}" for each in (opened, high, low, price))
            writer.writerow((1_640_995_200_000 + number * MINUTE_MS, *row))
    return into
