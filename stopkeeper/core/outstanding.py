"""Our stops and targets whose end nothing has told yet: noted before they are sent, asked after once flat, dropped.

A trigger order that fired and found nobody is in no list of open orders, and closes the next position of its key as
soon as it finds somebody. A trade therefore leaves its key, and an entry is sent, only once each of them has ended.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stopkeeper.core.actions import Action, Cancel, Enter, PlaceStop, PlaceTarget
from stopkeeper.core.believe import Flat, believe
from stopkeeper.core.evidence import follow
from stopkeeper.core.ids import ClientId, decode, encode
from stopkeeper.core.model import OVER, Order, OrderState, Role, Seen
from stopkeeper.core.outcomes import REPEATS, Accepted, Outcome, Reason, Rejected, Unknown
from stopkeeper.core.record import KeyRecord, Outstanding

KEPT = 64  # more than a venue's own limits let a key leave behind


def announced(record: KeyRecord, action: Action) -> KeyRecord:
    """Note the stops and targets that are about to be sent: from now on each may live, whatever is answered."""
    match action:
        case Enter():
            roles = [Role.STOP, *(Role.TARGET for _ in action.terms.targets)]
        case PlaceStop():
            roles = [Role.STOP]
        case PlaceTarget():
            roles = [Role.TARGET]
        case _:
            return record
    if record.trade is None:
        return record
    new = (Outstanding(record.trade.id, role, record.n + index) for index, role in enumerate(roles, 1))
    return replace(record, outstanding=(*record.outstanding, *new)[-KEPT:])


def concluded(record: KeyRecord, action: Action, answers: tuple[Outcome, ...]) -> KeyRecord:
    """Drop what was surely not placed or is surely taken away; what was accepted gets its venue id.

    ``answers`` are those to the stops and targets of the action, in the order of their numbers.
    """
    kept = list(record.outstanding)
    if isinstance(action, Cancel):
        kept = _canceled(kept, action.order_id, answers[0])
    elif isinstance(action, (Enter, PlaceStop, PlaceTarget)):
        for n, answer in enumerate(answers, record.n - len(answers) + 1):
            if isinstance(answer, Accepted):
                kept = [replace(o, order_id=answer.order_id) if o.n == n else o for o in kept]
            elif not isinstance(answer, Unknown) and not (isinstance(answer, Rejected) and answer.reason in REPEATS):
                kept = [o for o in kept if o.n != n]
    return record if tuple(kept) == record.outstanding else replace(record, outstanding=tuple(kept))


def _canceled(kept: list[Outstanding], name: str, answer: Outcome) -> list[Outstanding]:
    """Drop what was cancelled; of what is gone under one venue id, its own id is still to tell whether it lives on."""
    if isinstance(answer, Accepted):
        return [o for o in kept if o.order_id != name]
    if isinstance(answer, Rejected) and answer.reason is Reason.GONE:
        return [replace(o, gone=(*o.gone, name)) if o.order_id == name and name not in o.gone else o for o in kept]
    return kept


def folded(record: KeyRecord, seen: Seen, installation: str, now_ms: int) -> KeyRecord:
    """Note the stops and targets of ours that are shown, also of a record that is lost, and drop what has ended.

    What was dropped for its cancel may still be shown for a while: it does not come back. While the entry it was placed
    with is shown, it is as good as placed now: it is there for the position to come.
    """
    by_name = {(o.trade, o.role, o.n): o for o in record.outstanding}
    going = {order for order, _ in record.canceled}
    live: set[tuple[str, Role, int]] = set()
    orders = () if isinstance(seen.orders, Unknown) else seen.orders.value
    for name, order in _closing(orders, installation):
        if name in by_name or order.id not in going:
            by_name[name] = _shown(by_name.get(name) or Outstanding(*name), order.id, now_ms)
            live.add(name)
    entering = _entering(orders, installation)
    by_name = {name: replace(o, seen_ms=now_ms) if o.trade in entering else o for name, o in by_name.items()}
    known = {name: o if name in live else _told(o, seen, installation) for name, o in by_name.items()}
    kept = [o for name, o in known.items() if name in live or not has_ended(o, record, seen, installation)]
    return record if (found := tuple(kept[-KEPT:])) == record.outstanding else replace(record, outstanding=found)


def with_history(record: KeyRecord, seen: Seen, installation: str, now_ms: int) -> KeyRecord:
    """Note what the venue has on record as ours and not as ended: a lost record's may be shown in no list.

    The entry it was placed with may have filled right now, and its position show later. Any order of ours on the symbol
    tells that this record follows one that is lost, for it is read before this one sends its first.
    """
    history = seen.history
    if isinstance(history, Unknown) or history.at_ms <= record.history_ms:
        return record
    by_name = {(o.trade, o.role, o.n): o for o in record.outstanding}
    going = {order for order, _ in record.canceled}
    for name, order in _closing(history.value.unended, installation):
        if order.symbol == record.key.symbol and name not in by_name and order.id not in going:
            by_name[name] = Outstanding(*name, order_id=order.id, seen_ms=now_ms)
    lost = record.lost or record.key.symbol in history.value.symbols
    return replace(record, outstanding=tuple(by_name.values())[-KEPT:], history_ms=history.at_ms, lost=lost)


def _closing(orders: Iterable[Order], installation: str) -> Iterator[tuple[tuple[str, Role, int], Order]]:
    """Yield the stops and targets of ours among orders, each with its name."""
    for order in orders:
        client = decode(order.client_id)
        if client and client.installation == installation and client.role in (Role.STOP, Role.TARGET):
            yield (client.trade, client.role, client.n), order


def _entering(orders: Iterable[Order], installation: str) -> frozenset[str]:
    """Return the trades of which an entry is shown."""
    names = (decode(order.client_id) for order in orders)
    ours = (name for name in names if name is not None and name.installation == installation)
    return frozenset(name.trade for name in ours if name.role is Role.ENTRY)


def _shown(order: Outstanding, order_id: str, now_ms: int) -> Outstanding:
    return replace(order, order_id=order_id, seen_ms=order.seen_ms or now_ms, listed=True)


def _told(order: Outstanding, seen: Seen, installation: str) -> Outstanding:
    """Take over the venue id that a look-up names: an order that fired may have another than it was seen by."""
    answer = seen.lookups.get(encode(client_of(order, installation)), Unknown("not asked"))
    if isinstance(answer, Unknown) or answer.value.order_id is None:
        return order
    return replace(order, order_id=answer.value.order_id)


def client_of(order: Outstanding, installation: str) -> ClientId:
    """Return the client id of a stop or target of ours, decoded."""
    return ClientId(installation, order.role, order.n, order.trade)


def has_ended(order: Outstanding, record: KeyRecord, seen: Seen, installation: str) -> bool:
    """Return whether an observation tells that a stop or target of ours lives no more: by a fill of it, or by its id.

    Both trade at the market only, so that what a fill left of one is gone. Of one that fired and did its work under
    another id a venue may say for good that it has fired: it has ended once no cancel of that very id finds it.
    """
    client = client_of(order, installation)
    fills = () if isinstance(seen.fills, Unknown) else seen.fills.value.fills
    if any(f.order_id == order.order_id or decode(f.client_id) == client for f in fills):
        return True
    answer = seen.lookups.get(encode(client), Unknown("not asked"))
    if isinstance(answer, Unknown):
        return False
    if answer.value.state is None:
        return not record.pending_ms and answer.at_ms > record.quiet_ms  # unknown there, and too late to appear
    if answer.value.state is OrderState.FIRED and answer.value.order_id in order.gone:
        return True
    return answer.value.state in OVER


def hidden(record: KeyRecord, seen: Seen, installation: str) -> tuple[Outstanding, ...]:
    """Return our stops and targets that the open orders do not show, though nothing tells that they have ended."""
    orders = () if isinstance(seen.orders, Unknown) else seen.orders.value
    shown = {decode(order.client_id) for order in orders}
    return tuple(
        o
        for o in record.outstanding
        if client_of(o, installation) not in shown and not has_ended(o, record, seen, installation)
    )


def asked_after(record: KeyRecord, seen: Seen, installation: str, lag_ms: int) -> tuple[str, ...]:
    """Return the client ids of hidden ones to look up: none before the key is flat and its orders could be read."""
    trade = record.trade
    if not record.outstanding or isinstance(seen.orders, Unknown):
        return ()
    if trade is not None and any(s.unproven or s.rests for s in trade.sent):
        return ()
    if not isinstance(believe(record, seen, follow(trade, seen.fills, installation), lag_ms), Flat):
        return ()
    return tuple(encode(client_of(o, installation)) for o in hidden(record, seen, installation))
