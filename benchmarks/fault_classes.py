"""The classes of faults whose naked time is measured, and what one round of each is.

May live here: what is done in a round and the words that bound its naked time. How rounds are played and counted stands
in naked.py.
"""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from benchmarks.installation import Account, Installation
from benchmarks.striking import await_workers, during_drive, end_redis, kill_driver
from stopkeeper.core.model import Key
from stopkeeper.core.record import Sent
from stopkeeper.engine import desk

ENTRY_S = 0.45  # about as long as a drive that enters, at 50 ms venue latency
CURE_S = 0.15  # about as long as a drive that places a stop
HOLD_S = (2.5, 4.0)  # past the look 2 s after the entry
TOUCHED = Decimal("0.999")
LIMIT = Decimal("0.995")
PLAIN = "Order could not be placed."
CROSSED = "Invalid TP/SL price. asset=0"
CURED_S = 60.0


@dataclass(frozen=True)
class Stage:
    """Where one round plays: a key of an installation, the round's number and dice."""

    run: Installation
    account: Account
    symbol: str
    number: int
    dice: random.Random

    @property
    def key(self) -> Key:
        return Key(self.account.name, self.symbol)

    def open(self, **wish: object) -> None:
        """Submit a signal for a long with its stop 2 % away."""
        self.run.open(self.account.name, self.symbol, notional="500", **wish)

    def fault(self, kind: str, action: str | None = None, **more: object) -> None:
        """Arrange a fault for this key."""
        self.account.fault(kind, self.symbol, action, **more)

    def calm(self) -> int:
        """End this key's faults and return how many of them never struck."""
        rules = [each for each in self.account.venue.get("/faults") if each["match"].get("symbol") == self.symbol]
        for each in rules:
            self.account.venue.delete(f"/faults/{each['id']}")
        return sum(1 for each in rules if not each["used"])

    def naked(self) -> bool:
        """Tell whether the witness sees the position without cover now."""
        intervals = self.account.witness(self.symbol).get("naked_intervals", ())
        return any(each["to_ms"] is None for each in intervals)

    def flat(self) -> bool:
        """Tell whether the record holds no trade, and none waits for its first look."""
        return self.run.trade(self.account.name, self.symbol) is None

    def covered(self) -> bool:
        """Tell whether a drive has seen the position covered and the witness agrees."""
        return self.run.protected(self.account.name, self.symbol) and not self.naked()

    def await_covered(self) -> None:
        """Wait until the position is covered, or closed. Raises Unmet."""
        self.run.until(lambda: self.covered() or (self.flat() and not self.naked()), f"{self.key} covered", CURED_S)

    def hold(self) -> None:
        """Hold the position for a while."""
        time.sleep(self.dice.uniform(*HOLD_S))

    def mark(self) -> Decimal:
        return Decimal(self.account.venue.marks()[self.symbol])

    def strip(self) -> None:
        """Take the position's stops away, as a person on the venue's own page does."""
        self.account.venue.post("/hand", account=self.account.address, symbol=self.symbol, cancel="stops")


@dataclass(frozen=True)
class FaultClass:
    """One row: its account's name, what is done, what bounds the naked time, and what one round is.

    ``alone`` names the installation that it has to itself, because what is done to it is done to all accounts.
    """

    account: str
    title: str
    bound: str
    play: Callable[[Stage], None]
    alone: str = ""


def _normal(at: Stage) -> None:
    """Enter, move the stop once, hold."""
    at.open()
    at.await_covered()
    _move_stop(at)
    at.hold()


def _move_stop(at: Stage) -> None:
    """Move the stop half a percent nearer and wait until it stands there alone."""
    moves = at.account.witness(at.symbol)["stop_moves"]
    desk.move_stop(at.key, at.mark() * Decimal("0.985"), at.run.system.ports(at.account.name))
    at.run.until(lambda: at.account.witness(at.symbol)["stop_moves"] > moves, f"the stop of {at.key} moved", CURED_S)


def _answer_lost(at: Stage) -> None:
    """Lose, by turns, the answer to the entry with its stop, to a moved stop, to the close that ends the round."""
    which = at.number % 3
    if which == 0:
        at.fault("drop_answer", "entry")
    at.open()
    at.await_covered()
    if which == 1:
        at.fault("drop_answer", "stop")
        _move_stop(at)
    at.hold()
    if which == 2:
        at.fault("drop_answer", "close")


def _refused(at: Stage, text: str, times: int = 1) -> None:
    at.fault("refuse_stop", text=text, times=times)
    at.open()
    # flat before the entry looks as flat after the close
    at.run.until(lambda: at.account.witness(at.symbol).get("fills", 0) > 0, f"{at.key} entered", CURED_S)
    at.await_covered()


def _refused_once(at: Stage) -> None:
    _refused(at, PLAIN)
    at.hold()


def _refused_as_crossed(at: Stage) -> None:
    _refused(at, CROSSED)


def _refused_always(at: Stage) -> None:
    _refused(at, PLAIN, 1_000)


def _silently_cancelled(at: Stage) -> None:
    """Let the stop be gone without a word at any moment between two looks."""
    at.fault("cancel_stop", delay_ms=at.dice.randint(3_000, 12_000))
    at.open()
    at.run.until(at.naked, f"{at.key} lost its stop", CURED_S)
    at.await_covered()


def _killed_entering(at: Stage) -> None:
    await_workers(at.run)
    at.open()
    kill_driver(at.run, *_names(at), at.dice.uniform(0, ENTRY_S))
    at.await_covered()
    at.hold()


def _killed_naked(at: Stage) -> None:
    await_workers(at.run)
    at.open()
    at.await_covered()
    at.hold()
    at.strip()
    kill_driver(at.run, *_names(at), at.dice.uniform(0, CURE_S))
    at.await_covered()


def _names(at: Stage) -> tuple[str, str]:
    return at.account.name, at.symbol


def _redis_entering(at: Stage) -> None:
    at.open()
    during_drive(at.run, *_names(at), at.dice.uniform(0, ENTRY_S))
    end_redis(at.run, _how(at))
    at.await_covered()
    at.hold()


def _redis_naked(at: Stage) -> None:
    """End Redis in the moment the stop is taken away, or while a worker is about to place another, by turns."""
    at.open()
    at.await_covered()
    at.hold()
    if at.number % 4 < 2:
        end_redis(at.run, _how(at))
        at.strip()
    else:
        at.strip()
        during_drive(at.run, *_names(at), at.dice.uniform(0, CURE_S))
        end_redis(at.run, _how(at))
    at.await_covered()


def _how(at: Stage) -> int:
    return signal.SIGKILL if at.number % 2 else signal.SIGTERM


def _part_at_once(at: Stage) -> None:
    at.fault("partial_fill", "entry", fraction="0.3")
    at.open()
    at.await_covered()
    at.hold()


def _part_resting(at: Stage) -> None:
    """Let the market touch a resting entry and take a part of it, and the rest a while later."""
    mark = at.mark()
    limit = _figures(mark * LIMIT)
    at.fault("partial_fill", "resting", fraction="0.3")
    at.open(limit=str(limit), rest=True, expires="10m")
    at.run.until(lambda: any(each.rests for each in _sent(at)), f"{at.key} rests", CURED_S)
    for held in (Decimal("0.3"), Decimal(1)):
        filled = at.account.witness(at.symbol).get("fills", 0)
        at.account.push(at.symbol, _figures(limit * TOUCHED))
        at.run.until(lambda: at.account.witness(at.symbol).get("fills", 0) > filled, f"{held} of {at.key}", CURED_S)  # noqa: B023
        at.account.push(at.symbol, mark)
        at.await_covered()
        at.hold()


def _sent(at: Stage) -> tuple[Sent, ...]:
    trade = at.run.trade(at.account.name, at.symbol)
    return trade.sent if trade else ()


def _figures(price: Decimal) -> Decimal:
    """Cut a price to five figures, as the venue's grid has them."""
    return price.quantize(Decimal(1).scaleb(price.adjusted() - 4), ROUND_DOWN)


NONE = "none: entry and stop leave as one action"
TAKEN_OVER = (
    "the dead one's claim of the key (5 s; its lease ends after 3 s without a heartbeat) + one look + one order"
)
REVIVED = "Redis back (1 s) + workers connected again (1 s), then a look for what could not be passed on + one order"
KILLED, RESTARTED = "killed", "restarted"

CLASSES = (
    FaultClass("normal", "normal: entered, stop moved once, closed", NONE + "; a new stop stands first", _normal),
    FaultClass("lost", "answer lost: of the entry, a moved stop, the close, by turns", NONE, _answer_lost),
    FaultClass("refused", "stop refused once, the entry taken", "one read-back + one order", _refused_once),
    FaultClass("crossed", "stop refused as crossed already", "one read-back + one close", _refused_as_crossed),
    FaultClass("always", "stop refused every time", "5 s with an answer + one close", _refused_always),
    FaultClass(
        "silent",
        "stop silently cancelled",
        "the venue's next list of open orders (5 s) + one look + one order",
        _silently_cancelled,
    ),
    FaultClass("part", "partial fill of an entry at once", NONE + ", the stop whole", _part_at_once),
    FaultClass("resting", "partial fill of an entry that rests", "one event + one look + one order", _part_resting),
    FaultClass("entering", "worker killed while it enters", NONE, _killed_entering, KILLED),
    FaultClass("driving", "worker killed while it drives a naked position", TAKEN_OVER, _killed_naked, KILLED),
    FaultClass("again", "Redis restarted during an entry", NONE, _redis_entering, RESTARTED),
    FaultClass("away", "Redis restarted as a stop is taken away", REVIVED, _redis_naked, RESTARTED),
)
