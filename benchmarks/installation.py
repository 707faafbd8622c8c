"""A whole installation as processes, as ``stopkeeper up`` runs it, its accounts at paper venues that are processes too.

What is done to it and what is asked of it while something is measured. Nothing here costs the venue a request but
``open``: records are read from the store, what happened from the venue's witness. Nothing here judges.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from benchmarks.setting import PaperProcess, login
from stopkeeper.core.model import Key
from stopkeeper.core.record import Trade
from stopkeeper.engine import desk
from stopkeeper.engine.ports import StoreGone
from workers.settings_load import load
from workers.wiring import System, opened, redis_url

INSTALLATION = "be4c3"
READY = "Everything runs"
START_S = 60.0
LOOK_S = 0.01


class Unmet(Exception):
    """What was waited for did not come."""


@dataclass(frozen=True)
class Account:
    """One account of the installation at its venue."""

    name: str
    address: str
    venue: PaperProcess

    def witness(self, symbol: str) -> dict[str, Any]:
        """Return what the venue's witness tells of a symbol, empty where nothing happened yet."""
        return dict(self.witnessed().get(symbol, {}))

    def witnessed(self) -> dict[str, dict[str, Any]]:
        """Return what the witness tells of every symbol."""
        return dict(self.venue.get("/witness").get(self.address, {}))

    def fault(self, kind: str, symbol: str | None = None, action: str | None = None, **more: Any) -> str:
        """Arrange a fault for this account and return its id."""
        match = {"account": self.address, "symbol": symbol, "action": action}
        posted = self.venue.post("/faults", kind=kind, match={k: v for k, v in match.items() if v is not None}, **more)
        return str(posted["id"])

    def push(self, symbol: str, mark: Decimal) -> float:
        """Move a mark and hold it there; return when (ms)."""
        at_ms = time.time() * 1000
        self.venue.post("/mark", symbol=symbol, price=str(mark), hold_ms=None)
        return at_ms


class Installation:
    """The running processes and the store behind them."""

    def __init__(self, folder: Path, accounts: Mapping[str, Account], system: System, pid: int) -> None:
        self.folder, self.accounts, self.system, self.pid = folder, dict(accounts), system, pid
        self._redis = redis_url(system.settings)

    def open(self, account: str, symbol: str, **wish: Any) -> None:
        """Submit a signal; the ticker finds it."""
        ports = self.system.ports(account)
        signal_asked = desk.parse_signal(
            account=account, symbol=symbol, side="long", now_ms=ports.venue.now_ms(), **{"stop": "2%", **wish}
        )
        desk.submit(signal_asked, ports)

    def trade(self, account: str, symbol: str) -> Trade | None:
        """Return the key's open trade, from the store alone."""
        return self.system.store.records.load(Key(account, symbol)).trade

    def protected(self, account: str, symbol: str) -> bool:
        """Tell whether a drive has seen the whole position covered."""
        trade = self.trade(account, symbol)
        return trade is not None and trade.covered and trade.stop_seen is not None and trade.naked_since_ms is None

    def free(self, account: str, symbol: str) -> bool:
        """Tell whether a new signal is taken on the key, and its first look may begin."""
        record = self.system.store.records.load(Key(account, symbol))
        return record.trade is None and record.quiet_ms < time.time() * 1000

    def until(self, done: Callable[[], object], what: str, seconds: float = 60.0, pause_s: float = LOOK_S) -> None:
        """Wait until something is so; what a store that is away cannot tell is not so yet.

        Raises Unmet with the end of the journal.
        """
        end = time.monotonic() + seconds
        while not _so(done):
            if time.monotonic() > end:
                raise Unmet(f"not within {seconds:.0f} s: {what}\n{self.story(60)}")
            time.sleep(pause_s)

    def forget_budgets(self) -> None:
        """Give every venue's minute back: a round of a measurement is an hour's work of a real account."""
        with Redis.from_url(self._redis) as redis:
            for key in redis.scan_iter("sk:budget*"):
                redis.delete(key)

    @contextmanager
    def unmetered(self) -> Iterator[None]:
        """Give the budgets back every half second: what is done in the block would take a real address far longer."""
        over = threading.Event()

        def forget() -> None:
            while not over.wait(0.5):
                with suppress(RedisError):  # away for a moment
                    self.forget_budgets()

        thread = threading.Thread(target=forget)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def journal(self, account: str, since_ms: float = 0.0, limit: int = 100_000) -> list[dict[str, str]]:
        """Return the lines of an account's journal since a time, oldest first."""
        after = f"{since_ms:.0f}-0" if since_ms else "0"
        found = self.system.store.journal.read(account, after, limit)
        return [{"at": at, **fields} for at, fields in found]

    def kinds(self, since_ms: float = 0.0) -> dict[str, int]:
        """Count the lines of all journals by kind."""
        lines = [line for name in self.accounts for line in self.journal(name, since_ms)]
        return dict(Counter(line.get("kind", "?") for line in lines).most_common())

    def story(self, last: int) -> str:
        """Return the last lines of all journals."""
        lines = [{"account": name, **line} for name in self.accounts for line in self.journal(name)]
        lines.sort(key=lambda line: line["at"])
        return "\n".join(" ".join(str(part) for part in line.values()) for line in lines[-last:])

    def keep(self) -> None:
        """Write the journals beside the logs, for who looks into a measurement afterwards."""
        with (self.folder / "journal.jsonl").open("w") as file:
            for name in self.accounts:
                file.writelines(json.dumps({"account": name, **line}) + "\n" for line in self.journal(name))


@contextmanager
def up(config: Path) -> Iterator[int]:
    """Run all processes of a configuration until the block ends, and yield their supervisor's id. Raises Unmet."""
    path = config.parent / "up.log"
    with path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.main", "up", "--config", str(config)],
            cwd=Path(__file__).parents[1],
            env={name: value for name, value in os.environ.items() if not name.startswith("STOPKEEPER__")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + START_S
        while READY not in path.read_text():
            if process.poll() is not None or time.monotonic() > end:
                raise Unmet(f"the installation did not start within {START_S:.0f} s:\n{path.read_text()}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            process.kill()  # its children are tied to it and end too
            process.wait()


@contextmanager
def installed(
    folder: Path,
    venues: Mapping[str, PaperProcess],
    symbols: Mapping[str, Sequence[str]],
    stops: str = "",
    *,
    more: str = "[flower]\nenabled = false",
    processes: Callable[[Path], AbstractContextManager[int]] = up,
) -> Iterator[Installation]:
    """Run an installation with an account at each venue until the block ends.

    ``stops`` are lines of ``[stops]``, ``more`` further sections; ``processes`` runs what belongs to a configuration.
    """
    folder.mkdir(parents=True)
    accounts = {name: _account(name, venue) for name, venue in venues.items()}
    lines = f"[stops]\n{stops}\n{more}"
    config = _configure(folder, {name: (at, key) for name, (at, key) in accounts.items()}, symbols, lines)
    with processes(config) as pid, opened(load(config)) as system:
        made = Installation(folder, {name: at for name, (at, _) in accounts.items()}, system, pid)
        try:
            yield made
        finally:
            with suppress(StoreGone):  # then what ended the block is what matters
                made.keep()


def _account(name: str, venue: PaperProcess) -> tuple[Account, str]:
    address, secret = login()
    venue.post("/accounts", address=address, balance="1000000")
    return Account(name, address.lower(), venue), secret


def _configure(
    folder: Path, accounts: Mapping[str, tuple[Account, str]], symbols: Mapping[str, Sequence[str]], more: str
) -> Path:
    lines = [f'installation = "{INSTALLATION}"', "[redis]", 'url = "embedded"', f'data_dir = "{folder / "data"}"']
    for name, (at, secret) in accounts.items():
        key = folder / f"{name}.key"
        key.touch(mode=0o600)
        key.write_text(secret)
        lines += [f"[accounts.{name}]", 'venue = "hyperliquid"', 'mode = "live"', f'wallet_address = "{at.address}"']
        lines += [f'private_key_file = "{key}"', f'base_url = "{at.venue.url}"', "leverage = 5"]
        lines += [f"symbols = {json.dumps(list(symbols[name]))}"]
    lines += [more]
    config = folder / "stopkeeper.toml"
    config.write_text("\n".join(lines) + "\n")
    return config


def _so(done: Callable[[], object]) -> bool:
    try:
        return bool(done())
    except StoreGone:
        return False
