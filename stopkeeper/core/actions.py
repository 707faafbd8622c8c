"""The verbs: every effect a plan may ask for. Each says what is re-read once it was accepted; otherwise all is."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from stopkeeper.core.model import Fill, MarginMode, Role
from stopkeeper.core.record import Terms, Trade


class Field(StrEnum):
    """A part of an observation that can be read on its own."""

    HOLDINGS = "holdings"
    ORDERS = "orders"
    FILLS = "fills"
    PLACED = "placed"  # the stop that was just acked, read back alone by its id


ALL_FIELDS = frozenset({Field.HOLDINGS, Field.ORDERS, Field.FILLS})


@dataclass(frozen=True, slots=True)
class Prepare:
    """Set leverage and margin mode, and read them back."""

    leverage: int
    margin_mode: MarginMode
    why: str
    looks = frozenset[Field]()


@dataclass(frozen=True, slots=True)
class Enter:
    """Send entry and stop (and targets) as one action, with the trade's nonce for this attempt."""

    attempt: int
    terms: Terms
    why: str
    looks = frozenset({Field.PLACED})


@dataclass(frozen=True, slots=True)
class PlaceStop:
    """Place a reduce-only, mark-triggered market stop."""

    size: Decimal
    trigger: Decimal
    worst: Decimal
    moved_by: Literal["entry", "person", "policy", "venue"]
    why: str
    looks = frozenset({Field.PLACED})


@dataclass(frozen=True, slots=True)
class PlaceTarget:
    """Place a reduce-only, mark-triggered take-profit."""

    size: Decimal
    trigger: Decimal
    worst: Decimal
    why: str
    looks = frozenset[Field]()


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel one order by the venue id it was seen under."""

    order_id: str
    role: Role
    why: str
    looks = frozenset[Field]()


@dataclass(frozen=True, slots=True)
class Flatten:
    """Close the position. It has no size: the venue's position at that moment is what is closed, reduce-only.

    ``worst`` is the fraction of the mark given up at most; ``keep`` what a partial close leaves standing.
    """

    worst: Decimal
    reason: str
    why: str
    keep: Decimal = Decimal(0)
    looks = ALL_FIELDS


@dataclass(frozen=True, slots=True)
class Found:
    """Take a position no trade owns into our care, as a trade of origin ``found``."""

    trade: Trade
    why: str
    looks = frozenset[Field]()


@dataclass(frozen=True, slots=True)
class Exit:
    """How a trade ended, by evidence. ``shares``: reason -> size closed for it; ``pnl`` is net of fees and funding."""

    reason: str
    evidence: str
    shares: tuple[tuple[str, Decimal], ...]
    entry_price: Decimal | None
    exit_price: Decimal | None
    size: Decimal
    fees: Decimal
    gross_pnl: Decimal
    funding: Decimal
    realized_pnl: Decimal
    opened_ms: int
    closed_ms: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Book:
    """Write the exit into the ledger and free the key, or hand it to a successor in the same write."""

    trade: Trade
    exit: Exit
    used: tuple[Fill, ...]
    successor: Trade | None
    why: str
    looks = frozenset[Field]()


@dataclass(frozen=True, slots=True)
class Refuse:
    """End a signal that never became a position, with the sentence that says why."""

    why: str
    successor: Trade | None = None
    looks = frozenset[Field]()


Action = Prepare | Enter | PlaceStop | PlaceTarget | Cancel | Flatten | Found | Book | Refuse


class RestKind(StrEnum):
    """The ways a key can be at rest. Naked is not one of them, unless a person said so."""

    FLAT = "flat"
    ENTRY_RESTING = "entry_resting"
    PROTECTED = "protected"
    UNPROVEN = "unproven"
    BLIND = "blind"
    LIFTED = "lifted"  # a person took the stop away until a time, and an alarm stays


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until ``due_ms`` (venue time), or until somebody wakes the key; None = only when woken."""

    kind: RestKind
    due_ms: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Again:
    """Not at rest, and nothing to do before ``due_ms`` (venue time): look again then."""

    due_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A concern's answer that ends the turn: something is under way and acting again would make it worse.

    With a ``rest`` kind the turn ends at rest; without, or while naked, it ends as Again.
    """

    due_ms: int
    why: str
    rest: RestKind | None = None


Verdict = list[Action] | Wait


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should know; rides beside a plan and never fills a turn."""

    kind: Literal["naked", "barred", "blind", "orphan", "halt", "unsafe", "off", "price", "foreign_installation"]
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a turn decided: actions by one concern, or how it ends."""

    concern: str
    actions: tuple[Action, ...] = ()
    ends: Rest | Again | None = None
    alarms: tuple[Alarm, ...] = ()
