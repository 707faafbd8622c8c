"""What a policy learns of prices, and which price is worth a look: by one source or two, from the entry or the best."""

from decimal import Decimal
from typing import Any

import pytest

from stopkeeper.core.believe import Held
from stopkeeper.core.case import build
from stopkeeper.core.learn import learn
from stopkeeper.core.model import Side
from stopkeeper.core.moving import may_follow, wish_of
from stopkeeper.core.outcomes import Accepted
from stopkeeper.core.policy import BreakEven, Gain, Policy, Trail, TrailKind
from stopkeeper.core.record import Trade
from tests.unit.core.scene import NOW, RULES, D, frame, held_trade, position, record, seen, sent, stop

PERCENT = Trail(TrailKind.PERCENT, D("0.02"))
CLOSE = Trail(TrailKind.PERCENT, D("0.001"))
FOLLOWS, TIGHT = Policy(PERCENT), Policy(CLOSE)
AFTER_TARGET = BreakEven(after_target=True)
BY_PERSON = {"peak": D(110), "stop_moved_by": "person", "stop_moved_ms": NOW - 1}
BOTH = {"policy": Policy(PERCENT, AFTER_TARGET), "peak": D(100)}
PAUSED_MS = NOW - RULES.stop_interval_ms
SHORT: dict[str, Any] = {"side": Side.SHORT, "stop": D(105), "first_stop": D(105)}


def follow(trade: Trade, mark: str, second: str | None = "same") -> Trade:
    """Return what a look at a held and covered position makes of its trade."""
    cover = stop() if trade.side is Side.LONG else stop("105", side=Side.LONG, price=D("115.5"))
    look = seen(position(side=trade.side, mark=mark), (cover,), mark=mark, second=second)
    learned = learn(record(trade), look, frame()).trade
    assert learned is not None
    return learned


@pytest.mark.parametrize(
    ("what", "trade", "mark", "second", "peak"),
    [
        ("both sources", {"peak": D(100)}, "103", "103", "103"),
        ("the worse of two", {"peak": D(100)}, "103", "102.5", "102.5"),
        ("the worse of two, short", SHORT | {"peak": D(100)}, "97", "97.4", "97.4"),
        ("the worse is no better than what was best", {"peak": D("102.8")}, "103", "102.5", "102.8"),
        ("one source, less than a step from the best", {"peak": D(110)}, "110.27", None, "110.27"),
        ("one source, a step from the best", {"peak": D(100)}, "100.25", None, "100"),
        ("one source, less than a step from the entry", {}, "100.24", None, "100.24"),
        ("one source, a step from the entry", {}, "100.25", None, None),
        ("sources that contradict each other", {"peak": D(100)}, "110", "100", "100"),
        (
            "a person moved it since",
            {"peak": D(110), "stop_moved_by": "person", "stop_moved_ms": NOW - 1},
            "103",
            "same",
            "103",
        ),
        (
            "the count begun by a person's move",
            BY_PERSON | {"peak_ms": NOW - 1},
            "103",
            "same",
            "110",
        ),
    ],
)
def test_the_best_price_so_far(
    what: str, trade: dict[str, Any], mark: str, second: str | None, peak: str | None
) -> None:
    found = follow(held_trade(policy=FOLLOWS, **trade), mark, second)
    assert found.peak == (None if peak is None else D(peak)), what


@pytest.mark.parametrize(
    ("what", "trade", "mark", "second", "at"),
    [
        ("it follows, rounded away from the price", {"policy": FOLLOWS, "peak": D(100)}, "100.119", "same", "98.116"),
        ("short", SHORT | {"policy": FOLLOWS, "peak": D(100)}, "99.881", "same", "101.88"),
        (
            "its pause is over",
            {"policy": FOLLOWS, "stop_moved_ms": PAUSED_MS},
            "103",
            "same",
            "100.94",
        ),
        (
            "its pause is nearly over",
            {"policy": FOLLOWS, "stop_moved_ms": PAUSED_MS + 1},
            "103",
            "same",
            "95",
        ),
        ("a target was taken", {"policy": Policy(breakeven=AFTER_TARGET), "taken": D("0.5")}, "103", "same", "100.09"),
        ("no target was taken", {"policy": Policy(breakeven=AFTER_TARGET)}, "103", "same", "95"),
        ("one source is beyond the wish", {"policy": TIGHT, "peak": D(101)}, "101", "100.5", "95"),
        ("the other source is", {"policy": TIGHT, "peak": D(101)}, "100.5", "101", "95"),
        ("neither is", {"policy": TIGHT, "peak": D(101)}, "101", "100.95", "100.89"),
    ],
)
def test_where_the_stop_is_wanted_then(
    what: str, trade: dict[str, Any], mark: str, second: str | None, at: str
) -> None:
    assert follow(held_trade(**trade), mark, second).stop == D(at), what


def test_without_a_stop_no_better_one_is_wished_for() -> None:
    trade = held_trade(policy=FOLLOWS, stop=None, peak=D(100))
    case = build(record(trade), seen(position(mark="110"), (stop(),), mark="110"), frame())
    assert isinstance(case.belief, Held)
    assert wish_of(trade, case.belief, case) is None


STEPS = Policy(Trail(TrailKind.STEP, step=Gain(r=D(1))))
RANGE = Policy(Trail(TrailKind.ATR, D(2)))
EVEN = Policy(breakeven=BreakEven(Gain(fraction=D("0.01"))))
EMPTY_FIRST = (sent(Accepted("e0", live=True)), sent(Accepted("e1", D(1), D(100))))


@pytest.mark.parametrize(
    ("what", "trade", "mark", "worth"),
    [
        ("a step of one R", {"policy": STEPS, "peak": D(104)}, "105", True),
        ("no step yet", {"policy": STEPS, "peak": D(103)}, "104.9", False),
        (
            "an attempt that filled nothing is no entry",
            {"policy": STEPS, "peak": D(104), "sent": EMPTY_FIRST},
            "105",
            True,
        ),
        ("no first stop", {"policy": STEPS, "peak": D(104), "first_stop": None}, "105", False),
        ("a range", {"policy": RANGE, "peak": D(100), "atr": D("1.5")}, "110", True),
        ("no range", {"policy": RANGE, "peak": D(100)}, "110", False),
        ("break-even is reached", {"policy": EVEN, "peak": D("100.5")}, "101", True),
        ("break-even is not", {"policy": EVEN, "peak": D("100.5")}, "100.9", False),
        ("a trail", BOTH, "100.3", True),
        (
            "a target was taken: more is under way",
            BOTH | {"taken": D("0.5")},
            "100.3",
            False,
        ),
        ("what is known is hardly a step", {"policy": FOLLOWS, "peak": D(100), "stop": D("97.75")}, "100.1", True),
        ("what is known is under way", {"policy": FOLLOWS, "peak": D(100), "stop": D("97.7")}, "100.1", False),
        ("no stop", {"policy": FOLLOWS, "peak": D(100), "stop": None}, "110", False),
        ("no best price", {"policy": FOLLOWS}, "110", False),
        ("no policy", {"peak": D(100)}, "110", False),
        ("no better price", {"policy": FOLLOWS, "peak": D(100)}, "100", False),
    ],
)
def test_which_price_is_worth_a_look(what: str, trade: dict[str, Any], mark: str, worth: bool) -> None:
    assert may_follow(held_trade(**trade), Decimal(mark), RULES.stop_step) is worth, what
