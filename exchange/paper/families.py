"""What follows when an order of a group ends: its siblings, and the children that waited for it. Places nothing.

Parent and children are those of `normalTpsl`, siblings end one another (venue docs: order-types, TP/SL). What happens
to the children of a parent that filled in part is not settled by public evidence: two knobs name the readings.
"""

from __future__ import annotations

from dataclasses import replace

from exchange.paper.ledger import Ledger
from exchange.paper.model import Order


class Families(Ledger):
    """The books plus the ties between orders."""

    def finish(self, order: Order, status: str, now_ms: int) -> Order:
        """End an order: its record, its siblings, its children."""
        order = self.put(order, status, now_ms)
        if status == "filled" and order.siblings is not None:
            account = self.accounts[order.user]
            for other in [o for o in account.orders.values() if o.siblings == order.siblings]:
                self.put(other, "siblingFilledCanceled", now_ms)
        self.children_of_ended(order, now_ms)
        return order

    def children_of_ended(self, order: Order, now_ms: int) -> None:
        """Bring the children of an ended order alive, or cancel them with it."""
        if not order.children:
            return
        if order.size == 0 and order.status == "filled":
            born = True
        elif order.size == order.orig_size:
            born = False
        elif order.status == "filled":  # the rest of an IOC was dropped
            born = self.knobs.partial_parent_places_children
        else:
            born = not self.knobs.canceled_parent_cancels_children
        for child in self._children(order):
            if born and child.status == "waitingForFill":
                self.put(child, "open", now_ms)
            elif not born and child.fired_ms is None:
                self.put(child, "canceled", now_ms)

    def wake_children(self, parent: Order, now_ms: int) -> None:
        """Bring the children of a part-filled, still resting parent alive, in the reading where the venue does so."""
        if self.knobs.partial_parent_places_children and parent.size < parent.orig_size:
            for child in self._children(parent):
                if child.status == "waitingForFill":
                    self.put(child, "open", now_ms)

    def adopt(self, heir: Order, children: tuple[int, ...], now_ms: int) -> Order:
        """Give the children of a modified parent to the order that replaced it, which may have ended already."""
        heir = replace(heir, children=children)
        if heir.live:
            self.resize(heir, heir.size)
            self.wake_children(heir, now_ms)
        else:
            self.children_of_ended(heir, now_ms)
        return heir

    def _children(self, parent: Order) -> list[Order]:
        orders = self.accounts[parent.user].orders
        return [orders[oid] for oid in parent.children if oid in orders]
