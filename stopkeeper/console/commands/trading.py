"""Commands that begin and end a trade: open, close. The rules stand in core; what a stop is asked, in stopping.py."""

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import click

from stopkeeper.console import rows
from stopkeeper.console.failures import Declined, Exit, NotFound
from stopkeeper.console.session import Session, command
from stopkeeper.core.model import Key
from stopkeeper.core.report import Phase, PositionRow, TradeRow
from stopkeeper.engine import desk, showing
from stopkeeper.engine.ports import Ports, Urgency

WAIT = click.option("--wait", metavar="SECONDS", help="Wait at most so long; exit 5 when it runs out.")


@command("open", short_help="Open a position together with its stop.", example=(
    "stopkeeper open main BTC long --size 0.001 --stop 2% --target 4% --wait 20 --json\n"
    "stopkeeper open main ETH short --risk 25 --stop 1.5% --target 2%:50% --target 4%:50% --breakeven target\n"
    "stopkeeper open main BTC long --size 0.001 --limit 94000 --rest --expires 2h --stop 2% --trail 1%@1R"
))  # fmt: skip
@click.argument("account")
@click.argument("symbol")
@click.argument("side", metavar="long|short")
@click.option("--size", metavar="S", help="Units of the coin.")
@click.option("--notional", metavar="USD", help="Size from its worth in USD.")
@click.option("--risk", metavar="USD", help="Size from what is lost at the stop, both fees included.")
@click.option("--stop", metavar="PX|N%", help="Stop-loss trigger; N% counts from the mark at send. Required.")
@click.option("--target", metavar="PX|N%[:PART%]", multiple=True, help=(
    "Take-profit trigger, and the part it takes; may be given several times."
))  # fmt: skip
@click.option("--limit", metavar="PX", help="Worst price of the entry (immediate or cancelled, unless --rest).")
@click.option("--rest", is_flag=True, help="Let the limit entry rest until --expires.")
@click.option("--post-only", is_flag=True, help="Let it rest, and refuse it if it would fill at once.")
@click.option("--leverage", metavar="N", help="Default: the account's.")
@click.option("--trail", metavar="SPEC", help=(
    "How the stop trails: 2%, 500, atr:3, step:1%, each with @1R or @2% for where it starts; off. "
    "Default: the account's."
))  # fmt: skip
@click.option("--breakeven", metavar="GAIN", help="When the stop goes to break-even: 1R, 1.5%, target; off.")
@click.option("--time-limit", metavar="D", help="Close after so long: 90s, 15m, 4h, 2d.")
@click.option("--expires", metavar="D", default="30s", show_default=True, help="No entry leaves, or rests, any longer.")
@click.option("--price", metavar="PX", help="The price the signal was made at.")
@click.option("--max-deviation", metavar="N%", help="Refuse if the mark is further than this from --price.")
@click.option("--id", "signal_id", metavar="ID", help="The signal's own id: the same id never enters twice.")
@WAIT
def open_(session: Session, *, account: str, symbol: str, wait: str | None, **typed: Any) -> int:
    """Open a position together with its stop: entry and stop leave as one, then the stop is read back from the venue.

    Without --wait it ends as soon as the signal is on disk; with it, when the position is protected, closed or refused,
    or (--rest) the entry stands in the book.
    """
    seconds = seconds_of(wait)
    key = session.key(account, symbol)
    # values are looked at before anything is opened or asked: a refused signal costs no request
    signal = desk.parse_signal(account=account, symbol=key.symbol, **typed, now_ms=0)
    ports = session.ports(account)
    signal = replace(signal, expires_ms=signal.expires_ms + _venue_now_ms(ports))
    submitted = desk.submit(signal, ports)
    session.house.nudge(key)
    if seconds is None:
        if session.json:
            session.give(submitted)
        session.say(_told(submitted))
        return Exit.OK
    trade_id = submitted.trade_id
    row, why = rows.until(lambda: rows.ended(signal, trade_id, ports), seconds, f"protection of trade {trade_id}")
    return _opened(session, row, why)


def _told(submitted: desk.Submitted) -> str:
    signal, trade = f"signal {submitted.signal_id}", f"trade {submitted.trade_id}"
    if submitted.state == Phase.ADMITTED:
        return f"{submitted.state}: {signal}, {trade}"
    return f"accepted before: {signal}, {trade} is {submitted.state}"


def _venue_now_ms(ports: Ports) -> int:
    """Return the venue's time: expiry counts by it, and this process has not heard the venue's clock yet."""
    if ports.venue.clock_age_ms() is None:
        ports.venue.holdings(Urgency.ORDINARY)
    return ports.venue.now_ms()


def _opened(session: Session, row: PositionRow, why: str) -> int:
    if why:
        raise RefusedTrade(row, why)
    if session.json:
        session.give(rows.position_json(row))
    else:
        rows.show_positions(session, [row])
    return Exit.OK


class RefusedTrade(Declined):
    """A signal that was accepted and then refused before it became a position: the row is told with the reason."""

    def __init__(self, row: PositionRow, why: str) -> None:
        super().__init__(why, field=str(Key(row.account, row.symbol)), hint="nothing is held for this signal")
        self.row = row

    def as_json(self) -> dict[str, Any]:
        """Return the row with the reason beside it."""
        return {**rows.position_json(self.row), **super().as_json()}


def seconds_of(text: str | None) -> float | None:
    """Return what --wait says, or refuse it."""
    if text is None:
        return None
    number = number_of(text.removesuffix("s"))
    if number is None or not 0 <= number <= 86_400:
        raise Declined("must be seconds between 0 and 86400", field="wait", value=text, hint="for example --wait 20")
    return float(number)


def number_of(text: str) -> Decimal | None:
    """Return a finite number, or None."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def held(key: Key, ports: Ports) -> None:
    """Raise NotFound where the key has neither a trade nor a position: a position opened by hand can be closed too."""
    if ports.records.load(key).trade is not None:
        return
    if showing.row_of(key, ports) is None:
        raise NotFound("no open trade", field="trade", value=str(key), hint="stopkeeper positions lists what is open")


def _trade_on(key: Key, ports: Ports) -> str:
    trade = ports.records.load(key).trade
    return trade.id if trade is not None else ""


@command("close", short_help="Close a position, or a part of it.", example="stopkeeper close main BTC --wait 20")
@click.argument("account")
@click.argument("symbol")
@click.option("--part", metavar="N%", help="Close only this part of what is held.")
@WAIT
def close(session: Session, *, account: str, symbol: str, part: str | None, wait: str | None) -> int:
    """Close a position at the market, reduce-only; its size is the venue's at that moment."""
    seconds, keep = seconds_of(wait), _kept(part)
    ports = session.ports(account)
    key = session.key(account, symbol)
    held(key, ports)
    desk.ask_close(key, ports, keep_fraction=keep)
    trade_id = _trade_on(key, ports)
    before = showing.position(trade_id, ports) if keep and seconds is not None else None
    session.house.nudge(key)
    if keep and session.unattended():
        session.note("no worker is heard of: nobody carries it out until one runs")
    done = bool(keep) or session.act_here([key])
    if seconds is not None and before is not None:
        rest = before
        left = rows.until(lambda: _reduced(rest, ports), seconds, f"the close of {part} of {key}")
        if session.json:
            session.give(rows.position_json(left))
        else:
            rows.show_positions(session, [left])
        return Exit.OK
    code = closed(session, key, ports, trade_id, seconds=None if keep else seconds, part=part)
    return code if done else Exit.ERROR


def closed(
    session: Session, key: Key, ports: Ports, trade_id: str, *, seconds: float | None, part: str | None = None
) -> int:
    """Tell that a trade is being closed; with ``seconds`` wait for its booking first, and tell of that."""
    if seconds is None:
        if session.json:
            session.give({"trade_id": trade_id, "account": key.account, "symbol": key.symbol, "state": "closing"})
        session.say(f"closing {key}{f' ({part})' if part else ''}: trade {trade_id}")
        return Exit.OK
    row, why = rows.until(partial(_closed, trade_id, ports), seconds, f"the close of {key}")
    if row is None:
        if session.json:
            session.give({"trade_id": trade_id, "account": key.account, "symbol": key.symbol, "state": Phase.REFUSED})
        session.say(f"{key}: the entry is cancelled, nothing was held: {why}")
        return Exit.OK
    if session.json:
        session.give(rows.trade_json(row))
    else:
        rows.show_trades(session, [row])
    return Exit.OK


def _closed(trade_id: str, ports: Ports) -> tuple[TradeRow | None, str] | None:
    """Return the booked row of a trade, or none and why its entry ended without a position; None while it goes on."""
    booked = rows.closed(trade_id, ports)
    if booked is not None:
        return booked, ""
    state = ports.records.signal(trade_id)
    return (None, state.why) if state is not None and state.state == "refused" else None


def _reduced(before: PositionRow, ports: Ports) -> PositionRow | None:
    """Return the row once less is held than before, and that is protected."""
    row = showing.position(before.trade_id, ports)
    if row is None or row.phase is Phase.SETTLING:
        raise NotFound("the trade has ended", field="trade", value=before.trade_id, hint="stopkeeper trades shows how")
    if row.size is None or before.size is None or row.size >= before.size:
        return None
    return row if row.phase is Phase.PROTECTED else None


def _kept(part: str | None) -> Decimal:
    if part is None:
        return Decimal(0)
    number = number_of(part.strip().removesuffix("%"))
    if number is None or not part.strip().endswith("%") or not 0 < number <= 100:
        raise Declined("must be more than 0% and at most 100%", field="part", value=part, hint="for example --part 50%")
    return 1 - number / 100


COMMANDS = (open_, close)
