"""What an exit comes to: many fills, part exits, forced ones, flips, missing fills, rebates and funding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stopkeeper.core.actions import Book, Exit
from stopkeeper.core.evidence import exit_of, follow, side_of
from stopkeeper.core.model import Fill, FillPage, Known, Role, Side
from stopkeeper.core.record import Trade
from tests.unit.core.scene import (
    ENTERED_MS,
    ENTRY_FILL,
    INST,
    NOW,
    RULES,
    D,
    cid,
    fill,
    found_trade,
    held_trade,
    plan,
    position,
    record,
    seen,
)

T = ENTERED_MS
ROLES = (
    ("e1", "entry"),
    ("s1", "stop_loss"),
    ("t1", "take_profit"),
    ("t2", "take_profit"),
    ("c1", "manual_close"),
    ("c2", "time_limit"),
)


def out(name: str, size: str, price: str, at: int, start: str, order: str = "s1") -> Fill:
    """A fill that sells some of a long, its fee 0.05."""
    return fill(name, f"-{size}", price, T + at, start, order)


def part(name: str, size: str, price: str, start: str) -> Fill:
    """A piece of the entry, at its first ms."""
    return fill(name, size, price, T, start, "e1", client_id=cid(Role.ENTRY, 0))


def settle(trade: Trade, fills: Sequence[Fill], funding: str = "0") -> Exit:
    return exit_of(trade, follow(trade, Known(FillPage(0, tuple(fills)), NOW), INST), RULES, INST, D(funding))


@dataclass(frozen=True)
class Case:
    """Fills of a long of size 1 that entered at 100, and what they come to."""

    what: str
    fills: tuple[Fill, ...]
    reason: str
    shares: tuple[tuple[str, str], ...]
    gross: str
    fees: str = "0.10"
    entry: str = "100"
    exit: str = "95"
    complete: bool = True
    funding: str = "0"


THREE = (
    ENTRY_FILL,
    out("a", "0.3", "104", 5, "1", "t1"),
    out("b", "0.3", "108", 9, "0.7", "t2"),
    out("c", "0.4", "95", 20, "0.4"),
)

CASES = (
    Case(
        what="two targets, then the stop: the targets took more",
        fills=THREE,
        reason="take_profit",
        shares=(("take_profit", "0.6"), ("stop_loss", "0.4")),
        gross="1.6",
        fees="0.20",
        exit="101.6",
    ),
    Case(
        what="a small target, then the stop",
        fills=(ENTRY_FILL, out("a", "0.3", "104", 5, "1", "t1"), out("b", "0.7", "95", 9, "0.7")),
        reason="stop_loss",
        shares=(("take_profit", "0.3"), ("stop_loss", "0.7")),
        gross="-2.3",
        fees="0.15",
        exit="97.7",
    ),
    Case(
        what="as much by the target as by the stop: the first to fill",
        fills=(ENTRY_FILL, out("a", "0.5", "104", 5, "1", "t1"), out("b", "0.5", "95", 9, "0.5")),
        reason="take_profit",
        shares=(("take_profit", "0.5"), ("stop_loss", "0.5")),
        gross="-0.5",
        fees="0.15",
        exit="99.5",
    ),
    Case(
        what="as much by each, the page out of order: still the first to fill",
        fills=(out("b", "0.5", "104", 9, "0.5", "t1"), out("a", "0.5", "95", 5, "1"), ENTRY_FILL),
        reason="stop_loss",
        shares=(("stop_loss", "0.5"), ("take_profit", "0.5")),
        gross="-0.5",
        fees="0.15",
        exit="99.5",
    ),
    Case(
        what="as much by each within one ms: the one that began where the entry ended",
        fills=(ENTRY_FILL, out("1", "0.5", "104", 5, "0.5", "t1"), out("2", "0.5", "95", 5, "1")),
        reason="stop_loss",
        shares=(("stop_loss", "0.5"), ("take_profit", "0.5")),
        gross="-0.5",
        fees="0.15",
        exit="99.5",
    ),
    Case(
        what="three reasons as large: the first",
        fills=(
            ENTRY_FILL,
            out("a", "0.3", "95", 5, "1", "c2"),
            out("b", "0.3", "95", 6, "0.7", "z"),
            out("c", "0.3", "95", 7, "0.4", "c1"),
            out("d", "0.1", "95", 8, "0.1", "t1"),
        ),
        reason="time_limit",
        shares=(("time_limit", "0.3"), ("external", "0.3"), ("manual_close", "0.3"), ("take_profit", "0.1")),
        gross="-5",
        fees="0.25",
    ),
    Case(
        what="an entry in three fills of one ms, out of order",
        fills=(
            part("9", "0.2", "101", "0"),
            part("1", "0.5", "100", "0.5"),
            part("5", "0.3", "102", "0.2"),
            out("c", "1", "95", 9, "1"),
        ),
        reason="stop_loss",
        shares=(("stop_loss", "1"),),
        gross="-5.8",
        fees="0.20",
        entry="100.8",
    ),
    Case(
        what="entered and closed within one ms",
        fills=(out("1", "1", "95", 0, "1"), part("9", "1", "100", "0")),
        reason="stop_loss",
        shares=(("stop_loss", "1"),),
        gross="-5",
    ),
    Case(
        what="a target takes a part, the rest is liquidated",
        fills=(
            ENTRY_FILL,
            out("a", "0.4", "104", 5, "1", "t1"),
            replace(out("b", "0.6", "80", 9, "0.6", "liq"), liquidation=True, words="Liquidated Isolated Long"),
        ),
        reason="liquidation",
        shares=(("take_profit", "0.4"), ("liquidation", "0.6")),
        gross="-10.4",
        fees="0.15",
        exit="89.6",
    ),
    Case(
        what="liquidated in two steps at market, as large positions are",
        fills=(
            ENTRY_FILL,
            replace(out("a", "0.2", "82", 5, "1", "q1"), liquidation=True),
            replace(out("b", "0.8", "80", 35_000, "0.8", "q2"), liquidation=True),
        ),
        reason="liquidation",
        shares=(("liquidation", "1"),),
        gross="-19.6",
        fees="0.15",
        exit="80.4",
    ),
    Case(
        what="deleveraged, at no fee",
        fills=(ENTRY_FILL, replace(out("a", "1", "120", 5, "1", "adl"), adl=True, fee=D(0))),
        reason="adl",
        shares=(("adl", "1"),),
        gross="20",
        fees="0.05",
        exit="120",
    ),
    Case(
        what="deleveraged for a part, a person closes the rest",
        fills=(
            ENTRY_FILL,
            replace(out("a", "0.3", "120", 5, "1", "adl"), adl=True),
            out("b", "0.7", "120", 9, "0.7", "z"),
        ),
        reason="external",
        shares=(("adl", "0.3"), ("external", "0.7")),
        gross="20",
        fees="0.15",
        exit="120",
    ),
    Case(
        what="a flip: only what closed is the trade's, the fee is split",
        fills=(ENTRY_FILL, replace(out("a", "4", "95", 5, "1", "z"), fee=D("0.40"))),
        reason="external",
        shares=(("external", "1"),),
        gross="-5",
        fees="0.15",
    ),
    Case(
        what="a maker's entry earns a rebate",
        fills=(replace(ENTRY_FILL, fee=D("-0.02")), out("a", "1", "95", 5, "1")),
        reason="stop_loss",
        shares=(("stop_loss", "1"),),
        gross="-5",
        fees="0.03",
    ),
    Case(
        what="rebates larger than fees",
        fills=(replace(ENTRY_FILL, fee=D("-0.02")), replace(out("a", "1", "95", 5, "1"), fee=D("-0.01"))),
        reason="stop_loss",
        shares=(("stop_loss", "1"),),
        gross="-5",
        fees="-0.03",
    ),
    Case(
        what="funding paid",
        fills=(ENTRY_FILL, out("a", "1", "95", 5, "1")),
        reason="stop_loss",
        shares=(("stop_loss", "1"),),
        gross="-5",
        funding="-0.7",
    ),
    Case(
        what="funding received",
        fills=(ENTRY_FILL, out("a", "1", "95", 5, "1")),
        reason="stop_loss",
        shares=(("stop_loss", "1"),),
        gross="-5",
        funding="0.7",
    ),
    Case(
        what="a closing fill is missing in the middle: the venue's own sums, not complete",
        fills=(
            ENTRY_FILL,
            replace(out("a", "0.3", "104", 5, "1", "t1"), closed_pnl=D("1.2")),
            replace(out("c", "0.4", "95", 20, "0.4"), closed_pnl=D(-2)),
        ),
        reason="stop_loss",
        shares=(("take_profit", "0.3"), ("stop_loss", "0.4")),
        gross="-0.8",
        fees="0.15",
        exit="98.85714285714285714285714286",
        complete=False,
    ),
    Case(
        what="the last closing fill is missing",
        fills=(ENTRY_FILL, replace(out("a", "0.3", "104", 5, "1", "t1"), closed_pnl=D("1.2"))),
        reason="take_profit",
        shares=(("take_profit", "0.3"),),
        gross="1.2",
        fees="0.10",
        exit="104",
        complete=False,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_what_fills_come_to(case: Case) -> None:
    done = settle(held_trade(order_roles=ROLES), case.fills, case.funding)
    assert (done.reason, done.complete) == (case.reason, case.complete)
    assert done.shares == tuple((why, D(size)) for why, size in case.shares)
    assert (done.entry_price, done.exit_price) == (D(case.entry), D(case.exit))
    assert (done.gross_pnl, done.fees, done.funding) == (D(case.gross), D(case.fees), D(case.funding))
    assert done.realized_pnl == D(case.gross) - D(case.fees) + D(case.funding)


def test_a_fill_that_comes_late_is_a_correction_of_what_was_booked_without_it() -> None:
    trade = held_trade(order_roles=ROLES)
    first = settle(trade, [THREE[0], THREE[1], THREE[3]])
    assert (first.complete, first.reason) == (False, "stop_loss")
    settled = record(settling=(replace(trade, revision=1),))
    made = plan(settled, seen(None, (), THREE))
    (book,) = made.actions
    assert isinstance(book, Book)
    assert (book.exit.complete, book.exit.reason, book.exit.gross_pnl) == (True, "take_profit", D("1.6"))
    assert [f.id for f in book.used] == ["f1", "a", "b", "c"]


def test_the_missing_fills_are_asked_for_once_in_a_while() -> None:
    old = held_trade(revision=1, settle_tried_ms=NOW - RULES.incomplete_after_ms + 1)
    rec, look = record(settling=(old,)), seen(fills=THREE)
    assert plan(rec, look).actions == ()
    again = plan(record(settling=(old, replace(old, settle_tried_ms=NOW - RULES.incomplete_after_ms))), look)
    assert [type(action) for action in again.actions] == [Book]


def test_the_venues_words_for_what_nobody_knows_stand_in_the_evidence() -> None:
    settlement = replace(out("a", "1", "95", 5, "1", "z"), words="Settlement")
    done = settle(held_trade(), [ENTRY_FILL, settlement])
    assert (done.reason, done.evidence) == (
        "external",
        'fill a of order z: 1 at 95, "Settlement" in the venue\'s words',
    )


def test_who_takes_over_after_a_flip_pays_its_part_of_the_fee() -> None:
    flip = replace(out("a", "4", "95", 5, "1", "z"), fee=D("0.40"))
    look = seen(position("3", Side.SHORT), (), (ENTRY_FILL, flip))
    (book,) = plan(record(held_trade()), look).actions
    assert isinstance(book, Book)
    assert book.successor is not None
    assert (book.exit.fees, book.successor.opening_fee) == (D("0.15"), D("0.30"))
    back = fill("b", "3", "90", T + 9, "-3", "y")
    done = settle(book.successor, [ENTRY_FILL, flip, back])
    assert (done.complete, done.gross_pnl, done.fees) == (True, D(15), D("0.35"))
    assert done.realized_pnl == D("14.65")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-6, 6).filter(bool), st.integers(90, 110), st.integers(-5, 20), st.integers(0, 1)),
        min_size=1,
        max_size=8,
    )
)
def test_no_fee_and_no_cash_is_lost_between_a_trade_and_its_successors(moves: list[tuple[int, int, int, int]]) -> None:
    """However often a position is flipped, also several times within one ms: all trades together paid all fees."""
    fills, net, at = [part("f1", "1", "100", "0")], 1, T
    for number, (size, price, fee, later) in enumerate([*moves, (0, 100, 0, 1)]):
        at += later
        signed = size or -net  # in the end all is closed
        if signed:
            moved = fill(f"m{number}", str(signed), str(price), at, str(net), "z")
            fills.append(replace(moved, fee=D(fee) / 100))
        net += signed
    page, trade, booked = Known(FillPage(0, tuple(fills)), NOW), held_trade(), D(0)
    while True:
        chain = follow(trade, page, INST)
        assert (chain.closed, chain.whole) == (True, True)
        booked += exit_of(trade, chain, RULES, INST).realized_pnl
        if not chain.after and not chain.remainder:
            break
        opening, price_, fee_ = chain.carried()
        assume(opening or chain.after[0].time_ms > chain.closed_ms)  # what opens and ends within that ms has no heir
        side = side_of(opening or chain.after[0].signed)
        trade = found_trade(
            side=side, created_ms=chain.closed_ms, opening_size=abs(opening), opening_price=price_, opening_fee=fee_
        )
    cash = sum((-f.signed * f.price - f.fee for f in fills), D(0))
    assert abs(booked - cash) < D("1e-18")
