"""When the guardian begins, how it is heard, and that it ends: the loop around it, by a clock the test holds."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stopkeeper.core.rules import Switches
from stopkeeper.engine.guardian import CALM_MS, Guardian
from stopkeeper.engine.ports import StoreGone, Times
from tests.unit.workers.conftest import ADDRESS, KEY, Write
from workers import alerts, guarding
from workers.settings_load import load
from workers.settings_sections import AlertsSection

TIMES = Times()


class Stage:
    """A guard with a clock by hand, a guardian that only counts its rounds, and a journal that may be gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        self.rounds: list[int] = []
        self.taken: list[tuple[Any, Switches, int]] = []
        self.dismissed = 0
        self.lines: list[tuple[str, str, str, str]] = []
        self.alerts: list[tuple[str, str]] = []
        self.gone = False
        monkeypatch.setattr(guarding, "REPORT_S", 0.002)
        monkeypatch.setattr(guarding, "CHECK_MS", 0.5)  # less than a step of pass_ms: the guard sees every one
        monkeypatch.setattr(alerts, "send_now", lambda _, title, text: self.alerts.append((title, text)))
        self.worked_ms: float | None = 0  # how long ago a worker last did something; None = never
        self.guard = guarding.Guard(
            "main", TIMES, AlertsSection(), self, self._make, lambda: self.now, worked_ms=lambda: self.worked_ms
        )

    def _make(self, say: Callable[[str, str], None]) -> Any:
        self.say = say
        return self

    # the guardian
    def patrol(self, mono_ms: int) -> int:
        self.rounds.append(mono_ms)
        self.say("BTC", "placed a stop")
        return 1

    def take(self, records: Any, switches: Switches, mono_ms: int) -> None:
        self.taken.append((records, switches, mono_ms))

    def dismiss(self) -> None:
        self.dismissed += 1

    # the journal
    def write(self, account: str, symbol: str, kind: str, text: str, **_: Any) -> None:
        if self.gone:
            raise StoreGone("gone")
        self.lines.append((account, symbol, kind, text))

    def read(self, *_: Any) -> Any:
        raise AssertionError("the guard reads no journal")

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            running = [asyncio.create_task(each) for each in (self.guard.run(), self.guard.report())]
            await asyncio.sleep(0)
            await scene()
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run(run())

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.002)

    async def pass_ms(self, ms: int) -> None:
        """Let time pass as a process that is awake sees it."""
        for _ in range(ms // 500):
            self.now += 500
            await asyncio.sleep(0.001)

    async def come_about(self) -> None:
        """Let what has begun come about, in its thread or in the journal, before it is said that nothing has."""
        await asyncio.sleep(0.02)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_it_acts_from_ten_seconds_of_silence_until_redis_answers(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        stage.guard.note_alive((), Switches(paused=True))
        await stage.pass_ms(9_500)
        await stage.come_about()
        assert stage.rounds == []
        await stage.pass_ms(1_000)
        await stage.until(lambda: len(stage.rounds) > 2)
        stage.now += 5_000
        stage.guard.note_alive((), Switches())
        await stage.until(lambda: bool(stage.lines) and "answers again" in stage.lines[-1][3])
        count = len(stage.rounds)
        await stage.pass_ms(5_000)
        await stage.come_about()
        assert len(stage.rounds) == count

    with caplog.at_level(logging.ERROR):
        stage.play(scene)
    assert [switches for _, switches, _ in stage.taken] == [Switches(paused=True), Switches()]
    first, last = stage.lines[0], stage.lines[-1]
    assert first[:3] == ("main", "", "guardian")
    assert "Redis is gone for 10 s: the guardian acts alone" in first[3]
    assert "Redis answers again after 1" in last[3]
    assert stage.lines[1][:3] == ("main", "BTC", "guardian")
    assert len(stage.lines) == len(stage.rounds) + 2
    assert [title for title, _ in stage.alerts] == ["Stopkeeper main: guardian"] * len(stage.lines)
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == len(stage.lines)


def test_redis_that_answers_every_second_never_lets_it_act(stage: Stage) -> None:
    async def scene() -> None:
        for _ in range(30):
            stage.guard.note_alive((), Switches())
            await stage.pass_ms(1_000)
        await stage.come_about()

    stage.play(scene)
    assert (stage.rounds, stage.alerts) == ([], [])


def test_a_process_that_slept_listens_before_it_acts(stage: Stage) -> None:
    async def scene() -> None:
        await stage.pass_ms(1_000)
        stage.now += 60_000  # frozen
        await asyncio.sleep(0.05)
        assert stage.rounds == []
        await stage.pass_ms(guarding.GRACE_MS - 500)
        await stage.come_about()
        assert stage.rounds == []
        await stage.pass_ms(1_000)
        await stage.until(lambda: bool(stage.rounds))

    stage.play(scene)


def test_a_guard_that_is_cancelled_ends_a_round_in_its_thread(stage: Stage) -> None:
    async def scene() -> None:
        await stage.pass_ms(11_000)
        await stage.until(lambda: bool(stage.rounds))

    stage.play(scene)
    assert stage.dismissed == 1
    assert "the guardian stops; it told" in stage.alerts[-1][1], "another feed may lead, and tells nothing of this one"


def test_what_the_journal_could_not_take_waits_for_the_next_time(stage: Stage) -> None:
    async def scene() -> None:
        stage.gone = True
        for _ in range(2):
            await stage.pass_ms(11_000)
            await stage.until(lambda: bool(stage.rounds))
            stage.guard.note_alive((), Switches())
            await stage.until(lambda: "answers again" in stage.alerts[-1][1])
            stage.rounds.clear()
            await stage.until(lambda: not stage.lines or "answers again" in stage.lines[-1][3])
            stage.gone = False

    stage.play(scene)
    ends = [line for line in stage.lines if "answers again" in line[3]]
    assert len(ends) == 2
    assert len(stage.lines) == len(stage.alerts)


@pytest.mark.parametrize("own", [True, False])
def test_a_guardian_signs_with_its_own_key_where_one_is_configured(write: Write, own: bool) -> None:
    other = KEY[::-1]
    settings = load(write({"accounts.main.guardian_private_key": f'"{other}"'} if own else {}))
    guard = guarding.open_guard(settings, "main", Silent(), guarding.Local(), lambda: 0)
    guardian = guard._guardian
    assert isinstance(guardian, Guardian)
    venue, spare = guardian._venue, guardian._spare
    assert venue.account.address == ADDRESS.lower()  # type: ignore[attr-defined]
    assert (spare is not None) is own
    if own:
        assert venue.account.key.address != spare.account.key.address  # type: ignore[union-attr, attr-defined]


class Silent:
    """A journal nobody writes to."""

    def write(self, *_: Any, **__: Any) -> None:
        raise AssertionError("nothing happened yet")

    def read(self, *_: Any) -> Any:
        raise AssertionError("the guard reads no journal")


def test_the_guardian_begins_after_what_a_worker_last_sent_is_over() -> None:
    assert TIMES.guardian_ms > TIMES.deadline_ms + 5_000
    assert TIMES.look_fresh_ms <= CALM_MS


def test_a_short_silence_is_told_to_the_journal_and_to_no_service(stage: Stage) -> None:
    async def scene() -> None:
        await stage.pass_ms(6_000)
        stage.guard.note_alive((), Switches())
        await stage.until(lambda: bool(stage.lines))
        await stage.pass_ms(2_500)
        stage.guard.note_alive((), Switches())
        await stage.pass_ms(500)
        await stage.come_about()

    stage.play(scene)
    ((_, _, kind, text),) = stage.lines
    assert kind == "guardian"
    assert "Redis answers again after 6 s" in text
    assert stage.alerts == []
    assert stage.rounds == []


def test_a_silence_that_ends_with_the_lead_is_told_too(stage: Stage) -> None:
    async def scene() -> None:
        stage.gone = True
        await stage.pass_ms(5_000)

    stage.play(scene)
    stage.gone = False
    stage.guard._write_down()
    assert "Redis answers again after 5 s" in stage.lines[0][3]


def test_a_process_that_slept_itself_does_not_blame_redis(stage: Stage) -> None:
    async def scene() -> None:
        stage.now += 60_000
        await asyncio.sleep(0.02)
        stage.guard.note_alive((), Switches())
        await stage.pass_ms(1_000)
        await stage.come_about()

    stage.play(scene)
    assert stage.lines == []


def test_a_redis_that_hangs_and_blocks_every_shared_thread_does_not_block_the_guardian(stage: Stage) -> None:
    hangs = threading.Event()

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        shared = ThreadPoolExecutor(2)
        loop.set_default_executor(shared)
        asked = [loop.run_in_executor(None, hangs.wait) for _ in range(4)]  # store calls that wait for their timeout
        await stage.pass_ms(11_000)
        try:
            await stage.until(lambda: len(stage.rounds) > 2)
        finally:
            hangs.set()
            await asyncio.gather(*asked)

    stage.play(scene)


def test_what_is_read_where_nothing_is_written_is_what_it_goes_by_and_does_not_put_it_off(stage: Stage) -> None:
    read: Any = ("the trade of a moment ago",)

    async def scene() -> None:
        stage.guard.note_alive((), Switches())
        noted = int(stage.now)
        for _ in range(9):
            await stage.pass_ms(1_000)
            stage.guard.note_read(read, Switches(paused=True))
        assert stage.taken[-1] == (read, Switches(paused=True), noted), "it counts from the last answer"
        await stage.pass_ms(1_500)
        await stage.until(lambda: len(stage.rounds) > 1)
        taken = len(stage.taken)
        stage.guard.note_read((), Switches())
        assert len(stage.taken) == taken, "a round under way would begin anew"

    stage.play(scene)


def test_it_counts_what_it_told_though_the_journal_was_there_all_the_while(stage: Stage) -> None:
    """As where the queue alone is gone: what was told has been written down before the end."""

    async def scene() -> None:
        await stage.pass_ms(11_000)
        await stage.until(lambda: len(stage.rounds) > 2 and len(stage.lines) > 2)
        stage.guard.note_alive((), Switches())
        await stage.until(lambda: "answers again" in stage.lines[-1][3])
        assert f"it told {len(stage.rounds)} things" in stage.lines[-1][3]

    stage.play(scene)


# --- who takes over --------------------------------------------------------------------------------------------


async def back(stage: Stage, seconds: int) -> None:
    """Let Redis answer once a second for so long."""
    for _ in range(seconds):
        stage.guard.note_alive((), Switches())
        await stage.pass_ms(1_000)
        if stage.worked_ms is not None:
            stage.worked_ms += 1_000


def test_it_acts_on_until_a_worker_has_done_something_since_redis_is_back(stage: Stage) -> None:
    async def scene() -> None:
        stage.worked_ms = 500  # right before it went, and by Redis' own clock
        await stage.pass_ms(11_000)
        await stage.until(lambda: bool(stage.rounds))
        await back(stage, 9)
        taken, rounds = len(stage.taken), len(stage.rounds)
        await stage.until(lambda: len(stage.rounds) > rounds + 1)
        assert taken == 0, "a round under way goes on"
        stage.worked_ms = 300
        stage.guard.note_alive((), Switches())
        await stage.until(lambda: "answers again" in stage.alerts[-1][1])

    stage.play(scene)


@pytest.mark.parametrize("worked_ms", [None, 3_600_000])
def test_where_no_worker_comes_back_it_stops_all_the_same(stage: Stage, worked_ms: int | None) -> None:
    """Workers may be away on purpose; what holds without them is said by `missing: worker`."""

    async def scene() -> None:
        stage.worked_ms = worked_ms
        await stage.pass_ms(11_000)
        await stage.until(lambda: bool(stage.rounds))
        await back(stage, guarding.RELIEF_MS // 1_000)
        assert stage.taken == []
        stage.guard.note_alive((), Switches())
        await stage.until(lambda: "answers again" in stage.alerts[-1][1])
        assert len(stage.taken) == 1

    stage.play(scene)


def test_a_redis_that_comes_and_goes_gives_workers_their_time_anew(stage: Stage) -> None:
    async def scene() -> None:
        stage.worked_ms = None
        await stage.pass_ms(11_000)
        for _ in range(3):
            await back(stage, 20)
            await stage.pass_ms(guarding.MISSED_MS + 500)
        assert stage.taken == []

    stage.play(scene)
