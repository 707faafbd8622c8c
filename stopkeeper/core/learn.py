"""What is learned: folds of an observation into a key's record. Concerns never write notes; this does.

What is noted of an effect and its outcome stands in effects.py.
"""

from dataclasses import replace
from decimal import Decimal

from stopkeeper.core.asking import stop_id
from stopkeeper.core.attempts import fold_attempts, with_role
from stopkeeper.core.believe import Flat, Held
from stopkeeper.core.case import ADMISSION_MARGIN_MS, DENIALS, Case, Frame, build, owned, viewed_ms
from stopkeeper.core.evidence import Chain, reason_of, reason_of_client
from stopkeeper.core.ids import ClientId
from stopkeeper.core.model import OVER, ZERO, Order, Role, Seen
from stopkeeper.core.moving import follow_price
from stopkeeper.core.orphans import best_trigger, fold_orphan, quiet_after_loss, taken_over
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.outstanding import folded, with_history
from stopkeeper.core.prices import Toward, to_step
from stopkeeper.core.record import KeyRecord, Origin, Placed, Sighting, StopSeen, Trade
from stopkeeper.core.righting import righted

LATE_MS = 3_000  # less than any deadline
DRIFT_MS = 250  # less than what an entry's margin leaves over its deadline
N_ENOUGH = 1 << 19  # half of the numbers that an id has room for
NUMBERS_LOST = 64  # as many as a lost record may have given to orders that no list shows yet


def learn(record: KeyRecord, seen: Seen, frame: Frame) -> KeyRecord:
    """Fold an observation into a record, before anything is decided."""
    record = righted(record, frame.now_ms)
    if record.trade is not None and not record.since_ms:
        record = replace(record, since_ms=frame.now_ms)
    record = with_history(_renumbered(record), seen, frame.installation, frame.now_ms)
    record = quiet_after_loss(_fold_pending(_fold_forgotten(record, frame), frame), frame.can.lag_ms)
    record = _fold_orders(record, seen, frame)
    record = folded(record, seen, frame.installation, frame.now_ms)
    record = replace(record, n=max([record.n, *(o.n for o in record.outstanding)]))
    record = _fold_sight(record, seen, frame)
    if record.trade is None:
        return _fold_denial(record, build(record, seen, frame))
    known = record.trade
    record = replace(record, trade=fold_attempts(known, seen, frame))
    assert record.trade is not None
    unsent = known.entered_ms is None and record.trade.entered_ms is not None and not record.trade.sent
    grown = len(record.trade.sent) > len(known.sent)
    forgotten = grown or unsent or _strange(record, seen, frame)  # and what was sent after it
    if forgotten or _ended(record.trade) > _ended(known):
        # it was sent by a record that is lost, or ended unseen in the book: how long ago is not known
        quiet_ms = frame.now_ms + (ADMISSION_MARGIN_MS if forgotten else 0) + frame.can.lag_ms
        n = record.n + (NUMBERS_LOST if forgotten else 0)
        record = replace(record, n=n, quiet_ms=max(record.quiet_ms, quiet_ms))
    case = build(_fold_lateness(record, frame), seen, frame)
    return _fold_denial(_fold_belief(case), case)


def _fold_denial(record: KeyRecord, case: Case) -> KeyRecord:
    """Note the looks that deny a position which orders of ours may guard; each that shows one begins it anew.

    They count from where no position can be ours: from Flat, or from the refusal of an entry.
    """
    read, trade, denied = case.seen.position, case.trade, record.denied
    if isinstance(read, Unknown):
        return record
    entering = trade is not None and any(s.unproven or s.rests for s in trade.sent)
    refused = trade is not None and bool(trade.sent) and not case.entered and not record.lost
    if read.value is not None or entering or not (case.ours or record.outstanding):
        denied = ()
    elif (isinstance(case.belief, Flat) or refused) and len(denied) < DENIALS and read.at_ms > max(denied, default=0):
        denied = (*denied, case.now)
    return record if denied == record.denied else replace(record, denied=denied)


def _strange(record: KeyRecord, seen: Seen, frame: Frame) -> bool:
    """Return whether a position stands where nothing was sent: it may be what a record that is lost did send."""
    trade, read = record.trade, seen.position
    unsent = trade is not None and trade.origin is Origin.SIGNAL and not trade.sent and trade.entered_ms is None
    held = not isinstance(read, Unknown) and read.value is not None
    return unsent and held and frame.now_ms > record.quiet_ms


def _fold_lateness(record: KeyRecord, frame: Frame) -> KeyRecord:
    """A signal that comes late to an attempt may have left by a later one, in a record that is lost.

    A lost attempt is followed by the next once its absence is proved, a deadline and a lag later. An attempt therefore
    leaves sooner than that after it first could, or after a wait in which whatever left before must have shown itself.
    """
    trade, lag = record.trade, frame.can.lag_ms
    if trade is None or trade.signal is None or trade.entered_ms is not None:
        return record
    last = trade.sent[-1] if trade.sent else None
    if len(trade.sent) >= len(trade.nonces) or (last is not None and not last.repeatable):
        return record
    wait = ADMISSION_MARGIN_MS + lag
    first = trade.created_ms + ADMISSION_MARGIN_MS if last is None else last.deadline_ms + lag
    cleared = record.denied[0] + lag if record.denied else 0  # it waits for what was left to be cleared away
    if frame.now_ms <= max(first, record.quiet_ms, cleared) + LATE_MS + lag:
        return record
    return replace(record, quiet_ms=max(record.quiet_ms, frame.now_ms + wait))


def _fold_forgotten(record: KeyRecord, frame: Frame) -> KeyRecord:
    """A store that is another than before knows nothing of what its last seconds sent: the key is quiet after that."""
    until_ms = frame.forgot_until_ms
    drifted = until_ms <= record.quiet_ms + DRIFT_MS  # the same moment once more, by clocks that run a little apart
    return record if drifted else replace(record, quiet_ms=until_ms)


def _fold_pending(record: KeyRecord, frame: Frame) -> KeyRecord:
    """An effect whose outcome was never noted (a crash) may appear until its deadline + lag."""
    lag = frame.can.lag_ms
    canceled = tuple(c for c in record.canceled if frame.now_ms < c[1] + lag)
    # Fills that did not come within a day never will; waiting for them would have ever longer pages read.
    oldest = frame.now_ms - frame.rules.settling_kept_ms
    settling = tuple(t for t in record.settling if (t.flat_since_ms or t.created_ms) > oldest)
    if (canceled, settling) != (record.canceled, record.settling):
        record = replace(record, canceled=canceled, settling=settling)
    if record.pending_ms:
        return replace(record, quiet_ms=max(record.quiet_ms, record.pending_ms + lag), pending_ms=0)
    return record


def _fold_sight(record: KeyRecord, seen: Seen, frame: Frame) -> KeyRecord:
    """Note since when positions or orders could not be read."""
    blind = isinstance(seen.position, Unknown) or isinstance(seen.orders, Unknown)
    since = (record.blind_since_ms or frame.now_ms) if blind else 0
    return record if since == record.blind_since_ms else replace(record, blind_since_ms=since)


def _ended(trade: Trade) -> int:
    return sum(sent.over for sent in trade.sent)


def _renumbered(record: KeyRecord) -> KeyRecord:
    """Begin the numbers anew with a signal of which nothing was sent: an id names its trade too, and a number ends."""
    trade = record.trade
    if record.n < N_ENOUGH or trade is None or trade.origin is not Origin.SIGNAL or trade.sent or record.outstanding:
        return record
    return replace(record, n=0)


def _fold_orders(record: KeyRecord, seen: Seen, frame: Frame) -> KeyRecord:
    if isinstance(seen.orders, Unknown):
        return record
    trade, n = record.trade, record.n
    for order in seen.orders.value:
        client = owned(order, frame)
        if client is None:
            continue
        if client.role in (Role.STOP, Role.TARGET):  # an entry's number counts attempts, a close's carries its reason
            n = max(n, client.n)
        if trade and client.trade == trade.id:
            trade = _with_placed(with_role(trade, order.id, reason_of_client(client, trade)), order, client, frame)
        elif trade and taken_over(trade, order, client):
            trade = with_role(trade, order.id, reason_of_client(client, trade))
    if trade:
        viewed = viewed_ms(seen, frame.now_ms)
        young = (p for p in trade.placed if viewed < p.acked_ms + frame.can.lag_ms)
        placed = tuple(p for p in young if not _is_over(trade, p, seen, frame))
        trade = trade if placed == trade.placed else replace(trade, placed=placed)
    return record if (n, trade) == (record.n, record.trade) else replace(record, n=n, trade=trade)


def _is_over(trade: Trade, placed: Placed, seen: Seen, frame: Frame) -> bool:
    """Return whether a stop's own id tells that it no longer stands: no view will show it, so nothing is waited for."""
    answer = seen.lookups.get(stop_id(trade, placed, frame.installation), Unknown("not asked"))
    return placed.role is Role.STOP and not isinstance(answer, Unknown) and answer.value.state in OVER


def _with_placed(trade: Trade, order: Order, client: ClientId, frame: Frame) -> Trade:
    """An order seen while it is young is as good as acked: its answer may be lost, and the next view older."""
    if client.role not in (Role.STOP, Role.TARGET) or frame.now_ms >= order.placed_ms + frame.can.lag_ms:
        return trade
    if any(p.role is client.role and p.n >= client.n for p in trade.placed):
        return trade
    others = tuple(p for p in trade.placed if p.role is not client.role or client.role is Role.TARGET)
    return replace(trade, placed=(*others, Placed(client.role, order.id, client.n, order.placed_ms)))


def _fold_belief(case: Case) -> KeyRecord:
    record, trade, now = case.record, case.trade, case.now
    assert trade is not None
    belief = case.belief
    trade = _fold_fills(trade, case.chain, case.frame.installation)
    if isinstance(belief, Held):
        if case.chain.whole:  # else nothing tells whether what is held now is still what it was flat of
            trade = replace(trade, flat_since_ms=None)
        trade = _fold_cover(trade, belief, case, now)
        if belief.by == "venue":
            trade = fold_orphan(_fold_position(trade, belief, case), belief, case)
            trade = follow_price(trade, belief, case)
            trade = _fold_dangers(trade, belief, case)
    elif isinstance(belief, Flat):
        if trade.flat_since_ms is None or trade.held:  # held in between, as positions showed: it begins anew
            trade = replace(trade, flat_since_ms=now)
        trade = _close_naked(replace(trade, covered=False, held=ZERO), now)
    return record if trade == record.trade else replace(record, trade=trade)


def _fold_cover(trade: Trade, held: Held, case: Case, now: int) -> Trade:
    if case.whole:
        trade = _close_naked(trade, now)
        trade = replace(trade, covered=True, lifted=False, crossed=False, oversize=False, stop_answers=0)
        if trade.off_until_ms and not case.lifted:
            trade = replace(trade, off_until_ms=0)  # its time is up, and the stop stands again
        if trade.stop is None and trade.side is held.side:
            found = best_trigger(case, held)  # found without a price: where it stands it stays
            trade = replace(trade, stop=found, first_stop=found)
        return _note_stop(trade, case, held)
    if case.unseen(Role.STOP):
        return trade  # acked a moment ago: neither covered nor naked can be said
    if not case.orders_known and (trade.covered or any(p.role is Role.STOP for p in trade.placed)):
        return trade  # seen or acked once, and nothing is read that denies it
    bare = case.lifted or case.left_alone
    if bare or trade.lifted:
        # a person's wish: it is counted as naked time, but who wants the stop again has the whole limit to get it
        trade = replace(_close_naked(trade, now), covered=False, lifted=bare, crossed=False)
        return replace(trade, naked_since_ms=now)
    lost = trade.lost_ms
    # a position enlarged by hand has not lost the cover it had
    if trade.covered and held.size <= trade.held:
        horizon = now - case.rules.lost_cover_window_ms
        lost = (*(t for t in lost if t > horizon), now)
    since = trade.naked_since_ms if trade.naked_since_ms is not None else now
    return replace(trade, covered=False, lost_ms=lost, naked_since_ms=since)


def _note_stop(trade: Trade, case: Case, held: Held) -> Trade:
    best = best_trigger(case, held)
    stop = next((o for o in case.cover.stops if o.trigger == best), None)
    if stop is None or stop.trigger is None or (trade.stop_seen and trade.stop_seen.order_id == stop.id):
        return trade
    return replace(trade, stop_seen=StopSeen(stop.id, stop.trigger, case.now))


def _close_naked(trade: Trade, now: int) -> Trade:
    if trade.naked_since_ms is None:
        return trade
    return replace(trade, naked_ms=trade.naked_ms + now - trade.naked_since_ms, naked_since_ms=None)


def _fold_position(trade: Trade, held: Held, case: Case) -> Trade:
    position = held.position
    assert position is not None
    fresh = not isinstance(case.seen.position, Unknown) and case.seen.position.at_ms > case.record.quiet_ms
    own = held.size if held.side is trade.side else ZERO  # what stands on the other side is none of the trade's
    if own != trade.held:
        believed = own if fresh or ZERO < own < trade.held else trade.held
        trade = replace(trade, held=believed, sized_ms=case.now)
    close = trade.close
    stands = trade.sized_ms < case.now  # one reading of another size may be wrong
    if close and close.keep_fraction > 0 and close.keep_size is None and fresh and stands:
        asked_of = held.size + _closed_since(close.asked_ms, close.reason, case)
        keep = to_step(asked_of * close.keep_fraction, case.frame.market.size_step, Toward.UP)
        trade = replace(trade, close=replace(close, keep_size=keep))
    elif close and close.keep_size is not None and held.size <= close.keep_size:
        trade = replace(trade, close=None, widen=0)
    return trade


def _closed_since(asked_ms: int, reason: str, case: Case) -> Decimal:
    """Return what our own closes took since one was asked for: a record that went back may have forgotten them."""
    installation, trade = case.frame.installation, case.trade
    assert trade is not None
    later = (fill for fill in case.chain.used if fill.time_ms >= asked_ms)
    return sum((fill.size for fill in later if reason_of(fill, trade, installation) == reason), ZERO)


def _fold_fills(trade: Trade, chain: Chain, installation: str) -> Trade:
    """Note what the trade's fills tell of its size; a page that is older than what was known already tells nothing."""
    traded = sum((fill.size for fill in chain.used), ZERO)
    if not chain.whole or not chain.used or chain.closed or traded < trade.traded:
        return trade
    of = {fill.id: reason_of(fill, trade, installation) for fill in chain.used}
    entered = sum((f.size for f in chain.used if of[f.id] == "entry"), ZERO)
    taken = sum((f.size for f in chain.used if of[f.id] == "take_profit"), ZERO)
    return replace(
        trade,
        traded=traded,
        explained=abs(chain.net),
        entry_filled=max(trade.entry_filled, entered),
        taken=max(trade.taken, taken),
    )


def _fold_dangers(trade: Trade, held: Held, case: Case) -> Trade:
    """Count the readings that show the price beyond a stop that stands, or the liquidation in front of it or near."""
    read = case.seen.position
    best = best_trigger(case, held) if case.whole else None
    if best is None or isinstance(read, Unknown):
        return replace(trade, beyond=None, unsafe=None, pressed=None)
    margin = best * (1 - held.side.sign * case.rules.breach_margin)
    liquidation = held.position.liquidation_price if held.position else None
    ahead = liquidation is not None and (best - liquidation) * held.side.sign <= 0
    beyond = _sighted(trade.beyond, read.at_ms, case.now) if case.surely_beyond(margin, held) else None
    unsafe = _sighted(trade.unsafe, read.at_ms, case.now) if ahead else None
    pressed = _sighted(trade.pressed, read.at_ms, case.now) if case.is_pressed(best, held) else None
    return replace(trade, beyond=beyond, unsafe=unsafe, pressed=pressed)


def _sighted(before: Sighting | None, reading_ms: int, now: int) -> Sighting:
    if before is None:
        return Sighting(now, 1, reading_ms)
    return before if reading_ms <= before.reading_ms else Sighting(before.first_ms, before.readings + 1, reading_ms)
