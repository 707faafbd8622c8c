"""The real engine and gateway over real HTTP to a paper venue of its own; only the store is the memory twin."""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal

import pytest
from eth_account import Account
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from exchange.account import VenueAccount
from exchange.paper.inprocess import start_in_thread
from exchange.signing import SecretKey
from exchange.venues import open_venue
from stopkeeper.core.actions import Again, Rest
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Key
from stopkeeper.core.report import PositionRow
from stopkeeper.core.rules import Rules
from stopkeeper.engine import desk, showing
from stopkeeper.engine.drive import drive
from stopkeeper.engine.ports import LeaseLost, Ports, Times
from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld

# The same order as the real table, shortened so that proofs of absence take a second instead of eight.
TIMES = Times(http_ms=600, deadline_ms=800, lease_ms=3_000, claim_ms=400)
LAG_MS = 500
RULES = Rules(confirm_ms=(200, 300, 300, 500), naked_limit_ms=2_000, incomplete_after_ms=3_000)


@dataclass
class Desk:
    """One account at a paper venue, with what a test does to both."""

    ports: Ports
    url: str
    control: str
    address: str
    world: MemoryWorld

    def key(self, symbol: str = "BTC") -> Key:
        return Key(self.ports.account, symbol)

    def post(self, path: str, /, **body: Any) -> Any:
        request = urllib.request.Request(
            self.control + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.control + path, timeout=5) as answer:
            return json.load(answer)

    def fault(self, kind: str, action: str | None = None, **more: Any) -> str:
        match = {"account": self.address, **({"action": action} if action else {})}
        return str(self.post("/faults", kind=kind, match=match, **more)["id"])

    def hand(self, symbol: str = "BTC", **what: Any) -> Any:
        return self.post("/hand", account=self.address, symbol=symbol, **what)

    def mark(self, price: str, symbol: str = "BTC") -> None:
        self.post("/mark", symbol=symbol, price=price, hold_ms=None)

    def witness(self, symbol: str = "BTC") -> dict[str, Any]:
        return dict(self.get("/witness").get(self.address.lower(), {}).get(symbol, {}))

    def submit(self, symbol: str = "BTC", side: str = "long", **more: Any) -> desk.Submitted:
        """Submit a signal, again where the door could not read the venue: a busy machine may keep an answer waiting."""
        door = Retrying(
            retry=retry_if_exception_type(desk.VenueAway), wait=wait_fixed(0.5), stop=stop_after_delay(8), reraise=True
        )
        return door(lambda: self.submit_once(symbol, side, **more))

    def submit_once(self, symbol: str = "BTC", side: str = "long", **more: Any) -> desk.Submitted:
        wish: dict[str, Any] = {"size": "0.01", "stop": "2%", **more}
        signal = desk.parse_signal(
            account=self.ports.account, symbol=symbol, side=side, now_ms=self.ports.venue.now_ms(), **wish
        )
        return desk.submit(signal, self.ports)

    def tick(self) -> list[Rest | Again | None]:
        """Drive what is due, as a ticker and its workers would."""
        ends: list[Rest | Again | None] = []
        for key in self.ports.wakes.claim(10, self.ports.times.claim_ms):
            try:
                ends.append(drive(key, self.ports))
            except LeaseLost:
                ends.append(None)
        return ends

    def until(self, done: Callable[[], bool], seconds: float = 10, why: str = "it never came to be") -> None:
        """Tick until something holds; fails with ``why`` and the journal where it never does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tick()
            if done():
                return
            time.sleep(0.02)
        lines = self.ports.journal.read(self.ports.account, "0", 200)
        story = "\n".join(f"{f.get('symbol')} {f.get('kind')}: {f.get('text')}" for _, f in lines)
        pytest.fail(f"{why}; rows {self.rows()}; the journal:\n{story}")

    def rows(self) -> dict[str, PositionRow]:
        return {row.symbol: row for row in showing.positions(self.ports)}

    def phase(self, symbol: str = "BTC") -> str:
        row = self.rows().get(symbol)
        return str(row.phase) if row else "none"

    def until_phase(self, phase: str, symbol: str = "BTC", seconds: float = 10) -> PositionRow:
        self.until(lambda: self.phase(symbol) == phase, seconds)
        return self.rows()[symbol]

    def until_booked(self, count: int = 1, seconds: float = 10) -> LedgerLine:
        self.until(lambda: len(self.ports.ledger.lines(self.ports.account)) >= count, seconds)
        return self.ports.ledger.lines(self.ports.account)[count - 1]

    def story(self) -> list[str]:
        return [f"{f['kind']}: {f['text']}" for _, f in self.ports.journal.read(self.ports.account, "0", 500)]


@pytest.fixture
def market() -> Iterator[Desk]:
    """A desk on a fresh paper venue whose prices stand still."""
    with start_in_thread(prices="still") as (where, _server):
        yield open_desk(where.url, where.control_url)


@pytest.fixture
def elsewhere(market: Desk) -> Iterator[Desk]:
    """A desk at a server that speaks only what ccxt asks for; anything else is a 422, as for an unknown type."""
    asked_by_ccxt = (
        "meta", "spotMeta", "metaAndAssetCtxs", "perpDexs", "allMids", "clearinghouseState", "openOrders",
        "frontendOpenOrders", "orderStatus", "historicalOrders", "userFills", "userFillsByTime", "userFunding",
        "l2Book", "candleSnapshot", "userFees",
    )  # fmt: skip

    class Narrow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/info" and json.loads(body)["type"] not in asked_by_ccxt:
                status, answer = 422, b"Failed to deserialize the JSON body into the target type"
            else:
                request = urllib.request.Request(market.url + self.path, body, {"content-type": "application/json"})
                try:
                    with urllib.request.urlopen(request, timeout=5) as reply:
                        status, answer = reply.status, reply.read()
                except urllib.error.HTTPError as refused:
                    status, answer = refused.code, refused.read()
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Narrow)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield open_desk(f"http://127.0.0.1:{server.server_port}", market.control, mode="live")
    finally:
        server.shutdown()
        server.server_close()


def open_desk(url: str, control: str, mode: Literal["paper", "live"] = "paper") -> Desk:
    """Open a new account at a venue and everything a drive of it needs."""
    secret = "0x" + secrets.token_hex(32)
    address = str(Account.from_key(secret).address)
    world = MemoryWorld(clock=lambda: int(time.time() * 1000))
    store = memory_store(world, installation="a1b2c", boot="b1", times=TIMES)
    account = VenueAccount(
        "main", "hyperliquid", mode, address, SecretKey(secret), base_url=url, symbols=("BTC", "ETH", "SOL")
    )
    venue = open_venue(account, TIMES, store.nonces, store.budget, store.texts)
    venue.can = replace(venue.can, lag_ms=LAG_MS)
    ports = Ports(
        account="main",
        installation="a1b2c",
        symbols=account.symbols,
        rules=RULES,
        times=TIMES,
        venue=venue,
        leases=store.leases,
        records=store.records,
        wakes=store.wakes,
        journal=store.journal,
        ledger=store.ledger,
        looks=store.looks,
        prices=store.prices,
        flags=store.flags,
        gaps=store.gaps,
    )
    return Desk(ports, url, control, address, world)


__all__ = ["Decimal", "Desk", "open_desk"]
