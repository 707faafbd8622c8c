"""Where marks come from: a seeded walk, a CSV of bars, a real venue's public feed. Each yields (coin, price) by time.

A source is asked with the seconds that have passed; it never sleeps and never reads a clock. Hand-pushed marks are
held by
the venue, above the source.
"""

from __future__ import annotations

import csv
import itertools
import math
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Protocol

from exchange.paper.errors import PaperError
from exchange.paper.model import Instrument
from exchange.paper.symbols import on_tick

_YEAR_S = 365 * 24 * 3600
_COLUMNS = ("timestamp", "open", "high", "low", "close")
_Bar = tuple[float, list[Decimal]]  # closing time in epoch seconds; open, high, low, close
_Path = tuple[list[float], list[Decimal]]  # seconds from the beginning of the file, ascending, and the prices then


class Source(Protocol):
    """A source of marks."""

    def step(self, elapsed_s: float) -> dict[str, Decimal]:
        """Return the marks that changed after this many more seconds, scaled by the speed."""

    def resume(self, marks: Mapping[str, Decimal]) -> None:
        """Go on from these marks, where the source has no prices of its own to go back to."""


class Still:
    """Marks that move only by hand."""

    def step(self, elapsed_s: float) -> dict[str, Decimal]:  # noqa: ARG002
        """Move nothing."""
        return {}

    def resume(self, marks: Mapping[str, Decimal]) -> None:
        """Stay where the marks are."""


class Walk:
    """A geometric random walk per coin, the same for the same seed and the same steps."""

    def __init__(self, listing: Mapping[str, Instrument], seed: int, speed: Decimal) -> None:
        self.listing = listing
        self.speed = float(speed)
        self.dice = {name: random.Random(f"{seed}:{name}") for name in listing}
        self.exact = {name: float(item.start_px) for name, item in listing.items()}

    def step(self, elapsed_s: float) -> dict[str, Decimal]:
        """Move every coin by a normal step; floats stay inside, a price leaves as Decimal on the tick grid."""
        found: dict[str, Decimal] = {}
        for name, item in self.listing.items():
            spread = float(item.volatility) * math.sqrt(elapsed_s * self.speed / _YEAR_S)
            self.exact[name] *= math.exp(self.dice[name].gauss(0, 1) * spread - spread * spread / 2)
            found[name] = on_tick(item, Decimal(repr(self.exact[name])))
        return found

    def resume(self, marks: Mapping[str, Decimal]) -> None:
        """Go on from these marks instead of the starting prices."""
        self.exact.update({name: float(mark) for name, mark in marks.items() if name in self.exact})


class Replay:
    """Bars of a CSV file, walked open, low, high, close (or high first in a falling bar), then the last price for
    ever. A bar's timestamp is its close; `start` (ISO, UTC) begins within the file instead of at its first bar."""

    def __init__(self, path: Path, listing: Mapping[str, Instrument], speed: Decimal, start: str | None = None) -> None:
        self.listing = listing
        self.speed = float(speed)
        self.first_s, self.paths = _read_bars(path, listing)
        self.elapsed_s = 0.0 if start is None else self._offset(path, start)

    def _offset(self, path: Path, start: str) -> float:
        """Return the seconds from the file's beginning to a time within it."""
        last_s = self.first_s + max(times[-1] for times, _ in self.paths.values())
        span = f"{_iso(self.first_s)} to {_iso(last_s)} UTC"
        try:
            wanted = _seconds(start)
        except ValueError as error:
            raise PaperError(f"prices: start {start!r} is no time; write one within {span}, after {path}@") from error
        if not self.first_s <= wanted <= last_s:
            raise PaperError(f"prices: start {start} lies outside {path}, which runs from {span}")
        return wanted - self.first_s

    def resume(self, marks: Mapping[str, Decimal]) -> None:
        """Go back to the file's prices: a file cannot go on from somewhere else."""

    def step(self, elapsed_s: float) -> dict[str, Decimal]:
        """Return the price of every coin of the file at its present place."""
        self.elapsed_s += elapsed_s * self.speed
        found: dict[str, Decimal] = {}
        for name, (times, prices) in self.paths.items():
            place = max(0, bisect_right(times, self.elapsed_s) - 1)
            if place >= len(times) - 1:
                found[name] = on_tick(self.listing[name], prices[-1])
                continue
            part = Decimal(max(0.0, self.elapsed_s - times[place]) / (times[place + 1] - times[place]))
            price = prices[place] + (prices[place + 1] - prices[place]) * part
            found[name] = on_tick(self.listing[name], price)
        return found


class Mirror:
    """Marks put in from outside by the poller of a real venue's public feed; unlisted coins are dropped."""

    def __init__(self, listing: Mapping[str, Instrument]) -> None:
        self.listing = listing
        self.fresh: dict[str, Decimal] = {}

    def put(self, marks: Mapping[str, str]) -> None:
        """Take marks by name as the venue prints them; what is not a positive number is dropped."""
        for name, text in marks.items():
            try:
                price = Decimal(text)
            except InvalidOperation:
                continue
            if name in self.listing and price.is_finite() and price > 0:
                self.fresh[name] = on_tick(self.listing[name], price)

    def resume(self, marks: Mapping[str, Decimal]) -> None:
        """Go back to the real venue's prices."""

    def step(self, elapsed_s: float) -> dict[str, Decimal]:  # noqa: ARG002
        """Return what came in since the last step."""
        found, self.fresh = self.fresh, {}
        return found


def _read_bars(path: Path, listing: Mapping[str, Instrument]) -> tuple[float, dict[str, _Path]]:
    """Read bars into the time the first one opened (epoch seconds) and, per coin, seconds from then and prices.

    Raise PaperError for what cannot be read.
    """
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise PaperError(f"prices file {path} cannot be read: {error.strerror}; name an existing CSV file") from error
    if not rows:
        raise PaperError(f"prices file {path} is empty: it needs a header and rows {','.join(_COLUMNS)},volume")
    missing = [name for name in _COLUMNS if name not in rows[0]]
    if missing:
        raise PaperError(f"prices file {path} lacks the column {missing[0]!r}: it needs {', '.join(_COLUMNS)}, volume")
    default = next(iter(listing))
    bars: dict[str, list[_Bar]] = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        coin = row.get("symbol") or default
        if coin not in listing:
            raise PaperError(f"prices file {path} line {number}: symbol {coin!r} is not listed; add it with --symbols")
        try:
            bars[coin].append((_seconds(row["timestamp"]), [Decimal(row[name]) for name in _COLUMNS[1:]]))
        except (ValueError, InvalidOperation, TypeError) as error:
            raise PaperError(f"prices file {path} line {number} cannot be read: {error}") from error
        if any(not price.is_finite() or price <= 0 for price in bars[coin][-1][1]):
            raise PaperError(f"prices file {path} line {number}: every price must be a number above 0")
    for rows_of in bars.values():
        rows_of.sort(key=lambda bar: bar[0])
    first = min(rows_of[0][0] - _width(rows_of) for rows_of in bars.values())
    return first, {coin: _path(rows_of, first) for coin, rows_of in bars.items()}


def _seconds(text: str) -> float:
    """Read an ISO time (UTC if it says no zone) or epoch seconds or milliseconds."""
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return number / 1000 if number > 1e11 else number


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _width(bars: list[_Bar]) -> float:
    return min((b[0] - a[0] for a, b in itertools.pairwise(bars) if b[0] > a[0]), default=60.0)


def _path(bars: list[_Bar], first: float) -> _Path:
    width = _width(bars)
    times: list[float] = []
    prices: list[Decimal] = []
    for ended, (opened, high, low, close) in bars:
        start = ended - width
        inner = (low, high) if close >= opened else (high, low)
        for quarter, price in enumerate((opened, *inner)):
            times.append(start - first + width * quarter / 4)
            prices.append(price)
        times.append(start - first + width * 0.999)
        prices.append(close)
    times.append(bars[-1][0] - first)
    prices.append(prices[-1])
    return times, prices
