"""The feed as a process of its own: what it hears wakes a worker, and another takes over when it dies."""

import json
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from stopkeeper.core.model import Key
from stopkeeper.core.prices import Flaw
from stopkeeper.engine import desk, showing
from stopkeeper.engine.door import VenueAway
from stopkeeper.engine.ports import Ports, StoreGone
from stopkeeper.store import keys
from stopkeeper.store.embedded import EmbeddedServer
from tests.integration.processes.conftest import House, free_port, get, house, until
from workers.alive import signs
from workers.wiring import System, redis_url

BTC = Key("main", "BTC")


class Scene:
    """A worker, two feeds and a paper venue; nothing else runs, so that what is done is the feed's doing."""

    def __init__(self, made: House, system: System, server: EmbeddedServer, control: str) -> None:
        self.house, self.system, self.server, self.control = made, system, server, control
        self.address = made.settings.accounts["main"].wallet_address
        self.feeds = [self.feed("one"), self.feed("two")]

    @property
    def ports(self) -> Ports:
        return self.system.ports("main")

    def feed(self, name: str) -> Any:
        return self.house.start("feed", "--config", str(self.house.config), name=f"feed-{name}")

    def post(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            self.control + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def open(self, **wish: Any) -> None:
        signal = desk.parse_signal(
            account="main",
            symbol="BTC",
            side="long",
            now_ms=self.ports.venue.now_ms(),
            **{"notional": "900", "stop": "2%", **wish},
        )
        until(lambda: self.ports.records.load(BTC).trade is None, 30)
        # a busy machine may keep it waiting longer than a request may take, and the tests before it have spent weight
        away = retry_if_exception_type(VenueAway)
        again = Retrying(retry=away, wait=wait_fixed(2), stop=stop_after_delay(40), reraise=True)
        again(desk.submit, signal, self.ports)

    def row(self) -> Any:
        return next((row for row in showing.positions(self.ports) if row.symbol == "BTC"), None)

    def until_phase(self, phase: str, seconds: float = 20) -> Any:
        return until(lambda: (row := self.row()) is not None and row.phase == phase and row, seconds, f"never {phase}")

    def until_stop(self, seconds: float, *, but: str | None = None) -> Any:
        """Wait for a stop that was seen live, other than one that is gone."""
        return until(
            lambda: (row := self.row()) and row.phase == "protected" and row.stop_order_id not in (None, but) and row,
            seconds,
            lambda: f"no stop came back; the journal:\n{self.story()}",
        )

    def end(self) -> None:
        if self.ports.records.load(BTC).trade is not None:
            desk.ask_close(BTC, self.ports)
            until(lambda: self.ports.records.load(BTC).trade is None, 30, "never closed")

    def story(self) -> str:
        lines = self.ports.journal.read("main", "", 30)
        return "\n".join(f"{line} {fields['kind']}: {fields['text']}" for line, fields in lines)

    def leading(self) -> bool:
        heard = self.ports.prices.heard_ms("main")
        return heard is not None and heard < 3_000


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("feeds")
    port, control = free_port(), free_port()
    more = '\n[accounts.main.risk]\nmax_notional = 40000\n\n[alerts]\nrepeat = "15m"\n'
    redis = 'url = "embedded"'
    with house(folder, base_url=f"http://127.0.0.1:{port}", redis=redis, more=more) as made:
        _faster(made.config)
        server = EmbeddedServer(made.settings.redis.data_dir)
        server.start()
        try:
            made.start("paper", "--port", str(port), "--control-port", str(control), "--prices", "still")
            until(lambda: get(f"http://127.0.0.1:{port}/")[0])
            made.start("worker", "--config", str(made.config), "--name", "all", "--concurrency", "8")
            system = System(made.settings)
            until(lambda: "all" in {sign.process for sign in signs(system.store)})
            ready = Scene(made, system, server, f"http://127.0.0.1:{control}")
            until(ready.leading, what="no feed leads")
            yield ready
            system.close()
        finally:
            made.stop()
            server.stop()


def _faster(config: Path) -> None:
    text = config.read_text().replace('refresh = "11s"', 'refresh = "59s"\ninterval = "5s"')
    config.write_text(text)


@pytest.fixture(autouse=True)
def _clean(scene: Scene) -> Iterator[None]:
    with Redis.from_url(redis_url(scene.house.settings)) as client:  # in an account's life minutes lie between these
        for name in client.scan_iter(match=keys.budget("ip:*")):
            client.delete(name)
    yield
    urllib.request.urlopen(urllib.request.Request(scene.control + "/faults", method="DELETE"), timeout=5).close()
    scene.end()


@pytest.mark.parametrize("announce", [True, False])
def test_a_stop_taken_away_is_back_long_before_the_next_look(scene: Scene, *, announce: bool) -> None:
    scene.open()
    stop = scene.until_stop(20).stop_order_id
    match = {"account": scene.address, "symbol": "BTC"}
    scene.post("/faults", kind="cancel_stop", match=match, announce=announce, delay_ms=200)
    desk.move_stop(BTC, scene.row().stop_price + 100, scene.ports)  # the fault strikes the stop that is placed now
    moved = until(lambda: (row := scene.row()) and row.stop_order_id not in (None, stop) and row.stop_order_id)
    scene.until_stop(20, but=moved)


def test_a_price_at_a_new_best_moves_the_stop_without_any_look_by_the_clock(scene: Scene) -> None:
    scene.open(trail="1%")
    stop = scene.until_stop(20).stop_price
    mark = Decimal(json.loads(get(scene.control + "/mark")[1])["BTC"])
    scene.post("/mark", symbol="BTC", price=str(int(mark * Decimal("1.02"))), hold_ms=60_000)
    until(
        lambda: (row := scene.row()) and row.stop_price > stop * Decimal("1.015") and row.stop_order_id,
        20,
        what=scene.story,
    )


def test_a_fill_of_a_resting_entry_is_covered_at_once_and_one_without_a_feed_is_cancelled(scene: Scene) -> None:
    mark = Decimal(json.loads(get(scene.control + "/mark")[1])["BTC"])
    scene.open(limit=str(int(mark * Decimal("0.99"))), rest=True, expires="1h")
    scene.until_phase("entry_resting")
    scene.post("/mark", symbol="BTC", price=str(int(mark * Decimal("0.985"))), hold_ms=60_000)
    scene.until_phase("protected")
    scene.end()
    scene.post("/mark", symbol="BTC", price=str(int(mark)), hold_ms=60_000)
    scene.open(limit=str(int(mark * Decimal("0.95"))), rest=True, expires="1h")
    scene.until_phase("entry_resting")
    scene.house.stop(*scene.feeds)
    until(lambda: not scene.leading(), 20)
    confirm = scene.house.start("beat", "--config", str(scene.house.config))
    until(lambda: scene.row() is None, 30, "it rests on, and nobody would see it fill")
    scene.house.stop(confirm)
    scene.feeds[:] = [scene.feed("one"), scene.feed("two")]
    until(scene.leading, what="no feed leads again")


def test_zeros_and_jumps_on_the_stream_close_nothing_and_are_counted(scene: Scene) -> None:
    scene.open()
    scene.until_stop(20)
    before = scene.ports.prices.counts("main")
    mark = scene.ports.journal.read("main", "", 1)[-1][0]
    for flaw, how in ((Flaw.ZERO, {"text": "0"}), (Flaw.FAR_OFF, {"factor": "0.5"})):
        scene.post("/faults", kind="bad_price", match={"symbol": "BTC", "action": "stream"}, times=2, **how)
        until(lambda each=flaw: scene.ports.prices.counts("main").get(each, 0) > before.get(each, 0), 20, f"{flaw}?")
    scene.until_stop(20)
    story = [fields["kind"] for _, fields in scene.ports.journal.read("main", mark, 100)]
    assert "Flatten" not in story


def test_another_feed_leads_when_the_leader_dies(scene: Scene) -> None:
    scene.open()
    stop = scene.until_stop(20).stop_order_id
    leader = next(each for each in scene.feeds if each.pid == leading_pid(scene))
    leader.kill()
    leader.wait()
    until(lambda: leading_pid(scene) not in (None, leader.pid), 20, "nobody took over")
    until(scene.leading, 20)
    scene.post("/hand", account=scene.address, symbol="BTC", cancel="stops")
    scene.until_stop(20, but=stop)
    scene.feeds[:] = [*(each for each in scene.feeds if each.poll() is None), scene.feed("three")]


def leading_pid(scene: Scene) -> int | None:
    """Return which process holds the post of the feed."""
    owners = [owner for key, owner, _, _ in scene.ports.leases.holders() if key.symbol == "~feed"]
    return int(owners[0].split("|")[1]) if owners else None


def test_what_is_pushed_while_redis_is_away_for_a_moment_is_looked_for_once_it_is_back(scene: Scene) -> None:
    scene.open()
    stop = scene.until_stop(20).stop_order_id
    until(lambda: leading_pid(scene) in {each.pid for each in scene.feeds})
    match = {"account": scene.address, "action": "openOrders"}  # the event alone tells, and it is lost
    scene.post("/faults", kind="ws_deaf", match=match)
    until(lambda: _looked_ms(scene) > 4_000, 30, "looks go on")
    scene.server.kill()
    scene.post("/hand", account=scene.address, symbol="BTC", cancel="stops")
    until(lambda: any("not passed on" in scene.house.log(name) for name in ("feed-one", "feed-two")), 8)
    scene.server.start()
    until(lambda: _answers(scene), 20)
    until(lambda: _stop_of(scene) not in (None, stop), 20, scene.story)


def _looked_ms(scene: Scene) -> int:
    """Return how long ago anybody looked at the orders."""
    return scene.ports.looks.load("main")[1].get("orders", 0)


def _stop_of(scene: Scene) -> str | None:
    """Return the stop that the record says was seen last; asks the venue nothing."""
    trade = scene.ports.records.load(BTC).trade
    return trade.stop_seen.order_id if trade and trade.stop_seen else None


def test_the_guardian_keeps_the_promise_while_redis_is_gone(scene: Scene) -> None:
    scene.open()
    stop = scene.until_stop(20).stop_order_id
    until(lambda: leading_pid(scene) in {each.pid for each in scene.feeds})
    scene.server.stop()
    scene.post("/hand", account=scene.address, symbol="BTC", cancel="stops")

    def covered() -> bool:
        book = json.loads(get(scene.control + "/witness")[1])[scene.address.lower()]["BTC"]
        return bool(book["naked_intervals"]) and book["naked_intervals"][-1]["to_ms"] is not None

    until(covered, 30, "nobody placed a stop")
    assert any("Redis is gone" in scene.house.log(f"feed-{name}") for name in ("one", "two", "three"))
    scene.server.start()
    until(lambda: _answers(scene), 20)
    scene.until_stop(30, but=stop)
    until(lambda: any(f["kind"] == "guardian" for _, f in scene.ports.journal.read("main", "", 40)), 20)


def _answers(scene: Scene) -> bool:
    try:
        return scene.ports.records.load(BTC).trade is not None
    except StoreGone:
        return False
