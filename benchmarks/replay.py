"""Real prices through the whole engine under virtual time: every move of a stop and every exit held against the truth.

``python -m benchmarks.replay [FILE.csv] [--trail SPEC] [--breakeven SPEC] [--days N] [--http MINUTES] [--json]``
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from benchmarks.bars import several
from benchmarks.judging import Verdict, judge, naked
from benchmarks.lived import living
from benchmarks.stories import Wish
from benchmarks.virtual import World
from stopkeeper.core.model import Key
from stopkeeper.engine import desk
from stopkeeper.engine.ports import Ports

DEFAULT = Path(__file__).parents[1].parent / "shared" / "data" / "btc-perp-1m-2022-01.csv"
DAY_MS = 86_400_000
WARM_UP_MS = 4 * 3_600_000  # bars enough for an average true range
COOL_MS = (60_000, 900_000)
NOTIONAL = "2000"
LIMIT_S = 6 * 3600
SYMBOLS = ("BTC", "ETH", "SOL")

WISHES = (
    ("targets 2%:50% 4%:50%", {"targets": ("2%:50%", "4%:50%"), "time_limit_s": 24 * 3600}),
    ("trail 1%", {"trail": "1%"}),
    ("trail 1%@1R, break-even 1R", {"trail": "1%@1R", "breakeven": "1R"}),
    ("atr:3:14:5m", {"trail": "atr:3:14:5m"}),
    ("step:0.5%", {"trail": "step:0.5%"}),
    ("400 USD", {"trail": "400"}),
    ("time limit 3h", {"time_limit_s": 3 * 3600}),
    (
        "targets 1%:40% 3%:60%, break-even target, 0.8%@1%",
        {"targets": ("1%:40%", "3%:60%"), "breakeven": "target", "trail": "0.8%@1%"},
    ),
    ("resting 0.1% away, step:0.5R@0.5R", {"rests": True, "trail": "step:0.5R@0.5R"}),
)
QUICK: tuple[tuple[str, dict[str, Any]], ...] = (  # for real minutes; no ATR, whose first bars the venue invents
    ("trail 0.2%", {"trail": "0.2%", "stop": "0.5%"}),
    ("targets 0.1%:50% 0.2%:50%", {"targets": ("0.1%:50%", "0.2%:50%"), "stop": "0.2%"}),
    ("time limit 90s", {"time_limit_s": 90, "stop": "1%"}),
    ("step:0.3R, stop 1%", {"trail": "step:0.3R", "stop": "1%", "time_limit_s": 600}),
    ("resting 0.1% away, stop 0.15%", {"rests": True, "stop": "0.15%", "time_limit_s": 300}),
)
QUICK_COOL_MS = (5_000, 20_000)
START = "2022-01-05T19:30"  # the file's wildest hours: bars of one percent


class Place(Protocol):
    """Where a trader trades: under virtual time, or among real processes."""

    ports: Ports

    def now_ms(self) -> int: ...
    def mark(self, symbol: str) -> Decimal: ...
    def let_pass(self) -> None:
        """Let a little time pass."""


class Trader:
    """A simple source of signals: whenever flat and cool, it opens long or short in turn, by one wish after another."""

    def __init__(
        self,
        world: Place,
        symbol: str,
        seed: int,
        wishes: Sequence[tuple[str, dict[str, Any]]] = WISHES,
        cool_ms: tuple[int, int] = COOL_MS,
    ) -> None:
        self._world, self._dice = world, random.Random(f"{seed}:{symbol}")
        self._key, self._choice, self._cool_ms = Key(world.ports.account, symbol), wishes, cool_ms
        self._count = 0
        self._opens_ms = world.now_ms()
        self._flat = True
        self.wishes: dict[str, Wish] = {}
        self.refused: list[str] = []

    def step(self) -> None:
        """Open a trade if none is open and the time has come; count what is asked of the venue while one is held."""
        world = self._world
        flat = world.ports.records.load(self._key).trade is None
        if flat and not self._flat:
            self._opens_ms = world.now_ms() + self._dice.randint(*self._cool_ms)
        self._flat = flat
        if flat and world.now_ms() >= self._opens_ms:
            self._open()

    def next_wish(self) -> Wish:
        """Return what is wished for next."""
        side = "long" if self._count % 2 == 0 else "short"
        name, more = self._choice[self._count % len(self._choice)]  # an odd number of them: each comes on both sides
        return Wish(name, side, **({"time_limit_s": LIMIT_S} | more))

    def _open(self) -> None:
        world, wish = self._world, self.next_wish()
        self._count += 1
        more: dict[str, Any] = {}
        if wish.rests:
            mark = world.mark(self._key.symbol)
            away = mark - wish.sign * mark / 1000
            more = {"limit": f"{away:.5g}", "rest": True, "expires": "30m"}
        if wish.time_limit_s is not None:
            more["time_limit"] = f"{wish.time_limit_s}s"
        signal = desk.parse_signal(
            account=world.ports.account,
            symbol=self._key.symbol,
            side=wish.side,
            stop=wish.stop,
            notional=NOTIONAL,
            target=wish.targets,
            trail=wish.trail,
            breakeven=wish.breakeven,
            now_ms=world.now_ms(),
            signal_id=f"{self._key.symbol}-{self._count}",
            **more,
        )
        try:
            self.wishes[desk.submit(signal, world.ports).trade_id] = wish
        except (desk.Refused, desk.VenueAway) as refused:
            self.refused.append(str(refused))
        self._opens_ms = world.now_ms() + self._cool_ms[1]

    def finish(self) -> str:
        """Close by command what is still open, and run until it is booked; return that trade, or ""."""
        world = self._world
        left = world.ports.records.load(self._key).trade
        if left is None:
            return ""
        if left.entered_ms is not None:
            desk.ask_close(self._key, world.ports)
        end_ms = world.now_ms() + 40 * 60_000
        while world.ports.records.load(self._key).trade is not None and world.now_ms() < end_ms:
            world.let_pass()
        return left.id


def replay(
    prices: Path,
    *,
    days: float | None = None,
    seed: int = 1,
    wishes: Sequence[tuple[str, dict[str, Any]]] = WISHES,
    symbols: tuple[str, ...] = SYMBOLS,
    cool_ms: tuple[int, int] = COOL_MS,
) -> Verdict:
    """Run a file of prices, or its first days, through the engine and judge."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        world = World(several(prices, symbols, Path(folder) / "prices.csv"), symbols=symbols)
    starts_ms = world.now_ms()
    world.warm_up(WARM_UP_MS)
    ends_ms = world.ends_ms if days is None else min(world.ends_ms, starts_ms + int(days * DAY_MS))
    traders = [Trader(world, symbol, seed, wishes, cool_ms) for symbol in symbols]
    world.run(ends_ms, lambda: each_of(traders))
    by_hand = frozenset(trader.finish() for trader in traders)
    asked = {name: wish for trader in traders for name, wish in trader.wishes.items()}
    scene = world.scene()
    verdict = judge(scene, asked, by_hand=by_hand)
    verdict.wrong += [f"naked: {each}" for each in naked(scene)]
    verdict.figures |= {
        "signals": len(asked),
        "signals refused at the door": sum(len(trader.refused) for trader in traders),
        "market days": round((world.now_ms() - starts_ms) / DAY_MS, 2),
        "wall s": round(time.perf_counter() - began, 1),
    }
    return verdict


def lived(prices: Path, *, minutes: float, seed: int = 1, start: str = START) -> Verdict:
    """Trade so many real minutes through real processes over HTTP, from a time within the file on, and judge."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = several(prices, SYMBOLS, Path(folder) / "prices.csv")
        with living(Path(folder), f"{path}@{start}", SYMBOLS) as world:
            traders = [Trader(world, symbol, seed, QUICK, QUICK_COOL_MS) for symbol in SYMBOLS]
            world.run(minutes, lambda: each_of(traders))
            by_hand = frozenset(trader.finish() for trader in traders)
            scene = world.scene()
    asked = {name: wish for trader in traders for name, wish in trader.wishes.items()}
    verdict = judge(scene, asked, by_hand=by_hand)
    verdict.wrong += [f"naked: {each}" for each in naked(scene)]
    verdict.figures |= {"signals": len(asked), "wall s": round(time.perf_counter() - began, 1)}
    return verdict


def each_of(traders: Sequence[Trader]) -> None:
    """Let every trader make its step."""
    for trader in traders:
        trader.step()


def show(verdict: Verdict, title: str) -> None:
    """Print a verdict as tables."""
    console = Console(width=120)
    reasons = sorted({name for tally in verdict.by_wish.values() for name in tally} - {"trades", "moves"})
    table = Table("wish", "trades", "moves", *reasons, title=title)
    for name, tally in verdict.by_wish.items():
        table.add_row(name, *(str(tally[column]) for column in ("trades", "moves", *reasons)))
    total = sum(verdict.by_wish.values(), Counter[str]())
    table.add_section()
    table.add_row("all", *(str(total[column]) for column in ("trades", "moves", *reasons)))
    console.print(table)
    figures = Table("figure", "value")
    for name, value in verdict.figures.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        figures.add_row(name, text)
    console.print(figures)
    for each in verdict.wrong[:50]:
        console.print(f"WRONG {each}", style="red")
    console.print(
        "kept: every move and every exit is explained" if not verdict.wrong else f"{len(verdict.wrong)} wrong"
    )


def as_json(verdict: Verdict) -> str:
    """Return a verdict as one document."""
    wishes = {name: dict(tally) for name, tally in verdict.by_wish.items()}
    return json.dumps({"wrong": verdict.wrong, "figures": verdict.figures, "by_wish": wishes}, indent=1)


def prices_file(given: Path | None) -> Path:
    """Return the file of prices to replay. Exits with a sentence where there is none."""
    path = given or DEFAULT
    if not path.is_file():
        sys.exit(f"{path} is not there: name a CSV file with the columns timestamp,open,high,low,close[,volume]")
    return path


def main() -> int:
    """Replay, judge, print; exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--trail", help="one rule for all trades instead of the rotation, such as 1%% or atr:3:14:5m")
    parser.add_argument("--breakeven", help="likewise, such as 1R")
    parser.add_argument("--days", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--http", type=float, metavar="MINUTES", help="so many real minutes over real processes")
    parser.add_argument("--start", default=START, help="with --http: where in the file to begin (ISO, UTC)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    only = {name: getattr(given, name) for name in ("trail", "breakeven") if getattr(given, name)}
    wishes = (("as asked", only),) if only else WISHES
    path, title = prices_file(given.file), "real prices through the whole engine"
    if given.http is not None:
        verdict = lived(path, minutes=given.http, seed=given.seed, start=given.start)
        title += f", {given.http:g} real minutes over HTTP"
    else:
        verdict = replay(path, days=given.days, seed=given.seed, wishes=wishes)
        title += " under virtual time"
    if given.json:
        sys.stdout.write(as_json(verdict) + "\n")
    else:
        show(verdict, title)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
