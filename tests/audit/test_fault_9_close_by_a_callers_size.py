"""Fault 9: a second emergency close took its size from whoever called it. It had been written apart from the first."""

from decimal import Decimal

import pytest

from stopkeeper.core.actions import Flatten
from stopkeeper.engine import desk as asks
from stopkeeper.engine import drive as drives
from stopkeeper.engine import guardian as guardians
from tests.audit.promise import before_the, closes, over
from tests.integration.engine.conftest import Desk
from tests.integration.engine.test_guardian import Post, entered

LOST = "the close was of the size its caller knew"


def add_by_hand(market: Desk) -> None:
    market.hand(side="long", size="0.02")


def whole(market: Desk) -> None:
    """Require that the first close was of all three hundredths: the entry's and what a person added."""
    assert closes(market)[0] == Decimal("0.03"), f"{LOST}: {closes(market)}"


@pytest.mark.parametrize("path", ["halt", "flatten", "time limit"])
def test_whoever_asks_for_a_close_names_no_size(market, monkeypatch, path):
    """Lost: the caller had read 0.01 before a person added 0.02; a third was closed, and the flow ended there."""
    market.submit(time_limit="300ms" if path == "time limit" else None)
    market.until_phase("protected")
    before_the(Flatten, drives, monkeypatch, lambda: add_by_hand(market))
    if path == "halt":
        asks.halt(market.ports)
    elif path == "flatten":
        asks.flatten(market.ports)
    market.until(lambda: bool(closes(market)), 5)
    whole(market)
    over(market, "time_limit" if path == "time limit" else "manual_close", naked_ms=1_000)


def test_the_second_emergency_path_reads_the_size_as_the_first_does(market, monkeypatch):
    """Lost: the flow that closes without records sent the size of the record it remembered."""
    post = entered(Post(market))
    post.lose()
    post.rounds()
    before_the(Flatten, guardians, monkeypatch, lambda: add_by_hand(market))
    market.hand(cancel="stops")
    market.mark("92500")
    post.until(lambda: bool(closes(market)))
    whole(market)
    post.back()
    line = over(market, "emergency_exit", naked_ms=3_000)
    assert line.exit.size == Decimal("0.03")
