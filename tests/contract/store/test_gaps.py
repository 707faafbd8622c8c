"""What is missing is told once, by one process, and so is that it is back."""

from typing import Any

from stopkeeper.store.bundle import Store


def test_a_part_is_told_once_when_it_was_missing_for_long_enough(rig: Any, store: Store) -> None:
    other = rig.process()
    assert not store.gaps.lack("main", "venue", 400)
    assert not other.gaps.lack("main", "venue", 400), "it is not missing for so long yet"
    rig.pass_ms(420)
    assert other.gaps.lack("main", "venue", 400)
    assert not store.gaps.lack("main", "venue", 400), "somebody told it"
    assert not store.gaps.lack("other", "venue", 400), "another account's"
    assert store.gaps.lacking("main")["venue"] >= 420
    gone_ms = store.gaps.back("main", "venue")
    assert gone_ms is not None
    assert gone_ms >= 420
    assert other.gaps.back("main", "venue") is None
    assert store.gaps.lacking("main") == {}


def test_what_was_told_to_nobody_is_not_told_to_be_back(store: Store) -> None:
    assert store.gaps.back("main", "beat") is None
    assert not store.gaps.lack("main", "beat", 60_000)
    assert store.gaps.back("main", "beat") is None


def test_without_patience_it_is_told_at_once(store: Store) -> None:
    assert store.gaps.lack("main", "key", 0)


def test_a_clock_that_is_set_back_makes_nothing_wait(rig: Any, store: Store) -> None:
    store.gaps.lack("main", "venue", 60)
    rig.set_back(3_600_000)
    store.gaps.lack("main", "venue", 60)
    rig.pass_ms(80)
    assert store.gaps.lack("main", "venue", 60)


def test_a_turn_is_one_processs_in_its_period(rig: Any, store: Store) -> None:
    assert store.gaps.turn("main", "key", 80)
    assert not rig.process().gaps.turn("main", "key", 80)
    assert store.gaps.turn("other", "key", 80)
    assert store.gaps.turn("main", "proof", 80)
    rig.pass_ms(100)
    assert store.gaps.turn("main", "key", 80)
    rig.set_back(3_600_000)
    assert store.gaps.turn("main", "key", 80), "nobody knows any more when it was given"
    assert not store.gaps.turn("main", "key", 60_000)
