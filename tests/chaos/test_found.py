"""What chaos found, each reduced to the fewest steps on the in-process desk: real engine, gateway and venue."""

import time
from dataclasses import replace
from typing import Any

from exchange.budget import IP_CAPACITY, IpBudget
from exchange.hyperliquid import Hyperliquid
from stopkeeper.engine import showing
from tests.integration.engine.conftest import Desk


def budget(market: Desk) -> IpBudget:
    venue: Any = market.ports.venue
    assert isinstance(venue, Hyperliquid)
    return venue.budget


def drain(market: Desk) -> None:
    """Spend the weight of this minute, as a minute of many closes does: 5 are left, enough to read the positions."""
    limit = budget(market)
    limit.add(IP_CAPACITY - 5 - limit.used())


def test_a_drained_budget_refills_and_the_close_is_booked(market: Desk) -> None:
    """One look needs 42 at once; a key that looks again every half second takes 22 of it as soon as they are there."""
    market.submit()
    market.until_phase("protected")
    drain(market)
    market.hand(close=True)
    market.ports.wakes.mark_due(market.key(), 0)
    market.until_booked(seconds=15)  # 42 are there after 2.1 s: one key, and nobody else who spends


def test_blind_keys_do_not_starve_a_naked_one(market: Desk) -> None:
    """Two closed keys that wait for their fills spend what the third needs to see that its stop is gone."""
    for symbol, size in (("BTC", "0.01"), ("ETH", "0.1"), ("SOL", "2")):
        market.submit(symbol, size=size)
    for symbol in ("BTC", "ETH", "SOL"):
        market.until_phase("protected", symbol)
    drain(market)
    for symbol in ("BTC", "ETH"):
        market.hand(symbol, close=True)
        market.ports.wakes.mark_due(market.key(symbol), 0)
    market.hand("SOL", cancel="stops")
    market.ports.wakes.mark_due(market.key("SOL"), 0)
    end = time.monotonic() + 15
    while time.monotonic() < end and market.witness("SOL")["naked_intervals"][-1]["to_ms"] is None:
        market.tick()
        time.sleep(0.02)
    assert market.witness("SOL")["naked_ms"] < 5_000, market.story()[-20:]


def test_audit_calls_what_it_could_not_read_blind_and_not_naked(market: Desk) -> None:
    """It says "no stop is live" of a protected position whose orders it could not read."""
    market.submit()
    market.until_phase("protected")
    drain(market)
    kinds = {breach.kind for breach in showing.audit(market.ports)}
    assert kinds == {"blind"}


def long_lag(market: Desk) -> None:
    """Give the venue the lag that Hyperliquid is taken to have, instead of the desk's shortened one."""
    venue: Any = market.ports.venue
    venue.can = replace(venue.can, lag_ms=3_000)


def test_a_young_stop_that_was_seen_and_is_canceled_is_replaced_at_once(market: Desk) -> None:
    """Read back as live, then gone: a second reduce-only stop is litter at worst, waiting out the lag is naked time."""
    long_lag(market)
    market.submit()
    market.until_phase("protected")
    market.hand(cancel="stops")
    market.ports.wakes.mark_due(market.key(), 0)
    market.until(lambda: market.witness()["naked_intervals"][-1]["to_ms"] is not None)
    assert market.witness()["naked_ms"] < 1_000


def test_a_young_stop_that_fires_and_is_rejected_does_not_keep_the_position_for_a_lag(market: Desk) -> None:
    """The mark is beyond the stop and no order stands: every look until the lag is over only waits."""
    long_lag(market)
    market.submit()
    row = market.until_phase("protected")
    assert row.stop_price is not None
    market.fault("stop_no_fill", then="reject")
    market.mark(str(int(row.stop_price) - 100))
    market.ports.wakes.mark_due(market.key(), 0)
    market.until(lambda: market.witness()["naked_intervals"][-1]["to_ms"] is not None)
    assert market.witness()["naked_ms"] < 1_500
