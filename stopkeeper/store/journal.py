"""The journal over Redis: one capped stream per account, ids by Redis time, every value a text."""

from collections.abc import Mapping, Sequence
from typing import Any

from stopkeeper.store import keys
from stopkeeper.store.codec import as_text
from stopkeeper.store.wire import Wire


class RedisJournal:
    """Implements ports.Journal."""

    def __init__(self, wire: Wire, max_lines: int = keys.JOURNAL_LINES) -> None:
        self._wire = wire
        self._max_lines = max_lines

    def write(self, account: str, symbol: str, kind: str, text: str, **fields: Any) -> None:
        """Append one line. Raises StoreGone."""
        line: list[str] = ["symbol", symbol, "kind", kind, "text", text]
        for name, value in fields.items():
            line += [name, as_text(value)]
        self._wire.write("XADD", keys.journal(account), "MAXLEN", "~", self._max_lines, "*", *line)

    def read(self, account: str, after: str, limit: int) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Return (id, fields) of lines after an id ("0" = from the start, "" = the last ``limit``), oldest first."""
        name = keys.journal(account)
        if after:
            return _rows(self._wire.read("XRANGE", name, f"({after}", "+", "COUNT", limit))
        return _rows(self._wire.read("XREVRANGE", name, "+", "-", "COUNT", limit))[::-1]


def _rows(reply: Any) -> list[tuple[str, Mapping[str, str]]]:
    return [(str(line), dict(fields)) for line, fields in reply]
