"""Who acts upon an installation: the market, whoever sends signals, people at the venue, and what breaks.

Each is a task of the timeline that ends when trouble ends.
"""

import math
from collections.abc import Callable
from decimal import Decimal

from exchange.budget import IP_CAPACITY, IpBudget
from exchange.paper.errors import PaperError
from exchange.paper.hand import Hand
from exchange.paper.symbols import on_tick
from exchange.simulated_reads import HOST
from stopkeeper.core.ids import trade_id
from stopkeeper.core.model import Key
from stopkeeper.engine import desk, showing
from stopkeeper.engine.ports import Ports
from stopkeeper.engine.words import parse_signal
from tests.simulation.town import ACCOUNT, ADDRESS, INSTALLATION, SYMBOLS, Town

MINUTE_MS = 60_000
ACTION_MS = 10_000  # what an address that has spent its actions waits for each
PACE = 0.0012  # of the market, a step
LEAPS = ((0.01, 0.06), (0.01, 0.06), (0.01, 0.06), (0.11, 0.14))  # the last: past the worst price of any stop
LIMITS = ("ours", "theirs", "actions")
APART_MS = 20_000  # of a great leap from all others: together they would be past the price at which a venue liquidates


def market(town: Town) -> None:
    """Move the marks: in small steps, and where the world is wild in leaps."""
    rng, leapt_ms, gapped_ms = town.rng, 0, 0
    while town.trouble.on:
        step_ms = rng.randint(300, 1_500)
        town.time.sleep(step_ms)
        symbol = rng.choice(SYMBOLS)
        leap = town.trouble.hit(town.trouble.profile.wild * step_ms / MINUTE_MS)
        span, apart_ms = rng.choice(LEAPS), town.time.now_ms() - max(leapt_ms, gapped_ms)
        leap = leap and town.time.now_ms() - gapped_ms > APART_MS and (span != LEAPS[-1] or apart_ms > APART_MS)
        leapt_ms = town.time.now_ms() if leap else leapt_ms
        gapped_ms = leapt_ms if leap and span == LEAPS[-1] else gapped_ms
        change = rng.choice((-1, 1)) * rng.uniform(*span) if leap else rng.gauss(0, PACE)
        mark = town.paper.market.marks[symbol] * Decimal(repr(math.exp(change)))
        price = on_tick(town.paper.listing[symbol], mark)
        if leap:
            town.trouble.note("market", f"{symbol} leaps to {price:f}")
        town.paper.push_mark(symbol, price, 0)


def signals(town: Town, count: int, until_ms: int) -> None:
    """Send signals, some of them twice, by a client that may die of it."""
    rng = town.rng
    for number in range(count):
        town.time.sleep(rng.randint(1_000, max(1_001, (until_ms - town.time.now_ms()) // (count - number))))
        wish = _wish(town, f"s{number}")
        for _ in range(1 + (rng.random() < 0.2)):
            town.command(f"signal s{number}", submitting(town, wish))
            town.time.sleep(rng.randint(10, 400))


def submitting(town: Town, wish: dict[str, object]) -> Callable[[Ports], object]:
    """Return what a client does that sends a signal."""

    def submit(ports: Ports) -> None:
        signal = parse_signal(account=ACCOUNT, now_ms=ports.venue.now_ms(), **wish)  # type: ignore[arg-type]
        trade = trade_id(INSTALLATION, ACCOUNT, signal.id)
        town.sent[trade] = signal
        town.refused.discard(trade)
        town.trouble.note("signal", f"{signal.id}: {signal.side} {signal.key.symbol} {wish}")
        try:
            desk.submit(signal, ports)
        except desk.Refused:
            town.refused.add(trade)
            raise
        town.accepted.add(trade)

    return submit


def _wish(town: Town, name: str) -> dict[str, object]:
    rng = town.rng
    symbol, side = rng.choice(SYMBOLS), rng.choice(("long", "short"))
    wish: dict[str, object] = {
        "symbol": symbol, "side": side, "notional": str(rng.choice((200, 700, 2_500))), "signal_id": name,
        "stop": rng.choice(("0.5%", "1%", "2%")), "expires": rng.choice(("5s", "30s")),
    }  # fmt: skip
    if rng.random() < 0.3:
        wish["target"] = rng.choice((["1%"], ["0.5%:50%", "1.5%"], ["0.4%:40%"]))
    if rng.random() < 0.3:
        wish["trail"] = rng.choice(("0.6%", "step:0.5%", "1%@0.3%"))
    if rng.random() < 0.2:
        wish["breakeven"] = "0.4%"
    if rng.random() < 0.2:
        wish["time_limit"] = "20s"
    if rng.random() < 0.25:
        away = Decimal("0.999") if side == "long" else Decimal("1.001")
        price = on_tick(town.paper.listing[symbol], town.paper.market.marks[symbol] * away)
        wish |= {"limit": f"{price:f}", "rest": rng.random() < 0.6}
    return wish


def people(town: Town) -> None:
    """Trade by hand at the venue, and say things at the desk."""
    rng, hand = town.rng, Hand(town.paper)
    while town.trouble.on:
        town.time.sleep(rng.randint(1_000, int(2 * MINUTE_MS / town.trouble.profile.people)))
        if not town.trouble.on:
            return
        symbol = rng.choice(SYMBOLS)
        held = town.account.positions.get(symbol)
        deed = rng.choice(("open", "close", "more", "less", "flip", "cancel", "ask", "part", "move", "pause", "halt"))
        try:
            _by_hand(town, hand, deed, symbol, None if held is None else held.size)
        except PaperError as refused:
            town.trouble.note("person", f"{deed} {symbol}: {refused}")


def _by_hand(town: Town, hand: Hand, deed: str, symbol: str, held: Decimal | None) -> None:
    body: dict[str, object] = {"account": ADDRESS, "symbol": symbol}
    key, against = Key(ACCOUNT, symbol), "short" if held is not None and held > 0 else "long"
    along = "long" if against == "short" else "short"
    if deed == "open" and held is None:
        item = town.paper.listing[symbol]
        size = (Decimal(300) / town.paper.market.marks[symbol]).quantize(Decimal(1).scaleb(-item.sz_decimals))
        body |= {"side": town.rng.choice(("long", "short")), "size": f"{size:f}"}
    elif deed == "close" and held is not None:
        body["close"] = True
    elif deed == "more" and held is not None:
        body |= {"side": along, "size": f"{abs(held):f}"}
    elif deed == "flip" and held is not None:
        body |= {"side": against, "size": f"{2 * abs(held):f}"}
    elif deed == "less" and held is not None:
        item = town.paper.listing[symbol]
        size = (abs(held) / 2).quantize(Decimal(1).scaleb(-item.sz_decimals))
        if not size:
            return
        body |= {"side": against, "size": f"{size:f}"}
    elif deed == "cancel":
        body["cancel"] = "stops"
    else:
        _at_the_desk(town, deed, key)
        return
    town.trouble.note("person", f"{deed} {symbol}")
    town.trouble.disturb(town.times.sweep_ms)  # a view that is late shows at once what was, and the next sweep what is
    hand.move(body)


def _at_the_desk(town: Town, deed: str, key: Key) -> None:
    def say(ports: Ports) -> None:
        town.trouble.note("person", f"says {deed} {key.symbol}")
        match deed:
            case "ask":
                town.said_ms[key.symbol] = town.time.now_ms()
                desk.ask_close(key, ports)
            case "part":
                town.parted.add(key.symbol)
                town.said_ms[key.symbol] = town.time.now_ms()
                desk.ask_close(key, ports, keep_fraction=Decimal("0.5"))
            case "move":
                row = next((row for row in showing.positions(ports) if row.symbol == key.symbol), None)
                if row is not None and row.stop_price is not None:
                    nearer = Decimal("1.002") if row.side == "long" else Decimal("0.998")
                    desk.move_stop(key, row.stop_price * nearer, ports)
            case "pause":
                desk.pause(ports)
                town.resume_after(5_000)
            case "halt":
                if town.rng.random() < 0.3:
                    town.said_ms |= dict.fromkeys(SYMBOLS, town.time.now_ms())
                    desk.halt(ports)
                    town.resume_after(8_000)
            case _:
                pass

    town.command(f"says {deed}", say)


def breakage(town: Town) -> None:
    """Let the venue, the store, the streams and the lines fail for a while, each as often as the world has it."""
    made, step_ms = town.trouble.profile, 500
    while town.trouble.on:
        town.time.sleep(step_ms)
        share = step_ms / MINUTE_MS
        if town.trouble.hit(made.venue * share):
            _spoil(town)
        if town.trouble.hit(made.outages * share):
            away_ms = town.rng.choice((2_000, 6_000, 15_000))
            town.trouble.note("venue", f"is away for {away_ms} ms")
            town.trouble.disturb(away_ms)
            town.trouble.away_until_ms = town.time.now_ms() + away_ms
        if town.trouble.hit(made.store_gone * share):
            _lose_store(town)
        if town.trouble.hit(made.stream * share):
            deaf_ms = town.rng.choice((3_000, 10_000, 30_000))
            town.trouble.note("stream", f"falls silent for {deaf_ms} ms")
            town.trouble.disturb(deaf_ms)
            town.ears.deaf_until_ms = town.time.now_ms() + deaf_ms
        if town.trouble.hit(made.limits * share):
            spend(town, town.rng.choice(LIMITS))
        if town.trouble.hit(made.taken * share):
            _take_away(town)
        if made.clock_error_ms and town.rng.random() < share:
            town.set_clocks()


def spend(town: Town, what: str) -> None:
    """Let a rate limit be spent: the weight we grant ourselves, the venue's by others, or the address's actions."""
    rng = town.rng
    if what == "ours":
        empty(town, rng.choice((0, 30, 290)))
    elif what == "theirs":
        for_ms = rng.choice((2_000, 6_000, 15_000))
        town.trouble.note("limits", f"others spend at our address for {for_ms} ms")
        town.trouble.disturb(for_ms)
        town.trouble.spent_until_ms = town.time.now_ms() + for_ms
    else:
        left = rng.choice((0, 2, 10))  # which we do not hear of before the next poll
        town.trouble.note("limits", f"the address has {left} actions left")
        town.trouble.disturb(3 * ACTION_MS)
        account, knobs = town.account, town.paper.knobs
        knobs.address_limit, knobs.address_initial = True, account.requests_used - int(account.volume) + left

        def grant() -> None:
            knobs.address_limit = False

        town.time.at(rng.choice((10_000, 30_000)), grant)


def empty(town: Town, left: int) -> None:
    """Spend all weight that we grant ourselves but so much."""
    if town.world.gone:
        return
    budget = IpBudget(town.store.budget, HOST)
    town.trouble.note("limits", f"all weight but {left} is spent")
    town.trouble.disturb(5_000)  # what protection needs is back by then
    budget.add(IP_CAPACITY - left - budget.used())


def _take_away(town: Town) -> None:
    """Let the venue take a position away, by its liquidator or by deleveraging whom it owes."""
    held = sorted(town.account.positions)
    if not held:
        return
    symbol = town.rng.choice(held)
    words = town.rng.choice((None, "Auto-Deleveraging"))
    town.trouble.note("venue", f"takes {symbol} away: {words or 'liquidated'}")
    town.taken.add(symbol)
    town.paper.market.liquidate(ADDRESS, symbol, town.paper.now_ms(), words=words)
    town.paper.settle()
    town.taken.discard(symbol)


def _lose_store(town: Town) -> None:
    gone_ms = town.rng.choice((1_000, 5_000, 14_000, 25_000))
    town.trouble.note("store", f"is gone for {gone_ms} ms")
    town.trouble.disturb(gone_ms)
    town.world.gone = True

    def back() -> None:
        town.world.gone = False

    town.time.at(gone_ms, back)


def _spoil(town: Town) -> None:
    """Let the venue do one of the things venues do to stops and fills."""
    rng, symbol = town.rng, town.rng.choice(SYMBOLS)
    kind = rng.choice(("cancel_stop", "refuse_stop", "partial_fill", "stop_no_fill", "silent", "ignore_stops"))
    town.trouble.note("venue", f"{kind} {symbol}")
    town.trouble.disturb(8_000)
    if kind == "silent":
        for order in list(town.account.orders.values()):
            if order.coin == symbol and order.trigger is not None and order.trigger.tpsl == "sl":
                town.paper.market.put(order, "canceled", town.paper.now_ms(), silent=True)
                break
        town.paper.settle()
        return
    rule: dict[str, object] = {"kind": kind, "match": {"account": ADDRESS, "symbol": symbol}, "times": 1}
    if kind == "stop_no_fill":
        rule |= {"delay_ms": rng.choice((0, 2_000, 8_000)), "then": rng.choice(("reject", "fill"))}
    elif kind == "cancel_stop":
        rule["delay_ms"] = rng.choice((0, 500, 3_000))
    elif kind == "ignore_stops":
        rule |= {"delay_ms": rng.choice((2_000, 6_000)), "times": None}
    town.paper.faults.add(rule, town.paper.now_ms())


def backsliding(town: Town) -> None:
    """Let the store lose its last seconds, as after a failover."""
    rng = town.rng
    while town.trouble.on:
        point, at_ms = town.world.save_point(), town.time.now_ms()
        town.time.sleep(rng.choice((500, 2_000, 5_000)))
        if town.trouble.hit(town.trouble.profile.store_back / 12):
            lost_ms = town.time.now_ms() - at_ms
            town.trouble.note("store", f"goes back by {lost_ms} ms")
            town.trouble.disturb(15_000)
            town.world.go_back(point)
            town.went_back_ms = town.time.now_ms()
