"""Scripted worlds: none breaks a rule, and each shows the broken rules it was made for, by the judge they concern."""

import pytest

from tests.simulation.planted import KINDS as WHERE
from tests.simulation.planted import PLANTED, planted
from tests.simulation.scenes import SCENES
from tests.simulation.trouble import KINDS
from tests.simulation.trouble import SCENES as NAMES
from tests.simulation.world import kind_of, live

FEW = 3
MORE = 24  # seeds in which a rule that is broken shows: the scene makes it likely in each
CAUGHT = {
    "no-quiet": {"into the next", "hits the next"},
    "writes-after": {"over litter", "booked once", "into the next"},
    "child-is-litter": {"naked", "stripped", "into the next"},
    "hanging-forgotten": {"over litter", "hits the next"},
    "ending-last": {"outlived"},
    "no-successor": {"fees"},
    "either-side-covers": {"naked"},
    "refusal-is-done": {"naked"},
    "entries-over-litter": {"over litter"},
    "forgets-unnoticed": {"into the next", "over litter"},
    "loses-wakes": {"unheard"},
    "stops-behind-liquidation": {"liquidated"},
    "cancels-foreign": {"foreign"},
    "one-reading-closes": {"false exit"},
    "zero-is-a-price": {"false exit"},
    "waits-beyond": {"naked"},
    "nothing-kept": {"naked"},
    "flat-by-one-reading": {"stripped"},
    "flat-by-any-two": {"stripped"},
    "believes-the-list": {"false exit"},
    "looks-once": {"naked"},
}


def test_what_kind_of_world_a_seed_is_never_changes() -> None:
    kinds = ["calm", "lossy", "lagging", "crashing", "venue", "people", "away", "back", "all"]
    assert [kind_of(seed) for seed in range(9)] == kinds == list(KINDS)


@pytest.mark.parametrize("kind", SCENES)
def test_no_scene_breaks_a_rule(kind: str) -> None:
    lived = [live(seed, kind) for seed in range(FEW)]
    assert [verdict.broken for verdict in lived] == [[]] * FEW
    assert sum(verdict.counts["our orders"] for verdict in lived) >= FEW


@pytest.mark.parametrize("name", CAUGHT)
def test_a_scene_shows_the_rule_it_is_made_for(name: str) -> None:
    with planted(name):
        found = (rule for seed in range(MORE) for rule, _ in live(seed, WHERE[name]).broken)
        assert next((rule for rule in found if rule in CAUGHT[name]), None) is not None


def test_each_scene_has_its_dice_and_shows_a_broken_rule() -> None:
    assert tuple(SCENES) == NAMES
    assert set(SCENES) <= {WHERE[name] for name in CAUGHT}
    assert set(WHERE) <= set(PLANTED)
