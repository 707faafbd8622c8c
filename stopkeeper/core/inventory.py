"""What of an account no trade owns: positions, orders of ours, of other installations, of strangers. Only a list."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stopkeeper.core.believe import Held
from stopkeeper.core.case import Case, Frame, build
from stopkeeper.core.ids import ClientId, decode
from stopkeeper.core.model import AccountSeen, Order, Seen
from stopkeeper.core.orphans import said_of
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.targets import is_target

Cases = Iterable[tuple[KeyRecord, Seen, Frame]]


class OrphanKind(StrEnum):
    """What an entry of the list is; only the first two are ever acted on by themselves."""

    POSITION = "position"  # nobody's, on a symbol of the account: kept by its policy
    ORDER = "order"  # ours, and no trade's: it is cancelled
    OTHER_INSTALLATION = "other_installation"
    STRANGER_ORDER = "stranger_order"
    STRANGER_POSITION = "stranger_position"  # on a symbol that is not the account's


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that no trade of the account owns, and since when (venue ms), where that is known."""

    account: str
    symbol: str
    kind: OrphanKind
    what: str
    since_ms: int | None


def orphans_of(account: str, seen: AccountSeen, cases: Cases, symbols: Sequence[str]) -> tuple[Orphan, ...]:
    """Return what no trade owns among the keys of an account, then what stands on symbols that are none of its keys."""
    built = [build(*case) for case in cases]
    known = {case.record.key.symbol for case in built}
    found = [orphan for case in built for orphan in _of_key(account, case, symbols)]
    return (*found, *_elsewhere(account, seen, known))


def _of_key(account: str, case: Case, symbols: Sequence[str]) -> Iterator[Orphan]:
    symbol, trade, held = case.record.key.symbol, case.trade, case.belief
    if isinstance(held, Held) and (trade is None or trade.orphan is not None):
        how = "no trade has taken it in yet" if trade is None else said_of(trade)
        kind = OrphanKind.STRANGER_POSITION if trade is None and symbol not in symbols else OrphanKind.POSITION
        what = f"{held.side} {held.size:f}, {how}"
        yield Orphan(account, symbol, kind, what, trade.entered_ms if trade else None)
    ours = {order.id: client for order, client in case.ours}
    for order in case.live:
        client = ours.get(order.id)
        if client is None:
            yield _strangers(account, order)
        elif not needed(order, client, case):
            what = f"{client.role} {order.id} of trade {client.trade}"
            yield Orphan(account, symbol, OrphanKind.ORDER, what, order.placed_ms)


def needed(order: Order, client: ClientId, case: Case) -> bool:
    """Return whether an order of ours is the trade's own, or closes the position as a stop or target should."""
    if case.trade is not None and client.trade == case.trade.id:
        return True
    if not isinstance(case.belief, Held):
        return False
    return order in case.cover.stops or is_target(order, case.belief)


def _elsewhere(account: str, seen: AccountSeen, known: set[str]) -> Iterator[Orphan]:
    if not isinstance(seen.holdings, Unknown):
        for symbol, held in sorted(seen.holdings.value.positions.items()):
            if symbol not in known:
                what = f"{held.side} {held.size:f} from {held.entry_price:f}, not among the account's symbols"
                yield Orphan(account, symbol, OrphanKind.STRANGER_POSITION, what, None)
    if not isinstance(seen.orders, Unknown):
        for order in seen.orders.value:
            if order.symbol not in known:
                yield _strangers(account, order)


def _strangers(account: str, order: Order) -> Orphan:
    client = decode(order.client_id)
    if client is not None:
        what = f"{client.role} {order.id} of installation {client.installation}"
        return Orphan(account, order.symbol, OrphanKind.OTHER_INSTALLATION, what, order.placed_ms)
    at = order.trigger if order.trigger is not None else order.price
    reduces = ", reduce-only" if order.reduce_only or order.whole else ""
    word = "buy" if order.side.sign > 0 else "sell"
    what = f"{order.kind} {order.id}: {word} {order.size:f}{'' if at is None else f' at {at:f}'}{reduces}"
    return Orphan(account, order.symbol, OrphanKind.STRANGER_ORDER, what, order.placed_ms)
