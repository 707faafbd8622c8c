"""When a policy's wish becomes the stop that is wanted: what is learned of prices, and how often a move is worth it."""

from dataclasses import replace
from decimal import Decimal

from stopkeeper.core.believe import Held
from stopkeeper.core.case import Case, passed
from stopkeeper.core.outcomes import Accepted
from stopkeeper.core.policy import TrailKind
from stopkeeper.core.record import Trade
from stopkeeper.core.sizing import farther, on_grid
from stopkeeper.core.trailing import Course, improves, wanted, worth_it

ABOUT_FEE = Decimal("0.0005")  # the market's own is not at hand where prices are only watched
SURELY = Decimal("1.1")  # the grid takes a little of a wish: one just above a step may be none


def follow_price(trade: Trade, held: Held, case: Case) -> Trade:
    """Note the best price so far, and let the stop that is wanted follow it where the policy says so.

    Only a mark that no other source contradicts counts; a wish the price has already passed is none.
    """
    mark = held.position.mark if held.position else None
    if mark is None or not case.sure or trade.side is not held.side:
        return trade
    if not trade.policy.moves:
        return trade
    trade = _peak(trade, mark, held, case)
    if case.seen.atr is not None and case.seen.atr != trade.atr:
        trade = replace(trade, atr=case.seen.atr)
    wish = wish_of(trade, held, case)
    if wish is None or case.now < pause_ends_ms(trade, case):
        return trade
    trigger, why = wish
    return replace(
        trade,
        stop=trigger,
        stop_moved_by="policy",
        stop_moved_ms=case.now,
        stop_why=why,
        loosened=False,
        moves_refused=0,
    )


def _peak(trade: Trade, mark: Decimal, held: Held, case: Case) -> Trade:
    """Note the best price, by the worse of two sources; one source alone is believed no farther than a step.

    A person's move starts the count anew: else a policy would undo it at once.
    """
    second, sign = case.seen.second, held.side.sign
    if second is not None:
        mark = min(mark, second.value, key=lambda price: price * sign)
    by_person = trade.stop_moved_by == "person" and trade.stop_moved_ms > trade.peak_ms
    best = trade.peak if trade.peak is not None and not by_person else None
    known = best if best is not None else held.position.entry_price if held.position else mark
    if second is None and (mark - known) * sign >= known * case.rules.stop_step:
        return trade
    if best is None:
        since = max(case.now, trade.stop_moved_ms)
        return replace(trade, peak=mark, peak_from=mark if by_person else None, peak_ms=since)
    return replace(trade, peak=mark) if improves(mark, best, trade.side) else trade


def wish_of(trade: Trade, held: Held, case: Case) -> tuple[Decimal, str] | None:
    """Return the trigger a trade's policy wants now, on the grid, and why; None where it wants no better one."""
    if not trade.policy.moves or trade.stop is None or trade.peak is None or held.position is None:
        return None
    if trade.peak_from is not None and not improves(trade.peak, trade.peak_from, held.side):
        return None
    course = Course(
        side=held.side,
        entry=held.position.entry_price,
        first_stop=trade.first_stop,
        peak=trade.peak,
        fee=case.frame.market.taker_fee,
        atr=trade.atr,
        hit=trade.taken > 0,
    )
    wish = wanted(trade.policy, course)
    if wish is None:
        return None
    trigger = on_grid(wish[0], case.frame.market, farther(held.side))
    if _passed(trigger, held, case) or not worth_it(trigger, trade.stop, held.side, case.rules.stop_step):
        return None
    return trigger, wish[1]


def _passed(trigger: Decimal, held: Held, case: Case) -> bool:
    """Return whether any source shows the price at or beyond a trigger."""
    second = case.seen.second
    return case.beyond(trigger, held) or (second is not None and passed(second.value, trigger, held.side))


def pause_ends_ms(trade: Trade, case: Case) -> int:
    """Return until when the stop is not moved again by a policy: each move is two actions of the venue's budget."""
    moved = max(trade.moves_ms[-1] if trade.moves_ms else 0, trade.stop_moved_ms)
    return moved + case.rules.stop_interval_ms


def may_follow(trade: Trade, mark: Decimal, step: Decimal) -> bool:
    """Return whether a mark is worth a look because a policy would want a stop a step better than is wanted so far.

    What the best price known already asks for is under way or waits for the pause to end: that look is due by itself.
    """
    entry = _entry_price(trade)
    if not trade.policy.moves or trade.stop is None or trade.peak is None or entry is None:
        return False
    if not improves(mark, trade.peak, trade.side):
        return False
    new, known = (_wish_at(trade, best, entry) for best in (mark, trade.peak))
    under_way = known is not None and worth_it(known, trade.stop, trade.side, step * SURELY)
    base = known if under_way and known is not None else trade.stop
    return new is not None and worth_it(new, base, trade.side, step)


def _wish_at(trade: Trade, best: Decimal, entry: Decimal) -> Decimal | None:
    course = Course(trade.side, entry, trade.first_stop, best, ABOUT_FEE, trade.atr, trade.taken > 0)
    wish = wanted(trade.policy, course)
    return None if wish is None else wish[0]


def _entry_price(trade: Trade) -> Decimal | None:
    """Return about what a trade was entered at, by its acks: enough to know when to look."""
    for sent in trade.sent:
        if isinstance(sent.outcome, Accepted) and sent.outcome.filled > 0:
            return sent.outcome.average or sent.terms.worst_price
    return trade.opening_price


def needs_candles(trade: Trade | None) -> bool:
    """Return whether a trade's policy looks at candles."""
    return trade is not None and trade.policy.trail.kind is TrailKind.ATR and trade.entered_ms is not None
