"""``make soak``: thousands of trades of all kinds; proves that nothing in Redis grows with them but the ledger.

``python -m benchmarks.soak [--trades N] [--here] [--flower] [--json] [--keep DIR]``. Real Redis, the real engine and
paper venues over HTTP, without latency; with the processes of ``stopkeeper up``, or with ``--here`` driven by threads
of this process, without queue, beat and feed. Ten times on the way all trades but one an account are closed and every
key is counted. Exit code 1, with the names of the families, where one grows that may not, a key has no family or should
expire and does not, or a trade that is over leaves a lease, a due-time, an ask, a reservation, or an order unaccounted.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from redis import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.growth import FAMILIES, Sample, Tally, grown, sample, unjudged
from benchmarks.installation import Installation, Unmet, installed, up
from benchmarks.setting import at_least_one, folder_for, paper
from benchmarks.soak_lanes import KINDS, PATIENCE_S, Lane
from stopkeeper.core.model import Key
from stopkeeper.engine.drive import drive
from stopkeeper.engine.ports import LeaseLost, StoreGone
from stopkeeper.engine.sweep import sweep
from stopkeeper.store.embedded import EmbeddedServer
from workers.wiring import redis_url

TRADES = 3_000
SAMPLES = 10
ACCOUNTS = 4
SYMBOLS = ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "AVAX", "LINK", "LTC", "ARB", "SUI", "HYPE")
HELD = "BTC"  # held all the time, by turns a trade's and an orphan's: what others leave must not pile up beside it
LIMITS = "[risk]\nmax_open_trades = {trades}\nmax_notional = 100000\nmax_leverage = 20\nmax_daily_loss = 1000000"
THREADS = 16
TICK_S = 0.05
SWEEP_S = 0.5


@dataclass
class Soaked:
    """What was played, how long it took, what stood in Redis on the way, and what was wrong."""

    kinds: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def soak(
    folder: Path,
    trades: int,
    *,
    samples: int = SAMPLES,
    accounts: int = ACCOUNTS,
    symbols: Sequence[str] = SYMBOLS,
    kinds: Collection[str] = tuple(KINDS),
    here: bool = False,
    flower: bool = False,
    tell: Callable[[Sample], object] = lambda _: None,
) -> Soaked:
    """Play at least so many trades of these kinds, counting Redis ``samples`` times on the way, and judge.

    ``tell`` is given each count as it is made.
    """
    found, names = Soaked(), [f"a{number}" for number in range(accounts)]
    more = f"{LIMITS.format(trades=len(symbols) - 1)}\n[flower]\nenabled = {str(flower).lower()}"
    with ExitStack() as stack:
        venues = {name: stack.enter_context(paper(0)) for name in names}
        tickers = dict.fromkeys(names, symbols)
        processes = redis_alone if here else up
        run = stack.enter_context(installed(folder, venues, tickers, more=more, processes=processes))
        stack.enter_context(run.unmetered())
        stack.enter_context(_driven(run) if here else nullcontext())
        client = stack.enter_context(Redis.from_url(redis_url(run.system.settings), decode_responses=True))
        _soak(run, client, [trades * n // samples for n in range(1, samples + 1)], kinds, found, tell)
    return found


def _soak(
    run: Installation,
    client: "Redis",
    counts: Sequence[int],
    kinds: Collection[str],
    found: Soaked,
    tell: Callable[[Sample], object],
) -> None:
    """Play until so many trades are booked, and count Redis, for each of ``counts``; then judge."""
    lanes = [Lane(run, at, symbol, random.Random(f"{name} {symbol}"), kinds) for name, at in run.accounts.items()
             for symbol in at.venue.marks() if symbol in run.system.settings.accounts[name].symbols]  # fmt: skip
    held = [lane.key for lane in lanes if lane.symbol == HELD]
    for number, lane in enumerate(each for each in lanes if each.key in held):
        if number % 2:
            lane.found()
        else:
            lane.hold(stop="10%")
    playing = [lane for lane in lanes if lane.key not in held]
    began = time.monotonic()
    for count in counts:
        _play(run, playing, count)
        found.samples.append(_sampled(run, playing, client, held))
        found.seconds = found.samples[-1].at_s = time.monotonic() - began
        tell(found.samples[-1])
    found.kinds = dict(sum((lane.done for lane in lanes), Counter()).most_common())
    found.refused = sum(lane.refused for lane in lanes)
    found.wrong = [f"after {each.trades} trades: {what}" for each in found.samples for what in each.wrong]
    found.wrong += grown(found.samples) + _witnessed(run)


def booked(run: Installation) -> int:
    """Return how many lines the ledgers have."""
    with Redis.from_url(redis_url(run.system.settings)) as client:
        return sum(client.hlen(f"sk:ledger:{name}") for name in run.accounts)


def _play(run: Installation, lanes: Sequence[Lane], trades: int) -> None:
    """Play on all lanes until so many trades are booked and every lane is free. Raises Unmet."""
    enough = threading.Event()

    def play(lane: Lane) -> None:
        while not enough.is_set():
            lane.play()

    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            playing = [pool.submit(play, lane) for lane in lanes]
            while booked(run) < trades and not any(each.done() for each in playing):
                time.sleep(0.2)
        finally:
            enough.set()
        for each in playing:
            each.result()


def _sampled(run: Installation, lanes: Sequence[Lane], client: "Redis", held: Sequence[Key]) -> Sample:
    """Count Redis once all that is over has left it; what never does stands in the count as wrong."""
    taken: list[Sample] = []

    def settled() -> bool:
        taken[:] = [sample(client, booked(run), held)]
        taken[0].wrong += [each for lane in lanes for each in _unsettled(lane)]
        return not taken[0].wrong

    with suppress(Unmet):
        run.until(settled, "all that is over left Redis", PATIENCE_S, 0.5)
    return taken[0]


def _unsettled(lane: Lane) -> Iterator[str]:
    """Name what a record still waits for though its key is free."""
    record = lane.run.system.store.records.load(lane.key)
    if record.trade is not None:
        yield f"{lane.key}: trade {record.trade.id} is open"
    yield from (f"{lane.key}: trade {trade.id} settles" for trade in record.settling)
    yield from (f"{lane.key}: {order.role} {order.n} of {order.trade} is outstanding" for order in record.outstanding)


def _witnessed(run: Installation) -> list[str]:
    """Name what the venues saw and never may."""
    wrong = []
    for name, at in run.accounts.items():
        for symbol, book in at.witnessed().items():
            if book["duplicates"]:
                wrong.append(f"{name} {symbol}: {book['duplicates']} entries twice")
            if any(each["to_ms"] is None for each in book["naked_intervals"]):
                wrong.append(f"{name} {symbol} is naked")
    return wrong


@contextmanager
def redis_alone(config: Path) -> Iterator[int]:
    """Run the embedded server of a configuration and no other process."""
    with EmbeddedServer(config.parent / "data") as server:
        yield server.pid


@contextmanager
def _driven(run: Installation) -> Iterator[None]:
    """Drive what is due, and sweep, in threads of this process: neither queue nor beat nor feed."""
    over = threading.Event()
    ports = [run.system.ports(name) for name in run.accounts]
    times = ports[0].times

    def driven(key: Key) -> None:
        try:
            drive(key, run.system.ports(key.account))
        except (StoreGone, LeaseLost):
            return  # it comes due again

    def tick(pool: ThreadPoolExecutor) -> None:
        while not over.wait(TICK_S):
            for key in ports[0].wakes.claim(THREADS, times.claim_ms):
                pool.submit(driven, key)

    def look() -> None:
        while not over.wait(SWEEP_S):
            for each in ports:
                sweep(each)

    with ThreadPoolExecutor(THREADS) as pool:
        threads = [threading.Thread(target=tick, args=(pool,)), threading.Thread(target=look)]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            over.set()
            for each in threads:
                each.join()


def main(argv: Sequence[str] | None = None) -> int:
    """Soak and print; with ``--json`` as one document."""
    asked = _arguments(argv)
    with folder_for(asked.keep) as folder:
        found = soak(folder / "soak", asked.trades, here=asked.here, flower=asked.flower, tell=_tell)
    if asked.json:
        print(json.dumps(asdict(found)))
    else:
        console = Console(width=150, emoji=False)
        console.print(_kinds(found))
        console.print(_families(found.samples))
        for family in unjudged(found.samples):
            console.print(f"too short a run to judge {family}, which holds what is young", markup=False)
    for each in found.wrong:
        print(each, file=sys.stderr)
    return 1 if found.wrong else 0


def _tell(taken: Sample) -> None:
    keys, size = (sum(getattr(each, what) for each in taken.families.values()) for what in ("keys", "bytes"))
    text = f"{taken.trades} trades, {taken.at_s:.0f} s: {keys} keys, {size} bytes"
    print(f"{text}, {len(taken.wrong)} wrong" if taken.wrong else text, file=sys.stderr, flush=True)


def _kinds(found: Soaked) -> Table:
    title = f"{found.samples[-1].trades} trades in {found.seconds:.0f} s, {found.refused} signals refused at the door"
    table = Table("what became of them", "times", title=title)
    for kind, count in found.kinds.items():
        table.add_row(kind, str(count))
    return table


def _families(samples: Sequence[Sample]) -> Table:
    """Show each family at the second count, in the middle and at the end."""
    shown = [samples[min(1, len(samples) - 1)], samples[len(samples) // 2], samples[-1]]
    table = Table(title=f"what stands in Redis after {', '.join(str(each.trades) for each in shown)} trades")
    for name in ("family", "bound", "keys", "entries", "bytes"):
        table.add_column(name, justify="left" if name in ("family", "bound") else "right")
    for family in sorted({name for each in shown for name in each.families}):
        tallies = [each.families.get(family, Tally()) for each in shown]
        figures = (" ".join(str(getattr(each, what)) for each in tallies) for what in ("keys", "items", "bytes"))
        table.add_row(repr(family)[1:-1], FAMILIES[family][2].name.lower(), *figures)
    return table


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--trades", type=at_least_one, default=TRADES, help="how many are booked")
    parser.add_argument("--here", action="store_true", help="drive in this process: no queue, beat and feed")
    parser.add_argument("--flower", action="store_true", help="run Flower too: events and remote control leave keys")
    parser.add_argument("--json", action="store_true", help="print one document")
    parser.add_argument("--keep", type=Path, help="a new directory for configuration, logs and journals")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
