"""The market's books: accounts, marks, the index of live orders, and the two ways they change: a record and a fill.

Position arithmetic and what must follow a changed position live here; who may trade at what price does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Literal, Protocol

from exchange.paper.book import Quote, quote
from exchange.paper.knobs import Knobs
from exchange.paper.model import (
    ZERO,
    Account,
    AccountEvent,
    Cause,
    Event,
    Fill,
    FillEvent,
    Instrument,
    NewOrder,
    Order,
    OrderEvent,
    Position,
)

HISTORY_ROWS = 4000
FILL_ROWS = 10000
DEFAULT_LEVERAGE = 20


class Meddler(Protocol):
    """How faults reach into matching; the market asks, it never knows why."""

    def refusal(self, user: str, order: NewOrder) -> str | None:
        """Return words to refuse this order with, or None."""

    def fraction(self, order: Order) -> Decimal | None:
        """Return the greatest part of the order that may fill at once, or None for all."""

    def touch_fraction(self, order: Order) -> Decimal | None:
        """Return the greatest part of a resting order that may fill as the market comes to it, or None for all."""

    def ignores(self, order: Order) -> bool:
        """Tell whether a trigger that is crossed does not fire."""

    def on_fire(self, order: Order) -> Literal["fill", "reject", "hold"]:
        """Say what becomes of a trigger that fires."""


class NoMeddler:
    """A market without faults."""

    def refusal(self, user: str, order: NewOrder) -> str | None:  # noqa: ARG002
        """Refuse nothing."""
        return None

    def fraction(self, order: Order) -> Decimal | None:  # noqa: ARG002
        """Limit nothing."""
        return None

    def touch_fraction(self, order: Order) -> Decimal | None:  # noqa: ARG002
        """Limit nothing."""
        return None

    def ignores(self, order: Order) -> bool:  # noqa: ARG002
        """Ignore none."""
        return False

    def on_fire(self, order: Order) -> Literal["fill", "reject", "hold"]:  # noqa: ARG002
        """Let every trigger trade."""
        return "fill"


class Ledger:
    """Accounts, marks and live orders, with records and fills as their only changes."""

    def __init__(self, listing: Mapping[str, Instrument], knobs: Knobs) -> None:
        self.listing = dict(listing)
        self.knobs = knobs
        self.accounts: dict[str, Account] = {}
        self.marks: dict[str, Decimal] = {name: item.start_px for name, item in self.listing.items()}
        self.last_px: dict[str, Decimal] = dict(self.marks)
        self.next_oid = 1_000_001
        self.next_tid = 500_000_001
        self.listeners: list[Callable[[Event], None]] = []
        self.meddler: Meddler = NoMeddler()
        self.live: dict[str, dict[int, Order]] = defaultdict(dict)

    def quote(self, coin: str) -> Quote:
        """Return the market of a coin now."""
        return quote(self.listing[coin], self.marks[coin], self.knobs)

    def emit(self, event: Event) -> None:
        """Tell every listener of a change, in order."""
        for listener in self.listeners:
            listener(event)

    def new_oid(self) -> int:
        """Return the next order id."""
        self.next_oid += 1
        return self.next_oid

    def leverage_of(self, account: Account, coin: str) -> tuple[int, bool]:
        """Return (leverage, is cross) of a coin: cross at the smaller of 20 and the greatest, until set otherwise."""
        default = (min(DEFAULT_LEVERAGE, self.listing[coin].max_leverage), True)
        return account.leverage.setdefault(coin, default)

    def put(self, order: Order, status: str, now_ms: int, *, silent: bool = False, cause: Cause = "venue") -> Order:
        """Give an order a status, keep it on the book or take it off, and put it on record."""
        account = self.accounts[order.user]
        order = replace(order, status=status, status_ms=now_ms)
        if order.live:
            account.orders[order.oid] = order
            self.live[order.coin][order.oid] = order
        else:
            account.orders.pop(order.oid, None)
            self.live[order.coin].pop(order.oid, None)
        account.history.append(order)
        if len(account.history) > HISTORY_ROWS:
            del account.history[: HISTORY_ROWS // 4]
        self.emit(OrderEvent(order, silent, cause))
        return order

    def resize(self, order: Order, size: Decimal) -> Order:
        """Change what is left of a live order without a new record."""
        order = replace(order, size=size)
        self.accounts[order.user].orders[order.oid] = order
        self.live[order.coin][order.oid] = order
        return order

    def trade(
        self,
        order: Order,
        px: Decimal,
        size: Decimal,
        now_ms: int,
        *,
        crossed: bool = True,
        ending: str | None = None,
        liquidation_mark: Decimal | None = None,
    ) -> Order:
        """Execute a piece of an order: position, cash, fee, fill. `ending` replaces the fill's direction words."""
        account = self.accounts[order.user]
        before = account.positions.get(order.coin)
        start = before.size if before else ZERO
        signed = size if order.is_buy else -size
        pnl = self._move(account, order.coin, signed, px)
        rate = self.knobs.taker_fee if crossed else self.knobs.maker_fee
        extra = px * size * Decimal(order.builder_fee) / 100_000
        fee = (px * size * rate + extra).quantize(Decimal("0.000001"))
        account.cash += pnl - fee
        account.volume += px * size
        self.last_px[order.coin] = px
        self.next_tid += 1
        fill = Fill(
            user=order.user,
            coin=order.coin,
            px=px,
            size=size,
            is_buy=order.is_buy,
            time_ms=now_ms,
            start_position=start,
            direction=ending or direction(start, signed),
            closed_pnl=pnl,
            oid=order.oid,
            cloid=order.cloid,
            crossed=crossed,
            fee=fee,
            builder_fee=extra.quantize(Decimal("0.000001")),
            tid=self.next_tid,
            liquidation_mark=liquidation_mark,
        )
        account.fills.append(fill)
        if len(account.fills) > FILL_ROWS:
            del account.fills[: FILL_ROWS // 4]
        self.emit(FillEvent(fill))
        return replace(order, size=order.size - size)

    def _move(self, account: Account, coin: str, signed: Decimal, px: Decimal) -> Decimal:
        """Move a position by a signed size at a price; return the profit realized, with isolated margin settled."""
        leverage, is_cross = self.leverage_of(account, coin)
        held = account.positions.get(coin) or Position(coin, ZERO, px, leverage, is_cross)
        closing = min(abs(signed), abs(held.size)) if held.size * signed < 0 else ZERO
        pnl = ZERO
        if closing:
            side = 1 if held.size > 0 else -1
            pnl = closing * (px - held.entry_px) * side
            released = held.margin * closing / abs(held.size)
            account.cash += released
            held = replace(held, size=held.size - side * closing, margin=held.margin - released)
        opened = abs(signed) - closing
        if opened:
            entry = (abs(held.size) * held.entry_px + opened * px) / (abs(held.size) + opened)
            bound = ZERO if held.is_cross else opened * px / held.leverage
            account.cash -= bound
            fresh = held.size == 0
            held = replace(
                held,
                size=held.size + (opened if signed > 0 else -opened),
                entry_px=entry,
                margin=held.margin + bound,
                funding=ZERO if fresh else held.funding,
            )
        if held.size == 0:
            account.positions.pop(coin, None)
        else:
            account.positions[coin] = held
        return pnl

    def follow(self, user: str, coin: str, now_ms: int) -> None:
        """Make the reduce-only orders of a key follow its position: shrink, or end with it."""
        account = self.accounts[user]
        position = account.positions.get(coin)
        for order in [o for o in account.orders.values() if o.coin == coin and o.reduce_only]:
            if order.oid not in account.orders or order.status in ("waitingForFill", "triggered"):
                continue
            against = position is not None and (position.size > 0) != order.is_buy
            waiting = order.trigger is not None and order.fired_ms is None
            if not against:
                if not waiting or order.is_position_tpsl or not self.knobs.ro_trigger_outlives_position:
                    self.put(order, "reduceOnlyCanceled", now_ms)
            elif not waiting and position is not None and order.size > abs(position.size):
                self.resize(order, abs(position.size))

    def changed(self, user: str) -> None:
        """Tell listeners that money or settings of an account changed without a fill."""
        self.emit(AccountEvent(user))


def direction(start: Decimal, signed: Decimal) -> str:
    """Return the venue's words for what a fill did to a position."""
    if start == 0 or start * signed > 0:
        return "Open Long" if signed > 0 else "Open Short"
    if abs(signed) > abs(start):
        return "Long > Short" if start > 0 else "Short > Long"
    return "Close Long" if start > 0 else "Close Short"
