"""A small installation for one scene at a time: Redis, paper venue, beat and feed stand; workers come and go.

Unlike a stack nothing here is started again by itself: a scene says who lives when.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kombu.exceptions import OperationalError

from stopkeeper.core.ids import decode
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Key
from stopkeeper.engine.ports import Ports
from tasks import queues
from tests.chaos.dying_worker import VARIABLE
from tests.chaos.launch import installed
from tests.chaos.nursery import Born, Nursery
from tests.chaos.stack import MAIN, Stack
from tests.chaos.striking import Orders
from workers.alive import signs
from workers.embedded import Embedded
from workers.settings_load import load
from workers.wiring import System, opened

BORN_S = 30.0


def until(true: Callable[[], Any], seconds: float, pause_s: float = 0.05) -> bool:
    """Wait until something is true; return whether it became so in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True


@dataclass
class Cell:
    """One installation, its venue, and the workers of the scene that is on."""

    stack: Stack
    system: System
    nursery: Nursery
    redis: Embedded
    workers: list[Born] = field(default_factory=list)
    feeds: list[Born] = field(default_factory=list)
    played: int = 0

    @property
    def folder(self) -> Path:
        return self.stack.folder

    @property
    def ports(self) -> Ports:
        return self.system.ports(MAIN)

    # workers ----------------------------------------------------------------------------------------------------------
    def worker(self, name: str, orders: Orders | None = None) -> Born:
        """Start a worker of all queues and wait until it has said that it lives; with orders it strikes."""
        words = ["worker", "--queues", ",".join(queues.QUEUES), "--concurrency", "8", "--name", name]
        self.workers.append(self._start(name, words, orders))
        return self.workers[-1]

    def feed(self, orders: Orders | None = None) -> Born:
        """Start a feed; with orders it is the only one, leads, and strikes."""
        if orders is not None:
            self.end_feeds()
        self.feeds.append(self._start("feed", ["feed"], orders))
        return self.feeds[-1]

    def end_workers(self) -> None:
        """End every worker as a crash would, and every feed but the last."""
        for each in self.workers:
            each.end()
        self.workers.clear()
        self.end_feeds(1)

    def end_feeds(self, left: int = 0) -> None:
        while len(self.feeds) > left:
            self.feeds.pop(0).end()

    def _start(self, name: str, words: list[str], orders: Orders | None) -> Born:
        env = {VARIABLE: "" if orders is None else str(orders.folder)}
        born = self.nursery.start(words, self.folder, self.folder / f"{name}.log", **env)
        said = until(lambda: any(sign.pid == born.pid for sign in signs(self.system.store)), BORN_S)
        assert said, f"{name} does not live: {self.folder / f'{name}.log'}"
        return born

    # what others do ---------------------------------------------------------------------------------------------------
    def publish(self, task: str, *arguments: str, **wish: Any) -> None:
        """Publish a task as another program does."""
        with contextlib.suppress(OperationalError):
            self.system.app.send_task(task, arguments, wish, queue=queues.ROUTES[task], retry=False)

    def signal(self, symbol: str, **wish: Any) -> None:
        """Send a signal as a task; sent again it is the same signal."""
        self.publish(queues.OPEN_TRADE, MAIN, symbol, "long", **wish)

    def mark(self, symbol: str) -> float:
        return float(self.stack.get("/mark")[symbol])

    def push(self, symbol: str, price: float, hold_ms: int) -> None:
        """Push a mark and hold it."""
        self.stack.post("/mark", symbol=symbol, price=f"{price:.5g}", hold_ms=hold_ms)

    def silence_redis(self) -> None:
        """Let Redis answer nobody until it is heard again."""
        os.kill(self.redis.pid, signal.SIGSTOP)

    def hear_redis(self) -> None:
        os.kill(self.redis.pid, signal.SIGCONT)

    # what is seen -----------------------------------------------------------------------------------------------------
    def book(self, symbol: str) -> dict[str, Any]:
        """Return what the witness knows of a symbol."""
        nothing = {"entries_by_signal": {}, "naked_intervals": [], "realized_pnl": 0, "fees": 0}
        return dict(self.stack.witness().get(symbol) or nothing | {"duplicates": 0, "flips": 0, "non_reduce_only": 0})

    def venue_ms(self) -> int:
        """Return the venue's time, whatever skew it has."""
        return int(self.stack.get("/health")["time_ms"])

    def naked(self, symbol: str) -> bool:
        return any(each["to_ms"] is None for each in self.book(symbol)["naked_intervals"])

    def ours(self, symbol: str) -> list[dict[str, Any]]:
        """Return our live orders on a symbol, as the venue shows them."""
        return [row for row in self.stack.orders() if row["coin"] == symbol and decode(row.get("cloid")) is not None]

    def protected(self, symbol: str) -> bool:
        """Return whether a position is held and covered at the venue."""
        return symbol in self.stack.held() and not self.naked(symbol)

    def lines(self, symbol: str) -> list[LedgerLine]:
        return [line for line in self.ports.ledger.lines(MAIN) if line.trade.key.symbol == symbol]

    def unrest(self, symbol: str) -> list[str]:
        """Return what keeps a key from being flat, booked, let go and due no more."""
        key, found = Key(MAIN, symbol), []
        if symbol in self.stack.held():
            found.append("a position is held")
        found += [f"our order {row['oid']} is live" for row in self.ours(symbol)]
        record = self.ports.records.load(key)
        found += [f"trade {record.trade.id} is open"] if record.trade else []
        found += [f"trade {trade.id} settles" for trade in record.settling]
        found += [f"{owner} holds its lease" for held, owner, _, _ in self.ports.leases.holders() if held == key]
        found += [f"it is due in {ms} ms" for due, ms in self.ports.wakes.overdue() if due == key]
        return found


@contextlib.contextmanager
def cell(folder: Path, nursery: Nursery, *, seed: int) -> Iterator[Cell]:
    """Start Redis, the paper venue, beat and feed of a fresh installation; end them, and every worker, in the end."""
    stack, held = installed(folder, seed=seed), contextlib.ExitStack()
    with held:
        data = folder / "stopkeeper-data"
        redis = Embedded(data)
        redis.start()
        held.callback(redis.stop)
        with opened(load(folder / "stopkeeper.toml")) as system:
            for words in (_paper(stack, seed), ["beat"]):
                born = nursery.start(words, folder, folder / f"{words[0]}.log")
                held.callback(born.end)
                if words[0] == "paper":
                    assert until(lambda: _listens(stack), BORN_S), folder / "paper.log"
            made = Cell(stack, system, nursery, redis)
            held.callback(made.end_feeds)
            held.callback(made.end_workers)
            held.enter_context(stack.unmetered())
            made.feed()
            assert until(lambda: any(sign.process == "beat" for sign in signs(system.store)), BORN_S), folder
            yield made


def _paper(stack: Stack, seed: int) -> list[str]:
    port, control = (url.rpartition(":")[2] for url in (stack.url, stack.control))
    return ["paper", "--port", port, "--control-port", control, "--prices", "walk", "--seed", str(seed)]


def _listens(stack: Stack) -> bool:
    with contextlib.suppress(OSError):
        stack.get("/health")
        return True
    return False
