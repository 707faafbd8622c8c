"""Every path on which a stop makes way for another: no gap, never farther unless a person said so, one in the end."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.core.model import OrderKind, Side
from stopkeeper.core.policy import Trail, TrailKind
from stopkeeper.engine import desk as asks
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sweep import sweep
from tests.audit.promise import REPAIRED_MS, SIZES, calmly, held, kept, naked, orders, show_late
from tests.integration.engine.conftest import Desk
from tests.integration.engine.test_guardian import Post

D = Decimal
GUARDIAN_MS = 4_000  # one of its rounds, every 2 s while all is covered, and a send on a busy machine


def enter(market: Desk, **wish: object) -> None:
    """Open a long of 0.01 BTC from 95005 with its stop at 93100, whose policy may move it at once."""
    market.ports = replace(market.ports, rules=replace(market.ports.rules, stop_interval_ms=300, retry_ms=500))
    market.submit(**wish)
    market.until_phase("protected")
    market.until(lambda: market.ports.records.load(market.key()).trade.entered_ms is not None)


def at(market: Desk, price: str) -> None:
    """Move the market, let the stream tell, and look."""
    market.mark(price)
    market.ports.prices.put("main", {"BTC": D(price)})
    sweep(market.ports)
    market.ports.wakes.wake(market.key(), "a new best price")


def stands(market: Desk, trigger: str, size: str = "0.01", naked_ms: int = 0, loosened: int = 0) -> None:
    """Wait until one stop alone stands, and require that the promise was kept all the way there."""

    def alone() -> bool:
        stops = [o for o in orders(market) if o.kind is OrderKind.STOP_MARKET and o.side is Side.SHORT]
        return [(stop.trigger, stop.size, stop.reduce_only) for stop in stops] == [(D(trigger), D(size), True)]

    market.until(calmly(alone), 10, f"no stop of {size} alone at {trigger}")
    assert held(market) == D(size)
    kept(market, naked_ms=naked_ms, loosened=loosened)


# --- the ways


def by_a_person(market: Desk) -> str:
    enter(market)
    asks.move_stop(market.key(), D(94000), market.ports)
    return "94000"


def by_a_person_twice_at_once(market: Desk) -> str:
    enter(market)
    asks.move_stop(market.key(), D(93500), market.ports)
    market.tick()
    asks.move_stop(market.key(), D(94000), market.ports)
    return "94000"


def by_a_person_at_a_venue_that_shows_late(market: Desk) -> str:
    enter(market)
    show_late(market, 400)
    return by_a_person_now(market)


def by_a_person_now(market: Desk) -> str:
    asks.move_stop(market.key(), D(94000), market.ports)
    return "94000"


def by_a_person_refused_once(market: Desk) -> str:
    enter(market)
    market.fault("refuse_stop", text="Order could not be placed.")
    return by_a_person_now(market)


def by_a_person_with_its_answer_lost(market: Desk) -> str:
    enter(market)
    market.fault("drop_answer", "stop")
    return by_a_person_now(market)


def by_a_person_with_the_answer_to_the_cancel_lost(market: Desk) -> str:
    enter(market)
    market.fault("drop_answer", "cancel")
    return by_a_person_now(market)


def by_a_person_with_the_cancel_refused(market: Desk) -> str:
    enter(market)
    market.fault("http_502", "cancel")
    return by_a_person_now(market)


def by_a_person_with_the_new_one_gone_at_once(market: Desk) -> str:
    enter(market)
    market.fault("cancel_stop", delay_ms=0)
    return by_a_person_now(market)


def by_a_trail(market: Desk) -> str:
    enter(market, trail="1%")
    at(market, "96000")
    market.until(lambda: market.rows()["BTC"].stop_price == D(95040))
    at(market, "95600")  # back a little: it stays
    return "95040"


def by_a_trail_set_later(market: Desk) -> str:
    enter(market)
    asks.set_policy(market.key(), market.ports, trail=Trail(TrailKind.ABSOLUTE, D(1500)), breakeven=None)
    at(market, "95800")
    return "94300"


def by_a_ratchet(market: Desk) -> str:
    enter(market, trail="step:1%")
    at(market, "96000")
    return "94050"


def by_break_even(market: Desk) -> str:
    enter(market, breakeven="1R")
    at(market, "96950")
    return "95090"


def by_a_record_that_went_back(market: Desk) -> str:
    enter(market)
    before = market.world.save_point()
    by_a_person_now(market)
    market.until(lambda: market.rows()["BTC"].stop_price == D(94000))
    market.world.go_back(before)
    market.ports.wakes.wake(market.key(), "the store went back")
    return "94000"  # what the record has forgotten stands nearer, and is kept


def after_a_part_was_closed(market: Desk) -> str:
    enter(market, size="0.02")
    asks.ask_close(market.key(), market.ports, keep_fraction=D("0.5"))
    return "93100"


def after_a_target_took_its_part(market: Desk) -> str:
    enter(market, size="0.02", target=["2%:50%"])
    at(market, "97000")
    return "93100"


def after_a_part_was_closed_by_hand(market: Desk) -> str:
    enter(market, size="0.02")
    market.hand(side="short", size="0.01")
    sweep(market.ports)
    return "93100"


def beside_a_stop_of_somebody_else(market: Desk) -> str:
    enter(market)
    market.hand(place={"kind": "stop", "price": "96000", "side": "long", "size": "0.01"})  # of a short: no cover
    return by_a_person_now(market)


WAYS = [
    by_a_person,
    by_a_person_twice_at_once,
    by_a_person_at_a_venue_that_shows_late,
    by_a_person_refused_once,
    by_a_person_with_its_answer_lost,
    by_a_person_with_the_answer_to_the_cancel_lost,
    by_a_person_with_the_cancel_refused,
    by_a_person_with_the_new_one_gone_at_once,
    by_a_trail,
    by_a_trail_set_later,
    by_a_ratchet,
    by_break_even,
    by_a_record_that_went_back,
    after_a_part_was_closed,
    after_a_target_took_its_part,
    after_a_part_was_closed_by_hand,
    beside_a_stop_of_somebody_else,
]


@pytest.mark.parametrize("way", WAYS)
def test_one_stop_gives_way_to_another_without_a_gap(market, way: Callable[[Desk], str]):
    stands(market, way(market))


def test_a_stop_is_loosened_where_a_person_says_so_and_without_a_gap(market):
    enter(market)
    asks.move_stop(market.key(), D(92000), market.ports, loosen=True)
    stands(market, "92000", loosened=1)


def test_a_stop_that_was_lifted_comes_back(market):
    enter(market)
    asks.lift_stop(market.key(), 1_000, market.ports)
    market.until(calmly(lambda: orders(market) == []))
    assert market.phase() == "naked", "everybody can see it"
    stands(market, "93100", naked_ms=3_000)


@pytest.mark.parametrize("symbol", SIZES)
def test_a_stop_that_is_silently_gone_is_back_where_it_stood(market, symbol):
    market.submit(symbol, size=SIZES[symbol])
    before = market.until_phase("protected", symbol)
    market.hand(symbol, cancel="stops")
    sweep(market.ports)
    market.until(lambda: market.rows()[symbol].stop_order_id not in (None, before.stop_order_id))
    assert market.rows()[symbol].stop_price == before.stop_price
    kept(market, symbol, naked_ms=REPAIRED_MS)


@pytest.mark.parametrize("what", ["its stop is gone", "it was enlarged", "nobody owns it"])
def test_without_redis_the_guardian_places_what_is_missing(market, what):
    if what != "nobody owns it":
        enter(market)
    post = Post(market)
    post.lose()
    post.rounds()
    if what == "its stop is gone":
        market.hand(cancel="stops")
    else:
        market.hand(side="long", size="0.02")
    post.until(lambda: not naked(market))
    post.rounds(3)
    assert len(post.deeds()) == 1
    post.back()
    market.until_phase("protected")
    kept(market, naked_ms=GUARDIAN_MS)


def test_a_stop_that_was_made_smaller_is_whole_again(market):
    enter(market)
    (stop,) = orders(market)
    market.hand(place={"kind": "stop", "side": "short", "size": "0.004", "price": "93100"})
    market.hand(cancel=int(stop.id))
    sweep(market.ports)
    market.until(lambda: market.rows()["BTC"].stop_order_id is not None and market.phase() == "protected")
    kept(market, naked_ms=REPAIRED_MS)


def test_a_stop_moves_in_front_of_a_liquidation_price_that_came_nearer(market):
    """In cross mode a loss elsewhere is enough: the stop would fire after the venue has taken the position."""
    market.ports = replace(market.ports, rules=replace(market.ports.rules, retry_ms=500))
    assert market.rows() == {}
    market.hand(side="long", size="0.01")
    balance(market, "60")
    market.until_phase("protected")
    record = market.ports.records.load(market.key())
    market.until(lambda: market.ports.venue.now_ms() > max(record.quiet_ms, record.trade.stop_tried_ms + 500))
    (before,) = orders(market)
    balance(market, "40")
    position = market.ports.venue.holdings(Urgency.PROTECTIVE).value.positions["BTC"]
    assert before.trigger < position.liquidation_price < D(95_000)
    market.until(calmly(lambda: len(found := orders(market)) == 1 and found[0].id != before.id))
    (stop,) = orders(market)
    assert position.liquidation_price < stop.trigger < D(95_000)
    kept(market, naked_ms=REPAIRED_MS)


def balance(market: Desk, usd: str) -> None:
    """Set the account's cash, and look."""
    market.post("/accounts", address=market.address, balance=usd)
    sweep(market.ports)
