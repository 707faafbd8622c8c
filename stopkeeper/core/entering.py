"""The entry of a signal: when it may leave, when it must be waited for, when it never will.

Wait for entries, never for stops: a second entry is a loss. The concern ``entry`` stands here with what it leans on.
"""

from decimal import Decimal

from stopkeeper.core.actions import Cancel, Enter, Prepare, Refuse, RestKind, Verdict, Wait
from stopkeeper.core.asking import looked_up, unheard_until_ms
from stopkeeper.core.believe import Flat, Held, told_by_fills
from stopkeeper.core.case import LOOK_AGAIN_MS, Case
from stopkeeper.core.missing import APART_MS
from stopkeeper.core.model import Resting, Role
from stopkeeper.core.orphans import taken_in
from stopkeeper.core.outcomes import Accepted, Barred, Rejected, Throttled, Unknown
from stopkeeper.core.record import Sent, Terms, Trade
from stopkeeper.core.sizing import Refusal, leverage_of, work_out

FORGETFUL = "Redis is another than before, or was restarted or emptied: an entry it knows nothing of may be on its way"
NOT_ITS_OWN = "a position that this signal did not open is held on the symbol"


def entry(c: Case) -> Verdict:
    """Send an entry once and with its stop, or wait until its absence is proved; a second entry is a loss."""
    trade = c.trade
    if trade is None or trade.signal is None:
        return []
    last = trade.sent[-1] if trade.sent else None
    if last and (last.rests or c.entries):
        return _resting(c, trade, last)
    if c.entered:
        return []
    if last and last.unproven:
        return Wait(
            _next_look(c, last), f"attempt {last.attempt + 1} was not answered: waiting for proof", RestKind.UNPROVEN
        )
    refused = why_refused(c, trade) if last and not last.repeatable else _no_longer(c, trade)
    if refused:
        # once something was sent, hygiene clears what it left and booking ends the trade, unless a position is held
        return [Refuse(refused)] if not trade.sent else _displaced(c, trade, refused)
    waiting = _not_yet(c, trade, len(trade.sent))
    if waiting is not None:
        return waiting
    if c.ours or c.hidden:
        return []  # no entry leaves while an order of ours may live here: hygiene's turn
    terms = None if c.mark is None else _terms(c, trade, c.mark)
    if isinstance(terms, str):
        return [] if trade.sent else [Refuse(terms)]  # flat: booking ends it
    unprepared = _unprepared(c, trade)
    if unprepared:
        return unprepared  # also without a mark: its read-back names one
    if terms is None:
        return Wait(c.now + LOOK_AGAIN_MS, "no mark price is known", RestKind.BLIND)
    return [Enter(len(trade.sent), terms, f"signal {trade.signal.id}")]


def _resting(c: Case, trade: Trade, last: Sent) -> Verdict:
    """An entry that rests may fill at any moment: it stands while it is wanted, can be watched, and nothing has ended.

    A part of it that filled is held and covered like any position; the concerns that follow do that.
    """
    why = _not_wanted(c, trade)
    if why is not None:
        cancels = [Cancel(o.id, Role.ENTRY, why) for o in c.entries if o.id not in c.going]
        if cancels:
            return [*cancels]
    if c.entered:
        return []
    if c.entries and why is None:
        assert trade.signal is not None
        if isinstance(c.belief, Held):
            return Wait(c.now + LOOK_AGAIN_MS, "a position is held and no fill tells yet whose", RestKind.ENTRY_RESTING)
        return Wait(
            trade.signal.expires_ms + 1, f"the entry rests at {last.terms.worst_price:f}", RestKind.ENTRY_RESTING
        )
    return Wait(c.now + LOOK_AGAIN_MS, "what became of the resting entry is being asked", RestKind.UNPROVEN)


def _not_wanted(c: Case, trade: Trade) -> str | None:
    """Say why an entry must not rest any longer, or None."""
    assert trade.signal is not None
    why = _no_more_entries(c, trade)
    if why is None and c.now > trade.signal.expires_ms:
        why = "the entry rested until the signal expired"
    if why is None and any(fill.side is not trade.side for fill in c.chain.used):
        why = "the trade is being closed"
    if why is None and not c.entered and _anothers(c):
        why = NOT_ITS_OWN  # whoever enters beside it would have two wishes for one stop
    if why is None and not c.frame.fed:
        why = "the account's streams are silent: a fill would not be seen at once"
    return why


def _anothers(c: Case) -> bool:
    """Return whether fills that are none of the trade's tell how the position held came to be."""
    held, fills = c.belief, c.seen.fills
    return isinstance(held, Held) and not isinstance(fills, Unknown) and told_by_fills(held.position, fills.value.fills)


def _unprepared(c: Case, trade: Trade) -> Verdict:
    """Have leverage and margin mode set where they are not known to be; a setting that did not read back is paced."""
    assert trade.signal is not None
    leverage, prepared = leverage_of(trade.signal, c.rules), c.record.prepared
    fresh = prepared is not None and c.now - prepared.at_ms < c.rules.prepared_max_age_ms
    if prepared is None or not fresh or (prepared.leverage, prepared.margin_mode) != (leverage, c.rules.margin_mode):
        if c.now < trade.prepare_tried_ms + 2 * LOOK_AGAIN_MS:
            return Wait(
                c.now + LOOK_AGAIN_MS, "the leverage was set a moment ago and did not read back", RestKind.BLIND
            )
        return [Prepare(leverage, c.rules.margin_mode, "the leverage is not known to be set")]
    return []


def _displaced(c: Case, trade: Trade, why: str) -> Verdict:
    """A signal that surely did not enter leaves the position that stands on its key to a trade of its own."""
    read, fills = c.seen.position, c.seen.fills
    if not isinstance(c.belief, Held) or c.belief.position is None or isinstance(read, Unknown):
        return []
    if isinstance(fills, Unknown) or min(read.at_ms, fills.at_ms) <= _told_ms(c):
        return []
    if any(s.unproven for s in trade.sent):
        return []
    return [Refuse(why, taken_in(c, c.belief, c.belief.position, read.at_ms))]


def _told_ms(c: Case) -> int:
    """Return the venue time after which what is read shows all that was sent, and no position that was booked."""
    return max(c.record.quiet_ms, c.record.cursor.time_ms + c.frame.can.lag_ms)


def displaced_due_ms(c: Case) -> int | None:
    """Return when a signal that surely did not enter leaves the position held to a trade of its own; None = never."""
    trade = c.trade
    if trade is None or c.entered or not trade.sent or any(s.unproven or s.rests for s in trade.sent):
        return None
    return max(_told_ms(c) + 1, c.now + LOOK_AGAIN_MS)


def _no_longer(c: Case, trade: Trade) -> str | None:
    """Say why a signal that has not entered never will, or None."""
    signal = trade.signal
    assert signal is not None
    refused = _no_more_entries(c, trade)
    if refused is not None:
        return refused
    if signal.resting is not Resting.NO and not c.frame.fed:
        return "the account's streams are silent, and a resting entry would not be watched: start stopkeeper feed"
    if c.now > signal.expires_ms:
        return f"the signal expired before it could be sent{_last_words(c, trade)}"
    if trade.refusal:
        return trade.refusal
    if len(trade.sent) >= len(trade.nonces):
        return f"{len(trade.sent)} attempts did not reach the venue"
    if isinstance(c.belief, Held):
        return NOT_ITS_OWN
    return None


def _last_words(c: Case, trade: Trade) -> str:
    assert trade.signal is not None
    if not trade.sent and trade.signal.expires_ms <= c.frame.forgot_until_ms:
        return f"; {FORGETFUL}"
    outcome = trade.sent[-1].outcome if trade.sent else None
    return f"; attempt {len(trade.sent)}: {outcome.why}" if isinstance(outcome, Unknown) else ""


def _no_more_entries(c: Case, trade: Trade) -> str | None:
    """Say what keeps every entry of the account, or this one, from standing or leaving; None = nothing."""
    switches = c.frame.switches
    if switches.halted or switches.paused:
        return f"the account is {'halted' if switches.halted else 'paused'}: no new entries"
    if switches.barred:
        return f"the venue bars the account: {switches.barred}"
    return "it was closed before it entered" if trade.close is not None and trade.close.keep_fraction == 0 else None


def _not_yet(c: Case, trade: Trade, attempt: int) -> Wait | None:
    """Say what must be known first: a measured clock, a flat and quiet key, fills, and that nothing is forgotten."""
    soon = c.now + LOOK_AGAIN_MS
    if c.frame.clock_age_ms is None or c.frame.clock_age_ms > c.rules.offset_max_age_ms:
        return Wait(soon, "the venue's clock has not been measured lately", RestKind.BLIND)
    if abs(c.frame.clock_apart_ms or 0) > APART_MS:
        return Wait(soon, "this machine's clock is far from the venue's", RestKind.BLIND)
    if not isinstance(c.belief, Flat):
        why = c.belief.why if isinstance(c.belief, Unknown) else "a position is held"
        if c.now <= c.frame.forgot_until_ms and not isinstance(c.seen.position, Unknown):
            why = FORGETFUL
        return Wait(max(soon, min(c.record.quiet_ms, c.now + 5_000)), why, RestKind.BLIND)
    if isinstance(c.seen.orders, Unknown) or isinstance(c.seen.fills, Unknown):
        return Wait(soon, "open orders or fills could not be read", RestKind.BLIND)
    if min(c.now, c.seen.orders.at_ms) <= c.record.quiet_ms:
        return Wait(soon, "something of ours may still appear on the key", RestKind.FLAT)
    lost = c.record.lost and unheard_until_ms(c.record, c.frame.can.lag_ms) is not None
    if not trade.sent and (lost or not c.record.history_ms):
        return Wait(c.now + 2 * LOOK_AGAIN_MS, "the venue's history of orders could not be read", RestKind.BLIND)
    if not looked_up(trade, attempt, c.seen, c.frame.installation):
        return Wait(soon, "the entry's id could not be looked up", RestKind.BLIND)
    return None


def _terms(c: Case, trade: Trade, mark: Decimal) -> Terms | str:
    signal = trade.signal
    assert signal is not None
    terms = work_out(signal, c.frame.market, mark, c.rules, c.seen.funds)
    return str(terms) if isinstance(terms, Refusal) else terms


def _next_look(c: Case, sent: Sent) -> int:
    """Return when to look for an unanswered entry: 2, 3, 3 s apart, then every 5 s, and when absence is provable."""
    moment, steps = sent.sent_ms, list(c.rules.confirm_ms)
    while moment <= c.now:
        moment += steps.pop(0) if len(steps) > 1 else steps[0]
    provable = sent.deadline_ms + c.frame.can.lag_ms + 1
    return min(moment, provable) if provable > c.now else moment


def why_refused(c: Case, trade: Trade) -> str:
    """Say why a signal ends without a position."""
    for sent in reversed(trade.sent):
        if isinstance(sent.outcome, Rejected):
            return f"the venue refused the entry: {sent.outcome.text}"
        if isinstance(sent.outcome, Barred):
            return f"the venue bars the account: {sent.outcome.text}"
        if isinstance(sent.outcome, Throttled):
            return f"not sent: {sent.outcome.text}"
        if sent.terms.resting is not Resting.NO and isinstance(sent.outcome, Accepted):
            return _not_wanted(c, trade) or "the resting entry was cancelled before it filled, and not by us"
    return _no_longer(c, trade) or "the entry did not fill"
