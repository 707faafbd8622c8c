"""How faults reach into matching: stops refused, cancelled or left unfilled, orders cut to a part."""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Literal

from exchange.paper.faults import Rule
from exchange.paper.model import Event, NewOrder, Order, OrderEvent, Trigger

if TYPE_CHECKING:
    from exchange.paper.venue import Venue

_STOP = ("exchange", "order", "stop")


class Mischief:
    """The market's meddler (ledger.Meddler): answers from the faults in force."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    def refusal(self, user: str, order: NewOrder) -> str | None:
        """Refuse a stop in the words of a `refuse_stop` fault."""
        if not _is_stop(order.trigger, reduce_only=order.reduce_only):
            return None
        rule = self.venue.faults.take("refuse_stop", _STOP, user, (order.coin,))
        words = f"Invalid TP/SL price. asset={self.venue.listing[order.coin].asset}"
        return str(rule.more.get("text", words)) if rule else None

    def fraction(self, order: Order) -> Decimal | None:
        """Cut an entry to the part a `partial_fill` fault allows; a close only if the fault names closes."""
        if order.trigger is not None:
            return None
        names = ("close",) if order.reduce_only else ("exchange", "order", "entry")
        return self._part(order, names, named=order.reduce_only)

    def touch_fraction(self, order: Order) -> Decimal | None:
        """Cut the fill of a resting order to the part a `partial_fill` fault that names resting orders allows."""
        return self._part(order, ("resting",), named=True)

    def _part(self, order: Order, names: Container[str], *, named: bool) -> Decimal | None:
        rule = self.venue.faults.take("partial_fill", names, order.user, (order.coin,), named=named)
        return Decimal(str(rule.more.get("fraction", "0.5"))) if rule else None

    def ignores(self, order: Order) -> bool:
        """Leave a crossed stop standing while an `ignore_stops` fault lasts; each change of the mark strikes anew."""
        if not _is_stop(order.trigger, reduce_only=order.reduce_only):
            return False
        now_ms = self.venue.now_ms()
        return bool(self.venue.faults.strike("ignore_stops", order.oid, _STOP, order.user, (order.coin,), now_ms))

    def on_fire(self, order: Order) -> Literal["fill", "reject", "hold"]:
        """Let a fired trigger find nobody to trade with, at once or after a while."""
        rule = self.venue.faults.take("stop_no_fill", _STOP, order.user, (order.coin,))
        if rule is None:
            return "fill"
        fills = rule.more.get("then") == "fill"
        if not rule.delay_ms:
            return "fill" if fills else "reject"
        self.venue.later(rule.delay_ms, partial(self._settle_fired, order.user, order.oid, fills=fills))
        return "hold"

    def _settle_fired(self, user: str, oid: int, *, fills: bool) -> None:
        self.venue.market.settle_fired(user, oid, self.venue.now_ms(), fills=fills)
        self.venue.settle()

    def plot(self, events: list[Event]) -> None:
        """Arrange for the stops among these events that a `cancel_stop` fault is to take away."""
        for event in events:
            if not isinstance(event, OrderEvent):
                continue
            order = event.order
            if not _is_stop(order.trigger, reduce_only=order.reduce_only):
                continue
            if order.status != "open" or order.fired_ms is not None:
                continue
            rule = self.venue.faults.take("cancel_stop", _STOP, order.user, (order.coin,))
            if rule is not None:
                self.venue.later(rule.delay_ms, partial(self._take_away, rule, order))

    def _take_away(self, rule: Rule, order: Order) -> None:
        live = self.venue.market.accounts[order.user].orders.get(order.oid)
        if live is not None:
            silent = not rule.more.get("announce", False)
            status = str(rule.more.get("status", "canceled"))
            self.venue.market.put(live, status, self.venue.now_ms(), silent=silent)
            self.venue.settle()


def _is_stop(trigger: Trigger | None, *, reduce_only: bool) -> bool:
    return trigger is not None and trigger.tpsl == "sl" and reduce_only
