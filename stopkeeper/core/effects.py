"""What is noted of an effect: before it is sent, once its outcome is known, and when a person asks for one.

What later turns must know of a send stands in the record, never in a process.
"""

from dataclasses import replace
from decimal import Decimal

from stopkeeper.core.actions import Action, Book, Cancel, Enter, Flatten, PlaceStop, PlaceTarget, Prepare
from stopkeeper.core.attempts import with_role, with_sent
from stopkeeper.core.model import ZERO, Resting, Role
from stopkeeper.core.outcomes import REPEATS, WIDENS, Accepted, EntryOutcome, Outcome, Reason, Rejected, Unknown
from stopkeeper.core.outstanding import announced, concluded
from stopkeeper.core.policy import Policy
from stopkeeper.core.record import CloseAsk, Cursor, KeyRecord, Placed, Sent, Trade
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.core.trailing import of_the_last_hour

WIDENINGS = 3  # so often a close that found nothing to match is sent again at once
MENDS_ITSELF = (Reason.EXPIRED, Reason.STALE_NONCE)
PLACING = (Enter, PlaceStop, PlaceTarget, Flatten)  # the effects after which something of ours can still appear


def announce(record: KeyRecord, action: Action, deadline_ms: int, nonce: int, now_ms: int) -> KeyRecord:
    """Note an effect before it is sent: its deadline, the order number it takes, an entry's attempt."""
    if isinstance(action, PLACING):
        record = replace(record, pending_ms=deadline_ms)
    record = announced(record, action)
    trade = record.trade
    match action:
        case Cancel():
            return _canceled(record, action.order_id, deadline_ms)  # unanswered, it may still be done until then
        case Enter():
            assert trade is not None
            sent = Sent(
                action.attempt, action.attempt, nonce, deadline_ms, now_ms, action.terms, Unknown("no answer yet")
            )
            others = tuple(s for s in trade.sent if s.attempt != action.attempt)
            terms = action.terms
            trade = replace(trade, sent=(*others, sent), stop=terms.stop, first_stop=terms.stop, targets=terms.goals)
            # what was refused to an earlier attempt says nothing of this one
            trade = replace(trade, crossed=False, oversize=False, stop_answers=0, goals_refused=())
            return replace(record, n=record.n + 1 + len(terms.targets), trade=trade)
        case PlaceStop():
            return replace(record, n=record.n + 1, trade=trade and replace(trade, stop_tried_ms=now_ms))
        case PlaceTarget():
            return replace(record, n=record.n + 1, trade=trade and replace(trade, target_tried_ms=now_ms))
        case Prepare():
            return replace(record, trade=trade and replace(trade, prepare_tried_ms=now_ms))
        case Flatten():
            n = record.n + 1
            tried = trade and replace(trade, flatten_tried_ms=now_ms)
            return replace(record, n=n, trade=tried and with_role(tried, f"n{n}", action.reason))
        case _:
            return record


def conclude(record: KeyRecord, action: Action, outcome: Outcome | EntryOutcome, now_ms: int, lag_ms: int) -> KeyRecord:
    """Note what came of an effect. Unanswered, it may appear until its deadline + lag; answered, for one lag more."""
    if isinstance(action, PLACING):
        until = max(_appears_until(o, record.pending_ms, now_ms, lag_ms) for o in _answers(outcome))
        record = replace(record, quiet_ms=max(record.quiet_ms, until), pending_ms=0)
    if isinstance(action, Cancel) and not isinstance(outcome, Unknown):
        record = _canceled(record, action.order_id, now_ms)  # one cancel of an order a lag, or a slow view repeats it
    record = concluded(record, action, _answers(outcome)[isinstance(action, Enter) :])
    trade = record.trade
    if trade is None:
        return record
    if isinstance(action, Enter) and isinstance(outcome, EntryOutcome):
        trade = _conclude_entry(trade, action, outcome, record.n, now_ms)
    elif isinstance(action, PlaceStop):
        trade = _conclude_stop(trade, action, outcome, record.n, now_ms)
    elif isinstance(action, PlaceTarget):
        trade = _conclude_target(trade, action.trigger, outcome, record.n, now_ms)
    elif isinstance(action, Prepare) and isinstance(outcome, Rejected) and outcome.reason not in MENDS_ITSELF:
        trade = replace(trade, refusal=f"the venue refused the leverage: {outcome.text}")
    elif isinstance(action, Flatten):
        trade = _conclude_flatten(trade, action, outcome, record.n, now_ms)
    return replace(record, trade=trade)


def _canceled(record: KeyRecord, order: str, at_ms: int) -> KeyRecord:
    return replace(record, canceled=(*(c for c in record.canceled if c[0] != order), (order, at_ms)))


def _appears_until(outcome: Outcome, deadline_ms: int, now_ms: int, lag_ms: int) -> int:
    """Return until when an effect may appear: what was refused never does, unless as the repeat of an earlier one."""
    if isinstance(outcome, Unknown) or (isinstance(outcome, Rejected) and outcome.reason in REPEATS):
        return deadline_ms + lag_ms
    return now_ms + lag_ms if isinstance(outcome, Accepted) else 0


def _answers(outcome: Outcome | EntryOutcome) -> tuple[Outcome, ...]:
    if isinstance(outcome, EntryOutcome):
        return (outcome.entry, outcome.stop, *outcome.targets)
    return (outcome,)


def _acked(trade: Trade, role: Role, outcome: Outcome | None, n: int, now_ms: int, reason: str) -> Trade:
    if not isinstance(outcome, Accepted):
        return trade
    if outcome.order_id:
        trade = with_role(trade, outcome.order_id, reason)
    others = tuple(p for p in trade.placed if p.role is not role or role is Role.TARGET)  # targets stand side by side
    return replace(trade, placed=(*others, Placed(role, outcome.order_id, n, now_ms)))


def _conclude_entry(trade: Trade, action: Enter, outcome: EntryOutcome, n: int, now_ms: int) -> Trade:
    sent = next(s for s in trade.sent if s.attempt == action.attempt)
    entry = outcome.entry
    if isinstance(entry, Rejected) and entry.reason in REPEATS:
        # A used nonce or id may be this very attempt's, sent before the store went back in time: look, then know.
        entry = Unknown(f"refused as {entry.reason}: {entry.text}")
    terms = action.terms
    trade = with_sent(trade, replace(sent, outcome=entry))
    stop_n = n - len(terms.targets)
    if isinstance(entry, Accepted):
        if entry.order_id:
            trade = with_role(trade, entry.order_id, "entry")
        if entry.filled > 0:
            filled = entry.filled
            trade = replace(trade, held=filled, entry_filled=filled, traded=filled, explained=filled, sized_ms=now_ms)
            trade = replace(trade, entered_ms=trade.entered_ms or now_ms)
    if terms.resting is Resting.NO:  # the stop of an entry that rests is no order yet: nobody is to wait for it
        trade = _acked(trade, Role.STOP, outcome.stop, stop_n, now_ms, "stop_loss")
    if isinstance(outcome.stop, Rejected) and (terms.resting is Resting.NO or trade.held > 0):
        trade = _refused_stop(trade, outcome.stop)
    for index, (asked, answer) in enumerate(zip(terms.targets, outcome.targets, strict=False), 1):
        trade = _conclude_target(trade, asked.trigger, answer, stop_n + index, now_ms)
    return trade


def _refused_stop(trade: Trade, outcome: Rejected) -> Trade:
    crossed = outcome.reason is Reason.CROSSED and not trade.covered  # a refused move says nothing of what stands
    told = outcome.reason not in MENDS_ITSELF  # a deadline that was over says nothing of the stop
    return replace(
        trade,
        stop_answers=trade.stop_answers + int(told),
        crossed=trade.crossed or crossed,
        oversize=trade.oversize or outcome.reason is Reason.OVERSIZE,
    )


def _conclude_stop(trade: Trade, action: PlaceStop, outcome: Outcome | EntryOutcome, n: int, now_ms: int) -> Trade:
    reason = "trailing_stop" if action.moved_by == "policy" else "stop_loss"
    seen = trade.stop_seen
    if trade.covered and not isinstance(outcome, Accepted):
        trade = replace(trade, moves_refused=trade.moves_refused + 1)
    if isinstance(outcome, Accepted):
        if action.moved_by in ("policy", "person") and seen is not None and seen.trigger != action.trigger:
            trade = replace(trade, moves_ms=(*of_the_last_hour(trade.moves_ms, now_ms), now_ms))
        trade = _acked(trade, Role.STOP, outcome, n, now_ms, reason)
        stop = (
            trade.stop if trade.stop is not None else action.trigger
        )  # a found trade's stop is where it was first put
        return replace(trade, stop=stop, stop_answers=trade.stop_answers + 1, moves_refused=0)
    if isinstance(outcome, Rejected):
        return _refused_stop(trade, outcome)
    return replace(trade, stop_answers=trade.stop_answers + 1) if isinstance(outcome, Unknown) else trade


def _conclude_target(trade: Trade, price: Decimal, outcome: Outcome | EntryOutcome, n: int, now_ms: int) -> Trade:
    if isinstance(outcome, Rejected):
        others = tuple(refused for refused in trade.goals_refused if refused[0] != price)
        return replace(trade, goals_refused=(*others, (price, str(outcome.reason))))
    return _acked(trade, Role.TARGET, outcome, n, now_ms, "take_profit") if isinstance(outcome, Accepted) else trade


def _conclude_flatten(trade: Trade, action: Flatten, outcome: Outcome | EntryOutcome, n: int, now_ms: int) -> Trade:
    if isinstance(outcome, Accepted):
        trade = _acked(trade, Role.FLATTEN, outcome, n, now_ms, action.reason)
        return replace(trade, held=max(ZERO, trade.held - outcome.filled))
    if isinstance(outcome, Rejected) and outcome.reason in WIDENS:
        at_once = trade.flatten_tried_ms if trade.widen >= WIDENINGS else 0
        return replace(trade, widen=trade.widen + 1, flatten_tried_ms=at_once)
    if isinstance(outcome, Rejected) and outcome.reason is Reason.TOO_SMALL and action.keep > 0:
        return replace(trade, close=None)  # too small a part to sell: the wish cannot be met, the position stands
    return trade


def booked(record: KeyRecord, action: Book) -> KeyRecord:
    """Take a booked trade off its record, or hand it to its successor; one booked as incomplete goes on settling."""
    trade, exit_ = action.trade, action.exit
    settling = tuple(t for t in record.settling if t.id != trade.id)
    if not exit_.complete:
        settling = (*settling, replace(trade, revision=trade.revision + 1))[-8:]
    going = record.trade is not None and record.trade.id == trade.id
    if not going:
        return replace(record, settling=settling)
    cursor = Cursor(exit_.closed_ms, tuple(f.id for f in action.used)[-32:])
    return replace(record, trade=action.successor, settling=settling, cursor=cursor)


# --- wishes of a person ----------------------------------------------------------------------------------------


def ask_close(record: KeyRecord, ask: CloseAsk) -> KeyRecord:
    """Note a wish to close; a wish to close all is not weakened by a later one to close a part."""
    trade = record.trade
    if trade is None or (trade.close and trade.close.keep_fraction == 0 and ask.keep_fraction > 0):
        return record
    return replace(record, trade=replace(trade, close=ask))


def move_stop(record: KeyRecord, *, trigger: Decimal, now_ms: int, loosened: bool) -> KeyRecord:
    """Note a person's wish for another stop trigger; ``loosened`` allows it to go away from the price."""
    if record.trade is None:
        return record
    trade = replace(
        record.trade,
        stop=trigger,
        stop_moved_by="person",
        stop_moved_ms=now_ms,
        stop_why="",
        loosened=loosened,
        off_until_ms=0,
        orphan=_cared_for(record.trade),
    )
    return replace(record, trade=trade)


def lift_stop(record: KeyRecord, until_ms: int) -> KeyRecord:
    """Note a person's wish to hold without a stop until a time; 0 = the stop is wanted again."""
    if record.trade is None:
        return record
    orphan = record.trade.orphan if until_ms else _cared_for(record.trade)
    return replace(record, trade=replace(record.trade, off_until_ms=until_ms, orphan=orphan))


def set_policy(record: KeyRecord, policy: Policy) -> KeyRecord:
    """Note a person's wish for another way in which the stop moves."""
    if record.trade is None:
        return record
    return replace(record, trade=replace(record.trade, policy=policy, orphan=_cared_for(record.trade)))


def adopt(record: KeyRecord, *, trigger: Decimal, policy: Policy, now_ms: int, by_person: bool) -> KeyRecord:
    """Note a person's wish that a found position is the account's own: where its stop stands, and how it moves.

    ``by_person`` = the person named the trigger, so that a policy goes on from the next better price only.
    """
    if record.trade is None:
        return record
    trade = replace(record.trade, orphan=None, policy=policy, stop=trigger)
    if by_person:
        trade = replace(trade, stop_moved_by="person", stop_moved_ms=now_ms, stop_why="", loosened=False)
    return replace(record, trade=trade)


def _cared_for(trade: Trade) -> OrphanPolicy | None:
    """Who says anything of the stop of a position that is left alone wants it to have one."""
    return OrphanPolicy.PROTECT if trade.orphan is OrphanPolicy.ALERT else trade.orphan
