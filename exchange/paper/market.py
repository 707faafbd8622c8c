"""The market: what happens when a mark moves (triggers fire, resting orders trade, accounts are liquidated), and
settings.

The whole matching is Ledger (books) + Desk (orders in) + this. It knows no protocol and no clock: time is passed in.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from exchange.paper.book import average, sweep
from exchange.paper.desk import MARKET_TIFS, Desk
from exchange.paper.margin import doomed, free, value
from exchange.paper.model import ZERO, Account, AccountEvent, Funding, NewOrder, Order, Placed, Position
from exchange.paper.rules import crossed, unaffordable
from exchange.paper.symbols import on_tick


class Market(Desk):
    """One venue's matching for all accounts and coins."""

    def set_mark(self, coin: str, mark: Decimal, now_ms: int) -> None:
        """Move a mark (> 0) and do all that follows from it: triggers, resting orders, then liquidations."""
        self.marks[coin] = mark
        for order in sorted(self.live[coin].values(), key=lambda o: o.oid):
            current = self.live[coin].get(order.oid)
            if current is None or current.status != "open":
                continue
            if current.trigger is not None and current.fired_ms is None:
                due = crossed(current.trigger, mark, is_buy=current.is_buy)
                if due and not self.meddler.ignores(current):
                    self.fire(current, now_ms)
            else:
                self._touch(current, now_ms)
        for account in list(self.accounts.values()):
            held = account.positions.get(coin)
            if held is not None:
                self._liquidate_doomed(account, now_ms)

    def fire(self, order: Order, now_ms: int) -> None:
        """Wake a trigger: it is `triggered`, then trades, rests as a limit, or finds no liquidity."""
        if not self.knobs.fired_trigger_keeps_oid:
            self.put(order, "canceled", now_ms, silent=True)
            order = replace(order, oid=self.new_oid())
        order = self.put(replace(order, fired_ms=now_ms), "triggered", now_ms)
        verdict = self.meddler.on_fire(order)
        if verdict == "reject":
            self.finish(order, "marketOrderNoLiquidityRejected", now_ms)
        elif verdict == "fill":
            self.execute_fired(order, now_ms)

    def execute_fired(self, order: Order, now_ms: int) -> None:
        """Trade a fired trigger up to its worst price; reduce-only ones never beyond the position."""
        account = self.accounts[order.user]
        position = account.positions.get(order.coin)
        if order.reduce_only:
            if position is None or (position.size > 0) == order.is_buy:
                self.finish(order, "reduceOnlyCanceled", now_ms)
                return
            whole = order.is_position_tpsl and order.orig_size == 0
            order = replace(order, size=abs(position.size) if whole else min(order.size, abs(position.size)))
        elif self._too_poor(account, order):
            self.finish(order, "perpMarginRejected", now_ms)
            return
        at = self.quote(order.coin)
        coin = self.listing[order.coin]
        taken = sweep(coin, at, self.knobs, is_buy=order.is_buy, size=order.size, limit_px=order.limit_px)
        for piece in taken:
            order = self.trade(order, piece.px, piece.size, now_ms)
        if order.size == 0 or (taken and order.trigger is not None and order.trigger.is_market):
            self.finish(order, "filled", now_ms)
        elif order.trigger is not None and order.trigger.is_market:
            self.finish(order, "marketOrderNoLiquidityRejected", now_ms)
        else:
            self.put(order, "open", now_ms)
        self.follow(order.user, order.coin, now_ms)

    def settle_fired(self, user: str, oid: int, now_ms: int, *, fills: bool) -> None:
        """End the wait of a trigger that fired and was held back by a fault: let it trade, or find no liquidity."""
        order = self.accounts[user].orders.get(oid)
        if order is None or order.status != "triggered":
            return
        if fills:
            self.execute_fired(order, now_ms)
        else:
            self.finish(order, "marketOrderNoLiquidityRejected", now_ms)

    def _too_poor(self, account: Account, order: Order) -> bool:
        self.leverage_of(account, order.coin)
        return unaffordable(order, self.marks[order.coin], account, self.marks, self.knobs.taker_fee)

    def _touch(self, order: Order, now_ms: int) -> None:
        """Trade a resting limit order as maker at its own price if the market has come to it."""
        at = self.quote(order.coin)
        coin = self.listing[order.coin]
        taken = sweep(coin, at, self.knobs, is_buy=order.is_buy, size=order.size, limit_px=order.limit_px)
        if not taken:
            return
        taken = self.cut(order, taken, self.meddler.touch_fraction(order))
        account = self.accounts[order.user]
        if not order.reduce_only:
            # its own hold is released for the check, else an order would stand in its own way
            account.orders.pop(order.oid, None)
            poor = self._too_poor(account, order)
            account.orders[order.oid] = order
            if poor:
                self.finish(order, "marginCanceled", now_ms)
                return
        size = sum((piece.size for piece in taken), ZERO)
        order = self.trade(order, order.limit_px, size, now_ms, crossed=False)
        if order.size == 0:
            self.finish(order, "filled", now_ms)
        else:
            self.resize(order, order.size)
            self.wake_children(order, now_ms)
        self.follow(order.user, order.coin, now_ms)

    def _liquidate_doomed(self, account: Account, now_ms: int) -> None:
        for position in doomed(account, self.marks, self.listing):
            self.liquidate(account.address, position.coin, now_ms)

    def liquidate(self, user: str, coin: str, now_ms: int, *, words: str | None = None) -> bool:
        """Close a position by force at the mark or worse; return False if there is none. What is lost below 0 is
        gone."""
        account = self.accounts[user]
        position = account.positions.get(coin)
        if position is None:
            return False
        for order in [o for o in account.orders.values() if o.coin == coin and not o.reduce_only]:
            self.finish(order, "liquidatedCanceled", now_ms)
        mark = self.marks[coin]
        if words is None:
            mode, side = "Cross" if position.is_cross else "Isolated", "Long" if position.size > 0 else "Short"
            words = f"Liquidated {mode} {side}"
        # an isolated loss ends with the position's own margin, a cross loss with the account; insurance pays the rest
        floor = ZERO if position.is_cross else account.cash
        self._force(account, position, mark, words, now_ms)
        account.cash = max(account.cash, floor)
        self.follow(user, coin, now_ms)
        self.changed(user)
        return True

    def _force(self, account: Account, position: Position, mark: Decimal, words: str, now_ms: int) -> None:
        """Trade the position away; a liquidation's order id is on no record (public probes of the venue)."""
        sells = position.size > 0
        size = abs(position.size)
        at = self.quote(position.coin)
        taken = sweep(self.listing[position.coin], at, self.knobs, is_buy=not sells, size=size, limit_px=None)
        whole = sum((piece.size for piece in taken), ZERO) == size
        liquidated = words.startswith("Liquidated")
        px = on_tick(self.listing[position.coin], average(taken)) if whole and liquidated else mark
        order = Order(
            oid=self.new_oid(),
            user=account.address,
            coin=position.coin,
            is_buy=not sells,
            size=size,
            orig_size=size,
            limit_px=px,
            reduce_only=True,
            tif="Ioc",
            trigger=None,
            cloid=None,
            placed_ms=now_ms,
        )
        self.trade(order, px, size, now_ms, ending=words, liquidation_mark=mark if liquidated else None)

    def hand(self, user: str, order: NewOrder, now_ms: int) -> Placed:
        """Trade as a person in the venue's own interface does: at market, without a cloid."""
        worst = self.marks[order.coin] * (Decimal("1.08") if order.is_buy else Decimal("0.92"))
        px = on_tick(self.listing[order.coin], worst)
        by_hand = replace(order, limit_px=px, tif="FrontendMarket", trigger=None, cloid=None)
        return self.place(user, [by_hand], "na", now_ms)[0]

    def set_leverage(self, user: str, coin: str, leverage: int, *, is_cross: bool) -> str | None:
        """Set leverage and margin mode of a coin; return the venue's words if it is refused."""
        account = self.accounts[user]
        asset = f" asset={self.listing[coin].asset}"
        if not 1 <= leverage <= self.listing[coin].max_leverage:
            return f"Invalid leverage value.{asset}"
        held = account.positions.get(coin)
        if held is not None:
            if held.is_cross != is_cross:
                return f"Cannot switch leverage type with open position.{asset}"
            needed = abs(held.size) * (self.marks[coin] if is_cross else held.entry_px) / leverage
            bound = abs(held.size) * self.marks[coin] / held.leverage if is_cross else held.margin
            if needed - bound > max(ZERO, free(account, self.marks)):
                return f"Insufficient margin to change leverage.{asset}"
            if not is_cross and needed > bound:
                account.cash -= needed - bound
                held = replace(held, margin=needed)
            account.positions[coin] = replace(held, leverage=leverage)
        account.leverage[coin] = (leverage, is_cross)
        self.changed(user)
        return None

    def move_margin(self, user: str, coin: str, usdc: Decimal) -> str | None:
        """Add (> 0) or take (< 0) isolated margin; return the venue's words if it is refused."""
        account = self.accounts[user]
        held = account.positions.get(coin)
        if held is None or held.is_cross:
            return f"No isolated position to move margin for. asset={self.listing[coin].asset}"
        least = abs(held.size) * self.marks[coin] / held.leverage
        profit = held.size * (self.marks[coin] - held.entry_px)
        if usdc > max(ZERO, free(account, self.marks)) or (usdc < 0 and held.margin + usdc + min(profit, ZERO) < least):
            return f"Insufficient margin for the transfer. asset={self.listing[coin].asset}"
        account.cash -= usdc
        account.positions[coin] = replace(held, margin=held.margin + usdc)
        self.changed(user)
        return None

    def fund(self, now_ms: int) -> None:
        """Pay one hour of funding on every position at the configured rate (longs pay when it is > 0)."""
        rate = self.knobs.funding_rate
        if rate == 0:
            return
        for account in self.accounts.values():
            for coin, held in list(account.positions.items()):
                paid = (held.size * self.marks[coin] * rate).quantize(Decimal("0.000001"))
                if held.is_cross:
                    account.cash -= paid
                margin = held.margin if held.is_cross else held.margin - paid
                account.positions[coin] = replace(held, margin=margin, funding=held.funding + paid)
                entry = Funding(account.address, coin, -paid, held.size, rate, now_ms)
                account.fundings.append(entry)
                self.emit(AccountEvent(account.address, entry))

    def worth(self, user: str) -> Decimal:
        """Return what an account is worth at the marks, in USDC."""
        return value(self.accounts[user], self.marks)


__all__ = ["MARKET_TIFS", "Market"]
