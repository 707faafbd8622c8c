"""The venue as one thing: market, prices, views, faults, witness, meters and the clock that joins them. No sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Literal

from exchange.paper.book import Quote, quote
from exchange.paper.budget import Meter
from exchange.paper.candles import Candles
from exchange.paper.faults import Faults, Rule
from exchange.paper.knobs import Knobs
from exchange.paper.market import Market
from exchange.paper.model import ZERO, Account, Event, FillEvent, Instrument, NewOrder, Order, OrderEvent
from exchange.paper.nonces import Nonces
from exchange.paper.prices import Source
from exchange.paper.views import Kind, Views
from exchange.paper.witness import Witness

HOUR_MS = 3_600_000
_HIDES: dict[Kind, str] = {
    "position": "hide_position",
    "order": "hide_orders",
    "fill": "hide_fills",
    "status": "hide_orders",
}


class Venue:
    """Everything behind the wire. Synchronous: each call is one atomic step of the venue."""

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
    ) -> None:
        self.listing = listing
        self.coins = {item.asset: name for name, item in listing.items()}
        self.knobs = knobs
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
        self.pinned: dict[str, tuple[Decimal, int | None]] = {}
        self.frozen: dict[str, Decimal] = {}
        self.day_open: dict[str, Decimal] = dict(self.market.marks)
        self.touched: set[str] = set()
        self.dirty = False
        self.later: Callable[[int, Callable[[], None]], None] = lambda _delay, _act: None  # set by the server's loop
        self.outlets: list[Callable[[list[Event]], None]] = []  # the streams, after each step
        self.fresh: list[Event] = []
        self.funded_hour = self.now_ms() // HOUR_MS
        self.market.meddler = self
        self.market.listeners += [self.witness.hear, self._hear]

    # clock ------------------------------------------------------------------------------------------------------------
    def now_us(self) -> int:
        """Return real time in microseconds."""
        return time.time_ns() // 1000

    def now_ms(self) -> int:
        """Return the venue's time, which a fault may skew."""
        real = time.time_ns() // 1_000_000
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
        self._plot_against_stops(events)
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
            self.market.set_mark(coin, moved[coin], now_ms)
        for coin, item in self.listing.items():
            self.candles.add(item, self.market.marks[coin], now_ms)
        self._hourly(now_ms)
        self.settle()
        return changed

    def _hourly(self, now_ms: int) -> None:
        if now_ms // HOUR_MS > self.funded_hour:
            self.funded_hour = now_ms // HOUR_MS
            self.market.fund(now_ms)
        for account in self.market.accounts.values():
            if account.schedule_ms is not None and now_ms >= account.schedule_ms:
                account.schedule_ms = None
                for order in list(account.orders.values()):
                    self.market.put(order, "scheduledCancel", now_ms)

    def push_mark(self, coin: str, price: Decimal, hold_ms: int | None) -> None:
        """Set a mark by hand: held for so many ms, for ever with None, with 0 the source goes on from there at once."""
        now_ms = self.now_ms()
        self.pinned.pop(coin, None)
        if hold_ms != 0:
            self.pinned[coin] = (price, None if hold_ms is None else now_ms + hold_ms)
        self.source.resume({coin: price})
        self.market.set_mark(coin, price, now_ms)
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
    def shown(self, coin: str) -> Quote:
        """Return the market of a coin as feeds show it: faults may freeze it or show 0, matching does not believe
        them."""
        now_ms = self.now_ms()
        real = self.market.quote(coin)
        for rule in self.faults.lasting("zero_price", now_ms):
            if rule.symbol in (None, coin):
                return Quote(ZERO, ZERO, ZERO, ZERO)
        if any(rule.symbol in (None, coin) for rule in self.faults.lasting("freeze_price", now_ms)):
            return quote(self.listing[coin], self.frozen.setdefault(coin, real.mark), self.knobs)
        self.frozen.pop(coin, None)
        return real

    def _hidden(self, kind: Kind, address: str) -> dict[str | None, int]:
        rules = self.faults.lasting(_HIDES[kind], self.now_ms()) if kind != "status" else []
        return {rule.symbol: rule.delay_ms for rule in rules if rule.account in (None, address)}

    # faults inside matching -------------------------------------------------------------------------------------------
    def refusal(self, user: str, order: NewOrder) -> str | None:
        """Refuse a stop in the words of a `refuse_stop` fault."""
        if order.trigger is None or order.trigger.tpsl != "sl" or not order.reduce_only:
            return None
        rule = self.faults.take("refuse_stop", ("exchange", "order", "stop"), user, (order.coin,))
        return (
            str(rule.more.get("text", f"Invalid TP/SL price. asset={self.listing[order.coin].asset}")) if rule else None
        )

    def fraction(self, order: Order) -> Decimal | None:
        """Cut an entry to the part a `partial_fill` fault allows."""
        if order.trigger is not None:
            return None
        names = ("exchange", "order", "close" if order.reduce_only else "entry")
        if order.reduce_only and not any(r.action == "close" for r in self.faults.rules.values()):
            return None
        rule = self.faults.take("partial_fill", names, order.user, (order.coin,))
        return Decimal(str(rule.more.get("fraction", "0.5"))) if rule else None

    def on_fire(self, order: Order) -> Literal["fill", "reject", "hold"]:
        """Let a fired trigger find nobody to trade with, at once or after a while."""
        rule = self.faults.take("stop_no_fill", ("exchange", "order", "stop"), order.user, (order.coin,))
        if rule is None:
            return "fill"
        if not rule.delay_ms:
            return "fill" if rule.more.get("then") == "fill" else "reject"
        fills = rule.more.get("then") == "fill"
        self.later(rule.delay_ms, partial(self._settle_fired, order.user, order.oid, fills=fills))
        return "hold"

    def _settle_fired(self, user: str, oid: int, *, fills: bool) -> None:
        self.market.settle_fired(user, oid, self.now_ms(), fills=fills)
        self.settle()

    def _plot_against_stops(self, events: list[Event]) -> None:
        """Arrange for the stops that a `cancel_stop` fault is to take away."""
        for event in events:
            if not isinstance(event, OrderEvent):
                continue
            order = event.order
            is_stop = order.trigger is not None and order.trigger.tpsl == "sl" and order.reduce_only
            if not is_stop or order.status != "open" or order.fired_ms is not None:
                continue
            rule = self.faults.take("cancel_stop", ("exchange", "order", "stop"), order.user, (order.coin,))
            if rule is not None:
                self.later(rule.delay_ms, partial(self._take_away, rule, order))

    def _take_away(self, rule: Rule, order: Order) -> None:
        live = self.market.accounts[order.user].orders.get(order.oid)
        if live is not None:
            silent = not rule.more.get("announce", False)
            self.market.put(live, str(rule.more.get("status", "canceled")), self.now_ms(), silent=silent)
            self.settle()
