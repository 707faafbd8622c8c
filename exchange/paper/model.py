"""What the paper venue remembers: instruments, orders, positions, fills, accounts. Data and words only, no rules.

Amounts are Decimal, times are UTC ms. Order, Position and Fill are frozen: a change is a new value, so that a late view
of an account is a cheap copy of references.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

ZERO = Decimal(0)
Tif = Literal["Gtc", "Ioc", "Alo", "FrontendMarket"]
Tpsl = Literal["tp", "sl"]
Cause = Literal["trader", "person", "venue"]  # who ended an order: a signed request, a hand, the venue or a fault
Grouping = Literal["na", "normalTpsl", "positionTpsl"]
LIVE = frozenset({"open", "waitingForFill"})


@dataclass(frozen=True)
class Instrument:
    """One perpetual: its number on the wire, lot decimals, greatest leverage, and the price a walk starts from."""

    name: str
    asset: int
    sz_decimals: int
    max_leverage: int
    start_px: Decimal
    volatility: Decimal = Decimal("0.6")

    @property
    def maintenance_rate(self) -> Decimal:
        """Return the maintenance margin per notional: half the initial margin at greatest leverage (venue docs)."""
        return Decimal(1) / (2 * self.max_leverage)


@dataclass(frozen=True)
class Trigger:
    """When an order wakes: `px` against the mark, as a stop (`sl`) or target (`tp`), as market or limit."""

    px: Decimal
    is_market: bool
    tpsl: Tpsl


@dataclass(frozen=True)
class NewOrder:
    """An order as asked for, before the venue has looked at it. `size` 0 means the whole position (positionTpsl)."""

    coin: str
    is_buy: bool
    limit_px: Decimal
    size: Decimal
    reduce_only: bool
    tif: Tif | None = None
    trigger: Trigger | None = None
    cloid: str | None = None
    builder: str | None = None
    builder_fee: int = 0  # tenths of a basis point, as on the wire


@dataclass(frozen=True)
class Order:
    """An order the venue has taken (or refused on the record). `size` is what is left, `orig_size` what was asked."""

    oid: int
    user: str
    coin: str
    is_buy: bool
    size: Decimal
    orig_size: Decimal
    limit_px: Decimal
    reduce_only: bool
    tif: Tif | None
    trigger: Trigger | None
    cloid: str | None
    placed_ms: int
    status: str = "open"
    status_ms: int = 0
    fired_ms: int | None = None
    parent: int | None = None
    siblings: int | None = None  # orders with the same number end together when one of them fills
    children: tuple[int, ...] = ()
    is_position_tpsl: bool = False
    builder_fee: int = 0

    @property
    def live(self) -> bool:
        """Tell whether the order stands on the book, waits for its trigger or for its parent."""
        return self.status in LIVE or self.status == "triggered"


@dataclass(frozen=True)
class Position:
    """One net position. `size` is signed; `margin` is the isolated collateral, 0 in cross mode."""

    coin: str
    size: Decimal
    entry_px: Decimal
    leverage: int
    is_cross: bool
    margin: Decimal = ZERO
    funding: Decimal = ZERO  # paid since open, > 0 = paid


@dataclass(frozen=True)
class Fill:
    """One execution. `fee` includes the builder's share, as on the venue (docs: info-endpoint)."""

    user: str
    coin: str
    px: Decimal
    size: Decimal
    is_buy: bool
    time_ms: int
    start_position: Decimal
    direction: str
    closed_pnl: Decimal
    oid: int
    cloid: str | None
    crossed: bool
    fee: Decimal
    builder_fee: Decimal
    tid: int
    liquidation_mark: Decimal | None = None


@dataclass(frozen=True)
class Funding:
    """One hourly payment; `usdc` < 0 was paid, > 0 received, as on the wire."""

    user: str
    coin: str
    usdc: Decimal
    size: Decimal
    rate: Decimal
    time_ms: int


@dataclass
class Account:
    """One address with money: its cash (cross collateral), positions, orders, history and settings."""

    address: str
    cash: Decimal
    role: Literal["user", "subAccount", "vault"] = "user"
    master: str | None = None
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    history: list[Order] = field(default_factory=list)  # every status change, oldest first
    fills: list[Fill] = field(default_factory=list)
    fundings: list[Funding] = field(default_factory=list)
    leverage: dict[str, tuple[int, bool]] = field(default_factory=dict)  # coin -> (leverage, is cross)
    agents: dict[str, tuple[str | None, int | None]] = field(default_factory=dict)  # address -> (name, valid until)
    builders: dict[str, str] = field(default_factory=dict)  # builder address -> greatest fee rate, as text
    volume: Decimal = ZERO
    requests_used: int = 0
    schedule_ms: int | None = None
    last_throttled_ms: int = 0


@dataclass(frozen=True)
class OrderEvent:
    """An order came to `order.status` at `order.status_ms`."""

    order: Order
    silent: bool = False  # a fault hid this from the streams
    cause: Cause = "venue"


@dataclass(frozen=True)
class FillEvent:
    """A fill happened."""

    fill: Fill


@dataclass(frozen=True)
class AccountEvent:
    """Money, leverage or margin of an account changed without a fill (funding, margin moved, leverage)."""

    user: str
    funding: Funding | None = None


Event = OrderEvent | FillEvent | AccountEvent


@dataclass(frozen=True)
class Resting:
    """The order stands."""

    order: Order


@dataclass(frozen=True)
class Filled:
    """The order traded at once; `size` may be less than asked (the rest of an IOC is dropped)."""

    order: Order
    size: Decimal
    avg_px: Decimal


@dataclass(frozen=True)
class Waiting:
    """A child or position trigger that the venue acknowledges by a bare word, without an id."""

    order: Order
    word: Literal["waitingForFill", "waitingForTrigger"]


@dataclass(frozen=True)
class Refused:
    """The venue's words for not taking an order, and the status its record carries."""

    text: str
    status: str


Placed = Resting | Filled | Waiting | Refused
