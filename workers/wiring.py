"""The composition root: the only place where store and venues are made and introduced to engine, tasks and console.

``build`` is cheap: nothing is connected and nothing heavy imported before it is asked for.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stopkeeper.core.rules import Rules
from stopkeeper.engine.ports import Ports, StoreGone, Venue
from workers.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from exchange.account import VenueAccount
    from stopkeeper.store.bundle import Store


GUARDED = "stops at the venue stand, and after 10 s a feed that runs guards them alone"


class System:
    """One installation as this process sees it. Safe to share between threads; not across a fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.accounts = tuple(settings.accounts)
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._app: Celery | None = None
        self._venues: dict[str, Venue] = {}
        self._ports: dict[str, Ports] = {}

    @property
    def store(self) -> "Store":
        """Return the store, opened and verified at the first use. Raises StoreGone with what is wrong."""
        with self._lock:
            if self._store is None:
                store = open_store(self.settings)
                try:
                    store.verify()
                except StoreGone:
                    store.close()
                    raise
                self._store = store
            return self._store

    def ports(self, account: str) -> Ports:
        """Return an account's ports; made once. Raises KeyError for an unknown account, StoreGone."""
        with self._lock:
            if account not in self._ports:
                self._ports[account] = self._make_ports(account)
            return self._ports[account]

    def venue(self, account: str) -> Venue:
        """Return an account's venue with its budgets and nonces shared through the store. Raises StoreGone."""
        from exchange.venues import open_venue

        with self._lock:
            if account not in self._venues:
                store = self.store
                self._venues[account] = open_venue(
                    venue_account(self.settings, account),
                    self.settings.times(),
                    store.nonces,
                    store.budget,
                    store.texts,
                )
            return self._venues[account]

    def direct(self, account: str) -> tuple[Venue, str, tuple[str, ...], Rules]:
        """Return a venue that needs no Redis, the installation, its symbols and rules: for ``flatten --direct``.

        Nonces come from this machine's clock and no budget is shared, so nothing may refuse a close.
        """
        from exchange.venues import open_venue
        from stopkeeper.store.memory import MemoryWorld, memory_store

        memory = memory_store(
            MemoryWorld(lambda: time.time_ns() // 1_000_000), installation=self.settings.installation, boot="direct"
        )
        venue = open_venue(
            venue_account(self.settings, account), self.settings.times(), memory.nonces, memory.budget, memory.texts
        )
        return venue, self.settings.installation, self.settings.accounts[account].symbols, self.settings.rules(account)

    @property
    def app(self) -> "Celery":
        """Return the Celery app; made once. Raises StoreGone where the embedded server does not run."""
        from workers.app import make_app

        with self._lock:
            if self._app is None:
                self._app = make_app(
                    redis_url(self.settings),
                    flower=self.settings.flower.enabled,
                    refresh=self.settings.stops.refresh,
                )
            return self._app

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None
            self._ports.clear()
            self._venues.clear()

    def _make_ports(self, account: str) -> Ports:
        store, settings = self.store, self.settings
        return Ports(
            account=account,
            installation=settings.installation,
            symbols=settings.accounts[account].symbols,
            rules=settings.rules(account),
            times=settings.times(),
            venue=self.venue(account),
            leases=store.leases,
            records=store.records,
            wakes=store.wakes,
            journal=store.journal,
            ledger=store.ledger,
            looks=store.looks,
            prices=store.prices,
            flags=store.flags,
            gaps=store.gaps,
        )


def build(settings: Settings) -> System:
    """Return the system of these settings; nothing is connected yet."""
    return System(settings)


@contextmanager
def opened(settings: Settings) -> Iterator[System]:
    """Yield a system and close it in the end."""
    system = build(settings)
    try:
        yield system
    finally:
        system.close()


def redis_url(settings: Settings) -> str:
    """Return the URL of the server, password included. Raises StoreGone where the embedded one does not run."""
    if not settings.redis.embedded:
        return settings.redis.full_url().get_secret_value()
    found = discover(settings.redis.data_dir)
    if found is None:
        full = disk_full(settings.redis.data_dir)
        if full:
            raise StoreGone(f"the embedded server has ended: {full}, it then starts by itself; {GUARDED}")
        raise StoreGone(
            f"the embedded server of {settings.redis.data_dir} does not answer; start it with `stopkeeper up`, "
            f"or set [redis] url to a server of your own; {GUARDED}"
        )
    return found


def disk_full(data_dir: Path) -> str:
    """Return that the disk has too little room for the embedded server, or ""."""
    from stopkeeper.store.room import disk_full as find

    return find(data_dir)


def discover(data_dir: Path) -> str | None:
    """Return the URL of the embedded server that serves a data directory, if it runs."""
    from stopkeeper.store.embedded import discover as find

    return find(data_dir)


def open_store(settings: Settings) -> "Store":
    """Return the store of these settings, not verified yet. Raises StoreGone."""
    from stopkeeper.store.connect import open_store as open_at
    from stopkeeper.store.durability import Durability

    return open_at(
        redis_url(settings),
        installation=settings.installation,
        durability=Durability(local=1, replicas=settings.redis.replicas),
        times=settings.times(),
    )


def venue_account(settings: Settings, account: str) -> "VenueAccount":
    """Return an account as exchange knows it."""
    from exchange.account import VenueAccount
    from exchange.signing import SecretKey

    section = settings.accounts[account]
    guardian = section.guardian_key()
    return VenueAccount(
        name=account,
        venue=section.venue,
        mode=section.mode,
        wallet_address=section.wallet_address,
        key=SecretKey(section.key().get_secret_value()),
        vault_address=section.vault_address,
        base_url=settings.base_url(account),
        ws_url=settings.ws_url(account),
        symbols=section.symbols,
        guardian_key=None if guardian is None else SecretKey(guardian.get_secret_value()),
    )
