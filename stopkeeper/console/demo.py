"""The demo: the whole stack on paper, broken on purpose, judged by the paper venue's witness.

Here stand the setting up and the end. What is done to the stack, and when, stands in demo_scenes.py; how it is shown,
in demo_view.py; the last page, in demo_report.py; the venue's control API, in demo_venue.py.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from stopkeeper.console import demo_report, demo_scenes
from stopkeeper.console.backend import Backend, House, InitWish
from stopkeeper.console.demo_venue import PaperControl
from stopkeeper.console.demo_view import View
from stopkeeper.console.failures import Declined, Failure
from stopkeeper.console.session import Session
from stopkeeper.engine.ports import StoreGone

ACCOUNT = "main"
SYMBOLS = ("BTC", "ETH", "SOL", "HYPE")
START_S = 40.0
STOP_S = 15.0
MARK = ".stopkeeper-demo"  # an installation has a stopkeeper.toml too: only this file says that a demo made a directory


def run(session: Session, directory: Path, seed: int, pace: float) -> int:
    """Run the demo and return its exit code: 0 only if the witness found what was promised."""
    path, control = _prepare(session.backend, directory, seed)
    log = directory / "up.log"
    view = View(session)
    with _stack(session.backend, path, log), view:
        view.title(f"everything runs in {directory}, log {log}")
        try:
            house = _ready(session.backend, path, control, log)
            stage = demo_scenes.Stage(house, house.ports(ACCOUNT), control, view, pace)
            demo_scenes.play(stage)
            view.finish()
            code = demo_report.tell(session, stage)
        except KeyboardInterrupt:
            view.finish()
            session.note("interrupted: the demo is put away")
            return 130
    session.say(f"\nlook around: {directory}/stopkeeper.toml is its configuration, {log} what every process said")
    return code


def _prepare(backend: Backend, directory: Path, seed: int) -> tuple[Path, PaperControl]:
    path = directory / "stopkeeper.toml"
    if directory.exists():
        if any(directory.iterdir()) and not (directory / MARK).is_file():
            raise Declined(
                "is not empty and not a demo's", field="dir", value=str(directory), hint="name another --dir"
            )
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    (directory / MARK).touch()
    venue_port, control_port = _free_ports(2)
    wish = InitWish(
        path=path,
        account=ACCOUNT,
        venue="hyperliquid",
        mode="paper",
        symbols=SYMBOLS,
        data_dir="./data",
        paper_port=venue_port,
        control_port=control_port,
        seed=seed,
        flower=False,
    )
    backend.init(wish)
    return path, PaperControl(f"http://127.0.0.1:{control_port}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _stack(backend: Backend, path: Path, log: Path) -> Iterator[None]:
    """Run ``stopkeeper up`` as a process of its own, and end it with all its children."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 our own command, no text of a user in it
            [*backend.command, "--config", str(path.resolve()), "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def _ready(backend: Backend, path: Path, control: PaperControl, log: Path) -> House:
    """Wait until the venue answers, the store takes a read, and worker, beat and feed have said that they live."""
    house = backend.load(path)
    end = time.monotonic() + START_S
    missing = "the paper venue"
    while time.monotonic() < end:
        missing = _missing(house, control)
        if not missing:
            return house
        time.sleep(0.25)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
    raise Failure(f"the stack did not start within {START_S:.0f} s: {missing} is missing\n{tail}", field="demo")


def _missing(house: House, control: PaperControl) -> str:
    if not control.answers():
        return "the paper venue"
    try:
        lives = {beat.process for beat in house.heartbeats()}
    except (StoreGone, Failure):
        return "Redis"
    wanted = ("urgent", "orders", "beat", "feed")
    return next((name for name in wanted if not any(each.startswith(name) for each in lives)), "")
