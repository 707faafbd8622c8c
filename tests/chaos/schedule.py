"""What is done to the stack and when, as a function of a seed: signals, commands, kills, faults, a person's hand.

BTC, ETH, SOL and DOGE are never touched by hand, so that their ledger can be held against the witness to the cent.
"""

import contextlib
import random
import signal
import threading
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.stack import SYMBOLS, Stack, now_ms

OURS = SYMBOLS[:4]
BY_HAND = SYMBOLS[4:]
STOPPED_S = 12.0  # longer than a lease
KILLED = ("urgent-1", "orders-1", "orders-2", "beat", "feed")


@dataclass(frozen=True)
class Event:
    """Something that was done: when, what, to which symbol (none: to all), and until when it works on its own."""

    at_ms: float
    kind: str
    symbol: str | None = None
    lasts_ms: float = 0.0
    note: str = ""


@dataclass
class Breaker:
    """Carries out events and notes them."""

    stack: Stack
    random: random.Random
    events: list[Event]
    signals: int = 0
    _timers: list[threading.Timer] = field(default_factory=list)
    _frozen: set[str] = field(default_factory=set)

    def note(self, kind: str, symbol: str | None = None, lasts_ms: float = 0.0, note: str = "") -> None:
        self.events.append(Event(now_ms(), kind, symbol, lasts_ms, note))

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        def quietly() -> None:
            with contextlib.suppress(OSError, urllib.error.URLError):
                what()

        timer = threading.Timer(seconds, quietly)
        self._timers.append(timer)
        timer.start()

    def finish(self) -> None:
        """Wait for what was put off."""
        for timer in self._timers:
            timer.join()

    # signals and commands ---------------------------------------------------------------------------------------------
    def open(self) -> None:
        pick, symbol = self.random, self.random.choice(SYMBOLS)
        side, stop = pick.choice(("long", "short")), pick.choice(("1%", "2%", "3%"))
        wish = {"notional": str(pick.randrange(200, 900)), "stop": stop, "signal_id": f"s{self.signals}"}
        wish |= {"target": pick.choice(("2%", "4%"))} if pick.random() < 0.4 else {}
        self.signals += 1
        for _ in range(2 if pick.random() < 0.2 else 1):
            self.stack.signal(symbol, side, **wish)
        self.note("open", symbol, note=f"{side} {wish}")

    def close(self) -> None:
        symbol = self.random.choice(SYMBOLS)
        part = ["--part", "50%"] if self.random.random() < 0.25 else []
        self.stack.ask("close", "main", symbol, *part)
        self.note("close", symbol, note=" ".join(part))

    def move_stop(self) -> None:
        symbol = self.random.choice(SYMBOLS)
        for row in self.stack.orders():
            if row["coin"] == symbol and row["orderType"] == "Stop Market":
                trigger, mark = float(row["triggerPx"]), float(self.stack.get("/mark")[symbol])
                wanted = f"{trigger + 0.4 * (mark - trigger):.5g}"
                self.stack.ask("stop", "main", symbol, "--to", wanted)
                self.note("move_stop", symbol, note=wanted)
                return

    def pause(self) -> None:
        self.stack.ask("pause", "main")
        self.later(2.5, lambda: self.stack.ask("resume", "main"))
        self.note("pause")

    # the machine ------------------------------------------------------------------------------------------------------
    def kill(self) -> None:
        name = self.random.choice(KILLED)
        if name not in self._frozen and self.stack.strike(name, signal.SIGKILL):
            self.note("kill", lasts_ms=12_000, note=name)

    def freeze(self) -> None:
        name = self.random.choice(KILLED[:3])
        if name in self._frozen:
            return
        pid = self.stack.strike(name, signal.SIGSTOP)
        if pid is not None:
            self._frozen.add(name)
            self.note("freeze", lasts_ms=STOPPED_S * 1000, note=name)

            def thaw() -> None:
                if self.stack.children().get(name) == pid:
                    self.stack.strike(name, signal.SIGCONT)
                self._frozen.discard(name)

            self.later(STOPPED_S, thaw)

    def kill_redis(self) -> None:
        if self.stack.strike("redis", signal.SIGKILL):
            self.note("kill_redis", lasts_ms=10_000)

    # the venue --------------------------------------------------------------------------------------------------------
    def fault(self, kind: str, *, action: str | None = None, all_symbols: bool = False, **more: object) -> None:
        symbol = None if all_symbols else self.random.choice(SYMBOLS)
        self.stack.fault(kind, symbol, action, **more)
        delay = more.get("delay_ms", 0)
        self.note(kind, symbol, float(delay) if isinstance(delay, int) else 0.0, f"{action or ''} {more}")

    def hide(self) -> None:
        kind = self.random.choice(("hide_position", "hide_orders", "hide_fills"))
        symbol = self.random.choice(SYMBOLS)
        delay, span = self.random.choice((1500, 4000)), 8.0
        made = self.stack.post(
            "/faults", kind=kind, match={"account": self.stack.address, "symbol": symbol}, delay_ms=delay
        )
        self.later(span, lambda: self.stack.drop_fault(made["id"]))
        self.note(kind, symbol, span * 1000 + delay, f"{delay} ms")

    def overrun(self) -> None:
        """Push a mark through a stop, with or without a stop that does not fill."""
        rows = [row for row in self.stack.orders() if row["orderType"] == "Stop Market" and row["coin"] in SYMBOLS]
        if not rows:
            return
        row = self.random.choice(sorted(rows, key=lambda each: str(each["coin"])))
        symbol, trigger = row["coin"], float(row["triggerPx"])
        price = trigger * (0.998 if row["side"] == "A" else 1.002)
        if self.random.random() < 0.5:
            then = self.random.choice(("fill", "reject"))
            self.stack.fault("stop_no_fill", symbol, delay_ms=1500, then=then)
            self.note("stop_no_fill", symbol, 1500, then)
        self.stack.post("/mark", symbol=symbol, price=f"{price:.5g}", hold_ms=2500)
        self.note("overrun", symbol, note=f"{price:.5g}")

    # a person ---------------------------------------------------------------------------------------------------------
    def hand(self) -> None:
        symbol = self.random.choice(BY_HAND)
        mark, held = float(self.stack.get("/mark")[symbol]), self.stack.held().get(symbol, 0.0)
        small = float(f"{300 / mark:.2f}")
        if not held:
            what, side, size = "hand_open", self.random.choice(("buy", "sell")), small
        else:
            what = self.random.choice(("hand_enlarge", "hand_close", "hand_flip", "hand_part"))
            with_it, against = ("buy", "sell") if held > 0 else ("sell", "buy")
            side = with_it if what == "hand_enlarge" else against
            size = {"hand_enlarge": small, "hand_flip": abs(held) + small, "hand_part": abs(held) / 2}.get(what, 0)
        if what == "hand_close":
            done = self.stack.hand(symbol=symbol, close=True)
        else:
            done = self.stack.hand(symbol=symbol, side=side, size=f"{size:.2f}")
        if done:
            self.note(what, symbol, note=f"{side} {size:.2f} of {held}")

    def hand_cancel(self) -> None:
        symbol = self.random.choice(SYMBOLS)
        if self.stack.hand(symbol=symbol, cancel="stops"):
            self.note("hand_cancel", symbol)


def deck(breaker: Breaker) -> dict[str, tuple[int, Callable[[], None]]]:
    """Return everything that may happen, with how often it is in the deck."""
    fault = breaker.fault
    return {
        "open": (14, breaker.open),
        "close": (4, breaker.close),
        "move_stop": (3, breaker.move_stop),
        "pause": (1, breaker.pause),
        "kill": (3, breaker.kill),
        "freeze": (1, breaker.freeze),
        "kill_redis": (1, breaker.kill_redis),
        "hide": (2, breaker.hide),
        "overrun": (3, breaker.overrun),
        "hand": (4, breaker.hand),
        "hand_cancel": (1, breaker.hand_cancel),
        "drop_answer": (2, lambda: fault("drop_answer", action="order")),
        "refuse_before": (1, lambda: fault("refuse_before", action="order")),
        "late_processing": (1, lambda: fault("late_processing", action="order", delay_ms=6000)),
        "late": (1, lambda: fault("late", action="order", delay_ms=4000)),
        "refuse_stop": (1, lambda: fault("refuse_stop", text="Invalid TP/SL price. asset=0")),
        "cancel_stop": (1, lambda: fault("cancel_stop", delay_ms=1500, announce=True)),
        "cancel_stop_silently": (1, lambda: fault("cancel_stop", delay_ms=1500)),
        "partial_fill": (1, lambda: fault("partial_fill", fraction="0.3")),
        "partial_close": (1, lambda: fault("partial_fill", action="close", fraction="0.4")),
        "http_429": (1, lambda: fault("http_429", all_symbols=True, times=3)),
        "http_502": (1, lambda: fault("http_502", all_symbols=True, times=3)),
        "ws_drop": (1, lambda: fault("ws_drop", all_symbols=True)),
        "ws_silence": (1, lambda: fault("ws_silence", all_symbols=True, delay_ms=5000)),
        "zero_price": (1, lambda: fault("zero_price", delay_ms=2000)),
    }


def play(stack: Stack, seed: int, seconds: float, pause_s: float, events: list[Event]) -> None:
    """Do things to the stack for so long and note them. One seed deals one order of cards."""
    breaker = Breaker(stack, random.Random(seed), events)
    cards = deck(breaker)
    end = time.monotonic() + seconds
    hand: list[str] = []
    for _ in range(3):
        breaker.open()
    try:
        while time.monotonic() < end:
            if not hand:
                hand = [name for name, (count, _) in cards.items() for _ in range(count)]
                breaker.random.shuffle(hand)
            try:
                cards[hand.pop()][1]()
            except (OSError, urllib.error.URLError) as error:  # a read of ours met a fault: that card is lost
                breaker.note("lost", note=repr(error))
            time.sleep(breaker.random.uniform(0.3, 1.7) * pause_s)
    finally:
        breaker.finish()
