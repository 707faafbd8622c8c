"""Rules of the engine broken on purpose, one at a time, to see that the judge of worlds notices.

Each is a function that returns what to put in whose place. Only the simulation's own process is touched.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from exchange import simulated
from exchange.simulated import SimulatedVenue
from stopkeeper.core import (
    believe,
    case,
    concerns,
    danger,
    decide,
    effects,
    entering,
    hygiene,
    learn,
    moving,
    outstanding,
)
from stopkeeper.core.actions import Book, Cancel
from stopkeeper.core.believe import Cover, CoverKind, Flat, Held, Proof
from stopkeeper.core.case import Case
from stopkeeper.core.model import Role
from stopkeeper.core.outcomes import Accepted, Rejected, Unknown
from stopkeeper.core.record import Origin
from stopkeeper.engine import drive, perform
from stopkeeper.engine.ports import Permit
from stopkeeper.store.memory.leases import MemoryLeases
from stopkeeper.store.memory.records import MemoryRecords
from stopkeeper.store.memory.world import LeaseRow

Swap = tuple[Any, str, Any]
FAR_MS = 600_000


def _flat_as_read() -> list[Swap]:
    """3.4: a read without a position is believed at once."""
    true = believe.believe

    def naive(record: Any, seen: Any, chain: Any, lag_ms: int) -> Any:
        read = seen.position
        return (
            Flat("as read")
            if not isinstance(read, Unknown) and read.value is None
            else true(record, seen, chain, lag_ms)
        )

    return [(case, "believe", naive), (outstanding, "believe", naive), (hygiene, "_outlived", lambda *_: True)]


def _absence_at_once() -> list[Swap]:
    """3.5: an entry that a look-up does not know is absent, whenever it was asked."""

    def naive(sent: Any, client_id: str, seen: Any, _chain: Any, _lag_ms: int) -> Any:
        found = seen.lookups.get(client_id, Unknown("not asked"))
        if isinstance(found, Unknown) or found.value.state is not None:
            return believe.NotYet("it was not asked")
        return Proof(f"attempt {sent.attempt} is not known")

    return [(learn, "absence", naive)]


def _no_quiet() -> list[Swap]:
    """3.3: nothing is waited for that may still appear."""
    true = effects.conclude

    def naive(*args: Any) -> Any:
        return replace(true(*args), quiet_ms=0)

    return [(perform, "conclude", naive)]


def _ending_last() -> list[Swap]:
    """3.10: that a trade has ended is asked last."""
    return [(decide, "ORDER", (*decide.ORDER[1:], decide.ORDER[0]))]


def _old_stop_first() -> list[Swap]:
    """3.7: the old stop is cancelled before the new one is seen, and no guard stands in the way."""
    true = concerns.trailing

    def trailing(c: Case) -> Any:
        found = true(c)
        if not isinstance(found, list) or not found:
            return found
        return [*(Cancel(o.id, Role.STOP, "replaced") for o, k in c.ours if k.role is Role.STOP), *found]

    order = tuple(trailing if each is true else each for each in decide.ORDER)
    return [(decide, "ORDER", order), (decide, "never_lower", lambda actions, _case: list(actions))]


def _tidies_by_number() -> list[Swap]:
    """3.4: every stop but the newest number is litter, and no guard stands in the way."""

    def naive(c: Case, _held: Held) -> Any:
        stops = sorted(((k.n, o) for o, k in c.ours if k.role is Role.STOP), key=lambda pair: pair[0])
        return [Cancel(o.id, Role.STOP, "older") for n, o in stops if n < c.record.n and o.id not in c.going]

    return [(hygiene, "_older_stops", naive), (decide, "never_lower", lambda actions, _case: list(actions))]


def _tidies_on_unknown() -> list[Swap]:
    """3.4: what no trade seems to need is cancelled though the position is not known."""

    def naive(c: Case) -> Any:
        if isinstance(c.belief, Held):
            return []
        return [Cancel(o.id, k.role, "litter") for o, k in c.ours if o.id not in c.going]

    order = tuple(naive if each is hygiene.hygiene else each for each in decide.ORDER)
    return [(decide, "ORDER", order), (decide, "never_lower", lambda actions, _case: list(actions))]


def _ack_is_cover() -> list[Swap]:
    """3.6: a stop that was accepted counts as cover, seen or not."""
    true = Case.whole.fget  # type: ignore[attr-defined]

    def naive(c: Case) -> bool:
        return true(c) or (c.trade is not None and any(k == "stop_loss" for _, k in c.trade.order_roles))

    return [(Case, "whole", property(naive))]


def _hanging_forgotten() -> list[Swap]:
    """3.3: a stop that fired and hangs is not asked after."""
    return [(outstanding, "hidden", lambda *_: ()), (case, "hidden", lambda *_: ())]


def _cached_size() -> list[Swap]:
    """3.8: a close takes the first size it ever read."""
    true, kept = perform.to_close, dict[tuple[int, str], Any]()

    def naive(action: Any, symbol: str, venue: Any, *more: Any) -> Any:
        found = true(action, symbol, venue, *more)
        return kept.setdefault((id(venue), symbol), found) if isinstance(found, tuple) else found

    return [(perform, "to_close", naive)]


def _two_drivers() -> list[Swap]:
    """3.2: a lease is given to whoever asks, and no fence is looked at."""
    save = MemoryRecords.save

    def acquire(self: Any, key: Any) -> Any:
        with self._world.using() as state:
            state.leases.pop(key, None)
        return true(self, key)

    def unfenced(self: Any, record: Any, lease: Any, **more: Any) -> Any:
        with self._world.using() as state:
            row = state.leases.setdefault(record.key, LeaseRow())
            now = state.records.get(record.key)
            lease = replace(lease, fence=row.fence)
            record = record if now is None else replace(record, version=now.version)
        return save(self, record, lease, **more)

    true = MemoryLeases.acquire
    return [(MemoryLeases, "acquire", acquire), (MemoryRecords, "save", unfenced)]


def _no_deadline() -> list[Swap]:
    """3.3: an action may land whenever it does."""
    true = SimulatedVenue.permit

    def naive(self: Any, *args: Any, **more: Any) -> Any:
        found = true(self, *args, **more)
        return replace(found, deadline_ms=found.deadline_ms + FAR_MS) if isinstance(found, Permit) else found

    announce = perform.announce

    def short(record: Any, action: Any, deadline_ms: int, *more: Any) -> Any:
        return announce(record, action, deadline_ms - FAR_MS, *more)

    return [(SimulatedVenue, "permit", naive), (perform, "announce", short)]


def _new_nonces() -> list[Swap]:
    """3.5: an entry's nonce is minted when it is sent, and a lost answer is sent again at once."""
    true = perform.permit_for

    def naive(action: Any, record: Any, venue: Any, times: Any) -> Any:
        return true(action, replace(record, trade=None), venue, times)

    return [(perform, "permit_for", naive), *_absence_at_once()]


def _adopted_without_stop() -> list[Swap]:
    """Fault 1: what was found is owned, and that is all."""
    true = concerns.protection

    def naive(c: Case) -> Any:
        return [] if c.trade is not None and c.trade.origin is Origin.FOUND else true(c)

    return [(decide, "ORDER", tuple(naive if each is true else each for each in decide.ORDER))]


def _unprotected() -> list[Swap]:
    """3.8: a naked position is left to the emergency close, which never comes."""
    gone = (concerns.protection, danger.danger)
    return [(decide, "ORDER", tuple(each for each in decide.ORDER if each not in gone))]


def _no_emergency() -> list[Swap]:
    """3.8: nothing is ever closed for being naked."""
    return [(danger, "_naked", lambda *_: [])]


def _any_stop_covers() -> list[Swap]:
    """3.6: one stop covers a position of whatever size."""
    true = believe.cover

    def naive(held: Any, orders: Any, rules: Any, can: Any) -> Cover:
        found = true(held, orders, rules, can)
        return replace(found, kind=CoverKind.WHOLE) if found.stops else found

    return [(case, "cover", naive), (concerns, "covers_alone", lambda *_: True)]


def _either_side_covers() -> list[Swap]:
    """3.6: the side of a stop is not read back."""
    true = believe.fault_of

    def naive(order: Any, held: Any, rules: Any) -> Any:
        found = true(order, held, rules)
        return None if found == "it is on the wrong side" else found

    return [(believe, "fault_of", naive)]


def _loosens() -> list[Swap]:
    """3.7: a stop follows the price in both directions."""
    true = moving.follow_price

    def naive(trade: Any, held: Held, c: Case) -> Any:
        trade = true(trade, held, c)
        if trade.stop is None or c.mark is None or not trade.policy.moves:
            return trade
        wide = c.mark * (1 - held.side.sign * c.rules.orphan_stop)
        return replace(trade, stop=case.on_grid(wide, c.frame.market, case.nearer(held.side)), loosened=True)

    return [(learn, "follow_price", naive)]


def _not_reduce_only() -> list[Swap]:
    """A stop or target that could open a position."""
    true = simulated._closing

    def naive(*args: Any, **more: Any) -> Any:
        return replace(true(*args, **more), reduce_only=False)

    return [(simulated, "_closing", naive)]


def _refusal_is_done() -> list[Swap]:
    """A refused stop counts as placed."""
    true = perform.conclude

    def naive(record: Any, action: Any, outcome: Any, now_ms: int, lag_ms: int) -> Any:
        return true(record, action, Accepted("?") if isinstance(outcome, Rejected) else outcome, now_ms, lag_ms)

    return [(perform, "conclude", naive)]


def _books_at_sight() -> list[Swap]:
    """3.10: an exit is booked when the position is gone, whatever the fills say."""
    return [(concerns, "_book", _incomplete), (Case, "entered", property(lambda _c: True))]


_true_book = concerns._book


def _incomplete(c: Case, trade: Any, why: str, successor: Any) -> Book:
    made = _true_book(c, trade, why, successor)
    return replace(made, exit=replace(made.exit, complete=True), used=())


def _no_successor() -> list[Swap]:
    """3.10: a flip ends the trade and what it left begins none."""

    def naive(c: Case, trade: Any, why: str, _successor: Any) -> Book:
        return _true_book(c, trade, why, None)

    return [(concerns, "_book", naive), (decide, "never_lower", lambda actions, _case: list(actions))]


def _late_signals() -> list[Swap]:
    """3: a signal is sent however old it is."""
    true = entering._no_longer

    def naive(c: Case, trade: Any) -> Any:
        found = true(c, trade)
        return None if found and "expired" in found else found

    return [(entering, "_no_longer", naive)]


def _entries_over_litter() -> list[Swap]:
    """3.6: an entry leaves while orders of ours live on the symbol, and what may still appear is not waited for."""
    true = entering._not_yet

    def naive(c: Case, trade: Any, attempt: int) -> Any:
        found = true(c, trade, attempt)
        return None if found and "may still appear" in found.why else found

    return [(Case, "ours", property(lambda _c: ())), (entering, "_not_yet", naive)][1:]


def _sleeps_for_ever() -> list[Swap]:
    """What ends a drive is never due again."""
    true = MemoryLeases.release

    def naive(self: Any, lease: Any, counter: int, _after_ms: Any) -> bool:
        return true(self, lease, counter, None)

    return [(MemoryLeases, "release", naive), (drive, "TIRED_MS", FAR_MS)]


def _keeps_lease() -> list[Swap]:
    """3.2: a lease is kept until it runs out, and counts as held beyond that."""
    return [(MemoryLeases, "_let_go", lambda *_: None)]


KINDS: dict[str, str] = {
    "absence-at-once": "lossy", "new-nonces": "lossy", "no-deadline": "lossy", "no-quiet": "lossy",
    "two-drivers": "crashing", "keeps-lease": "crashing", "hanging-forgotten": "venue", "no-emergency": "venue",
}  # fmt: skip
"""Worlds in which a broken rule can matter, where they are rare among all."""

PLANTED: dict[str, Callable[[], list[Swap]]] = {
    made.__name__.lstrip("_").replace("_", "-"): made
    for made in (
        _flat_as_read, _absence_at_once, _no_quiet, _ending_last, _old_stop_first, _tidies_by_number,
        _tidies_on_unknown, _ack_is_cover, _hanging_forgotten, _cached_size, _two_drivers, _no_deadline, _new_nonces,
        _adopted_without_stop, _unprotected, _no_emergency, _any_stop_covers, _either_side_covers, _loosens,
        _not_reduce_only, _refusal_is_done, _books_at_sight, _no_successor, _late_signals, _entries_over_litter,
        _sleeps_for_ever, _keeps_lease,
    )
}  # fmt: skip


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Break a rule by its name for a while; None breaks none."""
    swaps = PLANTED[name]() if name else []
    kept = [(where, what, where.__dict__[what]) for where, what, _ in swaps]
    for where, what, new in swaps:
        setattr(where, what, new)
    try:
        yield
    finally:
        for where, what, old in kept:
            setattr(where, what, old)
