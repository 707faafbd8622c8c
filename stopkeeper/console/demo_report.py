"""The demo's last page: our tally, and beside it what the paper venue's witness saw. The verdict is the witness's."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from stopkeeper.console import words
from stopkeeper.console.commands.accounting import money, show_tally
from stopkeeper.console.demo_scenes import Stage
from stopkeeper.console.failures import Exit
from stopkeeper.console.rows import show_trades
from stopkeeper.console.session import Session
from stopkeeper.core.ledger import tally
from stopkeeper.core.model import ZERO
from stopkeeper.core.report import Phase, trade_row
from stopkeeper.engine import showing

BY_HAND = "by hand"


def tell(session: Session, stage: Stage) -> int:
    """Print trades, tally and the witness's report; return 0 only if the promise was kept."""
    lines = stage.ports.ledger.lines(stage.ports.account)
    seen = {symbol: book for books in stage.control.witness().values() for symbol, book in books.items()}
    worth = money(stage.ports)
    summed = tally(lines, worth.value, worth.unrealized_pnl or ZERO)
    bare = [row for row in showing.positions(stage.ports) if row.phase is not Phase.PROTECTED]
    faults = _verdict(seen, [str(row.symbol) for row in bare], stage.unmet)
    if session.json:
        session.give({"kept": not faults, "faults": faults, "tally": summed, "witness": seen})
        return Exit.ERROR if faults else Exit.OK
    session.say_styled("\n[bold]closed trades[/]")
    show_trades(session, [trade_row(line) for line in lines])
    session.say("")
    show_tally(session, stage.ports.account, summed)
    session.say_styled("\n[bold]the paper venue's witness[/] (it knows nothing of Stopkeeper but its orders)")
    _show(session, seen)
    for fault in faults:
        session.say_styled(f"[bold red]broken:[/] {words.plain_text(fault)}")
    if not faults:
        session.say_styled("[bold green]kept:[/] no entry twice, nothing flipped, everything ended protected or flat")
    return Exit.ERROR if faults else Exit.OK


def _show(session: Session, seen: Mapping[str, Mapping[str, Any]]) -> None:
    cells = []
    for symbol, book in seen.items():
        signals = {name: count for name, count in book["entries_by_signal"].items() if name != BY_HAND}
        hands = book["entries_by_signal"].get(BY_HAND, 0)
        entries = f"{sum(signals.values())} of {len(signals)}" + (f" +{hands} by hand" if hands else "")
        cells.append(
            (
                symbol,
                entries,
                str(book["duplicates"]),
                _naked(book),
                "; ".join(f"{each['closed_by']} {each['size']} @ {each['avg_px']}" for each in book["exits"]) or "held",
                words.gain(Decimal(book["realized_pnl"]) - Decimal(book["fees"])),
            )
        )
    columns = ("symbol", "entries of signals", ">twice", ">naked ms", "exits, as the venue names the order", ">net P&L")
    session.table(columns, cells, empty="the witness saw nothing")


def _naked(book: Mapping[str, Any]) -> str:
    spans = book["naked_intervals"]
    if not spans:
        return "0"
    return " + ".join(
        "still" if span["to_ms"] is None else f"{Decimal(str(span['to_ms'])) - Decimal(str(span['from_ms'])):.0f}"
        for span in spans
    )


def _verdict(seen: Mapping[str, Mapping[str, Any]], bare: list[str], unmet: list[str]) -> list[str]:
    """Return what the witness holds against us; nothing = the promise was kept."""
    found = []
    for symbol, book in seen.items():
        if book["duplicates"]:
            found.append(f"{symbol}: {book['duplicates']} entries beyond one a signal")
        if book["flips"]:
            found.append(f"{symbol}: flipped {book['flips']} times")
        if book["non_reduce_only"]:
            found.append(f"{symbol}: {book['non_reduce_only']} orders that could have enlarged a position")
        if any(span["to_ms"] is None for span in book["naked_intervals"]):
            found.append(f"{symbol}: still without cover")
    if not seen:
        found.append("the witness saw no trade at all")
    found.extend(f"{symbol}: not protected at the end" for symbol in bare)
    found.extend(f"not seen: {what}" for what in unmet)
    return found
