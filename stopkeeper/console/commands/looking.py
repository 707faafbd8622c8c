"""Commands that read what is: positions, trades, journal, locks. They change nothing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from stopkeeper.console import rows, shapes, words
from stopkeeper.console.failures import Exit
from stopkeeper.console.session import Session, command
from stopkeeper.core.report import trade_row
from stopkeeper.engine import showing
from stopkeeper.engine.ports import Ports

FOLLOW_S = 0.5
MOST = 10_000


@command("positions", short_help="Open positions, each with its stop.", example="stopkeeper positions --json")
@click.argument("account", required=False)
def positions(session: Session, *, account: str | None) -> int:
    """List open positions with their stop, when it was seen live, how long they were naked; exit 1 if unreadable."""
    found = {name: showing.survey(session.house.ports(name)) for name in session.chosen(account)}
    return Exit.OK if rows.show_survey(session, found) else Exit.ERROR


@command(
    "trades", short_help="Closed trades: how they ended, what they brought.", example="stopkeeper trades main --last 20"
)
@click.argument("account", required=False)
@click.option("--last", metavar="N", type=click.IntRange(1), help="Only the newest N.")
def trades(session: Session, *, account: str | None, last: int | None) -> int:
    """List closed trades, oldest first: how they ended, by which evidence, and what they brought net of all fees."""
    booked = [
        trade_row(line) for name in session.chosen(account) for line in session.house.ports(name).ledger.lines(name)
    ]
    booked.sort(key=lambda row: row.closed_at_ms or 0)
    chosen = booked[-last:] if last else booked
    if session.json:
        session.give([rows.trade_json(row) for row in chosen])
    else:
        rows.show_trades(session, chosen)
    return Exit.OK


@command("journal", short_help="Every decision and effect, with its reason.", example="stopkeeper journal main -f")
@click.argument("account", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come; with --json one object a line.")
@click.option("--last", metavar="N", type=click.IntRange(1, MOST), default=50, show_default=True, help="Start N back.")
@click.option("--symbol", metavar="SYMBOL", help="Only this symbol.")
def journal(session: Session, *, account: str | None, follow: bool, last: int, symbol: str | None) -> int:
    """Print the journal: what was decided and done, when, and why, oldest first."""
    everyone = {name: session.house.ports(name) for name in session.chosen(account)}
    wanted = None if symbol is None else symbol.partition("/")[0].upper()
    marks: dict[str, str] = dict.fromkeys(everyone, "")
    # a symbol's last lines are so many of its own, however much was written about others since
    found = [line for line in _fresh(everyone, marks, MOST if wanted else last) if _about(line, wanted)][-last:]
    if not follow:
        if session.json:
            session.give([_journal_row(*line) for line in found])
        for line in found:
            session.say(_journal_line(*line))
        if not found:
            session.say(f"nothing in the journal{f' about {wanted}' if wanted else ''}")
        return Exit.OK
    while True:
        for line in found:
            if session.json:
                click.echo(shapes.line(_journal_row(*line)))
            session.say(_journal_line(*line))
        time.sleep(FOLLOW_S)
        found = [line for line in _fresh(everyone, marks, MOST) if _about(line, wanted)]


Line = tuple[str, str, Mapping[str, str]]


def _fresh(everyone: Mapping[str, Ports], marks: dict[str, str], last: int) -> list[Line]:
    """Return (account, id, fields) of new lines in the order of their times, and move the marks past them."""
    lines: list[Line] = []
    for name, ports in everyone.items():
        read = ports.journal.read(name, marks[name], last)
        lines.extend((name, each, fields) for each, fields in read)
        marks[name] = read[-1][0] if read else marks[name] or "0"
    return sorted(lines, key=lambda line: _order(line[1]))


def _order(line_id: str) -> tuple[int, int]:
    ms, _, sequence = line_id.partition("-")
    return int(ms or 0), int(sequence or 0)


def _about(line: Line, symbol: str | None) -> bool:
    return symbol is None or line[2].get("symbol", "").upper() == symbol


def _journal_row(account: str, line_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    head = {"at": shapes.rfc3339(_order(line_id)[0]), "account": account, "id": line_id}
    return {**head, **{name: value for name, value in fields.items() if name not in head}}


def _journal_line(account: str, line_id: str, fields: Mapping[str, str]) -> str:
    at = words.moment(_order(line_id)[0])
    where = f"{account}:{fields.get('symbol') or '*'}"
    return f"{at}  {where:<12} {fields.get('kind', ''):<10} {fields.get('text', '')}"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lease that is held."""

    account: str
    symbol: str
    owner: str
    fence: int
    ms_left: int


@command("locks", short_help="Which worker holds which key.", example="stopkeeper locks --json")
@click.argument("account", required=False)
def locks(session: Session, *, account: str | None) -> int:
    """List the leases held: a key is driven by its owner alone, and for so long at most."""
    chosen = session.chosen(account)
    held = {
        key: Lock(key.account, key.symbol, owner, fence, left)
        for name in chosen
        for key, owner, fence, left in session.house.ports(name).leases.holders()
        if key.account in chosen
    }
    found = [held[key] for key in sorted(held)]
    if session.json:
        session.give(found)
    else:
        cells = [(_place(each), each.owner, str(each.fence), words.duration(each.ms_left)) for each in found]
        session.table(("key", "owner", ">fence", ">left"), cells, empty="no lease is held: every key is at rest")
    return Exit.OK


def _place(lock: Lock) -> str:
    """Name what a lease is on: a key, or (``~feed``) a post that one process of several holds."""
    leads = lock.symbol.startswith("~")
    return f"{lock.account}, leading {lock.symbol[1:]}" if leads else f"{lock.account}:{lock.symbol}"


COMMANDS = (positions, trades, journal, locks)
