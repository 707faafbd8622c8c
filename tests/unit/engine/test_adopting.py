"""What nobody owns may become the account's own: which position, with which stop, and a dead installation's orders."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.model import Distance, Order, Role, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import BreakEven, Gain, Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, Origin
from stopkeeper.core.rules import OrphanPolicy, Rules
from stopkeeper.engine import adopting
from stopkeeper.engine.door import VenueAway
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.typed import Refused
from tests.unit.core.scene import INST, KEY, NOW, RULES, TRADE, cid, found_trade, position, record, stop
from tests.unit.engine.scene import ETH, D, Stage, protected

OWN = Policy(Trail(TrailKind.PERCENT, D("0.02")), BreakEven(Gain(r=D(1))))
WITH_POLICY = replace(RULES, policy=OWN)
OTHER = "fffff"


@contextmanager
def refused(field: str, value: str) -> Iterator[None]:
    """Expect a refusal of a field's value, with a reason and a hint."""
    with pytest.raises(Refused) as caught:
        yield
    assert (caught.value.field, caught.value.value) == (field, value)
    assert caught.value.reason
    assert caught.value.hint


def found(stands: str | None = "95", rules: Rules = WITH_POLICY, side: Side = Side.LONG, **more: Any) -> Stage:
    """Return a stage where a position was found, kept by the policy protect, with a stop or without."""
    stage = Stage(rules=rules)
    stage.venue.held["BTC"] = position(side=side)
    stop_price = None if stands is None else D(stands)
    trade = found_trade(**{"orphan": OrphanPolicy.PROTECT, "side": side, "stop": stop_price, **more})
    stage.put(record(trade))
    if stop_price is not None:
        worst = stop_price * (1 - side.sign * D("0.1"))
        stage.venue.live = [stop(f"{stop_price}", side=side.opposite, price=worst)]
    return stage


# --- which position --------------------------------------------------------------------------------------------


def test_an_orphan_becomes_the_accounts_own_with_the_accounts_rule_and_its_stop_where_it_is() -> None:
    stage = found()
    row = adopting.adopt(KEY, None, stage.ports)
    trade = stage.trade()
    assert (trade.orphan, trade.policy, trade.stop, trade.stop_moved_by) == (None, OWN, D(95), "entry")
    assert (row.trade_id, row.stop_price, row.orphan) == (trade.id, D(95), None)
    assert (row.trail, row.breakeven) == (str(OWN.trail), str(OWN.breakeven))
    assert stage.due_ms() == 0
    assert stage.sent() == []
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("BTC", "asked")
    for said in ("95", str(OWN.trail), str(OWN.breakeven)):
        assert said in line["text"]


def test_a_position_that_nobody_has_taken_in_yet_is_taken_in_first() -> None:
    stage = Stage(rules=WITH_POLICY)
    stage.venue.held["BTC"] = position()
    row = adopting.adopt(KEY, None, stage.ports)
    trade = stage.trade()
    assert (trade.origin, trade.orphan, trade.policy) == (Origin.FOUND, None, OWN)
    assert row.trade_id == trade.id


def test_what_is_the_accounts_own_already_is_no_orphan() -> None:
    stage = protected()
    with refused("symbol", "BTC"):
        adopting.orphan_of(KEY, stage.ports)


def test_a_trade_that_is_an_orphan_is_told() -> None:
    stage = found()
    assert adopting.orphan_of(KEY, stage.ports) == stage.trade()


def test_a_symbol_the_account_does_not_trade_is_not_adopted() -> None:
    stage = Stage()
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.held["SOL"] = replace(position(), symbol="SOL")
    with pytest.raises(Refused) as caught:
        adopting.orphan_of(replace(KEY, symbol="SOL"), stage.ports)
    assert (caught.value.field, caught.value.value) == ("symbol", "SOL")
    assert caught.value.reason
    assert "accounts.main.symbols" in caught.value.hint
    assert stage.stored(replace(KEY, symbol="SOL")).trade is None


def test_a_symbol_the_venue_does_not_list_is_not_adopted() -> None:
    with refused("symbol", "XRP"):
        adopting.check_symbol(replace(KEY, symbol="XRP"), Stage().ports)


def test_a_symbol_of_the_account_may_be_adopted() -> None:
    adopting.check_symbol(ETH, Stage().ports)


def test_what_is_not_held_any_more_is_not_adopted() -> None:
    stage = found()
    stage.venue.held.clear()
    with refused("symbol", "BTC"):
        adopting.adopt(KEY, None, stage.ports)


def test_what_is_being_closed_is_not_adopted() -> None:
    stage = found(close=CloseAsk("manual_close", NOW))
    with refused("symbol", "BTC"):
        adopting.adopt(KEY, None, stage.ports)
    assert stage.trade().orphan is OrphanPolicy.PROTECT


# --- its stop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "trigger"), [(Distance(price=D(97)), "97"), (Distance(fraction=D("0.02")), "98")])
def test_a_stop_goes_where_a_person_says(asked: Distance, trigger: str) -> None:
    stage = found()
    row = adopting.adopt(KEY, asked, stage.ports)
    trade = stage.trade()
    assert row.stop_price == trade.stop == D(trigger)
    assert (trade.stop_moved_by, trade.stop_moved_ms) == ("person", NOW)


def test_a_stop_of_a_short_goes_above_the_price() -> None:
    stage = found("105", side=Side.SHORT)
    assert adopting.adopt(KEY, Distance(fraction=D("0.02")), stage.ports).stop_price == D(102)


@pytest.mark.parametrize(("side", "stands", "price", "trigger"), [
    (Side.LONG, "95", "97.001", "97.01"), (Side.SHORT, "105", "103.009", "103"),
])  # fmt: skip
def test_a_stop_off_the_grid_goes_to_the_nearer_price(side: Side, stands: str, price: str, trigger: str) -> None:
    stage = found(stands, side=side)
    stage.venue.listed["BTC"] = replace(stage.venue.listed["BTC"], decimals=2, significant=None)
    assert adopting.adopt(KEY, Distance(price=D(price)), stage.ports).stop_price == D(trigger)


@pytest.mark.parametrize(("side", "stands", "price", "passes"), [
    (Side.LONG, "95", "95", True), (Side.LONG, "95", "94", False),
    (Side.SHORT, "105", "105", True), (Side.SHORT, "105", "106", False),
])  # fmt: skip
def test_adopting_loosens_no_stop_that_stands(side: Side, stands: str, price: str, *, passes: bool) -> None:
    stage = found(stands, side=side)
    asked = Distance(price=D(price))
    if passes:
        assert adopting.adopt(KEY, asked, stage.ports).stop_price == D(price)
        return
    with refused("stop", price):
        adopting.adopt(KEY, asked, stage.ports)
    assert stage.trade().orphan is OrphanPolicy.PROTECT


def test_a_stop_beyond_the_price_is_refused() -> None:
    with refused("stop", "101"):
        adopting.adopt(KEY, Distance(price=D(101)), found().ports)


def test_a_stop_may_be_asked_for_anywhere_in_front_of_the_price_where_none_stands() -> None:
    stage = found(None, stop=D(95), covered=False)
    assert adopting.adopt(KEY, Distance(price=D(90)), stage.ports).stop_price == D(90)


def test_a_stop_that_is_wanted_and_does_not_stand_yet_is_kept() -> None:
    stage = found(None, stop=D(93), covered=False)
    assert adopting.adopt(KEY, None, stage.ports).stop_price == D(93)


def test_a_stop_that_a_policy_left_alone_would_want_is_not_kept() -> None:
    stage = found(None, stop=D(93), covered=False, orphan=OrphanPolicy.ALERT)
    assert adopting.adopt(KEY, None, stage.ports).stop_price == D(95)


def test_a_stop_that_stands_is_kept_whatever_was_wanted() -> None:
    stage = found("96", stop=D(93), covered=True, orphan=OrphanPolicy.ALERT)
    assert adopting.adopt(KEY, None, stage.ports).stop_price == D(96)


@pytest.mark.parametrize(("side", "trigger"), [(Side.LONG, "95"), (Side.SHORT, "105")])
def test_without_any_stop_it_goes_as_far_from_the_price_as_any_orphans(side: Side, trigger: str) -> None:
    stage = found(None, stop=None, side=side)
    assert adopting.adopt(KEY, None, stage.ports).stop_price == D(trigger)


def test_the_price_a_stop_is_counted_from_is_the_newest() -> None:
    stage = found(None, stop=None)
    stage.hear("80")
    assert adopting.adopt(KEY, None, stage.ports).stop_price == D(76)


# --- another installation's orders -----------------------------------------------------------------------------


def theirs(order_id: str, placed_ms: int, symbol: str = "BTC", installation: str = OTHER) -> Order:
    client = cid(Role.STOP, 1, TRADE, installation)
    return stop(order_id=order_id, symbol=symbol, client_id=client, placed_ms=placed_ms)


def test_the_orders_of_a_dead_installation_are_listed_by_a_look_made_now() -> None:
    stage = Stage()
    old = theirs("1", NOW - 120_000)
    stage.venue.live = [old, theirs("2", NOW, installation=INST), stop(order_id="3", client_id=None)]
    adopting.orders_of(OTHER, stage.ports)
    stage.calls.clear()
    assert adopting.orders_of(OTHER, stage.ports) == (old,)
    assert stage.reads() == ["holdings", "orders", "fills"]
    assert {call["urgency"] for call in stage.calls if "urgency" in call.given} == {Urgency.ORDINARY}


@pytest.mark.parametrize(("age_ms", "dead"), [(60_000, False), (119_999, False), (120_000, True)])
def test_an_installation_that_placed_an_order_within_two_minutes_lives(*, age_ms: int, dead: bool) -> None:
    stage = Stage()
    stage.venue.live = [theirs("1", NOW - 600_000), theirs("7", NOW - age_ms, "ETH")]
    if dead:
        assert len(adopting.orders_of(OTHER, stage.ports)) == 2
        return
    with pytest.raises(Refused) as caught:
        adopting.orders_of(OTHER, stage.ports)
    assert (caught.value.field, caught.value.value) == ("installation", OTHER)
    for said in ("7", "main:ETH", f" {age_ms // 1000} s"):
        assert said in caught.value.reason
    assert caught.value.hint


def test_an_order_whose_time_is_ahead_of_ours_is_of_this_moment() -> None:
    stage = Stage()
    stage.venue.live = [theirs("7", NOW + 5_000)]
    with pytest.raises(Refused) as caught:
        adopting.orders_of(OTHER, stage.ports)
    assert " 0 s" in caught.value.reason


def test_this_very_installation_is_not_taken_over() -> None:
    stage = Stage()
    with refused("installation", INST):
        adopting.orders_of(INST, stage.ports)
    assert stage.reads() == []


def test_orders_that_cannot_be_read_are_not_taken_for_none() -> None:
    stage = Stage()
    stage.answers("venue.orders", Unknown("away"))
    with pytest.raises(VenueAway, match=r"main.*away"):
        adopting.orders_of(OTHER, stage.ports)


def test_what_a_dead_installation_placed_is_ours_and_each_of_its_keys_is_woken() -> None:
    stage = Stage()
    orders = (theirs("1", NOW - 130_000), theirs("2", NOW - 120_000, "ETH"), theirs("3", NOW - 125_000))
    adopting.inherit(OTHER, orders, stage.ports)
    assert stage.other.flags.read("main").inherited == ((OTHER, NOW - 120_000),)
    assert [call["key"] for call in stage.done("wakes.wake")] == [KEY, ETH]
    assert all(OTHER in call["why"] for call in stage.done("wakes.wake"))
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("", "switch")
    assert OTHER in line["text"]
    assert "3" in line["text"]
