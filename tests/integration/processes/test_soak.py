"""A small soak, and its judge held against servers in which something was planted that grows or stays."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from benchmarks.growth import Sample, family_of, grown, sample
from benchmarks.soak import soak
from stopkeeper.core.model import Key
from stopkeeper.store import keys
from stopkeeper.store.embedded import EmbeddedServer
from tasks import queues
from workers.app import make_app

QUICK = (
    "closed by command",
    "the stop fires",
    "the entry misses its limit",
    "refused at the door",
    "sent again",
    "the entry's answer is lost",
    "closed by hand",
    "enlarged by hand",
    "a stranger's order",
)
DAY_MS = 24 * 3600 * 1000
KEY = Key("main", "BTC")


def test_sixty_trades_leave_nothing_behind_but_the_ledger(tmp_path: Path) -> None:
    found = soak(tmp_path / "soak", 60, samples=3, accounts=2, kinds=QUICK, here=True)
    assert found.wrong == []
    assert found.samples[-1].trades >= 60
    assert found.samples[-1].families["sk:ledger:<account>"].items == found.samples[-1].trades
    assert found.refused > 0
    assert json.loads(json.dumps(asdict(found)))["seconds"] == found.samples[-1].at_s
    assert set(found.kinds) == set(QUICK)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("soak")) as running:
        yield running


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[Redis]:
    with Redis.from_url(server.url, decode_responses=True) as made:
        made.flushdb()
        yield made


def _sampled(client: Redis, after: Callable[[int], object]) -> list[Sample]:
    """Count ten times, ten trades apart; ``after`` does what ten trades do."""
    samples = []
    for number in range(10):
        with client.pipeline() as pipe:
            for trade in range(10 * number, 10 * (number + 1)):
                pipe.hset(keys.ledger("main"), f"{trade}:0", "x" * 500)
                pipe.hset(keys.results("main"), f"{trade}:0", "x" * 50)
                pipe.hset(keys.signal(f"{trade}"), "state", "closed")
                pipe.pexpire(keys.signal(f"{trade}"), DAY_MS)
            pipe.hset(keys.record(KEY), "doc", "x" * (2_000 + number % 3 * 200))
            pipe.execute()
        after(number)
        samples.append(sample(client, 10 * (number + 1)))
    return samples


def test_ledger_and_signals_may_grow(client: Redis) -> None:
    samples = _sampled(client, lambda _: None)
    assert samples[-1].families["sk:signal:<trade id>"].keys == 100
    assert [each.wrong for each in samples] == [[]] * 10
    assert grown(samples) == []


def test_what_grows_is_named(client: Redis) -> None:
    def leak(number: int) -> None:
        client.hset(keys.wakes(), f"main:S{number}", 1)  # a field of every tenth trade
        client.hset(keys.record(KEY), "doc", "x" * 2_000 * (number + 1))  # a list in a document
        client.set(keys.text(f"of-{number}"), "", px=DAY_MS)

    named = grown(_sampled(client, leak))
    assert [each.partition(" grows: ")[0] for each in named] == [
        "sk:record:<account>:<symbol>",
        "sk:text:<name>",
        "sk:text:<name>",
        "sk:wakes",
    ]
    assert named[0].startswith("sk:record:<account>:<symbol> grows: ")
    assert "bytes, then" in named[0]


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (lambda c: c.set("sk:counter", 1), "'sk:counter' (string) is of no family"),
        (lambda c: c.hset(keys.budget("ip"), "tokens", 1), "sk:budget:<limit>: sk:budget:ip lives for ever"),
        (lambda c: c.hset(keys.signal("t"), "state", "closed"), "sk:signal:<trade id>: 1 live for ever, 0 trades are"),
        (lambda c: c.set(keys.text("t"), "", px=40 * DAY_MS), "sk:text:<name>: sk:text:t lives for "),
        (lambda c: c.sadd(keys.leases(), "main:BTC"), "sk:leases: main:BTC is left"),
        (lambda c: c.zadd(keys.due(), {"main:BTC": 1}), "sk:due: main:BTC is left"),
        (lambda c: c.zadd(keys.claimed(), {"main:BTC": 1}), "sk:claimed: main:BTC is left"),
        (lambda c: c.hset(keys.asks(KEY), "1", ""), "sk:asks: main:BTC is left"),
        (lambda c: c.sadd(keys.active("main"), "BTC"), "sk:active: main:BTC is left"),
        (lambda c: c.hset(keys.open_trades("main"), "t", 1), "sk:open:main: 1 trades are reserved for, 0 are open"),
        (lambda c: c.hset(keys.ledger("main"), "t:0", ""), "sk:results:<account>: 0 entries beside 1 lines"),
        (lambda c: c.rpush(queues.URGENT, *range(60)), "urgent: 60 messages wait"),
        (lambda c: c.set(keys.wakes(), "1"), "sk:wakes: sk:wakes is a string, not a hash"),
    ],
)
def test_what_is_left_or_lives_for_ever_is_named(client: Redis, plant: Callable[[Redis], object], named: str) -> None:
    plant(client)
    wrong = sample(client, 1).wrong
    assert len(wrong) == 1
    assert wrong[0].startswith(named)


def test_what_an_open_trade_needs_is_not_left(client: Redis) -> None:
    client.zadd(keys.due(), {"main:BTC": 1, "main:~feed": 1})
    client.sadd(keys.active("main"), "BTC")
    client.hset(keys.open_trades("main"), "t", 1)
    client.hset(keys.signal("t"), "state", "open")
    assert sample(client, 1, [KEY]).wrong == []
    assert len(sample(client, 1).wrong) == 4


def test_every_key_of_the_store_has_a_family() -> None:
    for kind in keys.TABLE:
        assert family_of(kind.pattern) == kind.pattern


def test_queues_stay_short_where_no_worker_runs(server: EmbeddedServer, client: Redis) -> None:
    app = make_app(server.url, flower=False, refresh=timedelta(seconds=15))
    app.most, app.every_s = 5, 0.0
    for number in range(9):
        app.send_task(queues.DRIVE, args=("main", f"S{number}"), expires=5)
    for _ in range(7):
        app.send_task(queues.DRAIN_DUE, expires=1)
    bodies = [json.loads(b64decode(json.loads(raw)["body"]))[0] for raw in client.lrange(queues.ORDERS, 0, -1)]
    assert bodies == [["main", f"S{number}"] for number in (8, 7, 6, 5, 4)]
    assert client.llen(queues.SCANS) == 5


def test_a_queue_is_cut_once_a_minute(server: EmbeddedServer, client: Redis) -> None:
    app = make_app(server.url, flower=False, refresh=timedelta(seconds=15))
    app.most = 5
    for _ in range(9):
        app.send_task(queues.DRAIN_DUE, expires=1)
    assert client.llen(queues.SCANS) == 9
