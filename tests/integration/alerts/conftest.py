"""A service of our own to send alerts to: real HTTP on this machine, which can refuse or hang."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from workers.alerts import Pace

TOKEN = "SECRETTOKEN"
PACE = Pace(poll_s=0.02, answer_s=1.0, tries=3, backoff_s=0.02)


class Receiver:
    """An HTTP server that keeps what it was sent. ``answer`` is its status; ``gate`` shut = no answer at all."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.refused = 0
        self.answers: list[int] = []  # of the next requests; then 200
        self.gate = Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://user:{TOKEN}@127.0.0.1:{self._server.server_port}/"

    @property
    def texts(self) -> list[str]:
        return [each["message"] for each in self.got]

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                login = base64.b64decode(self.headers["authorization"].partition(" ")[2]).decode()
                receiver.gate.wait(60)
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status == 200:
                    receiver.got.append({**body, "login": login})
                else:
                    receiver.refused += 1
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a service that takes everything."""
    each = Receiver()
    yield each
    each.close()


@pytest.fixture
def other() -> Iterator[Receiver]:
    """Return a second service."""
    each = Receiver()
    yield each
    each.close()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Return the URL of a port that refuses: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"json://user:{TOKEN}@127.0.0.1:{bound.getsockname()[1]}/"


async def until(done: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it never came to be"
        await asyncio.sleep(0.01)


def go(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(body)
