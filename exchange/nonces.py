"""Nonces: rising, one counter per signer address, near the venue's time. The counter itself is a port.

Rule: unique, within (T - 2 days, T + 1 day), above the lowest of the 100 highest per signer (venue docs, nonces).
"""

import logging
import threading

from exchange.clock import VenueClock, mono_ms
from stopkeeper.engine.ports import NonceSource

logger = logging.getLogger(__name__)
APART_MS = 10_000
_REMIND_MS = 60_000


class Nonces:
    """Mints the nonces of one signer."""

    def __init__(self, source: NonceSource, signer: str, clock: VenueClock) -> None:
        self._source, self._signer, self._clock = source, signer.lower(), clock
        self._reminded: float | None = None

    def mint(self, count: int) -> tuple[int, ...]:
        """Return ``count`` fresh nonces, rising. Logs an alarm where a clock or the counter is far off."""
        now_ms = self._clock.now_ms()
        first = self._source.take(self._signer, now_ms, count)
        self._watch(first - now_ms)
        return tuple(range(first, first + count))

    def _watch(self, ahead_ms: int) -> None:
        apart_ms = self._clock.apart_ms() or 0
        if max(abs(apart_ms), abs(ahead_ms)) <= APART_MS:
            return
        if self._reminded is not None and mono_ms() - self._reminded < _REMIND_MS:
            return
        self._reminded = mono_ms()
        logger.error(
            "clocks apart: venue minus host %d ms, nonce counter of %s minus venue %d ms",
            apart_ms,
            self._signer,
            ahead_ms,
        )


class LocalNonces:
    """A NonceSource within one process: for a guardian with its own key, and for closing without Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, int] = {}

    def take(self, signer: str, now_ms: int, count: int) -> int:
        """Return the first of ``count`` fresh nonces."""
        with self._lock:
            last = min(self._last.get(signer, 0), now_ms + APART_MS)
            first = max(now_ms, last + 1)
            self._last[signer] = first + count - 1
            return first
