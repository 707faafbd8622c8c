"""What counts as cover, and what the witness makes of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.paper.model import Order, Trigger
from exchange.paper.witness import Witness, signal_of, uncovered
from tests.unit.paper.helpers import USER, market, order, trigger

STOP = trigger("sell", "0.01", "93000")
NOT_COVER = [
    replace(STOP, reduce_only=False),
    replace(STOP, trigger=Trigger(Decimal(93000), False, "sl")),
    trigger("sell", "0.01", "97000", "tp"),
    trigger("buy", "0.01", "97000"),
    replace(STOP, coin="ETH", trigger=Trigger(Decimal(3000), True, "sl"), limit_px=Decimal(2700)),
]


@pytest.mark.parametrize("asked", NOT_COVER)
def test_what_is_not_cover(asked: object) -> None:
    made = market()
    made.place(USER, [order("buy", "0.01"), asked], "na", 1)  # type: ignore[list-item]
    assert len(made.accounts[USER].orders) == 1
    assert uncovered(made.accounts[USER], "BTC") == Decimal("0.01")


def test_sums_and_whole_position_stops_cover_and_waiting_children_do_not() -> None:
    made = market()
    account = made.accounts[USER]
    made.place(USER, [order("buy", "0.03"), STOP], "na", 1)
    assert uncovered(account, "BTC") == Decimal("0.02")
    made.place(USER, [replace(STOP, size=Decimal("0.05"))], "na", 2)
    assert uncovered(account, "BTC") == 0
    for oid in list(account.orders):
        made.cancel(USER, "BTC", oid, 3)
    made.place(USER, [replace(STOP, size=Decimal(0))], "positionTpsl", 4)
    assert uncovered(account, "BTC") == 0
    made.cancel(USER, "BTC", next(iter(account.orders)), 5)
    made.place(USER, [order("buy", "0.01", "94000", "Gtc"), replace(STOP, size=Decimal("0.04"))], "normalTpsl", 6)
    assert uncovered(account, "BTC") == Decimal("0.03")


def test_an_interval_keeps_its_greatest_size_and_closes_with_the_cover() -> None:
    made, witness = market(), Witness()
    made.listeners.append(witness.hear)
    steps = ((order("buy", "0.01"), 1000), (order("buy", "0.02"), 2000), (replace(STOP, size=Decimal("0.03")), 3500))
    for asked, at_us in steps:
        made.place(USER, [asked], "na", 1)
        witness.judge(made.accounts, at_us)
    book = witness.as_json(9999)[USER]["BTC"]
    assert book["naked_intervals"] == [{"from_ms": 1.0, "to_ms": 3.5, "size": "0.03"}]
    assert book["naked_ms"] == 2.5
    assert book["entries_by_signal"] == {"by hand": 2}
    assert book["duplicates"] == 0


def test_signals_and_roles_are_read_from_the_id() -> None:
    made, witness = market(), Witness()
    made.listeners.append(witness.hear)
    trade = "abcdefabcdef"
    entry = "0x57ba1b2c1{:05x}" + trade + "123456"
    for number in (1, 2):
        made.place(USER, [order("buy", "0.01", cloid=entry.format(number))], "na", number)
    made.place(USER, [order("sell", "0.01", cloid="0x57ba1b2c400003" + trade + "123456")], "na", 3)
    witness.judge(made.accounts, 5)
    book = witness.as_json(5)[USER]["BTC"]
    assert (book["entries_by_signal"], book["duplicates"], book["non_reduce_only"]) == ({trade: 2}, 1, 1)
    last: Order = made.accounts[USER].history[-1]
    assert signal_of(last) == (trade, False)


def moves(steps: list[tuple[str, str]], held: str = "0.02", side: str = "buy") -> tuple[int, list[tuple[str, str]]]:
    """Hold a position and do steps ("place" trigger[:size], "cancel" trigger, "hand" trigger, "fault" trigger,
    "modify" from>to); return (moves, what was loosened)."""
    made, witness = market(), Witness()
    made.listeners.append(witness.hear)
    close = "sell" if side == "buy" else "buy"
    oids: dict[str, int] = {}
    made.place(USER, [order(side, held)], "na", 1)
    for number, (verb, text) in enumerate(steps, start=2):
        px, _, size = text.partition(":")
        if verb == "place":
            oids[px] = made.place(USER, [trigger(close, size or held, px)], "na", number)[0].order.oid  # type: ignore[union-attr]
        elif verb == "modify":
            old, _, new = text.partition(">")
            made.modify(USER, oids[old], trigger(close, held, new), number)
        elif verb == "fault":
            made.put(made.accounts[USER].orders[oids[px]], "canceled", number)
        else:
            made.cancel(USER, "BTC", oids[px], number, cause="person" if verb == "hand" else "trader")
        witness.judge(made.accounts, number)
    book = witness.as_json(99)[USER]["BTC"]
    numbers = {oid: px for px, oid in oids.items()}
    assert all(numbers[entry["oid"]] for entry in book["loosened"])
    return book["stop_moves"], [(entry["from"], entry["to"]) for entry in book["loosened"]]


def test_a_stop_moved_up_is_a_move_and_loosens_nothing() -> None:
    assert moves([("place", "93000")]) == (0, [])
    assert moves([("place", "93000"), ("place", "93500"), ("cancel", "93000")]) == (1, [])
    assert moves([("place", "93000"), ("modify", "93000>93500")]) == (1, [])
    assert moves([("place", "97000"), ("place", "96500"), ("cancel", "97000")], side="sell") == (1, [])


def test_a_cover_that_falls_back_is_loosened_by_who_asked_for_it() -> None:
    steps = [("place", "93000"), ("place", "92000")]
    assert moves([*steps, ("cancel", "93000")]) == (1, [("93000.0", "92000.0")])
    assert moves([("place", "93000"), ("modify", "93000>92000")]) == (1, [("93000.0", "92000.0")])
    assert moves([*steps, ("hand", "93000")]) == (1, [])
    assert moves([*steps, ("fault", "93000")]) == (1, [])
    short = [("place", "97000"), ("place", "98000"), ("cancel", "97000")]
    assert moves(short, side="sell") == (1, [("97000.0", "98000.0")])


def test_a_small_stop_near_the_price_does_not_hide_that_the_rest_fell_back() -> None:
    steps = [("place", "93000"), ("place", "92000"), ("place", "94000:0.001"), ("cancel", "93000")]
    assert moves(steps) == (2, [("93000.0", "92000.0")])


def test_to_nothing_is_naked_and_not_loosened_and_litter_after_the_close_is_neither() -> None:
    assert moves([("place", "93000"), ("cancel", "93000")]) == (0, [])
    made, witness = market(), Witness()
    made.listeners.append(witness.hear)
    stops = [trigger("sell", "0.01", "93000"), trigger("sell", "0.01", "92000")]
    made.place(USER, [order("buy", "0.01"), *stops], "na", 1)
    made.place(USER, [order("sell", "0.01", ro=True)], "na", 2)
    for oid in sorted(made.accounts[USER].orders):
        made.cancel(USER, "BTC", oid, 3)
    witness.judge(made.accounts, 4)
    book = witness.as_json(5)[USER]["BTC"]
    assert (book["stop_moves"], book["loosened"], book["exits"][0]["closed_by"]) == (1, [], "Limit")
