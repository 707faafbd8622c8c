"""The venue's own account of what traders did: entries per signal, naked time, flips, exits. It trusts no client.

Naked: a position is larger than the live (resting, not fired) reduce-only market stops on its closing side. It is
judged
after every change, so an entry and its stop of one action leave no naked time. Moved and loosened stops are judged at
the event itself, against the position as the fills left it. Times here are microseconds of the real
clock, whatever skew a fault gives the venue; they leave as milliseconds with three decimals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exchange.paper.model import ZERO, Account, Event, Fill, FillEvent, Order, OrderEvent
from exchange.paper.wire import number, order_type

_MAGIC = "57b"  # Stopkeeper's ids: magic 3, installation 5, role 1, n 5, trade 12, checksum 6
_ENTRY = "1"
BY_HAND = "by hand"


@dataclass
class Interval:
    """A stretch of time without cover; `size` is the greatest uncovered size in it."""

    from_us: int
    size: Decimal
    to_us: int | None = None


@dataclass
class Book:
    """What is known of one account and symbol."""

    entries: dict[str, list[int]] = field(default_factory=dict)  # signal -> ids of filled entry orders
    naked: list[Interval] = field(default_factory=list)
    flips: int = 0
    loose: list[int] = field(default_factory=list)  # ids of orders that are neither reduce-only nor entries
    fills: int = 0
    pnl: Decimal = ZERO
    fees: Decimal = ZERO
    exits: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[int, Order] = field(default_factory=dict)  # live or just ended orders, for the fills that follow
    held: Decimal = ZERO  # the signed position, as the fills left it
    stop_moves: int = 0
    loosened: list[dict[str, Any]] = field(default_factory=list)


def signal_of(order: Order) -> tuple[str | None, bool]:
    """Return (signal, is an entry) of an order that is not reduce-only."""
    if order.cloid is None:
        return BY_HAND, True
    digits = order.cloid[2:]
    if digits[:3] != _MAGIC:
        return order.cloid, True
    return digits[14:26], digits[8] == _ENTRY


class Witness:
    """Listens to the market and judges after every change."""

    def __init__(self) -> None:
        self.books: dict[str, dict[str, Book]] = {}
        self.touched: set[tuple[str, str]] = set()

    def book(self, user: str, coin: str) -> Book:
        """Return the book of a key, new if need be."""
        return self.books.setdefault(user, {}).setdefault(coin, Book())

    def hear(self, event: Event) -> None:
        """Note an event of the market."""
        if isinstance(event, OrderEvent):
            self._order(event)
        elif isinstance(event, FillEvent):
            self._fill(event.fill)

    def _order(self, event: OrderEvent) -> None:
        order = event.order
        self.touched.add((order.user, order.coin))
        book = self.book(order.user, order.coin)
        _stops(book, event)
        if order.oid not in book.seen and not order.reduce_only and not signal_of(order)[1]:
            book.loose.append(order.oid)
        book.seen[order.oid] = order

    def _fill(self, fill: Fill) -> None:
        self.touched.add((fill.user, fill.coin))
        book = self.book(fill.user, fill.coin)
        book.fills += 1
        book.pnl += fill.closed_pnl
        book.fees += fill.fee
        signed = fill.size if fill.is_buy else -fill.size
        after = book.held = fill.start_position + signed
        if fill.start_position * after < 0:
            book.flips += 1
        order = book.seen.get(fill.oid)
        if order is not None and not order.reduce_only:
            signal, is_entry = signal_of(order)
            if is_entry and signal is not None and fill.oid not in book.entries.setdefault(signal, []):
                book.entries[signal].append(fill.oid)
        if fill.start_position * signed < 0:
            self._exit(book, fill, order)

    def _exit(self, book: Book, fill: Fill, order: Order | None) -> None:
        last = book.exits[-1] if book.exits else None
        if last is not None and last["oid"] == fill.oid:
            total = Decimal(last["size"]) + fill.size
            worth = Decimal(last["avg_px"]) * Decimal(last["size"]) + fill.px * fill.size
            last |= {"size": number(total), "avg_px": number(worth / total), "time_ms": fill.time_ms}
            return
        kind = order_type(order) if order is not None else fill.direction
        entry = {
            "oid": fill.oid,
            "cloid": fill.cloid,
            "closed_by": kind,
            "reduce_only": order.reduce_only if order is not None else True,
            "dir": fill.direction,
            "size": number(fill.size),
            "avg_px": number(fill.px),
            "time_ms": fill.time_ms,
        }
        book.exits.append(entry)

    def judge(self, accounts: dict[str, Account], at_us: int) -> None:
        """Look at every key touched since the last look and open or close its naked interval."""
        touched, self.touched = self.touched, set()
        for user, coin in touched:
            account = accounts[user]
            book = self.book(user, coin)
            book.seen = {oid: o for oid, o in book.seen.items() if o.live}
            bare = uncovered(account, coin)
            last = book.naked[-1] if book.naked else None
            open_now = last if last is not None and last.to_us is None else None
            if bare > 0 and open_now is None:
                book.naked.append(Interval(at_us, bare))
            elif bare > 0 and open_now is not None:
                open_now.size = max(open_now.size, bare)
            elif open_now is not None:
                open_now.to_us = at_us

    def as_json(self, at_us: int) -> dict[str, Any]:
        """Return the account of everything, by address and symbol."""
        return {
            user: {coin: _book_json(book, at_us) for coin, book in books.items() if book.fills or book.loose}
            for user, books in self.books.items()
        }


def uncovered(account: Account, coin: str) -> Decimal:
    """Return how much of a position no live stop covers."""
    position = account.positions.get(coin)
    if position is None:
        return ZERO
    stops = (o for o in account.orders.values() if o.coin == coin and covers(o, is_buy=position.size < 0))
    return max(ZERO, abs(position.size) - _sum(stops, abs(position.size)))


def covers(order: Order, *, is_buy: bool) -> bool:
    """Tell whether an order is a live, reduce-only, mark-triggered market stop on this side."""
    return (
        order.status == "open"
        and order.fired_ms is None
        and order.reduce_only
        and order.is_buy == is_buy
        and order.trigger is not None
        and order.trigger.tpsl == "sl"
        and order.trigger.is_market
    )


def _sum(stops: Iterable[Order], position: Decimal) -> Decimal:
    return sum((position if s.is_position_tpsl and s.orig_size == 0 else s.size for s in stops), ZERO)


def _stops(book: Book, event: OrderEvent) -> None:
    """Note what an event does to the cover of a held position: a stop moved, or a cover loosened by its trader."""
    order, before = event.order, book.seen.get(event.order.oid)
    if book.held == 0:
        return
    was = before is not None and covers(before, is_buy=book.held < 0)
    others = [o for o in book.seen.values() if o.oid != order.oid and covers(o, is_buy=book.held < 0)]
    if not was and others and covers(order, is_buy=book.held < 0):
        book.stop_moves += 1
    if not was or before is None or event.cause != "trader" or order.live:
        return
    old, new = whole_cover_px([*others, before], book.held), whole_cover_px(others, book.held)
    if old is not None and new is not None and (new < old if book.held > 0 else new > old):
        book.loosened.append({"oid": order.oid, "from": number(old), "to": number(new)})


def whole_cover_px(stops: Iterable[Order], held: Decimal) -> Decimal | None:
    """Return the trigger at which the last part of a position is covered, nearest stops first; None if some is not."""
    left = abs(held)
    triggers = [(stop.trigger.px, stop) for stop in stops if stop.trigger is not None]
    for px, stop in sorted(triggers, key=lambda pair: -pair[0] if held > 0 else pair[0]):
        left -= _sum([stop], abs(held))
        if left <= 0:
            return px
    return None


def _ms(at_us: int | None) -> float | None:
    return None if at_us is None else at_us / 1000


def _book_json(book: Book, at_us: int) -> dict[str, Any]:
    naked_us = sum((i.to_us if i.to_us is not None else at_us) - i.from_us for i in book.naked)
    signals = {signal: oids for signal, oids in book.entries.items() if signal != BY_HAND}
    return {
        "entries_by_signal": {signal: len(oids) for signal, oids in book.entries.items()},
        "duplicates": sum(len(oids) - 1 for oids in signals.values()),
        "naked_intervals": [
            {"from_ms": _ms(i.from_us), "to_ms": _ms(i.to_us), "size": number(i.size)} for i in book.naked
        ],
        "naked_ms": naked_us / 1000,
        "flips": book.flips,
        "non_reduce_only": len(book.loose),
        "fills": book.fills,
        "realized_pnl": number(book.pnl, 6),
        "fees": number(book.fees, 6),
        "exits": book.exits,
        "stop_moves": book.stop_moves,
        "loosened": book.loosened,
    }
