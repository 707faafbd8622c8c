"""Child processes: started with nothing left behind, restarted when they end, stopped in order.

May live here: starting, watching, ending and logging one process. What runs on a machine stands in stack.py.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 30.0  # who ran this long starts at the short end of the backoff again
LOG_BYTES = 10_000_000
LOG_FILES = 5
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run: the very command line a person would type, and where its output goes."""

    name: str
    argv: tuple[str, ...]
    log: Path
    what: str = ""
    stop_s: float = 10.0


@dataclass
class Child:
    """A process that is started again whenever it ends, until it is stopped."""

    command: Command
    restarts: int = 0
    _process: "subprocess.Popen[bytes] | None" = None
    _started: float = 0.0
    _again: float = 0.0
    _tries: int = field(default=0)

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process, in a session of its own so that Ctrl-C reaches only who started it."""
        self.command.log.parent.mkdir(parents=True, exist_ok=True)
        with self.command.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 our own command line
                self.command.argv,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 called from the supervisor's only thread
            )
        self._started = time.monotonic()

    def watch(self) -> int | None:
        """Start the process again if it ended and its pause is over; return its exit code when it just ended."""
        if self._process is None:
            if time.monotonic() >= self._again:
                self.restarts += 1
                self._start_again()
            return None
        code = self._process.poll()
        if code is None:
            return None
        steady = time.monotonic() - self._started >= STEADY_S
        self._tries = 0 if steady else min(self._tries + 1, len(BACKOFF_S) - 1)
        self._again = time.monotonic() + BACKOFF_S[self._tries]
        self._process = None
        return code

    def _start_again(self) -> None:
        try:
            self.start()
        except OSError:  # its log cannot be opened: the disk is full, and the others go on
            self._again = time.monotonic() + BACKOFF_S[-1]

    def tell(self) -> None:
        """Ask the process to end."""
        if self.pid is not None and self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, until: float) -> bool:
        """Wait for its end until a monotonic time, then kill it; return whether it ended by itself."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True


def stop(children: Sequence[Child]) -> Sequence[str]:
    """End these together; return the names of those that had to be killed."""
    for child in children:
        child.tell()
    began = time.monotonic()
    return [child.command.name for child in children if not child.wait(began + child.command.stop_s)]


def rotate(log: Path, *, limit: int = LOG_BYTES, files: int = LOG_FILES) -> bool:
    """Set a log aside as ``.1`` (and so on) when it is full; return whether it was.

    Its text is copied and the file cut to nothing: the process goes on writing into the same open file. A pipe through
    the supervisor would rotate exactly, but every process would hang on a supervisor that is stopped (Ctrl-Z).
    """
    if not log.exists() or log.stat().st_size < limit:
        return False
    for number in range(files - 1, 0, -1):
        older = _numbered(log, number)
        if older.exists():
            older.replace(_numbered(log, number + 1))
    shutil.copyfile(log, _numbered(log, 1))
    os.truncate(log, 0)
    _numbered(log, files).unlink(missing_ok=True)
    return True


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """Return what a child runs before its program: on Linux it is killed when its parent dies, however that dies."""
    libc = _libc
    if libc is None:
        return None

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died between fork and here
            os._exit(1)

    return prepare
