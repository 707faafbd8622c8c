"""A span is read whole, in whichever order the venue answers, or it is Unknown."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.hyperliquid_pages import Kind, Pages
from stopkeeper.core.outcomes import Unknown

SMALL = Kind("rows", 5, lambda row: row["tid"])


class _Venue:
    def __init__(self, times: list[int], *, newest_first: bool) -> None:
        self.rows = [{"tid": tid, "time": time} for tid, time in enumerate(sorted(times))]
        self.newest_first, self.asked = newest_first, 0

    def __call__(self, kind: str, **fields: Any) -> list[Any] | Unknown:
        self.asked += 1
        start, end = fields["startTime"], fields.get("endTime", 10**9)
        found = [row for row in self.rows if start <= row["time"] <= end]
        return found[::-1][:5] if self.newest_first else found[:5]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=22), st.booleans(), st.integers(0, 20))
def test_all_or_unknown(times: list[int], newest_first: bool, since: int) -> None:
    venue = _Venue(times, newest_first=newest_first)
    found = Pages(venue).read(SMALL, since, None)
    wanted = {row["tid"] for row in venue.rows if row["time"] >= since}
    assert isinstance(found, Unknown) or {row["tid"] for row in found} == wanted
    if len(wanted) < 5:
        assert venue.asked == 1
        assert not isinstance(found, Unknown)


def test_three_full_pages_either_way() -> None:
    for newest_first in (False, True):
        found = Pages(_Venue(list(range(13)), newest_first=newest_first)).read(SMALL, 0, None)
        assert not isinstance(found, Unknown)
        assert len(found) == 13


def test_the_newest_rows_in_rising_order_do_not_pass_for_the_oldest() -> None:
    class Newest(_Venue):
        def __call__(self, kind: str, **fields: Any) -> list[Any] | Unknown:
            found = super().__call__(kind, **fields)
            return found if isinstance(found, Unknown) else found[::-1]

    for count in (6, 12, 40):
        assert isinstance(Pages(Newest(list(range(count)), newest_first=True)).read(SMALL, 0, None), Unknown)
    whole = Pages(Newest(list(range(4)), newest_first=True)).read(SMALL, 0, None)
    assert not isinstance(whole, Unknown)
    assert len(whole) == 4


def test_more_rows_in_one_ms_than_a_page_holds_are_unknown() -> None:
    assert isinstance(Pages(_Venue([7] * 9, newest_first=False)).read(SMALL, 0, None), Unknown)


def test_a_lost_page_is_unknown() -> None:
    class Lost(_Venue):
        def __call__(self, kind: str, **fields: Any) -> list[Any] | Unknown:
            return Unknown("lost")

    assert Pages(Lost([], newest_first=False)).read(SMALL, 0, None) == Unknown("lost")
