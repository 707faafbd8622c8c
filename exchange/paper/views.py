"""What a reader of an account sees when the venue's reads lag behind its matching: past states, by kind of read.

Positions, orders, fills and statuses each have their own lag; a fault may hide one kind of one symbol for longer. With
`lag_non_monotonic` every read draws its own lag, so that a later read may show an earlier state.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from exchange.paper.knobs import Knobs
from exchange.paper.model import Account, Fill, Order, Position

KEPT_MS = 180_000
SHOWN = 2000  # records of orders a reader gets
Kind = Literal["position", "order", "fill", "status"]
Hidden = Callable[[Kind, str], dict[str | None, int]]  # (kind, account) -> symbol (None: all) -> lag in ms


@dataclass(frozen=True)
class Past:
    """An account as it was from `at_ms` on."""

    at_ms: int
    cash: Decimal
    positions: dict[str, Position]
    orders: dict[int, Order]


class Views:
    """Past states of accounts and the reads over them."""

    def __init__(self, knobs: Knobs, hidden: Hidden, seed: int = 1) -> None:
        self.knobs = knobs
        self.hidden = hidden
        self.dice = random.Random(seed)
        self.past: dict[str, deque[Past]] = defaultdict(deque)

    def note(self, account: Account, now_ms: int) -> None:
        """Remember an account as it is now; what is older than three minutes is forgotten but for one state."""
        past = self.past[account.address]
        past.append(Past(now_ms, account.cash, dict(account.positions), dict(account.orders)))
        while len(past) > 2 and past[1].at_ms < now_ms - KEPT_MS:
            past.popleft()

    def _lag(self, kind: Kind) -> int:
        knobs = self.knobs
        lag = {
            "position": knobs.position_lag_ms,
            "order": knobs.order_lag_ms,
            "fill": knobs.fill_lag_ms,
            "status": knobs.status_lag_ms,
        }[kind]
        return self.dice.randint(0, lag) if lag and knobs.lag_non_monotonic else lag

    def _as_of(self, address: str, then_ms: int) -> Past | None:
        past = self.past[address]
        return next((state for state in reversed(past) if state.at_ms <= then_ms), past[0] if past else None)

    def lag(self, kind: Kind, address: str, coin: str | None) -> int:
        """Return how late this read of a coin is."""
        hidden = self.hidden(kind, address)
        return max(self._lag(kind), hidden.get(None, 0), hidden.get(coin, 0))

    def positions(self, account: Account, now_ms: int) -> tuple[Account, int]:
        """Return an account with the positions and cash a reader sees, and the time of that state."""
        lag, hidden = self._lag("position"), self.hidden("position", account.address)
        lag = max(lag, hidden.get(None, 0))
        if not lag and not hidden:
            return account, now_ms
        seen = self._as_of(account.address, now_ms - lag)
        if seen is None:
            return account, now_ms
        positions = dict(seen.positions)
        for coin, longer in hidden.items():
            if coin is not None and longer > lag:
                older = self._as_of(account.address, now_ms - longer)
                positions.pop(coin, None)
                if older is not None and coin in older.positions:
                    positions[coin] = older.positions[coin]
        shown = replace(account, positions=positions, cash=seen.cash)
        return shown, now_ms - lag if self.knobs.stale_state_tells_time else now_ms

    def orders(self, account: Account, now_ms: int) -> dict[int, Order]:
        """Return the live orders a reader sees."""
        lag, hidden = self._lag("order"), self.hidden("order", account.address)
        lag = max(lag, hidden.get(None, 0))
        if not lag and not hidden:
            return account.orders
        seen = self._as_of(account.address, now_ms - lag)
        found = dict(seen.orders if seen else account.orders)
        for coin, longer in hidden.items():
            if coin is not None and longer > lag:
                older = self._as_of(account.address, now_ms - longer)
                found = {oid: order for oid, order in found.items() if order.coin != coin}
                found |= {oid: o for oid, o in (older.orders if older else {}).items() if o.coin == coin}
        return found

    def fills(self, account: Account, now_ms: int) -> list[Fill]:
        """Return the fills a reader sees, oldest first."""
        lag, hidden = self._lag("fill"), self.hidden("fill", account.address)
        lag = max(lag, hidden.get(None, 0))
        if not lag and not hidden:
            return account.fills
        return [f for f in account.fills if f.time_ms <= now_ms - max(lag, hidden.get(f.coin, 0))]

    def history(self, account: Account, now_ms: int) -> list[Order]:
        """Return the newest records of orders a reader sees, oldest first."""
        then_ms = now_ms - self._lag("status")
        return [order for order in account.history if order.status_ms <= then_ms][-SHOWN:]

    def record(self, account: Account, ref: int | str, now_ms: int) -> Order | None:
        """Return the newest record of an order by id or cloid (of the newest order under a cloid) a reader sees."""
        then_ms = now_ms - self._lag("status")
        best: Order | None = None
        for order in reversed(account.history):
            matches = order.oid == ref if isinstance(ref, int) else order.cloid == ref
            if matches and order.status_ms <= then_ms and (best is None or order.oid > best.oid):
                best = order
                if isinstance(ref, int):
                    break
        if best is None:
            return None
        live = account.orders.get(best.oid)
        return live if live is not None and live.status == best.status else best
