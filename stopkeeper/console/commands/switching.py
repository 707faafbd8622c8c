"""The switches pause, resume, halt: recorded before anything is done, read by decide at the moment of send."""

from collections.abc import Callable

import click

from stopkeeper.console.failures import Exit
from stopkeeper.console.session import Session, command
from stopkeeper.core.rules import Switches
from stopkeeper.engine import desk
from stopkeeper.engine.ports import Ports


def _switch(session: Session, account: str | None, turn: Callable[[Ports], object]) -> int:
    states = []
    for name in session.chosen(account):
        ports = session.house.ports(name)
        turn(ports)
        keys = [record.key for record in ports.records.all(name)]
        for key in keys:
            session.house.nudge(key)
        states.append(as_row(name, ports.flags.read(name)))
        if states[-1]["halted"]:
            session.act_here(keys)
    if session.json:
        session.give(states)
    for state in states:
        session.say(f"{state['account']}: {spoken(state)}")
    return Exit.OK


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
