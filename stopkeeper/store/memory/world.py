"""What all processes of an in-memory deployment share: the state, its clock, who lives. No rule stands here."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from threading import RLock
from typing import Any

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Key
from stopkeeper.core.prices import Flaw
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import Switches
from stopkeeper.engine.ports import SignalState, StoreGone
from stopkeeper.store.asks import Ask


@dataclass(slots=True)
class LeaseRow:
    """What is stored about a key's lease: it outlives its holders, for the fence and the deadlines they noted."""

    owner: str = ""
    boot: str = ""
    fence: int = 0
    until_ms: int = 0
    noted_ms: int = 0
    inherited_ms: int = 0


@dataclass(slots=True)
class RecordRow:
    """What is stored about a key's record. ``trade`` is its id in the document, ``admitted`` one in no document yet."""

    doc: KeyRecord | None = None
    version: int = 0
    base: int = 0
    trade: str = ""
    admitted: str = ""
    admitted_at: int = 0
    asks: dict[int, Ask] = field(default_factory=dict)


@dataclass(slots=True)
class SignalRow:
    """What is stored about a signal; ``expires_ms`` None while its trade lives."""

    state: SignalState
    body: str
    expires_ms: int | None = None


@dataclass(slots=True)
class LookRow:
    """One field of an account's look."""

    reading: Any
    at_ms: int
    seen_ms: int
    older: int = 0


@dataclass(slots=True)
class ServerRow:
    """What is stored of the server itself; ``forgot_ms`` None = it never was another."""

    id: int
    born_ms: int
    forgot_ms: int | None = None


@dataclass(slots=True)
class State:
    """Everything stored: what a Redis that goes back in time takes with it."""

    installation: str | None = None
    server: ServerRow | None = None
    leases: dict[Key, LeaseRow] = field(default_factory=dict)
    records: dict[Key, RecordRow] = field(default_factory=dict)
    open: dict[str, dict[str, int]] = field(default_factory=dict)
    signals: dict[str, SignalRow] = field(default_factory=dict)
    ledger: dict[str, dict[tuple[str, int], LedgerLine]] = field(default_factory=dict)
    wakes: dict[Key, int] = field(default_factory=dict)
    due: dict[Key, int] = field(default_factory=dict)
    claimed: dict[Key, int] = field(default_factory=dict)
    journal: dict[str, list[tuple[str, dict[str, str]]]] = field(default_factory=dict)
    looks: dict[tuple[str, str], LookRow] = field(default_factory=dict)
    marks: dict[tuple[str, str], tuple[Decimal, int, int | None]] = field(default_factory=dict)
    flaws: dict[tuple[str, Flaw], int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    switches: dict[str, Switches] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    budgets: dict[str, tuple[float, int]] = field(default_factory=dict)
    texts: dict[str, tuple[str, int]] = field(default_factory=dict)
    missing: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict)
    claimed_at_ms: int = 0
    turns: dict[tuple[str, str], int] = field(default_factory=dict)


class InTurn:
    """The state of a world within ``with``. One serves all its users, a hundred times in each drive."""

    def __init__(self, world: "MemoryWorld") -> None:
        self._world = world

    def __enter__(self) -> State:
        self._world.lock.acquire()
        if self._world.gone:
            self._world.lock.release()
            raise StoreGone(f"the memory store is gone at {self._world.clock()}")
        return self._world.state

    def __exit__(self, *_: object) -> None:
        self._world.lock.release()


class MemoryWorld:
    """One shared store in memory. ``clock`` returns UTC ms; nothing here reads any other clock.

    ``gone`` makes every use raise StoreGone. A process lives until ``kill``; its heartbeat outlives it as in Redis.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.gone = False
        self.state = State()
        self.server = 1  # which one it is: another after each failover or restart
        self.lock = RLock()
        self._in_turn = InTurn(self)
        self._died_ms: dict[str, int] = {}

    def using(self) -> "InTurn":
        """Give the state to one user at a time, as a server runs one script at a time. Raises StoreGone on entering."""
        return self._in_turn

    def save_point(self) -> bytes:
        """Return everything stored, as a server's file does."""
        with self.lock:
            return pickle.dumps(self.state)

    def go_back(self, point: bytes | None) -> None:
        """Let another server take over: one that knows what a save point does, or nothing."""
        with self.lock:
            self.server += 1
            self.state = State() if point is None else pickle.loads(point)  # noqa: S301  what this process wrote

    def empty(self) -> None:
        """Take everything from the store, which goes on."""
        with self.lock:
            self.state = State()

    def kill(self, boot: str) -> None:
        """Let a process beat no more."""
        self._died_ms.setdefault(boot, self.clock())

    def revive(self, boot: str) -> None:
        """Let a process beat again: it was frozen, not dead."""
        self._died_ms.pop(boot, None)

    def beats(self, boot: str, lost_ms: int) -> bool:
        """Return whether a heartbeat that lives for lost_ms is still there."""
        died = self._died_ms.get(boot)
        return died is None or self.clock() < died + lost_ms
