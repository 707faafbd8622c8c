"""The toy venue with a book for entries that rest, and people who lift and loosen stops; it judges moves too."""

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

from stopkeeper.core.actions import Action, Cancel, Enter, Flatten
from stopkeeper.core.asking import entry_id, questions
from stopkeeper.core.believe import Held, cover, covers_alone
from stopkeeper.core.case import Frame
from stopkeeper.core.effects import lift_stop, move_stop
from stopkeeper.core.ids import decode
from stopkeeper.core.model import Lookup, Order, OrderKind, OrderState, Resting, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Outcome, Reason, Rejected
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.trailing import improves
from tests.unit.core.scene import CAN, INST, LAG, RULES, D, frame, seen, stop
from tests.worlds.toy import DEADLINE_MS, Toy, World


@dataclass
class BookToy(Toy):
    """Entries may rest: they fill in parts as the mark comes, and their stop comes alive with the last of them."""

    children: dict[str, tuple[Side, Decimal, Decimal, int, str]] = field(default_factory=dict)
    ended: dict[str, tuple[int, OrderState]] = field(default_factory=dict)
    taken: Counter[Decimal] = field(default_factory=Counter)  # by targets at their price, by closes for profit at 0

    def enter(self, action: Enter, record: KeyRecord) -> Outcome | EntryOutcome:
        assert record.trade is not None
        trade, terms = record.trade, action.terms
        fresh = trade.nonces[action.attempt] not in self.nonces
        if fresh and self.may_hold(trade.id):
            self.breaches.append(f"{self.now}: a second entry left while the first stands or has filled")
        if terms.resting is Resting.NO or not fresh:
            return super().enter(action, record)
        self.nonces.add(trade.nonces[action.attempt])
        if (self.mark - terms.worst_price) * trade.side.sign <= 0 and terms.resting is Resting.POST_ONLY:
            no = Rejected(Reason.WOULD_MATCH, "would match")
            return EntryOutcome(no, no)
        self.serial += 1
        name = f"e{self.serial}"
        row = stop(
            size=str(terms.size), order_id=name, client_id=entry_id(trade, action.attempt, INST), side=trade.side
        )
        self.orders[name] = replace(
            row, kind=OrderKind.LIMIT, price=terms.worst_price, trigger=None, reduce_only=False, placed_ms=self.now
        )
        self.children[name] = (trade.side, terms.size, terms.stop, record.n, trade.id)
        return EntryOutcome(Accepted(name, live=True), Accepted(live=True))

    def may_hold(self, trade: str) -> bool:
        """Return whether an entry of a trade stands in the book or has filled."""
        names = (*(o.client_id for o in self.orders.values()), *(f.client_id for f in self.fills))
        return any((c := decode(name)) and c.role is Role.ENTRY and c.trade == trade for name in names)

    def filled(self, trade: str) -> Decimal:
        """Return how much of a trade's entries has filled."""
        mine = ((f, decode(f.client_id)) for f in self.fills)
        return sum((f.size for f, c in mine if c and c.role is Role.ENTRY and c.trade == trade), D(0))

    def move(self, mark: Decimal, *, thin: bool = False) -> None:
        super().move(mark, thin=thin)
        for order in [o for o in self.orders.values() if o.kind is OrderKind.LIMIT]:
            if order.price is not None and (mark - order.price) * order.side.sign <= 0:
                self.match(order)

    def match(self, order: Order) -> None:
        """Fill a part of an entry, or what is left of it."""
        part = min(order.size, D(self.rng.choice(("0.2", "0.5", "9"))))
        self.touched_ms = self.now
        self.trade(part * order.side.sign, order.id, order.client_id)
        if part < order.size:
            self.orders[order.id] = replace(order, size=order.size - part)
            return
        self.end(order, OrderState.FILLED)
        side, size, trigger, n, trade = self.children.pop(order.id)
        self.add(Role.STOP, side, size, trigger, n, trade)

    def end(self, order: Order, state: OrderState) -> None:
        del self.orders[order.id]
        self.touched_ms = self.now
        if order.client_id:
            self.ended[order.client_id] = (self.now, state)

    def work(self) -> None:
        before = {o.id: o for o in self.orders.values() if o.fired and o.kind is OrderKind.TARGET_MARKET}
        held = self.size
        super().work()
        for order in before.values():
            if order.trigger is not None and order.id not in self.orders:
                self.taken[order.trigger] += min(order.size, abs(held))

    def flatten(self, action: Flatten, name: str) -> Outcome:
        outcome = super().flatten(action, name)
        if isinstance(outcome, Accepted) and action.reason == "take_profit":
            self.taken[D(0)] += outcome.filled
        return outcome

    def lose_a_stop(self) -> None:
        for order in list(self.orders.values())[:1]:
            self.end(order, OrderState.CANCELED)

    def nearest(self) -> Decimal | None:
        """Return the trigger nearest to the price of what covers the position alone."""
        if not self.size:
            return None
        held = Held(Side.LONG if self.size > 0 else Side.SHORT, abs(self.size), "venue")
        stops = cover(held, self.orders.values(), RULES, CAN).stops
        return max(
            (o.trigger for o in stops if o.trigger is not None and covers_alone(o, held)),
            key=lambda trigger: trigger * held.side.sign,
            default=None,
        )

    def apply(self, action: Action, record: KeyRecord, deadline: int) -> Outcome | EntryOutcome:
        if not isinstance(action, Cancel) or self.now > deadline:
            return super().apply(action, record, deadline)
        order, before, sent_ms = self.orders.get(action.order_id), self.nearest(), deadline - DEADLINE_MS
        trade = record.trade
        if trade and sent_ms < trade.off_until_ms and order:  # a person took the stop away
            self.end(order, OrderState.CANCELED)
            return Accepted(order.id)
        outcome = super().apply(action, record, deadline)
        if order and order.kind is OrderKind.LIMIT and order.client_id:
            self.ended[order.client_id] = (self.now, OrderState.CANCELED)
        after, quiet = self.nearest(), self.touched_ms < sent_ms - LAG
        loosened = trade is not None and trade.loosened
        if before is not None and after is not None and quiet and not loosened:
            side = Side.LONG if self.size > 0 else Side.SHORT
            if improves(before, after, side):
                self.breaches.append(f"{self.now}: our cancel of {action.order_id} loosened {before} to {after}")
        return outcome

    def our_targets(self) -> list[Order]:
        """Return our live targets."""
        return [o for o in self.orders.values() if (c := decode(o.client_id)) and c.role is Role.TARGET]


@dataclass
class BookWorld(World):
    """One key driven against a venue with a book, its streams alive, a second source of its mark beside the first."""

    toy: BookToy
    feed_age_ms: int | None = 500
    second: tuple[str | None, ...] = ("1",)  # what the other source says, as a multiple of the mark
    parts: Decimal = D(1)  # what the targets may take of what was entered

    def frame(self) -> Frame:
        return frame(self.toy.now, feed_age_ms=self.feed_age_ms)

    def look(self) -> Seen:
        toy, base = self.toy, super().look()
        other = toy.rng.choice(self.second)
        price = None if other is None else Price(toy.mark * D(other), Source.STREAM, 0)
        unasked = replace(base, lookups={})
        asked = {name: self.answer(name) for name in questions(self.record, unasked, INST, LAG)}
        return replace(base, second=price, lookups=seen(at_ms=toy.now, lookups=asked).lookups)

    def answer(self, name: str) -> Lookup:
        known = super().answer(name)
        if known.state in (OrderState.LIVE, OrderState.FIRED) or name not in self.toy.ended:
            return known
        at_ms, state = self.toy.ended[name]
        return replace(known, state=state if at_ms <= self.toy.now - LAG else OrderState.LIVE)

    # --- what a person says

    def lift(self, for_ms: int) -> None:
        self.record = lift_stop(self.record, self.toy.now + for_ms if for_ms else 0)

    def put_stop(self, away: Decimal, *, loosened: bool) -> None:
        """Move the stop to a fraction from the mark."""
        trade = self.record.trade
        if trade is None or trade.stop is None:
            return
        trigger = (self.toy.mark * (1 - trade.side.sign * away)).quantize(D("0.01"))
        if loosened or improves(trigger, trade.stop, trade.side):
            self.record = move_stop(self.record, trigger=trigger, now_ms=self.toy.now, loosened=loosened)
