"""Which perpetuals the paper venue lists, and the tick and lot rules of a price and a size.

Tick: at most 5 significant figures and at most 6 - szDecimals decimals, integers always (venue docs:
tick-and-lot-size).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from exchange.paper.errors import PaperError
from exchange.paper.model import Instrument

# name, szDecimals, maxLeverage, a price of late 2026's order of magnitude, yearly volatility
_KNOWN: tuple[tuple[str, int, int, str, str], ...] = (
    ("BTC", 5, 40, "95000", "0.5"),
    ("ETH", 4, 25, "3400", "0.65"),
    ("SOL", 2, 20, "180", "0.8"),
    ("BNB", 3, 10, "850", "0.6"),
    ("XRP", 0, 20, "2.4", "0.8"),
    ("DOGE", 0, 10, "0.19", "0.9"),
    ("AVAX", 2, 10, "28", "0.9"),
    ("LINK", 1, 10, "18.5", "0.85"),
    ("LTC", 2, 10, "95", "0.7"),
    ("ARB", 1, 10, "0.42", "1.0"),
    ("SUI", 1, 10, "2.9", "1.0"),
    ("kPEPE", 0, 10, "0.0105", "1.1"),
    ("HYPE", 2, 10, "41", "1.0"),
)
MAX_FIGURES = 5
PERP_DECIMALS = 6


def listing(names: Iterable[str] | None = None) -> dict[str, Instrument]:
    """Return the instruments by name: the default list, or those named. Raise PaperError for an unknown name.

    A name may say its own terms: `NAME:szDecimals:maxLeverage:price`.
    """
    known = {name: (decimals, lev, Decimal(px), Decimal(vol)) for name, decimals, lev, px, vol in _KNOWN}
    wanted: dict[str, tuple[int, int, Decimal, Decimal]] = {}
    for text in names if names is not None else known:
        name, _, terms = text.partition(":")
        wanted[name] = _terms(text, terms) if terms else known.get(name) or _unknown(name, list(known))
    if not wanted:
        msg = "symbols is empty: name at least one, for example BTC"
        raise PaperError(msg)
    return {name: Instrument(name, number, *terms) for number, (name, terms) in enumerate(wanted.items())}


def _unknown(name: str, known: list[str]) -> tuple[int, int, Decimal, Decimal]:
    raise PaperError(f"symbol {name!r} is not listed: use one of {', '.join(known)}, or NAME:szDecimals:leverage:price")


def _terms(text: str, terms: str) -> tuple[int, int, Decimal, Decimal]:
    try:
        decimals, leverage, px = terms.split(":")
        parsed = int(decimals), int(leverage), Decimal(px), Decimal("0.8")
    except (ValueError, ArithmeticError) as error:
        raise PaperError(f"symbol {text!r} cannot be read: write NAME:szDecimals:maxLeverage:price") from error
    if not (0 <= parsed[0] <= PERP_DECIMALS and parsed[1] >= 1 and parsed[2] > 0):
        raise PaperError(f"symbol {text!r} is out of range: szDecimals 0..6, maxLeverage >= 1, price > 0")
    return parsed


def figures(px: Decimal) -> int:
    """Count the significant figures of a price."""
    return len(px.normalize().as_tuple().digits)


def decimals(value: Decimal) -> int:
    """Count the decimals of a number, trailing zeros aside."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 99


def has_tick(instrument: Instrument, px: Decimal) -> bool:
    """Tell whether a price is one the venue takes."""
    if px == px.to_integral_value():
        return True
    return figures(px) <= MAX_FIGURES and decimals(px) <= PERP_DECIMALS - instrument.sz_decimals


def has_lot(instrument: Instrument, size: Decimal) -> bool:
    """Tell whether a size has no more than szDecimals decimals."""
    return decimals(size) <= instrument.sz_decimals


def tick_at(instrument: Instrument, px: Decimal) -> Decimal:
    """Return the distance between two neighbouring prices around `px`."""
    by_figures = Decimal(1).scaleb(px.adjusted() - MAX_FIGURES + 1)
    by_decimals = Decimal(1).scaleb(-(PERP_DECIMALS - instrument.sz_decimals))
    return min(max(by_figures, by_decimals), max(Decimal(1), by_decimals))


def on_tick(instrument: Instrument, px: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Round a price to the venue's grid, never to 0."""
    tick = tick_at(instrument, px)
    rounded = (px / tick).to_integral_value(rounding) * tick
    return max(rounded, tick)
