"""The switches pause, resume, halt: recorded before anything is done, read by decide at the moment of send."""

from collections.abc import Callable, Sequence

import click

from stopkeeper.console import rows
from stopkeeper.console.failures import Exit
from stopkeeper.console.session import Session, command
from stopkeeper.core.model import Key
from stopkeeper.core.rules import Switches
from stopkeeper.engine import desk, showing
from stopkeeper.engine.ports import Ports


def _switch(session: Session, account: str | None, turn: Callable[[Ports], object]) -> int:
    everyone = {name: session.house.ports(name) for name in session.chosen(account)}
    for ports in everyone.values():
        turn(ports)  # of all accounts, before any is waited for
    states = [as_row(name, ports.flags.read(name)) for name, ports in everyone.items()]
    for name, ports in everyone.items():
        for record in ports.records.all(name):
            session.house.nudge(record.key)
    done = _closed_here(session, [ports for ports in everyone.values() if ports.flags.read(ports.account).halted])
    if session.json:
        session.give(states)
    for state in states:
        session.say(f"{state['account']}: {spoken(state)}")
    return Exit.OK if done else Exit.ERROR


def _closed_here(session: Session, halted: Sequence[Ports]) -> bool:
    """Close what halted accounts hold where no worker does; return whether nothing is left, as far as can be seen."""
    if not halted or not session.unattended():
        return True
    found = {ports.account: showing.survey(ports) for ports in halted}
    keys = {record.key for ports in halted for record in ports.records.all(ports.account)}
    keys |= {Key(name, row.symbol) for name, each in found.items() for row in each.rows}
    blind = rows.note_unread(session, found)
    return session.act_here(sorted(keys)) and not blind


def as_row(account: str, switches: Switches) -> dict[str, object]:
    """Return an account's switches as programs read them."""
    return {
        "account": account,
        "paused": switches.paused,
        "halted": switches.halted,
        "barred": switches.barred or None,
    }


def spoken(state: dict[str, object]) -> str:
    """Return an account's switches as a person reads them."""
    if state["halted"]:
        word = "halted: entries cancelled, everything is being closed, nothing is opened"
    elif state["paused"]:
        word = "paused: nothing is opened, protection goes on"
    else:
        word = "trading"
    return f"{word}; barred by the venue: {state['barred']}" if state["barred"] else word


@command("pause", short_help="Open nothing new; protection goes on.", example="stopkeeper pause main")
@click.argument("account", required=False)
def pause(session: Session, *, account: str | None) -> int:
    """Stop new entries of an account, or of all; stops, targets and closes go on."""
    return _switch(session, account, desk.pause)


@command("resume", short_help="Allow entries again.", example="stopkeeper resume main")
@click.argument("account", required=False)
def resume(session: Session, *, account: str | None) -> int:
    """Allow entries again after pause or halt."""
    return _switch(session, account, desk.resume)


@command("halt", short_help="Cancel entries, close everything, open nothing.", example="stopkeeper halt main")
@click.argument("account", required=False)
def halt(session: Session, *, account: str | None) -> int:
    """Record the halt, cancel entries, close every position and look again; lasts until resume."""
    return _switch(session, account, desk.halt)


COMMANDS = (pause, resume, halt)
