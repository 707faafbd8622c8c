"""What must hold of a world: after every event of its market, at rest, and at its end. Judged at the venue.

It shares no rule with the engine: whose an order is, it reads from the digits of the client id.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from exchange.paper.model import Event, Fill, FillEvent, Order, OrderEvent
from exchange.paper.witness import covers
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Side
from stopkeeper.core.record import Origin
from tests.simulation.conduct import (
    CLOSE,
    ENTRY,
    LATE_MS,
    STOP,
    STOP_MET,
    STOP_MOVED_MET,
    TARGET,
    TARGET_MET,
    Conduct,
    is_ours,
    reason_of,
    role_of,
    trade_of,
)
from tests.simulation.scenes import SCENES, Scene
from tests.simulation.town import ACCOUNT, ADDRESS, SYMBOLS, Town

CALM_NAKED_MS = 1_000
BASE_NAKED_MS = 10_000  # where nothing is disturbed: one look, five seconds, one look, one close
BEFORE_MS = 15_000  # a disturbance so long before may still cost its time
CENT, ZERO = Decimal("0.01"), Decimal(0)
WAYS = {STOP: "stop", TARGET: "target", ENTRY: "entry", "": "stranger"}
CLOSES = {STOP_MET: "stop", STOP_MOVED_MET: "stop", TARGET_MET: "target"}  # whose place a close takes
REASONS = {
    "stop": ("stop_loss", "trailing_stop"), "target": ("take_profit",), "stranger": ("external", "liquidation", "adl"),
    "close": ("manual_close", "time_limit", "emergency_exit"), "entry": ("entry", "unknown"),
}  # fmt: skip
MOVED = Decimal("1.2")  # what an entry is worth at its fill over what was asked for: prices leap meanwhile


@dataclass
class Verdict:
    """What a world came to. ``broken`` names each rule that was broken, with what broke it."""

    seed: int
    kind: str
    broken: list[tuple[str, str]] = field(default_factory=list)
    naked_ms: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)


@dataclass
class Episode:
    """What a position earned and paid from flat to flat, and which entries of ours took part."""

    gross: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    ours: frozenset[int] = frozenset()

    def __add__(self, other: "Episode") -> "Episode":
        return Episode(self.gross + other.gross, self.fees + other.fees)


class Judge:
    """Listens to the market of one world."""

    def __init__(self, town: Town, verdict: Verdict) -> None:
        self._town, self._verdict = town, verdict
        self._orders: dict[int, Order] = {}
        self._entries: dict[str, set[int]] = {}  # trade -> its entry orders that filled
        self._owed = SCENES.get(verdict.kind, Scene(()))
        self._conduct = Conduct(town, self.broke, self._owed)
        town.paper.market.listeners.append(self._hear)

    def broke(self, rule: str, what: str) -> None:
        """Note that a rule was broken."""
        self._verdict.broken.append((rule, what))
        self._town.trouble.note("JUDGE", f"{rule}: {what}")

    # --- after every event ----------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        self._conduct.hear(event)
        if isinstance(event, OrderEvent):
            self._order(event.order)
        elif isinstance(event, FillEvent):
            self._fill(event.fill)

    def _order(self, order: Order) -> None:
        if order.oid not in self._orders and is_ours(order.cloid):
            self._verdict.counts["our orders"] += 1
        self._orders[order.oid] = order
        self._town.trouble.note("order", _told(order))

    def _fill(self, fill: Fill) -> None:
        order = self._orders.get(fill.oid)
        signed = fill.size if fill.is_buy else -fill.size
        after = fill.start_position + signed
        self._town.trouble.note("fill", f"{fill.oid} {signed:f} {fill.coin} at {fill.px:f}: {after:f} is held")
        if order is None or order.reduce_only or not is_ours(order.cloid):
            return
        trade = trade_of(order.cloid)
        names = self._entries.setdefault(trade, set())
        names.add(fill.oid)
        if len(names) > 1:
            self.broke("one entry", f"signal {self._named(trade)} entered by {sorted(names)}")
        signal = self._town.sent.get(trade)
        if signal is None or len(names) > 1:
            return
        if (late_ms := order.placed_ms - signal.expires_ms) > LATE_MS:
            self.broke("late entry", f"signal {signal.id} entered {late_ms} ms too late")
        if trade in self._town.refused:
            self.broke("refused", f"signal {signal.id} entered, and was refused at the door")
        side = Side.LONG if order.is_buy else Side.SHORT
        asked = signal.amount.notional or Decimal(0)
        if (order.coin, side) != (signal.key.symbol, signal.side) or order.orig_size * fill.px > asked * MOVED:
            self.broke("as asked", f"{side} {order.orig_size:f} {order.coin} is not what {signal.id} asked for")

    def _named(self, trade: str) -> str | None:
        signal = self._town.sent.get(trade)
        return signal.id if signal else None

    # --- at rest and at the end -----------------------------------------------------------------------------------

    def unrest(self) -> list[str]:
        """Return what is not at rest: leases held, keys overdue, positions without cover, trades without position."""
        town, found = self._town, []
        store = town.ports
        found += [
            f"a lease of {key.symbol} is held by {owner}" for key, owner, _, left in store.leases.holders() if left
        ]
        overdue = [(key, ms) for key, ms in store.wakes.overdue() if ms < -2_000]
        found += [f"{key.symbol} is overdue by {-ms} ms" for key, ms in overdue]
        records = {record.key.symbol: record for record in store.records.all(ACCOUNT)}
        for symbol in SYMBOLS:
            held, trade = town.account.positions.get(symbol), records[symbol].trade if symbol in records else None
            live = [o for o in town.account.orders.values() if o.coin == symbol]
            if held is None:
                found += [f"{symbol}: trade {trade.id} is on record and nothing is held"] if trade else []
                found += [f"{symbol}: order {o.oid} of ours is left" for o in live if is_ours(o.cloid)]
                continue
            cover = sum((o.size for o in live if covers(o, is_buy=held.size < 0)), Decimal(0))
            if cover < abs(held.size):
                found.append(f"{symbol}: {held.size:f} is held and {cover:f} covered")
            if trade is None:
                found.append(f"{symbol}: {held.size:f} is held by no trade")
            elif any(not o.reduce_only for o in live if is_ours(o.cloid)):
                found.append(f"{symbol}: an entry rests beside a position")
        if any(records[symbol].settling for symbol in records):
            found.append("a trade settles still")
        return found

    def end(self) -> None:
        """Judge the whole run, everything being flat."""
        town = self._town
        witness = town.paper.witness.as_json(town.time.now_us).get(ADDRESS, {})
        for symbol, seen in witness.items():
            for naked in seen["naked_intervals"]:
                self._naked(symbol, naked["from_ms"], naked["to_ms"])
            if seen["loosened"]:
                self.broke("loosened", f"{symbol}: {seen['loosened']}")
        self._conduct.end()
        self._books()

    def _books(self) -> None:
        """Hold the ledger against the venue: each entry booked once, results and fees to the cent.

        What people did to a position of their own before it was taken in is no trade's of ours: where there are people,
        trades of signals are held against the venue. A store that lost its last seconds may have lost a signal that had
        entered: its position is a found one then, and only that nothing is booked twice is judged.
        """
        town, verdict = self._town, self._verdict
        lines = town.ports.ledger.lines(ACCOUNT)
        booked = Counter(line.trade.id for line in lines)
        verdict.counts["exits"] += len(lines)
        verdict.counts["entries"] += len(self._entries)
        for trade in self._entries:
            if booked[trade] != 1 and not (town.went_back and booked[trade] == 0):
                self.broke("booked once", f"trade {trade} ({self._named(trade)}) entered and has {booked[trade]} lines")
        for trade in sorted(town.accepted - set(self._entries)):
            state = town.ports.records.signal(trade)
            if not town.went_back and (state is None or state.state != "refused" or not state.why):
                self.broke("vanished", f"signal {self._named(trade)} was accepted and is {state}")
        for line in lines:
            verdict.counts[f"exit {line.exit.reason}"] += 1
            if not line.exit.complete:
                self.broke("complete", f"trade {line.trade.id} stays booked as incomplete")
        if town.went_back:
            return
        self._reasons(lines)
        by_hand = town.trouble.profile.people or self._owed.by_hand or self._owed.exact
        due, funded = sum((f.usdc for f in town.account.fundings), ZERO), sum((x.exit.funding for x in lines), ZERO)
        if not by_hand and abs(due - funded) > CENT:
            self.broke("funding", f"the ledger says {funded:.4f} USD were received and the venue {due:.4f}")
        if town.trouble.profile.people or self._owed.by_hand:
            lines = [line for line in lines if line.trade.origin is Origin.SIGNAL]
        must = self._all() if self._owed.exact else self._episodes()
        own, paid = sum((x.exit.gross_pnl for x in lines), Decimal(0)), sum((x.exit.fees for x in lines), Decimal(0))
        if abs(must.gross - own) > CENT:
            self.broke("ledger", f"it says {own:.4f} USD before fees and the venue {must.gross:.4f}")
        if abs(must.fees - paid) > CENT:
            self.broke("fees", f"the ledger says {paid:.4f} USD of fees and the venue {must.fees:.4f}")

    def _reasons(self, lines: Sequence[LedgerLine]) -> None:
        """Hold the reasons of exits against the orders that closed what an entry of the trade had opened."""
        closed: dict[str, Counter[str]] = {}
        for symbol in SYMBOLS:
            trade = ""
            for fill in (f for f in self._town.account.fills if f.coin == symbol):
                order, before = self._orders.get(fill.oid), fill.start_position
                cloid = order.cloid if order is not None and is_ours(order.cloid) else None
                after = before + (fill.size if fill.is_buy else -fill.size)
                if before * (after - before) < 0:
                    way = WAYS[role_of(cloid)] if role_of(cloid) != CLOSE else CLOSES.get(reason_of(cloid), "close")
                    closed.setdefault(trade, Counter())[way] += min(fill.size, abs(before))
                if before == 0 or before * after < 0:
                    trade = trade_of(cloid) if role_of(cloid) == ENTRY else ""
        for line in lines:
            if line.trade.origin is Origin.SIGNAL and line.exit.complete and line.trade.id in closed:
                booked = Counter[str]()
                for reason, size in line.exit.shares:
                    booked[next(way for way, reasons in REASONS.items() if reason in reasons)] += size
                whole = sum(booked.values()) == sum(closed[line.trade.id].values())  # else a successor has the rest
                # a stranger's close at a target's price counts for it where no target's id was ever learned
                less = any(booked[way] < size for way, size in closed[line.trade.id].items() if way != "stranger")
                if whole and less:
                    was, said = dict(closed[line.trade.id]), dict(line.exit.shares)
                    self.broke("reason", f"trade {line.trade.id} was closed by {was}, and is booked as {said}")

    def _all(self) -> "Episode":
        """Return what was earned and paid by all fills of the account."""
        fills = self._town.account.fills
        return Episode(sum((f.closed_pnl for f in fills), Decimal(0)), sum((f.fee for f in fills), Decimal(0)))

    def _episodes(self) -> "Episode":
        """Return what was earned from flat to flat wherever an entry of ours took part.

        An entry that rests may fill once more after its trade has ended: that is a found position, which is not judged
        where there are people.
        """
        found, people = Episode(), self._town.trouble.profile.people or self._owed.by_hand
        for symbol in SYMBOLS:
            going, ended = Episode(), set[int]()
            for fill in (f for f in self._town.account.fills if f.coin == symbol):
                signed = fill.size if fill.is_buy else -fill.size
                before, after = fill.start_position, fill.start_position + signed
                crossing = before * after < 0
                closing = fill.fee * abs(before) / fill.size if crossing else fill.fee
                going.gross += fill.closed_pnl
                going.fees += closing
                order = self._orders.get(fill.oid)
                entry = order is not None and is_ours(order.cloid) and not order.reduce_only and fill.oid not in ended
                own = frozenset({fill.oid} if entry else ())
                going.ours = going.ours - own if crossing else going.ours | own  # what it turned round was a hand's
                if after == 0 or crossing:
                    ended |= going.ours - own if people else set()
                    found = found + going if going.ours else found
                    going = Episode(fees=fill.fee - closing, ours=own)
        return found

    def _naked(self, symbol: str, from_ms: float, to_ms: float | None) -> None:
        until = to_ms if to_ms is not None else float(self._town.time.now_ms())
        lasted = until - from_ms
        self._verdict.naked_ms.append(lasted)
        disturbed_ms = _covered_ms(self._town.trouble.spans, from_ms - BEFORE_MS, until)
        allowed = CALM_NAKED_MS if self._town.trouble.profile.quiet else BASE_NAKED_MS + disturbed_ms
        if self._owed.naked_ms is not None:
            allowed = self._owed.naked_ms
        if lasted > allowed:
            self.broke("naked", f"{symbol}: for {lasted:.0f} ms from {from_ms:.0f}, at most {allowed:.0f} were due")


def _covered_ms(spans: list[tuple[int, int]], from_ms: float, to_ms: float) -> float:
    """Return how much of a time is within spans; where they overlap it counts once."""
    covered, reached = 0.0, from_ms
    for begins, ends in sorted(spans):
        covered += max(0.0, min(ends, to_ms) - max(begins, reached))
        reached = max(reached, min(ends, to_ms))
    return covered


def _told(order: Order) -> str:
    side, trigger = "buy" if order.is_buy else "sell", f" at {order.trigger.px:f}" if order.trigger else ""
    whose = f"ours {role_of(order.cloid)}/{trade_of(order.cloid)}" if is_ours(order.cloid) else "a stranger's"
    return f"{order.oid} {order.status}: {side} {order.size:f} {order.coin}{trigger}, {whose}"
