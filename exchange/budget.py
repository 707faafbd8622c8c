"""What requests cost at the venue, and the reservation of that cost before they leave. The bucket itself is a port.

Hyperliquid: 1200 weight a minute and IP; per address 10000 actions and one more per USDC traded (venue docs).
"""

import json
import threading
from collections.abc import Mapping

from exchange.clock import mono_ms
from stopkeeper.engine.ports import BudgetSource, TextCache, Urgency

IP_CAPACITY = 1200
IP_PER_MS = 60_000
PROTECTED_SHARE = 4  # a quarter is for protective requests only
EFFECT_WEIGHT = 1  # plus one per 40 orders of a batch; ours have at most three
ADDRESS_FLOOR = 1000  # below this many actions left only protective ones pass
ASK_AGAIN_MS = 60_000  # an address earns an action a USDC traded: what is spent is not back in a moment
_POLL_MS = 600_000
_POLL_SHORT_MS = 60_000

WEIGHTS: Mapping[str, int] = {
    "clearinghouseState": 2,
    "orderStatus": 2,
    "allMids": 2,
    "l2Book": 2,
    "exchangeStatus": 2,
    "spotClearinghouseState": 2,
    "userRole": 60,
}
ORDINARY_WEIGHT = 20  # every other documented info request
ROWS_PER_WEIGHT: Mapping[str, int] = {
    "userFills": 20,
    "userFillsByTime": 20,
    "historicalOrders": 20,
    "userFunding": 20,
    "fundingHistory": 20,
    "candleSnapshot": 60,
}


def weight_of(kind: str) -> int:
    """Return what an info request costs before its answer is known."""
    return WEIGHTS.get(kind, ORDINARY_WEIGHT)


def surcharge_of(kind: str, rows: int) -> int:
    """Return what its rows cost on top, once the answer is there."""
    per = ROWS_PER_WEIGHT.get(kind)
    return rows // per if per else 0


class IpBudget:
    """The weight all processes may spend a minute at one venue host."""

    def __init__(self, source: BudgetSource, host: str) -> None:
        self._source, self._limit = source, f"ip:{host}"

    def reserve(self, weight: int, urgency: Urgency) -> int:
        """Take weight; return 0, or the ms until it would be granted. The last quarter is for protection."""
        return self._source.take(self._limit, weight, IP_CAPACITY, IP_PER_MS, _kept(urgency))

    def wait_ms(self, weight: int, urgency: Urgency) -> int:
        """Return 0 if the weight would be granted now, else the ms until it would be; takes nothing."""
        short = weight + _kept(urgency) + self.used() - IP_CAPACITY
        return 0 if short <= 0 else -(-short * IP_PER_MS // IP_CAPACITY)

    def add(self, weight: int) -> None:
        """Book weight that is already spent, below zero if it must be."""
        if weight > 0:
            self._source.take(self._limit, weight, IP_CAPACITY, IP_PER_MS, -IP_CAPACITY)

    def refused(self) -> None:
        """Take note that the venue refused a request for its weight: what is left is for protection."""
        self.add(IP_CAPACITY - IP_CAPACITY // PROTECTED_SHARE - self.used())

    def short(self, weight: int) -> str:
        """Return in words that only protective requests of so much weight would be granted now, or ""."""
        wait_ms = self.wait_ms(weight, Urgency.ORDINARY)
        if not wait_ms:
            return ""
        return f"{self.used()} of {IP_CAPACITY} weight of the minute are spent, others wait {wait_ms / 1000:.0f} s"

    def used(self) -> int:
        """Return how much of this minute's weight is spent."""
        return self._source.used(self._limit, IP_CAPACITY, IP_PER_MS)


def _kept(urgency: Urgency) -> int:
    """Return what must stay. A stop's move weighs one, and looking again until it is granted would weigh more."""
    return IP_CAPACITY // PROTECTED_SHARE if urgency is Urgency.ORDINARY else 0


class AddressBudget:
    """How many actions an address has left by the venue's own count, shared by all processes through a text cache."""

    def __init__(self, cache: TextCache, address: str) -> None:
        self._cache, self._name = cache, f"actions-left:{address.lower()}"

    def left(self) -> int | None:
        """Return the actions left when last told, or None where that is too long ago."""
        text = self._cache.load(self._name)
        return None if text is None else int(json.loads(text)["left"])

    def told(self, left: int) -> None:
        """Remember what the venue says is left; asked again sooner the shorter it gets."""
        ttl_ms = _POLL_SHORT_MS if left < 2 * ADDRESS_FLOOR else _POLL_MS
        self._cache.save(self._name, json.dumps({"left": left}), ttl_ms)


class LocalBudget:
    """A BudgetSource within one process: for a guardian while Redis is away, and for closing without it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[float, float]] = {}

    def _level(self, limit: str, capacity: int, per_ms: int) -> float:
        tokens, at = self._tokens.get(limit, (float(capacity), mono_ms()))
        return min(float(capacity), tokens + (mono_ms() - at) * capacity / per_ms)

    def take(self, limit: str, weight: int, capacity: int, per_ms: int, reserve: int) -> int:
        """Take ``weight`` if at least ``reserve`` would stay; return 0, or the ms until it would be granted."""
        with self._lock:
            level = self._level(limit, capacity, per_ms)
            granted = level - weight >= reserve
            self._tokens[limit] = (level - weight if granted else level, mono_ms())
            return 0 if granted else int((reserve + weight - level) * per_ms / capacity) + 1

    def used(self, limit: str, capacity: int, per_ms: int) -> int:
        """Return how much of the capacity is spent now."""
        with self._lock:
            return capacity - int(self._level(limit, capacity, per_ms))


class LocalCache:
    """A TextCache within one process."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, float]] = {}

    def load(self, name: str) -> str | None:
        """Return the text, or None where there is none or its time is up."""
        text, until = self._texts.get(name, ("", 0.0))
        return text if mono_ms() < until else None

    def save(self, name: str, text: str, ttl_ms: int) -> None:
        """Keep a text for a while."""
        self._texts[name] = (text, mono_ms() + ttl_ms)
