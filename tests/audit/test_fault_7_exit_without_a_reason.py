"""Fault 7: why a trade ended was told by its price alone, within half a percent; what slipped farther was unknown."""

import pytest

from stopkeeper.engine import desk as asks
from stopkeeper.engine.sweep import sweep
from tests.audit.promise import SIZES, over
from tests.integration.engine.conftest import Desk

LOST = "the ledger tells of another exit than there was"


def booked(market: Desk, symbol: str, reason: str) -> None:
    sweep(market.ports)
    told = market.until_booked().exit
    assert told.reason == reason, f"{LOST}: {told.reason}, {told.evidence}"
    over(market, reason, symbol)


@pytest.mark.parametrize(
    ("symbol", "side", "mark"),
    [("BTC", "long", "91500"), ("BTC", "short", "98600"), ("ETH", "long", "3270"), ("SOL", "long", "173")],
)
def test_a_stop_that_slipped_is_a_stop(market, symbol, side, mark):
    """Lost: the price fell through the stop by more than half a percent, and the exit counted as unknown."""
    market.submit(symbol, side, size=SIZES[symbol])
    market.until_phase("protected", symbol)
    market.mark(mark, symbol)
    booked(market, symbol, "stop_loss")


def test_a_target_that_was_overshot_is_a_target(market):
    """Lost: the market jumped 1.5 % beyond the target, to the trader's good, and nobody knew why the trade ended."""
    market.submit(target="5%")
    market.until_phase("protected")
    market.mark("101300")
    booked(market, "BTC", "take_profit")


def test_a_close_by_hand_near_the_stop_is_no_stop(market):
    """Lost: a person closed 0.2 % above the stop; the nearest price said stop loss."""
    market.submit()
    market.until_phase("protected")
    market.mark("93290")
    asks.ask_close(market.key(), market.ports)
    booked(market, "BTC", "manual_close")


def test_a_stop_is_told_by_its_id_where_the_record_was_lost(market):
    """Lost: with the state file gone, the price was the only evidence left."""
    market.submit()
    before = market.world.save_point()
    market.until_phase("protected")
    market.mark("91500")
    market.world.go_back(before)
    market.ports.wakes.wake(market.key(), "the store went back")
    booked(market, "BTC", "stop_loss")
