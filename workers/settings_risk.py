"""The section of limits, for all accounts and for one: the shape, bounds and meaning of every key."""

from datetime import timedelta
from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from workers.settings_fields import Day, Duration, Percent, Section, Usd, Whole


class RiskSection(Section):
    """Refusals at the door; each holds per account. Absent = no limit of that kind."""

    max_open_trades: Whole | None = Field(default=None, ge=1, description="Trades open at once.")
    max_leverage: Whole | None = Field(default=None, ge=1, le=50, description="Greatest leverage of an entry.")
    max_notional: Usd | None = Field(
        default=None, gt=0, description="Greatest notional of all open trades together, USD."
    )
    max_daily_loss: Usd | None = Field(
        default=None,
        gt=0,
        description="Loss of a UTC day, what is open counted in, at which entries stop until the next day, USD.",
    )
    max_drawdown: Usd | None = Field(
        default=None,
        gt=0,
        description="How far booked results and open loss may be below the peak of the booked results, USD; "
        "entries stop while they are.",
    )
    drawdown_since: Day | None = Field(
        default=None,
        description='Day from which `max_drawdown` counts, like `"2026-11-01"`; absent = all booked trades.',
    )
    cooldown_after: Whole | None = Field(
        default=None,
        ge=1,
        description="Losing trades in a row after which entries stop for `cooldown`; both or neither.",
    )
    cooldown: Duration | None = Field(
        default=None, description="How long they stop after the last of these closed, 1 s to 24 h."
    )
    max_stop_distance: Percent | None = Field(
        default=None, gt=0, lt=1, description="Greatest distance from entry to stop."
    )
    entry_worst: Percent = Field(
        default=Decimal("0.02"), gt=0, lt=1, description="What a market entry may give up at most."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.cooldown is not None and not timedelta(seconds=1) <= self.cooldown <= timedelta(hours=24):
            raise ValueError('cooldown: must be from "1s" to "24h"')
        return self

    def over(self, other: "RiskSection") -> "RiskSection":
        """Return the other section with the keys that are set here in place of its own."""
        return other.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


class AccountRiskSection(RiskSection):
    """The keys of `[risk]` for one account: a key set here stands over the same key there."""
