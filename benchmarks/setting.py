"""What is measured against: paper venues in processes of their own, real Redis, fresh accounts."""

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from eth_account import Account

from exchange.account import VenueAccount
from exchange.signing import SecretKey
from exchange.venues import open_venue
from stopkeeper.core.rules import Rules
from stopkeeper.engine import desk
from stopkeeper.engine.ports import Ports, Times
from stopkeeper.store.connect import open_store
from stopkeeper.store.embedded import EmbeddedServer


@dataclass(frozen=True)
class PaperProcess:
    """A paper venue that runs."""

    url: str
    control: str

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.control + path, timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            self.control + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        request = urllib.request.Request(self.control + path, method="DELETE")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def requests(self) -> int:
        """Return how many requests the venue has had."""
        return int(self.get("/stats")["requests"]["total"])

    def marks(self) -> dict[str, str]:
        return dict(self.get("/mark"))


@contextmanager
def paper(latency_ms: int, prices: str = "still", symbols: Sequence[str] = ()) -> Iterator[PaperProcess]:
    """Run a paper venue on free ports; ``symbols`` instead of those it lists by itself, as ``--symbols`` takes them."""
    command = [sys.executable, "-m", "exchange.paper", "--port", "0", "--control-port", "0", "--ready-json"]
    command += ["--prices", prices, "--latency-ms", str(latency_ms)]
    command += ["--symbols", ",".join(symbols)] if symbols else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        ready = next(json.loads(line) for line in process.stdout if line.startswith("{"))
        yield PaperProcess(ready["url"], ready["control_url"])
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """Yield a new directory to keep, or one that is gone afterwards."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def login() -> tuple[str, str]:
    """Return a fresh address and its key."""
    secret = "0x" + secrets.token_hex(32)
    return str(Account.from_key(secret).address), secret


class Bench:
    """An engine on real Redis at a venue, and a second account for the bare script."""

    account = "bench"

    def __init__(self, venue: PaperProcess, data_dir: Path) -> None:
        self.venue = venue
        self.server = EmbeddedServer(data_dir)

    def __enter__(self) -> Self:
        self.server.start()
        self.store = open_store(self.server.url, installation="be4c1")
        address, secret = login()
        self.bare_address, self.bare_secret = login()
        for each in (address, self.bare_address):
            self.venue.post("/accounts", address=each, balance="1000000")
        times, symbols = Times(), tuple(self.venue.marks())
        login_at = VenueAccount(
            self.account, "hyperliquid", "live", address, SecretKey(secret), base_url=self.venue.url, symbols=symbols
        )
        store = self.store
        at = open_venue(login_at, times, store.nonces, store.budget, store.texts)
        self.ports = Ports(
            account=self.account,
            installation="be4c1",
            symbols=symbols,
            rules=Rules(),
            times=times,
            venue=at,
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
        at.markets()
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self.server.stop()

    def submit(self, symbol: str, size: str) -> None:
        """Put a signal on disk; its own looks are not part of what is measured, so they are made too old."""
        signal = desk.parse_signal(
            account=self.account, symbol=symbol, side="long", size=size, stop="2%", now_ms=self.ports.venue.now_ms()
        )
        desk.submit(signal, self.ports)
        self.ports.prices.put(self.account, {symbol: Decimal(self.venue.marks()[symbol])})
        self.age_looks()

    def age_looks(self) -> None:
        """Forget the shared look, so that the next drive makes its own reads."""
        from redis import Redis

        with Redis.from_url(self.server.url) as redis:
            for key in redis.scan_iter("sk:look*"):
                redis.delete(key)

    def forget_budget(self) -> None:
        """Empty the rate budget's account: the venue's limit of a minute is not what is measured."""
        from redis import Redis

        with Redis.from_url(self.server.url) as redis:
            for key in redis.scan_iter("sk:budget*"):
                redis.delete(key)


def at_least_one(text: str) -> int:
    """Return a count given on a command line. Raises ArgumentTypeError where nothing would be done by it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"at least 1 (got {text})")
    return int(text)
