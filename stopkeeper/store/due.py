"""Wake counters and due-times over Redis. Times are the server's, so that any number of tickers agree.

``due`` is what must be driven; ``claimed`` is what somebody took to drive, with the moment it comes due again if that
somebody dies. A claim or a lease moves a key from the first to the second, a release ends the second.
"""

import logging
from collections.abc import Sequence

from stopkeeper.core.model import Key
from stopkeeper.store import keys
from stopkeeper.store.wire import Wire, time_ms

log = logging.getLogger(__name__)


class RedisWakes:
    """Implements ports.Wakes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def wake(self, key: Key, why: str) -> None:
        """Count a wake-up and make the key due now. Raises StoreGone."""
        log.debug("wake %s: %s", key, why)
        self._wire.repeatable("wake", [keys.wakes(), keys.due()], [keys.member(key), 0, 1])

    def counter(self, key: Key) -> int:
        """Return how often the key was woken."""
        return int(self._wire.read("HGET", keys.wakes(), keys.member(key)) or 0)

    def mark_due(self, key: Key, after_ms: int) -> None:
        """Make the key due after a while unless it is due earlier; counts no wake-up. Raises StoreGone."""
        self._wire.repeatable("wake", [keys.wakes(), keys.due()], [keys.member(key), max(0, after_ms), 0])

    def claim(self, limit: int, lease_ms: int) -> Sequence[Key]:
        """Claim what is due: each key comes due again after lease_ms unless driven to an end before."""
        members = self._wire.script("claim", [keys.due(), keys.claimed(), keys.claimed_at()], [limit, lease_ms])
        return [keys.parse_member(text) for text in members]

    def overdue(self) -> Sequence[tuple[Key, int]]:
        """Return (key, ms until due; negative = overdue), soonest first; of a claimed key, until its redelivery."""
        now, claimed, due = self._wire.reads(
            ("TIME",),
            ("ZRANGE", keys.claimed(), 0, -1, "WITHSCORES"),
            ("ZRANGE", keys.due(), 0, -1, "WITHSCORES"),
        )
        soonest = {member: float(score) for member, score in [*claimed, *due]}
        now_ms = time_ms(now)
        ordered = sorted(soonest.items(), key=lambda item: (item[1], item[0]))
        return [(keys.parse_member(member), int(score) - now_ms) for member, score in ordered]
