"""The in-process desk of the integration tests, real engine, gateway and venue over HTTP, at a quicker venue."""

from dataclasses import replace

import pytest

from tests.audit.promise import set_lag
from tests.integration.engine.conftest import Desk
from tests.integration.engine.conftest import market as desk_market

__all__ = ["desk_market"]


@pytest.fixture
def market(desk_market: Desk) -> Desk:
    """A desk on a fresh paper venue whose prices stand still and which shows at once what it did.

    Nearly all that these tests take is waiting until nothing can appear any more, or until patience is over.
    """
    rules = replace(desk_market.ports.rules, naked_limit_ms=1_200, fired_patience_ms=800)
    desk_market.ports = replace(desk_market.ports, rules=rules)
    set_lag(desk_market, 200)
    return desk_market
