"""When an entry leaves to the ms, why it never will, and what a signal that did not enter leaves behind."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Again, Enter, Prepare, Refuse, Rest
from stopkeeper.core.case import Frame, build
from stopkeeper.core.entering import displaced_due_ms, entry
from stopkeeper.core.model import Amount, Funds, Resting, Seen
from stopkeeper.core.outcomes import Accepted, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.record import Cursor, KeyRecord
from tests.unit.core.scene import (
    LAG,
    NOW,
    RULES,
    TERMS,
    D,
    frame,
    held_trade,
    new_trade,
    plan,
    position,
    record,
    seen,
    sent,
    signal,
    stop,
)

TRIED = new_trade(prepare_tried_ms=NOW - 1_000)
ABSENT = sent(absent=True, deadline_ms=NOW - 9_000)
REFUSED = sent(Rejected(Reason.MARGIN, "too little margin"), deadline_ms=NOW - 9_000)
MUCH = signal(amount=Amount(size=D(1)))
OLD_CLOCK = frame(clock_age_ms=RULES.offset_max_age_ms)
POOR = replace(seen(), funds=Funds(D(1), D(1)))
SMALL = signal(amount=Amount(size=D("0.001")))


@pytest.mark.parametrize(
    ("what", "rec", "look", "frm", "does"),
    [
        ("it leaves", record(new_trade()), seen(), frame(), Enter),
        ("it expires in this ms", record(new_trade(signal=signal(expires_ms=NOW))), seen(), frame(), Enter),
        ("it has expired", record(new_trade(signal=signal(expires_ms=NOW - 1))), seen(), frame(), Refuse),
        (
            "the clock is as old as it may be",
            record(new_trade()),
            seen(),
            frame(clock_age_ms=RULES.offset_max_age_ms),
            Enter,
        ),
        ("the leverage was tried a second ago", record(TRIED, prepared=None), seen(), frame(), Prepare),
        ("too little money", record(new_trade(signal=MUCH)), POOR, frame(), Refuse),
        ("too small for the market", record(new_trade(signal=SMALL)), seen(), frame(), Refuse),
        (
            "too small, after an absent attempt",
            record(new_trade(signal=SMALL, sent=(ABSENT,))),
            seen(),
            frame(),
            None,
        ),
    ],
)
def test_what_an_entry_does(what: str, rec: KeyRecord, look: Seen, frm: Frame, does: type | None) -> None:
    verdict = entry(build(rec, look, frm))
    assert isinstance(verdict, list), what
    assert [type(action) for action in verdict] == ([] if does is None else [does]), what
    assert all(action.why for action in verdict)


RESTS = sent(Accepted("e1", live=True), terms=replace(TERMS, resting=Resting.GTC))


@pytest.mark.parametrize(
    ("what", "rec", "due_ms"),
    [
        ("no trade", record(), None),
        ("it has entered", record(held_trade()), None),
        ("nothing was sent yet", record(new_trade()), None),
        ("an attempt is unproven", record(new_trade(sent=(sent(),))), None),
        ("an attempt rests", record(new_trade(sent=(RESTS,))), None),
        ("it was refused long ago", record(new_trade(sent=(REFUSED,))), 500),
        ("what was sent for it may show a little longer", record(new_trade(sent=(REFUSED,)), quiet_ms=NOW + 100), 500),
        ("what was sent for it may show for long", record(new_trade(sent=(REFUSED,)), quiet_ms=NOW + 2_000), 2_001),
        ("a booking may show", record(new_trade(sent=(REFUSED,)), cursor=Cursor(NOW - LAG + 2_000)), 2_001),
    ],
)
def test_when_a_signal_that_did_not_enter_leaves_the_position_on_its_key(
    what: str, rec: KeyRecord, due_ms: int | None
) -> None:
    due = displaced_due_ms(build(rec, seen(position(), (stop(),)), frame()))
    assert due == (None if due_ms is None else NOW + due_ms), what


def test_an_id_that_could_not_be_looked_up_is_waited_for() -> None:
    """The views are no later than the trade's admission: an entry sent by a lost record would not show in them."""
    made = plan(record(new_trade()), seen(at_ms=NOW - 1_000), frame())
    assert made.ends is not None
    assert (made.concern, made.ends.due_ms) == ("entry", NOW + 500)


def test_what_keeps_it_from_leaving_is_told() -> None:
    ends = plan(record(new_trade(), quiet_ms=NOW), seen()).ends
    assert isinstance(ends, Rest | Again)
    assert ends.why == "nothing is held as read, but something of ours may still appear"


@pytest.mark.parametrize(
    ("what", "attempts", "says"),
    [
        ("nothing was sent", (), "the signal expired before it could be sent"),
        ("nobody answered", (ABSENT,), "the signal expired before it could be sent; attempt 1: no answer"),
        (
            "nobody answered the second either",
            (replace(ABSENT, outcome=Unknown("first")), replace(ABSENT, attempt=1, outcome=Unknown("second"))),
            "the signal expired before it could be sent; attempt 2: second",
        ),
        (
            "the venue was busy",
            (sent(Throttled("busy"), deadline_ms=NOW - 9_000),),
            "not sent: busy",
        ),
    ],
)
def test_the_last_words_of_a_signal(what: str, attempts: tuple[object, ...], says: str) -> None:
    trade = new_trade(signal=signal(expires_ms=NOW - 1), sent=attempts)
    refusals = [action for action in plan(record(trade), seen()).actions if isinstance(action, Refuse)]
    assert [refusal.why for refusal in refusals] == [says], what


def test_a_position_that_a_refused_signal_did_not_open_is_a_trade_of_its_own() -> None:
    look = seen(position("0.7", entry_price=D(97)), (stop(client_id=None),))
    (refusal,) = plan(record(new_trade(sent=(REFUSED,))), look).actions
    assert isinstance(refusal, Refuse)
    assert refusal.why == "the venue refused the entry: too little margin"
    assert refusal.successor is not None
    assert (refusal.successor.opening_size, refusal.successor.opening_price) == (D("0.7"), D(97))
