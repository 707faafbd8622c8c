"""A whole installation in one process under virtual time: the engine, its store in memory, the paper market, the feed.

Time passes only where it is told to: with every step, with every request, with whatever the venue put off. The market
moves with it, so that prices change and triggers fire between any two calls of the engine.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from benchmarks.evidence import Evidence
from benchmarks.stories import Scene, journal
from exchange.frames import Frames, News
from exchange.paper import channels
from exchange.paper.knobs import Knobs
from exchange.paper.model import Event
from exchange.paper.prices import Replay
from exchange.paper.signed import ACTIONS
from exchange.paper.symbols import listing
from exchange.paper.venue import Venue
from exchange.simulated import SimulatedVenue
from stopkeeper.core.model import Key
from stopkeeper.core.rules import Rules
from stopkeeper.core.watching import AGAIN, LOOK, Watch
from stopkeeper.engine.drive import drive
from stopkeeper.engine.ports import Ports, Times, Urgency
from stopkeeper.engine.sweep import sweep
from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld

ACCOUNT, INSTALLATION = "main", "be4c3"
ADDRESS = "0x" + "be4c" * 10
FUNDING_RATE = Decimal("0.0000125")  # an hour: the venue's usual one
PAUSE_MS = MIND_MS = 1_000
STREAM_MS = 50
WARM_STEP_MS = 15_000
FAR = Decimal("0.05")
Message = Mapping[str, Any]


class Line(Protocol):
    """What lies between the venue's pushes and the feed: may lose, repeat, delay or spoil them."""

    def carry(self, message: Message, now_ms: int) -> list[tuple[int, Message]]:
        """Return what arrives of a message and when."""

    def broken(self, now_ms: int) -> bool:
        """Tell, once for each loss, whether the connection was lost and made anew."""


class GoodLine:
    """Everything arrives, in order, a little later."""

    def carry(self, message: Message, now_ms: int) -> list[tuple[int, Message]]:
        """Return the message."""
        return [(now_ms + STREAM_MS, message)]

    def broken(self, now_ms: int) -> bool:  # noqa: ARG002
        """Never break."""
        return False


class World:
    """The installation and its market. ``step_ms`` is how often a mark is pushed."""

    def __init__(
        self,
        prices: Path,
        *,
        symbols: tuple[str, ...] = ("BTC",),
        start: str | None = None,
        step_ms: int = 2_000,
        latency_ms: int = 20,
        rules: Rules | None = None,
        line: Line | None = None,
    ) -> None:
        self.symbols, self.step_ms = symbols, step_ms
        listed = listing(symbols)
        source = Replay(prices, listed, Decimal(1), start)
        self._us = int((source.first_s + source.elapsed_s) * 1_000_000)
        self.ends_ms = int((source.first_s + max(times[-1] for times, _ in source.paths.values())) * 1000)
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._put_off = 0
        knobs = Knobs(funding_rate=FUNDING_RATE)
        self.paper = Venue(
            listed, knobs, source, frozenset(ACTIONS), balance=Decimal(100_000), clock_us=lambda: self._us
        )
        self.paper.later = self._put_by
        self.evidence = Evidence()
        self.paper.market.listeners.append(self.evidence.hear)
        self.paper.outlets.append(self._push_events)
        self.paper.tick(0)
        times = Times()
        store = memory_store(MemoryWorld(self.now_ms), installation=INSTALLATION, boot="b1", times=times)
        self.venue = SimulatedVenue(
            self.paper, ADDRESS, store.nonces, store.budget, store.texts, latency=lambda: self.pass_ms(latency_ms)
        )
        self.ports = Ports(
            account=ACCOUNT,
            installation=INSTALLATION,
            symbols=symbols,
            rules=rules or Rules(),
            times=times,
            venue=self.venue,
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
        self.feed = Feed(self, line or GoodLine())
        self.swept_ms = 0
        self.drives = self.sweeps = 0
        self.while_held: Counter[str] = Counter()
        self._counted = (0, 0)

    # --- time -----------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Return the time of everything here, UTC ms."""
        return self._us // 1000

    def pass_ms(self, duration_ms: int) -> None:
        """Let time pass: the market moves, and what the venue put off happens."""
        self.pass_to(self.now_ms() + duration_ms)

    def pass_to(self, moment_ms: int) -> None:
        """Let time pass until a moment."""
        while self._later and self._later[0][0] <= moment_ms:
            due_ms, _, act = heapq.heappop(self._later)
            self._move(due_ms)
            act()
        self._move(moment_ms)

    def _move(self, moment_ms: int) -> None:
        elapsed_ms = moment_ms - self.now_ms()
        if elapsed_ms <= 0:
            return
        self._us = moment_ms * 1000
        self.paper.tick(elapsed_ms / 1000)
        self.evidence.times_ms.append(moment_ms)
        for symbol, mark in self.paper.market.marks.items():
            self.evidence.marks[symbol].append(float(mark))

    def _put_by(self, delay_ms: int, act: Callable[[], None]) -> None:
        self._put_off += 1
        heapq.heappush(self._later, (self.now_ms() + delay_ms, self._put_off, act))

    def mark(self, symbol: str) -> Decimal:
        """Return the true mark."""
        return self.paper.market.marks[symbol]

    def scene(self) -> Scene:
        """Return what a judge needs of the run."""
        account, requests = self.venue.account, self.venue.requests
        return Scene(
            lines=journal(self.ports.journal.read(ACCOUNT, "0", 1_000_000)),
            ledger=self.ports.ledger.lines(ACCOUNT),
            evidence=self.evidence,
            decimals={name: item.sz_decimals for name, item in self.paper.listing.items()},
            witness=self.paper.witness.as_json(self._us).get(ADDRESS, {}),
            funding={s: sum((f.usdc for f in account.fundings if f.coin == s), Decimal(0)) for s in self.symbols},
            held=(self.while_held["requests"], self.while_held["weight"]),
            costs={
                "requests in all": requests.total(),
                "weight in all": self.venue.weight.total(),
                "requests by kind": dict(requests.most_common()),
                "drives": self.drives,
                "sweeps": self.sweeps,
            },
        )

    def warm_up(self, duration_ms: int) -> None:
        """Let the market run before anybody trades, so that the venue has bars of its own to show."""
        ends_ms = self.now_ms() + duration_ms
        while self.now_ms() < ends_ms:
            self.pass_ms(WARM_STEP_MS)
        self.feed.connect()

    # --- the day's work -------------------------------------------------------------------------------------------

    def run(self, until_ms: int, each_step: Callable[[], None]) -> None:
        """Run until a moment: each step a mark is pushed and a caller may act; what is due is driven when it is due."""
        while self.now_ms() < until_ms:
            boundary = self.now_ms() + self.step_ms
            self._work_until(boundary)
            self.pass_to(boundary)
            self.feed.push_marks()
            self.feed.listen()
            if self.now_ms() - self.swept_ms >= self.ports.times.sweep_ms:
                self.sweep()
            each_step()
            self._count()

    def _count(self) -> None:
        """Count what was asked of the venue since the last step, where a position is held."""
        counted = (self.venue.requests.total(), self.venue.weight.total())
        if counted != self._counted and self.venue.account.positions:
            self.while_held["requests"] += counted[0] - self._counted[0]
            self.while_held["weight"] += counted[1] - self._counted[1]
        self._counted = counted

    def let_pass(self) -> None:
        """Run one step."""
        self.run(self.now_ms() + self.step_ms, lambda: None)

    def sweep(self) -> None:
        """Look at the whole account, as beat has it done."""
        self.swept_ms = self.now_ms()
        self.sweeps += 1
        sweep(self.ports)

    def _work_until(self, boundary_ms: int) -> None:
        """Drive what is due and hand on what is pushed, each at its time, until a moment."""
        while True:
            due = self.ports.wakes.overdue()
            wakes_ms = self.now_ms() + due[0][1] if due else boundary_ms
            moment = min(wakes_ms, self.feed.arrives_ms())
            if moment >= boundary_ms:
                return
            self.pass_to(moment)
            self.feed.listen()
            for key in self.ports.wakes.claim(10, self.ports.times.claim_ms):
                self.drives += 1
                drive(key, self.ports)

    def _push_events(self, events: list[Event]) -> None:
        """Push what happened to the account, as the venue's private channels say it."""
        for kind in ("orderUpdates", "userFills"):
            for message in channels.happened((kind, ADDRESS), events):
                self.feed.push(message)
        if ADDRESS in channels.users_of(events):
            for kind in ("clearinghouseState", "openOrders"):
                for message in channels.state(self.paper, (kind, ADDRESS)):
                    self.feed.push(message)


class Feed:
    """What workers/feed.py does with the streams, on one line under virtual time: marks, events, doubts, flaws."""

    def __init__(self, world: World, line: Line) -> None:
        self._world, self._line = world, line
        rules = world.ports.rules
        self.frames = Frames(world.symbols, rules.price_jump)
        self.watch = Watch(rules, PAUSE_MS, world.ports.venue.can.lag_ms, world.ports.times.look_fresh_ms)
        self._coming: list[tuple[int, int, Message]] = []
        self._pushed = 0
        self.delivered: Counter[str] = Counter()  # spoiled messages that were taken in, by what was done to them
        self.believed: Counter[str] = Counter()  # marks believed: far from the true one, or not
        self.connections = self._minded_ms = 0
        self.connect()

    def connect(self) -> None:
        """Begin a connection: the states are told anew, and what happened before is read by a sweep."""
        world = self._world
        self.connections += 1
        self._coming.clear()
        self.frames.begin(world.now_ms())
        for kind in ("clearinghouseState", "openOrders"):
            for message in channels.state(world.paper, (kind, ADDRESS)):
                self.push(message)

    def push_marks(self) -> None:
        """Push the marks of now."""
        for symbol, mark in self._world.paper.market.marks.items():
            self.push({"channel": "activeAssetCtx", "data": {"coin": symbol, "ctx": {"markPx": f"{mark:f}"}}})

    def push(self, message: Message) -> None:
        """Put a message on the line."""
        for arrives_ms, each in self._line.carry(message, self._world.now_ms()):
            self._pushed += 1
            heapq.heappush(self._coming, (arrives_ms, self._pushed, each))

    def arrives_ms(self) -> int:
        """Return when the next message arrives; far away where none is under way."""
        return self._coming[0][0] if self._coming else 1 << 62

    def listen(self) -> None:
        """Take in what has arrived and hand it on."""
        world, ports = self._world, self._world.ports
        now = world.now_ms()
        if now - self._minded_ms >= MIND_MS:
            self._minded_ms = now
            self.watch.load(ports.records.all(ports.account))
            if self.frames.silent(now) is None:
                ports.prices.hear(ports.account)
        if self._line.broken(now) or self.frames.silent(now) is not None:
            self.connect()
            world.sweep()
        if not self._coming or self._coming[0][0] > now:
            return
        while self._coming and self._coming[0][0] <= now:
            message = heapq.heappop(self._coming)[2]
            self.delivered[str(message.get("spoiled", "sound"))] += 1
            self.frames.take(message, now)
        news = self.frames.drain()
        if news.flaws:
            ports.prices.count(ports.account, news.flaws)
        if news.marks:
            ports.prices.put(ports.account, news.marks)
            self._compare(news.marks)
        self._wake(news, now)

    def _wake(self, news: News, now: int) -> None:
        """Wake the keys that marks, events and doubts are about."""
        ports = self._world.ports
        for symbol, what in news.events:
            self.watch.happened(symbol, now)
            ports.wakes.wake(Key(ports.account, symbol), what)
        for symbol in self.watch.again(now, lambda: ports.venue.wait_ms(LOOK, Urgency.ORDINARY) == 0):
            ports.wakes.wake(Key(ports.account, symbol), AGAIN)
        for key, why in self.watch.look_at(news.marks, now):
            ports.wakes.wake(key, why)
        for symbol in news.doubts:
            doubted = self.watch.doubt(symbol, now)
            if doubted is not None:
                ports.wakes.wake(doubted, "its price came far off: the venue is asked")

    def _compare(self, marks: Mapping[str, Decimal]) -> None:
        """Note whether what is believed is true; nobody but the report looks at it."""
        for symbol, mark in marks.items():
            true = self._world.paper.market.marks[symbol]
            self.believed["false" if abs(mark - true) > true * FAR else "true"] += 1
