"""A trade that was flat and is held again: until its fills tell whose position it is, its own wishes close nothing."""

from dataclasses import replace
from typing import Any

import pytest

from stopkeeper.core.actions import Again, Flatten, PlaceStop, Wait
from stopkeeper.core.case import LOOK_AGAIN_MS, build
from stopkeeper.core.concerns import closing
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import CloseAsk, Trade
from stopkeeper.core.watching import why_look
from tests.unit.core.scene import (
    ENTRY_FILL,
    NOW,
    RULES,
    D,
    fill,
    frame,
    held_trade,
    plan,
    position,
    record,
    seen,
    signal,
    stop,
)

FLAT_MS = NOW - 5_000
DOWN = Unknown("down")
UP = signal(time_limit_ms=1_000)
BEFORE, AFTER = CloseAsk("manual_close", FLAT_MS), CloseAsk("manual_close", FLAT_MS + 1)


def again(**more: Any) -> Trade:
    """Return a trade that was flat for a while."""
    return replace(held_trade(held=D(0), flat_since_ms=FLAT_MS), **more)


def reason_of_wish(close: CloseAsk | None) -> str:
    """Return what a close is for: the person's wish, else the time limit."""
    return close.reason if close else "time_limit"


@pytest.mark.parametrize("wish", [{"signal": UP}, {"close": BEFORE}, {"close": BEFORE, "signal": UP}], ids=str)
def test_what_was_wished_of_the_trade_closes_nothing_that_may_be_anothers(wish: dict[str, Any]) -> None:
    made = plan(record(again(**wish)), seen(position(), (stop(),), DOWN))
    assert isinstance(made.ends, Again)
    assert made.ends.due_ms == NOW + LOOK_AGAIN_MS


@pytest.mark.parametrize(
    ("fills", "close", "closes"),
    [(DOWN, None, False), (DOWN, AFTER, True), ((ENTRY_FILL,), None, True)],
    ids=["no fills", "a person asks", "fills that tell of no close"],
)
def test_what_a_trade_of_the_other_side_wishes_closes_nothing_before_fills_tell(
    fills: Any, close: CloseAsk | None, *, closes: bool
) -> None:
    """It was turned over by hand, which no look has shown flat."""
    turned = held_trade(signal=UP, close=close)
    wish = closing(build(record(turned), seen(position(side=Side.SHORT), (), fills), frame()))
    assert isinstance(wish, list) is closes
    assert isinstance(wish, Wait) or (isinstance(wish[0], Flatten) and wish[0].reason == reason_of_wish(close))
    assert closes or (isinstance(wish, Wait) and wish.due_ms == NOW + LOOK_AGAIN_MS and wish.why)


def test_it_is_protected_all_the_same() -> None:
    (placed,) = plan(record(again(signal=UP)), seen(position(), (), DOWN)).actions
    assert isinstance(placed, PlaceStop)


@pytest.mark.parametrize("wish", [{"close": AFTER}, {"close": AFTER, "signal": UP}], ids=str)
def test_who_asks_now_means_what_is_held_now(wish: dict[str, Any]) -> None:
    (closing,) = plan(record(again(**wish)), seen(position(), (stop(),), DOWN)).actions
    assert isinstance(closing, Flatten)
    assert closing.reason == AFTER.reason  # the time that is up is another trade's


def test_who_asks_for_a_part_now_gets_no_more_closed_because_anothers_time_is_up() -> None:
    half = replace(AFTER, keep_fraction=D("0.5"), keep_size=D("0.5"))
    (closing,) = plan(record(again(close=half, signal=UP)), seen(position(), (stop(),), DOWN)).actions
    assert isinstance(closing, Flatten)
    assert (closing.reason, closing.keep) == ("manual_close", D("0.5"))


@pytest.mark.parametrize("wish", [{"signal": UP}, {"close": BEFORE}], ids=str)
def test_fills_that_tell_it_was_never_closed_let_the_wish_be_done(wish: dict[str, Any]) -> None:
    look = seen(position(), (stop(),), (ENTRY_FILL,))
    learned = learn(record(again(**wish)), look, frame())
    assert learned.trade is not None
    assert learned.trade.flat_since_ms is None
    (closing,) = plan(learned, look).actions
    assert isinstance(closing, Flatten)


def test_that_it_was_flat_is_kept_until_fills_tell() -> None:
    rec = learn(record(again()), seen(position(), (stop(),), DOWN), frame())
    assert rec.trade is not None
    assert rec.trade.flat_since_ms == FLAT_MS
    closed = (ENTRY_FILL, fill("c", "-1", "101", FLAT_MS, "1", "hand"), fill("h", "1", "100", NOW - 900, "0", "hand"))
    assert plan(rec, seen(position(), (stop(),), closed)).concern == "ending"


def test_its_price_is_watched_while_it_is_held_again() -> None:
    assert why_look(record(again(held=D(1), stop=D(95))), D(94), RULES) is not None
    assert why_look(record(again(stop=D(95))), D(94), RULES) is None
