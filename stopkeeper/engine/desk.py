"""What a person or a program may ask of an account: submit, close, move, pause, halt, look. Each is one short call.

Nothing here acts at the venue: a wish is written down and the key woken; ``drive`` does the rest.
"""

from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import partial
from hashlib import sha256
from uuid import uuid4

from stopkeeper.core import effects
from stopkeeper.core.actions import ALL_FIELDS, Field
from stopkeeper.core.audit import OTHER_LIVE, Breach, Orphan, breaches, orphans_of
from stopkeeper.core.case import ADMISSION_MARGIN_MS, Case, build
from stopkeeper.core.ids import trade_id
from stopkeeper.core.model import AccountSeen, Funds, Key, Market, Signal
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.prices import Price
from stopkeeper.core.record import CloseAsk, Origin, Terms, Trade
from stopkeeper.core.report import Phase, PositionRow, position_row
from stopkeeper.core.sizing import Refusal, nearer, on_grid, work_out
from stopkeeper.engine.drive import drive
from stopkeeper.engine.observe import cached, look, mark_of
from stopkeeper.engine.ports import AdmitResult, Ports, Urgency
from stopkeeper.engine.sweep import cases, sweep
from stopkeeper.engine.words import Refused, parse_signal

__all__ = ["Refused", "Submitted", "VenueAway", "parse_signal"]

ATTEMPTS = 4
MAX_WAITING = 50  # entries minted and unanswered; Hyperliquid keeps a signer's 100 highest nonces (venue docs)
DAY_MS = 86_400_000
DOOR_AGE_MS = 15_000
ENTRY_PHASES = (Phase.ADMITTED, Phase.ENTERING, Phase.UNPROVEN)  # no position yet, and one may come of it


class VenueAway(Exception):
    """The venue did not answer what must be known first: exit code 1."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A signal that is on disk: accepted now, or earlier under the same id."""

    signal_id: str
    trade_id: str
    state: str


def market_of(symbol: str, ports: Ports) -> Market:
    """Return the market of a symbol, or refuse it."""
    markets = ports.venue.markets()
    if symbol not in markets:
        near = sorted(s for s in markets if s.lower() == symbol.lower()) or sorted(ports.symbols)
        raise Refused("symbol", symbol, "the venue lists no such perpetual", f"try {', '.join(near[:5])}")
    return markets[symbol]


def submit(signal: Signal, ports: Ports) -> Submitted:
    """Check a signal at the door and put it on disk. Raises Refused, VenueAway, StoreGone."""
    signal = replace(signal, id=signal.id or uuid4().hex)
    trade = _trade_of(signal, ports)
    known = ports.records.signal(trade.id)
    if not known:
        _room_for_nonces(ports)
    terms = None if known else _door(signal, ports)
    notional = terms.size * terms.mark if terms else Decimal(0)
    nonces = ports.venue.reserve_nonces(ATTEMPTS) if terms else ()
    result = ports.records.admit(replace(trade, nonces=nonces), _digest(signal), notional, ports.rules.limits)
    limits = ports.rules.limits
    match result:
        case AdmitResult.ADMITTED:
            text = f"signal {signal.id}: {signal.side} {signal.key.symbol} accepted"
            ports.journal.write(ports.account, signal.key.symbol, "admitted", text, trade=trade.id)
            return Submitted(signal.id, trade.id, Phase.ADMITTED)
        case AdmitResult.REPEATED:
            state = ports.records.signal(trade.id)
            return Submitted(signal.id, trade.id, state.state if state else Phase.ADMITTED)
        case AdmitResult.CONFLICT:
            raise Refused("id", signal.id, "another signal was accepted under this id", "use a new id for a new signal")
        case AdmitResult.BUSY:
            hint = "close it first, or wait until it is booked"
            raise Refused("symbol", signal.key.symbol, "a trade is open on this symbol", hint)
        case AdmitResult.TOO_MANY:
            reason = f"{limits.max_open_trades} trades are open, the account's limit"
            raise Refused("account", ports.account, reason, "close one, or raise risk.max_open_trades")
        case AdmitResult.TOO_MUCH:
            reason = f"the open trades and this one are above the account's limit of {limits.max_notional} USD"
            raise Refused("notional", f"{notional:.2f}", reason, "ask for less, or raise risk.max_notional")


def _trade_of(signal: Signal, ports: Ports) -> Trade:
    return Trade(
        id=trade_id(ports.installation, ports.account, signal.id),
        origin=Origin.SIGNAL,
        key=signal.key,
        side=signal.side,
        created_ms=ports.venue.now_ms() - ADMISSION_MARGIN_MS,
        signal=signal,
    )


def _digest(signal: Signal) -> str:
    """Tell a repeated signal from another under the same id: all but its expiry, which counts from when it was made."""
    return sha256(repr(asdict(replace(signal, expires_ms=0))).encode()).hexdigest()


def _door(signal: Signal, ports: Ports) -> Terms:
    switches, symbol = ports.flags.read(ports.account), signal.key.symbol
    if switches.halted or switches.paused:
        word = "halted" if switches.halted else "paused"
        raise Refused("account", ports.account, f"the account is {word}: no new entries", "run stopkeeper resume")
    if switches.barred:
        reason = f"the venue bars the account: {switches.barred}"
        raise Refused("account", ports.account, reason, "mend the key or agent, then run stopkeeper resume")
    market = market_of(symbol, ports)
    if symbol not in ports.symbols:
        reason = "the symbol is not among the account's symbols, so nothing would guard it"
        raise Refused("symbol", symbol, reason, f"add it to accounts.{ports.account}.symbols")
    _daily_loss(ports)
    funds, held = _account(symbol, ports)
    if held:
        reason = "a position is held on this symbol"
        raise Refused("symbol", symbol, reason, "close it first: one trade per symbol and account")
    mark = _mark(symbol, ports)
    terms = work_out(signal, market, mark.value, ports.rules, funds)
    if isinstance(terms, Refusal):
        raise Refused(terms.field, terms.value, terms.reason, terms.hint)
    return terms


def _room_for_nonces(ports: Ports) -> None:
    waiting = sum(1 for r in ports.records.all(ports.account) if r.trade and r.trade.nonces and not r.trade.entered_ms)
    if waiting >= MAX_WAITING:
        hint = "wait until some have entered: a venue forgets old nonces, and theirs would go stale"
        raise Refused("account", ports.account, f"{waiting} signals wait to enter", hint)


def _daily_loss(ports: Ports) -> None:
    limit = ports.rules.limits.max_daily_loss
    if limit is None:
        return
    today = ports.venue.now_ms() // DAY_MS
    lost = -sum(
        (
            line.exit.realized_pnl
            for line in ports.ledger.lines(ports.account)
            if line.exit.closed_ms // DAY_MS == today
        ),
        Decimal(0),
    )
    if lost >= limit:
        reason = f"{lost:.2f} USD were lost today (UTC), the account's limit is {limit:f}"
        raise Refused("account", ports.account, reason, "wait for the next day, or raise risk.max_daily_loss")


def _account(symbol: str, ports: Ports) -> tuple[Funds, bool]:
    """Return the account's money and whether a position is held on a symbol, from a look of the last seconds."""
    ages = {Field.HOLDINGS: DOOR_AGE_MS, Field.ORDERS: DAY_MS, Field.FILLS: DAY_MS}
    seen, stale = cached(ports, ages)
    seen = look(ports, stale & {Field.HOLDINGS}, seen, Urgency.ORDINARY)
    if isinstance(seen.holdings, Unknown):
        raise VenueAway(f"the account could not be read at the venue: {seen.holdings.why}")
    return seen.holdings.value.funds, symbol in seen.holdings.value.positions


def _mark(symbol: str, ports: Ports) -> Price:
    mark = mark_of(symbol, ports, ask=True)
    if mark is None:
        raise VenueAway(f"no mark price of {symbol} is known: the venue named none")
    ports.prices.put(ports.account, {symbol: mark.value})
    return mark


# --- wishes about a position -----------------------------------------------------------------------------------


def ask_close(key: Key, ports: Ports, *, reason: str = "manual_close", keep_fraction: Decimal = Decimal(0)) -> None:
    """Ask for a position, or a part of it, to be closed. Raises Refused if nothing is open."""
    market_of(key.symbol, ports)
    record = ports.records.load(key)
    if record.trade is None:
        if _row(key, ports) is None:
            raise Refused("symbol", key.symbol, "no position and no trade is open on it", "see stopkeeper positions")
        drive(key, ports)  # a position no trade owns yet: take it in, so that the wish has a trade to stand on
        if ports.records.load(key).trade is None:
            raise VenueAway(f"{key} is being driven by another process and has no trade yet: ask again in a moment")
    ask = CloseAsk(reason, ports.venue.now_ms(), keep_fraction)
    ports.records.request(key, partial(effects.ask_close, ask=ask))
    what = "close all" if keep_fraction == 0 else f"close all but {keep_fraction * 100:f}%"
    ports.journal.write(ports.account, key.symbol, "asked", what)


def move_stop(key: Key, price: Decimal, ports: Ports) -> PositionRow:
    """Move a position's stop nearer to the price. Raises Refused on the wrong side, or where it would be loosened."""
    market = market_of(key.symbol, ports)
    row = _row(key, ports)
    if row is None or row.size is None:
        raise Refused("symbol", key.symbol, "no position is held on it", "see stopkeeper positions")
    case = _case(key, ports)
    held_side = case.trade.side if case.trade else None
    if held_side is None or held_side != row.side:
        raise Refused("symbol", key.symbol, "the position is not driven by a trade yet", "try again in a moment")
    trigger, mark = on_grid(price, market, nearer(held_side)), _mark(key.symbol, ports).value
    if (mark - trigger) * held_side.sign <= 0:
        where = "below" if held_side.sign > 0 else "above"
        reason = f"the stop of a {held_side} must be {where} the price {mark:f}"
        raise Refused("to", f"{price:f}", reason, f"give a stop {where} it, or close the position")
    if row.stop_price is not None and (trigger - row.stop_price) * held_side.sign < 0:
        reason = f"that would loosen the stop, which stands at {row.stop_price:f}"
        raise Refused("to", f"{price:f}", reason, "a stop only moves towards the price")
    ports.records.request(key, partial(effects.move_stop, trigger=trigger, now_ms=ports.venue.now_ms()))
    ports.journal.write(ports.account, key.symbol, "asked", f"stop to {trigger:f}")
    return replace(row, stop_price=trigger)


def pause(ports: Ports) -> None:
    """Let no new entry leave; protection goes on."""
    ports.flags.change(ports.account, paused=True)
    ports.journal.write(ports.account, "", "switch", "paused: no new entries, protection goes on")


def resume(ports: Ports) -> None:
    """Take back pause and halt, and forget that the venue barred the account."""
    ports.flags.change(ports.account, paused=False, halted=False, barred="")
    ports.journal.write(ports.account, "", "switch", "resumed")


def halt(ports: Ports) -> tuple[Key, ...]:
    """Record the halt, then wake every key: each cancels its entry, flattens, and looks again by itself."""
    ports.flags.change(ports.account, halted=True)
    ports.journal.write(ports.account, "", "switch", "halted: entries are cancelled, all is closed")
    return _wake_all(ports, "halt")


def _wake_all(ports: Ports, why: str) -> tuple[Key, ...]:
    open_keys = {record.key for record in ports.records.all(ports.account)}
    keys = sorted(open_keys | {Key(ports.account, symbol) for symbol in ports.symbols})
    for key in keys:
        ports.wakes.wake(key, why)
    return tuple(keys)


def flatten(ports: Ports) -> tuple[Key, ...]:
    """Ask for every position and entry of the account to be closed, by a look made now; returns the keys asked.

    Raises VenueAway where one could not be asked for or positions could not be read, after all others were asked for.
    """
    seen = look(ports, frozenset({Field.HOLDINGS}), cached(ports, {})[0], Urgency.PROTECTIVE)
    asked, failed = [], []
    if isinstance(seen.holdings, Unknown):
        failed.append(f"positions could not be read: {seen.holdings.why}")
    for row in _rows(ports, seen):
        if row.size is None and row.phase not in ENTRY_PHASES:
            continue
        key = Key(row.account, row.symbol)
        try:
            ask_close(key, ports)
        except Refused:  # it closed meanwhile
            continue
        except VenueAway as away:
            failed.append(str(away))
            continue
        asked.append(key)
    if failed:
        raise VenueAway("; ".join(failed))
    return tuple(asked)


# --- looking ---------------------------------------------------------------------------------------------------


def positions(ports: Ports) -> tuple[PositionRow, ...]:
    """Return a row for every key with a trade or a position, from a look of the last seconds."""
    seen, stale = cached(ports, dict.fromkeys(ALL_FIELDS, ports.times.look_fresh_ms))
    return _rows(ports, look(ports, stale, seen, Urgency.ORDINARY))


def _rows(ports: Ports, seen: AccountSeen) -> tuple[PositionRow, ...]:
    rows = (position_row(*case) for case in cases(ports, seen))
    return tuple(row for row in rows if row is not None)


def _row(key: Key, ports: Ports) -> PositionRow | None:
    return next((row for row in positions(ports) if row.symbol == key.symbol), None)


def _case(key: Key, ports: Ports) -> Case:
    seen, _ = cached(ports, dict.fromkeys(ALL_FIELDS, ports.times.look_fresh_ms))
    return next(build(*case) for case in cases(ports, seen) if case[0].key == key)


def position(trade: str, ports: Ports) -> PositionRow | None:
    """Return the row of an open trade by its id, or None."""
    return next((row for row in positions(ports) if row.trade_id == trade), None)


def protect(ports: Ports) -> tuple[PositionRow, ...]:
    """Sweep, and drive every key here and now; returns the rows afterwards."""
    sweep(ports)
    held = [Key(row.account, row.symbol) for row in positions(ports)]
    for key in held:
        drive(key, ports)
    return _rows(ports, look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.PROTECTIVE))


def audit(ports: Ports) -> tuple[Breach, ...]:
    """Hold the venue, as it is read now, against the promise; returns every breach."""
    seen = look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.PROTECTIVE)
    return breaches(ports.account, seen, cases(ports, seen), ports.symbols)


def other_installation(ports: Ports) -> str | None:
    """Say which other installation is at work on the account: two would tidy each other's stops away."""
    fields = frozenset({Field.HOLDINGS, Field.ORDERS})
    seen, stale = cached(ports, dict.fromkeys(ALL_FIELDS, DOOR_AGE_MS))
    seen = look(ports, stale & fields, seen, Urgency.ORDINARY)
    alive = (b for b in breaches(ports.account, seen, cases(ports, seen), ports.symbols) if b.kind == OTHER_LIVE)
    found = next(alive, None)
    return None if found is None else f"{found.account} {found.symbol}: {found.text}, placed within two minutes"


def orphans(ports: Ports) -> tuple[Orphan, ...]:
    """Return positions no signal of ours opened, and orders of ours that no trade owns."""
    seen = look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.ORDINARY)
    return orphans_of(cases(ports, seen))
