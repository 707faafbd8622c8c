"""The paper market read without a wire: each reading Known with the venue's time or Unknown. No effects, no clock.

What its objects are called in the heart stands in simulated_words.py.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Literal, TypeVar

from exchange import simulated_words as words
from exchange.budget import AddressBudget, IpBudget, surcharge_of, weight_of
from exchange.paper.shown import Shown
from exchange.paper.venue import Venue as PaperVenue
from stopkeeper.core.actions import Field
from stopkeeper.core.missing import Clock, Silence
from stopkeeper.core.model import Candle, FillPage, History, Holdings, Known, Lookup, MarginMode, Market, Order, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.prices import Price, Source, parse_price
from stopkeeper.core.record import Prepared
from stopkeeper.core.trailing import INTERVALS_MS
from stopkeeper.engine.ports import BudgetSource, Settings, TextCache, Urgency

T = TypeVar("T")
Answer = Literal["lost_before", "lost_after", "refused", "throttled"]
Fault = Callable[[str, str], Answer | None]
HOST = "simulated"  # what its rate budget is kept by
BAR_MS = 500
KEPT_MS = 3_600_000
_KINDS = {Field.HOLDINGS: "clearinghouseState", Field.ORDERS: "frontendOpenOrders", Field.FILLS: "userFillsByTime"}


class SimulatedReads:
    """What can be seen of one account at the paper market."""

    def __init__(
        self,
        paper: PaperVenue,
        address: str,
        budget: BudgetSource,
        cache: TextCache,
        *,
        latency: Callable[[], None],
        fault: Fault,
    ) -> None:
        self.paper, self.address = paper, address
        self.account = paper.seen(address)
        self.requests: Counter[str] = Counter()
        self.weight: Counter[str] = Counter()
        self._budget = IpBudget(budget, HOST)
        self._cache = cache
        self._actions = AddressBudget(cache, address)
        self._latency, self._fault = latency, fault
        self._markets = {name: words.market_of(item, paper.knobs.taker_fee) for name, item in paper.listing.items()}
        self._seen_ms: int | None = None
        self._held: tuple[Mapping[str, Side], int] = ({}, 0)
        self._history: Known[History] | None = None
        self._bars: dict[tuple[str, str, int], tuple[tuple[Candle, ...], int]] = {}

    def now_ms(self) -> int:
        """Return the venue's time."""
        return self.paper.now_ms()

    def clock_age_ms(self) -> int | None:
        """Return how long ago the holdings, which carry the venue's time, were last read; None = never."""
        return None if self._seen_ms is None else max(0, self.now_ms() - self._seen_ms)

    def clock(self) -> Clock:
        """Return the venue's time as known: there is no other clock here."""
        return Clock(self.clock_age_ms())

    def silence(self) -> Silence | None:
        """Return None: who simulates knows what was lost."""
        return None

    def short(self) -> str:
        """Return which rate budget has nothing left but what is kept for protection, or ""."""
        return self._budget.short(sum(weight_of(kind) for kind in _KINDS.values()))

    def key_trouble(self) -> str:
        """Return "": nothing is signed here."""
        return ""

    def markets(self) -> Mapping[str, Market]:
        """Return what is listed, by coin."""
        return self._markets

    def wait_ms(self, fields: Collection[Field], urgency: Urgency) -> int:
        """Return 0 if the rate budget would grant a look at these fields now, else the ms until it would."""
        weight = sum(weight_of(_KINDS.get(each, "orderStatus")) for each in fields)
        return self._budget.wait_ms(2 * weight, urgency)

    # --- reads ----------------------------------------------------------------------------------------------------

    def holdings(self, urgency: Urgency) -> Known[Holdings] | Unknown:
        """Read positions and money: weight 2."""
        found = self._read("holdings", "", "clearinghouseState", urgency, self._holdings)
        if isinstance(found, Unknown):
            return found
        held, at_ms = found
        self._held = ({coin: position.side for coin, position in held.positions.items()}, self.now_ms())
        self._seen_ms = at_ms
        return Known(held, at_ms)

    def _holdings(self) -> tuple[Holdings, int]:
        paper = self.paper
        shown, at_ms = paper.views.positions(self.account, paper.now_ms())
        struck = paper.showcase.strikes("position", shown.address, shown.positions, paper.now_ms())
        seen = {c: paper.showcase.struck(c, paper.market.quote(c), struck.get(c)) for c in shown.positions}
        marks = {coin: _mark_of(each) for coin, each in seen.items()}
        return words.holdings_of(shown, paper.market.marks, marks, paper.listing), at_ms

    def orders(self, urgency: Urgency) -> Known[tuple[Order, ...]] | Unknown:
        """Read the live orders: weight 20. Carries the time of the holdings read before it."""

        def live() -> tuple[Order, ...]:
            return words.orders_of(self.paper.views.orders(self.account, self.paper.now_ms()).values())

        return self._stamped(lambda: self._read("orders", "", "frontendOpenOrders", urgency, live))

    def fills(self, since_ms: int, urgency: Urgency) -> Known[FillPage] | Unknown:
        """Read the fills from a time on: weight 20 and rows/20."""

        def page() -> FillPage:
            found = []
            for fill in reversed(self.paper.views.fills(self.account, self.paper.now_ms())):
                if fill.time_ms < since_ms:
                    break
                found.append(words.fill_of(fill))
            self._surcharge("userFillsByTime", len(found))
            return FillPage(since_ms, tuple(reversed(found)))

        return self._stamped(lambda: self._read("fills", "", "userFillsByTime", urgency, page))

    def lookup(self, symbol: str, client_id: str, urgency: Urgency) -> Known[Lookup] | Unknown:
        """Look an order up by its client id: weight 2."""

        def record() -> Lookup:
            found = self.paper.views.record(self.account, f"0x{client_id}", self.paper.now_ms())
            return words.lookup_of(client_id, found)

        return self._stamped(lambda: self._read("lookup", symbol, "orderStatus", urgency, record))

    def history(self, after_ms: int, urgency: Urgency) -> Known[History] | Unknown:
        """Read what is on record of the account's orders: weight 20 and rows/20."""

        def on_record() -> History:
            found = self.paper.views.history(self.account, self.paper.now_ms())
            self._surcharge("historicalOrders", len(found))
            return words.history_of(found)

        name, known = f"history:{self.address}", self._history
        if known is not None and known.at_ms > after_ms and self._cache.load(name) == str(known.at_ms):
            return known
        read = self._stamped(lambda: self._read("history", "", "historicalOrders", urgency, on_record))
        if isinstance(read, Known):
            self._cache.save(name, str(read.at_ms), KEPT_MS)  # what a lost store had kept, nobody may lean on
            self._history = read
        return read

    def settings(self, symbol: str, urgency: Urgency) -> Known[Settings] | Unknown:
        """Read leverage, margin mode and mark of a symbol: weight 20."""
        at_ms = self._seen_ms or self.now_ms()

        def read() -> Settings:
            leverage, is_cross = self.paper.market.leverage_of(self.account, symbol)
            struck = self.paper.showcase.strikes("info", ("activeAssetData", symbol), [symbol], self.paper.now_ms())
            at = self.paper.market.quote(symbol)
            mark = _mark_of(self.paper.showcase.struck(symbol, at, struck.get(symbol)))
            mode = MarginMode.CROSS if is_cross else MarginMode.ISOLATED
            return Settings(Prepared(leverage, mode, at_ms), _price(mark))

        found = self._read("settings", symbol, "activeAssetData", urgency, read)
        return found if isinstance(found, Unknown) else Known(found, at_ms)

    def mark(self, symbol: str, urgency: Urgency) -> Price | None:
        """Read the mark of a symbol: weight 20; None where it is no price."""

        def read() -> Price | None:
            return _price(_mark_of(self.paper.shown("info", "metaAndAssetCtxs", self.paper.listing)[symbol]))

        found = self._read("mark", symbol, "metaAndAssetCtxs", urgency, read)
        return None if isinstance(found, Unknown) else found

    def candles(self, symbol: str, interval: str, count: int) -> Known[tuple[Candle, ...]] | Unknown:
        """Read the last bars of a symbol: weight 20 and rows/60, once a bar."""
        now, width, name = self.now_ms(), INTERVALS_MS[interval], (symbol, interval, count)
        bars, until_ms = self._bars.get(name, ((), 0))
        if now < until_ms:
            return Known(bars, now)

        def read() -> tuple[Candle, ...]:
            rows = self.paper.candles.snapshot(symbol, interval, now - width * count, now)
            self._surcharge("candleSnapshot", len(rows))
            return tuple(Candle(r["t"], Decimal(r["h"]), Decimal(r["l"]), Decimal(r["c"])) for r in rows)

        found = self._read("candles", symbol, "candleSnapshot", Urgency.ORDINARY, read)
        if isinstance(found, Unknown):
            return found
        self._bars[name] = (found, now + width - now % width + BAR_MS)
        return Known(found, now)

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Known[Decimal] | Unknown:
        """Sum the funding received (> 0) or paid (< 0) on a symbol in [since, until]: weight 20 and rows/20."""

        def read() -> Decimal:
            paid = [f for f in self.account.fundings if f.coin == symbol and since_ms <= f.time_ms <= until_ms]
            self._surcharge("userFunding", len(paid))
            return sum((round(f.usdc, 6) for f in paid), Decimal(0))

        found = self._read("funding", symbol, "userFunding", Urgency.ORDINARY, read)
        return found if isinstance(found, Unknown) else Known(found, self._seen_ms or self.now_ms())

    def poll_limits(self) -> None:
        """Ask how many actions the address has left, if that was long ago."""
        if self._actions.left() is not None:
            return

        def left() -> int:
            return self.paper.meter.cap(self.account) - self.account.requests_used

        found = self._read("limits", "", "userRateLimit", Urgency.ORDINARY, left)
        if not isinstance(found, Unknown):
            self._actions.told(found)

    def _read(self, name: str, symbol: str, kind: str, urgency: Urgency, what: Callable[[], T]) -> T | Unknown:
        """Make one read: its budget, the way there, the answer, the way back."""
        wait_ms = self._budget.reserve(weight_of(kind), urgency)
        if wait_ms:
            return Unknown(f"own rate budget: {kind} in {wait_ms} ms")
        verdict = self._fault(name, symbol)
        self._latency()
        if verdict == "throttled":
            self._budget.refused()  # as the gateway does
            return Unknown(f"{kind}: HTTP 429")
        self._count(kind, weight_of(kind))
        found = what() if verdict != "lost_before" else None
        self._latency()
        return Unknown(f"{kind}: {verdict} by a fault") if verdict is not None or found is None else found

    def _stamped(self, read: Callable[[], T | Unknown]) -> Known[T] | Unknown:
        at_ms = self._seen_ms
        if at_ms is None:
            return Unknown("no venue time yet: holdings are read first")
        found = read()
        return found if isinstance(found, Unknown) else Known(found, at_ms)

    def _count(self, kind: str, weight: int) -> None:
        self.requests[kind] += 1
        self.weight[kind] += weight

    def _surcharge(self, kind: str, rows: int) -> None:
        more = surcharge_of(kind, rows)
        self.weight[kind] += more
        self._budget.add(more)


def _mark_of(shown: Shown) -> Decimal | None:
    """Return the mark as a reader gets it: what a fault puts in its place need not be a price."""
    return parse_price(shown.at.mark if shown.text is None else shown.text)


def _price(mark: Decimal | None) -> Price | None:
    return None if mark is None else Price(mark, Source.VENUE, 0)
