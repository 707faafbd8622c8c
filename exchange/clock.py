"""The venue's time: an offset measured from answers that carry one, with its uncertainty and age.

Anchored to the monotonic clock, so that a stepped system clock moves nothing once an answer was seen.
"""

import threading
import time
from dataclasses import dataclass

from stopkeeper.core.missing import Clock

STALE_MS = 30_000
DOUBT_MS = 10_000  # an answer that is so much older than it should be is hardly of an older state
BELIEVED_AHEAD = 3  # so many answers in a row
BELIEVED_AFTER_MS = 2_000  # over so long: workers that look at once ask in one moment
DRIFT = 0.0002  # how far two clocks may drift apart, per ms: generous for a virtual machine


def mono_ms() -> float:
    """Return this process's monotonic clock in ms."""
    return time.monotonic() * 1000


def wall_ms() -> int:
    """Return this host's own clock, UTC ms."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Offset:
    """Venue time minus monotonic time lies in [low, high] ms, as of ``at`` on the monotonic clock."""

    low: float
    high: float
    at: float

    def widened(self, now: float) -> "Offset":
        """Return the interval as it may be at another moment, both clocks drifting."""
        slack = 1 + (now - self.at) * DRIFT
        return Offset(self.low - slack, self.high + slack, now)

    def with_(self, other: "Offset") -> "Offset | None":
        """Return what both allow, or None where they contradict each other."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Offset(low, high, other.at) if low <= high else None

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


class VenueClock:
    """What a venue's clock shows, by the answers seen so far. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: Offset | None = None
        self._doubted = False
        self._ahead: Offset | None = None  # by the answers in a row, so many, that lie above the offset
        self._aheads, self._aheads_from = 0, 0.0

    def measure(self, sent: float, received: float, venue_ms: int) -> int:
        """Take an answer's own time; return the time at which what it tells was true at the latest.

        ``sent`` and ``received`` are monotonic ms around its request. An offset that agrees with the older ones narrows
        them. A lower one is the time of an older state, not of the answer: left alone unless nothing else came for 30 s
        (the venue stepped back). A higher one is believed once three in a row agree over 2 s: until then it may be one
        server whose clock is ahead, and a reading that seems later than it is proves what it cannot. An offset that is
        contradicted by more than 10 s is doubtful until an answer agrees or another one is believed.
        """
        fresh = Offset(venue_ms - received, venue_ms - sent, received)
        with self._lock:
            if self._offset is None:
                self._offset = fresh
                return venue_ms
            old = self._offset.widened(received)
            agreed = old.with_(fresh)
            if fresh.low > old.high:
                again = None if self._ahead is None else self._ahead.widened(received).with_(fresh)
                if again is None:
                    self._aheads, self._aheads_from = 0, received
                self._ahead, self._aheads = again or fresh, self._aheads + 1
                if self._aheads < BELIEVED_AHEAD or received - self._aheads_from < BELIEVED_AFTER_MS:
                    self._doubt(fresh.low - old.high)
                    return int(received + old.high)
            self._ahead, self._aheads = None, 0
            if agreed is not None:
                self._offset, self._doubted = agreed, False
            elif fresh.low > old.high or received - self._offset.at > STALE_MS:
                self._offset, self._doubted = fresh, False
            else:
                self._doubt(old.low - fresh.high)
            return venue_ms

    def _doubt(self, apart_ms: float) -> None:
        self._doubted = self._doubted or apart_ms > DOUBT_MS

    def now_ms(self) -> int:
        """Return the venue's time; this host's own clock where no answer was seen yet."""
        offset = self._offset
        return wall_ms() if offset is None else int(mono_ms() + offset.middle)

    def age_ms(self) -> int | None:
        """Return how long ago the offset was last measured; None = never, or the venue contradicts it."""
        offset = self._offset
        return None if offset is None or self._doubted else int(mono_ms() - offset.at)

    def known(self) -> Clock:
        """Return what is known of the venue's time, as the rules ask for it."""
        return Clock(self.age_ms(), self.apart_ms(), self._doubted)

    def uncertainty_ms(self) -> int | None:
        """Return by how much ``now_ms`` may be wrong either way; None = unknown."""
        offset = self._offset
        if offset is None:
            return None
        wide = offset.widened(mono_ms())
        return int((wide.high - wide.low) / 2) + 1

    def apart_ms(self) -> int | None:
        """Return venue time minus this host's own clock; None = never measured."""
        return None if self._offset is None else self.now_ms() - wall_ms()
