"""The processes of an installation and the edges at which they die, freeze or lose what they were told.

A process is a set of ports behind edges. Every call of a port that goes outside is two points: before it and after it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Literal

from exchange.paper.venue import Venue as PaperVenue
from exchange.simulated import SimulatedVenue
from stopkeeper.core.model import Holdings, Known, Order
from stopkeeper.core.outcomes import Outcome, Unknown
from stopkeeper.engine.lookout import Lookout
from stopkeeper.engine.ports import Permit, Ports, Times, Urgency
from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld
from tests.simulation.timeline import Timeline
from tests.simulation.trouble import Trouble

LOCAL = frozenset(
    ("now_ms", "clock_age_ms", "clock", "markets", "wait_ms", "remaining_ms")
)  # asked of memory, not outside
EDGES = ("venue", "leases", "records", "wakes", "journal", "ledger", "looks", "prices", "flags", "gaps")
HTTP_MS = 3_000


class Crashed(BaseException):
    """The process is no more: nothing that stands behind its edges can be reached by what is left of it."""


class Edge:
    """A port of a process; each call passes two points at which the process may end or stand still."""

    def __init__(self, inner: object, name: str, process: "Process") -> None:
        self._inner, self._name, self._process = inner, name, process

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._inner, method)
        if not callable(found):
            return found
        if method in LOCAL:
            self.__dict__[method] = found
            return found
        point, process = f"{self._name}.{method}", self._process

        def call(*args: Any, **more: Any) -> Any:
            process.pass_point(f"{point}:before")
            answer = found(*args, **more)
            process.pass_point(f"{point}:after")
            return answer

        self.__dict__[method] = call
        return call


class LateVenue(SimulatedVenue):
    """The venue as one process reaches it: by a clock that is a little wrong, over a line that delays and repeats."""

    def __init__(self, process: "Process", *args: Any, **more: Any) -> None:
        super().__init__(*args, latency=process.travel, fault=process.trouble.answer, **more)
        self._process = process

    def now_ms(self) -> int:
        """Return the venue's time as this process believes it to be."""
        return self.paper.now_ms() + self._process.error_ms

    def holdings(self, urgency: Urgency) -> Known[Holdings] | Unknown:
        """Read positions; now and then an answer has one not that is held."""
        found, denied = super().holdings(urgency), self._process.trouble.denying
        if not isinstance(found, Unknown):
            denied |= self._process.trouble.denial(found.value.positions.keys())
        if isinstance(found, Unknown) or not denied & found.value.positions.keys():
            return found
        held = {symbol: each for symbol, each in found.value.positions.items() if symbol not in denied}
        self._process.trouble.note("venue", f"denies {self._process.boot} the positions on {', '.join(sorted(denied))}")
        denied.clear()
        return replace(found, value=replace(found.value, positions=held))

    def orders(self, urgency: Urgency) -> Known[tuple[Order, ...]] | Unknown:
        """Read open orders; a list may leave those of a symbol out for a while, of which look-ups tell all the same."""
        found, until_ms = super().orders(urgency), self._process.trouble.unlisted_until_ms
        if isinstance(found, Unknown) or not until_ms:
            return found
        now = self.paper.now_ms()
        return replace(found, value=tuple(o for o in found.value if now >= until_ms.get(o.symbol, 0)))

    def _at_the_venue(
        self, kind: str, permit: Permit, count: int, what: Callable[[], tuple[Outcome, ...]]
    ) -> tuple[Outcome, ...]:
        late_ms, again_ms = self._process.trouble.landing()
        arrive = partial(super()._at_the_venue, kind, permit, count, what)
        torn_ms = self._process.trouble.tears()
        if torn_ms:
            self.paper.later(torn_ms, arrive)
            self._process.die_of(self._process.trouble.profile.dies)
            return (Unknown("the connection was reset"),) * count
        if late_ms:
            self.paper.later(late_ms, arrive)
            self._process.timeline.sleep(HTTP_MS)
            return (Unknown("no answer within the patience of HTTP"),) * count
        outcomes = arrive()
        if again_ms:
            self.paper.later(again_ms, arrive)
        return outcomes


class Process:
    """One life of one process: it has a boot id of its own, and whoever takes its place has another."""

    def __init__(
        self, boot: str, timeline: Timeline, trouble: Trouble, paper: PaperVenue, world: MemoryWorld, base: Ports,
        times: Times, address: str,
    ) -> None:  # fmt: skip
        self.boot, self.timeline, self.trouble, self.world = boot, timeline, trouble, world
        self.rng: Random = trouble.rng
        self.alive, self.busy = True, False
        self.error_ms = self.rng.randint(-trouble.profile.clock_error_ms, trouble.profile.clock_error_ms)
        self._heir_ms = times.lease_ms + times.claim_ms  # until somebody has taken over whatever it did
        self._frozen_until_ms = 0
        self.passed: Counter[str] = Counter()
        store = memory_store(world, installation=base.installation, boot=boot, times=times)
        self.store = store
        if not world.gone:
            store.verify()
        venue = LateVenue(self, paper, address, store.nonces, store.budget, store.texts)
        ports = replace(
            base, venue=venue, leases=store.leases, records=store.records, wakes=store.wakes, journal=store.journal,
            ledger=store.ledger, looks=store.looks, prices=store.prices, flags=store.flags, gaps=store.gaps,
            lookout=Lookout(),
        )  # fmt: skip
        self.ports = replace(ports, **{name: Edge(getattr(ports, name), name, self) for name in EDGES})

    def travel(self) -> None:
        """Spend the time a request takes one way."""
        self.timeline.sleep(self.trouble.travel_ms())
        self._stand()

    def pass_point(self, point: str) -> None:
        """Pass a point between two effects: others may act, and this process may end or stand still here."""
        self._stand()
        strike: Literal["crash", "freeze"] | None = self.trouble.strike(self, point)
        if strike == "crash":
            self.crash()
        elif strike == "freeze":
            self.freeze(self.trouble.freeze_ms())
        pause = self.trouble.pause_ms()
        if pause:
            self.timeline.sleep(pause)
        self._stand()

    def _stand(self) -> None:
        while self.alive and self.timeline.now_ms() < self._frozen_until_ms:
            self.timeline.sleep(self._frozen_until_ms - self.timeline.now_ms())
        if not self.alive:
            raise Crashed(self.boot)

    def die_of(self, chance: float) -> None:
        """End by a chance. Raises Crashed."""
        if self.trouble.hit(chance):
            self.crash()
            self._stand()

    def crash(self) -> None:
        """End, whatever is under way: its heartbeat stays until it runs out."""
        if self.alive:
            self.alive = False
            self.world.kill(self.boot)
            self.trouble.disturb(self._heir_ms)
            self.trouble.note("process", f"{self.boot} is killed")

    def freeze(self, for_ms: int) -> None:
        """Stand still for a while, without a heartbeat."""
        until = self.timeline.now_ms() + for_ms
        if self.alive and until > self._frozen_until_ms:
            self._frozen_until_ms = until
            self.world.kill(self.boot)
            self.trouble.disturb(for_ms)
            self.trouble.note("process", f"{self.boot} stands still for {for_ms} ms")
            self.timeline.at(for_ms, self._thaw)

    def _thaw(self) -> None:
        if self.alive and self.timeline.now_ms() >= self._frozen_until_ms:
            self.world.revive(self.boot)

    @property
    def fit(self) -> bool:
        """Return whether it can take work now."""
        return self.alive and not self.busy and self.timeline.now_ms() >= self._frozen_until_ms
