"""Every path on which a position comes to be ours: covered by the time it exists, entered once, whatever is lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from stopkeeper.core.actions import Enter
from stopkeeper.engine import drive as drives
from stopkeeper.engine.sweep import sweep
from tests.audit.promise import REPAIRED_MS, SIZES, before_the, calmly, held, kept, orders, show_late
from tests.integration.engine.conftest import Desk


def entered(market: Desk, symbol: str = "BTC") -> None:
    """Wait until the entry is known to have filled; the streams are said to live meanwhile."""

    def known() -> bool:
        market.ports.prices.hear("main")
        trade = market.ports.records.load(market.key(symbol)).trade
        return trade is not None and trade.entered_ms is not None and market.phase(symbol) == "protected"

    market.until(known)


# --- the ways


def at_the_market(market: Desk) -> None:
    market.submit(target="5%")


def short_at_the_market(market: Desk) -> None:
    market.submit(side="short", target="5%")


def by_notional(market: Desk) -> None:
    market.submit(size=None, notional="900")


def by_risk(market: Desk) -> None:
    market.submit(size=None, risk="15")


def up_to_a_limit(market: Desk) -> None:
    market.submit(limit="95100", stop="93000")


def with_several_targets(market: Desk) -> None:
    market.submit(size="0.02", target=["2%:50%", "4%:25%"])


def filled_in_part(market: Desk) -> None:
    market.fault("partial_fill", "entry", fraction="0.3")
    market.submit()


def answer_lost(market: Desk) -> None:
    market.fault("drop_answer", "entry")
    market.submit()


def answer_late(market: Desk) -> None:
    market.fault("late", "entry", delay_ms=900)  # the request timed out at 600
    market.submit()


def landed_late(market: Desk) -> None:
    market.fault("late_processing", "entry", delay_ms=700)
    market.submit()


def refused_by_a_gateway_and_sent_again(market: Desk) -> None:
    market.fault("http_502", "entry")
    market.submit()


def never_arrived_and_sent_again(market: Desk) -> None:
    market.fault("refuse_before", "entry")
    market.submit()


def too_many_requests_and_sent_again(market: Desk) -> None:
    market.fault("http_429", "entry")
    market.submit()


def landed_after_its_deadline_and_sent_again(market: Desk) -> None:
    market.fault("late_processing", "entry", delay_ms=1_500)
    market.submit()


def shown_late(market: Desk) -> None:
    show_late(market, 400)
    market.submit()


def known_by_a_record_that_went_back(market: Desk) -> None:
    market.submit()
    before = market.world.save_point()
    market.until_phase("protected")
    market.world.go_back(before)
    market.ports.wakes.wake(market.key(), "the store went back")


def submitted_twice(market: Desk) -> None:
    market.submit(signal_id="twice")
    market.submit(signal_id="twice")


def rested(market: Desk) -> None:
    market.ports.prices.hear("main")
    market.submit(limit="94000", rest=True, expires="1h", target="4%")
    market.until_phase("entry_resting")
    market.mark("93900")
    market.ports.wakes.wake(market.key(), "a fill")


def rested_post_only(market: Desk) -> None:
    market.ports.prices.hear("main")
    market.submit(limit="94000", post_only=True, expires="1h")
    market.until_phase("entry_resting")
    market.mark("93900")
    market.ports.wakes.wake(market.key(), "a fill")


def rested_with_its_answer_lost(market: Desk) -> None:
    market.fault("drop_answer", "entry")
    rested(market)


@pytest.mark.parametrize(
    "way",
    [
        at_the_market,
        short_at_the_market,
        by_notional,
        by_risk,
        up_to_a_limit,
        with_several_targets,
        filled_in_part,
        answer_lost,
        answer_late,
        landed_late,
        refused_by_a_gateway_and_sent_again,
        never_arrived_and_sent_again,
        too_many_requests_and_sent_again,
        landed_after_its_deadline_and_sent_again,
        shown_late,
        known_by_a_record_that_went_back,
        submitted_twice,
        rested,
        rested_post_only,
        rested_with_its_answer_lost,
    ],
)
def test_an_entry_is_one_and_is_never_without_its_stop(market, way: Callable[[Desk], None]):
    way(market)
    entered(market)
    kept(market)
    witness = market.witness()
    assert list(witness["entries_by_signal"].values()) == [1]


def stop_refused(market: Desk) -> None:
    market.fault("refuse_stop", text="Order could not be placed.")
    market.submit()


def stop_gone_before_it_was_read(market: Desk) -> None:
    market.fault("cancel_stop", delay_ms=0)
    market.submit()


def rested_and_filled_in_part(market: Desk) -> None:
    market.post("/faults", kind="partial_fill", match={"account": market.address, "action": "resting"}, fraction="0.5")
    rested(market)


def rested_and_filled_in_part_then_gone(market: Desk) -> None:
    rested_and_filled_in_part(market)
    market.until(lambda: held(market) > 0 and market.phase() == "protected")
    market.hand(cancel="entries")
    sweep(market.ports)


def found(market: Desk) -> None:
    assert market.rows() == {}
    market.hand(side="long", size="0.01")
    sweep(market.ports)


def found_with_a_stop_of_somebody_else(market: Desk) -> None:
    assert market.rows() == {}
    market.hand(side="short", size="0.01")
    market.hand(place={"kind": "stop", "price": "97000"})
    sweep(market.ports)


def found_after_all_was_lost(market: Desk) -> None:
    before = market.world.save_point()
    market.submit(target="5%")
    market.until_phase("protected")
    market.world.go_back(before)
    sweep(market.ports)


def enlarged_by_hand(market: Desk) -> None:
    market.submit()
    market.until_phase("protected")
    market.hand(side="long", size="0.02")
    sweep(market.ports)
    market.until(lambda: market.rows()["BTC"].size == held(market))


@pytest.mark.parametrize(
    "way",
    [
        stop_refused,
        stop_gone_before_it_was_read,
        rested_and_filled_in_part,
        rested_and_filled_in_part_then_gone,
        found,
        found_with_a_stop_of_somebody_else,
        found_after_all_was_lost,
        enlarged_by_hand,
    ],
)
def test_what_comes_to_be_without_a_stop_of_ours_gets_one_within_a_look(market, way: Callable[[Desk], None]):
    way(market)
    entered(market)
    kept(market, naked_ms=REPAIRED_MS)


def test_a_flip_by_hand_is_covered_on_its_new_side(market):
    market.submit()
    market.until_phase("protected")
    market.hand(side="short", size="0.03")
    sweep(market.ports)
    assert market.until_booked().exit.reason == "external"
    entered(market)
    kept(market, naked_ms=REPAIRED_MS, flips=1)


def test_what_stood_when_all_was_lost_is_taken_over_and_not_doubled(market):
    before = market.world.save_point()
    market.submit()
    market.until_phase("protected")
    standing = orders(market)
    market.world.go_back(before)
    sweep(market.ports)
    market.until(lambda: market.ports.records.load(market.key()).trade is not None)
    market.until_phase("protected")
    kept(market)
    assert orders(market) == standing


def test_three_markets_at_once_are_three_entries_with_three_stops(market):
    for symbol, size in SIZES.items():
        market.submit(symbol, size=size)
    for symbol in SIZES:
        entered(market, symbol)
        kept(market, symbol)


def out_of_reach(market: Desk) -> None:
    market.submit(limit="94000", stop="92000")


def expired_before_it_left(market: Desk) -> None:
    market.submit(expires="1ms")


def rested_until_nobody_listened(market: Desk) -> None:
    market.ports.prices.hear("main")
    market.submit(limit="94000", rest=True, expires="1h")
    market.until_phase("entry_resting")
    market.ports = replace(market.ports, rules=replace(market.ports.rules, feed_lost_ms=1))
    market.ports.wakes.wake(market.key(), "look")


def rested_until_it_expired(market: Desk) -> None:
    market.ports.prices.hear("main")
    market.submit(limit="94000", rest=True, expires="800ms")
    market.until_phase("entry_resting")


@pytest.mark.parametrize(
    "way",
    [
        out_of_reach,
        expired_before_it_left,
        rested_until_nobody_listened,
        rested_until_it_expired,
    ],
)
def test_an_entry_that_never_was_leaves_nothing_behind(market, way: Callable[[Desk], None]):
    """A stop without its position would close half of the next one."""
    way(market)
    nothing_is_left(market)


def test_the_stop_of_an_entry_that_was_refused_for_its_margin_goes(market, monkeypatch):
    """The legs are independent: the stop was accepted, and rests."""
    spent = {"address": market.address, "balance": "50"}
    before_the(Enter, drives, monkeypatch, lambda: market.post("/accounts", **spent))
    market.submit()
    nothing_is_left(market)
    (told,) = [line for line in market.story() if line.startswith("Enter")]
    assert "Insufficient margin" in told
    assert "stop accepted" in told


def nothing_is_left(market: Desk) -> None:
    market.until(lambda: market.ports.records.load(market.key()).trade is None)
    market.until(calmly(lambda: orders(market) == []))
    assert held(market) == 0
    assert market.witness().get("entries_by_signal", {}) == {}
    assert market.ports.ledger.lines("main") == []
