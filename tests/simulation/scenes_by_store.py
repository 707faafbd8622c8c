"""What a store that goes back, or is emptied, does in scripted worlds: at the very moment at which it costs most."""

from decimal import Decimal

from exchange.paper.hand import Hand
from exchange.paper.symbols import on_tick
from stopkeeper.core.model import Key
from tests.simulation import actors
from tests.simulation.scenes_by_people import close
from tests.simulation.scenes_by_venue import hang, stop_of
from tests.simulation.town import ACCOUNT, ADDRESS, BUSY, Town


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
        stop = stop_of(town, symbol) if rng.random() < 0.5 else None
        if stop is not None and stop.trigger is not None:
            hang(town, symbol, stop, rng.choice((9_000, 20_000)))
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
            close(town, symbol)


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
