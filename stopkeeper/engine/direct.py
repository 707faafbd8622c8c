"""Closing by hand when Redis is gone: no store, no lease, no record; look, close, look again."""

import time
from collections.abc import Callable, Sequence

from stopkeeper.core.ids import ClientId, close_number, decode, encode
from stopkeeper.core.model import Order, Role
from stopkeeper.core.outcomes import WIDENS, Rejected, Throttled, Unknown
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
    """
    widen = 0
    for n in range(DIRECT_TRIES):
        if n > 1:
            time.sleep(pause_s)  # the first close is looked at at once; then the venue gets time to answer otherwise
        holdings = venue.holdings(Urgency.PROTECTIVE)
        if isinstance(holdings, Unknown):
            say_(f"positions could not be read: {holdings.why}")
            continue
        open_ = [p for s, p in holdings.value.positions.items() if not symbols or s in symbols]
        for position in open_:
            market = venue.markets().get(position.symbol)
            if market is None:
                say_(f"{position.symbol}: the venue's list of perpetuals could not be read, nothing could be sent")
                continue
            give = rules.flatten_worst[min(widen, len(rules.flatten_worst) - 1)]
            mark = closing_mark(give, position, venue, rules)
            worst = closing_price(position, give, market, mark)
            name = encode(ClientId(installation, Role.FLATTEN, close_number(n, "manual_close"), NOBODY))
            permit = venue.permit(Urgency.PROTECTIVE, venue.now_ms() + DIRECT_MS)
            if isinstance(permit, Throttled):
                say_(f"{position.symbol}: {permit.text}")
                continue
            outcome = venue.close(position.symbol, position.side, position.size, worst, name, permit)
            say_(f"{position.symbol}: close {position.size:f} {position.side} within {give:.0%}: {say(outcome)}")
            widen += isinstance(outcome, Rejected) and outcome.reason in WIDENS
        if _no_entry_rests(venue, installation, symbols, say_) and not open_:
            say_("flat")
            return True
    return False


def _no_entry_rests(venue: Venue, installation: str, symbols: Sequence[str], say_: Callable[[str], None]) -> bool:
    """Cancel our entries; True where the orders were read and there was none. Stops stay: they cannot open anything."""
    orders = venue.orders(Urgency.PROTECTIVE)
    if isinstance(orders, Unknown):
        say_(f"open orders could not be read: {orders.why}")
        return False
    entries = [o for o in orders.value if (not symbols or o.symbol in symbols) and _is_entry(o, installation)]
    for order in entries:
        permit = venue.permit(Urgency.PROTECTIVE, venue.now_ms() + DIRECT_MS)
        outcome = permit if isinstance(permit, Throttled) else venue.cancel(order.symbol, order.id, permit)
        say_(f"{order.symbol}: cancel entry {order.id}: {say(outcome)}")
    return not entries


def _is_entry(order: Order, installation: str) -> bool:
    client = decode(order.client_id)
    return client is not None and client.installation == installation and client.role is Role.ENTRY
