"""What programs read: plain JSON out of our values. Amounts become decimal strings, times RFC 3339 UTC with ms.

Field names are part of the outside contract: points in time (``*_at_ms``, ``since_ms``) lose the unit and become texts,
ages and durations stay numbers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

_TIMES = {
    "since_ms": "since", "booked_ms": "booked_at", "at_ms": "at", "stop_off_until_ms": "stop_off_until",
}  # fmt: skip


def plain(value: Decimal) -> str:
    """Return a decimal without exponent and without zeros at its end."""
    text = f"{value.normalize():f}"
    return "0" if text == "-0" else text


def rfc3339(ms: int) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def named(name: str, value: Any) -> tuple[str, Any]:
    """Return a field's name and value for programs."""
    if name in _TIMES or name.endswith("_at_ms"):
        return _TIMES.get(name, name.removesuffix("_ms")), rfc3339(value) if isinstance(value, int) else value
    return name, to_json(value)


def to_json(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return dict(named(item.name, getattr(value, item.name)) for item in fields(value))
    if isinstance(value, Mapping):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_json(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """Return a value as one JSON document."""
    return json.dumps(to_json(value), indent=2, ensure_ascii=False)


def line(value: Any) -> str:
    """Return a value as one line of JSON, for streams."""
    return json.dumps(to_json(value), ensure_ascii=False)
