"""The named points: that every one is passed is known, and a few in turn are struck on real processes.

Other points: POINTS_SEED=7 pytest tests/chaos/test_points.py. All of them: python -m tests.chaos.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from stopkeeper.engine import ports
from tests.chaos import points as listed
from tests.chaos.all_points import HOW, PASSED, orders_of, strike_all
from tests.chaos.crash import HEAD
from tests.chaos.places import PLACES, scene_of
from tests.chaos.points import ELSEWHERE, LOCAL, calls, points
from tests.chaos.scenes import LAST, SCENES

DAY_S = 24 * 3600
LONG = LAST  # they wait for a full hour, or for a Redis to be missed: only a run of all points has the time


def test_a_scene_passed_every_point() -> None:
    """A port's new method stands here as a point nobody passed, until ``python -m tests.chaos --record`` saw it."""
    recorded = json.loads(PASSED.read_text())
    assert sorted(recorded) == sorted(points())
    assert all(recorded.values())


def test_a_new_port_and_a_new_method_are_new_points(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bell(Protocol):
        def ring(self) -> None: ...

    Bell.__module__ = ports.__name__
    monkeypatch.setattr(ports, "Bell", Bell, raising=False)
    with pytest.raises(KeyError):
        points()
    monkeypatch.setitem(listed.PORTS, Bell, "bell")
    assert {"bell.ring:before", "bell.ring:after"} <= set(points())


def test_what_is_left_out_exists() -> None:
    known = {f"{name}.{method}" for each, name in listed.PORTS.items() for method in listed.methods(each)}
    assert known >= LOCAL | set(ELSEWHERE)


@pytest.mark.parametrize("scene", sorted(PLACES))
def test_every_scene_is_for_a_call_there_is(scene: str) -> None:
    assert scene in SCENES
    for place in PLACES[scene]:
        assert any(call.endswith(place) for call in calls()), place


@pytest.mark.timeout(240)  # half a minute if all is well; what is not well is to be told, not cut off
def test_a_few_points_in_turn(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Two die and two freeze, others every day; a worker takes over, and the witness and the ledger agree."""
    seed = int(os.environ.get("POINTS_SEED", time.time() // DAY_S))
    brief = [each for each in orders_of(points(), HOW, seed=seed) if scene_of(each).name not in LONG]
    orders = [each for how in ("freeze", "die") for each in [b for b in brief if b.how == how][:2]]
    done = strike_all(tmp_path, orders, len(orders), seed=seed)
    table = "\n".join([f"POINTS_SEED={seed}", HEAD, *(each.row for each in done)])
    record_property("told", table)
    kept: list[Any] = [each for each in done if each.struck and not each.wrong]
    assert len(kept) == len(orders), table
