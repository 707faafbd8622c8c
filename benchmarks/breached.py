"""From a breach to flat where the venue's own stop does not do it: the second line of defence, with a clock.

The breach is the moment the mark is pushed beyond the stop; flat is the time of the fill that closes the position, by
the venue's witness.
"""

import contextlib
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

from benchmarks.cover_lost import disturb
from benchmarks.installation import Account, Installation, installed
from benchmarks.setting import paper

SYMBOLS = ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "AVAX", "LINK", "LTC", "HYPE")
BEYOND = Decimal("0.994")  # of the stop: past `breach_margin`, far from its worst price
SETTLE_S = (3.5, 8.5)  # the confirmation 2 s after an entry is over; as wide as the period of looks without streams
HANGS_MS = 15_000
FLAT_S = 60.0


@dataclass(frozen=True)
class Failing:
    """One way in which a venue's stop fails; ``arm`` arranges it for a symbol, right before the breach."""

    account: str
    title: str
    arm: Callable[[Account, str], object]
    lost_before: bool = False


WAYS = (
    Failing("nobody", "it fires and finds nobody", lambda at, symbol: at.fault("stop_no_fill", symbol)),
    Failing("hangs", "it fires and hangs", lambda at, symbol: at.fault("stop_no_fill", symbol, delay_ms=HANGS_MS)),
    Failing("ignored", "it stays live and is not carried out", lambda at, symbol: at.fault("ignore_stops", symbol)),
    Failing("gone", "it was taken away right before", lambda *_: None, lost_before=True),
)


@dataclass(frozen=True)
class Closed:
    """What was measured of one way: from breach to flat of each round, what closed it, and the journal by kind."""

    title: str
    streams: str
    flat_ms: list[float] = field(default_factory=list)
    closed_by: dict[str, int] = field(default_factory=dict)
    journal: dict[str, int] = field(default_factory=dict)


def measure(
    folder: Path,
    rounds: int,
    latency_ms: int = 50,
    *,
    streams: str = "on",
    ways: tuple[Failing, ...] = WAYS,
    settle_s: tuple[float, float] = SETTLE_S,
) -> list[Closed]:
    """Breach ``rounds`` stops each way, all ways at once, each with an account at a venue of its own."""
    with contextlib.ExitStack() as stack:
        venues = {way.account: stack.enter_context(paper(latency_ms)) for way in ways}
        run = stack.enter_context(installed(folder, venues, dict.fromkeys(venues, SYMBOLS)))
        with ThreadPoolExecutor(len(ways)) as pool:
            return list(pool.map(lambda way: _way(run, way, rounds, streams, settle_s), ways))


def _way(run: Installation, way: Failing, rounds: int, streams: str, settle_s: tuple[float, float]) -> Closed:
    account, found = run.accounts[way.account], Closed(way.title, streams)
    dice = random.Random(way.account)
    disturb(account, streams)
    for number in range(rounds):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        run.until(lambda: run.free(account.name, symbol), f"{account.name} {symbol} free")  # noqa: B023
        took_ms, kind = _round(run, account, symbol, way, dice.uniform(*settle_s))
        found.flat_ms.append(took_ms)
        found.closed_by[kind] = found.closed_by.get(kind, 0) + 1
        run.until(lambda: run.free(account.name, symbol), f"{account.name} {symbol} free")  # noqa: B023  # and written down
    for line in run.journal(account.name):
        found.journal[line["kind"]] = found.journal.get(line["kind"], 0) + 1
    return found


def _round(run: Installation, account: Account, symbol: str, way: Failing, settle_s: float) -> tuple[float, str]:
    """Enter, breach, wait until flat; return the ms from breach to flat and what closed the position."""
    mark, before = Decimal(account.venue.marks()[symbol]), len(account.witness(symbol).get("exits", ()))
    run.forget_budgets()
    if way.lost_before:
        account.fault("cancel_stop", symbol, delay_ms=int(settle_s * 1000))
    run.open(account.name, symbol, notional="500")
    run.until(lambda: run.protected(account.name, symbol), f"{account.name} {symbol} protected")
    trade = run.trade(account.name, symbol)
    assert trade is not None
    assert trade.stop is not None
    if way.lost_before:
        run.until(lambda: _naked(account, symbol), f"{account.name} {symbol} naked", pause_s=0.002)
    else:
        time.sleep(settle_s)
    way.arm(account, symbol)
    breach_ms = account.push(symbol, _figures(trade.stop * BEYOND))

    def flat() -> bool:
        exits = account.witness(symbol)["exits"][before:]
        return sum((Decimal(each["size"]) for each in exits), Decimal(0)) >= trade.held

    run.until(flat, f"{account.name} {symbol} flat", FLAT_S, pause_s=0.02)
    last = account.witness(symbol)["exits"][-1]
    for rule in account.venue.get("/faults"):
        if rule["kind"] == "ignore_stops":
            account.venue.delete(f"/faults/{rule['id']}")
    account.push(symbol, mark)
    return float(last["time_ms"]) - breach_ms, str(last["closed_by"])


def _naked(account: Account, symbol: str) -> bool:
    intervals = account.witness(symbol)["naked_intervals"]
    return bool(intervals) and intervals[-1]["to_ms"] is None


def _figures(price: Decimal) -> Decimal:
    """Cut a price to five figures, as the venue's grid has them."""
    return price.quantize(Decimal(1).scaleb(price.adjusted() - 4), ROUND_DOWN)
