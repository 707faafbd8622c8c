"""The list of perpetuals: one bad answer disables nothing, and no order goes to another coin for hours."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from exchange.budget import IpBudget, LocalBudget, LocalCache
from exchange.gateway import Gateway
from exchange.hyperliquid_markets import CACHED_MS, FIRST_MS, RELOAD_MS, RETRY_MS, Listing, Markets, context_mark
from exchange.transport import Heard, parse_json
from tests.unit.exchange.conftest import recorded

URL = "http://venue"
GOOD = json.loads(json.dumps(recorded("meta"), default=str))
NAMES = [row["name"] for row in GOOD["universe"]]


class _Venue:
    """Answers ``meta`` as told, and counts."""

    def __init__(self) -> None:
        self.meta: Any = GOOD
        self.asked = 0

    def post(self, section: str, path: str, body: Mapping[str, Any]) -> None:
        self.asked += 1

    def heard(self) -> Heard:
        text = json.dumps(self.meta)
        return Heard(200, text, parse_json(text))


class _Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000.0

    def __call__(self) -> float:
        return self.ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    found = _Clock()
    for module in ("hyperliquid_markets", "budget"):
        monkeypatch.setattr(f"exchange.{module}.mono_ms", found)
    return found


@pytest.fixture
def wire() -> _Venue:
    return _Venue()


def _markets(wire: _Venue, cache: LocalCache) -> Markets:
    return Markets(Gateway(wire, IpBudget(LocalBudget(), "h")), cache, URL)


def _numbers(markets: Markets) -> dict[str, int]:
    listing = markets.listing()
    assert isinstance(listing, Listing)
    assert set(listing.assets) == set(listing.markets)
    return dict(listing.assets)


def _without(*names: str) -> Any:
    return {"universe": [row for row in GOOD["universe"] if row["name"] not in names]}


ALL = {name: number for number, name in enumerate(NAMES)}
SHORT = _without("BTC")
SHIFTED = {name: number for number, name in enumerate(NAMES[1:])}


@pytest.mark.parametrize(
    "change",
    [{"maxLeverage": 0}, {"maxLeverage": None}, {"szDecimals": "1e400"}, {"szDecimals": -3}, {"szDecimals": 9},
     {"szDecimals": 2.5}, {"name": None}, {"name": ""}, {"name": "BTC"}],
)  # fmt: skip
def test_an_odd_row_takes_its_own_coin_away_and_no_other(wire: _Venue, clock: _Clock, change: dict[str, Any]) -> None:
    wire.meta = copy.deepcopy(GOOD)
    wire.meta["universe"][1] |= change
    gone = {"ETH"} | ({"BTC"} if change.get("name") == "BTC" else set())
    markets = _markets(wire, LocalCache())
    assert _numbers(markets) == {name: number for name, number in ALL.items() if name not in gone}
    wire.meta = GOOD
    clock.ms += FIRST_MS
    assert _numbers(markets) == ALL


@pytest.mark.parametrize("meta", [{"universe": []}, {"universe": [{}]}, {"universe": [1, None]}, {}, [], None])
def test_a_list_of_nothing_is_none_and_is_kept_by_nobody(wire: _Venue, clock: _Clock, meta: Any) -> None:
    wire.meta, cache = meta, LocalCache()
    assert _markets(wire, cache).listing() is None
    wire.meta = GOOD
    assert _numbers(_markets(wire, cache)) == ALL


def test_the_first_list_is_read_again_soon_and_then_kept_for_hours(wire: _Venue, clock: _Clock) -> None:
    cache = LocalCache()
    first, second = _markets(wire, cache), _markets(wire, cache)
    for markets in (first, second, first):
        assert _numbers(markets) == ALL
    assert wire.asked == 1
    clock.ms += FIRST_MS
    for markets in (first, second, _markets(wire, cache)):
        assert _numbers(markets) == ALL
    assert wire.asked == 2
    clock.ms += CACHED_MS - 1
    for markets in (first, second, _markets(wire, cache)):
        assert _numbers(markets) == ALL
    assert wire.asked == 2
    clock.ms += RELOAD_MS
    assert _numbers(first) == ALL
    assert wire.asked == 3


def test_other_numbers_than_those_held_are_believed_once_the_venue_says_so_again(wire: _Venue, clock: _Clock) -> None:
    markets = _markets(wire, LocalCache())
    wire.meta = SHORT  # the very first one cannot be told: nothing is known to hold it against
    assert _numbers(markets) == SHIFTED
    wire.meta = GOOD
    clock.ms += FIRST_MS
    assert _numbers(markets) == SHIFTED
    assert _numbers(markets) == SHIFTED
    assert wire.asked == 2, "and it is not asked again at every call"
    clock.ms += RETRY_MS
    assert _numbers(markets) == ALL


@pytest.mark.parametrize("bad", [SHORT, _without("ETH"), _without(NAMES[-1]), {"universe": GOOD["universe"][::-1]}])
def test_a_bad_list_does_not_take_the_place_of_a_good_one(
    wire: _Venue, clock: _Clock, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache = LocalCache()
    markets = _markets(wire, cache)
    assert _numbers(markets) == ALL
    wire.meta = bad
    clock.ms += FIRST_MS
    assert _numbers(markets) == ALL
    assert "asset numbers" in caplog.text
    wire.meta = GOOD
    clock.ms += RETRY_MS
    assert _numbers(markets) == ALL
    wire.meta = bad  # the doubt of before is forgotten
    clock.ms += CACHED_MS + RELOAD_MS
    assert _numbers(markets) == ALL


def test_a_new_process_holds_the_list_against_what_was_known_before(wire: _Venue, clock: _Clock) -> None:
    cache = LocalCache()
    _numbers(_markets(wire, cache))
    wire.meta = SHORT
    clock.ms += 10 * CACHED_MS
    markets = _markets(wire, cache)
    assert markets.listing() is None
    wire.meta = GOOD
    clock.ms += RETRY_MS
    assert _numbers(markets) == ALL


def test_a_new_process_goes_by_what_was_known_while_the_venue_does_not_answer(wire: _Venue, clock: _Clock) -> None:
    cache = LocalCache()
    _numbers(_markets(wire, cache))
    wire.meta = None
    clock.ms += 10 * CACHED_MS
    markets = _markets(wire, cache)
    assert _numbers(markets) == ALL
    assert _numbers(markets) == ALL
    assert wire.asked == 2, "and it is not asked again at every call"
    wire.meta = GOOD
    clock.ms += FIRST_MS
    assert _numbers(markets) == ALL
    assert wire.asked == 3


@pytest.mark.parametrize(("then", "numbers"), [(GOOD, ALL), (SHORT, SHIFTED)])
def test_what_another_process_believed_is_one_reading(
    wire: _Venue, clock: _Clock, then: Any, numbers: dict[str, int]
) -> None:
    cache = LocalCache()
    markets = _markets(wire, cache)
    assert _numbers(markets) == ALL
    clock.ms += FIRST_MS // 2
    for name in ("", ":young"):
        cache.save(f"markets:hyperliquid:{URL}{name}", "", 0)  # the store lost it, and another process is told other
    wire.meta = SHORT
    assert _numbers(_markets(wire, cache)) == SHIFTED
    wire.meta = then
    clock.ms += FIRST_MS // 2
    assert _numbers(markets) == numbers
    assert wire.asked == 3
    assert _numbers(_markets(wire, cache)) == numbers
    assert wire.asked == 3


_ABSURD = '[{"name": "BTC", "szDecimals": 5, "maxLeverage": 0}]'


@pytest.mark.parametrize("text", ["", "x", "{}", "[]", "[1]", "null", '[{"name": "BTC"}]', _ABSURD])
def test_a_kept_list_that_cannot_be_read_is_none(wire: _Venue, clock: _Clock, text: str) -> None:
    cache = LocalCache()
    _numbers(_markets(wire, cache))
    cache.save(f"markets:hyperliquid:{URL}", text, CACHED_MS)
    assert _numbers(_markets(wire, cache)) == ALL
    assert wire.asked == 2


def test_an_odd_row_takes_no_mark_of_another_coin_away() -> None:
    meta = {"universe": [{"name": "BTC", "szDecimals": None}, {"name": "ETH", "maxLeverage": 0}]}
    assert context_mark([meta, [{"markPx": "95000.0"}, {"markPx": "3000.0"}]], "ETH") == "3000.0"
