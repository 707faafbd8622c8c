"""What may be configured: all of ``stopkeeper.toml``, and the core's Rules, Limits and Times made from it.

The sections stand in settings_sections.py, where they are read from and how a fault is told to a person in
settings_load.py. This module only joins them and checks what holds between two sections.
"""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from stopkeeper.core.model import MarginMode
from stopkeeper.core.policy import Policy
from stopkeeper.core.rules import Limits, OrphanPolicy, Rules
from stopkeeper.engine.ports import Times
from workers import settings_types as kinds
from workers.settings_risk import RiskSection
from workers.settings_sections import (
    AccountSection,
    AlertsSection,
    FlowerSection,
    PaperSection,
    RedisSection,
    StopsSection,
)


class Settings(BaseSettings):
    """All settings of one deployment."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    #: The file these settings were read from: child processes are given the same.
    _source: Path = PrivateAttr(default=Path("stopkeeper.toml"))

    installation: Annotated[str, BeforeValidator(kinds.installation)] = Field(
        description="This deployment's id, 5 hex digits, written by `stopkeeper init`. It stands in every order's id."
    )
    redis: RedisSection = Field(default_factory=RedisSection)
    accounts: dict[str, AccountSection] = Field(description="One section per account, `[accounts.NAME]`.")
    risk: RiskSection = Field(default_factory=RiskSection)
    stops: StopsSection = Field(default_factory=StopsSection)
    alerts: AlertsSection = Field(default_factory=AlertsSection)
    paper: PaperSection = Field(default_factory=PaperSection)
    flower: FlowerSection = Field(default_factory=FlowerSection)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 pydantic's own sources ignore keys nobody knows
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the sources from settings_load: the environment over the file."""
        from workers.settings_load import EnvironmentSource, FileSource

        return (init_settings, EnvironmentSource(settings_cls), FileSource(settings_cls))

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds.check_accounts(self.accounts)
        self._check_risk()
        if self.paper.port == self.paper.control_port:
            raise ValueError("paper.control_port: must differ from paper.port")
        return self

    def _check_risk(self) -> None:
        _both_or_neither("risk", self.risk)
        for name, account in self.accounts.items():
            risk = self.risk_of(name)
            _both_or_neither(f"accounts.{name}.risk", risk)
            if risk.max_leverage is not None and account.leverage > risk.max_leverage:
                where = f"accounts.{name}.risk" if account.risk.max_leverage is not None else "risk"
                raise ValueError(f"accounts.{name}.leverage: must not exceed {where}.max_leverage {risk.max_leverage}")

    @property
    def source(self) -> Path:
        """Return the file these settings were read from."""
        return self._source

    def from_file(self, path: Path) -> Self:
        """Note the file these settings were read from; return them."""
        self._source = path
        return self

    def base_url(self, account: str) -> str | None:
        """Return the address an account trades at; None = the venue's own."""
        section = self.accounts[account]
        if section.base_url is not None or section.mode != "paper":
            return section.base_url
        return f"http://127.0.0.1:{self.paper.port}"

    def ws_url(self, account: str) -> str | None:
        """Return the websocket address of an account; None = the venue's own."""
        base = self.base_url(account)
        if self.accounts[account].ws_url is not None or base is None:
            return self.accounts[account].ws_url
        return re.sub(r"^http", "ws", base.rstrip("/")) + "/ws"

    @property
    def local_paper(self) -> tuple[str, ...]:
        """Return the accounts that trade at the paper venue `stopkeeper up` starts."""
        return tuple(name for name, each in self.accounts.items() if each.mode == "paper" and each.base_url is None)

    def times(self) -> Times:
        """Return the table of times with the configured refresh period in it."""
        return Times(sweep_ms=self.stops.refresh // timedelta(milliseconds=1))

    def risk_of(self, account: str) -> RiskSection:
        """Return `[risk]` with the account's own keys over it."""
        return self.accounts[account].risk.over(self.risk)

    def limits(self, account: str) -> Limits:
        """Return an account's refusals at the door."""
        risk = self.risk_of(account)
        since, cooldown = risk.drawdown_since, risk.cooldown
        return Limits(
            **risk.model_dump(exclude={"entry_worst", "drawdown_since", "cooldown"}),
            drawdown_since_ms=None if since is None else (since - date(1970, 1, 1)) // timedelta(milliseconds=1),
            cooldown_ms=None if cooldown is None else cooldown // timedelta(milliseconds=1),
        )

    def rules(self, account: str) -> Rules:
        """Return the numbers the rules lean on for an account."""
        section, stops = self.accounts[account], self.stops
        return Rules(
            leverage=section.leverage,
            margin_mode=MarginMode(section.margin_mode),
            orphan_policy=OrphanPolicy(section.orphan_policy),
            entry_worst=self.risk_of(account).entry_worst,
            stop_worst=stops.worst,
            orphan_stop=stops.orphan_stop,
            liquidation_buffer=stops.liquidation_buffer,
            exit_tolerance=stops.exit_tolerance,
            naked_limit_ms=stops.naked_limit // timedelta(milliseconds=1),
            policy=Policy(
                stops.trailing if section.trailing is None else section.trailing,
                stops.breakeven if section.breakeven is None else section.breakeven,
            ),
            stop_step=stops.step,
            stop_interval_ms=stops.interval // timedelta(milliseconds=1),
            breach_margin=stops.breach_margin,
            limits=self.limits(account),
        )


def _both_or_neither(where: str, risk: RiskSection) -> None:
    """Check that a cooldown has both its keys. Raises ValueError that begins with the key that is missing."""
    if risk.cooldown_after is not None and risk.cooldown is None:
        raise ValueError(f'{where}.cooldown: is missing; cooldown_after needs it, like cooldown = "2h"')
    if risk.cooldown is not None and risk.cooldown_after is None:
        raise ValueError(f"{where}.cooldown_after: is missing; cooldown needs it, like cooldown_after = 3")
