"""The books: a line per exit, and the tally over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from stopkeeper.core.actions import Exit
from stopkeeper.core.model import ZERO
from stopkeeper.core.record import Trade


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One booked exit, keyed (trade, revision); a later revision corrects an earlier one."""

    trade: Trade
    exit: Exit
    revision: int
    booked_ms: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The running tally of an account. Rates are fractions; money is in the settle currency."""

    trades: int
    wins: int
    losses: int
    win_rate: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    account_value: Decimal | None
    start_value: Decimal | None
    return_since_start: Decimal | None
    best: Decimal | None
    worst: Decimal | None


def tally(lines: Sequence[LedgerLine], value: Decimal | None, unrealized: Decimal) -> Tally:
    """Sum the ledger up.

    The start value is what the account would hold without our booked and open P&L, so deposits count as capital.
    """
    results = [line.exit.realized_pnl for line in lines]
    realized = sum(results, ZERO)
    wins = sum(1 for result in results if result > 0)
    start = None if value is None else value - realized - unrealized
    return Tally(
        trades=len(results),
        wins=wins,
        losses=sum(1 for result in results if result < 0),
        win_rate=Decimal(wins) / len(results) if results else None,
        realized_pnl=realized,
        fees=sum((line.exit.fees for line in lines), ZERO),
        account_value=value,
        start_value=start,
        return_since_start=None if not start or start <= 0 or value is None else (value - start) / start,
        best=max(results, default=None),
        worst=min(results, default=None),
    )
