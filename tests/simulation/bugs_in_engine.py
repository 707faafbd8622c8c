"""Rules of the engine broken on purpose: how effects are sent, written down and concluded, and who holds what lease.

Each is a function that says which rule of the design it breaks and returns what to put in whose place.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from exchange import budget, simulated, simulated_reads
from exchange.simulated import SimulatedVenue
from stopkeeper.core import effects
from stopkeeper.core.believe import Held
from stopkeeper.core.case import Case
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Rejected, Unknown
from stopkeeper.core.prices import Price
from stopkeeper.core.watching import Watch
from stopkeeper.engine import drive, guardian, observe, perform
from stopkeeper.engine.ports import AdmitResult, Permit, Urgency
from stopkeeper.store.memory.leases import MemoryLeases
from stopkeeper.store.memory.records import MemoryRecords
from stopkeeper.store.memory.world import LeaseRow
from tests.simulation.bugs_in_core import Swap, absence_at_once, one_reading_closes

FAR_MS = 600_000


def no_quiet() -> list[Swap]:
    """3.3: nothing is waited for that may still appear."""
    true = effects.conclude

    def naive(*args: Any) -> Any:
        return replace(true(*args), quiet_ms=0)

    return [(perform, "conclude", naive)]


def numbers_by_record() -> list[Swap]:
    """3.1: an order's number is one more than the record's, whatever is seen at the venue or may have been lost."""
    true = drive.learn

    def naive(record: Any, seen: Any, frame: Any) -> Any:
        return replace(true(record, seen, frame), n=record.n)

    return [(drive, "learn", naive)]


def cached_size() -> list[Swap]:
    """3.8: a process closes the size that it read first."""
    true, kept = perform.to_close, WeakKeyDictionary[Any, dict[str, Any]]()

    def naive(action: Any, symbol: str, venue: Any, *more: Any) -> Any:
        found = true(action, symbol, venue, *more)
        return kept.setdefault(venue, {}).setdefault(symbol, found) if isinstance(found, tuple) else found

    return [(perform, "to_close", naive)]


def two_drivers() -> list[Swap]:
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


def no_deadline() -> list[Swap]:
    """3.3: an action may land whenever it does."""
    true = SimulatedVenue.permit

    def naive(self: Any, *args: Any, **more: Any) -> Any:
        found = true(self, *args, **more)
        return replace(found, deadline_ms=found.deadline_ms + FAR_MS) if isinstance(found, Permit) else found

    announce = perform.announce

    def short(record: Any, action: Any, deadline_ms: int, *more: Any) -> Any:
        return announce(record, action, deadline_ms - FAR_MS, *more)

    return [(SimulatedVenue, "permit", naive), (perform, "announce", short)]


def new_nonces() -> list[Swap]:
    """3.5: an entry's nonce is minted when it is sent, and a lost answer is sent again at once."""
    true = perform.permit_for

    def naive(action: Any, record: Any, venue: Any, times: Any) -> Any:
        return true(action, replace(record, trade=None), venue, times)

    return [(perform, "permit_for", naive), *absence_at_once()]


def not_reduce_only() -> list[Swap]:
    """3.6: a stop or target could open a position."""
    true = simulated._closing

    def naive(*args: Any, **more: Any) -> Any:
        return replace(true(*args, **more), reduce_only=False)

    return [(simulated, "_closing", naive)]


def refusal_is_done() -> list[Swap]:
    """3.8: a stop counts as placed once it was answered, also where the answer is that it was refused."""
    true = perform.conclude

    def done(outcome: Any) -> Any:
        return Accepted("?") if isinstance(outcome, Rejected) else outcome

    def naive(record: Any, action: Any, outcome: Any, now_ms: int, lag_ms: int) -> Any:
        if isinstance(outcome, EntryOutcome):
            return true(record, action, replace(outcome, stop=done(outcome.stop)), now_ms, lag_ms)
        return true(record, action, done(outcome), now_ms, lag_ms)

    return [(perform, "conclude", naive)]


def sleeps_for_ever() -> list[Swap]:
    """3.2: what ends a drive is never due again."""
    true = MemoryLeases.release

    def naive(self: Any, lease: Any, counter: int, _after_ms: Any) -> bool:
        return true(self, lease, counter, None)

    return [(MemoryLeases, "release", naive), (drive, "TIRED_MS", FAR_MS)]


def keeps_lease() -> list[Swap]:
    """3.2: a lease is kept until it runs out, and counts as held beyond that."""
    return [(MemoryLeases, "_let_go", lambda *_: None)]


def drives_for_ever() -> list[Swap]:
    """3.2: what is at rest is due again at once."""
    true = MemoryLeases.release

    def naive(self: Any, lease: Any, counter: int, _after_ms: Any) -> bool:
        return true(self, lease, counter, 250)

    return [(MemoryLeases, "release", naive)]


def signals_vanish() -> list[Swap]:
    """3.1: a signal is told accepted before it is written down, and every fifth is not."""
    true = MemoryRecords.admit

    def naive(self: Any, trade: Any, *more: Any) -> AdmitResult:
        return AdmitResult.ADMITTED if int(trade.id, 16) % 5 == 0 else true(self, trade, *more)

    return [(MemoryRecords, "admit", naive)]


def accepts_the_refused() -> list[Swap]:
    """3.1: a signal is written down first and refused for the account's limits then."""
    true = MemoryRecords.admit

    def naive(self: Any, *args: Any) -> AdmitResult:
        found = true(self, *args)
        return AdmitResult.TOO_MANY if found is AdmitResult.ADMITTED else found

    return [(MemoryRecords, "admit", naive)]


def twice_the_size() -> list[Swap]:
    """3.6: an entry is sent with twice the size that was asked for."""
    true = SimulatedVenue.enter

    def naive(self: Any, symbol: str, side: Any, terms: Any, *more: Any) -> Any:
        return true(self, symbol, side, replace(terms, size=2 * terms.size), *more)

    return [(SimulatedVenue, "enter", naive)]


def loses_wakes() -> list[Swap]:
    """3.2: who lets go of a lease takes every wake-up until then for its own."""
    true = MemoryLeases.release

    def naive(self: Any, lease: Any, _counter: int, after_ms: Any) -> bool:
        with self._world.using() as state:
            state.due.pop(lease.key, None)
            counter = state.wakes.get(lease.key, 0)
        return true(self, lease, counter, after_ms)

    return [(MemoryLeases, "release", naive)]


def writes_after() -> list[Swap]:
    """3.1: an effect is written down once its answer is there."""
    effect = perform._effect

    class Unwritten:
        """The records of a process, whose writes before a send are kept in memory."""

        def __init__(self, records: Any) -> None:
            self._records = records

        def __getattr__(self, name: str) -> Any:
            return getattr(self._records, name)

        def save(self, record: Any, lease: Any, **more: Any) -> Any:
            if record.pending_ms and not more:
                return record
            return self._records.save(record, lease, **more)

    def naive(action: Any, closing: Any, record: Any, lease: Any, ports: Any) -> Any:
        return effect(action, closing, record, lease, replace(ports, records=Unwritten(ports.records)))

    return [(perform, "_effect", naive)]


def sends_again() -> list[Swap]:
    """3.11: an entry that was not answered is sent again at once, as a client that retries does."""
    true = perform.send

    def naive(action: Any, closing: Any, record: Any, permit: Any, venue: Any, installation: str) -> Any:
        outcome = true(action, closing, record, permit, venue, installation)
        if not isinstance(outcome, EntryOutcome) or not isinstance(outcome.entry, Unknown):
            return outcome
        again = venue.permit(Urgency.PROTECTIVE, permit.deadline_ms)
        return true(action, closing, record, again, venue, installation) if isinstance(again, Permit) else outcome

    return [(perform, "send", naive)]


def closes_what_it_ordered() -> list[Swap]:
    """3.8: a close is of the size that was asked for at the entry."""
    true = perform._effect

    def naive(action: Any, closing: Any, record: Any, *more: Any) -> Any:
        if closing is not None and record.trade is not None and record.trade.sent:
            position, _, worst = closing
            closing = (position, record.trade.sent[-1].terms.size, worst)
        return true(action, closing, record, *more)

    return [(perform, "_effect", naive)]


def nothing_kept() -> list[Swap]:
    """3.8: no share of the rate budget is kept for protection: it waits for what all others wait for."""
    share = budget.IP_CAPACITY // budget.PROTECTED_SHARE
    return [(budget, "_kept", lambda _urgency: share)]


def zero_is_a_price() -> list[Swap]:
    """3.9: what comes as a price is one, also 0, and one reading of it closes the position."""

    def naive(raw: Any) -> Decimal:
        return Decimal(str(raw))

    def mark(c: Case) -> Decimal | None:
        if isinstance(c.belief, Held) and c.belief.position is not None:
            return c.belief.position.mark
        return c.seen.mark.value if c.seen.mark is not None else None

    spoiled: list[Swap] = [(simulated_reads, "parse_price", naive), (Price, "__post_init__", lambda _: None)]
    return [*spoiled, (Case, "mark", property(mark)), *one_reading_closes()]


def believes_the_list() -> list[Swap]:
    """3.8: what a list of open orders leaves out is gone, whatever its id tells."""
    return [(where, "with_left_out", lambda _record, seen, *_: seen) for where in (observe, guardian)]


def looks_once() -> list[Swap]:
    """3.8: what an event tells is looked at once, though a view may show later what it told."""
    return [(Watch, "again", lambda *_: [])]
