"""What goes wrong in a world, how often, and what of it was done: the dice, and the story they tell.

Each disturbance is noted with how long it lasts, because the bound of naked time is a function of them.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from decimal import Decimal
from random import Random
from typing import Any, Literal, Protocol

from exchange.paper.knobs import Knobs
from exchange.simulated_reads import Answer

LAG_MS = 2_800  # less than the lag a venue is believed to have
HTTP_AND_DEADLINE_MS = 7_000
SWEEP_MS = 15_000  # what no frame told is seen by the next sweep
SHARE_REFUSED = 0.5  # of requests while others spend what the venue grants at our address
READINGS = (
    "lag_non_monotonic", "stale_state_tells_time", "cloid_reuse_refused", "ro_trigger_needs_position",
    "ro_trigger_outlives_position", "ro_triggers_sum_limited", "partial_parent_places_children",
    "canceled_parent_cancels_children", "fired_trigger_keeps_oid", "nonce_before_expiry",
)  # fmt: skip


class Clocked(Protocol):
    """What has a time."""

    def now_ms(self) -> int: ...


@dataclass(frozen=True)
class Profile:
    """How much of everything goes wrong: probabilities a call, or a minute where the name says so."""

    lost: float = 0.0  # a request or its answer
    late: float = 0.0  # an action that lands after whoever sent it has given up
    twice: float = 0.0  # an action that arrives a second time
    slow: float = 0.0  # a request that takes seconds
    crash: float = 0.0  # a process ends at a point
    freeze: float = 0.0  # a process stands still at a point, often past its lease
    lag: bool = False  # each read may be late by up to LAG_MS, on its own
    broker: float = 0.0  # a message of the queue is lost, or comes twice
    clock_error_ms: int = 0
    people: float = 0.0  # deeds by hand, a minute
    venue: float = 0.0  # stops cancelled or refused, fills that fail, part fills, a minute
    wild: float = 0.0  # leaps of the market, a minute
    outages: float = 0.0  # the venue is away for a while, a minute
    store_gone: float = 0.0  # the store is away for a while, a minute
    store_back: float = 0.0  # the store loses its last seconds, a minute
    stream: float = 0.0  # the streams fall silent for a while, a minute
    frames: float = 0.0  # a frame of the streams is lost, comes twice or late
    limits: float = 0.0  # a rate limit is spent, ours or the venue's, a minute
    taken: float = 0.0  # the venue takes a position away: liquidated or deleveraged, a minute
    torn: float = 0.0  # an action whose connection breaks at once, and which lands within its deadline all the same
    denies: float = 0.0  # an answer about positions that leaves one out
    dies: float = 0.0  # a process that ends of such a connection

    @property
    def quiet(self) -> bool:
        """Return whether nothing at all goes wrong."""
        return all(not getattr(self, each.name) for each in fields(self))


_KINDS: dict[str, dict[str, Any]] = {
    "calm": {},
    "lossy": {
        "lost": 0.05, "late": 0.06, "twice": 0.05, "slow": 0.03, "clock_error_ms": 250, "broker": 0.1, "frames": 0.03,
        "denies": 0.05,
    },
    "lagging": {"denies": 0.05, "lag": True, "lost": 0.02, "slow": 0.05, "clock_error_ms": 250},
    "crashing": {"denies": 0.05, "crash": 0.004, "freeze": 0.002, "broker": 0.1},
    "venue": {"denies": 0.05, "venue": 6.0, "wild": 2.0, "lag": True, "taken": 0.3},
    "people": {"denies": 0.05, "people": 4.0, "wild": 1.0, "lag": True, "taken": 0.3},
    "away": {"denies": 0.05, "outages": 1.0, "store_gone": 0.7, "stream": 1.0, "limits": 0.7, "crash": 0.001},
    "back": {"denies": 0.05, "store_back": 1.0, "crash": 0.002, "freeze": 0.001, "lost": 0.03, "lag": True},
    "all": {
        "lost": 0.03, "late": 0.02, "twice": 0.03, "slow": 0.02, "crash": 0.002, "freeze": 0.001, "lag": True,
        "broker": 0.05, "clock_error_ms": 250, "people": 2.0, "venue": 3.0, "wild": 1.5, "outages": 0.4,
        "store_gone": 0.3, "stream": 0.5, "store_back": 0.1, "frames": 0.01, "limits": 0.2,
        "taken": 0.1, "denies": 0.02,
    },
}  # fmt: skip
KINDS = tuple(_KINDS)
_SCENES: dict[str, dict[str, Any]] = {
    "relay": {"torn": 0.25},
    "dying": {"torn": 0.3, "dies": 0.5},
    "hanging": {"slow": 0.02, "lag": True},
    "wiped": {"slow": 0.02, "lag": True},
    "forgotten": {"slow": 0.02},
    "failover": {"torn": 0.4},
    "turned": {},
    "refusing": {},
    "asked": {"slow": 0.02},
    "leveraged": {"slow": 0.02},
    "strangers": {"slow": 0.02},
    "prices": {"slow": 0.02},
    "gapping": {"slow": 0.02},
    "metered": {"slow": 0.02},
    "denied": {"slow": 0.02},
    "unlisted": {"slow": 0.02},
    "cancelled": {"lag": True},
}
SCENES = tuple(_SCENES)
"""Kinds in which little goes wrong by dice and one thing by a script (scenes.py): dice alone do not show it."""


def profile(kind: str) -> Profile:
    """Return the profile of a kind of world."""
    return Profile(**(_KINDS | _SCENES)[kind])


def knobs(rng: Random, made: Profile) -> Knobs:
    """Return a venue's settings: each unsettled rule by one of its readings."""
    found = Knobs(funding_rate=Decimal(rng.choice(("0", "0.0004", "-0.0004"))))
    for name in READINGS:
        setattr(found, name, rng.random() < 0.5)
    if made.lag:
        for kind in ("position", "order", "fill", "status"):
            setattr(found, f"{kind}_lag_ms", rng.choice((0, 0, 300, 1_000, LAG_MS)))
    if made.limits:
        found.address_initial = rng.choice((10_000, 1_500, 1_050))  # near what is kept for protection
    if made.wild:
        found.level_usd = Decimal(rng.choice((250_000, 250_000, 250_000, 500, 50)))  # thin books fill in part
    return found


@dataclass
class Trouble:
    """The dice of a world while ``on``; and its story, one line a thing that was done."""

    rng: Random
    profile: Profile
    clock: Clocked
    on: bool = True
    away_until_ms: int = 0  # the venue does not answer until then
    spent_until_ms: int = 0  # and until then it refuses half of what is asked, for others ask too much of it
    mute_until_ms: dict[str, int] = field(default_factory=dict)  # and none of a name is answered until then
    losing: set[tuple[str, str]] = field(default_factory=set)  # the next request of a name and symbol is lost
    denied_ms: int = 0  # when an answer last left a position out
    denying: set[str] = field(default_factory=set)  # the next answer about positions has none on the symbol
    unlisted_until_ms: dict[str, int] = field(default_factory=dict)  # until then lists leave a symbol's orders out
    story: list[tuple[int, str, str]] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)  # from, to: what may lengthen a naked time

    def note(self, who: str, what: str) -> None:
        """Put a line into the story."""
        self.story.append((self.clock.now_ms(), who, what))

    def disturb(self, for_ms: int) -> None:
        """Note that from now on something is disturbed for a while."""
        now = self.clock.now_ms()
        self.spans.append((now, now + for_ms))

    def hit(self, chance: float) -> bool:
        """Throw for something that goes wrong by a chance."""
        return self.on and chance > 0 and self.rng.random() < chance

    # --- asked by a process ---------------------------------------------------------------------------------------

    def strike(self, process: Any, point: str) -> Literal["crash", "freeze"] | None:
        """Return what happens to a process at a point."""
        if self.hit(self.profile.crash):
            self.note("process", f"{process.boot} ends at {point}")
            return "crash"
        if self.hit(self.profile.freeze):
            self.note("process", f"{process.boot} freezes at {point}")
            return "freeze"
        return None

    def freeze_ms(self) -> int:
        """Return how long a process stands still: shorter or longer than a lease."""
        return self.rng.choice((500, 3_500, 9_000, 11_000, 16_000, 30_000))

    def pause_ms(self) -> int:
        """Return how long a call of the store takes; mostly no time in which others act."""
        return self.rng.randint(1, 4) if self.rng.random() < 0.25 else 0

    def travel_ms(self) -> int:
        """Return how long a request takes one way."""
        if self.hit(self.profile.slow):
            slow_ms = self.rng.choice((400, 900, 1_400))
            self.disturb(slow_ms)
            return slow_ms
        return self.rng.randint(5, 40)

    def answer(self, name: str, symbol: str) -> Answer | None:
        """Return what becomes of a request: that it is lost, or its answer."""
        if self.clock.now_ms() < max(self.away_until_ms, self.mute_until_ms.get(name, 0)):
            return "lost_before"
        if self.clock.now_ms() < self.spent_until_ms and self.rng.random() < SHARE_REFUSED:
            return "throttled"
        told = (name, symbol) in self.losing
        self.losing.discard((name, symbol))
        if not told and not self.hit(self.profile.lost):
            return None
        what: Answer = "lost_before" if told else self.rng.choice(("lost_before", "lost_after"))
        self.note("line", f"{name} {symbol}: {what}")
        self.disturb(4_000)
        return what

    def denial(self, held: Collection[str]) -> set[str]:
        """Return the symbols whose positions an answer leaves out, though they are held: one at a time."""
        now = self.clock.now_ms()
        if not held or now < self.denied_ms + 12_000 or not self.hit(self.profile.denies):
            return set()
        self.denied_ms = now
        self.disturb(4_000)
        return {self.rng.choice(sorted(held))}

    def tears(self) -> int:
        """Return after how many ms an action lands whose connection breaks at once; 0 = it does not."""
        if not self.hit(self.profile.torn):
            return 0
        late_ms = self.rng.choice((900, 1_800, 2_600, 3_400, 3_800))
        self.note("line", f"the connection breaks, and what was sent lands {late_ms} ms late")
        self.disturb(HTTP_AND_DEADLINE_MS)
        return late_ms

    def landing(self) -> tuple[int, int]:
        """Return after how many ms an action lands (0 = in time), and after how many it lands again (0 = never)."""
        if self.hit(self.profile.late):
            late_ms = self.rng.choice((1_500, 3_100, 3_500, 3_900, 5_000, 20_000, 60_000))
            self.note("line", f"an action lands {late_ms} ms late")
            self.disturb(HTTP_AND_DEADLINE_MS)
            return late_ms, 0
        return 0, self.rng.choice((10, 2_000, 9_000)) if self.hit(self.profile.twice) else 0

    def frame(self) -> tuple[int, ...]:
        """Return after how many ms a frame of the streams comes, and comes again; nothing = it is lost."""
        if not self.hit(self.profile.frames):
            return (0,)
        what = self.rng.choice(("lost", "late", "twice"))
        if what == "lost":
            self.note("stream", "a frame is lost")
            self.disturb(SWEEP_MS)
            return ()
        later_ms = self.rng.choice((300, 1_500, 4_000))
        return (later_ms,) if what == "late" else (0, later_ms)
