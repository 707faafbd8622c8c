"""Scripted worlds: what a rule is for and dice do not show within thousands of seeds, made to happen in each.

A scene is the people and the venue of one minute; the seed still decides when, in which order, and what the venue's
unsettled rules are. What is owed in a scene beyond what is owed in every world stands beside it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from exchange.paper.errors import PaperError
from exchange.paper.hand import Hand
from exchange.paper.model import NewOrder, Order, Trigger
from exchange.paper.symbols import on_tick
from stopkeeper.core.ids import ClientId, encode
from stopkeeper.core.model import Key, Role
from stopkeeper.engine import desk
from tests.simulation import actors
from tests.simulation.town import ACCOUNT, ADDRESS, Town

NEIGHBOUR = "acc01"  # another installation
BUSY = ("BTC", "ETH")  # the symbols on which something is always going on
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


# --- what the venue does to a stop ------------------------------------------------------------------------------


def _stop_of(town: Town, symbol: str) -> Order | None:
    """Return a live stop on a symbol where a position is held."""
    orders = town.account.orders.values() if symbol in town.account.positions else ()
    stops = (o for o in orders if o.coin == symbol and o.trigger and o.trigger.tpsl == "sl" and o.status == "open")
    return next(stops, None)


def _stops(town: Town) -> Iterator[tuple[str, Order]]:
    """Choose a stop that stands, every some seconds while there is trouble."""
    while town.trouble.on:
        town.time.sleep(town.rng.randint(3_000, 9_000))
        symbol = town.rng.choice(BUSY)
        stop = _stop_of(town, symbol)
        if stop is not None and town.trouble.on:
            yield symbol, stop


def hanging(town: Town) -> None:
    """Let the price pass a stop, and the stop hang for long before it trades."""
    for symbol, stop in _stops(town):
        _hang(town, symbol, stop, town.rng.choice((6_000, 9_000, 12_000, 20_000)))


def _hang(town: Town, symbol: str, stop: Order, hangs_ms: int) -> None:
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
            _turn_over(town, symbol)
        look(symbol)
        town.time.sleep(rng.randint(4_000, 8_000) if turns else rng.randint(2_500, 4_000))
        deny(symbol)
        if turns:
            town.time.sleep(6_000)  # until its fills can be read again
            if symbol in town.account.positions and town.trouble.on:
                _close(town, symbol)


# --- what people do ---------------------------------------------------------------------------------------------


def _turn_over(town: Town, symbol: str) -> None:
    """Turn a position over by hand."""
    size = town.account.positions[symbol].size
    town.trouble.note("person", f"turns {symbol} over")
    side = "short" if size > 0 else "long"
    Hand(town.paper).move({"account": ADDRESS, "symbol": symbol, "side": side, "size": f"{2 * abs(size):f}"})


def _close(town: Town, symbol: str) -> None:
    """Close a position by hand."""
    town.trouble.note("person", f"closes {symbol}")
    Hand(town.paper).move({"account": ADDRESS, "symbol": symbol, "close": True})


def turning(town: Town) -> None:
    """Turn positions over by hand while nobody hears of it, and close them by hand some seconds after."""
    rng = town.rng
    turned: dict[str, int] = {}
    seen: dict[str, int] = {}
    while town.trouble.on:
        town.time.sleep(rng.randint(200, 600))
        now = town.time.now_ms()
        for symbol in BUSY:
            held = town.account.positions.get(symbol)
            if held is None:
                seen.pop(symbol, None)
                turned.pop(symbol, None)
                continue
            since = now - seen.setdefault(symbol, now)
            if symbol in turned:
                if now - turned[symbol] > 14_000:
                    _close(town, symbol)
            elif since > 4_000 and rng.random() < 0.2 and not _driven(town, symbol):
                turned[symbol] = now
                town.trouble.disturb(town.times.sweep_ms)
                town.unheard = True
                _turn_over(town, symbol)
                town.unheard = False


def _driven(town: Town, symbol: str) -> bool:
    return any(key.symbol == symbol and left for key, _, _, left in town.ports.leases.holders())


def asking(town: Town) -> None:
    """Ask for a position to be closed at the very moment in which somebody drives its key."""
    rng = town.rng
    while town.trouble.on:
        town.time.sleep(rng.randint(10, 40))
        for symbol in BUSY:
            if symbol not in town.account.positions or not _driven(town, symbol) or rng.random() > 0.3:
                continue
            if town.command(f"closes {symbol}", partial(desk.ask_close, Key(ACCOUNT, symbol))):
                town.trouble.note("person", f"asks for {symbol} to be closed")
                if symbol in town.account.positions:  # it may have been closed while it was asked for
                    town.asked.append((symbol, town.time.now_ms()))
                town.time.sleep(2_000)


def wiping(town: Town) -> None:
    """Take everything from the store at the moment a person closes a position: what is left of it is at the venue.

    That may be a stop that has fired and hangs, which no list of open orders shows.
    """
    rng, hand = town.rng, Hand(town.paper)
    while town.trouble.on:
        town.time.sleep(rng.randint(4_000, 9_000))
        symbol = rng.choice(BUSY)
        if symbol not in town.account.positions or not town.trouble.on:
            continue
        stop = _stop_of(town, symbol) if rng.random() < 0.5 else None
        if stop is not None and stop.trigger is not None:
            _hang(town, symbol, stop, rng.choice((9_000, 20_000)))
        town.trouble.note("person", f"closes {symbol}, and the store is empty")
        town.trouble.disturb(2 * town.times.sweep_ms)
        town.world.go_back(None)
        town.went_back_ms = town.time.now_ms()
        hand.move({"account": ADDRESS, "symbol": symbol, "close": True})


def forgetting(town: Town) -> None:
    """Let the store go back to before an entry was sent that rests, lose its cancel, and let the price come to it.

    The next signal is sent at once, so that the key is driven, and the venue's history read.
    """
    rng, symbol, number = town.rng, town.rng.choice(BUSY), 0
    key = Key(ACCOUNT, symbol)
    while town.trouble.on:
        town.time.sleep(rng.randint(100, 400))
        orders = [o for o in town.account.orders.values() if o.coin == symbol]
        busy = town.ports.records.load(key).trade is not None or symbol in town.account.positions
        if busy or orders or not town.trouble.on:
            continue
        point, number = town.world.save_point(), number + 1
        town.command(f"signal f{number}", actors.submitting(town, _resting(town, symbol, f"f{number}")))
        town.time.sleep(rng.randint(3_100, 4_500))  # until every look shows it
        entry = next((o for o in town.account.orders.values() if o.coin == symbol and o.trigger is None), None)
        if entry is None or not town.trouble.on:
            continue
        town.trouble.note("store", f"goes back to before {entry.oid}, and its cancel is lost")
        town.trouble.losing.add(("cancel", symbol))
        town.trouble.disturb(2 * town.times.sweep_ms)
        town.world.go_back(point)
        town.went_back_ms = town.time.now_ms()
        town.command(f"signal g{number}", actors.submitting(town, _resting(town, symbol, f"g{number}")))
        town.time.sleep(rng.randint(3_000, 7_000))
        if entry.oid in town.account.orders and town.trouble.on:
            beyond = Decimal("0.999") if entry.is_buy else Decimal("1.001")
            town.paper.push_mark(symbol, on_tick(town.paper.listing[symbol], entry.limit_px * beyond), 0)
        town.time.sleep(rng.randint(1_000, 6_000))
        if symbol in town.account.positions and town.trouble.on:
            town.trouble.disturb(town.times.sweep_ms)
            _close(town, symbol)


def _resting(town: Town, symbol: str, name: str) -> dict[str, object]:
    """Return the wish for an entry that rests some way off."""
    side = town.rng.choice(("long", "short"))
    away = Decimal("0.996") if side == "long" else Decimal("1.004")
    price = on_tick(town.paper.listing[symbol], town.paper.market.marks[symbol] * away)
    wish = {"symbol": symbol, "side": side, "notional": "700", "signal_id": name, "stop": "2%", "expires": "30s"}
    return wish | {"limit": f"{price:f}", "rest": True, "time_limit": "10s"}


def failover(town: Town) -> None:
    """Let the store go back to before a signal while its entry is on its way, and send the next one at once."""
    rng, number = town.rng, 0
    while town.trouble.on:
        town.time.sleep(rng.randint(100, 400))
        symbol = rng.choice(BUSY)
        busy = town.ports.records.load(Key(ACCOUNT, symbol)).trade is not None or symbol in town.account.positions
        if busy or not town.trouble.on:
            continue
        point, number = town.world.save_point(), number + 1
        wish = {"symbol": symbol, "side": "long", "notional": "700", "stop": "1%", "time_limit": "2s", "expires": "30s"}
        town.command(f"signal f{number}", actors.submitting(town, wish | {"signal_id": f"f{number}"}))
        town.time.sleep(rng.randint(300, 1_500))
        if symbol in town.account.positions or not town.trouble.on:
            continue
        town.trouble.note("store", f"goes back to before f{number}")
        town.trouble.disturb(2 * town.times.sweep_ms)
        if rng.random() < 0.3:
            town.world.empty()
        else:
            town.world.go_back(rng.choice((point, point, None)))
        town.went_back_ms = town.time.now_ms()
        town.command(f"signal g{number}", actors.submitting(town, wish | {"signal_id": f"g{number}"}))
        town.time.sleep(rng.randint(3_000, 9_000))


def stranger(town: Town) -> None:
    """Place orders of one's own beside ours, by hand."""
    rng, hand = town.rng, Hand(town.paper)
    while town.trouble.on:
        town.time.sleep(rng.randint(2_000, 6_000))
        symbol = rng.choice(BUSY)
        held, item = town.account.positions.get(symbol), town.paper.listing[symbol]
        if held is None or not town.trouble.on:
            continue
        sign = 1 if held.size > 0 else -1
        kind = rng.choice(("stop", "target", "limit"))
        away = Decimal(repr(rng.uniform(0.01, 0.04))) * (-sign if kind == "stop" else sign)
        price = on_tick(item, town.paper.market.marks[symbol] * (1 + away))
        place: dict[str, object] = {"kind": kind, "price": f"{price:f}", "size": f"{abs(held.size):f}"}
        place |= {"side": "short" if sign > 0 else "long", "reduce_only": True}
        town.trouble.note("person", f"places {place} {symbol}")
        try:
            hand.move({"account": ADDRESS, "symbol": symbol, "place": place})
        except PaperError as refused:
            town.trouble.note("person", f"is refused: {refused}")


def neighbour(town: Town) -> None:
    """Be another installation at the same account, which places stops of its own."""
    rng = town.rng
    while town.trouble.on:
        town.time.sleep(rng.randint(3_000, 8_000))
        symbol = rng.choice(BUSY)
        held = town.account.positions.get(symbol)
        if held is None or not town.trouble.on:
            continue
        sign = 1 if held.size > 0 else -1
        name = encode(ClientId(NEIGHBOUR, Role.STOP, rng.randint(1, 99), "0" * 12))
        mark, item = town.paper.market.marks[symbol], town.paper.listing[symbol]
        at, worst = (on_tick(item, mark * (1 - sign * Decimal(away))) for away in ("0.03", "0.1"))
        stop = NewOrder(
            symbol, is_buy=sign < 0, limit_px=worst, size=abs(held.size), reduce_only=True,
            trigger=Trigger(at, is_market=True, tpsl="sl"), cloid=f"0x{name}",
        )  # fmt: skip
        town.trouble.note("neighbour", f"places a stop at {at:f} {symbol}")
        town.paper.market.place(ADDRESS, [stop], "na", town.paper.now_ms())
        town.paper.settle()


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


def leveraged(town: Town) -> None:
    """Open by hand at twenty times one's money, and let the price go against it in small steps until it is closed."""
    rng, hand = town.rng, Hand(town.paper)
    while town.trouble.on:
        town.time.sleep(rng.randint(500, 1_500))
        symbol, buys = rng.choice(BUSY), rng.random() < 0.5
        if symbol in town.account.positions or not town.trouble.on:
            continue
        item = town.paper.listing[symbol]
        size = (Decimal(500) / town.paper.market.marks[symbol]).quantize(Decimal(1).scaleb(-item.sz_decimals))
        town.trouble.note("person", f"opens {symbol} at twenty times")
        town.paper.market.set_leverage(ADDRESS, symbol, 20, is_cross=False)
        hand.move({"account": ADDRESS, "symbol": symbol, "side": "long" if buys else "short", "size": f"{size:f}"})
        town.time.sleep(5_000)
        while symbol in town.account.positions and town.trouble.on:
            town.time.sleep(rng.randint(200, 600))
            step = Decimal(repr(rng.uniform(0.001, 0.003))) * (-1 if buys else 1)
            town.paper.push_mark(symbol, on_tick(item, town.paper.market.marks[symbol] * (1 + step)), 0)


SCENES: dict[str, Scene] = {
    "relay": Scene((actors.market, relay)),
    "dying": Scene((actors.market, brief)),
    "hanging": Scene((actors.market, steady, hanging)),
    "wiped": Scene((actors.market, steady, wiping)),
    "forgotten": Scene((actors.market, forgetting), 60_000, naked_ms=1_000),
    "failover": Scene((actors.market, failover), 40_000),
    "turned": Scene((actors.market, patient, turning), 60_000, naked_ms=8_000, exact=True, outlived_ms=1_000),
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
}
