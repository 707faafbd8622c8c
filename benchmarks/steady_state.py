"""What positions at rest cost the venue: requests and weight, counted by the venue, prices walking at normal speed.

One installation with three accounts (1, 10 and 100 positions), each at a venue of its own so that none spends another's
budget; once with fixed and once with trailing stops.
"""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import Installation, installed
from benchmarks.replacing import moved
from benchmarks.setting import paper

COUNTS = (1, 10, 100)
KINDS = {"fixed": None, "trailing 1%": "1%"}
WATCH_S = 180.0
SETTLE_S = 30.0
OPEN_S = 240.0
AT_ONCE = 10
STOP = "1%"  # where a trailing stop of 1 % begins: none is moved before the price has risen
HOUR_S = 3_600.0
KNOWN = ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "AVAX", "LINK", "LTC", "ARB", "SUI", "HYPE")


@dataclass(frozen=True)
class Rest:
    """What one account cost in the time watched."""

    stop: str
    positions: int
    seconds: float
    moves: int
    requests: int
    weight: int
    by_type: dict[str, int]
    journal: dict[str, int]

    def per_hour(self, count: int, *, each: bool = False) -> float:
        """Scale a count to an hour, of the account or of each position."""
        return count * HOUR_S / self.seconds / (self.positions if each else 1)


def listed(count: int) -> tuple[str, ...]:
    """Return so many symbols as the paper venue takes them: those it knows, then made-up ones with their own terms."""
    made_up = tuple(f"SIM{number:03}:2:20:100" for number in range(max(0, count - len(KNOWN))))
    return (*KNOWN[:count], *made_up)


def measure(
    folder: Path, latency_ms: int = 50, *, counts: tuple[int, ...] = COUNTS, watch_s: float = WATCH_S
) -> list[Rest]:
    """Count both kinds of stops, one after the other."""
    found = [
        row
        for name, trail in KINDS.items()
        for row in _kind(folder / (trail or name).strip("%"), name, trail, latency_ms, counts, watch_s)
    ]
    return sorted(found, key=lambda row: row.positions)


def _kind(
    folder: Path, name: str, trail: str | None, latency_ms: int, counts: tuple[int, ...], watch_s: float
) -> list[Rest]:
    with contextlib.ExitStack() as stack:
        names = {f"n{count}": listed(count) for count in counts}
        venues = {key: stack.enter_context(paper(latency_ms, "walk", coins)) for key, coins in names.items()}
        symbols = {key: tuple(coin.partition(":")[0] for coin in coins) for key, coins in names.items()}
        run = stack.enter_context(installed(folder, venues, symbols))
        with run.unmetered():
            _fill(run, symbols, trail)
            time.sleep(SETTLE_S)
        return _watch(run, name, symbols, watch_s)


def _fill(run: Installation, symbols: dict[str, tuple[str, ...]], trail: str | None) -> None:
    """Enter everything, a few at a time: an account takes fifty signals that wait, and late ones end unsent."""
    keys = [(account, coin) for account, coins in symbols.items() for coin in coins]
    for first in range(0, len(keys), AT_ONCE):
        batch = keys[first : first + AT_ONCE]
        for account, coin in batch:
            run.open(account, coin, notional="500", stop=STOP, trail=trail)
        for account, coin in batch:
            run.until(lambda: _entered(run, account, coin, trail), f"{account} {coin} protected", OPEN_S, 0.05)  # noqa: B023


def _entered(run: Installation, account: str, coin: str, trail: str | None) -> bool:
    """Tell whether a position is protected; submit a signal anew that ended unsent."""
    if run.protected(account, coin):
        return True
    if run.free(account, coin):
        run.open(account, coin, notional="500", stop=STOP, trail=trail)
    return False


def _watch(run: Installation, name: str, symbols: dict[str, tuple[str, ...]], watch_s: float) -> list[Rest]:
    run.forget_budgets()
    before, began_ms = {key: moved([at]) for key, at in run.accounts.items()}, time.time() * 1000
    began = time.monotonic()
    for at in run.accounts.values():
        at.venue.post("/stats/reset")
    time.sleep(watch_s)
    seconds = time.monotonic() - began
    found = []
    for key, at in run.accounts.items():
        stats = at.venue.get("/stats")
        kinds: dict[str, int] = {}
        for line in run.journal(key, began_ms):
            kinds[line["kind"]] = kinds.get(line["kind"], 0) + 1
        requests, weight = stats["requests"], stats["weight"]
        count = moved([at]) - before[key]
        by_type = dict(requests["by_type"])
        found.append(Rest(name, len(symbols[key]), seconds, count, requests["total"], weight["total"], by_type, kinds))
    return found
