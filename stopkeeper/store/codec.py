"""Values <-> JSON, exactly: Decimals as strings, unions told apart by their ``kind``, missing fields by their defaults.

May live here: adapters over the frozen dataclasses of core and ports. Never a rule, never a key.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import FillPage, Holdings, Known, Order
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord
from stopkeeper.store.asks import Ask

T = TypeVar("T")


class Codec(Generic[T]):
    """Both directions for one type."""

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def dump(self, value: T) -> str:
        """Return the value as JSON text."""
        return self._adapter.dump_json(value).decode()

    def load(self, text: str | bytes) -> T:
        """Return the value of a JSON text. Raises pydantic.ValidationError where it is not one."""
        return self._adapter.validate_json(text)


RECORD: Codec[KeyRecord] = Codec(KeyRecord)
LINE: Codec[LedgerLine] = Codec(LedgerLine)
ASK: Codec[Ask] = Codec(Ask)

# An observation is stored field by field, because each field has a venue time and a watermark of its own.
LOOK: Mapping[str, Codec[Any]] = {
    "holdings": Codec(Known[Holdings] | Unknown),
    "orders": Codec(Known[tuple[Order, ...]] | Unknown),
    "fills": Codec(Known[FillPage] | Unknown),
}


def as_text(value: object) -> str:
    """Return a journal field as text: strings and Decimals as they are, anything else as JSON."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
