"""What an account's limits say about a new entry: the figures they are held against, and a sentence for each reached.

May live here: counting over booked results, open P&L and what is reserved, and the words of a refusal. Nothing is
remembered: the same books give the same answer, whoever asks and however often everything was started anew.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import ZERO, Holdings
from stopkeeper.core.rules import Limits, Switches

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Result:
    """What limits count of a booked exit: its net P&L in USD, and when it closed (venue ms)."""

    trade_id: str
    closed_ms: int
    realized_pnl: Decimal


@dataclass(frozen=True, slots=True)
class Reached:
    """Why no entry is let in, and what would change that."""

    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Stance:
    """What the books say about a new entry. Losses and drawdown are USD >= 0; times are venue ms.

    ``cooldown_until_ms`` is None unless a cooldown runs now.
    """

    lost_today: Decimal
    drawdown: Decimal
    losses_in_a_row: int
    cooldown_until_ms: int | None
    reached: tuple[Reached, ...] = ()

    @property
    def open(self) -> bool:
        """Tell whether an entry may pass."""
        return not self.reached

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the sentences of all that is reached."""
        return tuple(each.reason for each in self.reached)


def result_of(line: LedgerLine) -> Result:
    """Return what limits count of a ledger line, complete or not; one that knows no closing counts when booked."""
    return Result(line.trade.id, line.exit.closed_ms or line.booked_ms, line.exit.realized_pnl)


def open_pnl_of(holdings: Holdings) -> Decimal:
    """Return the open P&L of an account as the venue counts it, USD."""
    return sum((held.unrealized_pnl for held in holdings.positions.values()), ZERO)


def counts_results(limits: Limits) -> bool:
    """Tell whether any limit is held against the books."""
    return any(each is not None for each in (limits.max_daily_loss, limits.max_drawdown, limits.cooldown_after))


def stance(results: Iterable[Result], open_pnl: Decimal | None, now_ms: int, limits: Limits) -> Stance:
    """Hold the booked results and the open P&L (USD, None = unknown) against the limits; ``now_ms`` is venue time.

    An open profit buys no room: it may be gone before the entry fills. An unknown open P&L counts as none.
    """
    ordered = sorted(results, key=lambda each: (each.closed_ms, each.trade_id))
    open_loss = max(ZERO, -open_pnl) if open_pnl is not None else ZERO
    lost = _lost_today(ordered, now_ms) + open_loss
    below = _below_peak(ordered, open_loss, limits.drawdown_since_ms)
    row = _losses_in_a_row(ordered)
    until = _cooldown_until(ordered, row, now_ms, limits)
    unknown = "" if open_pnl is not None else "; what is open could not be read and counts as 0"
    reached = (
        *_daily_loss(lost, open_loss, limits, unknown),
        *_drawdown(below, limits, unknown),
        *_cooldown(row, until),
    )
    return Stance(max(ZERO, lost), below, row, until, reached)


def _lost_today(ordered: list[Result], now_ms: int) -> Decimal:
    today = now_ms // DAY_MS
    return -sum((each.realized_pnl for each in ordered if each.closed_ms // DAY_MS == today), ZERO)


def _below_peak(ordered: list[Result], open_loss: Decimal, since_ms: int | None) -> Decimal:
    total = peak = ZERO
    for each in ordered:
        if since_ms is None or each.closed_ms >= since_ms:
            total += each.realized_pnl
            peak = max(peak, total)
    return peak - (total - open_loss)


def _losses_in_a_row(ordered: list[Result]) -> int:
    row = 0
    for each in reversed(ordered):
        if each.realized_pnl >= 0:
            break
        row += 1
    return row


def _cooldown_until(ordered: list[Result], row: int, now_ms: int, limits: Limits) -> int | None:
    if limits.cooldown_after is None or limits.cooldown_ms is None or row < limits.cooldown_after:
        return None
    until = ordered[-1].closed_ms + limits.cooldown_ms
    return until if now_ms < until else None


# --- sentences -------------------------------------------------------------------------------------------------


def _daily_loss(lost: Decimal, open_loss: Decimal, limits: Limits, unknown: str) -> Iterable[Reached]:
    limit = limits.max_daily_loss
    if limit is None or lost < limit:
        return
    part = f", {open_loss:.2f} of it on what is open" if open_loss else ""
    reason = f"{lost:.2f} USD were lost today (UTC){part}, the account's limit is {limit:f}{unknown}"
    yield Reached(reason, "wait for the next day, or raise the account's risk.max_daily_loss")


def _drawdown(below: Decimal, limits: Limits, unknown: str) -> Iterable[Reached]:
    limit = limits.max_drawdown
    if limit is None or below < limit:
        return
    reason = f"the account's results are {below:.2f} USD below their peak, its limit is {limit:f}{unknown}"
    yield Reached(reason, "raise the account's risk.max_drawdown, or set risk.drawdown_since to the day to count from")


def _cooldown(row: int, until: int | None) -> Iterable[Reached]:
    if until is not None:
        losses = "the last trade was a loss" if row == 1 else f"the last {row} trades were losses"
        reason = f"{losses}: no entry before {clock(until)} UTC"
        yield Reached(reason, "wait until then, or change the account's risk.cooldown")


def clock(ms: int) -> str:
    """Return the time of day, to the second."""
    seconds = ms % DAY_MS // 1000
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


# --- the other reasons of an account ---------------------------------------------------------------------------


def switched(switches: Switches) -> tuple[Reached, ...]:
    """Return why a switch or the venue's bar lets no entry in."""
    found = []
    if switches.halted or switches.paused:
        word = "halted" if switches.halted else "paused"
        found.append(Reached(f"the account is {word}: no new entries", "run stopkeeper resume"))
    if switches.barred:
        hint = "mend the key or agent and restart: it goes on once the venue takes the key"
        found.append(Reached(f"the venue bars the account: {switches.barred}", hint))
    return tuple(found)


def unreserved(held: Iterable[tuple[str | None, Decimal]], reserved: Mapping[str, Decimal]) -> Decimal:
    """Return the notional of positions, as (trade, USD), that no signal reserved: found, adopted, rebuilt."""
    return sum((usd for trade, usd in held if trade is None or not reserved.get(trade)), ZERO)


def filled(reserved: Collection[Decimal], limits: Limits, found: Decimal = ZERO) -> tuple[Reached, ...]:
    """Return which limit on open trades leaves no room at all; ``reserved`` are their notionals in USD.

    ``found`` is the notional of positions that no signal reserved.
    """
    reached = []
    if limits.max_open_trades is not None and len(reserved) >= limits.max_open_trades:
        are = "1 trade is" if len(reserved) == 1 else f"{len(reserved)} trades are"
        reason = f"{are} open, the account's limit is {limits.max_open_trades}"
        reached.append(Reached(reason, "close one, or raise the account's risk.max_open_trades"))
    if limits.max_notional is not None and sum(reserved, found) >= limits.max_notional:
        reason = f"the open trades fill the account's limit of {limits.max_notional:f} USD"
        reached.append(Reached(reason, "close one, or raise the account's risk.max_notional"))
    return tuple(reached)
