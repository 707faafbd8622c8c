"""Commands for whole accounts when it matters: flatten, and protect from this very process."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import click

from stopkeeper.console import rows, words
from stopkeeper.console.commands.trading import WAIT, seconds_of
from stopkeeper.console.failures import Exit, Failure
from stopkeeper.console.session import Session, command
from stopkeeper.core.model import Key
from stopkeeper.core.report import Phase
from stopkeeper.engine import desk, direct, showing


@command("flatten", short_help="Close everything of an account.", example=(
    "stopkeeper flatten main --wait 30\nstopkeeper flatten --all --direct"
))  # fmt: skip
@click.argument("account", required=False)
@click.option("--all", "everything", is_flag=True, help="All accounts.")
@click.option(
    "--direct", is_flag=True, help="From this process straight to the venue: needs neither Redis nor workers."
)
@WAIT
def flatten(session: Session, *, account: str | None, wait: str | None, everything: bool, direct: bool) -> int:
    """Close every position of an account, reduce-only, until it is flat. Works when paused and halted."""
    if (account is None) == (not everything):
        raise Failure("name one account or say --all", field="account", hint="for example: stopkeeper flatten main")
    seconds = seconds_of(wait)
    names = session.chosen(account)
    if direct:
        return _flatten_direct(session, names)
    keys, away = _asked(session, names)
    for key in keys:
        session.house.nudge(key)
    done = session.act_here(keys)
    if away is not None:
        raise away
    if seconds is not None:
        rows.until(lambda: _flat(session, names), seconds, "a flat account")
    if session.json:
        state = "flat" if seconds is not None else "closing"
        session.give([{"account": key.account, "symbol": key.symbol, "state": state} for key in keys])
    verb = "closed" if seconds is not None else "closing"
    session.say(f"{verb}: {', '.join(map(str, keys))}" if keys else "nothing to close")
    return Exit.OK if done or seconds is not None else Exit.ERROR


def _asked(session: Session, names: Sequence[str]) -> tuple[list[Key], desk.VenueAway | None]:
    """Ask every account, also after one whose venue did not answer; return the keys, and that failure."""
    keys: list[Key] = []
    away: desk.VenueAway | None = None
    for name in names:
        try:
            keys.extend(desk.flatten(session.house.ports(name)))
        except desk.VenueAway as error:
            away = error
            session.note(f"error: {name}: {error}")
    return keys, away


def _flat(session: Session, names: Sequence[str]) -> bool | None:
    found = [showing.survey(session.house.ports(name)) for name in names]
    held = any(each.unread or any(row.phase is not Phase.SETTLING for row in each.rows) for each in found)
    return None if held else True


def _flatten_direct(session: Session, names: Sequence[str]) -> int:
    """Close all accounts at once: one whose venue does not answer must not keep the others waiting."""
    with ThreadPoolExecutor(len(names)) as pool:
        flat = dict(zip(names, pool.map(partial(_closed_direct, session), names), strict=True))
    if session.json:
        session.give([{"account": name, "state": "flat" if done else "not flat"} for name, done in flat.items()])
    for name, done in flat.items():
        session.say(f"{name}: {'flat' if done else 'not flat'}")
    return Exit.OK if all(flat.values()) else Exit.ERROR


def _closed_direct(session: Session, name: str) -> bool:
    def note(text: str) -> None:
        if text != "flat":  # that is said at the end
            session.note(f"{name}: {text}")

    way = session.house.direct(name)
    symbols = tuple(way.venue.markets()) or way.symbols  # what was opened by hand elsewhere is closed too
    return direct.flatten_direct(way.venue, way.installation, symbols, way.rules, note)


@command("protect", short_help="Look at every key now and cover what is naked.", example="stopkeeper protect main")
@click.argument("account", required=False)
def protect(session: Session, *, account: str | None) -> int:
    """Sweep and drive every key now, from this process; exit 1 if any position is not seen covered."""
    started = time.monotonic()
    found = {name: desk.protect(session.house.ports(name)) for name in session.chosen(account)}
    held = [row for each in found.values() for row in each.rows]
    bare, untold = [row for row in held if row.phase in rows.BARE], [row for row in held if showing.untold(row)]
    whole = rows.show_survey(session, found)
    doubt = f", {len(untold)} untold" if untold else ""
    session.say(f"{words.count(len(held), 'position')}, {len(bare)} naked{doubt}, {time.monotonic() - started:.1f} s")
    for row in bare:
        session.note(f"naked: {row.account}:{row.symbol} {row.side} {words.amount(row.size)}")
    for row in untold:
        what = f"{row.account}:{row.symbol} {row.side} {words.amount(row.size)}"
        session.note(f"untold: {what}: whether a stop covers it could not be seen")
    return Exit.OK if whole and not bare and not untold else Exit.ERROR


COMMANDS = (flatten, protect)
