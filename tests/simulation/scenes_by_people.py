"""What people do in scripted worlds: by hand at the venue, by asking us, and as another installation."""

from decimal import Decimal
from functools import partial

from exchange.paper.errors import PaperError
from exchange.paper.hand import Hand
from exchange.paper.model import NewOrder, Trigger
from exchange.paper.symbols import on_tick
from stopkeeper.core.ids import ClientId, encode
from stopkeeper.core.model import Key, Role
from stopkeeper.engine import desk
from tests.simulation.town import ACCOUNT, ADDRESS, BUSY, Town

NEIGHBOUR = "acc01"  # another installation


def turn_over(town: Town, symbol: str) -> None:
    """Turn a position over by hand."""
    size = town.account.positions[symbol].size
    town.trouble.note("person", f"turns {symbol} over")
    side = "short" if size > 0 else "long"
    Hand(town.paper).move({"account": ADDRESS, "symbol": symbol, "side": side, "size": f"{2 * abs(size):f}"})


def close(town: Town, symbol: str) -> None:
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
                    close(town, symbol)
            elif since > 4_000 and rng.random() < 0.2 and not _driven(town, symbol):
                turned[symbol] = now
                town.trouble.disturb(town.times.sweep_ms)
                town.unheard = True
                turn_over(town, symbol)
                town.unheard = False


def _driven(town: Town, symbol: str) -> bool:
    return any(key.symbol == symbol and left for key, _, _, left in town.ports.leases.holders())


def cancelling(town: Town) -> None:
    """Cancel a stop by hand, while views are late by as much as a venue's may be."""
    rng = town.rng
    while town.trouble.on:
        town.time.sleep(rng.randint(3_000, 9_000))
        symbol = rng.choice(BUSY)
        if symbol in town.account.positions and town.trouble.on:
            town.trouble.note("person", f"cancels the stops of {symbol}")
            Hand(town.paper).move({"account": ADDRESS, "symbol": symbol, "cancel": "stops"})


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
