"""Orders in: placing, grouping, matching at once or resting, cancelling, modifying. No clock, no protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

from exchange.paper.book import Take, average, sweep
from exchange.paper.ledger import Ledger
from exchange.paper.model import (
    ZERO,
    Account,
    Filled,
    Grouping,
    NewOrder,
    Order,
    Placed,
    Refused,
    Resting,
    Waiting,
)
from exchange.paper.rules import refusal, unaffordable

GONE = "Order was never placed, already canceled, or filled."
MARKET_TIFS = ("Ioc", "FrontendMarket")


class GroupingError(ValueError):
    """A whole action is malformed for its grouping; the text is the venue's."""


class Desk(Ledger):
    """The books plus everything a client may ask of them."""

    def place(self, user: str, orders: Sequence[NewOrder], grouping: Grouping, now_ms: int) -> list[Placed]:
        """Take orders one after the other. Raise GroupingError if the grouping does not fit them."""
        if grouping == "normalTpsl":
            return self._bracket(user, orders, now_ms)
        if grouping == "positionTpsl":
            if any(order.trigger is None for order in orders):
                msg = "positionTpsl orders must be trigger orders."
                raise GroupingError(msg)
            number = self.new_oid()
            placed = [self._one(user, order, now_ms, siblings=number, is_position=True) for order in orders]
            return [Waiting(p.order, "waitingForTrigger") if isinstance(p, Resting) else p for p in placed]
        return [self._one(user, order, now_ms) for order in orders]

    def _bracket(self, user: str, orders: Sequence[NewOrder], now_ms: int) -> list[Placed]:
        """Place a parent and the triggers that come alive once it is fully filled (docs: order-types, TP/SL)."""
        if orders[0].trigger is not None:
            msg = "Main order cannot be trigger order."
            raise GroupingError(msg)
        if len(orders) < 2 or any(order.trigger is None for order in orders[1:]):
            msg = "Unexpected number of trigger orders"
            raise GroupingError(msg)
        account = self.accounts[user]
        at = self.quote(orders[0].coin)
        for asked in orders[1:]:
            refused = refusal(asked, self.listing[asked.coin], account, at, self.knobs, attached=True)
            if refused:
                return [refused for _ in orders]
        parent_oid, siblings = self.new_oid(), self.new_oid()
        children = [self._record(user, new, now_ms, parent=parent_oid, siblings=siblings) for new in orders[1:]]
        children = [self.put(child, "waitingForFill", now_ms) for child in children]
        first = self._one(user, orders[0], now_ms, oid=parent_oid, children=tuple(c.oid for c in children))
        if isinstance(first, Refused):
            return [first for _ in orders]
        alive = {oid: order for oid, order in account.orders.items() if order.parent == parent_oid}
        answers: list[Placed] = [first]
        for child in children:
            waiting = child.oid in alive and alive[child.oid].status == "waitingForFill"
            answers.append(Waiting(child, "waitingForFill" if waiting else "waitingForTrigger"))
        return answers

    def _record(
        self,
        user: str,
        new: NewOrder,
        now_ms: int,
        *,
        oid: int | None = None,
        parent: int | None = None,
        siblings: int | None = None,
        children: tuple[int, ...] = (),
        is_position: bool = False,
    ) -> Order:
        return Order(
            oid=oid or self.new_oid(),
            user=user,
            coin=new.coin,
            is_buy=new.is_buy,
            size=new.size,
            orig_size=new.size,
            limit_px=new.limit_px,
            reduce_only=new.reduce_only,
            tif=new.tif,
            trigger=new.trigger,
            cloid=new.cloid,
            placed_ms=now_ms,
            status_ms=now_ms,
            parent=parent,
            siblings=siblings,
            children=children,
            is_position_tpsl=is_position,
            builder_fee=new.builder_fee,
        )

    def _one(
        self,
        user: str,
        new: NewOrder,
        now_ms: int,
        *,
        oid: int | None = None,
        siblings: int | None = None,
        children: tuple[int, ...] = (),
        is_position: bool = False,
    ) -> Placed:
        account = self.accounts[user]
        order = self._record(user, new, now_ms, oid=oid, siblings=siblings, children=children, is_position=is_position)
        wished = self.meddler.refusal(user, new)
        refused = Refused(wished, "rejected") if wished else None
        refused = refused or refusal(
            new, self.listing[new.coin], account, self.quote(new.coin), self.knobs, is_position=is_position
        )
        if refused:
            return self._refuse(order, refused, now_ms)
        if order.trigger is not None:
            return Resting(self.put(order, "open", now_ms))
        return self._enter(account, order, now_ms)

    def _refuse(self, order: Order, refused: Refused, now_ms: int) -> Refused:
        order = self.put(order, refused.status, now_ms)
        self._children_of_ended(order, now_ms)
        return refused

    def _enter(self, account: Account, order: Order, now_ms: int) -> Placed:
        """Match a limit order against the book and rest or drop what is left."""
        coin = self.listing[order.coin]
        at = self.quote(order.coin)
        asset = f" asset={coin.asset}"
        if order.reduce_only:
            order = replace(order, size=min(order.size, abs(account.positions[order.coin].size)))
        taken = sweep(coin, at, self.knobs, is_buy=order.is_buy, size=order.size, limit_px=order.limit_px)
        if order.tif == "Alo" and taken:
            words = f"Post only order would have immediately matched, bbo was {at.bid}@{at.ask}.{asset}"
            return self._refuse(order, Refused(words, "badAloPxRejected"), now_ms)
        if order.tif in MARKET_TIFS and not taken:
            words = f"Order could not immediately match against any resting orders.{asset}"
            return self._refuse(order, Refused(words, "iocCancelRejected"), now_ms)
        self.leverage_of(account, order.coin)
        px = average(taken) if taken else order.limit_px
        if not order.reduce_only and unaffordable(order, px, account, self.marks, self.knobs.taker_fee):
            return self._refuse(
                order, Refused(f"Insufficient margin to place order.{asset}", "perpMarginRejected"), now_ms
            )
        taken = self._capped(order, taken)
        order = self.put(order, "open", now_ms)
        if not taken and order.tif not in MARKET_TIFS:
            self._crowd_out(account, order, now_ms)
            return Resting(order)
        return self._executed(order, taken, now_ms)

    def _capped(self, order: Order, taken: list[Take]) -> list[Take]:
        """Cut what fills at once to the part a fault allows; at least one lot."""
        part = self.meddler.fraction(order)
        if part is None or not taken:
            return taken
        lot = Decimal(1).scaleb(-self.listing[order.coin].sz_decimals)
        left = max(lot, (order.size * part).quantize(lot, ROUND_DOWN))
        cut: list[Take] = []
        for piece in taken:
            size = min(piece.size, left)
            if size > 0:
                cut.append(Take(piece.px, size))
            left -= size
        return cut

    def _executed(self, order: Order, taken: list[Take], now_ms: int) -> Placed:
        for piece in taken:
            order = self.trade(order, piece.px, piece.size, now_ms)
        done = sum((piece.size for piece in taken), ZERO)
        if order.tif in MARKET_TIFS or order.size == 0:
            order = self.finish(order, "filled", now_ms)
            self.follow(order.user, order.coin, now_ms)
            return Filled(order, done, average(taken))
        order = self.resize(order, order.size)
        self.wake_children(order, now_ms)
        self.follow(order.user, order.coin, now_ms)
        return Resting(order)

    def finish(self, order: Order, status: str, now_ms: int) -> Order:
        """End an order: its record, its siblings, its children."""
        order = self.put(order, status, now_ms)
        if status == "filled" and order.siblings is not None:
            account = self.accounts[order.user]
            for other in [o for o in account.orders.values() if o.siblings == order.siblings]:
                self.put(other, "siblingFilledCanceled", now_ms)
        self._children_of_ended(order, now_ms)
        return order

    def _children_of_ended(self, order: Order, now_ms: int) -> None:
        account = self.accounts[order.user]
        traded = order.size < order.orig_size and order.status in ("filled", "canceled", "marginCanceled")
        born = traded and (order.size == 0 or self.knobs.partial_parent_places_children)
        for oid in order.children:
            child = account.orders.get(oid)
            if child is not None and child.status == "waitingForFill":
                self.put(child, "open" if born else "canceled", now_ms)

    def wake_children(self, parent: Order, now_ms: int) -> None:
        """Bring the children of a part-filled, still resting parent alive, in the reading where the venue does so."""
        if self.knobs.partial_parent_places_children and parent.size < parent.orig_size:
            waiting = [self.accounts[parent.user].orders.get(oid) for oid in parent.children]
            for child in waiting:
                if child is not None and child.status == "waitingForFill":
                    self.put(child, "open", now_ms)

    def _crowd_out(self, account: Account, newest: Order, now_ms: int) -> None:
        """Cancel older resting reduce-only orders that together with the newest exceed the position."""
        if not newest.reduce_only:
            return
        room = abs(account.positions[newest.coin].size) - newest.size
        resting = [
            o
            for o in account.orders.values()
            if o.coin == newest.coin and o.reduce_only and o.is_buy == newest.is_buy and o.trigger is None
        ]
        for order in sorted(resting, key=lambda o: -o.oid):
            if order.oid == newest.oid:
                continue
            if order.size > room:
                self.put(order, "reduceOnlyCanceled", now_ms)
            else:
                room -= order.size

    def find(self, user: str, ref: int | str) -> Order | None:
        """Return a live order by id, or the newest live one by cloid."""
        orders = self.accounts[user].orders
        if isinstance(ref, int):
            return orders.get(ref)
        return max((o for o in orders.values() if o.cloid == ref), key=lambda o: o.oid, default=None)

    def cancel(self, user: str, coin: str, ref: int | str, now_ms: int, *, silent: bool = False) -> str | None:
        """Cancel one live order by id or cloid; return the venue's words if there is none."""
        order = self.find(user, ref)
        if order is None or order.coin != coin:
            return f"{GONE} asset={self.listing[coin].asset}"
        order = self.put(order, "canceled", now_ms, silent=silent)
        self._children_of_ended(order, now_ms)
        return None

    def modify(self, user: str, ref: int | str, new: NewOrder, now_ms: int, *, always: bool = False) -> Placed:
        """Replace a live order by a new one with a new id: the new one first, then the old one canceled."""
        old = self.find(user, ref)
        if old is None:
            return Refused("Cannot modify canceled or filled order", "rejected")
        if self.knobs.modify_trigger_needs_a and not always and (old.trigger or new.trigger):
            return Refused("Modify of a trigger order requires always_place.", "rejected")
        account = self.accounts[user]
        del account.orders[old.oid], self.live[old.coin][old.oid]
        placed = self._one(user, new, now_ms, siblings=old.siblings, is_position=old.is_position_tpsl)
        if isinstance(placed, Refused) and self.knobs.failed_modify_keeps_order:
            account.orders[old.oid] = self.live[old.coin][old.oid] = old
        else:
            self.put(old, "canceled", now_ms)
        return placed
