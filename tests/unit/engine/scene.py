"""A small stage for the engine: one account over the store in memory and a venue that does what it is told.

Every call of a port is noted with its arguments, may be answered otherwise, and is a moment in which others act.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from inspect import signature
from itertools import count
from types import MethodType
from typing import Any

from stopkeeper.core.actions import Field
from stopkeeper.core.missing import Clock, Silence
from stopkeeper.core.model import (
    AccountSeen,
    Candle,
    Fill,
    FillPage,
    Funds,
    History,
    Holdings,
    Key,
    Known,
    Lookup,
    MarginMode,
    Market,
    Order,
    OrderKind,
    OrderState,
    Position,
    Side,
)
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Outcome, Reason, Rejected
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import KeyRecord, Prepared, Terms, Trade
from stopkeeper.core.rules import Ability, Rules
from stopkeeper.engine.ports import EntryIds, Lease, Permit, Ports, Settings, Times, Urgency
from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld
from tests.unit.core.scene import (
    CAN,
    INST,
    KEY,
    MARKET,
    NOW,
    RULES,
    fill,
    held_trade,
    new_trade,
    position,
    record,
    signal,
    stop,
)

D = Decimal
TIMES = Times()
ETH = Key("main", "ETH")
EDGES = (
    "venue", "leases", "records", "wakes", "journal", "ledger", "looks", "prices", "flags", "gaps",
)  # fmt: skip
QUIET = frozenset(("now_ms", "clock_age_ms", "clock", "markets", "remaining_ms", "counter"))  # not noted: asked often


_signature = cache(signature)
_stages = count()


class FakeVenue:
    """A venue with one account: it shows what it holds at once, accepts everything, and does as it says."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.can: Ability = CAN
        self.listed: dict[str, Market] = {name: replace(MARKET, symbol=name) for name in ("BTC", "ETH")}
        self.held: dict[str, Position] = {}
        self.live: list[Order] = []
        self.past: list[Fill] = []
        self.endless: tuple[Order, ...] = ()  # on record without an end
        self.marks: dict[str, Decimal] = {"BTC": D(100), "ETH": D(100)}
        self.funds = Funds(D(10_000), D(10_000))
        self.set: dict[str, Prepared] = {}
        self.bars: tuple[Candle, ...] = ()
        self.paid = D(0)
        self.offset_age_ms: int | None = 1_000
        self.apart_ms: int | None = 0
        self.quiet: Silence | None = None
        self.out_of = ""
        self.trouble = ""
        self._count = 0

    # --- its clock and what it lists ---------------------------------------------------------------------------

    def now_ms(self) -> int:
        return self._clock()

    def clock_age_ms(self) -> int | None:
        return self.offset_age_ms

    def clock(self) -> Clock:
        return Clock(self.offset_age_ms, self.apart_ms)

    def silence(self) -> Silence | None:
        return self.quiet

    def short(self) -> str:
        return self.out_of

    def key_trouble(self) -> str:
        return self.trouble

    def prove(self, permit: Permit) -> Outcome:
        return Accepted()

    def markets(self) -> Mapping[str, Market]:
        return self.listed

    def wait_ms(self, fields: Collection[Field], urgency: Urgency) -> int:
        return 0

    def poll_limits(self) -> None:
        pass

    # --- reads -------------------------------------------------------------------------------------------------

    def holdings(self, urgency: Urgency) -> Known[Holdings]:
        return Known(Holdings(dict(self.held), self.funds), self._clock())

    def orders(self, urgency: Urgency) -> Known[tuple[Order, ...]]:
        return Known(tuple(self.live), self._clock())

    def fills(self, since_ms: int, urgency: Urgency) -> Known[FillPage]:
        found = tuple(each for each in self.past if each.time_ms >= since_ms)
        return Known(FillPage(since_ms, found), self._clock())

    def lookup(self, symbol: str, client_id: str, urgency: Urgency) -> Known[Lookup]:
        order = next((o for o in self.live if (o.symbol, o.client_id) == (symbol, client_id)), None)
        found = Lookup(client_id, None)
        if order is not None:
            found = Lookup(client_id, OrderState.LIVE, order.id, order=order)
        return Known(found, self._clock())

    def history(self, after_ms: int, urgency: Urgency) -> Known[History]:
        return Known(History(self.endless), self._clock())

    def settings(self, symbol: str, urgency: Urgency) -> Known[Settings]:
        return Known(Settings(self.set.get(symbol), self._price(symbol)), self._clock())

    def mark(self, symbol: str, urgency: Urgency) -> Price | None:
        return self._price(symbol)

    def _price(self, symbol: str) -> Price | None:
        mark = self.marks.get(symbol)
        return None if mark is None else Price(mark, Source.VENUE, 0)

    def candles(self, symbol: str, interval: str, count: int) -> Known[tuple[Candle, ...]]:
        return Known(self.bars[-count:], self._clock())

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Known[Decimal]:
        return Known(self.paid, self._clock())

    # --- effects -----------------------------------------------------------------------------------------------

    def reserve_nonces(self, count: int) -> tuple[int, ...]:
        return tuple(self._next() for _ in range(count))

    def permit(self, urgency: Urgency, until_ms: int, *, nonce: int | None = None) -> Permit:
        return Permit(self._next() if nonce is None else nonce, min(until_ms, self._clock() + TIMES.deadline_ms))

    def prepare(self, symbol: str, leverage: int, mode: MarginMode, permit: Permit) -> Outcome:
        self.set[symbol] = Prepared(leverage, mode, self._clock())
        return Accepted()

    def enter(self, symbol: str, side: Side, terms: Terms, ids: EntryIds, permit: Permit) -> EntryOutcome:
        name, price = f"e{self._next()}", self.marks[symbol]
        self.held[symbol] = replace(position(f"{terms.size}", side), symbol=symbol, entry_price=price, mark=price)
        signed = f"{terms.size * side.sign}"
        bought = fill(f"f{name}", signed, f"{price}", self._clock(), "0", name, client_id=ids.entry)
        self.past.append(replace(bought, symbol=symbol))
        first = self._rest(symbol, side, terms.size, terms.stop, terms.stop_worst, ids.stop, OrderKind.STOP_MARKET)
        targets = [
            self._rest(symbol, side, goal.size, goal.trigger, goal.worst, client, OrderKind.TARGET_MARKET)
            for goal, client in zip(terms.targets, ids.targets, strict=True)
        ]
        return EntryOutcome(Accepted(name, terms.size, price), first, tuple(targets))

    def place_stop(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome:
        return self._rest(symbol, held, size, trigger, worst, client_id, OrderKind.STOP_MARKET)

    def place_target(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome:
        return self._rest(symbol, held, size, trigger, worst, client_id, OrderKind.TARGET_MARKET)

    def cancel(self, symbol: str, order_id: str, permit: Permit) -> Outcome:
        if not any(order.id == order_id for order in self.live):
            return Rejected(Reason.GONE, "no such order")
        self.live = [order for order in self.live if order.id != order_id]
        return Accepted()

    def close(self, symbol: str, held: Side, size: Decimal, worst: Decimal, client_id: str, permit: Permit) -> Outcome:
        name, price, before = f"c{self._next()}", self.marks[symbol], self.held[symbol]
        start = f"{before.size * held.sign}"
        sold = fill(f"f{name}", f"{size * -held.sign}", f"{price}", self._clock(), start, name, client_id=client_id)
        self.past.append(replace(sold, symbol=symbol))
        left = before.size - size
        if left:
            self.held[symbol] = replace(before, size=left)
        else:
            del self.held[symbol]
        return Accepted(name, size, price)

    def _rest(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client: str, kind: OrderKind
    ) -> Outcome:
        name = f"o{self._next()}"
        base = stop(f"{trigger}", f"{size}", order_id=name, client_id=client)
        order = replace(base, symbol=symbol, side=held.opposite, kind=kind, price=worst, placed_ms=self._clock())
        self.live.append(order)
        return Accepted(name, live=True)

    def _next(self) -> int:
        self._count += 1
        return self._count


@dataclass(frozen=True)
class Call:
    """A call of a port, by its name such as ``venue.cancel``, with what it was given."""

    name: str
    given: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.given[name]


class Edge:
    """A port whose calls the stage notes, answers or interrupts."""

    def __init__(self, stage: "Stage", name: str, inner: object) -> None:
        self._stage, self._name, self._inner = stage, name, inner

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._inner, method)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            return self._stage.pass_on(f"{self._name}.{method}", found, args, more)

        return call


@dataclass
class Stage:
    """One process of an account, by a clock the test holds; ``other`` is the store as another process has it."""

    rules: Rules = RULES
    now: int = NOW
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = MemoryWorld(lambda: self.now)
        self.venue = FakeVenue(lambda: self.now)
        self._meanwhile: defaultdict[str, list[Callable[[], object] | None]] = defaultdict(list)
        self._always: dict[str, Callable[[], object]] = {}
        self._answers: defaultdict[str, list[Any]] = defaultdict(list)
        self.boots = (f"mine{next(_stages)}", f"other{next(_stages)}")  # what one test leaves leased is no other's
        store = memory_store(self.world, installation=INST, boot=self.boots[0])
        self.other = memory_store(self.world, installation=INST, boot=self.boots[1])
        real = {name: getattr(store, name) for name in EDGES if name != "venue"} | {"venue": self.venue}
        edges: dict[str, Any] = {name: Edge(self, name, each) for name, each in real.items()}
        self.ports = Ports(
            account="main", installation=INST, symbols=("BTC", "ETH"), rules=self.rules, times=TIMES, **edges
        )

    # --- what goes on at the ports -----------------------------------------------------------------------------

    def pass_on(self, name: str, real: MethodType, args: tuple[Any, ...], more: dict[str, Any]) -> Any:
        """Note a call, let others act, and answer it as told or as it is."""
        if name.partition(".")[2] not in QUIET:
            self.calls.append(Call(name, _signature(real.__func__).bind(None, *args, **more).arguments))
        if name in self._always:
            self._always[name]()
        if self._meanwhile[name]:
            act = self._meanwhile[name].pop(0)
            if act is not None:
                act()
        if self._answers[name]:
            answer = self._answers[name].pop(0)
            if isinstance(answer, BaseException):
                raise answer
            if answer is not ...:
                return answer
        return real(*args, **more)

    def meanwhile(self, name: str, *acts: Callable[[], object] | None) -> None:
        """Let something happen before the next calls of a port, one for each; None = nothing."""
        self._meanwhile[name] += acts

    def always(self, name: str, act: Callable[[], object]) -> None:
        """Let something happen before each call of a port."""
        self._always[name] = act

    def answers(self, name: str, *answers: Any) -> None:
        """Answer the next calls of a port otherwise; an exception is raised, ``...`` is answered as it is."""
        self._answers[name] += answers

    def passes(self, ms: int) -> Callable[[], None]:
        """Return the passing of so much time."""

        def act() -> None:
            self.now += ms

        return act

    def done(self, name: str) -> list[Call]:
        """Return the calls of a port's method."""
        return [call for call in self.calls if call.name == name]

    def sent(self) -> list[str]:
        """Return the names of the effects sent to the venue, in order."""
        effects = ("prepare", "enter", "place_stop", "place_target", "cancel", "close", "prove")
        return [verb for call in self.calls for port, _, verb in [call.name.partition(".")] if verb in effects]

    def reads(self) -> list[str]:
        """Return the names of what was read at the venue, in order."""
        reads = ("holdings", "orders", "fills", "lookup", "history", "settings", "mark", "candles", "funding")
        return [verb for call in self.calls for port, _, verb in [call.name.partition(".")] if verb in reads]

    # --- the store ---------------------------------------------------------------------------------------------

    def put(self, *records: KeyRecord) -> None:
        """Store records as they stand, whatever stood there."""
        for each in records:
            lease = self.other.leases.acquire(each.key)
            assert lease is not None
            before = self.other.records.load(each.key)
            self.other.records.save(replace(each, version=before.version), lease)
            assert self.other.leases.release(lease, self.other.wakes.counter(each.key), None)
        self.calls.clear()

    def stored(self, key: Key = KEY) -> KeyRecord:
        """Return a record as it stands in the store."""
        return self.other.records.load(key)

    def trade(self, key: Key = KEY) -> Trade:
        """Return a key's trade as it stands in the store."""
        trade = self.stored(key).trade
        assert trade is not None
        return trade

    def take(self, key: Key = KEY) -> Lease:
        """Take the lease of a key."""
        lease = self.ports.leases.acquire(key)
        assert lease is not None
        self.calls.clear()
        return lease

    def holders(self) -> list[Key]:
        """Return the keys that are leased now."""
        return [key for key, *_ in self.other.leases.holders()]

    def due_ms(self, key: Key = KEY) -> int | None:
        """Return in how many ms a key is due; None = only when woken."""
        return dict(self.other.wakes.overdue()).get(key)

    def wake(self, key: Key = KEY) -> None:
        """Wake a key, as another process does."""
        self.other.wakes.wake(key, "something happened")

    def lines(self, kind: str | None = None) -> list[Mapping[str, str]]:
        """Return the lines of the account's journal, of one kind or all."""
        lines = [line for _, line in self.other.journal.read("main", "0", 1_000)]
        return [line for line in lines if kind in (None, line["kind"])]

    def kinds(self) -> list[str]:
        """Return the kinds of the journal's lines, oldest first."""
        return [line["kind"] for line in self.lines()]

    def look(self) -> AccountSeen:
        """Return the look that all processes share."""
        return self.other.looks.load("main")[0]

    def hear(self, mark: str, symbol: str = "BTC") -> None:
        """Let the feed hear a mark."""
        self.other.prices.put("main", {symbol: D(mark)})


def protected(**more: Any) -> Stage:
    """Return a stage where 1 BTC is held from 100, as its trade says, and its stop stands at 95."""
    stage = Stage(**more)
    stage.venue.held["BTC"] = position()
    stage.venue.live = [stop()]
    stage.venue.past = [fill("f1", "1", "100", NOW - 60_000, "0", "e1")]
    stage.put(record(held_trade()))
    return stage


def naked(**more: Any) -> Stage:
    """Return the same stage without the stop."""
    stage = protected(**more)
    stage.venue.live = []
    return stage


def both() -> Stage:
    """Return a stage where BTC is held and a signal waits to enter ETH."""
    stage = protected()
    stage.put(record(new_trade(id="eeeeeeeeeeee", key=ETH, signal=signal(key=ETH)), key=ETH))
    return stage


def asks_ordinarily(stage: Stage) -> None:
    """Fail where a look drew on what is kept for protection."""
    urgent = {call["urgency"] for call in stage.calls if "urgency" in call.given}
    assert urgent <= {Urgency.ORDINARY}, "who only looks does not spend what protection needs"
