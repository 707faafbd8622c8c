"""The rules of a trade, one function a concern: Case -> list of actions, or Wait. Pure, total, short.

[] = nothing for me. The order in which they are asked is the policy and stands in decide.py; what none of them may do
stands in guard.py; what a later turn must know is written by learn.py.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from stopkeeper.core.actions import (
    Book,
    Cancel,
    Flatten,
    Found,
    PlaceStop,
    PlaceTarget,
    Refuse,
    RestKind,
    Verdict,
    Wait,
)
from stopkeeper.core.believe import CoverKind, Flat, Held
from stopkeeper.core.case import LOOK_AGAIN_MS, Case
from stopkeeper.core.entering import why_refused
from stopkeeper.core.evidence import exit_of, follow, side_of
from stopkeeper.core.hygiene import is_target
from stopkeeper.core.model import ZERO, Role
from stopkeeper.core.orphans import best_trigger, found_trade
from stopkeeper.core.outcomes import Reason, Unknown
from stopkeeper.core.record import CloseAsk, Trade
from stopkeeper.core.sizing import worst_of_stop
from stopkeeper.core.trailing import improves

Concern = Callable[[Case], Verdict]

Mover = Literal["entry", "person", "policy", "venue"]


def ending(c: Case) -> Verdict:
    """A trade ends where its own fills reach or cross zero; what is held after that is a successor's."""
    trade = c.trade
    if trade is None or not (c.chain.closed and c.chain.whole) or not isinstance(c.belief, Held):
        return []
    held = c.belief
    opening, price = c.chain.carried()
    if not c.chain.after and not opening and held.position is not None:
        # no fill tells yet how it was opened: what the venue shows must do
        opening, price = held.size * held.side.sign, held.position.entry_price
    side = side_of(opening) if opening else held.side
    successor = found_trade(c, held, c.chain.closed_ms, opening, price, side)
    why = "its own fills reached zero and a position is held that is not its"
    return [_book(c, trade, why, successor)]


def danger(c: Case) -> Verdict:
    """Naked with the price beyond the stop, naked too long, or halted: out, at once."""
    if not isinstance(c.belief, Held):
        return []
    held, trade = c.belief, c.trade
    if trade is None:
        return []  # it is taken in first: that costs one write, and its close is waited for and booked like any other
    if c.frame.switches.halted:
        return _flatten(c, held, "manual_close", "the account is halted")
    if c.unseen(Role.STOP) or not (c.orders_known or _surely_naked(trade)):
        return []
    wanted = c.wanted_stop(held)
    if not c.naked:
        return _overtaken(c, held, wanted)
    fired = [o for o in c.live if o.fired and o.reduce_only and o.side is held.side.opposite]
    since = trade.naked_since_ms if trade.naked_since_ms is not None else c.now
    patience = max(c.rules.fired_patience_ms, c.frame.can.lag_ms)
    if fired and c.now - since < patience and not any(o.price and c.beyond(o.price, held) for o in fired):
        return Wait(c.now + LOOK_AGAIN_MS, "a stop has fired and the venue is at work")
    if trade.crossed or (wanted is not None and c.beyond(wanted, held)):
        return _flatten(c, held, "emergency_exit", "naked, and the price is beyond the stop")
    if c.now - since >= c.rules.naked_limit_ms and trade.stop_answers > 0:
        return _flatten(c, held, "emergency_exit", f"naked for {c.now - since} ms and no stop holds")
    if len(trade.lost_ms) >= c.rules.lost_cover_times:
        return _flatten(c, held, "emergency_exit", f"cover was lost {len(trade.lost_ms)} times within a minute")
    return []


def _overtaken(c: Case, held: Held, wanted: Decimal | None) -> Verdict:
    """The price has passed where the stop belongs while only a farther one stands: no order can be placed there."""
    best = best_trigger(c, held)
    if wanted is None or best is None or held.by != "venue":
        return []
    if improves(wanted, best, held.side) and c.beyond(wanted, held):
        own = c.trade is not None and c.trade.stop is not None and wanted == c.trade.stop
        why = f"the price has passed {wanted:f}, where the stop belongs, and only {best:f} stands"
        return _flatten(c, held, "stop_loss" if own else "emergency_exit", why)
    return []


def _surely_naked(trade: Trade) -> bool:
    """Return whether a position is naked though its orders cannot be read: no stop was ever seen or accepted."""
    return not trade.covered and not any(p.role is Role.STOP for p in trade.placed)


def _flatten(c: Case, held: Held, reason: str, why: str, keep: Decimal = ZERO) -> Verdict:
    trade = c.trade
    acked = c.unseen(Role.FLATTEN)
    if acked and trade and held.by == "venue" and held.size > trade.held:
        return Wait(c.now + LOOK_AGAIN_MS, "a close was accepted and the position does not show it yet")
    if held.by == "ack" and not isinstance(c.seen.position, Unknown):
        return Wait(c.now + LOOK_AGAIN_MS, "the position is not shown yet: a close would find nothing to close")
    if trade and c.now < trade.flatten_tried_ms + LOOK_AGAIN_MS:
        return Wait(trade.flatten_tried_ms + LOOK_AGAIN_MS, "a close was tried a moment ago")
    going = {order for order, _ in c.record.canceled}  # a cancel that was refused must not hold the close up again
    entries = [Cancel(o.id, Role.ENTRY, why) for o, k in c.ours if k.role is Role.ENTRY and o.id not in going]
    steps = c.rules.flatten_worst
    worst = steps[min(trade.widen if trade else 0, len(steps) - 1)]
    return [*entries, Flatten(worst, reason, why, keep)]


def protection(c: Case) -> Verdict:
    """A position without whole cover gets a stop; one that no trade owns gets a trade first."""
    if not isinstance(c.belief, Held):
        return []
    held = c.belief
    if c.trade is None:
        return _take_in(c, held)
    if not c.orders_known:
        return _blind_stop(c, held)
    waiting = c.unseen(Role.STOP)
    if waiting:
        soon = Wait(c.now + LOOK_AGAIN_MS, "a stop was accepted and is not visible yet")
        return soon if not c.whole else []
    if not c.naked:
        return []
    wanted = c.wanted_stop(held)
    if wanted is None:
        return Wait(c.now + LOOK_AGAIN_MS, "no price is known to place a stop by")
    size, smaller = held.size, c.trade.oversize and c.cover.kind is CoverKind.SUM
    if smaller:
        size = held.size - c.cover.size
    if c.now < c.trade.stop_tried_ms + LOOK_AGAIN_MS and not (smaller and c.trade.stop_answers < 2):
        return Wait(c.trade.stop_tried_ms + LOOK_AGAIN_MS, "a stop was tried a moment ago and is not there")
    return [_stop(c, held, size, wanted, "entry", "the position is naked")]


def _blind_stop(c: Case, held: Held) -> Verdict:
    """Orders cannot be read, but an ack or fill says a position exists: a second stop is litter, none is a loss."""
    wanted = c.wanted_stop(held)
    if wanted is None or c.trade is None or not _surely_naked(c.trade):
        return []
    if c.now < c.trade.stop_tried_ms + LOOK_AGAIN_MS:
        return Wait(c.trade.stop_tried_ms + LOOK_AGAIN_MS, "a stop was tried a moment ago and orders cannot be read")
    return [_stop(c, held, held.size, wanted, "entry", "a position exists and its stops cannot be read")]


def _stop(c: Case, held: Held, size: Decimal, trigger: Decimal, moved_by: Mover, why: str) -> PlaceStop:
    return PlaceStop(size, trigger, worst_of_stop(trigger, held.side, c.rules, c.frame.market), moved_by, why)


def _take_in(c: Case, held: Held) -> Verdict:
    """A position no trade owns becomes a trade of origin found, so that it is driven like any other."""
    if held.by != "venue" or held.position is None or isinstance(c.seen.position, Unknown):
        return []
    trade = found_trade(c, held, c.seen.position.at_ms, held.size, held.position.entry_price)
    return [Found(trade, "a position is held that no trade owns")]


def time_up_ms(trade: Trade | None) -> int | None:
    """Return when a trade's time is up, or None where it has no limit or has not entered."""
    limit = trade.signal.time_limit_ms if trade and trade.signal else None
    return None if trade is None or limit is None or trade.entered_ms is None else trade.entered_ms + limit


def closing(c: Case) -> Verdict:
    """Somebody asked to close, or the trade's time is up."""
    trade = c.trade
    if trade is None or not isinstance(c.belief, Held):
        return []
    up = time_up_ms(trade)
    if up is not None and c.now >= up:
        return _flatten(c, c.belief, "time_limit", "the trade's time is up")
    if trade.close is None:
        return []
    if trade.close.keep_fraction > 0:
        return _close_part(c, c.belief, trade.close)
    return _flatten(c, c.belief, trade.close.reason, "somebody asked to close")


def _close_part(c: Case, held: Held, ask: CloseAsk) -> Verdict:
    """Closing a part twice closes too much: the position must be read after all we sent could show in it."""
    read = c.seen.position
    if ask.keep_size is None or isinstance(read, Unknown) or read.at_ms <= c.record.quiet_ms:
        return _when_quiet(c, "a part is to be closed once all we sent can show in the position")
    return _flatten(c, held, ask.reason, "somebody asked to close a part", ask.keep_size)


def _when_quiet(c: Case, why: str) -> Wait:
    """What is no emergency is not sent twice because an answer was lost or a view lags."""
    return Wait(max(c.record.quiet_ms + 1, c.now + LOOK_AGAIN_MS), why, RestKind.PROTECTED)


def trailing(c: Case) -> Verdict:
    """A better stop is wanted than the one that stands: place it; hygiene takes the old one once it is seen."""
    if not isinstance(c.belief, Held) or c.belief.by != "venue" or c.trade is None or not c.whole or not c.cover.stops:
        return []
    held, trade = c.belief, c.trade
    wanted = c.wanted_stop(held)
    if wanted is None or c.unseen(Role.STOP) or trade.side is not held.side:
        return []
    best = best_trigger(c, held)
    if best is None or not improves(wanted, best, held.side) or c.beyond(wanted, held):
        return []
    if wanted != c.own_stop(held) and abs(wanted - best) < best * c.rules.stop_step:
        return []  # the liquidation price drifts: not every tick of it is worth two actions
    if trade.stop_moved_ms <= trade.stop_tried_ms and c.now < trade.stop_tried_ms + c.rules.retry_ms:
        return []  # this very move was just tried
    if c.now <= c.record.quiet_ms:
        return _when_quiet(c, "a stop is to be moved once all we sent can be seen")
    return [_stop(c, held, held.size, wanted, trade.stop_moved_by, f"the stop moves from {best:f} to {wanted:f}")]


def targets(c: Case) -> Verdict:
    """A protected position whose trade names a target has a take-profit of its size beside the stop."""
    if not isinstance(c.belief, Held) or c.belief.by != "venue" or c.trade is None or not c.whole or not c.entered:
        return []
    held, trade = c.belief, c.trade
    if trade.target is None or trade.side is not held.side or c.unseen(Role.TARGET):
        return []
    passed = c.mark is not None and (c.mark - trade.target) * held.side.sign >= 0
    if sum((held.size if o.whole else o.size for o in c.live if is_target(o, held)), ZERO) >= held.size:
        return []
    if any(is_target(replace(o, fired=False), held) for o in c.live if o.fired):
        return []  # a target is at work
    if trade.target_refused == Reason.CROSSED and passed:
        return _flatten(c, held, "take_profit", "the price is beyond the target and the venue takes no order there")
    if trade.target_refused and trade.target_refused != Reason.CROSSED:
        return []
    if c.now < trade.target_tried_ms + c.rules.retry_ms:
        return []
    if c.now <= c.record.quiet_ms:
        return _when_quiet(c, "a target is to be placed once all we sent can be seen")
    worst = worst_of_stop(trade.target, held.side, c.rules, c.frame.market)
    return [PlaceTarget(held.size, trade.target, worst, "the position has no whole target")]


def booking(c: Case) -> Verdict:
    """Flat, clean and quiet: write the exit into the ledger, or end a signal that never entered."""
    for old in c.record.settling:
        chain = follow(old, c.seen.fills, c.frame.installation)
        if chain.closed and chain.whole:
            done = exit_of(old, chain, c.rules, c.frame.installation)
            return [Book(old, done, chain.used, None, "the fills that were missing have come")]
    trade = c.trade
    if trade is None or not isinstance(c.belief, Flat):
        return []
    if not isinstance(c.seen.orders, Unknown) and (c.ours or c.seen.orders.at_ms <= c.record.quiet_ms):
        due = max(c.record.quiet_ms + 1, c.now + LOOK_AGAIN_MS)
        return Wait(due, "flat: waiting until nothing of ours can still appear")
    if isinstance(c.seen.orders, Unknown) or isinstance(c.seen.fills, Unknown):
        return Wait(c.now + LOOK_AGAIN_MS, "flat: orders or fills could not be read", RestKind.BLIND)
    if not c.entered:
        return [Refuse(why_refused(c, trade))]
    if c.chain.closed and c.chain.whole:
        return [_book(c, trade, c.belief.why, None)]
    since = trade.flat_since_ms if trade.flat_since_ms is not None else c.now
    if c.now - since < c.rules.incomplete_after_ms:
        return Wait(c.now + 2 * LOOK_AGAIN_MS, "flat: waiting for the fills that closed it")
    return [_book(c, trade, "flat for a minute and its fills do not add up: booked as incomplete", None)]


def _book(c: Case, trade: Trade, why: str, successor: Trade | None) -> Book:
    return Book(trade, exit_of(trade, c.chain, c.rules, c.frame.installation), c.chain.used, successor, why)
