"""Two hours of spoiled frames over a true market, and what the judge says where false prices are believed."""

from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.bars import invented
from benchmarks.distorted import distort
from benchmarks.judging import Verdict
from stopkeeper.core import danger
from stopkeeper.core.believe import Held
from stopkeeper.core.case import Case, passed
from stopkeeper.core.prices import Flaw, Tape


def _run(folder: Path) -> Verdict:
    return distort(invented(folder / "bars.csv", minutes=7 * 60, seed=3), hours=2.5, seed=3)


def test_no_exit_is_false_and_none_is_missed(tmp_path: Path) -> None:
    verdict = _run(tmp_path)
    assert verdict.wrong == []
    assert verdict.figures["trades"] >= 10
    assert sum(verdict.figures["spoiled marks taken in"].values()) > 100
    assert verdict.figures["marks believed"]["false"] > 0
    assert verdict.figures["stops that failed"]


def test_the_judge_sees_who_closes_on_any_price_of_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(case: Case, level: Decimal, held: Held) -> bool:
        second = case.seen.second
        return second is not None and passed(second.value, level, held.side)

    def believing(_tape: Tape, price: Decimal, at_ms: int, _jump: Decimal, _calm_ms: int) -> tuple[Tape, Flaw | None]:
        return Tape(price, at_ms), None

    monkeypatch.setattr(Case, "surely_beyond", hasty)
    monkeypatch.setattr(danger, "_confirmed", lambda *_: True)
    monkeypatch.setattr(Tape, "take", believing)
    assert any("a false exit" in each for each in _run(tmp_path).wrong)
