"""A sweep: what it looks at, whom it wakes, and that it touches nothing."""

from dataclasses import replace

import pytest

from stopkeeper.core.model import Key, Order, Role
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import CloseAsk
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sweep import FORGOT_TOLD_MS, cases, sweep
from tests.unit.core.scene import KEY, NOW, TRADE, cid, held_trade, position, record, stop
from tests.unit.engine.scene import ETH, TIMES, D, Stage, naked, protected


def woken(stage: Stage) -> list[Key]:
    """Return who was woken, with the reasons that were given."""
    calls = stage.done("wakes.wake")
    assert all(call["why"] for call in calls)
    return [call["key"] for call in calls]


def test_what_would_stay_at_rest_is_not_woken() -> None:
    stage = protected()
    assert sweep(stage.ports) == ()
    assert woken(stage) == []


def test_a_naked_position_is_woken_and_due_at_once_and_nothing_is_sent() -> None:
    stage = naked()
    (wake,) = sweep(stage.ports)
    assert wake.key == KEY
    assert stage.done("wakes.wake")[0]["why"] == wake.why
    assert woken(stage) == [KEY]
    assert stage.due_ms() == 0
    assert stage.sent() == []
    assert stage.holders() == []


def test_all_of_the_account_is_read_once_and_urgently() -> None:
    stage = naked()
    sweep(stage.ports)
    assert stage.reads() == ["holdings", "orders", "fills"]
    assert {call["urgency"] for call in stage.calls if "urgency" in call.given} == {Urgency.PROTECTIVE}
    assert len(stage.done("venue.poll_limits")) == 1
    assert [call["key"] for call in stage.done("records.load")] == [ETH], "the others are read together"


def test_it_notes_that_the_store_is_another_than_before() -> None:
    stage = protected()
    stage.ports.records.forgot_ms()
    stage.world.go_back(stage.world.save_point())
    sweep(stage.ports)
    stage.now += 7_000
    assert stage.ports.records.forgot_ms() == 7_000


def test_of_a_store_that_is_another_than_before_the_journal_tells_once() -> None:
    stage = protected()
    sweep(stage.ports)
    assert stage.lines("store") == []
    for _ in range(2):
        stage.world.go_back(stage.world.save_point())
        sweep(stage.ports)
        assert len(stage.lines("store")) == 1
        assert [call["what"] for call in stage.done("gaps.turn") if call["account"] == "main"][-1] == "forgot"
        stage.now += FORGOT_TOLD_MS - 1
        sweep(stage.ports)
        (line,) = stage.lines("store")
        assert line["symbol"] == ""
        assert "restarted, failed over or emptied" in line["text"]
        stage.now += 1
        sweep(stage.ports)
        assert len(stage.lines("store")) == 1, "and not of what was long ago"
        stage.world.empty()


@pytest.mark.parametrize(("age_ms", "reads"), [(999, 0), (1_000, 3)])
def test_a_look_that_is_young_enough_serves(age_ms: int, reads: int) -> None:
    stage = protected()
    sweep(stage.ports)
    stage.calls.clear()
    stage.now += age_ms
    sweep(stage.ports, 1_000)
    assert len(stage.reads()) == reads


def test_without_an_age_no_earlier_look_serves() -> None:
    stage = protected()
    sweep(stage.ports)
    stage.calls.clear()
    sweep(stage.ports)
    assert len(stage.reads()) == 3


def test_a_position_that_no_record_knows_is_woken() -> None:
    stage = Stage()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    sweep(stage.ports)
    assert woken(stage) == [ETH]


def test_a_position_on_a_symbol_the_account_does_not_trade_is_not_woken() -> None:
    stage = Stage()
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.held["SOL"] = replace(position(), symbol="SOL")
    sweep(stage.ports)
    assert woken(stage) == []


def test_a_record_of_a_symbol_the_account_does_not_trade_any_more_is_looked_at() -> None:
    stage = Stage()
    key = Key("main", "SOL")
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.held["SOL"] = replace(position(), symbol="SOL")
    stage.put(record(held_trade(key=key), key=key))
    sweep(stage.ports)
    assert woken(stage) == [key]


def other(installation: str = "a1b2c") -> Order:
    return stop(symbol="SOL", client_id=cid(Role.STOP, 1, TRADE, installation))


def test_an_order_of_ours_is_looked_at_on_whatever_symbol_it_lives() -> None:
    stage = Stage()
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.live = [other()]
    sweep(stage.ports)
    assert woken(stage) == [Key("main", "SOL")]


@pytest.mark.parametrize(("taken_over", "keys"), [(False, []), (True, ["SOL"])])
def test_an_order_of_another_installation_is_looked_at_once_it_was_taken_over(
    *, taken_over: bool, keys: list[str]
) -> None:
    stage = Stage()
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.live = [other("fffff")]
    if taken_over:
        stage.other.flags.inherit("main", "fffff", NOW)
    sweep(stage.ports)
    assert [key.symbol for key in woken(stage)] == keys


def test_a_symbol_that_the_venue_does_not_list_is_left_out() -> None:
    stage = protected()
    del stage.venue.listed["ETH"]
    assert [each[0].key for each in cases(stage.ports, stage.look())] == [KEY]


def test_where_nothing_can_be_judged_every_key_is_woken_to_say_so_and_to_go_on_by_itself() -> None:
    stage = naked()
    sol = replace(KEY, symbol="SOL")
    stage.put(replace(record(held_trade(key=sol)), key=sol))
    stage.venue.listed.clear()
    with pytest.raises(VenueAway, match="list of perpetuals could not be read"):
        cases(stage.ports, stage.look())
    sweep(stage.ports)
    assert [key.symbol for key in woken(stage)] == ["BTC", "ETH", "SOL"], "configured, or on record"
    assert {call["why"] for call in stage.done("wakes.wake")} == {"the venue's list of perpetuals could not be read"}


def test_each_key_is_held_against_its_own_record_and_its_own_look() -> None:
    stage = protected()
    sweep(stage.ports)
    stage.put(replace(record(), key=ETH, n=9))
    stage.hear("101")
    stage.hear("102", "ETH")
    btc, eth = cases(stage.ports, stage.look())
    assert (btc[0].key, eth[0].key) == (KEY, ETH)
    assert btc[0].trade is not None
    assert eth[0].n == 9
    assert btc[1].second is not None
    assert btc[1].second.value == D(101)
    assert eth[1].mark is not None
    assert eth[1].mark.value == D(102)
    assert [each.market.symbol for each in (btc[2], eth[2])] == ["BTC", "ETH"]


def test_a_mark_that_nobody_streams_is_not_asked_for_by_a_sweep() -> None:
    stage = protected()
    sweep(stage.ports)
    assert stage.done("venue.settings") == []
    assert stage.done("venue.mark") == []


def test_a_mark_that_contradicts_the_positions_has_it_looked_at() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position(mark="94")
    stage.hear("100")
    sweep(stage.ports)
    assert woken(stage) == [KEY]


def test_a_wish_to_close_is_woken_again() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(close=CloseAsk("manual_close", NOW))))
    sweep(stage.ports)
    assert woken(stage) == [KEY]


def test_where_the_budget_grants_no_look_that_of_a_drive_in_these_seconds_serves() -> None:
    stage = protected()
    stage.venue.live = []
    sweep(stage.ports)
    stage.calls.clear()
    stage.now += TIMES.look_fresh_ms - 1
    stage.answers("venue.wait_ms", 1)
    sweep(stage.ports)
    assert stage.reads() == []
    assert woken(stage) == [KEY]


def test_what_cannot_be_read_wakes_nobody_whose_stop_was_seen() -> None:
    stage = protected()
    stage.answers("venue.orders", Unknown("away"))
    assert sweep(stage.ports) == ()
