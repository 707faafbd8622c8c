"""The trades of a soak: what may become of one trade on one key, from its signal until the key is free again.

May live here: the kinds of trades and how each is played. How many are played, and what is judged, stands in soak.py.
"""

import contextlib
import random
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from benchmarks.installation import Account, Installation
from stopkeeper.core.model import Key
from stopkeeper.core.record import Sent, Trade
from stopkeeper.engine import desk
from stopkeeper.engine.desk import Refused, VenueAway
from stopkeeper.engine.ports import LeaseLost, Ports

NOTIONAL = "200"
STOP = "1%"
BEYOND = Decimal("0.985")
ABOVE = Decimal("1.012")
FAR = Decimal("0.97")
PATIENCE_S = 90.0
PAUSE_S = 0.1
REFUSED_S = 0.5  # who is refused for the number of open trades does not knock all the time
PLAIN, CROSSED = "Order could not be placed.", "Invalid TP/SL price. asset=0"


@dataclass
class Lane:
    """One key, on which one trade of these kinds follows the other.

    ``done`` counts the kinds played, ``refused`` the signals refused at the door.
    """

    run: Installation
    account: Account
    symbol: str
    dice: random.Random
    kinds: Collection[str]
    done: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def key(self) -> Key:
        return Key(self.account.name, self.symbol)

    @property
    def ports(self) -> Ports:
        return self.run.system.ports(self.account.name)

    def play(self) -> None:
        """Play one trade of a kind that the dice choose, until its key is free."""
        kinds = sorted(self.kinds)
        kind = self.dice.choices(kinds, [KINDS[each][0] for each in kinds])[0]
        mark = self.mark()
        KINDS[kind][1](self)
        self.close()
        for fault in self.faults:
            with contextlib.suppress(urllib.error.HTTPError):
                self.account.venue.delete(f"/faults/{fault}")
        self.faults.clear()
        self.push(mark)
        self.until(lambda: self.run.free(*self.names), "free")
        self.done[kind] += 1

    @property
    def names(self) -> tuple[str, str]:
        return self.account.name, self.symbol

    def mark(self) -> Decimal:
        return Decimal(self.account.venue.marks()[self.symbol])

    def push(self, mark: Decimal) -> None:
        """Move the mark and hold it there."""
        self.account.push(self.symbol, mark.quantize(Decimal(1).scaleb(mark.adjusted() - 4), ROUND_DOWN))

    def until(self, done: Callable[[], object], what: str) -> None:
        """Wait until something is so. Raises Unmet."""
        self.run.until(done, f"{self.key} {what}", PATIENCE_S, PAUSE_S)

    def trade(self) -> Trade | None:
        return self.run.trade(*self.names)

    def open(self, **wish: Any) -> bool:
        """Submit a signal; return whether it was accepted, after a pause where it was not."""
        try:
            self.run.open(*self.names, **{"notional": NOTIONAL, "stop": STOP, **wish})
        except (Refused, VenueAway):
            self.refused += 1
            time.sleep(REFUSED_S)
            return False
        return True

    def hold(self, **wish: Any) -> bool:
        """Open, and wait until the position is covered or the trade over; return whether one is held."""
        if not self.open(**wish):
            return False
        self.covered()
        return self.trade() is not None

    def found(self) -> None:
        """Open a position by hand, nobody's, and wait until it was found and covered."""
        if self.hand(side=self.dice.choice(("buy", "sell")), size=self.size()):
            self.until(self.trade, "found")
            self.covered()

    def covered(self) -> None:
        self.until(lambda: self.run.protected(*self.names) or self.trade() is None, "covered")

    def over(self) -> None:
        self.until(lambda: self.trade() is None, "over")

    def fault(self, kind: str, action: str | None = None, **more: Any) -> None:
        """Arrange a fault for this key until the trade is over."""
        self.faults.append(self.account.fault(kind, self.symbol, action, **more))

    def hand(self, **what: Any) -> bool:
        """Do something by hand; return whether the venue took it."""
        try:
            self.account.venue.post("/hand", account=self.account.address, symbol=self.symbol, **what)
        except urllib.error.HTTPError as refused:
            refused.close()
            return False
        return True

    def close(self) -> None:
        """Ask for what is held to be closed, if anything is."""
        with contextlib.suppress(Refused, VenueAway, LeaseLost):
            if self.trade() is not None:
                desk.ask_close(self.key, self.ports)

    def size(self) -> str:
        """Return a size of about two fifths of a trade's, on the symbol's grid."""
        size = Decimal(NOTIONAL) * Decimal("0.4") / self.mark()
        return f"{size - size % self.ports.venue.markets()[self.symbol].size_step:f}"


def _plain(at: Lane) -> None:
    at.hold()


def _fires(at: Lane) -> None:
    if at.hold():
        at.push(at.mark() * BEYOND)
        at.over()


def _target(at: Lane) -> None:
    if at.hold(target="1%"):
        at.push(at.mark() * ABOVE)
        at.over()


def _moved(at: Lane) -> None:
    if at.hold():
        with contextlib.suppress(Refused, VenueAway, LeaseLost):
            desk.move_stop(at.key, at.mark() * Decimal("0.994"), at.ports)
        at.covered()


def _misses(at: Lane) -> None:
    if at.open(limit=f"{at.mark() * FAR:.5g}", stop="5%"):
        at.over()


def _rests(at: Lane) -> None:
    if at.open(limit=f"{at.mark() * FAR:.5g}", stop="5%", rest=True, expires="5m"):
        at.until(lambda: any(each.rests for each in _sent(at)) or at.trade() is None, "rests")


def _sent(at: Lane) -> tuple[Sent, ...]:
    trade = at.trade()
    return () if trade is None else trade.sent


def _refused_at_door(at: Lane) -> None:
    """Ask for what no account may: a stop beyond the price, more than the limits, leverage that nobody grants."""
    wish = at.dice.choice(({"stop": f"{at.mark() * 2:.5g}"}, {"notional": "9000000"}, {"leverage": "49"}))
    at.open(**wish)


def _again(at: Lane) -> None:
    """Send a signal twice, and another under its id, and a second one while the first is open."""
    name = f"{at.symbol}-{at.dice.getrandbits(64):x}"
    if at.open(signal_id=name):
        at.open(signal_id=name)
        at.open(signal_id=name, notional="150")
        at.open()
        at.covered()


def _lost(action: str) -> Callable[[Lane], None]:
    def play(at: Lane) -> None:
        at.fault("drop_answer", action)
        at.hold()

    return play


def _late(at: Lane) -> None:
    at.fault("late_processing", "entry", delay_ms=at.dice.choice((1_500, 5_000)))
    at.hold()


def _stop_refused(at: Lane) -> None:
    at.fault("refuse_stop", text=at.dice.choice((PLAIN, CROSSED)), times=at.dice.choice((1, 1, 100)))
    at.hold()


def _cancelled(at: Lane) -> None:
    at.fault("cancel_stop", delay_ms=at.dice.randint(100, 1_500), announce=at.dice.random() < 0.5)
    if at.hold():
        time.sleep(1.0)
        at.covered()


def _part(at: Lane) -> None:
    at.fault("partial_fill", at.dice.choice(("entry", "close")), fraction="0.4")
    at.hold()


def _hangs(at: Lane) -> None:
    at.fault("stop_no_fill", delay_ms=at.dice.choice((0, 1_500)))
    if at.hold():
        at.push(at.mark() * BEYOND)
        at.over()


def _closed_by_hand(at: Lane) -> None:
    if at.hold() and at.hand(close=True):
        at.over()


def _enlarged(at: Lane) -> None:
    if at.hold() and at.hand(side="buy", size=at.size()):
        at.covered()


def _flipped(at: Lane) -> None:
    trade = at.trade() if at.hold() else None
    if trade is not None and at.hand(side="sell", size=f"{trade.held * 2:f}"):
        at.until(lambda: (now := at.trade()) is None or now.id != trade.id, "flipped")
        at.covered()


def _strangers(at: Lane) -> None:
    """Let a stranger's order rest meanwhile."""
    px = at.mark() * FAR * FAR
    placed = at.hand(place={"kind": "limit", "side": "buy", "size": at.size(), "price": f"{px:.5g}", "tif": "Gtc"})
    at.hold()
    if placed:
        at.close()
        at.over()
        at.hand(cancel="entries")


#: name -> (how often, what is done); whatever is left then is closed.
KINDS: dict[str, tuple[int, Callable[[Lane], None]]] = {
    "closed by command": (8, _plain),
    "the stop fires": (6, _fires),
    "a target is taken": (4, _target),
    "the stop is moved": (4, _moved),
    "the entry misses its limit": (2, _misses),
    "the entry rests": (2, _rests),
    "refused at the door": (2, _refused_at_door),
    "sent again": (2, _again),
    "the entry's answer is lost": (2, _lost("entry")),
    "the close's answer is lost": (2, _lost("close")),
    "the entry lands late": (1, _late),
    "the stop is refused": (2, _stop_refused),
    "the stop is cancelled": (2, _cancelled),
    "filled in part": (2, _part),
    "the stop finds nobody": (1, _hangs),
    "closed by hand": (2, _closed_by_hand),
    "enlarged by hand": (1, _enlarged),
    "flipped by hand": (1, _flipped),
    "opened by hand": (2, Lane.found),
    "a stranger's order": (1, _strangers),
}
