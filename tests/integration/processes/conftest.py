"""Real processes: a store behind docker/'s own ACL, the paper venue, and the commands a person types."""

import base64
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stopkeeper.store.embedded import find_binary
from workers.settings import Settings
from workers.settings_init import write_config
from workers.settings_load import load
from workers.wiring import System

ROOT = Path(__file__).parents[3]
WORD = "a-word-for-the-store"
FLOWER_WORD = "a-word-for-flower"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(true: Callable[[], Any], seconds: float = 20.0, what: str | Callable[[], str] = "") -> Any:
    """Wait until something is true and return it."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, (what() if callable(what) else what) or f"not within {seconds} s"
        time.sleep(0.05)
    return value


def get(url: str, user: str = "", method: str = "GET") -> tuple[int, str]:
    """Return status and text."""
    request = urllib.request.Request(url, method=method, data=b"{}" if method == "POST" else None)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@dataclass
class House:
    """A configuration on disk and the processes started for it."""

    folder: Path
    config: Path
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return load(self.config)

    def start(self, *words: str, name: str = "") -> "subprocess.Popen[bytes]":
        """Start a command as a person types it; its output goes to a log."""
        with (self.folder / f"{name or words[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers.main", *words],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "workers.main", *words, "--config", str(self.config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )

    def positions(self) -> list[dict[str, Any]]:
        return list(json.loads(self.run("positions", "--json").stdout))

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self, *processes: "subprocess.Popen[bytes]") -> None:
        for process in processes or self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in processes or self.running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def house(folder: Path, **keys: str) -> Iterator[House]:
    """Yield a house with an init-written configuration; sections are appended as text."""
    config = write_config(folder / "stopkeeper.toml", base_url=keys.get("base_url"))
    text = (
        config.read_text()
        .replace('refresh = "15s"', 'refresh = "11s"')
        .replace("[flower]\nport = 5555", f"[flower]\nport = {free_port()}")
    )
    config.write_text(text.replace('url = "embedded"', keys.get("redis", 'url = "embedded"')) + keys.get("more", ""))
    made = House(folder, config)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with docker/redis/users.acl: what is not allowed there fails here."""
    folder, port = tmp_path_factory.mktemp("store"), free_port()
    acl = (ROOT / "docker" / "redis" / "users.acl").read_text().replace("PASSWORD", WORD)
    (folder / "users.acl").write_text(acl)
    settings = (
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--aclfile",
        str(folder / "users.acl"),
    )
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([str(find_binary()), *settings, *durable], stdout=log, stderr=log)
    until(lambda: _listens(port))
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="module")
def apart(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The processes of docker/compose.yaml, started singly: here only the venue runs."""
    folder = tmp_path_factory.mktemp("apart")
    (folder / "word").write_text(WORD)
    port, control = free_port(), free_port()
    redis = f'url = "{store_url}"\nusername = "stopkeeper"\npassword_file = "word"'
    more = f'user = "me"\npassword = "{FLOWER_WORD}"\n'
    with house(folder, base_url=f"http://127.0.0.1:{port}", redis=redis, more=more) as made:
        made.start("paper", "--port", str(port), "--control-port", str(control), "--prices", "still")
        until(lambda: get(f"http://127.0.0.1:{port}/")[0])
        yield made


@pytest.fixture(scope="module")
def system(apart: House) -> Iterator[System]:
    made = System(apart.settings)
    yield made
    made.close()
