"""Who leads an account, and until when: the leader over the store in memory, its streams and its guard by hand."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stopkeeper.core.model import Key
from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.memory.open import memory_store
from tests.unit.core.scene import INST
from tests.unit.engine.scene import TIMES, Stage
from workers import feed

LEAD = Key("main", feed.FEED)


class Post:
    """A leader at work: streams that live and tell nothing, a guard that only notes that it stands."""

    alive = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for pause in ("RENEW_S", "COMPETE_S", "MIND_S"):
            monkeypatch.setattr(feed, pause, 0.002)
        monkeypatch.setattr(feed, "start_sweep", self._sweep)
        self.stage = Stage()
        self.begun = self.ended = self.reads = self.loads = self.sweeps = 0
        self.publishes = True
        self.swept: Callable[[], object] = lambda: None
        self.leader = feed.Leader(
            self.stage.ports, self, (self._stand,), self._loaded, self._read, publishes=lambda: self.publishes
        )

    async def run(self, on_news: Any, on_gap: Any) -> None:
        self.on_news, self.on_gap = on_news, on_gap
        await asyncio.Event().wait()

    async def _stand(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    def _read(self, *_: Any) -> None:
        self.reads += 1

    def _loaded(self, *_: Any) -> None:
        self.loads += 1

    def _sweep(self, _ports: Any) -> None:
        self.sweeps += 1
        self.swept()

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            leading = asyncio.create_task(self.leader.run())
            await self.until(lambda: self.loads > 0)
            await scene()
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)

        asyncio.run(run())

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.001)

    async def until_more(self, name: str, count: int = 2) -> None:
        """Wait until a port was called so many more times."""
        calls = len(self.stage.done(name))
        await self.until(lambda: len(self.stage.done(name)) >= calls + count)

    def run_out(self) -> None:
        """Let the store be gone for longer than a lease lasts."""
        self.stage.now += TIMES.lease_ms + 1


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    return Post(monkeypatch)


# --- the lead --------------------------------------------------------------------------------------------------


def test_a_lease_that_ran_out_is_taken_anew_within_the_same_lead(post: Post) -> None:
    async def scene() -> None:
        post.stage.world.gone = True
        await post.until_more("leases.renew")
        post.run_out()
        post.stage.world.gone = False
        loads = post.loads
        await post.until(lambda: post.loads > loads and post.sweeps > 0)
        assert (post.begun, post.ended) == (1, 0)

    post.play(scene)
    assert post.stage.other.leases.acquire(LEAD) is not None, "the new lease is let go in the end"


def test_a_store_that_is_gone_again_before_the_lease_was_taken_anew_leaves_the_guard_where_it_is(post: Post) -> None:
    def gone() -> None:
        post.stage.world.gone = True

    async def scene() -> None:
        post.stage.meanwhile("leases.acquire", gone)
        post.run_out()
        await post.until(lambda: post.stage.world.gone)
        await post.until_more("leases.renew", 3)
        assert (post.begun, post.ended) == (1, 0)

    post.play(scene)


def test_who_finds_another_in_the_lead_ends_its_own(post: Post) -> None:
    def another() -> None:
        post.run_out()
        assert post.stage.other.leases.acquire(LEAD) is not None

    async def scene() -> None:
        post.stage.meanwhile("leases.renew", another)
        await post.until(lambda: post.ended == 1)
        await post.until_more("leases.acquire")
        assert post.begun == 1

    post.play(scene)


def test_a_lease_granted_unheard_to_this_very_process_is_nobody_elses_lead(post: Post) -> None:
    mine = memory_store(post.stage.world, installation=INST, boot=post.stage.boots[0])

    def unheard() -> None:
        assert mine.leases.acquire(LEAD) is not None
        raise StoreGone("the answer was lost")

    async def scene() -> None:
        post.stage.meanwhile("leases.acquire", unheard)
        post.run_out()
        await post.until_more("leases.acquire", 3)
        assert (post.begun, post.ended) == (1, 0)
        post.run_out()  # or the heartbeat lets go of it
        loads = post.loads
        await post.until(lambda: post.loads > loads)
        assert (post.begun, post.ended) == (1, 0)

    post.play(scene)


# --- what counts as a store that is there ----------------------------------------------------------------------


def raises(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("port", ["records.all", "leases.renew", "records.confirm"])
def test_a_store_that_does_not_read_write_and_confirm_is_told_to_nobody_as_there(post: Post, port: str) -> None:
    async def scene() -> None:
        post.stage.always(port, raises(StoreGone("no answer, or not on disk")))
        await post.until_more(port)  # what was under way has ended
        loads = post.loads
        await post.until_more(port, 3)
        assert (post.loads, post.ended) == (loads, 0)
        post.stage.always(port, lambda: None)
        await post.until(lambda: post.loads > loads)

    post.play(scene)


@pytest.mark.parametrize(("port", "read"), [("records.all", False), ("leases.renew", True), ("records.confirm", True)])
def test_what_can_be_read_is_handed_on_though_nothing_can_be_written(post: Post, port: str, read: bool) -> None:
    async def scene() -> None:
        post.stage.always(port, raises(StoreGone("no writes")))
        await post.until_more(port)
        reads = post.reads
        await post.until_more(port, 4)
        assert (post.reads > reads) is read

    post.play(scene)


def test_a_queue_that_takes_nothing_is_a_part_of_it(post: Post) -> None:
    async def scene() -> None:
        post.publishes = False
        await post.until_more("records.confirm")
        loads = post.loads
        await post.until_more("records.confirm", 3)
        assert (post.loads, post.ended) == (loads, 0)
        post.publishes = True
        await post.until(lambda: post.loads > loads)

    post.play(scene)


@pytest.mark.parametrize("deaf", [True, False])
def test_a_sweep_that_hangs_on_the_queue_keeps_no_record_from_being_loaded(post: Post, deaf: bool) -> None:
    answers = threading.Event()

    async def scene() -> None:
        post.swept = lambda: answers.wait(5)
        post.alive = not deaf
        post.leader._deaf_sweep_ms = 1
        post.leader._lost_push = not deaf
        await post.until(lambda: post.sweeps > 0)
        loads = post.loads
        await post.until(lambda: post.loads > loads + 3)
        answers.set()

    try:
        post.play(scene)
    finally:
        answers.set()


# --- what is told later ----------------------------------------------------------------------------------------


def test_a_gap_that_the_queue_could_not_be_told_of_is_looked_into_once_it_can(post: Post) -> None:
    async def scene() -> None:
        post.swept = raises(ConnectionError("no queue"))
        await post.on_gap("connected")
        await post.until(lambda: post.sweeps > 2)
        post.swept = lambda: None
        sweeps = post.sweeps
        await post.until(lambda: post.sweeps > sweeps)
        await post.until_more("records.confirm", 3)
        assert post.sweeps <= sweeps + 2, "one look is enough"

    post.play(scene)
