"""Worlds in which all goes wrong: none breaks a rule, each replays exactly, and a rule broken on purpose is noticed."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.bugs_in_core import tidies_before_the_guard
from tests.simulation.planted import PLANTED
from tests.simulation.town import Town
from tests.simulation.world import live

ROOT = Path(__file__).parents[2]
SEEDS = "0:2000"
PATIENCE_S = 1_800  # a machine that is busy with more than these tests leaves little to who works gently
TIDY = ("calm", "lagging", "lossy", "venue", "people")


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    gently = ("nice", "-n", "10")  # the tests beside it have deadlines
    command = [*gently, sys.executable, "-m", "tests.simulation", "--jobs", "1", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.timeout(PATIENCE_S)
def test_no_world_breaks_a_rule() -> None:
    done = simulate(SEEDS)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]


@pytest.mark.parametrize("seed", [3, 8])
def test_a_seed_replays_exactly(seed: int) -> None:
    runs = [simulate(f"{seed}:1", "--story").stdout.splitlines() for _ in range(2)]
    stories = [[line for line in lines if not line.startswith("seeds ")] for lines in runs]
    assert stories[0] == stories[1]
    assert len(stories[0]) > 20


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("name", ["old-stop-first", "not-reduce-only", "adopted-without-stop", "no-deadline"])
def test_a_rule_broken_on_purpose_is_noticed(name: str) -> None:
    done = simulate("0:200", "--plant", name)
    assert done.returncode == 0, done.stdout
    assert "1 of 1 planted bugs caught" in done.stdout


def test_a_broken_world_tells_its_story_and_replays_exactly() -> None:
    shown = [simulate("0:3", "--plant", "twice-the-size", "--story").stdout.splitlines() for _ in range(2)]
    told = "\n".join(shown[0])
    assert shown[0] == shown[1]
    assert shown[0][0].startswith("twice-the-size")
    for part in ("signal ", "order ", "journal ", "JUDGE ", "as asked: ", "calm"):
        assert part in told


def test_a_broken_rule_that_is_none_is_refused_in_one_line() -> None:
    done = simulate("0:60", "--plant", "no-such-rule")
    assert done.returncode == 2
    assert "no-such-rule is none of" in done.stderr


@pytest.mark.parametrize("seeds", ["zero:10", "5:0", "0:-1"])
def test_seeds_that_are_none_are_refused_in_one_line(seeds: str) -> None:
    done = simulate(seeds)
    assert done.returncode == 2
    assert "START:COUNT" in done.stderr


def test_a_world_without_trouble_is_never_naked() -> None:
    verdict = live(0, "calm")
    assert verdict.broken == []
    assert verdict.naked_ms == []
    assert verdict.counts["entries"] > 0


def test_the_guard_alone_keeps_what_a_naive_tidy_up_would_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    for where, what, naive in tidies_before_the_guard():
        monkeypatch.setattr(where, what, naive)
    assert [verdict.broken for verdict in (live(seed, kind) for seed in range(5) for kind in TIDY)] == [[]] * 5 * len(
        TIDY
    )


def test_a_world_that_is_over_leaves_nothing_in_memory() -> None:
    live(0, "calm")
    gc.collect()
    assert not any(type(each) is Town for each in gc.get_objects())


def test_each_rule_of_the_design_can_be_broken_in_some_way() -> None:
    rules = {(made.__doc__ or "").partition(":")[0] for made in PLANTED.values()}
    assert rules == {f"3.{number}" for number in range(1, 13)}
