"""Every fault does what it says, once or as often as said, to whom it says."""

from __future__ import annotations

import http.client
import time
from typing import Any

import pytest

from tests.unit.paper.helpers import ADDRESS, Client, row, stop_row

BUY = row("buy", "0.01", "99000")
STOP = stop_row("sell", "0.01", "93000", "84000")
GONE = (ConnectionError, http.client.HTTPException)


def fault(client: Client, kind: str, **more: Any) -> str:
    code, answer = client.control("/faults", {"kind": kind, **more})
    assert code == 200, answer
    identity: str = answer["id"]
    return identity


def position(client: Client) -> str:
    held = client.info("clearinghouseState", user=ADDRESS)["assetPositions"]
    return str(held[0]["position"]["szi"]) if held else "0"


def witness(client: Client) -> Any:
    return client.control("/witness")[1][ADDRESS]["BTC"]


BAD = [
    ({"kind": "nonsense"}, "unknown kind"),
    ({"kind": "late", "match": {"colour": 1}}, "unknown match field"),
    ({"kind": "late", "match": {"symbol": "NOPE"}}, "match.symbol"),
    ({"kind": "late", "match": {"action": "nonsense"}}, "match.action"),
    ({"kind": "late", "match": {"nth": 0}}, "match.nth"),
    ({"kind": "late", "times": 0}, "times"),
    ({"kind": "late", "delay_ms": -1}, "delay_ms"),
    ({"kind": "late", "colour": 1}, "unknown field"),
    ({"kind": "partial_fill", "fraction": 2}, "fraction"),
    ({"kind": "clock_skew"}, "skew_ms"),
    ({"kind": "liquidation"}, "match.account"),
    ({"kind": "false_answer"}, "needs value"),
    ({"kind": "false_answer", "value": 0, "path": 1}, "path is 1"),
    ({"kind": "false_answer", "value": 0, "code": 700}, "code is 700"),
    ([], "object"),
]


@pytest.mark.parametrize(("body", "words"), BAD)
def test_a_bad_fault_is_refused_in_one_line(client: Client, body: Any, words: str) -> None:
    code, answer = client.control("/faults", body)
    assert code == 400
    assert words in answer["error"]
    assert "\n" not in answer["error"]
    assert client.control("/faults")[1] == []


def test_drop_answer_processes_and_says_nothing(client: Client) -> None:
    fault(client, "drop_answer", match={"action": "entry"})
    with pytest.raises(GONE):
        client.order(BUY)
    assert position(client) == "0.01"
    assert "resting" in client.order(STOP)[0]


@pytest.mark.parametrize("how", ["close", "500"])
def test_refuse_before_does_not_process(client: Client, how: str) -> None:
    fault(client, "refuse_before", match={"action": "order", "account": ADDRESS}, how=how)
    body = client.body({"type": "order", "orders": [BUY], "grouping": "na"})
    if how == "close":
        with pytest.raises(GONE):
            client.post("/exchange", body)
    else:
        assert client.post("/exchange", body)[0] == 500
    assert position(client) == "0"
    assert client.post("/exchange", body)[1]["status"] == "ok"


def test_a_false_answer_lies_about_a_part_of_what_is_true(client: Client) -> None:
    client.order(BUY)
    fault(client, "false_answer", match={"action": "clearinghouseState"}, path="assetPositions", value=[])
    fault(client, "false_answer", match={"action": "meta"}, path="universe.0.maxLeverage", value=0)
    assert position(client) == "0"
    assert position(client) == "0.01"
    lie, no_lie = client.info("meta"), client.info("meta")
    assert lie["universe"][0] == no_lie["universe"][0] | {"maxLeverage": 0}
    assert lie["universe"][1:] == no_lie["universe"][1:]
    fault(client, "false_answer", match={"action": "meta"}, path="universe.99.name", value="X")
    assert client.info("meta") == no_lie


def test_a_false_answer_may_be_all_of_it_to_what_was_done(client: Client) -> None:
    fault(client, "false_answer", match={"action": "entry"}, value={"status": "unknownOid"}, code=504)
    code, answer = client.post("/exchange", client.body({"type": "order", "orders": [BUY], "grouping": "na"}))
    assert (code, answer) == (504, {"status": "unknownOid"})
    assert position(client) == "0.01"


@pytest.mark.parametrize(("kind", "code"), [("http_429", 429), ("http_502", 502)])
def test_http_codes(client: Client, kind: str, code: int) -> None:
    fault(client, kind, match={"action": "clearinghouseState"})
    assert client.post("/info", {"type": "clearinghouseState", "user": ADDRESS})[0] == code
    assert client.post("/info", {"type": "clearinghouseState", "user": ADDRESS})[0] == 200


def test_error_with_chosen_words_only_the_second_time(client: Client) -> None:
    fault(client, "error", match={"action": "order", "nth": 2}, text="Out of sorts.")
    fault(client, "error", match={"action": "cancel"}, text="No.", shape="statuses")
    assert "filled" in client.order(BUY)[0]
    refused = client.act({"type": "order", "orders": [BUY], "grouping": "na"})
    assert refused == {"status": "err", "response": "Out of sorts."}
    assert "filled" in client.order(BUY)[0]
    cancel = client.act({"type": "cancel", "cancels": [{"a": 0, "o": 1}]})
    assert cancel["response"]["data"]["statuses"] == [{"error": "No."}]


def test_late_and_late_processing(client: Client) -> None:
    fault(client, "late", match={"action": "noop"}, delay_ms=50)
    before = time.monotonic()
    assert client.act({"type": "noop"})["status"] == "ok"
    assert time.monotonic() - before >= 0.05
    fault(client, "late_processing", match={"action": "order"}, delay_ms=120)
    action = {"type": "order", "orders": [BUY], "grouping": "na"}
    late = client.act(action, expires=int(time.time() * 1000) + 100)
    assert "expired" in late["response"]
    assert position(client) == "0"


def test_what_lands_late_may_have_lost_its_connection_at_once(client: Client) -> None:
    fault(client, "late_processing", match={"action": "order"}, delay_ms=150, how="close")
    with pytest.raises(GONE):
        client.order(BUY)
    assert position(client) == "0"
    end = time.monotonic() + 5
    while position(client) == "0" and time.monotonic() < end:
        time.sleep(0.02)
    assert position(client) == "0.01"


def test_a_stop_is_taken_away_silently_and_the_witness_sees_the_naked_time(client: Client) -> None:
    fault(client, "cancel_stop", delay_ms=30)
    client.order(BUY, STOP)
    assert witness(client)["naked_intervals"] == []
    time.sleep(0.12)
    assert client.info("frontendOpenOrders", user=ADDRESS) == []
    seen = witness(client)
    assert seen["naked_intervals"][0]["to_ms"] is None
    assert seen["naked_intervals"][0]["size"] == "0.01"
    client.order(STOP)
    closed = witness(client)
    assert closed["naked_intervals"][0]["to_ms"] is not None
    assert 20 < closed["naked_ms"] < 2000


def test_refuse_stop_leaves_the_entry_in(client: Client) -> None:
    fault(client, "refuse_stop", text="Not today.")
    entry, stop = client.order(BUY, STOP)
    assert "filled" in entry
    assert stop == {"error": "Not today."}


def test_partial_fill(client: Client) -> None:
    fault(client, "partial_fill", fraction="0.3")
    assert client.order(row("buy", "0.1", "99000"))[0]["filled"]["totalSz"] == "0.03"
    assert client.order(row("sell", "0.1", "91000", ro=True))[0]["filled"]["totalSz"] == "0.03"


def test_a_part_fill_of_resting_orders_leaves_entries_at_market_alone(client: Client) -> None:
    fault(client, "partial_fill", match={"action": "resting"}, fraction="0.3", times=2)
    assert client.order(row("buy", "0.1", "99000"))[0]["filled"]["totalSz"] == "0.1"
    oid = client.order(row("buy", "0.1", "94000", tif="Gtc"))[0]["resting"]["oid"]
    for price, left in ((93_990, "0.07"), (93_980, "0.049"), (93_970, "0.0")):
        client.control("/mark", {"symbol": "BTC", "price": price, "hold_ms": None})
        assert client.info("orderStatus", user=ADDRESS, oid=oid)["order"]["order"]["sz"] == left
    assert position(client) == "0.2"


@pytest.mark.parametrize(
    ("kind", "read", "more"),
    [
        ("hide_fills", "userFills", {}),
        ("hide_orders", "frontendOpenOrders", {}),
        ("hide_position", "clearinghouseState", {"match": {"symbol": "BTC"}}),
    ],
)
def test_hiding(client: Client, kind: str, read: str, more: Any) -> None:
    identity = fault(client, kind, delay_ms=60_000, **more)
    client.order(BUY, STOP)

    def shown() -> Any:
        answer = client.info(read, user=ADDRESS)
        return answer["assetPositions"] if isinstance(answer, dict) else answer

    assert shown() == []
    assert client.control(f"/faults/{identity}", method="DELETE")[0] == 200
    assert len(shown()) == 1
    assert client.control(f"/faults/{identity}", method="DELETE")[0] == 404


def test_zero_and_frozen_prices_fool_feeds_and_not_matching(client: Client) -> None:
    client.order(BUY, STOP)
    zero = fault(client, "zero_price", match={"symbol": "BTC"})
    assert client.info("allMids")["BTC"] == "0.0"
    assert client.info("metaAndAssetCtxs")[1][0]["markPx"] == "0.0"
    assert client.info("allMids")["ETH"] != "0.0"
    time.sleep(0.06)
    assert position(client) == "0.01"
    client.control(f"/faults/{zero}", method="DELETE")
    fault(client, "freeze_price", match={"symbol": "BTC"})
    assert client.info("metaAndAssetCtxs")[1][0]["markPx"] == "95000.0"
    client.control("/mark", {"symbol": "BTC", "price": 92000})
    assert client.info("metaAndAssetCtxs")[1][0]["markPx"] == "95000.0"
    assert client.control("/mark")[1]["BTC"] == "92000.0"
    assert position(client) == "0"


@pytest.mark.parametrize(("then", "ends"), [("reject", "0.01"), ("fill", "0")])
def test_a_fired_stop_waits_and_then_fills_or_does_not(client: Client, then: str, ends: str) -> None:
    fault(client, "stop_no_fill", delay_ms=60, then=then)
    oid = client.order(BUY, STOP)[1]["resting"]["oid"]
    client.control("/mark", {"symbol": "BTC", "price": 92900})
    assert client.info("orderStatus", user=ADDRESS, oid=oid)["order"]["status"] == "triggered"
    assert position(client) == "0.01"
    assert witness(client)["naked_intervals"]
    while client.info("orderStatus", user=ADDRESS, oid=oid)["order"]["status"] == "triggered":
        time.sleep(0.01)
    assert position(client) == ends


def test_stops_that_are_ignored_stay_open_and_fire_at_the_next_mark_after_it(client: Client) -> None:
    other = fault(client, "ignore_stops", match={"symbol": "ETH"})
    ours = fault(client, "ignore_stops", match={"symbol": "BTC"})
    oid = client.order(BUY, STOP)[1]["resting"]["oid"]
    for price in (92950, 92900):
        client.control("/mark", {"symbol": "BTC", "price": price, "hold_ms": None})
    assert client.info("orderStatus", user=ADDRESS, oid=oid)["order"]["status"] == "open"
    assert position(client) == "0.01"
    assert witness(client)["naked_intervals"] == []
    used = {rule["id"]: rule["used"] for rule in client.control("/faults")[1]}
    assert used == {other: 0, ours: 2}
    client.control(f"/faults/{ours}", method="DELETE")
    assert position(client) == "0.01"
    client.control("/mark", {"symbol": "BTC", "price": 92890, "hold_ms": None})
    assert client.info("orderStatus", user=ADDRESS, oid=oid)["order"]["status"] == "filled"
    assert position(client) == "0"


def test_ignored_stops_are_stops_alone(client: Client) -> None:
    fault(client, "ignore_stops")
    client.order(BUY, stop_row("sell", "0.01", "97000", "88000", kind="tp"))
    client.control("/mark", {"symbol": "BTC", "price": 97100, "hold_ms": None})
    assert position(client) == "0"


def test_liquidation_skew_and_the_hand(client: Client) -> None:
    fault(client, "clock_skew", skew_ms=-3_600_000)
    assert client.control("/health")[1]["time_ms"] < time.time() * 1000 - 3_000_000
    client.control("/faults", method="DELETE")
    client.order(BUY, STOP)
    assert client.control("/hand", {"account": ADDRESS, "symbol": "BTC", "side": "buy", "size": "0.02"})[0] == 200
    assert position(client) == "0.03"
    assert client.control("/hand", {"account": ADDRESS, "cancel": "stops"})[1]["canceled"]
    client.control("/hand", {"account": ADDRESS, "symbol": "BTC", "side": "sell", "size": "0.05"})
    assert position(client) == "-0.02"
    by_hand = client.info("userFills", user=ADDRESS)[0]
    status = client.info("orderStatus", user=ADDRESS, oid=by_hand["oid"])["order"]["order"]
    assert (status["tif"], status["orderType"], status["cloid"]) == ("FrontendMarket", "Market", None)
    assert witness(client)["flips"] == 1
    assert client.control("/liquidate", {"account": ADDRESS, "symbol": "BTC"})[0] == 200
    fill = client.info("userFills", user=ADDRESS)[0]
    assert fill["dir"] == "Liquidated Cross Short"
    assert fill["liquidation"]["liquidatedUser"] == ADDRESS
    assert client.info("orderStatus", user=ADDRESS, oid=fill["oid"]) == {"status": "unknownOid"}
    assert client.control("/hand", {"account": ADDRESS, "symbol": "BTC", "close": True})[0] == 400
    client.order(BUY)
    fault(client, "liquidation", match={"account": ADDRESS, "symbol": "BTC"})
    time.sleep(0.05)
    assert position(client) == "0"
