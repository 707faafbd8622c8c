"""Closing by hand when Redis is gone: no store, no lease, no record; look, close, look again."""

import time
from collections.abc import Callable, Sequence

from stopkeeper.core.ids import ClientId, close_number, encode
from stopkeeper.core.model import Role
from stopkeeper.core.outcomes import WIDENS, Rejected, Throttled, Unknown
from stopkeeper.core.rules import Rules
from stopkeeper.engine.ports import Urgency, Venue
from stopkeeper.engine.sending import NOBODY, closing_mark, closing_price, say

DIRECT_TRIES = 12


def flatten_direct(
    venue: Venue,
    installation: str,
    symbols: Sequence[str],
    rules: Rules,
    say_: Callable[[str], None],
    pause_s: float = 1.0,
) -> bool:
    """Close all positions on the symbols with neither Redis nor lease: look, close, repeat; True when seen flat."""
    widen = 0
    for n in range(DIRECT_TRIES):
        if n > 1:
            time.sleep(pause_s)  # the first close is looked at at once; then the venue gets time to answer otherwise
        holdings = venue.holdings(Urgency.PROTECTIVE)
        if isinstance(holdings, Unknown):
            say_(f"positions could not be read: {holdings.why}")
            continue
        open_ = [p for s, p in holdings.value.positions.items() if not symbols or s in symbols]
        if not open_:
            say_("flat")
            return True
        for position in open_:
            give = rules.flatten_worst[min(widen, len(rules.flatten_worst) - 1)]
            mark = closing_mark(give, position, venue, rules)
            worst = closing_price(position, give, venue.markets()[position.symbol], mark)
            name = encode(ClientId(installation, Role.FLATTEN, close_number(n, "manual_close"), NOBODY))
            permit = venue.permit(Urgency.PROTECTIVE, venue.now_ms() + 10_000)
            if isinstance(permit, Throttled):
                say_(f"{position.symbol}: {permit.text}")
                continue
            outcome = venue.close(position.symbol, position.side, position.size, worst, name, permit)
            say_(f"{position.symbol}: close {position.size:f} {position.side} within {give:.0%}: {say(outcome)}")
            widen += isinstance(outcome, Rejected) and outcome.reason in WIDENS
    return False
