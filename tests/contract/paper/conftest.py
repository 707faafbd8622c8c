"""A venue for foreign clients: ccxt, ccxt.pro, hyperliquid-python-sdk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchange.paper.inprocess import start_in_thread
from exchange.paper.options import PaperOptions
from tests.unit.paper.helpers import ADDRESS, Client


@pytest.fixture
def venue() -> Iterator[Client]:
    """A fresh venue whose account exists; marks move only by hand."""
    with start_in_thread(PaperOptions(port=0, control_port=0, prices="still", tick_ms=20)) as (where, _server):
        made = Client(where)
        made.info("clearinghouseState", user=ADDRESS)
        yield made
