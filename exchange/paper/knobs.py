"""Every number and every unsettled venue rule that can be turned, with both readings named.

Unsettled rules are those no public evidence decides. A trader has to survive each reading.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from exchange.paper.errors import PaperError


@dataclass
class Knobs:
    """Settings of the venue; each can be changed while it runs through `POST /settings`."""

    # fees, as parts of the notional (venue docs: 4.5 and 1.5 basis points at the lowest tier)
    taker_fee: Decimal = Decimal("0.00045")
    maker_fee: Decimal = Decimal("0.00015")
    funding_rate: Decimal = Decimal(0)  # per hour, paid by longs when > 0
    # book: mid = mark * (1 + basis), best prices half a spread away, then a level every `level_bp` with `level_usd`
    basis_bp: Decimal = Decimal(0)
    half_spread_bp: Decimal = Decimal("0.5")
    level_bp: Decimal = Decimal(1)
    level_usd: Decimal = Decimal(250000)
    book_levels: int = 300
    # the wire
    latency_ms: int = 0
    jitter_ms: int = 0
    position_lag_ms: int = 0
    order_lag_ms: int = 0
    fill_lag_ms: int = 0
    status_lag_ms: int = 0
    stream_lag_ms: int = 0
    lag_non_monotonic: bool = False  # each read draws its own lag between 0 and the knob
    stale_state_tells_time: bool = False  # is `time` of a late clearinghouseState the state's (True) or the answer's
    ip_weight_limit: int = 0  # per minute and client address, 0 = counted but not enforced (venue: 1200)
    address_limit: bool = False  # enforce the address action budget (venue: 10000 + 1 per USDC traded)
    address_initial: int = 10000
    max_open_orders: int = 1000
    # unsettled rules: True and False are both possible readings of the venue
    cloid_reuse_refused: bool = False  # is a cloid that is already on an open order refused
    ro_trigger_needs_position: bool = False  # is a reduce-only trigger without a position refused
    ro_trigger_outlives_position: bool = True  # does a standalone reduce-only trigger stay when the position is gone
    ro_triggers_sum_limited: bool = False  # may several reduce-only triggers together not exceed the position
    failed_modify_keeps_order: bool = True  # does a failed modify leave the old order in place
    modify_trigger_needs_a: bool = False  # is a modify of a trigger order without `a: true` refused
    partial_parent_places_children: bool = False  # are normalTpsl children placed on a part fill of the parent
    canceled_parent_cancels_children: bool = True  # are children canceled with a parent canceled after a part fill
    fired_trigger_keeps_oid: bool = True  # does a fired trigger keep its order id
    nonce_before_expiry: bool = True  # is the nonce looked at (and used up) before expiresAfter

    def turn(self, changes: dict[str, Any]) -> None:
        """Apply changes by name. Raise PaperError for an unknown name or a value of the wrong kind, changing
        nothing."""
        parsed: dict[str, Any] = {}
        kinds = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, value in changes.items():
            if name not in kinds:
                raise PaperError(f"unknown setting {name!r}: known are {', '.join(sorted(kinds))}")
            parsed[name] = _parsed(name, value, kinds[name])
        for name, value in parsed.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """Return every knob by name, decimals as strings."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _parsed(name: str, value: Any, now: Any) -> Any:
    if isinstance(now, bool):
        if not isinstance(value, bool):
            raise PaperError(f"setting {name} is {value!r}: it must be true or false")
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or isinstance(value, bool):
        raise PaperError(f"setting {name} is {value!r}: it must be a number")
    if number < 0 and name not in ("basis_bp", "funding_rate"):
        raise PaperError(f"setting {name} is {value!r}: it must not be negative")
    return int(number) if isinstance(now, int) else number
