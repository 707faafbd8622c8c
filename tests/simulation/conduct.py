"""What must hold of each order of ours, each cancel and each fill, judged at the moment the venue takes it.

Facts of the market only: whose an order is, and for which trade, stands in the digits of its client id.
"""

from collections.abc import Callable
from decimal import Decimal

from exchange.paper.model import Event, Fill, FillEvent, Order, OrderEvent
from exchange.paper.witness import covers
from tests.simulation.scenes import SLOW_MS, Scene
from tests.simulation.town import INSTALLATION, Town

MAGIC, ENTRY, STOP, TARGET, CLOSE = "57b", "1", "2", "3", "4"
OURS = MAGIC + INSTALLATION
ASKED, EMERGENCY, STOP_MET, TARGET_MET, STOP_MOVED_MET = "8", "9", "b", "c", "d"  # what a close says it is for
UNSEEN_MS = 6_000  # how late a cancel may land after what its look showed: a view's lag, slow requests both ways
LATE_MS = 9_000  # an order sent at the last moment lands within its deadline; clocks differ, one is set back
READ_MS = 20_000  # how old what a close goes by may be: one lease, one request, one deadline, one lag


def is_ours(cloid: str | None) -> bool:
    """Return whether a client id is one of this installation's."""
    return cloid is not None and cloid[2:10] == OURS


def role_of(cloid: str | None) -> str:
    """Return the digit that says what an order of ours is for."""
    return cloid[10] if cloid else ""


def reason_of(cloid: str | None) -> str:
    """Return the digit that says what a close of ours is for."""
    return cloid[11] if cloid else ""


def trade_of(cloid: str | None) -> str:
    """Return the trade an order of ours is of."""
    return cloid[16:28] if cloid else ""


class Conduct:
    """Follows what each key holds and who opened it, and says of each deed of ours that breaks a rule."""

    def __init__(self, town: Town, broke: Callable[[str, str], None], owed: Scene) -> None:
        self._town, self._broke, self._owed = town, broke, owed
        self.orders: dict[int, Order] = {}
        self._opened: dict[str, str] = {}  # coin -> the trade whose entry opened what is held, "" for a stranger's
        self._entered: set[str] = set()  # trades whose entry was filled
        self._over_ms: dict[str, int] = {}  # trade -> when what it had opened was closed or turned over
        self._gone: list[tuple[int, Order]] = []  # stops that fired, or ended not by us, as they were; and when
        self._foreign: list[tuple[int, str, Decimal]] = []  # fills of strangers: when, coin, signed size
        self._sizes: dict[str, list[tuple[int, Decimal]]] = {}  # coin -> (until when, size) of what was held

    def hear(self, event: Event) -> None:
        """Judge an event of the market."""
        if isinstance(event, OrderEvent):
            order, before = event.order, self.orders.get(event.order.oid)
            if event.cause == "trader" and order.status == "canceled":
                self._cancel(order)
            elif before is not None and covers(before, is_buy=order.is_buy) and not covers(order, is_buy=order.is_buy):
                self._gone.append((self._now_ms(), before))
                self._shown_late()
            if order.oid not in self.orders and is_ours(order.cloid):
                self._new(order)
            self.orders[order.oid] = order
        elif isinstance(event, FillEvent):
            self._fill(event.fill)

    def _now_ms(self) -> int:
        return self._town.time.now_ms()

    def _shown_late(self) -> None:
        """Note that what just happened may be seen no sooner than by the next sweep, where views are late."""
        if self._town.trouble.profile.lag:
            self._town.trouble.disturb(self._town.times.sweep_ms)

    def end(self) -> None:
        """Judge what was asked for in time."""
        for symbol, asked_ms in self._town.asked:
            closed = (until_ms for until_ms, _ in self._sizes.get(symbol, ()) if until_ms >= asked_ms)
            if (took_ms := next(closed, self._now_ms()) - asked_ms) > SLOW_MS:
                self._broke("unheard", f"the close of {symbol} that was asked for took {took_ms} ms")

    # --- cancels --------------------------------------------------------------------------------------------------

    def _cancel(self, order: Order) -> None:
        """Judge a cancel of ours: what was covered whole before it must be so after it, and it must be our order.

        What happened a moment before and not by us is left out, since no look can show it yet: a stop that ended is
        counted as it was, and so is a position that somebody enlarged.
        """
        if not is_ours(order.cloid):
            self._broke("foreign", f"we cancelled {order.oid} {order.coin}, which is a stranger's")
        held, before = self._town.account.positions.get(order.coin), self.orders.get(order.oid)
        if held is None or before is None or not covers(before, is_buy=held.size < 0):
            return
        others = self._town.account.orders.values()
        young = self._now_ms() - UNSEEN_MS
        lately = [each for ms, each in self._gone if ms > young]
        staying = [o for o in (*others, *lately) if o.coin == order.coin and covers(o, is_buy=held.size < 0)]
        left = sum((o.size for o in staying), Decimal(0))
        sign = 1 if held.size > 0 else -1
        grown = sum(max(signed * sign, Decimal(0)) for ms, coin, signed in self._foreign
                    if coin == order.coin and ms > young)  # fmt: skip
        if left < abs(held.size) - grown and abs(held.size) <= left + before.size:
            self._broke("stripped", f"our cancel of {order.oid} left {left:f} of {held.size:f} {order.coin} covered")

    # --- new orders -----------------------------------------------------------------------------------------------

    def _new(self, order: Order) -> None:
        trade, role, sent = trade_of(order.cloid), role_of(order.cloid), self._town.sent
        if not order.reduce_only and role != ENTRY:
            self._broke("reduce-only", f"order {order.oid} of trade {trade} could open a position and is no entry")
        if not order.reduce_only and trade not in sent:
            self._broke("no signal", f"entry {order.oid} of trade {trade}, of which no signal was ever sent")
        if not order.live:
            return
        beside = [o for o in self._town.account.orders.values() if o.coin == order.coin and o.oid != order.oid]
        # a store that went back has forgotten what no view shows yet: a number may be given once more
        went_back_ms = self._town.went_back_ms
        lately = went_back_ms is not None and self._now_ms() < went_back_ms + LATE_MS
        fires = order.status == "triggered"  # by another venue id than it stood with: no order is new
        if any(o.cloid == order.cloid for o in beside) and not lately and not fires:
            self._broke("id twice", f"order {order.oid} bears the id of another that lives")
        if role == ENTRY:
            self._entry(order, [o for o in beside if is_ours(o.cloid) and trade_of(o.cloid) != trade])
            return
        held = self._town.account.positions.get(order.coin)
        opened = self._opened.get(order.coin) if held is not None else None
        # by a store that went back, or a copy of one that is gone, it is an older trade's: it is covered all the same
        lately |= self._town.world.gone
        covered = (lately or self._waits(trade)) and held is not None and covers(order, is_buy=held.size < 0)
        if opened in sent and trade in sent and opened != trade and not covered and not self._asked(order):
            self._broke("into the next", f"order {order.oid} of trade {trade} meets the position of trade {opened}")
        over_ms, late_ms = self._over_ms.get(trade), self._owed.outlived_ms or LATE_MS
        told = not self._is_needed(order) or self._owed.outlived_ms
        if told and opened == "" and over_ms is not None and order.placed_ms > over_ms + late_ms:
            late_ms = order.placed_ms - over_ms
            self._broke("outlived", f"order {order.oid} is of trade {trade}, which ended {late_ms} ms before")
        if role == CLOSE:
            self._close(order)

    def _asked(self, order: Order) -> bool:
        """Return whether a person who asks for a key to be closed meets what the store forgot, before the next trade.

        The close is noted for the signal that waits.
        """
        return role_of(order.cloid) == CLOSE and reason_of(order.cloid) == ASKED and self._waits(trade_of(order.cloid))

    def _is_needed(self, order: Order) -> bool:
        """Return whether an order serves what is held, whosever it is, while no fills can be read.

        A naked position is covered, or closed in an emergency, and who asks for a key to be closed means what it holds.
        """
        if role_of(order.cloid) != CLOSE:
            return role_of(order.cloid) == STOP
        said_ms = self._town.said_ms.get(order.coin)
        lately = said_ms is not None and self._now_ms() <= said_ms + READ_MS
        reason = reason_of(order.cloid)
        return (reason == EMERGENCY and self._is_naked(order.coin)) or (reason == ASKED and lately)

    def _is_naked(self, coin: str) -> bool:
        held, orders = self._town.account.positions.get(coin), self._town.account.orders.values()
        return held is not None and not any(o.coin == coin and covers(o, is_buy=held.size < 0) for o in orders)

    def _waits(self, trade: str) -> bool:
        """Return whether a signal has not entered, beside what a store that went back forgot."""
        return self._town.went_back and trade not in self._entered

    def _entry(self, order: Order, beside: list[Order]) -> None:
        if beside:
            what = f"entry {order.oid} left while {[o.oid for o in beside]} of ours lived on {order.coin}"
            self._broke("over litter", what)

    def _close(self, order: Order) -> None:
        """Judge the size of a close: what was held, for as long ago as what it goes by may have been read."""
        if order.coin in self._town.parted or reason_of(order.cloid) == TARGET_MET:
            return
        if self._owed.unasked and self._town.trouble.on:
            self._broke("false exit", f"{order.oid} closes {order.coin}, and neither price nor person asked for it")
        held = self._town.account.positions.get(order.coin)
        since = self._now_ms() - READ_MS
        sizes = {size for until_ms, size in self._sizes.get(order.coin, ()) if until_ms >= since}
        if held is not None:
            sizes.add(abs(held.size))
        if order.orig_size not in sizes:
            told = ", ".join(f"{size:f}" for size in sorted(sizes)) or "nothing"
            self._broke("close size", f"close {order.oid} is of {order.orig_size:f} {order.coin}, held was {told}")

    # --- fills ----------------------------------------------------------------------------------------------------

    def _fill(self, fill: Fill) -> None:
        order = self.orders.get(fill.oid)
        cloid = order.cloid if order else None  # a liquidation's order is on no record
        stood = any(ms == self._now_ms() and each.coin == fill.coin for ms, each in self._gone)  # one leap past both
        if fill.liquidation_mark is not None and fill.coin not in self._town.taken and not stood:
            self._broke("liquidated", f"{fill.size:f} {fill.coin} at {fill.px:f}: no stop stood in front of it")
        signed = fill.size if fill.is_buy else -fill.size
        before, after = fill.start_position, fill.start_position + signed
        self._sizes.setdefault(fill.coin, []).append((self._now_ms(), abs(before)))
        trade, sent = trade_of(cloid) if is_ours(cloid) else "", self._town.sent
        if role_of(cloid) == ENTRY:
            self._entered.add(trade)
        if not trade:
            self._foreign.append((self._now_ms(), fill.coin, signed))
        opened = self._opened.get(fill.coin, "")
        if before and before * after <= 0 and opened:
            self._over_ms.setdefault(opened, self._now_ms())
        if before == 0 or before * after < 0:
            self._opened[fill.coin] = trade
        if abs(after) > abs(before):
            self._shown_late()
        if trade and order is not None and order.reduce_only:
            if opened in sent and trade in sent and opened != trade and not self._asked(order):
                self._broke("hits the next", f"order {fill.oid} of trade {trade} closed the position of trade {opened}")
            if before * signed >= 0 or abs(after) > abs(before) or after * signed > 0:
                self._broke("reduces", f"order {fill.oid} took {before:f} to {after:f}")
