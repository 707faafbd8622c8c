"""What every signed action needs of a venue alone: the right to send, the ids, the send itself, and its words.

No store, no lease, no record is written here: perform.py brings those, guardian.py and direct.py do without.
"""

from decimal import Decimal
from statistics import median
from typing import assert_never

from stopkeeper.core.actions import Action, Book, Cancel, Enter, Flatten, PlaceStop, PlaceTarget, Prepare
from stopkeeper.core.asking import entry_id
from stopkeeper.core.case import agree
from stopkeeper.core.ids import ClientId, close_number, encode
from stopkeeper.core.model import ZERO, Market, Position, Resting, Role, Side
from stopkeeper.core.outcomes import Accepted, Barred, EntryOutcome, Outcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.prices import Price, Toward, to_step
from stopkeeper.core.record import KeyRecord, Trade
from stopkeeper.core.rules import Rules
from stopkeeper.core.sizing import farther, on_grid
from stopkeeper.engine.listing import market_named
from stopkeeper.engine.ports import EntryIds, Permit, Times, Urgency, Venue

NOBODY = "0" * 12  # the trade part of an id of ours where no trade is
Effect = Prepare | Enter | PlaceStop | PlaceTarget | Cancel | Flatten
Closing = tuple[Position, Decimal, Decimal]  # what is held, how much of it goes, the worst price


def permit_for(action: Effect, record: KeyRecord, venue: Venue, times: Times) -> Permit | Throttled:
    """Ask for the right to send an action: its share of the budget, its nonce, its deadline."""
    until = venue.now_ms() + times.lease_ms - 1_000
    nonce = None
    if isinstance(action, Enter) and record.trade:
        nonce = record.trade.nonces[action.attempt]
    return venue.permit(urgency_of(action, record), until, nonce=nonce)


def urgency_of(action: Action, record: KeyRecord) -> Urgency:
    """Return which share of the budget an action draws on, with whatever is read for it."""
    if isinstance(action, Enter | Prepare | PlaceTarget | Book):
        return Urgency.ORDINARY
    trails = isinstance(action, PlaceStop) and action.moved_by == "policy" and record.trade and record.trade.covered
    return Urgency.FOLLOWING if trails else Urgency.PROTECTIVE


def send(
    action: Effect, closing: Closing | None, record: KeyRecord, permit: Permit, venue: Venue, installation: str
) -> Outcome | EntryOutcome:
    """Send an action that was announced on the record; ``closing`` is what a Flatten closes."""
    symbol, trade = record.key.symbol, record.trade

    def name(role: Role, n: int = record.n) -> str:
        return encode(ClientId(installation, role, n, trade.id if trade else NOBODY))

    match action:
        case Prepare():
            return venue.prepare(symbol, action.leverage, action.margin_mode, permit)
        case Enter():
            assert trade is not None
            ids = _entry_ids(action, record.n, trade, installation)
            return venue.enter(symbol, trade.side, action.terms, ids, permit)
        case PlaceStop():
            side = _held_side(action.trigger, action.worst)
            return venue.place_stop(symbol, side, action.size, action.trigger, action.worst, name(Role.STOP), permit)
        case PlaceTarget():
            side = _held_side(action.trigger, action.worst)
            return venue.place_target(
                symbol, side, action.size, action.trigger, action.worst, name(Role.TARGET), permit
            )
        case Cancel():
            return venue.cancel(symbol, action.order_id, permit)
        case Flatten():
            assert closing is not None
            position, size, worst = closing
            told = name(Role.FLATTEN, close_number(record.n, action.reason))
            return venue.close(symbol, position.side, size, worst, told, permit)
        case _:
            assert_never(action)


def _held_side(trigger: Decimal, worst: Decimal) -> Side:
    """A closing order's worst price lies below its trigger for a long, above it for a short."""
    return Side.LONG if worst < trigger else Side.SHORT


def _entry_ids(action: Enter, n: int, trade: Trade, installation: str) -> EntryIds:
    count = len(action.terms.targets)
    stop_n = n - count
    return EntryIds(
        entry=entry_id(trade, action.attempt, installation),
        stop=encode(ClientId(installation, Role.STOP, stop_n, trade.id)),
        targets=tuple(
            encode(ClientId(installation, Role.TARGET, stop_n + index, trade.id)) for index in range(1, count + 1)
        ),
    )


def to_close(action: Flatten, symbol: str, venue: Venue, rules: Rules, other: Price | None = None) -> Closing | Outcome:
    """Read what the venue holds at this moment and return what of it is to be closed, or why nothing is.

    ``other`` is a fresh mark from elsewhere.
    """
    holdings = venue.holdings(Urgency.PROTECTIVE)
    if isinstance(holdings, Unknown):
        return holdings
    position = holdings.value.positions.get(symbol)
    if position is None:
        return Rejected(Reason.NO_POSITION, "nothing is held")
    market = market_named(symbol, venue)
    size = to_step(position.size - action.keep, market.size_step, Toward.DOWN)
    if size <= 0:
        return Rejected(Reason.NO_POSITION, "no more than what is to stay is held")
    mark = closing_mark(action.worst, position, venue, rules, other)
    return position, size, closing_price(position, action.worst, market, mark)


def closing_mark(give: Decimal, position: Position, venue: Venue, rules: Rules, other: Price | None = None) -> Decimal:
    """Return the mark from which a close that gives so much counts its worst price.

    A row may lie, and a close by its mark is refused, or matches nothing, for as long as it does. Where another mark
    contradicts it, or a close was refused already, the venue is asked for its own, and the middle of all counts.
    """
    row, told = position.mark, other.value if other else None
    refused = give > rules.flatten_worst[0]
    if row is not None and not refused and (told is None or agree(row, told, rules.marks_apart)):
        return row
    asked = venue.mark(position.symbol, Urgency.PROTECTIVE)
    others = (told, row) if refused else (row, told)
    known = [mark for mark in (asked.value if asked else None, *others) if mark is not None]
    return median(known) if len(known) > 2 else next(iter(known), position.entry_price)


def closing_price(position: Position, give: Decimal, market: Market, mark: Decimal) -> Decimal:
    """Return the worst price a close may fill at: a fraction beyond the mark, on the venue's grid."""
    return on_grid(mark * (1 - position.side.sign * give), market, farther(position.side))


def told(action: Effect, outcome: Outcome | EntryOutcome) -> str:
    """Say in words what was asked for, why, and what came of it."""
    if isinstance(outcome, EntryOutcome):
        legs = [("entry", outcome.entry), ("stop", outcome.stop), *(("target", leg) for leg in outcome.targets)]
        text = "; ".join(f"{name} {say(leg)}" for name, leg in legs)
    else:
        text = say(outcome)
    return f"{describe(action)} ({action.why}): {text}"


def describe(action: Effect) -> str:
    """Say in words what an action asks for."""
    match action:
        case Prepare():
            return f"set {action.leverage}x {action.margin_mode}"
        case Enter():
            terms = action.terms
            how = "up to" if terms.resting is Resting.NO else f"resting ({terms.resting}) at"
            what = f"enter {terms.size:f} {how} {terms.worst_price:f} with stop {terms.stop:f}"
            aims = "".join(f", target {goal.price:f}" for goal in terms.goals)
            return f"{what}{aims}, attempt {action.attempt + 1}"
        case PlaceStop():
            return f"place stop {action.size:f} at {action.trigger:f}"
        case PlaceTarget():
            return f"place target {action.size:f} at {action.trigger:f}"
        case Cancel():
            return f"cancel {action.role} {action.order_id}"
        case Flatten():
            return f"flatten within {action.worst:.0%}" + (f", keeping {action.keep:f}" if action.keep > ZERO else "")


def say(outcome: Outcome) -> str:
    """Say an outcome in words."""
    match outcome:
        case Accepted():
            filled = f", filled {outcome.filled:f} at {outcome.average}" if outcome.filled else ""
            return f"accepted{f' as {outcome.order_id}' if outcome.order_id else ''}{filled}"
        case Rejected():
            return f"refused as {outcome.reason}: {outcome.text}"
        case Throttled():
            return f"not processed: {outcome.text}"
        case Barred():
            return f"barred: {outcome.text}"
        case Unknown():
            return f"unknown: {outcome.why}"
