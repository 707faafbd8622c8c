"""How an account stands against its limits, as status shows it: whether an entry may pass, why not, and the figures."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from stopkeeper.console import words
from stopkeeper.console.session import WIDTH, Session
from stopkeeper.console.shapes import rfc3339
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.limits import Stance, clock, filled, result_of, stance, switched, unreserved
from stopkeeper.core.missing import clock_trouble
from stopkeeper.core.report import PositionRow
from stopkeeper.core.rules import Limits, Switches
from stopkeeper.engine.ports import Ports

FIRM = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's limits, the figures against them, and every reason for which an entry would be refused now."""

    limits: Limits
    stance: Stance
    reserved: Sequence[Decimal]
    found: Decimal  # the notional of positions that no signal reserved, USD
    reasons: tuple[str, ...]

    @property
    def word(self) -> str:
        """Return open or refused."""
        return "refused" if self.reasons else "open"

    @property
    def notional(self) -> Decimal:
        """Return what the open trades have reserved, and what is held besides, USD."""
        return sum(self.reserved, self.found)


def standing(
    ports: Ports,
    switches: Switches,
    lines: Sequence[LedgerLine],
    open_pnl: Decimal | None,
    rows: Sequence[PositionRow] = (),
) -> Standing:
    """Return how an account stands: what the door would say of its next entry, whatever that entry is."""
    limits, by_trade = ports.rules.limits, ports.records.reserved(ports.account)
    held = ((row.trade_id, row.size * row.entry_price) for row in rows if row.size and row.entry_price)
    besides, reserved = unreserved(held, by_trade), tuple(by_trade.values())
    found = stance([result_of(line) for line in lines], open_pnl, ports.venue.now_ms(), limits)
    reached = (*switched(switches), *found.reached, *filled(reserved, limits, besides))
    known = ports.venue.clock()
    if known.age_ms is None and not known.doubted:  # of this process, which could not read: others may well know it
        trouble = "the venue could not be read just now, and an entry waits until it can"
    else:
        trouble = clock_trouble(known, ports.rules)
    reasons = (*(each.reason for each in reached), *((trouble,) if trouble else ()))
    return Standing(limits, found, reserved, besides, reasons)


def standing_json(each: Standing) -> dict[str, object]:
    """Return the figures and their limits for programs; a limit that is not set is null."""
    limits, found = each.limits, each.stance
    return {
        "lost_today": found.lost_today,
        "max_daily_loss": limits.max_daily_loss,
        "drawdown": found.drawdown,
        "max_drawdown": limits.max_drawdown,
        "drawdown_since": _moment(limits.drawdown_since_ms),
        "losses_in_a_row": found.losses_in_a_row,
        "cooldown_after": limits.cooldown_after,
        "cooldown_until": _moment(found.cooldown_until_ms),
        "open_trades": len(each.reserved),
        "max_open_trades": limits.max_open_trades,
        "notional": each.notional,
        "max_notional": limits.max_notional,
        "max_leverage": limits.max_leverage,
        "max_stop_distance": limits.max_stop_distance,
    }


def _moment(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def show_standing(session: Session, each: Standing) -> None:
    """Print whether entries are open, and under it the figures of the limits that are set."""
    reasons = "; ".join(each.reasons)
    word = words.styled("yellow", f"refused: {reasons}") if reasons else words.styled("green", "open")
    session.say_styled(f"  entries: {word}")
    figures = [text.replace(" ", FIRM) for text in _figures(each)]  # lines break between figures only
    if figures:
        text = textwrap.fill(f"limits: {', '.join(figures)}", WIDTH, initial_indent="  ", subsequent_indent="    ")
        session.say(text.replace(FIRM, " "))


def _figures(each: Standing) -> list[str]:
    limits, found = each.limits, each.stance
    shown = [
        _usd("lost today", found.lost_today, limits.max_daily_loss),
        _usd("drawdown", found.drawdown, limits.max_drawdown),
        _count("open trades", len(each.reserved), limits.max_open_trades),
        _usd("notional", each.notional, limits.max_notional),
        _count("losses in a row", found.losses_in_a_row, limits.cooldown_after),
        "" if found.cooldown_until_ms is None else f"cooldown until {clock(found.cooldown_until_ms)} UTC",
    ]
    return [text for text in shown if text]


def _usd(name: str, value: Decimal, limit: Decimal | None) -> str:
    return "" if limit is None else f"{name} {words.money(value)} of {words.money(limit)} USD"


def _count(name: str, number: int, limit: int | None) -> str:
    return "" if limit is None else f"{name} {number} of {limit}"
