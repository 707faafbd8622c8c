"""A whole installation as processes, with the means to break it: by pid, by the venue's faults, by a person's hand.

Nothing here judges. Only processes that this stack started are ever signalled.
"""

import contextlib
import json
import os
import re
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
from workers.wiring import System

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "workers.main"]
SYMBOLS = ("BTC", "ETH", "SOL", "DOGE", "LINK", "SUI", "HYPE", "AVAX")
MAIN = "main"
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
    addresses: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    commands: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    extras: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    system: System | None = None

    @property
    def address(self) -> str:
        return self.addresses[MAIN]

    # the venue --------------------------------------------------------------------------------------------------------
    def get(self, path: str) -> Any:
        return _call(self.control + path, None)

    def post(self, path: str, **body: Any) -> Any:
        return _call(self.control + path, body)

    def calm(self) -> None:
        """End every fault."""
        _call(self.control + "/faults", None, "DELETE")

    def fault(
        self, kind: str, symbol: str | None = None, action: str | None = None, account: str = MAIN, **more: Any
    ) -> str:
        """Put a fault in force; return its id."""
        match = {"account": self.addresses[account], "symbol": symbol, "action": action}
        made = self.post("/faults", kind=kind, match={k: v for k, v in match.items() if v is not None}, **more)
        return str(made["id"])

    def drop_fault(self, name: str) -> None:
        _call(f"{self.control}/faults/{name}", None, "DELETE")

    def hand(self, account: str = MAIN, **what: Any) -> bool:
        """Do something by hand; return whether the venue took it."""
        try:
            self.post("/hand", account=self.addresses[account], **what)
        except urllib.error.HTTPError as refused:
            refused.close()
            return False
        return True

    def witness(self, account: str = MAIN) -> dict[str, dict[str, Any]]:
        return dict(self.get("/witness").get(self.addresses[account], {}))

    def held(self, account: str = MAIN) -> dict[str, float]:
        """Return what the venue holds, signed, by symbol. An unhindered read: call it without faults on info."""
        state = _call(self.url + "/info", {"type": "clearinghouseState", "user": self.addresses[account]})
        return {row["position"]["coin"]: float(row["position"]["szi"]) for row in state["assetPositions"]}

    def orders(self, account: str = MAIN) -> list[dict[str, Any]]:
        """Return the venue's open orders."""
        return list(_call(self.url + "/info", {"type": "frontendOpenOrders", "user": self.addresses[account]}))

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
                line = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                found[_name(line)] = int(entry.name)
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

    def second(self, kind: str) -> bool:
        """Start a second beat or feed beside the supervisor's; return whether there was none yet."""
        running = self.extras.get(kind)
        if running is not None and running.poll() is None:
            return False
        with (self.folder / f"second-{kind}.log").open("ab") as log:
            self.extras[kind] = subprocess.Popen(
                [*PROGRAM, kind], cwd=self.folder, env=environment(), stdout=log, stderr=log, start_new_session=True
            )
        return True

    def end_second(self, kind: str, number: int = signal.SIGKILL) -> None:
        """End the second beat or feed, if it runs."""
        running = self.extras.pop(kind, None)
        if running is not None:
            running.send_signal(number)
            running.wait(30)

    # a person's commands ----------------------------------------------------------------------------------------------
    def signal(self, symbol: str, side: str, account: str = MAIN, **wish: str) -> None:
        """Send a signal as another program does: as a task, which may be lost with the broker."""
        from tasks.entry import open_trade

        self._publish(open_trade, (account, symbol, side), wish)

    def close(self, symbol: str, account: str = MAIN) -> None:
        """Ask for a close as another program does."""
        from tasks.close import close_position

        self._publish(close_position, (account, symbol), {})

    def _publish(self, task: Any, arguments: tuple[str, ...], wish: dict[str, str]) -> None:
        with contextlib.suppress(OperationalError, RedisError):
            task.apply_async(arguments, wish, retry=False)

    def ask(self, *words: str) -> None:
        """Start a command and do not wait: it may be refused, which is an answer too. At most two at a time."""
        self.commands = [each for each in self.commands if each.poll() is None]
        if len(self.commands) >= 2:
            self.commands[0].wait(30)
        with (self.folder / "commands.log").open("ab") as log:
            log.write(f"{now_ms():.0f} $ {' '.join(words)}\n".encode())
            log.flush()
            self.commands.append(
                subprocess.Popen([*PROGRAM, *words], cwd=self.folder, env=environment(), stdout=log, stderr=log)
            )

    def run(self, *words: str, seconds: float = 40) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PROGRAM, *words],
            cwd=self.folder,
            env=environment(),
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


def _name(line: str) -> str:
    """Return a child's name by its command line; Celery puts its words in brackets where setproctitle is there."""
    named = re.search(r"--name ([\w-]+)", line) or re.search(r"(?:workers\.main |\(|\] )(\w[\w-]*)", line)
    program = line.split(maxsplit=1)[0]
    return named[1] if named else "redis" if "server" in program else program


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOPKEEPER__")}
    return {**kept, "PYTHONPATH": str(ROOT)}
