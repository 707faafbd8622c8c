"""The concern ``danger``: when a position must be closed at once, and the one way in which anything is closed.

Two lines of defence meet here. The first is the stop at the venue; where it is missing and the price is beyond it,
where it fired and found nobody, or where it should have fired and did not, the second closes the position. No single
reading of a price ever does that: two sources must agree, or the venue itself must say that a trigger is crossed.
"""

from decimal import Decimal

from stopkeeper.core.actions import Action, Cancel, Flatten, Verdict, Wait
from stopkeeper.core.believe import Held
from stopkeeper.core.case import LOOK_AGAIN_MS, Case
from stopkeeper.core.model import ZERO, Role
from stopkeeper.core.orphans import covered_at
from stopkeeper.core.outcomes import Accepted, Unknown
from stopkeeper.core.record import Sighting, Trade
from stopkeeper.core.trailing import improves

READINGS = 2  # so many of different moments make a thing that may close a position
WHOSE_AGAIN_MS = 5_000  # when to ask again whose a covered position is
TRIES = 3  # of a stop, after which it counts as tried however long a look took
REFUSALS = 3  # a stop that cannot be brought inside the liquidation price in so many tries will not be


def danger(c: Case) -> Verdict:
    """Halted, naked beyond the stop or for too long, or a stop that should have saved it and did not: out, at once."""
    if not isinstance(c.belief, Held):
        return []
    held, trade = c.belief, c.trade
    if trade is None:
        return []  # it is taken in first: that costs one write, and its close is waited for and booked like any other
    if c.frame.switches.halted:
        return flatten(c, held, "manual_close", "the account is halted")
    if c.lifted or c.left_alone or c.unseen(Role.STOP) or not (c.orders_known or surely_naked(trade)):
        return []
    return _naked(c, held, trade) if c.naked else _overtaken(c, held, trade)


def _naked(c: Case, held: Held, trade: Trade) -> Verdict:
    wanted = c.wanted_stop(held)
    fired = [o for o in c.live if o.fired and o.reduce_only and o.side is held.side.opposite]
    since = max(trade.naked_since_ms if trade.naked_since_ms is not None else c.now, trade.off_until_ms)
    patience = _patience(c)
    worst = any(o.price and c.surely_beyond(o.price, held) for o in fired)
    if fired and c.now - since < patience and not worst:
        return Wait(c.now + LOOK_AGAIN_MS, "a stop has fired and the venue is at work")
    if trade.crossed or (wanted is not None and c.surely_beyond(wanted, held)):
        return flatten(c, held, "emergency_exit", "naked, and the price is beyond the stop")
    lately = trade.stop_answers > 0 and c.now - trade.stop_tried_ms <= c.rules.naked_limit_ms
    tried = lately or trade.stop_answers >= TRIES  # where nobody acted for as long, a stop is tried first
    if tried and c.now - since >= c.rules.naked_limit_ms:
        return flatten(c, held, "emergency_exit", f"naked for {c.now - since} ms and no stop holds")
    if len(trade.lost_ms) >= c.rules.lost_cover_times:
        return flatten(c, held, "emergency_exit", f"cover was lost {len(trade.lost_ms)} times within a minute")
    return []


def _patience(c: Case) -> int:
    """Return how long the venue is given to carry out a stop that is due."""
    return max(c.rules.fired_patience_ms, c.frame.can.lag_ms)


def _overtaken(c: Case, held: Held, trade: Trade) -> Verdict:
    """A stop stands and does not protect: the price is beyond it, or where it belongs no order can be placed."""
    best = covered_at(c, held)
    if best is None or held.by != "venue":
        return []
    if trade.beyond is not None:
        if not _confirmed(trade.beyond, c, _patience(c)):
            return Wait(c.now + LOOK_AGAIN_MS, f"the price is beyond the stop at {best:f}: the venue may be at work")
        why = f"the price is beyond the stop at {best:f} and the venue has not carried it out"
        return flatten(c, held, "emergency_exit", why)
    wanted = c.moved_stop(best, held)
    if wanted is None or not improves(wanted, best, held.side):
        return []
    if c.surely_beyond(wanted, held):
        own = trade.stop is not None and wanted == trade.stop
        moved = "trailing_stop" if trade.stop_moved_by == "policy" else "stop_loss"
        if not own and trade.unsafe is None:
            return []  # what stands is in front of the liquidation price, if not by the whole buffer: it will work
        if not own and not (trade.unsafe and _confirmed(trade.unsafe, c, 0)):
            return Wait(c.now + LOOK_AGAIN_MS, "the liquidation price seems to lie in front of the stop: looking again")
        asked = whose(c, held, trade) if own else None
        if asked is not None:
            return asked
        why = f"the price has passed {wanted:f}, where the stop belongs, and only {best:f} stands"
        return flatten(c, held, moved if own else "emergency_exit", why)
    if trade.unsafe and _confirmed(trade.unsafe, c, c.rules.naked_limit_ms) and trade.moves_refused >= REFUSALS:
        why = "the liquidation price lies in front of the stop and the venue takes no nearer one"
        return flatten(c, held, "emergency_exit", why)
    return []


def whose(c: Case, held: Held, trade: Trade) -> Wait | None:
    """Wait for fills where what is held may be another's: it is covered, and the trade's levels are none of its own.

    Looks without a pause would spend the budget that the fills wait for.
    """
    if held.size == trade.explained or c.chain.whole:
        return None
    return Wait(c.now + WHOSE_AGAIN_MS, "no fills tell whose the position is, and a stop stands for it")


def _confirmed(sighting: Sighting, c: Case, for_ms: int) -> bool:
    return sighting.readings >= READINGS and c.now - sighting.first_ms >= for_ms


def surely_naked(trade: Trade) -> bool:
    """Return whether a position is naked though its orders cannot be read: no stop was ever seen or accepted."""
    return not trade.covered and not any(p.role is Role.STOP for p in trade.placed)


def flatten(c: Case, held: Held, reason: str, why: str, keep: Decimal = ZERO) -> Verdict:
    """Cancel what of the entry still rests and close the position, unless a close is already on its way."""
    trade = c.trade
    acked = c.unseen(Role.FLATTEN)
    if acked and trade and held.by == "venue" and held.size > trade.held:
        return Wait(c.now + LOOK_AGAIN_MS, "a close was accepted and the position does not show it yet")
    if held.by == "ack" and not isinstance(c.seen.position, Unknown):
        return Wait(c.now + LOOK_AGAIN_MS, "the position is not shown yet: a close would find nothing to close")
    if trade and c.now < trade.flatten_tried_ms + c.again_ms:
        return Wait(trade.flatten_tried_ms + c.again_ms, "a close was tried a moment ago")
    steps = c.rules.flatten_worst
    worst = steps[min(trade.widen if trade else 0, len(steps) - 1)]
    return [*_entries(c, why), Flatten(worst, reason, why, keep)]


def _entries(c: Case, why: str) -> list[Action]:
    """Cancel what of the entry rests, seen or not: what it fills after the close would be a position without a stop.

    A cancel that was refused must not hold the close up again.
    """
    sent = c.trade.sent if c.trade else ()
    shown = [o.id for o, k in c.ours if k.role is Role.ENTRY]
    resting = [s.outcome.order_id for s in sent if s.rests and isinstance(s.outcome, Accepted)]
    names = dict.fromkeys(each for each in (*shown, *resting) if each and each not in c.going)
    return [Cancel(each, Role.ENTRY, why) for each in names]
