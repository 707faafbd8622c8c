"""The liquidity others offer around the mark: best prices, levels behind them, what an order would take. Pure.

The book is a model, not an order book: mid = mark moved by a basis, half a spread to the best price, then a level
of the
same notional every so many basis points, and nothing beyond the last one. Taking does not use it up: the others
refill it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from exchange.paper.knobs import Knobs
from exchange.paper.model import ZERO, Instrument
from exchange.paper.symbols import on_tick, tick_at

_BP = Decimal("0.0001")


@dataclass(frozen=True)
class Quote:
    """The market of one coin at an instant."""

    mark: Decimal
    mid: Decimal
    bid: Decimal
    ask: Decimal


@dataclass(frozen=True)
class Take:
    """A piece of liquidity taken: price and size."""

    px: Decimal
    size: Decimal


def quote(instrument: Instrument, mark: Decimal, knobs: Knobs) -> Quote:
    """Return best prices around a mark. Bid and ask are on the tick grid and never equal."""
    mid = mark * (1 + knobs.basis_bp * _BP)
    half = mid * knobs.half_spread_bp * _BP
    bid = on_tick(instrument, mid - half, ROUND_FLOOR)
    ask = on_tick(instrument, mid + half, ROUND_CEILING)
    if bid >= ask:
        ask = bid + tick_at(instrument, bid)
    return Quote(mark, (bid + ask) / 2, bid, ask)


def levels(
    instrument: Instrument, at: Quote, knobs: Knobs, *, is_buy: bool, count: int | None = None
) -> Iterator[Take]:
    """Yield the levels a taker on this side meets, best first. Sizes are on the lot grid and at least one lot."""
    best = at.ask if is_buy else at.bid
    step = max(tick_at(instrument, best), on_tick(instrument, best * knobs.level_bp * _BP))
    lot = Decimal(1).scaleb(-instrument.sz_decimals)
    for number in range(knobs.book_levels if count is None else min(count, knobs.book_levels)):
        px = best + step * number if is_buy else best - step * number
        if px <= 0:
            return
        size = (knobs.level_usd / px).quantize(lot, ROUND_DOWN)
        if knobs.level_usd > 0:
            yield Take(on_tick(instrument, px), max(size, lot))


def sweep(
    instrument: Instrument, at: Quote, knobs: Knobs, *, is_buy: bool, size: Decimal, limit_px: Decimal | None
) -> list[Take]:
    """Return what an order takes, level by level, until its size, its worst price or the book ends."""
    taken: list[Take] = []
    left = size
    for level in levels(instrument, at, knobs, is_buy=is_buy):
        if left <= ZERO or (limit_px is not None and (level.px > limit_px if is_buy else level.px < limit_px)):
            break
        piece = min(left, level.size)
        taken.append(Take(level.px, piece))
        left -= piece
    return taken


def average(taken: list[Take]) -> Decimal:
    """Return the size-weighted price of what was taken; the list must not be empty."""
    return sum((piece.px * piece.size for piece in taken), ZERO) / sum((piece.size for piece in taken), ZERO)
