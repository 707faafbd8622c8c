"""``drive(key)``: turns for one key until rest. The one function for entry, supervision, recovery and restart.

A turn observes, learns, decides and performs, under the lease. This is the only place that takes one.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from stopkeeper.core.actions import (
    ALL_FIELDS,
    Action,
    Again,
    Book,
    Cancel,
    Enter,
    Field,
    Flatten,
    PlaceTarget,
    Plan,
    Prepare,
    Rest,
    RestKind,
)
from stopkeeper.core.case import LOOK_AGAIN_MS, Frame
from stopkeeper.core.decide import decide
from stopkeeper.core.learn import learn
from stopkeeper.core.model import AccountSeen, Key, Known, Lookup, Role
from stopkeeper.core.outcomes import Accepted, Outcome, Throttled, Unknown
from stopkeeper.core.prices import Flaw
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.righting import believed_deadline_ms
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.observe import first_look, frame, look, narrow, stop_by_id, with_order
from stopkeeper.engine.perform import perform
from stopkeeper.engine.ports import Lease, LeaseLost, Ports, StoreGone, Urgency
from stopkeeper.engine.sending import say, urgency_of

MAX_TURNS = 12
DANGEROUS = (Prepare, Enter, PlaceTarget, Cancel, Flatten)  # what a late deadline of another must not cross
BUSY_MS = 500  # when to look again at a key that somebody else is driving
BOOK_AGAIN_MS = 5_000  # when to ask again for what a trade paid of funding
TIRED_MS = 250  # when to go on after as many turns as one drive may take


@dataclass
class _Drive:
    """What one drive knows from turn to turn; nothing of it outlives the drive."""

    key: Key
    lease: Lease
    ports: Ports
    seen: AccountSeen | None = None
    stale: frozenset[Field] = ALL_FIELDS
    news: bool = False  # something was done or learned, so that the end is worth a line
    asked: dict[str, Known[Lookup]] = field(default_factory=dict)


def drive(key: Key, ports: Ports) -> Rest | Again | None:
    """Take turns for a key until it is at rest; None = somebody else drives it, and it was marked due.

    Raises StoreGone and LeaseLost (touch nothing, leave: the key's next owner goes on), VenueAway where nothing can be
    judged (due again by itself).
    """
    lease = ports.leases.acquire(key)
    if lease is None:
        ports.wakes.mark_due(key, BUSY_MS)
        return None
    try:
        return _turns(_Drive(key, lease, ports))
    except StoreGone:
        with suppress(StoreGone):  # a store that only blinked must not keep the key from everybody for a lease
            ports.leases.abandon(lease, BUSY_MS)
        raise
    except LeaseLost:
        ports.leases.abandon(lease, BUSY_MS)  # a no-op where the lease is another's already
        raise
    except VenueAway as away:
        ports.leases.abandon(lease, 2 * LOOK_AGAIN_MS)  # before the line: a store that takes none keeps no key
        ports.journal.write(key.account, key.symbol, RestKind.BLIND, str(away))
        raise
    except BaseException:
        ports.leases.abandon(lease, ports.times.claim_ms)
        raise


def _turns(run: _Drive) -> Rest | Again:
    ports = run.ports
    began = ports.venue.now_ms()
    for _ in range(MAX_TURNS):
        if ports.venue.now_ms() - began > ports.times.drive_ms:
            break
        counter = ports.wakes.counter(run.key)
        plan = _turn(run)
        if plan.ends is None:
            continue
        due = plan.ends.due_ms
        after = None if due is None else max(0, due - ports.venue.now_ms())
        if ports.leases.release(run.lease, counter, after):
            if run.news or not _settled(plan.ends):
                ports.journal.write(run.key.account, run.key.symbol, _kind(plan.ends), plan.ends.why)
            return plan.ends
        run.stale = ALL_FIELDS  # somebody woke the key while we looked: look again
        run.asked.clear()
    if not ports.leases.release(run.lease, ports.wakes.counter(run.key), TIRED_MS):
        ports.leases.abandon(run.lease, TIRED_MS)
    tired = Again(ports.venue.now_ms() + TIRED_MS, "as many turns as one drive may take: another goes on")
    ports.journal.write(run.key.account, run.key.symbol, "again", tired.why)
    return tired


def _settled(end: Rest | Again) -> bool:
    """Return whether an end says that all is as it should be: worth a line only after something was done."""
    return isinstance(end, Rest) and end.kind in (RestKind.PROTECTED, RestKind.FLAT)


def _kind(end: Rest | Again) -> str:
    return end.kind if isinstance(end, Rest) else "again"


def _turn(run: _Drive) -> Plan:
    """Observe, learn, decide, perform once."""
    ports = run.ports
    ports.leases.renew(run.lease, 0)
    record = ports.records.load(run.key)
    if run.seen is None:
        run.seen = first_look(record, ports, partial(_keep, run))
    elif run.stale:
        fields = read_back(record, run, ports)
        run.seen = look(ports, fields, run.seen, Urgency.PROTECTIVE, partial(_keep, run))
    run.stale = frozenset()
    _keep(run)
    seen = narrow(record, run.seen, ports, run.asked)
    now = frame(ports, record)
    learned = learn(record, seen, now)
    if learned != record:
        record, run.news = ports.records.save(learned, run.lease), True
    plan = decide(record, seen, now)
    for alarm in plan.alarms:
        ports.journal.write(run.key.account, run.key.symbol, f"alarm:{alarm.kind}", alarm.text)
        if alarm.kind == "price":
            ports.prices.count(run.key.account, {Flaw.ONE_SOURCE: 1})
    for action in plan.actions:
        if _must_wait(action, run):
            return Plan(plan.concern, ends=Again(_left_ms(run) + 1, "a deadline of the last holder is open"))
        if _overslept(action, now, ports):
            run.stale = ALL_FIELDS
            break
        before, run.news = record, True
        record, outcome = perform(action, record, run.lease, ports)
        if isinstance(outcome, Accepted):
            run.stale |= action.looks
            continue
        run.stale = ALL_FIELDS
        if record == before:  # nothing was learned of it, so the next turn would ask for the very same
            pause_ms = _pause_ms(action, record, outcome, ports)
            return Plan(plan.concern, ends=Again(now.now_ms + pause_ms, say(outcome)))
        break
    return plan


def _pause_ms(action: Action, record: KeyRecord, outcome: Outcome, ports: Ports) -> int:
    """Return when to try again what was not done: once the budget grants it and the look that comes before it.

    Sooner, that look would spend what it waits for, over and over, and keep all others that wait from theirs.
    Protection tries at once what it may: a stop may be placed without another look.
    """
    urgency = urgency_of(action, record)
    pauses = [LOOK_AGAIN_MS]
    if isinstance(action, Book):
        pauses.append(BOOK_AGAIN_MS)
    if isinstance(outcome, Throttled):
        pauses.append(outcome.free_ms)
    if urgency is not Urgency.PROTECTIVE:
        pauses.append(ports.venue.wait_ms(ALL_FIELDS, urgency))
    return max(pauses)


def _keep(run: _Drive) -> None:
    """Renew a lease that is half spent: a slow venue's reads must not cost the one its stop is placed under."""
    if run.ports.leases.remaining_ms(run.lease) < run.ports.times.lease_ms // 2:
        run.ports.leases.renew(run.lease, 0)


def read_back(record: KeyRecord, run: _Drive, ports: Ports) -> frozenset[Field]:
    """Read a stop that was just acked back by its id into what was seen; return the fields that must be read whole."""
    if Field.PLACED not in run.stale:
        return run.stale
    rest = run.stale - {Field.PLACED}
    placed = next((p for p in record.trade.placed if p.role is Role.STOP), None) if record.trade else None
    if placed is None or record.trade is None:
        return rest | {Field.HOLDINGS, Field.ORDERS}
    order = stop_by_id(record.key.symbol, record.trade, placed, ports)
    if order is None or run.seen is None or isinstance(run.seen.orders, Unknown):
        return rest | {Field.ORDERS}
    run.seen = with_order(run.seen, order)
    return rest


def _must_wait(action: Action, run: _Drive) -> bool:
    """Who takes over from a holder that never released may write and place stops at once; the rest waits it out."""
    return isinstance(action, DANGEROUS) and run.ports.venue.now_ms() <= _left_ms(run)


def _left_ms(run: _Drive) -> int:
    """Return the latest deadline that the last holder left, as far as it can be one."""
    return believed_deadline_ms(run.lease.inherited_ms, run.ports.venue.now_ms())


def _overslept(action: Action, decided: Frame, ports: Ports) -> bool:
    """A worker that froze within its lease decided by a look, a price and an expiry that are of the past by now."""
    return isinstance(action, DANGEROUS) and ports.venue.now_ms() - decided.now_ms > ports.times.http_ms
