"""How the control API reads a body: coins, addresses, accounts, amounts. What is wrong raises PaperError naming it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from exchange.paper.errors import PaperError
from exchange.paper.model import Account
from exchange.paper.venue import Venue
from exchange.paper.wire import WireError, address

_SIDES = {"buy": True, "long": True, "sell": False, "short": False}


async def body_of(request: web.Request, *fields: str) -> dict[str, Any]:
    """Read a JSON object with no other fields than these (any, if none is named)."""
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise PaperError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        msg = "the body must be a JSON object"
        raise PaperError(msg)
    if fields:
        only(body, fields)
    return body


def only(body: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Refuse a field that is not among these."""
    known = list(fields)
    for name in body:
        if name not in known:
            raise PaperError(f"unknown field {name!r}: known are {', '.join(known)}")


def positive(field: str, value: object) -> Decimal:
    """Read a number above 0."""
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found <= 0 or isinstance(value, bool):
        raise PaperError(f"{field} is {value!r}: it must be a number above 0")
    return found


def is_buy(value: object) -> bool:
    """Read a side."""
    if value not in _SIDES:
        raise PaperError(f"side is {value!r}: it must be one of {', '.join(_SIDES)}")
    return _SIDES[str(value)]


def account_address(field: str, value: object) -> str:
    """Read an address, in lower case."""
    try:
        return address(value)
    except WireError as error:
        raise PaperError(f"{field} is {value!r}: it must be 0x and 40 hex digits") from error


def coin_of(venue: Venue, value: object) -> str:
    """Read a listed coin, in whatever case; `BTC/USDC:USDC` is BTC."""
    name = str(value).partition("/")[0]
    if name in venue.listing:
        return name
    matches = [coin for coin in venue.listing if coin.upper() == name.upper()]
    if not matches:
        raise PaperError(f"symbol is {value!r}: listed are {', '.join(venue.listing)}")
    return matches[0]


def account_of(venue: Venue, value: object) -> Account:
    """Read the address of an account that there is."""
    account = venue.market.accounts.get(account_address("account", value))
    if account is None:
        raise PaperError(f"account {value} is unknown: POST /accounts {{address, balance}} makes it")
    return account
