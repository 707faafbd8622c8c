"""The scenes in which a worker dies or freezes: what is done before it is armed, and what makes it pass its point.

A scene plays on one symbol of one cell. It judges nothing.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from redis import Redis

from stopkeeper.core.ids import trade_id
from stopkeeper.core.model import Key
from stopkeeper.engine import desk
from stopkeeper.store import keys
from tasks import queues
from tests.chaos.cell import Cell, until
from tests.chaos.stack import MAIN, SYMBOLS
from workers.wiring import redis_url

SET_S = 25.0
SENDINGS, AGAIN_S = 6, 4.0
HOUR_MS = 3_600_000
BEFORE_HOUR_MS = 12_000
LOOKS_TO_BELIEVE = 4  # a second apart: a time that lies ahead is believed by three answers over two seconds
SKIPPED_S = 5.0  # what is answered in the old time is over
THAW = signal.SIGCONT
BARRED = "User or API Wallet 0x0000000000000000000000000000000000000000 does not exist."


@dataclass
class Stage:
    """Where a scene plays: a cell, a symbol, and the signal's own id."""

    cell: Cell
    symbol: str
    signal_id: str
    leverage: int = 5  # another than the last time, so that it is set anew
    wish: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(MAIN, self.symbol)

    def open(self, **wish: Any) -> None:
        """Send the scene's signal: for a long with a stop."""
        usual = {"notional": "300", "stop": "3%", "signal_id": self.signal_id, "leverage": self.leverage}
        self.wish = usual | wish
        self.cell.signal(self.symbol, **self.wish)

    def again(self) -> None:
        """Send the same signal once more, as a sender does who heard nothing."""
        if self.wish:
            self.cell.signal(self.symbol, **self.wish)

    def accepted(self) -> None:
        """Wait until the signal is accepted; send it again and again, for a frozen worker may have taken it."""
        trade = trade_id(self.cell.ports.installation, MAIN, self.signal_id)
        for _ in range(SENDINGS):
            if not self.wish or until(lambda: self.cell.ports.records.signal(trade), AGAIN_S):
                return
            self.again()
        raise AssertionError(f"{self.signal_id} is not accepted")

    def held(self, **wish: Any) -> None:
        """Open, and wait until the position is protected and its key at rest."""
        self.open(**wish)
        assert until(lambda: self.cell.protected(self.symbol), SET_S), f"{self.symbol} is not protected"
        assert until(self._rests, SET_S), f"{self.key} does not rest"

    def _rests(self) -> bool:
        return all(held != self.key for held, _, _, _ in self.cell.ports.leases.holders())

    def drive(self) -> None:
        self.cell.publish(queues.DRIVE, MAIN, self.symbol)


@dataclass(frozen=True)
class Scene:
    """What happens before the worker is armed, and then.

    ``naked``: the scene takes a cover away; ``leads``: not a worker strikes but the feed.
    """

    name: str
    act: Callable[[Stage], object]
    prepare: Callable[[Stage], object] = lambda _stage: None
    naked: bool = False
    by_hand: bool = False
    leads: bool = False


def _enter(stage: Stage) -> None:
    stage.open(target="4%")


def _held(stage: Stage) -> None:
    stage.held(target="4%")


def _move(stage: Stage) -> None:
    desk.move_stop(stage.key, Decimal(f"{stage.cell.mark(stage.symbol) * 0.985:.5g}"), stage.cell.ports)


def _trail(stage: Stage) -> None:
    stage.cell.push(stage.symbol, stage.cell.mark(stage.symbol) * 1.02, 15_000)


def _close(stage: Stage) -> None:
    stage.cell.publish(queues.CLOSE_POSITION, MAIN, stage.symbol)


def _fire(stage: Stage) -> None:
    stage.cell.push(stage.symbol, stage.cell.mark(stage.symbol) * 0.965, 3_000)


def _to_be_canceled(stage: Stage) -> None:
    stage.cell.stack.fault("cancel_stop", stage.symbol, delay_ms=4_000)
    stage.held()


def _cancel_silently(stage: Stage) -> None:
    until(lambda: stage.cell.naked(stage.symbol), 10)
    stage.cell.publish(queues.SWEEP_ACCOUNT, MAIN)


def _led(stage: Stage) -> None:
    """Hold a position, with the feed leading: it hears what happens at the venue."""
    leader = f"|{stage.cell.feeds[-1].pid}|"
    leads = until(lambda: any(leader in owner for _, owner, _, _ in stage.cell.ports.leases.holders()), SET_S)
    assert leads, "the feed does not lead"
    _held(stage)


def _strip(stage: Stage) -> None:
    assert stage.cell.stack.hand(symbol=stage.symbol, cancel="stops")


def _led_without_redis(stage: Stage) -> None:
    """Hold a position with the feed leading, and have Redis silent for so long that the guardian is at work."""
    _led(stage)
    stage.cell.silence_redis()
    time.sleep(stage.cell.ports.times.guardian_ms / 1000 + 1)


def _forget(stage: Stage) -> None:
    """Lose what is on record of a key, and what is kept of the venue's history, as after the loss of Redis."""
    with Redis.from_url(redis_url(stage.cell.system.settings)) as client:
        client.delete(keys.record(stage.key), *client.scan_iter(keys.text("history:*")))


def _find(stage: Stage) -> None:
    size = f"{300 / stage.cell.mark(stage.symbol):.2f}"
    assert stage.cell.stack.hand(symbol=stage.symbol, side="buy", size=size)


def _refuse(stage: Stage) -> None:
    stage.open(limit=f"{stage.cell.mark(stage.symbol) * 0.97:.5g}", stop="5%")


def _rest(stage: Stage) -> None:
    stage.open(limit=f"{stage.cell.mark(stage.symbol) * 0.98:.5g}", stop="5%", rest=True)
    until(lambda: bool(stage.cell.ours(stage.symbol)), 5)
    stage.drive()


def _lose_target(stage: Stage) -> None:
    target = next(row for row in stage.cell.ours(stage.symbol) if "Take Profit" in row["orderType"])
    assert stage.cell.stack.hand(symbol=stage.symbol, cancel=str(target["oid"]))
    stage.drive()


def _bar(stage: Stage) -> None:
    stage.cell.stack.fault("error", stage.symbol, "order", text=BARRED)
    stage.open()


def _doubt(stage: Stage) -> None:
    stage.cell.stack.fault("bad_price", stage.symbol, "position", factor="0.9", delay_ms=6_000)
    stage.drive()


def _crowd(stage: Stage) -> None:
    """Wake the key many times at once, at a slow venue: all but one drive find it taken."""
    stage.cell.stack.post("/settings", latency_ms=400)
    for _ in range(5):
        stage.drive()


def _steal(stage: Stage) -> None:
    """Take the lease of a drive in progress away, as a process does that holds it for dead."""
    stage.cell.stack.post("/settings", latency_ms=400)
    stage.drive()
    with Redis.from_url(redis_url(stage.cell.system.settings)) as client:
        until(lambda: client.sismember(keys.leases(), keys.member(stage.key)), 8, 0.005)
        client.hincrby(keys.lease(stage.key), "fence", 1)


def _deaf(stage: Stage) -> None:
    """Let no stream tell a mark, so that whoever needs one asks."""
    stage.cell.stack.fault("ws_silence", delay_ms=60_000)

    def stale() -> bool:
        price = stage.cell.ports.prices.get(MAIN, stage.symbol)
        return price is None or price.age_ms > 2 * stage.cell.ports.times.look_fresh_ms

    assert until(stale, SET_S), "the marks stay fresh"


def _held_to_the_hour(stage: Stage) -> None:
    """Set the venue's clock forward once a position is held, so that a full hour strikes: funding is asked for."""
    _held(stage)
    _skip(stage, HOUR_MS - stage.cell.venue_ms() % HOUR_MS - BEFORE_HOUR_MS)


def _skip(stage: Stage, skew_ms: int) -> None:
    stage.cell.stack.post("/faults", kind="clock_skew", skew_ms=skew_ms)


def _close_in_the_hour(stage: Stage) -> None:
    until(lambda: stage.cell.venue_ms() % HOUR_MS < HOUR_MS / 2, BEFORE_HOUR_MS / 1000 + 1)
    _close(stage)


def _close_without_funding(stage: Stage) -> None:
    """Let funding stay unread for longer than a booking waits for it."""
    stage.cell.stack.fault("http_502", action="userFunding", times=None)
    _close_in_the_hour(stage)
    assert until(lambda: symbol_is_flat(stage), SET_S), "it stays open"
    for _ in range(2):  # booked as incomplete, then tried again in vain
        time.sleep(SKIPPED_S)
        _skip(stage, stage.cell.ports.rules.incomplete_after_ms)
        for _ in range(LOOKS_TO_BELIEVE):
            stage.cell.ports.wakes.wake(stage.key, "later")
            time.sleep(1.0)


def symbol_is_flat(stage: Stage) -> bool:
    return stage.symbol not in stage.cell.stack.held()


def _clocks(stage: Stage) -> None:
    """Publish what beat publishes."""
    for task in (queues.SWEEP_ALL, queues.REFRESH_STOPS, queues.CONFIRM_FILLS, queues.DRAIN_DUE):
        stage.cell.publish(task)


SCENES = {
    scene.name: scene
    for scene in (
        Scene("entry", _enter),
        Scene("move", _move, _held),
        Scene("trail", _trail, lambda stage: stage.held(trail="atr:1")),
        Scene("close", _close, _held),
        Scene("booking", _fire, _held),
        Scene("silent cancel", _cancel_silently, _to_be_canceled, naked=True),
        Scene("stripped", _strip, _held, naked=True),
        Scene("leader", _strip, _led, naked=True, leads=True),
        Scene("guardian", _strip, _led_without_redis, naked=True, leads=True),
        Scene("lost record", _enter, _forget),
        Scene("found", _find, naked=True, by_hand=True),
        Scene("refused", _refuse),
        Scene("resting", _rest),
        Scene("target", _lose_target, _held),
        Scene("barred", _bar),
        Scene("two prices", _doubt, _held),
        Scene("crowd", _crowd, _held),
        Scene("stolen lease", _steal, _held),
        Scene("clocks", _clocks, _held),
        Scene("deaf", _enter, _deaf),
        Scene("funding", _close_in_the_hour, _held_to_the_hour),
        Scene("correction", _close_without_funding, _held_to_the_hour),
    )
}
TIMELESS = ("funding", "correction")  # they set the venue's clock, and it does not run back
LAST = (*TIMELESS, "guardian")  # what they leave is no installation to play on in: nor is one whose beat has ended
FOR_OURS, FOR_HAND = SYMBOLS[:-2], SYMBOLS[-2:]


def calm(cell: Cell) -> None:
    """End what scenes leave at the venue and on the account."""
    for rule in cell.stack.get("/faults"):
        if rule["kind"] != "clock_skew":  # a venue's clock does not run back
            cell.stack.drop_fault(rule["id"])
    cell.stack.post("/settings", latency_ms=0)
    desk.resume(cell.ports)
