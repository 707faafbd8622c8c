"""Signs of life: who says it, who is missed, and who took its leave."""

import pytest

from stopkeeper.store.bundle import Store
from stopkeeper.store.memory import MemoryWorld, memory_store
from workers.alive import LOST_MS, Alive, lost, note, noted_ms, say, signs


class Clock:
    now_ms = 1_700_000_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return memory_store(MemoryWorld(lambda: clock.now_ms), installation="a1b2c", boot="here")


def test_who_says_nothing_any_more_is_lost_and_not_forgotten(store: Store, clock: Clock) -> None:
    say(store, "beat")
    say(store, "feed")
    clock.now_ms += LOST_MS
    say(store, "feed")
    assert [sign.process for sign in signs(store)] == ["feed"]
    assert [(sign.process, sign.age_ms) for sign in lost(store)] == [("beat", LOST_MS)]
    say(store, "beat")
    assert lost(store) == []


def test_who_ends_in_good_order_is_missed_by_nobody(store: Store, clock: Clock) -> None:
    with Alive(store, "feed"):
        pass
    clock.now_ms += LOST_MS
    assert signs(store) == lost(store) == []


def test_a_sign_of_before_the_clock_was_set_back_is_no_sign(store: Store, clock: Clock) -> None:
    say(store, "beat")
    note(store, "beat")
    assert noted_ms(store, "beat") == 0
    clock.now_ms -= 3_600_000
    assert [sign.process for sign in lost(store)] == ["beat"]
    assert (noted_ms(store, "beat") or 0) > 3_600_000
    assert noted_ms(store, "swept:main") is None
