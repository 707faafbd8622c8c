"""A server whose clock is set back by an hour: nothing waits for that hour, and nothing old passes for new."""

from decimal import Decimal
from typing import Any

from stopkeeper.core.model import AccountSeen, Funds, Holdings, Key, Known
from stopkeeper.store.bundle import Store

BTC, ETH = Key("main", "BTC"), Key("main", "ETH")
HOUR_MS = 3_600_000


def test_what_was_due_in_a_moment_is_still_due_in_a_moment(rig: Any, store: Store) -> None:
    store.wakes.claim(5, 1_000)
    store.wakes.mark_due(BTC, 80)
    rig.set_back(HOUR_MS)
    assert store.wakes.claim(5, 1_000) == []
    rig.pass_ms(100)
    assert store.wakes.claim(5, 200) == [BTC]
    rig.set_back(HOUR_MS)
    store.wakes.claim(5, 200)
    rig.pass_ms(1_300)  # claims note the time to a second
    assert BTC in store.wakes.claim(5, 1_000), "nor does a claim that nobody carried out wait"


def test_a_clock_set_forward_makes_all_due_and_goes_on_from_there(rig: Any, store: Store) -> None:
    store.wakes.claim(5, 1_000)
    store.wakes.mark_due(BTC, 60_000)
    rig.set_back(-HOUR_MS)
    assert store.wakes.claim(5, 300) == [BTC]
    store.wakes.mark_due(ETH, 60_000)
    assert ETH not in store.wakes.claim(5, 1_000)


def test_a_lease_of_before_is_free_once_its_holder_is_not_at_work(rig: Any, store: Store) -> None:
    held = store.leases.acquire(BTC)
    assert held is not None
    store.leases.renew(held, 77)
    rig.set_back(HOUR_MS)
    other = rig.process()
    taken = other.leases.acquire(BTC)
    assert taken is not None
    assert taken.fence > held.fence
    assert taken.inherited_ms == 77, "what the holder sent may still arrive"


def test_a_holder_that_renews_keeps_its_lease(rig: Any, store: Store) -> None:
    held = store.leases.acquire(BTC)
    assert held is not None
    rig.set_back(HOUR_MS)
    store.leases.renew(held, 0)
    assert rig.process().leases.acquire(BTC) is None
    rig.set_back(-HOUR_MS)
    assert rig.process().leases.acquire(BTC) is not None, "set forward it has run out"


def test_what_was_seen_before_is_old(rig: Any, store: Store) -> None:
    store.looks.save("main", AccountSeen(holdings=Known(Holdings({}, Funds(Decimal(1), Decimal(0))), 5)))
    store.prices.put("main", {"BTC": Decimal(95_000)})
    store.prices.hear("main")
    rig.set_back(HOUR_MS)
    mark = store.prices.get("main", "BTC")
    ages = (store.looks.load("main")[1]["holdings"], mark and mark.age_ms, store.prices.heard_ms("main"))
    assert all(age is not None and age > HOUR_MS for age in ages), ages
    store.prices.hear("main")
    assert (store.prices.heard_ms("main") or 0) < 1_000


def test_an_empty_budget_refills(rig: Any, store: Store) -> None:
    assert store.budget.take("ip", 100, 100, 1_000, 0) == 0
    rig.set_back(HOUR_MS)
    store.budget.used("ip", 100, 1_000)
    rig.pass_ms(300)
    assert store.budget.used("ip", 100, 1_000) < 90
