"""The store in memory: the same promises by plain dicts and a clock that is handed in. For tests and the simulation."""

from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld

__all__ = ["MemoryWorld", "memory_store"]
