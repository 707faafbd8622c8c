"""A console over a backend that holds canned values and records what it is asked; a venue that must not be touched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from stopkeeper.console.backend import AccountFacts, AlertTry, Check, Direct, Heartbeat, InitWish, PaperWish, at_work
from stopkeeper.console.cli import build
from stopkeeper.console.failures import BadConfiguration
from stopkeeper.core.missing import Clock, Processes, Silence
from stopkeeper.core.model import Funds as Funds_
from stopkeeper.core.model import Holdings, Key, Known, Market
from stopkeeper.core.policy import FIXED
from stopkeeper.core.prices import Flaw
from stopkeeper.core.rules import Limits, Rules, Switches
from stopkeeper.engine.ports import Ports, StoreGone, Times

BTC = Market("BTC", Decimal("0.00001"), Decimal(10), 40, Decimal("0.0125"), Decimal("0.00045"), 1, 5)


class Untouchable:
    """A venue no test may send anything to; every effect fails the test."""

    def __init__(self) -> None:
        self.quiet: Silence | None = None
        self.measured = Clock(1_000)
        self.holdings_answer: Any = Known(Holdings({}, Funds_(Decimal("10000.5"), Decimal(9000))), 1_000)

    def now_ms(self) -> int:
        return 1_790_000_000_000

    def clock_age_ms(self) -> int | None:
        return self.measured.age_ms

    def clock(self) -> Clock:
        return self.measured

    def silence(self) -> Silence | None:
        return self.quiet

    def short(self) -> str:
        return ""

    def markets(self) -> Mapping[str, Market]:
        return {"BTC": BTC, "ETH": BTC}

    def holdings(self, _urgency: object) -> Any:
        return self.holdings_answer

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the venue was asked to {name}")


@dataclass
class FakeHouse:
    """A House of canned values."""

    installation: str = "a1b2c"
    accounts: Mapping[str, AccountFacts] = field(
        default_factory=lambda: {"main": AccountFacts("main", "hyperliquid", "paper", ("BTC", "ETH"))}
    )
    gone: str = ""
    apart: str = ""
    venue: Untouchable = field(default_factory=Untouchable)
    switches: dict[str, Switches] = field(default_factory=dict)
    ledger: list[Any] = field(default_factory=list)
    journal: list[Any] = field(default_factory=list)
    holders: list[Any] = field(default_factory=list)
    signal: Any = None
    trade: Any = None
    asked: list[Any] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)
    heard_ms: int | None = 400
    flaws: dict[Flaw, int] = field(default_factory=dict)
    tries: list[AlertTry] = field(default_factory=list)
    times: Times = field(default_factory=Times)
    limits: Limits = field(default_factory=Limits)
    reserved: dict[str, Decimal] = field(default_factory=dict)
    gone_beats: list[Heartbeat] = field(default_factory=list)
    ticked_ms: int | None = 800
    lacking: dict[str, int] = field(default_factory=dict)

    def ports(self, account: str) -> Ports:
        self.asked.append(("ports", account))
        if self.gone:
            raise StoreGone(self.gone)

        def read() -> Any:
            return self.venue.holdings_answer

        parts = SimpleNamespace(
            account=account,
            installation=self.installation,
            symbols=("BTC", "ETH"),
            times=self.times,
            venue=self.venue,
            rules=Rules(leverage=5, limits=self.limits, policy=FIXED),
            flags=SimpleNamespace(
                read=lambda name: self.switches.get(name, Switches()),
                change=lambda name, **new: self.switches.update(
                    {name: replace(self.switches.get(name, Switches()), **new)}
                ),
            ),
            ledger=SimpleNamespace(lines=lambda _account: self.ledger),
            journal=SimpleNamespace(
                read=lambda _account, after, limit: self.journal[-limit:] if after == "" else [],
                write=lambda *_args, **_fields: None,
            ),
            prices=SimpleNamespace(heard_ms=lambda _account: self.heard_ms, counts=lambda _account: self.flaws),
            gaps=SimpleNamespace(lacking=lambda _account: self.lacking),
            leases=SimpleNamespace(holders=lambda: self.holders),
            looks=SimpleNamespace(
                load=lambda _account: (SimpleNamespace(holdings=self.venue.holdings_answer), {"holdings": 500})
            ),
            records=SimpleNamespace(
                all=lambda _account: [],
                load=lambda _key: SimpleNamespace(trade=self.trade),
                signal=lambda _trade: self.signal,
                reserved=lambda _account: self.reserved,
            ),
            wakes=SimpleNamespace(wake=lambda key, why: self.asked.append(("wake", key, why))),
        )
        return cast(Ports, parts)

    def direct(self, account: str) -> Direct:
        self.asked.append(("direct", account))
        return Direct(cast(Any, self.venue), "a1b2c", ("BTC",), cast(Any, None))

    def markets(self, _account: str) -> Mapping[str, Market]:
        return self.venue.markets()

    def nudge(self, key: Key) -> None:
        self.asked.append(("nudge", key))

    def lost(self) -> list[Heartbeat]:
        return self.gone_beats

    def processes(self) -> Processes:
        return Processes(self.ticked_ms, at_work(beat.process for beat in self.beats), self.apart)

    def heartbeats(self) -> list[Heartbeat]:
        return self.beats

    def examine(self) -> list[Check]:
        return self.checks

    def try_alerts(self) -> list[AlertTry]:
        return self.tries

    def run_worker(self, wish: object) -> int:
        self.asked.append(wish)
        return 0

    def run_beat(self) -> int:
        self.asked.append("beat")
        return 0

    def run_feed(self) -> int:
        self.asked.append("feed")
        return 0

    def run_flower(self, port: int | None) -> int:
        self.asked.append(("flower", port))
        return 0

    def run_stack(self, wish: object) -> int:
        self.asked.append(wish)
        return 0


@dataclass
class FakeBackend:
    """A Backend whose configuration is one FakeHouse."""

    house: FakeHouse = field(default_factory=FakeHouse)
    version: str = "9.9.9"
    command: tuple[str, ...] = ("false",)
    fault: BadConfiguration | None = None
    loaded: list[Path | None] = field(default_factory=list)
    wishes: list[Any] = field(default_factory=list)

    def load(self, path: Path | None) -> FakeHouse:
        self.loaded.append(path)
        if self.fault is not None:
            raise self.fault
        return self.house

    def init(self, wish: InitWish) -> Path:
        self.wishes.append(wish)
        return wish.path

    def run_paper(self, wish: PaperWish) -> int:
        self.wishes.append(wish)
        return 0


@pytest.fixture
def backend() -> FakeBackend:
    """Return a backend with one account, main."""
    return FakeBackend()


@pytest.fixture
def house(backend: FakeBackend) -> FakeHouse:
    """Return the backend's house."""
    return backend.house


Run = Callable[..., Result]


@pytest.fixture
def run(backend: FakeBackend) -> Run:
    """Return a function that runs a command line in this process."""

    def go(*words: str) -> Result:
        return CliRunner().invoke(build(backend), list(words), catch_exceptions=False)

    return go
