"""Fault 2: the fill of a market order was looked for once, after a fixed sleep, and then taken as absent."""

import pytest

from stopkeeper.engine.desk import Submitted
from tests.audit.promise import SIZES, kept, show_late
from tests.integration.engine.conftest import Desk

LOST = "the position is not tracked as its signal's"


def tracked(market: Desk, signal: Submitted, symbol: str = "BTC") -> None:
    """Require that what the entry opened belongs to its trade: protected, entered once, not given up."""
    row = market.until_phase("protected", symbol)
    assert row.trade_id == signal.trade_id, f"{LOST}: {market.ports.records.signal(signal.trade_id)}"
    market.until(lambda: market.ports.records.load(market.key(symbol)).trade.entered_ms is not None)
    kept(market, symbol)
    assert market.ports.records.signal(signal.trade_id).state == "open", LOST


@pytest.mark.parametrize("symbol", SIZES)
def test_an_order_that_fills_after_it_was_looked_for_is_found(market, symbol):
    """Lost: the venue took 700 ms, the look after the timeout found nothing, and a real position was nobody's."""
    market.fault("late_processing", "entry", delay_ms=700)
    tracked(market, market.submit(symbol, size=SIZES[symbol]), symbol)


def test_an_order_whose_answer_is_lost_at_a_venue_that_shows_late_is_found(market):
    """Lost: filled at once, shown 400 ms later; asked in between, the venue truthfully knew nothing of it."""
    show_late(market, 400, monotonic=True)
    market.fault("drop_answer", "entry")
    tracked(market, market.submit())


def test_no_number_of_looks_proves_that_an_order_is_absent(market):
    """Lost: three looks, 200, 300 and 300 ms apart, are no better than one at a venue that needs 1.2 s."""
    show_late(market, 1_200, monotonic=True)
    market.fault("drop_answer", "entry")
    tracked(market, market.submit())
