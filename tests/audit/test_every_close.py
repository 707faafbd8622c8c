"""Every path on which a position of ours ends: flat once, for the reason that was its own, with nothing left behind."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.engine import desk as asks
from stopkeeper.engine.direct import flatten_direct
from stopkeeper.engine.sweep import sweep
from tests.audit.promise import closes, held, kept, over, set_lag, show_late
from tests.integration.engine.conftest import Desk
from tests.integration.engine.test_guardian import Post

EMERGENCY_MS = 4_000  # the limit of 1.2 s or the patience with a stop that fired, looks and closes, on a busy machine


def enter(market: Desk, **wish: object) -> None:
    """Open a long of 0.01 BTC from 95005 with its stop at 93100, and let all that was sent show itself."""
    market.submit(**wish)
    market.until_phase("protected")
    market.until(lambda: market.ports.venue.now_ms() > market.ports.records.load(market.key()).quiet_ms)
    market.until(lambda: not market.tick())


def at(market: Desk, price: str) -> None:
    """Move the market, let the stream tell, and look."""
    market.mark(price)
    market.ports.prices.put("main", {"BTC": Decimal(price)})
    sweep(market.ports)


def without_its_stop(market: Desk) -> None:
    market.hand(cancel="stops")
    market.ports.wakes.wake(market.key(), "the stop is gone")


# --- asked for


def by_command(market: Desk) -> None:
    enter(market, target="5%")
    asks.ask_close(market.key(), market.ports)


def by_command_while_paused(market: Desk) -> None:
    enter(market)
    asks.pause(market.ports)
    asks.ask_close(market.key(), market.ports)


def by_command_with_its_answer_lost(market: Desk) -> None:
    enter(market)
    market.fault("drop_answer", "close")
    asks.ask_close(market.key(), market.ports)


def by_command_that_lands_late(market: Desk) -> None:
    enter(market)
    market.fault("late_processing", "close", delay_ms=700)
    asks.ask_close(market.key(), market.ports)


def by_command_filled_in_parts(market: Desk) -> None:
    enter(market)
    market.fault("partial_fill", "close", fraction="0.4", times=2)
    asks.ask_close(market.key(), market.ports)


def by_command_at_a_venue_that_shows_late(market: Desk) -> None:
    enter(market)
    show_late(market, 400)
    asks.ask_close(market.key(), market.ports)


def by_command_with_a_record_that_went_back(market: Desk) -> None:
    enter(market)
    asks.ask_close(market.key(), market.ports)
    before = market.world.save_point()
    market.until(lambda: bool(closes(market)))
    market.world.go_back(before)
    market.ports.wakes.wake(market.key(), "the store went back")


def by_command_before_the_entry_was_proved(market: Desk) -> None:
    market.fault("drop_answer", "entry")
    market.fault("hide_position", delay_ms=400)
    set_lag(market, 500)
    market.submit()
    market.tick()
    asks.ask_close(market.key(), market.ports)


def in_two_parts(market: Desk) -> None:
    enter(market)
    asks.ask_close(market.key(), market.ports, keep_fraction=Decimal("0.4"))
    market.until(lambda: held(market) == Decimal("0.004"))
    kept(market)
    asks.ask_close(market.key(), market.ports)


def by_halt(market: Desk) -> None:
    enter(market)
    asks.halt(market.ports)


def by_flatten(market: Desk) -> None:
    enter(market)
    assert asks.flatten(market.ports) == (market.key(),)


# --- by what stands at the venue, or by the clock


def by_its_stop(market: Desk) -> None:
    enter(market, target="5%")
    at(market, "93000")


def by_a_stop_that_slips(market: Desk) -> None:
    enter(market)
    at(market, "90500")


def by_its_target(market: Desk) -> None:
    enter(market, target="5%")
    at(market, "99800")


def by_targets_in_slices(market: Desk) -> None:
    enter(market, size="0.02", target=["2%:50%", "4%:50%"])
    at(market, "97000")
    market.until(lambda: held(market) == Decimal("0.01"))
    at(market, "98900")


def by_a_stop_that_trailed(market: Desk) -> None:
    market.ports = replace(market.ports, rules=replace(market.ports.rules, stop_interval_ms=300))
    enter(market, trail="1%")
    at(market, "97000")
    market.until(lambda: market.rows()["BTC"].stop_price == Decimal(96030))
    at(market, "96000")


def by_its_time(market: Desk) -> None:
    market.submit(time_limit="300ms", target="5%")


def by_hand_at_the_venue(market: Desk) -> None:
    enter(market, target="5%")
    market.hand(close=True)
    sweep(market.ports)


def by_liquidation(market: Desk) -> None:
    enter(market)
    market.post("/liquidate", account=market.address, symbol="BTC")
    sweep(market.ports)


def by_deleveraging(market: Desk) -> None:
    enter(market)
    market.post("/adl", account=market.address, symbol="BTC")
    sweep(market.ports)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (by_command, "manual_close"),
        (by_command_while_paused, "manual_close"),
        (by_command_with_its_answer_lost, "manual_close"),
        (by_command_that_lands_late, "manual_close"),
        (by_command_filled_in_parts, "manual_close"),
        (by_command_at_a_venue_that_shows_late, "manual_close"),
        (by_command_with_a_record_that_went_back, "manual_close"),
        (by_command_before_the_entry_was_proved, "manual_close"),
        (in_two_parts, "manual_close"),
        (by_halt, "manual_close"),
        (by_flatten, "manual_close"),
        (by_its_stop, "stop_loss"),
        (by_a_stop_that_slips, "stop_loss"),
        (by_its_target, "take_profit"),
        (by_targets_in_slices, "take_profit"),
        (by_a_stop_that_trailed, "trailing_stop"),
        (by_its_time, "time_limit"),
        (by_hand_at_the_venue, "external"),
        (by_liquidation, "liquidation"),
        (by_deleveraging, "adl"),
    ],
)
def test_a_close_is_covered_until_it_is_flat_and_booked_for_what_it_was(market, way: Callable[[Desk], None], reason):
    way(market)
    over(market, reason)


# --- the second line: an emergency, and what is done when there is no store


def beyond_a_stop_that_is_gone(market: Desk) -> None:
    enter(market)
    market.hand(cancel="stops")
    at(market, "93000")


def beyond_a_stop_as_the_venue_says(market: Desk) -> None:
    enter(market)
    market.fault("refuse_stop")  # in the words for a trigger that the price has passed
    without_its_stop(market)


def naked_for_too_long(market: Desk) -> None:
    enter(market)
    market.fault("refuse_stop", text="Order could not be placed.", times=1_000)
    without_its_stop(market)


def naked_again_and_again(market: Desk) -> None:
    enter(market)
    for count in (1, 2, 3):
        without_its_stop(market)
        market.until(lambda n=count: len(market.ports.records.load(market.key()).trade.lost_ms) == n or closes(market))
        market.until(lambda: market.phase() == "protected" or bool(closes(market)))


def fired_and_found_nobody(market: Desk) -> None:
    enter(market)
    market.fault("stop_no_fill", "stop")
    at(market, "93000")


def fired_and_hangs(market: Desk) -> None:
    enter(market)
    market.fault("stop_no_fill", "stop", delay_ms=60_000)
    at(market, "93000")


def stands_and_is_not_carried_out(market: Desk) -> None:
    enter(market)
    market.post("/faults", kind="ignore_stops", match={"symbol": "BTC"})
    at(market, "92500")


def in_a_book_too_thin_for_the_first_price(market: Desk) -> None:
    enter(market)
    market.post("/settings", half_spread_bp="500")
    market.fault("refuse_stop")
    without_its_stop(market)


@pytest.mark.parametrize(
    "way",
    [
        beyond_a_stop_that_is_gone,
        beyond_a_stop_as_the_venue_says,
        naked_for_too_long,
        naked_again_and_again,
        fired_and_found_nobody,
        fired_and_hangs,
        stands_and_is_not_carried_out,
        in_a_book_too_thin_for_the_first_price,
    ],
)
def test_where_no_stop_protects_the_position_goes(market, way: Callable[[Desk], None]):
    way(market)
    over(market, "emergency_exit", naked_ms=EMERGENCY_MS)


@pytest.mark.parametrize(
    ("how", "reason"), [("stop", "stop_loss"), ("emergency", "emergency_exit"), ("command", "manual_close")]
)
def test_what_was_found_ends_like_any_other(market, how, reason):
    assert market.rows() == {}
    market.hand(side="long", size="0.01")
    entry_fees = market.witness()["fees"]
    sweep(market.ports)
    market.until_phase("protected")
    if how == "emergency":
        market.hand(cancel="stops")
    if how == "command":
        asks.ask_close(market.key(), market.ports)
    else:
        at(market, "90000")
    over(market, reason, naked_ms=EMERGENCY_MS, entry_fees=entry_fees)


@pytest.mark.parametrize("why", ["naked", "halted"])
def test_without_redis_the_guardian_closes_and_it_is_booked_afterwards(market, why):
    enter(market)
    post = Post(market)
    if why == "halted":
        market.ports.flags.change("main", halted=True)
    post.lose()
    if why == "naked":
        market.hand(cancel="stops")
        market.mark("92500")
    post.until(lambda: post.held() is None)
    post.back()
    over(market, "manual_close" if why == "halted" else "emergency_exit", naked_ms=EMERGENCY_MS)


def test_a_direct_flatten_needs_no_store_and_what_it_leaves_is_cleared(market):
    """Its order names no trade, but whose it is and what for."""
    enter(market, target="5%")
    said: list[str] = []
    assert flatten_direct(market.ports.venue, market.ports.installation, (), market.ports.rules, said.append), said
    assert held(market) == 0
    sweep(market.ports)
    over(market, "manual_close")
