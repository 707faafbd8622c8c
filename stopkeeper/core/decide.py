"""From a case to a plan. The order of ORDER is the policy; the table in docs/policy is generated from it."""

from collections.abc import Callable

from stopkeeper.core.actions import Action, Again, Alarm, Plan, Rest, RestKind, Wait
from stopkeeper.core.believe import Flat, Held
from stopkeeper.core.case import LOOK_AGAIN_MS, Case, Frame, build
from stopkeeper.core.concerns import (
    Concern,
    booking,
    closing,
    ending,
    move_due_ms,
    protection,
    time_up_ms,
    trailing,
)
from stopkeeper.core.danger import danger
from stopkeeper.core.entering import displaced_due_ms, entry
from stopkeeper.core.guard import may_have_grown, never_lower, own_of_other_side
from stopkeeper.core.hygiene import hygiene
from stopkeeper.core.model import Role, Seen
from stopkeeper.core.moving import pause_ends_ms, wish_of
from stopkeeper.core.orphans import orphan_due_ms
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.targets import targets

ORDER: tuple[Concern, ...] = (ending, danger, protection, closing, entry, trailing, targets, hygiene, booking)


Allows = Callable[[str, Action, Case], bool]


def anything(_concern: str, _action: Action, _case: Case) -> bool:
    """Allow every action: what a drive decides by."""
    return True


def decide(record: KeyRecord, seen: Seen, frame: Frame, allows: Allows = anything) -> Plan:
    """Ask each concern in order; the first whose actions survive the guard wins, a Wait ends the turn.

    ``allows`` says which of a concern's actions may be done at all by whoever asks; the rest is as if never wished for.
    """
    case = build(record, seen, frame)
    alarms = _alarms(case)
    for concern in ORDER:
        verdict = concern(case)
        if isinstance(verdict, Wait):
            return Plan(concern.__name__, ends=_waiting(case, verdict), alarms=alarms)
        actions: list[Action] = never_lower([a for a in verdict if allows(concern.__name__, a, case)], case)
        if actions:
            return Plan(concern.__name__, tuple(actions), alarms=alarms)
    return Plan("rest", ends=rest(case), alarms=alarms)


def _waiting(case: Case, wait: Wait) -> Rest | Again:
    if wait.rest is None or case.naked:
        return Again(wait.due_ms, wait.why)
    unprotected = case.lifted and isinstance(case.belief, Held) and not case.whole
    return Rest(RestKind.LIFTED if unprotected else wait.rest, wait.due_ms, wait.why)


def rest(case: Case) -> Rest | Again:
    """Name the rest a case is at. Naked is not one: it is looked at again."""
    belief = case.belief
    soon = case.now + LOOK_AGAIN_MS
    if isinstance(belief, Held):
        if not case.orders_known and case.trade is not None and case.trade.covered:
            return Rest(RestKind.BLIND, case.now + 2 * LOOK_AGAIN_MS, "open orders could not be read")
        if case.lifted and case.trade is not None:
            due = min(case.trade.off_until_ms + 1, case.now + case.rules.lifted_look_ms)
            return Rest(RestKind.LIFTED, due, "a person lifted the stop; the alarm stays")
        if case.left_alone and not case.whole:
            due = orphan_due_ms(case) or case.now + case.rules.lifted_look_ms
            return Again(due, "a position is held without a whole stop and left alone by the policy: the alarm stays")
        if not case.whole:
            return Again(soon, "a position is held and its cover is not seen")
        if belief.by == "ack":
            return Rest(
                RestKind.PROTECTED, case.now + case.rules.confirm_ms[0], "the stop is seen; the position is next"
            )
        why = f"{belief.size:f} {belief.side} covered by {_stops(case)}"
        return Rest(RestKind.PROTECTED, soon if _under_way(case) else _next_look(case, belief), why)
    if isinstance(belief, Flat):
        litter = case.ours or (case.hidden and not case.disproved)
        return Rest(RestKind.FLAT, case.denial_due_ms if litter else None, belief.why)
    return Rest(RestKind.BLIND, case.now + 2 * LOOK_AGAIN_MS, belief.why)


def _next_look(case: Case, held: Held) -> int | None:
    """Return when something is to be done by itself: the time is up, the stop may move again, an entry expires."""
    trade = case.trade
    if trade is None:
        return None
    moments = [time_up_ms(trade), move_due_ms(case, held), orphan_due_ms(case)]
    moments += [_other_side_ms(case, held), _stands_ms(case), displaced_due_ms(case)]
    if case.sure and wish_of(trade, held, case) is not None:
        moments.append(max(pause_ends_ms(trade, case) + 1, case.now + LOOK_AGAIN_MS))
    if case.entries and trade.signal is not None:
        moments.append(max(trade.signal.expires_ms + 1, case.now + LOOK_AGAIN_MS))
    return min((moment for moment in moments if moment is not None), default=None)


def _other_side_ms(case: Case, held: Held) -> int | None:
    """Return when a stop of ours for the side that is not held is litter; None without, or while its entry rests."""
    if own_of_other_side(case, held) and may_have_grown(case):
        rests = case.trade is not None and any(s.rests or s.unproven for s in case.trade.sent)
        return None if rests else max(case.record.quiet_ms + 1, case.now + LOOK_AGAIN_MS)
    placed = [o.placed_ms for o, k in case.ours if k.role is Role.STOP and o.reduce_only and o.side is held.side]
    if not placed:
        return None
    shows_ms = max(max(placed) + case.frame.can.lag_ms, case.stands_from_ms) + 1
    return max(shows_ms, case.now + LOOK_AGAIN_MS)


def _stands_ms(case: Case) -> int | None:
    """Return when the stop that is too much may go; None where there is no such stop."""
    several, due = sum(k.role is Role.STOP for _, k in case.ours) > 1, case.stands_from_ms
    return max(due + 1, case.now + LOOK_AGAIN_MS) if several and case.now <= due else None


def _under_way(case: Case) -> bool:
    """Return whether an accepted order or cancel is still to show: what it makes superfluous is cleared then."""
    going = {order for order, _ in case.record.canceled}
    return any(case.unseen(role) for role in Role) or any(order.id in going for order in case.live)


def _stops(case: Case) -> str:
    return ", ".join(f"stop {o.id} at {o.trigger:f}" for o in case.cover.stops if o.trigger is not None)


def _alarms(case: Case) -> tuple[Alarm, ...]:
    alarms: list[Alarm] = []
    key = case.record.key
    trade = case.trade
    if isinstance(case.belief, Held) and trade and trade.naked_since_ms is not None and case.naked:
        alone = f"{case.belief.side} {case.belief.size:f} is naked and left alone by the policy; see stopkeeper orphans"
        for_ms = f"naked for {case.now - trade.naked_since_ms} ms"
        alarms.append(Alarm("naked", f"{key}: {alone if case.left_alone else for_ms}"))
    if isinstance(case.belief, Held) and trade is None:
        alarms.append(Alarm("orphan", f"{key}: a position is held that no trade owns"))
    if isinstance(case.belief, Held) and trade and case.lifted:
        alarms.append(Alarm("off", f"{key}: held without a stop for {trade.off_until_ms - case.now} ms more, as asked"))
    if isinstance(case.belief, Held) and trade and trade.unsafe is not None:
        alarms.append(Alarm("unsafe", f"{key}: the liquidation price lies in front of the stop"))
    if isinstance(case.belief, Held) and not case.sure and case.seen.second is not None:
        marks = f"{case.mark} by the position, {case.seen.second.value} by the {case.seen.second.source}"
        alarms.append(Alarm("price", f"{key}: the sources of its mark contradict each other: {marks}"))
    if case.record.blind_since_ms and case.now - case.record.blind_since_ms > case.rules.blind_alarm_ms:
        alarms.append(Alarm("blind", f"{key}: not readable for {case.now - case.record.blind_since_ms} ms"))
    if case.frame.switches.barred:
        alarms.append(Alarm("barred", f"{key.account}: {case.frame.switches.barred}"))
    return tuple(alarms)
