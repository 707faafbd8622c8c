"""What makes a process strike at a point: a proxy around each port that counts its calls by name.

The striker reads its order from a folder once it is armed, writes each passing down, and says where it struck.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

from tests.chaos.points import LOCAL, methods

KILLED = 137  # the exit code of a process that somebody killed
_SAVERS = {"_turn": "learned", "perform": "found", "_tried": "correcting", "_book": "correcting"}


@dataclass(frozen=True)
class Order:
    """Where to strike, at which passing after it was armed, how (die or freeze), and in which scene if not its own."""

    point: str
    nth: int = 1
    how: str = "die"
    scene: str = ""


@dataclass
class Orders:
    """The folder through which a test and its process talk."""

    folder: Path

    @property
    def armed(self) -> Path:
        return self.folder / "order.json"

    @property
    def passed(self) -> Path:
        return self.folder / "passed"

    @property
    def struck(self) -> Path:
        return self.folder / "struck"

    def arm(self, order: Order) -> None:
        """Give the order, whole or not at all."""
        fresh = self.folder / "order.new"
        fresh.write_text(json.dumps(vars(order)))
        fresh.replace(self.armed)

    def counts(self) -> Counter[str]:
        """Return how often each point was passed since the order was given."""
        return Counter(self.passed.read_text().split("\n")[:-1]) if self.passed.exists() else Counter()

    def struck_ms(self) -> float | None:
        """Return when it struck, or None."""
        return float(self.struck.read_text()) if self.struck.exists() else None


@dataclass
class Striker:
    """Counts what a process passes, and strikes."""

    orders: Orders
    order: Order | None = None
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _log: int = -1

    def passing(self, point: str) -> None:
        """Note that a point is passed; strike if it is the one."""
        if self.order is None and not self._armed():
            return
        with self._lock:
            os.write(self._log, f"{point}\n".encode())
            assert self.order is not None
            if point != self.order.point:
                return
            self._seen += 1
            strikes = self._seen == self.order.nth
        if strikes:
            self._strike(self.order.how)

    def _armed(self) -> bool:
        if not self.orders.armed.exists():
            return False
        with self._lock:
            if self.order is None:
                self._log = os.open(self.orders.passed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                self.order = Order(**json.loads(self.orders.armed.read_text()))
        return True

    def _strike(self, how: str) -> None:
        fresh = self.orders.folder / "struck.new"
        fresh.write_text(str(time.time() * 1000))
        fresh.replace(self.orders.struck)
        if how == "die":
            os._exit(KILLED)
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # to the process it might stop this thread late


class Passing:
    """A port behind which the same port stands: every call of its Protocol passes two points."""

    def __init__(self, inner: Any, name: str, protocol: Any, striker: Striker) -> None:
        self._inner = inner
        for method in methods(protocol):
            full = f"{name}.{method}"
            if full not in LOCAL:
                setattr(self, method, _passed(getattr(inner, method), full, striker))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _passed(call: Callable[..., Any], name: str, striker: Striker) -> Callable[..., Any]:
    @wraps(call)
    def through(*args: Any, **kwargs: Any) -> Any:
        full = f"{name}/{_kind_of_save(kwargs)}" if name == "records.save" else name
        striker.passing(f"{full}:before")
        answer = call(*args, **kwargs)
        striker.passing(f"{full}:after")
        return answer

    return through


def _kind_of_save(kwargs: dict[str, Any]) -> str:
    """Return why a record is saved: by what goes along, else by who saves."""
    if kwargs.get("booked") is not None:
        return "booked"
    if kwargs.get("refused") is not None:
        return "refused"
    caller: FrameType | None = sys._getframe(2)
    assert caller is not None
    saver = caller.f_code.co_name
    if saver == "_effect":
        side = "conclude" if "outcome" in caller.f_locals else "announce"
        return f"{side} {type(caller.f_locals['action']).__name__}"
    return _SAVERS.get(saver, f"unknown: {saver}")
