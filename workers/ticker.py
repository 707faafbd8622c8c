"""The ticker of a feed: drains what is due, and sweeps where nobody does. Any number of them, and no leader.

Claims are atomic, so a dead beat delays nothing.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

from kombu.exceptions import OperationalError

from exchange.clock import mono_ms
from stopkeeper.engine import vigil
from stopkeeper.engine.ports import Ports, StoreGone
from tasks import queues, runtime
from tasks.supervise import drain
from workers.alive import heard, noted_ms
from workers.wiring import System

log = logging.getLogger(__name__)
SWEEP_CHECK_S = 2.0
STUCK_MS = 3_000  # a tick that does not end: it waits for a connection to the queue
TELL_EVERY_MS = 10_000  # an outage is not told at every price
_told_at = [-math.inf]
_UNREACHABLE = (StoreGone, OperationalError, ConnectionError)


class Ticker:
    """Publishes what is due every tick, and a sweep where none was made for two periods; misses beat and streams."""

    def __init__(self, ports: Sequence[Ports], system: System) -> None:
        self._ports = ports
        self._system = system
        self._down = False
        self._began_ms: float | None = None  # of the tick that is under way

    @property
    def publishes(self) -> bool:
        """Whether what is due can be published, as far as is known."""
        began_ms = self._began_ms
        return not self._down and (began_ms is None or mono_ms() - began_ms < STUCK_MS)

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
        self._began_ms = mono_ms()
        try:
            drain(self._ports[0])
            if self._down:  # nothing may be due: only a message that is taken says that the queue is back
                for ports in self._ports:
                    start_sweep(ports)
                log.info("ticker: the store and the queue are back")
            self._down = False
        except _UNREACHABLE as gone:
            if not self._down:
                log.warning("ticker: %s", gone)
            self._down = True
        self._began_ms = None

    def _sweeps(self) -> None:
        if not self._down:
            for ports in self._ports:
                self._down = not guarded(partial(self._sweep_if_old, ports)) or self._down
                guarded(partial(self._miss, ports))

    def _sweep_if_old(self, ports: Ports) -> None:
        store, name, period_ms = self._system.store, runtime.swept(ports.account), ports.times.sweep_ms
        swept_ms = noted_ms(store, name)
        if (swept_ms is None or swept_ms >= 2 * period_ms) and ports.gaps.turn(ports.account, "sweep", period_ms):
            log.info("%s: no sweep for two periods, starting one", ports.account)
            start_sweep(ports)

    def _miss(self, ports: Ports) -> None:
        vigil.watch(ports, vigil.OF_FEEDS, heard(self._system.store, self._system.accounts))


def start_sweep(ports: Ports) -> None:
    """Publish a sweep with a look of its own."""
    from tasks.sweep import sweep_account

    sweep_account.apply_async((ports.account,), queue=queues.SCANS, expires=ports.times.sweep_ms / 1000)


def guarded(action: Callable[[], object]) -> bool:
    """Do something with the store or the queue; return whether they could be reached."""
    try:
        action()
    except _UNREACHABLE as gone:
        if mono_ms() - _told_at[0] > TELL_EVERY_MS:
            _told_at[0] = mono_ms()
            log.warning("not passed on: %s", gone)
        return False
    return True
