"""The engine against a bare ccxt script that makes the same calls: one entry until its stop is read back.

Both run in this process, turn and turn about, against paper venues in processes of their own; the engine with its real
Redis. Times are per protected entry, from the first look to the stop seen live.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare_ccxt import enter, exchange, leave
from benchmarks.setting import Bench, paper
from stopkeeper.core.model import Key
from stopkeeper.engine import desk
from stopkeeper.engine.drive import drive

SYMBOL, SIZE = "BTC", 0.01


@dataclass(frozen=True)
class Overhead:
    """Milliseconds per entry at one latency."""

    latency_ms: int
    bare_median: float
    bare_p99: float
    engine_median: float
    engine_p99: float
    bare_cpu: float
    engine_cpu: float
    requests_bare: float
    requests_engine: float

    @property
    def ratio(self) -> float:
        return self.engine_median / self.bare_median


def p99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


def measure(latency_ms: int, rounds: int, data_dir: Path) -> Overhead:
    """Measure ``rounds`` entries of each kind at a venue latency."""
    with paper(latency_ms) as venue, Bench(venue, data_dir) as bench:
        made = exchange(venue.url, bench.bare_address, bench.bare_secret)
        mark = float(venue.marks()[SYMBOL])
        bare, engine = _Clock(venue.requests), _Clock(venue.requests)
        unified, key = f"{SYMBOL}/USDC:USDC", Key(bench.account, SYMBOL)
        for _ in range(rounds):
            bare.time(lambda: enter(made, unified, SIZE, mark))
            leave(made, unified, SIZE, mark)
            bench.submit(SYMBOL, str(SIZE))
            engine.time(lambda: drive(key, bench.ports))
            bench.forget_budget()
            _clear(bench, key)
        warm_bare, warm_engine = bare.times[2:], engine.times[2:]
        return Overhead(
            latency_ms,
            statistics.median(warm_bare),
            p99(warm_bare),
            statistics.median(warm_engine),
            p99(warm_engine),
            statistics.median(bare.cpu[2:]),
            statistics.median(engine.cpu[2:]),
            statistics.median(bare.requests[2:]),
            statistics.median(engine.requests[2:]),
        )


def _clear(bench: Bench, key: Key) -> None:
    """Close the engine's position and drive until the key is free again."""
    desk.ask_close(key, bench.ports)
    while bench.ports.records.load(key).trade is not None:
        drive(key, bench.ports)
        bench.forget_budget()
        time.sleep(0.05)
    while bench.ports.venue.now_ms() <= bench.ports.records.load(key).quiet_ms:
        time.sleep(0.05)
    bench.age_looks()


class _Clock:
    """Wall time, CPU and requests of what is run."""

    def __init__(self, requests: Callable[[], int]) -> None:
        self.times: list[float] = []
        self.cpu: list[float] = []
        self.requests: list[float] = []
        self._count = requests

    def time(self, run: Callable[[], object]) -> None:
        before, cpu, start = self._count(), time.process_time(), time.perf_counter()
        run()
        self.times.append((time.perf_counter() - start) * 1000)
        self.cpu.append((time.process_time() - cpu) * 1000)
        self.requests.append(self._count() - before)
