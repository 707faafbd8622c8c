"""The embedded server under ``up``: started with what an earlier run left, kept alive, ended last; and up's own lock.

Running the server itself is the store's (stopkeeper/store/embedded.py); here is who may, and what happens when it ends.
"""

import contextlib
import fcntl
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from stopkeeper.console.failures import Failure
from stopkeeper.store.embedded import EmbeddedError, EmbeddedServer, discover, find_binary
from stopkeeper.store.room import disk_full

STRAY_S = 10.0
AGAIN_S = 1.0
STEADY_S = 5.0  # who runs so long is not about to end at once
MOST_S = 10.0
_TETHER = """\
#!{python}
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != {parent}:
    sys.exit(1)
os.execv({binary!r}, [{binary!r}, *sys.argv[1:]])
"""


class Lock:
    """One ``up`` per data directory. Raises Failure where another holds it."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "up.lock"

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            pid = self._file.read().strip() or "?"
            self._file.close()
            hint = "end it first, or set [redis] data_dir to another directory"
            raise Failure(
                f"another stopkeeper up (pid {pid}) already runs here",
                field="data_dir",
                value=str(self._path.parent),
                hint=hint,
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class Embedded:
    """The server of one data directory; on Linux it ends when this process does, however that ends."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._server: EmbeddedServer | None = None
        self._again = 0.0
        self._started: float | None = None
        self._quick = 0  # how often in a row it ended soon after its start
        self._why = ""  # it could not be started at the last try
        self.port = 0

    @property
    def pid(self) -> int:
        """Return the server's process id; 0 before start."""
        return self._server.pid if self._server is not None else 0

    def start(self) -> None:
        """Start the server; one that outlived an earlier ``up`` is ended first. Raises Failure with the reason."""
        until = time.monotonic() + STRAY_S
        while True:
            self._end_stray()
            try:
                self._server = EmbeddedServer(self._data_dir, port=self.port, binary=self._binary()).start()
            except EmbeddedError as error:
                # the lock of one that is just ending
                if "already runs" in str(error) and time.monotonic() < until:
                    time.sleep(0.1)
                    continue
                raise Failure(str(error), field="redis", hint=f"its log is {self._data_dir / 'redis.log'}") from None
            self.port = urlsplit(self._server.url).port or 0
            self._started = time.monotonic()
            return

    def revive(self) -> str:
        """Start the server again on its port if it has ended; return what is new about it, "" = nothing.

        A server that cannot be started is tried again every second: who waits for it, and its guardian, go on.
        """
        now = time.monotonic()
        if self._server is None or self._server.alive() or now < self._again:
            return ""
        if self._started is not None:  # it has ended since it was started, and not only failed to start
            self._quick = self._quick + 1 if now - self._started < STEADY_S else 0
            self._started = None
            if self._quick > 1:  # whatever ends it will end it again, as a quota that no free space shows
                self._again = now + min(2 ** (self._quick - 2), MOST_S)
                return f"the embedded Redis ends as soon as it is started; its log is {self._data_dir / 'redis.log'}"
        why = disk_full(self._data_dir)
        if not why:
            try:
                self._server.stop()
                self.start()
            except (Failure, OSError) as error:
                why = str(error)
        before, self._why = self._why, why
        if not why:
            return f"the embedded Redis had ended; it was started again with what is on disk{_since(before)}"
        self._again = now + AGAIN_S
        return "" if before else f"the embedded Redis has ended and is not started: {why}; it then starts by itself"

    def stop(self) -> None:
        """End the server in good order."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _end_stray(self) -> None:
        url = discover(self._data_dir)
        if url is None:
            return
        self.port = urlsplit(url).port or 0  # who still talks to it finds the next one
        with contextlib.suppress(RedisError), Redis.from_url(url, socket_timeout=5) as client:
            client.shutdown()

    def _binary(self) -> Path:
        """Return the server, on Linux behind a script that ties its life to ours."""
        binary = find_binary()
        if sys.platform != "linux":
            return binary
        script = self._data_dir.resolve() / "redis-tethered"
        script.write_text(
            _TETHER.format(python=sys.executable, parent=os.getpid(), binary=str(binary)), encoding="utf-8"
        )
        script.chmod(0o700)
        return script


def _since(why: str) -> str:
    return f", having waited because {why.partition(';')[0]}" if why else ""
