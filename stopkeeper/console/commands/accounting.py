"""Commands about money: balance and profit. They read the ledger and the newest look, and change nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import click

from stopkeeper.console import shapes, words
from stopkeeper.console.failures import Exit
from stopkeeper.console.session import Session, command
from stopkeeper.core.ledger import LedgerLine, Tally, tally
from stopkeeper.core.model import Funds, Known
from stopkeeper.engine.ports import Ports, Urgency

LOOK_FRESH_MS = 60_000


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
    session.say_styled(
        f"{words.styled('bold', account)}: {words.count(summed.trades, 'trade')}, "
        f"{summed.wins} won, {summed.losses} lost, "
        f"win rate {words.share(summed.win_rate)}, P&L {words.gain(summed.realized_pnl)} "
        f"after fees of {words.money(summed.fees)}"
    )
    session.say_styled(
        f"  value {words.money(summed.account_value)}, return {words.percent(summed.return_since_start)}, "
        f"best {words.gain(summed.best)}, worst {words.gain(summed.worst)}"
    )


COMMANDS = (balance, profit)
