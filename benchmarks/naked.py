"""Naked time for each class of faults, on real processes at 50 ms venue latency, by the paper venue's witness.

``python -m benchmarks.naked [--rounds N] [--only NAME ...] [--docs] [--json] [--keep DIR]``. Counted is the time from
the first fill that makes a position until a live, full-size, reduce-only stop stands at the venue, and later from each
loss of cover until the next such stop, or until the position is closed. A round is one trade. Classes play side by
side, each with an account at a venue of its own; those that strike at what all share (workers, Redis) have an
installation of their own. ``--docs`` writes the rows into docs/operations.md. Exit code 1 if a
round was beyond the design's bound.
"""

import argparse
import json
import random
import statistics
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.fault_classes import CLASSES, FaultClass, Stage
from benchmarks.installation import Installation, installed
from benchmarks.setting import at_least_one, folder_for, paper
from benchmarks.striking import Missed
from stopkeeper.engine import desk

LATENCY_MS = 50
ROUNDS = 20
BOUND_MS = 20_000.0  # one lease of 10 s, one look, the 5 s of a naked position, one close
MOST_TRIES = 4  # of a round that the fault misses
SYMBOLS = ("BTC", "ETH", "SOL", "DOGE", "AVAX", "LINK")
BOOKED_S = 90.0
STORY_LINES = 80
DOCS = Path(__file__).parents[1] / "docs" / "operations.md"
BEGIN, END = "<!-- naked time: begin -->", "<!-- naked time: end -->"


@dataclass
class Told:
    """What was measured of one class: the naked times of each round (ms), and the stories of those beyond the bound.

    ``missed`` counts the rounds that the fault did not meet; others were played in their place.
    """

    name: str
    title: str
    bound: str
    rounds: list[list[float]] = field(default_factory=list)
    missed: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def times(self) -> int:
        """Count the times a position was naked."""
        return sum(map(len, self.rounds))

    @property
    def sums(self) -> list[float]:
        """Return each round's whole naked time; 0 where it never was."""
        return [sum(each) for each in self.rounds]

    @property
    def row(self) -> tuple[str, ...]:
        """Return the row of the table."""
        figures = (
            len(self.rounds),
            self.times,
            round(statistics.median(self.sums or [0])),
            round(max(self.sums, default=0)),
        )
        return (self.title, *map(str, figures), self.bound)


HEAD = ("fault", "rounds", "times naked", "median ms", "worst ms", "what bounds it")


def measure(folder: Path, rounds: int, latency_ms: int, classes: Sequence[FaultClass] = CLASSES) -> list[Told]:
    """Play every class ``rounds`` times: those that disturb nobody, then the others, each with its installation."""
    found: dict[str, Told] = {}
    together = [each for each in classes if not each.alone]
    if together:
        found |= _played(folder / "together", rounds, latency_ms, together)
    owners = dict.fromkeys(each.alone for each in classes if each.alone)
    with ThreadPoolExecutor(max(1, len(owners))) as pool:
        groups = {owner: [each for each in classes if each.alone == owner] for owner in owners}
        started = [pool.submit(_played, folder / owner, rounds, latency_ms, group) for owner, group in groups.items()]
        for each in started:
            found |= each.result()
    return [found[each.account] for each in classes]


def _played(folder: Path, rounds: int, latency_ms: int, classes: Sequence[FaultClass]) -> Mapping[str, Told]:
    """Play classes in one installation: those that share what they strike one round after the other, else at once."""
    with ExitStack() as stack:
        venues = {each.account: stack.enter_context(paper(latency_ms)) for each in classes}
        run = stack.enter_context(installed(folder, venues, dict.fromkeys(venues, SYMBOLS)))
        turn = threading.Lock() if classes[0].alone else nullcontext()
        with ThreadPoolExecutor(len(classes)) as pool:
            told = pool.map(lambda each: _class(run, each, rounds, turn), classes)
            return {each.name: each for each in told}


def _class(run: Installation, played: FaultClass, rounds: int, turn: AbstractContextManager[object]) -> Told:
    account, told = run.accounts[played.account], Told(played.account, played.title, played.bound)
    dice = random.Random(played.account)
    for number in range(MOST_TRIES * rounds):
        if len(told.rounds) == rounds:
            break
        with turn:
            stage = Stage(run, account, SYMBOLS[number % len(SYMBOLS)], number, dice)
            run.forget_budgets()
            _round(stage, played, told)
    return told


def _round(at: Stage, played: FaultClass, told: Told) -> None:
    """Play one trade to its end and note the times it was naked; one that the fault missed is not counted."""
    before, missed = at.account.witness(at.symbol), False
    try:
        played.play(at)
    except Missed:
        missed = True
        at.await_covered()
    _end(at)
    after = at.account.witness(at.symbol)
    missed = bool(at.calm()) or missed or after.get("fills", 0) == before.get("fills", 0)
    intervals = after.get("naked_intervals", [])[len(before.get("naked_intervals", ())) :]
    times = [float(each["to_ms"] - each["from_ms"]) for each in intervals]
    told.missed += missed
    told.rounds += [] if missed else [times]
    for name in ("duplicates", "flips", "non_reduce_only"):
        if after.get(name, 0) != before.get(name, 0):
            told.wrong.append(f"{told.title}, round {at.number}: {name}\n{_story(at)}")
    if sum(times) > BOUND_MS:
        told.wrong.append(f"{told.title}, round {at.number}: naked for {sum(times):.0f} ms\n{_story(at)}")


def _end(at: Stage) -> None:
    """Close what is held, and wait until the trade is booked and the key is free."""
    ports = at.run.system.ports(at.account.name)
    if not at.flat():
        desk.ask_close(at.key, ports)
    at.run.until(lambda: at.run.free(at.account.name, at.symbol), f"{at.key} free", BOOKED_S, 0.05)


def _story(at: Stage) -> str:
    """Return the last lines of the journal about the key."""
    lines = [line for line in at.run.journal(at.account.name) if line["symbol"] in (at.symbol, "")]
    return "\n".join(f"  {line['at']} {line['kind']}: {line['text']}" for line in lines[-STORY_LINES:])


def markdown(found: Sequence[Told], before: str = "") -> str:
    """Return the table as docs/operations.md has it; classes that were not measured keep their row of before."""
    listed = (line.strip("| ").split(" | ") for line in before.splitlines() if line.startswith("| "))
    rows = {cells[0]: tuple(cells) for cells in listed} | {each.title: each.row for each in found}
    table = [HEAD, tuple("---" for _ in HEAD), *(rows[each.title] for each in CLASSES if each.title in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def written(text: str, found: Sequence[Told]) -> str:
    """Return a document with the table between its marks. Raises ValueError where they are missing."""
    before, begin, rest = text.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no place for the table, between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{markdown(found, table)}\n{END}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; with ``--json`` as one document."""
    asked = _arguments(argv)
    classes = [each for each in CLASSES if not asked.only or each.account in asked.only]
    with folder_for(asked.keep) as folder:
        found = measure(folder, asked.rounds, LATENCY_MS, classes)
    if asked.json:
        print(json.dumps({"latency_ms": LATENCY_MS, "bound_ms": BOUND_MS, "classes": [asdict(each) for each in found]}))
    else:
        Console(width=170).print(_table(found))
    if asked.docs:
        DOCS.write_text(written(DOCS.read_text(encoding="utf-8"), found), encoding="utf-8")
    wrong = [each for told in found for each in told.wrong]
    for each in wrong:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def _table(found: Sequence[Told]) -> Table:
    table = Table(title=f"naked time by class of fault, by the venue's witness ({LATENCY_MS} ms latency)")
    for name in HEAD:
        table.add_column(name, justify="right" if name in HEAD[1:5] else "left")
    for each in found:
        table.add_row(*each.row)
    return table


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.naked", description=__doc__)
    parser.add_argument("--rounds", type=at_least_one, default=ROUNDS, help="trades of each class")
    parser.add_argument("--only", nargs="+", choices=[each.account for each in CLASSES], help="these classes alone")
    parser.add_argument("--docs", action="store_true", help="write these rows into docs/operations.md")
    parser.add_argument("--json", action="store_true", help="print one document")
    parser.add_argument("--keep", type=Path, help="a new directory for configuration, logs and journals")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
