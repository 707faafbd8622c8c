"""The venue as one thing: market, prices, views, faults, witness, meters and the clock that joins them. No sockets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal

from exchange.paper.budget import Meter
from exchange.paper.candles import Candles
from exchange.paper.faults import Faults
from exchange.paper.knobs import Knobs
from exchange.paper.market import Market
from exchange.paper.mischief import Mischief
from exchange.paper.model import ZERO, Account, Event, FillEvent, Instrument, OrderEvent
from exchange.paper.nonces import Nonces
from exchange.paper.prices import Source
from exchange.paper.shown import Showcase, Shown, Where
from exchange.paper.views import Kind, Views
from exchange.paper.witness import Witness

HOUR_MS = 3_600_000
MARKED = 10_000  # so many moves of marks can be asked for
_HIDES: dict[Kind, str] = {
    "position": "hide_position",
    "order": "hide_orders",
    "fill": "hide_fills",
    "status": "hide_orders",
}


def real_us() -> int:
    """Return the machine's time, microseconds UTC."""
    return time.time_ns() // 1000


class Venue:
    """Everything behind the wire. Synchronous: each call is one atomic step of the venue.

    `clock_us` (microseconds UTC) is the only clock in it. Who gives another one also sets `later`, calls `tick` as its
    time goes on and runs what `later` was given, each when its milliseconds are over.
    """

    def __init__(
        self,
        listing: dict[str, Instrument],
        knobs: Knobs,
        source: Source,
        actions: frozenset[str],
        *,
        balance: Decimal = Decimal(10_000),
        faucet: bool = True,
        seed: int = 1,
        clock_us: Callable[[], int] = real_us,
    ) -> None:
        self.listing = listing
        self.coins = {item.asset: name for name, item in listing.items()}
        self.knobs = knobs
        self.clock_us = clock_us
        self.source = source
        self.balance = balance
        self.faucet = faucet
        self.market = Market(listing, knobs)
        self.faults = Faults(listing, actions)
        self.witness = Witness()
        self.nonces = Nonces()
        self.meter = Meter(knobs)
        self.candles = Candles(seed)
        self.views = Views(knobs, self._hidden, seed)
        self.agents: dict[str, str] = {}
        self.marked: deque[tuple[int, str, Decimal]] = deque(maxlen=MARKED)  # when (no fault skews it), coin, mark
        self.marked_count = 0
        self.pinned: dict[str, tuple[Decimal, int | None]] = {}
        self.showcase = Showcase(listing, knobs, self.faults, self.market.quote)
        self.day_open: dict[str, Decimal] = dict(self.market.marks)
        self.touched: set[str] = set()
        self.dirty = False
        self.later: Callable[[int, Callable[[], None]], None] = lambda _delay, _act: None  # set by the server's loop
        self.outlets: list[Callable[[list[Event]], None]] = []  # the streams, after each step
        self.fresh: list[Event] = []
        self.meter.reset(self.now_ms())
        self.funded_hour = self.now_us() // 1000 // HOUR_MS
        self.mischief = Mischief(self)
        self.market.meddler = self.mischief
        self.market.listeners += [self.witness.hear, self._hear]

    # clock ------------------------------------------------------------------------------------------------------------
    def now_us(self) -> int:
        """Return the given clock's time in microseconds, which no fault skews."""
        return self.clock_us()

    def now_ms(self) -> int:
        """Return the venue's time, which a fault may skew."""
        real = self.clock_us() // 1000
        return real + sum(int(rule.more["skew_ms"]) for rule in self.faults.lasting("clock_skew", real))

    # steps ------------------------------------------------------------------------------------------------------------
    def _hear(self, event: Event) -> None:
        self.fresh.append(event)
        if isinstance(event, OrderEvent):
            self.touched.add(event.order.user)
        elif isinstance(event, FillEvent):
            self.touched.add(event.fill.user)
        else:
            self.touched.add(event.user)

    def settle(self) -> None:
        """End a step: let the witness judge, remember past states, hand events to the streams."""
        if not self.fresh:
            return
        self.witness.judge(self.market.accounts, self.now_us())
        now_ms = self.now_ms()
        for user in self.touched:
            self.views.note(self.market.accounts[user], now_ms)
        self.touched.clear()
        self.dirty = True
        events, self.fresh = self.fresh, []
        self.mischief.plot(events)
        for outlet in self.outlets:
            outlet(events)

    def tick(self, elapsed_s: float) -> list[str]:
        """Move the marks by the source and the pins; return the coins that moved."""
        now_ms = self.now_ms()
        moved = self.source.step(elapsed_s)
        for coin, (price, until_ms) in list(self.pinned.items()):
            if until_ms is not None and now_ms >= until_ms:
                del self.pinned[coin]
            else:
                moved[coin] = price
        changed = [coin for coin, price in moved.items() if price != self.market.marks[coin]]
        for coin in changed:
            self._set_mark(coin, moved[coin], now_ms)
        for coin, item in self.listing.items():
            self.candles.add(item, self.market.marks[coin], now_ms)
        self._hourly(now_ms)
        self.settle()
        return changed

    def _set_mark(self, coin: str, price: Decimal, now_ms: int) -> None:
        self.marked.append((self.now_us() // 1000, coin, price))
        self.marked_count += 1
        self.market.set_mark(coin, price, now_ms)

    def _hourly(self, now_ms: int) -> None:
        hour = self.now_us() // 1000 // HOUR_MS  # a skewed clock must not move money
        for due in range(self.funded_hour + 1, hour + 1):  # several after a long step or a time switched off
            self.market.fund(now_ms - (hour - due) * HOUR_MS)
        self.funded_hour = max(self.funded_hour, hour)
        for account in self.market.accounts.values():
            if account.schedule_ms is not None and now_ms >= account.schedule_ms:
                account.schedule_ms = None
                for order in list(account.orders.values()):
                    if order.oid in account.orders:  # the children of a canceled parent are gone with it
                        self.market.finish(order, "scheduledCancel", now_ms)

    def push_mark(self, coin: str, price: Decimal, hold_ms: int | None) -> None:
        """Set a mark by hand: held for so many ms, for ever with None, with 0 the source goes on from there at once."""
        now_ms = self.now_ms()
        self.pinned.pop(coin, None)
        if hold_ms != 0:
            self.pinned[coin] = (price, None if hold_ms is None else now_ms + hold_ms)
        self.source.resume({coin: price})
        self._set_mark(coin, price, now_ms)
        self.candles.add(self.listing[coin], price, now_ms)
        self.settle()

    # accounts ---------------------------------------------------------------------------------------------------------
    def open_account(self, address: str, cash: Decimal, *, master: str | None = None) -> Account:
        """Create an account, or return the one there is. Addresses are in lower case."""
        account = self.market.accounts.get(address)
        if account is None:
            account = Account(address, cash, role="subAccount" if master else "user", master=master)
            self.market.accounts[address] = account
            self.views.note(account, 0)
            self.dirty = True
        return account

    def seen(self, address: str) -> Account:
        """Return the account an info request names: funded by the faucet, or empty and not kept."""
        account = self.market.accounts.get(address)
        if account is None and self.faucet and address not in self.agents:
            account = self.open_account(address, self.balance)
        return account if account is not None else Account(address, ZERO)

    def add_agent(self, account: Account, agent: str, name: str | None, valid_until_ms: int | None) -> None:
        """Let an agent sign for an account; one of the same name is replaced (venue docs: api wallets)."""
        for old, (old_name, _) in list(account.agents.items()):
            if (old_name == name and old != agent and name is None) or (
                name is not None and old_name == name and old != agent
            ):
                del account.agents[old]
                self.agents.pop(old, None)
        account.agents[agent] = (name, valid_until_ms)
        self.agents[agent] = account.address
        self.dirty = True

    def signs_for(self, signer: str, now_ms: int) -> Account | None:
        """Return the account a signer may act for, if any."""
        if signer in self.agents:
            account = self.market.accounts[self.agents[signer]]
            _, until = account.agents[signer]
            return account if until is None or now_ms < until else None
        return self.market.accounts.get(signer)

    # what is shown ----------------------------------------------------------------------------------------------------
    def shown(self, where: Where, key: Hashable, coins: Iterable[str]) -> dict[str, Shown]:
        """Return the markets of coins as one frame or answer of the kind `key` shows them."""
        return self.showcase.board(where, key, coins, self.now_ms())

    def _hidden(self, kind: Kind, address: str) -> dict[str | None, int]:
        rules = self.faults.lasting(_HIDES[kind], self.now_ms()) if kind != "status" else []
        return {rule.symbol: rule.delay_ms for rule in rules if rule.account in (None, address)}
