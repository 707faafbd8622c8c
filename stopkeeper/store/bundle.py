"""The store as one value: every part that engine, gateway and console are given. Redis and memory both make one."""

from collections.abc import Callable
from dataclasses import dataclass

from stopkeeper.engine import ports
from stopkeeper.store.durability import DurabilityReport


@dataclass(frozen=True, slots=True)
class Store:
    """All parts over one Redis (or one memory). Safe to share between threads.

    ``verify`` raises StoreGone with a sentence where the server must not be used; call it once at start.
    ``now_ms`` is the store's own clock, the one ages across processes are measured by.
    """

    boot: str
    leases: ports.Leases
    records: ports.Records
    wakes: ports.Wakes
    journal: ports.Journal
    ledger: ports.Ledger
    looks: ports.Looks
    prices: ports.Prices
    flags: ports.Flags
    gaps: ports.Gaps
    nonces: ports.NonceSource
    budget: ports.BudgetSource
    texts: ports.TextCache
    now_ms: Callable[[], int]
    durability_report: Callable[[], DurabilityReport]
    verify: Callable[[], None]
    close: Callable[[], None]
