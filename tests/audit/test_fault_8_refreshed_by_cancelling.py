"""Fault 8: the refresh of a stop cancelled the old one, sent the new one and never looked whether it stood."""

from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.engine import desk as asks
from stopkeeper.engine.sweep import sweep
from tests.audit.promise import SIZES, calmly, kept, orders
from tests.integration.engine.conftest import Desk

LOST = "the position stood without a stop while it was replaced"
NEARER = {"BTC": "94000", "ETH": "3370", "SOL": "178"}


def protected(market: Desk, symbol: str = "BTC", **wish: str) -> None:
    market.submit(symbol, size=SIZES[symbol], **wish)
    market.until_phase("protected", symbol)


def replaced(market: Desk, symbol: str, price: str) -> None:
    """Wait until one stop stands, where it was wanted; there was always one."""

    def there() -> bool:
        return [order.trigger for order in orders(market, symbol)] == [Decimal(price)]

    market.until(calmly(lambda: bool(market.witness(symbol)["naked_intervals"]) or there()))
    assert market.witness(symbol)["naked_intervals"] == [], LOST
    kept(market, symbol)


@pytest.mark.parametrize("symbol", SIZES)
def test_the_new_stop_stands_before_the_old_one_goes(market, symbol):
    """Lost: between the cancel and the new stop the position was naked, each time, on every refresh."""
    protected(market, symbol)
    asks.move_stop(market.key(symbol), Decimal(NEARER[symbol]), market.ports)
    replaced(market, symbol, NEARER[symbol])


@pytest.mark.parametrize("kind", ["refuse_stop", "drop_answer", "refuse_before", "cancel_stop"])
def test_a_replacement_that_fails_leaves_the_old_stop_standing(market, kind):
    """Lost: the new stop was refused, never arrived, or went at once; the old one had been cancelled before."""
    market.ports = replace(market.ports, rules=replace(market.ports.rules, retry_ms=500))
    protected(market)
    market.fault(kind, "stop", **({"text": "Order could not be placed."} if kind == "refuse_stop" else {}))
    asks.move_stop(market.key(), Decimal(94000), market.ports)
    replaced(market, "BTC", "94000")


def test_a_refresh_of_a_stop_that_stands_well_touches_nothing(market):
    """Lost: a stop was cancelled and placed again for no other reason than that time had passed."""
    protected(market)
    before = orders(market)
    market.until(lambda: market.ports.venue.now_ms() > market.ports.records.load(market.key()).quiet_ms)
    for _ in range(3):
        sweep(market.ports)
        market.ports.wakes.wake(market.key(), "refresh")
        market.tick()
    assert market.witness()["naked_intervals"] == [], LOST
    assert orders(market) == before, LOST
    kept(market)
