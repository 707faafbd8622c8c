"""How the paper venue is started, and what is wrong with options that cannot be used."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.paper.errors import PaperError


@dataclass(frozen=True)
class PaperOptions:
    """How to start the venue. Ports 0 mean any free one; `settings` are knobs by name (knobs.py)."""

    host: str = "127.0.0.1"
    port: int = 8899
    control_host: str = "127.0.0.1"
    control_port: int = 8898
    prices: str = "walk"
    seed: int = 1
    latency_ms: int = 0
    speed: Decimal = Decimal(1)
    balance: Decimal = Decimal(10_000)
    state: Path | str | None = None
    faucet: bool = True
    symbols: tuple[str, ...] | None = None
    tick_ms: int = 250
    ready_json: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Where:
    """Where a running venue listens."""

    host: str
    port: int
    control_port: int

    @property
    def url(self) -> str:
        """Return the base url of the venue's wire."""
        return f"http://{self.host}:{self.port}"

    @property
    def control_url(self) -> str:
        """Return the base url of the control API."""
        return f"http://127.0.0.1:{self.control_port}"


def check(options: PaperOptions) -> None:
    """Raise PaperError naming the option that cannot be used, its value and what would be right."""
    for name, port in (("port", options.port), ("control_port", options.control_port)):
        if not 0 <= port <= 65535:
            raise PaperError(f"{name} is {port}: it must be between 0 and 65535 (0 = any free port)")
    if options.control_host != "localhost":
        try:
            loopback = ipaddress.ip_address(options.control_host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise PaperError(
                f"control_host is {options.control_host!r}: the control API only listens on 127.0.0.1 or ::1"
            )
    if not options.speed.is_finite() or options.speed <= 0:
        raise PaperError(f"speed is {options.speed}: it must be above 0 (1 = real time)")
    if not options.balance.is_finite() or options.balance <= 0:
        raise PaperError(f"balance is {options.balance}: it must be an amount of USDC above 0")
    if options.latency_ms < 0:
        raise PaperError(f"latency_ms is {options.latency_ms}: it must be 0 or more")
    if options.tick_ms < 10:
        raise PaperError(f"tick_ms is {options.tick_ms}: it must be 10 or more")
