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
