"""What the messages of Hyperliquid's websocket say, sorted: prices that may be believed, events, silence. No network.

A stream that says nothing is not a quiet market, and a number that comes as a price need not be one. Time is passed in,
so that a day of recorded messages can be read in a minute.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exchange.fields import Unreadable
from exchange.hyperliquid_parse import is_perp
from stopkeeper.core.prices import Flaw, Tape, flaw_of

CONNECTION, ORDERS, FILLS, POSITIONS, OPEN = "connection", "orders", "fills", "positions", "open orders"
SILENT_MS = (5_000, 60_000)  # no mark of any symbol: the connection is given up; longer where it was a quiet market
SYMBOL_SILENT_MS = 60_000  # no mark of one symbol while others come
STATE_SILENT_MS = 60_000  # a channel of states that spoke before and does not any more
ECHO_MS = 2_000  # a state that differs so soon after an event of the same coin is that event's echo
CALM_MS = 60_000  # after so long without a good price any price may be far from it


@dataclass(frozen=True, slots=True)
class News:
    """What came since the last time: good marks, (symbol, what) of events, symbols of far-off prices, bad prices."""

    marks: Mapping[str, Decimal] = field(default_factory=dict)
    events: tuple[tuple[str, str], ...] = ()
    doubts: frozenset[str] = frozenset()
    flaws: Mapping[Flaw, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.marks or self.events or self.doubts or self.flaws)


NOTHING = News()


class Frames:
    """The messages of one connection. Not safe to share between threads."""

    def __init__(self, symbols: Sequence[str], jump: Decimal) -> None:
        self._symbols, self._jump = tuple(symbols), jump
        self._began_ms: int | None = None
        self._patience_ms = SILENT_MS[0]
        self._was_silent = False
        self._greeted: dict[str, bool] = {}  # since a silent connection was given up: symbol -> it said what was known
        self._heard: dict[str, int] = {}
        self._tapes: dict[str, Tape] = {}
        self._states: dict[str, Mapping[str, Any]] = {}
        self._owed: set[tuple[str, str]] = set()  # what of a state was taken for an echo and is to be told by the next
        self._told_ms: dict[str, int] = {}
        self._seen_fills: dict[str, None] = {}
        self._marks: dict[str, Decimal] = {}
        self._events: dict[tuple[str, str], None] = {}
        self._doubts: set[str] = set()
        self._flaws: Counter[Flaw] = Counter()
        self.confirmed: set[str] = set()
        self.refused: list[str] = []

    def begin(self, now_ms: int) -> None:
        """Begin a connection: what was heard before says nothing of it; the last good prices stay."""
        self._began_ms = now_ms
        self._greeted.clear()
        self._heard.clear()
        self._states.clear()
        self._owed.clear()
        self.confirmed.clear()
        self.refused.clear()

    def drain(self) -> News:
        """Return what came since the last call."""
        if not (self._marks or self._events or self._doubts or self._flaws):
            return NOTHING
        news = News(self._marks, tuple(self._events), frozenset(self._doubts), dict(self._flaws))
        self._marks, self._events, self._doubts, self._flaws = {}, {}, set(), Counter()
        return news

    def ages_ms(self, now_ms: int) -> Mapping[str, int | None]:
        """Return how long each stream has been silent on this connection; None = never heard on it."""
        names = (CONNECTION, ORDERS, FILLS, POSITIONS, OPEN, *self._symbols)
        return {name: now_ms - self._heard[name] if name in self._heard else None for name in names}

    def silent(self, now_ms: int) -> str | None:
        """Return why the connection must be given up, or None.

        Orders and fills are silent while nothing happens; marks are not, nor is a channel of states that spoke before.
        """
        began = self._began_ms if self._began_ms is not None else now_ms
        quiet = {symbol: now_ms - self._heard.get(symbol, began) for symbol in self._symbols}
        least_ms = min(quiet.values(), default=0)
        if least_ms > self._patience_ms:
            self._was_silent = True
            return f"no mark of any symbol for {least_ms} ms"
        late = sorted(symbol for symbol, ms in quiet.items() if ms > SYMBOL_SILENT_MS)
        if late:
            return f"no mark of {', '.join(late)} for {SYMBOL_SILENT_MS} ms"
        deaf = [name for name in self._states if now_ms - self._heard[name] > STATE_SILENT_MS]
        return f"nothing of {deaf[0]} for {STATE_SILENT_MS} ms" if deaf and self._holds() else None

    def _holds(self) -> bool:
        return any(self._states.values())

    def take(self, message: Mapping[str, Any], now_ms: int) -> None:
        """Sort a message in. Never raises: what cannot be read is not news."""
        self._heard[CONNECTION] = now_ms
        channel, data = message.get("channel"), message.get("data")
        try:
            self._sort(channel, data, now_ms)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, Unreadable):
            if channel == "activeAssetCtx":
                self._flaws[Flaw.NOTHING] += 1

    def _sort(self, channel: object, data: Any, now_ms: int) -> None:
        match channel:
            case "activeAssetCtx":
                self._mark(str(data["coin"]), data["ctx"].get("markPx"), now_ms)
            case "orderUpdates":
                self._heard[ORDERS] = now_ms
                for row in data:
                    self._event(row["order"]["coin"], f"order {row['status']}", now_ms)
            case "userFills":
                self._heard[FILLS] = now_ms
                self._fills(data, now_ms)
            case "clearinghouseState":
                rows = [row["position"] for row in data["clearinghouseState"]["assetPositions"]]
                state = {row["coin"]: (str(row["szi"]), _liquidation(row)) for row in rows}
                self._state(POSITIONS, state, "position", now_ms)
            case "openOrders":
                rows = data["orders"]
                by_coin: dict[str, list[tuple[str, str]]] = {}
                for row in rows:
                    by_coin.setdefault(row["coin"], []).append((str(row["oid"]), str(row.get("sz"))))
                self._state(OPEN, {coin: sorted(found) for coin, found in by_coin.items()}, "open orders", now_ms)
            case "subscriptionResponse":
                self._confirm(data["subscription"])
            case "error":
                self.refused.append(str(data)[:300])
            case _:
                pass

    def _mark(self, symbol: str, raw: object, now_ms: int) -> None:
        flaw = flaw_of(raw)
        if flaw is not None:  # as after a venue's restart: not a price, and not a sign of life
            self._flaws[flaw] += 1
            return
        price = Decimal(str(raw).strip())
        self._heard[symbol] = now_ms
        self._greet(symbol, price)
        self._tapes[symbol], flaw = self._tapes.get(symbol, Tape()).take(price, now_ms, self._jump, CALM_MS)
        if flaw is None:
            self._marks[symbol] = price
        else:
            self._flaws[flaw] += 1
            self._doubts.add(symbol)

    def _greet(self, symbol: str, price: Decimal) -> None:
        """Learn from the first marks after a silence whether it was a quiet market or a deaf connection."""
        if not self._was_silent or symbol in self._greeted:
            return
        known = self._tapes.get(symbol, Tape()).good
        self._greeted[symbol] = known is None or known == price
        if len(self._greeted) == len(self._symbols):
            quiet = all(self._greeted.values())
            self._patience_ms = min(2 * self._patience_ms, SILENT_MS[1]) if quiet else SILENT_MS[0]
            self._was_silent = False

    def _fills(self, data: Mapping[str, Any], now_ms: int) -> None:
        """A snapshot is history: the look after the connection reads it. A fill that comes twice is told once."""
        for row in data["fills"]:
            name = str(row["tid"])
            if name in self._seen_fills:
                continue
            self._seen_fills[name] = None
            if data.get("isSnapshot") is not True:
                self._event(row["coin"], "liquidation" if row.get("liquidation") else "fill", now_ms)
        for name in list(self._seen_fills)[:-4000]:
            del self._seen_fills[name]

    def _state(self, name: str, state: Mapping[str, Any], what: str, now_ms: int) -> None:
        """A whole state: what differs from the last one is news; the first one is what the look has read.

        Right after an event of a coin a difference is most likely that event's, and not told. But it may hide another
        that no event announced: the next state tells the coin then, also where nothing differs any more.
        """
        self._heard[name] = now_ms
        before = self._states.get(name)
        self._states[name] = state
        if before is None:
            return
        owed = {coin for of, coin in self._owed if of == name}
        for coin in {*before, *state, *owed}:
            if before.get(coin) == state.get(coin) and coin not in owed:
                continue
            if now_ms - self._told_ms.get(coin, -ECHO_MS) >= ECHO_MS:
                self._owed.discard((name, coin))
                self._event(coin, what, now_ms)
            else:
                self._owed.add((name, coin))

    def _confirm(self, body: Mapping[str, Any]) -> None:
        names = {"orderUpdates": ORDERS, "userFills": FILLS, "clearinghouseState": POSITIONS, "openOrders": OPEN}
        self.confirmed.add(names.get(str(body.get("type")), str(body.get("coin"))))

    def _event(self, coin: object, what: str, now_ms: int) -> None:
        if isinstance(coin, str) and is_perp(coin):
            self._told_ms[coin] = now_ms
            self._events[coin, what] = None


def _liquidation(row: Mapping[str, Any]) -> str:
    """Return the liquidation price where it stands still by itself: one in cross mode moves with every price."""
    return str(row.get("liquidationPx")) if row["leverage"]["type"] == "isolated" else ""
