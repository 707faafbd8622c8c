"""How a stop is to move, as values: what a person asked for. What follows from it at a price stands in trailing.py."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


def said(number: Decimal) -> str:
    """Return a number as it reads: without exponent and without zeros at its end."""
    return f"{number.normalize():f}"


def percent(fraction: Decimal) -> str:
    """Return a fraction as a percentage."""
    return f"{said(fraction * 100)}%"


@dataclass(frozen=True, slots=True)
class Gain:
    """How far a trade must have come: ``r`` multiples of its first risk, or a ``fraction`` of the entry price.

    Exactly one is set; neither = never.
    """

    r: Decimal | None = None
    fraction: Decimal | None = None

    def __str__(self) -> str:
        if self.r is not None:
            return f"{said(self.r)}R"
        return "off" if self.fraction is None else percent(self.fraction)


class TrailKind(StrEnum):
    """What the distance of a trailing stop is measured in."""

    FIXED = "fixed"  # it does not trail
    PERCENT = "percent"  # a fraction of the best price
    ABSOLUTE = "absolute"  # a price difference
    ATR = "atr"  # multiples of the average true range of the venue's candles
    STEP = "step"  # a ratchet: one step nearer for each step of gain


@dataclass(frozen=True, slots=True)
class Trail:
    """A trailing rule: ``distance`` in its kind's own measure, or ``step`` of a ratchet; at work from ``start`` on.

    ``bars`` and ``interval`` name the candles an ATR is taken from.
    """

    kind: TrailKind = TrailKind.FIXED
    distance: Decimal = Decimal(0)
    step: Gain = Gain()
    start: Gain = Gain()
    bars: int = 14
    interval: str = "5m"

    def __str__(self) -> str:
        rule = {
            TrailKind.FIXED: "off",
            TrailKind.PERCENT: percent(self.distance),
            TrailKind.ABSOLUTE: said(self.distance),
            TrailKind.ATR: f"atr:{said(self.distance)}:{self.bars}:{self.interval}",
            TrailKind.STEP: f"step:{self.step}",
        }[self.kind]
        return rule if self.start == Gain() else f"{rule}@{self.start}"


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When the stop goes to where a trade costs nothing, fees included: after a gain, or after its first target."""

    gain: Gain = Gain()
    after_target: bool = False

    def __str__(self) -> str:
        return "target" if self.after_target else str(self.gain)


@dataclass(frozen=True, slots=True)
class Policy:
    """Both rules of a trade; the nearer of what they want counts."""

    trail: Trail = Trail()
    breakeven: BreakEven = BreakEven()

    @property
    def moves(self) -> bool:
        """Return whether anything may ever move the stop."""
        return self.trail.kind is not TrailKind.FIXED or self.breakeven != BreakEven()


FIXED = Policy()
