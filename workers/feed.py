"""The feed: streams that wake, and the ticker that drains what is due. One leader per account, any number of tickers.

Marks go to the store, events of orders and fills wake their key at once, every (re)connection starts a sweep: what
happened before it was not pushed. The ticker needs no leader, because claims are atomic; so a dead beat delays nothing.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Protocol

from kombu.exceptions import OperationalError

from exchange.streams import OnEvent, OnGap, OnMarks, Streams
from stopkeeper.core.model import Key
from stopkeeper.engine.ports import Lease, LeaseLost, Ports, StoreGone
from tasks import queues, runtime
from tasks.supervise import drain
from workers.wiring import System, venue_account

log = logging.getLogger(__name__)
FEED = "~feed"  # the symbol of the leader's lease; no venue lists it and no drain publishes it
RENEW_S = 2.0
COMPETE_S = 1.0
SWEEP_CHECK_S = 1.0
_UNREACHABLE = (StoreGone, OperationalError, ConnectionError)


class Pushes(Protocol):
    """What a leader listens to; exchange.streams.Streams is one."""

    async def run(self, on_marks: OnMarks, on_event: OnEvent, on_gap: OnGap) -> None: ...


class Leader:
    """Leads one account as long as its lease holds: listens, and turns what it hears into marks and wake-ups."""

    def __init__(self, ports: Ports, streams: Pushes) -> None:
        self._ports = ports
        self._streams = streams
        self._key = Key(ports.account, FEED)

    async def run(self) -> None:
        """Compete for the account's lease, lead while it holds, compete again; until cancelled."""
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
        listening = asyncio.create_task(self._streams.run(self._on_marks, self._on_event, self._on_gap))
        renewing = asyncio.create_task(self._renew(lease))
        try:
            await asyncio.wait({listening, renewing}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (task for task in (listening, renewing) if task.done()):
                ended.result()
        finally:
            for task in (listening, renewing):
                task.cancel()
            await asyncio.gather(listening, renewing, return_exceptions=True)
            await asyncio.shield(asyncio.to_thread(self._release, lease))

    async def _renew(self, lease: Lease) -> None:
        """Renew until the lease is lost. An unreachable store is waited for: nobody else can lead meanwhile either."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await asyncio.to_thread(self._ports.leases.renew, lease, 0)
            except LeaseLost:
                return
            except StoreGone as gone:
                log.warning("%s: lease not renewed: %s", self._ports.account, gone)

    def _release(self, lease: Lease) -> None:
        try:
            self._ports.leases.release(lease, self._ports.wakes.counter(self._key), None)
        except (StoreGone, LeaseLost) as left:
            log.info("%s: lease left to expire: %s", self._ports.account, left)

    # --- what the streams call: a store that is gone loses a push, never the connection --------------------------

    async def _on_marks(self, marks: Mapping[str, Decimal]) -> None:
        await asyncio.to_thread(_guarded, lambda: self._ports.prices.put(self._ports.account, marks))

    async def _on_event(self, symbol: str, what: str) -> None:
        await asyncio.to_thread(_guarded, lambda: self._wake(symbol, what))

    async def _on_gap(self, why: str) -> None:
        log.info("%s: %s: looking at the account", self._ports.account, why)
        await asyncio.to_thread(_guarded, lambda: start_sweep(self._ports))

    def _wake(self, symbol: str, what: str) -> None:
        if symbol not in self._ports.symbols:
            return  # not ours to touch; `audit` names what is held there
        key = Key(self._ports.account, symbol)
        self._ports.wakes.wake(key, what)
        drain(self._ports, urgent=(key,))


class Ticker:
    """Publishes what is due every tick, and a sweep where none was made for two periods."""

    def __init__(self, ports: Sequence[Ports], system: System) -> None:
        self._ports = ports
        self._system = system
        self._down = False

    async def run(self) -> None:
        """Tick until cancelled."""
        times = self._ports[0].times
        loop = asyncio.get_running_loop()
        sweep_check = loop.time()
        while True:
            began = loop.time()
            await asyncio.to_thread(self._tick)
            if began >= sweep_check:
                await asyncio.to_thread(self._sweeps)
                sweep_check = began + SWEEP_CHECK_S
            await asyncio.sleep(max(0.0, began + times.tick_ms / 1000 - loop.time()))

    def _tick(self) -> None:
        try:
            drain(self._ports[0])
        except _UNREACHABLE as gone:
            if not self._down:
                log.warning("ticker: %s", gone)
            self._down = True
            return
        if self._down:
            log.info("ticker: the store is back")
        self._down = False

    def _sweeps(self) -> None:
        if not self._down:
            for ports in self._ports:
                _guarded(partial(self._sweep_if_old, ports))

    def _sweep_if_old(self, ports: Ports) -> None:
        texts = self._system.store.texts
        if texts.load(runtime.swept(ports.account)) is None:
            texts.save(runtime.swept(ports.account), "asked", ports.times.sweep_ms)  # one, until it is overdue again
            log.info("%s: no sweep for two periods, starting one", ports.account)
            start_sweep(ports)


def start_sweep(ports: Ports) -> None:
    """Publish a sweep with a look of its own."""
    from tasks.sweep import sweep_account

    sweep_account.apply_async((ports.account,), queue=queues.SCANS, expires=ports.times.sweep_ms / 1000)


def _guarded(action: Callable[[], object]) -> None:
    try:
        action()
    except _UNREACHABLE as gone:
        log.warning("not passed on: %s", gone)


async def serve(system: System) -> None:
    """Run the ticker and a leader for every account until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    ports = [await asyncio.to_thread(system.ports, name) for name in system.accounts]
    leaders = [Leader(each, Streams(venue_account(system.settings, each.account), each.symbols)) for each in ports]
    running: list[asyncio.Task[object]] = [
        asyncio.create_task(Ticker(ports, system).run()),
        *(asyncio.create_task(each.run()) for each in leaders),
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
