"""Fault 4: the emergency close sent the size the stream had last told, not the one the venue held at that moment."""

from decimal import Decimal

import pytest

from stopkeeper.core.actions import Flatten
from stopkeeper.engine import desk as asks
from stopkeeper.engine import drive as drives
from tests.audit.promise import SIZES, before_the, closes, held, over
from tests.integration.engine.conftest import Desk

LOST = "the close was of another size than what was held"


def protected(market: Desk, symbol: str = "BTC", **wish: str) -> None:
    market.submit(symbol, **{"size": SIZES[symbol], **wish})
    market.until_phase("protected", symbol)


@pytest.mark.parametrize(("symbol", "beyond"), [("BTC", "93000"), ("ETH", "3300"), ("SOL", "175")])
def test_an_emergency_close_is_of_what_is_held_at_that_moment(market, monkeypatch, symbol, beyond):
    """Lost: a person had added to the position; the close was of the old size and left the rest without a stop."""
    protected(market, symbol)
    more = {"symbol": symbol, "side": "long", "size": SIZES[symbol]}
    before_the(Flatten, drives, monkeypatch, lambda: market.hand(**more))
    market.hand(symbol, cancel="stops")
    market.mark(beyond, symbol)
    market.ports.wakes.wake(market.key(symbol), "the price is beyond the stop")
    market.until(lambda: bool(closes(market, symbol)), 5)
    assert closes(market, symbol)[0] == 2 * Decimal(SIZES[symbol]), f"{LOST}: {closes(market, symbol)}"
    over(market, "emergency_exit", symbol, naked_ms=3_000)


def test_a_part_is_reckoned_from_what_is_held_at_that_moment(market, monkeypatch):
    """Lost: a quarter had just been closed by hand; half of the old size was closed after it, and too little stayed."""
    protected(market, size="0.02")
    before_the(Flatten, drives, monkeypatch, lambda: market.hand(side="short", size="0.005"))
    asks.ask_close(market.key(), market.ports, keep_fraction=Decimal("0.5"))
    market.until(lambda: len(closes(market)) == 2)
    assert held(market) == Decimal("0.01"), f"{LOST}: {closes(market)}"
    market.until_phase("protected")
    asks.ask_close(market.key(), market.ports)
    over(market, "manual_close")
