"""The command ``stop``: where a stop is to stand, how it moves by itself, and holding without one for a while."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click

from stopkeeper.console import rows, shapes, words
from stopkeeper.console.commands.trading import WAIT, held, number_of, seconds_of
from stopkeeper.console.failures import Declined, Exit, NotFound
from stopkeeper.console.session import Session, command
from stopkeeper.core.model import Key
from stopkeeper.core.policy import BreakEven, Trail
from stopkeeper.core.report import Phase, PositionRow
from stopkeeper.engine import desk, showing, typed
from stopkeeper.engine.ports import Ports


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
    held(key, ports)
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
            number = number_of(self.price)
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
                on = "" if row.trail == "off" else f" (trail {row.trail} goes on from the next best price)"
                return f"moving the stop of {key} to {words.amount(row.stop_price)}{on}"
            case "lifted":
                return f"{key} is held WITHOUT a stop until {words.moment(row.stop_off_until_ms)} UTC; an alarm stays"
            case "wanted":
                return f"the stop of {key} is placed again"
            case _:
                return f"the stop of {key} from now on: trail {row.trail}, break-even {row.breakeven}"


def _moved(wanted: PositionRow, ports: Ports) -> PositionRow | None:
    """Return the row once a live stop stands where it was asked for."""
    row = showing.position(wanted.trade_id, ports)
    if row is None:
        hint = "stopkeeper trades shows how"
        raise NotFound("the trade has ended", field="trade", value=wanted.trade_id, hint=hint)
    arrived = row.stop_price == wanted.stop_price and row.stop_order_id is not None
    return row if arrived and row.phase is Phase.PROTECTED else None


COMMANDS = (stop,)
