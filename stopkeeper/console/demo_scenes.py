"""The demo's script: what is done to the stack, in which order, and what is waited for. No setting up, no report."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from stopkeeper.console import words
from stopkeeper.console.backend import House
from stopkeeper.console.demo_venue import PaperControl
from stopkeeper.console.demo_view import View
from stopkeeper.console.failures import Failure
from stopkeeper.core.model import Key
from stopkeeper.core.report import Phase, PositionRow
from stopkeeper.engine import desk, showing
from stopkeeper.engine.ports import Ports, StoreGone

FRAME_S = 0.25
PATIENCE_S = 30.0
HELD_BY_HAND = "HYPE"


@dataclass
class Stage:
    """What a scene works with, and what it leaves for the report."""

    house: House
    ports: Ports
    control: PaperControl
    view: View
    pace: float = 1.0
    trades: dict[str, str] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Return the account's address at the paper venue: the only one there."""
        return next(iter(self.control.witness()), "")

    def rows(self) -> dict[str, PositionRow]:
        """Return what is held, by symbol, and show it."""
        held = {row.symbol: row for row in showing.positions(self.ports)}
        with contextlib.suppress(Failure):
            self.view.look(list(held.values()), self.control.marks())
        return held

    def until(self, done: Callable[[dict[str, PositionRow]], bool], what: str, patience: float = PATIENCE_S) -> None:
        """Look until something is so; what never comes is noted for the report and the demo goes on."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            with contextlib.suppress(StoreGone):
                if done(self.rows()):
                    return
            time.sleep(FRAME_S)
        self.unmet.append(what)
        self.view.event(f"[bold red]not seen within {patience:.0f} s:[/] {what}")

    def watch(self, seconds: float) -> None:
        """Let time pass and show it."""
        end = time.monotonic() + seconds * self.pace
        while time.monotonic() < end:
            self.rows()
            time.sleep(FRAME_S)

    def open(self, symbol: str, side: str, *, notional: str, stop: str, target: str | None = None) -> None:
        """Submit a signal as ``stopkeeper open`` does."""
        signal_asked = desk.parse_signal(
            account=self.ports.account,
            symbol=symbol,
            side=side,
            notional=notional,
            stop=stop,
            target=() if target is None else (target,),
            signal_id=f"demo-{symbol.lower()}",
            now_ms=self.ports.venue.now_ms(),
        )
        submitted = desk.submit(signal_asked, self.ports)
        self.trades[symbol] = submitted.trade_id
        self.house.nudge(Key(self.ports.account, symbol))


def play(stage: Stage) -> None:
    """Play every scene."""
    for scene in (
        _entries,
        _same_signal,
        _stop_moves,
        _stop_taken_away,
        _price_of_zero,
        _by_hand,
        _stop_fires,
        _target_fires,
        _closing,
    ):
        scene(stage)
    stage.watch(1)


def _protected(*symbols: str) -> Callable[[dict[str, PositionRow]], bool]:
    return lambda held: all(symbol in held and held[symbol].phase is Phase.PROTECTED for symbol in symbols)


@contextlib.contextmanager
def _faults(stage: Stage, *ids: str) -> Iterator[None]:
    try:
        yield
    finally:
        for each in ids:
            stage.control.drop(each)


def _entries(stage: Stage) -> None:
    control, view = stage.control, stage.view
    view.title("1  three entries: one loses its answer, one shows its fill late, one loses its worker")
    lost = [control.fault("drop_answer", symbol=symbol, action="entry") for symbol in ("BTC", "ETH")]
    late = control.fault("late", symbol="SOL", action="entry", delay_ms=2_500)
    slow = [
        control.fault(kind, symbol="ETH", delay_ms=4_000) for kind in ("hide_fills", "hide_position")
    ]  # fmt: skip
    with _faults(stage, late, *lost, *slow):
        stage.open("BTC", "long", notional="1500", stop="2%", target="5%")
        view.event("open BTC long: its answer is lost on the way back")
        stage.open("ETH", "long", notional="1200", stop="2%", target="3%")
        view.event("open ETH long: its answer is lost, and the venue shows position and fill 4 s late")
        stage.open("SOL", "short", notional="800", stop="3%")
        view.event("open SOL short: its answer takes 2.5 s, time enough to kill its worker")
        _kill_the_worker_of(stage, "SOL", late)
        stage.until(_protected("BTC"), "BTC protected")
        stage.until(_protected("BTC", "ETH", "SOL"), "BTC, ETH and SOL protected")
        stage.until(lambda _: _at_rest(stage, "SOL"), "SOL taken over by another worker")
    view.event("every position has its stop; another worker brought SOL to rest, the dead one is started again")
    stage.watch(5)


def _at_rest(stage: Stage, symbol: str) -> bool:
    """Tell whether a drive of the symbol has ended with the position protected: it says so in the journal."""
    lines = stage.ports.journal.read(stage.ports.account, "", 200)
    return any(line.get("symbol") == symbol and line.get("kind") == Phase.PROTECTED for _, line in lines)


def _same_signal(stage: Stage) -> None:
    stage.view.title("2  the signal for BTC comes twice more, under the same id")
    for _ in range(2):
        stage.open("BTC", "long", notional="1500", stop="2%", target="5%")
    stage.watch(5)
    stage.view.event("one signal is one trade: nothing was entered again")


def _stop_moves(stage: Stage) -> None:
    stage.view.title("3  stopkeeper stop main ETH --to: the new stop stands before the old one goes")
    row, mark = stage.rows().get("ETH"), stage.control.marks()["ETH"]
    if row is None or row.stop_price is None:
        stage.unmet.append("ETH held with a stop")
        return
    wanted = row.stop_price + (mark - row.stop_price) / 4
    asked = desk.move_stop(Key(stage.ports.account, "ETH"), wanted, stage.ports)
    stage.house.nudge(Key(stage.ports.account, "ETH"))
    stage.view.event(f"asked for {words.amount(asked.stop_price)} instead of {words.amount(row.stop_price)}")
    stage.until(
        lambda held: _protected("ETH")(held) and held["ETH"].stop_price == asked.stop_price, "the stop of ETH moved"
    )
    stage.watch(5)


def _kill_the_worker_of(stage: Stage, symbol: str, fault: str) -> None:
    """Wait until the venue has taken the entry and sits on the answer, then kill -9 whoever holds the key's lease."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if stage.control.used(fault):
            owner = next((who for key, who, _, _ in stage.ports.leases.holders() if key.symbol == symbol), "")
            pid = owner.split("|")[1] if owner.count("|") >= 2 else ""
            if pid.isdigit():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
                stage.view.event(f"[bold]kill -9 {pid}[/]: the worker that was entering {symbol} is gone mid-flight")
                return
        time.sleep(0.02)
    stage.unmet.append(f"a worker caught in the middle of the entry of {symbol}")


def _stop_taken_away(stage: Stage) -> None:
    stage.view.title("4  somebody cancels the stop of BTC behind our back")
    before = stage.rows().get("BTC")
    stage.control.hand(stage.address, "BTC", cancel="stops")
    stage.view.event("the stop is gone from the venue")
    gone = before.stop_order_id if before else None
    stage.until(
        lambda held: _protected("BTC")(held) and held["BTC"].stop_order_id not in (None, gone), "BTC protected anew"
    )
    stage.watch(5)


def _price_of_zero(stage: Stage) -> None:
    stage.view.title("5  the stream shows a price of 0 for 6 s, as after some reconnects")
    with _faults(stage, stage.control.fault("zero_price", delay_ms=6_000)):
        time.sleep(0 if stage.pace >= 1 else 2)  # in a hurry too, the 0 must have been on the stream
        stage.watch(8)
    stage.until(_protected("BTC", "ETH", "SOL"), "BTC, ETH and SOL still held and protected")
    stage.view.event("0 is no price: nothing was closed")


def _by_hand(stage: Stage) -> None:
    stage.view.title(f"6  a person opens {HELD_BY_HAND} on the venue's own page, without a stop")
    mark = stage.control.marks()[HELD_BY_HAND]
    size = (Decimal(400) / mark).quantize(Decimal("0.1"))
    stage.control.hand(stage.address, HELD_BY_HAND, side="buy", size=str(size))
    stage.view.event(f"bought {size} {HELD_BY_HAND} by hand")
    stage.until(_protected(HELD_BY_HAND), f"{HELD_BY_HAND} found and protected", 45)
    stage.watch(5)


def _stop_fires(stage: Stage) -> None:
    stage.view.title("7  the market falls through the stop of BTC")
    _push_beyond(stage, "BTC", "stop", Decimal("0.999"))


def _target_fires(stage: Stage) -> None:
    stage.view.title("8  the market rises through the target of ETH")
    _push_beyond(stage, "ETH", "target", Decimal("1.001"))


def _push_beyond(stage: Stage, symbol: str, what: str, factor: Decimal) -> None:
    row = stage.rows().get(symbol)
    price = None if row is None else row.stop_price if what == "stop" else row.target_price
    if price is None:
        stage.unmet.append(f"{symbol} held with a {what}")
        return
    mark = (price * factor).quantize(Decimal(1) if price > 10_000 else Decimal("0.1"))
    stage.control.push(symbol, mark, 3_000)
    stage.view.event(f"mark of {symbol} at {mark}, {what} at {words.amount(price)}")
    stage.until(lambda held: symbol not in held, f"{symbol} closed by its {what}")
    stage.until(lambda _: _booked(stage, symbol), f"{symbol} booked")
    stage.watch(4)


def _booked(stage: Stage, symbol: str) -> bool:
    wanted = stage.trades.get(symbol)
    return any(line.trade.id == wanted for line in stage.ports.ledger.lines(stage.ports.account))


def _closing(stage: Stage) -> None:
    stage.view.title("9  stopkeeper close main SOL")
    key = Key(stage.ports.account, "SOL")
    desk.ask_close(key, stage.ports)
    stage.house.nudge(key)
    stage.until(lambda held: "SOL" not in held and _booked(stage, "SOL"), "SOL closed and booked")
