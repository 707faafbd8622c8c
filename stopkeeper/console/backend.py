"""What the console needs of the outside, as Protocols: workers implements them and hands them to ``cli.build``.

The console never reads the environment, opens Redis or talks to a venue by itself. Everything behind these methods may
be slow to import, so an implementation imports inside them: ``--help`` stays instant.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol

from stopkeeper.core.missing import Processes
from stopkeeper.core.model import Key, Market
from stopkeeper.core.rules import Rules
from stopkeeper.engine.ports import Ports, Venue

Status = Literal["ok", "warn", "fail"]
NO_WORKERS = frozenset({"beat", "feed", "flower", "paper"})


@dataclass(frozen=True, slots=True)
class Check:
    """A row of doctor."""

    check: str
    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class AlertTry:
    """What came of a test message to one alert URL: its position, all of it that may be shown, why it failed."""

    number: int
    url: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A process of this installation and how long ago it last said that it lives."""

    process: str
    host: str
    pid: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the configuration says of an account; no secret."""

    name: str
    venue: str
    mode: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Direct:
    """A venue reached without Redis, for ``flatten --direct``."""

    venue: Venue
    installation: str
    symbols: tuple[str, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class WorkerWish:
    """How a worker process is to run."""

    queues: tuple[str, ...]
    concurrency: int | None
    name: str | None


@dataclass(frozen=True, slots=True)
class StackWish:
    """What ``up`` is to run on this machine; None = as configured."""

    prices: str | None = None
    seed: int | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class PaperWish:
    """How the paper venue is to run by itself."""

    host: str
    port: int
    control_port: int
    prices: str
    seed: int
    latency_ms: int
    speed: Decimal
    balance: Decimal
    state: Path | None
    faucet: bool
    symbols: tuple[str, ...] | None
    tick_ms: int
    ready_json: bool


@dataclass(frozen=True, slots=True)
class InitWish:
    """What a fresh configuration file is to say."""

    path: Path
    account: str
    venue: str
    mode: str
    symbols: tuple[str, ...]
    wallet_address: str | None = None
    private_key_file: str | None = None
    base_url: str | None = None
    data_dir: str = "./stopkeeper-data"
    paper_port: int | None = None
    control_port: int | None = None
    seed: int | None = None
    flower: bool = True


def at_work(processes: Iterable[str]) -> int:
    """Count the processes, by the names they live under, that carry out what is due."""
    return sum(1 for process in processes if process not in NO_WORKERS)


class House(Protocol):
    """One installation: its configuration read, everything else made when first asked for."""

    installation: str
    accounts: Mapping[str, AccountFacts]

    def ports(self, account: str) -> Ports:
        """Return an account's ports. Raises StoreGone, Failure."""

    def direct(self, account: str) -> Direct:
        """Return an account's venue without touching Redis."""

    def markets(self, account: str) -> Mapping[str, Market]:
        """Return the venue's markets, from the cache where it is warm."""

    def nudge(self, key: Key) -> None:
        """Publish a wake-up for a key. A lost one costs a tick, so a failure to publish is not an error."""

    def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the processes that have said they live."""

    def lost(self) -> Sequence[Heartbeat]:
        """Return the processes that have said they live, and ended or stopped saying it without taking their leave."""

    def processes(self) -> Processes:
        """Return what is heard of them: beat's last tick, workers, clocks of hosts."""

    def examine(self) -> Sequence[Check]:
        """Return doctor's rows on what only the outside can see: durability, keys, permissions, agents."""

    def try_alerts(self) -> Sequence[AlertTry]:
        """Send a test message through every alert URL and return what came of each; none = none is configured."""

    def run_worker(self, wish: WorkerWish) -> int: ...
    def run_beat(self) -> int: ...
    def run_feed(self) -> int: ...
    def run_flower(self, port: int | None) -> int: ...
    def run_stack(self, wish: StackWish) -> int: ...


class Backend(Protocol):
    """The way from a configuration file to a House, and what needs no configuration."""

    version: str
    command: tuple[str, ...]  # starts this very program as a process of its own

    def load(self, path: Path | None) -> House:
        """Read the configuration (None = ./stopkeeper.toml). Raises BadConfiguration."""

    def init(self, wish: InitWish) -> Path:
        """Write a fresh configuration file and return its path. Raises Failure where one exists."""

    def run_paper(self, wish: PaperWish) -> int:
        """Run the paper venue until it is told to end."""
