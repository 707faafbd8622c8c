"""ccxt 4.5.90 trades on the paper venue with nothing changed but its url."""

from __future__ import annotations

from typing import Any

import ccxt
import pytest
from eth_account import Account as Wallet

from tests.unit.paper.helpers import ADDRESS, KEY, Client

BTC = "BTC/USDC:USDC"
C1, C2 = "0x" + "1" * 32, "0x" + "2" * 32


def exchange(venue: Client, *, quiet: bool = True, **more: Any) -> Any:
    options = {"fetchMarkets": {"types": ["swap"]}, "enableUnifiedMargin": False}
    made = ccxt.hyperliquid({"walletAddress": ADDRESS, "privateKey": KEY, "options": options, **more})
    made.urls["api"] = {"public": venue.where.url, "private": venue.where.url}
    if quiet:
        made.initialize_client = lambda: True
    made.enableRateLimit = False
    made.load_markets()
    return made


def bracket(ccxt_exchange: Any, size: float = 0.01) -> Any:
    stop = {"reduceOnly": True, "stopLossPrice": 93000, "slippage": "0.1", "clientOrderId": C2}
    return ccxt_exchange.create_orders(
        [
            {
                "symbol": BTC,
                "type": "market",
                "side": "buy",
                "amount": size,
                "price": 95000,
                "params": {"clientOrderId": C1},
            },
            {"symbol": BTC, "type": "market", "side": "sell", "amount": size, "price": 93000, "params": stop},
        ]
    )


def test_markets_of_the_default_load_and_the_lean_one(venue: Client) -> None:
    full = ccxt.hyperliquid({"walletAddress": ADDRESS, "privateKey": KEY})
    full.urls["api"] = {"public": venue.where.url, "private": venue.where.url}
    full.enableRateLimit = False
    markets = full.load_markets()
    assert set(markets) == set(exchange(venue).markets)
    assert markets["KPEPE/USDC:USDC"]["baseName"] == "kPEPE"
    assert markets[BTC]["precision"]["amount"] == 0.00001
    assert full.options["approvedBuilderFee"] is True


def test_prices(venue: Client) -> None:
    made = exchange(venue)
    assert made.fetch_tickers([BTC], {"type": "swap"})[BTC]["info"]["markPx"] == "95000.0"
    book = made.fetch_order_book(BTC)
    assert book["bids"][0][0] < 95000 < book["asks"][0][0]
    assert len(made.fetch_ohlcv(BTC, "1m", limit=100)) == 100
    assert made.fetch_funding_rate(BTC)["markPrice"] == 95000


def test_entry_stop_read_back_and_stop_out(venue: Client) -> None:
    made = exchange(venue)
    made.set_leverage(5, BTC, {"marginMode": "isolated"})
    entry, stop = bracket(made)
    assert (entry["filled"], entry["average"], entry["clientOrderId"]) == (0.01, 95005.0, C1)
    position = made.fetch_positions([BTC])[0]
    assert (position["contracts"], position["side"], position["marginMode"]) == (0.01, "long", "isolated")
    assert position["leverage"] == 5
    assert position["liquidationPrice"] < 80000
    shown = made.fetch_open_orders(BTC)[0]
    assert (shown["id"], shown["type"], shown["stopLossPrice"]) == (stop["id"], "market", 93000)
    assert shown["reduceOnly"] is True
    assert shown["info"]["limitPx"] == "83700.0"
    assert made.fetch_order(C2, BTC, {"clientOrderId": C2})["status"] == "open"
    venue.control("/mark", {"symbol": "BTC", "price": 92900})
    assert made.fetch_positions([BTC]) == []
    assert made.fetch_order(stop["id"], BTC)["status"] == "closed"
    trades = made.fetch_my_trades(BTC)
    assert [trade["order"] for trade in trades] == [entry["id"], stop["id"]]
    assert made.fetch_balance()["USDC"]["total"] < 10000
    assert len(made.fetch_my_trades(BTC, since=1)) == 2


def test_limit_modify_cancel(venue: Client) -> None:
    made = exchange(venue)
    first = made.create_order(BTC, "limit", "buy", 0.01, 90000, {"clientOrderId": C1})
    second = made.edit_order(first["id"], BTC, "limit", "buy", 0.02, 91000, {"clientOrderId": C1})
    assert second["id"] != first["id"]
    assert made.fetch_open_orders(BTC)[0]["amount"] == 0.02
    made.cancel_order(second["id"], BTC)
    assert made.fetch_order(second["id"], BTC)["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        made.cancel_order(second["id"], BTC)
    third = made.create_order(BTC, "limit", "buy", 0.01, 90000, {"clientOrderId": C2})
    made.cancel_order(third["id"], BTC, {"clientOrderId": C2})
    assert made.fetch_open_orders(BTC) == []
    assert {order["status"] for order in made.fetch_closed_orders(BTC)} <= {"closed", "canceled"}


ERRORS = [
    (("market", "buy", 50, 95000, {}), ccxt.InsufficientFunds),
    (("limit", "buy", 0.0001, 90000, {}), ccxt.InvalidOrder),
    (("market", "sell", 0.01, 95000, {"reduceOnly": True}), ccxt.InvalidOrder),
    (("market", "sell", 0.01, 96000, {"reduceOnly": True, "stopLossPrice": 96000}), ccxt.InvalidOrder),
    (("limit", "buy", 0.01, 96000, {"postOnly": True}), ccxt.InvalidOrder),
]


@pytest.mark.parametrize(("asked", "error"), ERRORS)
def test_refusals_become_ccxts_errors(venue: Client, asked: Any, error: type[Exception]) -> None:
    kind, side, size, price, params = asked
    with pytest.raises(error):
        exchange(venue).create_order(BTC, kind, side, size, price, params)


def test_edge_errors_become_ccxts_errors(venue: Client) -> None:
    made = exchange(venue)
    for kind, error in (
        ("http_429", ccxt.RateLimitExceeded),
        ("http_502", ccxt.ExchangeNotAvailable),
        ("refuse_before", ccxt.NetworkError),
        ("drop_answer", ccxt.NetworkError),
    ):
        venue.control("/faults", {"kind": kind, "match": {"action": "clearinghouseState"}})
        with pytest.raises(error):
            made.fetch_positions()
    made.privateKey = Wallet.create().key.hex()
    with pytest.raises(ccxt.InvalidOrder, match="User or API Wallet"):
        made.create_order(BTC, "market", "buy", 0.01, 95000)


def test_attached_stop_and_target_wait_for_the_limit_entry(venue: Client) -> None:
    made = exchange(venue)
    params = {
        "stopLoss": {"triggerPrice": 92000, "type": "market", "price": 92000},
        "takeProfit": {"triggerPrice": 97000, "type": "market", "price": 97000},
    }
    made.create_order(BTC, "limit", "buy", 0.01, 94000, params)
    assert len(made.fetch_open_orders(BTC)) == 3
    venue.control("/mark", {"symbol": "BTC", "price": 93990})
    assert {order["info"]["orderType"] for order in made.fetch_open_orders(BTC)} == {
        "Stop Market",
        "Take Profit Market",
    }
    venue.control("/mark", {"symbol": "BTC", "price": 97010})
    assert made.fetch_open_orders(BTC) == []
    assert made.fetch_positions([BTC]) == []


def test_a_builder_approved_by_the_master_takes_its_fee_and_an_agent_cannot_approve(venue: Client) -> None:
    loud = exchange(venue, quiet=False)
    loud.create_order(BTC, "market", "buy", 0.01, 95000)
    fill = venue.info("userFills", user=ADDRESS)[0]
    assert fill["builderFee"] == "0.095005"
    agent = Wallet.create()
    venue.control("/agents", {"account": ADDRESS, "agent": agent.address})
    by_agent = exchange(venue, quiet=False, privateKey=agent.key.hex())
    by_agent.create_order(BTC, "market", "buy", 0.01, 95000)
    assert by_agent.options.get("approvedBuilderFee", False) is False
    assert "builderFee" not in venue.info("userFills", user=ADDRESS)[0]


def test_sub_account_orders(venue: Client) -> None:
    sub = "0x" + "7" * 40
    venue.control("/subaccounts", {"master": ADDRESS, "address": sub})
    made = exchange(venue)
    made.create_order(BTC, "market", "buy", 0.01, 95000, {"vaultAddress": sub})
    assert made.fetch_positions([BTC]) == []
    assert made.fetch_positions([BTC], {"user": sub})[0]["contracts"] == 0.01


def test_the_same_signed_body_again_is_refused(venue: Client) -> None:
    made = exchange(venue)
    order = {"symbol": BTC, "type": "market", "side": "buy", "amount": 0.01, "price": 95000, "params": {}}
    request = made.create_orders_request([order])
    made.privatePostExchange(request)
    with pytest.raises(ccxt.ExchangeError, match="duplicate nonce"):
        made.privatePostExchange(request)
    assert made.fetch_positions([BTC])[0]["contracts"] == 0.01
