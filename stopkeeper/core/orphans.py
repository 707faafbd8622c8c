"""Positions that no trade owns: whose they are by the ids they bear, by which policy they are kept, and their trade.

Ids go before the policy: what an entry of ours opened, or a stop or target of ours closes, is ours though its record is
lost, and no policy closes it or leaves it alone.
"""

from dataclasses import replace
from decimal import ROUND_UP, Decimal
from enum import Enum

from stopkeeper.core.believe import Held, covers_alone
from stopkeeper.core.case import ADMISSION_MARGIN_MS, LOOK_AGAIN_MS, Case
from stopkeeper.core.evidence import in_order
from stopkeeper.core.ids import FOUND, ClientId, decode, found_id
from stopkeeper.core.model import ZERO, Order, OrderKind, Position, Role, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import FIXED
from stopkeeper.core.record import CloseAsk, Goal, KeyRecord, Origin, Trade
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.core.slices import ordered

FINE = Decimal("1e-12")  # finer than any size step is of a position
BY_POLICY = "emergency_exit"  # what a close by the policy counts for in the ledger
HARSH = (OrphanPolicy.CLOSE, OrphanPolicy.ALERT)  # not for what was in our care before
_SAID = {
    None: "kept as the account's own",
    OrphanPolicy.PROTECT: "protected by the policy",
    OrphanPolicy.CLOSE: "to be closed by the policy",
    OrphanPolicy.ALERT: "left alone by the policy, nothing is placed for it",
}


def best_trigger(c: Case, held: Held) -> Decimal | None:
    """Return the trigger nearest to the price among the stops that cover the position alone."""
    triggers = [o.trigger for o in c.cover.stops if o.trigger is not None and covers_alone(o, held)]
    return (max if held.side is Side.LONG else min)(triggers, default=None)


def covered_at(c: Case, held: Held) -> Decimal | None:
    """Return the trigger at which the position is covered: of stops of ours that only do so in sum, the farthest."""
    best = best_trigger(c, held)
    mine = {o.id for o, k in c.ours if k.role is Role.STOP}
    if best is not None or not any(o.id in mine for o in c.cover.stops):
        return best
    triggers = (o.trigger for o in c.cover.stops if o.trigger is not None)
    return (min if held.side is Side.LONG else max)(triggers, default=None)


class Claim(Enum):
    """Whose a position is by the ids it bears."""

    OURS = "ours"
    KEPT = "kept"  # a stranger's that we gave a stop before
    NONE = "none"


# --- whose it is -----------------------------------------------------------------------------------------------


def kept_by(c: Case, held: Held) -> OrphanPolicy | None:
    """Return the policy by which a position that no trade owns is kept; None = as the account's own."""
    claim, policy = _claim(c, held), c.rules.orphan_policy
    if claim is Claim.OURS:
        return None
    if claim is Claim.KEPT and policy in HARSH:
        return OrphanPolicy.PROTECT
    return None if policy is OrphanPolicy.ADOPT else policy


def _claim(c: Case, held: Held) -> Claim:
    """Return what the ids on its orders and fills say of a position."""
    known = (c.trade.id, c.trade.before) if c.trade else ()
    closing = [
        k.trade
        for o, k in c.ours
        if k.role in (Role.STOP, Role.TARGET) and o.side is held.side.opposite and k.trade not in known
    ]
    if any(not name.startswith(FOUND) for name in closing) or _entered_by_us(c, held):
        return Claim.OURS
    return Claim.KEPT if closing else Claim.NONE


def _entered_by_us(c: Case, held: Held) -> bool:
    """Return whether an entry of ours is among the fills since the position was last nothing or on the other side."""
    if isinstance(c.seen.fills, Unknown):
        return False
    mine = False
    for fill in in_order((f for f in c.seen.fills.value.fills if f.time_ms > c.record.cursor.time_ms), ZERO):
        if fill.start is not None and fill.start * (fill.start + fill.signed) <= 0:
            mine = False
        client = decode(fill.client_id)
        if client and client.installation == c.frame.installation and client.role is Role.ENTRY:
            mine = mine or fill.side is held.side
    return mine


def fold_orphan(trade: Trade, held: Held, c: Case) -> Trade:
    """Keep as the account's own what bears an id of ours after all; ask for the close of what is to be closed.

    That is not before orders and fills were read so late that an id of ours would show: the record may be what is lost.
    """
    if trade.origin is Origin.FOUND and trade.first_stop is None and not c.left_alone:
        trade = replace(trade, first_stop=trade.stop)
    if trade.orphan is None:
        return trade
    claim = _claim(c, held)
    if claim is Claim.OURS:
        policy = c.rules.policy if trade.policy == FIXED else trade.policy
        return replace(trade, orphan=None, policy=policy, close=None if closed_by_policy(trade) else trade.close)
    if claim is Claim.KEPT and trade.orphan in HARSH:
        return replace(trade, orphan=OrphanPolicy.PROTECT)
    if trade.orphan is OrphanPolicy.CLOSE and trade.close is None and _ids_would_show(trade, c):
        return replace(trade, close=CloseAsk(BY_POLICY, c.now))
    return trade


def quiet_after_loss(record: KeyRecord, lag_ms: int) -> KeyRecord:
    """Hold a key as after a send where a record is lost, or a position was found that nobody knew: it may have sent."""
    trade, since = record.trade, [record.since_ms] if record.lost else []
    if trade is not None and trade.origin is Origin.FOUND and not trade.before:
        since.append(_seen_ms(trade))
    return replace(record, quiet_ms=max([record.quiet_ms, *(ms + ADMISSION_MARGIN_MS + lag_ms for ms in since)]))


def taken_over(trade: Trade, order: Order, client: ClientId) -> bool:
    """Return whether a stop or target of a record that is lost closes what was found: it counts for what it was."""
    closes = order.side is trade.side.opposite and client.role in (Role.STOP, Role.TARGET)
    return trade.origin is Origin.FOUND and closes


def closed_by_policy(trade: Trade) -> bool:
    """Return whether it is the policy that closes a position, and no person."""
    asked = trade.close is not None and trade.close.reason == BY_POLICY
    return asked and trade.orphan is OrphanPolicy.CLOSE


def told_from_ms(trade: Trade, lag_ms: int) -> int:
    """Return the venue time from which on a look shows whatever of ours had to do with a found position."""
    return _seen_ms(trade) + lag_ms + 1


def _seen_ms(trade: Trade) -> int:
    return trade.entered_ms or trade.created_ms


def _ids_would_show(trade: Trade, c: Case) -> bool:
    orders, fills, since = c.seen.orders, c.seen.fills, told_from_ms(trade, c.frame.can.lag_ms)
    if isinstance(orders, Unknown) or isinstance(fills, Unknown) or fills.value.since_ms > trade.created_ms:
        return False
    return min(orders.at_ms, fills.at_ms) >= since


def orphan_due_ms(c: Case) -> int | None:
    """Return when a found position is to be looked at again, lest an id of ours shows late; None = it is known."""
    trade = c.trade
    if trade is None or trade.orphan not in HARSH or trade.close is not None:
        return None
    if trade.orphan is OrphanPolicy.ALERT and c.now >= told_from_ms(trade, c.frame.can.lag_ms):
        return None
    return max(told_from_ms(trade, c.frame.can.lag_ms), c.now + 2 * LOOK_AGAIN_MS)


# --- its trade -------------------------------------------------------------------------------------------------


def taken_in(c: Case, held: Held, position: Position, read_ms: int) -> Trade:
    """Return the trade of a position that is held and is no trade's; ``read_ms`` is when it was read so.

    The read may be as late as the venue's views are, so that fills which changed the position since are its own. None
    of them is booked already: so soon after a booking no position is believed.
    """
    trade = found_trade(c, held, read_ms, position.size, position.entry_price)
    return replace(trade, created_ms=read_ms - c.frame.can.lag_ms)


def found_trade(
    c: Case,
    held: Held,
    seen_ms: int,
    opening: Decimal,
    price: Decimal | None,
    side: Side | None = None,
    fee: Decimal = ZERO,
) -> Trade:
    """Return a trade of origin found that begins with ``opening`` at ``price`` and takes over what stands for it.

    ``fee`` was paid for the opening before any fill that will be counted as its own.
    """
    side = side or held.side
    orphan = kept_by(c, held)
    stop = best_trigger(c, held)
    if stop is None and orphan is not OrphanPolicy.ALERT:
        stop = c.orphan_stop(held)
    if side is not held.side:
        stop = None
    goals = _goals(c, held) if orphan is None and side is held.side else ()
    return Trade(
        id=found_id(c.frame.installation, c.record.key, seen_ms),
        origin=Origin.FOUND,
        key=c.record.key,
        side=side,
        created_ms=seen_ms,
        entered_ms=seen_ms,
        opening_size=abs(opening),
        opening_price=price,
        opening_fee=fee,
        held=held.size,
        explained=abs(opening),
        stop=stop,
        first_stop=stop,
        policy=c.rules.policy if orphan is None else FIXED,
        targets=goals,
        entry_filled=held.size if goals else ZERO,
        orphan=orphan,
        before=c.trade.id if c.trade else "",
        sized_ms=c.now if c.trade else 0,  # one answer may name the wrong side: what covers the other waits for more
    )


def _goals(c: Case, held: Held) -> tuple[Goal, ...]:
    """Return the targets of a record that is lost, by the orders that stand for them; none where they are too many."""
    live = [
        o
        for o, k in c.ours
        if k.role is Role.TARGET and o.kind is OrderKind.TARGET_MARKET and o.side is held.side.opposite and not o.fired
    ]
    if any(o.whole or not o.reduce_only for o in live) or sum((o.size for o in live), ZERO) > held.size:
        return ()
    parts = [(o.trigger, (o.size / held.size).quantize(FINE, ROUND_UP)) for o in live]  # up: cut to steps it is o.size
    return ordered([Goal(price, part) for price, part in parts if price is not None], held.side.sign)


def said_of(trade: Trade) -> str:
    """Say in words how a found position is kept."""
    return _SAID[trade.orphan]
