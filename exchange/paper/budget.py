"""What requests cost: IP weights per minute, the action budget of an address, and a count of everything for benchmarks.

Weights: venue docs `rate-limits-and-user-limits`.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Any

from exchange.paper.knobs import Knobs
from exchange.paper.model import Account

_LIGHT = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"}
)
_BY_ROWS = {
    "userFills": 20,
    "userFillsByTime": 20,
    "historicalOrders": 20,
    "userFunding": 20,
    "fundingHistory": 20,
    "candleSnapshot": 60,
}
_CANCELS = frozenset({"cancel", "cancelByCloid"})
ORDER_ROWS = 10000


def info_weight(kind: str, answer: Any) -> int:
    """Return the weight of an info request with its answer."""
    if kind in _LIGHT:
        return 2
    if kind == "userRole":
        return 60
    rows = len(answer) if isinstance(answer, list) else 0
    return 20 + (rows // _BY_ROWS[kind] if kind in _BY_ROWS else 0)


def action_weight(batch: int) -> int:
    """Return the weight of a signed action over so many orders."""
    return 1 + batch // 40


class Meter:
    """Counts requests, weights and accepted orders; knows whether a client or an address is over its limit."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.spent: dict[str, deque[tuple[int, int]]] = defaultdict(deque)
        self.reset(0)

    def reset(self, now_ms: int) -> None:
        """Start counting anew for `stats`."""
        self.since_ms = now_ms
        self.by_type: Counter[str] = Counter()
        self.weight_by_type: Counter[str] = Counter()
        self.by_account: Counter[str] = Counter()
        self.weight_by_account: Counter[str] = Counter()
        self.orders: deque[dict[str, Any]] = deque(maxlen=ORDER_ROWS)

    def over(self, client: str, now_ms: int) -> bool:
        """Tell whether a client address has spent its weight of the last minute."""
        limit = self.knobs.ip_weight_limit
        spent = self.spent[client]
        while spent and spent[0][0] <= now_ms - 60_000:
            spent.popleft()
        return limit > 0 and sum(weight for _, weight in spent) >= limit

    def count(self, client: str, kind: str, account: str | None, weight: int, now_ms: int) -> None:
        """Count one processed request."""
        self.spent[client].append((now_ms, weight))
        while len(self.spent[client]) > 5000:
            self.spent[client].popleft()
        self.by_type[kind] += 1
        self.weight_by_type[kind] += weight
        if account:
            self.by_account[account] += 1
            self.weight_by_account[account] += weight

    def charge(self, account: Account, kind: str, batch: int, now_ms: int) -> str | None:
        """Book an action on its address, or return the venue's words when its budget is gone (1 action per 10 s
        then)."""
        cap = self.cap(account)
        limit = max(2 * cap, cap) if kind in _CANCELS else cap
        limit = min(limit, cap + 100_000)
        if self.knobs.address_limit and account.requests_used + batch > limit:
            if now_ms - account.last_throttled_ms < 10_000:
                used, volume = account.requests_used, round(account.volume, 2)
                return (
                    f"Too many cumulative requests sent ({used} > {limit}) for cumulative volume traded ${volume}. "
                    "Place taker orders to free up 1 request per USDC traded."
                )
            account.last_throttled_ms = now_ms
        account.requests_used += batch
        return None

    def cap(self, account: Account) -> int:
        """Return how many actions an address may send in all."""
        return self.knobs.address_initial + int(account.volume)

    def as_json(self) -> dict[str, Any]:
        """Return everything counted since the last reset."""
        return {
            "since_ms": self.since_ms,
            "requests": {
                "total": sum(self.by_type.values()),
                "by_type": dict(self.by_type),
                "by_account": dict(self.by_account),
            },
            "weight": {
                "total": sum(self.weight_by_type.values()),
                "by_type": dict(self.weight_by_type),
                "by_account": dict(self.weight_by_account),
            },
            "orders": list(self.orders),
        }
