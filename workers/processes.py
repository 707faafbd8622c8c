"""What each process does from start to end: worker, beat, feed, flower, paper. Each returns its exit code.

Each is one command a person can type; ``stopkeeper up`` and docker/compose.yaml start the very same ones. All but the
paper venue begin by waiting for the store.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from celery import concurrency as pools
from celery import signals
from celery.worker import state
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    wait_fixed,
)

from stopkeeper.engine import showing
from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.durability import StoreUnfit
from tasks import queues as q
from tasks import runtime
from workers import logs, settings_load
from workers.alive import Alive, note
from workers.app import prune_remote_control
from workers.clock import Clock
from workers.settings import Settings
from workers.wiring import System, opened

if TYPE_CHECKING:
    from exchange.paper.server import PaperOptions

log = logging.getLogger(__name__)
AGAIN_S = 1.0
TELL_EVERY_S = 60.0
#: Threads a worker process runs by default; a drive mostly waits for HTTP.
CONCURRENCY = {q.URGENT: 8, q.ORDERS: 16, q.SCANS: 8}


def run_worker(
    settings: Settings, queues: Sequence[str] = q.QUEUES, concurrency: int | None = None, name: str | None = None
) -> int:
    """Run one worker process until SIGTERM (warm: running tasks end first). Raises StoreGone, ValueError."""
    unknown = [queue for queue in queues if queue not in q.QUEUES]
    if unknown or not queues:
        raise ValueError(f"{', '.join(unknown) or 'none'} is not a queue; there are {', '.join(q.QUEUES)}")
    process = name or "-".join(queues)
    with _begun(settings) as (system, told):
        runtime.install(runtime_of(system))
        for account in system.accounts:  # what is heavy to import is imported before the first message, not under it
            if told():
                return 0
            other = showing.other_installation(system.ports(account))
            if other:
                log.error("%s; two installations on one account are not safe: stop one, this one ends", other)
                return 1
        prune_remote_control()
        with Alive(system.store, process):
            worker = system.app.Worker(
                hostname=f"{process}@{socket.gethostname()}",
                queues=list(queues),
                pool_cls=pools.get_implementation("threads"),
                concurrency=concurrency or max(CONCURRENCY[queue] for queue in queues),
                without_mingle=True,  # a second of start, and replies nobody reads
                without_gossip=True,
                without_heartbeat=not settings.flower.enabled,
                loglevel="INFO",
                quiet=True,
            )
            _hand_over(told, partial(setattr, state, "should_stop", 0))
            worker.start()
            return int(worker.exitcode or 0)


def run_beat(settings: Settings) -> int:
    """Run the clock until SIGTERM; of several only the holder of RedBeat's lock ticks. Raises StoreGone."""
    with _begun(settings) as (system, told), Alive(system.store, "beat"):
        Clock(told, app=system.app, loglevel="INFO", quiet=True, redirect_stdouts=False).run()
    return 0


def run_feed(settings: Settings) -> int:
    """Run streams and ticker until SIGTERM; per account one feed leads and the others wait. Raises StoreGone."""
    from workers.feed import serve

    with _begun(settings) as (system, told), Alive(system.store, "feed"):
        system.app.set_current()
        asyncio.run(serve(system, told))
    return 0


def run_paper(options: "PaperOptions") -> int:
    """Run the paper venue until SIGTERM. Raises PaperError for options that cannot be."""
    from exchange.paper.server import run

    logs.set_up()
    return run(options)


def run_flower(settings: Settings, port: int | None = None) -> int:
    """Run the task monitor until SIGTERM: read-only, behind a login. Raises StoreGone."""
    password, _ = flower_password(settings)
    # not on the command line, which everybody on the machine can read
    os.environ["FLOWER_BASIC_AUTH"] = f"{settings.flower.user}:{password}"
    with _begun(settings) as (system, told), Alive(system.store, "flower"):
        # it asks for more than our workers answer, and for workers that are still starting: no fault of anybody's
        logging.getLogger("flower.inspector").setLevel(logging.ERROR)
        log.info("Flower listens on http://%s:%s", settings.flower.address, port or settings.flower.port)
        argv = [
            "--quiet",
            "flower",
            "--read_only=True",
            "--enable_events=False",  # the workers send them by themselves; asking is a remote command
            f"--address={settings.flower.address}",
            f"--port={port or settings.flower.port}",
            "--max_tasks=10000",
            "--natural_time=False",
            "--tasks_columns=name,args,state,result,received,runtime,worker",
        ]
        try:
            _hand_over(told, sys.exit)
            system.app.start(argv)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0
    return 0


def flower_password(settings: Settings) -> tuple[str, bool]:
    """Return Flower's password, and whether it was generated just now into the data directory."""
    section = settings.flower
    if section.password is not None:
        return section.password.get_secret_value(), False
    if section.password_file is not None:
        return section.password_file.read_text(encoding="utf-8").strip(), False
    path = password_path(settings)
    if path.exists():
        return path.read_text(encoding="utf-8").strip(), False
    path.parent.mkdir(parents=True, exist_ok=True)
    word = secrets.token_urlsafe(12)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(word + "\n")
    return word, True


def password_path(settings: Settings) -> Path:
    """Return where a generated password of Flower stands."""
    return settings.redis.data_dir / "secrets" / "flower.password"


def runtime_of(system: System) -> runtime.Runtime:
    """Return what tasks are given in this process."""
    return runtime.Runtime(
        accounts=system.accounts,
        ports_for=system.ports,
        note=lambda name: note(system.store, name),
    )


@contextmanager
def _begun(settings: Settings) -> Iterator[tuple[System, Callable[[], bool]]]:
    """Yield a process's system once its store is there, and what says whether a signal told it to end by then."""
    logs.set_up(settings_load.secrets(settings))
    signals.setup_logging.connect(logs.keep)
    with _ended_by_signals() as told, opened(settings) as system:
        wait_for_store(system, told)
        if told():
            sys.exit()
        yield system, told


def wait_for_store(system: System, told: Callable[[], bool]) -> None:
    """Open the store, however long it is away; who ended instead would come back later than it, by a backoff.

    Raises StoreUnfit where waiting mends nothing, SystemExit once a signal told the process to end.
    """
    told_s = -TELL_EVERY_S

    def open_store() -> None:
        _ = system.store if not told() else sys.exit()

    def tell(tried: RetryCallState) -> None:
        nonlocal told_s
        since_s = tried.seconds_since_start or 0.0
        if tried.outcome is not None and since_s - told_s >= TELL_EVERY_S:
            told_s = since_s
            log.warning("waiting for the store: %s", tried.outcome.exception())

    tries = Retrying(
        wait=wait_fixed(AGAIN_S),
        retry=retry_if_exception_type(StoreGone) & retry_if_not_exception_type(StoreUnfit),
        before_sleep=tell,
        reraise=True,
    )
    began_s = time.monotonic()
    tries(open_store)
    if told_s >= 0:
        log.info("the store is there after %.0f s", time.monotonic() - began_s)


@contextmanager
def _ended_by_signals() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM and SIGINT end a process in good order until it hears them itself, which begins late.

    As process 1 of a container it would ignore them. Yields what says whether one came: who starts asks it between two
    steps. An end that is raised into whatever is under way is lost where that swallows it, as an object's last breath
    does, and breaks what is being imported.
    """
    came = False

    def end(*_: object) -> None:
        nonlocal came
        came = True

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hand_over(told: Callable[[], bool], end: Callable[[], object]) -> None:
    """Let signals do ``end`` until what is started next hears them itself, and do it now where one came before."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end())
    if told():
        end()
