"""Our record: a trade, what was sent for it, and the document that holds everything about a key."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from stopkeeper.core.model import ZERO, Key, MarginMode, Resting, Role, Side, Signal
from stopkeeper.core.outcomes import Accepted, Outcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.policy import FIXED, Policy
from stopkeeper.core.rules import OrphanPolicy


@dataclass(frozen=True, slots=True)
class Goal:
    """A target of a trade: at ``price``, ``fraction`` of what was entered is taken."""

    price: Decimal
    fraction: Decimal


@dataclass(frozen=True, slots=True)
class TargetTerms:
    """A target worked out: a reduce-only trigger order of this size."""

    size: Decimal
    trigger: Decimal
    worst: Decimal


@dataclass(frozen=True, slots=True)
class Terms:
    """A signal worked out at the moment of send, rounded to the venue's grid: what is actually asked of it.

    ``goals`` are all its targets; ``targets`` those that leave together with the entry, in the order of ``goals``.
    """

    size: Decimal
    worst_price: Decimal
    stop: Decimal
    stop_worst: Decimal
    mark: Decimal
    goals: tuple[Goal, ...] = ()
    targets: tuple[TargetTerms, ...] = ()
    resting: Resting = Resting.NO

    @property
    def notional(self) -> Decimal:
        """Return what the entry is worth where it is expected to fill."""
        return self.size * (self.mark if self.resting is Resting.NO else self.worst_price)


@dataclass(frozen=True, slots=True)
class Sent:
    """An entry attempt, written before it is sent. Its outcome is Unknown until the venue's own answer says else.

    ``over`` = the venue said by its id that it is no longer live; an entry that does not rest is over with its answer.
    """

    attempt: int
    n: int
    nonce: int
    deadline_ms: int
    sent_ms: int
    terms: Terms
    outcome: Outcome
    absent: bool = False
    over: bool = False

    @property
    def unproven(self) -> bool:
        """True while nothing tells whether this attempt exists at the venue."""
        return isinstance(self.outcome, Unknown) and not self.absent

    @property
    def rests(self) -> bool:
        """True while this attempt may stand in the book and fill at any moment."""
        return self.terms.resting is not Resting.NO and isinstance(self.outcome, Accepted) and not self.over

    @property
    def repeatable(self) -> bool:
        """True where this attempt surely did nothing, for a reason that need not hold for another."""
        if self.absent or isinstance(self.outcome, Throttled):
            return True
        return isinstance(self.outcome, Rejected) and self.outcome.reason is Reason.EXPIRED


@dataclass(frozen=True, slots=True)
class Placed:
    """An order the venue acknowledged, for as long as an observation may be too old to show it."""

    role: Role
    order_id: str | None
    n: int
    acked_ms: int


@dataclass(frozen=True, slots=True)
class StopSeen:
    """The stop a drive last saw cover the position, and when it first did: a look from before that cannot show it."""

    order_id: str
    trigger: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class CloseAsk:
    """A wish to close: why, by whom it is counted in the ledger, and what part is to stay (0 = all goes)."""

    reason: str
    asked_ms: int
    keep_fraction: Decimal = ZERO
    keep_size: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that is not believed at once: when it was first seen, by how many readings, and the last one's time."""

    first_ms: int
    readings: int
    reading_ms: int


class Origin(StrEnum):
    """Where a trade came from: a signal, or a position found on the venue that no trade owned."""

    SIGNAL = "signal"
    FOUND = "found"


@dataclass(frozen=True, slots=True)
class Trade:
    """Our record of one entry and all that follows until it is booked.

    ``stop`` is the trigger wanted now (it only moves towards the price unless a person says so), ``nonces`` the entry's
    four, minted at admission. ``held`` is the size our acks and the last read say. ``placed`` are the youngest acks,
    ``lost_ms`` when cover was lost and not by us, ``order_roles`` what each order of ours was for, by venue id or by
    "n" and number, ``*_tried_ms`` when such an effect was last sent, ``refusal`` why it will never enter. A found trade
    was seen at ``entered_ms`` and begins with ``opening_size`` at ``opening_price``, or with its fills after
    ``created_ms`` where these tell of another size; ``opening_fee`` is what it paid of a fill that ended another.
    ``orphan`` is the policy by which it is kept while it is nobody's; None = it is the account's own. ``before`` is the
    trade whose place it took, whose ids claim nothing of it.

    Of moving stops: ``first_stop`` is the first trigger (risk is counted from it), ``peak`` the best mark read since
    the entry or since a person last moved the stop, ``moves_ms`` when it was moved within the last hour, ``loosened``
    that a person allowed it to go away from the price, ``off_until_ms`` until when a person lifted it, ``lifted``
    that it was so at the last look.
    Of targets: ``entry_filled`` is what they take their fractions of, ``taken`` what they have closed, ``traded`` how
    much all its fills moved and ``explained`` the size they add up to, ``sized_ms`` when the size last changed.
    """

    id: str
    origin: Origin
    key: Key
    side: Side
    created_ms: int
    signal: Signal | None = None
    nonces: tuple[int, ...] = ()
    sent: tuple[Sent, ...] = ()
    stop: Decimal | None = None
    stop_moved_by: Literal["entry", "person", "policy", "venue"] = "entry"
    stop_moved_ms: int = 0
    stop_why: str = ""
    targets: tuple[Goal, ...] = ()
    policy: Policy = FIXED
    loosened: bool = False
    off_until_ms: int = 0
    lifted: bool = False
    close: CloseAsk | None = None
    placed: tuple[Placed, ...] = ()
    entered_ms: int | None = None
    held: Decimal = ZERO
    naked_since_ms: int | None = None
    naked_ms: int = 0
    flat_since_ms: int | None = None
    covered: bool = False
    stop_seen: StopSeen | None = None
    lost_ms: tuple[int, ...] = ()
    stop_answers: int = 0
    stop_tried_ms: int = 0
    flatten_tried_ms: int = 0
    target_tried_ms: int = 0
    prepare_tried_ms: int = 0
    widen: int = 0
    crossed: bool = False
    oversize: bool = False
    goals_refused: tuple[tuple[Decimal, str], ...] = ()
    order_roles: tuple[tuple[str, str], ...] = ()
    refusal: str = ""
    opening_size: Decimal = ZERO
    opening_price: Decimal | None = None
    revision: int = 0
    first_stop: Decimal | None = None
    peak: Decimal | None = None
    peak_from: Decimal | None = None
    peak_ms: int = 0
    atr: Decimal | None = None
    moves_ms: tuple[int, ...] = ()
    moves_refused: int = 0
    entry_filled: Decimal = ZERO
    taken: Decimal = ZERO
    traded: Decimal = ZERO
    explained: Decimal = ZERO
    sized_ms: int = 0
    settle_tried_ms: int = 0
    beyond: Sighting | None = None
    unsafe: Sighting | None = None
    pressed: Sighting | None = None
    opening_fee: Decimal = ZERO
    orphan: OrphanPolicy | None = None
    before: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Leverage and margin mode as last read back from the venue for a key."""

    leverage: int
    margin_mode: MarginMode
    at_ms: int


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A stop or target of ours that may live though no list of open orders shows it: its name, and its venue id.

    ``seen_ms`` is since when this record has seen it live: what is placed with an entry lives only once that filled, so
    it begins anew with each look that shows the entry. 0 = no look has shown it, and the record's ``quiet_ms`` knows.
    ``gone`` are venue ids under which it lives no more, as the venue said to a cancel: one that fired may live on under
    another. ``listed`` says that a list of open orders has shown it itself.
    """

    trade: str
    role: Role
    n: int
    order_id: str | None = None
    seen_ms: int = 0
    gone: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where the fills of a key are booked: fills at or before this time and id are some booking's."""

    time_ms: int = 0
    fill_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """Everything stored about a key, in one document with one version.

    ``n`` numbers our orders on the key; ``quiet_ms`` is the venue time after which nothing of ours can still appear: it
    outlives the trade. ``pending_ms`` is the deadline of the effect being sent, 0 once its outcome is noted.
    ``canceled`` are (order id, ack time, or deadline while unanswered) of cancels not yet seen; ``settling`` trades
    booked as incomplete. ``blind_since_ms`` is since when positions or orders could not be read, 0 while they can.
    ``outstanding`` are our stops and targets whose end nothing has told yet; like ``quiet_ms`` they outlive the trade.
    ``denied`` is when the first of the last looks were that all showed no position, while they or other orders of ours
    may guard one: as many as it takes to believe it.
    ``since_ms`` is when this record's first trade was driven, ``history_ms`` as of when the venue's history of orders
    was folded into it; 0 = not yet. ``lost`` = that history names orders of ours on the symbol: this record follows one
    that is lost, and what that one sent last may still be on its way.
    """

    key: Key
    version: int = 0
    n: int = 0
    quiet_ms: int = 0
    pending_ms: int = 0
    canceled: tuple[tuple[str, int], ...] = ()
    cursor: Cursor = Cursor()
    trade: Trade | None = None
    settling: tuple[Trade, ...] = ()
    prepared: Prepared | None = None
    blind_since_ms: int = 0
    outstanding: tuple[Outstanding, ...] = ()
    denied: tuple[int, ...] = ()
    since_ms: int = 0
    history_ms: int = 0
    lost: bool = False
