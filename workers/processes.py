"""What each process does from start to end: worker, beat, feed, flower, paper. Each returns its exit code.

Each is one command a person can type; ``stopkeeper up`` and docker/compose.yaml start the very same ones.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from celery import concurrency as pools
from celery import signals

from stopkeeper.engine import showing
from tasks import queues as q
from tasks import runtime
from workers import logs, settings_load
from workers.alive import Alive, note
from workers.app import prune_remote_control
from workers.settings import Settings
from workers.wiring import System, opened

if TYPE_CHECKING:
    from exchange.paper.server import PaperOptions

log = logging.getLogger(__name__)
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
    _prepare(settings)
    with opened(settings) as system:
        runtime.install(runtime_of(system))
        for account in system.accounts:  # what is heavy to import is imported before the first message, not under it
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
            worker.start()
            return int(worker.exitcode or 0)


def run_beat(settings: Settings) -> int:
    """Run the clock until SIGTERM; of several only the holder of RedBeat's lock ticks. Raises StoreGone."""
    _prepare(settings)
    with opened(settings) as system, Alive(system.store, "beat"):
        system.app.Beat(loglevel="INFO", quiet=True, redirect_stdouts=False).run()
    return 0


def run_feed(settings: Settings) -> int:
    """Run streams and ticker until SIGTERM; per account one feed leads and the others wait. Raises StoreGone."""
    from workers.feed import serve

    _prepare(settings)
    with opened(settings) as system, Alive(system.store, "feed"):
        system.app.set_current()
        asyncio.run(serve(system))
    return 0


def run_paper(options: "PaperOptions") -> int:
    """Run the paper venue until SIGTERM. Raises PaperError for options that cannot be."""
    from exchange.paper.server import run

    logs.set_up()
    return run(options)


def run_flower(settings: Settings, port: int | None = None) -> int:
    """Run the task monitor until SIGTERM: read-only, behind a login. Raises StoreGone."""
    _prepare(settings)
    password, _ = flower_password(settings)
    # not on the command line, which everybody on the machine can read
    os.environ["FLOWER_BASIC_AUTH"] = f"{settings.flower.user}:{password}"
    with opened(settings) as system, Alive(system.store, "flower"):
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


def _prepare(settings: Settings) -> None:
    logs.set_up(settings_load.secrets(settings))
    signals.setup_logging.connect(logs.keep)
