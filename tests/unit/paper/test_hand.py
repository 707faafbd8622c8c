"""A person in the venue's own interface: orders placed and cancelled by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.paper.helpers import ADDRESS, Client, row, stop_row

BAD = [
    ({"place": 5}, "place is 5"),
    ({"place": {"kind": "iceberg"}}, "place.kind is 'iceberg'"),
    ({"place": {"kind": "stop", "colour": 1}}, "unknown field 'colour'"),
    ({"place": {"kind": "stop", "price": 93000}}, "side and size must be said"),
    ({"place": {"kind": "stop", "side": "sell", "size": 0.01, "price": -1}}, "place.price is -1"),
    ({"place": {"kind": "stop", "side": "sell", "size": 0.01, "price": 96000}}, "the venue refuses: Invalid TP/SL"),
    ({"place": {"kind": "limit", "side": "up", "size": 0.01, "price": 94000}}, "side is 'up'"),
    ({"place": {"kind": "limit", "side": "buy", "size": 0.01, "price": 94000, "tif": "Fok"}}, "place.tif is 'Fok'"),
    ({"place": {"kind": "limit", "side": "buy", "size": 1, "price": 9, "reduce_only": 1}}, "place.reduce_only is 1"),
    ({"cancel": "everything"}, '"stops", "entries" or "all"'),
]


def hand(client: Client, **more: Any) -> tuple[int, Any]:
    return client.control("/hand", {"account": ADDRESS, "symbol": "BTC", **more})


@pytest.mark.parametrize(("body", "words"), BAD)
def test_what_cannot_be_done_is_said_in_one_line(client: Client, body: dict[str, Any], words: str) -> None:
    code, answer = hand(client, **body)
    assert code == 400
    assert words in answer["error"]
    assert client.info("openOrders", user=ADDRESS) == []


def test_a_stop_by_hand_covers_the_whole_position_and_has_no_cloid(client: Client) -> None:
    hand(client, side="buy", size="0.03")
    code, answer = hand(client, place={"kind": "stop", "price": 93000})
    assert (code, answer["state"], answer["position"]) == (200, "resting", "0.03")
    shown = client.info("frontendOpenOrders", user=ADDRESS)[0]
    assert (shown["oid"], shown["orderType"], shown["sz"], shown["reduceOnly"]) == (
        answer["oid"],
        "Stop Market",
        "0.03",
        True,
    )
    assert (shown["side"], shown["limitPx"], shown["cloid"]) == ("A", "83700.0", None)
    book = client.control("/witness")[1][ADDRESS]["BTC"]
    assert book["naked_intervals"][0]["to_ms"] is not None
    hand(client, place={"kind": "target", "price": 97000, "size": "0.01", "side": "sell", "worst": 96000})
    target = client.info("frontendOpenOrders", user=ADDRESS)[0]
    assert (target["orderType"], target["sz"], target["limitPx"]) == ("Take Profit Market", "0.01", "96000.0")


def test_a_limit_by_hand_rests_and_entries_alone_are_cancelled(client: Client) -> None:
    client.order(row("buy", "0.01", "99000"), stop_row("sell", "0.01", "93000", "84000"))
    _, entry = hand(client, place={"kind": "limit", "side": "buy", "size": "0.01", "price": 94000, "tif": "Alo"})
    _, close = hand(
        client, place={"kind": "limit", "side": "sell", "size": "0.01", "price": 96000, "reduce_only": True}
    )
    assert (entry["state"], close["state"]) == ("resting", "resting")
    assert hand(client, cancel="entries") == (200, {"canceled": [entry["oid"]]})
    assert len(client.info("openOrders", user=ADDRESS)) == 2
    _, taken = hand(client, place={"kind": "limit", "side": "buy", "size": "0.01", "price": 96000, "tif": "Ioc"})
    assert (taken["state"], taken["position"]) == ("filled", "0.02")
    assert len(hand(client, cancel="all")[1]["canceled"]) == 2
    assert client.info("openOrders", user=ADDRESS) == []
