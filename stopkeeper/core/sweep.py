"""Compare an account with all its records: which keys would not stay at rest. It performs nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stopkeeper.core.actions import Again, RestKind
from stopkeeper.core.case import Frame, doubtful, owned_by
from stopkeeper.core.decide import decide
from stopkeeper.core.learn import learn
from stopkeeper.core.model import AccountSeen, FillPage, Key, Known, Lookup, Seen
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import OrphanPolicy, Switches


def claimed_symbols(seen: AccountSeen, installation: str, switches: Switches) -> frozenset[str]:
    """Return the symbols on which an order of ours lives: they are looked after, also where none trades them now."""
    orders = () if isinstance(seen.orders, Unknown) else seen.orders.value
    return frozenset(order.symbol for order in orders if owned_by(order, installation, switches))


@dataclass(frozen=True, slots=True)
class Wake:
    """A key to drive, and why."""

    key: Key
    why: str


def project(
    account: AccountSeen,
    symbol: str,
    mark: Price | None = None,
    lookups: Mapping[str, Known[Lookup] | Unknown] | None = None,
) -> Seen:
    """Cut an account's observation to one symbol. Without another mark, the position row's own serves."""
    holdings, orders, fills = account.holdings, account.orders, account.fills
    position = None if isinstance(holdings, Unknown) else holdings.value.positions.get(symbol)
    if position and position.mark:
        mark = Price(position.mark, Source.POSITION, 0)
    return Seen(
        position=holdings if isinstance(holdings, Unknown) else Known(position, holdings.at_ms),
        orders=orders
        if isinstance(orders, Unknown)
        else Known(tuple(o for o in orders.value if o.symbol == symbol), orders.at_ms),
        fills=fills
        if isinstance(fills, Unknown)
        else Known(
            FillPage(fills.value.since_ms, tuple(f for f in fills.value.fills if f.symbol == symbol)), fills.at_ms
        ),
        mark=mark,
        funds=None if isinstance(holdings, Unknown) else holdings.value.funds,
        lookups=lookups or {},
    )


def differences(cases: Iterable[tuple[KeyRecord, Seen, Frame]]) -> tuple[Wake, ...]:
    """Return the keys on which a drive would act, is not at rest, or waits for proof of an entry."""
    wakes = []
    for record, seen, frame in cases:
        plan = decide(learn(record, seen, frame), seen, frame)
        if plan.actions:
            wakes.append(Wake(record.key, f"{plan.concern}: {plan.actions[0].why}"))
        elif isinstance(plan.ends, Again) or (plan.ends and plan.ends.kind is RestKind.UNPROVEN):
            # an unproven entry has a due time of its own, which a store that went back may have forgotten
            if not _told_lately(record, frame):
                wakes.append(Wake(record.key, plan.ends.why))
        elif plan.concern == "rest" and plan.ends and plan.ends.kind is RestKind.FLAT and plan.ends.due_ms:
            wakes.append(Wake(record.key, "an order of ours lives and nothing is held"))
        elif doubtful(record, seen, frame.rules):
            wakes.append(Wake(record.key, "its mark is at a stop or target and must be confirmed"))
    return tuple(wakes)


def _told_lately(record: KeyRecord, frame: Frame) -> bool:
    """Return whether a position that is left alone was looked at, and its alarm told, within the last minute."""
    trade = record.trade
    if trade is None or trade.orphan is not OrphanPolicy.ALERT or trade.naked_since_ms is None:
        return False
    return frame.now_ms < trade.naked_since_ms + frame.rules.lifted_look_ms
