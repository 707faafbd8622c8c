"""Orders in: placing, grouping, matching at once or resting, cancelling, modifying. No clock, no protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

from exchange.paper.book import Take, average, sweep
from exchange.paper.families import Families
from exchange.paper.model import (
    ZERO,
    Account,
    Cause,
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


class Desk(Families):
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
        """Place a parent and the triggers that come alive once it is fully filled (docs: order-types, TP/SL).

        If one of them is refused, all are, in the same words.
        """
        if orders[0].trigger is not None:
            msg = "Main order cannot be trigger order."
            raise GroupingError(msg)
        if len(orders) < 2 or any(order.trigger is None for order in orders[1:]):
            msg = "Unexpected number of trigger orders"
            raise GroupingError(msg)
        parent, siblings = self._record(user, orders[0], now_ms), self.new_oid()
        children = [self._record(user, new, now_ms, parent=parent.oid, siblings=siblings) for new in orders[1:]]
        refusals = [self._refusal(user, new, attached=new is not orders[0]) for new in orders]
        refused = next((found for found in refusals if found), None)
        met = refused or self._meet(self.accounts[user], parent)
        if isinstance(met, Refused):
            for order in (parent, *children):
                self.put(order, met.status, now_ms)
            return [met for _ in orders]
        order, taken = met
        order = self.put(replace(order, children=tuple(child.oid for child in children)), "open", now_ms)
        for child in children:
            self.put(child, "waitingForFill", now_ms)
        answers: list[Placed] = [self._executed(order, taken, now_ms) if taken else Resting(order)]
        live = self.accounts[user].orders
        for child in children:
            waits = child.oid in live and live[child.oid].status == "waitingForFill"
            answers.append(Waiting(child, "waitingForFill" if waits else "waitingForTrigger"))
        return answers

    def _record(
        self,
        user: str,
        new: NewOrder,
        now_ms: int,
        *,
        parent: int | None = None,
        siblings: int | None = None,
        is_position: bool = False,
    ) -> Order:
        return Order(
            oid=self.new_oid(),
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
            is_position_tpsl=is_position,
            builder_fee=new.builder_fee,
        )

    def _one(
        self, user: str, new: NewOrder, now_ms: int, *, siblings: int | None = None, is_position: bool = False
    ) -> Placed:
        account = self.accounts[user]
        order = self._record(user, new, now_ms, siblings=siblings, is_position=is_position)
        refused = self._refusal(user, new, is_position=is_position)
        if refused is None and order.trigger is not None:
            return Resting(self.put(order, "open", now_ms))
        met = refused or self._meet(account, order)
        if isinstance(met, Refused):
            self.put(order, met.status, now_ms)
            return met
        order, taken = met
        order = self.put(order, "open", now_ms)
        if taken:
            return self._executed(order, taken, now_ms)
        self._crowd_out(account, order, now_ms)
        return Resting(order)

    def _refusal(
        self, user: str, new: NewOrder, *, attached: bool = False, is_position: bool = False
    ) -> Refused | None:
        """Return why an order is not taken at the door: a fault's words, or the venue's rules."""
        wished = self.meddler.refusal(user, new)
        if wished:
            return Refused(wished, "rejected")
        coin, account = self.listing[new.coin], self.accounts[user]
        at = self.quote(new.coin)
        return refusal(new, coin, account, at, self.knobs, attached=attached, is_position=is_position)

    def _meet(self, account: Account, order: Order) -> tuple[Order, list[Take]] | Refused:
        """Hold a limit order against the book: what it takes at once, or why it may not stand there."""
        coin = self.listing[order.coin]
        at = self.quote(order.coin)
        asset = f" asset={coin.asset}"
        if order.reduce_only:
            order = replace(order, size=min(order.size, abs(account.positions[order.coin].size)))
        taken = sweep(coin, at, self.knobs, is_buy=order.is_buy, size=order.size, limit_px=order.limit_px)
        if order.tif == "Alo" and taken:
            words = f"Post only order would have immediately matched, bbo was {at.bid}@{at.ask}.{asset}"
            return Refused(words, "badAloPxRejected")
        if order.tif in MARKET_TIFS and not taken:
            return Refused(f"Order could not immediately match against any resting orders.{asset}", "iocCancelRejected")
        self.leverage_of(account, order.coin)
        px = average(taken) if taken else order.limit_px
        if not order.reduce_only and unaffordable(order, px, account, self.marks, self.knobs.taker_fee):
            return Refused(f"Insufficient margin to place order.{asset}", "perpMarginRejected")
        return order, self.cut(order, taken, self.meddler.fraction(order) if taken else None)

    def cut(self, order: Order, taken: list[Take], part: Decimal | None) -> list[Take]:
        """Cut what an order takes to the part a fault allows (None: all of it), at least one lot."""
        if part is None:
            return taken
        lot = Decimal(1).scaleb(-self.listing[order.coin].sz_decimals)
        left = max(lot, (order.size * part).quantize(lot, ROUND_DOWN))
        pieces: list[Take] = []
        for piece in taken:
            size = min(piece.size, left)
            if size > 0:
                pieces.append(Take(piece.px, size))
            left -= size
        return pieces

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
                self.finish(order, "reduceOnlyCanceled", now_ms)
            else:
                room -= order.size

    def find(self, user: str, ref: int | str) -> Order | None:
        """Return a live order by id, or the newest live one by cloid."""
        orders = self.accounts[user].orders
        if isinstance(ref, int):
            return orders.get(ref)
        return max((o for o in orders.values() if o.cloid == ref), key=lambda o: o.oid, default=None)

    def cancel(self, user: str, coin: str, ref: int | str, now_ms: int, *, cause: Cause = "trader") -> str | None:
        """Cancel one live order by id or cloid; return the venue's words if there is none."""
        order = self.find(user, ref)
        if order is None or order.coin != coin:
            return f"{GONE} asset={self.listing[coin].asset}"
        order = self.put(order, "canceled", now_ms, cause=cause)
        self.children_of_ended(order, now_ms)
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
        if isinstance(placed, Refused):
            if self.knobs.failed_modify_keeps_order:
                account.orders[old.oid] = self.live[old.coin][old.oid] = old
            else:
                self.finish(old, "canceled", now_ms)
            return placed
        self.put(old, "canceled", now_ms, cause="trader")
        return replace(placed, order=self.adopt(placed.order, old.children, now_ms)) if old.children else placed
