"""Where a moving stop should stand: pure functions from a policy and what was seen to a better trigger.

A stop only moves towards the price unless a person says so. Whether the step is worth two actions of the venue's budget
is asked here too; placing it is the concern ``trailing``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

from stopkeeper.core.model import Candle, Side
from stopkeeper.core.policy import Gain, Policy, Trail, TrailKind, percent, said

HOUR_MS = 3_600_000
INTERVALS_MS = {"1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": HOUR_MS}


def improves(wanted: Decimal, standing: Decimal, held: Side) -> bool:
    """Return whether a trigger is nearer to the price than the standing one."""
    return (wanted - standing) * held.sign > 0


@dataclass(frozen=True, slots=True)
class Course:
    """What a policy looks at: prices of one trade, all of the venue.

    ``peak`` is the best mark so far, ``first_stop`` the trigger the risk is counted from, ``fee`` what a fill costs as
    a fraction, ``atr`` None where no candles were read, ``hit`` whether a target was taken.
    """

    side: Side
    entry: Decimal
    first_stop: Decimal | None
    peak: Decimal
    fee: Decimal
    atr: Decimal | None = None
    hit: bool = False

    @property
    def gain(self) -> Decimal:
        """Return how far the best price went in the trade's favour."""
        return (self.peak - self.entry) * self.side.sign

    @property
    def risk(self) -> Decimal | None:
        """Return what one R is, per unit; None where the first stop is not known or lay on the wrong side."""
        if self.first_stop is None:
            return None
        risk = (self.entry - self.first_stop) * self.side.sign
        return risk if risk > 0 else None

    def measure(self, gain: Gain) -> Decimal | None:
        """Return a gain as a price difference, or None where it cannot be told."""
        if gain.r is not None:
            return None if self.risk is None else gain.r * self.risk
        return None if gain.fraction is None else gain.fraction * self.entry

    def reached(self, gain: Gain) -> bool:
        """Return whether the trade has come this far."""
        distance = self.measure(gain)
        return distance is not None and self.gain >= distance


def wanted(policy: Policy, course: Course) -> tuple[Decimal, str] | None:
    """Return the trigger a policy wants and why in words, or None while it wants none. Not on the venue's grid."""
    wishes = [wish for wish in (_break_even(policy, course), _trail(policy.trail, course)) if wish is not None]
    if not wishes:
        return None
    return max(wishes, key=lambda wish: wish[0] * course.side.sign)


def even(entry: Decimal, side: Side, fee: Decimal) -> Decimal:
    """Return the price at which closing costs nothing: both fills' fees are earned."""
    up, down = 1 + fee, 1 - fee
    return entry * up / down if side is Side.LONG else entry * down / up


def _break_even(policy: Policy, course: Course) -> tuple[Decimal, str] | None:
    rule = policy.breakeven
    if rule.after_target and course.hit:
        return even(course.entry, course.side, course.fee), "break-even, a target was taken"
    if course.reached(rule.gain):
        why = f"break-even, the best price {course.peak:f} is {rule.gain} from the entry"
        return even(course.entry, course.side, course.fee), why
    return None


def _trail(trail: Trail, course: Course) -> tuple[Decimal, str] | None:
    if trail.start != Gain() and not course.reached(trail.start):
        return None
    sign, peak = course.side.sign, course.peak
    match trail.kind:
        case TrailKind.FIXED:
            return None
        case TrailKind.PERCENT:
            return peak * (1 - sign * trail.distance), f"{percent(trail.distance)} behind the best price {peak:f}"
        case TrailKind.ABSOLUTE:
            return peak - sign * trail.distance, f"{said(trail.distance)} behind the best price {peak:f}"
        case TrailKind.ATR:
            if course.atr is None:
                return None
            why = f"{said(trail.distance)} ATR of {course.atr:f} behind the best price {peak:f}"
            return peak - sign * trail.distance * course.atr, why
    return _ratchet(trail, course)


def _ratchet(trail: Trail, course: Course) -> tuple[Decimal, str] | None:
    """Each whole step of gain lifts the first stop by one step."""
    step = course.measure(trail.step)
    if step is None or step <= 0 or course.first_stop is None:
        return None
    steps = int((course.gain / step).to_integral_value(ROUND_FLOOR))
    if steps < 1:
        return None
    return course.first_stop + course.side.sign * steps * step, f"{steps} steps of {trail.step} were gained"


def worth_it(new: Decimal, standing: Decimal, held: Side, step: Decimal) -> bool:
    """Return whether a move is an improvement of at least a step (a fraction of the standing trigger)."""
    return improves(new, standing, held) and abs(new - standing) >= standing * step


def average_true_range(candles: Sequence[Candle], bars: int) -> Decimal | None:
    """Return Wilder's average true range over ``bars`` of the candles, oldest first; None where there are too few."""
    if bars < 1 or len(candles) <= bars:
        return None
    ranges = [
        max(bar.high - bar.low, abs(bar.high - before.close), abs(bar.low - before.close))
        for before, bar in pairwise(candles)
    ]
    average = sum(ranges[:bars], Decimal(0)) / bars
    for true_range in ranges[bars:]:
        average = (average * (bars - 1) + true_range) / bars
    return average if average > 0 else None


def of_the_last_hour(moves_ms: Sequence[int], now_ms: int) -> tuple[int, ...]:
    """Return the moves of the last hour, oldest first."""
    return tuple(moment for moment in moves_ms if moment > now_ms - HOUR_MS)
