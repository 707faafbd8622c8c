"""Hyperliquid's fills and funding into the heart's words, as exits are classified and P&L is summed by them.

No network. Anything unreadable raises Unreadable; the caller makes it Unknown. Shapes: venue docs, info endpoint.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from exchange.fields import get, integer, number
from exchange.hyperliquid_parse import client_id_of, is_perp, side_of
from stopkeeper.core.model import ZERO, Fill

_ORDINARY = frozenset({"Open Long", "Close Long", "Open Short", "Close Short", "Long > Short", "Short > Long"})
_ADL = re.compile(r"auto-?\s?deleverag|\badl\b", re.IGNORECASE)


def fill(row: Mapping[str, Any], address: str) -> Fill:
    """Return one row of ``userFills``. ``fee`` already holds a builder's share (venue docs)."""
    direction = str(row.get("dir") or "")
    return Fill(
        id=str(integer(get(row, "tid"))),
        symbol=str(get(row, "coin")),
        order_id=str(integer(get(row, "oid"))),
        client_id=client_id_of(row),
        side=side_of(get(row, "side")),
        size=number(get(row, "sz")),
        price=number(get(row, "px")),
        fee=number(get(row, "fee")),
        closed_pnl=number(get(row, "closedPnl")),
        time_ms=integer(get(row, "time")),
        start=number(get(row, "startPosition")),
        liquidation=_was_liquidated(row, direction, address),
        adl=_ADL.search(direction) is not None,
        words="" if direction in _ORDINARY else direction,
    )


def _was_liquidated(row: Mapping[str, Any], direction: str, address: str) -> bool:
    """Tell whether this account is the one that was liquidated: the other side's row bears the same field and words."""
    liquidation = row.get("liquidation")
    user = liquidation.get("liquidatedUser") if isinstance(liquidation, dict) else None
    return user.lower() == address.lower() if isinstance(user, str) else direction.startswith("Liquidated")


def fills(raw: Iterable[Mapping[str, Any]], address: str) -> list[Fill]:
    """Return perpetual fills oldest first; those of one ms in the order their start positions tell."""
    found = [fill(row, address) for row in raw if is_perp(str(get(row, "coin")))]
    groups: dict[tuple[int, str], list[Fill]] = {}
    for item in sorted(found, key=lambda item: item.time_ms):
        groups.setdefault((item.time_ms, item.symbol), []).append(item)
    return [item for group in groups.values() for item in _chained(group)]


def _chained(group: list[Fill]) -> list[Fill]:
    """Return fills of one symbol and ms so that each starts where another ended, or as they came if none such is."""
    if len(group) < 2:
        return group
    ends = {(item.start or ZERO) + item.signed for item in group}
    heads = [item for item in group if item.start not in ends]
    if len(heads) != 1:
        return group
    left, chain = [item for item in group if item is not heads[0]], heads
    while left:
        at = (chain[-1].start or ZERO) + chain[-1].signed
        following = next((item for item in left if item.start == at), None)
        if following is None:
            return group
        left.remove(following)
        chain.append(following)
    return chain


def funding(raw: Iterable[object], symbol: str) -> Decimal:
    """Return the sum of ``userFunding`` rows of a coin: > 0 received, < 0 paid."""
    deltas = [get(row, "delta") for row in raw]
    return sum((number(get(delta, "usdc")) for delta in deltas if get(delta, "coin") == symbol), ZERO)
