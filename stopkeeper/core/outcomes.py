"""What came of an effect, as values. Unknown is the default: only an allow-listed refusal is a Rejected.

The map from a venue's texts to these reasons stands in exchange/; what each one leads to, in learn.py and concerns.py.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal


class Reason(StrEnum):
    """The allow-list: why a venue definitely did not do what was asked."""

    CROSSED = "crossed"  # a trigger the price has already passed
    NO_POSITION = "no_position"  # reduce-only with nothing to reduce
    OVERSIZE = "oversize"  # reduce-only larger than what is left to reduce
    TOO_SMALL = "too_small"
    MARGIN = "margin"
    CAP = "cap"  # open interest, leverage or order-count caps of the venue
    DUPLICATE_ID = "duplicate_id"
    GONE = "gone"  # the order to cancel or amend is not live: it may have filled
    NO_LIQUIDITY = "no_liquidity"  # nothing to match within the worst price
    BAD_PRICE = "bad_price"  # tick, lot or band
    WOULD_MATCH = "would_match"  # a post-only order that would have filled at once
    EXPIRED = "expired"  # refused by its own deadline, on a first send
    STALE_NONCE = "stale_nonce"  # too low or already used, on a first send


WIDENS = (Reason.NO_LIQUIDITY, Reason.BAD_PRICE)  # a close refused so is tried at a worse price, by another mark
REPEATS = (Reason.STALE_NONCE, Reason.DUPLICATE_ID)  # what is refused so may have been done by an earlier send


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell: the answer was lost, unreadable or not on the allow-list; of a reading, it could not be made."""

    why: str
    kind: Literal["unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue took it. An ack is an Accepted that names an order. ``live`` = it rests at the venue."""

    order_id: str | None = None
    filled: Decimal = Decimal(0)
    average: Decimal | None = None
    live: bool = False
    kind: Literal["accepted"] = "accepted"


@dataclass(frozen=True, slots=True)
class Rejected:
    """The venue definitely refused, for a reason on the allow-list. ``text`` is the venue's own."""

    reason: Reason
    text: str
    kind: Literal["rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class Throttled:
    """Not processed: a rate limit, the venue's or our own budget; ``free_ms`` until ours would grant it, if known."""

    text: str
    free_ms: int = 0
    kind: Literal["throttled"] = "throttled"


@dataclass(frozen=True, slots=True)
class Barred:
    """The whole account is shut out: key, agent or address refused."""

    text: str
    kind: Literal["barred"] = "barred"


Outcome = Accepted | Rejected | Throttled | Barred | Unknown


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """What came of each leg of an entry sent as one action."""

    entry: Outcome
    stop: Outcome
    targets: tuple[Outcome, ...] = ()


def settle(first: Outcome, resend: Outcome) -> Outcome:
    """Combine a lost answer with the answer to its resend: a resend can only improve to Accepted."""
    return resend if isinstance(first, Unknown) and isinstance(resend, Accepted) else first
