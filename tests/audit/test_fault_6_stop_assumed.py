"""Fault 6: the position was opened, its stop was sent, and that the stop stood was assumed."""

import pytest

from tests.audit.promise import REPAIRED_MS, SIZES, kept, naked
from tests.integration.engine.conftest import Desk

LOST = "is held without the stop that was assumed to stand"


def stops_stand(market: Desk, symbol: str) -> None:
    market.until(lambda: bool(market.witness(symbol)) and not naked(market, symbol), 2, f"{symbol} {LOST}")
    market.until_phase("protected", symbol)
    kept(market, symbol, naked_ms=REPAIRED_MS)


@pytest.mark.parametrize("symbol", SIZES)
def test_a_stop_that_was_refused_is_placed_again(market, symbol):
    """Lost: the entry was taken and its stop refused; the flow reported an open position and went home."""
    market.fault("refuse_stop", text="Order could not be placed.")
    market.submit(symbol, size=SIZES[symbol])
    stops_stand(market, symbol)


@pytest.mark.parametrize("symbol", SIZES)
def test_an_accepted_stop_is_read_back_before_it_is_believed(market, symbol):
    """Lost: the stop was acked, and gone before anybody looked."""
    market.fault("cancel_stop", delay_ms=0)
    market.submit(symbol, size=SIZES[symbol])
    stops_stand(market, symbol)


def test_a_stop_whose_answer_was_lost_is_looked_for_and_placed_if_it_is_not_there(market):
    """Lost: neither leg was answered, the entry was found, and of the stop nobody asked."""
    market.fault("drop_answer", "entry")
    market.fault("refuse_stop", text="Order could not be placed.")
    market.submit()
    stops_stand(market, "BTC")
