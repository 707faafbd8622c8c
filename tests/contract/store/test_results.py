"""The books as limits read them, and what is reserved: the same lines, whoever asks, also after a restart."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from redis import Redis

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.limits import Result, result_of
from stopkeeper.core.model import Key
from stopkeeper.core.rules import Limits
from stopkeeper.store import keys
from stopkeeper.store.bundle import Store
from stopkeeper.store.connect import open_store
from stopkeeper.store.embedded import EmbeddedServer

BTC = Key("main", "BTC")


def book(store: Store, line: LedgerLine) -> None:
    lease = store.leases.acquire(line.trade.key)
    assert lease is not None
    store.records.save(store.records.load(line.trade.key), lease, booked=line)
    store.leases.abandon(lease, 0)


def lost(line: LedgerLine, usd: str, closed_ms: int) -> LedgerLine:
    return replace(line, exit=replace(line.exit, realized_pnl=Decimal(usd), closed_ms=closed_ms))


def found(store: Store, account: str = "main") -> set[Result]:
    return set(store.ledger.results(account))


def test_results_are_those_of_the_lines(rig: Any, store: Store) -> None:
    assert store.ledger.results("main") == []
    book(store, lost(rig.line(rig.trade("t1")), "-1.2500", 70))
    book(store, lost(rig.line(rig.trade("t2")), "1E+3", 80))
    book(store, lost(rig.line(rig.trade("t3", "BTC", "other")), "7", 90))
    assert found(store) == {Result("t1", 70, Decimal("-1.25")), Result("t2", 80, Decimal(1000))}
    assert found(store) == {result_of(line) for line in store.ledger.lines("main")}
    assert found(rig.process(), "other") == {Result("t3", 90, Decimal(7))}


def test_a_correction_counts_in_place_of_what_it_corrects(rig: Any, store: Store) -> None:
    line = rig.line(rig.trade())
    book(store, lost(line, "-5", 70))
    book(store, lost(replace(line, revision=10), "-7", 71))
    book(store, lost(replace(line, revision=9), "-6", 72))
    book(store, lost(replace(line, revision=10), "99", 73))
    assert found(store) == {Result("t1", 71, Decimal(-7))}, "the highest revision, and of it what was booked first"


def test_what_is_reserved_is_what_admit_counts(rig: Any, store: Store) -> None:
    assert store.records.reserved("main") == {}
    store.records.admit(rig.trade("t1", "BTC"), "b", Decimal("10.25"), Limits())
    store.records.admit(rig.trade("t2", "ETH"), "b", Decimal("0.0000001"), Limits())
    store.records.admit(rig.trade("t3", "BTC", "other"), "b", Decimal(3), Limits())
    assert store.records.reserved("main") == {"t1": Decimal("10.25"), "t2": Decimal("0.000001")}
    lease = store.leases.acquire(BTC)
    assert lease is not None
    store.records.save(replace(store.records.load(BTC), trade=None), lease, booked=rig.line(rig.trade("t1")))
    assert set(rig.process().records.reserved("main")) == {"t2"}


def test_lines_of_before_there_were_results_are_filled_in(rig: Any, server: EmbeddedServer) -> None:
    with Redis.from_url(server.url, decode_responses=True) as client:
        client.flushdb()
        store = open_store(server.url, installation="a1b2c", times=rig.times)
        for number in range(3):
            book(store, lost(rig.line(rig.trade(f"t{number}")), f"-{number}", 70 + number))
        expected, whole = found(store), client.hgetall(keys.results("main"))
        client.delete(keys.results("main"))
        assert found(store) == expected
        assert client.hgetall(keys.results("main")) == whole
        client.hdel(keys.results("main"), "t1:0")
        assert found(store) == expected
        assert client.hgetall(keys.results("main")) == whole
        store.close()


def test_results_and_reservations_survive_a_restart_of_the_server(rig: Any, tmp_path: Path) -> None:
    def opened(server: EmbeddedServer) -> Store:
        return open_store(server.url, installation="a1b2c", times=rig.times)

    with EmbeddedServer(tmp_path / "data") as server:
        store = opened(server)
        store.records.admit(rig.trade("t9", "ETH"), "b", Decimal(50), Limits())
        book(store, lost(rig.line(rig.trade()), "-250", 70))
        store.close()
    with EmbeddedServer(tmp_path / "data") as server:
        store = opened(server)
        assert found(store) == {Result("t1", 70, Decimal(-250))}
        assert store.records.reserved("main") == {"t9": Decimal(50)}
        store.close()
