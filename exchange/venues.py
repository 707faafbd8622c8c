"""Opens the venue an account names: the one place that knows which venues there are."""

from exchange.account import VenueAccount
from stopkeeper.engine.ports import BudgetSource, NonceSource, TextCache, Times, Venue


class NoSuchVenue(ValueError):
    """The configuration names a venue that cannot be traded."""


def open_venue(
    account: VenueAccount, times: Times, nonces: NonceSource, budget: BudgetSource, cache: TextCache
) -> Venue:
    """Return the account's venue; sends nothing yet. Raises NoSuchVenue."""
    if account.venue == "hyperliquid":
        from exchange.hyperliquid import Hyperliquid

        return Hyperliquid(account, times, nonces, budget, cache)
    if account.venue == "okx":
        raise NoSuchVenue(f"accounts.{account.name}.venue is okx: it is not there yet, only hyperliquid is")
    raise NoSuchVenue(f"accounts.{account.name}.venue is {account.venue!r}: known is hyperliquid")
