"""Doctor's rows on what only the composition root can see: durability, secrets' permissions, signers, processes."""

import time
from collections.abc import Iterator
from pathlib import Path

from stopkeeper.console.backend import Check, Status, at_work
from stopkeeper.core.model import Known
from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.room import disk_full, free_bytes
from workers import settings_load
from workers.alive import clocks_apart, signs
from workers.wiring import System, open_store, venue_account

AGENT_WARN_MS = 14 * 24 * 3600 * 1000
DISK_WARN_BYTES = 256_000_000
_DAY_MS = 24 * 3600 * 1000


def examine(system: System, path: Path) -> list[Check]:
    """Return the rows; those that need Redis are one fail where it is gone."""
    rows = [*_secrets(system, path), *_disk(system)]
    try:
        rows.append(_durability(system))
        rows.append(_processes(system))
        rows.extend(_signer(system, name) for name in system.accounts)
    except StoreGone as gone:
        rows.append(Check("redis", "fail", str(gone)))
    return rows


def _secrets(system: System, path: Path) -> Iterator[Check]:
    warnings = settings_load.warnings(system.settings, path)
    for text in warnings:
        yield Check("permissions", "warn", text)
    if not warnings:
        yield Check("permissions", "ok", "no secret can be read by everybody on this machine")


def _disk(system: System) -> Iterator[Check]:
    if not system.settings.redis.embedded:
        return
    data_dir = system.settings.redis.data_dir
    free, full = free_bytes(data_dir), disk_full(data_dir)
    status: Status = "fail" if full else "warn" if free is None or free < DISK_WARN_BYTES else "ok"
    told = "its room cannot be told" if free is None else f"{free // 1_000_000} MB are free on the disk of {data_dir}"
    yield Check("disk", status, full or told)


def _durability(system: System) -> Check:
    store = open_store(system.settings)  # not the shared one: that refuses to open on a bad server, without the figures
    try:
        report = store.durability_report()
    finally:
        store.close()
    return Check("redis durability", "ok" if report.ok else "fail", report.sentence)


def _processes(system: System) -> Check:
    found = signs(system.store)
    alive = [sign.process for sign in found]
    if not alive:
        return Check("processes", "warn", "none is heard: start them with stopkeeper up")
    apart = clocks_apart(found)
    if apart:
        return Check("processes", "fail", f"messages expire on their way, the hosts' clocks are apart: {apart}")
    missing = [name for name in ("beat", "feed") if not any(each.startswith(name) for each in alive)]
    listed = ", ".join(alive)
    if not at_work(alive):
        return Check("processes", "fail", f"{listed}; no worker: nothing is placed, moved or closed")
    if missing:
        return Check("processes", "warn", f"{listed}; not heard: {', '.join(missing)}")
    return Check("processes", "ok", listed)


def _signer(system: System, name: str) -> Check:
    account = venue_account(system.settings, name)
    check = f"{name} key"
    signer = account.key.address
    own = signer.lower() == account.wallet_address.lower()
    if own:
        status: Status = "warn" if account.mode == "live" else "ok"
        hint = "; let an agent (API wallet) sign instead: it cannot withdraw" if account.mode == "live" else ""
        return Check(check, status, f"{signer} signs for itself, mode {account.mode}{hint}")
    read = getattr(system.venue(name), "signer_valid_until_ms", None)
    until = read() if read is not None else None
    if not isinstance(until, Known):
        why = getattr(until, "why", "this venue does not tell")
        return Check(check, "fail", f"agent {signer} is not confirmed by the venue: {why}")
    if until.value is None:
        return Check(check, "ok", f"agent {signer}, without an end")
    left_ms = int(until.value) - time.time_ns() // 1_000_000
    if left_ms <= 0:
        return Check(check, "fail", f"agent {signer} has expired: approve a new one on the venue's page")
    status = "ok" if left_ms > AGENT_WARN_MS else "warn"
    return Check(check, status, f"agent {signer}, approval ends in {left_ms / _DAY_MS:.1f} days")
