"""What people are shown: rows derived from records, observations and the ledger; nothing here decides anything."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from stopkeeper.core.believe import Flat, Held
from stopkeeper.core.case import Case, Frame, build
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Role, Seen, Side
from stopkeeper.core.orphans import best_trigger, kept_by
from stopkeeper.core.outcomes import Accepted, Rejected, Throttled, Unknown
from stopkeeper.core.record import Goal, KeyRecord, Origin, StopSeen
from stopkeeper.core.targets import wanted_targets
from stopkeeper.core.trailing import of_the_last_hour


class Phase(StrEnum):
    """Where a trade stands, in one word."""

    ADMITTED = "admitted"
    ENTERING = "entering"
    UNPROVEN = "unproven"
    ENTRY_RESTING = "entry_resting"
    PROTECTED = "protected"
    UNSAFE = "unsafe"
    NAKED = "naked"
    CLOSING = "closing"
    SETTLING = "settling"
    CLOSED = "closed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A row of ``positions`` and the answer of ``open --wait``."""

    trade_id: str
    account: str
    symbol: str
    side: str
    phase: Phase
    size: Decimal | None
    entry_price: Decimal | None
    stop_price: Decimal | None
    stop_order_id: str | None
    stop_verified_at_ms: int | None
    target_price: Decimal | None
    naked_ms: int
    unrealized_pnl: Decimal | None
    targets: tuple[Goal, ...] = ()
    trail: str = "off"
    breakeven: str = "off"
    stop_moves_last_hour: int = 0
    stop_off_until_ms: int | None = None
    limit_price: Decimal | None = None
    why: str = ""
    orphan: str | None = None


@dataclass(frozen=True, slots=True)
class TradeRow:
    """A row of ``trades``: a booked exit."""

    trade_id: str
    account: str
    symbol: str
    side: str
    phase: Phase
    size: Decimal
    entry_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    naked_ms: int
    exit_price: Decimal | None
    exit_reason: str
    exit_evidence: str
    realized_pnl: Decimal
    fees: Decimal
    opened_at_ms: int
    closed_at_ms: int
    revision: int
    complete: bool


def trade_row(line: LedgerLine) -> TradeRow:
    """Return the row of a ledger line."""
    trade, done = line.trade, line.exit
    return TradeRow(
        trade_id=trade.id,
        account=trade.key.account,
        symbol=trade.key.symbol,
        side=trade.side,
        phase=Phase.CLOSED if done.complete else Phase.SETTLING,
        size=done.size,
        entry_price=done.entry_price,
        stop_price=trade.stop,
        target_price=next((goal.price for goal in trade.targets), None),
        naked_ms=trade.naked_ms,
        exit_price=done.exit_price,
        exit_reason=done.reason,
        exit_evidence=done.evidence,
        realized_pnl=done.realized_pnl,
        fees=done.fees,
        opened_at_ms=done.opened_ms,
        closed_at_ms=done.closed_ms,
        revision=line.revision,
        complete=done.complete,
    )


def phase_of(case: Case) -> Phase:
    """Name the phase of a case that has a trade or a position."""
    trade = case.trade
    if isinstance(case.belief, Held):
        if not case.whole and _shown_before(case) is None:
            return _without_cover(case)
        if trade and trade.close:
            return Phase.CLOSING
        return Phase.UNSAFE if _unsafe(case, case.belief) else Phase.PROTECTED
    if trade is None:
        return Phase.CLOSED
    if case.entered:
        return Phase.SETTLING if isinstance(case.belief, Flat) else Phase.UNPROVEN
    last = trade.sent[-1] if trade.sent else None
    if last is None:
        return Phase.ADMITTED
    if last.rests:
        return Phase.ENTRY_RESTING
    if isinstance(last.outcome, Rejected | Throttled) or last.absent:
        return Phase.ENTERING
    return Phase.ENTERING if isinstance(last.outcome, Accepted) else Phase.UNPROVEN


def _without_cover(case: Case) -> Phase:
    if case.lifted or case.left_alone:
        return Phase.NAKED  # known without a look: a person or the policy wants it so
    position, orders = case.seen.position, case.seen.orders
    if isinstance(orders, Unknown) or (not isinstance(position, Unknown) and orders.at_ms < position.at_ms):
        return Phase.UNPROVEN  # the orders were read before the position: they cannot tell of its stop
    return Phase.ENTERING if case.unseen(Role.STOP) is not None else Phase.NAKED


def _shown_before(case: Case) -> StopSeen | None:
    """Return the stop a drive saw live that this look, made before our last ack could show, cannot know of."""
    trade, orders = case.trade, case.seen.orders
    if trade is None or not trade.covered or isinstance(orders, Unknown):
        return None
    if isinstance(case.belief, Held) and case.belief.side is not trade.side:
        return None  # flipped: whatever stood protects nothing now
    return trade.stop_seen if orders.at_ms <= case.record.quiet_ms else None


def _unsafe(case: Case, held: Held) -> bool:
    best, position = best_trigger(case, held), held.position
    if best is None or position is None or position.liquidation_price is None:
        return False
    return (best - position.liquidation_price) * held.side.sign <= 0


def position_row(record: KeyRecord, seen: Seen, frame: Frame) -> PositionRow | None:
    """Return the row of a key that has a trade or a position, or None."""
    case = build(record, seen, frame)
    trade, belief = case.trade, case.belief
    if trade is None and not isinstance(belief, Held):
        return None
    held = belief if isinstance(belief, Held) else None
    side = held.side if held else trade.side if trade else Side.LONG
    best = best_trigger(case, held) if held else None
    stop = next((o for o in case.cover.stops if o.trigger == best), None) if best is not None else None
    position = held.position if held else None
    naked = 0
    if trade:
        naked = trade.naked_ms + (case.now - trade.naked_since_ms if trade.naked_since_ms is not None else 0)
    shown = _shown_before(case) if held and not case.whole else None
    verified = shown.at_ms if shown else None
    if stop is not None and not isinstance(seen.orders, Unknown):
        verified = max(seen.orders.at_ms, stop.placed_ms)
    targets = _targets(case, held)
    if best is None:
        best = shown.trigger if shown else trade.stop if trade else None
    return PositionRow(
        trade_id=trade.id if trade else "",
        account=record.key.account,
        symbol=record.key.symbol,
        side=side,
        phase=phase_of(case),
        size=held.size if held else None,
        entry_price=position.entry_price if position else _ack_price(case),
        stop_price=best,
        stop_order_id=stop.id if stop else shown.order_id if shown else None,
        stop_verified_at_ms=verified,
        target_price=next((goal.price for goal in targets), None),
        naked_ms=naked,
        unrealized_pnl=_unrealized(case, held),
        targets=targets,
        trail=str(trade.policy.trail) if trade else "off",
        breakeven=str(trade.policy.breakeven) if trade else "off",
        stop_moves_last_hour=len(of_the_last_hour(trade.moves_ms, case.now)) if trade else 0,
        stop_off_until_ms=trade.off_until_ms if trade and case.lifted else None,
        limit_price=next((s.terms.worst_price for s in trade.sent if s.rests), None) if trade and not held else None,
        orphan=_orphan(case, held),
    )


def _orphan(case: Case, held: Held | None) -> str | None:
    """Return the policy a position is kept by that is nobody's; None = it is the account's own."""
    if case.trade is not None:
        return case.trade.orphan
    return kept_by(case, held) if held else None


def _targets(case: Case, held: Held | None) -> tuple[Goal, ...]:
    """Return the targets that are still to be taken."""
    if case.trade is None:
        return ()
    return case.trade.targets if held is None else tuple(goal for goal, _ in wanted_targets(case, held))


def _ack_price(case: Case) -> Decimal | None:
    trade = case.trade
    assert trade is not None  # without one only a position that is shown makes a row
    if trade.origin is Origin.FOUND:
        return trade.opening_price
    return next((s.outcome.average for s in reversed(trade.sent) if isinstance(s.outcome, Accepted)), None)


def _unrealized(case: Case, held: Held | None) -> Decimal | None:
    if held is None:
        return None
    position, mark = held.position, case.seen.mark
    if position and mark and position.entry_price:
        return (mark.value - position.entry_price) * held.size * held.side.sign
    return position.unrealized_pnl if position else None
