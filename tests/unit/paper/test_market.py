"""Matching by table: what is refused and in which words, what fires, what follows a position, what is liquidated."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exchange.paper.desk import GroupingError
from exchange.paper.margin import liquidation_px
from exchange.paper.model import Filled, NewOrder, Refused, Resting, Waiting
from tests.unit.paper.helpers import USER, market, order, trigger


def held(made: Any, coin: str = "BTC") -> Decimal:
    position = made.accounts[USER].positions.get(coin)
    return position.size if position else Decimal(0)


def last_status(made: Any, oid: int) -> str:
    found: str = [o for o in made.accounts[USER].history if o.oid == oid][-1].status
    return found


REFUSALS = [
    (order("buy", "0.00001"), "Order must have minimum value of $10.", "minTradeNtlRejected"),
    (order("buy", "0.000001"), "Order has invalid size.", "rejected"),
    (order("buy", "0"), "Order has zero size.", "rejected"),
    (order("buy", "0.01", "95000.5"), "Price must be divisible by tick size.", "tickRejected"),
    (order("buy", "1", "3400.123", coin="ETH"), "Price must be divisible by tick size.", "tickRejected"),
    (order("buy", "0.01", "10000", "Gtc"), "more than 80% away", "oracleRejected"),
    (order("buy", "0.01", "90000"), "could not immediately match", "iocCancelRejected"),
    (order("buy", "0.01", "96000", "Alo"), "Post only order would have immediately matched", "badAloPxRejected"),
    (order("buy", "9", "96000"), "Insufficient margin to place order.", "perpMarginRejected"),
    (order("sell", "0.01", ro=True), "Reduce only order would increase position.", "reduceOnlyRejected"),
    (trigger("sell", "0.01", "95000"), "Invalid TP/SL price.", "badTriggerPxRejected"),
    (trigger("sell", "0.01", "96000"), "Invalid TP/SL price.", "badTriggerPxRejected"),
    (trigger("buy", "0.01", "94000"), "Invalid TP/SL price.", "badTriggerPxRejected"),
    (trigger("sell", "0.01", "94000", "tp"), "Invalid TP/SL price.", "badTriggerPxRejected"),
    (trigger("sell", "0.01", "93000", worst="93500"), "Invalid TP/SL price.", "badTriggerPxRejected"),
]


@pytest.mark.parametrize(("asked", "words", "status"), REFUSALS)
def test_refusals_say_the_venues_words_and_leave_a_record(asked: NewOrder, words: str, status: str) -> None:
    made = market()
    placed = made.place(USER, [asked], "na", 1)[0]
    assert isinstance(placed, Refused)
    assert words in placed.text
    assert placed.text.split()[-1].startswith("asset=")
    assert placed.status == status
    assert [o.status for o in made.accounts[USER].history] == [status]
    assert not made.accounts[USER].orders


def test_integer_prices_are_always_on_the_grid() -> None:
    made = market()
    made.set_mark("BTC", Decimal(123456), 1)
    assert isinstance(made.place(USER, [order("buy", "0.01", "123321", "Gtc")], "na", 1)[0], Resting)


def test_entry_and_stop_of_one_action_leave_a_covered_position_and_the_stop_closes_it() -> None:
    made = market()
    entry, stop = made.place(USER, [order("buy", "0.01"), trigger("sell", "0.01", "93000")], "na", 1)
    assert isinstance(entry, Filled)
    assert isinstance(stop, Resting)
    made.set_mark("BTC", Decimal(93001), 2)
    assert held(made) == Decimal("0.01")
    made.set_mark("BTC", Decimal(93000), 3)
    assert held(made) == 0
    records = [o.status for o in made.accounts[USER].history if o.oid == stop.order.oid]
    assert records == ["open", "triggered", "filled"]
    assert made.accounts[USER].fills[-1].direction == "Close Long"


def test_a_stop_beyond_its_worst_price_finds_no_liquidity_and_leaves_the_position() -> None:
    made = market()
    made.place(USER, [order("buy", "0.01"), trigger("sell", "0.01", "93000", worst="92070")], "na", 1)
    stop = next(iter(made.accounts[USER].orders.values()))
    made.set_mark("BTC", Decimal(91000), 2)
    assert held(made) == Decimal("0.01")
    assert last_status(made, stop.oid) == "marketOrderNoLiquidityRejected"


def test_a_thin_book_fills_an_ioc_in_part_and_drops_the_rest() -> None:
    made = market(level_usd=Decimal(500))
    placed = made.place(USER, [order("buy", "0.05", "95030")], "na", 1)[0]
    assert isinstance(placed, Filled)
    assert Decimal(0) < placed.size < Decimal("0.05")
    assert held(made) == placed.size
    assert placed.order.status == "filled"
    assert placed.order.size == Decimal("0.05") - placed.size


def test_a_resting_order_fills_as_maker_at_its_own_price() -> None:
    made = market()
    placed = made.place(USER, [order("buy", "0.01", "94000", "Gtc")], "na", 1)[0]
    assert isinstance(placed, Resting)
    made.set_mark("BTC", Decimal(93900), 2)
    fill = made.accounts[USER].fills[-1]
    assert (fill.px, fill.crossed, fill.fee) == (Decimal(94000), False, Decimal("0.141"))


def test_reduce_only_is_cut_to_the_position_and_keeps_its_size_on_record() -> None:
    made = market()
    made.place(USER, [order("buy", "0.01")], "na", 1)
    placed = made.place(USER, [order("sell", "0.05", ro=True)], "na", 2)[0]
    assert isinstance(placed, Filled)
    assert placed.size == Decimal("0.01")
    assert placed.order.orig_size == Decimal("0.05")
    assert held(made) == 0


def test_a_part_close_below_ten_dollars_is_refused_but_the_whole_position_may_go() -> None:
    made = market()
    made.place(USER, [order("buy", "0.00015")], "na", 1)
    made.set_mark("BTC", Decimal(60000), 2)
    refused = made.place(USER, [order("sell", "0.00014", "59000", ro=True)], "na", 3)[0]
    assert isinstance(refused, Refused)
    assert isinstance(made.place(USER, [order("sell", "0.00015", "59000", ro=True)], "na", 4)[0], Filled)


def test_resting_reduce_only_orders_shrink_and_the_newest_pushes_out_the_oldest() -> None:
    made = market()
    made.place(USER, [order("buy", "0.02")], "na", 1)
    first = made.place(USER, [order("sell", "0.02", "99000", "Gtc", ro=True)], "na", 2)[0]
    second = made.place(USER, [order("sell", "0.02", "98000", "Gtc", ro=True)], "na", 3)[0]
    assert isinstance(first, Resting)
    assert isinstance(second, Resting)
    assert last_status(made, first.order.oid) == "reduceOnlyCanceled"
    made.place(USER, [order("sell", "0.01", ro=True)], "na", 4)
    assert made.accounts[USER].orders[second.order.oid].size == Decimal("0.01")
    made.place(USER, [order("sell", "0.01", ro=True)], "na", 5)
    assert last_status(made, second.order.oid) == "reduceOnlyCanceled"


@pytest.mark.parametrize("outlives", [True, False])
def test_a_standalone_stop_outlives_its_position_or_not(outlives: bool) -> None:
    made = market(ro_trigger_outlives_position=outlives)
    made.place(USER, [order("buy", "0.01"), trigger("sell", "0.01", "93000")], "na", 1)
    made.place(USER, [order("sell", "0.01", ro=True)], "na", 2)
    assert bool(made.accounts[USER].orders) is outlives


@pytest.mark.parametrize("needs", [True, False])
def test_a_reduce_only_trigger_without_position_by_knob(needs: bool) -> None:
    made = market(ro_trigger_needs_position=needs)
    placed = made.place(USER, [trigger("sell", "0.01", "93000")], "na", 1)[0]
    assert isinstance(placed, Refused) is needs


@pytest.mark.parametrize("limited", [True, False])
def test_two_stops_together_may_exceed_the_position_by_knob(limited: bool) -> None:
    made = market(ro_triggers_sum_limited=limited)
    made.place(USER, [order("buy", "0.01"), trigger("sell", "0.01", "93000")], "na", 1)
    assert isinstance(made.place(USER, [trigger("sell", "0.01", "93500")], "na", 2)[0], Refused) is limited


@pytest.mark.parametrize("refused", [True, False])
def test_a_cloid_of_an_open_order_by_knob(refused: bool) -> None:
    made = market(cloid_reuse_refused=refused)
    name = "0x" + "1" * 32
    made.place(USER, [order("buy", "0.01", "90000", "Gtc", cloid=name)], "na", 1)
    again = made.place(USER, [order("buy", "0.01", "90000", "Gtc", cloid=name)], "na", 2)[0]
    assert isinstance(again, Refused) is refused


@pytest.mark.parametrize("keeps", [True, False])
def test_a_failed_modify_by_knob(keeps: bool) -> None:
    made = market(failed_modify_keeps_order=keeps)
    made.place(USER, [order("buy", "0.01"), trigger("sell", "0.01", "93000")], "na", 1)
    stop = next(iter(made.accounts[USER].orders))
    assert isinstance(made.modify(USER, stop, trigger("sell", "0.01", "95500"), 2), Refused)
    assert (stop in made.accounts[USER].orders) is keeps


def test_modify_gives_a_new_id_and_cancels_the_old_one_after_it() -> None:
    made = market()
    made.place(USER, [order("buy", "0.01", "90000", "Gtc", cloid="0x" + "1" * 32)], "na", 1)
    old = next(iter(made.accounts[USER].orders))
    placed = made.modify(USER, "0x" + "1" * 32, order("buy", "0.02", "91000", "Gtc"), 2)
    assert isinstance(placed, Resting)
    assert [(o.oid, o.status) for o in made.accounts[USER].history][1:] == [
        (placed.order.oid, "open"),
        (old, "canceled"),
    ]
    again = made.modify(USER, old, order("buy", "0.02", "91000", "Gtc"), 3)
    assert isinstance(again, Refused)
    assert "Cannot modify" in again.text


def test_normal_tpsl_children_wait_for_the_fill_and_one_ends_the_other() -> None:
    made = market()
    legs = [
        order("buy", "0.01", "94000", "Gtc"),
        trigger("sell", "0.01", "97000", "tp"),
        trigger("sell", "0.01", "93000"),
    ]
    parent, target, stop = made.place(USER, legs, "normalTpsl", 1)
    assert isinstance(parent, Resting)
    assert isinstance(target, Waiting)
    assert isinstance(stop, Waiting)
    assert (target.word, stop.word) == ("waitingForFill", "waitingForFill")
    made.set_mark("BTC", Decimal(93990), 2)
    assert {o.status for o in made.accounts[USER].orders.values()} == {"open"}
    made.set_mark("BTC", Decimal(92900), 3)
    assert held(made) == 0
    assert last_status(made, target.order.oid) == "siblingFilledCanceled"


@pytest.mark.parametrize("born", [True, False])
def test_children_of_a_part_filled_parent_by_knob(born: bool) -> None:
    made = market(level_usd=Decimal(500), book_levels=1, partial_parent_places_children=born)
    legs = [order("buy", "0.05", "96000", "Gtc"), trigger("sell", "0.05", "93000")]
    made.place(USER, legs, "normalTpsl", 1)
    assert Decimal(0) < held(made) < Decimal("0.05")
    assert any(o.status == "open" and o.trigger for o in made.accounts[USER].orders.values()) is born


def test_children_end_with_a_parent_that_never_filled() -> None:
    made = market()
    legs = [order("buy", "0.01", "94000", "Gtc"), trigger("sell", "0.01", "93000")]
    parent = made.place(USER, legs, "normalTpsl", 1)[0]
    assert isinstance(parent, Resting)
    assert made.cancel(USER, "BTC", parent.order.oid, 2) is None
    assert not made.accounts[USER].orders


@pytest.mark.parametrize("reading", ["canceled_parent_cancels_children", "partial_parent_places_children"])
@pytest.mark.parametrize("value", [True, False])
def test_the_rest_of_an_ioc_parent_and_its_children_by_knob(reading: str, value: bool) -> None:
    made = market(level_usd=Decimal(500), book_levels=1, **{reading: value})
    legs = [order("buy", "0.05", "96000"), trigger("sell", "0.05", "93000")]
    made.place(USER, legs, "normalTpsl", 1)
    assert Decimal(0) < held(made) < Decimal("0.05")
    # an IOC answers filled whatever its rest: no cancel has to do with it
    assert bool(made.accounts[USER].orders) is (reading == "partial_parent_places_children" and value)


def test_a_modify_that_fails_leaves_the_children_waiting() -> None:
    made = market()
    legs = [order("buy", "0.01", "94000", "Gtc"), trigger("sell", "0.01", "93000")]
    parent = made.place(USER, legs, "normalTpsl", 1)[0]
    assert isinstance(parent, Resting)
    assert isinstance(made.modify(USER, parent.order.oid, order("buy", "9", "94000", "Gtc"), 2), Refused)
    assert [o.status for o in made.accounts[USER].orders.values()] == ["waitingForFill", "open"]
    filled = made.modify(USER, parent.order.oid, order("buy", "0.01", "96000", "Gtc"), 3)
    assert not isinstance(filled, Refused)
    assert [o.status for o in made.accounts[USER].orders.values() if o.trigger] == ["open"]


def test_groupings_of_the_wrong_form_are_refused() -> None:
    made = market()
    with pytest.raises(GroupingError, match="Main order cannot be trigger order"):
        made.place(USER, [trigger("sell", "0.01", "93000")] * 2, "normalTpsl", 1)
    with pytest.raises(GroupingError, match="Unexpected number of trigger orders"):
        made.place(USER, [order("buy", "0.01")], "normalTpsl", 1)


def test_a_position_tpsl_follows_the_whole_position_and_dies_with_it() -> None:
    made = market()
    assert isinstance(made.place(USER, [trigger("sell", "0", "93000")], "positionTpsl", 1)[0], Refused)
    made.place(USER, [order("buy", "0.01")], "na", 2)
    assert isinstance(made.place(USER, [trigger("sell", "0", "93000")], "positionTpsl", 3)[0], Waiting)
    made.place(USER, [order("buy", "0.02")], "na", 4)
    made.set_mark("BTC", Decimal(92990), 5)
    assert held(made) == 0
    made.place(USER, [order("buy", "0.01", "99000")], "na", 6)
    made.place(USER, [trigger("sell", "0", "90000")], "positionTpsl", 7)
    made.place(USER, [order("sell", "0.01", "90000", ro=True)], "na", 8)
    assert not made.accounts[USER].orders


@pytest.mark.parametrize(("is_cross", "words"), [(False, "Liquidated Isolated Long"), (True, "Liquidated Cross Long")])
def test_liquidation_comes_at_the_computed_price(is_cross: bool, words: str) -> None:
    made = market()
    made.set_leverage(USER, "BTC", 40, is_cross=is_cross)
    made.place(USER, [order("buy", "4" if is_cross else "0.1")], "na", 1)
    account = made.accounts[USER]
    px = liquidation_px(account, account.positions["BTC"], made.marks, made.listing)
    assert px is not None
    made.set_mark("BTC", px + Decimal("0.01"), 2)
    assert held(made) > 0
    made.set_mark("BTC", px - Decimal("0.01"), 3)
    assert held(made) == 0
    fill = account.fills[-1]
    assert fill.direction == words
    assert fill.liquidation_mark == px - Decimal("0.01")


def test_leverage_rules() -> None:
    made = market()
    assert "Invalid leverage" in str(made.set_leverage(USER, "BTC", 41, is_cross=True))
    assert made.set_leverage(USER, "BTC", 5, is_cross=False) is None
    made.place(USER, [order("buy", "0.01")], "na", 1)
    assert made.accounts[USER].positions["BTC"].margin == Decimal("0.01") * Decimal(95005) / 5
    assert "Cannot switch" in str(made.set_leverage(USER, "BTC", 5, is_cross=True))
    assert made.move_margin(USER, "BTC", Decimal(100)) is None
    assert "Insufficient" in str(made.move_margin(USER, "BTC", Decimal(-5000)))


def test_a_flip_is_one_fill_and_funding_is_paid_by_longs() -> None:
    made = market(funding_rate=Decimal("0.0001"))
    made.place(USER, [order("buy", "0.01")], "na", 1)
    made.fund(2)
    assert made.accounts[USER].fundings[0].usdc == Decimal("-0.095")
    made.place(USER, [order("sell", "0.03")], "na", 3)
    assert held(made) == Decimal("-0.02")
    assert made.accounts[USER].fills[-1].direction == "Long > Short"


def test_a_fired_trigger_may_get_a_new_id_by_knob() -> None:
    made = market(fired_trigger_keeps_oid=False)
    made.place(USER, [order("buy", "0.01"), trigger("sell", "0.01", "93000")], "na", 1)
    stop = next(iter(made.accounts[USER].orders))
    made.set_mark("BTC", Decimal(92990), 2)
    assert made.accounts[USER].fills[-1].oid != stop
    assert held(made) == 0


def test_a_stop_limit_that_is_gapped_rests_at_its_price() -> None:
    made = market()
    made.place(USER, [order("buy", "0.01")], "na", 1)
    made.place(USER, [trigger("sell", "0.01", "93000", worst="93000", is_market=False)], "na", 2)
    made.set_mark("BTC", Decimal(92000), 3)
    assert held(made) == Decimal("0.01")
    made.set_mark("BTC", Decimal(93100), 4)
    assert held(made) == 0


def test_cancel_of_what_is_not_there_says_so() -> None:
    assert "never placed, already canceled, or filled" in str(market().cancel(USER, "BTC", 5, 1))


def test_more_than_a_thousand_open_orders_take_no_more_triggers() -> None:
    made = market(max_open_orders=1)
    made.place(USER, [order("buy", "0.01", "90000", "Gtc")], "na", 1)
    assert isinstance(made.place(USER, [trigger("sell", "0.01", "93000")], "na", 2)[0], Refused)
    assert isinstance(made.place(USER, [replace(order("buy", "0.01", "90000", "Gtc"))], "na", 3)[0], Resting)


def test_an_isolated_loss_ends_with_its_margin() -> None:
    made = market()
    made.set_leverage(USER, "BTC", 40, is_cross=False)
    made.place(USER, [order("buy", "0.1")], "na", 1)
    spare = made.accounts[USER].cash
    made.set_mark("BTC", Decimal(60000), 2)
    assert held(made) == 0
    assert made.accounts[USER].cash == spare
