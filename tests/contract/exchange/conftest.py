"""A paper venue over real HTTP, and accounts on it."""

import json
import secrets
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from exchange.account import VenueAccount
from exchange.budget import LocalBudget, LocalCache
from exchange.hyperliquid import Hyperliquid
from exchange.nonces import LocalNonces
from exchange.paper.inprocess import start_in_thread
from exchange.signing import SecretKey
from stopkeeper.engine.ports import Permit, Times, Urgency


class Paper:
    """The running venue with its control API."""

    def __init__(self, url: str, control_url: str) -> None:
        self.url, self._control_url = url, control_url
        self.cache = LocalCache()

    def control(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._control_url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def fault(self, kind: str, **more: Any) -> None:
        self.control("/faults", {"kind": kind, **more})

    def account(self, **more: Any) -> VenueAccount:
        key = more.pop("key", None) or SecretKey(secrets.token_hex(32))
        wallet = more.pop("wallet_address", key.address)
        return VenueAccount("main", "hyperliquid", "paper", wallet, key, base_url=self.url, **more)

    def open(self, account: VenueAccount | None = None, **times: int) -> Hyperliquid:
        venue = Hyperliquid(account or self.account(), Times(**times), LocalNonces(), LocalBudget(), self.cache)
        venue.holdings(Urgency.PROTECTIVE)  # funds the account, measures the clock
        return venue


def permit(venue: Hyperliquid, **more: Any) -> Permit:
    found = venue.permit(Urgency.PROTECTIVE, venue.now_ms() + 9_000, **more)
    assert isinstance(found, Permit)
    return found


@pytest.fixture(scope="module")
def running() -> Iterator[Paper]:
    with start_in_thread(prices="still") as (where, _server):
        yield Paper(where.url, where.control_url)


@pytest.fixture
def paper(running: Paper) -> Iterator[Paper]:
    yield running
    running.control("/faults", method="DELETE")
