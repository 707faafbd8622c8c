"""One part after the other is missing: what goes on, what is said, and that it mends by itself once it is back.

A worker, beat, a feed and a paper venue as processes over a server of their own; an agent signs. A disk that is full is
in test_disk_full.py, a Redis that is away for long in test_feed.py, a server's clock in contract/store.
"""

import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from redis import Redis

from stopkeeper.core.model import Key
from stopkeeper.engine import desk, showing
from stopkeeper.engine.ports import Ports, StoreGone
from stopkeeper.store.embedded import EmbeddedServer
from tests.integration.processes.conftest import House, free_port, get, house, until
from workers.alive import signs
from workers.feed import RENEW_S
from workers.wiring import System

DAY_MS = 24 * 3_600_000


class Scene:
    """The processes by name, one protected position, and the means to take a part away."""

    def __init__(self, made: House, server: EmbeddedServer, port: int, control: int) -> None:
        self.house, self.server = made, server
        self.url, self.control = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control}"
        self.address = made.settings.accounts["main"].wallet_address
        self.key_file = made.folder / "agent.key"
        words = ("paper", "--port", str(port), "--control-port", str(control), "--prices", "still")
        self.running = {"paper": made.start(*words)}
        until(lambda: get(f"{self.url}/")[0])
        self.after, self.key = "0", Key("main", "BTC")
        self.approve()
        self.system = System(made.settings)
        self.begin("worker", "beat", "feed")

    @property
    def ports(self) -> Ports:
        return self.system.ports("main")

    def approve(self) -> None:
        """Make a new agent the account's own, and the configuration's."""
        agent = Account.create()
        self.key_file.write_text("0x" + bytes(agent.key).hex() + "\n")
        self.key_file.chmod(0o600)
        self.agent = str(agent.address)
        self.post("/agents", account=self.address, agent=self.agent, valid_until_ms=_now_ms() + DAY_MS)

    def begin(self, *names: str) -> None:
        """Start processes and wait until each has said that it lives."""
        for name in names:
            more = ("--name", "all", "--concurrency", "8") if name == "worker" else ()
            self.running[name] = self.house.start(name, "--config", str(self.house.config), *more)
        pids = {self.running[name].pid for name in names}
        until(lambda: pids <= {sign.pid for sign in signs(self.system.store)}, 30, "not all say that they live")

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()

    def post(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            self.control + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def hold(self, symbol: str) -> str:
        """Open a position unless there is one, wait until it is protected and return its stop's order id.

        Each test has a symbol of its own: a stop that is lost three times within a minute is no stop any more.
        """
        self.key = Key("main", symbol)
        if self.ports.records.load(self.key).trade is not None:
            return self.until_stop()
        wish = {"notional": "900", "stop": "2%", "expires": "60s"}
        now_ms = self.ports.venue.now_ms()
        signal_ = desk.parse_signal(account="main", symbol=symbol, side="long", now_ms=now_ms, **wish)
        desk.submit(signal_, self.ports)
        return self.until_stop()

    def until_stop(self, but: str | None = None) -> str:
        """Wait for a stop that was seen live, other than one that is gone; return its order id."""
        return str(until(lambda: self._stop(but), 30, self.story))

    def _stop(self, but: str | None) -> str | None:
        row = self.row()
        protected = row is not None and row.phase == "protected" and row.stop_order_id not in (None, but)
        return row.stop_order_id if row and protected else None

    def row(self) -> Any:
        return next((row for row in showing.positions(self.ports) if row.symbol == self.key.symbol), None)

    def take_stop(self) -> None:
        """Cancel the position's stop by hand."""
        self.post("/hand", account=self.address, symbol=self.key.symbol, cancel="stops")

    def covered(self) -> bool:
        """Return whether the witness says that the position is not naked any more."""
        book = json.loads(get(self.control + "/witness")[1])[self.address.lower()][self.key.symbol]
        return bool(book["naked_intervals"]) and book["naked_intervals"][-1]["to_ms"] is not None

    def lines(self, kind: str) -> list[tuple[int, str]]:
        """Return time and text of the journal lines of a kind since this test began."""
        found = self.ports.journal.read("main", self.after, 500)
        return [(int(line.partition("-")[0]), fields["text"]) for line, fields in found if fields["kind"] == kind]

    def until_line(self, kind: str, words: str = "", seconds: float = 30) -> str:
        """Wait for a line of a kind that says these words; return it."""

        def said() -> str | None:
            return next((text for _, text in reversed(self.lines(kind)) if words in text), None)

        return str(until(said, seconds, lambda: f"no line of {kind}; the journal:\n{self.story()}"))

    def story(self) -> str:
        lines = self.ports.journal.read("main", "", 40)
        return "\n".join(f"{line} {fields['kind']}: {fields['text']}" for line, fields in lines)

    def status(self) -> dict[str, Any]:
        """Return what status --json says of the account, and of the processes."""
        told = self.house.run("status", "--json")
        assert told.returncode == 0, told.stderr
        shown = json.loads(told.stdout)
        return {**shown, **shown["accounts"][0]}

    def missing(self, part: str) -> str:
        """Return what status says of a part that is missing; fail where it says nothing."""
        told = {each["part"]: each["text"] for each in self.status()["missing"]}
        assert part in told, told
        return str(told[part])

    def calm(self) -> None:
        """End all faults, and start again what ended, as a supervisor does."""
        urllib.request.urlopen(urllib.request.Request(self.control + "/faults", method="DELETE"), timeout=5).close()
        ended = [name for name, process in self.running.items() if process.poll() is not None]
        if ended:
            self.begin(*ended)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("parts")
    port, control = free_port(), free_port()
    with house(folder, base_url=f"http://127.0.0.1:{port}") as made:
        _sign_by_agent(made.config)
        server = EmbeddedServer(made.settings.redis.data_dir)
        server.start()
        try:
            ready = Scene(made, server, port, control)
            until(lambda: (ready.ports.prices.heard_ms("main") or DAY_MS) < 3_000, what="no feed leads")
            yield ready
            ready.system.close()
        finally:
            made.stop()
            server.stop()


def _sign_by_agent(config: Path) -> None:
    lines = config.read_text().splitlines()
    named = ['private_key_file = "agent.key"' if line.startswith("private_key_file") else line for line in lines]
    config.write_text("\n".join(named).replace("max_open_trades = 3", "max_open_trades = 9") + "\n")
    (config.parent / "agent.key").write_text("0x" + "11" * 32 + "\n")


@pytest.fixture(autouse=True)
def _clean(scene: Scene) -> Iterator[None]:
    scene.after = str(scene.system.store.now_ms())
    yield
    scene.calm()


def test_nothing_is_missing_while_all_is_there(scene: Scene) -> None:
    shown = until(lambda: (told := scene.status()) and told["beat_ms_ago"] is not None and told)
    assert shown["missing"] == []
    assert shown["lost_processes"] == []
    assert scene.house.run("doctor").returncode == 0, scene.house.run("doctor").stdout


def test_a_venue_that_hangs_is_told_and_asked_until_it_answers(scene: Scene) -> None:
    scene.hold("BTC")
    scene.running["paper"].send_signal(signal.SIGSTOP)
    try:
        assert "entries wait" in scene.until_line("alarm:venue")
        assert "does not answer" in scene.missing("venue")
    finally:
        scene.running["paper"].send_signal(signal.SIGCONT)
    scene.until_line("back:venue")
    scene.until_stop()
    assert "venue" not in {each["part"] for each in scene.status()["missing"]}


def test_without_a_feed_sweeps_find_what_no_stream_tells(scene: Scene) -> None:
    stop = scene.hold("BTC")
    until(lambda: scene.status()["missing"] == [], 40, "the streams of the test before are not there again")
    scene.kill("feed")
    scene.take_stop()
    scene.until_stop(but=stop)
    assert "see stopkeeper feed" in scene.until_line("alarm:streams")
    assert "are silent" in scene.missing("streams")
    scene.begin("feed")
    scene.until_line("back:streams")


def test_a_clock_that_jumped_stops_entries_and_no_protection(scene: Scene) -> None:
    stop = scene.hold("ETH")
    scene.post("/faults", kind="clock_skew", skew_ms=-600_000)
    scene.take_stop()
    until(scene.covered, 20, scene.story)
    scene.until_line("alarm:clock", "contradicts")
    assert "clock" in scene.missing("clock")
    refused = scene.house.run("open", "main", "ETH", "long", "--notional", "100", "--stop", "2%")
    assert refused.returncode == 3
    assert "s ahead of the venue's: no entries until it is set" in refused.stderr
    doctor = scene.house.run("doctor", "--json")
    assert doctor.returncode == 1
    assert "main clock" in doctor.stderr
    scene.calm()
    scene.ports.wakes.wake(scene.key, "somebody looks")
    scene.until_line("back:clock")
    scene.until_stop(but=stop)
    assert scene.status()["entries"] == "open"


def test_a_revoked_key_stops_entries_and_goes_on_with_a_good_one(scene: Scene) -> None:
    scene.hold("SOL")
    scene.post("/agents", account=scene.address, agent=scene.agent, valid_until_ms=1)
    scene.take_stop()
    assert "does not exist" in scene.until_line("alarm:barred")
    shown = scene.status()
    assert shown["entries"] == "refused"
    cure = next(each["text"] for each in shown["missing"] if each["part"] == "key")
    assert "put its key into private_key_file" in cure
    refused = scene.house.run("open", "main", "ETH", "long", "--notional", "100", "--stop", "2%")
    assert refused.returncode == 3
    tries = until(lambda: len(found := _tries(scene)) >= 2 and found, 30, scene.story)
    assert all(later - before >= 4_000 for before, later in pairwise(tries)), tries
    scene.approve()
    scene.house.stop(scene.running["worker"], scene.running["feed"])
    scene.begin("worker", "feed")
    scene.until_line("switch", "takes the key again")
    scene.until_line("back:barred")
    scene.until_stop()
    assert scene.status()["entries"] == "open"


def _tries(scene: Scene) -> list[int]:
    """Return when a stop was asked for and barred."""
    return [at for at, text in scene.lines("PlaceStop") if "barred" in text]


def test_without_beat_the_feeds_ticker_drives_what_is_due(scene: Scene) -> None:
    stop = scene.hold("BTC")
    scene.kill("beat")
    assert "the feed's ticker" in scene.until_line("alarm:beat")
    shown = scene.status()
    assert "see stopkeeper beat" in next(each["text"] for each in shown["missing"] if each["part"] == "beat")
    assert shown["beat_ms_ago"] > 5_000
    assert [each["process"] for each in shown["lost_processes"]] == ["beat"]
    desk.move_stop(scene.key, scene.row().stop_price + 1, scene.ports)
    scene.until_stop(but=stop)
    scene.begin("beat")
    scene.until_line("back:beat")


def test_without_a_worker_it_is_said_and_a_person_acts_from_a_command(scene: Scene) -> None:
    """The cover is gone while nobody could place another: the venue shows it, and every command says it."""
    stop = scene.hold("SOL")
    scene.kill("worker")
    assert "nothing is entered, placed, moved or closed" in scene.until_line("alarm:worker")
    assert scene.lines("alarm:beat") == [], "it ticks: nobody carries it out"
    scene.missing("worker")
    told = scene.house.run("doctor")
    assert told.returncode == 1
    assert "no worker: nothing is placed, moved or closed" in " ".join(told.stdout.split())
    scene.take_stop()
    until(lambda: scene.status()["naked"] == 1, 10, "status shows a look of the last seconds")
    acted = scene.house.run("protect")
    assert (acted.returncode, acted.stderr) == (0, "")
    scene.until_stop(but=stop)
    scene.begin("worker")
    scene.until_line("back:worker")


def test_without_redis_a_command_says_so_and_the_journal_afterwards(scene: Scene) -> None:
    scene.hold("BTC")
    before = scene.house.log("feed").count("lease not renewed")
    scene.server.stop()
    told = scene.house.run("status")
    assert told.returncode == 1
    assert told.stderr.startswith("error: redis: ")
    assert "stops at the venue stand" in told.stderr
    assert told.stderr.count("\n") == 1
    refused = scene.house.run("open", "main", "ETH", "long", "--notional", "100", "--stop", "2%")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    until(lambda: scene.house.log("feed").count("lease not renewed") >= before + 3)  # two seconds apart
    scene.server.start()
    until(lambda: _answers(scene), 20)
    scene.until_line("guardian", "Redis answers again after")
    scene.until_stop()


def _answers(scene: Scene) -> bool:
    try:
        return scene.ports.records.load(scene.key).trade is not None
    except StoreGone:
        return False


def test_a_redis_that_answers_and_takes_no_writes_is_as_good_as_gone(scene: Scene) -> None:
    """As with a full disk under `appendfsync everysec`: whoever reads is answered, and nobody can take a lease."""
    stop = scene.hold("ETH")
    with Redis.from_url(scene.server.url) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            told = scene.house.run("status")
            assert (told.returncode, told.stderr.count("\n")) == (1, 1), told.stderr
            assert "NOREPLICAS" in told.stderr
            # longer than any lease lasts: the guardian is the leader's, and nobody could take the lead anew
            until(lambda: not any(left_ms for *_, left_ms in scene.system.store.leases.holders()), 30, "a lease stands")
            time.sleep(2 * RENEW_S)  # until the leader has asked for it
            scene.take_stop()
            until(scene.covered, 30, "the guardian placed no stop")
        finally:
            client.config_set("min-replicas-to-write", 0)
    scene.until_line("guardian", "guardian acts alone")
    scene.until_stop(but=stop)
    scene.calm()  # such a server ends workers and beat, and one of them relieves the guardian
    scene.until_line("guardian", "the guardian stops")


def test_a_redis_that_confirms_nothing_on_disk_is_as_good_as_gone(scene: Scene) -> None:
    """Leases are renewed there and records are read; every drive ends where it would write down what it does."""
    stop = scene.hold("ETH")
    with Redis.from_url(scene.server.url) as client:
        client.config_set("appendonly", "no")
        try:
            scene.take_stop()
            until(scene.covered, 30, "the guardian placed no stop")
        finally:
            client.config_set("appendonly", "yes")
    scene.until_line("guardian", "guardian acts alone")
    scene.until_stop(but=stop)
    scene.until_line("guardian", "the guardian stops")


def test_a_redis_that_recovers_for_a_moment_only_leaves_the_guardian_where_it_is(scene: Scene) -> None:
    """The first answer after longer than a lease says that the lead ran out; the guardian is the leader's."""
    stop = scene.hold("BTC")
    before, ended = (scene.house.log("feed").count(words) for words in ("ran out", "no longer leading"))
    with Redis.from_url(scene.server.url) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            until(lambda: not any(left_ms for *_, left_ms in scene.system.store.leases.holders()), 30, "a lease stands")
            client.config_set("min-replicas-to-write", 0)
            until(lambda: scene.house.log("feed").count("ran out") > before, 10, "nobody heard that the lease ran out")
            client.config_set("min-replicas-to-write", 1)
            scene.take_stop()
            until(scene.covered, 30, "the guardian placed no stop")
        finally:
            client.config_set("min-replicas-to-write", 0)
    scene.calm()
    scene.until_line("guardian", "Redis answers again after")
    scene.until_stop(but=stop)
    assert scene.house.log("feed").count("no longer leading") == ended


@contextmanager
def spent(scene: Scene) -> Iterator[None]:
    """Spend all weight but what is kept for protection, again and again, as others at this address may."""
    budget, limit = scene.system.store.budget, f"ip:{scene.url.removeprefix('http://')}"
    over = threading.Event()

    def spend() -> None:
        while not over.wait(0.1):
            left = 1_200 - budget.used(limit, 1_200, 60_000)
            if left > 290:  # of 300
                budget.take(limit, left - 290, 1_200, 60_000, 0)

    thread = threading.Thread(target=spend)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_spent_rate_limit_leaves_protection_its_share(scene: Scene) -> None:
    stop = scene.hold("SOL")
    with spent(scene):
        assert "protection has a share of its own" in scene.until_line("alarm:budget")
        assert "weight of the minute are spent" in scene.missing("budget")
        scene.take_stop()
        until(scene.covered, 20, scene.story)
    scene.until_line("back:budget")
    scene.until_stop(but=stop)
