"""How a task's end reads: the sentences Flower and the log show."""

from collections.abc import Sequence

from stopkeeper.core.actions import Again, Rest
from stopkeeper.core.model import Key


def ended(key: Key, end: Rest | Again | None) -> str:
    """Return how a drive ended."""
    if end is None:
        return f"{key} left: another process is driving it; it is due again"
    kind = end.kind.value if isinstance(end, Rest) else "again"
    return f"{key} {kind}: {end.why}"


def listed(verb: str, keys: Sequence[Key]) -> str:
    """Return a count and the keys."""
    return f"{verb} {len(keys)}: {', '.join(str(key) for key in keys)}" if keys else f"{verb} none"
