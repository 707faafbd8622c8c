"""Signs of life: every process says that it lives, so that ``status`` can show what runs where.

A sign says that a process lives, not that it gets on; what gets on is seen in the due set and the sweeps' notes.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from stopkeeper.console.backend import at_work
from stopkeeper.core.missing import Processes
from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.bundle import Store
from stopkeeper.store.wire import age
from tasks.runtime import BEAT, swept

EVERY_S = 2.0
LOST_MS = 10_000
ASKING = frozenset({"beat", "feed"})  # who asks workers for ticks and sweeps
APART_MS = 1_000  # the shortest life of a message: a tick's
_KEPT_MS = 24 * 3600 * 1000  # how long a process that ended without taking its leave is shown as lost
_NOTED_MS = 7 * 24 * 3600 * 1000
_NAMES = "alive"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sign:
    """A process, how long ago it last said that it lives, and how far its host's clock was before Redis's then.

    ``life_ms`` is for how long it had lived then.
    """

    process: str
    host: str
    pid: int
    age_ms: int
    ahead_ms: int = 0
    life_ms: int = 0


class Alive:
    """Says in a thread of its own that this process lives; use as a context manager."""

    def __init__(self, store: Store, process: str) -> None:
        self._store = store
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopkeeper-alive", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        with suppress(StoreGone):
            leave(self._store, self._process)

    def _run(self) -> None:
        began = time.monotonic()
        while True:
            try:
                say(self._store, self._process, int((time.monotonic() - began) * 1000))
            except StoreGone as gone:
                log.info("no sign of life: %s", gone)
            if self._stop.wait(EVERY_S):
                return


def say(store: Store, process: str, life_ms: int = 0) -> None:
    """Leave one sign of life, of a process that has lived for so long. Raises StoreGone."""
    host = socket.gethostname()
    name = f"{process}@{host}"
    at_ms = store.now_ms()
    ahead_ms = time.time_ns() // 1_000_000 - at_ms
    sign = {"process": process, "host": host, "pid": os.getpid(), "at_ms": at_ms}
    sign |= {"ahead_ms": ahead_ms, "life_ms": life_ms}
    store.texts.save(f"alive:{name}", json.dumps(sign), _KEPT_MS)
    names = _names(store)
    if name not in names:  # two starting at once may drop each other's name; the next sign puts it back
        known = [each for each in names if store.texts.load(f"alive:{each}") is not None]
        store.texts.save(_NAMES, json.dumps(sorted({*known, name})), _KEPT_MS)


def leave(store: Store, process: str) -> None:
    """Take the sign back: a process that ends in good order is missed by nobody. Raises StoreGone."""
    store.texts.save(f"alive:{process}@{socket.gethostname()}", "", 1)


def signs(store: Store) -> Sequence[Sign]:
    """Return the processes that said they live within the last 10 s, by name. Raises StoreGone."""
    return [sign for sign in _all(store) if sign.age_ms < LOST_MS]


def lost(store: Store) -> Sequence[Sign]:
    """Return the processes that said they live within a day and say it no more, by name. Raises StoreGone."""
    return [sign for sign in _all(store) if sign.age_ms >= LOST_MS]


def heard(store: Store, accounts: Sequence[str]) -> Processes:
    """Return what is heard of the installation's processes. Raises StoreGone."""
    found = signs(store)
    names = [sign.process for sign in found]
    lives = [sign.life_ms for sign in found if at_work([sign.process])]
    idle_ms: int | None = None
    if lives and ASKING & set(names):
        idle_ms = min([max(lives), *_worked(store, accounts)])  # who has just begun was not asked for anything yet
    return Processes(noted_ms(store, BEAT), at_work(names), clocks_apart(found), idle_ms)


def worked_ms(store: Store, accounts: Sequence[str]) -> int | None:
    """Return how long ago a worker last carried out a tick or a sweep; None = never in a week. Raises StoreGone."""
    return min(_worked(store, accounts), default=None)


def _worked(store: Store, accounts: Sequence[str]) -> list[int]:
    ages = (noted_ms(store, name) for name in (BEAT, *map(swept, accounts)))
    return [age_ms for age_ms in ages if age_ms is not None]


def clocks_apart(found: Iterable[Sign]) -> str:
    """Return which hosts' clocks are so far apart that what one publishes has expired at another; "" = none."""
    hosts = {sign.host: sign.ahead_ms for sign in found}
    if not hosts or max(hosts.values()) - min(hosts.values()) < APART_MS:
        return ""
    return ", ".join(f"{host} {ahead_ms / 1000:+.1f} s" for host, ahead_ms in sorted(hosts.items()))


def note(store: Store, name: str) -> None:
    """Leave the moment of now under a name. Raises StoreGone."""
    store.texts.save(name, str(store.now_ms()), _NOTED_MS)


def noted_ms(store: Store, name: str) -> int | None:
    """Return how long ago a moment was left under a name; None = never, within a week. Raises StoreGone."""
    text = store.texts.load(name)
    return age(store.now_ms(), int(text)) if text and text.isdigit() else None


def _all(store: Store) -> list[Sign]:
    found = []
    for name in _names(store):
        text = store.texts.load(f"alive:{name}")
        if text:
            sign = json.loads(text)
            age_ms = age(store.now_ms(), int(sign["at_ms"]))
            # a process of before these were said says nothing of them
            ahead_ms, life_ms = (int(sign.get(name, 0)) for name in ("ahead_ms", "life_ms"))
            found.append(Sign(str(sign["process"]), str(sign["host"]), int(sign["pid"]), age_ms, ahead_ms, life_ms))
    return found


def _names(store: Store) -> list[str]:
    text = store.texts.load(_NAMES)
    return [] if text is None else [str(name) for name in json.loads(text)]
