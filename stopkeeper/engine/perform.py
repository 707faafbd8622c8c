"""Perform one action: reserve and mint, note it, send it, note what came of it. No rules, only their order."""

from dataclasses import replace
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
from stopkeeper.core.effects import announce, booked, conclude
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.orphans import said_of
from stopkeeper.core.outcomes import Accepted, Barred, EntryOutcome, Outcome, Throttled, Unknown
from stopkeeper.core.record import KeyRecord, Prepared, Trade
from stopkeeper.engine.ports import Lease, LeaseLost, Ports, Urgency
from stopkeeper.engine.sending import Closing, Effect, permit_for, send, to_close, told

FUNDING_PERIOD_MS = 3_600_000  # venues charge funding on full hours; a trade within one pays none
FUNDING_LATE_MS = 10_000  # and an entry of the first seconds, at the close of a bar, may be there when it is charged


def perform(action: Action, record: KeyRecord, lease: Lease, ports: Ports) -> tuple[KeyRecord, Outcome]:
    """Perform an action and return the record as saved with the outcome. Raises LeaseLost, StoreGone."""
    match action:
        case Found(trade, why):
            _found(trade, why, record, ports)
            return ports.records.save(replace(record, trade=trade), lease), Accepted()
        case Refuse(why, successor):
            _journal(ports, record, "refused", why, trade=record.trade.id if record.trade else "")
            if successor is not None:
                _found(successor, f"a position that this signal did not open, {said_of(successor)}", record, ports)
            return ports.records.save(replace(record, trade=successor), lease, refused=why), Accepted()
        case Book():
            return _book(action, record, lease, ports)
        case Flatten():
            return _flatten(action, record, lease, ports)
        case Prepare() | Enter() | PlaceStop() | PlaceTarget() | Cancel():
            return _effect(action, None, record, lease, ports)
        case _:
            assert_never(action)


def _found(trade: Trade, why: str, record: KeyRecord, ports: Ports) -> None:
    _journal(ports, record, "found", f"{why}: {trade.side} {trade.held:f}", trade=trade.id)


def _effect(
    action: Effect, closing: Closing | None, record: KeyRecord, lease: Lease, ports: Ports
) -> tuple[KeyRecord, Outcome]:
    """Send one signed action: budget, nonce and deadline first, then the note, then the send, then the outcome."""
    permit = permit_for(action, record, ports.venue, ports.times)
    if isinstance(permit, Throttled):
        _journal(ports, record, "throttled", f"{type(action).__name__}: {permit.text}")
        return record, permit
    ports.leases.renew(lease, permit.deadline_ms)
    record = ports.records.save(announce(record, action, permit.deadline_ms, permit.nonce, ports.venue.now_ms()), lease)
    if ports.leases.remaining_ms(lease) < ports.times.http_ms + 1_000:
        raise LeaseLost(f"{record.key}: too little of the lease is left to send")
    outcome = send(action, closing, record, permit, ports.venue, ports.installation)
    now = ports.venue.now_ms()
    record = conclude(record, action, outcome, now, ports.venue.can.lag_ms)
    if isinstance(action, Prepare) and isinstance(outcome, Accepted):
        record, outcome = _read_back(action, record, ports)
    try:
        record = ports.records.save(record, lease)
    finally:
        _tell(action, outcome, record, ports)  # also where the lease was lost meanwhile: it was done
    entry = outcome.entry if isinstance(outcome, EntryOutcome) else outcome
    if isinstance(entry, Barred):
        ports.flags.change(ports.account, barred=entry.text)
    return record, entry


def _read_back(action: Prepare, record: KeyRecord, ports: Ports) -> tuple[KeyRecord, Outcome]:
    settings = ports.venue.settings(record.key.symbol, Urgency.ORDINARY)
    if isinstance(settings, Unknown):
        return record, settings
    streamed = ports.prices.get(ports.account, record.key.symbol)
    fresh = streamed is not None and streamed.age_ms <= ports.times.look_fresh_ms
    if settings.value.mark and not fresh:  # one answer must not stand over what the stream says all the time
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
    streamed = ports.prices.get(ports.account, record.key.symbol)
    fresh = streamed if streamed and streamed.age_ms <= ports.times.look_fresh_ms else None
    closing = to_close(action, record.key.symbol, ports.venue, ports.rules, fresh)
    if not isinstance(closing, tuple):
        return record, closing
    return _effect(action, closing, record, lease, ports)


def _book(action: Book, record: KeyRecord, lease: Lease, ports: Ports) -> tuple[KeyRecord, Outcome]:
    exit_, trade = action.exit, action.trade
    opened, closed = exit_.opened_ms, exit_.closed_ms
    if exit_.complete and (opened - FUNDING_LATE_MS) // FUNDING_PERIOD_MS != closed // FUNDING_PERIOD_MS:
        funding = ports.venue.funding(trade.key.symbol, opened, closed)
        if isinstance(funding, Unknown):
            if any(each.id == trade.id for each in record.settling):
                return ports.records.save(_tried(record, trade, ports), lease), funding
            # a position that is held already must not wait for what its predecessor paid
            if action.successor is None and ports.venue.now_ms() - closed < ports.rules.incomplete_after_ms:
                return record, funding
            why = f"{exit_.evidence}; its funding could not be read and is not in it yet"
            exit_ = replace(exit_, evidence=why, complete=False)
        else:
            exit_ = replace(exit_, funding=funding.value, realized_pnl=exit_.realized_pnl + funding.value)
    trade = replace(trade, settle_tried_ms=ports.venue.now_ms())
    line = LedgerLine(trade, exit_, trade.revision + 1, ports.venue.now_ms())
    record = booked(record, replace(action, exit=exit_, trade=trade))
    saved = ports.records.save(record, lease, booked=line)
    net = f"{exit_.realized_pnl:+.2f} USD net of {exit_.fees:.2f} fees"
    text = f"{exit_.reason} at {exit_.exit_price}: {net}; {action.why}"
    _journal(ports, record, "booked", text, trade=trade.id, evidence=exit_.evidence)
    if action.successor is not None:
        why = f"a position is held after the trade has ended, {said_of(action.successor)}"
        _found(action.successor, why, record, ports)
    return saved, Accepted()


def _tried(record: KeyRecord, trade: Trade, ports: Ports) -> KeyRecord:
    """Note that a booking was to be corrected and could not be: it is tried again in a while, not at once."""
    now = ports.venue.now_ms()
    others = (replace(t, settle_tried_ms=now) if t.id == trade.id else t for t in record.settling)
    return replace(record, settling=tuple(others))


def _tell(action: Effect, outcome: Outcome | EntryOutcome, record: KeyRecord, ports: Ports) -> None:
    trade = record.trade.id if record.trade else ""
    moved = (
        {"moved_by": action.moved_by} if isinstance(action, PlaceStop) and record.trade and record.trade.covered else {}
    )
    _journal(ports, record, type(action).__name__, told(action, outcome), trade=trade, **moved)


def _journal(ports: Ports, record: KeyRecord, kind: str, text: str, **fields: str) -> None:
    ports.journal.write(ports.account, record.key.symbol, kind, text, **fields)
