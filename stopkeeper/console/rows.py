"""The rows a person waits for and looks at: finding one, knowing whether it is at its end, and the tables of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from stopkeeper.console import words
from stopkeeper.console.failures import RanOut
from stopkeeper.console.session import Session, now_ms
from stopkeeper.console.shapes import named
from stopkeeper.core.model import ZERO, Signal
from stopkeeper.core.report import Phase, PositionRow, TradeRow, trade_row
from stopkeeper.engine import showing

if TYPE_CHECKING:
    from stopkeeper.engine.ports import Ports

T = TypeVar("T")
POLL_S = 0.1
ENDED = frozenset({Phase.PROTECTED, Phase.ENTRY_RESTING, Phase.CLOSED, Phase.REFUSED})
BARE = frozenset({Phase.NAKED, Phase.UNSAFE})


def until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Look again and again until there is something, or raise RanOut."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() >= end:
            raise RanOut(f"{what} has not happened", field="wait", value=f"{seconds:g} s", hint="it goes on without us")
        time.sleep(POLL_S)


def ended(signal: Signal, trade_id: str, ports: "Ports") -> tuple[PositionRow, str] | None:
    """Return the row of a trade that is protected, closed or refused, with the sentence of a refusal; else None."""
    row = showing.position(trade_id, ports)
    if row is not None and row.phase in (Phase.PROTECTED, Phase.ENTRY_RESTING):
        return row, ""
    state = ports.records.signal(trade_id)
    if state is not None and state.state == "refused":
        return _blank(signal, trade_id, Phase.REFUSED), state.why
    if row is not None and row.phase in ENDED:
        return row, ""
    if state is None or state.state != "closed":
        return None
    booked = closed(trade_id, ports)
    return (_as_position(booked) if booked is not None else _blank(signal, trade_id, Phase.CLOSED)), ""


def closed(trade_id: str, ports: "Ports") -> TradeRow | None:
    """Return the booked row of a trade, or None."""
    lines = [line for line in ports.ledger.lines(ports.account) if line.trade.id == trade_id]
    return trade_row(lines[-1]) if lines else None


def _blank(signal: Signal, trade_id: str, phase: Phase) -> PositionRow:
    return PositionRow(
        trade_id=trade_id,
        account=signal.key.account,
        symbol=signal.key.symbol,
        side=signal.side,
        phase=phase,
        size=ZERO,
        entry_price=None,
        stop_price=None,
        stop_order_id=None,
        stop_verified_at_ms=None,
        target_price=None,
        naked_ms=0,
        unrealized_pnl=None,
    )


def _as_position(row: TradeRow) -> PositionRow:
    return PositionRow(
        trade_id=row.trade_id,
        account=row.account,
        symbol=row.symbol,
        side=row.side,
        phase=row.phase,
        size=ZERO,
        entry_price=row.entry_price,
        stop_price=row.stop_price,
        stop_order_id=None,
        stop_verified_at_ms=None,
        target_price=row.target_price,
        naked_ms=row.naked_ms,
        unrealized_pnl=None,
    )


# The fields of a row as programs read them, in this order: stable from the first release.
_POSITION = (
    "trade_id", "account", "symbol", "side", "phase", "size", "entry_price", "stop_price", "stop_order_id",
    "stop_verified_at_ms", "target_price", "naked_ms", "unrealized_pnl",
)  # fmt: skip
_HELD = ("targets", "trail", "breakeven", "stop_moves_last_hour", "stop_off_until_ms", "limit_price", "orphan")
_TRADE = ("exit_price", "exit_reason", "exit_evidence", "realized_pnl", "fees", "opened_at_ms", "closed_at_ms")
_CORRECTION = ("revision", "complete")


def position_json(row: PositionRow) -> dict[str, Any]:
    """Return a row of ``positions`` for programs."""
    return _picked(row, (*_POSITION, *_HELD))


def trade_json(row: TradeRow) -> dict[str, Any]:
    """Return a row of ``trades`` for programs: that of ``positions`` and how it ended."""
    return _picked(row, (*_POSITION, *_TRADE, *_CORRECTION))


def _picked(row: object, names: Sequence[str]) -> dict[str, Any]:
    return dict(named(name, getattr(row, name, None)) for name in names)


POSITION_COLUMNS = (
    "account", "symbol", "side", "phase", ">size", ">entry", ">stop", "seen live", ">target", ">P&L", ">naked",
)  # fmt: skip
TRADE_COLUMNS = ("closed", "account", "symbol", "side", ">size", ">entry", ">exit", "reason", ">P&L", ">fees")


def show_survey(session: Session, found: Mapping[str, showing.Survey]) -> bool:
    """Print the positions of accounts, as JSON or table; return False, with lines on stderr, where any is unread."""
    held = [row for each in found.values() for row in each.rows]
    whole = not note_unread(session, found)
    if session.json:
        session.give([position_json(row) for row in held])
    else:
        show_positions(session, held, empty="no open positions" if whole else "no positions could be read")
    return whole


def show_positions(session: Session, rows: Sequence[PositionRow], empty: str = "no open positions") -> None:
    """Print open positions as a table."""
    now = now_ms()
    session.table(POSITION_COLUMNS, [_position_cells(row, now) for row in rows], empty=empty)


def _position_cells(row: PositionRow, now: int) -> tuple[str, ...]:
    phase = row.phase if row.orphan is None else f"{row.phase} orphan"
    if row.phase in BARE:
        phase = words.styled("bold red", phase)
    return (
        row.account,
        row.symbol,
        row.side or words.NOTHING,
        phase,
        words.amount(row.size),
        words.average(row.entry_price) if row.limit_price is None else f"at {words.amount(row.limit_price)}",
        words.amount(row.stop_price),
        words.ago(row.stop_verified_at_ms, now),
        words.amount(row.target_price),
        words.gain(row.unrealized_pnl),
        words.duration(row.naked_ms) if row.naked_ms else "0",
    )


def note_unread(session: Session, found: Mapping[str, showing.Survey]) -> bool:
    """Say on stderr which accounts could not be read whole; return whether any could not."""
    blind = {name: each.unread for name, each in found.items() if each.unread}
    for name, why in blind.items():
        session.note(f"error: {name}: {why}")
    return bool(blind)


def show_trades(session: Session, rows: Sequence[TradeRow]) -> None:
    """Print booked trades as a table."""
    session.table(TRADE_COLUMNS, [_trade_cells(row) for row in rows], empty="no closed trades yet")


def _trade_cells(row: TradeRow) -> tuple[str, ...]:
    return (
        words.moment(row.closed_at_ms),
        row.account,
        row.symbol,
        row.side or words.NOTHING,
        words.amount(row.size),
        words.average(row.entry_price),
        words.average(row.exit_price),
        row.exit_reason or words.NOTHING,
        words.gain(row.realized_pnl),
        words.money(row.fees),
    )
