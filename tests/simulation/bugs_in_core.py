"""Rules of the core broken on purpose: what is concluded of an observation, and what is decided then.

Each is a function that says which rule of the design it breaks and returns what to put in whose place.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from stopkeeper.core import (
    attempts,
    believe,
    case,
    concerns,
    danger,
    decide,
    entering,
    evidence,
    guard,
    hygiene,
    learn,
    moving,
    outstanding,
)
from stopkeeper.core.actions import Book, Cancel
from stopkeeper.core.believe import Cover, CoverKind, FaultKind, Flat, Held, Proof
from stopkeeper.core.case import Case
from stopkeeper.core.ids import decode
from stopkeeper.core.model import Role
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Origin

Swap = tuple[Any, str, Any]


def _instead(true: Any, other: Any) -> tuple[Any, ...]:
    """Return the concerns in their order, one of them replaced."""
    return tuple(other if each is true else each for each in decide.ORDER)


def flat_as_read() -> list[Swap]:
    """3.4: a read without a position is believed at once."""
    true = believe.believe

    def naive(record: Any, seen: Any, chain: Any, lag_ms: int) -> Any:
        read = seen.position
        return (
            Flat("as read")
            if not isinstance(read, Unknown) and read.value is None
            else true(record, seen, chain, lag_ms)
        )

    believes = [(case, "believe", naive), (outstanding, "believe", naive), (hygiene, "_outlived", lambda *_: True)]
    return believes + flat_by_one_reading()


def flat_by_one_reading() -> list[Swap]:
    """3.4: what guards a position is cancelled on one reading that denies it."""
    return [(guard, "_is_surely_gone", lambda _case: True)]


def flat_by_any_two() -> list[Swap]:
    """3.4: two readings that deny a position have its guard cancelled, though it was shown between them."""
    true = learn._fold_denial

    def naive(record: Any, case: Case) -> Any:
        read = case.seen.position
        return record if not isinstance(read, Unknown) and read.value is not None else true(record, case)

    return [(learn, "_fold_denial", naive)]


def absence_at_once() -> list[Swap]:
    """3.5: an entry that a look-up does not know is absent, whenever it was asked."""

    def naive(sent: Any, client_id: str, seen: Any, _chain: Any, _lag_ms: int) -> Any:
        found = seen.lookups.get(client_id, Unknown("not asked"))
        if isinstance(found, Unknown) or found.value.state is not None:
            return believe.NotYet("it was not asked")
        return Proof(f"attempt {sent.attempt} is not known")

    return [(attempts, "absence", naive)]


def ending_last() -> list[Swap]:
    """3.10: that a trade has ended is asked last."""
    return [(decide, "ORDER", (*decide.ORDER[1:], decide.ORDER[0]))]


def old_stop_first() -> list[Swap]:
    """3.7: the old stop is cancelled before the new one is seen, and no guard stands in the way."""
    true = concerns.trailing

    def trailing(c: Case) -> Any:
        found = true(c)
        if not isinstance(found, list) or not found:
            return found
        return [*(Cancel(o.id, Role.STOP, "replaced") for o, k in c.ours if k.role is Role.STOP), *found]

    return [(decide, "ORDER", _instead(true, trailing)), (decide, "never_lower", lambda actions, _case: list(actions))]


def tidies_by_number() -> list[Swap]:
    """3.4: every stop but the newest number is litter, and no guard stands in the way."""
    return [*tidies_before_the_guard(), (decide, "never_lower", lambda actions, _case: list(actions))]


def tidies_before_the_guard() -> list[Swap]:
    """Nothing of the design: every stop but the newest number is litter, and the guard keeps what must stay."""

    def naive(c: Case, _held: Held) -> Any:
        stops = sorted(((k.n, o) for o, k in c.ours if k.role is Role.STOP), key=lambda pair: pair[0])
        return [Cancel(o.id, Role.STOP, "older") for n, o in stops if n < c.record.n and o.id not in c.going]

    return [(hygiene, "_older_stops", naive)]


def tidies_on_unknown() -> list[Swap]:
    """3.4: what no trade seems to need is cancelled though the position is not known."""

    def naive(c: Case) -> Any:
        if isinstance(c.belief, Held):
            return []
        return [Cancel(o.id, k.role, "litter") for o, k in c.ours if o.id not in c.going]

    return [
        (decide, "ORDER", _instead(hygiene.hygiene, naive)),
        (decide, "never_lower", lambda actions, _case: list(actions)),
    ]


def ack_is_cover() -> list[Swap]:
    """3.6: a stop that was accepted counts as cover, seen or not."""
    true = Case.whole.fget  # type: ignore[attr-defined]

    def naive(c: Case) -> bool:
        return true(c) or (c.trade is not None and any(k == "stop_loss" for _, k in c.trade.order_roles))

    return [(Case, "whole", property(naive))]


def hanging_forgotten() -> list[Swap]:
    """3.3: a stop that fired and hangs is not asked after."""
    return [(outstanding, "hidden", lambda *_: ()), (case, "hidden", lambda *_: ())]


def history_unread() -> list[Swap]:
    """3.3: what hangs is known only while the record that sent it is."""

    def naive(record: Any, seen: Any, *_: Any) -> Any:
        return record if isinstance(seen.history, Unknown) else replace(record, history_ms=seen.history.at_ms)

    return [(learn, "with_history", naive)]


def child_is_litter() -> list[Swap]:
    """3.6: a stop that was placed with an entry is litter while that entry, of no trade on record, may fill."""
    return [(outstanding, "_entering", lambda *_: frozenset()), *loss_unnoticed()]


def loss_unnoticed() -> list[Swap]:
    """3.3: what a lost record may have sent is waited for only where its position is found, and no loss is seen."""
    true = learn.quiet_after_loss

    def naive(record: Any, lag_ms: int) -> Any:
        return replace(true(replace(record, lost=False), lag_ms), lost=record.lost)

    unheard = [(learn, "quiet_after_loss", naive), (entering, "unheard_until_ms", lambda *_: None)]
    return [*unheard, *forgets_unnoticed()]


def forgets_unnoticed() -> list[Swap]:
    """3.5: that the store is another than before is no reason to wait with an entry."""
    return [(case.Frame, "forgot_until_ms", property(lambda _: 0))]


def adopted_without_stop() -> list[Swap]:
    """3.12: what was found is owned, and that is all."""
    true = concerns.protection

    def naive(c: Case) -> Any:
        return [] if c.trade is not None and c.trade.origin is Origin.FOUND else true(c)

    return [(decide, "ORDER", _instead(true, naive))]


def unprotected() -> list[Swap]:
    """3.8: a naked position is left to the emergency close, which never comes."""
    gone = (concerns.protection, danger.danger)
    return [(decide, "ORDER", tuple(each for each in decide.ORDER if each not in gone))]


def no_emergency() -> list[Swap]:
    """3.8: nothing is ever closed for being naked."""
    return [(danger, "_naked", lambda *_: [])]


def waits_beyond() -> list[Swap]:
    """3.8: a naked position whose price is beyond its stop is given the five seconds of any other."""
    true = danger._naked

    def naive(c: Case, held: Held, trade: Any) -> Any:
        found = true(c, held, trade)
        hasty = isinstance(found, list) and any("beyond the stop" in getattr(each, "why", "") for each in found)
        since = max(c.now if trade.naked_since_ms is None else trade.naked_since_ms, trade.off_until_ms)
        return [] if hasty and c.now - since < c.rules.naked_limit_ms else found

    return [(danger, "_naked", naive)]


def any_stop_covers() -> list[Swap]:
    """3.6: one stop covers a position of whatever size."""
    true = believe.cover

    def naive(held: Any, orders: Any, rules: Any, can: Any) -> Cover:
        found = true(held, orders, rules, can)
        return replace(found, kind=CoverKind.WHOLE) if found.stops else found

    return [(case, "cover", naive), (concerns, "covers_alone", lambda *_: True)]


def either_side_covers() -> list[Swap]:
    """3.6: the side of a stop is not read back."""
    true = believe.fault_of

    def naive(order: Any, held: Any, rules: Any) -> Any:
        found = true(order, held, rules)
        return None if found is not None and found.kind is FaultKind.WRONG_SIDE else found

    return [(believe, "fault_of", naive)]


def loosens() -> list[Swap]:
    """3.7: a stop follows the price in both directions."""
    true = moving.follow_price

    def naive(trade: Any, held: Held, c: Case) -> Any:
        trade = true(trade, held, c)
        if trade.stop is None or c.mark is None or not trade.policy.moves:
            return trade
        wide = c.mark * (1 - held.side.sign * c.rules.orphan_stop)
        return replace(trade, stop=case.on_grid(wide, c.frame.market, case.nearer(held.side)), loosened=True)

    return [(learn, "follow_price", naive)]


def books_at_sight() -> list[Swap]:
    """3.10: an exit is booked when the position is gone, whatever the fills say."""
    return [(concerns, "_book", _incomplete), (Case, "entered", property(lambda _c: True))]


_true_book = concerns._book


def _incomplete(c: Case, trade: Any, why: str, successor: Any) -> Book:
    made = _true_book(c, trade, why, successor)
    return replace(made, exit=replace(made.exit, complete=True), used=())


def no_successor() -> list[Swap]:
    """3.10: a flip ends the trade and what it left begins none."""

    def naive(c: Case, trade: Any, why: str, _successor: Any) -> Book:
        return _true_book(c, trade, why, None)

    return [(concerns, "_book", naive), (decide, "never_lower", lambda actions, _case: list(actions))]


def late_signals() -> list[Swap]:
    """3.5: a signal is sent however old it is."""
    true = entering._no_longer

    def naive(c: Case, trade: Any) -> Any:
        found = true(c, trade)
        return None if found and "expired" in found else found

    return [(entering, "_no_longer", naive)]


def entries_over_litter() -> list[Swap]:
    """3.6: an entry leaves while orders of ours live on the symbol, and what may still appear is not waited for."""
    true, not_yet = entering.entry, entering._not_yet

    def patient(c: Case, trade: Any, attempt: int) -> Any:
        found = not_yet(c, trade, attempt)
        return None if found and "may still appear" in found.why else found

    def naive(c: Case) -> Any:
        if c.trade is None or c.trade.sent:
            return true(c)
        return true(replace(c, ours=(), record=replace(c.record, outstanding=())))

    return [(decide, "ORDER", _instead(true, naive)), (entering, "_not_yet", patient)]


def stops_behind_liquidation() -> list[Swap]:
    """3.6: a stop stands where it is wanted, also behind the price at which the venue liquidates."""
    return [(Case, "_edge", lambda *_: None)]


def one_reading_closes() -> list[Swap]:
    """3.9: one reading of a price beyond the stop closes the position."""

    def hasty(c: Case, level: Decimal, held: Held) -> bool:
        return c.beyond(level, held)

    return [(Case, "surely_beyond", hasty), (danger, "_confirmed", lambda *_: True)]


def exits_by_price() -> list[Swap]:
    """3.10: why a position closed is told by the price at which it did, and not by whose order it was."""
    true = evidence.classify

    def naive(fill: Any, *more: Any) -> str:
        return true(replace(fill, order_id="?", client_id=None), *more)

    return [(evidence, "classify", naive)]


def cancels_foreign() -> list[Swap]:
    """3.12: what stands beside our orders and closes what we hold is litter too."""
    true = hygiene.hygiene

    def naive(c: Case) -> Any:
        if not isinstance(c.belief, Held) or not c.whole:
            return true(c)
        ours = {o.id for o, _ in c.ours}
        others = [o for o in c.live if o.reduce_only and o.id not in ours and o.id not in c.going]
        return [Cancel(o.id, Role.STOP, "nobody's") for o in others] or true(c)

    return [(decide, "ORDER", _instead(true, naive))]


def covers_its_own() -> list[Swap]:
    """3.12: a position enlarged by hand is covered for what the trade entered."""
    true = case.cover

    def naive(held: Any, orders: Any, rules: Any, can: Any) -> Cover:
        orders = tuple(orders)
        found = true(held, orders, rules, can)
        own = [o for o in found.stops if decode(o.client_id) is not None]
        return replace(found, kind=CoverKind.WHOLE) if own else found

    return [(case, "cover", naive)]
