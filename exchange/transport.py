"""ccxt as transport: one ccxt object and one keep-alive session a thread, the raw answer kept. No venue's words.

ccxt objects are not thread safe. Keys never enter one: what is sent is signed before it gets here.
"""

import http.client
import io
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import requests
import urllib3

MAX_BYTES = 32 * 1024 * 1024
_DRIPS = "the answer did not end in time"
_BROKE = "the answer broke off"
_silent = logging.getLogger("exchange.ccxt")
_silent.disabled = True  # ccxt logs whole requests at debug level, signatures included


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as it came: HTTP status, text, and its JSON with every number exact (None where it is none)."""

    status: int
    text: str
    body: Any


class Sends(Protocol):
    """Whatever sends one request and remembers what came back."""

    def post(self, section: str, path: str, body: Mapping[str, Any]) -> None:
        """Send one request. Raises ccxt's exceptions; the answer, if any came, is in ``heard`` all the same."""

    def heard(self) -> Heard | None:
        """Return the answer to this thread's last request, or None where none came."""


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def parse_json(text: str) -> Any:
    """Parse JSON with Decimals for fractions. Raises ValueError, also for NaN and Infinity."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


_until = threading.local()  # ``at``: when this thread's request has to be over, in monotonic seconds


class _InTime(io.RawIOBase):
    """What a socket receives, for as long as there is time: a socket's own timeout begins anew with every byte."""

    def __init__(self, sock: socket.socket, received: io.RawIOBase) -> None:
        self._sock, self._received = sock, received
        self._silence, self._until = sock.gettimeout() or math.inf, float(_until.at)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(_DRIPS)
        self._sock.settimeout(min(left, self._silence))
        return self._received.readinto(buffer)

    def close(self) -> None:
        self._received.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_InTime(sock, self.fp.detach()))


class _Plain(urllib3.HTTPConnectionPool):
    class ConnectionCls(urllib3.connection.HTTPConnection):
        response_class = _Answer


class _Secure(urllib3.HTTPSConnectionPool):
    class ConnectionCls(urllib3.connection.HTTPSConnection):
        response_class = _Answer


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Plain, "https": _Secure}


class Session(requests.Session):
    """A session that sends exactly one request a call, and gives up after the timeout even on a dripping answer."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # no proxy and no netrc from whatever environment this runs in
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def request(self, method: str, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send one request. A redirect is an answer, never followed: following one would send an order twice."""
        total = float(options.pop("timeout"))
        # a third for the connection, two for the first of the answer: a silent server cannot outlast the total
        options |= {"timeout": (total / 3, total * 2 / 3), "allow_redirects": False, "stream": True}
        _until.at = time.monotonic() + total
        response = super().request(method, url, *args, **options)
        response.raw = io.BytesIO(_drained(response))
        return response


def _drained(response: requests.Response) -> bytes:
    """Read a body to its end. Raises requests' own exceptions when it drips past the time, breaks or is too large."""
    data = bytearray()
    try:
        while piece := response.raw.read1(65536, decode_content=True):
            data += piece
            if len(data) > MAX_BYTES:
                response.close()
                raise requests.ReadTimeout(_DRIPS)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout(_DRIPS) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(_BROKE) from error
    return bytes(data)


def hearing(base: type[Any]) -> type[Any]:
    """Return a ccxt exchange class that remembers its last answer and does nothing behind anybody's back."""

    class Hearing(base):  # type: ignore[misc]
        heard: Heard | None = None

        def initialize_client(self) -> bool:
            """Send nothing: ccxt would approve a builder fee, set a referrer and ask for the account's abstraction."""
            return True

        def on_rest_response(self, code: int, *answer: Any) -> str:
            text = str(answer[4]).strip()
            try:
                body = parse_json(text)
            except ValueError:
                body = None
            self.heard = Heard(code, text, body)
            return text

        def parse_json(self, _text: str) -> Any:
            body = self.heard.body if self.heard is not None else None
            return body if isinstance(body, dict | list) else None

    return Hearing


class CcxtTransport:
    """Sends through one ccxt object a thread, made on first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._local = make, threading.local()

    def _exchange(self) -> Any:
        if not hasattr(self._local, "exchange"):
            self._local.exchange = self._make()
        return self._local.exchange

    def post(self, section: str, path: str, body: Mapping[str, Any]) -> None:
        """Send one request. Raises ccxt's exceptions."""
        exchange = self._exchange()
        exchange.heard = None
        exchange.request(path, [section], "POST", body)

    def heard(self) -> Heard | None:
        """Return the answer to this thread's last request, or None where none came."""
        answer: Heard | None = self._exchange().heard
        return answer


def ccxt_options(base_url: str, http_ms: int) -> dict[str, Any]:
    """Return what every ccxt object here is made with: its server, its timeout, its own throttle off, no key."""
    return {
        "enableRateLimit": False,
        "timeout": http_ms,
        "session": Session(),
        "logger": _silent,
        "urls": {"api": {"public": base_url, "private": base_url}},
    }
