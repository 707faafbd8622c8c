"""Signs of life: every process says that it lives, so that ``status`` can show what runs where.

A sign says that a process lives, not that it gets on; what gets on is seen in the due set and the sweeps' notes.
"""

import json
import logging
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.bundle import Store

EVERY_S = 2.0
LOST_MS = 10_000
_NAMES_TTL_MS = 7 * 24 * 3600 * 1000
_NAMES = "alive"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sign:
    """A process and how long ago it last said that it lives."""

    process: str
    host: str
    pid: int
    age_ms: int


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

    def _run(self) -> None:
        while True:
            try:
                say(self._store, self._process)
            except StoreGone as gone:
                log.info("no sign of life: %s", gone)
            if self._stop.wait(EVERY_S):
                return


def say(store: Store, process: str) -> None:
    """Leave one sign of life. Raises StoreGone."""
    host = socket.gethostname()
    name = f"{process}@{host}"
    sign = {"process": process, "host": host, "pid": os.getpid(), "at_ms": store.now_ms()}
    store.texts.save(f"alive:{name}", json.dumps(sign), LOST_MS)
    names = _names(store)
    if name not in names:  # two starting at once may drop each other's name; the next sign puts it back
        living = [each for each in names if store.texts.load(f"alive:{each}") is not None]
        store.texts.save(_NAMES, json.dumps(sorted({*living, name})), _NAMES_TTL_MS)


def signs(store: Store) -> Sequence[Sign]:
    """Return the processes that said they live within the last 10 s, by name. Raises StoreGone."""
    found = []
    for name in _names(store):
        text = store.texts.load(f"alive:{name}")
        if text is not None:
            sign = json.loads(text)
            age_ms = max(0, store.now_ms() - int(sign["at_ms"]))
            found.append(Sign(str(sign["process"]), str(sign["host"]), int(sign["pid"]), age_ms))
    return found


def _names(store: Store) -> list[str]:
    text = store.texts.load(_NAMES)
    return [] if text is None else [str(name) for name in json.loads(text)]
