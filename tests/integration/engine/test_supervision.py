"""Stops that move, targets, resting entries, the second line, a lifted stop: the engine against the paper venue.

The feed is played by the test: it puts marks into the store as a stream would, and says that the streams live.
"""

import itertools
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.core.policy import BreakEven, Gain, Trail, TrailKind
from stopkeeper.core.prices import Flaw
from stopkeeper.engine import desk as asks
from stopkeeper.engine import showing
from stopkeeper.engine.direct import flatten_direct
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sweep import sweep
from tests.integration.engine.conftest import Desk

D = Decimal


def pace(market: Desk, **rules: object) -> None:
    """Let stops move at once, so that a test need not wait half a minute."""
    market.ports = replace(market.ports, rules=replace(market.ports.rules, stop_interval_ms=300, retry_ms=500, **rules))


def enter(market: Desk, **wish: object) -> Desk:
    market.submit(**wish)
    market.until_phase("protected")
    market.until(lambda: market.rows()["BTC"].stop_order_id is not None)
    return market


def at(market: Desk, price: str) -> None:
    """Move the market, let the stream tell, and look."""
    market.mark(price)
    market.ports.prices.put("main", {"BTC": D(price)})
    sweep(market.ports)
    market.ports.wakes.wake(market.key(), "a new best price")


def stop_at(market: Desk, price: str) -> None:
    def there() -> bool:
        row = market.rows().get("BTC")
        return row is not None and row.stop_price == D(price) and row.stop_order_id is not None

    market.until(there)


def moves(market: Desk) -> list[str]:
    return [line for line in market.story() if line.startswith("PlaceStop")]


def audited(market: Desk, seconds: float = 10) -> None:
    """Wait until nothing is in breach; three looks a second, or the rate budget is what is tested."""
    nth = itertools.count()
    market.until(lambda: next(nth) % 15 == 0 and showing.audit(market.ports) == (), seconds)


def live(market: Desk) -> set[Decimal]:
    """Return the sizes of all live orders."""
    return {order.size for order in market.ports.venue.orders(Urgency.PROTECTIVE).value}


def until_live(market: Desk, *sizes: str) -> None:
    nth = itertools.count()
    market.until(lambda: next(nth) % 15 == 0 and live(market) == {D(size) for size in sizes})


def clean(market: Desk) -> None:
    audited(market)
    witness = market.witness()
    assert witness["flips"] == 0
    assert witness["non_reduce_only"] == 0
    assert witness["duplicates"] == 0


# --- stops that move


def test_a_trailing_stop_follows_up_never_down_and_never_leaves_a_gap(market):
    pace(market)
    enter(market, trail="1%")
    assert market.rows()["BTC"].trail == "1%"
    at(market, "96000")
    stop_at(market, "95040")
    at(market, "95500")  # back a little: nothing moves
    for _ in range(5):
        market.tick()
    stop_at(market, "95040")
    at(market, "97000")
    stop_at(market, "96030")
    clean(market)
    witness = market.witness()
    assert witness["naked_intervals"] == []
    assert witness["loosened"] == []
    assert market.rows()["BTC"].stop_moves_last_hour == 2
    assert all("1% behind the best price" in line for line in moves(market))
    at(market, "96000")
    line = market.until_booked()
    assert line.exit.reason == "trailing_stop"
    assert line.exit.realized_pnl > 0


def test_a_short_trails_downwards(market):
    pace(market)
    market.submit(side="short", trail="500")
    market.until_phase("protected")
    at(market, "94000")
    stop_at(market, "94500")
    at(market, "94600")
    assert market.until_booked().exit.reason == "trailing_stop"


def test_break_even_covers_the_fees_of_both_sides(market):
    pace(market)
    enter(market, breakeven="1R")
    at(market, "96900")  # the stop of 2 % lies at 93100: once the risk is 1,905 above the entry
    for _ in range(3):
        market.tick()
    assert market.rows()["BTC"].stop_price == D(93100)
    at(market, "96950")
    stop_at(market, "95090")
    at(market, "95080")
    line = market.until_booked()
    assert line.exit.reason == "trailing_stop"
    assert abs(line.exit.realized_pnl) < D("0.4"), "but for the slip below the trigger nothing is lost"


def test_small_steps_are_not_worth_two_actions(market):
    pace(market)
    enter(market, trail="1%")
    at(market, "96000")
    stop_at(market, "95040")
    before = len(moves(market))
    for price in ("96050", "96100", "96150"):  # each less than a quarter percent
        at(market, price)
        for _ in range(3):
            market.tick()
    assert len(moves(market)) == before


def test_the_interval_holds_moves_back_and_then_lets_them_go(market):
    market.ports = replace(market.ports, rules=replace(market.ports.rules, stop_interval_ms=2_500))
    enter(market, trail="1%")
    at(market, "96000")
    stop_at(market, "95040")
    at(market, "97000")
    assert market.rows()["BTC"].stop_price == D(95040)
    stop_at(market, "96030")  # by its own due time: nobody wakes the key
    assert len(moves(market)) == 2


def test_a_stop_by_candles_stands_multiples_of_their_range_away(market):
    pace(market)
    enter(market, trail="atr:3:14:1m")
    at(market, "97000")
    market.until(lambda: bool(moves(market)))
    trade = market.ports.records.load(market.key()).trade
    assert trade.atr is not None
    ranges = [D(found[1]) for move in moves(market) if (found := re.search(r"3 ATR of (\S+) behind", move))]
    # the range of a candle that has closed since need not be worth a move
    assert any(abs(trade.stop - (D(97000) - 3 * each)) <= 1 for each in ranges), moves(market)


def test_a_ratchet_lifts_the_first_stop_by_whole_steps(market):
    pace(market)
    enter(market, trail="step:1%")
    at(market, "96900")  # one step of 950 gained, not two
    stop_at(market, "94050")
    at(market, "96920")
    stop_at(market, "95000")


def test_a_person_moves_the_stop_and_the_policy_goes_on_from_there(market):
    pace(market)
    enter(market, trail="1%")
    at(market, "96000")
    stop_at(market, "95040")
    asks.move_stop(market.key(), D(94000), market.ports, loosen=True)
    stop_at(market, "94000")
    until_live(market, "0.01")
    for _ in range(5):
        market.tick()
    stop_at(market, "94000")  # the policy does not undo it
    at(market, "97000")
    stop_at(market, "96030")
    assert market.witness()["naked_intervals"] == []
    clean(market)


def test_loosening_must_be_said(market):
    enter(market)
    with pytest.raises(asks.Refused, match="unless you add --loosen"):
        asks.move_stop(market.key(), D(92000), market.ports)


def test_a_policy_can_be_set_on_an_open_position(market):
    pace(market)
    enter(market)
    at(market, "96000")
    asks.set_policy(market.key(), market.ports, trail=Trail(TrailKind.PERCENT, D("0.01")), breakeven=None)
    stop_at(market, "95040")
    asks.set_policy(market.key(), market.ports, trail=Trail(), breakeven=BreakEven(Gain(r=D(9))))
    market.until(lambda: market.rows()["BTC"].breakeven == "9R" and market.rows()["BTC"].trail == "off")


def test_an_account_has_a_policy_and_a_signal_its_own(market):
    pace(market, policy=replace(market.ports.rules.policy, trail=Trail(TrailKind.PERCENT, D("0.01"))))
    enter(market, trail="off")
    market.submit("ETH", size="0.1")
    market.until_phase("protected", "ETH")
    assert {symbol: row.trail for symbol, row in market.rows().items()} == {"BTC": "off", "ETH": "1%"}


# --- targets


def test_several_targets_take_their_parts_and_the_stop_follows(market):
    pace(market)
    enter(market, size="0.02", target=["2%:50%", "4%:25%"])
    clean(market)
    assert [goal.price for goal in market.rows()["BTC"].targets] == [D(96900), D(98800)]
    at(market, "97000")
    market.until(lambda: market.rows()["BTC"].size == D("0.01"))
    until_live(market, "0.01", "0.005")
    clean(market)
    at(market, "98900")
    market.until(lambda: market.rows()["BTC"].size == D("0.005"))
    until_live(market, "0.005")
    at(market, "93000")
    line = market.until_booked()
    assert dict(line.exit.shares) == {"take_profit": D("0.015"), "stop_loss": D("0.005")}
    assert line.exit.reason == "take_profit"
    market.until(lambda: market.phase() == "none")
    assert market.witness()["naked_intervals"] == []
    assert line.exit.gross_pnl == D(market.witness()["realized_pnl"])
    clean(market)


def test_the_last_target_takes_the_rest_and_the_stop_goes_with_it(market):
    enter(market, size="0.02", target=["2%", "4%"])
    at(market, "98900")
    line = market.until_booked()
    assert dict(line.exit.shares) == {"take_profit": D("0.02")}
    market.until(lambda: market.phase() == "none")
    assert live(market) == set()


def test_break_even_after_the_first_target(market):
    pace(market)
    enter(market, size="0.02", target=["2%:50%"], breakeven="target")
    at(market, "97000")
    stop_at(market, "95090")
    assert "a target was taken" in moves(market)[-1]


def test_a_target_whose_price_is_passed_is_taken_at_the_market(market):
    """The venue refuses the target, the price goes beyond it: the slice is closed, once, and only the slice."""
    pace(market)
    enter(market, size="0.02", target=["2%:50%"])
    market.ports = replace(market.ports, rules=replace(market.ports.rules, retry_ms=300))
    (target,) = (order for order in market.ports.venue.orders(Urgency.PROTECTIVE).value if order.trigger == D(96900))
    market.hand(cancel=int(target.id))
    at(market, "97000")
    market.until(lambda: market.rows()["BTC"].size == D("0.01"), 15)
    market.until(lambda: market.phase() == "protected")
    closes = [line for line in market.story() if line.startswith("Flatten")]
    assert len(closes) == 1, closes


def test_an_enlarged_position_keeps_its_targets_and_is_covered_whole(market):
    enter(market, size="0.02", target=["4%:50%"])
    market.hand(side="long", size="0.01")
    sweep(market.ports)
    market.until(lambda: market.rows()["BTC"].size == D("0.03") and market.phase() == "protected")
    clean(market)
    assert market.witness()["naked_ms"] < 1_500


# --- resting entries


def feed(market: Desk) -> None:
    market.ports.prices.hear("main")


def resting(market: Desk, **more: object) -> Desk:
    feed(market)
    market.submit(limit="94000", rest=True, expires="1h", **more)
    market.until_phase("entry_resting")
    return market


def test_an_entry_rests_fills_later_and_is_protected_from_the_first_moment(market):
    resting(market, target="4%")
    for _ in range(5):
        feed(market)
        market.tick()
    assert market.phase() == "entry_resting"
    feed(market)
    at(market, "93900")
    row = market.until_phase("protected")
    assert row.entry_price == D(94000)
    assert row.stop_price == D(92120)  # its distance counts from the limit
    audited(market)
    assert market.witness()["naked_intervals"] == []
    assert market.witness()["duplicates"] == 0


def test_a_part_fill_of_a_resting_entry_is_covered_at_once(market):
    resting(market)
    market.post("/faults", kind="partial_fill", match={"account": market.address, "action": "resting"}, fraction="0.5")
    feed(market)
    at(market, "93900")
    market.until(lambda: (row := market.rows().get("BTC")) is not None and row.size == D("0.005"))
    market.until_phase("protected")
    assert market.witness()["naked_ms"] < 1_500
    feed(market)
    at(market, "93800")
    market.until(lambda: (feed(market), market.rows()["BTC"].size == D("0.01"))[1])
    market.until_phase("protected")
    clean(market)
    assert market.witness()["duplicates"] == 0


@pytest.mark.parametrize("how", ["close", "pause", "halt", "deaf", "expire"])
def test_a_resting_entry_goes_when_it_is_not_wanted_any_more(market, how):
    feed(market)
    market.submit(limit="94000", rest=True, expires="3s" if how == "expire" else "1h")
    market.until_phase("entry_resting")
    acts = {
        "close": lambda: asks.ask_close(market.key(), market.ports),
        "pause": lambda: asks.pause(market.ports),
        "halt": lambda: asks.halt(market.ports),
        "deaf": lambda: None,
        "expire": lambda: None,
    }
    acts[how]()

    def gone() -> bool:
        if how != "deaf":
            feed(market)
        return market.phase() == "none"

    if how == "deaf":
        market.ports = replace(market.ports, rules=replace(market.ports.rules, feed_lost_ms=200))
        market.until(lambda: (market.ports.prices.heard_ms("main") or 0) > 200)
    market.ports.wakes.wake(market.key(), "look")
    market.until(gone, 15)
    assert live(market) == set()
    assert market.witness().get("entries_by_signal", {}) == {}
    assert market.ports.records.signal(next(iter_trades(market))).state == "refused"


def test_a_position_opened_by_hand_beside_a_resting_entry_has_the_entry_cancelled(market):
    resting(market)
    market.hand(side="short", size="0.02")
    market.ports.wakes.wake(market.key(), "told")
    market.until(lambda: (feed(market), "found" in [line.partition(":")[0] for line in market.story()])[1], 15)
    row = market.until_phase("protected")
    assert (row.side, row.size) == ("short", D("0.02"))
    assert market.ports.records.signal(next(iter_trades(market))).why.startswith("a position that this signal did not")
    at(market, "93900")
    market.hand(close=True)
    market.until(lambda: (market.ports.wakes.wake(market.key(), "told"), market.phase() == "none")[1])
    assert market.witness()["entries_by_signal"] == {"by hand": 1}
    audited(market)


def test_an_entry_that_fills_beside_a_position_opened_by_hand_is_one_with_it(market):
    resting(market)
    market.hand(side="long", size="0.02")
    at(market, "93900")  # before anybody has looked
    feed(market)
    market.ports.wakes.wake(market.key(), "told")
    market.until(lambda: (row := market.rows().get("BTC")) is not None and row.size == D("0.03"))
    market.until_phase("protected")
    assert {order.size for order in market.ports.venue.orders(Urgency.PROTECTIVE).value} >= {D("0.03")}
    asks.ask_close(market.key(), market.ports)
    line = market.until_booked(seconds=15)
    assert (line.exit.complete, line.exit.size, line.exit.reason) == (True, D("0.03"), "manual_close")
    assert abs(line.exit.gross_pnl - D(str(market.witness()["realized_pnl"]))) < D("0.01")


def iter_trades(market: Desk):
    return iter([f["trade"] for _, f in market.ports.journal.read("main", "0", 100) if f["kind"] == "admitted"])


def test_a_post_only_entry_that_would_fill_at_once_is_refused(market):
    feed(market)
    done = market.submit(limit="96000", post_only=True, stop="2%")
    market.until(lambda: market.ports.records.signal(done.trade_id).state == "refused")
    assert "Post only" in market.ports.records.signal(done.trade_id).why
    until_live(market)


def test_no_entry_rests_where_no_stream_would_tell_of_its_fill(market):
    done = market.submit(limit="94000", rest=True)
    market.until(lambda: market.ports.records.signal(done.trade_id).state == "refused")
    assert "streams are silent" in market.ports.records.signal(done.trade_id).why


def test_a_resting_entry_whose_answer_was_lost_is_found_and_entered_once(market):
    feed(market)
    market.fault("drop_answer", "entry")
    market.submit(limit="94000", rest=True, expires="1h")
    market.until(lambda: (feed(market), market.phase() == "entry_resting")[1])
    at(market, "93900")
    market.until(lambda: (feed(market), market.phase() == "protected")[1])
    assert market.witness()["duplicates"] == 0
    clean(market)


def test_a_part_filled_entry_that_is_cancelled_by_hand_stays_a_protected_position(market):
    resting(market)
    market.post("/faults", kind="partial_fill", match={"account": market.address, "action": "resting"}, fraction="0.5")
    at(market, "93900")
    market.until(lambda: (feed(market), (row := market.rows().get("BTC")) is not None and row.size is not None)[1])
    market.hand(cancel="entries")
    sweep(market.ports)
    market.until_phase("protected")
    audited(market)
    at(market, "92000")
    assert market.until_booked().exit.reason == "stop_loss"
    market.until(lambda: market.phase() == "none")


# --- the second line


def test_a_stop_that_the_venue_does_not_carry_out_is_closed_after_a_second_reading(market):
    enter(market)
    market.fault("stop_no_fill", "stop", delay_ms=60_000)
    at(market, "92500")
    line = market.until_booked(seconds=20)
    assert line.exit.reason == "emergency_exit"
    assert market.witness()["flips"] == 0
    assert len([line for line in market.story() if line.startswith("Flatten")]) == 1


def test_a_fired_stop_that_hangs_is_gone_before_the_next_entry_leaves(market):
    """It is in no list of open orders, and would close the next position as soon as it finds somebody."""
    enter(market)
    market.fault("stop_no_fill", "stop", delay_ms=5_000, then="fill")
    fired_ms = market.ports.venue.now_ms()
    at(market, "92500")
    assert market.until_booked().exit.reason == "emergency_exit"
    at(market, "95000")
    enter(market)
    market.until(lambda: market.ports.venue.now_ms() > fired_ms + 7_000)
    sweep(market.ports)
    market.until_phase("protected")
    assert len(market.ports.ledger.lines("main")) == 1, "the old stop closed the new position"
    assert market.witness()["flips"] == 0


@pytest.mark.parametrize("text", ["0", "NaN", "-5", "null", "1"])
def test_a_bad_price_in_the_position_row_closes_nothing_and_is_counted(market, text):
    enter(market)
    market.ports.prices.put("main", {"BTC": D(95000)})
    market.post("/faults", kind="bad_price", match={"action": "position"}, text=text, delay_ms=2_000)
    for _ in range(6):
        market.ports.prices.put("main", {"BTC": D(95000)})
        market.ports.wakes.wake(market.key(), "look")
        sweep(market.ports)
        market.tick()
    market.until(lambda: (sweep(market.ports), market.phase() == "protected")[1])
    assert market.rows()["BTC"].size == D("0.01")
    assert not any(line.startswith("Flatten") for line in market.story())
    if text == "1":
        assert market.ports.prices.counts("main")[Flaw.ONE_SOURCE] > 0


@pytest.mark.parametrize("text", ["1", "100000000", "150000"])
@pytest.mark.parametrize("streamed", [True, False], ids=["with streams", "without"])
def test_a_close_is_not_held_up_by_a_row_that_lies(market, text, streamed):
    enter(market)
    if streamed:
        market.ports.prices.put("main", {"BTC": D(95000)})
    market.post("/faults", kind="bad_price", match={"action": "position"}, text=text, delay_ms=60_000)
    asks.halt(market.ports)
    assert market.until_booked(seconds=15).exit.reason == "manual_close"
    assert len([line for line in market.story() if line.startswith("Flatten")]) <= 4


@pytest.mark.parametrize("text", ["1", "100000000", "150000"])
def test_a_direct_close_is_not_held_up_either(market, text):
    enter(market)
    market.post("/faults", kind="bad_price", match={"action": "position"}, text=text, delay_ms=60_000)
    assert flatten_direct(
        market.ports.venue, market.ports.installation, (), market.ports.rules, lambda _text: None, pause_s=0.05
    )


def test_a_false_price_on_the_stream_alone_closes_nothing(market):
    enter(market)
    for _ in range(6):
        market.ports.prices.put("main", {"BTC": D(50000)})
        market.ports.wakes.wake(market.key(), "the price is at the stop")
        market.tick()
    market.until_phase("protected")
    assert not any(line.startswith("Flatten") for line in market.story())


# --- a person lifts the stop


def test_a_lifted_stop_is_taken_away_named_all_the_time_and_comes_back(market):
    enter(market)
    asks.lift_stop(market.key(), 4_000, market.ports)
    until_live(market)
    assert market.phase() == "naked"
    assert (market.rows()["BTC"].naked_ms or 0) > 0, "it is counted, also where a person wants it so"
    assert [breach.kind for breach in showing.audit(market.ports)] == ["naked"]
    assert any(line.startswith("alarm:off") for line in market.story())
    stop_at(market, "93100")  # its time is up
    assert market.rows()["BTC"].naked_ms > 3_000
    audited(market)
    assert not any(line.startswith("Flatten") for line in market.story())


def test_a_lifted_stop_can_be_had_back(market):
    enter(market)
    asks.lift_stop(market.key(), 600_000, market.ports)
    until_live(market)
    asks.lift_stop(market.key(), 0, market.ports)
    stop_at(market, "93100")
    with pytest.raises(asks.Refused, match="a day at most"):
        asks.lift_stop(market.key(), 90_000_000, market.ports)
