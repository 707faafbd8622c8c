"""What the venue lists, for whoever cannot go on without: on a symbol of unknown steps nothing is judged or sent."""

from collections.abc import Mapping

from stopkeeper.core.model import Market
from stopkeeper.engine.ports import Venue


class VenueAway(Exception):
    """The venue did not answer what must be known first: exit code 1."""


def listed(venue: Venue) -> Mapping[str, Market]:
    """Return every perpetual by symbol, delisted ones too. Raises VenueAway where the venue's list was never read."""
    markets = venue.markets()
    if not markets:
        raise VenueAway("the venue's list of perpetuals could not be read")
    return markets


def market_named(symbol: str, venue: Venue) -> Market:
    """Return what a symbol demands of an order. Raises VenueAway where the venue does not name it."""
    markets = listed(venue)
    if symbol not in markets:
        raise VenueAway(f"the venue's list of perpetuals does not name {symbol}")
    return markets[symbol]
