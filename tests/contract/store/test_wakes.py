"""Due-times: everything due is claimed exactly once, and again if whoever claimed it died."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stopkeeper.core.model import Key
from stopkeeper.store.bundle import Store

BTC = Key("main", "BTC")


def test_a_wake_counts_and_makes_due_now(store: Store) -> None:
    dex = Key("main", "xyz:TSLA")
    store.wakes.mark_due(dex, 60_000)
    store.wakes.wake(dex, "a fill")
    store.wakes.wake(dex, "a breach")
    assert store.wakes.counter(dex) == 2
    assert store.wakes.claim(5, 1_000) == [dex]


def test_mark_due_never_moves_later_and_counts_nothing(rig: Any, store: Store) -> None:
    store.wakes.mark_due(BTC, 50)
    store.wakes.mark_due(BTC, 60_000)
    assert store.wakes.counter(BTC) == 0
    assert store.wakes.claim(5, 1_000) == []
    rig.pass_ms(70)
    assert store.wakes.claim(5, 1_000) == [BTC]


def test_two_tickers_claim_each_key_exactly_once(rig: Any, store: Store) -> None:
    symbols = [Key("main", f"S{n}") for n in range(60)]
    for key in symbols:
        store.wakes.mark_due(key, 0)
    tickers = [store, rig.process()]
    with ThreadPoolExecutor(4) as pool:
        rounds = pool.map(lambda n: tickers[n % 2].wakes.claim(7, 60_000), range(24))
    claimed = Counter(key for claim in rounds for key in claim)
    assert claimed == Counter(symbols)


def test_a_claim_that_is_never_driven_comes_due_again(rig: Any, store: Store) -> None:
    store.wakes.wake(BTC, "a signal")
    assert store.wakes.claim(5, 120) == [BTC]
    assert store.wakes.claim(5, 120) == []
    rig.pass_ms(150)
    assert rig.process().wakes.claim(5, 120) == [BTC]


def test_longest_due_first_and_no_more_than_asked(rig: Any, store: Store) -> None:
    for symbol in ("C", "A", "B"):
        store.wakes.mark_due(Key("main", symbol), 0)
        rig.pass_ms(5)
    assert [key.symbol for key in store.wakes.claim(2, 1_000)] == ["C", "A"]
    assert [key.symbol for key, _ in store.wakes.overdue()] == ["B", "A", "C"], "claimed ones at their redelivery"


def test_an_account_name_with_a_colon_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="colon"):
        store.wakes.wake(Key("a:b", "BTC"), "never")
