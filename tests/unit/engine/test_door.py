"""The door: what is asked of a signal before it is put on disk, in which order, and who is told what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Exit
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Amount, Distance, Funds
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.prices import Source
from stopkeeper.core.rules import Limits
from stopkeeper.engine.door import (
    DOOR_AGE_MS,
    MAX_WAITING,
    limits_of,
    mark_at_door,
    market_of,
    pass_door,
    room_for_nonces,
)
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.typed import Refused
from tests.unit.core.scene import KEY, NOW, RULES, held_trade, new_trade, position, record, signal
from tests.unit.engine.scene import TIMES, D, Stage, protected


@contextmanager
def refused(field: str, value: str, *said: str) -> Iterator[None]:
    """Expect a refusal of a field's value that says something."""
    with pytest.raises(Refused) as caught:
        yield
    assert (caught.value.field, caught.value.value) == (field, value)
    assert caught.value.reason
    assert caught.value.hint
    for each in said:
        assert each in f"{caught.value.reason} {caught.value.hint}"


def limited(**limits: Any) -> Stage:
    return Stage(rules=replace(RULES, limits=Limits(**limits)))


# --- the symbol ------------------------------------------------------------------------------------------------


def test_a_symbol_is_known_by_the_venues_list() -> None:
    stage = Stage()
    assert market_of("ETH", stage.ports) == stage.venue.listed["ETH"]


def test_a_list_that_was_never_read_refuses_no_symbol() -> None:
    stage = Stage()
    stage.venue.listed.clear()
    with pytest.raises(VenueAway, match="list of perpetuals could not be read"):
        market_of("BTC", stage.ports)


def test_a_delisted_symbol_takes_no_entry_and_is_still_known() -> None:
    stage = Stage()
    stage.venue.listed["BTC"] = replace(stage.venue.listed["BTC"], delisted=True)
    assert market_of("BTC", stage.ports).delisted
    with refused("symbol", "BTC", "delisted"):
        pass_door(signal(), stage.ports)


def test_a_symbol_in_other_letters_is_refused_with_the_one_that_is_meant() -> None:
    stage = Stage()
    stage.venue.listed["kPEPE"] = replace(stage.venue.listed["ETH"], symbol="kPEPE")
    with pytest.raises(Refused) as caught:
        market_of("KPEPE", stage.ports)
    assert (caught.value.field, caught.value.value) == ("symbol", "KPEPE")
    assert caught.value.hint.split()[1:] == ["kPEPE"]


def test_an_unknown_symbol_is_refused_with_some_of_the_accounts() -> None:
    stage = Stage()
    ports = replace(stage.ports, symbols=("G", "F", "E", "D", "C", "B", "A"))
    with pytest.raises(Refused) as caught:
        market_of("XRP", ports)
    assert caught.value.hint.endswith(" A, B, C, D, E")


def test_a_symbol_that_the_account_does_not_trade_is_refused() -> None:
    stage = Stage()
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    with refused("symbol", "SOL", "accounts.main.symbols", "symbol is not"):
        pass_door(signal(key=replace(KEY, symbol="SOL")), stage.ports)
    assert stage.reads() == []


# --- the account -----------------------------------------------------------------------------------------------


def test_a_signal_that_passes_is_worked_out_at_the_mark_of_now() -> None:
    stage = Stage()
    stage.venue.marks["BTC"] = D(110)
    terms = pass_door(signal(), stage.ports)
    assert (terms.size, terms.mark, terms.stop) == (D(1), D(110), D(95))
    assert {call["urgency"] for call in stage.calls if "urgency" in call.given} == {Urgency.ORDINARY}


@pytest.mark.parametrize("switch", [{"paused": True}, {"halted": True}, {"barred": "agent expired"}])
def test_an_account_that_is_switched_off_lets_nothing_in_and_asks_nothing(switch: Any) -> None:
    stage = Stage()
    stage.other.flags.change("main", **switch)
    with refused("account", "main", *([switch["barred"]] if "barred" in switch else [])):
        pass_door(signal(), stage.ports)
    assert stage.reads() == []


def test_an_account_that_cannot_be_read_lets_nothing_in() -> None:
    stage = Stage()
    stage.answers("venue.holdings", Unknown("away"))
    with pytest.raises(VenueAway, match="away"):
        pass_door(signal(), stage.ports)


@pytest.mark.parametrize(("age_ms", "reads"), [(DOOR_AGE_MS - 1, 0), (DOOR_AGE_MS, 1)])
def test_positions_read_in_these_seconds_serve_the_door(age_ms: int, reads: int) -> None:
    stage = Stage()
    pass_door(signal(), stage.ports)
    stage.calls.clear()
    stage.now += age_ms
    pass_door(signal(expires_ms=stage.now + 1), stage.ports)
    assert stage.reads().count("holdings") == reads
    assert "orders" not in stage.reads()
    assert "fills" not in stage.reads()


def test_a_clock_that_was_not_measured_lately_lets_nothing_in() -> None:
    stage = Stage()
    stage.venue.offset_age_ms = 60_001
    with refused("account", "main", "clock"):
        pass_door(signal(), stage.ports)


def test_a_position_on_the_symbol_is_in_the_way_and_one_on_another_is_not() -> None:
    stage = Stage()
    stage.venue.held["BTC"] = position()
    with refused("symbol", "BTC", "position"):
        pass_door(signal(), stage.ports)
    pass_door(signal(key=replace(KEY, symbol="ETH")), stage.ports)


def test_what_the_account_cannot_pay_is_refused_with_its_own_words() -> None:
    stage = Stage()
    stage.venue.funds = Funds(D(10), D(10))
    with pytest.raises(Refused) as caught:
        pass_door(signal(amount=Amount(size=D(100))), stage.ports)
    assert caught.value.field == "size"
    assert caught.value.value
    assert caught.value.reason
    assert caught.value.hint


def test_a_stop_on_the_wrong_side_is_refused_with_its_own_words() -> None:
    with refused("stop", "105"):
        pass_door(signal(stop=Distance(price=D(105))), Stage().ports)


# --- its limits ------------------------------------------------------------------------------------------------


def lost(stage: Stage, usd: str) -> None:
    """Book a loss of today."""
    loss = Exit(
        "stop_loss", "", (), D(100), D(95), D(1), D(0), D(usd) * -1, D(0), D(usd) * -1, NOW - 60_000, NOW, complete=True
    )
    line = LedgerLine(held_trade(), loss, 1, NOW)
    stage.world.state.ledger["main"] = {(line.trade.id, 1): line}


@pytest.mark.parametrize(("usd", "passes"), [("49.99", True), ("50", False)])
def test_what_was_lost_today_counts_against_the_accounts_limit(*, usd: str, passes: bool) -> None:
    stage = limited(max_daily_loss=D(50))
    lost(stage, usd)
    if passes:
        pass_door(signal(), stage.ports)
        return
    with refused("account", "main", "50"):
        pass_door(signal(), stage.ports)


def test_what_is_lost_on_what_is_open_counts_against_the_limit_too() -> None:
    stage = limited(max_daily_loss=D(50))
    lost(stage, "30")
    stage.venue.held["ETH"] = replace(position(), symbol="ETH", unrealized_pnl=D(-20))
    with refused("account", "main", "20"):
        pass_door(signal(), stage.ports)


def test_a_limit_that_is_reached_is_said_also_while_the_account_cannot_be_read() -> None:
    stage = limited(max_daily_loss=D(50))
    lost(stage, "50")
    stage.answers("venue.holdings", Unknown("away"))
    with refused("account", "main", "50"):
        pass_door(signal(), stage.ports)


def test_the_books_are_not_read_where_no_limit_is_held_against_them() -> None:
    stage = Stage()
    pass_door(signal(), stage.ports)
    assert stage.done("ledger.results") == []


# --- nonces ----------------------------------------------------------------------------------------------------


def crowd(stage: Stage, count: int) -> None:
    """Let so many signals wait to enter."""
    keys = [replace(KEY, symbol=f"X{n}") for n in range(count)]
    stage.put(*(record(new_trade(id=f"{n:012x}", key=key), key=key) for n, key in enumerate(keys)))


@pytest.mark.parametrize(("count", "passes"), [(MAX_WAITING - 1, True), (MAX_WAITING, False)])
def test_no_more_signals_may_wait_than_a_venue_keeps_nonces_for(*, count: int, passes: bool) -> None:
    stage = Stage()
    crowd(stage, count)
    if passes:
        room_for_nonces(stage.ports)
        return
    with refused("account", "main", "50"):
        room_for_nonces(stage.ports)


def test_only_signals_that_wait_to_enter_need_room() -> None:
    stage = Stage()
    crowd(stage, MAX_WAITING - 1)
    sol, gone, found = (replace(KEY, symbol=name) for name in ("SOL", "GONE", "FOUND"))
    stage.put(
        record(held_trade(key=sol), key=sol),
        record(None, key=gone, settling=(held_trade(key=gone),)),
        record(new_trade(key=found, nonces=()), key=found),
    )
    room_for_nonces(stage.ports)


# --- the mark --------------------------------------------------------------------------------------------------


def test_a_mark_that_was_asked_for_is_shared_with_all() -> None:
    stage = Stage()
    stage.venue.marks["BTC"] = D(101)
    mark = mark_at_door("BTC", stage.ports)
    assert (mark.value, mark.source) == (D(101), Source.VENUE)
    shared = stage.other.prices.get("main", "BTC")
    assert shared is not None
    assert shared.value == D(101)


def test_a_mark_that_the_stream_told_grows_no_younger_by_being_asked_for() -> None:
    stage = Stage()
    stage.hear("101")
    stage.now += TIMES.look_fresh_ms
    assert mark_at_door("BTC", stage.ports).value == D(101)
    shared = stage.other.prices.get("main", "BTC")
    assert shared is not None
    assert shared.age_ms == TIMES.look_fresh_ms
    assert stage.reads() == []


def test_a_mark_that_nobody_names_is_not_made_up() -> None:
    stage = Stage()
    stage.venue.marks.clear()
    with pytest.raises(VenueAway, match="BTC"):
        mark_at_door("BTC", stage.ports)


def test_a_signal_on_a_symbol_without_a_mark_does_not_pass() -> None:
    stage = protected()
    stage.venue.held.clear()
    stage.venue.marks.clear()
    with pytest.raises(VenueAway):
        pass_door(signal(), stage.ports)


def test_where_positions_cannot_be_read_the_room_for_a_notional_is_not_known() -> None:
    stage = limited(max_notional=D(1000))
    stage.answers("venue.holdings", Unknown("away"))
    with pytest.raises(VenueAway, match="away"):
        limits_of(stage.ports)
    assert limits_of(Stage().ports) == Limits(), "without a limit nothing is read"


def test_more_is_held_than_the_limit_allows_and_no_room_is_left() -> None:
    stage = limited(max_notional=D(100))
    stage.venue.held["BTC"] = position()
    stage.venue.held["ETH"] = position(symbol="ETH")
    assert limits_of(stage.ports).max_notional == 0


def test_what_was_closed_and_booked_since_the_last_look_takes_no_room() -> None:
    stage = limited(max_notional=D(1000))
    stage.venue.held["BTC"] = position()
    assert limits_of(stage.ports).max_notional == 900
    stage.venue.held.clear()
    assert limits_of(stage.ports).max_notional == 1000, "also within the same moment"
    stage.venue.held["BTC"] = position()
    stage.now += DOOR_AGE_MS
    assert limits_of(stage.ports).max_notional == 900
    stage.venue.held.clear()
    stage.now += DOOR_AGE_MS - 1
    assert limits_of(stage.ports).max_notional == 1000
    reads = len(stage.reads())
    assert limits_of(stage.ports).max_notional == 1000
    assert len(stage.reads()) == reads, "where nothing is held besides, the look of the last seconds serves"
