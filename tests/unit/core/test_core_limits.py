"""Limits: what each counts, when it is reached and when not, in tables; and what holds for any books at all."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopkeeper.core.actions import Exit
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.limits import (
    DAY_MS,
    Result,
    Stance,
    clock,
    counts_results,
    filled,
    open_pnl_of,
    result_of,
    stance,
    switched,
    unreserved,
)
from stopkeeper.core.model import Funds, Holdings, Key, MarginMode, Position, Side
from stopkeeper.core.record import Origin, Trade
from stopkeeper.core.rules import Limits, Switches

MIDNIGHT = 20_000 * DAY_MS
NOON = MIDNIGHT + DAY_MS // 2
HOUR = 3_600_000
USD = Decimal


def results(*pairs: tuple[int, str]) -> list[Result]:
    return [Result(f"t{n}", ms, USD(pnl)) for n, (ms, pnl) in enumerate(pairs)]


def test_no_limit_is_never_reached() -> None:
    found = stance(results((NOON - 1, "-1000000")), USD(-1_000_000), NOON, Limits())
    assert found.open
    assert found == Stance(USD(2_000_000), USD(2_000_000), 1, None)


# booked (ms, P&L), open P&L, lost today, whether 100 is reached
DAILY = [
    ([], "0", "0", True),
    ([(NOON, "-99.99")], "0", "99.99", True),
    ([(NOON, "-100")], "0", "100", False),
    ([(MIDNIGHT - 1, "-500"), (NOON, "-50")], "0", "50", True),
    ([(MIDNIGHT, "-100")], "0", "100", False),
    ([(NOON, "-120"), (NOON, "+30")], "0", "90", True),
    ([(NOON, "-60")], "-40", "100", False),
    ([(NOON, "-100")], "+500", "100", False),
    ([], "-100", "100", False),
    ([(NOON, "+500")], "-20", "0", True),
]


@pytest.mark.parametrize(("booked", "open_pnl", "lost", "passes"), DAILY)
def test_the_loss_of_a_day(booked: list[tuple[int, str]], open_pnl: str, lost: str, passes: bool) -> None:
    found = stance(results(*booked), USD(open_pnl), NOON + 1, Limits(max_daily_loss=USD(100)))
    assert (found.lost_today, found.open) == (USD(lost), passes)


def test_the_next_day_begins_with_nothing_lost() -> None:
    limits, lost = Limits(max_daily_loss=USD(100)), results((NOON, "-150"))
    assert not stance(lost, USD(0), MIDNIGHT + DAY_MS - 1, limits).open
    assert stance(lost, USD(0), MIDNIGHT + DAY_MS, limits).open


# booked, since, open P&L, drawdown, whether 100 is reached
CURVES = [
    ([(1, "50"), (2, "-149.99")], None, "0", "149.99", False),
    ([(1, "50"), (2, "-99")], None, "0", "99", True),
    ([(1, "-100")], None, "0", "100", False),
    ([(1, "-60"), (2, "300"), (3, "-90")], None, "0", "90", True),
    ([(1, "-60"), (2, "300"), (3, "-90")], None, "-10", "100", False),
    ([(1, "-60"), (2, "300"), (3, "-90")], None, "+80", "90", True),
    ([(1, "300"), (2, "-200"), (3, "150"), (4, "-60")], None, "0", "110", False),
    ([(1, "300"), (2, "-200"), (3, "-60")], 3, "0", "60", True),
    ([(1, "300"), (2, "-200")], 3, "0", "0", True),
    ([(3, "-100")], 3, "0", "100", False),
]


@pytest.mark.parametrize(("booked", "since", "open_pnl", "below", "passes"), CURVES)
def test_how_far_below_the_peak(
    booked: list[tuple[int, str]], since: int | None, open_pnl: str, below: str, passes: bool
) -> None:
    limits = Limits(max_drawdown=USD(100), drawdown_since_ms=since)
    found = stance(results(*booked), USD(open_pnl), NOON, limits)
    assert (found.drawdown, found.open) == (USD(below), passes)


@pytest.mark.parametrize(
    ("booked", "row", "until"),
    [
        ([(1, "-1"), (2, "-1")], 2, None),
        ([(1, "-1"), (2, "-1"), (3, "-1")], 3, 3 + HOUR),
        ([(1, "-1"), (2, "-1"), (3, "-1"), (4, "-1")], 4, 4 + HOUR),
        ([(1, "-1"), (2, "-1"), (3, "0")], 0, None),
        ([(3, "-1"), (1, "5"), (2, "-1"), (4, "-1")], 3, 4 + HOUR),
    ],
)
def test_losses_in_a_row_cool_down(booked: list[tuple[int, str]], row: int, until: int | None) -> None:
    limits = Limits(cooldown_after=3, cooldown_ms=HOUR)
    found = stance(results(*booked), USD(0), 10, limits)
    assert (found.losses_in_a_row, found.cooldown_until_ms, found.open) == (row, until, until is None)
    if until is not None:
        assert not stance(results(*booked), USD(0), until - 1, limits).open
        assert stance(results(*booked), USD(0), until, limits).open, "it ends by itself"


@pytest.mark.parametrize("half", [Limits(cooldown_after=1), Limits(cooldown_ms=HOUR)])
def test_half_a_cooldown_is_none(half: Limits) -> None:
    found = stance(results((1, "-1"), (2, "-1")), USD(0), 10, half)
    assert (found.cooldown_until_ms, found.open) == (None, True)


def test_an_unknown_open_result_counts_as_none_and_is_said() -> None:
    limits = Limits(max_daily_loss=USD(100), max_drawdown=USD(100))
    assert stance(results((NOON, "-99")), None, NOON, limits).open
    daily, curve = stance(results((NOON, "-100")), None, NOON, limits).reasons
    assert daily == (
        "100.00 USD were lost today (UTC), the account's limit is 100; what is open could not be read and counts as 0"
    )
    assert curve.endswith("what is open could not be read and counts as 0")


def test_the_sentences_can_be_acted_on() -> None:
    limits = Limits(max_daily_loss=USD(100), max_drawdown=USD("99.5"), cooldown_after=2, cooldown_ms=HOUR)
    found = stance(results((NOON, "-50"), (NOON + 1_000, "-40")), USD(-10), NOON + 2_000, limits)
    assert found.reasons == (
        "100.00 USD were lost today (UTC), 10.00 of it on what is open, the account's limit is 100",
        "the account's results are 100.00 USD below their peak, its limit is 99.5",
        "the last 2 trades were losses: no entry before 13:00:01 UTC",
    )
    assert [each.hint for each in found.reached] == [
        "wait for the next day, or raise the account's risk.max_daily_loss",
        "raise the account's risk.max_drawdown, or set risk.drawdown_since to the day to count from",
        "wait until then, or change the account's risk.cooldown",
    ]


def test_one_loss_is_no_row_of_them() -> None:
    found = stance(results((NOON, "-1")), USD(0), NOON + 1, Limits(cooldown_after=1, cooldown_ms=HOUR))
    assert found.reasons == ("the last trade was a loss: no entry before 13:00:00 UTC",)


def test_a_time_of_day() -> None:
    assert [clock(ms) for ms in (MIDNIGHT, MIDNIGHT + DAY_MS - 1, NOON + 61_999)] == [
        "00:00:00", "23:59:59", "12:01:01",
    ]  # fmt: skip


def test_a_line_counts_with_what_it_says_complete_or_not() -> None:
    trade = Trade("t1", Origin.SIGNAL, Key("main", "BTC"), Side.LONG, 1)
    zero = USD(0)
    done = Exit("unknown", "", (), None, None, zero, zero, zero, zero, USD("-3"), 1, 70, complete=False)
    assert result_of(LedgerLine(trade, done, 0, 90)) == Result("t1", 70, USD("-3"))
    assert result_of(LedgerLine(trade, replace(done, closed_ms=0), 0, 90)) == Result("t1", 90, USD("-3"))


def test_open_results_are_added_up() -> None:
    def position(pnl: str) -> Position:
        return Position(
            "BTC", Side.LONG, USD(1), USD(100), MarginMode.ISOLATED, USD(5), None, mark=None, unrealized_pnl=USD(pnl)
        )

    held = Holdings({"BTC": position("-5.5"), "ETH": position("2")}, Funds(USD(100), USD(90)))
    assert open_pnl_of(held) == USD("-3.5")


def test_the_books_are_read_only_for_a_limit_over_them() -> None:
    assert not counts_results(Limits(max_open_trades=1, max_notional=USD(1), drawdown_since_ms=1))
    for each in (Limits(max_daily_loss=USD(1)), Limits(max_drawdown=USD(1)), Limits(cooldown_after=1, cooldown_ms=1)):
        assert counts_results(each)


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        (Switches(), []),
        (Switches(paused=True), ["the account is paused: no new entries"]),
        (Switches(paused=True, halted=True), ["the account is halted: no new entries"]),
        (
            Switches(halted=True, barred="no such agent"),
            ["the account is halted: no new entries", "the venue bars the account: no such agent"],
        ),
    ],
)
def test_a_switch_is_a_reason(switches: Switches, words: list[str]) -> None:
    assert [each.reason for each in switched(switches)] == words
    assert all(each.hint for each in switched(switches)), "each says what would change it"


@pytest.mark.parametrize(
    ("reserved", "words"),
    [
        ([], []),
        (["499", "500"], []),
        (["600", "400"], ["the open trades fill the account's limit of 1000 USD"]),
        (["1", "2", "3"], ["3 trades are open, the account's limit is 3"]),
    ],
)
def test_no_room_at_all_is_a_reason(reserved: list[str], words: list[str]) -> None:
    limits = Limits(max_open_trades=3, max_notional=USD(1000))
    assert [each.reason for each in filled([USD(each) for each in reserved], limits)] == words
    assert filled([USD(each) for each in reserved], Limits()) == ()


@pytest.mark.parametrize(("reserved", "words"), [(1, "1 trade is"), (2, "2 trades are")])
def test_how_many_are_open_is_said(reserved: int, words: str) -> None:
    (full,) = filled([USD(1)] * reserved, Limits(max_open_trades=1))
    assert full.reason.startswith(words)


# --- any books -------------------------------------------------------------------------------------------------

PNL = st.integers(-200, 200).map(lambda cents: USD(cents) / 4)
TIMES = st.integers(MIDNIGHT - DAY_MS, NOON)
BOOKS = st.lists(st.tuples(TIMES, PNL), max_size=12).map(
    lambda pairs: [Result(f"t{n}", ms, pnl) for n, (ms, pnl) in enumerate(pairs)]
)
LIMITS = st.builds(
    Limits,
    max_daily_loss=st.none() | st.integers(1, 80).map(USD),
    max_drawdown=st.none() | st.integers(1, 80).map(USD),
    drawdown_since_ms=st.none() | TIMES,
    cooldown_after=st.integers(1, 4),
    cooldown_ms=st.integers(1, 2 * DAY_MS),
)


def no_worse(after: Stance, before: Stance) -> bool:
    return (
        after.lost_today <= before.lost_today
        and after.drawdown <= before.drawdown
        and after.losses_in_a_row <= before.losses_in_a_row
        and len(after.reached) <= len(before.reached)
    )


@given(BOOKS, PNL, LIMITS, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(
    books: list[Result], open_pnl: Decimal, limits: Limits, dice: Random
) -> None:
    mixed = list(books)
    dice.shuffle(mixed)
    assert stance(mixed, open_pnl, NOON, limits) == stance(books, open_pnl, NOON, limits)


@given(BOOKS, PNL, LIMITS, TIMES, PNL)
def test_a_profit_never_makes_it_worse(
    books: list[Result], open_pnl: Decimal, limits: Limits, at_ms: int, profit: Decimal
) -> None:
    before = stance(books, open_pnl, NOON, limits)
    won = [*books, Result("won", at_ms, abs(profit))]
    assert no_worse(stance(won, open_pnl, NOON, limits), before)
    assert no_worse(stance(books, open_pnl + abs(profit), NOON, limits), before)


@given(BOOKS, PNL, LIMITS)
def test_an_open_profit_is_worth_nothing(books: list[Result], profit: Decimal, limits: Limits) -> None:
    assert stance(books, abs(profit), NOON, limits) == stance(books, USD(0), NOON, limits)


@given(BOOKS, PNL, LIMITS)
def test_figures_are_no_less_than_nothing_and_tell_whether_a_limit_is_reached(
    books: list[Result], open_pnl: Decimal, limits: Limits
) -> None:
    found = stance(books, open_pnl, NOON, limits)
    assert found.lost_today >= 0
    assert found.drawdown >= 0
    expected = [
        limits.max_daily_loss is not None and found.lost_today >= limits.max_daily_loss,
        limits.max_drawdown is not None and found.drawdown >= limits.max_drawdown,
        found.cooldown_until_ms is not None,
    ]
    assert len(found.reached) == sum(expected)
    assert found.cooldown_until_ms is None or found.cooldown_until_ms > NOON


@pytest.mark.parametrize(
    ("held", "notional"),
    [
        ((), "0"),
        ((("t1", USD(100)),), "0"),
        ((("t1", USD(100)), ("found", USD(30)), (None, USD(7))), "37"),
    ],
)
def test_what_no_signal_reserved_is_what_is_held_besides(
    held: tuple[tuple[str | None, Decimal], ...], notional: str
) -> None:
    assert unreserved(held, {"t1": USD(90), "found": USD(0)}) == USD(notional)


def test_what_is_held_besides_fills_the_notional_and_no_number_of_trades() -> None:
    limits = Limits(max_notional=USD(100), max_open_trades=2)
    assert filled([USD(60)], limits, USD("39.99")) == ()
    assert len(filled([USD(60)], limits, USD(40))) == 1
