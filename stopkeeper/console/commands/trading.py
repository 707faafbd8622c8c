"""Commands that change one trade: open, close, stop. The rules stand in core."""

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from stopkeeper.console import rows, shapes, words
from stopkeeper.console.failures import Declined, Exit, NotFound
from stopkeeper.console.session import Session, command
from stopkeeper.core.model import Key
from stopkeeper.core.policy import BreakEven, Trail
from stopkeeper.core.report import Phase, PositionRow
from stopkeeper.engine import desk, typed
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

    Without --wait it ends as soon as the signal is on disk; with it, when the position is protected, closed or refused.
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
    number = _number(text.removesuffix("s"))
    if number is None or not 0 <= number <= 86_400:
        raise Declined("must be seconds between 0 and 86400", field="wait", value=text, hint="for example --wait 20")
    return float(number)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _held(key: Key, ports: Ports) -> None:
    """Raise NotFound where the key has neither a trade nor a position: a position opened by hand can be closed too."""
    if ports.records.load(key).trade is not None:
        return
    if not any(row.symbol == key.symbol for row in desk.positions(ports)):
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
    _held(key, ports)
    desk.ask_close(key, ports, keep_fraction=keep)
    trade_id = _trade_on(key, ports)
    before = desk.position(trade_id, ports) if keep and seconds is not None else None
    session.house.nudge(key)
    if seconds is not None and before is not None:
        rest = before
        left = rows.until(lambda: _reduced(rest, ports), seconds, f"the close of {part} of {key}")
        if session.json:
            session.give(rows.position_json(left))
        else:
            rows.show_positions(session, [left])
        return Exit.OK
    if seconds is None or keep:
        if session.json:
            session.give({"trade_id": trade_id, "account": account, "symbol": key.symbol, "state": "closing"})
        session.say(f"closing {key}{f' ({part})' if part else ''}: trade {trade_id}")
        return Exit.OK
    row = rows.until(lambda: rows.closed(trade_id, ports), seconds, f"the close of {key}")
    if session.json:
        session.give(rows.trade_json(row))
    else:
        rows.show_trades(session, [row])
    return Exit.OK


def _reduced(before: PositionRow, ports: Ports) -> PositionRow | None:
    """Return the row once less is held than before, and that is protected."""
    row = desk.position(before.trade_id, ports)
    if row is None or row.phase is Phase.SETTLING:
        raise NotFound("the trade has ended", field="trade", value=before.trade_id, hint="stopkeeper trades shows how")
    if row.size is None or before.size is None or row.size >= before.size:
        return None
    return row if row.phase is Phase.PROTECTED else None


def _kept(part: str | None) -> Decimal:
    if part is None:
        return Decimal(0)
    number = _number(part.strip().removesuffix("%"))
    if number is None or not part.strip().endswith("%") or not 0 < number <= 100:
        raise Declined("must be more than 0% and at most 100%", field="part", value=part, hint="for example --part 50%")
    return 1 - number / 100


@command("stop", short_help="Move, trail or lift the stop of an open position.", example=(
    "stopkeeper stop main BTC --to 94000\n"
    "stopkeeper stop main BTC --trail 1% --breakeven 1R\n"
    "stopkeeper stop main BTC --off --until 30m"
))  # fmt: skip
@click.argument("account")
@click.argument("symbol")
@click.option("--to", "price", metavar="PX", help="The new trigger price.")
@click.option("--loosen", is_flag=True, help="Let --to move it away from the price.")
@click.option("--trail", metavar="SPEC", help="How it trails from now on: 2%, 500, atr:3, step:1%; off.")
@click.option("--breakeven", metavar="GAIN", help="When it goes to break-even: 1R, 1.5%, target; off.")
@click.option("--off", is_flag=True, help="Hold without a stop, with --until; an alarm stays.")
@click.option("--until", metavar="D", help="How long --off holds, at most 24h; then the stop is placed again.")
@click.option("--on", is_flag=True, help="Take --off back now.")
@WAIT
def stop(session: Session, *, account: str, symbol: str, wait: str | None, **asked: Any) -> int:
    """Move the stop of an open position: the new one is placed and seen live before the old one goes.

    Or say how it moves by itself, or, for who means it, hold without one for a while.
    """
    seconds, wish = seconds_of(wait), _StopWish(**asked)
    wish.check()
    ports = session.ports(account)
    key = session.key(account, symbol)
    _held(key, ports)
    row = wish.ask(key, ports)
    session.house.nudge(key)
    if seconds is not None and wish.arrives:
        wanted = row
        row = rows.until(lambda: _moved(wanted, ports), seconds, f"the move of the stop of {key}")
        if session.json:
            session.give(rows.position_json(row))
        else:
            rows.show_positions(session, [row])
        return Exit.OK
    if session.json:
        where = {"trade_id": row.trade_id, "account": row.account, "symbol": row.symbol}
        session.give({**where, "state": wish.state, "stop_price": row.stop_price, **wish.said(row)})
    session.say(f"{wish.sentence(key, row)}: trade {row.trade_id}")
    return Exit.OK


@dataclass(frozen=True)
class _StopWish:
    """What was asked about a stop: one thing at a time."""

    price: str | None
    loosen: bool
    trail: str | None
    breakeven: str | None
    off: bool
    until: str | None
    on: bool

    @property
    def arrives(self) -> bool:
        """Whether a live stop at a price is what comes of it."""
        return self.price is not None

    @property
    def state(self) -> str:
        return "moving" if self.price is not None else "lifted" if self.off else "wanted" if self.on else "ruled"

    def check(self) -> None:
        """Refuse what does not belong together before anything is opened."""
        rules = self.trail is not None or self.breakeven is not None
        asked = [self.price is not None, rules, self.off, self.on]
        if sum(asked) != 1:
            hint = "give one of --to 94000, --trail 1%, --breakeven 1R, --off --until 30m, --on"
            raise Declined("exactly one thing is asked of a stop at a time", field="to", hint=hint)
        if self.loosen and self.price is None:
            raise Declined("belongs to --to", field="loosen", hint="for example --to 94000 --loosen")
        if self.off != (self.until is not None):
            raise Declined("--off and --until belong together", field="until", hint="for example --off --until 30m")
        if self.price is not None:
            number = _number(self.price)
            if number is None or number <= 0:
                raise Declined("must be a price above 0", field="to", value=self.price, hint="for example --to 94000")
        self._rules()
        if self.until is not None:
            typed.duration_ms("until", self.until)

    def _rules(self) -> tuple[Trail | None, BreakEven | None]:
        trail = None if self.trail is None else typed.trail("trail", self.trail)
        return trail, None if self.breakeven is None else typed.breakeven("breakeven", self.breakeven)

    def ask(self, key: Key, ports: Ports) -> PositionRow:
        """Write the wish down; return the row as it is to become."""
        if self.price is not None:
            return desk.move_stop(key, Decimal(self.price), ports, loosen=self.loosen)
        if self.off or self.on:
            return desk.lift_stop(key, typed.duration_ms("until", self.until) if self.until else 0, ports)
        trail, breakeven = self._rules()
        return desk.set_policy(key, ports, trail=trail, breakeven=breakeven)

    def said(self, row: PositionRow) -> dict[str, Any]:
        """Return what programs are told beside the stop's price."""
        if self.off:
            return {"stop_off_until": None if row.stop_off_until_ms is None else shapes.rfc3339(row.stop_off_until_ms)}
        return {"trail": row.trail, "breakeven": row.breakeven} if self.state == "ruled" else {}

    def sentence(self, key: Key, row: PositionRow) -> str:
        """Return what a person is told."""
        match self.state:
            case "moving":
                return f"moving the stop of {key} to {words.amount(row.stop_price)}"
            case "lifted":
                return f"{key} is held WITHOUT a stop until {words.moment(row.stop_off_until_ms)} UTC; an alarm stays"
            case "wanted":
                return f"the stop of {key} is placed again"
            case _:
                return f"the stop of {key} from now on: trail {row.trail}, break-even {row.breakeven}"


def _moved(wanted: PositionRow, ports: Ports) -> PositionRow | None:
    """Return the row once a live stop stands where it was asked for."""
    row = desk.position(wanted.trade_id, ports)
    if row is None:
        hint = "stopkeeper trades shows how"
        raise NotFound("the trade has ended", field="trade", value=wanted.trade_id, hint=hint)
    arrived = row.stop_price == wanted.stop_price and row.stop_order_id is not None
    return row if arrived and row.phase is Phase.PROTECTED else None


COMMANDS = (open_, close, stop)
