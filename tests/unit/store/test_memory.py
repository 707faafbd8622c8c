"""What the simulation asks of the memory twin beyond the contract: going back in time, being gone, its own clock."""

from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.core.model import Key, Side
from stopkeeper.core.record import Origin, Trade
from stopkeeper.core.rules import Limits
from stopkeeper.engine.ports import AdmitResult, LeaseLost, StoreGone
from stopkeeper.store.durability import StoreUnfit
from stopkeeper.store.memory import MemoryWorld, memory_store

KEY = Key("main", "BTC")
TRADE = Trade("t1", Origin.SIGNAL, KEY, Side.LONG, 1)


def test_a_store_that_goes_back_refuses_the_drive_it_forgot() -> None:
    world = MemoryWorld(lambda: 1_000)
    store = memory_store(world, installation="a1b2c", boot="a")
    point = world.save_point()
    assert store.records.admit(TRADE, "b", Decimal(1), Limits()) is AdmitResult.ADMITTED
    lease = store.leases.acquire(KEY)
    assert lease is not None
    record = store.records.load(KEY)
    world.go_back(point)
    assert store.records.load(KEY).trade is None
    with pytest.raises(LeaseLost):
        store.records.save(replace(record, n=1), lease)
    assert store.records.admit(TRADE, "b", Decimal(1), Limits()) is AdmitResult.ADMITTED


def test_a_store_that_went_back_refuses_a_version_it_never_saw() -> None:
    world = MemoryWorld(lambda: 1_000)
    store = memory_store(world, installation="a1b2c", boot="a")
    lease = store.leases.acquire(KEY)
    assert lease is not None
    point = world.save_point()
    saved = store.records.save(store.records.load(KEY), lease)
    world.go_back(point)
    with pytest.raises(LeaseLost):
        store.records.save(saved, lease)


def test_gone_is_gone_and_comes_back() -> None:
    world = MemoryWorld(lambda: 1_000)
    store = memory_store(world, installation="a1b2c", boot="a")
    world.gone = True
    for call in (
        lambda: store.records.load(KEY),
        lambda: store.wakes.wake(KEY, "x"),
        lambda: store.leases.acquire(KEY),
    ):
        with pytest.raises(StoreGone):
            call()
    assert not store.durability_report().ok
    world.gone = False
    assert store.leases.acquire(KEY) is not None


def test_a_frozen_process_that_thaws_in_time_keeps_its_lease() -> None:
    now = [0]
    world = MemoryWorld(lambda: now[0])
    store, other = (memory_store(world, installation="a1b2c", boot=boot) for boot in "ab")
    assert store.leases.acquire(KEY) is not None
    world.kill("a")
    now[0] = 2_999
    assert other.leases.acquire(KEY) is None
    world.revive("a")
    now[0] = 9_999
    assert other.leases.acquire(KEY) is None
    now[0] = 10_000
    assert other.leases.acquire(KEY) is not None


def test_another_installation_is_refused() -> None:
    world = MemoryWorld(lambda: 0)
    memory_store(world, installation="a1b2c", boot="a").verify()
    with pytest.raises(StoreUnfit, match="belongs to installation a1b2c"):
        memory_store(world, installation="ffff0", boot="b").verify()


def test_the_journal_is_bounded() -> None:
    from stopkeeper.store.memory.parts import MemoryJournal

    journal = MemoryJournal(MemoryWorld(lambda: 5), max_lines=3)
    for n in range(9):
        journal.write("main", "BTC", "turn", str(n))
    assert [line["text"] for _, line in journal.read("main", "0", 9)] == ["6", "7", "8"]


def test_a_fence_rises_though_the_clock_fell_back() -> None:
    now = [50_000]
    store = memory_store(MemoryWorld(lambda: now[0]), installation="a1b2c", boot="a")
    first = store.leases.acquire(KEY)
    assert first is not None
    assert store.leases.release(first, 0, None)
    now[0] = 1
    second = store.leases.acquire(KEY)
    assert second is not None
    assert second.fence == first.fence + 1
