"""The named points at which a process can die or freeze: before and after each call of a port, read off the Protocols.

A new method of a port is a new point without a word here, and a failure until a scene passes it. Every port of the
engine is one of these; ``records.save`` is as many as there are reasons to save.
"""

from collections.abc import Iterator
from typing import Any, get_args

from stopkeeper.engine import ports
from stopkeeper.engine.sending import Effect

PORTS: dict[Any, str] = {
    ports.Venue: "venue",
    ports.Leases: "leases",
    ports.Records: "records",
    ports.Wakes: "wakes",
    ports.Journal: "journal",
    ports.Ledger: "ledger",
    ports.Looks: "looks",
    ports.Prices: "prices",
    ports.Flags: "flags",
    ports.Gaps: "gaps",
    ports.NonceSource: "nonces",
    ports.BudgetSource: "budget",
    ports.TextCache: "texts",
}
EFFECTS = tuple(effect.__name__ for effect in get_args(Effect))
SAVES = (
    "learned",
    "found",
    "refused",
    "booked",
    "correcting",
    *(f"announce {effect}" for effect in EFFECTS),
    *(f"conclude {effect}" for effect in EFFECTS),
)
SIDES = ("before", "after")

#: They ask nobody: a process that ends there ends between two others of these points.
LOCAL = frozenset({"venue.now_ms", "venue.clock_age_ms", "venue.clock", "venue.silence", "leases.remaining_ms"})

_COMMANDS = "only commands ask, and write nothing after it"
#: What is not struck, each with the reason: no worker and no feed passes it, or too seldom.
ELSEWHERE = {
    "leases.holders": "commands ask, and a feed whose lease ran out and is not granted anew: neither writes after it",
    "ledger.lines": _COMMANDS,
    "records.reserved": _COMMANDS,
    "wakes.overdue": _COMMANDS,
    "prices.counts": _COMMANDS,
    "venue.key_trouble": "asked twice a minute for all workers, between drives; what it answers is proved anew",
    "venue.prove": "it does nothing at the venue, and is asked between drives",
    "flags.inherit": "one write of a command, of what must be two minutes old at the venue",
    "journal.read": "commands read it, and alerts where a service is configured: neither acts at the venue",
}


def protocols() -> list[Any]:
    """Return the Protocols of the ports module."""
    found = (each for each in vars(ports).values() if getattr(each, "_is_protocol", False))
    return [each for each in found if each.__module__ == ports.__name__]


def methods(protocol: Any) -> list[str]:
    """Return the names of a Protocol's methods."""
    return [name for name, each in vars(protocol).items() if callable(each) and not name.startswith("_")]


def calls() -> Iterator[str]:
    """Yield every call with points around it, and those of ELSEWHERE. Raises KeyError for an unknown port."""
    for protocol in protocols():
        for method in methods(protocol):
            name = f"{PORTS[protocol]}.{method}"
            if name == "records.save":
                yield from (f"{name}/{kind}" for kind in SAVES)
            elif name not in LOCAL:
                yield name


def points() -> list[str]:
    """Return the points workers and feeds pass, in the order of the Protocols."""
    return [f"{call}:{side}" for call in calls() if call not in ELSEWHERE for side in SIDES]
