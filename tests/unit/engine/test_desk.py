"""What a person may ask: what is written down and who is woken, what is refused, and that nothing acts at the venue."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import RestKind
from stopkeeper.core.case import ADMISSION_MARGIN_MS, LOOK_AGAIN_MS
from stopkeeper.core.ids import trade_id
from stopkeeper.core.model import Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import BreakEven, Gain, Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, Origin
from stopkeeper.core.report import Phase
from stopkeeper.core.rules import Limits
from stopkeeper.engine import desk, showing
from stopkeeper.engine.desk import Submitted
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.typed import Refused
from tests.unit.core.scene import (
    INST,
    KEY,
    NOW,
    RULES,
    TRADE,
    found_trade,
    held_trade,
    new_trade,
    position,
    record,
    signal,
    stop,
)
from tests.unit.engine.scene import ETH, D, Stage, both, naked, protected

TRAIL = Trail(TrailKind.PERCENT, D("0.02"))
EVEN = BreakEven(Gain(r=D(1)))
OWN = Policy(TRAIL, EVEN)
ID = trade_id(INST, "main", "s1")


@contextmanager
def refused(field: str, value: str) -> Iterator[None]:
    """Expect a refusal of a field's value, with a reason and a hint."""
    with pytest.raises(Refused) as caught:
        yield
    assert (caught.value.field, caught.value.value) == (field, value)
    assert caught.value.reason
    assert caught.value.hint


def limited(**limits: Any) -> Stage:
    return Stage(rules=replace(RULES, limits=Limits(**limits)))


# --- signals ---------------------------------------------------------------------------------------------------


def test_a_signal_is_on_disk_with_its_trade_and_the_key_is_woken() -> None:
    stage = Stage(rules=replace(RULES, policy=OWN))
    assert desk.submit(signal(), stage.ports) == Submitted("s1", ID, "admitted")
    trade = stage.trade()
    assert (trade.id, trade.origin, trade.key, trade.side) == (ID, Origin.SIGNAL, KEY, Side.LONG)
    assert trade.created_ms == NOW - ADMISSION_MARGIN_MS
    assert trade.signal == signal()
    assert trade.policy == OWN
    assert len(set(trade.nonces)) == desk.ATTEMPTS
    assert stage.due_ms() == 0
    assert stage.sent() == []
    assert stage.other.records.reserved("main") == {ID: D(100)}
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"], line["trade"]) == ("BTC", "admitted", ID)
    assert "s1" in line["text"]


@pytest.mark.parametrize(
    ("said", "policy"),
    [
        ({"trail": TRAIL}, Policy(TRAIL, BreakEven())),
        ({"breakeven": EVEN}, Policy(Trail(), EVEN)),
        ({"trail": TRAIL, "breakeven": EVEN}, OWN),
    ],
)
def test_what_a_signal_says_of_its_stop_counts_more_than_the_accounts_rule(said: Any, policy: Policy) -> None:
    stage = Stage()
    desk.submit(signal(**said), stage.ports)
    assert stage.trade().policy == policy


def test_a_signal_may_ask_for_a_stop_that_stays_where_the_account_has_it_move() -> None:
    stage = Stage(rules=replace(RULES, policy=OWN))
    desk.submit(signal(trail=Trail(), breakeven=BreakEven()), stage.ports)
    assert stage.trade().policy == Policy()


def test_a_signal_without_an_id_gets_one_of_its_own() -> None:
    stage = Stage()
    first = desk.submit(signal(id=""), stage.ports)
    second = desk.submit(signal(id="", key=ETH), stage.ports)
    assert first.signal_id
    assert second.signal_id
    assert first.signal_id != second.signal_id
    assert first.trade_id == trade_id(INST, "main", first.signal_id)
    assert stage.trade().signal == signal(id=first.signal_id)


def test_a_repeated_signal_is_one_trade_and_is_not_asked_for_again() -> None:
    stage = Stage()
    desk.submit(signal(), stage.ports)
    stage.calls.clear()
    stage.other.flags.change("main", paused=True)
    again = desk.submit(signal(expires_ms=NOW + 90_000), stage.ports)
    assert again == Submitted("s1", ID, "open")
    assert stage.reads() == []
    assert stage.done("venue.reserve_nonces") == []
    assert stage.kinds() == ["admitted"]


def test_a_signal_repeated_after_its_end_tells_what_became_of_it() -> None:
    stage = Stage()
    desk.submit(signal(), stage.ports)
    lease = stage.take()
    stage.ports.records.save(replace(stage.stored(), trade=None), lease, refused="it expired")
    assert desk.submit(signal(), stage.ports) == Submitted("s1", ID, "refused")


def test_a_signal_whose_repeat_is_forgotten_as_it_is_asked_for_counts_as_accepted() -> None:
    stage = Stage()
    desk.submit(signal(), stage.ports)
    known = stage.other.records.signal(ID)
    stage.answers("records.signal", known, None)
    assert desk.submit(signal(), stage.ports) == Submitted("s1", ID, "admitted")


def test_another_signal_under_the_same_id_is_refused() -> None:
    stage = Stage()
    desk.submit(signal(), stage.ports)
    with refused("id", "s1"):
        desk.submit(signal(side=Side.SHORT), stage.ports)


def test_a_second_signal_on_a_symbol_is_refused() -> None:
    stage = Stage()
    desk.submit(signal(), stage.ports)
    with refused("symbol", "BTC"):
        desk.submit(signal(id="s2"), stage.ports)
    assert stage.trade().id == ID


def test_a_signal_is_refused_while_as_many_trades_are_open_as_may_be() -> None:
    stage = limited(max_open_trades=1)
    desk.submit(signal(), stage.ports)
    with refused("account", "main"):
        desk.submit(signal(id="s2", key=ETH), stage.ports)


def test_a_signal_is_refused_that_would_take_the_open_trades_above_the_limit() -> None:
    stage = limited(max_notional=D(150))
    desk.submit(signal(), stage.ports)
    with refused("notional", "100.00"):
        desk.submit(signal(id="s2", key=ETH), stage.ports)


def test_a_signal_is_refused_while_too_many_wait_whose_nonces_the_venue_would_forget() -> None:
    stage = Stage()
    waiting = [record(new_trade(), key=replace(KEY, symbol=f"X{n}")) for n in range(50)]
    stage.answers("records.all", waiting)
    with refused("account", "main"):
        desk.submit(signal(), stage.ports)


def test_a_signal_that_does_not_pass_the_door_leaves_nothing() -> None:
    stage = Stage()
    stage.other.flags.change("main", paused=True)
    with refused("account", "main"):
        desk.submit(signal(), stage.ports)
    assert stage.stored().trade is None
    assert stage.kinds() == []
    assert stage.done("venue.reserve_nonces") == []


# --- closing ---------------------------------------------------------------------------------------------------


def test_a_wish_to_close_is_written_down_and_the_key_woken() -> None:
    stage = protected()
    desk.ask_close(KEY, stage.ports)
    assert stage.trade().close == CloseAsk("manual_close", NOW)
    assert stage.due_ms() == 0
    assert stage.sent() == []
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("BTC", "asked")
    assert "%" not in line["text"]


def test_a_part_that_is_to_stay_is_written_down_with_its_reason() -> None:
    stage = protected()
    desk.ask_close(KEY, stage.ports, reason="take_profit", keep_fraction=D("0.25"))
    assert stage.trade().close == CloseAsk("take_profit", NOW, D("0.25"))
    assert "25" in stage.lines()[0]["text"]


def test_nothing_is_closed_where_nothing_is_open() -> None:
    stage = Stage()
    with refused("symbol", "BTC"):
        desk.ask_close(KEY, stage.ports)
    assert stage.holders() == []


def test_nothing_is_closed_on_a_symbol_the_venue_does_not_list() -> None:
    stage = Stage()
    with refused("symbol", "XRP"):
        desk.ask_close(replace(KEY, symbol="XRP"), stage.ports)


def test_a_position_that_no_trade_owns_is_taken_in_so_that_it_can_be_closed() -> None:
    stage = Stage()
    stage.venue.held["BTC"] = position()
    desk.ask_close(KEY, stage.ports)
    trade = stage.trade()
    assert trade.origin is Origin.FOUND
    assert trade.close is not None


def test_a_position_that_another_is_just_taking_in_is_asked_for_again_in_a_moment() -> None:
    stage = Stage()
    stage.venue.held["BTC"] = position()
    stage.other.leases.acquire(KEY)
    with pytest.raises(VenueAway):
        desk.ask_close(KEY, stage.ports)


def test_a_trade_that_is_known_is_not_looked_for_at_the_venue() -> None:
    stage = protected()
    assert desk.taken_in(KEY, stage.ports) == stage.trade()
    assert stage.reads() == []


# --- moving the stop -------------------------------------------------------------------------------------------


def test_a_stop_is_wanted_where_a_person_says() -> None:
    stage = protected()
    row = desk.move_stop(KEY, D(97), stage.ports)
    trade = stage.trade()
    assert (trade.stop, trade.stop_moved_by, trade.stop_moved_ms, trade.loosened) == (D(97), "person", NOW, False)
    assert row.stop_price == D(97)
    assert (row.trade_id, row.symbol) == (TRADE, "BTC")
    assert stage.due_ms() == 0
    assert stage.sent() == []
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("BTC", "asked")
    assert "97" in line["text"]


@pytest.mark.parametrize(("side", "price", "trigger"), [("long", "97.001", "97.01"), ("short", "103.001", "103")])
def test_a_stop_off_the_grid_goes_to_the_nearer_price(side: str, price: str, trigger: str) -> None:
    stage = protected()
    stage.venue.listed["BTC"] = replace(stage.venue.listed["BTC"], decimals=2, significant=None)
    if side == "short":
        stage.venue.held["BTC"] = position(side=Side.SHORT)
        stage.venue.live = [stop("105", side=Side.LONG, price=D("115.5"))]
        stage.put(replace(stage.stored(), trade=held_trade(side=Side.SHORT, stop=D(105))))
    assert desk.move_stop(KEY, D(price), stage.ports).stop_price == D(trigger)


@pytest.mark.parametrize("price", ["94.9", "1"])
def test_a_stop_is_not_loosened_by_mistake(price: str) -> None:
    stage = protected()
    with refused("to", price):
        desk.move_stop(KEY, D(price), stage.ports)
    assert stage.trade().stop == D(95)
    assert stage.kinds() == []


def test_a_stop_may_be_asked_for_where_it_stands() -> None:
    assert desk.move_stop(KEY, D(95), protected().ports).stop_price == D(95)


def test_a_stop_is_loosened_where_a_person_says_so() -> None:
    stage = protected()
    desk.move_stop(KEY, D(90), stage.ports, loosen=True)
    assert stage.trade().loosened
    assert stage.trade().stop == D(90)
    plain = protected()
    desk.move_stop(KEY, D(96), plain.ports)
    tail = stage.lines()[0]["text"].partition("90")[2]
    assert tail
    assert plain.lines()[0]["text"].endswith("96")


def test_a_stop_of_a_naked_position_may_be_asked_for_anywhere_in_front_of_the_price() -> None:
    stage = naked()
    stage.put(replace(stage.stored(), trade=held_trade(covered=False, stop=None)))
    assert desk.move_stop(KEY, D(50), stage.ports).stop_price == D(50)


@pytest.mark.parametrize(("side", "price", "passes"), [
    (Side.LONG, "99.9", True), (Side.LONG, "100", False), (Side.LONG, "101", False),
    (Side.SHORT, "100.1", True), (Side.SHORT, "100", False), (Side.SHORT, "99", False),
])  # fmt: skip
def test_a_stop_that_the_price_has_passed_is_refused(side: Side, price: str, *, passes: bool) -> None:
    if passes:
        desk.check_side("to", D(price), side, D(100))
        return
    with pytest.raises(Refused) as caught:
        desk.check_side("to", D(price), side, D(100))
    where, other = ("below", "above") if side is Side.LONG else ("above", "below")
    assert where in caught.value.reason.split()
    assert other not in caught.value.reason + caught.value.hint
    assert (caught.value.field, caught.value.value) == ("to", price)


def test_a_stop_beyond_the_price_is_refused() -> None:
    with refused("to", "101"):
        desk.move_stop(KEY, D(101), protected().ports)


def test_no_stop_is_moved_where_nothing_is_held() -> None:
    stage = Stage()
    stage.put(record(new_trade()))
    with refused("symbol", "BTC"):
        desk.move_stop(KEY, D(97), stage.ports)


def test_no_stop_is_moved_of_a_position_that_no_trade_drives_yet() -> None:
    stage = Stage()
    stage.venue.held["BTC"] = position()
    with refused("symbol", "BTC"):
        desk.move_stop(KEY, D(97), stage.ports)


def test_no_stop_is_moved_of_a_position_that_was_turned_over() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position(side=Side.SHORT)
    with refused("symbol", "BTC"):
        desk.move_stop(KEY, D(103), stage.ports)


def test_no_stop_is_moved_on_a_symbol_the_venue_does_not_list() -> None:
    with refused("symbol", "XRP"):
        desk.move_stop(replace(KEY, symbol="XRP"), D(97), protected().ports)


# --- lifting it, and its policy --------------------------------------------------------------------------------


def test_a_stop_is_lifted_for_a_while_and_that_is_an_alarm() -> None:
    stage = protected()
    row = desk.lift_stop(KEY, 60_000, stage.ports)
    assert stage.trade().off_until_ms == row.stop_off_until_ms == NOW + 60_000
    assert stage.due_ms() == 0
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("BTC", "alarm:off")
    assert "main:BTC" in line["text"]


def test_a_stop_that_was_lifted_is_wanted_again() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(off_until_ms=NOW + 60_000)))
    row = desk.lift_stop(KEY, 0, stage.ports)
    assert stage.trade().off_until_ms == 0
    assert row.stop_off_until_ms is None
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("BTC", "asked")
    assert line["text"]


@pytest.mark.parametrize(("for_ms", "passes"), [(24 * 3_600_000, True), (24 * 3_600_000 + 1, False)])
def test_a_stop_is_lifted_for_a_day_at_most(*, for_ms: int, passes: bool) -> None:
    stage = protected()
    if passes:
        assert desk.lift_stop(KEY, for_ms, stage.ports).stop_off_until_ms == NOW + for_ms
        return
    with refused("until", f"{for_ms} ms"):
        desk.lift_stop(KEY, for_ms, stage.ports)
    assert stage.trade().off_until_ms == 0


def test_no_stop_is_lifted_where_nothing_is_held() -> None:
    with refused("symbol", "BTC"):
        desk.lift_stop(KEY, 1_000, Stage().ports)


@pytest.mark.parametrize(
    ("trail", "breakeven", "policy"),
    [(Trail(), None, Policy(Trail(), EVEN)), (None, BreakEven(), Policy(TRAIL, BreakEven())), (None, None, OWN)],
)
def test_one_rule_of_a_stop_is_changed_and_the_other_left(trail: Any, breakeven: Any, policy: Policy) -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(policy=OWN)))
    row = desk.set_policy(KEY, stage.ports, trail=trail, breakeven=breakeven)
    assert stage.trade().policy == policy
    assert (row.trail, row.breakeven) == (str(policy.trail), str(policy.breakeven))
    assert stage.due_ms() == 0
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("BTC", "asked")
    assert str(policy.trail) in line["text"]
    assert str(policy.breakeven) in line["text"]


def test_a_rule_for_a_trade_that_ended_meanwhile_counts_from_none() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(policy=OWN)))
    stage.answers("records.load", ..., ..., record())  # the others are of a key beside it
    row = desk.set_policy(KEY, stage.ports, trail=None, breakeven=EVEN)
    assert (row.trail, row.breakeven) == (str(Trail()), str(EVEN))


# --- switches --------------------------------------------------------------------------------------------------


def test_a_pause_and_its_end_are_switched_and_told() -> None:
    stage = Stage()
    desk.pause(stage.ports)
    assert stage.other.flags.read("main").paused
    assert not stage.other.flags.read("main").halted
    stage.other.flags.change("main", halted=True, barred="agent expired")
    desk.resume(stage.ports)
    switches = stage.other.flags.read("main")
    assert (switches.paused, switches.halted, switches.barred) == (False, False, "")
    assert [(line["symbol"], line["kind"]) for line in stage.lines()] == [("", "switch")] * 2
    assert [line["text"].partition(":")[0] for line in stage.lines()] == ["paused", "resumed"]


def test_a_halt_is_switched_before_every_key_is_woken_and_is_an_alarm() -> None:
    stage = protected()
    sol = replace(KEY, symbol="SOL")
    stage.put(record(held_trade(key=sol), key=sol))
    halted = list[bool]()
    stage.always("wakes.wake", lambda: halted.append(stage.other.flags.read("main").halted))
    assert desk.halt(stage.ports) == (KEY, ETH, sol)
    assert halted == [True] * 3
    assert [call["key"] for call in stage.done("wakes.wake")] == [KEY, ETH, sol]
    assert {call["why"] for call in stage.done("wakes.wake")} == {"halt"}
    assert stage.due_ms(ETH) == 0
    assert [(line["symbol"], line["kind"]) for line in stage.lines()] == [("", "switch"), ("", "alarm:halt")]
    assert "main" in stage.lines("alarm:halt")[0]["text"]
    assert stage.lines("switch")[0]["text"]
    assert stage.sent() == []


@contextmanager
def clock(stage: Stage) -> Iterator[list[float]]:
    """Let waiting pass the stage's time; yield how long was waited each time."""
    waited = list[float]()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        stage.now += int(seconds * 1_000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk, "sleep", wait)
        patch.setattr(desk, "monotonic", lambda: stage.now / 1_000)
        yield waited


def test_what_is_seen_through_is_driven_until_it_is_flat() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(close=CloseAsk("manual_close", NOW))))
    with clock(stage) as waited:
        assert desk.see_through([KEY, ETH], stage.ports, 60) == ()
    assert stage.sent()[0] == "close"
    assert stage.stored().trade is None
    assert set(waited) == {LOOK_AGAIN_MS / 1_000}
    keys = [call["key"] for call in stage.done("leases.acquire")]
    assert keys.count(ETH) == 1, "what is flat is driven no more"
    assert keys.count(KEY) > 1


def test_what_stays_open_is_seen_through_for_as_long_as_was_said() -> None:
    stage = protected()
    with clock(stage) as waited:
        assert desk.see_through([KEY], stage.ports, 2) == (KEY,)
    assert len(waited) == 4
    assert len(stage.done("leases.acquire")) == 4


def test_one_key_that_nobody_can_judge_keeps_no_other_from_being_seen_through() -> None:
    stage = both()
    stage.put(replace(stage.stored(), trade=held_trade(close=CloseAsk("manual_close", NOW))))
    del stage.venue.listed["ETH"]
    with clock(stage):
        assert desk.see_through([ETH, KEY], stage.ports, 20) == (ETH,)
    assert "close" in stage.sent()


def test_what_is_at_rest_but_held_is_not_seen_through() -> None:
    stage = protected()
    with clock(stage) as waited:
        desk.see_through([KEY], stage.ports, 0.1)
    assert len(waited) == 1
    assert stage.lines("flat") == []
    assert stage.lines(RestKind.PROTECTED)


# --- flatten ---------------------------------------------------------------------------------------------------


def test_every_position_and_every_entry_is_asked_to_be_closed() -> None:
    stage = both()
    showing.positions(stage.ports)
    stage.calls.clear()
    assert desk.flatten(stage.ports) == (KEY, ETH)
    assert stage.trade(KEY).close is not None
    assert stage.trade(ETH).close is not None
    assert stage.sent() == []
    assert stage.reads()[0] == "holdings", "by a look made now"
    assert stage.done("venue.holdings")[0]["urgency"] is Urgency.PROTECTIVE


def test_what_is_only_settling_is_not_asked_to_be_closed() -> None:
    stage = both()
    del stage.venue.held["BTC"]
    stage.venue.live = []
    assert desk.flatten(stage.ports) == (ETH,)


def test_what_ended_meanwhile_is_passed_over() -> None:
    stage = Stage()
    stage.put(record(new_trade()))
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    stage.put(record(held_trade(key=ETH), key=ETH))
    stage.meanwhile("records.load", lambda: stage.put(record()))
    assert desk.flatten(stage.ports) == (ETH,)


def test_what_could_not_be_asked_is_said_after_all_others_were() -> None:
    stage = both()
    stage.put(record())
    stage.other.leases.acquire(KEY)  # its position cannot be taken in
    with pytest.raises(VenueAway, match="BTC"):
        desk.flatten(stage.ports)
    assert stage.trade(ETH).close is not None


def test_all_that_could_not_be_asked_is_said() -> None:
    stage = both()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    showing.positions(stage.ports)
    stage.put(record(), record(key=ETH))
    stage.other.leases.acquire(KEY)
    stage.other.leases.acquire(ETH)
    with pytest.raises(VenueAway) as caught:
        desk.flatten(stage.ports)
    first, second = str(caught.value).split("; ")
    assert first.startswith("main:BTC")
    assert second.startswith("main:ETH")


def test_positions_that_cannot_be_read_are_said_after_what_is_known_was_asked_for() -> None:
    stage = both()
    stage.answers("venue.holdings", Unknown("away"))
    with pytest.raises(VenueAway, match="away"):
        desk.flatten(stage.ports)
    assert stage.trade(KEY).close is not None
    assert stage.trade(ETH).close is not None


# --- protect ---------------------------------------------------------------------------------------------------


def test_protect_says_what_it_could_not_read() -> None:
    stage = protected()
    stage.answers("venue.orders", ..., ..., Unknown("away"))
    found = desk.protect(stage.ports)
    assert found.unread == "open orders could not be read: away"
    assert showing.untold(found.rows[0])


def test_protect_sweeps_and_drives_what_is_held_and_shows_how_it_stands_then() -> None:
    stage = naked()
    (row,) = desk.protect(stage.ports).rows
    assert stage.sent() == ["place_stop"]
    assert (row.symbol, row.phase, row.stop_order_id) == ("BTC", Phase.PROTECTED, "o2")
    assert stage.reads()[:3] == ["holdings", "orders", "fills"], "of the sweep"
    assert stage.reads()[-3:] == ["holdings", "orders", "fills"], "as it stands afterwards"
    assert stage.done("venue.poll_limits")
    assert {call["urgency"] for call in stage.calls if "urgency" in call.given} == {Urgency.PROTECTIVE}


def test_protect_wakes_what_it_does_not_drive() -> None:
    stage = Stage()
    stage.venue.live = [stop(symbol="ETH")]
    assert desk.protect(stage.ports) == showing.Survey((), "")
    assert stage.due_ms(ETH) == 0


@pytest.mark.parametrize(("limit", "admitted"), [(D(299), False), (D(300), True), (D(150), False)])
def test_what_is_held_that_no_signal_reserved_leaves_less_room_for_the_next(limit: Any, *, admitted: bool) -> None:
    """One ETH from 200 was found, and nothing is reserved for it: 100 USD more are asked for."""
    stage = limited(max_notional=limit)
    stage.venue.held["ETH"] = position(symbol="ETH", entry_price=D(200))
    stage.put(record(found_trade(key=ETH), key=ETH))
    if admitted:
        assert desk.submit(signal(), stage.ports).state is Phase.ADMITTED
        return
    with pytest.raises(Refused, match=f"above the account's limit of {limit} USD"):
        desk.submit(signal(), stage.ports)


def test_what_a_signal_reserved_counts_once() -> None:
    stage = limited(max_notional=D(210))
    assert desk.submit(signal(), stage.ports).state is Phase.ADMITTED
    stage.venue.held["BTC"] = position(entry_price=D(200))
    stage.now += 60_000
    other = signal(id="s2", key=ETH, expires_ms=stage.now + 30_000)
    assert desk.submit(other, stage.ports).state is Phase.ADMITTED


def test_a_signal_that_is_known_is_known_whatever_is_held_and_can_be_read() -> None:
    stage = limited(max_notional=D(210))
    assert desk.submit(signal(), stage.ports).state is Phase.ADMITTED
    stage.now += 60_000
    stage.answers("venue.holdings", Unknown("away"))
    assert desk.submit(signal(), stage.ports).trade_id == stage.trade().id
