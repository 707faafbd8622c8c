"""A venue that lies: single answers that are false, over real HTTP to the real engine."""

from dataclasses import replace
from typing import Any

import pytest

from exchange.budget import LocalBudget, LocalCache
from exchange.hyperliquid import Hyperliquid
from exchange.nonces import LocalNonces
from exchange.venues import open_venue
from tests.integration.engine.conftest import LAG_MS, TIMES, Desk

HOUR_MS = 3_600_000


def hold(market: Desk) -> None:
    """Hold a protected position that is older than any view, and than whatever was on its way."""
    market.submit()
    hold_on(market)


def hold_on(market: Desk) -> None:
    market.until_phase("protected")
    began = market.ports.venue.now_ms()
    market.until(lambda: market.ports.venue.now_ms() > began + 2 * LAG_MS)


def look(market: Desk, *whys: str) -> None:
    for why in whys or ("a person looks",):
        market.ports.wakes.wake(market.key(), why)
        market.tick()


def lie(market: Desk, path: str, value: Any, times: int = 1) -> None:
    market.fault("false_answer", "clearinghouseState", path=path, value=value, times=times)


NEW = {"assetPositions": [], "marginSummary": {"accountValue": "0.0", "totalNtlPos": "0.0"}, "withdrawable": "0.0"}


@pytest.mark.parametrize(
    ("path", "value"), [("", NEW), ("assetPositions", []), ("assetPositions.0.position.szi", "0.0")], ids=str
)
def test_one_answer_without_the_position_takes_no_stop_away(market: Desk, path: str, value: Any) -> None:
    """As of a server that has just begun, or that leaves out a part."""
    hold(market)
    lie(market, path, value if path else {**value, "time": market.ports.venue.now_ms()})
    look(market, "a lie", "the truth")
    market.until_phase("protected")
    assert not any(line.startswith("Cancel") for line in market.story()), market.story()
    assert market.witness()["naked_intervals"] == []


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, 10**18])
def test_one_answer_from_ahead_delays_no_stop(market: Desk, ahead_ms: int) -> None:
    hold(market)
    for _ in range(2):
        market.hand(cancel="stops")
        lie(market, "time", market.ports.venue.now_ms() + ahead_ms)
        look(market, "the stop is gone")
        market.until_phase("protected", seconds=5)
    assert all(each["to_ms"] - each["from_ms"] < 2_000 for each in market.witness()["naked_intervals"])


def test_what_a_process_wrote_whose_first_answer_was_from_ahead_delays_no_other(market: Desk) -> None:
    """Nothing is known then that it could be held to: it is what is kept of it that must not last."""
    hold(market)
    market.hand(cancel="stops")
    right = market.ports
    assert isinstance(right.venue, Hyperliquid)
    other = open_venue(right.venue.account, TIMES, LocalNonces(), LocalBudget(), LocalCache())
    other.can = right.venue.can
    misled = replace(market, ports=replace(right, venue=other))
    lie(market, "time", right.venue.now_ms() + HOUR_MS)
    look(misled, "the stop is gone")
    trade = right.records.load(market.key()).trade
    assert trade is not None
    assert trade.stop_tried_ms > right.venue.now_ms() + HOUR_MS - 10_000, "it was misled"
    market.hand(cancel="stops")
    look(market, "a worker whose clock is right")
    market.until_phase("protected", seconds=5)
    trade = right.records.load(market.key()).trade
    assert trade is not None
    assert trade.stop_tried_ms <= right.venue.now_ms()


def test_answers_from_ahead_prove_no_entry_absent(market: Desk) -> None:
    """It lands within its deadline, and a look that seemed later had denied it: the next attempt would be another."""
    market.fault("late_processing", "entry", delay_ms=750, how="close")
    market.submit()
    match = {"account": market.address, "action": "clearinghouseState", "nth": 2}  # from the look after it was sent
    ahead_ms = market.ports.venue.now_ms() + 3_500
    market.post("/faults", kind="false_answer", match=match, path="time", value=ahead_ms, times=2)
    hold_on(market)
    assert market.witness()["duplicates"] == 0
    assert list(market.witness()["entries_by_signal"].values()) == [1]


@pytest.mark.parametrize("code", [200, 504])
@pytest.mark.parametrize(
    "words", [{"status": "unknownOid"}, {"status": "err", "response": "Insufficient margin to place order. asset=0"}]
)
def test_what_is_no_answer_of_the_venue_refuses_no_entry(market: Desk, code: int, words: dict[str, str]) -> None:
    """Its words are known to ccxt; a key that is free while the first entry is in would take a second one."""
    if code == 200 and words["status"] == "err":
        words = {"error": words["response"]}  # an answer of the venue's own form would be one
    market.fault("false_answer", "entry", value=words, code=code)
    market.submit(signal_id="first")
    hold_on(market)
    assert not any("refused" in line for line in market.story()), market.story()
    assert market.rows()["BTC"].trade_id == market.submit(signal_id="first").trade_id
    assert market.witness()["duplicates"] == 0
