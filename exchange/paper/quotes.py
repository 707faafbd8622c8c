"""Answers to POST /info that name no account: what is listed, prices, books, bars. Shapes: venue docs
`info-endpoint`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchange.paper.book import levels
from exchange.paper.candles import INTERVAL_MS
from exchange.paper.shown import Shown, Where
from exchange.paper.venue import Venue
from exchange.paper.wire import WireError, number, table, whole

BOOK_ROWS = 20
_USDC = {
    "name": "USDC",
    "szDecimals": 8,
    "weiDecimals": 8,
    "index": 0,
    "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
    "isCanonical": True,
    "evmContract": None,
    "fullName": None,
}
SPOT: dict[str, Any] = {"tokens": [_USDC], "universe": []}


def listed_coin(venue: Venue, value: object) -> str:
    """Read a coin's name. Raise WireError if it is not listed."""
    if not isinstance(value, str) or value not in venue.listing:
        raise WireError(f"coin {value!r}")
    return value


def meta(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    """List the perpetuals in asset order; other dexes have none."""
    universe = [
        {"szDecimals": i.sz_decimals, "name": i.name, "maxLeverage": i.max_leverage, "marginTableId": i.max_leverage}
        for i in venue.listing.values()
    ]
    tables = sorted({i.max_leverage for i in venue.listing.values()})
    margin = [[n, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": n}]}] for n in tables]
    return {"universe": [] if body.get("dex") else universe, "marginTables": margin, "collateralToken": 0}


def context(venue: Venue, coin: str, shown: Shown) -> dict[str, Any]:
    """Return the asset context of a coin, as `metaAndAssetCtxs` and `activeAssetCtx` print it."""
    at = shown.at
    held = (a.positions.get(coin) for a in venue.market.accounts.values())
    interest = sum((abs(p.size) for p in held if p is not None), Decimal(1000))
    return {
        "funding": number(venue.knobs.funding_rate, 10),
        "openInterest": number(interest),
        "prevDayPx": number(venue.day_open[coin]),
        "dayNtlVlm": "100000000.0",
        "premium": "0.0",
        "oraclePx": shown.px(at.mark),
        "markPx": shown.px(at.mark),
        "midPx": shown.px(at.mid),
        "impactPxs": [shown.px(at.bid), shown.px(at.ask)],
        "dayBaseVlm": "1000.0",
    }


def contexts(venue: Venue, body: dict[str, Any], where: Where = "info") -> list[Any]:
    """Return what is listed and the context of each."""
    listed = meta(venue, body)
    shown = venue.shown(where, "metaAndAssetCtxs", [row["name"] for row in listed["universe"]])
    return [listed, [context(venue, coin, seen) for coin, seen in shown.items()]]


def mids(venue: Venue, body: dict[str, Any], where: Where = "info") -> dict[str, str | None]:
    """Return the middle prices by coin."""
    if body.get("dex"):
        return {}
    return {coin: seen.px(seen.at.mid) for coin, seen in venue.shown(where, "allMids", venue.listing).items()}


def book(venue: Venue, body: dict[str, Any], where: Where = "info", key: str = "l2Book") -> dict[str, Any]:
    """Return twenty levels a side, bids first."""
    coin = listed_coin(venue, body.get("coin"))
    shown = venue.shown(where, (key, coin), [coin])[coin]
    item = venue.listing[coin]
    sides: list[list[dict[str, Any]]] = [[], []]
    if shown.at.mark > 0:
        for side, is_buy in enumerate((False, True)):
            found = levels(item, shown.at, venue.knobs, is_buy=is_buy, count=BOOK_ROWS)
            sides[side] = [{"px": shown.px(level.px), "sz": number(level.size), "n": 1} for level in found]
    return {"coin": coin, "time": venue.now_ms(), "levels": sides}


def candles(venue: Venue, body: dict[str, Any]) -> list[Any]:
    """Return bars of a span."""
    wanted = table(body.get("req"))
    if wanted.get("interval") not in INTERVAL_MS:
        msg = "interval"
        raise WireError(msg)
    end = wanted.get("endTime")
    end_ms = whole(end) if end is not None else venue.now_ms()
    coin = listed_coin(venue, wanted.get("coin"))
    return venue.candles.snapshot(coin, wanted["interval"], whole(wanted.get("startTime")), end_ms)
