"""What a venue does in scripted worlds: to stops, to prices, to its answers and to rate limits."""

from collections.abc import Iterator
from decimal import Decimal

from exchange.paper.hand import Hand
from exchange.paper.model import Order
from exchange.paper.symbols import on_tick
from stopkeeper.core.model import Key
from tests.simulation import actors
from tests.simulation.scenes_by_people import close, turn_over
from tests.simulation.town import ACCOUNT, ADDRESS, BUSY, Town


def stop_of(town: Town, symbol: str) -> Order | None:
    """Return a live stop on a symbol where a position is held."""
    orders = town.account.orders.values() if symbol in town.account.positions else ()
    stops = (o for o in orders if o.coin == symbol and o.trigger and o.trigger.tpsl == "sl" and o.status == "open")
    return next(stops, None)


def _stops(town: Town) -> Iterator[tuple[str, Order]]:
    """Choose a stop that stands, every some seconds while there is trouble."""
    while town.trouble.on:
        town.time.sleep(town.rng.randint(3_000, 9_000))
        symbol = town.rng.choice(BUSY)
        stop = stop_of(town, symbol)
        if stop is not None and town.trouble.on:
            yield symbol, stop


def hanging(town: Town) -> None:
    """Let the price pass a stop, and the stop hang for long before it trades."""
    for symbol, stop in _stops(town):
        hang(town, symbol, stop, town.rng.choice((6_000, 9_000, 12_000, 20_000)))


def hang(town: Town, symbol: str, stop: Order, hangs_ms: int) -> None:
    """Let the price pass a stop, and the stop hang."""
    assert stop.trigger is not None
    match = {"account": ADDRESS, "symbol": symbol}
    rule = {"kind": "stop_no_fill", "match": match, "times": 1, "delay_ms": hangs_ms, "then": "fill"}
    town.paper.faults.add(rule, town.paper.now_ms())
    town.trouble.note("venue", f"the price passes {stop.oid} {symbol}, which hangs for {hangs_ms} ms")
    town.trouble.disturb(8_000)
    beyond = Decimal("1.002") if stop.is_buy else Decimal("0.998")
    town.paper.push_mark(symbol, on_tick(town.paper.listing[symbol], stop.trigger.px * beyond), 0)


def refusing(town: Town) -> None:
    """Refuse the stops of a symbol for a while, as if the price had passed them."""
    rng = town.rng
    while town.trouble.on:
        town.time.sleep(rng.randint(2_000, 6_000))
        if not town.trouble.on:
            return
        match = {"account": ADDRESS, "symbol": rng.choice(BUSY)}
        town.trouble.note("venue", f"refuses the stops of {match['symbol']}")
        rule = town.paper.faults.add({"kind": "refuse_stop", "match": match, "times": None}, town.paper.now_ms())
        if rng.random() < 0.5:
            Hand(town.paper).move({"account": ADDRESS, "symbol": match["symbol"], "cancel": "stops"})
        town.time.sleep(rng.randint(1_000, 6_000))
        town.paper.faults.drop(rule.id)


def lying(town: Town) -> None:
    """Show a price in the position's row that is none, or far off, for a while."""
    rng = town.rng
    while town.trouble.on:
        town.time.sleep(rng.randint(1_000, 4_000))
        if not town.trouble.on:
            return
        name, value = rng.choice((("text", "0"), ("text", "0.0"), ("factor", "0.9"), ("factor", "1.1")))
        match = {"symbol": rng.choice(BUSY), "action": "position"}
        rule = {"kind": "bad_price", "match": match, "times": None, "delay_ms": rng.choice((500, 2_000, 5_000))}
        what = f"shows the mark of {match['symbol']} by the {name} {value} for {rule['delay_ms']} ms"
        town.trouble.note("venue", what)
        town.paper.faults.add(rule | {name: value}, town.paper.now_ms())
        for symbol in BUSY:
            town.ports.wakes.wake(Key(ACCOUNT, symbol), "a person looks")


def denying(town: Town) -> None:
    """Leave a position out of an answer, as a server does that lies or has just begun; now and then, of two.

    Between the two it is shown, as it was or turned over by hand, and they are a lag apart; no fills can be read
    meanwhile, so nothing else tells of it.
    """
    rng = town.rng

    def look(symbol: str) -> None:
        town.ports.wakes.wake(Key(ACCOUNT, symbol), "a person looks")

    def deny(symbol: str) -> None:
        if symbol in town.account.positions and town.trouble.on:
            town.trouble.denying.add(symbol)
            look(symbol)

    while town.trouble.on:
        town.time.sleep(rng.randint(2_000, 6_000))
        if not town.trouble.on:
            return
        symbol = rng.choice(BUSY)
        twice = rng.random() < 0.4
        turns = twice and rng.random() < 0.5
        if twice:
            for_ms = 12_000 if turns else 8_000
            town.trouble.note("venue", f"answers no question about fills for {for_ms} ms")
            town.trouble.mute_until_ms["fills"] = town.paper.now_ms() + for_ms
        deny(symbol)
        if not twice:
            continue
        town.time.sleep(rng.randint(600, 1_500))
        if turns and symbol in town.account.positions and town.trouble.on:
            turn_over(town, symbol)
        look(symbol)
        town.time.sleep(rng.randint(4_000, 8_000) if turns else rng.randint(2_500, 4_000))
        deny(symbol)
        if turns:
            town.time.sleep(6_000)  # until its fills can be read again
            if symbol in town.account.positions and town.trouble.on:
                close(town, symbol)


def unlisting(town: Town) -> None:
    """Leave the orders of a symbol out of every list for a while, as an index does that has fallen behind."""
    rng = town.rng
    while town.trouble.on:
        town.time.sleep(rng.randint(4_000, 12_000))
        if not town.trouble.on:
            return
        symbol, for_ms = rng.choice(BUSY), rng.choice((500, 4_000, 8_000))
        town.trouble.note("venue", f"leaves the orders of {symbol} out of its lists for {for_ms} ms")
        town.trouble.unlisted_until_ms[symbol] = town.paper.now_ms() + for_ms


def gapping(town: Town) -> None:
    """Let the price leap past the worst price of a stop, so that it finds nobody to trade with."""
    for symbol, stop in _stops(town):
        beyond = Decimal(repr(town.rng.uniform(0.002, 0.03)))
        price = stop.limit_px * (1 + beyond if stop.is_buy else 1 - beyond)
        town.trouble.note("market", f"{symbol} gaps past the worst price of {stop.oid}, {stop.limit_px:f}")
        town.paper.push_mark(symbol, on_tick(town.paper.listing[symbol], price), 0)


def metering(town: Town) -> None:
    """Spend rate limits, and take stops away meanwhile."""
    rng = town.rng
    while town.trouble.on:
        town.time.sleep(rng.randint(3_000, 9_000))
        if not town.trouble.on:
            return
        if emptied := rng.random() < 0.5:
            actors.empty(town, 0)
        else:
            actors.spend(town, rng.choice(actors.LIMITS))
        town.time.sleep(rng.randint(100, 1_500))
        if (emptied or rng.random() < 0.5) and town.trouble.on:
            symbol = rng.choice(BUSY)
            town.trouble.note("person", f"cancels the stops of {symbol}")
            Hand(town.paper).move({"account": ADDRESS, "symbol": symbol, "cancel": "stops"})
