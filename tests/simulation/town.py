"""A whole installation and its venue in one process under virtual time: workers, beat, feed, guardian, and the queue.

Here is who stands where and what wakes whom. What goes wrong stands in trouble.py, what people and markets do in
actors.py, what must hold in judge.py.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any, cast

from exchange.frames import Frames
from exchange.paper import channels
from exchange.paper.model import Event
from exchange.paper.prices import Still
from exchange.paper.signed import ACTIONS
from exchange.paper.symbols import listing
from exchange.paper.venue import Venue as PaperVenue
from exchange.simulated import SimulatedVenue
from stopkeeper.core.model import Key, Signal
from stopkeeper.core.policy import Policy
from stopkeeper.core.rules import Rules
from stopkeeper.core.watching import AGAIN, LOOK, Watch
from stopkeeper.engine.desk import Refused, VenueAway
from stopkeeper.engine.drive import drive
from stopkeeper.engine.guardian import Guardian
from stopkeeper.engine.ports import LeaseLost, Ports, StoreGone, Times, Urgency, Venue
from stopkeeper.engine.sweep import sweep
from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld
from tests.simulation.processes import Crashed, Edge, LateVenue, Process
from tests.simulation.timeline import Timeline
from tests.simulation.trouble import Trouble, knobs, profile

ACCOUNT, INSTALLATION = "main", "51317"
ADDRESS = "0x" + "51317" * 8
SYMBOLS = ("BTC", "ETH", "SOL")
BUSY = ("BTC", "ETH")  # those on which something is always going on in scripted worlds
START_MS = 1_767_225_570_000  # half a minute before a full hour, at which funding is paid
FUNDED_MS = 30_000
WORKERS = 3
TICK_MS, DRAIN_MS, MARKS_MS, LISTEN_MS, COPIES_MS = 250, 1_000, 1_000, 150, 1_000
EXPECTED = (LeaseLost, StoreGone, Refused, VenueAway)
Job = Callable[[Ports], object]


class Town:
    """One world of one seed."""

    def __init__(self, seed: int, kind: str) -> None:
        self.rng = Random(f"{seed}:{kind}")
        self.time = Timeline(START_MS, self.rng)
        made = profile(kind)
        self.trouble = Trouble(self.rng, made, self.time)
        listed = listing(SYMBOLS)
        self.paper = PaperVenue(
            listed, knobs(self.rng, made), Still(), frozenset(ACTIONS), balance=Decimal(100_000), seed=seed,
            clock_us=lambda: self.time.now_us,
        )  # fmt: skip
        self.paper.later = self.time.at
        self.time.at(FUNDED_MS, lambda: self.paper.market.fund(self.paper.now_ms()))
        self.paper.seen(ADDRESS)
        self.account = self.paper.market.accounts[ADDRESS]
        self.paper.outlets.append(self._publish)
        self.redis_ahead_ms = self.rng.randint(-made.clock_error_ms, made.clock_error_ms)
        self.world = MemoryWorld(lambda: self.time.now_ms() + self.redis_ahead_ms)
        self.times = Times()
        store = self.store = memory_store(self.world, installation=INSTALLATION, boot="witness", times=self.times)
        venue = SimulatedVenue(self.paper, ADDRESS, store.nonces, store.budget, store.texts)
        self.ports = Ports(
            account=ACCOUNT, installation=INSTALLATION, symbols=SYMBOLS, rules=Rules(policy=Policy()), times=self.times,
            venue=venue, leases=store.leases, records=store.records, wakes=store.wakes, journal=store.journal,
            ledger=store.ledger, looks=store.looks, prices=store.prices, flags=store.flags, gaps=store.gaps,
        )  # fmt: skip
        self.sent: dict[str, Signal] = {}  # trade -> the signal that somebody tried to submit
        self.accepted: set[str] = set()  # trades of signals of which it is known that they are on disk
        self.refused: set[str] = set()  # trades of signals that were refused at the door, and not sent again since
        self.taken: set[str] = set()  # symbols of which the venue is taking the position away
        self.parted: set[str] = set()  # symbols of which somebody asked for a part to be closed
        self.asked: list[tuple[str, int]] = []  # symbol, and when somebody asked for its close
        self.said_ms: dict[str, int] = {}  # symbol -> when a person last said that what is held is to be closed
        self.unheard = False  # the private streams say nothing, while marks come
        self.went_back_ms: int | None = None  # when the store last did
        self.drives = self._lives = 0
        self.swept_ms = self.time.now_ms()
        self._queue: list[tuple[str, Job]] = []
        self.workers = [self.begin(f"worker{number}") for number in range(WORKERS)]
        self.beat, self.feed = self.begin("beat"), self.begin("feed")
        self.ears = Ears(self)
        self.guardian = self._guardian()
        for body in (self._beating, self._ticking, self._listening, self._guarding):
            self.time.spawn(body, self.rng.randint(0, 500))

    # --- processes ------------------------------------------------------------------------------------------------

    def begin(self, name: str) -> Process:
        """Begin a life of a process."""
        self._lives += 1
        return Process(
            f"{name}.{self._lives}", self.time, self.trouble, self.paper, self.world, self.ports, self.times, ADDRESS
        )

    @property
    def went_back(self) -> bool:
        """Return whether the store ever lost what it had."""
        return self.went_back_ms is not None

    def within(self, process: Process, what: str, job: Job) -> bool:
        """Do something as a process; return whether it lived and nothing kept it from it. A bug ends the run."""
        process.busy = True
        try:
            job(process.ports)
        except Crashed:
            return False
        except EXPECTED as left:
            self.trouble.note(process.boot, f"{what} left: {type(left).__name__}: {left}")
            return False
        finally:
            process.busy = False
        return True

    def send(self, what: str, job: Job) -> None:
        """Publish a task: the queue may lose it, or hand it out twice; whoever takes it does so after a moment."""
        times = 1
        if self.trouble.hit(self.trouble.profile.broker):
            times = self.rng.choice((0, 2))
            self.trouble.note("broker", f"{what} is {'lost' if times == 0 else 'handed out twice'}")
        for _ in range(times):
            self.time.at(self.rng.randint(1, 30), lambda: self._take(what, job))

    def _take(self, what: str, job: Job) -> None:
        for index, worker in enumerate(self.workers):
            if not worker.alive:
                self.workers[index] = self.begin(f"worker{index}")
        fit = [worker for worker in self.workers if worker.fit]
        if not fit:
            if not self._queue:
                self.time.at(50, self._hand_out)
            self._queue.append((what, job))
            return
        chosen = self.rng.choice(fit)
        chosen.busy = True
        self.time.spawn(lambda: self._work(chosen, what, job))

    def _work(self, worker: Process, what: str, job: Job) -> None:
        self.within(worker, what, job)

    def _hand_out(self) -> None:
        waiting, self._queue = self._queue, []
        for what, job in waiting:
            self._take(what, job)

    def command(self, what: str, job: Job) -> bool:
        """Do something as a command that somebody types, which is a process of its own; return whether it was done."""
        return self.within(self.begin("command"), what, job)

    def set_clocks(self) -> None:
        """Set every clock anew, within its error: forward or back."""
        error_ms = self.trouble.profile.clock_error_ms
        self.redis_ahead_ms = self.rng.randint(-error_ms, error_ms)
        for process in (*self.workers, self.beat, self.feed):
            process.error_ms = self.rng.randint(-error_ms, error_ms)
        self.trouble.note("clock", "all clocks are set")

    def resume_after(self, after_ms: int) -> None:
        """Have a person resume the account after a while."""

        def resume() -> None:
            self.command("resume", lambda ports: ports.flags.change(ACCOUNT, paused=False, halted=False))

        self.time.spawn(resume, after_ms)

    # --- the clocks -----------------------------------------------------------------------------------------------

    def drive(self, key: Key) -> None:
        """Publish a drive."""

        def job(ports: Ports) -> None:
            self.drives += 1
            drive(key, ports)

        self.send(f"drive {key.symbol}", job)

    def sweep(self) -> None:
        """Publish a sweep."""
        self.send("sweep", self._sweep)

    def _sweep(self, ports: Ports) -> None:
        sweep(ports)
        self.swept_ms = self.time.now_ms()
        self._drain(ports)

    def _drain(self, ports: Ports) -> None:
        for key in ports.wakes.claim(10, self.times.claim_ms):
            self.drive(key)

    def _living(self, name: str) -> Process:
        """Return the process of a name; who died is begun anew after a while by whoever asks for it."""
        process: Process = getattr(self, name)
        if not process.alive:
            self.time.sleep(self.rng.choice((1_000, 3_000, 10_000)))
            process = self.begin(name)
            setattr(self, name, process)
            if name == "feed":
                self.ears, self.guardian = Ears(self), self._guardian()
        return process

    def _beating(self) -> None:
        beats = 0
        while True:
            process = self._living("beat")
            self.within(process, "drain", self._drain)
            if beats * DRAIN_MS % self.times.sweep_ms == 0:
                self.sweep()
            beats += 1
            self.time.sleep(DRAIN_MS)

    def _ticking(self) -> None:
        while True:
            process = self._living("feed")
            self.within(process, "tick", self._drain)
            if self.time.now_ms() - self.swept_ms > 2 * self.times.sweep_ms:
                self.swept_ms = self.time.now_ms()
                self.sweep()
            self.time.sleep(TICK_MS)

    def _listening(self) -> None:
        told_ms = 0
        while True:
            process, ears = self._living("feed"), self.ears
            if self.time.now_ms() - told_ms >= MARKS_MS:
                told_ms = self.time.now_ms()
                ears.push_marks()
            self.within(process, "listen", ears.listen)
            self.time.sleep(LISTEN_MS)

    # --- the streams and the guardian -----------------------------------------------------------------------------

    def _publish(self, events: list[Event]) -> None:
        """Push what happened to the account, as the venue's private channels say it."""
        if self.unheard:
            return
        for kind in ("orderUpdates", "userFills"):
            for message in channels.happened((kind, ADDRESS), events):
                self.ears.push(message)
        if ADDRESS in channels.users_of(events):
            self.ears.push_states()

    def _guardian(self) -> Guardian:
        alone = MemoryWorld(self.time.now_ms)  # nonces, budgets and texts of that process alone
        process = self.feed
        store = memory_store(alone, installation=INSTALLATION, boot=process.boot, times=self.times)
        venue = LateVenue(process, self.paper, ADDRESS, store.nonces, store.budget, store.texts)

        def say(symbol: str, text: str) -> None:
            self.trouble.note("guardian", f"{symbol} {text}")

        return Guardian(
            ACCOUNT, INSTALLATION, SYMBOLS, self.ports.rules, self.times, cast(Venue, Edge(venue, "guardian", process)),
            say, None, self.time.now_ms(),
        )  # fmt: skip

    def _guarding(self) -> None:
        alive_ms = self.time.now_ms()
        while True:
            process, pause_ms = self._living("feed"), COPIES_MS
            guardian = self.guardian

            def copy(ports: Ports, guardian: Guardian = guardian) -> None:
                guardian.take(ports.records.all(ACCOUNT), ports.flags.read(ACCOUNT), self.time.now_ms())

            if self.within(process, "copy", copy):
                alive_ms = self.time.now_ms()
            elif self.time.now_ms() - alive_ms >= self.times.guardian_ms and process.alive:
                pause_ms = self._patrol(process, guardian)
            self.time.sleep(max(10, pause_ms))

    def _patrol(self, process: Process, guardian: Guardian) -> int:
        """Let the guardian make a round; return its pause in ms."""
        pauses = [COPIES_MS]
        self.within(process, "patrol", lambda _ports: pauses.append(guardian.patrol(self.time.now_ms())))
        return pauses[-1]


class Ears:
    """What workers/feed.py does with the streams, as one connection of one life of the feed."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.frames = Frames(SYMBOLS, town.ports.rules.price_jump)
        self.watch = Watch(town.ports.rules, 1_000, town.ports.venue.can.lag_ms, town.times.look_fresh_ms)
        self.deaf_until_ms = 0
        self._came: list[Any] = []
        self._minded_ms = 0
        self._connect()

    def _connect(self) -> None:
        self._came.clear()
        self.frames.begin(self._town.time.now_ms())
        self.push_states()

    def push(self, message: Any) -> None:
        """Let a message arrive, unless the line is dead; it may be lost, late, or come twice."""
        if self._town.time.now_ms() < self.deaf_until_ms:
            return
        for late_ms in self._town.trouble.frame():
            if late_ms:
                self._town.time.at(late_ms, partial(self._came.append, message))
            else:
                self._came.append(message)

    def push_states(self) -> None:
        """Push positions and open orders, as the venue does at the beginning and after each change."""
        for kind in ("clearinghouseState", "openOrders"):
            for message in channels.state(self._town.paper, (kind, ADDRESS)):
                self.push(message)

    def push_marks(self) -> None:
        """Push the marks of now."""
        for symbol, mark in self._town.paper.market.marks.items():
            self.push({"channel": "activeAssetCtx", "data": {"coin": symbol, "ctx": {"markPx": f"{mark:f}"}}})

    def listen(self, ports: Ports) -> None:
        """Take in what has come and hand it on."""
        now = self._town.time.now_ms()
        if now - self._minded_ms >= 1_000:
            self._minded_ms = now
            self.watch.load(ports.records.all(ACCOUNT))
            if self.frames.silent(now) is None:
                ports.prices.hear(ACCOUNT)
        if self.frames.silent(now) is not None:
            self._connect()
            self._town.sweep()
        came, self._came = self._came, []
        for message in came:
            self.frames.take(message, now)
        news = self.frames.drain()
        if news.marks:
            ports.prices.put(ACCOUNT, news.marks)
        for symbol, what in news.events:
            self.watch.happened(symbol, now)
            ports.wakes.wake(Key(ACCOUNT, symbol), what)
        for symbol in self.watch.again(now, lambda: ports.venue.wait_ms(LOOK, Urgency.ORDINARY) == 0):
            ports.wakes.wake(Key(ACCOUNT, symbol), AGAIN)
        for key, why in self.watch.look_at(news.marks, now):
            ports.wakes.wake(key, why)
        for symbol in news.doubts:
            doubted = self.watch.doubt(symbol, now)
            if doubted is not None:
                ports.wakes.wake(doubted, "its price came far off: the venue is asked")
