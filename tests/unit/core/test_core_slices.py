"""How a position is divided among its targets: by table, and what the arithmetic never does."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopkeeper.core.model import ZERO, Distance, TargetWish
from stopkeeper.core.record import Goal
from stopkeeper.core.sizing import Refusal, work_out
from stopkeeper.core.slices import ordered, slices, standing
from tests.unit.core.scene import MARKET, RULES, D, signal


def goals(*fractions: str, price: str = "110") -> tuple[Goal, ...]:
    return tuple(Goal(D(price) + number, D(part)) for number, part in enumerate(fractions))


THIRD = str(D(1) / 3)
HALVES, THREE = goals("0.5", "0.5"), goals("0.5", "0.3", "0.2")
TINY = goals("0.5", "0.5", price="9000")  # so that 0.001 is worth the venue's 10 USD, and less is not


@pytest.mark.parametrize(
    ("what", "of", "filled", "taken", "held", "expected"),
    [
        ("no targets", (), "1", "0", "1", ""),
        ("one for all", goals("1"), "1", "0", "1", "1"),
        ("one for a half", goals("0.5"), "1", "0", "1", "0.5"),
        ("halves", HALVES, "1", "0", "1", "0.5 0.5"),
        ("three", THREE, "1", "0", "1", "0.5 0.3 0.2"),
        ("nothing is held", HALVES, "1", "0", "0", "0 0"),
        ("rounded down, the farthest has the rest", HALVES, "1.001", "0", "1.001", "0.5 0.501"),
        ("thirds", goals(THIRD, THIRD, THIRD), "1", "0", "1", "0.333 0.333 0.334"),
        ("the first was taken", HALVES, "1", "0.5", "0.5", "0 0.5"),
        ("a part of the first was taken", THREE, "1", "0.2", "0.8", "0.3 0.3 0.2"),
        ("the first and a part of the second", THREE, "1", "0.6", "0.4", "0 0.2 0.2"),
        ("all were taken, and somebody added", HALVES, "1", "1", "0.7", "0 0.7"),
        ("somebody closed a part: the nearest are served first", THREE, "1", "0", "0.6", "0.5 0.1 0"),
        ("somebody added: the farthest takes it", THREE, "1", "0", "2", "0.5 0.3 1.2"),
        ("somebody added, and they are not to take all", goals("0.25", "0.25"), "1", "0", "2", "0.25 0.25"),
        ("more was taken than they were to take", goals("0.25", "0.25"), "1", "0.6", "0.4", "0 0"),
        ("too small for an order: the next one's", goals("0.05", "0.95"), "1", "0", "1", "0 1"),
        ("two too small in a row", goals("0.05", "0.04", "0.91"), "1", "0", "1", "0 0 1"),
        ("two that are enough together", goals("0.05", "0.05", "0.9"), "1", "0", "1", "0 0.1 0.9"),
        ("the farthest too small: the one before", goals("0.95", "0.05"), "1", "0", "1", "1 0"),
        ("too small and alone, but all that is held", goals("1"), "0.05", "0", "0.05", "0.05"),
        ("too small and alone, and not all", goals("0.05"), "1", "0", "1", "0"),
        ("too small and all others are served", goals("0.5", "0.05"), "1", "0.5", "0.5", "0 0"),
        ("of the smallest position one has it all", TINY, "0.001", "0", "0.001", "0 0.001"),
        ("just enough for an order", goals("0.1", "0.9", price="100"), "1", "0", "1", "0.1 0.9"),
        ("all but a millionth is all", goals("0.999999"), "1", "0", "1", "1"),
        (
            "the farthest has the rest though it is less than a step",
            goals("0.7", "0.3", price="11000"),
            "0.003",
            "0",
            "0.003",
            "0.002 0.001",
        ),
    ],
)
def test_slices(what: str, of: tuple[Goal, ...], filled: str, taken: str, held: str, expected: str) -> None:
    found = slices(of, D(filled), D(taken), D(held), MARKET)
    assert found == tuple(map(D, expected.split())), what


def test_nearest_first() -> None:
    three = (Goal(D(120), D("0.2")), Goal(D(110), D("0.3")), Goal(D(130), D("0.5")))
    assert [goal.price for goal in ordered(three, 1)] == [110, 120, 130]
    assert [goal.price for goal in ordered(three, -1)] == [130, 120, 110]


@pytest.mark.parametrize(
    ("what", "filled", "taken", "left"),
    [
        ("nothing was entered yet", "0", "0", 3),
        ("nothing was taken", "2", "0", 3),
        ("less than the first", "2", "0.9", 3),
        ("the first, but for a millionth", "2", "0.999999", 2),
        ("the first", "2", "1", 2),
        ("less than the second", "2", "1.5", 2),
        ("the second", "2", "1.6", 1),
        ("all", "2", "2", 0),
    ],
)
def test_which_targets_were_not_taken_yet(what: str, filled: str, taken: str, left: int) -> None:
    assert standing(THREE, D(filled), D(taken)) == list(THREE[3 - left :]), what


def test_two_at_one_price_are_one() -> None:
    same = (Goal(D(110), D("0.2")), Goal(D("110.0"), D("0.3")), Goal(D(105), D("0.5")))
    assert ordered(same, 1) == (Goal(D(105), D("0.5")), Goal(D(110), D("0.5")))


@pytest.mark.parametrize(
    ("what", "wishes", "expected"),
    [
        ("equal shares", ("", ""), "0.5 0.5"),
        ("the silent share what the others leave", ("0.5", "", ""), "0.5 0.25 0.25"),
        ("a part only", ("0.4",), "0.4"),
        ("more than all", ("0.7", "0.4"), "let the parts add up to 100%"),
        ("nothing is left for the silent", ("0.6", "0.4", ""), "let the parts add up to 100%"),
        ("none is worth an order", ("0.05",), "let a target take a larger part"),
    ],
)
def test_what_targets_ask_for(what: str, wishes: tuple[str, ...], expected: str) -> None:
    asked = tuple(
        TargetWish(Distance(price=D(110 + number)), D(part) if part else None) for number, part in enumerate(wishes)
    )
    terms = work_out(signal(targets=asked), MARKET, D(100), RULES, None)
    if isinstance(terms, Refusal):
        assert expected in terms.hint, what
    else:
        assert tuple(t.size for t in terms.targets) == tuple(map(D, expected.split())), what


# --- what it never does ----------------------------------------------------------------------------------------

parts = st.lists(st.integers(1, 100), min_size=1, max_size=5)
lots = st.integers(1, 5_000).map(lambda n: D(n) * MARKET.size_step)


def shared(weights: list[int], *, everything: bool) -> tuple[Goal, ...]:
    total = sum(weights) + (0 if everything else 7)
    return goals(*(str(D(weight) / total) for weight in weights))


@settings(max_examples=250, deadline=None)
@given(parts, st.booleans(), lots, st.integers(0, 120), st.integers(0, 5_000))
def test_what_slices_keep_to(weights: list[int], everything: bool, filled: Decimal, used: int, left: int) -> None:
    of = shared(weights, everything=everything)
    taken = (filled * used / 100).quantize(MARKET.size_step)
    held = D(left) * MARKET.size_step
    found = slices(of, filled, taken, held, MARKET)
    assert len(found) == len(of)
    assert all(size >= 0 for size in found)
    assert sum(found, ZERO) == held if everything else sum(found, ZERO) <= held
    assert all(size % MARKET.size_step == 0 for size in found)
    for size, goal in zip(found, of, strict=True):
        assert size == 0 or size == held or size * goal.price >= MARKET.min_notional, "no order of such a size is taken"


@settings(max_examples=250, deadline=None)
@given(parts, st.booleans(), lots, st.integers(0, 100))
def test_what_was_taken_was_the_nearest_ones(weights: list[int], everything: bool, filled: Decimal, used: int) -> None:
    """Without a least order: what is still to be closed is what was to be closed, less what was taken in front."""
    of, market = shared(weights, everything=everything), replace(MARKET, min_notional=ZERO)
    at_first = slices(of, filled, ZERO, filled, market)
    taken = min((filled * used / 100).quantize(MARKET.size_step), sum(at_first, ZERO))
    now = slices(of, filled, taken, filled - taken, market)
    assert sum(now, ZERO) == sum(at_first, ZERO) - taken
    gone = [before - after for before, after in zip(at_first, now, strict=True)]
    assert all(part >= 0 for part in gone)
    first_left = next((i for i, size in enumerate(now) if size > 0), len(now))
    assert all(part == 0 for part in gone[first_left + 1 :]), "a farther one was touched before a nearer was done"


@settings(max_examples=100, deadline=None)
@given(parts, lots)
def test_one_after_another_they_take_all(weights: list[int], filled: Decimal) -> None:
    """Targets that fire one by one, nearest first, leave nothing, and each takes what its order stood for."""
    of, taken, held = shared(weights, everything=True), ZERO, filled
    for _ in of:
        now = slices(of, filled, taken, held, MARKET)
        size = next((size for size in now if size > 0), ZERO)
        taken, held = taken + size, held - size
    assert held == 0
