"""Reading a whole span of rows from a venue that answers in pages, in an order its docs do not promise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from exchange.fields import get, integer
from stopkeeper.core.outcomes import Unknown

MAX_PAGES = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """A request by time: its name, how many rows may be a full page, what makes a row one.

    The docs say 2000 fills a page and 500 of anything else; a recorded page of fills has exactly 500 rows, so from 500
    on no page is taken for the end.
    """

    name: str
    page: int
    identity: Callable[[Any], object]


FILLS = Kind("userFillsByTime", 500, lambda row: integer(get(row, "tid")))
FUNDING = Kind("userFunding", 500, lambda row: (integer(get(row, "time")), get(get(row, "delta"), "coin")))


class Asks(Protocol):
    """Fetches one page."""

    def __call__(self, kind: str, **fields: Any) -> list[Any] | Unknown: ...


class Pages:
    """Pages through a span until it is complete, or says Unknown."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    def read(self, kind: Kind, since_ms: int, until_ms: int | None) -> list[Any] | Unknown:
        """Return every row of [since, until], each once, in no particular order. Raises Unreadable."""
        start, end, found = since_ms, until_ms, dict[object, Any]()
        passed: tuple[int, int | None] | None = None  # where nothing else lies, if the first page began at an end
        for _ in range(MAX_PAGES):
            page = self._page(kind, start, end)
            if isinstance(page, Unknown):
                return page
            found |= {kind.identity(row): row for row in page}
            if len(page) < kind.page:
                return list(found.values()) if passed is None else self._checked(kind, found, passed)
            first, last = integer(get(page[0], "time")), integer(get(page[-1], "time"))
            if first < last:
                passed = passed or (since_ms, first)
                start = last  # oldest first: what is missing is newer
            elif first > last:
                passed = passed or (first, until_ms)
                end = last  # newest first: what is missing is older
            else:
                return Unknown(f"{kind.name}: more than a page within one ms")
        return Unknown(f"{kind.name}: more than {MAX_PAGES} pages since {since_ms}")

    def _page(self, kind: Kind, start: int, end: int | None) -> list[Any] | Unknown:
        span = {"startTime": start} | ({} if end is None else {"endTime": end})
        return self._ask(kind.name, **span)

    def _checked(self, kind: Kind, found: dict[object, Any], passed: tuple[int, int | None]) -> list[Any] | Unknown:
        """Make sure that pages did begin at the oldest row, or at the newest: that nothing lies before, or is new."""
        page = self._page(kind, *passed)
        if isinstance(page, Unknown):
            return page
        more = any(kind.identity(row) not in found for row in page)
        return Unknown(f"{kind.name}: has more than its pages told, or grew") if more else list(found.values())
