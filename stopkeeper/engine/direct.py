"""Closing by hand when Redis is gone: no store, no lease, no record; look, close, look again."""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal

from stopkeeper.core.ids import ClientId, close_number, decode, encode
from stopkeeper.core.model import Order, Position, Role
from stopkeeper.core.outcomes import WIDENS, Outcome, Rejected, Throttled, Unknown
from stopkeeper.core.rules import Rules
from stopkeeper.engine.ports import Urgency, Venue
from stopkeeper.engine.sending import NOBODY, closing_mark, closing_price, say

DIRECT_TRIES = 12
DIRECT_MS = 10_000  # how late a close or cancel may land


def flatten_direct(
    venue: Venue,
    installation: str,
    symbols: Sequence[str],
    rules: Rules,
    say_: Callable[[str], None],
    pause_s: float = 1.0,
) -> bool:
    """Close all positions on the symbols with neither Redis nor lease: look, close, repeat; True when seen flat.

    Our own entries that rest there are cancelled, after what is held: one that fills later would be a position again.
    Flat is believed only of positions read a lag after it began and after the last cancel: nobody here knows what was
    sent or filled just before.
    """
    widen, none_rests = 0, False
    shown_ms: int | None = None  # from when on a reading shows whatever was filled before
    for n in range(DIRECT_TRIES):
        if n > 1:
            time.sleep(pause_s)  # the first close is looked at at once; then the venue gets time to answer otherwise
        holdings = venue.holdings(Urgency.PROTECTIVE)
        if isinstance(holdings, Unknown):
            say_(f"positions could not be read: {holdings.why}")
            continue
        shown_ms = holdings.at_ms + venue.can.lag_ms if shown_ms is None else shown_ms
        open_ = [p for s, p in holdings.value.positions.items() if not symbols or s in symbols]
        if none_rests and not open_ and holdings.at_ms >= shown_ms:
            say_("flat")  # by positions read after the orders: what filled in between would be among them
            return True
        for position in open_:
            give = rules.flatten_worst[min(widen, len(rules.flatten_worst) - 1)]
            name = encode(ClientId(installation, Role.FLATTEN, close_number(n, "manual_close"), NOBODY))
            outcome = _closed(position, give, name, venue, rules)
            say_(f"{position.symbol}: close {position.size:f} {position.side} within {give:.0%}: {say(outcome)}")
            widen += isinstance(outcome, Rejected) and outcome.reason in WIDENS
        orders, none_rests = venue.orders(Urgency.PROTECTIVE), False
        if isinstance(orders, Unknown):
            say_(f"open orders could not be read: {orders.why}")
            continue
        entries = [o for o in orders.value if (not symbols or o.symbol in symbols) and _is_entry(o, installation)]
        for order in entries:
            say_(f"{order.symbol}: cancel entry {order.id}: {say(_cancelled(order, venue))}")
            shown_ms = venue.now_ms() + venue.can.lag_ms
        none_rests = not entries
    return False


def _closed(position: Position, give: Decimal, name: str, venue: Venue, rules: Rules) -> Outcome:
    market = venue.markets().get(position.symbol)
    if market is None:
        return Throttled("the venue's list of perpetuals could not be read")
    worst = closing_price(position, give, market, closing_mark(give, position, venue, rules))
    permit = venue.permit(Urgency.PROTECTIVE, venue.now_ms() + DIRECT_MS)
    if isinstance(permit, Throttled):
        return permit
    return venue.close(position.symbol, position.side, position.size, worst, name, permit)


def _cancelled(order: Order, venue: Venue) -> Outcome:
    permit = venue.permit(Urgency.PROTECTIVE, venue.now_ms() + DIRECT_MS)
    return permit if isinstance(permit, Throttled) else venue.cancel(order.symbol, order.id, permit)


def _is_entry(order: Order, installation: str) -> bool:
    client = decode(order.client_id)
    return client is not None and client.installation == installation and client.role is Role.ENTRY
