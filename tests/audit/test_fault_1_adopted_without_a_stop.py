"""Fault 1: a position without a record of ours was adopted, and nobody asked whether its stop exists."""

import pytest

from stopkeeper.engine.sweep import sweep
from tests.audit.promise import REPAIRED_MS, SIZES, kept, naked
from tests.integration.engine.conftest import Desk

LOST = "was adopted and is held without a stop"


def covered_after_a_sweep(market: Desk, symbol: str) -> None:
    sweep(market.ports)
    market.until(lambda: not naked(market, symbol), 2, f"{symbol} {LOST}")
    kept(market, symbol, naked_ms=REPAIRED_MS)


@pytest.mark.parametrize("symbol", SIZES)
@pytest.mark.parametrize("side", ["long", "short"])
def test_a_position_no_record_tells_of_gets_a_whole_stop(market, symbol, side):
    """Lost: a SOL position found without its state file was taken over as it was, and ran naked."""
    assert market.rows() == {}  # the venue funds an account when it is first asked about
    market.hand(symbol, side=side, size=SIZES[symbol])
    covered_after_a_sweep(market, symbol)


@pytest.mark.parametrize("symbol", SIZES)
def test_a_position_whose_record_and_stop_are_both_gone_gets_a_stop(market, symbol):
    """Lost: the record went with a restart, the stop by the venue; adoption trusted that one still stood."""
    before = market.world.save_point()
    market.submit(symbol, size=SIZES[symbol])
    market.until_phase("protected", symbol)
    market.world.go_back(before)
    market.hand(symbol, cancel="stops")
    covered_after_a_sweep(market, symbol)


def test_a_stop_that_covers_a_part_of_what_is_found_is_not_taken_for_cover(market):
    """Lost: there was a stop, and more was held than it closes."""
    assert market.rows() == {}
    market.hand(side="long", size="0.02")
    market.hand(place={"kind": "stop", "side": "short", "size": "0.005", "price": "93000"})
    covered_after_a_sweep(market, "BTC")
