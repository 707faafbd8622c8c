"""The rules of a trade, one function a concern: Case -> list of actions, or Wait. Pure, total, short.

[] = nothing for me. The order in which they are asked is the policy and stands in decide.py; what none of them may do
stands in guard.py; what a later turn must know is written by learn.py.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Literal

from stopkeeper.core.actions import (
    Book,
    Found,
    PlaceStop,
    Refuse,
    RestKind,
    Verdict,
    Wait,
)
from stopkeeper.core.asking import unheard_until_ms
from stopkeeper.core.believe import CoverKind, Flat, Held, covers_alone
from stopkeeper.core.case import LOOK_AGAIN_MS, Case, viewed_ms
from stopkeeper.core.danger import READINGS, flatten, surely_naked
from stopkeeper.core.entering import why_refused
from stopkeeper.core.evidence import exit_of, follow, side_of
from stopkeeper.core.model import Order, Role
from stopkeeper.core.orphans import closed_by_policy, covered_at, found_trade, said_of, taken_in
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import CloseAsk, Origin, Trade
from stopkeeper.core.sizing import worst_of_stop
from stopkeeper.core.targets import when_quiet
from stopkeeper.core.trailing import improves

Concern = Callable[[Case], Verdict]

Mover = Literal["entry", "person", "policy", "venue"]


def ending(c: Case) -> Verdict:
    """A trade ends where its own fills reach or cross zero; what is held after that is a successor's."""
    trade = c.trade
    if trade is None or not (c.chain.closed and c.chain.whole) or not isinstance(c.belief, Held):
        return []
    held = c.belief
    opening, price, fee = c.chain.carried()
    if not c.chain.after and not opening and held.position is not None:
        # no fill tells yet how it was opened: what the venue shows must do
        opening, price = held.size * held.side.sign, held.position.entry_price
    side = side_of(opening) if opening else held.side
    successor = found_trade(c, held, c.chain.closed_ms, opening, price, side, fee)
    why = "its own fills reached zero and a position is held that is not its"
    return [_book(c, trade, why, successor)]


def protection(c: Case) -> Verdict:
    """A position without whole cover gets a stop; one that no trade owns gets a trade first."""
    if not isinstance(c.belief, Held):
        return []
    held = c.belief
    if c.trade is None:
        return _take_in(c, held)
    if c.lifted or c.left_alone:
        return []
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
    if c.now < c.trade.stop_tried_ms + c.again_ms and not (smaller and c.trade.stop_answers < 2):
        return Wait(c.trade.stop_tried_ms + c.again_ms, "a stop was tried a moment ago and is not there")
    return [_stop(c, held, size, wanted, _mover(c, c.trade, held, wanted), "the position is naked")]


def _blind_stop(c: Case, held: Held) -> Verdict:
    """Orders cannot be read, but an ack or fill says a position exists: a second stop is litter, none is a loss."""
    wanted = c.wanted_stop(held)
    if wanted is None or c.trade is None or not surely_naked(c.trade):
        return []
    if c.now < c.trade.stop_tried_ms + c.again_ms:
        return Wait(c.trade.stop_tried_ms + c.again_ms, "a stop was tried a moment ago and orders cannot be read")
    return [_stop(c, held, held.size, wanted, "entry", "a position exists and its stops cannot be read")]


def _mover(c: Case, trade: Trade, held: Held, trigger: Decimal) -> Mover:
    """Return who wants a stop there: whoever moved the trade's own last, or the venue, whose liquidation price does."""
    return trade.stop_moved_by if trigger == c.own_stop(held) else "venue"


def _stop(c: Case, held: Held, size: Decimal, trigger: Decimal, moved_by: Mover, why: str) -> PlaceStop:
    return PlaceStop(size, trigger, worst_of_stop(trigger, held.side, c.rules, c.frame.market), moved_by, why)


def _take_in(c: Case, held: Held) -> Verdict:
    """A position no trade owns becomes a trade of origin found, so that it is driven like any other."""
    assert held.position is not None  # without a trade no ack speaks of it
    assert not isinstance(c.seen.position, Unknown)
    trade = taken_in(c, held, held.position, c.seen.position.at_ms)
    return [Found(trade, f"a position is held that no trade owns, {said_of(trade)}")]


def time_up_ms(trade: Trade | None) -> int | None:
    """Return when a trade's time is up, or None where it has no limit or has not entered."""
    limit = trade.signal.time_limit_ms if trade and trade.signal else None
    return None if trade is None or limit is None or trade.entered_ms is None else trade.entered_ms + limit


def closing(c: Case) -> Verdict:
    """Somebody asked to close, or the trade's time is up; who asks means what is held now, whosever it is."""
    trade = c.trade
    if trade is None or not isinstance(c.belief, Held):
        return []
    ask, up, doubt = trade.close, time_up_ms(trade), _whose_now(c, c.belief, trade)
    timely = up is not None and c.now >= up
    if timely and not doubt:
        return flatten(c, c.belief, "time_limit", "the trade's time is up")
    if ask is None and not timely:
        return []
    if ask is None or (trade.flat_since_ms is not None and ask.asked_ms <= trade.flat_since_ms):
        return Wait(c.now + LOOK_AGAIN_MS, doubt)
    if ask.keep_fraction > 0:
        return _close_part(c, c.belief, ask)
    why = "the policy closes a position that is nobody's" if closed_by_policy(trade) else "somebody asked to close"
    return flatten(c, c.belief, ask.reason, why)


def _whose_now(c: Case, held: Held, trade: Trade) -> str:
    """Say why what is held may be another's than the trade's, whose time and earlier wishes then close nothing."""
    if trade.flat_since_ms is not None:
        return "it was flat, and no fills tell yet whose position is held now"
    if not c.chain.whole and held.side is not trade.side:
        return "it was turned over, and no fills tell yet whose position is held now"
    return ""


def _close_part(c: Case, held: Held, ask: CloseAsk) -> Verdict:
    """Closing a part twice closes too much: the position must be read after all we sent could show in it."""
    read = c.seen.position
    if ask.keep_size is None or isinstance(read, Unknown) or read.at_ms <= c.record.quiet_ms:
        return when_quiet(c, "a part is to be closed once all we sent can show in the position")
    return flatten(c, held, ask.reason, "somebody asked to close a part", ask.keep_size)


def trailing(c: Case) -> Verdict:
    """Another stop is wanted than the one that stands: place it; hygiene takes the old one once it is seen."""
    if not isinstance(c.belief, Held) or c.belief.by != "venue" or c.trade is None or not c.whole:
        return []
    if c.lifted or c.left_alone:
        return []
    held, trade, best = c.belief, c.trade, covered_at(c, c.belief)
    if best is None or c.unseen(Role.STOP) or trade.side is not held.side:
        return []
    move = _move(c, held, trade, best)
    if move is None:
        return []
    if _is_rumour(c, held, trade, move[0]):
        return Wait(c.now + LOOK_AGAIN_MS, "one reading of the liquidation price asks for a nearer stop: looking again")
    if c.now < _tried_again_ms(trade, c):
        return []  # this very move was just tried
    if viewed_ms(c.seen, c.now) <= c.record.quiet_ms:
        return when_quiet(c, "a stop is to be moved once all we sent can be seen")
    trigger, why = move
    return [_stop(c, held, held.size, trigger, _mover(c, trade, held, trigger), why)]


def _tried_again_ms(trade: Trade, c: Case) -> int:
    """Return from when on a move may be tried again: the longer, the oftener it was refused."""
    if trade.stop_moved_ms > trade.stop_tried_ms:
        return 0
    return trade.stop_tried_ms + c.rules.retry_ms * (1 << min(trade.moves_refused, 6))


def move_due_ms(c: Case, held: Held) -> int | None:
    """Return when a stop that does not stand where or as large as it is wanted may be moved; None = it stands well."""
    trade, best = c.trade, covered_at(c, held)
    if trade is None or best is None or trade.side is not held.side or c.lifted or c.left_alone:
        return None
    stood = trade.sized_ms + c.frame.can.lag_ms
    if c.now < stood and any(not o.whole and o.size > held.size for o in c.cover.stops):
        return max(stood, _tried_again_ms(trade, c)) + 1
    return _tried_again_ms(trade, c) + 1 if _move(c, held, trade, best) else None


def _ours(c: Case, stops: Iterable[Order]) -> bool:
    mine = {o.id for o, k in c.ours if k.role is Role.STOP}
    return any(o.id in mine for o in stops)


def _is_rumour(c: Case, held: Held, trade: Trade, wanted: Decimal) -> bool:
    """Return whether only one reading of a liquidation price asks for a nearer stop: such a move is never undone."""
    pressed = trade.pressed
    return wanted != c.own_stop(held) and pressed is not None and pressed.readings < READINGS


def _move(c: Case, held: Held, trade: Trade, best: Decimal) -> tuple[Decimal, str] | None:
    """Return where the stop is to go and why; None where it stands well."""
    wanted = c.moved_stop(best, held)
    alone = [o for o in c.cover.stops if covers_alone(o, held)]
    if wanted is not None and not c.stands_at(best, wanted, held) and not c.beyond(wanted, held):
        why = f"the stop moves from {best:f} to {wanted:f}" + (f": {trade.stop_why}" if trade.stop_why else "")
        there = any(o.trigger is not None and c.stands_at(o.trigger, wanted, held) for o in alone)
        if improves(wanted, best, held.side):
            return wanted, why
        if trade.loosened:  # once it is seen, hygiene takes the nearer ones
            return None if there else (wanted, f"{why}, as a person said")
    at_best = [o for o in alone if o.trigger == best]
    too_large = all(not o.whole and o.size > held.size for o in at_best)
    if (
        c.now >= trade.sized_ms + c.frame.can.lag_ms
        and not c.entries
        and too_large
        and _ours(c, at_best or c.cover.stops)
    ):
        return best, f"the stop at {best:f} follows the position, which is {held.size:f} now"
    return None


def booking(c: Case) -> Verdict:
    """Flat, clean and quiet: write the exit into the ledger, or end a signal that never entered."""
    for old in c.record.settling:
        if c.now < old.settle_tried_ms + c.rules.incomplete_after_ms:
            continue
        chain = follow(old, c.seen.fills, c.frame.installation)
        if chain.closed and chain.whole:
            done = exit_of(old, chain, c.rules, c.frame.installation)
            return [Book(old, done, chain.used, None, "the fills that were missing have come")]
    trade = c.trade
    if trade is None or not isinstance(c.belief, Flat):
        return []
    if not isinstance(c.seen.orders, Unknown) and (c.ours or c.hidden or c.seen.orders.at_ms <= c.record.quiet_ms):
        due = max(c.record.quiet_ms + 1, c.denial_due_ms)
        return Wait(due, "flat: waiting until nothing of ours can still appear")
    if isinstance(c.seen.orders, Unknown) or isinstance(c.seen.fills, Unknown):
        return Wait(c.now + LOOK_AGAIN_MS, "flat: orders or fills could not be read", RestKind.BLIND)
    unheard_ms = unheard_until_ms(c.record, c.frame.can.lag_ms) if trade.origin is Origin.FOUND else None
    if unheard_ms is not None:
        due = max(unheard_ms + 1, c.now + 2 * LOOK_AGAIN_MS)
        return Wait(due, "flat: waiting for the venue's history of orders to name what a lost record sent")
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
