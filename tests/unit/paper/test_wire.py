"""The wire over real HTTP: shapes, codes, signatures, nonces, deadlines, limits, accounts."""

from __future__ import annotations

import time
from typing import Any

import pytest
from eth_account import Account as Wallet

from tests.unit.paper.helpers import ADDRESS, Client, row, stop_row

BUY = row("buy", "0.01", "99000")
STOP = stop_row("sell", "0.01", "93000", "84000")
C1, C2 = "0x" + "1" * 32, "0x" + "2" * 32
MALFORMED: list[Any] = [
    {},
    [],
    {"type": "nonsense"},
    {"type": "clearinghouseState"},
    {"type": "clearinghouseState", "user": "0x12"},
    {"type": "l2Book", "coin": "NOPE"},
    {"type": "userFillsByTime", "user": ADDRESS},
    {"type": "orderStatus", "user": ADDRESS, "oid": "0x12"},
    {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "7m", "startTime": 0}},
]


@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_info_is_422(client: Client, body: Any) -> None:
    code, text = client.post("/info", body)
    assert (code, text) == (422, "Failed to deserialize the JSON body into the target type")


def test_bytes_that_are_not_json_are_422(client: Client) -> None:
    assert client.post("/info", None, raw=b"{")[0] == 422
    assert client.post("/exchange", None, raw=b"\xff")[0] == 422


@pytest.mark.parametrize(
    "change", [{"p": 95000}, {"s": "x"}, {"c": "0x12"}, {"t": {"limit": {"tif": "Fok"}}}, {"b": 1}]
)
def test_a_malformed_order_is_422_and_costs_no_nonce(client: Client, change: dict[str, Any]) -> None:
    body = client.body({"type": "order", "orders": [BUY | change], "grouping": "na"})
    assert client.post("/exchange", body)[0] == 422
    good = client.body({"type": "order", "orders": [BUY], "grouping": "na"}, nonce=body["nonce"])
    assert client.post("/exchange", good)[1]["status"] == "ok"


def test_entry_and_stop_answer_filled_and_resting_and_read_back(client: Client) -> None:
    entry, stop = client.order(BUY | {"c": C1}, STOP | {"c": C2})
    assert entry["filled"]["totalSz"] == "0.01"
    assert entry["filled"]["cloid"] == C1
    oid = stop["resting"]["oid"]
    shown = client.info("frontendOpenOrders", user=ADDRESS)[0]
    assert (shown["oid"], shown["orderType"], shown["triggerCondition"]) == (oid, "Stop Market", "Price below 93000")
    assert shown["tif"] is None
    status = client.info("orderStatus", user=ADDRESS, oid=C2)
    assert (status["status"], status["order"]["status"]) == ("order", "open")
    state = client.info("clearinghouseState", user=ADDRESS)
    assert abs(state["time"] - time.time() * 1000) < 5000
    assert state["assetPositions"][0]["position"]["szi"] == "0.01"
    fill = client.info("userFills", user=ADDRESS)[0]
    assert (fill["dir"], fill["feeToken"], fill["cloid"]) == ("Open Long", "USDC", C1)
    assert client.info("orderStatus", user=ADDRESS, oid=77) == {"status": "unknownOid"}


def test_one_bad_leg_leaves_the_others_in(client: Client) -> None:
    entry, stop = client.order(BUY, STOP | {"t": {"trigger": {"isMarket": True, "triggerPx": "96000", "tpsl": "sl"}}})
    assert "filled" in entry
    assert stop == {"error": "Invalid TP/SL price. asset=0"}


def test_ioc_of_one_cloid_sent_twice_fills_twice_and_the_witness_counts_it(client: Client) -> None:
    for _ in range(2):
        client.order(BUY | {"c": C1})
    book = client.control("/witness")[1][ADDRESS]["BTC"]
    assert book["entries_by_signal"] == {C1: 2}
    assert book["duplicates"] == 1


def test_nonces_are_used_once_within_the_window_and_above_the_hundred_highest(client: Client) -> None:
    noop = {"type": "noop"}
    body = client.body(noop)
    assert client.post("/exchange", body)[1] == {"status": "ok", "response": {"type": "default"}}
    again = {"status": "err", "response": f"Invalid nonce: duplicate nonce {body['nonce']}"}
    assert client.post("/exchange", body)[1] == again
    now, day = int(time.time() * 1000), 86_400_000
    assert "too high" in client.act(noop, nonce=now + day + 60_000)["response"]
    assert "too low" in client.act(noop, nonce=now - 2 * day - 60_000)["response"]
    for number in range(100):
        assert client.act(noop, nonce=now + 10_000 + number)["status"] == "ok"
    assert "too low" in client.act(noop, nonce=now + 9_000)["response"]


@pytest.mark.parametrize("first", [True, False])
def test_expiry_and_nonce_are_checked_in_the_order_of_the_knob(client: Client, first: bool) -> None:
    client.control("/settings", {"nonce_before_expiry": first})
    past = int(time.time() * 1000) - 1000
    action = {"type": "order", "orders": [BUY], "grouping": "na"}
    body = client.body(action, expires=past)
    assert "expired" in client.post("/exchange", body)[1]["response"]
    second = client.post("/exchange", body)[1]["response"]
    assert ("duplicate nonce" in second) is first
    assert client.info("userFills", user=ADDRESS) == []


def test_a_wrong_signature_names_an_address_nobody_has(client: Client) -> None:
    body = client.body({"type": "order", "orders": [BUY], "grouping": "na"})
    body["nonce"] += 1
    words = client.post("/exchange", body)[1]["response"]
    assert words.startswith("User or API Wallet 0x")
    assert words.endswith(" does not exist.")


def test_agents_sign_until_their_time_and_sub_accounts_take_a_vault_address(client: Client) -> None:
    agent = Wallet.create()
    sub = "0x" + "5" * 40
    client.control("/agents", {"account": ADDRESS, "agent": agent.address})
    client.control("/subaccounts", {"master": ADDRESS, "address": sub})
    other = Client(client.where, key=agent.key.hex())
    assert "filled" in other.order(BUY, vault=sub)[0]
    assert client.info("clearinghouseState", user=sub)["assetPositions"]
    assert client.info("clearinghouseState", user=ADDRESS)["assetPositions"] == []
    assert client.info("userRole", user=agent.address) == {"role": "agent", "data": {"user": ADDRESS}}
    assert client.info("clearinghouseState", user=agent.address)["marginSummary"]["accountValue"] == "0.0"
    stranger = "0x" + "6" * 40
    client.info("clearinghouseState", user=stranger)
    assert "Vault not registered" in other.act({"type": "noop"}, vault=stranger)["response"]
    client.control("/agents", {"account": ADDRESS, "agent": agent.address, "valid_until_ms": 1})
    assert "does not exist" in other.act({"type": "noop"})["response"]


def test_ip_weights_are_counted_and_enforced_when_asked(client: Client) -> None:
    client.control("/stats/reset", {})
    client.info("clearinghouseState", user=ADDRESS)
    client.info("frontendOpenOrders", user=ADDRESS)
    client.info("userRole", user=ADDRESS)
    client.order(BUY | {"c": C1})
    stats = client.control("/stats")[1]
    assert stats["weight"]["by_type"] == {"clearinghouseState": 2, "frontendOpenOrders": 20, "userRole": 60, "order": 1}
    assert stats["requests"]["by_account"] == {ADDRESS: 4}
    assert stats["orders"][0]["cloids"] == [C1]
    client.control("/settings", {"ip_weight_limit": 10})
    assert client.post("/info", {"type": "allMids"}) == (429, None)


def test_the_address_budget_when_enforced(client: Client) -> None:
    client.control("/settings", {"address_limit": True, "address_initial": 1})
    far = row("buy", "0.01", "90000", tif="Gtc")
    assert "resting" in client.order(far)[0]
    assert client.act({"type": "noop"})["status"] == "ok"  # one action in 10 s
    assert "Too many cumulative requests sent" in client.act({"type": "noop"})["response"]
    assert client.info("userRateLimit", user=ADDRESS)["nRequestsCap"] == 1


def test_refusals_of_whole_actions(client: Client) -> None:
    assert client.act({"type": "setReferrer", "code": "X"})["response"] == "Referrer already set."
    assert "enough volume" in client.act({"type": "scheduleCancel", "time": 1})["response"]
    many = {"type": "cancel", "cancels": [{"a": 0, "o": n} for n in range(201)]}
    assert client.act(many)["response"] == "Signed action over weight limit of 200."
    with_builder = {"type": "order", "orders": [BUY], "grouping": "na", "builder": {"b": ADDRESS, "f": 10}}
    assert "Builder fee" in client.act(with_builder)["response"]
    assert "Unknown asset" in client.act({"type": "order", "orders": [BUY | {"a": 99}], "grouping": "na"})["response"]
    bad_cancel = client.act({"type": "cancel", "cancels": [{"a": 0, "o": 5}]})
    words = "Order was never placed, already canceled, or filled. asset=0"
    assert bad_cancel["response"]["data"]["statuses"] == [{"error": words}]


def test_every_info_type_answers(client: Client) -> None:
    from exchange.paper.info import ANSWERS

    client.order(BUY, STOP)
    more = {
        "user": ADDRESS,
        "coin": "BTC",
        "oid": 1,
        "startTime": 0,
        "builder": ADDRESS,
        "req": {"coin": "BTC", "interval": "5m", "startTime": 0},
    }
    answers = {kind: client.info(kind, **more) for kind in ANSWERS}
    assert len(answers["candleSnapshot"]) > 100
    assert len(answers["l2Book"]["levels"][0]) == 20
    assert answers["metaAndAssetCtxs"][1][0]["markPx"] == "95000.0"
    assert [record["status"] for record in answers["historicalOrders"]] == ["open", "filled", "open"]
    assert answers["userRateLimit"]["nRequestsUsed"] == 2
    assert answers["activeAssetData"]["leverage"] == {"type": "cross", "value": 20}


def test_reads_lag_by_their_own_knobs(client: Client) -> None:
    client.control("/settings", {"position_lag_ms": 60_000, "status_lag_ms": 60_000})
    client.order(BUY | {"c": C1}, STOP)
    assert client.info("clearinghouseState", user=ADDRESS)["assetPositions"] == []
    assert len(client.info("frontendOpenOrders", user=ADDRESS)) == 1
    assert len(client.info("userFills", user=ADDRESS)) == 1
    assert client.info("orderStatus", user=ADDRESS, oid=C1) == {"status": "unknownOid"}
    client.control("/settings", {"order_lag_ms": 60_000, "fill_lag_ms": 60_000, "position_lag_ms": 0})
    assert client.info("clearinghouseState", user=ADDRESS)["assetPositions"]
    assert client.info("frontendOpenOrders", user=ADDRESS) == []
    assert client.info("userFills", user=ADDRESS) == []
