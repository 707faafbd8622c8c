"""The Protocols through which engine, exchange and store meet; strangers to each other, introduced by workers.

Durations and ages are ms. ``*_ms`` points in time are venue time unless the name says otherwise.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from stopkeeper.core.actions import Field
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.limits import Result
from stopkeeper.core.missing import Clock, Silence
from stopkeeper.core.model import (
    AccountSeen,
    Candle,
    FillPage,
    History,
    Holdings,
    Key,
    Known,
    Lookup,
    MarginMode,
    Market,
    Order,
    Side,
)
from stopkeeper.core.outcomes import EntryOutcome, Outcome, Throttled, Unknown
from stopkeeper.core.prices import Flaw, Price
from stopkeeper.core.record import KeyRecord, Prepared, Terms, Trade
from stopkeeper.core.rules import Ability, Limits, Rules, Switches
from stopkeeper.engine.lookout import Lookout


class StoreGone(Exception):
    """Redis cannot be reached or did not confirm a write. Touch nothing, leave."""


class LeaseLost(Exception):
    """Somebody else holds the key, or may: a stale fence, an expired lease, a moved version. Touch nothing, leave."""


class Reentered(RuntimeError):
    """The same call context asked for a lease it already holds: a bug that would otherwise hang for ever."""


class Urgency(StrEnum):
    """Which share of the rate budget a request may draw on."""

    PROTECTIVE = "protective"  # stops, closes, cancels, and the looks they need
    FOLLOWING = "following"  # a stop that follows the price: the look it needed is paid for, its actions can wait
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one signed action: minted after its rate budget was reserved."""

    nonce: int
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class EntryIds:
    """The client ids of an entry's legs."""

    entry: str
    stop: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the venue says is set on a symbol, with its mark; None where it offers no such answer."""

    prepared: Prepared | None
    mark: Price | None


class Venue(Protocol):
    """One account at one venue. Reads return Known or Unknown, effects an Outcome; neither raises."""

    can: Ability

    def now_ms(self) -> int:
        """Return the venue's time by the measured offset (the local clock where none was measured)."""

    def clock_age_ms(self) -> int | None:
        """Return how old the measured offset is; None = never measured."""

    def clock(self) -> Clock:
        """Return what is known of the venue's time."""

    def silence(self) -> Silence | None:
        """Return the last look if the venue left it without a usable answer; None = it answered, or was not asked."""

    def short(self) -> str:
        """Return which rate budget has nothing left but what is kept for protection, or ""."""

    def key_trouble(self) -> str:
        """Ask the venue whether it takes our key; return why not, "" where it does or cannot be told."""

    def prove(self, permit: Permit) -> Outcome:
        """Send a signed action that changes nothing: accepted, the venue takes our key for this account."""

    def markets(self) -> Mapping[str, Market]:
        """Return every perpetual by symbol, delisted ones too; empty where the list was never read."""

    def wait_ms(self, fields: Collection[Field], urgency: Urgency) -> int:
        """Return 0 if the rate budget would grant a look at these fields now, else the ms until it would."""

    def holdings(self, urgency: Urgency) -> Known[Holdings] | Unknown: ...
    def orders(self, urgency: Urgency) -> Known[tuple[Order, ...]] | Unknown: ...
    def fills(self, since_ms: int, urgency: Urgency) -> Known[FillPage] | Unknown: ...
    def lookup(self, symbol: str, client_id: str, urgency: Urgency) -> Known[Lookup] | Unknown: ...
    def history(self, after_ms: int, urgency: Urgency) -> Known[History] | Unknown:
        """Return what is on record of the orders of all symbols, as read after a venue time."""

    def settings(self, symbol: str, urgency: Urgency) -> Known[Settings] | Unknown: ...
    def mark(self, symbol: str, urgency: Urgency) -> Price | None: ...
    def candles(self, symbol: str, interval: str, count: int) -> Known[tuple[Candle, ...]] | Unknown:
        """Return the last ``count`` bars of an interval ("5m"), oldest first, the one being made last."""

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Known[Decimal] | Unknown:
        """Return the funding received (> 0) or paid (< 0) on a symbol in [since, until]."""

    def poll_limits(self) -> None:
        """Ask the venue for limits it counts itself, if that was long ago. Sweeps call it, so that no entry waits."""

    def reserve_nonces(self, count: int) -> tuple[int, ...]:
        """Mint an entry's nonces at admission, one an attempt, rising."""

    def permit(self, urgency: Urgency, until_ms: int, *, nonce: int | None = None) -> Permit | Throttled:
        """Reserve rate budget, then mint nonce (unless given) and deadline: the earlier of until_ms and now + 4 s."""

    def prepare(self, symbol: str, leverage: int, mode: MarginMode, permit: Permit) -> Outcome: ...
    def enter(self, symbol: str, side: Side, terms: Terms, ids: EntryIds, permit: Permit) -> EntryOutcome:
        """Send entry (IOC or resting), stop and targets as one; the stop of a resting one lives once it is filled."""

    def place_stop(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome:
        """Place a reduce-only mark-triggered market stop for a position of side ``held``; ``worst`` is a price."""

    def place_target(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome: ...
    def cancel(self, symbol: str, order_id: str, permit: Permit) -> Outcome: ...
    def close(self, symbol: str, held: Side, size: Decimal, worst: Decimal, client_id: str, permit: Permit) -> Outcome:
        """Close ``size`` of a position of side ``held``: reduce-only, immediate, at ``worst`` price or better."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive a key. ``inherited_ms``: the latest deadline sent under a holder that never released."""

    key: Key
    owner: str
    fence: int
    inherited_ms: int


class Leases(Protocol):
    """Per-key locks: owner with heartbeat, fence number, expiry."""

    def acquire(self, key: Key) -> Lease | None:
        """Take the lease, or None while a live owner holds it. Raises Reentered from within the same call context."""

    def renew(self, lease: Lease, deadline_ms: int) -> None:
        """Extend to the full term and note the deadline about to be sent. Raises LeaseLost."""

    def remaining_ms(self, lease: Lease) -> int:
        """Return how much of the lease is left by this process's monotonic clock."""

    def release(self, lease: Lease, counter: int, after_ms: int | None) -> bool:
        """Let go, due again after ``after_ms`` (None = only when woken); False, still held, if it was woken."""

    def abandon(self, lease: Lease, after_ms: int) -> None:
        """Let go whatever the wake counter says, with the key due again after ``after_ms``."""

    def holders(self) -> Sequence[tuple[Key, str, int, int]]:
        """Return (key, owner, fence, ms left) of every lease held."""


@dataclass(frozen=True, slots=True)
class SignalState:
    """What became of a signal: ``open`` while its trade lives, then ``closed`` or ``refused`` with the sentence."""

    signal_id: str
    trade_id: str
    key: Key
    state: str
    why: str


class AdmitResult(StrEnum):
    """What admit answers: the first is acceptance, the second says the same signal came before."""

    ADMITTED = "admitted"
    REPEATED = "repeated"
    CONFLICT = "conflict"  # same id, other body
    BUSY = "busy"  # an open trade on the symbol
    TOO_MANY = "too_many"  # max_open_trades
    TOO_MUCH = "too_much"  # max_notional


class Records(Protocol):
    """The key records, versioned; every write is fenced and confirmed on disk before it returns."""

    def load(self, key: Key) -> KeyRecord: ...
    def all(self, account: str) -> Sequence[KeyRecord]:
        """Return the records of an account that hold or settle a trade."""

    def admit(self, trade: Trade, body: str, notional: Decimal, limits: Limits) -> AdmitResult:
        """In one script: refuse or register the signal, reserve its notional, create its trade, wake the key.

        ``body`` is a digest of the signal, to tell a repeat from a conflict. Raises StoreGone if not confirmed on disk.
        """

    def save(
        self, record: KeyRecord, lease: Lease, *, booked: LedgerLine | None = None, refused: str | None = None
    ) -> KeyRecord:
        """Compare-and-set by version and fence; with ``booked`` append the ledger line in the same write.

        With ``refused`` the trade that left the key is noted as refused for this reason. A trade that left the key
        frees its reserved notional. Returns the record with its new version. Raises LeaseLost, StoreGone.
        """

    def request(self, key: Key, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        """Apply a person's wish (close, stop moved) to the record without a lease, and wake the key."""

    def forgot_ms(self) -> int | None:
        """Return how long ago records may have been forgotten, by Redis time; None = never.

        That is when the server was first found to be another than before, or emptied. Whoever asks first notes it.
        """

    def confirm(self) -> None:
        """Have a write confirmed on disk that changes nothing. Raises StoreGone where no record could be saved now."""

    def signal(self, trade_id: str) -> SignalState | None: ...
    def reserved(self, account: str) -> Mapping[str, Decimal]:
        """Return trade id -> notional in USD of what ``admit`` counts as open; 0 for a trade that came by no signal."""


class Wakes(Protocol):
    """Wake counters and due-times: what must be driven when."""

    def wake(self, key: Key, why: str) -> None:
        """Count a wake-up and make the key due now."""

    def counter(self, key: Key) -> int: ...
    def mark_due(self, key: Key, after_ms: int) -> None:
        """Make the key due after a while unless it is due earlier; counts no wake-up."""

    def claim(self, limit: int, lease_ms: int) -> Sequence[Key]:
        """Claim what is due: each key comes due again after lease_ms unless driven to an end before."""

    def overdue(self) -> Sequence[tuple[Key, int]]:
        """Return (key, ms until due; negative = overdue) of everything that stands in the set."""


class Journal(Protocol):
    """One stream per account: every decision and effect as one line with the reason in words."""

    def write(self, account: str, symbol: str, kind: str, text: str, **fields: Any) -> None: ...
    def read(self, account: str, after: str, limit: int) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Return (id, fields) of lines after an id ("0" = from the start, "" = the last ``limit``), oldest first."""


class Ledger(Protocol):
    """The append-only list of booked exits."""

    def lines(self, account: str) -> Sequence[LedgerLine]:
        """Return the last revision of every trade, oldest first."""

    def results(self, account: str) -> Sequence[Result]:
        """Return what limits count of the same lines, in any order; quick enough to be asked for every signal."""


class Looks(Protocol):
    """The newest observation of each account, shared by all processes; older than the last seen is discarded."""

    def load(self, account: str) -> tuple[AccountSeen, Mapping[str, int]]:
        """Return the look and each field's age in ms (by Redis time); unread fields are Unknown and have no age."""

    def save(self, account: str, seen: AccountSeen) -> AccountSeen:
        """Merge a look's Known fields into the stored one and return it; older venue times than stored are dropped."""


class Prices(Protocol):
    """What the feed hears, per account: last marks, what was no price, and that it hears at all."""

    def put(self, account: str, marks: Mapping[str, Decimal], venue_ms: int | None = None) -> None:
        """Note the last marks with the time of now, and the venue's own time of them where it tells one."""

    def get(self, account: str, symbol: str) -> Price | None:
        """Return the last mark with its age by Redis time, or None."""

    def count(self, account: str, flaws: Mapping[Flaw, int]) -> None:
        """Add to the counts of what came as a price and was none, or was not believed."""

    def counts(self, account: str) -> Mapping[Flaw, int]: ...
    def hear(self, account: str) -> None:
        """Note that the account's streams live."""

    def heard_ms(self, account: str) -> int | None:
        """Return how long ago the account's streams last lived, by Redis time; None = never."""


class Flags(Protocol):
    """What a person or a Barred outcome has switched, per account; survives restarts."""

    def read(self, account: str) -> Switches: ...
    def change(
        self, account: str, *, paused: bool | None = None, halted: bool | None = None, barred: str | None = None
    ) -> None:
        """Set what is given and leave the rest, in one write: a halt must not be lost to a bar noted beside it."""

    def inherit(self, account: str, installation: str, until_ms: int) -> None:
        """Take the orders another installation placed until a venue time for our own, from now on."""


class Gaps(Protocol):
    """Which parts of an account are missing, since when; shared by all processes, so that each is told once."""

    def lack(self, account: str, part: str, patience_ms: int) -> bool:
        """Note that a part is missing; True once, when it was missing for so long: now it is to be told."""

    def back(self, account: str, part: str) -> int | None:
        """Note that a part is there; return for how many ms it was missing, None if that was told to nobody."""

    def lacking(self, account: str) -> Mapping[str, int]:
        """Return each part that is noted as missing, with the ms since."""

    def turn(self, account: str, what: str, every_ms: int) -> bool:
        """Return True to the first who asks in so many ms."""


class NonceSource(Protocol):
    """The counters behind nonces, one per signer address, shared by all processes."""

    def take(self, signer: str, now_ms: int, count: int) -> int:
        """Return the first of ``count`` fresh nonces: max(now_ms, last + 1), with ``last`` clamped to now_ms + 10 s."""


class BudgetSource(Protocol):
    """Rate budgets shared by all processes: a token bucket per venue limit."""

    def take(self, limit: str, weight: int, capacity: int, per_ms: int, reserve: int) -> int:
        """Take ``weight`` if at least ``reserve`` would stay; return 0, or the ms until it would be granted."""

    def used(self, limit: str, capacity: int, per_ms: int) -> int:
        """Return how much of the capacity is spent now."""


class TextCache(Protocol):
    """Texts that outlive a process, like a venue's market list."""

    def load(self, name: str) -> str | None: ...
    def save(self, name: str, text: str, ttl_ms: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Times:
    """The table of times; doctor checks that each is shorter than the next."""

    http_ms: int = 3_000
    deadline_ms: int = 4_000
    lease_ms: int = 10_000
    sweep_ms: int = 15_000
    drive_ms: int = 60_000
    visibility_ms: int = 120_000
    heartbeat_ms: int = 1_000
    heartbeat_lost_ms: int = 3_000
    tick_ms: int = 250
    claim_ms: int = 5_000
    look_fresh_ms: int = 2_000
    offset_max_age_ms: int = 60_000
    guardian_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything a drive of one account needs, introduced by workers."""

    account: str
    installation: str
    symbols: tuple[str, ...]
    rules: Rules
    times: Times
    venue: Venue
    leases: Leases
    records: Records
    wakes: Wakes
    journal: Journal
    ledger: Ledger
    looks: Looks
    prices: Prices
    flags: Flags
    gaps: Gaps
    lookout: Lookout = field(default_factory=Lookout)
