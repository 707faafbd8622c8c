"""An attempt that comes late: the store may have lost a record in which a later one left already."""

from dataclasses import replace

from stopkeeper.core.learn import LATE_MS, learn
from stopkeeper.core.model import Role
from stopkeeper.core.outcomes import Reason, Rejected, Throttled
from stopkeeper.core.record import KeyRecord, Outstanding, Trade
from tests.unit.core.scene import (
    LAG,
    NOW,
    PREPARED,
    fill,
    frame,
    new_trade,
    plan,
    position,
    record,
    seen,
    sent,
    signal,
    told,
)
from tests.unit.core.test_core_resting import cid

ADMITTED_MS = NOW - 60_000
WAIT_MS = 5_000 + LAG
BEFORE = ADMITTED_MS - 5_000


def waiting(**more: object) -> Trade:
    return replace(new_trade(created_ms=BEFORE, signal=signal(expires_ms=NOW + 60_000)), **more)  # type: ignore[arg-type]


def admitted() -> KeyRecord:
    return record(waiting(), quiet_ms=BEFORE, prepared=replace(PREPARED, at_ms=ADMITTED_MS))


def test_an_attempt_in_time_leaves_at_once() -> None:
    now = ADMITTED_MS + LATE_MS + LAG
    assert told(plan(admitted(), seen(at_ms=now), frame(now))) == "entry: Enter"


def test_a_late_one_waits_until_what_left_before_must_show() -> None:
    now = ADMITTED_MS + LATE_MS + LAG + 1
    rec = learn(admitted(), seen(at_ms=now), frame(now))
    assert rec.quiet_ms == now + WAIT_MS
    assert told(plan(rec, seen(at_ms=now), frame(now))) == "entry: rest blind"
    later = now + WAIT_MS + 1
    assert told(plan(rec, seen(at_ms=later), frame(later))) == "entry: Enter"


def test_it_counts_from_when_what_was_left_could_be_cleared_away() -> None:
    left = replace(admitted(), denied=(NOW - 2 * LAG, NOW - LAG), outstanding=(Outstanding("f" * 12, Role.STOP, 1),))
    for now, waits in ((NOW - LAG + LATE_MS + LAG, False), (NOW - LAG + LATE_MS + LAG + 1, True)):
        assert (learn(left, seen(at_ms=now), frame(now)).quiet_ms > now) is waits


def test_what_left_before_shows_itself_and_nothing_leaves_again() -> None:
    """Attempt 0 was proved absent, attempt 1 filled, and the store came back as it was before both."""
    rec = learn(record(waiting(), quiet_ms=BEFORE), seen(at_ms=NOW), frame())
    later = NOW + WAIT_MS + 1
    mine = fill("f1", "1", "100", NOW - 500, "0", client_id=cid(Role.ENTRY, 1))
    told_by_fills = seen(position(), fills=(mine,), at_ms=later)
    assert "Enter" not in told(plan(rec, told_by_fills, frame(later)))
    assert learn(rec, told_by_fills, frame(later)).trade.entered_ms is not None  # type: ignore[union-attr]


def test_one_wait_is_not_for_ever() -> None:
    """A record from before the wait's end may be a lost one's too: too late once more, it waits once more."""
    rec = learn(record(waiting(), quiet_ms=BEFORE), seen(at_ms=NOW), frame())
    late = NOW + WAIT_MS + LATE_MS + LAG + 1
    assert told(plan(rec, seen(at_ms=late), frame(late))) == "entry: rest blind"


def test_the_next_attempt_counts_from_when_it_first_could() -> None:
    absent = sent(absent=True, deadline_ms=NOW - LAG - 1_000)
    assert told(plan(record(waiting(sent=(absent,))), seen(), frame())) == "entry: Enter"
    old = sent(Throttled("busy"), deadline_ms=NOW - 2 * LAG - LATE_MS - 1)
    assert told(plan(record(waiting(sent=(old,))), seen(), frame())) == "entry: rest blind"


def test_what_will_not_be_sent_again_waits_for_nothing() -> None:
    refused = sent(Rejected(Reason.MARGIN, "no"), deadline_ms=ADMITTED_MS)
    for trade in (waiting(sent=(refused,)), waiting(nonces=())):
        assert learn(record(trade), seen(), frame()).quiet_ms == record().quiet_ms


def test_it_could_not_leave_before_the_key_was_quiet() -> None:
    quiet = NOW - LATE_MS - LAG
    assert told(plan(record(waiting(), quiet_ms=quiet), seen(), frame())) == "entry: Enter"
    assert told(plan(record(waiting(), quiet_ms=quiet - 1), seen(), frame())) == "entry: rest blind"
