"""Hold what a venue shows against the promise, and name every breach. It decides nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stopkeeper.core.believe import Held
from stopkeeper.core.case import Case, Frame, build
from stopkeeper.core.ids import decode
from stopkeeper.core.model import AccountSeen, Seen
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord, Origin
from stopkeeper.core.report import Phase, phase_of
from stopkeeper.core.targets import is_target, wanted_targets

OTHER_LIVE = "other_installation_live"
FOREIGN_LIVE_MS = 120_000  # an order of another installation younger than this means it is running


@dataclass(frozen=True, slots=True)
class Breach:
    """One way in which the venue does not keep the promise, or cannot be seen to."""

    account: str
    symbol: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A position no signal of ours opened, or an order of ours that no trade owns."""

    account: str
    symbol: str
    kind: str
    what: str
    since_ms: int | None


def breaches(
    account: str, seen: AccountSeen, cases: Iterable[tuple[KeyRecord, Seen, Frame]], symbols: Sequence[str]
) -> tuple[Breach, ...]:
    """Return every breach of an account."""
    found = [
        Breach(account, "", "blind", f"{name} could not be read: {field.why}")
        for name, field in (("positions", seen.holdings), ("open orders", seen.orders), ("fills", seen.fills))
        if isinstance(field, Unknown)
    ]
    if not isinstance(seen.holdings, Unknown):
        found += [
            Breach(account, symbol, "not_covered", f"{p.side} {p.size:f} is held outside the account's symbols")
            for symbol, p in seen.holdings.value.positions.items()
            if symbol not in symbols
        ]
    for triple in cases:
        found += _of_key(account, build(*triple))
    return tuple(found)


def _of_key(account: str, case: Case) -> list[Breach]:
    symbol, found = case.record.key.symbol, []
    if isinstance(case.belief, Held):
        what = f"{case.belief.side} {case.belief.size:f}"
        if not case.orders_known:
            pass  # naked or not, nobody can tell: the account is named blind
        elif not case.whole:
            wrong = "; ".join(case.cover.wrong) or "no stop is live"
            found.append(Breach(account, symbol, "naked", f"{what} has cover for {case.cover.size:f} of it: {wrong}"))
        elif phase_of(case) is Phase.UNSAFE:
            found.append(Breach(account, symbol, "unsafe", f"{what}: the liquidation price lies in front of its stop"))
        position, asked = case.belief.position, case.rules.margin_mode
        entered = case.trade is not None and case.trade.origin is Origin.SIGNAL
        if entered and position is not None and position.margin_mode is not asked:
            found.append(Breach(account, symbol, "margin_mode", f"{what} is {position.margin_mode}, not {asked}"))
        if case.trade is None:
            found.append(Breach(account, symbol, "unowned", f"{what} has no trade"))
        else:
            found += [
                Breach(account, symbol, "no_target", f"{what}: {missing}") for missing in _missing(case, case.belief)
            ]
    elif isinstance(case.belief, Unknown) and not isinstance(case.seen.position, Unknown):
        found.append(Breach(account, symbol, "unknown", case.belief.why))
    elif case.ours and case.trade is None:
        orders = ", ".join(f"{client.role} {order.id}" for order, client in case.ours)
        found.append(Breach(account, symbol, "litter", f"flat, and orders of ours are live: {orders}"))
    return found + _foreign(account, case)


def _missing(case: Case, held: Held) -> list[str]:
    """Say which targets of a trade are not live."""
    live = {order.trigger for order in case.live if is_target(order, held)}
    return [
        f"its target of {size:f} at {goal.price:f} is not live"
        for goal, size in wanted_targets(case, held)
        if goal.price not in live
    ]


def _foreign(account: str, case: Case) -> list[Breach]:
    found = []
    for order in case.live:
        client = decode(order.client_id)
        if client and client.installation != case.frame.installation:
            alive = case.now - order.placed_ms < FOREIGN_LIVE_MS
            kind = OTHER_LIVE if alive else "other_installation"
            text = f"order {order.id} is installation {client.installation}'s"
            found.append(Breach(account, case.record.key.symbol, kind, text))
    return found


def orphans_of(cases: Iterable[tuple[KeyRecord, Seen, Frame]]) -> tuple[Orphan, ...]:
    """Return the orphans among the keys of an account."""
    found: list[Orphan] = []
    for triple in cases:
        case = build(*triple)
        key, trade = case.record.key, case.trade
        if isinstance(case.belief, Held) and (trade is None or trade.origin is Origin.FOUND):
            what = f"{case.belief.side} {case.belief.size:f}"
            found.append(Orphan(key.account, key.symbol, "position", what, trade.created_ms if trade else None))
        for order, client in case.ours:
            if trade is None or client.trade != trade.id:
                what = f"{client.role} {order.id} of trade {client.trade}"
                found.append(Orphan(key.account, key.symbol, "order", what, order.placed_ms))
    return tuple(found)
