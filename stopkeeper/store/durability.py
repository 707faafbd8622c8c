"""On disk or not: what is demanded of the server, how a write is confirmed, what doctor reports about it.

A confirmation travels in the same pipeline as its write, because WAITAOF speaks of its own connection's writes only.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from redis.exceptions import ResponseError

from stopkeeper.engine.ports import StoreGone

WAIT_MS = 2_000  # well inside the socket's timeout, or a short confirmation would look like a dead server
NO_FILE = (
    "Redis keeps no append-only file, so nothing it accepts would survive a crash: "
    "set `appendonly yes` and `appendfsync always`"
)
NO_EVICTION = "noeviction"
EVICTS = (
    "Redis throws keys away when its memory is full (maxmemory-policy {}), halts, records and leases too: "
    "set `maxmemory-policy noeviction`"
)


class StoreUnfit(StoreGone):
    """A server that answers, and that only a person can make right: waiting mends nothing."""


@dataclass(frozen=True, slots=True)
class Durability:
    """How many append-only files must hold a critical write before it counts: the server's own, and replicas'."""

    local: int = 1
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class DurabilityReport:
    """What doctor shows. ``confirmed`` is [local, replicas] as the server answered a probe, None if it did not.

    ``unfit`` = waiting mends nothing.
    """

    ok: bool
    sentence: str
    server: str
    aof_enabled: bool | None
    appendfsync: str | None
    wanted: Durability
    confirmed: tuple[int, int] | None
    unfit: bool = False


class Confirms(Protocol):
    """The port behind ``confirm_durable``: how the reply to a critical write is confirmed."""

    wanted: Durability

    def command(self) -> tuple[Any, ...] | None:
        """Return the command that follows a critical write in its pipeline, or None."""

    def judge(self, reply: Any) -> None:
        """Compare its reply with what is configured. Raises StoreGone if short."""


def confirm_durable(reply: Any, wanted: Durability) -> None:
    """Accept a WAITAOF reply [local, replicas] that reaches what is wanted. Raises StoreGone otherwise, StoreUnfit."""
    if isinstance(reply, ResponseError):
        if "appendonly" in str(reply):
            raise StoreUnfit(NO_FILE)
        raise StoreUnfit(f"Redis cannot confirm writes on disk, 7.2 or newer is needed: {reply}")
    local, replicas = int(reply[0]), int(reply[1])
    if local < wanted.local or replicas < wanted.replicas:
        raise StoreGone(
            f"the write is not confirmed on disk: local {local} of {wanted.local}, replicas {replicas} of "
            f"{wanted.replicas} within {WAIT_MS} ms"
        )


class WaitAof:
    """Confirmation by a real server's append-only file."""

    def __init__(self, wanted: Durability) -> None:
        self.wanted = wanted

    def command(self) -> tuple[Any, ...] | None:
        return ("WAITAOF", self.wanted.local, self.wanted.replicas, WAIT_MS)

    def judge(self, reply: Any) -> None:
        confirm_durable(reply, self.wanted)


class Unconfirmed:
    """The twin for tests over fakeredis, which has no disk. Nothing in workers can ask for it."""

    wanted = Durability(0, 0)

    def command(self) -> tuple[Any, ...] | None:
        return None

    def judge(self, reply: Any) -> None:
        """Accept: there is no disk to ask."""
