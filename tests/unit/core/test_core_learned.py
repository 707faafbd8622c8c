"""What a record takes from a look: answers to attempts, fills and what they tell of a size, cover and its loss."""

from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.core.case import ADMISSION_MARGIN_MS
from stopkeeper.core.learn import LATE_MS, N_ENOUGH, NUMBERS_LOST, learn
from stopkeeper.core.model import Lookup, Order, OrderKind, OrderState, Resting, Role, Seen, Side
from stopkeeper.core.outcomes import Accepted, Reason, Rejected, Unknown
from stopkeeper.core.record import CloseAsk, KeyRecord, Outstanding, Placed, Sighting, Terms, Trade
from stopkeeper.core.rules import Switches
from tests.unit.core.scene import (
    AIM,
    CAN,
    ENTERED_MS,
    ENTRY_FILL,
    LAG,
    NOW,
    TERMS,
    TRADE,
    D,
    cid,
    fill,
    found_trade,
    frame,
    held_trade,
    new_trade,
    position,
    record,
    seen,
    sent,
    signal,
    stop,
)

DOWN = Unknown("down")
LONG = position()
ABSENT = sent(absent=True, deadline_ms=NOW - 60_000)
SECOND = sent(attempt=1, n=1, nonce=2)
RESTING = replace(TERMS, resting=Resting.GTC)
RESTS = sent(Accepted("e1", live=True), terms=RESTING, deadline_ms=NOW - LAG - 1, sent_ms=NOW - 60_000)


def learned(rec: KeyRecord, look: Seen) -> Trade:
    trade = learn(rec, look, frame()).trade
    assert trade is not None
    return trade


def answers(attempt: int, state: OrderState | None, **more: object) -> dict[str, Lookup]:
    name = cid(Role.ENTRY, attempt)
    return {name: Lookup(name, state, **more)}  # type: ignore[arg-type]


def booked(attempt: int) -> Order:
    return replace(
        stop(), id="e7", client_id=cid(Role.ENTRY, attempt), kind=OrderKind.LIMIT, side=Side.LONG, reduce_only=False
    )


# --- answers to attempts -----------------------------------------------------------------------------------------


def test_an_answer_belongs_to_its_own_attempt() -> None:
    """Of two attempts the first was proved absent; only the second is asked after."""
    rec = record(new_trade(sent=(ABSENT, SECOND)))
    filled = learned(rec, seen(LONG, (stop(),), lookups=answers(1, OrderState.FILLED, order_id="e2", filled=D(1))))
    assert filled.sent == (ABSENT, replace(SECOND, outcome=Accepted("e2", D(1))))
    both = answers(0, None) | answers(1, OrderState.FILLED, order_id="e2", filled=D(1))
    assert learned(rec, seen(LONG, (stop(),), lookups=both)).sent == filled.sent
    assert ("e2", "entry") in filled.order_roles


def test_fills_answer_for_the_attempt_they_name() -> None:
    name = cid(Role.ENTRY, 1)
    fills = (
        fill("a", "0.4", "100", NOW - 200, "0", "e2", client_id=name),
        fill("b", "0.6", "101", NOW - 100, "0.4", "e2", client_id=name),
    )
    trade = learned(record(new_trade(sent=(ABSENT, SECOND))), seen(LONG, (stop(),), fills))
    assert trade.sent == (ABSENT, replace(SECOND, outcome=Accepted("e2", D(1), D("100.6"))))
    assert ("e2", "entry") in trade.order_roles
    assert trade.entered_ms == NOW - 200
    part = learned(record(new_trade(sent=(ABSENT, SECOND))), seen(position("0.4"), (stop(),), fills[:1]))
    assert part.sent[1].outcome == Accepted("e2", D("0.4"), D(100))


def test_a_position_was_entered_when_the_first_fill_of_its_entry_says() -> None:
    acked = new_trade(sent=(sent(Accepted(None, D(1))),))
    mine = fill("a", "1", "100", NOW - 200, "0.5", "e2", client_id=cid(Role.ENTRY, 0))
    by_hand = fill("h", "0.5", "99", NOW - 900, "0")
    assert learned(record(acked), seen(position("1.5"), (stop(),), (by_hand, mine))).entered_ms == NOW - 200


def test_the_book_answers_for_the_attempt_that_stands_in_it() -> None:
    rec = record(new_trade(sent=(ABSENT, replace(SECOND, terms=RESTING))))
    trade = learned(rec, seen(None, (booked(1),)))
    assert [s.outcome for s in trade.sent] == [ABSENT.outcome, Accepted("e7", live=True)]
    assert trade.order_roles == (("e7", "entry"),)
    assert learned(rec, seen(None, DOWN)).sent == rec.trade.sent  # type: ignore[union-attr]


def test_an_attempt_of_a_record_that_is_lost_is_taken_in_as_it_can_be() -> None:
    wish = signal(resting=Resting.GTC)
    rec = record(new_trade(signal=wish, stop=D(95), targets=AIM))
    after = learn(rec, seen(None, lookups=answers(0, OrderState.LIVE, order_id="e1")), frame())
    assert after.trade is not None
    (attempt,) = after.trade.sent
    assert (attempt.attempt, attempt.n, attempt.nonce) == (0, 0, 1)
    assert (attempt.deadline_ms, attempt.sent_ms) == (NOW, NOW)
    assert attempt.terms == Terms(D(0), D(0), D(95), D(0), D(0), goals=AIM, resting=Resting.GTC)
    assert after.quiet_ms == NOW + 5_000 + LAG


def test_the_terms_of_a_lost_attempt_are_those_of_the_one_before() -> None:
    rec = record(new_trade(sent=(ABSENT,)))
    trade = learned(rec, seen(None, lookups=answers(1, OrderState.LIVE, order_id="e1")))
    assert [(s.attempt, s.terms) for s in trade.sent] == [(0, TERMS), (1, TERMS)]


def test_who_took_an_unanswered_rest_away_answered_for_it() -> None:
    rec = record(new_trade(sent=(sent(terms=RESTING),)))
    (attempt,) = learned(rec, seen(None, lookups=answers(0, OrderState.CANCELED, order_id="e1"))).sent
    assert (attempt.outcome, attempt.over) == (Accepted("e1"), True)


@pytest.mark.parametrize(
    ("what", "orders", "at_ms", "over"),
    [
        ("unknown there, not shown, read late enough", (), NOW, True),
        ("read too early", (), NOW - 1, False),
        ("shown", (replace(booked(0), id="e1"),), NOW, False),
        ("the orders unread", DOWN, NOW, False),
    ],
)
def test_a_rest_that_the_venue_forgot_is_over(
    what: str, orders: tuple[Order, ...] | Unknown, at_ms: int, over: bool
) -> None:
    attempt = replace(RESTS, deadline_ms=NOW - LAG - 1)
    rec = record(new_trade(sent=(attempt,)))
    after = learn(rec, seen(None, orders, at_ms=at_ms, lookups=answers(0, None)), frame())
    assert after.trade is not None
    assert after.trade.sent[0].over is over, what
    assert after.quiet_ms == (NOW + LAG if over else rec.quiet_ms)
    assert after.n == rec.n, "an end that was not seen has taken no numbers"


@pytest.mark.parametrize(
    ("what", "trade", "orders", "at_ms", "over"),
    [
        ("all of it filled", {"entry_filled": D(1)}, (replace(booked(0), id="e1"),), NOW, True),
        ("a part filled, and it is shown", {"entry_filled": D("0.4")}, (replace(booked(0), id="e1"),), NOW, False),
        ("a part filled, and it is not shown", {"entry_filled": D("0.4")}, (), NOW, True),
        ("not shown by a read that may be too early", {"entry_filled": D("0.4")}, (), NOW - 1, False),
        ("the orders unread", {"entry_filled": D("0.4")}, DOWN, NOW, False),
        ("nothing entered", {"entry_filled": D(0), "entered_ms": None, "held": D(0)}, (), NOW, False),
    ],
)
def test_when_a_rest_that_filled_is_over(
    what: str, trade: dict[str, object], orders: tuple[Order, ...] | Unknown, at_ms: int, over: bool
) -> None:
    attempt = replace(RESTS, attempt=1, n=1, sent_ms=NOW - LAG - 1)
    rec = record(held_trade(sent=(ABSENT, attempt), **trade))
    look = seen(position("0.4") if trade.get("held") != 0 else None, orders, at_ms=at_ms)
    assert learned(rec, look).sent[1].over is over, what


def test_a_late_signal_waits_for_what_a_lost_record_may_have_sent() -> None:
    admitted = NOW - 60_000
    rec = record(new_trade(created_ms=admitted - 5_000), quiet_ms=0)
    after = learn(rec, seen(), frame())
    assert after.quiet_ms == NOW + 5_000 + LAG
    in_time = record(new_trade(created_ms=NOW - 5_000 - LATE_MS - LAG), quiet_ms=0)
    assert learn(in_time, seen(), frame()).quiet_ms == 0


def test_what_has_entered_waits_for_no_attempt() -> None:
    """A record that went back to before the entry was noted, and what it found of it since."""
    rec = record(held_trade(sent=()))
    assert learn(rec, seen(LONG, (stop(),)), frame()).quiet_ms == rec.quiet_ms


# --- orders ------------------------------------------------------------------------------------------------------


def test_a_young_order_is_as_good_as_acked_and_does_not_replace_what_is_newer() -> None:
    young, close = stop(placed_ms=NOW - 50), Placed(Role.FLATTEN, "c1", 0, NOW - 100)
    seen_once = learned(record(held_trade(placed=(close,))), seen(LONG, (young,)))
    assert seen_once.placed == (close, Placed(Role.STOP, "s1", 1, NOW - 50))
    acked = Placed(Role.STOP, None, 1, NOW - 100)
    assert learned(record(held_trade(placed=(acked,))), seen(LONG, (young,))).placed == (acked,)
    newer = learned(record(held_trade(placed=(acked,))), seen(LONG, (stop(n=2, placed_ms=NOW - 50),)))
    assert newer.placed == (Placed(Role.STOP, "s1", 2, NOW - 50),)
    old = learned(record(held_trade()), seen(LONG, (stop(placed_ms=NOW - LAG),)))
    assert old.placed == ()


def test_an_old_view_makes_no_order_young() -> None:
    """What it shows has stood for a lag: every later view shows it as well, or it is gone."""
    old = learned(record(held_trade()), seen(LONG, (stop(placed_ms=NOW - LAG),), at_ms=NOW - 2_000))
    assert old.placed == ()
    older = learned(record(held_trade()), seen(LONG, (stop(placed_ms=NOW - LAG - 1),), at_ms=NOW - 2_000))
    assert older.placed == ()
    young = learned(record(held_trade()), seen(LONG, (stop(placed_ms=NOW - LAG + 1),), at_ms=NOW - 2_000))
    assert young.placed == (Placed(Role.STOP, "s1", 1, NOW - LAG + 1),)


def test_only_a_stop_or_target_that_is_young_is_waited_for() -> None:
    rests = replace(booked(0), placed_ms=NOW - 50)
    assert learned(record(new_trade(sent=(RESTS,))), seen(None, (rests,))).placed == ()


def test_what_was_acked_is_waited_for_no_longer_than_a_lag() -> None:
    acked = Placed(Role.STOP, "s9", 9, NOW - LAG)
    assert learned(record(held_trade(placed=(acked,))), seen(LONG, (stop(),))).placed == ()
    late = replace(acked, acked_ms=NOW - LAG + 1)
    assert learned(record(held_trade(placed=(late,))), seen(LONG, (stop(),))).placed == (late,)


def test_the_orders_of_an_installation_taken_over_bear_their_reason() -> None:
    theirs = stop(client_id=cid(Role.STOP, 1, installation="fffff"), placed_ms=NOW - 120_000)
    heir = frame(switches=Switches(inherited=(("fffff", NOW - 100_000),)))
    trade = learn(record(found_trade(before="0123456789ab")), seen(LONG, (theirs,)), heir).trade
    assert trade is not None
    assert trade.order_roles[-1] == ("s1", "stop_loss")


@pytest.mark.parametrize(
    ("what", "look", "before", "since"),
    [
        ("all read", seen(LONG, (stop(),)), NOW - 9_000, 0),
        ("the position unread", seen(DOWN, (stop(),)), 0, NOW),
        ("the orders unread, for long", seen(LONG, DOWN), NOW - 9_000, NOW - 9_000),
    ],
)
def test_since_when_nothing_could_be_read(what: str, look: Seen, before: int, since: int) -> None:
    assert learn(record(held_trade(), blind_since_ms=before), look, frame()).blind_since_ms == since, what


# --- fills -------------------------------------------------------------------------------------------------------

BARE = held_trade(order_roles=(), entry_filled=D(0), traded=D(0), explained=D(0), taken=D(0))
TAKEN = fill("t", "-0.3", "110", ENTERED_MS + 9, "1", "x", client_id=cid(Role.TARGET, 2))


def amounts(trade: Trade) -> tuple[str, str, str, str]:
    told = (trade.traded, trade.explained, trade.entry_filled, trade.taken)
    return tuple(f"{each:f}" for each in told)  # type: ignore[return-value]


def test_fills_tell_what_was_entered_and_what_was_taken() -> None:
    look = seen(position("0.7"), (stop(),), (ENTRY_FILL, TAKEN))
    assert amounts(learned(record(BARE), look)) == ("1.3", "0.7", "1", "0.3")


@pytest.mark.parametrize(
    ("what", "fills", "since_ms"),
    [
        ("none", (), 0),
        ("a page that begins after the entry", (TAKEN,), ENTERED_MS + 1),
        ("one is missing between", (ENTRY_FILL, replace(TAKEN, start=D("0.9"))), 0),
        ("they tell of a close", (ENTRY_FILL, replace(TAKEN, size=D(1))), 0),
    ],
)
def test_fills_that_tell_nothing_of_it(what: str, fills: tuple[object, ...], since_ms: int) -> None:
    look = seen(LONG, (stop(),), fills, since_ms=since_ms)  # type: ignore[arg-type]
    assert amounts(learned(record(BARE), look)) == ("0", "0", "0", "0"), what


def test_what_a_fill_was_for_may_be_learned_after_it() -> None:
    """The target's answer came after the look that showed its fill."""
    taken = replace(TAKEN, client_id=None, order_id="t1")
    look = seen(position("0.7"), (stop(),), (ENTRY_FILL, taken))
    before = learned(record(BARE), look)
    assert amounts(before) == ("1.3", "0.7", "1", "0")
    named = replace(before, order_roles=(*before.order_roles, ("t1", "take_profit")))
    assert amounts(learned(record(named), look)) == ("1.3", "0.7", "1", "0.3")


def test_an_older_page_tells_less_than_what_is_known() -> None:
    known = replace(BARE, traded=D("1.3"), explained=D("0.7"), entry_filled=D(1), taken=D("0.3"))
    assert amounts(learned(record(known), seen(LONG, (stop(),), (ENTRY_FILL,)))) == ("1.3", "0.7", "1", "0.3")


# --- cover -------------------------------------------------------------------------------------------------------


def test_a_stop_that_stands_again_ends_what_a_person_lifted_once_its_time_is_up() -> None:
    lifted = held_trade(off_until_ms=NOW, lifted=True, covered=False, naked_since_ms=NOW - 700)
    trade = learned(record(lifted), seen(LONG, (stop(),)))
    assert (trade.off_until_ms, trade.lifted, trade.covered, trade.naked_ms) == (0, False, True, 700)
    still = replace(lifted, off_until_ms=NOW + 1)
    assert learned(record(still), seen(LONG, (stop(),))).off_until_ms == NOW + 1


def test_a_position_without_a_price_of_its_own_keeps_the_stop_that_stands_as_its_first() -> None:
    trade = learned(record(held_trade(stop=None, first_stop=None)), seen(LONG, (stop("96"),)))
    assert (trade.stop, trade.first_stop) == (D(96), D(96))


def test_a_bare_position_is_no_longer_covered() -> None:
    lifted = learned(record(held_trade(off_until_ms=NOW + 9_000)), seen(LONG))
    assert (lifted.covered, lifted.lifted, lifted.naked_since_ms) == (False, True, NOW)


@pytest.mark.parametrize(
    ("what", "trade", "covered"),
    [
        ("seen once", held_trade(), True),
        ("acked once", held_trade(covered=False, placed=(Placed(Role.STOP, "s1", 1, NOW - LAG),)), False),
    ],
)
def test_what_cannot_be_read_denies_no_cover(what: str, trade: Trade, covered: bool) -> None:
    after = learned(record(trade), seen(LONG, DOWN))
    assert (after.covered, after.naked_since_ms) == (covered, None), what


def test_a_position_that_only_a_close_was_acked_for_is_naked_though_orders_are_unread() -> None:
    acked = held_trade(covered=False, placed=(Placed(Role.TARGET, "t1", 2, NOW - 100),))
    assert learned(record(acked), seen(LONG, DOWN)).naked_since_ms == NOW


# --- dangers -----------------------------------------------------------------------------------------------------

BEYOND = position(mark="90")
UNSAFE = position(liquidation_price=D(95))
BEFORE = Sighting(NOW - 500, 2, NOW - 400)


@pytest.mark.parametrize(
    ("what", "trade", "look", "beyond", "unsafe"),
    [
        ("all is well", held_trade(), seen(LONG, (stop(),)), None, None),
        ("beyond the stop that stands", held_trade(), seen(BEYOND, (stop(),), at_ms=NOW - 9), (NOW, 1, NOW - 9), None),
        ("liquidated at the stop", held_trade(), seen(UNSAFE, (stop(),), at_ms=NOW - 9), None, (NOW, 1, NOW - 9)),
        ("liquidated behind it", held_trade(), seen(position(liquidation_price=D("94.9")), (stop(),)), None, None),
        (
            "beyond it once more",
            held_trade(beyond=BEFORE),
            seen(BEYOND, (stop(),), at_ms=NOW - 9),
            (NOW - 500, 3, NOW - 9),
            None,
        ),
        (
            "unsafe once more",
            held_trade(unsafe=BEFORE),
            seen(UNSAFE, (stop(),), at_ms=NOW - 9),
            None,
            (NOW - 500, 3, NOW - 9),
        ),
        (
            "the same reading once more",
            held_trade(beyond=BEFORE),
            seen(BEYOND, (stop(),), at_ms=NOW - 400),
            (NOW - 500, 2, NOW - 400),
            None,
        ),
        ("over", held_trade(beyond=BEFORE, unsafe=BEFORE), seen(LONG, (stop(),)), None, None),
        ("no stop stands", held_trade(beyond=BEFORE, unsafe=BEFORE), seen(BEYOND), None, None),
    ],
)
def test_dangers_are_counted_by_readings(
    what: str,
    trade: Trade,
    look: Seen,
    beyond: tuple[int, int, int] | None,
    unsafe: tuple[int, int, int] | None,
) -> None:
    after = learned(record(trade), look)
    assert after.beyond == (beyond and Sighting(*beyond)), what
    assert after.unsafe == (unsafe and Sighting(*unsafe)), what


def test_a_stop_that_is_no_cover_where_it_is_too_large_makes_no_danger() -> None:
    exact = frame(can=replace(CAN, oversize_covers=False))
    large = seen(replace(BEYOND, liquidation_price=D(96)), (stop(size="2"),))
    after = learn(record(held_trade()), large, exact).trade
    assert after is not None
    assert (after.beyond, after.unsafe, after.naked_since_ms) == (None, None, NOW)


# --- wishes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "keep"), [("0", None), ("0.4", D("0.4"))])
def test_a_wish_to_close_a_part_is_sized_by_the_next_reading_and_a_wish_for_all_is_not(
    part: str, keep: Decimal | None
) -> None:
    asked = held_trade(close=CloseAsk("manual_close", NOW - 9, D(part)))
    close = learned(record(asked), seen(LONG, (stop(),))).close
    assert close is not None
    assert close.keep_size == keep


def test_an_answer_that_is_none_changes_nothing() -> None:
    refused = sent(Rejected(Reason.MARGIN, "no"))
    rec = record(new_trade(sent=(refused,)))
    assert learned(rec, seen(None, lookups=answers(0, OrderState.FILLED, filled=D(1)))).sent == (refused,)


HALF = N_ENOUGH - 1
WAITING, MAY_LIVE = new_trade(), Outstanding(TRADE, Role.STOP, 1, "s1", NOW)


@pytest.mark.parametrize(
    ("what", "rec", "n"),
    [
        ("a signal, many numbers ago", record(WAITING, n=HALF + 1), 0),
        ("there is room", record(WAITING, n=HALF), HALF),
        ("no trade", record(n=HALF + 1), HALF + 1),
        ("it was sent", record(replace(WAITING, sent=(sent(),)), n=HALF + 1), HALF + 1),
        ("it was found", record(found_trade(), n=HALF + 1), HALF + 1),
        ("one of ours may live", record(WAITING, n=HALF + 1, outstanding=(MAY_LIVE,)), HALF + 1),
    ],
)
def test_numbers_begin_anew_with_a_signal_before_they_run_out(what: str, rec: KeyRecord, n: int) -> None:
    """A stop that moves twice a minute uses a million in a year; an id names the trade too, so none comes twice."""
    assert learn(rec, seen(), frame()).n == n, what


def test_no_number_is_given_again_that_an_order_on_record_has() -> None:
    """The venue's history told of it, and no list shows it: the child of an entry that a lost record sent."""
    assert learn(record(held_trade(), n=1, outstanding=(replace(MAY_LIVE, n=3),)), seen(LONG, ()), frame()).n == 3
    assert learn(record(held_trade(), n=4, outstanding=(replace(MAY_LIVE, n=3),)), seen(LONG, ()), frame()).n == 4


def test_an_entry_that_fills_tell_of_and_no_record_makes_numbers_leap_once() -> None:
    """A record that went back to before it was sent: what was placed with it bears the numbers that come next."""
    filled = seen(LONG, (), (fill("f1", "1", "100", NOW - 900, "0", "e1", client_id=cid(Role.ENTRY, 0)),))
    first = learn(record(WAITING), filled, frame())
    assert first.trade is not None
    assert first.trade.entered_ms == NOW - 900
    assert (first.n, first.quiet_ms) == (1 + NUMBERS_LOST, NOW + ADMISSION_MARGIN_MS + LAG)
    assert learn(first, filled, frame(NOW + 1)).n == 1 + NUMBERS_LOST
    known = record(replace(WAITING, sent=(sent(Accepted("e1", D(1), D(100))),)))
    assert learn(known, filled, frame()).n == 1
