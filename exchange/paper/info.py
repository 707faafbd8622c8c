"""Answers to POST /info: every request type of ccxt 4.5.90, ccxt.pro and hyperliquid-python-sdk 0.24 for perpetuals.

Each answer is a function (venue, body) -> JSON. A body that is not of the venue's form raises WireError (HTTP 422
there).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from exchange.paper.margin import free
from exchange.paper.model import ZERO, Account, Order
from exchange.paper.quotes import SPOT, book, candles, contexts, listed_coin, meta, mids
from exchange.paper.shown import Where
from exchange.paper.venue import HOUR_MS, Venue
from exchange.paper.wire import (
    WireError,
    address,
    basic_order,
    clearinghouse,
    fill_row,
    full_order,
    number,
    on_record,
    order_ref,
    whole,
)

ROWS = 2000
Answer = Callable[[Venue, dict[str, Any]], Any]


def _account(venue: Venue, body: dict[str, Any]) -> Account:
    return venue.seen(address(body.get("user")))


def state(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    """Return positions and margin of an account, as late as the knobs say."""
    shown, time_ms = venue.views.positions(_account(venue, body), venue.now_ms())
    if body.get("dex"):
        shown = Account(shown.address, ZERO)
    answer = clearinghouse(shown, venue.market.marks, venue.listing, time_ms)
    struck = venue.showcase.strikes("position", shown.address, shown.positions, venue.now_ms(), shown.address)
    for row in answer["assetPositions"] if struck else ():
        held = shown.positions[row["position"]["coin"]]
        seen = venue.showcase.struck(held.coin, venue.market.quote(held.coin), struck.get(held.coin))
        row["position"]["positionValue"] = seen.px(abs(held.size) * seen.at.mark, 6)
    return answer


def _spot_state(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    _account(venue, body)
    return {"balances": [{"coin": "USDC", "token": 0, "hold": "0.0", "total": "0.0", "entryNtl": "0.0"}]}


def _live(venue: Venue, body: dict[str, Any]) -> dict[int, Order]:
    found = venue.views.orders(_account(venue, body), venue.now_ms())
    return {} if body.get("dex") else found


def _open(venue: Venue, body: dict[str, Any]) -> list[Any]:
    found = _live(venue, body)
    return [basic_order(found[oid]) for oid in sorted(found, reverse=True) if found[oid].status != "triggered"]


def open_full(venue: Venue, body: dict[str, Any]) -> list[Any]:
    """Return the live orders with their triggers, newest first."""
    found = _live(venue, body)
    return [full_order(found[oid], found) for oid in sorted(found, reverse=True) if found[oid].status != "triggered"]


def _status(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    found = venue.views.record(_account(venue, body), order_ref(body.get("oid")), venue.now_ms())
    return {"status": "unknownOid"} if found is None else {"status": "order", "order": on_record(found)}


def _history(venue: Venue, body: dict[str, Any]) -> list[Any]:
    records = venue.views.history(_account(venue, body), venue.now_ms())
    return [on_record(order) for order in reversed(records)]


def fills(venue: Venue, body: dict[str, Any]) -> list[Any]:
    """Return the newest 2000 fills, newest first."""
    found = venue.views.fills(_account(venue, body), venue.now_ms())
    return [fill_row(fill) for fill in reversed(found[-ROWS:])]


def _fills_by_time(venue: Venue, body: dict[str, Any]) -> list[Any]:
    start, end = _span(venue, body)
    found = venue.views.fills(_account(venue, body), venue.now_ms())
    return [fill_row(fill) for fill in found if start <= fill.time_ms <= end][:ROWS]


def _span(venue: Venue, body: dict[str, Any]) -> tuple[int, int]:
    end = body.get("endTime")
    return whole(body.get("startTime")), venue.now_ms() if end is None else whole(end)


def _funding(venue: Venue, body: dict[str, Any]) -> list[Any]:
    start, end = _span(venue, body)
    paid = [entry for entry in _account(venue, body).fundings if start <= entry.time_ms <= end][:500]
    return [
        {
            "time": entry.time_ms,
            "hash": f"0x{0:064x}",
            "delta": {
                "type": "funding",
                "coin": entry.coin,
                "usdc": number(entry.usdc, 6),
                "szi": number(entry.size),
                "fundingRate": number(entry.rate, 10),
                "nSamples": None,
            },
        }
        for entry in paid
    ]


def _funding_history(venue: Venue, body: dict[str, Any]) -> list[Any]:
    coin = listed_coin(venue, body.get("coin"))
    start, end = _span(venue, body)
    rate = number(venue.knobs.funding_rate, 10)
    first = max(start, end - 500 * HOUR_MS)
    first += -first % HOUR_MS
    return [{"coin": coin, "fundingRate": rate, "premium": "0.0", "time": at} for at in range(first, end + 1, HOUR_MS)]


def _rate_limit(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    account = _account(venue, body)
    volume = number(account.volume, 6)
    return {
        "cumVlm": volume,
        "nRequestsUsed": account.requests_used,
        "nRequestsCap": venue.meter.cap(account),
        "nRequestsSurplus": 0,
    }


def _role(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    who = address(body.get("user"))
    if who in venue.agents:
        return {"role": "agent", "data": {"user": venue.agents[who]}}
    account = venue.seen(who)
    if account.role == "subAccount":
        return {"role": "subAccount", "data": {"master": account.master}}
    return {"role": account.role if who in venue.market.accounts else "missing"}


def _agents(venue: Venue, body: dict[str, Any]) -> list[Any]:
    held = _account(venue, body).agents.items()
    return [{"name": name or "", "address": agent, "validUntil": until} for agent, (name, until) in held]


def _sub_accounts(venue: Venue, body: dict[str, Any]) -> list[Any] | None:
    master = _account(venue, body).address
    subs = [account for account in venue.market.accounts.values() if account.master == master]
    now_ms = venue.now_ms()
    return [
        {
            "name": f"sub{number_}",
            "subAccountUser": sub.address,
            "master": master,
            "clearinghouseState": clearinghouse(sub, venue.market.marks, venue.listing, now_ms),
            "spotState": {"balances": []},
        }
        for number_, sub in enumerate(subs, start=1)
    ] or None


def asset_data(venue: Venue, body: dict[str, Any], where: Where = "info") -> dict[str, Any]:
    """Return leverage and what an account could trade in a coin."""
    account = _account(venue, body)
    coin = listed_coin(venue, body.get("coin"))
    leverage, is_cross = venue.market.leverage_of(account, coin)
    mark = venue.market.marks[coin]
    struck = venue.showcase.strikes(where, ("activeAssetData", coin), [coin], venue.now_ms())
    seen = venue.showcase.struck(coin, venue.market.quote(coin), struck.get(coin))
    usdc = max(ZERO, free(account, venue.market.marks))
    size = number(usdc * leverage / mark, venue.listing[coin].sz_decimals)
    return {
        "user": account.address,
        "coin": coin,
        "leverage": {"type": "cross" if is_cross else "isolated", "value": leverage},
        "maxTradeSzs": [size, size],
        "availableToTrade": [number(usdc, 6), number(usdc, 6)],
        "markPx": seen.px(seen.at.mark),
    }


def _abstraction(venue: Venue, body: dict[str, Any]) -> str:
    _account(venue, body)
    return "disabled"


def _fees(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    _account(venue, body)
    taker, maker = number(venue.knobs.taker_fee), number(venue.knobs.maker_fee)
    return {
        "dailyUserVlm": [],
        "feeSchedule": {"cross": taker, "add": maker, "tiers": {"vip": [], "mm": []}, "referralDiscount": "0.0"},
        "userCrossRate": taker,
        "userAddRate": maker,
        "activeReferralDiscount": "0.0",
    }


def web_data(venue: Venue, body: dict[str, Any], where: Where = "info") -> dict[str, Any]:
    """Return what the venue's own page shows of an account (`webData2`)."""
    listed, rows = contexts(venue, {}, where)
    return {
        "clearinghouseState": state(venue, body),
        "leadingVaults": [],
        "totalVaultEquity": "0.0",
        "openOrders": open_full(venue, body),
        "agentAddress": None,
        "agentValidUntil": None,
        "cumLedger": number(venue.balance, 6),
        "meta": listed,
        "assetCtxs": rows,
        "serverTime": venue.now_ms(),
        "isVault": False,
        "user": address(body.get("user")),
        "twapStates": [],
    }


def _builder_fee(venue: Venue, body: dict[str, Any]) -> int:
    rate = _account(venue, body).builders.get(address(body.get("builder")), "0%")
    return int(Decimal(rate.rstrip("%")) * 1000)


def _referral(venue: Venue, body: dict[str, Any]) -> dict[str, Any]:
    volume = number(_account(venue, body).volume, 6)
    return {"referredBy": None, "cumVlm": volume, "unclaimedRewards": "0.0", "claimedRewards": "0.0"}


ANSWERS: dict[str, Answer] = {
    "meta": meta,
    "metaAndAssetCtxs": contexts,
    "spotMeta": lambda _venue, _body: SPOT,
    "spotMetaAndAssetCtxs": lambda _venue, _body: [SPOT, []],
    "perpDexs": lambda _venue, _body: [None],
    "exchangeStatus": lambda venue, _body: {"specialStatuses": None, "time": venue.now_ms()},
    "allMids": mids,
    "l2Book": book,
    "candleSnapshot": candles,
    "clearinghouseState": state,
    "spotClearinghouseState": _spot_state,
    "openOrders": _open,
    "frontendOpenOrders": open_full,
    "orderStatus": _status,
    "historicalOrders": _history,
    "userFills": fills,
    "userFillsByTime": _fills_by_time,
    "userFunding": _funding,
    "userNonFundingLedgerUpdates": lambda _venue, _body: [],
    "fundingHistory": _funding_history,
    "userRateLimit": _rate_limit,
    "userRole": _role,
    "extraAgents": _agents,
    "userAbstraction": _abstraction,
    "userFees": _fees,
    "subAccounts": _sub_accounts,
    "activeAssetData": asset_data,
    "maxBuilderFee": _builder_fee,
    "referral": _referral,
    "webData2": web_data,
    "portfolio": lambda _venue, _body: [],
    "userVaultEquities": lambda _venue, _body: [],
    "userTwapSliceFills": lambda _venue, _body: [],
}


def answer(venue: Venue, body: dict[str, Any]) -> Any:
    """Answer an info request. Raise WireError for an unknown type or a malformed body."""
    kind = body.get("type")
    if not isinstance(kind, str) or kind not in ANSWERS:
        raise WireError(f"type {kind!r}")
    return ANSWERS[kind](venue, body)
