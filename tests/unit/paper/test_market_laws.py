"""Laws of the market under any sequence of orders and marks."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.paper.margin import value
from exchange.paper.witness import Witness, uncovered
from tests.unit.paper.helpers import USER, market, order, trigger

SIZES = st.integers(1, 40).map(lambda n: str(Decimal(n) / 1000))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), SIZES, st.booleans()),
        st.tuples(st.just("sell"), SIZES, st.booleans()),
        st.tuples(st.just("stop"), SIZES, st.booleans()),
        st.tuples(st.just("rest"), SIZES, st.booleans()),
        st.tuples(st.just("mark"), st.integers(88_000, 102_000).map(str), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.booleans())
def test_money_is_conserved_and_reduce_only_never_enlarges_or_flips(
    steps: list[tuple[str, str, bool]], iso: bool
) -> None:
    made = market()
    made.set_leverage(USER, "BTC", 5, is_cross=not iso)
    account = made.accounts[USER]
    witness = Witness()
    made.listeners.append(witness.hear)
    reduce_only: set[int] = set()
    for number, (kind, size, flagged) in enumerate(steps, start=1):
        if kind == "mark":
            made.set_mark("BTC", Decimal(size), number)
        else:
            mark = made.marks["BTC"]
            far = {True: str(int(mark * Decimal("1.03"))), False: str(int(mark * Decimal("0.97")))}
            is_buy = kind == "buy" or (kind in ("stop", "rest") and flagged)
            side = "buy" if is_buy else "sell"
            if kind == "stop":
                asked = trigger(side, size, far[is_buy], worst=far[is_buy])
            elif kind == "rest":
                asked = order(side, size, far[not is_buy], "Gtc", ro=number % 2 == 0)
            else:
                asked = order(side, size, far[is_buy], ro=flagged)
            made.place(USER, [asked], "na", number)
        witness.judge(made.accounts, number * 1000)
    for past in account.history:
        if past.reduce_only:
            reduce_only.add(past.oid)
    for fill in account.fills:
        if fill.oid in reduce_only:
            signed = fill.size if fill.is_buy else -fill.size
            assert fill.start_position * signed < 0
            assert abs(signed) <= abs(fill.start_position)
    worth = value(account, made.marks)
    paid = sum((fill.fee for fill in account.fills), Decimal(0))
    cash_flow = sum(((-1 if f.is_buy else 1) * f.size * f.px for f in account.fills), Decimal(0))
    position = account.positions.get("BTC")
    stock = position.size * made.marks["BTC"] if position else Decimal(0)
    assert abs(worth - (Decimal(10_000) + cash_flow + stock - paid)) < Decimal("0.0001")
    bare = uncovered(account, "BTC")
    book = witness.book(USER, "BTC")
    assert (bool(book.naked) and book.naked[-1].to_us is None) == (bare > 0)
    assert all(o.live for o in account.orders.values())
    assert set(account.orders) == set(made.live["BTC"])
