"""The whole venue without sockets under a clock of the test's own: a month in a second, nothing reads real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import Any

import pytest

from exchange.paper import hyperliquid, info
from exchange.paper.hyperliquid import Signed, perform
from exchange.paper.knobs import Knobs
from exchange.paper.prices import Still
from exchange.paper.symbols import listing
from exchange.paper.venue import HOUR_MS, Venue
from tests.unit.paper.helpers import USER, order, row, stop_row, trigger

START_MS = 1_640_995_200_000  # 2022-01-01
DAY_MS = 24 * HOUR_MS


class Driver:
    """Virtual time: a clock, a heap of what is due, and a venue between them."""

    def __init__(self, **knobs: Any) -> None:
        self.us = START_MS * 1000
        self.due: list[tuple[int, int, Callable[[], None]]] = []
        self.number = count()
        names = frozenset((*info.ANSWERS, *hyperliquid.ACTIONS))
        self.venue = Venue(listing(["BTC", "ETH"]), Knobs(**knobs), Still(), names, clock_us=lambda: self.us)
        self.venue.later = self.later
        self.account = self.venue.seen(USER)

    def later(self, delay_ms: int, act: Callable[[], None]) -> None:
        heappush(self.due, (self.us + delay_ms * 1000, next(self.number), act))

    def run(self, until_ms: int, step_ms: int = 60_000) -> None:
        """Tick every so often, and run what falls due between two ticks at its own time."""
        while self.us < until_ms * 1000:
            then = self.us + step_ms * 1000
            while self.due and self.due[0][0] <= then:
                at_us, _, act = heappop(self.due)
                self.us = max(self.us, at_us)
                act()
            self.us = then
            self.venue.tick(step_ms / 1000)

    def act(self, action: dict[str, Any], nonce: int) -> dict[str, Any]:
        """Let a signed action land; the signature is the sockets' matter."""
        kind = action["type"]
        signed = Signed(action, kind, nonce, None, USER, USER, None, frozenset({kind}), frozenset(), 1)
        return perform(self.venue, signed)

    def read(self, kind: str, **more: Any) -> Any:
        return info.answer(self.venue, {"type": kind, "user": USER, **more})


@pytest.fixture(autouse=True)
def _no_other_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise AssertionError("something read the machine's clock")

    monkeypatch.setattr(time, "time_ns", refuse)
    monkeypatch.setattr(time, "time", refuse)


def test_a_month_of_hours_pays_funding_and_makes_bars() -> None:
    driver = Driver(funding_rate=Decimal("0.0001"))
    driver.act({"type": "order", "orders": [row("buy", "0.01", "99000")], "grouping": "na"}, START_MS)
    driver.run(START_MS + 31 * DAY_MS, 10 * 60_000)
    paid = driver.read("userFunding", startTime=START_MS)
    assert len(driver.account.fundings) == 31 * 24
    assert paid[0]["time"] == START_MS + HOUR_MS
    assert paid[1]["time"] - paid[0]["time"] == HOUR_MS
    assert {entry["delta"]["usdc"] for entry in paid} == {"-0.095"}
    bars = driver.read("candleSnapshot", req={"coin": "BTC", "interval": "1h", "startTime": START_MS})
    assert bars[-1]["t"] == START_MS + 31 * DAY_MS
    assert [b["t"] - a["t"] for a, b in pairwise(bars)] == [HOUR_MS] * (len(bars) - 1)


def test_a_step_of_many_hours_pays_each_of_them_once() -> None:
    driver = Driver(funding_rate=Decimal("0.0001"))
    driver.act({"type": "order", "orders": [row("buy", "0.01", "99000")], "grouping": "na"}, START_MS)
    driver.run(START_MS + 5 * HOUR_MS, 5 * HOUR_MS)
    assert [entry.time_ms - START_MS for entry in driver.account.fundings] == [n * HOUR_MS for n in range(1, 6)]


def test_a_scheduled_cancel_comes_at_its_time_and_nonces_and_agents_follow_the_clock() -> None:
    driver = Driver()
    driver.account.volume = Decimal(2_000_000)
    resting = row("buy", "0.01", "90000", tif="Gtc")
    assert driver.act({"type": "order", "orders": [resting], "grouping": "na"}, START_MS)["status"] == "ok"
    assert "too early" in driver.act({"type": "scheduleCancel", "time": START_MS + 4999}, START_MS + 1)["response"]
    driver.act({"type": "scheduleCancel", "time": START_MS + 90_000}, START_MS + 2)
    driver.run(START_MS + 60_000)
    assert len(driver.read("openOrders")) == 1
    driver.run(START_MS + 120_000)
    assert driver.read("openOrders") == []
    assert driver.account.history[-1].status == "scheduledCancel"
    driver.run(START_MS + 3 * DAY_MS, HOUR_MS)
    assert "too low" in driver.act({"type": "noop"}, START_MS + 3)["response"]
    driver.venue.add_agent(driver.account, "0x" + "9" * 40, "bot", START_MS + 4 * DAY_MS)
    assert driver.venue.signs_for("0x" + "9" * 40, driver.venue.now_ms()) is driver.account
    driver.run(START_MS + 4 * DAY_MS, HOUR_MS)
    assert driver.venue.signs_for("0x" + "9" * 40, driver.venue.now_ms()) is None


def test_faults_with_delays_and_late_reads_strike_at_their_virtual_time() -> None:
    driver = Driver(order_lag_ms=2000)
    faults = driver.venue.faults
    faults.add({"kind": "cancel_stop", "delay_ms": 1500}, driver.venue.now_ms())
    orders = [row("buy", "0.01", "99000"), stop_row("sell", "0.01", "93000", "84000")]
    driver.act({"type": "order", "orders": orders, "grouping": "na"}, START_MS)
    assert driver.read("frontendOpenOrders") == []  # a late read
    driver.run(START_MS + 1000, 500)
    assert len(driver.account.orders) == 1
    driver.run(START_MS + 3000, 500)
    assert not driver.account.orders
    assert len(driver.read("frontendOpenOrders")) == 1  # as of 2 s ago
    driver.run(START_MS + 10_000, 500)
    intervals = driver.venue.witness.as_json(driver.venue.now_us())[USER]["BTC"]["naked_intervals"]
    assert intervals == [{"from_ms": START_MS + 1500, "to_ms": None, "size": "0.01"}]
    skew = faults.add({"kind": "clock_skew", "skew_ms": 3 * HOUR_MS, "delay_ms": 60_000}, driver.venue.now_ms())
    assert driver.venue.now_ms() == START_MS + 10_000 + 3 * HOUR_MS
    driver.run(START_MS + 80_000, 500)
    assert driver.venue.now_ms() == START_MS + 80_000
    assert skew.id in faults.rules


def test_a_fired_stop_is_held_for_virtual_seconds() -> None:
    driver = Driver()
    driver.venue.faults.add({"kind": "stop_no_fill", "delay_ms": 2000, "then": "fill"}, START_MS)
    driver.venue.market.place(USER, [order("buy", "0.01"), trigger("sell", "0.01", "93000")], "na", START_MS)
    driver.venue.push_mark("BTC", Decimal(92_900), None)
    driver.run(START_MS + 1500, 500)
    assert driver.account.positions
    driver.run(START_MS + 2500, 500)
    assert not driver.account.positions
