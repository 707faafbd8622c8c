"""A day of spoiled frames over a true market: no exit without a true cause, and none missed.

``python -m benchmarks.distorted [FILE.csv] [--hours N] [--seed N] [--minutes N] [--json]``

Marks and private frames are dropped, spoiled, repeated, delayed, frozen and silenced on their way to the feed; what the
venue answers and what its market does is true. Now and then the venue takes a stop away or does not fill it.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.bars import several
from benchmarks.judging import Naked, Verdict, judge, naked, said_of
from benchmarks.replay import Trader, as_json, prices_file, show
from benchmarks.stories import Story, marks_between
from benchmarks.virtual import STREAM_MS, Message, World
from stopkeeper.core.prices import Flaw

SYMBOLS = ("BTC", "ETH", "SOL")
HOUR_MS = 3_600_000
WARM_UP_MS = 4 * HOUR_MS
FLAT_MS = 20_000  # stated: so long after a stop failed the position is closed, or covered again
COOL_MS = (20_000, 120_000)
BRISK: tuple[tuple[str, dict[str, Any]], ...] = (  # tight, so that a day has many ends
    ("targets 0.4%:50% 0.8%:50%", {"targets": ("0.4%:50%", "0.8%:50%"), "stop": "0.6%"}),
    ("trail 0.5%", {"trail": "0.5%", "stop": "0.6%"}),
    ("trail 0.5%@1R, break-even 1R", {"trail": "0.5%@1R", "breakeven": "1R", "stop": "0.5%"}),
    ("atr:3:14:5m", {"trail": "atr:3:14:5m", "stop": "1%"}),
    ("step:0.3%", {"trail": "step:0.3%", "stop": "0.6%"}),
    ("stop 0.4%", {"stop": "0.4%"}),
    ("time limit 20m", {"time_limit_s": 1200, "stop": "1%"}),
)
_TEXTS: tuple[tuple[str, Any, Flaw], ...] = (
    ("zero", "0.0", Flaw.ZERO),
    ("nan", "NaN", Flaw.NOT_FINITE),
    ("infinite", "Infinity", Flaw.NOT_FINITE),
    ("negative", "-1", Flaw.NEGATIVE),
    ("null", None, Flaw.NOTHING),
    ("text", "n/a", Flaw.NOTHING),
)


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
            factor = 1 + self._dice.choice((-1, 1)) * Decimal(self._dice.randint(10, 90)) / 100
            self._jumps[coin] = (self._dice.randint(1, 3), factor)
        elif dice < 0.0084:
            name, text, _ = self._dice.choice(_TEXTS)
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
        self._next_ms = world.now_ms() + WARM_UP_MS
        self.arranged: Counter[str] = Counter()

    def step(self) -> None:
        """Arrange a fault where one is due: every half an hour or so, for one symbol."""
        now = self._world.now_ms()
        if now < self._next_ms:
            return
        self._next_ms = now + self._dice.randint(5 * 60_000, 55 * 60_000)
        symbol = self._dice.choice(SYMBOLS)
        if any(rule.symbol == symbol and rule.used < 1 for rule in self._world.paper.faults.rules.values()):
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


def distort(prices: Path, *, hours: float, seed: int = 1) -> Verdict:
    """Run so many hours over a bad line and judge."""
    began = time.perf_counter()
    line = BadLine(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = several(prices, SYMBOLS, Path(folder) / "prices.csv")
        world = World(path, symbols=SYMBOLS, step_ms=1_000, line=line)
    traders = [Trader(world, symbol, seed, BRISK, COOL_MS) for symbol in SYMBOLS]
    breaker = Breaker(world, seed)
    starts_ms = world.now_ms()

    def step() -> None:
        breaker.step()
        for trader in traders:
            trader.step()

    world.run(starts_ms + WARM_UP_MS + int(hours * HOUR_MS), step)
    by_hand = frozenset(trader.finish() for trader in traders)
    wishes = {name: wish for trader in traders for name, wish in trader.wishes.items()}
    verdict = judge(world, wishes, by_hand=by_hand, allowed=frozenset({"emergency_exit"}), in_time=False)
    verdict.wrong += _of_emergencies(verdict.told, world) + _of_flaws(world)
    bare = naked(world)
    verdict.wrong += _of_naked(bare, world)
    lasted = sorted(each.ms for each in bare)
    counts = world.ports.prices.counts(world.ports.account)
    verdict.figures |= {
        "market hours": round((world.now_ms() - starts_ms) / HOUR_MS, 1),
        "done to frames": dict(line.done.most_common()),
        "spoiled marks taken in": {k: v for k, v in world.feed.delivered.most_common() if k != "sound"},
        "counted as no price": {str(flaw): count for flaw, count in counts.items()},
        "marks believed": dict(world.feed.believed),
        "connections": world.feed.connections,
        "faults of the venue": dict(breaker.arranged),
        "stops that failed": dict(Counter(what for _, _, what in world.evidence.struck if what != "fired")),
        "naked stretches": len(lasted),
        "of these, longest ms": lasted[-3:],
        "wall s": round(time.perf_counter() - began, 1),
    }
    return verdict


def _of_emergencies(told: list[Story], world: World) -> list[str]:
    """Return the emergency exits that the truth does not bear out: no stop had failed, or the mark was never beyond."""
    wrong = []
    for story in told:
        for fill in story.exits:
            why = said_of(fill, story)
            if not why.startswith(("naked", "cover was lost", "the price is beyond the stop", "the liquidation")):
                continue
            failed = [
                at_ms
                for at_ms, coin, _ in world.evidence.struck
                if coin == story.coin and story.opened_ms <= at_ms <= fill.time_ms
            ]
            if not failed:
                wrong.append(f"{story}: a false exit: {why}, and no stop had failed")
                continue
            made = [move for move in story.moves if move.at_ms <= fill.time_ms]
            standing = made[-1].trigger if made else story.first_stop
            _, marks = marks_between(world.evidence, story.coin, failed[0], fill.time_ms)
            sign = story.wish.sign
            if "beyond" in why and not any((mark - float(standing)) * sign <= 0 for mark in marks):
                wrong.append(f"{story}: a false exit: {why}, and the mark never was beyond {standing}")
    return wrong


def _of_naked(bare: list[Naked], world: World) -> list[str]:
    """Return the stretches without cover that no fault began, or that lasted longer than is stated."""
    begun = {(coin, at_ms) for at_ms, coin, _ in world.evidence.struck}
    wrong = [f"naked, and no fault began it: {each}" for each in bare if (each.coin, each.from_ms) not in begun]
    return wrong + [f"naked for longer than {FLAT_MS} ms: {each}" for each in bare if each.ms > FLAT_MS]


def _of_flaws(world: World) -> list[str]:
    """Return where the count of what was no price differs from what was delivered."""
    counted: Mapping[Flaw, int] = world.ports.prices.counts(world.ports.account)
    expected: Counter[Flaw] = Counter()
    for name, _, flaw in _TEXTS:
        expected[flaw] += world.feed.delivered[name]
    return [
        f"{flaw}: {counted.get(flaw, 0)} were counted, {count} came"
        for flaw, count in expected.items()
        if counted.get(flaw, 0) != count
    ]


def main() -> int:
    """Distort, judge, print; exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    verdict = distort(prices_file(given.file), hours=given.hours, seed=given.seed)
    if given.json:
        sys.stdout.write(as_json(verdict) + "\n")
    else:
        show(verdict, "spoiled frames over a true market, under virtual time")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
