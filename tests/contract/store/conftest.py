"""One deployment of the store, as memory, over fakeredis and over a real server; the tests do not know which."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import fakeredis
import pytest
from redis import Redis

from stopkeeper.core.actions import Exit
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Amount, Distance, Key, Side, Signal
from stopkeeper.core.record import Origin, Trade
from stopkeeper.engine.ports import Times
from stopkeeper.store import keys
from stopkeeper.store.bundle import Store
from stopkeeper.store.connect import open_store, store_over
from stopkeeper.store.durability import Unconfirmed
from stopkeeper.store.embedded import EmbeddedServer
from stopkeeper.store.memory import MemoryWorld, memory_store

QUICK = Times(lease_ms=600, heartbeat_ms=40, heartbeat_lost_ms=250, claim_ms=300)
INSTALLATION = "a1b2c"


class Rig(ABC):
    """A deployment under test: several processes over one store, and a way to let time pass."""

    times = QUICK

    @abstractmethod
    def process(self) -> Store:
        """Open the store as another process would."""

    @abstractmethod
    def kill(self, store: Store) -> None:
        """Let a process die: it beats no more; what it still sends is a zombie's."""

    @abstractmethod
    def pass_ms(self, ms: int) -> None:
        """Let time pass."""

    @abstractmethod
    def set_back(self, ms: int) -> None:
        """Set the server's clock back: whatever moment it keeps lies so much farther in its future."""

    @abstractmethod
    def fail_over(self) -> None:
        """Let another server go on with all that this one has."""

    @abstractmethod
    def empty(self) -> None:
        """Take everything from the server."""

    @abstractmethod
    def close(self) -> None:
        """Give back what was opened."""

    @staticmethod
    def trade(trade_id: str = "t1", symbol: str = "BTC", account: str = "main") -> Trade:
        key = Key(account, symbol)
        signal = Signal(f"signal-{trade_id}", key, Side.LONG, Amount(size=Decimal("0.10")), Distance(price=Decimal(9)))
        return Trade(trade_id, Origin.SIGNAL, key, Side.LONG, 1_000, signal=signal, nonces=(1, 2, 3, 4))

    @staticmethod
    def line(trade: Trade, revision: int = 0, booked_ms: int = 5, reason: str = "stop_loss") -> LedgerLine:
        zero = Decimal(0)
        ended = Exit(reason, "order 1", (), zero, zero, zero, zero, zero, zero, Decimal("-1.20"), 1, 2, complete=True)
        return LedgerLine(trade, ended, revision, booked_ms)


class MemoryRig(Rig):
    def __init__(self) -> None:
        self._now = 1_700_000_000_000
        self.world = MemoryWorld(lambda: self._now)
        self._count = 0

    def process(self) -> Store:
        self._count += 1
        return memory_store(self.world, installation=INSTALLATION, boot=f"boot{self._count}", times=QUICK)

    def kill(self, store: Store) -> None:
        self.world.kill(store.boot)

    def pass_ms(self, ms: int) -> None:
        self._now += ms

    def set_back(self, ms: int) -> None:
        self._now -= ms

    def fail_over(self) -> None:
        self.world.go_back(self.world.save_point())

    def empty(self) -> None:
        self.world.empty()

    def close(self) -> None:
        self.world.gone = True


class RedisRig(Rig):
    def __init__(self) -> None:
        self._opened: list[Store] = []

    def process(self) -> Store:
        store = self.opened()
        self._opened.append(store)
        return store

    @abstractmethod
    def opened(self) -> Store: ...

    def kill(self, store: Store) -> None:
        store.close()

    def pass_ms(self, ms: int) -> None:
        time.sleep(ms / 1000)

    @abstractmethod
    def client(self) -> Redis: ...

    def set_back(self, ms: int) -> None:
        """No server lets its clock be set, so every moment it keeps is moved instead."""
        with self.client() as client:
            for name in client.scan_iter("sk:*"):
                _move(client, str(name), ms)

    def fail_over(self) -> None:
        """No second server: what is noted of the one is made another's. A real restart stands in test_server.py."""
        with self.client() as client:
            client.hset(keys.server(), "id", "another")

    def empty(self) -> None:
        with self.client() as client:
            client.flushdb()

    def close(self) -> None:
        for store in self._opened:
            store.close()


class FakeRig(RedisRig):
    def __init__(self) -> None:
        super().__init__()
        self._server = fakeredis.FakeServer()

    def client(self) -> Redis:
        return fakeredis.FakeRedis(server=self._server, decode_responses=True)

    def opened(self) -> Store:
        return store_over(self.client(), installation=INSTALLATION, confirms=Unconfirmed(), times=QUICK)


class RealRig(RedisRig):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        with Redis.from_url(url) as client:
            client.flushdb()

    def client(self) -> Redis:
        return Redis.from_url(self._url, decode_responses=True)

    def opened(self) -> Store:
        return open_store(self._url, installation=INSTALLATION, times=QUICK)


_MOMENTS = {"sk:lease": ("until",), "sk:budget": ("at",)}


def _move(client: Redis, name: str, ms: int) -> None:
    """Move the moments of one key, and the end of its life."""
    kind = ":".join(name.split(":")[:2])
    if kind in ("sk:due", "sk:claimed"):
        for member, score in client.zrange(name, 0, -1, withscores=True):
            client.zadd(name, {member: score + ms})
    elif kind == "sk:server":
        if forgot := client.hget(name, "forgot"):
            client.hset(name, "forgot", int(forgot) + ms)
    elif kind in ("sk:claimed-at", "sk:turn"):
        client.incrby(name, ms)
    elif kind in ("sk:lease", "sk:budget", "sk:look"):
        stored = client.hgetall(name)
        fields = _MOMENTS.get(kind) or [field for field in stored if field.endswith(":seen")]
        client.hset(name, mapping={field: str(float(stored[field]) + ms).removesuffix(".0") for field in fields})
    elif kind in ("sk:marks", "sk:heard"):
        for field, text in client.hgetall(name).items():
            value, at, told = text.split("|")
            client.hset(name, field, f"{value}|{int(at) + ms}|{told}")
    elif kind == "sk:missing":
        for field, text in client.hgetall(name).items():
            at, told = text.split("|")
            client.hset(name, field, f"{int(at) + ms}|{told}")
    if (left := client.pttl(name)) > 0:
        client.pexpire(name, left + ms)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The real server all contract tests share."""
    data_dir: Path = tmp_path_factory.mktemp("redis") / "data"
    with EmbeddedServer(data_dir) as running:
        yield running


@pytest.fixture(params=["memory", "fakeredis", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made: Rig
    if request.param == "memory":
        made = MemoryRig()
    elif request.param == "fakeredis":
        made = FakeRig()
    else:
        made = RealRig(request.getfixturevalue("server").url)
    yield made
    made.close()


@pytest.fixture
def store(rig: Rig) -> Store:
    return rig.process()
