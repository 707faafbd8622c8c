"""A toy venue with lagging views and lossy answers, and a loop that learns, decides and concludes against it."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random

from stopkeeper.core.actions import (
    Action,
    Again,
    Book,
    Cancel,
    Enter,
    Flatten,
    Found,
    PlaceStop,
    PlaceTarget,
    Prepare,
    Refuse,
    Rest,
)
from stopkeeper.core.asking import entry_id, history_after_ms, questions
from stopkeeper.core.believe import CoverKind, Held, cover
from stopkeeper.core.case import Frame
from stopkeeper.core.decide import decide
from stopkeeper.core.effects import announce, conclude
from stopkeeper.core.ids import decode
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Fill, History, Known, Lookup, Order, OrderKind, OrderState, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Outcome, Reason, Rejected, Unknown
from stopkeeper.core.record import Cursor, KeyRecord, Prepared
from tests.unit.core.scene import CAN, ENTERED_MS, INST, LAG, RULES, D, cid, fill, frame, position, seen, stop, target

TURNS = 12
DEADLINE_MS = 4_000
LOST = Unknown("the answer was lost")
BAD_DAY = ("ok", "ok", "ok", "lost", "never", "late")


@dataclass
class Snapshot:
    at_ms: int
    size: Decimal
    orders: dict[str, Order]
    fills: tuple[Fill, ...]


@dataclass
class Toy:
    """What the venue truly holds, with its past, so that a view of it can be late."""

    rng: Random
    now: int = ENTERED_MS
    mark: Decimal = D(100)
    size: Decimal = D(0)
    price: Decimal = D(100)
    orders: dict[str, Order] = field(default_factory=dict)
    fills: tuple[Fill, ...] = ()
    nonces: set[int] = field(default_factory=set)
    past: list[Snapshot] = field(default_factory=list)
    late: list[tuple[int, Action, KeyRecord, int]] = field(default_factory=list)
    serial: int = 0
    touched_ms: int = 0
    lagging: bool = True
    mood: tuple[str, ...] = BAD_DAY
    hides: bool = False  # an order that has fired and found nobody is in no list of open orders
    breaches: list[str] = field(default_factory=list)

    def tick(self, ms: int) -> None:
        self.now += ms
        for due in [item for item in self.late if item[0] <= self.now]:
            self.late.remove(due)
            self.apply(due[1], due[2], due[3])
        self.past.append(Snapshot(self.now, self.size, dict(self.orders), self.fills))
        self.past = self.past[-200:]

    def view(self) -> Snapshot:
        """Each field's view is late by its own lag, and not monotonic."""
        back = self.now - (self.rng.choice((0, 0, 300, 1_500, LAG - 200)) if self.lagging else 0)
        return next((s for s in reversed(self.past) if s.at_ms <= back), self.past[0])

    # --- what happens by itself or by hand

    def trade(self, signed: Decimal, order: str, client_id: str | None = None) -> None:
        if not signed:
            return
        self.serial += 1
        name = f"f{self.serial}"
        one = fill(name, str(signed), str(self.mark), self.now, str(self.size), order, client_id=client_id)
        if self.size * signed >= 0:
            self.price = self.mark
        self.fills, self.size = (*self.fills, one), self.size + signed

    def hand(self, signed: Decimal) -> None:
        self.touched_ms = self.now
        self.trade(signed, "hand")

    def move(self, mark: Decimal, *, thin: bool = False) -> None:
        self.mark = mark
        for order in list(self.orders.values()):
            if order.trigger is None or order.fired:
                continue
            down = (order.side is Side.SHORT) == (order.kind is OrderKind.STOP_MARKET)
            if (mark <= order.trigger) if down else (mark >= order.trigger):
                self.orders[order.id] = replace(order, fired=True)
                self.touched_ms = self.now
        if not thin:
            self.work()

    def work(self) -> None:
        """Fill what has fired: reduce-only, never beyond zero."""
        for order in [o for o in self.orders.values() if o.fired]:
            del self.orders[order.id]
            if self.size * order.side.sign < 0:
                self.trade(min(order.size, abs(self.size)) * order.side.sign, order.id, order.client_id)

    def lose_a_stop(self) -> None:
        for order in list(self.orders.values())[:1]:
            del self.orders[order.id]
            self.touched_ms = self.now

    # --- what we ask of it

    def covered(self) -> bool:
        if not self.size:
            return True
        held = Held(Side.LONG if self.size > 0 else Side.SHORT, abs(self.size), "venue")
        return cover(held, self.orders.values(), RULES, CAN).kind is CoverKind.WHOLE

    def add(self, role: Role, held: Side, size: Decimal, trigger: Decimal, n: int, trade: str) -> Outcome:
        make = stop if role is Role.STOP else target
        crossed = (self.mark - trigger) * held.sign * (1 if role is Role.STOP else -1) <= 0
        if crossed:
            return Rejected(Reason.CROSSED, "already crossed")
        self.serial += 1
        name = f"o{self.serial}"
        worst = trigger * (1 - held.sign * RULES.stop_worst)
        self.orders[name] = make(
            str(trigger),
            str(size),
            n,
            name,
            client_id=cid(role, n, trade),
            side=held.opposite,
            placed_ms=self.now,
            price=worst,
        )
        return Accepted(name, live=True)

    def apply(self, action: Action, record: KeyRecord, deadline: int) -> Outcome | EntryOutcome:
        if self.now > deadline:
            return Rejected(Reason.EXPIRED, "too late")
        trade = record.trade.id if record.trade else "0" * 12
        match action:
            case Prepare():
                return Accepted()
            case Enter():
                return self.enter(action, record)
            case PlaceStop():
                held = Side.LONG if action.worst < action.trigger else Side.SHORT
                return self.add(Role.STOP, held, action.size, action.trigger, record.n, trade)
            case PlaceTarget():
                held = Side.LONG if action.worst < action.trigger else Side.SHORT
                return self.add(Role.TARGET, held, action.size, action.trigger, record.n, trade)
            case Cancel():
                return self.cancel(action, deadline - DEADLINE_MS)
            case Flatten():
                return self.flatten(action, cid(Role.FLATTEN, record.n, trade))
        raise AssertionError(action)

    def enter(self, action: Enter, record: KeyRecord) -> Outcome | EntryOutcome:
        assert record.trade is not None
        nonce = record.trade.nonces[action.attempt]
        if nonce in self.nonces:
            return EntryOutcome(Rejected(Reason.STALE_NONCE, "used"), Rejected(Reason.STALE_NONCE, "used"))
        self.nonces.add(nonce)
        side, terms = record.trade.side, action.terms
        self.serial += 1
        order = f"e{self.serial}"
        self.trade(terms.size * side.sign, order, entry_id(record.trade, action.attempt, INST))
        n = record.n - len(terms.targets)
        first = self.add(Role.STOP, side, terms.size, terms.stop, n, record.trade.id)
        others = tuple(
            self.add(Role.TARGET, side, aim.size, aim.trigger, n + index, record.trade.id)
            for index, aim in enumerate(terms.targets, 1)
        )
        return EntryOutcome(Accepted(order, terms.size, self.mark), first, others)

    def cancel(self, action: Cancel, sent_ms: int) -> Outcome:
        """Take an order away. What happened too late for the look behind it to show, no rule can know."""
        whole = self.covered()
        if self.orders.pop(action.order_id, None) is None:
            return Rejected(Reason.GONE, "not live")
        if whole and not self.covered() and self.touched_ms < sent_ms - LAG:
            self.breaches.append(f"{self.now}: our cancel of {action.order_id} left the position naked")
        return Accepted(action.order_id)

    def flatten(self, action: Flatten, name: str) -> Outcome:
        look = self.view()
        size = abs(look.size) - action.keep
        if size <= 0 or self.size * look.size <= 0:
            return Rejected(Reason.NO_POSITION, "nothing is held")
        self.serial += 1
        done = min(size, abs(self.size))
        self.trade(-done if self.size > 0 else done, f"x{self.serial}", name)
        return Accepted(f"x{self.serial}", done, self.mark)


@dataclass
class World:
    """One key driven against a toy venue, as engine/drive does it."""

    toy: Toy
    record: KeyRecord
    booked: list[Book] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    effects: int = 0
    tired: int = 0

    def frame(self) -> Frame:
        return frame(self.toy.now)

    def look(self) -> Seen:
        toy = self.toy
        held, orders, fills = toy.view(), toy.view(), toy.view()
        row = None
        if held.size:
            side = Side.LONG if held.size > 0 else Side.SHORT
            edge = D(50) if side is Side.LONG else D(200)
            row = position(str(abs(held.size)), side, str(toy.mark), entry_price=toy.price, liquidation_price=edge)
        shown = tuple(o for o in orders.orders.values() if not (toy.hides and o.fired))
        base = seen(row, shown, fills.fills, toy.now, mark=str(toy.mark))
        asked = {name: self.answer(name) for name in questions(self.record, base, INST, LAG)}
        base = replace(base, lookups=seen(at_ms=toy.now, lookups=asked).lookups)
        if history_after_ms(self.record, base, LAG) is None:
            return base
        late = toy.view()
        placed = any(decode(fill.client_id) for fill in late.fills) or late.orders
        known = History(tuple(late.orders.values()), frozenset({"BTC"}) if placed else frozenset())
        return replace(base, history=Known(known, toy.now))

    def answer(self, name: str) -> Lookup:
        """Answer a look-up by a view that may be late."""
        late = self.toy.view()
        mine = [f for f in late.fills if f.client_id == name]
        filled = sum((f.size for f in mine), D(0))
        live = next((o for o in late.orders.values() if o.client_id == name), None)
        if live is not None:
            return Lookup(name, OrderState.FIRED if live.fired else OrderState.LIVE, live.id, filled, live)
        return Lookup(name, OrderState.FILLED if mine else None, mine[0].order_id if mine else None, filled)

    def drive(self) -> Rest | Again:
        for _ in range(TURNS):
            self.toy.tick(50)
            look, frm = self.look(), self.frame()
            self.record = learn(self.record, look, frm)
            made = decide(self.record, look, frm)
            if made.ends is not None:
                return made.ends
            for action in made.actions:
                if not isinstance(self.perform(action), Accepted):
                    break
        self.tired += 1
        return Again(self.toy.now + 250, "tired")

    def perform(self, action: Action) -> Outcome:
        record, toy = self.record, self.toy
        match action:
            case Found():
                self.record = replace(record, trade=action.trade)
                return Accepted()
            case Refuse():
                self.refused.append(action.why)
                self.record = replace(record, trade=action.successor)
                return Accepted()
            case Book():
                self.book(action)
                return Accepted()
        self.effects += 1
        deadline = toy.now + DEADLINE_MS
        nonce = record.trade.nonces[action.attempt] if isinstance(action, Enter) and record.trade else 0
        self.record = announce(record, action, deadline, nonce, toy.now)
        how = toy.rng.choice(toy.mood)
        outcome: Outcome | EntryOutcome = LOST
        if how == "late":
            toy.late.append((toy.now + toy.rng.randrange(100, DEADLINE_MS), action, self.record, deadline))
        elif how != "never":
            outcome = toy.apply(action, self.record, deadline)
        if how != "ok":
            outcome = EntryOutcome(LOST, LOST) if isinstance(action, Enter) else LOST
        toy.tick(100)
        self.record = conclude(self.record, action, outcome, toy.now, LAG)
        if isinstance(action, Prepare) and isinstance(outcome, Accepted):
            self.record = replace(self.record, prepared=Prepared(action.leverage, action.margin_mode, toy.now))
        return outcome.entry if isinstance(outcome, EntryOutcome) else outcome

    def book(self, action: Book) -> None:
        self.booked.append(action)
        left = [o.id for o in self.toy.orders.values() if decode(o.client_id)]
        if left and action.successor is None and action.trade == self.record.trade:
            self.toy.breaches.append(f"{self.toy.now}: booked while {left} live")
        going = self.record.trade is not None and self.record.trade.id == action.trade.id
        settling = tuple(t for t in self.record.settling if t.id != action.trade.id)
        if not action.exit.complete:
            settling = (*settling, replace(action.trade, revision=action.trade.revision + 1))
        self.record = replace(
            self.record,
            trade=action.successor if going else self.record.trade,
            settling=settling,
            cursor=Cursor(action.exit.closed_ms) if going else self.record.cursor,
        )

    def entries(self, trade: str) -> int:
        """Return how many attempts of a signal were filled."""
        names = {
            f.client_id
            for f in self.toy.fills
            if (c := decode(f.client_id)) and c.role is Role.ENTRY and c.trade == trade
        }
        return len(names)
