"""What became of the attempts of an entry: what look-ups, orders and fills tell of each, and what proves it absent."""

from dataclasses import replace

from stopkeeper.core.asking import entry_id, shown
from stopkeeper.core.believe import Proof, absence
from stopkeeper.core.case import Frame, has_entered
from stopkeeper.core.evidence import Chain, follow, reason_of
from stopkeeper.core.ids import decode
from stopkeeper.core.model import OVER, ZERO, Lookup, OrderState, Resting, Seen
from stopkeeper.core.outcomes import Accepted, Outcome, Unknown
from stopkeeper.core.record import Sent, Terms, Trade

ROLES_KEPT = 64


def fold_attempts(trade: Trade, seen: Seen, frame: Frame) -> Trade:
    """Take in what look-ups say of entry attempts, also of one this record has forgotten, and prove absences."""
    chain = follow(trade, seen.fills, frame.installation)
    for attempt in range(len(trade.nonces)):
        client_id = entry_id(trade, attempt, frame.installation)
        answer = seen.lookups.get(client_id)
        if answer is None or isinstance(answer, Unknown):
            continue
        known = answer.value
        sent = next((s for s in trade.sent if s.attempt == attempt), None)
        if sent is None:
            if known.state is not None and attempt == len(trade.sent):
                trade = replace(trade, sent=(*trade.sent, _forgotten(trade, attempt, frame)))
                sent = trade.sent[-1]
            else:
                continue
        if sent.rests:
            orders, late = seen.orders, sent.deadline_ms + frame.can.lag_ms
            gone = not isinstance(orders, Unknown) and min(answer.at_ms, orders.at_ms) > late and not shown(sent, seen)
            trade = _fold_resting(trade, sent, known, gone=gone)
            continue
        if not sent.unproven:
            continue
        if known.filled > 0 or known.state is OrderState.FILLED:
            done: Outcome = Accepted(order_id=known.order_id, filled=known.filled)
            trade = with_sent(replace(trade, held=max(trade.held, known.filled)), replace(sent, outcome=done))
            if known.order_id:
                trade = with_role(trade, known.order_id, "entry")
        elif sent.terms.resting is not Resting.NO and known.state is OrderState.CANCELED:
            # it stood in the book, and somebody took it away: it is not sent again
            trade = with_sent(trade, replace(sent, outcome=Accepted(known.order_id), over=True))
        elif isinstance(absence(sent, client_id, seen, chain, frame.can.lag_ms), Proof):
            trade = with_sent(trade, replace(sent, absent=True))
    trade = _proved_by_fills(trade, chain, frame)
    trade = _proved_by_orders(trade, seen, frame)
    trade = _over(trade, seen, frame)
    if trade.entered_ms is None and has_entered(trade, chain):
        mine = (f.time_ms for f in chain.used if reason_of(f, trade, frame.installation) == "entry")
        trade = replace(trade, entered_ms=min(mine, default=frame.now_ms))
    return trade


def _fold_resting(trade: Trade, sent: Sent, known: Lookup, *, gone: bool) -> Trade:
    """An entry that rested and is not shown any more: its id tells whether it is over, and what of it filled."""
    assert isinstance(sent.outcome, Accepted)
    over = known.state in OVER or (
        known.state is None and gone  # it stood, and the venue knows of it no more: old orders are forgotten
    )
    filled = max(sent.outcome.filled, known.filled)
    done = replace(sent.outcome, filled=filled, live=not over)
    return with_sent(replace(trade, held=max(trade.held, filled)), replace(sent, outcome=done, over=over))


def _over(trade: Trade, seen: Seen, frame: Frame) -> Trade:
    """An entry that rested is over once all of it filled, or once a part did and it is not shown any more."""
    for sent in trade.sent:
        if not sent.rests or trade.entered_ms is None or not isinstance(sent.outcome, Accepted):
            continue
        late = not isinstance(seen.orders, Unknown) and seen.orders.at_ms > sent.sent_ms + frame.can.lag_ms
        if (late and not shown(sent, seen)) or trade.entry_filled >= sent.terms.size:
            trade = with_sent(trade, replace(sent, over=True))
    return trade


def _proved_by_orders(trade: Trade, seen: Seen, frame: Frame) -> Trade:
    """An unanswered entry that stands in the book was accepted."""
    for sent in trade.sent:
        if not sent.unproven or isinstance(seen.orders, Unknown):
            continue
        name = decode(entry_id(trade, sent.attempt, frame.installation))
        live = next((o for o in seen.orders.value if decode(o.client_id) == name), None)
        if live is not None:
            trade = with_sent(trade, replace(sent, outcome=Accepted(live.id, live=True)))
    return trade


def _proved_by_fills(trade: Trade, chain: Chain, frame: Frame) -> Trade:
    """A fill that bears an attempt's id answers for it, for good: once entered, nobody looks it up any more."""
    for sent in trade.sent:
        if not sent.unproven:
            continue
        name = entry_id(trade, sent.attempt, frame.installation)
        mine = [f for f in chain.used if decode(f.client_id) == decode(name)]
        if mine:
            filled = sum((f.size for f in mine), ZERO)
            average = sum((f.size * f.price for f in mine), ZERO) / filled
            trade = with_sent(trade, replace(sent, outcome=Accepted(mine[0].order_id, filled, average)))
            trade = with_role(trade, mine[0].order_id, "entry")
    return trade


def _forgotten(trade: Trade, attempt: int, frame: Frame) -> Sent:
    """An attempt the venue knows and this record does not: the store went back in time after it was sent."""
    if trade.sent:
        terms = trade.sent[-1].terms
    else:
        stop = trade.stop or ZERO
        resting = trade.signal.resting if trade.signal else Resting.NO
        terms = Terms(ZERO, ZERO, stop, ZERO, ZERO, goals=trade.targets, resting=resting)
    return Sent(attempt, attempt, trade.nonces[attempt], frame.now_ms, frame.now_ms, terms, Unknown("record lost"))


def with_sent(trade: Trade, sent: Sent) -> Trade:
    """Put an attempt's new state in the place of its old one."""
    return replace(trade, sent=tuple(sent if s.attempt == sent.attempt else s for s in trade.sent))


def with_role(trade: Trade, order: str, reason: str) -> Trade:
    """Note what an order of ours is for, unless that is known; the oldest notes go."""
    if any(known == order for known, _ in trade.order_roles):
        return trade
    return replace(trade, order_roles=(*trade.order_roles, (order, reason))[-ROLES_KEPT:])
