"""What is done to the stack and when, as a function of a seed: signals, commands, kills, faults, a person's hand.

All symbols but the last two are never touched by hand: their ledger can be held against the witness to the cent.
What is done to the machine stands in machine.py.
"""

import random
import time
import urllib.error
from collections.abc import Callable

from tests.chaos.machine import Event, Machine
from tests.chaos.stack import SYMBOLS, Stack

OURS = SYMBOLS[:-2]
BY_HAND = SYMBOLS[-2:]


class Breaker(Machine):
    """Carries out events and notes them: those of the machine, and those of the venue and of people."""

    def account(self) -> str:
        """Draw an account, and keep it for the event that is on."""
        self.drawn = self.random.choice(tuple(self.stack.addresses))
        return self.drawn

    # signals and commands ---------------------------------------------------------------------------------------------
    def open(self) -> None:
        pick, account = self.random, self.account()
        held = self.stack.held(account)
        symbol = next((each for each in pick.sample(SYMBOLS, 4) if each not in held), SYMBOLS[0])
        side, stop = pick.choice(("long", "short")), pick.choice(("1%", "2%", "3%"))
        wish = {"notional": str(pick.randrange(200, 900)), "stop": stop, "signal_id": f"{self.name}-{self.signals}"}
        wish |= {"target": pick.choice(("2%", "4%"))} if pick.random() < 0.4 else {}
        self.signals += 1
        for _ in range(2 if pick.random() < 0.2 else 1):
            self.stack.signal(symbol, side, account, **wish)
        self.note("open", symbol, note=f"{side} {wish}")

    def close(self) -> None:
        account = self.account()
        symbol = self.random.choice(sorted(self.stack.held(account)) or SYMBOLS)
        if self.random.random() < 0.75:
            self.stack.close(symbol, account)
            self.note("close", symbol)
            return
        part = ["--part", "50%"] if self.random.random() < 0.5 else []
        self.stack.ask("close", account, symbol, *part)
        self.note("close", symbol, note=" ".join(part))

    def move_stop(self) -> None:
        account, symbol = self.account(), self.random.choice(SYMBOLS)
        for row in self.stack.orders(account):
            if row["coin"] == symbol and row["orderType"] == "Stop Market":
                trigger, mark = float(row["triggerPx"]), float(self.stack.get("/mark")[symbol])
                wanted = f"{trigger + 0.4 * (mark - trigger):.5g}"
                self.stack.ask("stop", account, symbol, "--to", wanted)
                self.note("move_stop", symbol, note=wanted)
                return

    def pause(self) -> None:
        account = self.account()
        self.stack.ask("pause", account)
        self.later(2.5, lambda: self.stack.ask("resume", account))
        self.note("pause")

    # the venue --------------------------------------------------------------------------------------------------------
    def fault(self, kind: str, *, action: str | None = None, all_symbols: bool = False, **more: object) -> None:
        symbol = None if all_symbols else self.random.choice(SYMBOLS)
        self.stack.fault(kind, symbol, action, self.account(), **more)
        delay = more.get("delay_ms", 0)
        self.note(kind, symbol, float(delay) if isinstance(delay, int) else 0.0, f"{action or ''} {more}")

    def hide(self) -> None:
        kind = self.random.choice(("hide_position", "hide_orders", "hide_fills"))
        symbol = self.random.choice(SYMBOLS)
        delay, span = self.random.choice((1500, 2500)), 8.0  # a view later than the lag is not in the rules
        made = self.stack.fault(kind, symbol, account=self.account(), delay_ms=delay)
        self.later(span, lambda: self.stack.drop_fault(made))
        self.note(kind, symbol, span * 1000 + delay, f"{delay} ms")

    def overrun(self) -> None:
        """Push a mark through a stop, with or without a stop that does not fill."""
        account = self.account()
        rows = [
            row for row in self.stack.orders(account) if row["orderType"] == "Stop Market" and row["coin"] in SYMBOLS
        ]
        if not rows:
            return
        row = self.random.choice(sorted(rows, key=lambda each: str(each["coin"])))
        symbol, trigger = row["coin"], float(row["triggerPx"])
        price = trigger * (0.998 if row["side"] == "A" else 1.002)
        if self.random.random() < 0.5:
            then = self.random.choice(("fill", "reject"))
            self.stack.fault("stop_no_fill", symbol, account=account, delay_ms=1500, then=then)
            self.note("stop_no_fill", symbol, 1500, then)
        self.stack.post("/mark", symbol=symbol, price=f"{price:.5g}", hold_ms=2500)
        self.drawn = None  # a mark is everybody's
        self.note("overrun", symbol, note=f"{price:.5g}")

    # a person ---------------------------------------------------------------------------------------------------------
    def hand(self) -> None:
        account, symbol = self.account(), self.random.choice(BY_HAND)
        mark, held = float(self.stack.get("/mark")[symbol]), self.stack.held(account).get(symbol, 0.0)
        small = float(f"{300 / mark:.2f}")
        if not held:
            what, side, size = "hand_open", self.random.choice(("buy", "sell")), small
        else:
            what = self.random.choice(("hand_enlarge", "hand_close", "hand_flip", "hand_part"))
            with_it, against = ("buy", "sell") if held > 0 else ("sell", "buy")
            side = with_it if what == "hand_enlarge" else against
            size = {"hand_enlarge": small, "hand_flip": abs(held) + small, "hand_part": abs(held) / 2}.get(what, 0)
        if what == "hand_close":
            done = self.stack.hand(account, symbol=symbol, close=True)
        else:
            done = self.stack.hand(account, symbol=symbol, side=side, size=f"{size:.2f}")
        if done:
            self.note(what, symbol, note=f"{side} {size:.2f} of {held}")

    def hand_cancel(self) -> None:
        account, symbol = self.account(), self.random.choice(SYMBOLS)
        if self.stack.hand(account, symbol=symbol, cancel="stops"):
            self.note("hand_cancel", symbol)


def deck(breaker: Breaker) -> dict[str, tuple[int, Callable[[], None]]]:
    """Return everything that may happen, with how often it is in the deck."""
    fault = breaker.fault
    return {
        "open": (22, breaker.open),
        "close": (12, breaker.close),
        "move_stop": (3, breaker.move_stop),
        "pause": (1, breaker.pause),
        "kill": (4, breaker.kill),
        "freeze": (1, breaker.freeze),
        "kill_redis": (1, breaker.kill_redis),
        "restart_redis": (1, breaker.restart_redis),
        "lose_message": (2, breaker.lose_message),
        "cut": (1, breaker.cut),
        "two": (1, breaker.two),
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


def play(stack: Stack, seed: int, seconds: float, pause_s: float, events: list[Event]) -> int:
    """Do things to the stack for so long and note them; return how many signals were sent. One seed, one deck."""
    breaker = Breaker(stack, random.Random(seed), events, name=f"s{seed}-{len(events)}")
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
            breaker.drawn = None
            try:
                cards[hand.pop()][1]()
            except (OSError, urllib.error.URLError) as error:  # a read of ours met a fault: that card is lost
                breaker.note("lost", note=repr(error))
            time.sleep(breaker.random.uniform(0.3, 1.7) * pause_s)
    finally:
        breaker.finish()
    return breaker.signals
