"""What may be concluded from a record and an observation. Flat is a conclusion, not a reading."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from stopkeeper.core.evidence import Chain, side_of
from stopkeeper.core.ids import decode
from stopkeeper.core.model import ZERO, Fill, Order, OrderKind, OrderState, Position, Role, Seen, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord, Origin, Sent, Trade
from stopkeeper.core.rules import Ability, Rules


@dataclass(frozen=True, slots=True)
class Held:
    """A position exists: the venue shows it, or an ack says so and no read is late enough to deny it."""

    side: Side
    size: Decimal
    by: Literal["venue", "ack"]
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Flat:
    """No position exists and none of ours can still appear."""

    why: str


Belief = Held | Flat | Unknown


def believe(record: KeyRecord, seen: Seen, chain: Chain, lag_ms: int) -> Belief:
    """Conclude Held, Flat or Unknown for a key.

    A position that our acks say exists is believed gone only when its fills add up to the close, or on a read whose
    venue time is after everything we sent could still appear (``quiet_ms``). A position that fills say is closed is
    believed only on a read later than they can show.
    """
    trade, read = record.trade, seen.position
    if isinstance(read, Unknown):
        if trade and trade.held > 0 and not chain.closed:
            return Held(trade.side, trade.held, "ack")
        return Unknown(f"the position could not be read: {read.why}")
    closed = chain.closed and chain.whole
    if read.value is not None:
        if closed and not chain.left and read.at_ms <= chain.last_ms + lag_ms:
            return Unknown("the fills say closed and the position was read no later than they can show")
        if (trade is None or _untouched(trade)) and read.at_ms <= record.cursor.time_ms + lag_ms:
            return Unknown("a close was booked a moment ago and the position was read no later than it can show")
        return Held(read.value.side, read.value.size, "venue", read.value)
    if closed and not chain.left:
        return Flat("the trade's own fills add up to the close")
    if closed and read.at_ms <= chain.last_ms + lag_ms:
        return Unknown("the fills tell of a position that was opened after the close and is not shown yet")
    if chain.used and chain.net and read.at_ms <= chain.last_ms + lag_ms:
        return Held(side_of(chain.net), abs(chain.net), "ack")  # its fills say so, and are newer than the read may be
    if read.at_ms > max(record.quiet_ms, record.pending_ms + lag_ms):
        return Flat("nothing is held on a read later than all we sent can appear")
    if trade and trade.held > 0:
        return Held(trade.side, trade.held, "ack")
    whose = "what a lost record sent" if record.lost else "something of ours"
    return Unknown(f"nothing is held as read, but {whose} may still appear")


def _untouched(trade: Trade) -> bool:
    """Return whether nothing was sent for a signal yet, so that no position can be its doing."""
    return trade.origin is Origin.SIGNAL and not trade.sent and trade.entered_ms is None


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry attempt does not exist at the venue and never will."""

    why: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """Whether an entry attempt exists cannot be told yet."""

    why: str


def absence(sent: Sent, client_id: str, seen: Seen, chain: Chain, lag_ms: int) -> Proof | NotYet:
    """Judge whether an unanswered entry is proved absent: by reads later than its deadline + lag that all agree."""
    late = sent.deadline_ms + lag_ms
    found = seen.lookups.get(client_id, Unknown("not looked up"))
    if isinstance(found, Unknown) or found.at_ms <= late:
        return NotYet("it was not looked up late enough")
    if found.value.filled > 0 or found.value.state in (OrderState.LIVE, OrderState.FIRED, OrderState.FILLED):
        return NotYet("the venue knows it")
    position, orders, fills = seen.position, seen.orders, seen.fills
    if (
        isinstance(position, Unknown)
        or isinstance(orders, Unknown)
        or isinstance(fills, Unknown)
        or min(position.at_ms, orders.at_ms, fills.at_ms) <= late
    ):
        return NotYet("positions, orders and fills were not all read late enough")
    if chain.started and not _of_others(chain, client_id):
        return NotYet("it has fills")
    denied = found.value.state in (OrderState.CANCELED, OrderState.REJECTED)
    if not denied and not told_by_fills(position.value, fills.value.fills):
        return NotYet("a position is held that it may have opened")
    return Proof(
        "look-up, fills, orders and position, all read after its deadline and the venue's lag, know nothing of it"
    )


def _of_others(chain: Chain, client_id: str) -> bool:
    """Return whether a trade was entered by other attempts than this one, as the ids of its fills tell."""
    names = [decode(fill.client_id) for fill in chain.used]
    entries = [name for name in names if name is not None and name.role is Role.ENTRY]
    return bool(entries) and decode(client_id) not in entries


def told_by_fills(position: Position | None, fills: Sequence[Fill]) -> bool:
    """Return whether the position read is the one that the newest fill left: then whoever filled them opened it."""
    if position is None:
        return True
    signed, newest = position.size * position.side.sign, max((f.time_ms for f in fills), default=0)
    return any(f.start is not None and f.start + f.signed == signed for f in fills if f.time_ms == newest)


class CoverKind(StrEnum):
    """How much of a position live stops protect."""

    WHOLE = "whole"
    SUM = "sum"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Cover:
    """Whether live stops protect the whole position; ``stops`` passed the read-back, ``wrong`` says what did not."""

    kind: CoverKind
    size: Decimal
    stops: tuple[Order, ...]
    wrong: tuple[str, ...] = ()


class FaultKind(StrEnum):
    """What may be wrong with a stop."""

    NOT_MARKET = "not_market"
    WRONG_SIDE = "wrong_side"
    NOT_REDUCE_ONLY = "not_reduce_only"
    FIRED = "fired"
    NOT_MARK_TRIGGERED = "not_mark_triggered"
    NO_TRIGGER = "no_trigger"
    WORST_TOO_NEAR = "worst_too_near"


@dataclass(frozen=True, slots=True)
class StopFault:
    """What keeps a live order from being a protective stop, and the same in words."""

    kind: FaultKind
    text: str


def fault_of(order: Order, held: Side, rules: Rules) -> StopFault | None:
    """Say what keeps a live order from being a protective stop, or None: the read-back."""
    if order.kind is not OrderKind.STOP_MARKET:
        return StopFault(FaultKind.NOT_MARKET, f"it is a {order.kind}")
    if order.side is held:
        return StopFault(FaultKind.WRONG_SIDE, "it is on the wrong side")
    if not order.reduce_only and not order.whole:
        return StopFault(FaultKind.NOT_REDUCE_ONLY, "it is not reduce-only")
    if order.fired:
        return StopFault(FaultKind.FIRED, "it has fired")
    if not order.mark_triggered:
        return StopFault(FaultKind.NOT_MARK_TRIGGERED, "it is not triggered by the mark price")
    if order.trigger is None:
        return StopFault(FaultKind.NO_TRIGGER, "it has no trigger")
    if order.price is not None:
        room = (order.trigger - order.price) * held.sign
        if room < order.trigger * rules.stop_worst / 2:
            text = f"its worst price {order.price} is too near its trigger {order.trigger}"
            return StopFault(FaultKind.WORST_TOO_NEAR, text)
    return None


def cover(held: Held, orders: Iterable[Order], rules: Rules, can: Ability) -> Cover:
    """Judge the live stops of a position, whoever placed them, by what the venue makes of their sizes."""
    stops: list[Order] = []
    wrong: list[str] = []
    for order in orders:
        if order.kind not in (OrderKind.STOP_MARKET, OrderKind.STOP_LIMIT):
            continue
        fault = fault_of(order, held.side, rules)
        if fault is None:
            stops.append(order)
        else:
            wrong.append(f"stop {order.id}: {fault.text}")
    size = sum((held.size if order.whole else order.size for order in stops), ZERO)
    enough = size >= held.size if can.oversize_covers else size == held.size or any(o.whole for o in stops)
    kind = CoverKind.WHOLE if enough and stops else CoverKind.SUM if stops else CoverKind.NONE
    return Cover(kind, size, tuple(stops), tuple(wrong))


def covers_alone(order: Order, held: Held) -> bool:
    """Return whether one stop that passed the read-back protects the whole position by itself."""
    return order.whole or order.size >= held.size
