"""How long a position is naked after its stop was taken away: told by the stream, not told, with and without streams.

Every figure is the witness's: from the moment the stop was gone at the venue until the next one stood there.
"""

import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.installation import Account, Installation, installed
from benchmarks.setting import paper

SYMBOLS = ("BTC", "ETH", "SOL", "DOGE", "AVAX", "LINK")
DELAY_MS = (33_000, 40_000)  # cover lost three times within a minute is closed, as it should be: no symbol is so often
LEEWAY_S = 20.0  # a strike and its cure, at worst


@dataclass(frozen=True)
class Way:
    """One way to lose a stop: is it told by the stream, and what is done to the streams before."""

    account: str
    title: str
    announced: bool = False
    streams: str = "on"


WAYS = (
    Way("told", "streams on, the cancel is announced", announced=True),
    Way("silent", "streams on, nothing is announced"),
    Way("deaf", "streams on, private channels say nothing", streams="deaf"),
    Way("cut", "streams away, no connection is confirmed", streams="cut"),
)


@dataclass(frozen=True)
class Lost:
    """What was measured of one way; ``naked_ms`` of each round, ``journal`` counts the lines by kind."""

    title: str
    naked_ms: list[float]
    closed: int
    journal: Counter[str]


def measure(
    folder: Path,
    rounds: int,
    latency_ms: int = 50,
    *,
    symbols: tuple[str, ...] = SYMBOLS,
    delay_ms: tuple[int, int] = DELAY_MS,
    ways: tuple[Way, ...] = WAYS,
) -> list[Lost]:
    """Take stops away ``rounds`` times each way, all ways at once, each with an account at a venue of its own."""
    dice = random.Random(43)
    symbols = symbols[:rounds]
    with contextlib.ExitStack() as stack:
        venues = {way.account: stack.enter_context(paper(latency_ms)) for way in ways}
        run = stack.enter_context(installed(folder, venues, dict.fromkeys(venues, symbols)))
        for way in ways:
            _arm(run.accounts[way.account], way, rounds, symbols, delay_ms, dice)
        began_ms = time.time() * 1000
        for way in ways:
            for symbol in symbols:
                run.open(way.account, symbol, notional="500")
        for way in ways:
            for symbol in symbols:
                run.until(lambda: run.protected(way.account, symbol), f"{way.account} {symbol} protected")  # noqa: B023
            disturb(run.accounts[way.account], way.streams)
        each = -(-rounds // len(symbols))
        _wait(run, ways, rounds, each * (delay_ms[1] / 1000 + LEEWAY_S) + LEEWAY_S, began_ms)
        return [_lost(run, way, began_ms) for way in ways]


def _arm(
    account: Account, way: Way, rounds: int, symbols: tuple[str, ...], delay_ms: tuple[int, int], dice: random.Random
) -> None:
    """Let every stop that will be placed be taken away after a while, each after another: one fault a round."""
    for number in range(rounds):
        symbol = symbols[number % len(symbols)]
        account.fault("cancel_stop", symbol, delay_ms=dice.randint(*delay_ms), announce=way.announced)


def disturb(account: Account, streams: str) -> None:
    """Leave the streams of an account alone, make its private channels deaf, or keep the connection away for good."""
    if streams == "deaf":
        account.fault("ws_deaf", action="private")
    elif streams == "cut":
        account.venue.post("/faults", kind="refuse_subscription", times=None)
        account.venue.post("/faults", kind="ws_drop")


def _intervals(account: Account) -> list[dict[str, Any]]:
    return [each for book in account.witnessed().values() for each in book["naked_intervals"]]


def _wait(run: Installation, ways: tuple[Way, ...], rounds: int, seconds: float, began_ms: float) -> None:
    """Wait until every round was struck and has ended, and the journal says how; with a full budget all the time."""

    def over() -> bool:
        run.forget_budgets()
        found = [_intervals(run.accounts[way.account]) for way in ways]
        ended = all(len(f) >= rounds and all(i["to_ms"] is not None for i in f) for f in found)
        return ended and all(_cured(_kinds(run, way, began_ms)) >= rounds for way in ways)

    run.until(over, f"{rounds} stops taken away and replaced each way", seconds, pause_s=0.5)


def _kinds(run: Installation, way: Way, began_ms: float) -> Counter[str]:
    return Counter(line["kind"] for line in run.journal(way.account, began_ms))


def _cured(kinds: Counter[str]) -> int:
    return kinds["PlaceStop"] + kinds["Flatten"]


def _lost(run: Installation, way: Way, began_ms: float) -> Lost:
    account = run.accounts[way.account]
    times = [each["to_ms"] - each["from_ms"] for each in _intervals(account)]
    closed = sum(len(book["exits"]) for book in account.witnessed().values())
    return Lost(way.title, times, closed, _kinds(run, way, began_ms))
