"""What an account may do, what a venue can do, and the numbers the rules lean on: all of it data, none of it a rule."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from stopkeeper.core.model import MarginMode
from stopkeeper.core.policy import FIXED, Policy


@dataclass(frozen=True, slots=True)
class Ability:
    """What differs between venues, as data: rules ask these, never a venue's name."""

    whole_stop: bool
    amend_atomic: bool
    attach: bool
    trigger_without_position: bool
    deadline_on: frozenset[str]
    oversize_covers: bool
    lag_ms: int


class OrphanPolicy(StrEnum):
    """What is done about a position no trade owns and no id of ours claims; what each leads to stands in orphans.py."""

    PROTECT = "protect"  # it gets a stop, which stays where it is
    ADOPT = "adopt"  # it becomes the account's own: its stop moves as the account's stops do
    CLOSE = "close"  # it gets a stop, and is closed once no id of ours can still show
    ALERT = "alert"  # nothing is placed: it is shown and told until a person acts


@dataclass(frozen=True, slots=True)
class Limits:
    """Refusals at the door. None = no limit of that kind. Money is USD; the rules over it stand in core/limits.py."""

    max_open_trades: int | None = None
    max_leverage: int | None = None
    max_notional: Decimal | None = None
    max_daily_loss: Decimal | None = None
    max_drawdown: Decimal | None = None
    drawdown_since_ms: int | None = None
    cooldown_after: int | None = None
    cooldown_ms: int | None = None
    max_stop_distance: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers the rules lean on; docs/policy.md lists them. Fractions, not percent; durations in ms."""

    leverage: int = 5
    margin_mode: MarginMode = MarginMode.ISOLATED
    orphan_policy: OrphanPolicy = OrphanPolicy.PROTECT
    entry_worst: Decimal = Decimal("0.02")
    stop_worst: Decimal = Decimal("0.10")
    orphan_stop: Decimal = Decimal("0.05")
    liquidation_buffer: Decimal = Decimal("0.25")
    flatten_worst: tuple[Decimal, ...] = (Decimal("0.03"), Decimal("0.10"), Decimal("0.30"))
    exit_tolerance: Decimal = Decimal("0.01")
    naked_limit_ms: int = 5_000
    lost_cover_times: int = 3
    lost_cover_window_ms: int = 60_000
    fired_patience_ms: int = 2_000
    confirm_ms: tuple[int, ...] = (2_000, 3_000, 3_000, 5_000)
    prepared_max_age_ms: int = 3_600_000
    incomplete_after_ms: int = 60_000
    settling_kept_ms: int = 86_400_000
    retry_ms: int = 10_000
    policy: Policy = FIXED
    stop_step: Decimal = Decimal("0.0025")
    stop_interval_ms: int = 30_000
    breach_margin: Decimal = Decimal("0.002")
    marks_apart: Decimal = Decimal("0.01")
    mark_age_ms: int = 5_000
    price_jump: Decimal = Decimal("0.05")
    feed_lost_ms: int = 5_000
    blind_alarm_ms: int = 10_000
    lifted_look_ms: int = 60_000
    offset_max_age_ms: int = 60_000
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Switches:
    """What a person has switched: read by decide at the moment of send.

    ``inherited`` are dead installations whose orders, placed until a venue time, are taken for our own.
    """

    paused: bool = False
    halted: bool = False
    barred: str = ""
    inherited: tuple[tuple[str, int], ...] = ()
