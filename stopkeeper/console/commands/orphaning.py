"""The command ``orphans``: what no trade owns is listed, made the account's own, or closed."""

import re

import click

from stopkeeper.console import rows, words
from stopkeeper.console.commands.trading import WAIT, closed, held, seconds_of
from stopkeeper.console.failures import Declined, Exit, Failure
from stopkeeper.console.session import Session, command, common_options, now_ms
from stopkeeper.core.model import Key, Order
from stopkeeper.core.report import Phase, PositionRow
from stopkeeper.engine import adopting, desk, showing, typed
from stopkeeper.engine.ports import Ports

INSTALLATION = re.compile(r"[0-9a-f]{5}")


@click.group("orphans", invoke_without_command=True, params=common_options())
@click.pass_context
def orphans(context: click.Context) -> int | None:
    """List, adopt or close what no trade owns.

    \b
    Example:
      stopkeeper orphans list --json
      stopkeeper orphans adopt main BTC --stop 3%
    """
    return _listed(context.obj, None) if context.invoked_subcommand is None else None


@command("list", short_help="List positions and orders no trade owns.", example="stopkeeper orphans list main")
@click.argument("account", required=False)
def orphans_list(session: Session, *, account: str | None) -> int:
    """List positions nobody owns, orders of ours without a trade, other installations', strangers'; changes nothing."""
    return _listed(session, account)


def _listed(session: Session, account: str | None) -> int:
    found = [each for name in session.chosen(account) for each in showing.orphans(session.house.ports(name))]
    if session.json:
        session.give(found)
    else:
        now = now_ms()
        cells = [(each.account, each.symbol, each.kind, each.what, words.ago(each.since_ms, now)) for each in found]
        session.table(("account", "symbol", "kind", "what", "since"), cells, empty="no orphans")
    return Exit.OK


@command("adopt", short_help="Make an orphan the account's own.", example=(
    "stopkeeper orphans adopt main BTC --stop 3% --wait 20\n"
    "stopkeeper orphans adopt --installation fffff"
))  # fmt: skip
@click.argument("account", required=False)
@click.argument("symbol", required=False)
@click.option("--stop", metavar="PX|N%", help="Where its stop is to stand; N% counts from the mark. Default: as it is.")
@click.option("--installation", metavar="ID", help="Take over the orders of an installation that is dead.")
@WAIT
def orphans_adopt(
    session: Session,
    *,
    account: str | None,
    symbol: str | None,
    stop: str | None,
    installation: str | None,
    wait: str | None,
) -> int:
    """Make a position no trade owns the account's own, whatever the policy: with a stop that the account's rule moves.

    Or take the orders of another installation for our own, which must have placed none for two minutes.
    """
    if installation is not None:
        if symbol is not None or stop is not None or wait is not None:
            hint = "give --installation alone, or with an account"
            raise Declined("no symbol, --stop or --wait belongs to it", field="installation", hint=hint)
        return _inherited(session, account, installation)
    if account is None or symbol is None:
        raise Failure("an account and a symbol are missing", field="orphans", hint="for example orphans adopt main BTC")
    seconds, where = seconds_of(wait), None if stop is None else typed.distance("stop", stop)
    key = session.key(account, symbol)
    ports = session.ports(account)
    adopting.check_symbol(key, ports)
    held(key, ports)
    wanted = adopting.adopt(key, where, ports)
    session.house.nudge(key)
    if seconds is None:
        return _adopted(session, key, wanted)
    row = rows.until(lambda: _protected(wanted, ports), seconds, f"protection of {key}")
    if session.json:
        session.give(rows.position_json(row))
    else:
        rows.show_positions(session, [row])
    return Exit.OK


def _adopted(session: Session, key: Key, wanted: PositionRow) -> int:
    if session.json:
        where = {"trade_id": wanted.trade_id, "account": wanted.account, "symbol": wanted.symbol}
        ruled = {"trail": wanted.trail, "breakeven": wanted.breakeven}
        session.give({**where, "state": "adopted", "stop_price": wanted.stop_price, **ruled})
    rule = f"trail {wanted.trail}, break-even {wanted.breakeven}"
    session.say(
        f"{key} is the account's own: trade {wanted.trade_id}, stop at {words.amount(wanted.stop_price)}, {rule}"
    )
    return Exit.OK


def _protected(wanted: PositionRow, ports: Ports) -> PositionRow | None:
    row = showing.position(wanted.trade_id, ports)
    return row if row is not None and row.orphan is None and row.phase is Phase.PROTECTED else None


def _inherited(session: Session, account: str | None, installation: str) -> int:
    if not INSTALLATION.fullmatch(installation):
        hint = "orphans list shows whose orders are live"
        raise Declined("must be 5 hex digits", field="installation", value=installation, hint=hint)
    everyone = {name: session.house.ports(name) for name in session.chosen(account)}
    # asked of every account before anything is written: who lives on one of them lives
    found: dict[str, tuple[Order, ...]] = {n: adopting.orders_of(installation, p) for n, p in everyone.items()}
    if not any(found.values()):
        hint = "orphans list shows whose orders are live"
        where = ", ".join(everyone)
        raise Declined(f"no order of it is live on {where}", field="installation", value=installation, hint=hint)
    for name, orders in found.items():
        if orders:
            adopting.inherit(installation, orders, everyone[name])
            for symbol in sorted({order.symbol for order in orders}):
                session.house.nudge(Key(name, symbol))
    if session.json:
        session.give([{"account": n, "installation": installation, "orders": len(o)} for n, o in found.items() if o])
    for name, orders in found.items():
        if orders:
            session.say(
                f"{name}: {words.count(len(orders), 'order')} of installation {installation} are ours from now on"
            )
    return Exit.OK


@command("close", short_help="Close a position no trade owns.", example="stopkeeper orphans close main BTC --wait 20")
@click.argument("account")
@click.argument("symbol")
@WAIT
def orphans_close(session: Session, *, account: str, symbol: str, wait: str | None) -> int:
    """Close a position no trade owns, as close does; one that is the account's own is left to close."""
    seconds = seconds_of(wait)
    key = session.key(account, symbol)
    ports = session.ports(account)
    adopting.check_symbol(key, ports)
    held(key, ports)
    trade = adopting.orphan_of(key, ports)
    desk.ask_close(key, ports)
    session.house.nudge(key)
    return closed(session, key, ports, trade.id, seconds=seconds)


for verb in (orphans_list, orphans_adopt, orphans_close):
    orphans.add_command(verb)

COMMANDS = (orphans,)
