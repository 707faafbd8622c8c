"""``stopkeeper up``: everything of one installation on this machine, under our own supervisor.

Every child is the very command line a person would type, so that what runs here is what runs in docker/compose.yaml.
On one machine three worker processes: one for ``urgent`` alone, so that a close never stands behind a scan, and two
that take all queues, so that neither the end of a process nor one that hangs leaves a queue without a taker;
``--workers`` says how many.
"""

import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stopkeeper.console.backend import StackWish
from stopkeeper.console.failures import Failure
from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.durability import StoreUnfit
from tasks import queues as q
from workers import logs, settings_load
from workers.alive import signs
from workers.children import Child, Command, rotate, stop
from workers.embedded import Embedded, Lock
from workers.processes import flower_password, password_path, run_feed, run_paper
from workers.settings import Settings
from workers.wiring import open_store

__all__ = ["commands", "run_feed", "run_paper", "run_stack"]

WORKERS = 2
READY_S = 30.0
ROTATE_S = 10.0
LOOK_S = 0.2
WARM_S = 20.0  # longer than any HTTP timeout; a drive cut off after it is taken up by the next owner of its lease


def run_stack(settings: Settings, wish: StackWish | None = None) -> int:
    """Run everything until Ctrl-C or SIGTERM; return the exit code. Raises Failure where it cannot start."""
    logs.set_up(settings_load.secrets(settings))
    with Lock(settings.redis.data_dir):
        return Stack(settings, wish or StackWish()).run()


def commands(settings: Settings, wish: StackWish) -> list[Command]:
    """Return the processes of this machine, in the order they start; they stop in STOP_ORDER."""
    listed = []
    if settings.local_paper:
        listed.append(_command(settings, "paper", paper_words(settings, wish), paper_where(settings)))
    listed.append(_worker(settings, "urgent-1", (q.URGENT,), 8))
    numbers = range(1, (wish.workers or WORKERS) + 1)
    listed += [_worker(settings, f"orders-{number}", (q.URGENT, q.ORDERS, q.SCANS), 12) for number in numbers]
    config = ("--config", str(settings.source))
    listed.append(_command(settings, "beat", ("beat", *config), "the clock"))
    listed.append(_command(settings, "feed", ("feed", *config), "streams and ticker"))
    if settings.flower.enabled:
        where = f"http://{settings.flower.address}:{settings.flower.port}"
        words = ("flower", *config, "--port", str(settings.flower.port))
        listed.append(_command(settings, "flower", words, where))
    return listed


def paper_words(settings: Settings, wish: StackWish) -> tuple[str, ...]:
    """Return how the paper venue is started: with its state in the data directory, so that it goes on where it was."""
    paper = settings.paper
    seed = paper.seed if wish.seed is None else wish.seed
    options: Mapping[str, object] = {
        "--port": paper.port,
        "--control-port": paper.control_port,
        "--prices": wish.prices or paper.prices,
        "--seed": seed,
        "--state": settings.redis.data_dir / "paper-state.json",
    }
    return ("paper", *(str(word) for pair in options.items() for word in pair))


def paper_where(settings: Settings) -> str:
    """Return where the paper venue listens."""
    return f"http://127.0.0.1:{settings.paper.port}, control {settings.paper.control_port}"


def _worker(settings: Settings, name: str, queues: Sequence[str], concurrency: int) -> Command:
    config = ("--config", str(settings.source))
    words = ("worker", *config, "--queues", ",".join(queues), "--concurrency", str(concurrency), "--name", name)
    return _command(settings, name, words, f"queues {', '.join(queues)}; {concurrency} threads", WARM_S)


def _command(settings: Settings, name: str, words: Sequence[str], what: str, stop_s: float = 10.0) -> Command:
    log = settings.redis.data_dir / "logs" / f"{name}.log"
    return Command(name, (sys.executable, "-m", "workers.main", *words), log, what, stop_s)


STOP_ORDER = ("feed", "beat", "workers", "flower", "paper")


class Stack:
    """The supervisor: starts, watches, restarts and stops."""

    def __init__(self, settings: Settings, wish: StackWish) -> None:
        self._settings = settings
        self._redis = Embedded(settings.redis.data_dir) if settings.redis.embedded else None
        self._children = [Child(command) for command in commands(settings, wish)]
        self._ended = False
        self._screen = Console(width=None if sys.stdout.isatty() else 120, highlight=False, emoji=False)

    def run(self) -> int:
        """Start everything, watch until told to end, stop everything."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        self._check_ports()
        try:
            self._start()
            self._watch()
        finally:
            self._stop()
        return 0

    def _end(self, *_: object) -> None:
        self._ended = True

    def _check_ports(self) -> None:
        wanted = []
        if self._settings.local_paper:
            paper = self._settings.paper
            wanted += [("paper.port", "127.0.0.1", paper.port), ("paper.control_port", "127.0.0.1", paper.control_port)]
        if self._settings.flower.enabled:
            wanted.append(("flower.port", self._settings.flower.address, self._settings.flower.port))
        for field, host, port in wanted:
            if taken(host, port):
                hint = f"stop what listens there, or set {field} in {self._settings.source}"
                raise Failure(f"port {port} on {host} is taken", field=field, value=str(port), hint=hint)

    def _start(self) -> None:
        if self._redis is not None:
            self._redis.start()
        self._check_store()
        password, fresh = flower_password(self._settings) if self._settings.flower.enabled else ("", False)
        for child in self._children:
            child.start()
            if child.command.name == "paper":
                self._wait_for_paper(child)
        self._wait_ready()
        self._show()
        if fresh:
            user, path = self._settings.flower.user, password_path(self._settings)
            self._say(f"Flower's login, shown this once: {user} / {password}  (kept in {path})")
        if not self._ended:
            self._say("Everything runs. Ctrl-C ends it; started again it goes on where it was.")

    def _check_store(self) -> None:
        """Refuse a store that only a person can make right; for one that is away each process waits by itself."""
        try:
            with closing(open_store(self._settings)) as store:
                store.verify()
        except StoreUnfit:
            raise
        except StoreGone:
            return

    def _wait_for_paper(self, paper: Child) -> None:
        """Let the venue listen before anybody calls it; one that cannot start is restarted and reported like others."""
        until = time.monotonic() + READY_S
        while paper.pid and not taken("127.0.0.1", self._settings.paper.port):
            if self._ended or time.monotonic() > until:
                return
            time.sleep(0.05)

    def _wait_ready(self) -> None:
        """Wait until every process of ours has said that it lives; what never does is seen in the table."""
        silent = {child.command.name for child in self._children} - {"paper"}
        store = open_store(self._settings)
        until = time.monotonic() + READY_S
        try:
            while silent and not self._ended and time.monotonic() < until:
                self._look_after()
                pids = {child.command.name: child.pid for child in self._children}
                with suppress(StoreGone):  # it may end and be started again in these very seconds
                    silent -= {sign.process for sign in signs(store) if pids.get(sign.process) == sign.pid}
                time.sleep(LOOK_S)
        finally:
            store.close()
        for command in (child.command for child in self._children):
            if command.name in silent and not self._ended:
                self._say(f"{command.name} has not said yet that it lives. {command.log}: {last_line(command.log)}")

    def _watch(self) -> None:
        rotated = time.monotonic()
        while not self._ended:
            self._look_after()
            if time.monotonic() - rotated >= ROTATE_S:
                rotated = time.monotonic()
                for child in self._children:
                    with suppress(OSError):  # a full disk must not end what runs
                        rotate(child.command.log)
            time.sleep(LOOK_S)

    def _look_after(self) -> None:
        if self._redis is not None and (news := self._redis.revive()):
            self._say(news)
            self._write_down(news)
        for child in self._children:
            code = child.watch()
            if code is not None:
                log = child.command.log
                self._say(f"{child.command.name} ended with {code}; it is started again. {log}: {last_line(log)}")

    def _write_down(self, news: str) -> None:
        """Tell every account's journal of the server, once it takes lines again."""
        with suppress(StoreGone):
            store = open_store(self._settings)
            try:
                for account in self._settings.accounts:
                    store.journal.write(account, "", "store", news)
            finally:
                store.close()

    def _stop(self) -> None:
        self._say("stopping; workers finish what they are at")
        for group in self._groups():
            for name in stop(group):
                self._say(f"{name} did not end in time and was killed")
        if self._redis is not None:
            self._redis.stop()
        self._say("stopped")

    def _groups(self) -> list[list[Child]]:
        by_name: dict[str, list[Child]] = {name: [] for name in STOP_ORDER}
        for child in self._children:
            name = child.command.name
            by_name[name if name in by_name else "workers"].append(child)
        return [by_name[name] for name in STOP_ORDER]

    def _show(self) -> None:
        table = Table("process", "pid", "what", "log", box=None, pad_edge=False)
        if self._redis is not None:
            data_dir = self._settings.redis.data_dir
            table.add_row("redis", str(self._redis.pid), f"127.0.0.1:{self._redis.port}", str(data_dir / "redis.log"))
        for child in self._children:
            pid = "ended" if child.pid is None else str(child.pid)
            table.add_row(child.command.name, pid, child.command.what, str(child.command.log))
        self._screen.print(table)

    def _say(self, text: str) -> None:
        with suppress(OSError):  # its log may stand on a disk that is full
            self._screen.print(text, markup=False, soft_wrap=True)


def taken(host: str, port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left is free
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines: Sequence[str] = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return next((line.strip() for line in reversed(lines) if line.strip()), "(empty)")
