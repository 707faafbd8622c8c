"""The processes by themselves, as compose runs them: worker, beat, feed and Flower over a server with an ACL."""

import json
import signal
import socket

import pytest

from stopkeeper.core.model import Key
from tasks import queues
from tests.integration.processes.conftest import FLOWER_WORD, WORD, House, get, until
from workers.alive import signs
from workers.wiring import System

BTC, ETH = Key("main", "BTC"), Key("main", "ETH")


@pytest.fixture(scope="module", autouse=True)
def _running(apart: House, system: System) -> None:
    """A worker for every queue, and Flower."""
    config = ("--config", str(apart.config))
    apart.start("flower", *config)
    apart.start("worker", *config, "--name", "all", "--concurrency", "8")
    until(lambda: {"all", "flower"} <= {sign.process for sign in signs(system.store)}, what="no sign of life")
    until(lambda: "all@" in apart.log("worker") and "ready" in apart.log("worker"))


def test_a_task_opens_a_trade_and_flower_shows_it_in_words(apart: House, system: System) -> None:
    port = apart.settings.flower.port
    until(lambda: get(f"http://127.0.0.1:{port}/healthcheck")[0] == 200)
    words = {"notional": "500", "stop": "2%", "signal_id": "it-1"}
    system.app.send_task(queues.OPEN_TRADE, ("main", "BTC", "long"), words)
    record = until(lambda: (r := system.store.records.load(BTC)).trade and r.trade.covered and r)
    assert record.trade.signal.id == "it-1"

    def shown() -> str:
        return get(f"http://127.0.0.1:{port}/api/tasks?taskname={queues.OPEN_TRADE}", f"me:{FLOWER_WORD}")[1]

    task = next(iter(json.loads(until(lambda: "admitted" in shown() and shown())).values()))
    assert task["state"] == "SUCCESS"
    assert "main:BTC admitted: trade" in task["result"]
    assert "'BTC'" in task["args"]


def test_the_same_signal_is_one_trade_and_a_bad_one_a_sentence(apart: House, system: System) -> None:
    trade = system.store.records.load(BTC).trade
    words = {"notional": "500", "stop": "2%", "signal_id": "it-1"}
    system.app.send_task(queues.OPEN_TRADE, ("main", "BTC", "long"), words)
    system.app.send_task(queues.OPEN_TRADE, ("main", "ETH", "long"), {"notional": "500", "stop": ""})
    until(lambda: "refused: stop: no position is ever without a stop" in apart.log("worker"))
    assert trade is not None
    assert until(lambda: system.store.records.load(BTC).trade).id == trade.id
    assert system.store.records.load(ETH).trade is None


def test_flower_needs_a_login_and_can_only_look(apart: House) -> None:
    url, user = f"http://127.0.0.1:{apart.settings.flower.port}", f"me:{FLOWER_WORD}"
    for path in ("/", "/tasks", "/workers", "/api/tasks", "/api/workers"):
        assert get(url + path)[0] == 401
        assert get(url + path, "me:wrong")[0] == 401
    assert get(url + "/tasks", user)[0] == 200
    for path in ("/api/worker/shutdown/all", f"/api/task/async-apply/{queues.FLATTEN_ACCOUNT}"):
        assert get(url + path, user, method="POST")[0] in {403, 404}


def test_nobody_can_shut_a_worker_down_through_redis(apart: House, system: System) -> None:
    system.app.control.shutdown()
    until(lambda: system.app.control.ping(timeout=2) != [])
    denied = {f"all@{socket.gethostname()}": {"error": "KeyError('conf')"}}
    until(lambda: system.app.control.inspect(timeout=1).conf() == denied)


def test_no_secret_is_in_any_log(apart: House) -> None:
    key = apart.settings.accounts["main"].key().get_secret_value().removeprefix("0x")
    for path in apart.folder.glob("*.log"):
        text = path.read_text()
        assert not any(secret in text for secret in (WORD, FLOWER_WORD, key)), path


def test_beat_schedules_through_redbeat(apart: House, system: System) -> None:
    beat = apart.start("beat", "--config", str(apart.config))
    until(lambda: system.store.texts.load("beat"), what="drain_due did not run")
    until(lambda: system.store.texts.load("swept:main"), what="sweep_all did not run")
    assert "error" not in apart.log("beat").lower()
    apart.stop(beat)
    assert beat.returncode == 0


def test_a_message_lost_by_a_frozen_worker_is_published_again(apart: House, system: System) -> None:
    """A frozen worker's BRPOP takes a message out of Redis; killed, it takes it along (Celery alone never runs it)."""
    worker = next(each for each in apart.running if "worker" in each.args)
    worker.send_signal(signal.SIGSTOP)
    feed = apart.start("feed", "--config", str(apart.config))
    until(lambda: "feed" in {sign.process for sign in signs(system.store)})
    system.store.wakes.wake(ETH, "test")
    counter = system.store.wakes.counter(ETH)
    until(lambda: not any(key == ETH and ms < 0 for key, ms in system.store.wakes.overdue()), what="nobody claimed it")
    worker.kill()
    worker.wait()
    apart.start("worker", "--config", str(apart.config), "--queues", "orders,urgent", "--name", "second")
    driven = until(lambda: "main:ETH flat" in apart.log("worker"), seconds=20)
    assert driven
    assert system.store.wakes.counter(ETH) >= counter
    apart.stop(feed)
    assert feed.returncode == 0
