"""The Alerter over the real apprise and real HTTP: once, soon, not again after a restart, and nobody waits for it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from stopkeeper.engine.ports import Ports
from stopkeeper.store.bundle import Store
from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld
from tests.integration.alerts.conftest import PACE, TOKEN, Receiver, go, until
from workers.alert_urls import Service
from workers.alerts import Alerter, Pace, wall_ms
from workers.settings_sections import AlertsSection


class Scene:
    """An account's journal and what follows it."""

    def __init__(self) -> None:
        self.world = MemoryWorld(wall_ms)
        self.store: Store = memory_store(self.world, installation="a1b2c", boot="b1")
        self.polls = 0

    def write(self, kind: str, symbol: str = "BTC", text: str = "why", **fields: str) -> None:
        self.store.journal.write("main", symbol, kind, text, **fields)

    def alerter(self, *urls: str, pace: Pace = PACE, **keys: Any) -> Alerter:
        section = AlertsSection(urls=tuple(SecretStr(url) for url in urls), **keys)
        ports = cast(Ports, SimpleNamespace(account="main", journal=SimpleNamespace(read=self._read)))
        return Alerter(ports, self.store.texts, section, pace=pace)

    def _read(self, account: str, after: str, limit: int) -> Any:
        lines = self.store.journal.read(account, after, limit)
        self.polls += 1
        return lines

    @asynccontextmanager
    async def following(self, alerter: Alerter) -> AsyncIterator[None]:
        """Let it run from its first poll on: what is written inside is news."""
        start = self.polls
        task = asyncio.create_task(alerter.run())
        try:
            await until(lambda: self.polls >= start + 2 or task.done() or self.world.gone)
            yield
            assert not task.done()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def polled(self) -> None:
        """Wait until what was written before was read, and what was read has been taken in."""
        start = self.polls
        await until(lambda: self.polls >= start + 3)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_naked_alarm_arrives_once_and_is_not_repeated(scene: Scene, receiver: Receiver) -> None:
    async def body() -> None:
        scene.write("alarm:naked", "OLD", "before alerts were configured")
        async with scene.following(scene.alerter(receiver.url)):
            for ms in range(0, 3_000, 500):
                scene.write("alarm:naked", text=f"main:BTC: naked for {ms} ms")
            await until(lambda: receiver.got != [])
            scene.write("alarm:naked", text="main:BTC: naked for 3500 ms")
            await scene.polled()
            scene.write("found", "ETH", "no trade owns it: long 1")
            await until(lambda: len(receiver.got) == 2)

    go(body())
    first, second = receiver.got
    assert (first["title"], first["message"], first["type"]) == (
        "Stopkeeper main: BTC naked",
        "BTC naked: naked for 0 ms",
        "failure",
    )
    assert first["login"] == f"user:{TOKEN}"
    assert second["message"] == "ETH found: no trade owns it: long 1"


def test_what_is_wanted_is_sent_too(scene: Scene, receiver: Receiver) -> None:
    async def body() -> None:
        async with scene.following(scene.alerter(receiver.url, exits=True)):
            scene.write("Enter", text="entry accepted")
            scene.write("booked", text="stop_loss at 93040")
            await until(lambda: receiver.got != [])

    go(body())
    assert [(each["message"], each["type"]) for each in receiver.got] == [("BTC exit: stop_loss at 93040", "info")]


def test_a_service_that_hangs_delays_neither_the_others_nor_the_journal(
    scene: Scene, receiver: Receiver, other: Receiver
) -> None:
    receiver.gate.clear()

    async def body() -> None:
        alerter = scene.alerter(receiver.url, other.url, pace=Pace(poll_s=0.02, answer_s=60))
        async with scene.following(alerter):
            for symbol in ("BTC", "ETH", "SOL"):
                scene.write("alarm:naked", symbol)
                await until(lambda symbol=symbol: any(symbol in text for text in other.texts))  # type: ignore[misc]
            assert receiver.got == []

    go(body())  # and ends, though the service still hangs


def test_a_service_that_hangs_is_given_up_and_counted(
    scene: Scene, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.gate.clear()

    async def body() -> None:
        alerter = scene.alerter(receiver.url, pace=Pace(poll_s=0.02, answer_s=0.05, tries=3, backoff_s=0.02))
        async with scene.following(alerter):
            scene.write("alarm:naked")
            await until(lambda: alerter.lost == 1)
            receiver.gate.set()
            await until(lambda: receiver.got != [])  # the one that hung: late, not lost, and no second thread was begun
            scene.write("alarm:naked", "ETH")
            await until(lambda: len(receiver.got) == 2)
            await until(lambda: "delivers again" in caplog.text)

    with caplog.at_level(logging.INFO, "workers"):
        go(body())
    assert receiver.texts == ["BTC naked: why", "ETH naked: why"]


def test_a_restart_neither_repeats_nor_loses(scene: Scene, receiver: Receiver) -> None:
    async def body() -> None:
        async with scene.following(scene.alerter(receiver.url)):
            scene.write("alarm:naked", text="first")
            await until(lambda: receiver.got != [])
            await scene.polled()
        scene.write("alarm:naked", text="it goes on while nobody listens")
        scene.write("alarm:barred", "", "main: the agent has expired")
        async with scene.following(scene.alerter(receiver.url)):
            scene.write("alarm:naked", text="it goes on")
            await until(lambda: len(receiver.got) == 2)
            await scene.polled()

    go(body())
    assert receiver.texts == ["BTC naked: first", "barred: the agent has expired"]


def test_what_was_not_delivered_before_a_restart_is_delivered_after_it(scene: Scene, receiver: Receiver) -> None:
    receiver.answers = [500]

    async def body() -> None:
        async with scene.following(scene.alerter(receiver.url, pace=Pace(poll_s=0.02, backoff_s=3600))):
            scene.write("alarm:naked")
            await until(lambda: receiver.refused == 1)
            await scene.polled()
        async with scene.following(scene.alerter(receiver.url)):
            await until(lambda: receiver.got != [])
            await scene.polled()

    go(body())
    assert receiver.texts == ["BTC naked: why"]


def test_what_was_delivered_is_kept_at_once_not_at_the_next_poll(scene: Scene, receiver: Receiver) -> None:
    def pending() -> list[Any]:
        kept = json.loads(scene.store.texts.load("alerted:main") or "{}")
        return list(kept.get("pending", ["nothing is kept yet"]))

    async def body() -> None:
        async with scene.following(scene.alerter(receiver.url)):
            await until(lambda: pending() == [])
        scene.write("alarm:naked")
        task = asyncio.create_task(scene.alerter(receiver.url, pace=Pace(poll_s=3600)).run())
        await until(lambda: receiver.got != [])
        await until(lambda: pending() == [])
        task.cancel()

    go(body())
    assert receiver.texts == ["BTC naked: why"]


def test_messages_come_in_order(scene: Scene, receiver: Receiver) -> None:
    receiver.gate.clear()

    async def body() -> None:
        async with scene.following(scene.alerter(receiver.url, pace=Pace(poll_s=0.02, answer_s=60))):
            for symbol in ("BTC", "ETH", "SOL"):
                scene.write("alarm:naked", symbol)
                await scene.polled()
            receiver.gate.set()
            await until(lambda: len(receiver.got) == 3)

    go(body())
    assert receiver.texts == ["BTC naked: why", "ETH naked: why", "SOL naked: why"]


def test_a_failure_is_tried_again(scene: Scene, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answers = [500, 503]

    async def body() -> None:
        async with scene.following(scene.alerter(receiver.url)):
            scene.write("alarm:naked")
            await until(lambda: receiver.got != [])

    go(body())
    assert (receiver.refused, receiver.texts) == (2, ["BTC naked: why"])
    assert "not delivered" not in caplog.text


def test_it_ends_also_where_it_is_cancelled_as_an_answer_comes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    answer: Future[str] = Future()
    monkeypatch.setattr(Service, "send", lambda _service, _message: answer)

    async def body() -> None:
        alerter = scene.alerter("json://127.0.0.1:1")
        task = asyncio.create_task(alerter.run())
        await until(lambda: scene.polls >= 2)
        scene.write("alarm:naked")
        await until(lambda: answer.running() or answer.set_running_or_notify_cancel())
        await scene.polled()
        answer.set_result("")
        await asyncio.sleep(0)  # it is told to whoever waits, who has not gone on yet
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        assert done, "it follows on"

    go(body())


def test_a_refused_port_is_logged_once_without_the_secret_of_its_url(
    scene: Scene, receiver: Receiver, nowhere: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        alerter = scene.alerter(nowhere, receiver.url)
        async with scene.following(alerter):
            scene.write("alarm:naked")
            scene.write("alarm:unsafe")
            await until(lambda: alerter.lost == 1)
            scene.write("alarm:blind")
            await until(lambda: alerter.lost == 2)
            await until(lambda: len(receiver.got) == 2)

    with caplog.at_level(logging.DEBUG):
        go(body())
    said = [record.getMessage() for record in caplog.records if record.name == "workers.alerts"]
    (line,) = said
    assert line.startswith("main: alerts: json://***: not delivered after 3 tries: A Connection error occurred")
    assert TOKEN not in caplog.text


def test_a_store_that_is_gone_is_logged_once_and_waited_for(
    scene: Scene, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    gone_reads = 0
    read = scene.store.journal.read

    def counted(account: str, after: str, limit: int) -> Any:
        nonlocal gone_reads
        gone_reads += scene.world.gone
        return read(account, after, limit)

    scene.store.journal.read = counted  # type: ignore[method-assign]

    async def body() -> None:
        async with scene.following(scene.alerter(receiver.url)):
            scene.world.gone = True
            await until(lambda: gone_reads >= 3)
            scene.world.gone = False
            scene.write("alarm:naked")
            await until(lambda: receiver.got != [])

    with caplog.at_level(logging.INFO, "workers"):
        go(body())
    said = [record.getMessage() for record in caplog.records if record.name == "workers.alerts"]
    assert len(said) == 2
    assert "gone" in said[0]
    assert said[1] == "main: alerts: the store is back"
    assert receiver.texts == ["BTC naked: why"]


def test_what_was_kept_and_cannot_be_read_begins_anew_at_now(
    scene: Scene, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        scene.write("alarm:naked", "OLD")
        scene.store.texts.save("alerted:main", '{"of": "an older release"}', 60_000)
        async with scene.following(scene.alerter(receiver.url)):
            scene.write("alarm:naked")
            await until(lambda: receiver.got != [])

    go(body())
    assert receiver.texts == ["BTC naked: why"]
    assert "cannot be read" in caplog.text


def test_without_urls_it_only_waits(scene: Scene) -> None:
    async def body() -> None:
        task = asyncio.create_task(scene.alerter().run())
        done, _ = await asyncio.wait({task}, timeout=0.1)
        assert not done
        task.cancel()

    go(body())
    assert scene.polls == 0
