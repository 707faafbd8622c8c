"""Perform one action: reserve and mint, note it, send it, note what came of it. No rules, only their order."""

from dataclasses import replace
from decimal import Decimal
from typing import assert_never

from stopkeeper.core.actions import (
    Action,
    Book,
    Cancel,
    Enter,
    Flatten,
    Found,
    PlaceStop,
    PlaceTarget,
    Prepare,
    Refuse,
)
from stopkeeper.core.case import entry_id
from stopkeeper.core.effects import announce, conclude
from stopkeeper.core.ids import ClientId, encode
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import ZERO, Position, Role, Side
from stopkeeper.core.outcomes import (
    Accepted,
    Barred,
    EntryOutcome,
    Outcome,
    Reason,
    Rejected,
    Throttled,
    Unknown,
)
from stopkeeper.core.prices import Toward, to_step
from stopkeeper.core.record import Cursor, KeyRecord, Prepared, Trade
from stopkeeper.core.sizing import farther, on_grid
from stopkeeper.engine.ports import EntryIds, Lease, LeaseLost, Permit, Ports, Urgency

FUNDING_PERIOD_MS = 3_600_000  # venues charge funding on full hours; a trade within one pays none
NOBODY = "0" * 12  # the trade part of an id of ours where no trade is
Effect = Prepare | Enter | PlaceStop | PlaceTarget | Cancel | Flatten


def perform(action: Action, record: KeyRecord, lease: Lease, ports: Ports) -> tuple[KeyRecord, Outcome]:
    """Perform an action and return the record as saved with the outcome. Raises LeaseLost, StoreGone."""
    match action:
        case Found(trade, why):
            _journal(ports, record, "found", f"{why}: {trade.side} {trade.opening_size:f}", trade=trade.id)
            return ports.records.save(replace(record, trade=trade), lease), Accepted()
        case Refuse(why, successor):
            _journal(ports, record, "refused", why, trade=record.trade.id if record.trade else "")
            return ports.records.save(replace(record, trade=successor), lease, refused=why), Accepted()
        case Book():
            return _book(action, record, lease, ports)
        case Flatten():
            return _flatten(action, record, lease, ports)
        case Prepare() | Enter() | PlaceStop() | PlaceTarget() | Cancel():
            return _effect(action, None, record, lease, ports)
        case _:
            assert_never(action)


def _effect(
    action: Effect, closing: tuple[Position, Decimal, Decimal] | None, record: KeyRecord, lease: Lease, ports: Ports
) -> tuple[KeyRecord, Outcome]:
    """Send one signed action: budget, nonce and deadline first, then the note, then the send, then the outcome."""
    permit = _permit(action, record, ports)
    if isinstance(permit, Throttled):
        _journal(ports, record, "throttled", f"{type(action).__name__}: {permit.text}")
        return record, permit
    ports.leases.renew(lease, permit.deadline_ms)
    record = ports.records.save(announce(record, action, permit.deadline_ms, permit.nonce, ports.venue.now_ms()), lease)
    if ports.leases.remaining_ms(lease) < ports.times.http_ms + 1_000:
        raise LeaseLost(f"{record.key}: too little of the lease is left to send")
    outcome = _send(action, closing, record, permit, ports)
    now = ports.venue.now_ms()
    record = conclude(record, action, outcome, now, ports.venue.can.lag_ms)
    if isinstance(action, Prepare) and isinstance(outcome, Accepted):
        record, outcome = _read_back(action, record, ports)
    record = ports.records.save(record, lease)
    _tell(action, outcome, record, ports)
    entry = outcome.entry if isinstance(outcome, EntryOutcome) else outcome
    if isinstance(entry, Barred):
        ports.flags.change(ports.account, barred=entry.text)
    return record, entry


def _permit(action: Effect, record: KeyRecord, ports: Ports) -> Permit | Throttled:
    protective = not isinstance(action, Enter | Prepare | PlaceTarget)
    urgency = Urgency.PROTECTIVE if protective else Urgency.ORDINARY
    until = ports.venue.now_ms() + ports.times.lease_ms - 1_000
    nonce = None
    if isinstance(action, Enter) and record.trade:
        nonce = record.trade.nonces[action.attempt]
    return ports.venue.permit(urgency, until, nonce=nonce)


def _send(
    action: Effect,
    closing: tuple[Position, Decimal, Decimal] | None,
    record: KeyRecord,
    permit: Permit,
    ports: Ports,
) -> Outcome | EntryOutcome:
    venue, symbol, trade = ports.venue, record.key.symbol, record.trade
    match action:
        case Prepare():
            return venue.prepare(symbol, action.leverage, action.margin_mode, permit)
        case Enter():
            assert trade is not None
            return venue.enter(symbol, trade.side, action.terms, _entry_ids(action, record, trade, ports), permit)
        case PlaceStop():
            name = _id(Role.STOP, record, ports)
            side = _held_side(action.trigger, action.worst)
            return venue.place_stop(symbol, side, action.size, action.trigger, action.worst, name, permit)
        case PlaceTarget():
            name = _id(Role.TARGET, record, ports)
            side = _held_side(action.trigger, action.worst)
            return venue.place_target(symbol, side, action.size, action.trigger, action.worst, name, permit)
        case Cancel():
            return venue.cancel(symbol, action.order_id, permit)
        case Flatten():
            assert closing is not None
            position, size, worst = closing
            return venue.close(symbol, position.side, size, worst, _id(Role.FLATTEN, record, ports), permit)
        case _:
            assert_never(action)


def _held_side(trigger: Decimal, worst: Decimal) -> Side:
    """A closing order's worst price lies below its trigger for a long, above it for a short."""
    return Side.LONG if worst < trigger else Side.SHORT


def _id(role: Role, record: KeyRecord, ports: Ports) -> str:
    return encode(ClientId(ports.installation, role, record.n, record.trade.id if record.trade else NOBODY))


def _entry_ids(action: Enter, record: KeyRecord, trade: Trade, ports: Ports) -> EntryIds:
    legs = 1 if action.terms.target is None else 2
    stop_n = record.n - legs + 1
    return EntryIds(
        entry=entry_id(trade, action.attempt, ports.installation),
        stop=encode(ClientId(ports.installation, Role.STOP, stop_n, trade.id)),
        target=None if legs == 1 else encode(ClientId(ports.installation, Role.TARGET, record.n, trade.id)),
    )


def _read_back(action: Prepare, record: KeyRecord, ports: Ports) -> tuple[KeyRecord, Outcome]:
    settings = ports.venue.settings(record.key.symbol, Urgency.ORDINARY)
    if isinstance(settings, Unknown):
        return record, settings
    if settings.value.mark:
        ports.prices.put(ports.account, {record.key.symbol: settings.value.mark.value})
    done = settings.value.prepared
    if done is None:  # no such answer here: the venue's ack counts, and audit compares the position's row
        done = Prepared(action.leverage, action.margin_mode, ports.venue.now_ms())
    if (done.leverage, done.margin_mode) != (action.leverage, action.margin_mode):
        return record, Unknown(
            f"asked for {action.leverage}x {action.margin_mode}, read back {done.leverage}x {done.margin_mode}"
        )
    return replace(record, prepared=done), Accepted()


def _flatten(action: Flatten, record: KeyRecord, lease: Lease, ports: Ports) -> tuple[KeyRecord, Outcome]:
    """Close what the venue holds at this moment: read, then send its size."""
    holdings = ports.venue.holdings(Urgency.PROTECTIVE)
    if isinstance(holdings, Unknown):
        return record, holdings
    position = holdings.value.positions.get(record.key.symbol)
    if position is None:
        return record, Rejected(Reason.NO_POSITION, "nothing is held")
    market = ports.venue.markets()[record.key.symbol]
    size = to_step(position.size - action.keep, market.size_step, Toward.DOWN)
    if size <= 0:
        return record, Rejected(Reason.NO_POSITION, "no more than what is to stay is held")
    worst = closing_price(position, action.worst, ports)
    return _effect(action, (position, size, worst), record, lease, ports)


def closing_price(position: Position, give: Decimal, ports: Ports) -> Decimal:
    """Return the worst price a close may fill at: a fraction beyond the mark, on the venue's grid."""
    price = ports.prices.get(ports.account, position.symbol)
    mark = position.mark or (price.value if price else position.entry_price)
    market = ports.venue.markets()[position.symbol]
    return on_grid(mark * (1 - position.side.sign * give), market, farther(position.side))


def _book(action: Book, record: KeyRecord, lease: Lease, ports: Ports) -> tuple[KeyRecord, Outcome]:
    exit_, trade = action.exit, action.trade
    opened, closed = exit_.opened_ms, exit_.closed_ms
    if exit_.complete and opened // FUNDING_PERIOD_MS != closed // FUNDING_PERIOD_MS:
        funding = ports.venue.funding(trade.key.symbol, opened, closed)
        if isinstance(funding, Unknown):
            if ports.venue.now_ms() - closed < ports.rules.incomplete_after_ms:
                return record, funding
            exit_ = replace(exit_, evidence=f"{exit_.evidence}; its funding could not be read and is not in it")
        else:
            exit_ = replace(exit_, funding=funding.value, realized_pnl=exit_.realized_pnl + funding.value)
    line = LedgerLine(trade, exit_, trade.revision + 1, ports.venue.now_ms())
    settling = tuple(t for t in record.settling if t.id != trade.id)
    if not exit_.complete:
        settling = (*settling, replace(trade, revision=trade.revision + 1))[-8:]
    going = record.trade is not None and record.trade.id == trade.id
    used = tuple(f.id for f in action.used)[-32:]
    record = replace(
        record,
        trade=action.successor if going else record.trade,
        settling=settling,
        cursor=Cursor(exit_.closed_ms, used) if going else record.cursor,
    )
    saved = ports.records.save(record, lease, booked=line)
    net = f"{exit_.realized_pnl:+.2f} USD net of {exit_.fees:.2f} fees"
    text = f"{exit_.reason} at {exit_.exit_price}: {net}; {action.why}"
    _journal(ports, record, "booked", text, trade=trade.id, evidence=exit_.evidence)
    return saved, Accepted()


def _tell(action: Effect, outcome: Outcome | EntryOutcome, record: KeyRecord, ports: Ports) -> None:
    trade = record.trade.id if record.trade else ""
    if isinstance(outcome, EntryOutcome):
        legs = [("entry", outcome.entry), ("stop", outcome.stop), ("target", outcome.target)]
        text = "; ".join(f"{name} {say(leg)}" for name, leg in legs if leg is not None)
    else:
        text = say(outcome)
    _journal(ports, record, type(action).__name__, f"{describe(action)} ({action.why}): {text}", trade=trade)


def describe(action: Effect) -> str:
    """Say in words what an action asks for."""
    match action:
        case Prepare():
            return f"set {action.leverage}x {action.margin_mode}"
        case Enter():
            terms = action.terms
            what = f"enter {terms.size:f} up to {terms.worst_price:f} with stop {terms.stop:f}"
            return f"{what}, attempt {action.attempt + 1}"
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


def _journal(ports: Ports, record: KeyRecord, kind: str, text: str, **fields: str) -> None:
    ports.journal.write(ports.account, record.key.symbol, kind, text, **fields)
