"""Opening the store over a Redis or Valkey: the parts put together, the server checked, its durability reported."""

from typing import Any

from redis import Redis

from stopkeeper.engine.ports import StoreGone, Times
from stopkeeper.store import keys
from stopkeeper.store.bundle import Store
from stopkeeper.store.due import RedisWakes
from stopkeeper.store.durability import (
    EVICTS,
    NO_EVICTION,
    Confirms,
    Durability,
    DurabilityReport,
    StoreUnfit,
    WaitAof,
)
from stopkeeper.store.gaps import RedisGaps
from stopkeeper.store.journal import RedisJournal
from stopkeeper.store.leases import Heartbeat, RedisLeases
from stopkeeper.store.ledger import RedisLedger
from stopkeeper.store.looks import RedisLooks
from stopkeeper.store.small import RedisBudget, RedisFlags, RedisNonces, RedisPrices, RedisTexts
from stopkeeper.store.trades import RedisRecords
from stopkeeper.store.wire import Wire, connect

ON_DISK = Durability()
TIMES = Times()


def open_store(url: str, *, installation: str, durability: Durability = ON_DISK, times: Times = TIMES) -> Store:
    """Return the store at a redis:// or rediss:// URL. Sends nothing yet; ``verify`` checks the server.

    Raises ValueError where the durability demands no disk at all.
    """
    if durability.local < 1:
        raise ValueError(f"{durability}: at least the server's own file must hold a write; less is for tests")
    return store_over(connect(url), installation=installation, confirms=WaitAof(durability), times=times)


def store_over(client: Redis, *, installation: str, confirms: Confirms, times: Times = TIMES) -> Store:
    """Return the store over a client that decodes responses; with ``Unconfirmed`` for a server without a disk."""
    wire = Wire(client, confirms)
    heartbeat = Heartbeat(wire, times)
    journal, records = RedisJournal(wire), RedisRecords(wire)

    def verify() -> None:
        report = durability_report(wire)
        if not report.ok:
            raise (StoreUnfit if report.unfit else StoreGone)(report.sentence)
        claim_installation(wire, installation)
        records.forgot_ms()  # noted at the start, it is over by the time of most entries

    def close() -> None:
        heartbeat.stop()
        wire.close()

    return Store(
        boot=heartbeat.boot,
        leases=RedisLeases(wire, times, heartbeat),
        records=records,
        wakes=RedisWakes(wire),
        journal=journal,
        ledger=RedisLedger(wire),
        looks=RedisLooks(wire, journal),
        prices=RedisPrices(wire),
        flags=RedisFlags(wire),
        gaps=RedisGaps(wire),
        nonces=RedisNonces(wire),
        budget=RedisBudget(wire),
        texts=RedisTexts(wire),
        now_ms=wire.now_ms,
        durability_report=lambda: durability_report(wire),
        verify=verify,
        close=close,
    )


def claim_installation(wire: Wire, installation: str) -> None:
    """Make this Redis the installation's own. Raises StoreUnfit if it is another's: two on one Redis share leases."""
    wire.confirmed("SET", keys.installation(), installation, "NX")
    owner = wire.read("GET", keys.installation())
    if owner != installation:
        raise StoreUnfit(f"this Redis belongs to installation {owner}, the configuration says {installation}")


def durability_report(wire: Wire) -> DurabilityReport:
    """Ask the server what it keeps and have one probe confirmed; never raises, the sentence says what is wrong."""
    wanted = wire.confirms.wanted
    server, aof, fsync = "unreachable", None, None
    try:
        wire.read("PING")
        server, aof, policy = _server(wire)
        fsync = _appendfsync(wire)
        if policy not in (None, NO_EVICTION):
            raise StoreUnfit(EVICTS.format(policy))
        wire.confirmed("SET", keys.probe(), "1", "PX", 1_000)
    except StoreGone as gone:
        return DurabilityReport(
            ok=False,
            sentence=str(gone),
            server=server,
            aof_enabled=aof,
            appendfsync=fsync,
            wanted=wanted,
            confirmed=None,
            unfit=isinstance(gone, StoreUnfit),
        )
    sentence = f"{server}: writes are confirmed by {wanted.local} local and {wanted.replicas} replica files"
    if wanted.local == 0:
        sentence = f"{server}: nothing is confirmed on disk, this is for tests"
    elif fsync not in (None, "always"):
        sentence += f"; appendfsync is {fsync}, only confirmed writes survive a power loss"
    return DurabilityReport(
        ok=True,
        sentence=sentence,
        server=server,
        aof_enabled=aof,
        appendfsync=fsync,
        wanted=wanted,
        confirmed=(wanted.local, wanted.replicas),
    )


def _server(wire: Wire) -> tuple[str, bool | None, str | None]:
    """Return name with version, whether a file is kept, and the policy of evicting; unknown where INFO is not allowed.

    The policy is asked of INFO too, because managed servers forbid CONFIG.
    """
    try:
        info: dict[str, Any] = wire.read("INFO")
    except StoreGone:
        return "a server that does not tell its version", None, None
    name = "valkey" if "valkey_version" in info else "redis"
    version = info.get(f"{name}_version", "?")
    aof = bool(info["aof_enabled"]) if "aof_enabled" in info else None
    return f"{name} {version}", aof, info.get("maxmemory_policy")


def _appendfsync(wire: Wire) -> str | None:
    try:
        return str(wire.read("CONFIG GET", "appendfsync")["appendfsync"])
    except (StoreGone, KeyError):
        return None  # managed servers forbid CONFIG; the confirmation of the probe is what counts
