"""Limits at the door, over a real venue: from the books and the open P&L, the same after a restart."""

import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from stopkeeper.core.actions import Exit
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Key, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Origin, Trade
from stopkeeper.core.rules import Limits
from stopkeeper.engine import desk, showing
from stopkeeper.engine.ports import Ports, Venue
from stopkeeper.store.bundle import Store
from stopkeeper.store.connect import open_store
from stopkeeper.store.embedded import EmbeddedServer
from stopkeeper.store.memory.open import memory_store
from tests.integration.engine.conftest import RULES, TIMES, Desk

DAY_MS = 86_400_000


class Silent:
    """A venue whose positions cannot be read."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def holdings(self, _urgency: object) -> Unknown:
        return Unknown("timed out")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)


def bound(market: Desk, **limits: object) -> Desk:
    """Give the account limits."""
    market.ports = replace(market.ports, rules=replace(RULES, limits=Limits(**limits)))  # type: ignore[arg-type]
    return market


def book(ports: Ports, pnl: str, ago_ms: int = 0, number: int = 0, *, complete: bool = True) -> None:
    """Book a result as a drive would, closed so long ago."""
    key = Key(ports.account, f"S{number}")
    closed = ports.venue.now_ms() - ago_ms
    trade = Trade(f"{number:012x}", Origin.SIGNAL, key, Side.LONG, closed - 1_000)
    zero = Decimal(0)
    done = Exit(
        "stop_loss", "", (), None, None, zero, zero, zero, zero, Decimal(pnl), closed - 1_000, closed, complete=complete
    )
    lease = ports.leases.acquire(key)
    assert lease is not None
    ports.records.save(ports.records.load(key), lease, booked=LedgerLine(trade, done, 0, closed))
    ports.leases.abandon(lease, DAY_MS)


def refused(market: Desk, symbol: str = "BTC") -> desk.Refused:
    with pytest.raises(desk.Refused) as caught:
        market.submit(symbol)
    assert (caught.value.field, caught.value.value) == ("account", "main")
    return caught.value


def within_a_day(ports: Ports) -> None:
    """Wait past midnight where it is near, so that what closes in this test closes on one day of the venue."""
    while not 1_000 < ports.venue.now_ms() % DAY_MS < DAY_MS - 10_000:
        time.sleep(0.05)


def over(market: Desk, store: Store) -> Desk:
    """Put a desk's ports over another opening of a store, as a process that starts anew does."""
    parts = {
        name: getattr(store, name)
        for name in ("leases", "records", "wakes", "journal", "ledger", "looks", "prices", "flags")
    }
    return replace(market, ports=replace(market.ports, **parts))


def test_a_day_that_lost_the_limit_lets_nothing_in(market: Desk) -> None:
    bound(market, max_daily_loss=Decimal(200))
    within_a_day(market.ports)
    book(market.ports, "-150", number=1)
    market.submit("ETH")
    book(market.ports, "-50", number=2, complete=False)
    why = refused(market)
    assert why.reason == "200.00 USD were lost today (UTC), the account's limit is 200"
    assert why.hint == "wait for the next day, or raise the account's risk.max_daily_loss"
    assert str(refused(market)) == str(why), "the same sentence each time"
    market.until_phase("protected", "ETH")


def test_yesterday_is_not_counted_and_todays_profit_is(market: Desk) -> None:
    bound(market, max_daily_loss=Decimal(200))
    within_a_day(market.ports)
    book(market.ports, "-500", ago_ms=DAY_MS, number=1)
    book(market.ports, "-230", number=2)
    book(market.ports, "40", number=3)
    market.submit()
    market.until_phase("protected")


def test_an_open_loss_counts_against_the_day(market: Desk) -> None:
    bound(market, max_daily_loss=Decimal(20))
    market.submit("BTC", size="0.1", stop="5%")
    entry = market.until_phase("protected").entry_price
    assert entry is not None
    market.mark(f"{entry - 300:.0f}")
    showing.positions(market.ports)  # a look that shows it
    market.until(lambda: (market.rows()["BTC"].unrealized_pnl or 0) < -20)
    why = refused(market, "ETH")
    assert "of it on what is open, the account's limit is 20" in why.reason


def test_a_drawdown_lasts_until_it_is_counted_from_a_later_day(market: Desk) -> None:
    bound(market, max_drawdown=Decimal(100))
    book(market.ports, "60", ago_ms=9 * DAY_MS, number=1)
    book(market.ports, "-100", ago_ms=8 * DAY_MS, number=2)
    why = refused(market)
    assert why.reason == "the account's results are 100.00 USD below their peak, its limit is 100"
    assert "risk.drawdown_since" in why.hint
    since = (market.ports.venue.now_ms() // DAY_MS - 2) * DAY_MS
    bound(market, max_drawdown=Decimal(100), drawdown_since_ms=since).submit()
    bound(market, max_drawdown=Decimal(101)).submit("ETH")


def test_losses_in_a_row_cool_the_account_down_and_it_opens_by_itself(market: Desk) -> None:
    bound(market, cooldown_after=2, cooldown_ms=1_500)
    book(market.ports, "-1", number=1, ago_ms=60_000)
    market.submit("ETH")
    book(market.ports, "-1", number=2)
    why = refused(market)
    assert why.reason.startswith("the last 2 trades were losses: no entry before ")
    said = {why.reason}

    def let_in() -> bool:
        try:
            market.submit("BTC")
        except desk.Refused as again:
            said.add(again.reason)
            return False
        return True

    market.until(let_in, seconds=8)
    assert said == {why.reason}


def test_a_switch_is_named_before_a_limit(market: Desk) -> None:
    bound(market, max_drawdown=Decimal(1))
    book(market.ports, "-5", number=1)
    desk.pause(market.ports)
    assert (refused(market).reason, refused(market).hint) == (
        "the account is paused: no new entries",
        "run stopkeeper resume",
    )
    desk.resume(market.ports)
    assert "below their peak" in refused(market).reason


def test_a_limit_is_told_though_the_venue_is_silent(market: Desk) -> None:
    bound(market, max_drawdown=Decimal(100))
    market.ports = replace(market.ports, venue=cast(Venue, Silent(market.ports.venue)))
    with pytest.raises(desk.VenueAway):
        market.submit_once()
    book(market.ports, "-100", number=1)
    assert refused(market).reason.endswith("what is open could not be read and counts as 0")


def test_a_signal_accepted_before_is_still_the_same_signal(market: Desk) -> None:
    accepted = market.submit(signal_id="once")
    market.until_phase("protected")
    bound(market, max_drawdown=Decimal(1))
    book(market.ports, "-5", number=1)
    assert market.submit(signal_id="once").trade_id == accepted.trade_id
    assert "below their peak" in refused(market, "ETH").reason


def test_new_processes_over_the_same_store_refuse_the_same(market: Desk) -> None:
    bound(market, max_drawdown=Decimal(100), cooldown_after=1, cooldown_ms=60_000)
    book(market.ports, "-100", number=1)
    why = refused(market)
    later = memory_store(market.world, installation="a1b2c", boot="b2", times=TIMES)
    assert str(refused(over(market, later))) == str(why)


def test_a_server_started_anew_refuses_the_same(market: Desk, tmp_path: Path) -> None:
    bound(market, max_drawdown=Decimal(100))
    with EmbeddedServer(tmp_path / "data") as server:
        store = open_store(server.url, installation="a1b2c", times=TIMES)
        first = over(market, store)
        book(first.ports, "-100", number=1)
        why = refused(first)
        store.close()
    with EmbeddedServer(tmp_path / "data") as server:
        store = open_store(server.url, installation="a1b2c", times=TIMES)
        assert str(refused(over(market, store))) == str(why)
        store.close()
