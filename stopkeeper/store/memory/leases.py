"""Leases and wake-ups in memory: the twins of lease_*.lua, wake.lua and claim.lua, line by line."""

import logging
import threading
from collections.abc import Sequence

from stopkeeper.core.model import Key
from stopkeeper.engine.ports import Lease, LeaseLost, Times
from stopkeeper.store import keys
from stopkeeper.store.held import Held
from stopkeeper.store.memory.world import LeaseRow, MemoryWorld, State

log = logging.getLogger(__name__)


def due_by(state: State, key: Key, at_ms: int) -> None:
    """Make a key due unless it is due earlier."""
    state.due[key] = min(at_ms, state.due.get(key, at_ms))


class MemoryLeases:
    """Implements ports.Leases for one process of the world."""

    def __init__(self, world: MemoryWorld, times: Times, boot: str) -> None:
        self._world = world
        self._times = times
        self._boot = boot
        self._held = Held(boot, world.clock)

    def acquire(self, key: Key) -> Lease | None:
        """Take the lease, or None while a live owner holds it. Raises Reentered, StoreGone."""
        keys.member(key)
        owner = f"{self._boot}|0|{threading.current_thread().name}"
        now = self._world.clock()
        with self._world.using() as state:
            row = state.leases.setdefault(key, LeaseRow())
            inherited = row.inherited_ms
            if row.owner:
                left_ms = row.until_ms - now
                if 0 < left_ms <= self._times.lease_ms and self._world.beats(row.boot, self._times.heartbeat_lost_ms):
                    self._held.refuse_reentry(key, row.fence)
                    return None
                inherited = max(inherited, row.noted_ms)
            fence = max(row.fence + 1, now * 1000)
            state.leases[key] = LeaseRow(owner, self._boot, fence, now + self._times.lease_ms, 0, inherited)
            state.due.pop(key, None)
            state.claimed[key] = now + self._times.claim_ms
        self._held.took(fence, now + self._times.lease_ms)
        return Lease(key, owner, fence, inherited)

    def renew(self, lease: Lease, deadline_ms: int) -> None:
        """Extend to the full term and note the deadline (venue ms) about to be sent. Raises LeaseLost, StoreGone."""
        now = self._world.clock()
        with self._world.using() as state:
            row = state.leases.get(lease.key, LeaseRow())
            kept = bool(row.owner) and row.fence == lease.fence and row.until_ms > now
            if kept:
                row.until_ms = now + self._times.lease_ms
                row.noted_ms = max(row.noted_ms, deadline_ms)
                state.claimed[lease.key] = now + self._times.claim_ms
        if not kept:
            self._held.dropped(lease.fence)
            raise LeaseLost(f"the lease of {lease.key} with fence {lease.fence} ran out or is another's")
        self._held.took(lease.fence, now + self._times.lease_ms)

    def remaining_ms(self, lease: Lease) -> int:
        """Return how much of the lease is left by the world's clock."""
        return self._held.remaining_ms(lease)

    def release(self, lease: Lease, counter: int, after_ms: int | None) -> bool:
        """Let go and set the due-time, or return False, still held, if woken. Raises LeaseLost, StoreGone."""
        with self._world.using() as state:
            row = state.leases.get(lease.key, LeaseRow())
            lost = not row.owner or row.fence != lease.fence
            if not lost:
                if state.wakes.get(lease.key, 0) != counter:
                    return False
                self._let_go(state, lease.key, row, after_ms)
        self._held.dropped(lease.fence)
        if lost:
            raise LeaseLost(f"the lease of {lease.key} with fence {lease.fence} was another's before its release")
        return True

    def abandon(self, lease: Lease, after_ms: int) -> None:
        """Let go whatever the wake counter says; of a lease that was lost meanwhile, nothing. Raises StoreGone."""
        self._held.dropped(lease.fence)
        with self._world.using() as state:
            row = state.leases.get(lease.key, LeaseRow())
            if row.owner and row.fence == lease.fence:
                row.inherited_ms = max(row.inherited_ms, row.noted_ms)
                self._let_go(state, lease.key, row, after_ms)

    def holders(self) -> Sequence[tuple[Key, str, int, int]]:
        """Return (key, owner, fence, ms left) of every lease held."""
        now = self._world.clock()
        with self._world.using() as state:
            rows = sorted((key, row) for key, row in state.leases.items() if row.owner)
            return [(key, row.owner, row.fence, max(0, row.until_ms - now)) for key, row in rows]

    def _let_go(self, state: State, key: Key, row: LeaseRow, after_ms: int | None) -> None:
        state.leases[key] = LeaseRow(fence=row.fence, inherited_ms=row.inherited_ms)
        state.claimed.pop(key, None)
        if after_ms is not None:
            due_by(state, key, self._world.clock() + max(0, after_ms))


class MemoryWakes:
    """Implements ports.Wakes."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def wake(self, key: Key, why: str) -> None:
        """Count a wake-up and make the key due now. Raises StoreGone."""
        keys.member(key)
        log.debug("wake %s: %s", key, why)
        with self._world.using() as state:
            state.wakes[key] = state.wakes.get(key, 0) + 1
            due_by(state, key, self._world.clock())

    def counter(self, key: Key) -> int:
        """Return how often the key was woken."""
        with self._world.using() as state:
            return state.wakes.get(key, 0)

    def mark_due(self, key: Key, after_ms: int) -> None:
        """Make the key due after a while unless it is due earlier; counts no wake-up. Raises StoreGone."""
        with self._world.using() as state:
            due_by(state, key, self._world.clock() + max(0, after_ms))

    def claim(self, limit: int, lease_ms: int) -> Sequence[Key]:
        """Claim what is due: each key comes due again after lease_ms unless driven to an end before."""
        now = self._world.clock()
        mine: list[Key] = []
        with self._world.using() as state:
            if now < state.claimed_at_ms - 1_000:
                for source in (state.due, state.claimed):
                    source.update({key: at - (state.claimed_at_ms - now) for key, at in source.items()})
            state.claimed_at_ms = now
            for source in (state.due, state.claimed):
                ready = sorted((at, keys.member(key), key) for key, at in source.items() if at <= now)
                for _, _, key in ready[: max(0, limit - len(mine))]:
                    state.due.pop(key, None)
                    state.claimed[key] = now + lease_ms
                    mine.append(key)
        return mine

    def overdue(self) -> Sequence[tuple[Key, int]]:
        """Return (key, ms until due; negative = overdue), soonest first; of a claimed key, until its redelivery."""
        now = self._world.clock()
        with self._world.using() as state:
            soonest = {**state.claimed, **state.due}
        return [(key, at - now) for key, at in sorted(soonest.items(), key=lambda item: (item[1], item[0]))]
