"""The feed: streams that wake, and the ticker beside them. One leader per account, any number of tickers.

Marks go to the store; events of orders, fills and positions, and marks that reach a stop, a target or a new best price,
wake their key at once. Every (re)connection starts a sweep: what happened before it was not pushed; so does the return
of a store that an event could not be told; while no connection stands, sweeps go on at a shorter period.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from exchange.clock import mono_ms
from exchange.frames import News
from exchange.streams import OnGap, OnNews, Streams
from stopkeeper.core.model import Key
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import Switches
from stopkeeper.core.watching import AGAIN, DOUBT, LOOK, Watch
from stopkeeper.engine.ports import Lease, LeaseLost, Ports, StoreGone, Urgency
from tasks.supervise import drain
from workers.alive import worked_ms
from workers.ticker import Ticker, guarded, start_sweep
from workers.wiring import System, venue_account

if TYPE_CHECKING:
    from workers.guarding import Guard, Local

log = logging.getLogger(__name__)
FEED = "~feed"  # the symbol of the leader's lease; no venue lists it and no drain publishes it
RENEW_S = 2.0
COMPETE_S = 1.0
MIND_S = 1.0  # how often the records are loaded and the streams are said to live
LOAD_AFTER_S = 0.2  # what happened is written down by a worker within so long
WAKE_PAUSE_MS = 1_000  # a price names a key at most so often
DEAF_SWEEP_MS = 5_000  # the period of looks of an account while no stream tells anything; all share one budget
Taker = Callable[[Sequence[KeyRecord], Switches], None]


class Pushes(Protocol):
    """What a leader listens to; exchange.streams.Streams is one."""

    @property
    def alive(self) -> bool:
        """Whether what happens is told now."""

    async def run(self, on_news: OnNews, on_gap: OnGap) -> None: ...


class Leader:
    """Leads one account until another does: listens, and turns what it hears into marks and wake-ups.

    ``beside`` are further posts of the leader, each a coroutine that runs until cancelled: alerts, and who stands in
    while Redis is gone. ``read`` is given the records and switches whenever they were read, ``loaded`` where they were
    read from a Redis that does all that a drive needs, to which belongs what ``publishes`` says: that the queue takes
    messages.
    """

    def __init__(
        self,
        ports: Ports,
        streams: Pushes,
        beside: Sequence[Callable[[], Awaitable[None]]] = (),
        loaded: Taker = lambda _records, _switches: None,
        read: Taker = lambda _records, _switches: None,
        deaf_sweep_ms: int = DEAF_SWEEP_MS,
        publishes: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ports = ports
        self._streams = streams
        self._beside = tuple(beside)
        self._loaded, self._read = loaded, read
        self._deaf_sweep_ms = deaf_sweep_ms
        self._publishes = publishes
        self._key = Key(ports.account, FEED)
        self._watch = Watch(ports.rules, WAKE_PAUSE_MS, ports.venue.can.lag_ms, ports.times.look_fresh_ms)
        self._happened = asyncio.Event()
        self._lost_push = False  # an event, or a gap, that the store could not be told: no stream says it again
        self._lease: Lease  # while it leads

    async def run(self) -> None:
        """Compete for the account's lease, lead until another does, compete again; until cancelled."""
        while True:
            lease = await self._acquire()
            if lease is not None:
                log.info("%s: leading", self._ports.account)
                await self._lead(lease)
                log.info("%s: no longer leading", self._ports.account)
            await asyncio.sleep(COMPETE_S)

    async def _acquire(self) -> Lease | None:
        try:
            return await asyncio.to_thread(self._ports.leases.acquire, self._key)
        except StoreGone as gone:
            log.warning("%s: %s", self._ports.account, gone)
            return None

    async def _lead(self, lease: Lease) -> None:
        self._lease = lease
        posts = (
            self._streams.run(self._on_news, self._on_gap),
            self._renew(),
            self._mind(),
            self._look(),
            *(post() for post in self._beside),
        )
        running = [asyncio.ensure_future(post) for post in posts]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for ended in (task for task in running if task.done()):
                ended.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.shield(asyncio.to_thread(self._release))

    async def _renew(self) -> None:
        """Renew until another leads. An unreachable store is waited for: nobody else can lead meanwhile either."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                if not await asyncio.to_thread(self._renewed):
                    return
            except StoreGone as gone:
                log.warning("%s: lease not renewed: %s", self._ports.account, gone)

    def _renewed(self) -> bool:
        """Renew the lease, or take it anew where it ran out; return False where another leads. Raises StoreGone.

        The lead goes on meanwhile: its guardian is needed where the store is gone again before the lease was taken.
        """
        try:
            self._ports.leases.renew(self._lease, 0)
        except LeaseLost:
            anew = self._ports.leases.acquire(self._key)
            if anew is None:
                return not self._is_anothers()
            log.info("%s: the lease ran out and is taken anew", self._ports.account)
            self._lease = anew
            self._lost_push = True  # a store that was emptied has forgotten what was due
        return True

    def _is_anothers(self) -> bool:
        """Return whether another process holds the lease. Ours does where its grant was not heard: it lets go of it."""
        boot = _boot_of(self._lease.owner)
        return any(key == self._key and _boot_of(owner) != boot for key, owner, *_ in self._ports.leases.holders())

    async def _mind(self) -> None:
        """Keep the records at hand, and say that the streams live."""
        while True:
            with suppress(LeaseLost):  # it is taken anew, or the lead ends, where it is renewed
                await asyncio.to_thread(guarded, self._load)
            if self._streams.alive:
                await asyncio.to_thread(guarded, lambda: self._ports.prices.hear(self._ports.account))
            await self._news_or(MIND_S)

    async def _look(self) -> None:
        """Look by request while no stream tells anything, and where a push was lost. The queue may let it wait long."""
        deaf_since: float | None = None
        while True:
            await self._make_up()
            deaf_since = None if self._streams.alive else deaf_since or mono_ms()
            if deaf_since is not None and mono_ms() - deaf_since >= self._deaf_sweep_ms:
                deaf_since = None
                await asyncio.to_thread(guarded, lambda: start_sweep(self._ports))
            await asyncio.sleep(MIND_S)

    async def _make_up(self) -> None:
        """Look by request, once the store is back, where a push was lost to it."""
        if self._lost_push:
            self._lost_push = False  # before the look: what is lost during it is looked for again
            self._lost_push = not await asyncio.to_thread(guarded, lambda: start_sweep(self._ports)) or self._lost_push

    async def _news_or(self, seconds: float) -> None:
        """Wait so long, or until something happened to an order or fill: a guardian must know the newest record."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._happened.wait()
                await asyncio.sleep(LOAD_AFTER_S)
        self._happened.clear()

    def _load(self) -> None:
        """Load the records. A store that takes no write, or confirms none on disk, is gone: nobody can drive by it."""
        records = self._ports.records.all(self._ports.account)
        self._watch.load(records)
        switches = self._ports.flags.read(self._ports.account)
        self._read(records, switches)
        self._ports.leases.renew(self._lease, 0)
        self._ports.records.confirm()
        if self._publishes():
            self._loaded(records, switches)

    def _release(self) -> None:
        try:
            self._ports.leases.release(self._lease, self._ports.wakes.counter(self._key), None)
        except (StoreGone, LeaseLost) as left:
            log.info("%s: lease left to expire: %s", self._ports.account, left)

    # --- what the streams call: a store that is gone loses a push, never the connection --------------------------

    async def _on_news(self, news: News) -> None:
        told = await asyncio.to_thread(guarded, lambda: self._pass_on(news))
        self._lost_push = self._lost_push or not told
        if news.events:
            self._happened.set()

    async def _on_gap(self, why: str) -> None:
        log.info("%s: %s: looking at the account", self._ports.account, why)
        told = await asyncio.to_thread(guarded, lambda: start_sweep(self._ports))
        self._lost_push = self._lost_push or not told

    def _pass_on(self, news: News) -> None:
        """Put marks and counts into the store, and wake the keys they and the events are about."""
        ports, now = self._ports, int(mono_ms())
        urgent = {Key(ports.account, symbol): what for symbol, what in news.events if symbol in ports.symbols}
        # a symbol that is not ours is not touched; `audit` names what is held there
        for symbol in {key.symbol for key in urgent}:
            self._watch.happened(symbol, now)
        for symbol in self._watch.again(now, self._can_spare):
            urgent[Key(ports.account, symbol)] = AGAIN
        for symbol in news.doubts:
            doubted = self._watch.doubt(symbol, now)
            if doubted is not None:
                urgent.setdefault(doubted, DOUBT)
        if news.marks:
            ports.prices.put(ports.account, news.marks)
        reached = dict(self._watch.look_at(news.marks, now, self._can_spare))
        for key, why in (reached | urgent).items():
            ports.wakes.wake(key, why)
        if urgent or reached:
            drain(ports, urgent=tuple(reached | urgent))
        if news.flaws:
            ports.prices.count(ports.account, news.flaws)

    def _can_spare(self) -> bool:
        """Return whether the rate budget has looks left beyond those that are kept for protection."""
        return self._ports.venue.wait_ms(LOOK, Urgency.ORDINARY) == 0


def _boot_of(owner: str) -> str:
    """Return the process that the owner of a lease belongs to."""
    return owner.partition("|")[0]


def _posts(system: System, ports: Ports, local: "Local", ticker: Ticker) -> tuple[Leader, "Guard"]:
    """Return who leads an account, with its streams, its alerts and its guard; and the guard."""
    from workers.alerts import Alerter
    from workers.guarding import open_guard

    streams = Streams(venue_account(system.settings, ports.account), ports.symbols, ports.rules.price_jump)
    alerter = Alerter(ports, system.store.texts, system.settings.alerts)
    worked = partial(worked_ms, system.store, system.accounts)
    guard = open_guard(system.settings, ports.account, ports.journal, local, worked)
    where = system.settings.base_url
    sharing = [name for name in system.accounts if where(name) == where(ports.account)]  # one budget of looks
    leader = Leader(
        ports,
        streams,
        (alerter.run, guard.run),
        guard.note_alive,
        guard.note_read,
        DEAF_SWEEP_MS * len(sharing),
        lambda: ticker.publishes,
    )
    return leader, guard


async def serve(system: System, told: Callable[[], bool]) -> None:
    """Run the ticker and a leader for every account until SIGTERM or SIGINT. ``told`` = whether one came before."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if told():
        return
    from workers.guarding import Local

    ports = [await asyncio.to_thread(system.ports, name) for name in system.accounts]
    local = Local()
    ticker = Ticker(ports, system)
    posts = [_posts(system, each, local, ticker) for each in ports]
    running: list[asyncio.Task[object]] = [
        asyncio.create_task(ticker.run()),
        *(asyncio.create_task(leader.run()) for leader, _ in posts),
        *(asyncio.create_task(guard.report()) for _, guard in posts),
    ]
    waiting: asyncio.Task[object] = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait({waiting, *running}, return_when=asyncio.FIRST_COMPLETED)
        for part in running:
            if part.done():
                part.result()
    finally:
        for part in (waiting, *running):
            part.cancel()
        await asyncio.gather(waiting, *running, return_exceptions=True)
