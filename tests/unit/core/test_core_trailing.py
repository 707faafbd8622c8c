"""Stops that move: every policy by table for both sides, and what no path of prices may ever bring about."""

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopkeeper.core.case import build
from stopkeeper.core.effects import lift_stop, move_stop, set_policy
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Candle, Order, Side
from stopkeeper.core.moving import may_follow, needs_candles, pause_ends_ms
from stopkeeper.core.policy import FIXED, BreakEven, Gain, Policy, Trail, TrailKind
from stopkeeper.core.record import KeyRecord, Trade
from stopkeeper.core.trailing import (
    HOUR_MS,
    Course,
    average_true_range,
    even,
    improves,
    of_the_last_hour,
    wanted,
    worth_it,
)
from tests.unit.core.scene import (
    MARKET,
    NOW,
    RULES,
    D,
    frame,
    held_trade,
    new_trade,
    position,
    record,
    seen,
    stop,
)

LONG, SHORT = Side.LONG, Side.SHORT
FEE = MARKET.taker_fee
R, PART = Gain(r=D(1)), Gain(fraction=D("0.01"))
PERCENT = Trail(TrailKind.PERCENT, D("0.02"))
ABSOLUTE = Trail(TrailKind.ABSOLUTE, D(3))
ATR = Trail(TrailKind.ATR, D(2))
STEP_PART, STEP_R = Trail(TrailKind.STEP, step=PART), Trail(TrailKind.STEP, step=R)
TWO_PERCENT = Policy(PERCENT)


def course(side: Side, peak: str, **more: Any) -> Course:
    base = Course(side, D(100), D(95) if side is LONG else D(105), D(peak), FEE, D("1.5"))
    return replace(base, **more)


@dataclass
class Wish:
    """What a policy wants of a trade from 100 with its first stop at 95 (a short: 105), by the best price so far."""

    what: str
    policy: Policy
    long: str
    at_long: str | None
    short: str
    at_short: str | None
    more: dict[str, Any]


def wish(
    what: str, trail: Trail, long: str, at_long: str | None, short: str, at_short: str | None, **more: Any
) -> Wish:
    return Wish(what, Policy(trail), long, at_long, short, at_short, more)


TABLE = [
    wish("percent", PERCENT, "110", "107.8", "90", "91.8"),
    wish("percent from the first price on", PERCENT, "100", "98", "100", "102"),
    wish("absolute", ABSOLUTE, "110", "107", "90", "93"),
    wish("absolute, wider than the price", replace(ABSOLUTE, distance=D(200)), "110", "-90", "90", "290"),
    wish("ATR", ATR, "110", "107", "90", "93"),
    wish("ATR, no candles", ATR, "110", None, "90", None, atr=None),
    wish("step in %: none yet", STEP_PART, "100.99", None, "99.01", None),
    wish("step in %: the first", STEP_PART, "101", "96", "99", "104"),
    wish("step in %: in between", STEP_PART, "102.99", "97", "97.01", "103"),
    wish("step in R: none yet", STEP_R, "104.99", None, "95.01", None),
    wish("step in R: the first is where it entered", STEP_R, "105", "100", "95", "100"),
    wish("step in R: the second", STEP_R, "110", "105", "90", "95"),
    wish("half an R", Trail(TrailKind.STEP, step=Gain(r=D("0.5"))), "103", "97.5", "97", "102.5"),
    wish("step, gone the wrong way", STEP_PART, "97", None, "103", None),
    wish("step in R without a first stop", STEP_R, "110", None, "90", None, first_stop=None),
    wish("step in % without a first stop", STEP_PART, "110", None, "90", None, first_stop=None),
    wish("a step of nothing", Trail(TrailKind.STEP, step=Gain(fraction=D(0))), "110", None, "90", None),
    wish("a step never said", Trail(TrailKind.STEP), "110", None, "90", None),
    wish("from 1R on: not yet", replace(PERCENT, start=R), "104.99", None, "95.01", None),
    wish("from 1R on", replace(PERCENT, start=R), "105", "102.9", "95", "96.9"),
    wish("from 1 % on: not yet", replace(ABSOLUTE, start=PART), "100.99", None, "99.01", None),
    wish("from 1 % on", replace(ABSOLUTE, start=PART), "101", "98", "99", "102"),
    wish("from 1R on, no first stop", replace(PERCENT, start=R), "200", None, "50", None, first_stop=None),
    wish("fixed", Trail(), "200", None, "50", None),
]


@pytest.mark.parametrize("row", TABLE, ids=[w.what for w in TABLE])
def test_what_a_trail_wants(row: Wish) -> None:
    for side, peak, at in ((LONG, row.long, row.at_long), (SHORT, row.short, row.at_short)):
        found = wanted(row.policy, course(side, peak, **row.more))
        assert (None if found is None else found[0]) == (None if at is None else D(at)), side


def test_a_first_stop_at_the_entry_is_no_risk_and_one_near_it_is_a_small_one() -> None:
    assert course(LONG, "110", first_stop=D(100)).risk is None
    assert course(LONG, "110", first_stop=D("99.5")).risk == D("0.5")


@pytest.mark.parametrize("side", list(Side))
def test_a_first_stop_on_the_wrong_side_is_no_risk(side: Side) -> None:
    wrong = course(side, "110" if side is LONG else "90", first_stop=D(100) + side.sign)
    assert wrong.risk is None
    assert not wrong.reached(R)
    assert wanted(Policy(STEP_R), wrong) is None


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("entry", ["100", "0.00031", "97123.4"])
def test_break_even_is_exactly_nothing(side: Side, entry: str) -> None:
    price = even(D(entry), side, FEE)
    fees = FEE * (D(entry) + price)
    assert abs((price - D(entry)) * side.sign - fees) < D(entry) * D("1e-24")
    assert improves(price, D(entry), side)


@pytest.mark.parametrize(
    ("what", "rule", "long", "short", "hit", "reached"),
    [
        ("1R, not yet", BreakEven(R), "104.99", "95.01", False, False),
        ("1R", BreakEven(R), "105", "95", False, True),
        ("1 %, not yet", BreakEven(PART), "100.99", "99.01", False, False),
        ("1 %", BreakEven(PART), "101", "99", False, True),
        ("a target, none taken", BreakEven(after_target=True), "150", "50", False, False),
        ("a target, taken", BreakEven(after_target=True), "100", "100", True, True),
        ("off", BreakEven(), "150", "50", True, False),
    ],
)
def test_when_break_even_is_wanted(what: str, rule: BreakEven, long: str, short: str, hit: bool, reached: bool) -> None:
    for side, peak in ((LONG, long), (SHORT, short)):
        found = wanted(Policy(breakeven=rule), course(side, peak, hit=hit))
        assert (None if found is None else found[0]) == (even(D(100), side, FEE) if reached else None), (what, side)
        assert found is None or found[1].startswith("break-even")


@pytest.mark.parametrize("side", list(Side))
def test_the_nearer_of_two_wishes_counts(side: Side) -> None:
    both = Policy(PERCENT, BreakEven(PART))
    early, late = ("101", "110") if side is LONG else ("99", "90")
    assert wanted(both, course(side, early)) == wanted(Policy(breakeven=BreakEven(PART)), course(side, early))
    assert wanted(both, course(side, late)) == wanted(Policy(PERCENT), course(side, late))


def test_the_words_say_why() -> None:
    why = {
        name: (wanted(policy, course(LONG, "110", hit=True)) or (D(0), ""))[1]
        for name, policy in (
            ("percent", TWO_PERCENT),
            ("absolute", Policy(ABSOLUTE)),
            ("atr", Policy(ATR)),
            ("step", Policy(STEP_R)),
            ("gain", Policy(breakeven=BreakEven(R))),
            ("target", Policy(breakeven=BreakEven(after_target=True))),
        )
    }
    assert why == {
        "percent": "2% behind the best price 110",
        "absolute": "3 behind the best price 110",
        "atr": "2 ATR of 1.5 behind the best price 110",
        "step": "2 steps of 1R were gained",
        "gain": "break-even, the best price 110 is 1R from the entry",
        "target": "break-even, a target was taken",
    }


def bars(*rows: str) -> list[Candle]:
    made = []
    for number, row in enumerate(rows):
        high, low, close = map(D, row.split())
        made.append(Candle(NOW + number * 60_000, high, low, close))
    return made


# True ranges by hand: 12-9=3; 13-12=1 and |13-11|=2: 2; 12-8=4 and |8-12.5|=4.5: 4.5; 11-10=1 and |11-9|=2: 2
CANDLES = bars("10 10 10", "12 9 11", "13 12 12.5", "12 8 9", "11 10 10")


@pytest.mark.parametrize(
    ("count", "length", "average"),
    [
        (3, 2, "2.5"),  # (3 + 2) / 2
        (4, 2, "3.5"),  # (2.5 * 1 + 4.5) / 2
        (5, 2, "2.75"),  # (3.5 * 1 + 2) / 2
        (5, 4, "2.875"),  # (3 + 2 + 4.5 + 2) / 4
        (5, 3, "2.777777777777777777777777778"),  # (9.5 / 3 * 2 + 2) / 3
        (2, 1, "3"),
        (2, 2, None),  # two candles have one true range
        (5, 5, None),
        (0, 1, None),
        (5, 0, None),
    ],
)
def test_wilders_average_by_hand(count: int, length: int, average: str | None) -> None:
    assert average_true_range(CANDLES[:count], length) == (None if average is None else D(average))


def test_a_range_may_be_small() -> None:
    assert average_true_range(bars("10 10 10", "10.2 10 10"), 1) == D("0.2")


def test_a_market_that_does_not_move_has_no_range() -> None:
    assert average_true_range(bars(*["10 10 10"] * 9), 3) is None


@pytest.mark.parametrize(
    ("what", "new", "standing", "side", "worth"),
    [
        ("a full step", "95.2375", "95", LONG, True),
        ("less than a step", "95.2374", "95", LONG, False),
        ("the wrong way", "94", "95", LONG, False),
        ("a short's full step", "104.7375", "105", SHORT, True),
        ("a short's, less", "104.7376", "105", SHORT, False),
        ("a short's, the wrong way", "106", "105", SHORT, False),
        ("the same", "95", "95", LONG, False),
    ],
)
def test_what_a_move_is_worth(what: str, new: str, standing: str, side: Side, worth: bool) -> None:
    assert worth_it(D(new), D(standing), side, D("0.0025")) is worth, what


def test_moves_of_the_last_hour() -> None:
    assert of_the_last_hour((NOW - HOUR_MS, NOW - HOUR_MS + 1, NOW), NOW) == (NOW - HOUR_MS + 1, NOW)


# --- what a look makes of it -----------------------------------------------------------------------------------


def on(side: Side, **more: Any) -> Trade:
    level = D(95) if side is LONG else D(105)
    return held_trade(**{"side": side, "stop": level, "first_stop": level, **more})


def standing(side: Side, trigger: Decimal) -> Order:
    return stop(str(trigger), side=side.opposite, price=trigger * (1 - side.sign * RULES.stop_worst))


def after(rec: KeyRecord, mark: str | None, now: int = NOW, **more: Any) -> KeyRecord:
    """Return the record after a look at a mark; the stop stands where the record wants it."""
    trade = rec.trade
    assert trade is not None
    assert trade.stop is not None
    held = position("1", trade.side, mark, liquidation_price=None)
    return learn(rec, seen(held, (standing(trade.side, trade.stop),), at_ms=now, **more), frame(now))


def trade_of(rec: KeyRecord) -> Trade:
    assert rec.trade is not None
    return rec.trade


@pytest.mark.parametrize(("side", "mark", "at"), [(LONG, "110", "107.8"), (SHORT, "90", "91.8")])
def test_the_stop_follows(side: Side, mark: str, at: str) -> None:
    before = on(side, policy=TWO_PERCENT, moves_refused=3, loosened=True, peak=D(mark))
    moved = trade_of(after(record(before), mark))
    assert (moved.stop, moved.stop_moved_by, moved.stop_moved_ms) == (D(at), "policy", NOW)
    assert (moved.loosened, moved.moves_refused, moved.peak) == (False, 0, D(mark))
    assert moved.stop_why == f"2% behind the best price {mark}"


@pytest.mark.parametrize(
    ("what", "trade", "mark", "more"),
    [
        ("fixed", {"policy": FIXED}, "110", {}),
        ("another source says otherwise", {}, "110", {"second": "104"}),
        ("no mark of the position", {}, None, {}),
        ("moved a moment ago", {"stop_moved_ms": NOW - 29_999}, "110", {}),
        ("a move was acked a moment ago", {"moves_ms": (NOW - 29_999,)}, "110", {}),
        ("not a step better", {"stop": D("107.6")}, "110", {}),
        ("the price has passed it already", {"peak": D(110)}, "107.8", {}),
    ],
)
def test_when_the_stop_stays(what: str, trade: dict[str, Any], mark: str | None, more: dict[str, Any]) -> None:
    before = on(LONG, **{"policy": TWO_PERCENT, "peak": D("109.9"), **trade})
    assert trade_of(after(record(before), mark, **more)).stop == before.stop, what


def test_fixed_changes_nothing() -> None:
    rec = record(on(LONG))
    first = after(rec, "100")
    assert trade_of(after(first, "130", NOW + 90_000)) == trade_of(first)
    assert trade_of(first).peak is None
    assert not may_follow(trade_of(first), D(200), RULES.stop_step)


def test_a_position_of_the_other_side_moves_no_stop() -> None:
    rec = record(on(LONG, policy=TWO_PERCENT))
    learned = learn(rec, seen(position("1", SHORT, "90"), (standing(SHORT, D(105)),)), frame())
    assert (trade_of(learned).stop, trade_of(learned).peak) == (D(95), None)


def test_the_range_is_kept_where_the_candles_go_missing() -> None:
    rec = record(on(LONG, policy=Policy(ATR)))
    learned = after(rec, "100", atr=D("0.5"))
    assert (trade_of(learned).atr, trade_of(learned).stop) == (D("0.5"), D(99))
    learned = after(learned, "101", NOW + 60_000)
    assert (trade_of(learned).atr, trade_of(learned).stop) == (D("0.5"), D(100))


def test_a_persons_move_starts_the_count_anew() -> None:
    rec = after(record(on(LONG, policy=TWO_PERCENT)), "110", NOW)
    rec = after(rec, "110", NOW + 1)
    assert trade_of(rec).stop == D("107.8")
    rec = move_stop(rec, trigger=D(101), now_ms=NOW + 40_000, loosened=True)
    rec = after(rec, "109", NOW + 100_000)
    assert (trade_of(rec).stop, trade_of(rec).peak, trade_of(rec).peak_from) == (D(101), D(109), D(109))
    rec = after(rec, "108", NOW + 200_000)  # its own wish of 106.8 would be nearer, and must wait for a better price
    assert (trade_of(rec).stop, trade_of(rec).stop_moved_by) == (D(101), "person")
    rec = after(rec, "109.1", NOW + 300_000)
    assert (trade_of(rec).stop, trade_of(rec).stop_moved_by) == (D("106.91"), "policy")


def test_a_policy_set_later_counts_from_then() -> None:
    rec = set_policy(record(on(LONG)), TWO_PERCENT)
    rec = after(rec, "104", NOW)
    assert (trade_of(rec).peak, trade_of(rec).stop) == (D(104), D("101.92"))


def test_a_lifted_stop_is_still_wanted_somewhere() -> None:
    rec = lift_stop(record(on(LONG, policy=TWO_PERCENT)), NOW + 60_000)
    assert trade_of(after(rec, "104")).stop == D("101.92")


def test_break_even_waits_for_its_price() -> None:
    """The fees of both fills are more than the gain that was asked for: the price must earn them first."""
    soon = Policy(breakeven=BreakEven(Gain(fraction=D("0.0001"))))
    rec = after(record(on(LONG, policy=soon)), "100.05")
    assert trade_of(rec).stop == D(95)
    assert trade_of(after(rec, "100.2", NOW + 60_000)).stop == D("100.09")


@pytest.mark.parametrize(
    ("side", "peak", "stop", "under", "enough"),
    [
        (LONG, "110", "107.8", "110.27", "110.28"),
        (SHORT, "90", "91.8", "89.78", "89.77"),
        (LONG, "110", "107.6", "110.05", "110.08"),  # counted from the stop, not from the best price
    ],
)
def test_which_price_is_worth_a_look(side: Side, peak: str, stop: str, under: str, enough: str) -> None:
    trade = on(side, policy=TWO_PERCENT, peak=D(peak), stop=D(stop), opening_price=D(100))
    assert not may_follow(trade, D(under), D("0.0025"))
    assert may_follow(trade, D(enough), D("0.0025"))


def test_when_a_policy_may_move_again() -> None:
    case = build(record(on(LONG)), seen(), frame())
    assert pause_ends_ms(on(LONG), case) == RULES.stop_interval_ms
    assert pause_ends_ms(on(LONG, stop_moved_ms=NOW - 9, moves_ms=(NOW - 99, NOW - 5)), case) == NOW - 5 + 30_000
    assert pause_ends_ms(on(LONG, stop_moved_ms=NOW, moves_ms=(NOW - 5,)), case) == NOW + 30_000


def test_whose_candles_are_read() -> None:
    assert needs_candles(on(LONG, policy=Policy(ATR)))
    assert not needs_candles(on(LONG, policy=TWO_PERCENT))
    assert not needs_candles(new_trade(policy=Policy(ATR)))
    assert not needs_candles(None)


# --- what never happens ----------------------------------------------------------------------------------------

gains = st.one_of(
    st.decimals("0.1", "3", places=1).map(lambda r: Gain(r=r)),
    st.decimals("0.001", "0.05", places=3).map(lambda part: Gain(fraction=part)),
)
starts = st.one_of(st.just(Gain()), gains)
trails = st.one_of(
    st.builds(Trail, st.just(TrailKind.PERCENT), st.decimals("0.001", "0.2", places=3), start=starts),
    st.builds(
        Trail, st.sampled_from([TrailKind.ABSOLUTE, TrailKind.ATR]), st.decimals("0.1", "9", places=1), start=starts
    ),
    st.builds(Trail, st.just(TrailKind.STEP), step=gains, start=starts),
)
evens = st.one_of(st.just(BreakEven()), st.just(BreakEven(after_target=True)), gains.map(BreakEven))
policies = st.builds(Policy, trails, evens)
sides = st.sampled_from(list(Side))
prices = st.decimals("80", "125", places=2)
quick = settings(max_examples=150, deadline=None)


@quick
@given(trails, sides, prices)
def test_no_trail_goes_beyond_the_best_price(trail: Trail, side: Side, peak: Decimal) -> None:
    found = wanted(Policy(trail), course(side, str(peak)))
    assert found is None or improves(peak, found[0], side)


@quick
@given(policies, sides, prices, prices, st.booleans())
def test_a_better_price_never_wants_a_worse_stop(
    policy: Policy, side: Side, one: Decimal, other: Decimal, hit: bool
) -> None:
    worse, better = (one, other) if not improves(one, other, side) else (other, one)
    before = wanted(policy, course(side, str(worse), hit=hit))
    now = wanted(policy, course(side, str(better), hit=hit))
    if before is not None:
        assert now is not None
        assert not improves(before[0], now[0], side)


Step = tuple[int, int, int]
paths = st.lists(st.tuples(st.integers(-25, 26), st.integers(1, 40), st.integers(0, 19)), min_size=2, max_size=25)


@quick
@given(policies, sides, paths)
def test_no_path_of_prices_loosens_a_stop(policy: Policy, side: Side, path: list[Step]) -> None:
    """Only a person does; a policy's moves are worth their step, rare enough, and never beyond the price."""
    rec, now, mark = record(on(side, policy=policy)), NOW, D(100)
    moves = []
    for way, seconds, chance in path:
        now, mark = now + seconds * 1_000, (mark * (1 + D(way) / 1000)).quantize(D("0.01"))
        before = trade_of(rec)
        person = chance == 0
        if person:
            at = (mark * (1 - side.sign * D("0.04"))).quantize(D("0.01"))
            rec = move_stop(rec, trigger=at, now_ms=now - 1, loosened=True)
        rec = after(rec, str(mark), now, atr=D(chance + 1) / 10)
        trade = trade_of(rec)
        assert before.stop is not None
        assert trade.stop is not None
        if person:
            assert (trade.stop, trade.peak, trade.peak_from) == (at, mark, mark), "what a person said stands"
            moves = []
        elif trade.stop != before.stop:
            assert worth_it(trade.stop, before.stop, side, RULES.stop_step)
            assert improves(mark, trade.stop, side), "a stop where the price is would fire at once"
            assert (trade.stop_moved_by, trade.stop_moved_ms) == ("policy", now)
            moves.append(now)
    assert all(later - earlier >= RULES.stop_interval_ms for earlier, later in pairwise(moves))
