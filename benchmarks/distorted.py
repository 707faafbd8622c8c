"""A day of spoiled frames over a true market: no exit without a true cause, and none missed.

``python -m benchmarks.distorted [FILE.csv] [--hours N] [--lies] [--minutes N] [--seed N] [--json]``

Marks and private frames are dropped, spoiled, repeated, delayed, frozen and silenced on their way to the feed; what the
venue answers (but for ``--lies``) and what its market does is true. Now and then the venue takes a stop away or does
not fill it.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.bad_line import TEXTS, BadLine, Breaker, Liar
from benchmarks.bars import several
from benchmarks.evidence import Evidence, marks_between
from benchmarks.judging import Naked, Verdict, judge, naked, said_of
from benchmarks.lived import Lived, living
from benchmarks.replay import QUICK, QUICK_COOL_MS, START, Trader, as_json, each_of, prices_file, show
from benchmarks.stories import Story
from benchmarks.virtual import World
from stopkeeper.core.prices import Flaw

SYMBOLS = ("BTC", "ETH", "SOL")
HOUR_MS = 3_600_000
WARM_UP_MS = 4 * HOUR_MS
STALE_MS = 300_000  # a price that froze on the line is told again and again
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


def distort(prices: Path, *, hours: float, seed: int = 1, lies: bool = False) -> Verdict:
    """Run so many hours over a bad line and judge; with ``lies`` the venue's own answers name false marks too."""
    began = time.perf_counter()
    line = BadLine(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = several(prices, SYMBOLS, Path(folder) / "prices.csv")
        world = World(path, symbols=SYMBOLS, step_ms=1_000, line=line)
    world.warm_up(WARM_UP_MS)
    world.evidence.stale_ms = STALE_MS
    traders = [Trader(world, symbol, seed, BRISK, COOL_MS) for symbol in SYMBOLS]
    breaker, liar = Breaker(world, seed), Liar(world, seed)
    starts_ms = world.now_ms()

    def step() -> None:
        breaker.step()
        if lies:
            liar.step()
        for trader in traders:
            trader.step()

    world.run(starts_ms + int(hours * HOUR_MS), step)
    by_hand = frozenset(trader.finish() for trader in traders)
    wishes = {name: wish for trader in traders for name, wish in trader.wishes.items()}
    scene = world.scene()
    verdict = judge(scene, wishes, by_hand=by_hand, allowed=frozenset({"emergency_exit"}), in_time=False)
    verdict.wrong += of_emergencies(verdict.told, scene.evidence) + _of_flaws(world)
    bare = naked(scene)
    verdict.wrong += of_naked(bare, scene.evidence)
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
        "false answers of the venue": dict(liar.told),
        "stops that failed": dict(Counter(what for _, _, what in world.evidence.struck if what != "fired")),
        "naked stretches": len(lasted),
        "of these, longest ms": lasted[-3:],
        "wall s": round(time.perf_counter() - began, 1),
    }
    return verdict


def of_emergencies(told: list[Story], evidence: Evidence) -> list[str]:
    """Return the emergency exits that the truth does not bear out: no stop had failed, or the mark was never beyond."""
    wrong = []
    for story in told:
        for fill in story.exits:
            why = said_of(fill, story)
            if not why.startswith(("naked", "cover was lost", "the price is beyond the stop", "the liquidation")):
                continue
            failed = [
                at_ms
                for at_ms, coin, _ in evidence.struck
                if coin == story.coin and story.opened_ms <= at_ms <= fill.time_ms
            ]
            if not failed:
                wrong.append(f"{story}: a false exit: {why}, and no stop had failed")
                continue
            made = [move for move in story.moves if move.at_ms <= fill.time_ms]
            standing = made[-1].trigger if made else story.first_stop
            _, marks = marks_between(evidence, story.coin, failed[0], fill.time_ms + evidence.blur_ms)
            sign = story.wish.sign
            if "beyond" in why and not any((mark - float(standing)) * sign <= 0 for mark in marks):
                wrong.append(f"{story}: a false exit: {why}, and the mark never was beyond {standing}")
    return wrong


def of_naked(bare: list[Naked], evidence: Evidence) -> list[str]:
    """Return the stretches without cover that no fault began, or that lasted longer than is stated."""

    def begun(each: Naked) -> bool:
        return any(
            coin == each.coin and abs(at_ms - each.from_ms) <= evidence.blur_ms for at_ms, coin, _ in evidence.struck
        )

    wrong = [f"naked, and no fault began it: {each}" for each in bare if not begun(each)]
    return wrong + [f"naked for longer than {FLAT_MS} ms: {each}" for each in bare if each.ms > FLAT_MS]


def _of_flaws(world: World) -> list[str]:
    """Return where the count of what was no price differs from what was delivered."""
    counted: Mapping[Flaw, int] = world.ports.prices.counts(world.ports.account)
    expected: Counter[Flaw] = Counter()
    for name, _, flaw in TEXTS:
        expected[flaw] += world.feed.delivered[name]
    return [
        f"{flaw}: {counted.get(flaw, 0)} were counted, {count} came"
        for flaw, count in expected.items()
        if counted.get(flaw, 0) != count
    ]


class Spoiler:
    """Has a real paper venue spoil its frames every few seconds, and fail with a stop every minute or so."""

    def __init__(self, world: Lived, seed: int) -> None:
        self._world, self._dice = world, random.Random(f"spoiler:{seed}")
        self._next_ms = self._next_stop_ms = world.now_ms() + 20_000
        self.arranged: Counter[str] = Counter()

    def step(self) -> None:
        """Arrange what is due."""
        now, dice = self._world.now_ms(), self._dice
        symbol = dice.choice(SYMBOLS)
        if now >= self._next_stop_ms:
            self._next_stop_ms = now + dice.randint(40_000, 120_000)
            kind = dice.choice(("stop_no_fill", "cancel_stop"))
            self._arrange(kind, symbol, delay_ms=0 if kind == "stop_no_fill" else dice.randint(1_000, 30_000))
        if now >= self._next_ms:
            self._next_ms = now + dice.randint(1_000, 6_000)
            factor = 1 + dice.choice((-1, 1)) * dice.randint(10, 90) / 100
            span, channels = dice.randint(2_000, 12_000), dice.choice(("prices", "private"))
            wish = dice.choice(("text", "factor", "freeze_price", "drop", "repeat", "late", "deaf", "silence", "cut"))
            match wish:
                case "text":
                    self._bad_price(symbol, text=str(dice.choice(TEXTS)[1]).replace("None", "null"))
                case "factor":
                    self._bad_price(symbol, factor=f"{factor:.2f}")
                case "drop":
                    self._arrange("drop_frames", None, channels, every=2, delay_ms=span)
                case "repeat":
                    self._arrange("repeat_frames", None, channels, delay_ms=span)
                case "late":
                    self._arrange("late_frames", None, "userFills", times=3, delay_ms=900)
                case "deaf":
                    self._arrange("ws_deaf", symbol, "activeAssetCtx", delay_ms=span)
                case "silence":
                    self._arrange("ws_silence", None, delay_ms=span)
                case "cut":
                    self._arrange("ws_drop", None)
                case _:
                    self._arrange(wish, symbol, delay_ms=span)

    def _bad_price(self, symbol: str, **what: str) -> None:
        self._arrange("bad_price", symbol, "stream", times=self._dice.randint(1, 3), **what)

    def _arrange(self, kind: str, symbol: str | None, action: str | None = None, **more: Any) -> None:
        self._world.fault(kind, symbol, action, **more)
        self.arranged[kind] += 1


def distort_lived(prices: Path, *, minutes: float, seed: int = 1, start: str = START) -> Verdict:
    """Spoil so many real minutes of real processes and judge."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = several(prices, SYMBOLS, Path(folder) / "prices.csv")
        with living(Path(folder), f"{path}@{start}", SYMBOLS) as world:
            traders = [Trader(world, symbol, seed, QUICK, QUICK_COOL_MS) for symbol in SYMBOLS]
            spoiler = Spoiler(world, seed)

            def step() -> None:
                spoiler.step()
                each_of(traders)

            world.evidence.stale_ms = STALE_MS
            world.run(minutes, step)
            world.calm()
            by_hand = frozenset(trader.finish() for trader in traders)
            scene = world.scene()
            counts = world.ports.prices.counts(world.ports.account)
    wishes = {name: wish for trader in traders for name, wish in trader.wishes.items()}
    verdict = judge(scene, wishes, by_hand=by_hand, allowed=frozenset({"emergency_exit"}), in_time=False)
    bare = naked(scene)
    verdict.wrong += of_emergencies(verdict.told, scene.evidence) + of_naked(bare, scene.evidence)
    verdict.figures |= {
        "faults arranged": dict(spoiler.arranged.most_common()),
        "counted as no price": {str(flaw): count for flaw, count in counts.items()},
        "naked stretches": len(bare),
        "of these, longest ms": sorted(each.ms for each in bare)[-3:],
        "wall s": round(time.perf_counter() - began, 1),
    }
    return verdict


def main() -> int:
    """Distort, judge, print; exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lies", action="store_true", help="the venue's own answers name false marks too")
    parser.add_argument("--minutes", type=float, help="so many real minutes over real processes instead")
    parser.add_argument("--start", default=START, help="with --minutes: where in the file to begin (ISO, UTC)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    path, title = prices_file(given.file), "spoiled frames over a true market"
    if given.minutes is not None:
        verdict = distort_lived(path, minutes=given.minutes, seed=given.seed, start=given.start)
    else:
        verdict = distort(path, hours=given.hours, seed=given.seed, lies=given.lies)
    if given.json:
        sys.stdout.write(as_json(verdict) + "\n")
    else:
        show(verdict, title)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
