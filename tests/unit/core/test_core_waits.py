"""Until when each concern waits: too early is a spin that spends the account's requests, too late is a naked moment."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Again, Enter, Refuse, Rest, RestKind
from stopkeeper.core.case import Frame
from stopkeeper.core.learn import learn
from stopkeeper.core.missing import APART_MS
from stopkeeper.core.model import Known, Lookup, OrderKind, OrderState, Resting, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, Unknown
from stopkeeper.core.record import CloseAsk, KeyRecord, Placed, Sighting
from tests.unit.core.scene import (
    ENTRY_FILL,
    LAG,
    NOW,
    RULES,
    TERMS,
    D,
    cid,
    fill,
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

DOWN = Unknown("down")
OLD_ORDERS = replace(seen(), orders=Known((), NOW - 100))
SOON, LATER = NOW + 500, NOW + 1_000
K = RestKind
FED = frame(feed_age_ms=0)
ENTRY = replace(
    stop(), id="e1", client_id=cid(Role.ENTRY, 0), kind=OrderKind.LIMIT, side=Side.LONG, reduce_only=False,
    trigger=None, price=D(99),
)  # fmt: skip
BOOKED = sent(Accepted("e1", live=True), terms=replace(TERMS, resting=Resting.GTC, worst_price=D(99)))
RESTS = new_trade(sent=(BOOKED,), signal=signal(resting=Resting.GTC, limit=D(99), expires_ms=NOW + 7_000))
KNOWN = {cid(Role.ENTRY, 0): Lookup(cid(Role.ENTRY, 0), OrderState.LIVE, "e1")}
CLOSE = fill("c", "-1", "95", NOW - 9_000, "1", "s1")
UNSET = record(new_trade(prepare_tried_ms=NOW - 999), prepared=None)
STOP_ACKED = (Placed(Role.STOP, "s2", 2, NOW - 100),)
ASKED = CloseAsk("manual_close", NOW - 100)
TWICE = Sighting(NOW - 10_000, 2, NOW - 100)
ONCE = Sighting(NOW - 100, 1, NOW - 100)


@pytest.mark.parametrize(("age_ms", "quiet_ms", "until_ms"), [
    (None, NOW - 30_000, NOW - 30_000),
    (0, NOW - 30_000, NOW + 5_000 + LAG),
    (6_000, NOW - 30_000, NOW - 1_000 + LAG),
    (40_000, NOW - 30_000, NOW - 30_000),
    (0, NOW + 5_000 + LAG - 250, NOW + 5_000 + LAG - 250),
    (0, NOW + 5_000 + LAG - 251, NOW + 5_000 + LAG),
])  # fmt: skip
def test_a_key_is_quiet_until_what_the_store_forgot_would_show(
    age_ms: int | None, quiet_ms: int, until_ms: int
) -> None:
    """The deadline of what it forgot, and a lag; the same moment by clocks a little apart is not saved anew."""
    rec = record(new_trade(created_ms=NOW - 100), quiet_ms=quiet_ms)
    assert learn(rec, seen(), frame(forgot_age_ms=age_ms)).quiet_ms == until_ms
    assert frame().forgot_until_ms == 0, "nothing was ever forgotten"


@pytest.mark.parametrize(("age_ms", "waits"), [(0, True), (5_000 + LAG, True), (5_000 + LAG + 1, False), (None, False)])
def test_no_entry_leaves_while_one_that_was_forgotten_may_be_on_its_way(age_ms: int | None, waits: bool) -> None:
    frm = frame(forgot_age_ms=age_ms)
    rec = learn(record(new_trade()), seen(), frm)
    made = plan(rec, seen(), frm)
    assert [type(action) for action in made.actions] == ([] if waits else [Enter])
    if waits:
        assert made.ends is not None
        assert "Redis is another than before" in made.ends.why
        assert made.ends.due_ms == max(NOW + 500, min(rec.quiet_ms, NOW + 5_000))


@pytest.mark.parametrize(("expires_ms", "rest_of_why"), [(NOW - 2, True), (NOW - 1, False)])
def test_what_expired_while_it_waited_for_what_was_forgotten_says_so(expires_ms: int, *, rest_of_why: bool) -> None:
    rec = record(new_trade(signal=signal(expires_ms=expires_ms)))
    (refusal,) = plan(rec, seen(), frame(forgot_age_ms=5_000 + LAG + 2)).actions
    assert isinstance(refusal, Refuse)
    assert refusal.why.startswith("the signal expired before it could be sent")
    assert ("; Redis is another than before" in refusal.why) == rest_of_why


def test_a_position_that_could_not_be_read_is_told_first() -> None:
    made = plan(record(new_trade(), quiet_ms=NOW), replace(seen(), position=DOWN), frame(forgot_age_ms=0))
    assert made.ends is not None
    assert made.ends.why == "the position could not be read: down"


@pytest.mark.parametrize(
    ("what", "rec", "look", "frm", "concern", "due_ms", "kind"),
    [
        # the entry
        ("no mark", record(new_trade()), seen(mark=None), frame(), "entry", SOON, K.BLIND),
        ("no clock", record(new_trade()), seen(), frame(clock_age_ms=None), "entry", SOON, K.BLIND),
        (
            "an old clock",
            record(new_trade()),
            seen(),
            frame(clock_age_ms=RULES.offset_max_age_ms + 1),
            "entry",
            SOON,
            K.BLIND,
        ),
        (
            "this machine's clock is set wrong",
            record(new_trade()),
            seen(),
            frame(clock_apart_ms=APART_MS + 1),
            "entry",
            SOON,
            K.BLIND,
        ),
        ("fills unread", record(new_trade()), seen(fills=DOWN), frame(), "entry", SOON, K.BLIND),
        ("orders unread", record(new_trade()), seen(None, DOWN), frame(), "entry", SOON, K.BLIND),
        ("the position unread", record(new_trade()), seen(DOWN), frame(), "entry", SOON, K.BLIND),
        (
            "what was sent may appear",
            record(new_trade(), quiet_ms=NOW + 2_000),
            seen(),
            frame(),
            "entry",
            NOW + 2_000,
            K.BLIND,
        ),
        (
            "much that was sent may appear",
            record(new_trade(), quiet_ms=NOW + 9_000),
            seen(),
            frame(),
            "entry",
            NOW + 5_000,
            K.BLIND,
        ),
        (
            "orders older than what was sent",
            record(new_trade(), quiet_ms=NOW - 100),
            OLD_ORDERS,
            frame(),
            "entry",
            SOON,
            K.FLAT,
        ),
        ("the leverage did not read back", UNSET, seen(), frame(), "entry", SOON, K.BLIND),
        ("it rests", record(RESTS), seen(None, (ENTRY,)), FED, "entry", NOW + 7_001, K.ENTRY_RESTING),
        (
            "it rests, and a position is held",
            record(RESTS),
            seen(position("0.4"), (ENTRY, stop(size="0.4"))),
            FED,
            "entry",
            SOON,
            K.ENTRY_RESTING,
        ),
        ("it rested, and is not shown", record(RESTS), seen(), FED, "entry", SOON, K.UNPROVEN),
        # the stop
        (
            "a stop is to show",
            record(held_trade(placed=STOP_ACKED)),
            seen(position()),
            frame(),
            "protection",
            SOON,
            None,
        ),
        (
            "a stop was tried",
            record(held_trade(stop_tried_ms=NOW - 499)),
            seen(position()),
            frame(),
            "protection",
            NOW + 1,
            None,
        ),
        (
            "no price for a stop",
            record(held_trade(stop=None)),
            seen(position(mark=None), mark=None),
            frame(),
            "protection",
            SOON,
            None,
        ),
        (
            "blind, a stop was tried",
            record(held_trade(covered=False, stop_tried_ms=NOW - 499)),
            seen(position(), DOWN),
            frame(),
            "protection",
            NOW + 1,
            None,
        ),
        # the second line
        (
            "a stop has fired",
            record(held_trade()),
            seen(position(), (stop(fired=True),)),
            frame(),
            "danger",
            SOON,
            None,
        ),
        (
            "beyond the stop, seen once",
            record(held_trade(beyond=ONCE)),
            seen(position(mark="94"), (stop(),), mark="94"),
            frame(),
            "danger",
            SOON,
            None,
        ),
        # a close
        (
            "a close was tried",
            record(held_trade(close=ASKED, flatten_tried_ms=NOW - 499)),
            seen(position(), (stop(),)),
            frame(),
            "closing",
            NOW + 1,
            None,
        ),
        (
            "acked, not shown",
            record(held_trade(close=ASKED), quiet_ms=NOW),
            seen(None, (stop(),)),
            frame(),
            "closing",
            SOON,
            None,
        ),
        # the booking
        (
            "flat, what was sent may appear",
            record(held_trade(), quiet_ms=NOW + 2_000),
            seen(fills=(ENTRY_FILL, CLOSE)),
            frame(),
            "booking",
            NOW + 2_001,
            None,
        ),
        (
            "flat, what was sent is about to appear",
            record(held_trade(), quiet_ms=NOW),
            seen(fills=(ENTRY_FILL, CLOSE)),
            frame(),
            "booking",
            SOON,
            None,
        ),
        ("flat, fills unread", record(held_trade()), seen(fills=DOWN), frame(), "booking", SOON, K.BLIND),
        (
            "flat, fills are missing",
            record(held_trade(flat_since_ms=NOW - 100)),
            seen(fills=(ENTRY_FILL,)),
            frame(),
            "booking",
            LATER,
            None,
        ),
    ],
)
def test_until_when_a_turn_waits(
    what: str, rec: KeyRecord, look: Seen, frm: Frame, concern: str, due_ms: int, kind: RestKind | None
) -> None:
    made = plan(rec, look, frm)
    assert (made.concern, made.actions) == (concern, ()), what
    assert isinstance(made.ends, Rest | Again)
    assert (made.ends.due_ms, getattr(made.ends, "kind", None)) == (due_ms, kind), what
    assert made.ends.why
