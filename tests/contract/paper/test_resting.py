"""A resting entry with a stop of its own (`normalTpsl`), sent through ccxt with own cloids and read back through it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.contract.paper.test_ccxt import BTC, C1, C2, exchange
from tests.unit.paper.helpers import ADDRESS, Client, row, stop_row

READINGS = [(places, cancels) for places in (False, True) for cancels in (True, False)]


def bracket(made: Any, px: str = "94000", *, tif: str = "Gtc") -> Any:
    """Send entry and stop as one signed action; return the venue's statuses."""
    orders = [row("buy", "0.1", px, tif=tif, c=C1), stop_row("sell", "0.1", "93000", "84000", c=C2)]
    action = {"type": "order", "orders": orders, "grouping": "normalTpsl"}
    nonce = int(time.time() * 1000)
    signed = {"action": action, "nonce": nonce, "signature": made.sign_l1_action(action, nonce, None)}
    answer = made.privatePostExchange(signed)
    assert answer["status"] == "ok", answer
    return answer["response"]["data"]["statuses"]


def mark(venue: Client, price: float) -> None:
    assert venue.control("/mark", {"symbol": "BTC", "price": price, "hold_ms": None})[0] == 200


def part_filled(venue: Client, made: Any) -> int:
    """A parent that has filled by three tenths; return its order id."""
    body = {"kind": "partial_fill", "match": {"action": "resting"}, "fraction": "0.3"}
    assert venue.control("/faults", body)[0] == 200
    oid = int(bracket(made)[0]["resting"]["oid"])
    mark(venue, 93_990)
    assert made.fetch_positions([BTC])[0]["contracts"] == pytest.approx(0.03)
    return oid


def stop_status(made: Any) -> str:
    found = made.fetch_order(C2, BTC, {"clientOrderId": C2})["info"]["status"]
    waits = [order for order in made.fetch_open_orders(BTC) if order["clientOrderId"] == C1]
    children = [child["cloid"] for order in waits for child in order["info"]["children"]]
    return "waits" if found == "open" and C2 in children else str(found)


@pytest.mark.parametrize("tif", ["Gtc", "Alo"])
def test_parent_rests_child_waits_and_goes_live_with_the_whole_fill(venue: Client, tif: str) -> None:
    made = exchange(venue)
    parent, child = bracket(made, tif=tif)
    oid = int(parent["resting"]["oid"])
    assert parent["resting"] == {"oid": parent["resting"]["oid"], "cloid": C1}
    assert child == "waitingForFill"
    shown = {order["clientOrderId"]: order["info"] for order in made.fetch_open_orders(BTC)}
    assert set(shown) == {C1, C2}
    assert [kid["cloid"] for kid in shown[C1]["children"]] == [C2]
    assert shown[C2]["orderType"] == "Stop Market"
    assert (int(shown[C1]["oid"]), shown[C1]["tif"]) == (oid, tif)
    mark(venue, 93_990)
    assert made.fetch_positions([BTC])[0]["contracts"] == pytest.approx(0.1)
    live = made.fetch_open_orders(BTC)
    assert [(order["clientOrderId"], order["amount"]) for order in live] == [(C2, 0.1)]
    assert made.fetch_my_trades(BTC)[0]["takerOrMaker"] == "maker"
    book = venue.control("/witness")[1][ADDRESS]["BTC"]
    assert book["naked_intervals"] == []
    mark(venue, 92_990)
    assert made.fetch_positions([BTC]) == []


def test_a_child_that_waits_is_no_cover(venue: Client) -> None:
    made = exchange(venue)
    part_filled(venue, made)
    assert stop_status(made) == "waits"
    mark(venue, 92_990.0)
    # beyond the trigger of a stop that is not live: the rest of the parent fills, and only then the stop does its work
    assert made.fetch_positions([BTC]) == []
    assert venue.control("/witness")[1][ADDRESS]["BTC"]["naked_intervals"][0]["size"] == "0.03"


@pytest.mark.parametrize("places", [False, True])
def test_a_part_fill_places_the_child_or_not_by_knob(venue: Client, places: bool) -> None:
    venue.control("/settings", {"partial_parent_places_children": places})
    made = exchange(venue)
    oid = part_filled(venue, made)
    live = {order["clientOrderId"]: order for order in made.fetch_open_orders(BTC)}
    assert (live[C1]["remaining"], live[C1]["info"]["origSz"]) == (pytest.approx(0.07), "0.1")
    naked = venue.control("/witness")[1][ADDRESS]["BTC"]["naked_intervals"]
    assert bool(naked) is not places
    mark(venue, 93_980)  # the next touch fills it
    assert made.fetch_order(str(oid), BTC)["status"] == "closed"
    assert [order["clientOrderId"] for order in made.fetch_open_orders(BTC)] == [C2]


@pytest.mark.parametrize(("places", "cancels"), READINGS)
@pytest.mark.parametrize("by_hand", [False, True])
def test_cancelling_a_part_filled_parent(venue: Client, places: bool, cancels: bool, by_hand: bool) -> None:
    venue.control("/settings", {"partial_parent_places_children": places, "canceled_parent_cancels_children": cancels})
    made = exchange(venue)
    oid = part_filled(venue, made)
    if by_hand:
        assert venue.control("/hand", {"account": ADDRESS, "cancel": "entries"})[1] == {"canceled": [oid]}
    else:
        made.cancel_order(str(oid), BTC)
    record = venue.info("orderStatus", user=ADDRESS, oid=C1)["order"]
    assert (record["status"], record["order"]["sz"], record["order"]["origSz"]) == ("canceled", "0.07", "0.1")
    assert stop_status(made) == ("canceled" if cancels else "open")
    assert bool(made.fetch_open_orders(BTC)) is not cancels
    mark(venue, 93_100)
    assert made.fetch_positions([BTC])[0]["contracts"] == pytest.approx(0.03)


@pytest.mark.parametrize("cancels", [True, False])
def test_cancelling_an_unfilled_parent_cancels_the_child_in_every_reading(venue: Client, cancels: bool) -> None:
    venue.control("/settings", {"canceled_parent_cancels_children": cancels})
    made = exchange(venue)
    bracket(made)
    made.cancel_order("", BTC, {"clientOrderId": C1})
    assert made.fetch_open_orders(BTC) == []
    assert stop_status(made) == "canceled"


def test_alo_that_would_match_is_refused_and_its_child_with_it(venue: Client) -> None:
    made = exchange(venue)
    orders = [row("buy", "0.1", "96000", tif="Alo", c=C1), stop_row("sell", "0.1", "93000", "84000", c=C2)]
    statuses = venue.order(*orders, grouping="normalTpsl")
    words = "Post only order would have immediately matched, bbo was 94995@95005. asset=0"
    assert statuses == [{"error": words}, {"error": words}]
    assert made.fetch_open_orders(BTC) == []
    for name in (C1, C2):
        assert venue.info("orderStatus", user=ADDRESS, oid=name)["order"]["status"] == "badAloPxRejected"
    assert [entry["status"] for entry in venue.info("historicalOrders", user=ADDRESS)] == ["badAloPxRejected"] * 2


def test_a_refused_stop_takes_its_parent_with_it(venue: Client) -> None:
    venue.control("/faults", {"kind": "refuse_stop", "text": "Not today."})
    orders = [row("buy", "0.1", "94000", tif="Gtc", c=C1), stop_row("sell", "0.1", "93000", "84000", c=C2)]
    assert venue.order(*orders, grouping="normalTpsl") == [{"error": "Not today."}] * 2
    assert venue.info("openOrders", user=ADDRESS) == []


def test_a_modified_parent_keeps_its_child(venue: Client) -> None:
    made = exchange(venue)
    bracket(made)
    made.edit_order(made.fetch_order(C1, BTC, {"clientOrderId": C1})["id"], BTC, "limit", "buy", 0.1, 93_500)
    assert len(made.fetch_open_orders(BTC)) == 2
    mark(venue, 93_490)
    assert [order["clientOrderId"] for order in made.fetch_open_orders(BTC)] == [C2]
    assert venue.control("/witness")[1][ADDRESS]["BTC"]["naked_intervals"] == []


def test_a_liquidation_leaves_no_child_waiting_for_ever(venue: Client) -> None:
    made = exchange(venue)
    venue.order(row("buy", "0.01", "99000"))
    bracket(made)
    assert venue.control("/liquidate", {"account": ADDRESS, "symbol": "BTC"})[0] == 200
    assert made.fetch_open_orders(BTC) == []
    assert stop_status(made) == "canceled"
