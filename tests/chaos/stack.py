"""A whole installation as processes, with the means to break it: by pid, by the venue's faults, by a person's hand.

Nothing here judges. Only processes that this stack started are ever signalled.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from stopkeeper.store.embedded import discover
from workers.settings_load import load
from workers.wiring import opened

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "workers.main"]
SYMBOLS = ("BTC", "ETH", "SOL", "DOGE", "HYPE", "AVAX")
START_S = 60.0


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def now_ms() -> float:
    return time.time() * 1000


def _call(url: str, body: dict[str, Any] | None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@dataclass
class Stack:
    """One ``stopkeeper up`` in a folder of its own, and everything a run does to it."""

    folder: Path
    url: str = ""
    control: str = ""
    address: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    commands: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    # the venue --------------------------------------------------------------------------------------------------------
    def get(self, path: str) -> Any:
        return _call(self.control + path, None)

    def post(self, path: str, **body: Any) -> Any:
        return _call(self.control + path, body)

    def calm(self) -> None:
        """End every fault."""
        _call(self.control + "/faults", None, "DELETE")

    def fault(self, kind: str, symbol: str | None = None, action: str | None = None, **more: Any) -> None:
        match = {"account": self.address, "symbol": symbol, "action": action}
        self.post("/faults", kind=kind, match={k: v for k, v in match.items() if v is not None}, **more)

    def drop_fault(self, name: str) -> None:
        _call(f"{self.control}/faults/{name}", None, "DELETE")

    def hand(self, **what: Any) -> bool:
        """Do something by hand; return whether the venue took it."""
        try:
            self.post("/hand", account=self.address, **what)
        except urllib.error.HTTPError as refused:
            refused.close()
            return False
        return True

    def witness(self) -> dict[str, dict[str, Any]]:
        return dict(self.get("/witness").get(self.address, {}))

    def held(self) -> dict[str, float]:
        """Return what the venue holds, signed, by symbol. An unhindered read: call it without faults on info."""
        state = _call(self.url + "/info", {"type": "clearinghouseState", "user": self.address})
        return {row["position"]["coin"]: float(row["position"]["szi"]) for row in state["assetPositions"]}

    def orders(self) -> list[dict[str, Any]]:
        """Return the venue's open orders."""
        return list(_call(self.url + "/info", {"type": "frontendOpenOrders", "user": self.address}))

    # the processes ----------------------------------------------------------------------------------------------------
    def children(self) -> dict[str, int]:
        """Return the pids of the supervisor's children by name."""
        assert self.process is not None
        found: dict[str, int] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) != self.process.pid:
                    continue
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found[_name(words)] = int(entry.name)
        return found

    def strike(self, name: str, number: int) -> int | None:
        """Send a signal to a child by its name; return its pid, or None where it is not there now."""
        pid = self.children().get(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    @contextlib.contextmanager
    def unmetered(self) -> Iterator[None]:
        """Empty the account of the rate budget again and again: what is done here in seconds takes a venue minutes."""
        over = threading.Event()

        def forget() -> None:
            while not over.wait(1.0):
                url = discover(self.folder / "stopkeeper-data")
                if url is None:
                    continue
                with contextlib.suppress(RedisError), Redis.from_url(url, socket_timeout=2) as client:
                    for key in client.scan_iter("sk:budget*"):
                        client.delete(key)

        thread = threading.Thread(target=forget)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    # a person's commands ----------------------------------------------------------------------------------------------
    def signal(self, symbol: str, side: str, **wish: str) -> None:
        """Send a signal as another program does: as a task, which may be lost with the broker."""
        from tasks.entry import open_trade

        task: Any = open_trade  # celery has no types
        with contextlib.suppress(OperationalError, RedisError):
            task.apply_async(("main", symbol, side), wish, retry=False)

    def ask(self, *words: str) -> None:
        """Start a command and do not wait: it may be refused, which is an answer too. At most two at a time."""
        self.commands = [each for each in self.commands if each.poll() is None]
        if len(self.commands) >= 2:
            self.commands[0].wait(30)
        with (self.folder / "commands.log").open("ab") as log:
            log.write(f"{now_ms():.0f} $ {' '.join(words)}\n".encode())
            log.flush()
            self.commands.append(
                subprocess.Popen([*PROGRAM, *words], cwd=self.folder, env=_env(), stdout=log, stderr=log)
            )

    def run(self, *words: str, seconds: float = 40) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PROGRAM, *words],
            cwd=self.folder,
            env=_env(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def told(self, *words: str) -> Any:
        """Run a command with --json and return what it printed."""
        result = self.run(*words, "--json")
        assert result.stdout, f"{words} said nothing: {result.stderr}"
        return json.loads(result.stdout)


def _name(words: list[str]) -> str:
    if "--name" in words:
        return words[words.index("--name") + 1]
    if "workers.main" in words:
        return words[words.index("workers.main") + 1]
    return "redis" if "server" in words[0] else words[0]


def _env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOPKEEPER__")}
    return {**kept, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def running(folder: Path, *, seed: int, latency_ms: int = 0) -> Iterator[Stack]:
    """Start the stack of a fresh installation, wait until all of it lives, and end it."""
    stack = Stack(folder)
    made = stack.run("init")
    assert made.returncode == 0, made.stderr
    path, (port, control) = folder / "stopkeeper.toml", free_ports(2)
    listed = ", ".join(f'"{symbol}"' for symbol in SYMBOLS)
    text = path.read_text().replace("[flower]\n", "[flower]\nenabled = false\n")
    text = text.replace('symbols = ["BTC", "ETH", "SOL"]', f"symbols = [{listed}]")
    text = text.replace("max_open_trades = 3", "max_open_trades = 20")
    path.write_text(f'{text}\n[paper]\nport = {port}\ncontrol_port = {control}\nprices = "walk"\nseed = {seed}\n')
    line = next(line for line in text.splitlines() if line.startswith("wallet_address"))
    stack.address = line.split('"')[1].lower()
    stack.url, stack.control = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control}"
    with (folder / "up.log").open("wb") as log:
        stack.process = subprocess.Popen(
            [*PROGRAM, "up"], cwd=folder, env=_env(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_everything(stack)
        if latency_ms:
            stack.post("/settings", latency_ms=latency_ms)
        with opened(load(path)) as system:
            system.app.set_default()
            yield stack
    finally:
        _end(stack)


def _await_everything(stack: Stack) -> None:
    """Wait until the supervisor has said that everything runs."""
    end, log = time.monotonic() + START_S, stack.folder / "up.log"
    while "Everything runs" not in log.read_text():
        assert stack.process is not None
        assert stack.process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def _end(stack: Stack) -> None:
    assert stack.process is not None
    for each in stack.commands:
        if each.poll() is None:
            each.kill()
        each.wait()
    for pid in stack.children().values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    stack.process.terminate()
    try:
        stack.process.wait(30)
    except subprocess.TimeoutExpired:
        stack.process.kill()  # its children are tied to it and end too
        stack.process.wait()
