"""Who watches that Redis answers, and stands in while it does not: the guardian's venue, its loop, its voice.

What is decided while Redis is gone stands in engine/guardian.py and core/guarding.py.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from exchange.budget import LocalBudget, LocalCache
from exchange.clock import mono_ms
from exchange.nonces import LocalNonces
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import Switches
from stopkeeper.engine.guardian import Guardian, Say
from stopkeeper.engine.ports import Journal, StoreGone, Times
from workers.settings import Settings
from workers.settings_sections import AlertsSection
from workers.wiring import venue_account

log = logging.getLogger(__name__)
CHECK_MS = 250
REPORT_S = 2.0
MISSED_MS = 3_000  # a silence of Redis that is worth a line
SLEPT_MS = 2_000  # a loop that comes so much too late slept itself: that nothing was heard says nothing
GRACE_MS = 3_000  # then it listens anew for so long
RELIEF_MS = 30_000  # workers that take longer to come back once Redis is there are away for another reason
KEPT = 200  # lines that wait for the journal

Clock = Callable[[], float]
Worked = Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Local:
    """Nonces, budgets and texts of this process alone; one for all its guardians, as they share hosts and signers."""

    nonces: LocalNonces = field(default_factory=LocalNonces)
    budget: LocalBudget = field(default_factory=LocalBudget)
    texts: LocalCache = field(default_factory=LocalCache)


class Guard:
    """Lets the guardian of one account act from ``guardian_ms`` after Redis last answered until workers take over.

    ``worked_ms`` says how long ago one of them last carried something out (None = never); it may raise StoreGone.
    """

    def __init__(
        self,
        account: str,
        times: Times,
        alerts: AlertsSection,
        journal: Journal,
        make: Callable[[Say], Guardian],
        clock: Clock = mono_ms,
        worked_ms: Worked = lambda: 0,
    ) -> None:
        self._account, self._times, self._alerts, self._journal = account, times, alerts, journal
        self._clock, self._worked_ms = clock, worked_ms
        self._alive_ms = self._checked_ms = clock()
        self._back_ms = self._answered_ms = -math.inf  # of an outage: since when Redis is back, when it last answered
        self._told: list[tuple[float, str, str]] = []  # what the journal does not know yet
        self._count = 0  # of all that was told
        self._missed_ms = 0.0  # how long Redis has been silent, or was until a moment ago
        self._slept_at: float | None = None  # what was taken for the last answer when this process itself had slept
        self._guardian = make(self.tell)
        # the threads the others share are blocked while a Redis that hangs is asked
        self._own_thread = ThreadPoolExecutor(1, f"guardian-{account}")

    def note_alive(self, records: Sequence[KeyRecord], switches: Switches) -> None:
        """Note that Redis does all it is asked, with these; a guardian that is relieved stops before its next deed.

        For any thread. Raises StoreGone.
        """
        now = self._clock()
        if self.silent_ms >= self._times.guardian_ms and not self._is_relieved(now):
            return
        self._alive_ms = now
        self._guardian.take(records, switches, int(now))

    def note_read(self, records: Sequence[KeyRecord], switches: Switches) -> None:
        """Note what could be read, whatever else Redis does: a guardian that begins goes by it. For any thread."""
        if self.silent_ms < self._times.guardian_ms:
            self._guardian.take(records, switches, int(self._alive_ms))

    @property
    def silent_ms(self) -> float:
        """Return how long ago Redis last answered."""
        return self._clock() - self._alive_ms

    async def run(self) -> None:
        """Watch until cancelled."""
        self._alive_ms = self._checked_ms = self._clock()
        try:
            while True:
                if self._is_gone():
                    await self._stand_in()
                self._miss()
                await asyncio.sleep(CHECK_MS / 1000)
        finally:
            self._end_miss()
            self._guardian.dismiss()  # a round in its thread does not end with this task

    async def report(self) -> None:
        """Bring into the journal what was told, whenever Redis answers; until cancelled, whoever leads meanwhile."""
        while True:
            await asyncio.sleep(REPORT_S)
            if self._told:
                await asyncio.to_thread(self._write_down)

    def _is_gone(self) -> bool:
        now = self._clock()
        if now - self._checked_ms > SLEPT_MS:
            self._alive_ms = max(self._alive_ms, now - self._times.guardian_ms + GRACE_MS)
            self._slept_at = self._alive_ms
        self._checked_ms = now
        return self.silent_ms >= self._times.guardian_ms

    def _is_relieved(self, now: float) -> bool:
        """Return whether a worker has carried something out since Redis is back, or had the time to come back."""
        if now - self._answered_ms > MISSED_MS:
            self._back_ms = now
        self._answered_ms = now
        back_for_ms, worked_ms = now - self._back_ms, self._worked_ms()
        return back_for_ms >= RELIEF_MS or (worked_ms is not None and worked_ms <= back_for_ms)

    def _miss(self) -> None:
        """Tell of a Redis that was silent for less than it takes the guardian to act, once it answers."""
        if self.silent_ms < MISSED_MS:
            self._end_miss()
        elif self._alive_ms != self._slept_at:
            self._missed_ms = self.silent_ms

    def _end_miss(self) -> None:
        missed_s, self._missed_ms = self._missed_ms / 1000, 0.0
        if missed_s:
            text = f"Redis answers again after {missed_s:.0f} s or a little more; the guardian had nothing to do"
            log.warning("%s: %s", self._account, text)
            self._keep("", text)

    async def _stand_in(self) -> None:
        self._missed_ms = 0.0
        began, seconds = self._alive_ms, f"{self.silent_ms / 1000:.0f} s"
        self.tell("", f"Redis is gone for {seconds}: the guardian acts alone: stops, closes, cancels of entries")
        told, end = self._count, "another feed leads, or this one ends"
        try:
            while self.silent_ms >= self._times.guardian_ms:
                loop = asyncio.get_running_loop()
                pause_ms = await loop.run_in_executor(self._own_thread, self._guardian.patrol, int(self._clock()))
                await asyncio.sleep(pause_ms / 1000)
            end = f"Redis answers again after {(self._alive_ms - began) / 1000:.0f} s"
        finally:
            self.tell("", f"{end}: the guardian stops; it told {self._count - told} things")
        self._checked_ms = self._clock()

    def tell(self, symbol: str, text: str) -> None:
        """Say something as loudly as can be without Redis: the log, and every alert service at once."""
        from workers.alerts import send_now

        self._count += 1
        log.error("%s: %s", self._account, text)
        send_now(self._alerts, f"Stopkeeper {self._account}: guardian", text)
        self._keep(symbol, text)

    def _keep(self, symbol: str, text: str) -> None:
        self._told = [*self._told, (self._clock(), symbol, text)][-KEPT:]

    def _write_down(self) -> None:
        """Bring into the journal what was told meanwhile; if Redis is gone once more it waits for the next time."""
        while self._told:
            at_ms, symbol, text = self._told[0]
            try:
                ago_s = (self._clock() - at_ms) / 1000
                self._journal.write(self._account, symbol, "guardian", f"{ago_s:.0f} s ago: {text}")
            except StoreGone as gone:
                log.debug("%s: the guardian's deeds wait for the journal: %s", self._account, gone)
                return
            self._told = self._told[1:]


def open_guard(settings: Settings, account: str, journal: Journal, local: Local, worked_ms: Worked) -> Guard:
    """Return the guard of an account, its guardian with a venue of its own that needs no Redis; nothing is sent yet."""
    from exchange.venues import open_venue

    times, named = settings.times(), venue_account(settings, account)
    own = open_venue(named.as_guardian(), times, local.nonces, local.budget, local.texts)
    spare = None
    if named.guardian_key is not None:
        spare = open_venue(named, times, local.nonces, local.budget, local.texts)

    def make(say: Say) -> Guardian:
        symbols, rules = settings.accounts[account].symbols, settings.rules(account)
        return Guardian(account, settings.installation, symbols, rules, times, own, say, spare, int(mono_ms()))

    return Guard(account, times, settings.alerts, journal, make, worked_ms=worked_ms)
