"""What stands between a true market and the engine in a distorted day: a line that spoils, a venue that fails."""

import random
from collections import Counter
from decimal import Decimal
from typing import Any

from benchmarks.virtual import STREAM_MS, Message, World
from stopkeeper.core.prices import Flaw

TEXTS: tuple[tuple[str, Any, Flaw], ...] = (
    ("zero", "0.0", Flaw.ZERO),
    ("nan", "NaN", Flaw.NOT_FINITE),
    ("infinite", "Infinity", Flaw.NOT_FINITE),
    ("negative", "-1", Flaw.NEGATIVE),
    ("null", None, Flaw.NOTHING),
    ("text", "n/a", Flaw.NOTHING),
)

STOP_FAULTS = ("stop_no_fill", "cancel_stop")


class BadLine:
    """A line that spoils what it carries, by the dice of a seed. ``done`` counts what it did."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"line:{seed}")
        self.done: Counter[str] = Counter()
        self._silent_until_ms = 0
        self._frozen: dict[str, tuple[int, str]] = {}
        self._jumps: dict[str, tuple[int, Decimal]] = {}
        self._breaks_ms: int | None = None

    def broken(self, now_ms: int) -> bool:
        """Tell whether the connection was lost, about every forty minutes."""
        if self._breaks_ms is None or now_ms >= self._breaks_ms:
            first, self._breaks_ms = self._breaks_ms is None, now_ms + self._dice.randint(60_000, 80 * 60_000)
            self.done["connection lost"] += not first
            return not first
        return False

    def carry(self, message: Message, now_ms: int) -> list[tuple[int, Message]]:
        """Return what arrives of a message and when."""
        if now_ms < self._silent_until_ms:
            self.done["silenced"] += 1
            return []
        if self._dice.random() < 0.00015:
            self._silent_until_ms = now_ms + self._dice.choice((7_000, 30_000, 120_000))
            self.done["silences"] += 1
            return []
        if message["channel"] == "activeAssetCtx":
            message = self._spoil(message, now_ms)
        return self._deliver(message, now_ms)

    def _deliver(self, message: Message, now_ms: int) -> list[tuple[int, Message]]:
        dice = self._dice.random()
        soon = now_ms + STREAM_MS
        if dice < 0.03:
            self.done["dropped"] += 1
            return []
        if dice < 0.05:
            self.done["repeated"] += 1
            return [(soon, message), (soon + self._dice.randint(0, 3_000), message)]
        if dice < 0.07:
            self.done["late, out of order"] += 1
            return [(soon + self._dice.randint(1_000, 15_000), message)]
        return [(soon, message)]

    def _spoil(self, message: Message, now_ms: int) -> Message:
        data = message["data"]
        coin, price = data["coin"], str(data["ctx"]["markPx"])
        until_ms, stale = self._frozen.get(coin, (0, ""))
        if now_ms < until_ms:
            return self._with(message, "frozen", stale)
        dice = self._dice.random()
        if dice < 0.0004:
            self._frozen[coin] = (now_ms + self._dice.randint(3_000, 240_000), price)
        elif dice < 0.0024:
            factor = 1 + self._dice.choice((-1, 1)) * Decimal(self._dice.randrange(10, 91, 4)) / 100
            self._jumps[coin] = (self._dice.randint(1, 3), factor)
        elif dice < 0.0084:
            name, text, _ = self._dice.choice(TEXTS)
            return self._with(message, name, text)
        frames, factor = self._jumps.get(coin, (0, Decimal(1)))
        if frames:
            self._jumps[coin] = (frames - 1, factor)
            return self._with(message, "jump", f"{Decimal(price) * factor:f}")
        return message

    def _with(self, message: Message, what: str, price: str | None) -> Message:
        self.done[what] += 1
        ctx = {"markPx": price}
        return {**message, "data": {**message["data"], "ctx": ctx}, "spoiled": what}


class Breaker:
    """Has the venue fail now and then: a stop that does not fill, a stop that is gone without a word."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._dice = world, random.Random(f"breaker:{seed}")
        self._next_ms = world.now_ms()
        self.arranged: Counter[str] = Counter()

    def step(self) -> None:
        """Arrange a fault where one is due: every half an hour or so, for one symbol."""
        now = self._world.now_ms()
        if now < self._next_ms:
            return
        self._next_ms = now + self._dice.randint(5 * 60_000, 55 * 60_000)
        symbol = self._dice.choice(self._world.symbols)
        rules = self._world.paper.faults.rules.values()
        if any(rule.symbol == symbol and rule.used < 1 and rule.kind in STOP_FAULTS for rule in rules):
            return  # one lies in wait already
        more: dict[str, Any] = self._dice.choice(
            (
                {"kind": "stop_no_fill"},
                {"kind": "stop_no_fill", "delay_ms": 1_500},
                {"kind": "stop_no_fill", "delay_ms": 2_500, "then": "fill"},
                {"kind": "cancel_stop", "delay_ms": self._dice.randint(1_000, 600_000)},
            )
        )
        self._world.paper.faults.add({**more, "match": {"symbol": symbol}}, now)
        self.arranged[more["kind"]] += 1


class Liar:
    """Has the venue's own answers name a false mark: for a few seconds, in one kind of answer, for one symbol."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._dice = world, random.Random(f"liar:{seed}")
        self._next_ms = world.now_ms()
        self.told: Counter[str] = Counter()

    def step(self) -> None:
        """Arrange a lie where one is due; never two at a time, or two sources would agree by chance."""
        now, dice = self._world.now_ms(), self._dice
        if now < self._next_ms:
            return
        self._next_ms = now + dice.randint(5_000, 30_000)
        # two sources that agree are believed, so no lie may be within a percent of what the line makes of a price
        off = Decimal(dice.randrange(12, 89, 4) if dice.random() < 0.6 else dice.randint(1, 5)) / 100
        lies: tuple[dict[str, str], ...] = (
            {"factor": str(1 + off)},
            {"factor": str(1 - off)},
            {"text": str(dice.choice(TEXTS)[1]).replace("None", "null")},
        )
        place = dice.choice(("position", "position", "info"))
        match = {"symbol": dice.choice(self._world.symbols), "action": place}
        fault = {"kind": "bad_price", "match": match, "times": dice.randint(1, 3), "delay_ms": 4_000}
        self._world.paper.faults.add(fault | dice.choice(lies), now)
        self.told[place] += 1
