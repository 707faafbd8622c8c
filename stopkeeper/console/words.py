"""How numbers and times read for a person: short, signed where the sign matters, never a bare None."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from stopkeeper.console.shapes import plain

NOTHING = "-"


class Styled(str):
    """A text with a style for terminals; every other text is shown as it is, brackets included."""

    __slots__ = ()


def styled(style: str, text: str) -> Styled:
    """Return a text in a style (``red``, ``bold``); its own brackets stay brackets."""
    return Styled(f"[{style}]{plain_text(text)}[/]")


def plain_text(text: str) -> str:
    """Return a text so that it reads as it is inside a styled line."""
    return text.replace("[", "\\[")


def amount(value: Decimal | None) -> str:
    """Return a size or a price."""
    return NOTHING if value is None else plain(value)


def average(value: Decimal | None) -> str:
    """Return a price that is a quotient: eight significant figures are enough for an eye."""
    if value is None:
        return NOTHING
    places = max(0, 7 - value.adjusted()) if value else 0
    return plain(value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN))


def money(value: Decimal | None) -> str:
    """Return an amount of money to the cent."""
    return NOTHING if value is None else f"{_rounded(value, '0.01'):,f}"


def gain(value: Decimal | None) -> str:
    """Return a profit or loss with its sign, coloured for terminals that have colours."""
    if value is None:
        return NOTHING
    rounded = _rounded(value, "0.01")
    if not rounded:
        return "0.00"
    return styled("green", f"+{rounded:,f}") if rounded > 0 else styled("red", f"{rounded:,f}")


def _rounded(value: Decimal, step: str) -> Decimal:
    """Return a value on a step; what rounds to nothing has no sign."""
    rounded = value.quantize(Decimal(step), ROUND_HALF_EVEN)
    return rounded or abs(rounded)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 trade, 2 trades."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(value: Decimal | None) -> str:
    """Return a fraction as percent with its sign."""
    return NOTHING if value is None else f"{_rounded(value * 100, '0.01'):+f} %"


def share(value: Decimal | None) -> str:
    """Return a fraction as percent without a sign."""
    return NOTHING if value is None else f"{(value * 100).quantize(Decimal('0.1')):f} %"


def ago(ms: int | None, now_ms: int) -> str:
    """Return how long ago a moment was."""
    return NOTHING if ms is None else f"{duration(max(0, now_ms - ms))} ago"


def duration(ms: int) -> str:
    """Return a duration in its two largest units."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    seconds = ms // 1000
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d}" if seconds < 172_800 else f"{seconds // 86_400} d"


def moment(ms: int | None) -> str:
    """Return a time to the second, UTC."""
    return NOTHING if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%m-%d %H:%M:%S")
