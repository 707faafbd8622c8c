"""Commands that judge: status at a glance, audit against the promise, doctor of the installation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from stopkeeper.console import checkup, rows, words
from stopkeeper.console.backend import Heartbeat
from stopkeeper.console.commands.accounting import Money, money
from stopkeeper.console.commands.switching import as_row, spoken
from stopkeeper.console.failures import Exit
from stopkeeper.console.session import Session, command
from stopkeeper.console.standing import Standing, show_standing, standing, standing_json
from stopkeeper.core.ledger import Tally, tally
from stopkeeper.core.missing import Processes
from stopkeeper.core.model import ZERO
from stopkeeper.core.prices import Flaw
from stopkeeper.core.report import PositionRow
from stopkeeper.core.rules import Switches
from stopkeeper.engine import showing, vigil
from stopkeeper.engine.vigil import Lack

STREAMS_LOST_MS = 5_000  # as the rules count it


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account at a glance."""

    account: str
    venue: str
    mode: str
    switches: Switches
    worth: Money
    tally: Tally
    standing: Standing
    held: Sequence[PositionRow]
    unread: str
    naked_ms: int
    heard_ms: int | None
    flaws: Mapping[Flaw, int]
    missing: Sequence[Lack]

    @property
    def naked(self) -> int:
        """Count the positions without a whole live stop."""
        return sum(1 for row in self.held if row.phase in rows.BARE)

    @property
    def untold(self) -> int:
        """Count the positions of which it could not be seen whether a stop covers them."""
        return sum(1 for row in self.held if showing.untold(row))

    @property
    def moves(self) -> int:
        """Count how often stops of open trades were moved within the last hour."""
        return sum(row.stop_moves_last_hour for row in self.held)

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            **as_row(self.account, self.switches),
            "venue": self.venue,
            "mode": self.mode,
            "account_value": self.worth.value,
            "unrealized_pnl": self.worth.unrealized_pnl,
            "realized_pnl": self.tally.realized_pnl,
            "return_since_start": self.tally.return_since_start,
            "trades": self.tally.trades,
            "entries": self.standing.word,
            "reasons": self.standing.reasons,
            "limits": standing_json(self.standing),
            "naked": self.naked,
            "untold": self.untold,
            "unread": self.unread or None,
            "naked_seconds": naked_seconds(self.naked_ms),
            "missing": [{"part": each.part, "text": each.text, "for_ms": each.for_ms} for each in self.missing],
            "streams_heard_ms_ago": self.heard_ms,
            "bad_prices": {flaw.value: times for flaw, times in self.flaws.items()},
            "stop_moves_last_hour": self.moves,
            "positions": [rows.position_json(row) for row in self.held],
        }


def naked_seconds(ms: int) -> float:
    """Return time without cover in seconds, rounded up to a tenth: what was naked never shows as 0."""
    return -(-ms // 100) / 10


@command("status", short_help="Switches, money, positions, processes at a glance.", example="stopkeeper status --json")
@click.argument("account", required=False)
def status(session: Session, *, account: str | None) -> int:
    """Show whether every position has its stop, whether entries are let in, the limits, and which processes live."""
    beats, lost, heard = list(session.house.heartbeats()), list(session.house.lost()), session.house.processes()
    beat_ms = heard.beat_ms
    found = [_status(session, name, heard) for name in session.chosen(account)]
    if session.json:
        head = {
            "installation": session.house.installation,
            "missing": sorted({lack.part for each in found for lack in each.missing}),
            "naked": sum(each.naked for each in found),
            "untold": sum(each.untold for each in found),
            "unread": sorted(each.account for each in found if each.unread),
            "naked_seconds": naked_seconds(sum(each.naked_ms for each in found)),
        }
        shown = {"accounts": [each.as_json() for each in found], "processes": beats, "lost_processes": lost}
        session.give({**head, "beat_ms_ago": beat_ms, **shown})
        return Exit.OK
    for each in found:
        _show_account(session, each)
    _show_processes(session, beats, lost)
    last = "never" if beat_ms is None else f"{words.duration(beat_ms)} ago"
    session.say(f"last tick of beat carried out: {last}")
    return Exit.OK


def _status(session: Session, name: str, heard: Processes) -> AccountStatus:
    ports, facts = session.house.ports(name), session.house.accounts[name]
    found = showing.survey(ports)  # before the money: it refreshes the look that the money is read from
    worth = money(ports)
    lines, switches = ports.ledger.lines(name), ports.flags.read(name)
    return AccountStatus(
        account=name,
        venue=facts.venue,
        mode=facts.mode,
        switches=switches,
        worth=worth,
        tally=tally(lines, worth.value, worth.unrealized_pnl or ZERO),
        standing=standing(ports, switches, lines, worth.unrealized_pnl, found.rows),
        held=found.rows,
        unread=found.unread,
        naked_ms=sum(row.naked_ms for row in found.rows) + sum(line.trade.naked_ms for line in lines),
        heard_ms=ports.prices.heard_ms(name),
        flaws=ports.prices.counts(name),
        missing=vigil.missing(ports, heard),
    )


def _show_account(session: Session, each: AccountStatus) -> None:
    switches = words.plain_text(spoken(as_row(each.account, each.switches)))
    session.say_styled(f"{words.styled('bold', each.account)} ({each.venue}, {each.mode}): {switches}")
    session.say_styled(
        f"  value {words.money(each.worth.value)} USDC, return {words.percent(each.tally.return_since_start)}, "
        f"booked {words.gain(each.tally.realized_pnl)}, open {words.gain(each.worth.unrealized_pnl)}"
    )
    session.say_styled(
        f"  {words.count(each.tally.trades, 'trade')} closed, {len(each.held)} open, {_cover(each)}, "
        f"naked {naked_seconds(each.naked_ms):.1f} s in all"
    )
    session.say_styled(f"  {_streams(each)}, {words.count(each.moves, 'stop move')} in the last hour")
    show_standing(session, each.standing)
    for lack in each.missing:
        _show_lack(session, lack)
    if each.unread:
        session.say_styled(f"  {words.styled('bold red', words.plain_text(each.unread))}")
    if each.held:
        rows.show_positions(session, each.held)


def _cover(each: AccountStatus) -> str:
    """Say whether all is covered, and that nobody can tell where that is so."""
    if each.naked:
        return words.styled("bold red", f"{each.naked} NAKED")
    if each.unread or each.untold:
        return words.styled("yellow", "whether any is naked cannot be told")
    return words.styled("green", "none naked")


def _show_lack(session: Session, lack: Lack) -> None:
    since = "" if lack.for_ms is None else f", for {words.duration(lack.for_ms)}"
    session.say_styled(f"  {words.styled('bold red', f'missing: {lack.part}{since}')}: {words.plain_text(lack.text)}")


def _streams(each: AccountStatus) -> str:
    """Say whether the account's streams live, and what came over them that was no price."""
    if each.heard_ms is None or each.heard_ms >= STREAMS_LOST_MS:
        since = "never heard" if each.heard_ms is None else f"silent for {words.duration(each.heard_ms)}"
        told = words.styled("yellow", f"streams: {since}, looks by request only; see stopkeeper feed")
    else:
        told = words.styled("green", "streams: alive")
    bad = ", ".join(f"{flaw.value} {times}" for flaw, times in each.flaws.items())
    return f"{told}, bad prices: {bad}" if bad else told


def _show_processes(session: Session, beats: list[Heartbeat], lost: list[Heartbeat]) -> None:
    empty = "processes: none is heard of; start them with: stopkeeper up"
    cells = [(each.process, each.host, str(each.pid), f"{words.duration(each.age_ms)} ago") for each in beats]
    cells += [(each.process, each.host, str(each.pid), _lost(each)) for each in lost]
    session.table(("process", "host", ">pid", ">last heard"), cells, empty=empty)


def _lost(each: Heartbeat) -> str:
    return words.styled("bold red", f"{words.duration(each.age_ms)} ago: it ended or hangs")


@command("audit", short_help="Hold the venue against the promise.", example="stopkeeper audit main && echo whole")
@click.argument("account", required=False)
def audit(session: Session, *, account: str | None) -> int:
    """Read positions and orders from the venue and name every breach of the promise; changes nothing, exit 1 if any."""
    names = session.chosen(account)
    breaches = [breach for name in names for breach in showing.audit(session.house.ports(name))]
    if session.json:
        session.give(breaches)
    elif breaches:
        cells = [(each.account, each.symbol, words.styled("red", each.kind), each.text) for each in breaches]
        session.table(("account", "symbol", "breach", "what the venue shows"), cells, empty="")
    else:
        session.say(f"no breach: every position of {', '.join(names)} has a live, full-size, reduce-only stop")
    for each in breaches:
        session.note(f"breach: {each.account}:{each.symbol} {each.kind}: {each.text}")
    return Exit.ERROR if breaches else Exit.OK


@command("doctor", short_help="Check the installation.", example="stopkeeper doctor --json")
def doctor(session: Session) -> int:
    """Check configuration, clocks, the table of times, durability, keys, markets and agents; exit 1 if any fails."""
    checks = checkup.run(session.house)
    if session.json:
        session.give(checks)
    else:
        colour = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        cells = [(each.check, words.styled(colour[each.status], each.status), each.detail) for each in checks]
        session.table(("check", "status", "detail"), cells, empty="")
    failed = [each.check for each in checks if each.status == "fail"]
    if failed:
        session.note(f"error: doctor: {len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
    return Exit.ERROR if failed else Exit.OK


COMMANDS = (status, audit, doctor)
