"""Which leases this process holds, by its own monotonic clock, and which of them the running call context took.

Kept apart from the store because a fence says nothing about which call context in this process asks.
"""

from collections.abc import Callable
from contextvars import ContextVar
from threading import Lock

from stopkeeper.core.model import Key
from stopkeeper.engine.ports import Lease, Reentered

FORGET_MS = 60_000
_in_context: ContextVar[frozenset[tuple[str, int]]] = ContextVar("stopkeeper_leases", default=frozenset())


class Held:
    """The leases of one process (one boot id)."""

    def __init__(self, boot: str, monotonic_ms: Callable[[], int]) -> None:
        self._boot = boot
        self._monotonic_ms = monotonic_ms
        self._until: dict[int, int] = {}
        self._lock = Lock()

    def now_ms(self) -> int:
        """Return the monotonic time: take it *before* asking the store, or the lease seems longer than it is."""
        return self._monotonic_ms()

    def took(self, fence: int, until_ms: int) -> None:
        """Note a lease taken or renewed."""
        with self._lock:
            forgotten = [old for old, until in self._until.items() if until < until_ms - FORGET_MS]
            for old in forgotten:  # lost without a release: whoever loses a lease touches nothing
                del self._until[old]
            self._until[fence] = until_ms
            mine = frozenset((boot, old) for boot, old in _in_context.get() if boot != self._boot or old in self._until)
        _in_context.set(mine | {(self._boot, fence)})

    def dropped(self, fence: int) -> None:
        """Note a lease let go or lost."""
        with self._lock:
            self._until.pop(fence, None)
        _in_context.set(_in_context.get() - {(self._boot, fence)})

    def holds(self, fence: int) -> bool:
        """Return whether a lease was taken here and neither let go nor lost."""
        with self._lock:
            return fence in self._until

    def refuse_reentry(self, key: Key, holder_fence: int) -> None:
        """Raise Reentered if the holder met at the store is the running call context itself."""
        if (self._boot, holder_fence) in _in_context.get():
            raise Reentered(f"this call context already drives {key}: asking again would wait for itself")

    def remaining_ms(self, lease: Lease) -> int:
        """Return what is left of a lease, 0 if it is not held."""
        with self._lock:
            until = self._until.get(lease.fence)
        return 0 if until is None else max(0, until - self._monotonic_ms())
