"""One process's view of an in-memory world, as the same bundle that Redis gives."""

from stopkeeper.engine.ports import Times
from stopkeeper.store.bundle import Store
from stopkeeper.store.durability import Durability, DurabilityReport, StoreUnfit
from stopkeeper.store.memory.leases import MemoryLeases, MemoryWakes
from stopkeeper.store.memory.parts import (
    MemoryBudget,
    MemoryFlags,
    MemoryGaps,
    MemoryJournal,
    MemoryLooks,
    MemoryNonces,
    MemoryPrices,
    MemoryTexts,
)
from stopkeeper.store.memory.records import MemoryLedger, MemoryRecords
from stopkeeper.store.memory.world import MemoryWorld

TIMES = Times()


def memory_store(world: MemoryWorld, *, installation: str, boot: str, times: Times = TIMES) -> Store:
    """Return one process's store over the world; ``boot`` names the process for ``world.kill``."""
    journal, records = MemoryJournal(world), MemoryRecords(world)

    def verify() -> None:
        with world.using() as state:
            state.installation = state.installation or installation
            if state.installation != installation:
                raise StoreUnfit(
                    f"this store belongs to installation {state.installation}, the configuration says {installation}"
                )
        records.forgot_ms()

    def report() -> DurabilityReport:
        return DurabilityReport(
            ok=not world.gone,
            sentence="memory: nothing is confirmed on disk, this is for tests",
            server="memory",
            aof_enabled=False,
            appendfsync=None,
            wanted=Durability(0, 0),
            confirmed=None,
        )

    return Store(
        boot=boot,
        leases=MemoryLeases(world, times, boot),
        records=records,
        wakes=MemoryWakes(world),
        journal=journal,
        ledger=MemoryLedger(world),
        looks=MemoryLooks(world, journal),
        prices=MemoryPrices(world),
        flags=MemoryFlags(world),
        gaps=MemoryGaps(world),
        nonces=MemoryNonces(world),
        budget=MemoryBudget(world),
        texts=MemoryTexts(world),
        now_ms=world.clock,
        durability_report=report,
        verify=verify,
        close=lambda: world.kill(boot),
    )
