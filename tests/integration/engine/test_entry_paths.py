"""Every way an entry can go, judged by the venue's own witness: at most one entry a signal, and never naked."""

from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.core.actions import ALL_FIELDS, Rest
from stopkeeper.core.model import AccountSeen
from stopkeeper.core.outcomes import Unknown
from stopkeeper.engine import desk as asks
from stopkeeper.engine import showing
from stopkeeper.engine.drive import drive
from stopkeeper.engine.observe import look
from stopkeeper.engine.ports import Urgency


def entries(desk) -> int:
    witness = desk.witness()
    return sum(witness.get("entries_by_signal", {}).values()) if witness else 0


def test_a_market_entry_is_protected_with_no_naked_time_and_eight_requests_at_most(market):
    market.submit(target="5%")
    market.post("/stats/reset")
    market.tick()
    requests = market.get("/stats")["requests"]["by_type"]
    row = market.rows()["BTC"]
    assert row.phase == "protected"
    witness = market.witness()
    assert (row.size, row.stop_price, row.target_price) == (Decimal("0.01"), Decimal(93100), Decimal(99750))
    assert witness["naked_intervals"] == []
    assert witness["duplicates"] == 0
    assert entries(market) == 1
    assert requests["order"] == 1
    assert requests["updateLeverage"] == 1
    assert requests["historicalOrders"] == 1  # of the account, for the first entry of each of its keys
    assert sum(requests.values()) <= 8, requests
    market.post("/stats/reset")
    market.submit("ETH", target="5%")
    market.tick()
    assert market.phase("ETH") == "protected"
    requests = market.get("/stats")["requests"]["by_type"]
    assert sum(requests.values()) <= 7, requests
    assert "historicalOrders" not in requests


def test_with_known_leverage_and_a_fresh_look_two_requests_lead_from_send_to_verified(market):
    market.submit()
    market.until_phase("protected")
    asks.ask_close(market.key(), market.ports)
    market.until_booked()
    market.until(lambda: market.phase() == "none")
    market.until(lambda: market.ports.venue.now_ms() > market.ports.records.load(market.key()).quiet_ms)
    look(market.ports, ALL_FIELDS, AccountSeen(), Urgency.ORDINARY)
    market.submit()
    market.post("/stats/reset")
    end = drive(market.key(), market.ports)
    assert isinstance(end, Rest)
    assert end.kind == "protected"
    spent = market.get("/stats")["requests"]["by_type"]
    assert spent == {"order": 1, "orderStatus": 2}  # its id before the send; then the send, and its stop read back
    assert market.witness()["naked_intervals"] == []


def test_a_lost_answer_is_one_entry_proved_by_looking(market):
    market.fault("drop_answer", "entry")
    market.submit()
    market.until_phase("protected")
    assert entries(market) == 1
    assert market.witness()["naked_intervals"] == []
    assert any("unknown" in line for line in market.story())


@pytest.mark.parametrize("kind", ["refuse_before", "http_502"])
def test_an_entry_the_venue_never_got_is_proved_absent_and_sent_again(market, kind):
    market.fault(kind, "entry")
    market.submit()
    market.until_phase("protected")
    assert entries(market) == 1
    assert sum("attempt 2" in line for line in market.story()) == 1


def test_an_entry_that_lands_after_its_deadline_is_refused_by_the_venue_and_never_doubled(market):
    market.fault("late_processing", "entry", delay_ms=2_500)
    market.submit()
    market.until_phase("protected", seconds=15)
    market.until(lambda: entries(market) >= 1)
    assert entries(market) == 1
    assert market.witness()["duplicates"] == 0


def test_an_entry_that_lands_late_but_within_its_deadline_is_found(market):
    market.fault("late_processing", "entry", delay_ms=700)
    market.submit()
    market.until_phase("protected", seconds=15)
    assert entries(market) == 1
    assert market.witness()["duplicates"] == 0


@pytest.mark.parametrize("kind", ["hide_fills", "hide_position", "hide_orders"])
def test_a_slow_view_leads_to_no_second_order(market, kind):
    market.fault(kind, delay_ms=400)
    market.submit()
    market.until_phase("protected")
    market.until(lambda: market.rows()["BTC"].stop_order_id is not None)
    assert entries(market) == 1
    assert market.witness()["naked_intervals"] == []
    assert sum(line.startswith("Cancel") for line in market.story()) == 0


def test_a_partial_fill_is_covered_for_what_is_filled(market):
    market.fault("partial_fill", "entry", fraction="0.5")
    market.submit()
    row = market.until_phase("protected")
    assert row.size == Decimal("0.005")
    assert market.witness()["naked_intervals"] == []


def test_a_stop_refused_beside_its_entry_is_placed_again_at_once(market):
    market.fault("refuse_stop", text="Order could not be placed.")
    market.submit()
    row = market.until_phase("protected")
    witness = market.witness()
    assert row.stop_order_id is not None
    assert 0 < witness["naked_ms"] < 1_500, witness


def test_a_stop_that_is_refused_for_ever_ends_in_a_close(market):
    market.fault("refuse_stop", text="Order could not be placed.", times=1_000)
    market.submit()
    line = market.until_booked(seconds=15)
    assert line.exit.reason == "emergency_exit"
    assert market.witness()["naked_ms"] < 6_000


def test_a_stop_the_price_has_passed_is_a_close_without_a_second_try(market):
    market.fault("refuse_stop", text="Invalid TP/SL price. asset=0")
    market.submit()
    line = market.until_booked(seconds=15)
    assert line.exit.reason == "emergency_exit"
    assert sum(text.startswith("PlaceStop") for text in market.story()) == 0


def test_a_signal_that_comes_twice_is_one_entry(market):
    first = market.submit(signal_id="twice")
    again = market.submit(signal_id="twice")
    market.until_phase("protected")
    third = market.submit(signal_id="twice")
    assert first.trade_id == again.trade_id == third.trade_id
    assert entries(market) == 1
    with pytest.raises(asks.Refused, match="another signal was accepted under this id"):
        market.submit(signal_id="twice", size="0.02")


def test_an_expired_signal_never_enters(market):
    market.submit(expires="1ms", signal_id="old")
    market.until(lambda: market.phase() == "none")
    assert entries(market) == 0
    assert any(line.startswith("refused: the signal expired") for line in market.story())


def test_an_entry_beyond_its_worst_price_is_refused_and_leaves_nothing_behind(market):
    market.submit(limit="94000", stop="92000")
    market.until(lambda: market.phase() == "none", seconds=15)
    assert entries(market) == 0
    assert any("could not immediately match" in line for line in market.story())
    assert showing.audit(market.ports) == ()


def test_the_next_entry_waits_until_the_last_trade_can_leave_nothing(market):
    market.submit()
    market.until_phase("protected")
    asks.ask_close(market.key(), market.ports)
    market.until_booked()
    market.until(lambda: market.phase() == "none")
    market.submit()
    market.until_phase("protected")
    witness = market.witness()
    assert witness["duplicates"] == 0
    assert entries(market) == 2
    assert witness["naked_intervals"] == []
    assert showing.audit(market.ports) == ()


def test_a_store_that_goes_back_in_time_cannot_enter_twice(market):
    market.submit()
    before = market.world.save_point()
    market.until_phase("protected")
    market.world.go_back(before)
    market.ports.wakes.wake(market.key(), "the store went back")
    market.until_phase("protected", seconds=15)
    market.until(lambda: market.ports.records.load(market.key()).trade.entered_ms is not None, seconds=15)
    assert entries(market) == 1
    assert market.witness()["duplicates"] == 0


def test_a_worker_that_dies_after_the_send_leaves_an_entry_the_next_one_finds(market, monkeypatch):
    venue = market.ports.venue
    send = venue.enter

    def dies(*args, **more):
        send(*args, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(venue, "enter", dies)
    market.submit()
    with pytest.raises(KeyboardInterrupt):
        market.tick()
    monkeypatch.setattr(venue, "enter", send)
    market.until_phase("protected", seconds=15)
    market.until(lambda: market.ports.records.load(market.key()).trade.entered_ms is not None, seconds=15)
    assert entries(market) == 1
    assert market.witness()["naked_intervals"] == []


def test_any_server_that_speaks_what_ccxt_asks_for_is_traded_on_in_live_mode(elsewhere):
    elsewhere.submit(target="5%")
    row = elsewhere.until_phase("protected")
    assert row.stop_order_id is not None
    asks.ask_close(elsewhere.key(), elsewhere.ports)
    assert elsewhere.until_booked().exit.reason == "manual_close"
    elsewhere.until(lambda: elsewhere.phase() == "none")
    elsewhere.submit("ETH", size="0.1")
    elsewhere.until_phase("protected", "ETH")
    witness = elsewhere.witness()
    assert entries(elsewhere) == 1
    assert witness["naked_intervals"] == []


@pytest.mark.parametrize("fault", [None, "refuse_before"])
def test_an_entry_finds_its_mark_where_no_feed_and_no_fresh_look_has_one(market, fault):
    market.submit()
    market.ports = replace(market.ports, times=replace(market.ports.times, look_fresh_ms=-1))
    if fault:
        market.fault(fault, "entry")

    def covered() -> bool:
        trade = market.ports.records.load(market.key()).trade
        return trade is not None and trade.covered

    market.until(covered)
    assert entries(market) == 1


def test_a_signal_too_far_from_its_price_is_refused_at_the_door(market):
    with pytest.raises(asks.Refused, match=r"95000.0 is 5.00% away from it, more than 1.00%"):
        market.submit(price="100000", max_deviation="1%")
    assert "order" not in market.get("/stats")["requests"]["by_type"]


def test_a_stop_beyond_the_limit_is_refused_with_both_prices_named(market):
    with pytest.raises(asks.Refused, match="below both the limit 90000 and the price 95000"):
        market.submit(limit="90000", stop="2%")


def test_a_stop_that_cannot_be_read_back_alone_is_read_among_all_orders(market, monkeypatch):
    monkeypatch.setattr(market.ports.venue, "lookup", lambda *_args: Unknown("no answer"))
    market.submit()
    market.post("/stats/reset")
    market.tick()
    assert market.rows()["BTC"].phase == "protected"
    assert market.get("/stats")["requests"]["by_type"]["frontendOpenOrders"] == 2
