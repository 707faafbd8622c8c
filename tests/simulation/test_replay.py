"""A seeded day of an invented market through the whole engine under virtual time, judged as the benchmark does."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.bars import invented
from benchmarks.distorted import BRISK
from benchmarks.judging import Verdict
from benchmarks.replay import replay
from stopkeeper.core import trailing
from stopkeeper.core.policy import Policy
from stopkeeper.core.trailing import Course

MINUTES = 16 * 60
RESTING = ("resting", {"rests": True, "trail": "step:0.5R@0.5R", "stop": "0.6%"})
EVEN = (
    "targets, break-even target, trail",
    {"targets": ("0.4%:40%", "1%:60%"), "breakeven": "target", "trail": "0.35%@0.4%", "stop": "0.6%"},
)


def _run(folder: Path, seed: int) -> Verdict:
    prices = invented(folder / "bars.csv", minutes=MINUTES, seed=seed)
    return replay(prices, seed=seed, wishes=(*BRISK, RESTING, EVEN), symbols=("BTC",), cool_ms=(10_000, 60_000))


@pytest.mark.parametrize("seed", [3, 4])
def test_every_move_and_every_exit_of_a_day_is_explained(tmp_path: Path, seed: int) -> None:
    verdict = _run(tmp_path, seed)
    assert verdict.wrong == []
    assert verdict.figures["trades"] >= 15
    assert verdict.figures["moves of stops"] >= 10
    assert verdict.figures["naked ms"] == 0
    reasons = {reason for tally in verdict.by_wish.values() for reason in tally}
    assert reasons >= {"stop_loss", "trailing_stop", "take_profit"}


def test_the_judge_sees_a_stop_that_follows_too_closely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[[Policy, Course], tuple[Decimal, str] | None] = trailing.wanted

    def nearer(policy: Policy, course: Course) -> tuple[Decimal, str] | None:
        wish = right(policy, course)
        return None if wish is None else (wish[0] * (1 + course.side.sign * Decimal("0.001")), wish[1])

    monkeypatch.setattr("stopkeeper.core.moving.wanted", nearer)
    assert any("the policy says" in each for each in _run(tmp_path, 1).wrong)
