"""Hold what a venue shows against the promise, and name every breach. It decides nothing.

The kinds of breach stand in one table, ``KINDS``, with what each means; docs/operations.md lists them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stopkeeper.core.believe import CoverKind, FaultKind, Flat, Held, fault_of
from stopkeeper.core.case import Case, Frame, build, has_entered
from stopkeeper.core.ids import decode
from stopkeeper.core.inventory import needed
from stopkeeper.core.model import AccountSeen, OrderKind, Position, Role, Seen
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord, Origin, Trade
from stopkeeper.core.report import Phase, phase_of
from stopkeeper.core.sizing import leverage_of
from stopkeeper.core.targets import is_target, wanted_targets

OTHER_LIVE = "other_installation_live"
FOREIGN_LIVE_MS = 120_000  # an order of another installation younger than this means it is running
STOPS = (OrderKind.STOP_MARKET, OrderKind.STOP_LIMIT)

KINDS: Mapping[str, str] = {
    "blind": "positions, open orders, fills or the list of perpetuals could not be read: nothing can be said",
    "naked": "a position has no live stop that would protect it",
    "part_cover": "live stops protect a part of a position only",
    "unsafe": "the liquidation price lies in front of the stop",
    FaultKind.WRONG_SIDE: "a stop would enlarge the position",
    FaultKind.NOT_REDUCE_ONLY: "a stop, target or close of ours, or the stop of a naked position, may open or turn one",
    FaultKind.NOT_MARK_TRIGGERED: "a stop is triggered by another price than the mark",
    FaultKind.WORST_TOO_NEAR: "a stop's worst price is so near its trigger that a jump passes it",
    FaultKind.NOT_MARKET: "a stop becomes a limit order, which may not fill",
    FaultKind.NO_TRIGGER: "a stop names no trigger",
    FaultKind.FIRED: "a stop has fired and has not filled",
    "no_target": "a target of a trade is not live",
    "orphan_position": "a position that no trade owns, or that the policy alert leaves alone",
    "orphan_order": "an order of ours that no trade and no position needs",
    "duplicate_entry": "more than one entry of ours rests on a symbol",
    "other_symbol": "a position on a symbol that is not the account's, or not on the venue's list: nothing guards it",
    "other_side": "the position is on the other side than its trade",
    "no_position": "a trade has entered, nothing is held, and it was not booked",
    "margin_mode": "a trade's margin mode is not as configured",
    "leverage": "a trade's leverage is not as configured",
    "unknown": "whether a position exists cannot be told yet",
    OTHER_LIVE: "another installation is at work on the account",
    "other_installation": "an order of another installation, older than two minutes",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """One way in which the venue does not keep the promise, or cannot be seen to; ``kind`` is one of KINDS."""

    account: str
    symbol: str
    kind: str
    text: str


Found = Iterator[tuple[str, str]]  # kind, text


def breaches(
    account: str, seen: AccountSeen, cases: Iterable[tuple[KeyRecord, Seen, Frame]], symbols: Sequence[str]
) -> tuple[Breach, ...]:
    """Return every breach of an account."""
    found = [
        Breach(account, "", "blind", f"{name} could not be read: {field.why}")
        for name, field in (("positions", seen.holdings), ("open orders", seen.orders), ("fills", seen.fills))
        if isinstance(field, Unknown)
    ]
    built = [build(*triple) for triple in cases]
    kept = {*symbols, *(case.record.key.symbol for case in built if case.trade is not None)}
    listed = {case.record.key.symbol for case in built}
    held = {} if isinstance(seen.holdings, Unknown) else seen.holdings.value.positions
    for symbol, p in held.items():
        if symbol not in kept:
            where = "outside the account's symbols"
        elif symbol not in listed:
            where = "on a symbol the venue's list does not name: nothing can be sent"
        else:
            continue
        found.append(Breach(account, symbol, "other_symbol", f"{p.side} {p.size:f} is held {where}"))
    for case in built:
        found += (Breach(account, case.record.key.symbol, kind, text) for kind, text in _of_key(case))
    return tuple(found)


def _of_key(case: Case) -> Found:
    if isinstance(case.belief, Held):
        yield from _of_cover(case, case.belief)
        yield from _of_stops(case, case.belief)
        yield from _of_trade(case, case.belief)
    elif isinstance(case.belief, Unknown) and not isinstance(case.seen.position, Unknown):
        yield "unknown", case.belief.why
    elif isinstance(case.belief, Flat):
        yield from _of_flat(case)
    yield from _of_orders(case)
    yield from _foreign(case)


def _said(held: Held) -> str:
    return f"{held.side} {held.size:f}"


def _of_cover(case: Case, held: Held) -> Found:
    if not case.orders_known:
        return  # naked or not, nobody can tell: the account is named blind
    what = _said(held)
    if case.whole:
        if phase_of(case) is Phase.UNSAFE:
            yield "unsafe", f"{what}: the liquidation price lies in front of its stop"
        return
    wrong = "; ".join(case.cover.wrong)
    if case.cover.kind is CoverKind.SUM:
        yield "part_cover", f"{what} has cover for {case.cover.size:f} of it{f': {wrong}' if wrong else ''}"
    else:
        yield "naked", f"{what} has no cover: {wrong or 'no stop is live'}"


def _of_stops(case: Case, held: Held) -> Found:
    """What is wrong with stops: with ours always, with a stranger's where the position needs it."""
    mine = {order.id for order, _ in case.ours}
    for order in case.live:
        fault = fault_of(order, held.side, case.rules) if order.kind in STOPS else None
        if fault is not None and (order.id in mine or not case.whole):
            yield fault.kind, f"stop {order.id}: {fault.text}"


def _of_trade(case: Case, held: Held) -> Found:
    trade, what = case.trade, _said(held)
    if trade is None:
        yield "orphan_position", f"{what} has no trade"
        return
    if case.left_alone:
        yield "orphan_position", f"{what} is nobody's, and the policy alert leaves it alone"
    if trade.side is not held.side and case.entered:
        yield "other_side", f"{what} is held, and its trade is {trade.side}"
    if trade.origin is Origin.SIGNAL and held.position is not None and case.entered:
        yield from _of_settings(case, trade, held.position)
    if case.orders_known:
        yield from (("no_target", f"{what}: {missing}") for missing in _missing(case, held))


def _of_settings(case: Case, trade: Trade, position: Position) -> Found:
    asked = case.rules.margin_mode
    leverage = leverage_of(trade.signal, case.rules) if trade.signal else case.rules.leverage
    what = f"{position.side} {position.size:f}"
    if position.margin_mode is not asked:
        yield "margin_mode", f"{what} is {position.margin_mode}, not {asked}"
    if position.leverage != leverage:
        yield "leverage", f"{what} has {position.leverage:f}x, not {leverage}x"


def _of_flat(case: Case) -> Found:
    trade = case.trade
    if trade is None or not has_entered(trade, case.chain):
        return
    since = trade.flat_since_ms or case.chain.closed_ms  # 0 = not closed, as its fills tell
    if case.now - since < 2 * case.rules.incomplete_after_ms:
        return  # it waits for its fills, and is booked as incomplete without them
    yield "no_position", f"trade {trade.id} is on record as {trade.side}, and nothing is held"


def _of_orders(case: Case) -> Found:
    """What our own live orders must not be."""
    for order, client in case.ours:
        trigger = isinstance(case.belief, Held) and order.kind in STOPS
        if client.role is not Role.ENTRY and not (order.reduce_only or order.whole) and not trigger:
            yield FaultKind.NOT_REDUCE_ONLY, f"{client.role} {order.id} of ours is not reduce-only"
    entries = [order.id for order, client in case.ours if client.role is Role.ENTRY]
    if len(entries) > 1:
        yield "duplicate_entry", f"entries rest side by side: {', '.join(entries)}"
    if isinstance(case.belief, Unknown) or (case.trade is not None and not isinstance(case.belief, Held)):
        return  # what may still appear, or is to be booked, is cleared away with it
    for order, client in case.ours:
        named = isinstance(case.belief, Held) and order.kind in STOPS
        if not named and not needed(order, client, case):
            yield "orphan_order", f"{client.role} {order.id} of trade {client.trade} is live and nothing needs it"


def _missing(case: Case, held: Held) -> list[str]:
    """Say which targets of a trade are not live."""
    live = {order.trigger for order in case.live if is_target(order, held)}
    return [
        f"its target of {size:f} at {goal.price:f} is not live"
        for goal, size in wanted_targets(case, held)
        if goal.price not in live
    ]


def _foreign(case: Case) -> Found:
    ours = {order.id for order, _ in case.ours}
    for order in case.live:
        client = decode(order.client_id)
        if client and order.id not in ours:
            kind = OTHER_LIVE if young(order.placed_ms, case.now) else "other_installation"
            yield kind, f"order {order.id} is installation {client.installation}'s"


def young(placed_ms: int, now_ms: int) -> bool:
    """Return whether an order is so young that whoever placed it must be taken to be at work."""
    return now_ms - placed_ms < FOREIGN_LIVE_MS
