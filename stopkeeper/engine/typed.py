"""Single typed values: numbers, percentages, distances, durations, rules of moving stops, each from text or refused.

Used by words.py for signals, by the console for its options and by workers for the configuration.
"""

import re
from decimal import Decimal, InvalidOperation

from stopkeeper.core.model import Distance, TargetWish
from stopkeeper.core.policy import BreakEven, Gain, Trail, TrailKind
from stopkeeper.core.trailing import INTERVALS_MS

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
TRAIL_HINT = "give 2%, 500 (USD), atr:3, atr:3:14:5m, step:1% or step:1R, with @1R or @2% for where it starts; or off"
GAIN_HINT = "give a gain such as 1R (once the risk) or 1.5%"
EVEN_HINT = "give 1R, 1.5% or target (after the first target); or off"


class Refused(Exception):
    """A value that cannot be accepted: exit code 3. ``str()`` is the sentence."""

    def __init__(self, field: str, value: str, reason: str, hint: str) -> None:
        super().__init__(f"{field}: {reason} (got {value}); {hint}")
        self.field, self.value, self.reason, self.hint = field, value, reason, hint


def number(field: str, text: str, hint: str) -> Decimal:
    """Return a finite number > 0, or refuse it with the hint."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise Refused(field, text or "nothing", "it is not a number", hint) from None
    if not value.is_finite():
        raise Refused(field, text, "it is not a finite number", hint)
    if value <= 0:
        raise Refused(field, text, "it must be above 0", hint)
    if abs(value.adjusted()) > 15:
        raise Refused(field, text, "it is out of all proportion", hint)
    return value


def whole(field: str, text: str, hint: str = "give a whole number such as 5") -> int:
    """Return a whole number > 0, or refuse it."""
    value = number(field, text, hint)
    if value != value.to_integral_value():
        raise Refused(field, text, "it is not a whole number", hint)
    return int(value)


def fraction(field: str, text: str, hint: str) -> Decimal:
    """Return a percentage ("2%") as a fraction below 1, or refuse it."""
    value = part(field, text, hint)
    if value >= 1:
        raise Refused(field, text, "it must be below 100%", hint)
    return value


def part(field: str, text: str, hint: str) -> Decimal:
    """Return a percentage of at most 100% as a fraction, or refuse it."""
    if not text.strip().endswith("%"):
        raise Refused(field, text, "it is not a percentage", hint)
    value = number(field, text.strip()[:-1], hint) / 100
    if value > 1:
        raise Refused(field, text, "it must not be above 100%", hint)
    return value


def distance(field: str, text: str) -> Distance:
    """Return a price ("95000") or a distance from the mark ("2%")."""
    hint = "give a price such as 95000, or a distance such as 2%"
    if text.strip().endswith("%"):
        return Distance(fraction=fraction(field, text, hint))
    return Distance(price=number(field, text, hint))


def target(text: str) -> TargetWish:
    """Return a take-profit ("99000", "4%", "4%:50%"): where, and what part of the position it takes."""
    where, colon, share = text.partition(":")
    if not colon:
        return TargetWish(distance("target", where))
    taken = part("target", share, "give the part it takes after a colon, such as 4%:50%")
    return TargetWish(distance("target", where), taken)


def duration_ms(field: str, text: str) -> int:
    """Return a duration ("30s", "2m", "1h", "500ms") in ms, or refuse it."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    hint = "give a duration such as 30s, 5m or 2h"
    if match is None:
        raise Refused(field, text, "it is not a duration", hint)
    value = int(Decimal(match[1]) * UNITS_MS[match[2]])
    if value <= 0:
        raise Refused(field, text, "it must be above 0", hint)
    return value


def gain(field: str, text: str, hint: str = GAIN_HINT) -> Gain:
    """Return how far a trade must have come: "1R", or "1.5%" of the entry price."""
    if text.strip().upper().endswith("R"):
        return Gain(r=number(field, text.strip()[:-1], hint))
    return Gain(fraction=fraction(field, text, hint))


def trail(field: str, text: str) -> Trail:
    """Return a trailing rule: "2%", "500", "atr:3", "atr:3:14:5m", "step:1%", each with "@1R" or "@2%"; or "off"."""
    rule, at, begins = text.strip().partition("@")
    start = gain(field, begins, TRAIL_HINT) if at else Gain()
    if rule == "off" and not at:
        return Trail()
    if rule.startswith("atr:"):
        return _atr(field, rule, start)
    if rule.startswith("step:"):
        return Trail(TrailKind.STEP, step=gain(field, rule.removeprefix("step:"), TRAIL_HINT), start=start)
    if rule.endswith("%"):
        return Trail(TrailKind.PERCENT, fraction(field, rule, TRAIL_HINT), start=start)
    return Trail(TrailKind.ABSOLUTE, number(field, rule, TRAIL_HINT), start=start)


def _atr(field: str, rule: str, start: Gain) -> Trail:
    words = rule.split(":")[1:]
    if len(words) not in (1, 3):
        raise Refused(field, rule, "an ATR has a multiple, or a multiple, bars and an interval", TRAIL_HINT)
    multiple = number(field, words[0], TRAIL_HINT)
    if len(words) == 1:
        return Trail(TrailKind.ATR, multiple, start=start)
    if words[2] not in INTERVALS_MS:
        raise Refused(field, words[2], "it is no interval of candles", f"there are {', '.join(INTERVALS_MS)}")
    bars = whole(field, words[1], TRAIL_HINT)
    if bars > 200:
        raise Refused(field, words[1], "so many bars are not asked for", "give at most 200")
    return Trail(TrailKind.ATR, multiple, start=start, bars=bars, interval=words[2])


def breakeven(field: str, text: str) -> BreakEven:
    """Return when a stop goes to break-even: "1R", "1.5%", "target"; or "off"."""
    if text.strip() == "off":
        return BreakEven()
    if text.strip() == "target":
        return BreakEven(after_target=True)
    return BreakEven(gain(field, text, EVEN_HINT))
