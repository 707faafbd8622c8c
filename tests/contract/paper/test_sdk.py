"""hyperliquid-python-sdk 0.24 trades on and listens to the paper venue."""

from __future__ import annotations

import queue
import time
from typing import Any

from eth_account import Account as Wallet
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

from tests.unit.paper.helpers import ADDRESS, KEY, Client

C1, C2 = Cloid.from_int(1), Cloid.from_int(2)
STOP: Any = {"trigger": {"triggerPx": 93000, "isMarket": True, "tpsl": "sl"}}


def exchange(venue: Client, key: str = KEY, **more: Any) -> Exchange:
    return Exchange(Wallet.from_key(key), venue.where.url, account_address=ADDRESS, timeout=5, **more)


def close(made: Exchange) -> None:
    made.info.session.close()
    made.session.close()


def statuses(answer: Any) -> Any:
    assert answer["status"] == "ok", answer
    return answer["response"]["data"]["statuses"]


def test_market_limit_trigger_modify_cancel(venue: Client) -> None:
    made = exchange(venue)
    assert made.update_leverage(10, "BTC", is_cross=False)["status"] == "ok"
    assert statuses(made.market_open("BTC", True, 0.01, cloid=C1))[0]["filled"]["totalSz"] == "0.01"
    assert made.update_isolated_margin(10, "BTC")["status"] == "ok"
    stop = statuses(made.order("BTC", False, 0.01, 84000, STOP, reduce_only=True, cloid=C2))[0]["resting"]["oid"]
    moved: Any = {"trigger": {"triggerPx": 94000, "isMarket": True, "tpsl": "sl"}}
    changed = made.modify_order(C2, "BTC", False, 0.01, 84000, moved, reduce_only=True, cloid=C2)
    newer = statuses(changed)[0]["resting"]["oid"]
    assert newer != stop
    assert made.info.query_order_by_oid(ADDRESS, stop)["order"]["status"] == "canceled"
    assert made.info.query_order_by_cloid(ADDRESS, C2)["order"]["order"]["oid"] == newer
    assert statuses(made.cancel_by_cloid("BTC", C2)) == ["success"]
    assert made.info.open_orders(ADDRESS) == []
    assert "filled" in statuses(made.market_close("BTC"))[0]
    assert made.info.user_state(ADDRESS)["assetPositions"] == []
    assert [fill["dir"] for fill in made.info.user_fills(ADDRESS)] == ["Close Long", "Open Long"]
    close(made)


def test_bulk_orders_with_own_cloids_and_groupings(venue: Client) -> None:
    made = exchange(venue)
    entry: Any = {"coin": "ETH", "is_buy": True, "sz": 0.1, "limit_px": 3500, "order_type": {"limit": {"tif": "Ioc"}}}
    stop: Any = {"trigger": {"triggerPx": 3300, "isMarket": True, "tpsl": "sl"}}
    legs: Any = [
        entry | {"reduce_only": False, "cloid": C1},
        {
            "coin": "ETH",
            "is_buy": False,
            "sz": 0.1,
            "limit_px": 3000,
            "order_type": stop,
            "reduce_only": True,
            "cloid": C2,
        },
    ]
    first, second = statuses(made.bulk_orders(legs))
    assert first["filled"]["cloid"] == C1.to_raw()
    assert second["resting"]["cloid"] == C2.to_raw()
    whole = legs[1] | {"sz": 0, "cloid": None}
    assert statuses(made.bulk_orders([whole], grouping="positionTpsl")) == ["waitingForTrigger"]
    shown = [row for row in made.info.frontend_open_orders(ADDRESS) if row["isPositionTpsl"]]
    assert shown[0]["origSz"] == "0.0"
    close(made)


def test_deadlines_agents_and_sub_accounts(venue: Client) -> None:
    made = exchange(venue)
    made.set_expires_after(int(time.time() * 1000) - 1000)
    assert "expired" in made.order("BTC", True, 0.01, 90000, {"limit": {"tif": "Gtc"}})["response"]
    made.set_expires_after(int(time.time() * 1000) + 60_000)
    assert "resting" in statuses(made.order("BTC", True, 0.01, 90000, {"limit": {"tif": "Gtc"}}))[0]
    made.set_expires_after(None)
    approved, key = made.approve_agent("bot")
    assert approved["status"] == "ok"
    assert made.info.extra_agents(ADDRESS)[0]["name"] == "bot"
    sub = "0x" + "8" * 40
    venue.control("/subaccounts", {"master": ADDRESS, "address": sub})
    agent = exchange(venue, key=key, vault_address=sub)
    assert "filled" in statuses(agent.market_open("BTC", True, 0.01))[0]
    assert agent.info.user_state(sub)["assetPositions"][0]["position"]["szi"] == "0.01"
    assert "Must deposit" in agent.approve_builder_fee(ADDRESS, "0.01%")["response"]
    assert made.info.query_sub_accounts(ADDRESS)[0]["subAccountUser"] == sub
    close(made)
    close(agent)


def test_streams(venue: Client) -> None:
    info = Info(venue.where.url, timeout=5)
    seen: dict[str, queue.Queue[Any]] = {}
    subscriptions: list[Any] = [
        {"type": kind, "user": ADDRESS}
        for kind in ("userFills", "userEvents", "orderUpdates", "webData2", "userFundings")
    ]
    subscriptions += [{"type": kind, "coin": "BTC"} for kind in ("bbo", "l2Book", "trades", "activeAssetCtx")]
    subscriptions += [{"type": "allMids"}, {"type": "activeAssetData", "user": ADDRESS, "coin": "BTC"}]
    subscriptions += [{"type": "candle", "coin": "BTC", "interval": "1m"}]
    try:
        for subscription in subscriptions:
            box = seen[subscription["type"]] = queue.Queue()
            info.subscribe(subscription, box.put)
        assert seen["userFills"].get(timeout=5)["data"] == {"isSnapshot": True, "user": ADDRESS, "fills": []}
        assert seen["bbo"].get(timeout=5)["data"]["bbo"][0]["px"] == "94995.0"
        made = exchange(venue)
        made.market_open("BTC", True, 0.01)
        close(made)
        assert seen["userFills"].get(timeout=5)["data"]["fills"][0]["dir"] == "Open Long"
        assert seen["userEvents"].get(timeout=5)["data"]["fills"][0]["sz"] == "0.01"
        assert [row["status"] for row in seen["orderUpdates"].get(timeout=5)["data"]] == ["open", "filled"]
        venue.control("/mark", {"symbol": "BTC", "price": 94000})
        for kind in ("l2Book", "trades", "activeAssetCtx", "allMids", "activeAssetData", "candle", "webData2"):
            assert seen[kind].get(timeout=5)["channel"] == kind
    finally:
        info.disconnect_websocket()
        info.session.close()
