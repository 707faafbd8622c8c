"""How well positions are kept, on real processes at 50 ms venue latency, judged by the paper venue's witness.

``python -m benchmarks.supervision [--json] [--only NAME] [--rounds N] [--keep DIR]``. NAME is ``naked`` (a stop is
taken away), ``breach`` (the venue's stop fails), ``replace`` (a thousand moves of stops under faults) or ``steady``
(requests and weight of positions at rest). All of them take about half an hour. What is measured without streams has
an installation of one account: several share one address, and look less often each.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import breached, cover_lost, replacing, steady_state
from benchmarks.overhead import p99
from benchmarks.setting import at_least_one, folder_for

LATENCY_MS = 50
ROUNDS = 30
MOVES = 1_000


def naked(folder: Path, rounds: int) -> tuple[Any, list[Table]]:
    """Measure the naked time after a stop was taken away."""
    together = tuple(way for way in cover_lost.WAYS if way.streams != "cut")
    alone = tuple(way for way in cover_lost.WAYS if way.streams == "cut")
    found = [each for name, ways in (("on", together), ("cut", alone))
             for each in cover_lost.measure(folder / name, rounds, LATENCY_MS, ways=ways)]  # fmt: skip
    title = f"a stop is taken away: ms until the next one stands at the venue ({LATENCY_MS} ms latency)"
    table = _table(title, "how", "rounds", "median", "p99", "max", "closed")
    for lost in found:
        table.add_row(lost.title, *_spread(lost.naked_ms), str(lost.closed))
    return [asdict(lost) for lost in found], [table]


def breach(folder: Path, rounds: int) -> tuple[Any, list[Table]]:
    """Measure the time from a breach to flat where the venue's stop does not fill."""
    found = breached.measure(folder / "on", max(1, rounds // 3), LATENCY_MS)
    for way in breached.WAYS:
        where = folder / f"cut-{way.account}"
        found += breached.measure(where, max(1, rounds // 6), LATENCY_MS, streams="cut", ways=(way,))
    title = f"the price passes a stop that fails: ms from breach to flat ({LATENCY_MS} ms latency)"
    table = _table(title, "the venue's stop", "streams", "rounds", "median", "p99", "max", "closed by")
    for closed in found:
        by = ", ".join(f"{name} x{count}" for name, count in closed.closed_by.items())
        table.add_row(closed.title, closed.streams, *_spread(closed.flat_ms), by)
    return [asdict(closed) for closed in found], [table]


def replace(folder: Path, _rounds: int) -> tuple[Any, list[Table]]:
    """Count the gaps of a thousand stop replacements under faults."""
    found = replacing.measure(folder, MOVES, LATENCY_MS)
    table = _table(f"stops moved under faults ({LATENCY_MS} ms latency)", "what", "count")
    rows: list[tuple[str, object]] = [
        ("stops moved, by the witness", found.moves),
        ("in seconds", f"{found.seconds:.0f}"),
        ("positions", found.positions),
        ("naked intervals", len(found.naked)),
        ("stops loosened", found.loosened),
        ("entries twice", found.duplicates),
        ("positions flipped", found.flips),
        ("positions closed", found.closed),
    ]
    rows += [("requests a move", f"{found.requests / max(1, found.moves):.1f}")]
    rows += [("weight a move", f"{found.weight / max(1, found.moves):.0f}")]
    for kind, (arranged, struck) in found.faults.items():
        rows.append((f"fault {kind}", f"{arranged} arranged" if struck is None else struck))
    for name, value in rows:
        table.add_row(name, str(value))
    for gap in found.naked:
        table.add_row(f"naked: {gap['account']} {gap['symbol']}", f"{gap['ms']:.0f} ms, after {gap['after']}")
    return asdict(found), [table]


def steady(folder: Path, _rounds: int) -> tuple[Any, list[Table]]:
    """Count requests and weight of positions at rest."""
    found = steady_state.measure(folder, LATENCY_MS)
    title = (
        f"positions at rest, prices walking: counted by the venue for {steady_state.WATCH_S:.0f} s, scaled to an hour"
    )
    names = ("stop", "positions", "moves seen", "requests/h", "weight/h", "requests/h each", "weight/h each", "which")
    table = _table(title, *names)
    for row in found:
        kinds = ", ".join(f"{kind} x{count}" for kind, count in row.by_type.items())
        each = (row.per_hour(row.requests, each=True), row.per_hour(row.weight, each=True))
        whole = (row.per_hour(row.requests), row.per_hour(row.weight))
        figures = (*(f"{value:.0f}" for value in whole), *(f"{value:.1f}" for value in each))
        table.add_row(row.stop, str(row.positions), str(row.moves), *figures, kinds)
    return [asdict(row) for row in found], [table]


MEASURES: Mapping[str, Callable[[Path, int], tuple[Any, list[Table]]]] = {
    "naked": naked,
    "breach": breach,
    "replace": replace,
    "steady": steady,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; with ``--json`` as one document."""
    asked = _arguments(argv)
    document: dict[str, Any] = {"latency_ms": LATENCY_MS}
    console = Console(width=150)
    with folder_for(asked.keep) as folder:
        for name in [asked.only] if asked.only else MEASURES:
            document[name], tables = MEASURES[name](folder / name, asked.rounds)
            for table in () if asked.json else tables:
                console.print(table)
    if asked.json:
        print(json.dumps(document))
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supervision", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one document")
    parser.add_argument("--only", choices=tuple(MEASURES), help="one measurement instead of all")
    parser.add_argument(
        "--rounds", type=at_least_one, default=ROUNDS, help="stops taken away each way; breached a third of it"
    )
    parser.add_argument("--keep", type=Path, help="a new directory for configuration, logs and journals, to look into")
    return parser.parse_args(argv)


def _spread(times: Sequence[float]) -> tuple[str, ...]:
    if not times:
        return ("0", "", "", "")
    return (str(len(times)), f"{statistics.median(times):.0f}", f"{p99(list(times)):.0f}", f"{max(times):.0f}")


def _table(title: str, *names: str) -> Table:
    table = Table(title=title)
    for name in names:
        number = name not in ("how", "the venue's stop", "streams", "closed by", "what", "stop", "which")
        table.add_column(name, justify="right" if number else "left")
    return table


if __name__ == "__main__":
    sys.exit(main())
