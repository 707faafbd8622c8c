"""Scripted worlds: what a rule is for and dice do not show within thousands of seeds, made to happen in each.

A scene is the people and the venue of one minute; the seed still decides when, in which order, and what the venue's
unsettled rules are. What is owed in a scene beyond what is owed in every world stands beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from stopkeeper.core.model import Key
from tests.simulation import actors
from tests.simulation.scenes_by_people import asking, cancelling, leveraged, neighbour, stranger, turning
from tests.simulation.scenes_by_store import failover, forgetting, wiping
from tests.simulation.scenes_by_venue import denying, gapping, hanging, lying, metering, refusing, unlisting
from tests.simulation.town import ACCOUNT, BUSY, Town

Act = Callable[[Town], None]
SLOW_MS = 5_000  # a wish of a person must be done by then where nothing goes wrong


@dataclass(frozen=True)
class Scene:
    """Who acts in a world, and what is owed there.

    ``for_ms`` = how long they act, ``naked_ms`` = the longest a position may be naked, ``by_hand`` = positions are
    opened by hand, ``exact`` = each fill is in the ledger, ``unasked`` = neither price nor person wants anything
    closed, ``outlived_ms`` = how long after a trade has ended an order of it may still be sent.
    """

    acts: tuple[Act, ...]
    for_ms: int = 25_000
    naked_ms: int | None = None
    by_hand: bool = False
    exact: bool = False
    unasked: bool = False
    outlived_ms: int | None = None


# --- signals that follow each other at once ---------------------------------------------------------------------


def relay(town: Town) -> None:
    """Trade in turns of seconds, the next signal at the moment the last trade has left its key."""
    _hasty(town, lambda: {"stop": "1%", "time_limit": town.rng.choice(("1s", "2s"))})


def brief(town: Town) -> None:
    """Send signals that expire before anybody can take over from a process that dies over them."""
    _hasty(town, lambda: {"stop": "1%", "time_limit": "2s", "expires": "2s"})


def steady(town: Town) -> None:
    """Hold what is entered until something ends it, then enter again at once."""
    _hasty(town, lambda: {"stop": town.rng.choice(("0.5%", "1%"))})


def patient(town: Town) -> None:
    """Hold for ten seconds, then enter again at once."""
    _hasty(town, lambda: {"stop": "2%", "time_limit": "10s"})


def _hasty(town: Town, rest_of: Callable[[], dict[str, object]]) -> None:
    """Be a client that sends the next signal of a symbol as soon as no trade is on record there; one side a world."""
    rng, number = town.rng, 0
    side = rng.choice(("long", "short"))
    while town.trouble.on:
        town.time.sleep(rng.randint(30, 120))
        if town.world.gone or not town.trouble.on:
            continue
        for symbol in BUSY:
            if town.ports.records.load(Key(ACCOUNT, symbol)).trade is not None or symbol in town.account.positions:
                continue
            wish: dict[str, object] = {"symbol": symbol, "side": side, "notional": rng.choice(("200", "700", "2500"))}
            wish |= {"signal_id": f"h{number}", "expires": "30s"} | rest_of()
            number += 1
            if not town.command(f"signal {wish['signal_id']}", actors.submitting(town, wish)):
                town.time.sleep(200)


SCENES: dict[str, Scene] = {
    "relay": Scene((actors.market, relay)),
    "dying": Scene((actors.market, brief)),
    "hanging": Scene((actors.market, steady, hanging)),
    "wiped": Scene((actors.market, steady, wiping)),
    "forgotten": Scene((actors.market, forgetting), 60_000, naked_ms=1_000),
    "failover": Scene((actors.market, failover), 40_000),
    # a turn is known for sure once fills can be read: after one lag (3 s) and the look a second after it
    "turned": Scene((actors.market, patient, turning), 60_000, naked_ms=8_000, exact=True, outlived_ms=4_000),
    "refusing": Scene((actors.market, steady, refusing), naked_ms=3_000),
    "asked": Scene((actors.market, steady, asking)),
    "leveraged": Scene((actors.market, leveraged), by_hand=True),
    "strangers": Scene((actors.market, patient, stranger, neighbour)),
    "prices": Scene((actors.market, lambda town: _hasty(town, lambda: {"stop": "5%"}), lying), unasked=True),
    "gapping": Scene((actors.market, steady, gapping), naked_ms=5_000),
    "metered": Scene((actors.market, steady, metering), 40_000),
    "denied": Scene(
        (actors.market, lambda town: _hasty(town, lambda: {"stop": "5%"}), denying),
        naked_ms=4_000,
        by_hand=True,
        unasked=True,
    ),
    "unlisted": Scene(
        (actors.market, lambda town: _hasty(town, lambda: {"stop": "5%"}), unlisting), 60_000, unasked=True
    ),
    # views show a stop that is gone for one lag (3 s), the feed looks again a second after that, a look may be leaned
    # on for 2 s where the budget is short, and requests and clocks have 2 s
    "cancelled": Scene(
        (actors.market, lambda town: _hasty(town, lambda: {"stop": "5%"}), cancelling), 40_000, naked_ms=8_000
    ),
}
