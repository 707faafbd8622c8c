"""Shared by the gateway's tests: recorded replies, and a real HTTP server whose answers a test scripts."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from exchange.account import VenueAccount
from exchange.budget import LocalBudget, LocalCache
from exchange.hyperliquid import Hyperliquid
from exchange.nonces import LocalNonces
from exchange.signing import SecretKey
from stopkeeper.engine.ports import Times

FIXTURES = Path(__file__).parents[2] / "fixtures" / "hyperliquid"
KEY = "0123456789012345678901234567890123456789012345678901234567890123"
Answer = tuple[int, str] | None
CONNECTION_CUT = None


def recorded(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(), parse_float=Decimal)["reply"]


class WireServer:
    """Answers POSTs by a function (path, body) -> (status, text), or cuts the connection on None; counts them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.connections = 0
        self.answer: Callable[[str, dict[str, Any]], Answer] = self.ordinary
        self.by_kind: dict[str, Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # one packet an answer

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, body))
                answer = outer.answer(self.path, body)
                if answer is None:
                    self.close_connection = True
                    return
                data = answer[1].encode()
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(data)))
                if answer[0] in (301, 302, 303, 307, 308):
                    self.send_header("Location", "/exchange")  # a follower would send the order twice
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.002,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def ordinary(self, path: str, body: dict[str, Any]) -> Answer:
        kind = body.get("type") or body["action"]["type"]
        if kind in self.by_kind:
            found = self.by_kind[kind]
            return 200, json.dumps(found(body) if callable(found) else found)
        if kind == "clearinghouseState":
            state = recorded("clearinghouse_state") | {"time": time.time_ns() // 1_000_000}
            return 200, json.dumps(state, default=str)
        plain = {"meta": "meta", "userRateLimit": "user_rate_limit", "updateLeverage": "exchange_default"}
        return 200, json.dumps(recorded(plain[kind]), default=str)

    def kinds(self) -> list[str]:
        return [body.get("type") or body["action"]["type"] for _, body in self.asked]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)


@pytest.fixture
def server() -> Iterator[WireServer]:
    wire = WireServer()
    yield wire
    wire.stop()


@pytest.fixture
def account(server: WireServer) -> VenueAccount:
    key = SecretKey(KEY)
    return VenueAccount("main", "hyperliquid", "paper", key.address, key, base_url=server.url)


@pytest.fixture
def venue(account: VenueAccount) -> Hyperliquid:
    return Hyperliquid(account, Times(http_ms=600), LocalNonces(), LocalBudget(), LocalCache())
