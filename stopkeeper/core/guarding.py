"""What may be done of what is decided while no record can be written: the guardian's own rules, and all of them.

It holds and covers what is there. It opens nothing, moves nothing, takes no stop or target away, and books nothing.
"""

from dataclasses import replace

from stopkeeper.core.actions import Action, Again, Book, Cancel, Flatten, Found, PlaceStop, Plan, Refuse
from stopkeeper.core.case import Case
from stopkeeper.core.effects import booked
from stopkeeper.core.model import ZERO, Role
from stopkeeper.core.policy import FIXED
from stopkeeper.core.record import KeyRecord

NUMBERS_APART = 32
LONG_MS = 2_000  # who waits so long does not wait for anything to happen at once
HOLDING = frozenset({"danger", "protection", "closing", "rest"})  # who waits only for what must not wait long


def copy_of(record: KeyRecord) -> KeyRecord:
    """Return a record as the guardian goes by it.

    No policy moves the stop that is wanted: were it moved and not placed, the price would seem to have passed it. What
    counts time begins anew, because in the time that has passed nobody could act; what settles is nobody's haste. Its
    orders are numbered apart, since a worker that cannot read them goes on from the record.
    """
    trade = record.trade
    if trade is not None:
        trade = replace(trade, policy=FIXED, naked_since_ms=None, beyond=None, unsafe=None, pressed=None)
    return replace(record, trade=trade, settling=(), n=record.n + NUMBERS_APART)


def alone(concern: str, action: Action, case: Case) -> bool:
    """Return whether an action may be done without a record.

    A stop that is missing, or one nearer because the liquidation price came before it; a close of all, since a part
    would be closed again by whoever does not know of it; the cancel of an entry. What only changes a record may change
    the copy in memory: without it nothing would be decided about what follows.
    """
    match action:
        case PlaceStop():
            return concern == "protection" or (case.trade is not None and case.trade.unsafe is not None)
        case Flatten():
            return action.keep == ZERO
        case Cancel():
            return action.role is Role.ENTRY
        case Found() | Book():
            return True
        case Refuse():
            return action.successor is not None
        case _:
            return False


def noted(record: KeyRecord, plan: Plan) -> KeyRecord | None:
    """Return the copy after a plan that only changes it, or None where the plan does something or ends the turn."""
    for action in plan.actions:
        match action:
            case Found():
                return replace(record, trade=action.trade)
            case Refuse():
                return replace(record, trade=action.successor)
            case Book():
                return booked(record, action)
    return None


def pressing(plan: Plan, now_ms: int) -> bool:
    """Return whether a key must be looked at again at once: something was done, or is under way and cannot wait."""
    if plan.actions:
        return True
    return isinstance(plan.ends, Again) and plan.concern in HOLDING and plan.ends.due_ms < now_ms + LONG_MS
