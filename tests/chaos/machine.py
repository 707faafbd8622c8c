"""What is done to the machine: processes killed and frozen, Redis ended, messages lost, connections cut, two of a kind.

Nothing here touches the venue. Only processes that the stack started are ever signalled.
"""

import contextlib
import random
import signal
import threading
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from redis import Redis
from redis.exceptions import RedisError

from stopkeeper.store.embedded import discover
from tasks import queues
from tests.chaos.stack import Stack, now_ms

STOPPED_S = 12.0  # longer than a lease
TOGETHER_S = 20.0  # longer than the lock of a beat that was killed
STOLEN_S = 3  # a queue that is idle so long loses nothing
KILLED = ("urgent-1", "orders-1", "orders-2", "beat", "feed")


@dataclass(frozen=True)
class Event:
    """Something that was done: when, what, to which account and symbol (none: to all), and how long it works on."""

    at_ms: float
    kind: str
    symbol: str | None = None
    lasts_ms: float = 0.0
    note: str = ""
    account: str | None = None


@dataclass
class Machine:
    """Breaks the machine and notes what was done."""

    stack: Stack
    random: random.Random
    events: list[Event]
    name: str = "s"
    signals: int = 0
    drawn: str | None = None
    _timers: list[threading.Timer] = field(default_factory=list)
    _frozen: set[str] = field(default_factory=set)

    def note(self, kind: str, symbol: str | None = None, lasts_ms: float = 0.0, note: str = "") -> None:
        self.events.append(Event(now_ms(), kind, symbol, lasts_ms, note, self.drawn))

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        def quietly() -> None:
            with contextlib.suppress(OSError, urllib.error.URLError):
                what()

        self._timers = [each for each in self._timers if each.is_alive()]
        timer = threading.Timer(seconds, quietly)
        self._timers.append(timer)
        timer.start()

    def finish(self) -> None:
        """Wait for what was put off."""
        for timer in self._timers:
            timer.join()

    def kill(self) -> None:
        name = self.random.choice(KILLED)
        if name not in self._frozen and self.stack.strike(name, signal.SIGKILL):
            self.note("kill", lasts_ms=12_000, note=name)

    def freeze(self) -> None:
        name = self.random.choice(KILLED[:3])
        if name in self._frozen:
            return
        pid = self.stack.strike(name, signal.SIGSTOP)
        if pid is not None:
            self._frozen.add(name)
            self.note("freeze", lasts_ms=STOPPED_S * 1000, note=name)

            def thaw() -> None:
                if self.stack.children().get(name) == pid:
                    self.stack.strike(name, signal.SIGCONT)
                self._frozen.discard(name)

            self.later(STOPPED_S, thaw)

    def kill_redis(self) -> None:
        if self.stack.strike("redis", signal.SIGKILL):
            self.note("kill_redis", lasts_ms=10_000)

    def restart_redis(self) -> None:
        """End the server in good order; the supervisor starts it again."""
        if self.stack.strike("redis", signal.SIGTERM):
            self.note("restart_redis", lasts_ms=10_000)

    def cut(self) -> None:
        """Cut every connection to Redis."""
        with self._redis() as client:
            if client is not None:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                self.note("cut", lasts_ms=5_000)

    def lose_message(self) -> None:
        """Take the next message out of a queue and drop it: workers wait there too, so stand in line with them."""

        def steal() -> None:
            with self._redis(STOLEN_S + 2) as client:
                taken = None if client is None else client.blpop([queues.URGENT, queues.ORDERS], STOLEN_S)
                if taken is not None:
                    self.events.append(Event(now_ms(), "lost_message", lasts_ms=10_000, note=str(taken[0])))

        self.later(0.0, steal)

    def two(self) -> None:
        """Let two beats or two feeds run at once for a while; the second ends as the first does, by a kill."""
        kind = self.random.choice(("beat", "feed"))
        if self.stack.second(kind):
            self.note(f"two_{kind}s", lasts_ms=TOGETHER_S * 1000)
            self.later(TOGETHER_S, lambda: self.stack.end_second(kind))

    @contextlib.contextmanager
    def _redis(self, timeout_s: float = 2.0) -> Iterator[Redis | None]:
        url = discover(self.stack.folder / "stopkeeper-data")
        with contextlib.suppress(RedisError):
            if url is None:
                yield None
                return
            with Redis.from_url(url, socket_timeout=timeout_s, decode_responses=True) as client:
                yield client
