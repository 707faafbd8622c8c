"""Leases over Redis: owner with heartbeat, fence, noted deadline. The rules stand in scripts/lease_*.lua."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from stopkeeper.core.model import Key
from stopkeeper.engine.ports import Lease, LeaseLost, StoreGone, Times
from stopkeeper.store import keys
from stopkeeper.store.held import Held
from stopkeeper.store.wire import Wire, time_ms

log = logging.getLogger(__name__)
UNHEARD = 0  # the fence of a lease that was asked for and not answered; those granted are larger


def monotonic_ms() -> int:
    """Return this machine's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


def nothing() -> None:
    """Do nothing after a beat."""


class Heartbeat:
    """The sign of life of one process: a key that a daemon thread refreshes, started by the first lease taken.

    ``then`` is called after each beat that the server took; what it raises as StoreGone is a beat that failed.
    """

    def __init__(self, wire: Wire, times: Times) -> None:
        self.then: Callable[[], None] = nothing
        self.boot = uuid.uuid4().hex[:12]
        self._wire = wire
        self._times = times
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def ensure(self) -> None:
        """Start beating. Raises RuntimeError in a forked child, which would pass for its parent."""
        if os.getpid() != self._pid:
            raise RuntimeError(f"a store does not survive a fork: open one in process {os.getpid()}")
        with self._start:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._beat, name="stopkeeper-heartbeat", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stop beating; leases still held are free to others once the last beat has expired."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _beat(self) -> None:
        reached = True
        while not self._stop.wait(self._times.heartbeat_ms / 1000):
            try:
                self._wire.write("SET", keys.heartbeat(self.boot), self._pid, "PX", self._times.heartbeat_lost_ms)
                self.then()
                reached = True
            except StoreGone as gone:
                if reached:
                    log.warning("no heartbeat, leases of this process may be taken over: %s", gone)
                reached = False


class RedisLeases:
    """Implements ports.Leases."""

    def __init__(self, wire: Wire, times: Times, heartbeat: Heartbeat) -> None:
        self._wire = wire
        self._times = times
        self._heartbeat = heartbeat
        self._held = Held(heartbeat.boot, monotonic_ms)
        self._owed: dict[Lease, int] = {}  # what is to be let go once the server is back -> ms until its key is due
        heartbeat.then = self._make_up

    def acquire(self, key: Key) -> Lease | None:
        """Take the lease, or None while a live owner holds it. Raises Reentered, StoreGone."""
        self._heartbeat.ensure()
        boot = self._heartbeat.boot
        owner = f"{boot}|{os.getpid()}|{threading.current_thread().name}"
        asked = self._held.now_ms()
        try:
            reply = self._wire.script(
                "lease_acquire",
                [keys.lease(key), keys.leases(), keys.heartbeat(boot), keys.due(), keys.claimed()],
                [
                    owner,
                    boot,
                    self._times.lease_ms,
                    self._times.heartbeat_lost_ms,
                    self._times.claim_ms,
                    keys.member(key),
                    keys.HEARTBEAT_PREFIX,
                ],
            )
        except StoreGone:  # it may have been granted unheard, and this process beats for it
            self._owed[Lease(key, owner, UNHEARD, 0)] = 0
            raise
        fence = int(reply[1])
        if int(reply[0]) == 0:
            self._held.refuse_reentry(key, fence)
            return None
        self._held.took(fence, asked + self._times.lease_ms)
        return Lease(key, owner, fence, int(reply[2]))

    def renew(self, lease: Lease, deadline_ms: int) -> None:
        """Extend to the full term and note the deadline (venue ms) about to be sent. Raises LeaseLost, StoreGone."""
        asked = self._held.now_ms()
        kept = self._wire.repeatable(
            "lease_renew",
            [keys.lease(lease.key), keys.heartbeat(self._heartbeat.boot), keys.claimed()],
            [
                lease.fence,
                self._times.lease_ms,
                self._times.heartbeat_lost_ms,
                self._times.claim_ms,
                deadline_ms,
                keys.member(lease.key),
            ],
        )
        if int(kept) == 0:
            self._held.dropped(lease.fence)
            raise LeaseLost(f"the lease of {lease.key} with fence {lease.fence} ran out or is another's")
        self._held.took(lease.fence, asked + self._times.lease_ms)

    def remaining_ms(self, lease: Lease) -> int:
        """Return how much of the lease is left by this process's monotonic clock."""
        return self._held.remaining_ms(lease)

    def release(self, lease: Lease, counter: int, after_ms: int | None) -> bool:
        """Let go and set the due-time, or return False, still held, if woken. Raises LeaseLost, StoreGone."""
        done = self._let_go(lease, str(counter), after_ms)
        if done == 0:
            return False
        self._held.dropped(lease.fence)
        if done < 0:
            raise LeaseLost(f"the lease of {lease.key} with fence {lease.fence} was another's before its release")
        return True

    def abandon(self, lease: Lease, after_ms: int) -> None:
        """Let go whatever the wake counter says; of a lease that was lost meanwhile, nothing.

        Raises StoreGone; it is then let go as soon as the server is back, or nobody could drive its key for its term.
        """
        self._held.dropped(lease.fence)
        try:
            self._let_go(lease, "", after_ms)
        except StoreGone:
            self._owed[lease] = after_ms
            raise

    def holders(self) -> Sequence[tuple[Key, str, int, int]]:
        """Return (key, owner, fence, ms left) of every lease held, by Redis time."""
        members = sorted(self._wire.read("SMEMBERS", keys.leases()))
        held = [keys.parse_member(text) for text in members]
        fields = ("owner", "fence", "until")
        now, *rows = self._wire.reads(("TIME",), *(("HMGET", keys.lease(key), *fields) for key in held))
        now_ms = time_ms(now)
        return [
            (key, owner, int(fence), max(0, int(until) - now_ms))
            for key, (owner, fence, until) in zip(held, rows, strict=True)
            if owner
        ]

    def _make_up(self) -> None:
        """Let go of what nobody here drives: it could not be let go, or its grant was not heard. Raises StoreGone."""
        for lease, after_ms in tuple(self._owed.items()):
            mine: Lease | None = lease if lease.fence != UNHEARD else self._unheard(lease)
            if mine is not None:
                self._let_go(mine, "", after_ms)
            self._owed.pop(lease, None)

    def _unheard(self, lease: Lease) -> Lease | None:
        """Return a lease with its fence if it was granted to this owner and is not driven here."""
        owner, fence = self._wire.read("HMGET", keys.lease(lease.key), "owner", "fence")
        granted = owner == lease.owner and not self._held.holds(int(fence))
        return replace(lease, fence=int(fence)) if granted else None

    def _let_go(self, lease: Lease, counter: str, after_ms: int | None) -> int:
        after = "" if after_ms is None else max(0, after_ms)
        return int(
            self._wire.script(
                "lease_release",
                [keys.lease(lease.key), keys.leases(), keys.wakes(), keys.due(), keys.claimed()],
                [lease.fence, counter, after, keys.member(lease.key)],
            )
        )
