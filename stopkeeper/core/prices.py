"""Prices as a type, and rounding to a venue's grid in a direction that is always said."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation, localcontext
from enum import StrEnum


class Source(StrEnum):
    """Where a price was read."""

    POSITION = "position"  # the mark the venue implies in its position row
    VENUE = "venue"  # the mark asked for by request
    STREAM = "stream"  # the mark pushed by the venue's feed


class NotAPrice(ValueError):
    """A number that cannot be a price: zero, negative, NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Price:
    """A finite price > 0 with its source and its age. Raises NotAPrice at birth otherwise."""

    value: Decimal
    source: Source
    age_ms: int

    def __post_init__(self) -> None:
        if not self.value.is_finite() or self.value <= 0:
            raise NotAPrice(f"{self.value} from {self.source} is not a price")
        if self.age_ms < 0:
            raise NotAPrice(f"a price of age {self.age_ms} ms from {self.source} comes from the future")


def parse_price(raw: object) -> Decimal | None:
    """Return raw as a finite Decimal > 0, or None: a venue's 0, NaN, null or text is no price."""
    try:
        value = Decimal(str(raw))
    except InvalidOperation:
        return None
    return value if value.is_finite() and value > 0 else None


class Toward(StrEnum):
    """Which way a price is rounded."""

    UP = "up"
    DOWN = "down"


def to_step(value: Decimal, step: Decimal, toward: Toward) -> Decimal:
    """Round value to a multiple of step, up or down."""
    with localcontext() as context:
        context.prec = 50
        rounding = ROUND_CEILING if toward is Toward.UP else ROUND_FLOOR
        return (value / step).to_integral_value(rounding=rounding) * step


def to_grid(price: Decimal, *, decimals: int, significant: int | None, tick: Decimal | None, toward: Toward) -> Decimal:
    """Round a price to a venue's grid: its tick, or at most ``significant`` figures and ``decimals`` decimals.

    Whole numbers are always allowed under the significant-figures rule (Hyperliquid docs, tick and lot size).
    """
    if tick is not None:
        return to_step(price, tick, toward)
    exponent = -decimals
    if significant is not None:
        exponent = max(exponent, min(0, price.adjusted() - significant + 1))
    return to_step(price, Decimal(1).scaleb(exponent), toward)
