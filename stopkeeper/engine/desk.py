"""What a person or a program may ask of an account: submit, close, move, pause, halt, look. Each is one short call.

Nothing here acts at the venue: a wish is written down and the key woken; ``drive`` does the rest.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import partial
from hashlib import sha256
from time import monotonic, sleep
from uuid import uuid4

from stopkeeper.core import effects
from stopkeeper.core.actions import ALL_FIELDS, Field, Rest, RestKind
from stopkeeper.core.audit import OTHER_LIVE, Breach, breaches
from stopkeeper.core.case import ADMISSION_MARGIN_MS, LOOK_AGAIN_MS, Case, build
from stopkeeper.core.ids import trade_id
from stopkeeper.core.inventory import Orphan, orphans_of
from stopkeeper.core.model import AccountSeen, Key, Side, Signal
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import BreakEven, Policy, Trail
from stopkeeper.core.record import CloseAsk, Origin, Trade
from stopkeeper.core.report import Phase, PositionRow, position_row
from stopkeeper.core.sizing import nearer, on_grid
from stopkeeper.engine.door import DOOR_AGE_MS, mark_at_door, market_of, pass_door, room_for_nonces
from stopkeeper.engine.drive import drive
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.observe import cached, look
from stopkeeper.engine.ports import AdmitResult, Ports, Urgency
from stopkeeper.engine.sweep import cases, own_keys, sweep
from stopkeeper.engine.typed import Refused
from stopkeeper.engine.words import parse_signal

__all__ = ["Refused", "Submitted", "VenueAway", "parse_signal"]

ATTEMPTS = 4
LIFTED_AT_MOST_MS = 24 * 3_600_000
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
    ports.records.request(key, change)
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
    ports.records.request(key, partial(effects.lift_stop, until_ms=until))
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
    ports.records.request(key, partial(effects.set_policy, policy=policy))
    said = f"trail {policy.trail}, break-even {policy.breakeven}"
    ports.journal.write(ports.account, key.symbol, "asked", said)
    return replace(row, trail=str(policy.trail), breakeven=str(policy.breakeven))


def _driven(key: Key, ports: Ports) -> tuple[PositionRow, Side]:
    """Return the row of a position that a trade drives, and its side. Raises Refused."""
    row = row_of(key, ports)
    if row is None or row.size is None:
        raise Refused("symbol", key.symbol, "no position is held on it", "see stopkeeper positions")
    trade = _case(key, ports).trade
    if trade is None or trade.side != row.side:
        raise Refused("symbol", key.symbol, "the position is not driven by a trade yet", "try again in a moment")
    return row, trade.side


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


@dataclass(frozen=True, slots=True)
class Survey:
    """A row for every key with a trade or a position, and what could not be read for it ("" = all was)."""

    rows: tuple[PositionRow, ...]
    unread: str


def survey(ports: Ports) -> Survey:
    """Return the rows of an account from a look of the last seconds.

    Who watches all the time must not spend the budget that protection needs: it may be a little older, and
    fills more. Orders older than a position cannot tell whether it is naked: where that matters they are read again.
    """
    age_ms = 2 * ports.times.look_fresh_ms
    ages = {Field.HOLDINGS: age_ms, Field.ORDERS: age_ms, Field.FILLS: ports.times.sweep_ms}
    seen, stale = cached(ports, ages)
    found = _surveyed(ports, look(ports, stale, seen, Urgency.ORDINARY))
    if found.unread or not any(untold(row) for row in found.rows):
        return found
    again = _surveyed(ports, look(ports, frozenset({Field.ORDERS}), seen, Urgency.ORDINARY))
    return found if again.unread else again  # what is known already is not lost to a budget that grants no second look


def untold(row: PositionRow) -> bool:
    """Return whether a position is held, and whether stops cover it cannot be told."""
    return row.size is not None and row.phase is Phase.UNPROVEN


def _surveyed(ports: Ports, seen: AccountSeen) -> Survey:
    try:
        return Survey(_rows(ports, seen), _unread(seen))
    except VenueAway as away:
        return Survey((), str(away))


def _unread(seen: AccountSeen) -> str:
    fields = (("positions", seen.holdings), ("open orders", seen.orders))
    return "; ".join(f"{name} could not be read: {field.why}" for name, field in fields if isinstance(field, Unknown))


def positions(ports: Ports) -> tuple[PositionRow, ...]:
    """Return a row for every key with a trade or a position, as far as they could be read."""
    return survey(ports).rows


def _rows(ports: Ports, seen: AccountSeen) -> tuple[PositionRow, ...]:
    rows = (position_row(*case) for case in cases(ports, seen))
    return tuple(row for row in rows if row is not None)


def row_of(key: Key, ports: Ports) -> PositionRow | None:
    """Return the row of a key that holds or trades something, or None. Raises VenueAway where that cannot be told."""
    found = survey(ports)
    row = next((row for row in found.rows if row.symbol == key.symbol), None)
    if row is None and found.unread:
        raise VenueAway(f"{ports.account}: {found.unread}")
    return row


def _case(key: Key, ports: Ports) -> Case:
    seen, _ = cached(ports, dict.fromkeys(ALL_FIELDS, ports.times.look_fresh_ms))
    return next(build(*case) for case in cases(ports, seen) if case[0].key == key)


def position(trade: str, ports: Ports) -> PositionRow | None:
    """Return the row of an open trade by its id, or None."""
    return next((row for row in positions(ports) if row.trade_id == trade), None)


def protect(ports: Ports) -> Survey:
    """Sweep, and drive every key here and now; returns how it stands afterwards."""
    sweep(ports)
    for row in survey(ports).rows:
        drive(Key(row.account, row.symbol), ports)
    return _surveyed(ports, look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.PROTECTIVE))


def audit(ports: Ports) -> tuple[Breach, ...]:
    """Hold the venue, as it is read now, against the promise; returns every breach."""
    seen = look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.PROTECTIVE)
    try:
        return breaches(ports.account, seen, cases(ports, seen), ports.symbols)
    except VenueAway as away:
        return (Breach(ports.account, "", "blind", str(away)),)


def other_installation(ports: Ports) -> str | None:
    """Say which other installation is at work on the account: two would tidy each other's stops away."""
    fields = frozenset({Field.HOLDINGS, Field.ORDERS})
    seen, stale = cached(ports, dict.fromkeys(ALL_FIELDS, DOOR_AGE_MS))
    seen = look(ports, stale & fields, seen, Urgency.ORDINARY)
    try:
        found = next((b for b in breaches(ports.account, seen, cases(ports, seen), ()) if b.kind == OTHER_LIVE), None)
    except VenueAway:
        return None  # as where nothing else could be read: a venue that is away keeps nobody from starting
    return None if found is None else f"{found.account} {found.symbol}: {found.text}, placed within two minutes"


def orphans(ports: Ports) -> tuple[Orphan, ...]:
    """Return all that no trade owns: positions, orders of ours, of other installations, of strangers.

    Raises VenueAway where positions or open orders could not be read: an empty list would say too much.
    """
    seen = look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.ORDINARY)
    for field in (seen.holdings, seen.orders):
        if isinstance(field, Unknown):
            raise VenueAway(f"{ports.account} could not be read: {field.why}")
    return orphans_of(ports.account, seen, cases(ports, seen), ports.symbols)
