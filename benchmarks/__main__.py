"""``make bench``: signal to wire under load, and the engine's overhead over a bare ccxt script, in one run."""

import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.overhead import Overhead, measure, p99
from benchmarks.signal_to_wire import measure as signal_to_wire

ROUNDS = int(os.environ.get("ROUNDS", "20"))


def main() -> int:
    """Measure and print; with ``--json`` as one document."""
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(latency, ROUNDS, Path(folder) / f"redis-{latency}") for latency in (0, 50)]
        wire = {latency: signal_to_wire(latency, Path(folder) / f"up-{latency}") for latency in (0, 50)}
    if "--json" in sys.argv:
        print(json.dumps({"overhead": [vars(o) for o in found], "signal_to_wire_ms": wire}))
        return 0
    console.print(_overhead(found))
    table = Table(title="signal to wire under load: open enqueued -> entry received by the venue (ms)")
    for name in ("venue latency", "signals at once", "median", "p99", "slowest"):
        table.add_column(name, justify="right")
    for latency, times in wire.items():
        middle = sorted(times)[len(times) // 2]
        table.add_row(f"{latency} ms", str(len(times)), f"{middle:.0f}", f"{p99(times):.0f}", f"{max(times):.0f}")
    console.print(table)
    return 0


def _overhead(found: list[Overhead]) -> Table:
    table = Table(title=f"one protected entry, {ROUNDS} rounds each (ms): bare ccxt script / engine with real Redis")
    names = ("latency", "bare median", "p99", "engine median", "p99", "ratio", "CPU bare", "CPU engine", "requests")
    for name in names:
        table.add_column(name, justify="right")
    for o in found:
        table.add_row(
            f"{o.latency_ms} ms",
            f"{o.bare_median:.1f}",
            f"{o.bare_p99:.1f}",
            f"{o.engine_median:.1f}",
            f"{o.engine_p99:.1f}",
            f"{o.ratio:.2f}",
            f"{o.bare_cpu:.1f}",
            f"{o.engine_cpu:.1f}",
            f"{o.requests_bare:.0f} / {o.requests_engine:.0f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
