"""The venue's time: an offset measured from answers that carry one, with its uncertainty and age.

Anchored to the monotonic clock, so that a stepped system clock moves nothing once an answer was seen.
"""

import threading
import time
from dataclasses import dataclass

from stopkeeper.core.missing import Clock

STALE_MS = 30_000
DOUBT_MS = 10_000  # an answer that is so much older than it should be is hardly of an older state
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

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


class VenueClock:
    """What a venue's clock shows, by the answers seen so far. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: Offset | None = None
        self._doubted = False

    def measure(self, sent: float, received: float, venue_ms: int) -> None:
        """Take an answer's own time; ``sent`` and ``received`` are monotonic ms around its request.

        An offset that agrees with the older ones narrows them; a higher one replaces them. A lower one is the time
        of an older state, not of the answer: left alone unless nothing else came for 30 s (the venue stepped back).
        Lower by more than 10 s it makes the offset doubtful until an answer agrees or those 30 s are over.
        """
        fresh = Offset(venue_ms - received, venue_ms - sent, received)
        with self._lock:
            if self._offset is None:
                self._offset = fresh
                return
            old = self._offset.widened(received)
            low, high = max(old.low, fresh.low), min(old.high, fresh.high)
            if low <= high:
                self._offset, self._doubted = Offset(low, high, received), False
            elif fresh.low > old.high or received - self._offset.at > STALE_MS:
                self._offset, self._doubted = fresh, False
            else:
                self._doubted = self._doubted or old.low - fresh.high > DOUBT_MS

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
