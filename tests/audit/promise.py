"""What every test of the audit ends with: the promise, held against the venue's own witness and our own audit.

Judged at the venue first: a fault that makes the engine believe it is covered must not make its tests believe it too.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest

from stopkeeper.core.actions import Plan
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Order
from stopkeeper.engine import showing
from stopkeeper.engine.ports import Urgency
from tests.integration.engine.conftest import Desk

SIZES = {"BTC": "0.01", "ETH": "0.2", "SOL": "5"}  # 700 to 950 USD of each: they stand at 95000, 3400 and 180
REPAIRED_MS = 1_500  # what was taken away from outside is back within a look and a send, on a busy machine too
HANGS_S = 2.0  # a drive of these tests takes some tens of ms; one that waits for itself takes for ever


def naked(desk: Desk, symbol: str = "BTC") -> bool:
    """Return whether the venue holds a position now that its live stops do not cover."""
    intervals = desk.witness(symbol).get("naked_intervals", [])
    return bool(intervals) and intervals[-1]["to_ms"] is None


def held(desk: Desk, symbol: str = "BTC") -> Decimal:
    """Return the size the venue holds now, 0 where it holds nothing."""
    position = desk.ports.venue.holdings(Urgency.PROTECTIVE).value.positions.get(symbol)
    return position.size if position else Decimal(0)


def orders(desk: Desk, symbol: str = "BTC") -> list[Order]:
    """Return the live orders of a symbol as the venue shows them now."""
    return [order for order in desk.ports.venue.orders(Urgency.PROTECTIVE).value if order.symbol == symbol]


def closes(desk: Desk, symbol: str = "BTC") -> list[Decimal]:
    """Return the size of each order that closed something, in order, as the venue's witness counts them."""
    return [Decimal(exit_["size"]) for exit_ in desk.witness(symbol).get("exits", [])]


def kept(desk: Desk, symbol: str = "BTC", *, naked_ms: int = 0, loosened: int = 0, flips: int = 0) -> None:
    """Require the promise of a position that is held: covered now, and all the time but for ``naked_ms``."""
    desk.until(calmly(lambda: showing.audit(desk.ports) == ()), 5, "the audit goes on to find a breach")
    _never(desk, symbol, naked_ms, loosened, flips)
    assert held(desk, symbol) > 0
    assert not naked(desk, symbol)


def over(
    desk: Desk, reason: str, symbol: str = "BTC", *, naked_ms: int = 0, flips: int = 0, entry_fees: str = "0"
) -> LedgerLine:
    """Require that a trade ended as it should: flat, nothing left behind, booked once, for what the witness saw.

    ``entry_fees`` are those of an opening by hand: the trade's own where it was found while a view may still be late.
    """
    line = desk.until_booked(seconds=15)
    assert line.exit.reason == reason, line.exit
    desk.until(lambda: desk.phase(symbol) == "none")
    desk.until(calmly(lambda: showing.audit(desk.ports) == ()), 5, "the audit goes on to find a breach")
    _never(desk, symbol, naked_ms, 0, flips)
    assert held(desk, symbol) == 0
    assert orders(desk, symbol) == []
    assert len(desk.ports.ledger.lines("main")) == 1
    witness = desk.witness(symbol)
    assert line.exit.gross_pnl == Decimal(witness["realized_pnl"])
    assert Decimal(witness["fees"]) - line.exit.fees in (0, Decimal(entry_fees))
    return line


def calmly(done: Callable[[], bool]) -> Callable[[], bool]:
    """Ask three times a second only: each look at orders spends 20 of the weight that is wanted for what is tested."""
    count = itertools.count()
    return lambda: next(count) % 15 == 0 and done()


def _never(desk: Desk, symbol: str, naked_ms: int, loosened: int, flips: int) -> None:
    unused = [rule for rule in desk.get("/faults") if rule["times"] is not None and not rule["used"]]
    assert not unused, f"what was to go wrong did not: {unused}"
    witness = desk.witness(symbol)
    assert (witness["duplicates"], witness["flips"], witness["non_reduce_only"]) == (0, flips, 0), witness
    assert len(witness["loosened"]) == loosened, witness["loosened"]
    if naked_ms:
        assert witness["naked_ms"] < naked_ms, witness["naked_intervals"]
    else:
        assert witness["naked_intervals"] == []


def set_lag(desk: Desk, ms: int) -> None:
    """Tell the engine how late the venue may show what it did."""
    desk.ports.venue.can = replace(desk.ports.venue.can, lag_ms=ms)


def show_late(desk: Desk, ms: int, *, monotonic: bool = False) -> None:
    """Let the venue show what it did up to so much later, and the engine know that it may."""
    lags = ("position_lag_ms", "order_lag_ms", "fill_lag_ms", "status_lag_ms")
    desk.post("/settings", lag_non_monotonic=not monotonic, **dict.fromkeys(lags, ms))
    set_lag(desk, ms + 100)


def before_the(kind: type, module: Any, patch: pytest.MonkeyPatch, deed: Callable[[], object]) -> None:
    """Let something happen at the venue once, after ``module`` has decided to do such an action and before it does."""
    decide, done = module.decide, []

    def decides(*case: Any) -> Plan:
        plan: Plan = decide(*case)
        if not done and any(isinstance(action, kind) for action in plan.actions):
            done.append(deed())
        return plan

    patch.setattr(module, "decide", decides)


def ends(work: Callable[[], object], why: str) -> object:
    """Do something in a thread of its own and return what came of it; fails with ``why`` where it never ends."""
    came: list[object] = []

    def run() -> None:
        try:
            came.append(work())
        except Exception as error:
            came.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANGS_S)
    assert came, why
    return came[0]
