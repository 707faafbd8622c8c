"""What happens to a held position: hands, faults, prices and exits, judged by the venue's witness."""

import time
from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.core.actions import ALL_FIELDS, Field
from stopkeeper.core.model import AccountSeen, Known
from stopkeeper.core.outcomes import Reason, Rejected, Unknown
from stopkeeper.engine import desk as asks
from stopkeeper.engine import perform, showing
from stopkeeper.engine.direct import flatten_direct
from stopkeeper.engine.observe import look
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sweep import sweep


@pytest.fixture
def held(market):
    """A desk with a protected BTC long of 0.01 from 95005, stop 93100, target 99750."""
    market.submit(target="5%")
    market.until_phase("protected")
    market.until(lambda: market.ports.records.load(market.key()).trade.entered_ms is not None)
    return market


def swept(desk, phase="protected", **more):
    sweep(desk.ports)
    return desk.until_phase(phase, **more)


def test_a_stop_silently_cancelled_is_back_after_one_sweep(held):
    held.hand(cancel="stops")
    swept(held)
    held.until(lambda: held.rows()["BTC"].stop_order_id is not None)
    assert held.witness()["naked_ms"] < 1_000
    assert held.rows()["BTC"].stop_price == Decimal(93100)


def test_a_price_of_zero_closes_nothing(held):
    held.fault("zero_price", delay_ms=1_500)
    for _ in range(5):
        swept(held)
    assert held.rows()["BTC"].size == Decimal("0.01")
    assert not any(line.startswith("Flatten") for line in held.story())


def test_a_stop_that_fires_is_booked_once_with_its_price_and_fees(held):
    held.mark("93000")
    sweep(held.ports)
    line = held.until_booked()
    assert line.exit.reason == "stop_loss"
    assert line.exit.exit_price < Decimal(93100)
    witness = held.witness()
    assert line.exit.gross_pnl == Decimal(witness["realized_pnl"])
    assert line.exit.fees == Decimal(witness["fees"])
    held.until(lambda: held.phase() == "none")
    assert showing.audit(held.ports) == ()
    assert len(held.ports.ledger.lines("main")) == 1


def test_a_target_that_fires_takes_the_stop_with_it(held):
    held.mark("99800")
    sweep(held.ports)
    line = held.until_booked()
    assert line.exit.reason == "take_profit"
    assert line.exit.realized_pnl > 0
    held.until(lambda: held.phase() == "none")
    assert showing.audit(held.ports) == ()


def test_a_manual_close_is_booked_as_one(held):
    asks.ask_close(held.key(), held.ports)
    assert held.until_booked().exit.reason == "manual_close"


def test_a_partial_close_leaves_the_rest_protected(held):
    asks.ask_close(held.key(), held.ports, keep_fraction=Decimal("0.4"))
    held.until(lambda: held.rows()["BTC"].size == Decimal("0.004"))
    row = held.until_phase("protected")
    assert row.stop_order_id is not None
    assert held.witness()["naked_intervals"] == []
    closes = [line for line in held.story() if line.startswith("Flatten")]
    assert len(closes) == 1, closes


def test_a_close_by_hand_is_external(held):
    held.hand(close=True)
    sweep(held.ports)
    assert held.until_booked().exit.reason == "external"
    held.until(lambda: held.phase() == "none")
    assert showing.audit(held.ports) == ()


def test_a_liquidation_is_named_as_one(held):
    held.post("/liquidate", account=held.address, symbol="BTC")
    sweep(held.ports)
    assert held.until_booked().exit.reason == "liquidation"


def test_a_position_opened_by_hand_is_covered_after_one_sweep(market):
    assert market.rows() == {}  # the venue funds an account when it is first asked about
    market.hand(side="short", size="0.02")
    row = swept(market)
    assert row.side == "short"
    assert row.stop_order_id is not None
    assert row.stop_price > row.entry_price
    assert [o.kind for o in showing.orphans(market.ports)] == ["position"]
    before = len(market.story())
    for _ in range(3):
        swept(market)
    assert not any("PlaceStop" in line for line in market.story()[before:])


def test_a_position_enlarged_by_hand_is_covered_whole(held):
    held.hand(side="long", size="0.03")
    row = swept(held)
    held.until(lambda: held.rows()["BTC"].size == Decimal("0.04") and held.phase() == "protected")
    assert row.side == "long"
    assert held.witness()["naked_ms"] < 1_000


def test_a_flip_by_hand_ends_the_trade_and_covers_what_it_left(held):
    held.hand(side="short", size="0.03")
    sweep(held.ports)
    line = held.until_booked()
    assert line.exit.reason == "external"
    row = held.until_phase("protected")
    assert (row.side, row.size) == ("short", Decimal("0.02"))
    held.until(lambda: showing.audit(held.ports) == ())


def test_a_fired_stop_that_finds_no_buyer_ends_in_a_close(held):
    held.fault("stop_no_fill", "stop")
    held.mark("93000")
    sweep(held.ports)
    line = held.until_booked(seconds=15)
    assert line.exit.reason == "emergency_exit"
    assert held.witness()["naked_ms"] < 5_000


def test_a_stop_moved_by_hand_is_seen_before_the_old_one_goes(held):
    asks.move_stop(held.key(), Decimal(94000), held.ports)
    held.until(lambda: held.rows()["BTC"].stop_price == Decimal(94000))
    held.until(lambda: not showing.audit(held.ports))
    assert held.witness()["naked_intervals"] == []
    story = [line for line in held.story() if line.startswith(("PlaceStop", "Cancel"))]
    assert story[0].startswith("PlaceStop")
    assert story[1].startswith("Cancel")
    assert len(story) == 2


@pytest.mark.parametrize(
    ("to", "sentence"),
    [("96000", "must be below the price"), ("92000", "would loosen the stop")],
)
def test_a_stop_moved_to_where_it_may_not_be_is_refused(held, to, sentence):
    with pytest.raises(asks.Refused, match=sentence):
        asks.move_stop(held.key(), Decimal(to), held.ports)
    assert held.rows()["BTC"].stop_price == Decimal(93100)


def test_halt_flattens_and_refuses_entries_until_resumed(held):
    asks.halt(held.ports)
    assert held.until_booked().exit.reason == "manual_close"
    with pytest.raises(asks.Refused, match="halted"):
        held.submit("ETH", size="0.1")
    asks.resume(held.ports)
    held.until(lambda: held.phase() == "none")
    held.submit()
    held.until_phase("protected")


def test_pause_refuses_entries_and_keeps_protecting(held):
    asks.pause(held.ports)
    with pytest.raises(asks.Refused, match="paused"):
        held.submit("ETH", size="0.1")
    held.hand(cancel="stops")
    swept(held)
    assert held.rows()["BTC"].stop_order_id is not None


def test_a_time_limit_closes_the_trade(market):
    market.submit(time_limit="1s")
    market.until_phase("protected")
    assert market.until_booked().exit.reason == "time_limit"


def test_flatten_direct_needs_no_store(held):
    said: list[str] = []
    assert flatten_direct(held.ports.venue, held.ports.installation, ("BTC",), held.ports.rules, said.append)
    assert said[-1] == "flat"
    assert held.witness()["naked_intervals"] == []


def test_a_lost_answer_of_a_close_is_not_a_second_position(held):
    held.fault("drop_answer", "close")
    asks.ask_close(held.key(), held.ports)
    line = held.until_booked(seconds=15)
    assert line.exit.reason == "manual_close"
    assert held.witness()["flips"] == 0
    assert line.exit.size == Decimal("0.01")


def test_booking_waits_for_fills_that_are_hidden(held):
    held.fault("hide_fills", delay_ms=1_500)
    held.mark("93000")
    sweep(held.ports)
    line = held.until_booked()
    assert line.exit.reason == "stop_loss"
    assert line.exit.complete


def test_three_symbols_at_once_each_have_their_own_stop(market):
    for symbol, side, size in (("BTC", "long", "0.01"), ("ETH", "long", "0.1"), ("SOL", "short", "1")):
        market.submit(symbol, side, size=size)
    for symbol in ("BTC", "ETH", "SOL"):
        assert market.until_phase("protected", symbol).stop_order_id is not None
        assert market.witness(symbol)["naked_intervals"] == []
    market.post("/stats/reset")
    for _ in range(4):
        assert sweep(market.ports) == ()
    spent = market.get("/stats")["requests"]["by_type"]
    assert spent.pop("userRateLimit", 0) <= 1
    assert spent == {"clearinghouseState": 4, "frontendOpenOrders": 4, "userFillsByTime": 4}


def test_another_installation_at_work_on_the_account_is_named(held):
    sweep(held.ports)
    assert showing.other_installation(held.ports) is None
    stranger = replace(held.ports, installation="ffff0")
    said = showing.other_installation(stranger)
    assert said is not None
    assert "installation a1b2c" in said
    assert "other_installation_live" in {breach.kind for breach in showing.audit(stranger)}


def test_a_close_asked_while_another_drives_an_unowned_position_is_not_lost_in_silence(market, monkeypatch):
    assert market.rows() == {}
    market.hand(side="long", size="0.01")
    monkeypatch.setattr(asks, "drive", lambda *_args: None)
    look(market.ports, ALL_FIELDS, AccountSeen(), Urgency.PROTECTIVE)
    with pytest.raises(asks.VenueAway, match="ask again in a moment"):
        asks.ask_close(market.key(), market.ports)
    assert not any(line.startswith("asked") for line in market.story())


def test_a_direct_flatten_widens_only_where_nothing_matched(held, monkeypatch):
    given: list[str] = []
    real = held.ports.venue.close

    def busy(*args):
        return Rejected(Reason.TOO_SMALL, "no") if len(given) < 3 else real(*args)

    monkeypatch.setattr(held.ports.venue, "close", busy)
    venue, rules = held.ports.venue, held.ports.rules
    pause_s = venue.can.lag_ms / 1000 / 5  # it says flat a lag after it began, within its twelve tries
    assert flatten_direct(venue, held.ports.installation, ("BTC",), rules, given.append, pause_s)
    assert all("within 3%" in line for line in given[:-1])


def spend_all(desk):
    while desk.ports.venue.wait_ms({Field.HOLDINGS}, Urgency.PROTECTIVE) == 0:
        desk.ports.venue.budget.add(20)


def test_what_another_process_read_a_moment_ago_serves_where_the_budget_grants_no_look(held):
    held.until(lambda: not held.tick())
    look(held.ports, ALL_FIELDS, AccountSeen(), Urgency.PROTECTIVE)
    spend_all(held)
    held.ports.wakes.wake(held.key(), "a price")
    held.tick()
    assert held.phase() == "protected"
    assert not any("blind" in line for line in held.story())


def test_a_look_from_before_serves_nobody_who_did_something_since(held):
    held.until(lambda: not held.tick())
    mine = look(held.ports, ALL_FIELDS, AccountSeen(), Urgency.PROTECTIVE)
    spend_all(held)
    again = look(held.ports, ALL_FIELDS, mine, Urgency.PROTECTIVE)
    assert isinstance(again.holdings, Unknown)
    assert isinstance(again.orders, Unknown)


def test_funding_that_cannot_be_read_is_added_once_it_can(held, monkeypatch):
    """The exit is not kept waiting for it: it is booked without, as incomplete, and corrected later."""
    key, ports = held.key(), held.ports
    monkeypatch.setattr(perform, "FUNDING_PERIOD_MS", 1)  # it was held over a payment
    asked = []
    right = ports.venue.funding

    def refuse(*what):
        asked.append(what)
        return Unknown("the venue is slow")

    monkeypatch.setattr(ports.venue, "funding", refuse)
    held.mark("93000")
    sweep(ports)
    first = held.until_booked()
    assert (first.exit.reason, first.exit.complete, first.exit.funding) == ("stop_loss", False, 0)
    assert "funding could not be read" in first.exit.evidence
    seen = len(asked)
    sweep(ports)
    held.tick()
    assert len(asked) <= seen + 1, "it is asked at a pace"
    monkeypatch.setattr(ports.venue, "funding", right)

    def corrected():
        time.sleep(1)  # as the sweeps of a beat: not all of the budget
        sweep(ports)
        held.tick()
        return held.ports.ledger.lines("main")[-1].exit.complete

    held.until(corrected, seconds=10)
    assert "funding could not" not in held.ports.ledger.lines("main")[-1].exit.evidence
    held.until(lambda: not ports.records.load(key).settling)


def test_orders_are_never_dated_by_positions_of_long_ago(held):
    """Who reads positions only, and often, must not make another process date its orders by its own last look."""
    ports = held.ports
    look(ports, ALL_FIELDS, AccountSeen(), Urgency.PROTECTIVE)
    time.sleep(0.3)
    before = ports.venue.now_ms()
    seen = look(ports, frozenset({Field.ORDERS}), AccountSeen(), Urgency.PROTECTIVE)
    assert isinstance(seen.orders, Known)
    assert seen.orders.at_ms >= before - 50
