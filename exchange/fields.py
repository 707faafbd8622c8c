"""Picking fields out of a venue's JSON. What is not of the expected form raises Unreadable; nothing is defaulted."""

from decimal import Decimal, InvalidOperation
from typing import Any

from stopkeeper.core.prices import MAGNITUDE


class Unreadable(ValueError):
    """An answer that is not of the form the venue documents."""


def number(raw: object) -> Decimal:
    """Return a finite Decimal. Raises Unreadable, also for a float: floats are not trusted for money.

    What is out of all proportion is no number of a venue: sums with it would overflow, or take for ever.
    """
    if isinstance(raw, bool | float) or raw is None:
        raise Unreadable(f"not a number: {raw!r}")
    try:
        value = Decimal(str(raw))
    except InvalidOperation as error:
        raise Unreadable(f"not a number: {raw!r}") from error
    if not value.is_finite() or abs(value.adjusted()) > MAGNITUDE:
        raise Unreadable(f"not a number: {raw!r}")
    return value


def integer(raw: object) -> int:
    """Return a whole number. Raises Unreadable."""
    value = number(raw)
    if value != value.to_integral_value():
        raise Unreadable(f"not a whole number: {raw!r}")
    return int(value)


def get(row: object, name: str) -> Any:
    """Return a member of a JSON object. Raises Unreadable where there is none."""
    if not isinstance(row, dict) or name not in row:
        raise Unreadable(f"no {name!r} in {str(row)[:120]}")
    return row[name]


def told(row: object, name: str) -> Decimal | None:
    """Return a number of a JSON object, or None where it cannot be read: for what need not be known."""
    try:
        return number(get(row, name))
    except Unreadable:
        return None


def rows(raw: object) -> list[Any]:
    """Return a JSON array. Raises Unreadable."""
    if not isinstance(raw, list):
        raise Unreadable(f"not a list: {str(raw)[:120]}")
    return raw
