"""Prices as a type, and rounding to a venue's grid in a direction that is always said."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation, localcontext
from enum import StrEnum


class Source(StrEnum):
    """Where a price was read."""

    POSITION = "position"  # the mark the venue implies in its position row
    VENUE = "venue"  # the mark asked for by request
    STREAM = "stream"  # the mark pushed by the venue's feed


class Flaw(StrEnum):
    """Why a number that came as a price is none, or is not believed: nothing is ever closed on it."""

    NOTHING = "nothing"  # missing, or no number at all
    NOT_FINITE = "not_finite"  # NaN, infinite, or out of all proportion
    ZERO = "zero"
    NEGATIVE = "negative"
    FAR_OFF = "far_off"  # far from the last good one, and not confirmed yet
    STALE = "stale"  # too old to act on
    ONE_SOURCE = "one_source"  # another source says otherwise


class NotAPrice(ValueError):
    """A number that cannot be a price: zero, negative, NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Price:
    """A finite price > 0 with its source and its age. Raises NotAPrice at birth otherwise.

    ``age_ms`` counts from when it was received, ``venue_ms`` is the venue's own time of it where it told one.
    """

    value: Decimal
    source: Source
    age_ms: int
    venue_ms: int | None = None

    def __post_init__(self) -> None:
        if not self.value.is_finite() or self.value <= 0:
            raise NotAPrice(f"{self.value} from {self.source} is not a price")
        if self.age_ms < 0:
            raise NotAPrice(f"a price of age {self.age_ms} ms from {self.source} comes from the future")


def parse_price(raw: object) -> Decimal | None:
    """Return raw as a finite Decimal > 0, or None: a venue's 0, NaN, null or text is no price."""
    return None if flaw_of(raw) else Decimal(str(raw).strip())


def flaw_of(raw: object) -> Flaw | None:
    """Return what keeps a raw value from being a price, or None."""
    try:
        value = Decimal(str(raw).strip())
    except InvalidOperation:
        return Flaw.NOTHING
    if not value.is_finite() or (value and abs(value.adjusted()) > MAGNITUDE):
        return Flaw.NOT_FINITE
    if value == 0:
        return Flaw.ZERO
    return Flaw.NEGATIVE if value < 0 else None


@dataclass(frozen=True, slots=True)
class Tape:
    """The last good price of one symbol on one stream, and a far-off one that waits to be confirmed by others."""

    good: Decimal | None = None
    good_ms: int = 0
    other: Decimal | None = None
    others: int = 0

    def take(self, price: Decimal, at_ms: int, jump: Decimal, calm_ms: int) -> "tuple[Tape, Flaw | None]":
        """Take a price in: good if near the last good one, or if ``CONFIRMATIONS`` in a row say the same.

        ``jump`` is the fraction that counts as far; after ``calm_ms`` without a good price any price may be far.
        """
        if self.good is None or at_ms - self.good_ms > calm_ms or abs(price - self.good) <= jump * self.good:
            return Tape(price, at_ms), None
        again = self.other is not None and abs(price - self.other) <= jump * self.other
        others = self.others + 1 if again else 1
        if others >= CONFIRMATIONS:
            return Tape(price, at_ms), None
        return Tape(self.good, self.good_ms, price, others), Flaw.FAR_OFF


CONFIRMATIONS = 3
MAGNITUDE = 30  # no price has so many digits before its point, or zeros behind it: sums with one would overflow


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
