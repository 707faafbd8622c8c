"""The case before a decision: record, observation and circumstances, with what follows from them worked out once."""

from dataclasses import dataclass
from decimal import Decimal

from stopkeeper.core.believe import Belief, Cover, CoverKind, Held, believe, cover
from stopkeeper.core.evidence import Chain, follow
from stopkeeper.core.ids import ClientId, decode
from stopkeeper.core.model import ZERO, Market, Order, OrderKind, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, Unknown
from stopkeeper.core.outstanding import hidden
from stopkeeper.core.record import KeyRecord, Origin, Outstanding, Placed, Trade
from stopkeeper.core.rules import Ability, OrphanPolicy, Rules, Switches
from stopkeeper.core.sizing import nearer, on_grid, safe_edge
from stopkeeper.core.slices import standing

# A trade's created_ms is set this much before now, so that no fill of its entry is older by a clock's uncertainty.
ADMISSION_MARGIN_MS = 5_000
LOOK_AGAIN_MS = 500  # how soon to look again at something that is under way
DENIALS = 3  # so many looks in a row, over more than a lag, deny a position: one may lie, and one be late
BARRED_AGAIN_MS = 5_000  # how soon to try again what a venue refuses to everybody with this key
OLD_VIEW_MS = 3_000  # more than any shared look that serves a drive
NONE = Cover(CoverKind.NONE, ZERO, ())


@dataclass(frozen=True, slots=True)
class Frame:
    """The circumstances of a decision. ``now_ms`` is venue time; ``clock_age_ms`` how old the measured offset is.

    ``feed_age_ms`` is how long ago the feed last said that the account's streams live; None = never, or not asked.
    ``clock_apart_ms`` is venue minus this machine's own clock; None = unknown. ``forgot_age_ms`` is how long ago the
    store may have forgotten what it had; None = never, or not asked.
    """

    now_ms: int
    clock_age_ms: int | None
    rules: Rules
    can: Ability
    market: Market
    switches: Switches
    installation: str
    feed_age_ms: int | None = None
    clock_apart_ms: int | None = None
    forgot_age_ms: int | None = None

    @property
    def forgot_until_ms(self) -> int:
        """Return the venue time after which a look shows all that was sent before the store forgot; 0 = never.

        A key's last trade may be among what was forgotten, and its entry on its way: with the next one both would fill.
        """
        age_ms = self.forgot_age_ms
        return 0 if age_ms is None else self.now_ms - age_ms + ADMISSION_MARGIN_MS + self.can.lag_ms

    @property
    def fed(self) -> bool:
        """Return whether the account's streams are known to live."""
        return self.feed_age_ms is not None and self.feed_age_ms < self.rules.feed_lost_ms


@dataclass(frozen=True, slots=True)
class Case:
    """What a concern looks at. ``live`` and ``ours`` are empty where the orders are Unknown: ask ``orders_known``."""

    record: KeyRecord
    seen: Seen
    frame: Frame
    chain: Chain
    belief: Belief
    cover: Cover
    live: tuple[Order, ...]
    ours: tuple[tuple[Order, ClientId], ...]

    @property
    def trade(self) -> Trade | None:
        return self.record.trade

    @property
    def now(self) -> int:
        return self.frame.now_ms

    @property
    def rules(self) -> Rules:
        return self.frame.rules

    @property
    def orders_known(self) -> bool:
        return not isinstance(self.seen.orders, Unknown)

    @property
    def whole(self) -> bool:
        """Return whether live stops seen in this observation protect the whole position."""
        return self.orders_known and self.cover.kind is CoverKind.WHOLE

    @property
    def naked(self) -> bool:
        return isinstance(self.belief, Held) and not self.whole and not self.lifted

    @property
    def lifted(self) -> bool:
        """Return whether a person took the stop away, and the time said is not up."""
        return self.trade is not None and self.now < self.trade.off_until_ms

    @property
    def left_alone(self) -> bool:
        """Return whether the account's policy is to place nothing for this position: a person is to act."""
        return self.trade is not None and self.trade.orphan is OrphanPolicy.ALERT

    @property
    def again_ms(self) -> int:
        """Return how soon a stop or close that was refused is tried again: a bar must not cost all looks."""
        return BARRED_AGAIN_MS if self.frame.switches.barred else LOOK_AGAIN_MS

    @property
    def mark(self) -> Decimal | None:
        """The venue's mark of this observation, else the newest other one."""
        if isinstance(self.belief, Held) and self.belief.position and self.belief.position.mark:
            return self.belief.position.mark
        return self.seen.mark.value if self.seen.mark else None

    @property
    def entries(self) -> tuple[Order, ...]:
        """Return the live entry orders of the trade."""
        trade = self.trade
        return tuple(o for o, k in self.ours if k.role is Role.ENTRY and trade is not None and k.trade == trade.id)

    @property
    def hidden(self) -> tuple[Outstanding, ...]:
        """Return our stops and targets that are not shown and may live: one may have fired, and hang."""
        return hidden(self.record, self.seen, self.frame.installation)

    @property
    def disproved(self) -> bool:
        """Return whether looks enough in a row, over more than a lag, showed no position that orders of ours guard."""
        looks, read = self.record.denied, self.seen.position
        late = not isinstance(read, Unknown) and bool(looks) and read.at_ms > looks[0] + self.frame.can.lag_ms
        return late and len(looks) == DENIALS

    @property
    def denial_due_ms(self) -> int:
        """Return when to look again at a key that is flat: no more often than a denial takes to be believed."""
        looks, soon = self.record.denied, self.now + LOOK_AGAIN_MS
        if not 0 < len(looks) < DENIALS:
            return soon
        return max(soon, looks[0] + self.frame.can.lag_ms * len(looks) // (DENIALS - 1) + 1)

    @property
    def going(self) -> frozenset[str]:
        """Return the ids of orders whose cancel was sent and may still not show."""
        return frozenset(order for order, _ in self.record.canceled)

    @property
    def stands_from_ms(self) -> int:
        """Return the venue time after which what is read shows the cover as it stands.

        Views go back and forth for a lag after the size changed; and beside what was found, what a lost record had sent
        may be under way, a cancel of the newer stop among it.
        """
        trade = self.trade
        if trade is None:
            return 0
        lost_ms = self.record.quiet_ms if trade.origin is Origin.FOUND else 0
        return max(trade.sized_ms + self.frame.can.lag_ms, lost_ms)

    @property
    def entered(self) -> bool:
        return has_entered(self.trade, self.chain)

    def unseen(self, role: Role) -> Placed | None:
        """Return the acked order of a role that this observation does not show, while the venue's lag may explain it.

        That an earlier one showed it changes nothing: views are late, and not monotonic.
        """
        shown, viewed = {order.id for order in self.live}, viewed_ms(self.seen, self.now)
        for placed in self.trade.placed if self.trade else ():
            if (
                placed.role is role
                and placed.order_id not in shown
                and viewed < placed.acked_ms + self.frame.can.lag_ms
            ):
                return placed
        return None

    def wanted_stop(self, held: Held) -> Decimal | None:
        """Return where the stop belongs, inside the liquidation price and on the grid; None without a price."""
        own = self.own_stop(held)
        return self.orphan_stop(held) if own is None else self._inside(own, held)

    def moved_stop(self, best: Decimal, held: Held) -> Decimal | None:
        """Return where a stop that stands at ``best`` belongs.

        What a signal that has not entered names is none of the position's: only the liquidation price moves its stop.
        """
        return self.wanted_stop(held) if self.entered else self._inside(best, held)

    def is_pressed(self, best: Decimal, held: Held) -> bool:
        """Return whether a stop at ``best`` stands farther than the liquidation price allows, by this reading."""
        return not self.stands_at(best, self._inside(best, held), held)

    def stands_at(self, trigger: Decimal, wanted: Decimal, held: Held) -> bool:
        """Return whether a stop stands where it is wanted.

        Where the liquidation price says where, a step's difference is none: that price drifts, and not every tick of it
        is worth two actions, until it has passed the stop.
        """
        drifts = wanted != self.own_stop(held) and (self.trade is None or self.trade.unsafe is None)
        return trigger == wanted or (drifts and abs(wanted - trigger) < trigger * self.rules.stop_step)

    def own_stop(self, held: Held) -> Decimal | None:
        """Return the trigger the trade itself names for a position of this side."""
        trade = self.trade
        return (trade.stop or None) if trade and trade.side is held.side else None

    def orphan_stop(self, held: Held) -> Decimal | None:
        """Return where the stop of a position belongs that names none of its own; None without a price."""
        if self.mark is None:
            return None
        return self._inside(self.mark * (1 - held.side.sign * self.rules.orphan_stop), held)

    def _inside(self, wanted: Decimal, held: Held) -> Decimal:
        """Keep a trigger in front of the liquidation price by the buffer."""
        edge = self._edge(held)
        if edge is not None and (wanted - edge) * held.side.sign < 0:
            wanted = edge
        return on_grid(wanted, self.frame.market, nearer(held.side))

    def _edge(self, held: Held) -> Decimal | None:
        """Return the farthest a stop may stand. Liquidation beyond the entry (margin taken out) is held to the mark."""
        position = held.position
        if position is None or not position.liquidation_price:
            return None
        liquidation, base = position.liquidation_price, position.entry_price
        if (base - liquidation) * held.side.sign <= 0:
            base = self.mark if self.mark is not None else liquidation
        if (base - liquidation) * held.side.sign <= 0:
            return liquidation
        return safe_edge(base, liquidation, self.rules)

    def beyond(self, level: Decimal, held: Held) -> bool:
        """Return whether the mark stands at or beyond a stop level, by one source: enough to wait, not to close."""
        return self.mark is not None and passed(self.mark, level, held.side)

    def surely_beyond(self, level: Decimal, held: Held) -> bool:
        """Return whether two sources that agree show the mark at or beyond a stop level."""
        second = self.seen.second
        if second is None or not self.sure or not self.beyond(level, held):
            return False
        return second.age_ms <= self.rules.mark_age_ms and passed(second.value, level, held.side)

    def surely_reached(self, level: Decimal, held: Held) -> bool:
        """Return whether two sources that agree show the mark at or beyond a target's level."""
        second = self.seen.second
        if second is None or self.mark is None or not self.sure or second.age_ms > self.rules.mark_age_ms:
            return False
        return all((price - level) * held.side.sign >= 0 for price in (self.mark, second.value))

    @property
    def sure(self) -> bool:
        """Return whether no other source contradicts the mark."""
        second = self.seen.second
        return self.mark is not None and (second is None or agree(self.mark, second.value, self.rules.marks_apart))


def viewed_ms(seen: Seen, now_ms: int) -> int:
    """Return of when the view of the orders is: a look that another process made may be some seconds old.

    It counts as no older than that: a venue whose time stands still must not make us wait for ever.
    """
    if isinstance(seen.orders, Unknown):
        return now_ms
    return min(now_ms, max(seen.orders.at_ms, now_ms - OLD_VIEW_MS))


def passed(mark: Decimal, level: Decimal, held: Side) -> bool:
    """Return whether a mark stands at or beyond the level of a stop of a position of this side."""
    return (mark - level) * held.sign <= 0


def agree(one: Decimal, other: Decimal, apart: Decimal) -> bool:
    """Return whether two prices are the same but for a fraction."""
    return abs(one - other) <= apart * other


def doubtful(record: KeyRecord, seen: Seen, rules: Rules) -> bool:
    """Return whether the mark of this look must be confirmed by another source before anything may hang on it.

    That is where it stands at or beyond a stop or a target, or so much better than the best price so far that the stop
    would follow it.
    """
    trade, read = record.trade, seen.position
    if trade is None or isinstance(read, Unknown) or read.value is None or read.value.mark is None:
        return False
    position, mark = read.value, read.value.mark
    if seen.second is not None and agree(mark, seen.second.value, rules.marks_apart):
        return False
    orders = () if isinstance(seen.orders, Unknown) else seen.orders.value
    levels = [trade.stop, *(o.trigger for o in orders if o.kind is OrderKind.STOP_MARKET)]
    if position.liquidation_price:
        levels.append(safe_edge(position.entry_price, position.liquidation_price, rules))
    near = any(level is not None and passed(mark, level, position.side) for level in levels)
    best = position.entry_price if trade.peak is None else trade.peak
    far = trade.policy.moves and (mark - best) * position.side.sign >= best * rules.stop_step
    aims = standing(trade.targets, trade.entry_filled, trade.taken)
    missed = any(not passed(mark, goal.price, position.side) for goal in aims)
    return near or far or missed


def has_entered(trade: Trade | None, chain: Chain) -> bool:
    """Return whether a trade became a position, by its own evidence only: its fills, an ack, a look-up."""
    if trade is None:
        return False
    if trade.origin is Origin.FOUND or chain.started or trade.entered_ms is not None:
        return True
    return any(isinstance(s.outcome, Accepted) and s.outcome.filled > 0 for s in trade.sent)


def owned(order: Order, frame: Frame) -> ClientId | None:
    """Return the client id of an order of ours, or of an installation taken over before which it was placed, or None.

    What a dead installation places after it was taken over is not ours: it lives.
    """
    return owned_by(order, frame.installation, frame.switches)


def owned_by(order: Order, installation: str, switches: Switches) -> ClientId | None:
    """Return the same for an installation and its switches."""
    client = decode(order.client_id)
    if client is None or client.installation == installation:
        return client
    heir = any(name == client.installation and order.placed_ms <= until for name, until in switches.inherited)
    return client if heir else None


def build(record: KeyRecord, seen: Seen, frame: Frame) -> Case:
    """Work a case out."""
    chain = follow(record.trade, seen.fills, frame.installation)
    belief = believe(record, seen, chain, frame.can.lag_ms)
    live = () if isinstance(seen.orders, Unknown) else seen.orders.value
    ours = tuple((order, client) for order in live if (client := owned(order, frame)) is not None)
    going = {order for order, _ in record.canceled}  # shown for a lag after its cancel: no cover to count on
    staying = [order for order in live if order.id not in going]
    judged = cover(belief, staying, frame.rules, frame.can) if isinstance(belief, Held) else NONE
    return Case(record, seen, frame, chain, belief, judged, live, ours)
