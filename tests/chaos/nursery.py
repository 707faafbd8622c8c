"""Starts processes of the product quickly: one process imports all that is heavy, and each child is a fork of it.

A child runs the very command line a person would type. Nothing is opened or connected before the fork.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
HEAVY = (
    "tests.chaos.dying_worker",
    "workers.main",
    "workers.processes",
    "workers.feed",
    "workers.app",
    "workers.alerts",
    "exchange.hyperliquid",
    "exchange.paper.server",
    "tasks.entry",
    "tasks.supervise",
    "tasks.sweep",
    "tasks.close",
    "redbeat",
)
_PR_SET_PDEATHSIG = 1


@dataclass
class Born:
    """A child of the nursery, held by its pidfd: a signal reaches this very process or nobody."""

    pid: int
    handle: int

    @property
    def alive(self) -> bool:
        return self.handle >= 0 and not self._ends_within(0)

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.handle >= 0:
                signal.pidfd_send_signal(self.handle, number)

    def end(self, number: int = signal.SIGKILL, seconds: float = 10.0) -> None:
        """Send a signal and wait for its end, by force when the time is up; then let go of it."""
        if self.handle < 0:
            return
        self.send(number)
        if not self._ends_within(seconds):
            self.send(signal.SIGKILL)
            self._ends_within(seconds)
        os.close(self.handle)
        self.handle = -1

    def _ends_within(self, seconds: float) -> bool:
        watch = select.poll()  # a pidfd may be a large number where hundreds were born
        watch.register(self.handle, select.POLLIN)
        return bool(watch.poll(seconds * 1000))


class Nursery:
    """The process that forks; use as a context manager. All its children end with it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, words: list[str], folder: Path, log: Path, **env: str) -> Born:
        """Start ``stopkeeper WORDS`` in a folder with its output in a log."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"words": words, "folder": str(folder), "log": str(log), "env": env}
        self._process.stdin.write(json.dumps(request) + "\n")
        pid = int(self._process.stdout.readline())
        return Born(pid, os.pidfd_open(pid))


def _raise(request: dict[str, Any], parent: int) -> None:
    """Become the process that was asked for."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(request["folder"])
    os.environ.update(request["env"])
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for source, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, number)
    sys.argv = ["stopkeeper", *request["words"]]
    importlib.import_module("tests.chaos.dying_worker").main()


def main() -> None:
    """Import what is heavy, then fork a child for each line."""
    for name in HEAVY:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # an ended child leaves nothing
    parent = os.getpid()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _raise(json.loads(line), parent)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
