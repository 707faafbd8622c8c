"""One driver a key: taking, taking over, losing and letting go of a lease."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from threading import Barrier
from typing import Any

import pytest

from stopkeeper.core.model import Key
from stopkeeper.engine.ports import Lease, LeaseLost, Reentered
from stopkeeper.store.bundle import Store

BTC = Key("main", "BTC")
FOREVER = 10_000_000


def test_a_second_process_gets_nothing_while_the_first_lives(rig: Any, store: Store) -> None:
    other = rig.process()
    lease = store.leases.acquire(BTC)
    assert lease is not None
    for _ in range(3):
        rig.pass_ms(100)
        assert other.leases.acquire(BTC) is None
    (key, owner, fence, left), *more = other.leases.holders()
    assert (key, owner, fence, more) == (BTC, lease.owner, lease.fence, [])
    assert 0 < left <= rig.times.lease_ms
    assert 0 < store.leases.remaining_ms(lease) <= left + 50
    assert other.leases.remaining_ms(lease) == 0


def test_a_missing_heartbeat_frees_the_lease_before_its_term(rig: Any, store: Store) -> None:
    other = rig.process()
    lease = store.leases.acquire(BTC)
    assert lease is not None
    store.leases.renew(lease, 123_456)
    rig.kill(store)
    rig.pass_ms(rig.times.heartbeat_lost_ms + 30)
    taken = other.leases.acquire(BTC)
    assert taken is not None
    assert taken.fence > lease.fence
    assert taken.inherited_ms == 123_456
    with pytest.raises(LeaseLost):
        store.leases.renew(lease, 0)
    with pytest.raises(LeaseLost):
        store.leases.release(lease, 0, None)
    store.leases.abandon(lease, 0)
    assert other.leases.holders()[0][2] == taken.fence, "a zombie's abandon touches nothing"


def test_a_lease_runs_out_though_its_owner_lives(rig: Any, store: Store) -> None:
    other = rig.process()
    lease = store.leases.acquire(BTC)
    assert lease is not None
    rig.pass_ms(rig.times.lease_ms // 2 + 50)
    store.leases.renew(lease, 0)
    rig.pass_ms(rig.times.lease_ms // 2 + 50)
    assert other.leases.acquire(BTC) is None, "renewed to the full term"
    rig.pass_ms(rig.times.lease_ms // 2)
    assert store.leases.remaining_ms(lease) == 0
    with pytest.raises(LeaseLost):
        store.leases.renew(lease, 0)
    assert other.leases.acquire(BTC) is not None


def test_the_same_call_context_is_told_instead_of_hanging(store: Store) -> None:
    lease = store.leases.acquire(BTC)
    assert lease is not None
    with pytest.raises(Reentered):
        store.leases.acquire(BTC)
    assert store.leases.acquire(Key("main", "ETH")) is not None
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(store.leases.acquire, BTC).result() is None, "another thread is contention"
    assert Context().run(store.leases.acquire, BTC) is None, "so is another context"
    assert store.leases.release(lease, 0, None)
    assert store.leases.acquire(BTC) is not None


def test_of_many_threads_one_wins(store: Store) -> None:
    together = Barrier(8)

    def take(_: int) -> Lease | None:
        together.wait()
        return store.leases.acquire(BTC)

    with ThreadPoolExecutor(8) as pool:
        assert len([lease for lease in pool.map(take, range(8)) if lease]) == 1


def test_no_wake_is_lost_at_release(rig: Any, store: Store) -> None:
    lease = store.leases.acquire(BTC)
    assert lease is not None
    counter = store.wakes.counter(BTC)
    rig.process().wakes.wake(BTC, "a fill")
    assert store.leases.release(lease, counter, None) is False
    assert store.leases.holders(), "still held"
    store.leases.renew(lease, 0)
    assert store.leases.release(lease, store.wakes.counter(BTC), None) is True
    assert store.leases.holders() == []


def test_release_sets_the_due_time_of_the_drive(store: Store) -> None:
    store.wakes.wake(BTC, "a signal")
    lease = store.leases.acquire(BTC)
    assert lease is not None
    assert store.wakes.claim(9, 100) == [], "what was due is the drive's"
    assert store.leases.release(lease, store.wakes.counter(BTC), 5_000)
    ((key, left),) = store.wakes.overdue()
    assert key == BTC
    assert 4_000 < left <= 5_000


def test_release_without_a_due_time_leaves_nothing_due(store: Store) -> None:
    store.wakes.mark_due(BTC, 0)
    assert store.wakes.claim(9, 100) == [BTC]
    lease = store.leases.acquire(BTC)
    assert lease is not None
    assert store.leases.release(lease, 0, None)
    assert store.wakes.overdue() == []


@pytest.mark.parametrize("after_ms", [None, 60_000])
def test_a_due_time_set_during_the_drive_stays(store: Store, after_ms: int | None) -> None:
    lease = store.leases.acquire(BTC)
    assert lease is not None
    store.wakes.mark_due(BTC, 2_000)
    assert store.leases.release(lease, 0, after_ms)
    ((_, left),) = store.wakes.overdue()
    assert 1_000 < left <= 2_000


def test_a_holder_that_dies_leaves_its_key_due(rig: Any, store: Store) -> None:
    store.wakes.mark_due(BTC, 0)
    assert store.leases.acquire(BTC) is not None
    rig.kill(store)
    rig.pass_ms(rig.times.claim_ms + 30)
    other = rig.process()
    assert other.wakes.claim(9, 1_000) == [BTC]
    assert other.leases.acquire(BTC) is not None


def test_a_clean_release_clears_its_own_deadline_and_not_a_dead_ones(rig: Any, store: Store) -> None:
    first = store.leases.acquire(BTC)
    assert first is not None
    store.leases.renew(first, FOREVER)
    assert store.leases.release(first, 0, None)
    dies = rig.process()
    second = dies.leases.acquire(BTC)
    assert second is not None
    assert second.inherited_ms == 0
    dies.leases.renew(second, 77)
    dies.leases.renew(second, 55)
    rig.kill(dies)
    rig.pass_ms(rig.times.heartbeat_lost_ms + 30)
    third = store.leases.acquire(BTC)
    assert third is not None
    assert third.inherited_ms == 77, "the latest"
    assert store.leases.release(third, 0, None)
    fourth = store.leases.acquire(BTC)
    assert fourth is not None
    assert fourth.inherited_ms == 77, "what the dead one sent may still arrive"


def test_abandon_lets_go_of_a_woken_key_and_hands_on_its_deadline(store: Store) -> None:
    lease = store.leases.acquire(BTC)
    assert lease is not None
    store.leases.renew(lease, 99)
    store.wakes.wake(BTC, "a breach")
    store.leases.abandon(lease, 0)
    again = store.leases.acquire(BTC)
    assert again is not None
    assert again.fence > lease.fence
    assert again.inherited_ms == 99
