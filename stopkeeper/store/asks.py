"""What is asked of a record without a lease: an admission, or a person's wish. Pure; used by Redis and memory alike.

A record is the document its last drive saved plus the asks made since. Load merges them; a save consumes those its
drive had seen and hands back the younger ones merged into the record it returns. So a wish that races a drive loses
neither: the drive's outcomes are kept (a compare-and-set that fails would lose acks, and every lost ack is an Unknown
that holds the key until proof), and the drive learns of the wish with its very next save.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from stopkeeper.core.policy import FIXED, Policy
from stopkeeper.core.record import CloseAsk, Goal, KeyRecord, Trade
from stopkeeper.core.rules import OrphanPolicy

WISHES = (  # what is meant together
    ("stop", "stop_moved_by", "stop_moved_ms", "stop_why", "loosened"),
    ("off_until_ms",),
    ("policy",),
    ("orphan",),
    ("targets",),
    ("close",),
)
FIELDS = tuple(name for group in WISHES for name in group)
MICRO = Decimal(1_000_000)
REQUEST_TRIES = 20


@dataclass(frozen=True, slots=True)
class Admitted:
    """A trade that waits to be the key's: it is, as soon as the document holds none."""

    trade: Trade
    kind: Literal["admitted"] = "admitted"


@dataclass(frozen=True, slots=True)
class Wish:
    """A person's change to one trade; ``changed`` names the fields that are meant."""

    trade_id: str
    changed: tuple[str, ...]
    stop: Decimal | None = None
    stop_moved_by: Literal["entry", "person", "policy", "venue"] = "person"
    stop_moved_ms: int = 0
    stop_why: str = ""
    loosened: bool = False
    off_until_ms: int = 0
    policy: Policy = FIXED
    orphan: OrphanPolicy | None = None
    targets: tuple[Goal, ...] = ()
    close: CloseAsk | None = None
    kind: Literal["wish"] = "wish"


Ask = Admitted | Wish


def wish_between(before: KeyRecord, after: KeyRecord) -> Wish | None:
    """Return what changed between two records as a wish, or None. Raises ValueError on what no wish may touch."""
    if after == before:
        return None
    old, new = before.trade, after.trade
    if old is None or new is None or old.id != new.id:
        raise ValueError(f"a wish is about the trade of {before.key}, and neither adds nor removes it")
    values = {name: getattr(new, name) for name in FIELDS}
    if replace(before, trade=replace(old, **values)) != after:
        raise ValueError(f"a wish may change {', '.join(FIELDS)} of a trade and nothing else of {before.key}")
    groups = (group for group in WISHES if any(getattr(old, name) != values[name] for name in group))
    changed = tuple(name for group in groups for name in group)
    return Wish(new.id, changed, **values)


def merge(record: KeyRecord, asks: Iterable[Ask], version: int) -> KeyRecord:
    """Return the record with the asks folded in, oldest first; a wish for a trade that has left says nothing."""
    trade = record.trade
    for ask in asks:
        if isinstance(ask, Admitted):
            trade = ask.trade if trade is None else trade
        elif trade is not None and trade.id == ask.trade_id:
            trade = replace(trade, **{name: getattr(ask, name) for name in ask.changed})
    if trade is record.trade and version == record.version:
        return record
    return replace(record, trade=trade, version=version)


def micro_up(amount: Decimal) -> int:
    """Return an amount in whole millionths, rounded up: scripts add integers exactly, fractions they would not."""
    return int((amount * MICRO).to_integral_value(ROUND_CEILING))


def from_micro(micro: int) -> Decimal:
    """Return whole millionths as an amount."""
    return Decimal(micro) / MICRO


def micro_down(limit: Decimal | None) -> int:
    """Return a limit in whole millionths, rounded down; -1 = none."""
    return -1 if limit is None else int((limit * MICRO).to_integral_value(ROUND_FLOOR))
