"""Bad prices: what reads show while matching goes on with the true one; where, how often and for whom."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.paper.helpers import ADDRESS, Client, row, stop_row

BUY, STOP = row("buy", "0.01", "99000"), stop_row("sell", "0.01", "93000", "84000")


def fault(client: Client, **more: Any) -> str:
    code, answer = client.control("/faults", {"kind": "bad_price", **more})
    assert code == 200, answer
    return str(answer["id"])


def reads(client: Client, coin: str = "BTC") -> dict[str, Any]:
    """The prices of a coin in every context a REST read shows."""
    asset = {"BTC": 0, "ETH": 1}[coin]
    context = client.info("metaAndAssetCtxs")[1][asset]
    return {
        "mark": context["markPx"],
        "oracle": context["oraclePx"],
        "mid": client.info("allMids")[coin],
        "book": client.info("l2Book", coin=coin)["levels"][0][0]["px"],
        "asset": client.info("activeAssetData", user=ADDRESS, coin=coin)["markPx"],
    }


TRUE = {"mark": "95000.0", "oracle": "95000.0", "mid": "95000.0", "book": "94995.0", "asset": "95000.0"}
BAD = [
    ({}, "either text"),
    ({"text": "0", "factor": "2"}, "either text"),
    ({"text": 5}, "text is 5"),
    ({"factor": "-1"}, "factor is '-1'"),
    ({"factor": "NaN"}, "factor is 'NaN'"),
    ({"factor": True}, "factor is True"),
    ({"text": "0", "every": 0}, "every is 0"),
    ({"text": "0", "every": True}, "every is True"),
    ({"text": "0", "match": {"action": "order"}}, "for bad_price known are any, stream, info, position"),
]


@pytest.mark.parametrize(("body", "words"), BAD)
def test_a_bad_fault_is_refused(client: Client, body: dict[str, Any], words: str) -> None:
    code, answer = client.control("/faults", {"kind": "bad_price", **body})
    assert code == 400
    assert words in answer["error"]


@pytest.mark.parametrize(("text", "shown"), [("NaN", "NaN"), ("-5", "-5"), ("0", "0"), ("null", None), ("", "")])
@pytest.mark.parametrize("action", ["info", None])
def test_a_text_stands_for_every_price_of_the_coin(client: Client, text: str, shown: Any, action: str | None) -> None:
    identity = fault(client, match={"symbol": "BTC", "action": action}, text=text)
    assert reads(client) == dict.fromkeys(TRUE, shown)
    assert reads(client, "ETH")["mark"] == "3400.0"
    client.control(f"/faults/{identity}", method="DELETE")
    assert reads(client) == TRUE


def test_a_factor_moves_the_whole_market_and_matching_does_not_believe_it(client: Client) -> None:
    client.order(BUY, STOP)
    fault(client, factor="0.5")
    assert reads(client) == {
        "mark": "47500.0",
        "oracle": "47500.0",
        "mid": "47500.0",
        "book": "47497.0",
        "asset": "47500.0",
    }
    assert client.info("clearinghouseState", user=ADDRESS)["assetPositions"][0]["position"]["positionValue"] == "950.0"
    client.control("/mark", {"symbol": "BTC", "price": 93_500})
    assert len(client.info("frontendOpenOrders", user=ADDRESS)) == 1  # 46750 is shown, the stop at 93000 stands
    client.control("/mark", {"symbol": "BTC", "price": 92_900})
    assert client.info("clearinghouseState", user=ADDRESS)["assetPositions"] == []


def test_streams_alone_and_reads_alone(client: Client) -> None:
    fault(client, match={"action": "stream"}, text="0")
    assert reads(client) == TRUE
    assert client.info("webData2", user=ADDRESS)["assetCtxs"][0]["markPx"] == "95000.0"


def test_position_rows_only_when_named(client: Client) -> None:
    client.order(BUY, STOP)

    def value() -> Any:
        return client.info("clearinghouseState", user=ADDRESS)["assetPositions"][0]["position"]["positionValue"]

    fault(client, text="NaN")
    assert value() == "950.0"
    client.control("/faults", method="DELETE")
    fault(client, match={"action": "position", "symbol": "BTC"}, factor="0.5", times=1)
    assert value() == "475.0"
    assert value() == "950.0"
    assert reads(client) == TRUE
    fault(client, match={"action": "position", "account": "0x" + "4" * 40}, text="null")
    assert value() == "950.0"
    fault(client, match={"action": "position", "account": ADDRESS}, text="null")
    assert value() is None


def test_times_every_and_nth_count_each_kind_of_answer_on_its_own(client: Client) -> None:
    identity = fault(client, match={"nth": 2}, text="0", every=2, times=2)

    def mids() -> list[str]:
        return [client.info("allMids")["BTC"] for _ in range(3)]

    assert mids() == ["95000.0", "95000.0", "0"]
    client.info("metaAndAssetCtxs")  # another kind of answer: its own count
    assert mids() == ["95000.0", "0", "95000.0"]
    assert mids() == ["95000.0"] * 3
    rule = client.control("/faults")[1][0]
    assert (rule["id"], rule["used"]) == (identity, 2)


def test_how_the_marks_moved_can_be_asked_for_from_a_number_on(client):
    status, before = client.control("/mark/history")
    assert (status, before["marks"]) == (200, [])
    for price in (93_500, 93_600):
        client.control("/mark", {"symbol": "BTC", "price": price, "hold_ms": None})
    told = client.control(f"/mark/history?from={before['next']}")[1]
    assert [(coin, price) for _, coin, price in told["marks"]] == [("BTC", "93500.0"), ("BTC", "93600.0")]
    assert told["marks"][0][0] <= told["marks"][1][0]
    assert client.control(f"/mark/history?from={told['next'] - 1}")[1]["marks"] == told["marks"][1:]
    assert client.control("/mark/history?from=x") == (400, {"error": "from: 'x' is no number, such as 0"})
