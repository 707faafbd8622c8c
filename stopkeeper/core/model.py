"""The nouns: what a signal, a trade, an order, a position, a fill and an observation are.

Values only. What may be concluded from them stands in believe.py, what is done about them in concerns.py.
Money is ``Decimal``; every ``*_ms`` is a venue time in milliseconds (UTC) unless the name says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import BreakEven, Trail
from stopkeeper.core.prices import Price

T = TypeVar("T")
ZERO = Decimal(0)


class Side(StrEnum):
    """The side of a position; of an order, the side it pushes the position towards (long buys, short sells)."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        return 1 if self is Side.LONG else -1

    @property
    def opposite(self) -> "Side":
        return Side.SHORT if self is Side.LONG else Side.LONG


class Role(StrEnum):
    """What an order of ours is for; it stands in its client id."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    FLATTEN = "flatten"


class OrderKind(StrEnum):
    """What a venue's order does when its moment comes."""

    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    STOP_LIMIT = "stop_limit"
    TARGET_MARKET = "target_market"
    TARGET_LIMIT = "target_limit"


class MarginMode(StrEnum):
    """How a position's margin is kept."""

    ISOLATED = "isolated"
    CROSS = "cross"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """(account, symbol): what a lease, a drive, a position and a trade are per. ``symbol`` is the venue's coin: BTC."""

    account: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.account}:{self.symbol}"


# --- what a venue says -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A reading that succeeded, with the venue's own time of it."""

    value: T
    at_ms: int
    kind: Literal["known"] = "known"


@dataclass(frozen=True, slots=True)
class Position:
    """What the venue says is held on one symbol. ``size`` > 0. ``mark`` is None where the venue's price was not one."""

    symbol: str
    side: Side
    size: Decimal
    entry_price: Decimal
    margin_mode: MarginMode
    leverage: Decimal
    liquidation_price: Decimal | None
    mark: Decimal | None
    unrealized_pnl: Decimal


@dataclass(frozen=True, slots=True)
class Order:
    """A live order as the venue shows it. ``size`` is what is left; a ``whole`` order follows the position."""

    id: str
    symbol: str
    client_id: str | None
    side: Side
    kind: OrderKind
    size: Decimal
    price: Decimal | None
    trigger: Decimal | None
    mark_triggered: bool
    reduce_only: bool
    whole: bool
    fired: bool
    placed_ms: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. ``fee`` > 0 is paid, in the settle currency; ``start`` is the signed position before it.

    ``words`` is what the venue calls it where that is no ordinary opening or closing.
    """

    id: str
    symbol: str
    order_id: str
    client_id: str | None
    side: Side
    size: Decimal
    price: Decimal
    fee: Decimal
    closed_pnl: Decimal
    time_ms: int
    start: Decimal | None = None
    liquidation: bool = False
    adl: bool = False
    words: str = ""

    @property
    def signed(self) -> Decimal:
        return self.size * self.side.sign


class OrderState(StrEnum):
    """What the venue answers when an order is looked up by its id."""

    LIVE = "live"
    FIRED = "fired"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"


OVER = frozenset((OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED))  # it lives no more


@dataclass(frozen=True, slots=True)
class Lookup:
    """The answer to a look-up by client id; ``state`` None means the venue does not know the id.

    ``order`` is the whole order while it is live, so that it can be read back alone.
    """

    client_id: str
    state: OrderState | None
    order_id: str | None = None
    filled: Decimal = ZERO
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Funds:
    """The account's money: ``value`` with open P&L, ``free`` to open more."""

    value: Decimal
    free: Decimal


@dataclass(frozen=True, slots=True)
class Holdings:
    """All positions of an account and its money, from one read."""

    positions: Mapping[str, Position]
    funds: Funds


@dataclass(frozen=True, slots=True)
class FillPage:
    """The fills from ``since_ms`` on, oldest first, complete for every symbol since its own oldest trade.

    Of a symbol without one the last minutes are there.
    """

    since_ms: int
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """One observation of an account; each field is known, with the venue's time of it, or Unknown, never guessed."""

    holdings: Known[Holdings] | Unknown = Unknown("not read")
    orders: Known[tuple[Order, ...]] | Unknown = Unknown("not read")
    fills: Known[FillPage] | Unknown = Unknown("not read")


@dataclass(frozen=True, slots=True)
class History:
    """What a venue has on record of an account's orders, from one read.

    ``unended`` are those with an id like ours whose end is not, shown or not; ``symbols`` are those on which one with
    such an id was ever placed.
    """

    unended: tuple[Order, ...] = ()
    symbols: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation of one key: the account's, cut to the symbol, with its mark and the look-ups asked for.

    ``second`` is a mark from another source than ``mark``, where there is one; ``atr`` the average true range.
    """

    position: Known[Position | None] | Unknown = Unknown("not read")
    orders: Known[tuple[Order, ...]] | Unknown = Unknown("not read")
    fills: Known[FillPage] | Unknown = Unknown("not read")
    mark: Price | None = None
    second: Price | None = None
    atr: Decimal | None = None
    funds: Funds | None = None
    lookups: Mapping[str, Known[Lookup] | Unknown] = field(default_factory=dict)
    history: Known[History] | Unknown = Unknown("not read")


@dataclass(frozen=True, slots=True)
class Market:
    """What the venue demands of an order on a symbol; prices by ``tick``, or ``significant`` and ``decimals``."""

    symbol: str
    size_step: Decimal
    min_notional: Decimal
    max_leverage: int
    maintenance_rate: Decimal
    taker_fee: Decimal
    decimals: int
    significant: int | None = None
    tick: Decimal | None = None
    delisted: bool = False  # nothing is opened there; what is held and its trade are still to be ended


# --- what somebody wished --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Distance:
    """A price said outright, or as a fraction (0.02 = 2 %) of the mark at send. Exactly one is set."""

    price: Decimal | None = None
    fraction: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TargetWish:
    """A take-profit asked for, and the fraction of the position it takes (None = an equal share of what is left)."""

    at: Distance
    fraction: Decimal | None = None


class Resting(StrEnum):
    """What a limit entry does with what does not fill at once."""

    NO = "no"  # it is dropped (IOC)
    GTC = "gtc"  # it rests until the signal expires
    POST_ONLY = "post_only"  # it rests, and is refused if it would fill at once


@dataclass(frozen=True, slots=True)
class Candle:
    """A bar of the venue: its opening time and prices."""

    opened_ms: int
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class Amount:
    """How much: units of the coin, or USD of notional, or USD lost at the stop. Exactly one is set."""

    size: Decimal | None = None
    notional: Decimal | None = None
    risk: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """Somebody's wish to enter. ``expires_ms`` is the venue time after which no entry leaves, and none rests.

    ``trail`` and ``breakeven`` None = the account's own.
    """

    id: str
    key: Key
    side: Side
    amount: Amount
    stop: Distance
    targets: tuple[TargetWish, ...] = ()
    limit: Decimal | None = None
    resting: Resting = Resting.NO
    leverage: int | None = None
    time_limit_ms: int | None = None
    expires_ms: int = 0
    price: Decimal | None = None
    max_deviation: Decimal | None = None
    trail: Trail | None = None
    breakeven: BreakEven | None = None
