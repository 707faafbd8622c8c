"""Which of our client ids are to be looked up, and what they are: what no list shows is told by its own id."""

from collections.abc import Iterable

from stopkeeper.core.case import ADMISSION_MARGIN_MS
from stopkeeper.core.ids import FOUND, ClientId, decode, encode
from stopkeeper.core.model import Order, Role, Seen
from stopkeeper.core.outcomes import Accepted, Unknown
from stopkeeper.core.outstanding import asked_after
from stopkeeper.core.record import KeyRecord, Origin, Placed, Sent, Trade


def entry_id(trade: Trade, attempt: int, installation: str) -> str:
    """Return the client id of an entry attempt: a function of the trade, so it can be looked up before it is sent."""
    return encode(ClientId(installation, Role.ENTRY, attempt, trade.id))


def stop_id(trade: Trade, placed: Placed, installation: str) -> str:
    """Return the client id of an acked stop of a trade."""
    return encode(ClientId(installation, Role.STOP, placed.n, trade.id))


def looked_up(trade: Trade, attempt: int, seen: Seen, installation: str) -> bool:
    """Return whether this observation tells that an entry attempt is not at the venue yet.

    Either its id was looked up, or open orders and fills, complete and read after the trade was made, would name it.
    """
    if not isinstance(seen.lookups.get(entry_id(trade, attempt, installation), Unknown("")), Unknown):
        return True
    if isinstance(seen.orders, Unknown) or isinstance(seen.fills, Unknown):
        return False
    after = trade.created_ms + ADMISSION_MARGIN_MS
    return min(seen.orders.at_ms, seen.fills.at_ms) > after and seen.fills.value.since_ms <= trade.created_ms


def shown(sent: Sent, seen: Seen) -> bool:
    """Return whether an entry that rests is among the live orders; what cannot be read counts as shown."""
    outcome = sent.outcome
    if isinstance(seen.orders, Unknown) or not isinstance(outcome, Accepted):
        return True
    return any(order.id == outcome.order_id for order in seen.orders.value)


def questions(record: KeyRecord, seen: Seen, installation: str, lag_ms: int) -> tuple[str, ...]:
    """Return the client ids to look up: a young stop that is not shown, unproven attempts, the next before its send.

    And an entry that rested and is not shown any more: whether it filled or was cancelled is told by its id. And, once
    flat, stops and targets whose end is not known: one that fired and hangs is shown nowhere else.
    """
    trade = record.trade
    flat = asked_after(record, seen, installation, lag_ms)
    if trade is None:
        return flat
    missing = _missing_stops(trade, seen, installation)
    missing += tuple(name for name in left_out(record, seen, installation) if name not in missing)
    return missing + _attempts(trade, seen, installation) + tuple(name for name in flat if name not in missing)


def history_after_ms(record: KeyRecord, seen: Seen, lag_ms: int) -> int | None:
    """Return the venue time after which the venue's history of orders must be read, or None where nothing hangs on it.

    A new record may follow one that is lost, and a stop that fired and hangs is in no list: what the history names is
    asked after by its id. It is read before a key's first entry; and again, once it shows all that was sent before the
    loss, where it tells of one, and before what was found leaves its key.
    """
    trade, read = record.trade, seen.position
    if trade is None or isinstance(read, Unknown):
        return None
    if trade.origin is Origin.SIGNAL and (trade.sent or not record.lost):
        return None if record.history_ms or trade.sent else 0
    told_ms = unheard_until_ms(record, lag_ms)
    return told_ms if told_ms is not None and read.value is None and read.at_ms > told_ms else None


def unheard_until_ms(record: KeyRecord, lag_ms: int) -> int | None:
    """Return the venue time after which a history shows all that a lost record had sent; None = one was read since."""
    told_ms = record.since_ms + ADMISSION_MARGIN_MS + lag_ms
    return told_ms if record.history_ms <= told_ms else None


def another_trades(trade: Trade, orders: Iterable[Order], installation: str) -> bool:
    """Return whether an order of ours on a trade's key is of a trade that is not on record.

    That position was found while no record could be written, or the record went back to before its signal: what is held
    may look like what is on record, and not be.
    """
    here = ((order, decode(order.client_id)) for order in orders if order.symbol == trade.key.symbol)
    ours = [(order, name) for order, name in here if name is not None and name.installation == installation]
    others = [(order, name) for order, name in ours if name.trade not in (trade.id, trade.before)]
    # what a found trade took over is older than itself
    return any(name.trade.startswith(FOUND) or order.placed_ms >= trade.created_ms for order, name in others)


def _missing_stops(trade: Trade, seen: Seen, installation: str) -> tuple[str, ...]:
    """An acked stop that is not shown may only be late; what became of it is told by its id."""
    if isinstance(seen.orders, Unknown):
        return ()
    shown = {order.id for order in seen.orders.value}
    return tuple(
        stop_id(trade, p, installation) for p in trade.placed if p.role is Role.STOP and p.order_id not in shown
    )


def left_out(record: KeyRecord, seen: Seen, installation: str) -> tuple[str, ...]:
    """Return the id of the newest stop that a list showed once and now, while a position is held, shows not.

    A list may leave it out. Of a stop that no list ever showed its id tells too little: the child of an entry that
    rests, or filled in part, is open by its id and guards nothing (venue docs).
    """
    read = seen.position
    if isinstance(read, Unknown) or read.value is None or isinstance(seen.orders, Unknown):
        return ()
    stood = (o for o in record.outstanding if o.role is Role.STOP and o.listed)
    newest = max(stood, key=lambda o: o.n, default=None)
    if newest is None or any(order.id == newest.order_id for order in seen.orders.value):
        return ()
    return (encode(ClientId(installation, newest.role, newest.n, newest.trade)),)


def _attempts(trade: Trade, seen: Seen, installation: str) -> tuple[str, ...]:
    """Ask of an attempt that is not proved also once the trade has entered, by another: nothing ends before it is."""
    if trade.origin is Origin.FOUND:
        return ()
    if trade.entered_ms is not None:
        ask = [s.attempt for s in trade.sent if s.unproven]
        return tuple(entry_id(trade, attempt, installation) for attempt in ask)
    ask = [s.attempt for s in trade.sent if s.unproven or (s.rests and not shown(s, seen))]
    coming = len(trade.sent)
    if (
        not ask
        and not any(s.rests for s in trade.sent)
        and coming < len(trade.nonces)
        and not looked_up(trade, coming, seen, installation)
    ):
        ask = [coming]
    return tuple(entry_id(trade, attempt, installation) for attempt in ask)
