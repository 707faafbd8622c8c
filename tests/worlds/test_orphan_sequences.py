"""People at work under every orphan policy, and a record that is lost as a whole: no cancel of ours strips."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stopkeeper.core.actions import Again, Rest, RestKind
from stopkeeper.core.case import Frame
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import OrphanPolicy
from tests.unit.core.scene import KEY, RULES
from tests.worlds.test_sequences import live, settle, world
from tests.worlds.toy import Toy, World

STEPS = 18
NEVER = STEPS + 1


class Under(World):
    """A world whose account has an orphan policy."""

    policy = OrphanPolicy.PROTECT

    def lose(self) -> None:
        """Lose all that is on record."""
        self.record = KeyRecord(KEY, version=self.record.version)

    def frame(self) -> Frame:
        return replace(super().frame(), rules=replace(RULES, orphan_policy=self.policy))


def under(seed: int, policy: OrphanPolicy) -> Under:
    plain = world(seed, aim=seed % 3 == 0)
    run = Under(plain.toy, plain.record)
    run.policy = policy
    return run


def lived_through(seed: int, lost_at: int, policy: OrphanPolicy) -> Under:
    run = under(seed, policy)
    rng = Random(seed + 1)
    for step in range(STEPS):
        live(run, 1, rng, people=True)
        if step == lost_at:
            run.lose()
    return run


@pytest.mark.parametrize("policy", OrphanPolicy)
def test_people_and_a_lost_record(policy: OrphanPolicy) -> None:
    @settings(max_examples=60, deadline=None, database=None)
    @given(st.integers(0, 100_000), st.sampled_from([NEVER, 3, 6, 9]))
    @example(19, 6)  # what a lost record had sent appeared after its position was booked
    @example(192, 6)  # a cancel that nobody remembered was under way
    @example(7941, 9)  # what a lost record had sent had fired, hung, and was shown in no list
    @example(307, 9)  # so under another policy
    @example(1815, 9)  # another was, once the found position had been turned into a successor's
    def lived(seed: int, lost_at: int) -> None:
        run = lived_through(seed, lost_at, policy)
        assert run.toy.breaches == []
        before = run.tired
        settle(run)
        assert run.tired == before, "a drive without faults took all its turns"
        effects = run.effects
        ends = run.drive()
        assert run.effects == effects, "at an end, and still acting"
        judge(run, run.toy, ends)

    lived()


def judge(run: Under, toy: Toy, ends: Rest | Again) -> None:
    trade = run.record.trade
    assert toy.breaches == []
    if not toy.size:
        assert isinstance(ends, Rest)
        assert (ends.kind, trade, list(toy.orders)) == (RestKind.FLAT, None, [])
        return
    assert trade is not None
    if trade.orphan is OrphanPolicy.ALERT:
        assert isinstance(ends, Rest if toy.covered() else Again)
        return
    assert trade.orphan is not OrphanPolicy.CLOSE, "it is closed by now"
    assert isinstance(ends, Rest)
    assert ends.kind is RestKind.PROTECTED
    assert toy.covered()
