"""What is done to a machine while something is measured: the process that drives a key is killed, Redis is ended.

Only processes of the installation are signalled: children of its ``up``, by their ids.
"""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.installation import Installation
from stopkeeper.core.model import Key
from workers.alive import LOST_MS, signs

WORKERS = frozenset({"urgent-1", "orders-1", "orders-2"})
DRIVEN_S = 30.0
DRIVEN_LOOK_S = 0.002
ALIVE_S = 60.0
FRESH_MS = LOST_MS // 2  # a sign older than this may be of a process that is dead


def children(pid: int) -> frozenset[int]:
    """Return the ids of the processes that a process has started and that live."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):  # it has just ended
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.add(int(entry.name))
    return frozenset(found)


def all_alive(run: Installation) -> bool:
    """Tell whether every worker has said that it lives, and is the process that said so."""
    living = children(run.pid)
    said = {sign.process for sign in signs(run.system.store) if sign.pid in living and sign.age_ms < FRESH_MS}
    return said >= WORKERS


def await_workers(run: Installation) -> None:
    """Wait until every worker lives. Raises Unmet."""
    run.until(lambda: all_alive(run), "all workers alive", ALIVE_S, 0.1)


def driver(run: Installation, account: str, symbol: str) -> int | None:
    """Return the id of the process that holds the lease of a key, or None."""
    holders = run.system.store.leases.holders()
    owners = (owner for key, owner, _, _ in holders if key == Key(account, symbol))
    return next((int(owner.split("|")[1]) for owner in owners), None)


class Missed(Exception):
    """The strike came when nobody drove the key any more: the round says nothing."""


def await_driver(run: Installation, account: str, symbol: str) -> int:
    """Wait until a process drives a key and return its id. Raises Unmet."""
    found: list[int] = []

    def driven() -> bool:
        pid = driver(run, account, symbol)
        found.extend([] if pid is None else [pid])
        return pid is not None

    run.until(driven, f"{account} {symbol} driven", DRIVEN_S, DRIVEN_LOOK_S)
    return found[0]


def during_drive(run: Installation, account: str, symbol: str, after_s: float) -> int:
    """Wait until so long after a process has begun to drive a key, and return its id. Raises Unmet, Missed."""
    pid = await_driver(run, account, symbol)
    time.sleep(after_s)
    if driver(run, account, symbol) != pid:
        raise Missed
    return pid


def kill_driver(run: Installation, account: str, symbol: str, after_s: float) -> None:
    """Kill whoever drives a key next, so long after it has taken the lease. Raises Unmet, Missed."""
    pid = during_drive(run, account, symbol, after_s)
    if pid in children(run.pid):
        os.kill(pid, signal.SIGKILL)


def end_redis(run: Installation, number: int) -> None:
    """Send a signal to the embedded server; the supervisor starts it again."""
    pid = int(json.loads((run.folder / "data" / "redis-running.json").read_text())["pid"])
    if pid in children(run.pid):
        os.kill(pid, number)
