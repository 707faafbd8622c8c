"""What each websocket subscription is answered with: its key, its first message, its messages per change and per tick.

Shapes: venue docs `websocket/subscriptions`, read against ccxt.pro 4.5.90 and hyperliquid-python-sdk 0.24.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange.paper import info, quotes
from exchange.paper.candles import INTERVAL_MS
from exchange.paper.model import AccountEvent, Event, Fill, FillEvent, OrderEvent
from exchange.paper.topics import BY_COIN, BY_USER, STATES
from exchange.paper.venue import Venue
from exchange.paper.wire import WireError, address, clearinghouse, fill_row, number, update

Subscription = Mapping[str, Any]
Message = dict[str, Any]


def key(venue: Venue, raw: Any) -> tuple[str, ...]:
    """Return what makes a subscription the same as another. Raise WireError if it is not of the venue's form."""
    if not isinstance(raw, dict):
        msg = "subscription"
        raise WireError(msg)
    kind = raw.get("type")
    if kind == "allMids":
        return ("allMids", str(raw.get("dex") or ""))
    if kind in BY_COIN or kind == "activeAssetData":
        if raw.get("coin") not in venue.listing or (kind == "candle" and raw.get("interval") not in INTERVAL_MS):
            msg = "coin or interval"
            raise WireError(msg)
        user = address(raw.get("user")) if kind == "activeAssetData" else str(raw.get("interval") or "")
        return (kind, raw["coin"], user)
    if kind in BY_USER:
        return (kind, address(raw.get("user")))
    raise WireError(f"type {kind!r}")


def _message(channel: str, data: Any) -> Message:
    return {"channel": channel, "data": data}


def first(venue: Venue, sub: tuple[str, ...]) -> list[Message]:
    """Return the messages that follow a subscription at once: the present state, or a snapshot of what was."""
    kind = sub[0]
    if kind == "userFills":
        rows = info.fills(venue, {"user": sub[1]})
        return [_message(kind, {"isSnapshot": True, "user": sub[1], "fills": rows})]
    if kind in ("userFundings", "userNonFundingLedgerUpdates"):
        name = "fundings" if kind == "userFundings" else "nonFundingLedgerUpdates"
        return [_message(kind, {"isSnapshot": True, "user": sub[1], name: []})]
    if kind in STATES:
        return state(venue, sub)
    if kind == "spotState":
        empty = {"balances": [{"coin": "USDC", "token": 0, "total": "0.0", "hold": "0.0", "entryNtl": "0.0"}]}
        return [_message(kind, {"user": sub[1], "spotState": empty})]
    return price(venue, sub, None) if kind == "allMids" or kind in BY_COIN else []


def state(venue: Venue, sub: tuple[str, ...]) -> list[Message]:
    """Return the state a channel shows, as late as its reads are."""
    kind = sub[0]
    if kind == "activeAssetData":
        return [_message(kind, info.asset_data(venue, {"user": sub[2], "coin": sub[1]}, "stream"))]
    body = {"user": sub[1]}
    if kind == "clearinghouseState":
        return [_message(kind, {"dex": "", "user": sub[1], "clearinghouseState": info.state(venue, body)})]
    if kind == "openOrders":
        return [_message(kind, {"dex": "", "user": sub[1], "orders": info.open_full(venue, body)})]
    if kind == "webData2":
        return [_message(kind, info.web_data(venue, body, "stream"))]
    account = venue.seen(sub[1])
    dex = {"totalVaultEquity": "0.0", "perpsAtOpenInterestCap": [], "leadingVaults": []}
    user = {"agentAddress": None, "agentValidUntil": None, "serverTime": venue.now_ms(), "isVault": False}
    worth = clearinghouse(account, venue.market.marks, venue.listing, venue.now_ms())["marginSummary"]
    return [_message(kind, {"userState": {**user, "user": sub[1], "marginSummary": worth}, "perpDexStates": [dex]})]


def price(venue: Venue, sub: tuple[str, ...], moved: frozenset[str] | None) -> list[Message]:
    """Return what a price channel says after some coins moved (None: say it anyway)."""
    kind = sub[0]
    if kind == "allMids":
        mids = quotes.mids(venue, {"dex": sub[1]}, "stream")
        return [_message(kind, {"mids": mids} | ({"dex": sub[1]} if sub[1] else {}))] if moved is None or moved else []
    coin = sub[1]
    if moved is not None and coin not in moved:
        return []
    if kind == "activeAssetCtx":
        shown = venue.shown("stream", sub, [coin])[coin]
        return [_message(kind, {"coin": coin, "ctx": quotes.context(venue, coin, shown)})]
    if kind == "l2Book":
        return [_message(kind, quotes.book(venue, {"coin": coin}, "stream"))]
    if kind == "bbo":
        book = quotes.book(venue, {"coin": coin}, "stream", kind)
        best = [side[0] if side else None for side in book["levels"]]
        return [_message(kind, {"coin": coin, "time": book["time"], "bbo": best})]
    if kind == "candle":
        row = venue.candles.latest(coin, sub[2], venue.now_ms())
        return [_message(kind, row)] if row else []
    return [] if moved is None else _trade(venue, coin)


def _trade(venue: Venue, coin: str) -> list[Message]:
    """Invent the trade of others that moved the price."""
    now_ms = venue.now_ms()
    at = venue.showcase.plain(coin, now_ms)
    if at.mark == 0:
        return []
    rose = at.ask >= venue.market.last_px[coin]
    px = at.ask if rose else at.bid
    venue.market.last_px[coin] = px
    venue.market.next_tid += 1
    tid = venue.market.next_tid
    row = {"coin": coin, "side": "B" if rose else "A", "px": number(px), "sz": "1.0", "time": now_ms, "tid": tid}
    return [_message("trades", [row | {"hash": f"0x{tid:064x}"}])]


def happened(sub: tuple[str, ...], events: list[Event]) -> list[Message]:
    """Return what a channel of events says of a step."""
    kind = sub[0]
    if kind == "trades":
        fills = [e.fill for e in events if isinstance(e, FillEvent) and e.fill.coin == sub[1]]
        return [_message(kind, [_public(fill) for fill in fills])] if fills else []
    if kind == "orderUpdates":
        orders = [e for e in events if isinstance(e, OrderEvent) and not e.silent and e.order.user == sub[1]]
        return [_message(kind, [update(e.order) for e in orders])] if orders else []
    if kind in ("userFills", "userEvents"):
        rows = [fill_row(e.fill) for e in events if isinstance(e, FillEvent) and e.fill.user == sub[1]]
        if not rows:
            return []
        return [
            _message(kind, {"user": sub[1], "fills": rows})
            if kind == "userFills"
            else _message("user", {"fills": rows})
        ]
    if kind == "userFundings":
        paid = [e.funding for e in events if isinstance(e, AccountEvent) and e.funding and e.user == sub[1]]
        rows = [
            {
                "time": f.time_ms,
                "coin": f.coin,
                "usdc": number(f.usdc, 6),
                "szi": number(f.size),
                "fundingRate": str(f.rate),
            }
            for f in paid
        ]
        return [_message(kind, {"user": sub[1], "fundings": rows})] if rows else []
    return []


def _public(fill: Fill) -> dict[str, Any]:
    return {
        "coin": fill.coin,
        "side": "B" if fill.is_buy else "A",
        "px": number(fill.px),
        "sz": number(fill.size),
        "time": fill.time_ms,
        "hash": f"0x{fill.tid:064x}",
        "tid": fill.tid,
        "users": [fill.user, f"0x{0:040x}"],
    }


def users_of(events: list[Event]) -> frozenset[str]:
    """Return the accounts a step touched."""
    found: set[str] = set()
    for event in events:
        if isinstance(event, OrderEvent):
            if not event.silent:
                found.add(event.order.user)
        else:
            found.add(event.fill.user if isinstance(event, FillEvent) else event.user)
    return frozenset(found)
