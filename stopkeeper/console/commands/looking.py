"""Commands that read what is: positions, trades, profit, balance, journal, locks, orphans. They change nothing."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click

from stopkeeper.console import rows, shapes, words
from stopkeeper.console.failures import Declined, Exit
from stopkeeper.console.session import Session, command, common_options, now_ms
from stopkeeper.core.ledger import LedgerLine, Tally, tally
from stopkeeper.core.model import Funds, Known
from stopkeeper.core.report import trade_row
from stopkeeper.engine import desk
from stopkeeper.engine.ports import Ports, Urgency

LOOK_FRESH_MS = 60_000
FOLLOW_S = 0.5


@command("positions", short_help="Open positions, each with its stop.", example="stopkeeper positions --json")
@click.argument("account", required=False)
def positions(session: Session, *, account: str | None) -> int:
    """List open positions with their stop, when it was last seen live, and how long they were ever naked."""
    held = [row for name in session.chosen(account) for row in desk.positions(session.house.ports(name))]
    if session.json:
        session.give([rows.position_json(row) for row in held])
    else:
        rows.show_positions(session, held)
    return Exit.OK


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


@dataclass(frozen=True, slots=True)
class Money:
    """What an account is worth, where that was read and how old it is."""

    account: str
    value: Decimal | None
    free: Decimal | None
    unrealized_pnl: Decimal | None
    age_ms: int | None
    currency: str = "USDC"


def money(ports: Ports) -> Money:
    """Return the account's money from the newest look, or from the venue where there is none younger than a minute."""
    seen, ages = ports.looks.load(ports.account)
    reading, age = seen.holdings, ages.get("holdings")
    if not isinstance(reading, Known) or age is None or age > LOOK_FRESH_MS:
        fresh = ports.venue.holdings(Urgency.ORDINARY)
        if isinstance(fresh, Known):
            reading, age = fresh, 0
    if not isinstance(reading, Known):
        return Money(ports.account, None, None, None, None)
    funds: Funds = reading.value.funds
    open_pnl = sum((held.unrealized_pnl for held in reading.value.positions.values()), Decimal(0))
    return Money(ports.account, funds.value, funds.free, open_pnl, age)


@command("balance", short_help="What each account is worth.", example="stopkeeper balance --json")
@click.argument("account", required=False)
def balance(session: Session, *, account: str | None) -> int:
    """Show account value, free margin and open profit or loss."""
    read = [money(session.house.ports(name)) for name in session.chosen(account)]
    if session.json:
        session.give(read)
    else:
        cells = [
            (
                each.account,
                words.money(each.value),
                words.money(each.free),
                words.gain(each.unrealized_pnl),
                words.NOTHING if each.age_ms is None else f"{words.duration(each.age_ms)} ago",
            )
            for each in read
        ]
        session.table(("account", ">value USDC", ">free", ">open P&L", "read"), cells, empty="no accounts")
    unread = [each.account for each in read if each.value is None]
    for name in unread:
        session.note(f"error: balance: the venue did not answer (got {name}); stopkeeper doctor says more")
    return Exit.ERROR if unread else Exit.OK


@dataclass(frozen=True, slots=True)
class Day:
    """What one UTC day brought."""

    day: str
    trades: int
    wins: int
    realized_pnl: Decimal
    fees: Decimal


def by_day(lines: Sequence[LedgerLine]) -> list[Day]:
    """Sum booked exits by the UTC day they closed on, oldest first."""
    days: dict[str, list[LedgerLine]] = defaultdict(list)
    for line in lines:
        days[shapes.rfc3339(line.exit.closed_ms)[:10]].append(line)
    return [
        Day(
            day=day,
            trades=len(found),
            wins=sum(1 for line in found if line.exit.realized_pnl > 0),
            realized_pnl=sum((line.exit.realized_pnl for line in found), Decimal(0)),
            fees=sum((line.exit.fees for line in found), Decimal(0)),
        )
        for day, found in sorted(days.items())
    ]


@command("profit", short_help="The tally, and profit by day.", example="stopkeeper profit main --json")
@click.argument("account", required=False)
def profit(session: Session, *, account: str | None) -> int:
    """Show the running tally of each account and what each UTC day brought, net of fees and funding."""
    documents = []
    for name in session.chosen(account):
        ports = session.house.ports(name)
        lines, worth = ports.ledger.lines(name), money(ports)
        summed, days = tally(lines, worth.value, worth.unrealized_pnl or Decimal(0)), by_day(lines)
        documents.append({"account": name, **shapes.to_json(summed), "days": shapes.to_json(days)})
        if not session.json:
            show_tally(session, name, summed)
            cells = [
                (day.day, str(day.trades), str(day.wins), words.gain(day.realized_pnl), words.money(day.fees))
                for day in days
            ]
            session.table(("day", ">trades", ">wins", ">P&L", ">fees"), cells, empty="no closed trades yet")
    if session.json:
        session.give(documents)
    return Exit.OK


def show_tally(session: Session, account: str, summed: Tally) -> None:
    """Print a tally in two lines."""
    session.say(
        f"[bold]{account}[/]: {words.count(summed.trades, 'trade')}, {summed.wins} won, {summed.losses} lost, "
        f"win rate {words.share(summed.win_rate)}, P&L {words.gain(summed.realized_pnl)} "
        f"after fees of {words.money(summed.fees)}"
    )
    session.say(
        f"  value {words.money(summed.account_value)}, return {words.percent(summed.return_since_start)}, "
        f"best {words.gain(summed.best)}, worst {words.gain(summed.worst)}"
    )


@command("journal", short_help="Every decision and effect, with its reason.", example="stopkeeper journal main -f")
@click.argument("account", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come; with --json one object a line.")
@click.option(
    "--last", metavar="N", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Start N back."
)
@click.option("--symbol", metavar="SYMBOL", help="Only this symbol.")
def journal(session: Session, *, account: str | None, follow: bool, last: int, symbol: str | None) -> int:
    """Print the journal: what was decided and done, when, and why, oldest first."""
    everyone = {name: session.house.ports(name) for name in session.chosen(account)}
    wanted = None if symbol is None else symbol.partition("/")[0].upper()
    marks: dict[str, str] = dict.fromkeys(everyone, "")
    found = [line for line in _fresh(everyone, marks, last) if _about(line, wanted)]
    if not follow:
        if session.json:
            session.give([_journal_row(*line) for line in found])
        for line in found:
            session.say(_journal_line(*line))
        return Exit.OK
    while True:
        for line in found:
            if session.json:
                click.echo(shapes.line(_journal_row(*line)))
            session.say(_journal_line(*line))
        time.sleep(FOLLOW_S)
        found = [line for line in _fresh(everyone, marks, last) if _about(line, wanted)]


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
    from rich.markup import escape

    at = words.moment(_order(line_id)[0])
    where = f"{account}:{fields.get('symbol') or '*'}"
    return escape(f"{at}  {where:<12} {fields.get('kind', ''):<10} {fields.get('text', '')}")


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


class Orphans(click.Group):
    """``orphans`` alone lists; its later verbs say that they are not there yet."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse the verbs of a later release plainly."""
        if args and args[0] in ("adopt", "close"):
            hint = "the policy protect covers what is found; stopkeeper close closes it"
            raise Declined(f"{args[0]} is not there yet in this release", field="orphans", hint=hint)
        return super().resolve_command(ctx, args)


@click.group("orphans", cls=Orphans, invoke_without_command=True, params=common_options())
@click.pass_context
def orphans(context: click.Context) -> int | None:
    """List what no trade owns.

    \b
    Example:
      stopkeeper orphans list --json
    """
    return _orphans(context.obj, None) if context.invoked_subcommand is None else None


@command("list", short_help="List positions and orders no trade owns.", example="stopkeeper orphans list main")
@click.argument("account", required=False)
def orphans_list(session: Session, *, account: str | None) -> int:
    """List positions and orders no trade owns."""
    return _orphans(session, account)


orphans.add_command(orphans_list)


def _orphans(session: Session, account: str | None) -> int:
    found = [each for name in session.chosen(account) for each in desk.orphans(session.house.ports(name))]
    if session.json:
        session.give(found)
    else:
        now = now_ms()
        cells = [(each.account, each.symbol, each.kind, each.what, words.ago(each.since_ms, now)) for each in found]
        session.table(("account", "symbol", "kind", "what", "since"), cells, empty="no orphans")
    return Exit.OK


COMMANDS = (positions, trades, profit, balance, journal, locks, orphans)
