"""Signs of life: who says it, who is missed, and who took its leave."""

import time

import pytest

from stopkeeper.core.missing import Processes
from stopkeeper.store.bundle import Store
from stopkeeper.store.memory import MemoryWorld, memory_store
from tasks.runtime import BEAT, swept
from workers.alive import (
    APART_MS,
    LOST_MS,
    Alive,
    Sign,
    clocks_apart,
    heard,
    lost,
    note,
    noted_ms,
    say,
    signs,
    worked_ms,
)


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


def test_what_is_heard_of_the_processes(store: Store, clock: Clock) -> None:
    assert heard(store, ("main", "other")) == Processes(None, 0, "")
    for name in ("beat", "feed", "flower", "paper", "urgent", "orders-scans"):
        say(store, name, 60_000)
    note(store, BEAT)
    clock.now_ms += 700
    assert heard(store, ("main", "other")) == Processes(700, 2, "", 700)


def test_what_a_worker_carried_out_last_is_a_tick_or_a_sweep_of_any_account(store: Store, clock: Clock) -> None:
    assert worked_ms(store, ("main", "other")) is None
    for name, ago_ms in ((BEAT, 9_000), (swept("other"), 2_000), (swept("main"), 5_000)):
        clock.now_ms -= ago_ms
        note(store, name)
        clock.now_ms += ago_ms
    assert worked_ms(store, ("main", "other")) == 2_000
    assert worked_ms(store, ("main",)) == 5_000


@pytest.mark.parametrize(("asking", "idle_ms"), [("beat", 60_000), ("feed", 60_000), ("flower", None)])
def test_workers_are_idle_only_while_somebody_asks_something_of_them(
    store: Store, clock: Clock, asking: str, idle_ms: int | None
) -> None:
    note(store, BEAT)
    clock.now_ms += 60_000
    say(store, "urgent", 70_000)
    say(store, asking, 70_000)
    assert heard(store, ("main",)).idle_ms == idle_ms


@pytest.mark.parametrize("noted", [True, False])
def test_workers_that_have_just_begun_are_not_idle_yet(store: Store, clock: Clock, *, noted: bool) -> None:
    if noted:
        note(store, BEAT)
        clock.now_ms += 8 * 3_600_000
    for name, life_ms in (("beat", 90_000), ("urgent", 3_000), ("orders", 4_000)):
        say(store, name, life_ms)
    assert heard(store, ("main",)).idle_ms == 4_000


def test_a_sign_says_for_how_long_its_process_has_lived(store: Store) -> None:
    with Alive(store, "urgent"):
        until = time.monotonic() + 5
        while not signs(store) and time.monotonic() < until:
            time.sleep(0.005)
        assert 0 <= signs(store)[0].life_ms < 2_000
    say(store, "orders", 7)
    assert [sign.life_ms for sign in signs(store) if sign.process == "orders"] == [7]


def test_a_sign_says_how_far_its_hosts_clock_is_before_the_stores(store: Store, clock: Clock) -> None:
    before_ms = time.time_ns() // 1_000_000
    say(store, "feed")
    after_ms = time.time_ns() // 1_000_000
    (sign,) = signs(store)
    assert before_ms - clock.now_ms <= sign.ahead_ms <= after_ms - clock.now_ms


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        ((), ""),
        ((("a", 90_000),), ""),
        ((("a", 5), ("b", 5 + APART_MS - 1)), ""),
        ((("b", -6_000), ("a", 40), ("c", 0)), "a +0.0 s, b -6.0 s, c +0.0 s"),
    ],
)
def test_hosts_are_apart_by_their_clocks_and_not_by_the_stores(ahead: tuple[tuple[str, int], ...], said: str) -> None:
    assert clocks_apart(Sign("urgent", host, 1, 0, ms) for host, ms in ahead) == said
