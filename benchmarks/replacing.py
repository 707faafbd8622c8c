"""A thousand replacements of stops while the venue loses answers, is late, refuses and hides: is there ever a gap?

Marks rise in steps, so that trailing stops of every symbol of two accounts are moved as often as the configuration lets
them be. The rate budgets are given back all the time: a thousand moves would take an address far longer.
"""

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

from benchmarks.installation import Account, Installation, installed
from benchmarks.setting import paper

ACCOUNTS = ("one", "two")
SYMBOLS = ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "AVAX", "LINK", "LTC", "ARB", "SUI", "kPEPE", "HYPE")
STOPS = 'interval = "5s"\nstep = "0.05%"'
TRAIL = "1%"
RISE = Decimal("1.0012")
PUSH_S = 6.0  # how often a mark rises: a little more than the interval
FAULT_S = 3.0
HIDDEN_S = 6.0
LIMIT_S = 900.0
CALM_S = 15.0
CAUSE_MS = 15_000

HIDING = "hide_orders"
Fault = Callable[[Account, str], object]
FAULTS: dict[str, Fault] = {
    "drop_answer of a stop": lambda at, symbol: at.fault("drop_answer", symbol, "stop"),
    "drop_answer of a cancel": lambda at, symbol: at.fault("drop_answer", symbol, "cancel"),
    "late_processing of a stop, in time": lambda at, symbol: at.fault(
        "late_processing", symbol, "stop", delay_ms=1_500
    ),
    "late_processing of a stop, too late": lambda at, symbol: at.fault(
        "late_processing", symbol, "stop", delay_ms=6_000
    ),
    "late_processing of a cancel": lambda at, symbol: at.fault("late_processing", symbol, "cancel", delay_ms=3_500),
    "refuse_stop": lambda at, symbol: at.fault("refuse_stop", symbol),
    "http_502 of orders": lambda at, _: at.fault("http_502", None, "frontendOpenOrders"),
    "http_502 of positions": lambda at, _: at.fault("http_502", None, "clearinghouseState"),
    HIDING: lambda at, symbol: at.fault("hide_orders", symbol, delay_ms=2_000),
}


@dataclass
class Replaced:
    """What the witness told of it; ``naked`` are the gaps with what went before, ``faults`` (arranged, struck).

    ``requests`` and ``weight`` are what the venue counted meanwhile; how often orders were hidden nobody counts.
    """

    positions: int
    moves: int = 0
    seconds: float = 0.0
    naked: list[dict[str, Any]] = field(default_factory=list)
    loosened: int = 0
    duplicates: int = 0
    flips: int = 0
    closed: int = 0
    faults: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    requests: int = 0
    weight: int = 0
    journal: dict[str, int] = field(default_factory=dict)


@dataclass
class _Play:
    """What is done to one venue, and what was done."""

    run: Installation
    dice: random.Random
    marks: dict[str, Decimal]
    done: list[tuple[float, str, str, str]] = field(default_factory=list)  # when (ms), account, symbol, what
    names: dict[str, str] = field(default_factory=dict)  # fault id -> what
    hiding: dict[str, float] = field(default_factory=dict)  # fault id -> until when
    turn: int = 0

    @property
    def accounts(self) -> list[Account]:
        return list(self.run.accounts.values())

    def rise(self, symbol: str) -> None:
        """Raise a mark by one step."""
        self.marks[symbol] = _up(self.marks[symbol] * RISE)
        self.accounts[0].push(symbol, self.marks[symbol])

    def hinder(self) -> None:
        """Arrange the next fault, and end what has hidden orders long enough."""
        venue, now = self.accounts[0].venue, time.monotonic()
        for fault in [each for each, until in self.hiding.items() if until < now]:
            venue.delete(f"/faults/{fault}")
            del self.hiding[fault]
        what = list(FAULTS)[self.turn % len(FAULTS)]
        self.turn += 1
        account, symbol = self.dice.choice(self.accounts), self.dice.choice(SYMBOLS)
        fault = str(FAULTS[what](account, symbol))
        self.names[fault] = what
        self.done.append((time.time() * 1000, account.name, symbol, what))
        if what == HIDING:
            self.hiding[fault] = now + HIDDEN_S


def measure(folder: Path, moves: int, latency_ms: int = 50, limit_s: float = LIMIT_S) -> Replaced:
    """Let stops be moved until there were so many moves, or the time is up."""
    with contextlib.ExitStack() as stack:
        venue = stack.enter_context(paper(latency_ms, symbols=SYMBOLS))
        accounts = dict.fromkeys(ACCOUNTS, venue)
        run = stack.enter_context(installed(folder, accounts, dict.fromkeys(ACCOUNTS, SYMBOLS), STOPS))
        stack.enter_context(run.unmetered())
        for account in ACCOUNTS:
            for symbol in SYMBOLS:
                run.open(account, symbol, notional="500", trail=TRAIL)
        for account in ACCOUNTS:
            for symbol in SYMBOLS:
                run.until(lambda: run.protected(account, symbol), f"{account} {symbol} protected")  # noqa: B023
        play = _Play(run, random.Random(1000), {name: Decimal(mark) for name, mark in venue.marks().items()})
        began = time.monotonic()
        venue.post("/stats/reset")
        _raise(play, moves, began + limit_s)
        found = Replaced(len(ACCOUNTS) * len(SYMBOLS), seconds=time.monotonic() - began)
        stats = venue.get("/stats")
        found.requests, found.weight = stats["requests"]["total"], stats["weight"]["total"]
        _calm(play, found)
        _judge(play, found)
        return found


def _raise(play: _Play, moves: int, end: float) -> None:
    """Raise one mark after the other, with faults between, until enough stops were moved."""
    pause, next_fault, number = PUSH_S / len(SYMBOLS), time.monotonic(), 0
    while time.monotonic() < end:
        began = time.monotonic()
        play.rise(SYMBOLS[number % len(SYMBOLS)])
        number += 1
        if began >= next_fault:
            play.hinder()
            next_fault = began + FAULT_S
        if number % len(SYMBOLS) == 0 and moved(play.accounts) >= moves:
            return
        time.sleep(max(0.0, began + pause - time.monotonic()))


def moved(accounts: list[Account]) -> int:
    """Return how often a stop of these accounts was moved, by the witness."""
    return sum(book["stop_moves"] for account in accounts for book in account.witnessed().values())


def _calm(play: _Play, found: Replaced) -> None:
    """Count and end all faults, and wait until every key is at rest."""
    venue = play.accounts[0].venue
    used = {rule["id"]: int(rule["used"]) for rule in venue.get("/faults")}
    for what in FAULTS:
        ids = [fault for fault, name in play.names.items() if name == what]
        struck = None if what == HIDING else sum(used.get(fault, 0) for fault in ids)
        found.faults[what] = (len(ids), struck)
    venue.delete("/faults")
    time.sleep(CALM_S)


def _judge(play: _Play, found: Replaced) -> None:
    """Read the witness, and name what was done before each gap."""
    found.moves = moved(play.accounts)
    found.journal = play.run.kinds()
    for account in play.accounts:
        for symbol, book in account.witnessed().items():
            found.loosened += len(book["loosened"])
            found.duplicates += book["duplicates"]
            found.flips += book["flips"]
            found.closed += len(book["exits"])
            for gap in book["naked_intervals"]:
                end = gap["to_ms"] if gap["to_ms"] is not None else time.time() * 1000
                after = _before(play.done, account.name, symbol, gap["from_ms"])
                entry = {"account": account.name, "symbol": symbol, "from_ms": gap["from_ms"], "after": after}
                found.naked.append({**entry, "ms": end - gap["from_ms"], "size": gap["size"]})


def _before(done: list[tuple[float, str, str, str]], account: str, symbol: str, at_ms: float) -> str:
    near = [what for when, whose, coin, what in done
            if whose == account and coin == symbol and 0 <= at_ms - when <= CAUSE_MS]  # fmt: skip
    return ", ".join(near) or "nothing that was done to it"


def _up(price: Decimal) -> Decimal:
    """Round a price up to five figures, as the venue's grid has them."""
    return price.quantize(Decimal(1).scaleb(price.adjusted() - 4), ROUND_UP)
