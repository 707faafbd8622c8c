"""What a person or a program may ask of an account: submit, close, move, pause, halt, protect. Each is one short call.

Nothing here acts at the venue: a wish is written down and the key woken; ``drive`` does the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import partial
from hashlib import sha256
from time import monotonic, sleep
from uuid import uuid4

from stopkeeper.core import effects
from stopkeeper.core.actions import ALL_FIELDS, Field, Rest, RestKind
from stopkeeper.core.case import ADMISSION_MARGIN_MS, LOOK_AGAIN_MS, Case, build
from stopkeeper.core.ids import trade_id
from stopkeeper.core.model import Key, Side, Signal
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import BreakEven, Policy, Trail
from stopkeeper.core.record import CloseAsk, KeyRecord, Origin, Trade
from stopkeeper.core.report import Phase, PositionRow
from stopkeeper.core.righting import LIFTED_AT_MOST_MS
from stopkeeper.core.sizing import nearer, on_grid
from stopkeeper.engine.door import limits_of, mark_at_door, market_of, pass_door, room_for_nonces
from stopkeeper.engine.drive import drive
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.observe import cached, look
from stopkeeper.engine.ports import AdmitResult, Ports, Urgency
from stopkeeper.engine.showing import Survey, row_of, rows_of, survey, surveyed
from stopkeeper.engine.sweep import cases, own_keys, sweep
from stopkeeper.engine.typed import Refused
from stopkeeper.engine.words import parse_signal

__all__ = ["Refused", "Submitted", "VenueAway", "parse_signal"]

ATTEMPTS = 4
# no position yet, and one may come of it
ENTRY_PHASES = (Phase.ADMITTED, Phase.ENTERING, Phase.UNPROVEN, Phase.ENTRY_RESTING)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A signal that is on disk: accepted now, or earlier under the same id."""

    signal_id: str
    trade_id: str
    state: str


def submit(signal: Signal, ports: Ports) -> Submitted:
    """Check a signal at the door and put it on disk. Raises Refused, VenueAway, StoreGone."""
    signal = replace(signal, id=signal.id or uuid4().hex)
    trade = _trade_of(signal, ports)
    known = ports.records.signal(trade.id)
    if not known:
        room_for_nonces(ports)
    terms = None if known else pass_door(signal, ports)
    notional = terms.notional if terms else Decimal(0)
    nonces = ports.venue.reserve_nonces(ATTEMPTS) if terms else ()
    limits = ports.rules.limits
    admits_by = limits_of(ports) if terms else limits
    result = ports.records.admit(replace(trade, nonces=nonces), _digest(signal), notional, admits_by)
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
        policy=Policy(
            ports.rules.policy.trail if signal.trail is None else signal.trail,
            ports.rules.policy.breakeven if signal.breakeven is None else signal.breakeven,
        ),
    )


def _digest(signal: Signal) -> str:
    """Tell a repeated signal from another under the same id: all but its expiry, which counts from when it was made."""
    return sha256(repr(asdict(replace(signal, expires_ms=0))).encode()).hexdigest()


# --- wishes about a position -----------------------------------------------------------------------------------


def ask_close(key: Key, ports: Ports, *, reason: str = "manual_close", keep_fraction: Decimal = Decimal(0)) -> None:
    """Ask for a position, or a part of it, to be closed. Raises Refused if nothing is open."""
    market_of(key.symbol, ports)
    taken_in(key, ports)
    ask = CloseAsk(reason, ports.venue.now_ms(), keep_fraction)
    ports.records.request(key, partial(effects.ask_close, ask=ask))
    what = "close all" if keep_fraction == 0 else f"close all but {keep_fraction * 100:f}%"
    ports.journal.write(ports.account, key.symbol, "asked", what)


def taken_in(key: Key, ports: Ports) -> Trade:
    """Return the key's trade; a position no trade owns yet is taken in, so that a wish has a trade to stand on.

    Raises Refused where nothing is open, VenueAway where it could not be taken in.
    """
    trade = ports.records.load(key).trade
    if trade is None:
        if row_of(key, ports) is None:
            raise Refused("symbol", key.symbol, "no position and no trade is open on it", "see stopkeeper positions")
        drive(key, ports)
        trade = ports.records.load(key).trade
    if trade is None:
        raise VenueAway(f"{key} is being driven by another process and has no trade yet: ask again in a moment")
    return trade


def move_stop(key: Key, price: Decimal, ports: Ports, *, loosen: bool = False) -> PositionRow:
    """Move a position's stop. Raises Refused on the wrong side, or where it would be loosened and nobody said so."""
    market = market_of(key.symbol, ports)
    row, side = _driven(key, ports)
    trigger = on_grid(price, market, nearer(side))
    check_side("to", trigger, side, mark_at_door(key.symbol, ports).value)
    if not loosen and row.stop_price is not None and (trigger - row.stop_price) * side.sign < 0:
        reason = f"that would loosen the stop, which stands at {row.stop_price:f}"
        raise Refused("to", f"{price:f}", reason, "a stop only moves towards the price, unless you add --loosen")
    change = partial(effects.move_stop, trigger=trigger, now_ms=ports.venue.now_ms(), loosened=loosen)
    wish(row.trade_id, key, ports, change)
    ports.journal.write(ports.account, key.symbol, "asked", f"stop to {trigger:f}{', loosened' if loosen else ''}")
    return replace(row, stop_price=trigger)


def check_side(field: str, trigger: Decimal, side: Side, mark: Decimal) -> None:
    """Refuse a stop that the price has passed. Raises Refused."""
    if (mark - trigger) * side.sign > 0:
        return
    where = "below" if side.sign > 0 else "above"
    reason = f"the stop of a {side} must be {where} the price {mark:f}"
    raise Refused(field, f"{trigger:f}", reason, f"give a stop {where} it, or close the position")


def lift_stop(key: Key, for_ms: int, ports: Ports) -> PositionRow:
    """Hold a position without a stop for a while, at most a day; 0 = the stop is wanted again. Raises Refused."""
    if for_ms > LIFTED_AT_MOST_MS:
        raise Refused("until", f"{for_ms} ms", "a stop is lifted for a day at most", "give a duration up to 24h")
    row, _ = _driven(key, ports)
    until = ports.venue.now_ms() + for_ms if for_ms else 0
    wish(row.trade_id, key, ports, partial(effects.lift_stop, until_ms=until))
    if for_ms:
        text = f"{key}: a person lifted the stop for {for_ms} ms"
        ports.journal.write(ports.account, key.symbol, "alarm:off", text)
    else:
        ports.journal.write(ports.account, key.symbol, "asked", "the stop is wanted again")
    return replace(row, stop_off_until_ms=until or None)


def set_policy(key: Key, ports: Ports, *, trail: Trail | None, breakeven: BreakEven | None) -> PositionRow:
    """Change how a position's stop moves by itself; None leaves that rule as it is. Raises Refused."""
    row, _ = _driven(key, ports)
    trade = ports.records.load(key).trade
    before = trade.policy if trade else Policy()
    policy = Policy(before.trail if trail is None else trail, before.breakeven if breakeven is None else breakeven)
    wish(row.trade_id, key, ports, partial(effects.set_policy, policy=policy))
    said = f"trail {policy.trail}, break-even {policy.breakeven}"
    ports.journal.write(ports.account, key.symbol, "asked", said)
    return replace(row, trail=str(policy.trail), breakeven=str(policy.breakeven))


def wish(trade: str | None, key: Key, ports: Ports, change: Callable[[KeyRecord], KeyRecord]) -> None:
    """Write a wish down for the trade that it was checked against. Raises Refused where that has left meanwhile."""

    def of_that_trade(record: KeyRecord) -> KeyRecord:
        if record.trade is None or record.trade.id != trade:
            raise Refused("symbol", key.symbol, "the trade on it has just ended", "see stopkeeper positions")
        return change(record)

    ports.records.request(key, of_that_trade)


def _driven(key: Key, ports: Ports) -> tuple[PositionRow, Side]:
    """Return the row of a position that a trade drives, and its side. Raises Refused."""
    row = row_of(key, ports)
    if row is None or row.size is None:
        raise Refused("symbol", key.symbol, "no position is held on it", "see stopkeeper positions")
    trade = _case(key, ports).trade
    if trade is None or trade.side != row.side:
        raise Refused("symbol", key.symbol, "the position is not driven by a trade yet", "try again in a moment")
    return row, trade.side


def _case(key: Key, ports: Ports) -> Case:
    seen, _ = cached(ports, dict.fromkeys(ALL_FIELDS, ports.times.look_fresh_ms))
    return next(build(*case) for case in cases(ports, seen) if case[0].key == key)


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
    ports.journal.write(ports.account, "", "alarm:halt", f"{ports.account} is halted until stopkeeper resume")
    return _wake_all(ports, "halt")


def see_through(keys: Sequence[Key], ports: Ports, seconds: float) -> tuple[Key, ...]:
    """Drive keys from this process until each is flat or the time is up, for when no worker is heard of.

    Returns the keys that are not flat.
    """
    end = monotonic() + seconds
    left = list(keys)
    while left and monotonic() < end:
        for key in tuple(left):
            try:
                rest = drive(key, ports)
            except VenueAway:  # it is told by what is left; the others go on
                continue
            if isinstance(rest, Rest) and rest.kind is RestKind.FLAT:
                left.remove(key)
        sleep(LOOK_AGAIN_MS / 1000)
    return tuple(left)


def _wake_all(ports: Ports, why: str) -> tuple[Key, ...]:
    keys = own_keys(ports)
    for key in keys:
        ports.wakes.wake(key, why)
    return keys


def flatten(ports: Ports) -> tuple[Key, ...]:
    """Ask for every position and entry of the account to be closed, by a look made now; returns the keys asked.

    Raises VenueAway where one could not be asked for or positions could not be read, after all others were asked for.
    """
    seen = look(ports, frozenset({Field.HOLDINGS}), cached(ports, {})[0], Urgency.PROTECTIVE)
    asked, failed = [], []
    if isinstance(seen.holdings, Unknown):
        failed.append(f"positions could not be read: {seen.holdings.why}")
    for row in rows_of(ports, seen):
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


def protect(ports: Ports) -> Survey:
    """Sweep, and drive every key here and now; returns how it stands afterwards."""
    sweep(ports)
    for row in survey(ports).rows:
        drive(Key(row.account, row.symbol), ports)
    return surveyed(ports, look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.PROTECTIVE))
