"""The other parts: looks, journal, marks, switches, nonces, budgets, texts, and whose store it is."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from stopkeeper.core.model import AccountSeen, FillPage, Funds, Holdings, Known
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.prices import Source
from stopkeeper.core.rules import Switches
from stopkeeper.store.bundle import Store


def holdings(value: int, at_ms: int) -> AccountSeen:
    return AccountSeen(holdings=Known(Holdings({}, Funds(Decimal(value), Decimal(0))), at_ms))


def worth(seen: AccountSeen) -> int:
    assert isinstance(seen.holdings, Known)
    return int(seen.holdings.value.funds.value)


def test_a_look_is_merged_field_by_field(rig: Any, store: Store) -> None:
    assert store.looks.load("main") == (AccountSeen(), {})
    store.looks.save("main", holdings(1, 100))
    rig.pass_ms(60)
    fills = Known(FillPage(1, ()), 150)
    merged = store.looks.save("main", AccountSeen(orders=Unknown("timeout"), fills=fills))
    assert (worth(merged), merged.fills) == (1, fills)
    assert merged.orders == Unknown("not read")
    seen, ages = rig.process().looks.load("main")
    assert seen == merged
    assert set(ages) == {"holdings", "fills"}
    assert ages["holdings"] >= 60 > ages["fills"] >= 0
    assert store.looks.load("other")[0] == AccountSeen()


def test_an_older_reading_is_dropped(store: Store) -> None:
    store.looks.save("main", holdings(1, 50_000))
    assert worth(store.looks.save("main", holdings(2, 49_999))) == 1
    assert worth(store.looks.save("main", holdings(3, 50_000))) == 3, "the same time is not older"
    for _ in range(5):
        assert worth(store.looks.save("main", holdings(4, 40_000))) == 3, "by 10 s is only late"
    assert store.journal.read("main", "", 9) == []


def test_three_times_much_older_in_a_row_resets_the_watermark(store: Store) -> None:
    store.looks.save("main", holdings(1, 50_000))
    store.looks.save("main", holdings(2, 30_000))
    store.looks.save("main", holdings(2, 30_001))
    assert worth(store.looks.save("main", holdings(3, 50_001))) == 3
    for at in (30_000, 30_001):
        assert worth(store.looks.save("main", holdings(4, at))) == 3, "the row was broken"
    assert worth(store.looks.save("main", holdings(5, 30_002))) == 5
    ((_, line),) = store.journal.read("main", "", 9)
    assert (line["kind"], line["fields"]) == ("watermark", "holdings")
    assert worth(store.looks.save("main", holdings(6, 30_003))) == 6


def test_the_journal_is_read_forwards_from_any_line(store: Store) -> None:
    for n in range(5):
        store.journal.write("main", "BTC", "turn", f"line {n}", n=n, size=Decimal("1E+2"), ids=("a", "b"), why=None)
    lines = store.journal.read("main", "0", 10)
    assert [line["text"] for _, line in lines] == [f"line {n}" for n in range(5)]
    assert lines[0][1] == {
        "symbol": "BTC", "kind": "turn", "text": "line 0", "n": "0", "size": "100", "ids": '["a","b"]', "why": "null",
    }  # fmt: skip
    assert store.journal.read("main", lines[2][0], 1) == [lines[3]]
    assert store.journal.read("main", "", 2) == lines[3:]
    assert store.journal.read("main", lines[-1][0], 5) == []


def test_marks_have_an_age_and_are_prices(rig: Any, store: Store) -> None:
    store.prices.put("main", {"BTC": Decimal("93000.50"), "ETH": Decimal(0), "SOL": Decimal("NaN")})
    rig.pass_ms(40)
    mark = store.prices.get("main", "BTC")
    assert mark is not None
    assert (str(mark.value), mark.source) == ("93000.50", Source.STREAM)
    assert 40 <= mark.age_ms < 1_000
    assert store.prices.get("main", "ETH") is None
    assert store.prices.get("main", "SOL") is None
    store.prices.put("main", {})


def test_switches_are_an_accounts(rig: Any, store: Store) -> None:
    assert store.flags.read("main") == Switches()
    store.flags.change("main", halted=True)
    store.flags.change("main", paused=True, barred="agent expired")
    assert rig.process().flags.read("main") == Switches(True, True, "agent expired")  # a bar takes no halt away
    store.flags.change("main", halted=False)
    assert rig.process().flags.read("main") == Switches(paused=True, barred="agent expired")
    assert store.flags.read("other") == Switches()


def test_whose_orders_are_taken_over_is_kept_beside_the_switches(rig: Any, store: Store) -> None:
    store.flags.inherit("main", "fffff", 1_000)
    store.flags.change("main", paused=True)
    store.flags.inherit("main", "00000", 5)
    store.flags.inherit("main", "fffff", 2_000)
    assert rig.process().flags.read("main") == Switches(paused=True, inherited=(("00000", 5), ("fffff", 2_000)))
    assert store.flags.read("other") == Switches()


def test_nonces_are_unique_across_threads_and_never_fall(rig: Any, store: Store) -> None:
    stores = [store, rig.process()]
    with ThreadPoolExecutor(8) as pool:
        firsts = list(pool.map(lambda n: stores[n % 2].nonces.take("0xAb", 1_000, 4), range(40)))
    assert sorted(firsts) == list(range(1_000, 1_160, 4))
    assert store.nonces.take("0xAB", 1_000, 1) == 1_160, "an address has no case"
    assert store.nonces.take("0xab", 900, 1) == 1_161, "never lower"
    assert store.nonces.take("0xcd", 900, 1) == 900
    with pytest.raises(ValueError, match="mint"):
        store.nonces.take("0xab", 900, 0)


def test_a_nonce_poisoned_by_a_broken_clock_is_clamped(store: Store) -> None:
    day = 86_400_000
    assert store.nonces.take("0xab", 100 * day, 1) == 100 * day
    assert store.nonces.take("0xab", 99 * day, 1) == 99 * day + 10_001
    assert store.nonces.take("0xab", 99 * day + 5, 1) == 99 * day + 10_002


def test_a_budget_keeps_its_reserve_for_protection(rig: Any, store: Store) -> None:
    take = store.budget.take
    assert take("ip", 60, 100, 1_000_000, 40) == 0
    wait = take("ip", 1, 100, 1_000_000, 40)
    assert 9_000 < wait <= 10_000, "one token takes 10 s"
    assert take("ip", 40, 100, 1_000_000, 0) == 0, "protective"
    assert take("ip", 1, 100, 1_000_000, 0) > 0
    assert store.budget.used("ip", 100, 1_000_000) == 100
    assert store.budget.used("address", 100, 1_000_000) == 0
    with pytest.raises(ValueError, match="never fits"):
        take("ip", 70, 100, 1_000_000, 40)


def test_a_budget_refills_evenly(rig: Any, store: Store) -> None:
    assert store.budget.take("ip", 100, 100, 400, 0) == 0
    rig.pass_ms(120)
    assert store.budget.take("ip", 20, 100, 400, 0) == 0
    assert store.budget.used("ip", 100, 400) <= 90
    rig.pass_ms(410)
    assert store.budget.used("ip", 100, 400) == 0


def test_threads_never_overspend_a_budget(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: store.budget.take("ip", 10, 100, 10_000_000, 0), range(20)))
    assert waits.count(0) == 10


def test_texts_expire(rig: Any, store: Store) -> None:
    store.texts.save("markets", "[1]", 120)
    assert store.texts.load("markets") == "[1]"
    assert store.texts.load("other") is None
    rig.pass_ms(150)
    assert store.texts.load("markets") is None


def test_the_store_has_its_own_clock(rig: Any, store: Store) -> None:
    before = store.now_ms()
    rig.pass_ms(20)
    assert 20 <= store.now_ms() - before < 1_000


def test_the_report_tells_what_a_twin_is(rig: Any, store: Store) -> None:
    report = store.durability_report()
    assert report.ok
    assert ("tests" in report.sentence) == (report.wanted.local == 0)
    store.verify()
