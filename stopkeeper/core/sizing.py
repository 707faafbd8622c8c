"""From a wish to terms: how much, at which prices, on the venue's grid, never at more risk than was asked.

And the door: each reason a signal cannot be accepted, as a sentence.
"""

from dataclasses import dataclass
from decimal import Decimal

from stopkeeper.core.model import ZERO, Amount, Distance, Funds, MarginMode, Market, Resting, Side, Signal
from stopkeeper.core.prices import Toward, to_grid, to_step
from stopkeeper.core.record import Goal, TargetTerms, Terms
from stopkeeper.core.rules import Rules
from stopkeeper.core.slices import ordered, slices


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value cannot be accepted: the field, what it was, what is wrong, and what would be right."""

    field: str
    value: str
    reason: str
    hint: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason} (got {self.value}); {self.hint}"


def on_grid(price: Decimal, market: Market, toward: Toward) -> Decimal:
    """Round a price to a market's grid."""
    return to_grid(price, decimals=market.decimals, significant=market.significant, tick=market.tick, toward=toward)


def nearer(side: Side) -> Toward:
    """Return the direction in which a stop of this side moves towards the price."""
    return Toward.UP if side is Side.LONG else Toward.DOWN


def farther(side: Side) -> Toward:
    """Return the direction in which a stop of this side moves away from the price."""
    return Toward.DOWN if side is Side.LONG else Toward.UP


def worst_of_stop(trigger: Decimal, side: Side, rules: Rules, market: Market) -> Decimal:
    """Return the worst price a market stop of a position of this side may fill at."""
    return on_grid(trigger * (1 - side.sign * rules.stop_worst), market, farther(side))


def liquidation_estimate(entry: Decimal, side: Side, leverage: int, market: Market) -> Decimal:
    """Estimate where an isolated position is liquidated (Hyperliquid docs, liquidations): margin left = maintenance."""
    rate = market.maintenance_rate
    room = entry * (Decimal(1) / leverage - rate) / (1 - rate * side.sign)
    return max(ZERO, entry - side.sign * room)


def safe_edge(entry: Decimal, liquidation: Decimal, rules: Rules) -> Decimal:
    """Return the farthest a stop may stand: the liquidation price plus a buffer of the distance to the entry."""
    return liquidation + (entry - liquidation) * rules.liquidation_buffer


def leverage_of(signal: Signal, rules: Rules) -> int:
    """Return the leverage a signal is entered with: its own, else the account's."""
    return signal.leverage if signal.leverage is not None else rules.leverage


def _distance(wish: Distance, mark: Decimal, sign: int) -> Decimal:
    if wish.price is not None:
        return wish.price
    return mark * (1 + sign * (wish.fraction or ZERO))


def _said(wish: Distance, price: Decimal | None = None) -> str:
    """Say a price as it was asked for, and what a distance came to."""
    if wish.price is not None:
        return f"{wish.price:f}"
    came_to = "" if price is None else f", which is {price:f}"
    return f"{(wish.fraction or ZERO) * 100:f}%{came_to}"


def _asked(amount: Amount) -> tuple[str, str]:
    """Return the field an amount was given in, and the amount as it was asked for."""
    given = (("size", amount.size), ("notional", amount.notional), ("risk", amount.risk))
    return next((name, f"{value:f}") for name, value in given if value is not None)


def _named(reference: Decimal, mark: Decimal) -> str:
    return f"the price {mark:f}" if reference == mark else f"both the limit {reference:f} and the price {mark:f}"


def _size(signal: Signal, market: Market, reference: Decimal, stop: Decimal) -> Decimal:
    amount = signal.amount
    if amount.size is not None:
        size = amount.size
    elif amount.notional is not None:
        size = amount.notional / reference
    else:
        per_unit = abs(reference - stop) + market.taker_fee * (reference + stop)
        size = (amount.risk or ZERO) / per_unit
    return to_step(size, market.size_step, Toward.DOWN)


def work_out(signal: Signal, market: Market, mark: Decimal, rules: Rules, funds: Funds | None) -> Terms | Refusal:
    """Turn a signal into terms at a mark, or say why it cannot be accepted."""
    side, sign = signal.side, signal.side.sign
    if signal.price is not None and signal.max_deviation is not None:
        off = abs(mark - signal.price) / signal.price
        if off > signal.max_deviation:
            reason = f"the price {mark:f} is {off:.2%} away from it, more than {signal.max_deviation:.2%}"
            return Refusal("price", f"{signal.price:f}", reason, "send a signal at today's price")
    reference = signal.limit if signal.limit is not None else mark
    raw_worst = signal.limit if signal.limit is not None else mark * (1 + sign * rules.entry_worst)
    worst = on_grid(raw_worst, market, farther(side))
    # what rests is far from the mark: its distances count from where it will fill
    base = mark if signal.resting is Resting.NO else reference
    raw_stop = _distance(signal.stop, base, -sign)
    if raw_stop <= 0:
        return Refusal(
            "stop", _said(signal.stop), "a stop must be a price above 0", "give a price or a percentage below 100"
        )
    stop = on_grid(raw_stop, market, nearer(side))
    if (mark - stop) * sign <= 0 or (reference - stop) * sign <= 0:
        where = "below" if side is Side.LONG else "above"
        return Refusal(
            "stop",
            _said(signal.stop, stop),
            f"the stop of a {side} must be {where} {_named(reference, mark)}",
            f"give a stop {where} it",
        )
    goals = _goals(signal, market, base, reference)
    if isinstance(goals, Refusal):
        return goals
    size = _size(signal, market, reference, stop)
    refusal = _door(signal, market, rules, funds, reference, stop, size)
    if refusal is not None:
        return refusal
    sizes = slices(goals, size, ZERO, size, market)
    if goals and not any(sizes):
        return _too_small(goals, size, market)
    leaving = zip(goals, sizes, strict=True) if signal.resting is Resting.NO else ()
    return Terms(
        size=size,
        worst_price=worst,
        stop=stop,
        stop_worst=worst_of_stop(stop, side, rules, market),
        mark=mark,
        goals=goals,
        targets=tuple(
            TargetTerms(part, goal.price, worst_of_stop(goal.price, side, rules, market))
            for goal, part in leaving
            if part
        ),
        resting=signal.resting,
    )


def _goals(signal: Signal, market: Market, base: Decimal, reference: Decimal) -> tuple[Goal, ...] | Refusal:
    """Return the targets on the grid, nearest first; those without a part share equally what the others leave."""
    side, sign = signal.side, signal.side.sign
    said = [wish.fraction for wish in signal.targets if wish.fraction is not None]
    rest, silent = 1 - sum(said, ZERO), len(signal.targets) - len(said)
    if rest < 0 or (silent and rest <= 0):
        parts = ", ".join(f"{part * 100:f}%" for part in said)
        return Refusal("target", parts, "the targets take more than the whole position", "let the parts add up to 100%")
    goals = []
    for wish in signal.targets:
        price = on_grid(_distance(wish.at, base, sign), market, farther(side))
        if (price - base) * sign <= 0 or (price - reference) * sign <= 0 or price <= 0:
            where = "above" if side is Side.LONG else "below"
            reason = f"the target of a {side} must be {where} the price {base:f}"
            return Refusal("target", _said(wish.at, price), reason, f"give one {where} it")
        goals.append(Goal(price, rest / silent if wish.fraction is None else wish.fraction))
    return ordered(goals, sign)


def _too_small(goals: tuple[Goal, ...], size: Decimal, market: Market) -> Refusal:
    part = f"{goals[0].fraction * 100:f}% of {size:f}"
    reason = f"no target is worth the venue's minimum of {market.min_notional} USD"
    return Refusal("target", part, reason, "let a target take a larger part, or ask for more")


def _door(
    signal: Signal, market: Market, rules: Rules, funds: Funds | None, reference: Decimal, stop: Decimal, size: Decimal
) -> Refusal | None:
    notional, leverage, limits = size * reference, leverage_of(signal, rules), rules.limits
    if size <= 0 or notional < market.min_notional:
        return Refusal(
            *_asked(signal.amount),
            f"the order is worth {notional:.2f} USD, below the venue's minimum of {market.min_notional} USD",
            f"ask for at least {market.min_notional} USD; {signal.key.symbol} trades in steps of {market.size_step:f}",
        )
    top = min(market.max_leverage, limits.max_leverage or market.max_leverage)
    if not 1 <= leverage <= top:
        whose = "the account's limit" if limits.max_leverage and top == limits.max_leverage else "the venue's limit"
        return Refusal("leverage", str(leverage), f"leverage must be from 1 to {top}, {whose}", f"use {top} or less")
    if limits.max_notional is not None and notional > limits.max_notional:
        return Refusal(
            "notional",
            f"{notional:.2f}",
            f"the order is above the account's limit of {limits.max_notional:f} USD",
            "ask for less, or raise risk.max_notional",
        )
    distance = abs(reference - stop) / reference
    if limits.max_stop_distance is not None and distance > limits.max_stop_distance:
        return Refusal(
            "stop",
            _said(signal.stop, stop),
            f"the stop is {distance:.2%} away, beyond the account's limit of {limits.max_stop_distance:.2%}",
            "bring the stop nearer, or raise risk.max_stop_distance",
        )
    if rules.margin_mode is MarginMode.ISOLATED:
        liquidation = liquidation_estimate(reference, signal.side, leverage, market)
        edge = safe_edge(reference, liquidation, rules)
        if (stop - edge) * signal.side.sign < 0:
            return Refusal(
                "stop",
                _said(signal.stop, stop),
                f"at {leverage}x liquidation is near {liquidation:.6g}, so a stop must stand within {edge:.6g}",
                "bring the stop nearer or use less leverage",
            )
    if funds is not None and notional / leverage > funds.free:
        return Refusal(
            *_asked(signal.amount),
            f"it needs {notional / leverage:.2f} USD of margin and {funds.free:.2f} USD are free",
            "ask for less, or use more leverage with a nearer stop",
        )
    return None
