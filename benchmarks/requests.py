"""What an entry, a refresh and an exit cost the venue: requests and weight, counted by the paper venue itself.

Run ``python -m benchmarks.requests``; docs/operations.md quotes its table.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.setting import Bench, PaperProcess, paper
from stopkeeper.core.actions import ALL_FIELDS
from stopkeeper.core.model import AccountSeen, Key
from stopkeeper.engine import desk
from stopkeeper.engine.drive import drive
from stopkeeper.engine.observe import look
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sweep import sweep


class Counted:
    """Runs steps and keeps what each cost."""

    def __init__(self, venue: PaperProcess) -> None:
        self.venue, self.rows = venue, list[tuple[str, int, int, str]]()

    def step(self, name: str, run: Callable[[], object]) -> None:
        """Count what one step asks of the venue."""
        self.venue.post("/stats/reset")
        run()
        stats = self.venue.get("/stats")
        kinds = ", ".join(f"{kind} x{n}" if n > 1 else kind for kind, n in stats["requests"]["by_type"].items())
        self.rows.append((name, stats["requests"]["total"], stats["weight"]["total"], kinds))


def main() -> None:
    """Count and print."""
    with tempfile.TemporaryDirectory() as folder, paper(0) as venue, Bench(venue, Path(folder)) as bench:
        counted = Counted(venue)
        sweep(bench.ports)
        _trade(bench, counted, "cold, leverage not known", fresh=False)
        _trade(bench, counted, "leverage known, look younger than 2 s", fresh=True)
        for symbol, size in (("BTC", "0.01"), ("ETH", "0.1"), ("SOL", "1")):
            bench.submit(symbol, size)
            drive(Key(bench.account, symbol), bench.ports)
            time.sleep(2.1)
            drive(Key(bench.account, symbol), bench.ports)
        counted.step("refresh and sweep of 3 positions", lambda: sweep(bench.ports))
    table = Table("step", "requests", "weight", "which", title="requests and weight, as the venue counts them")
    for name, requests, weight, kinds in counted.rows:
        table.add_row(name, str(requests), str(weight), kinds)
    Console(width=150).print(table)


def _trade(bench: Bench, counted: Counted, title: str, *, fresh: bool) -> None:
    key, ports = Key(bench.account, "BTC"), bench.ports
    bench.submit("BTC", "0.01")
    if fresh:
        look(ports, ALL_FIELDS, AccountSeen(), Urgency.ORDINARY)
    counted.step(f"entry ({title})", lambda: drive(key, ports))
    time.sleep(2.1)
    counted.step("confirmation, 2 s later", lambda: drive(key, ports))
    if not fresh:
        counted.step("refresh and sweep of 1 position", lambda: sweep(ports))
        desk.ask_close(key, ports)
        counted.step("a close by command, until booked", lambda: _until_booked(bench, key))
    else:
        mark = float(bench.venue.marks()["BTC"])
        bench.venue.post("/mark", symbol="BTC", price=str(int(mark * 0.979)), hold_ms=2_000)
        counted.step("the stop fired, until booked", lambda: _until_booked(bench, key))
    time.sleep(3.2)
    bench.age_looks()
    bench.forget_budget()


def _until_booked(bench: Bench, key: Key) -> None:
    """Drive a key whenever it says it is due, as tickers would, until no trade is on it."""
    while bench.ports.records.load(key).trade is not None:
        end = drive(key, bench.ports)
        due = end.due_ms if end and end.due_ms is not None else bench.ports.venue.now_ms()
        time.sleep(max(0, due - bench.ports.venue.now_ms()) / 1000)


if __name__ == "__main__":
    main()
