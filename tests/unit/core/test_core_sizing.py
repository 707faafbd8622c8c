"""Terms never risk more than was asked, and every refusal at the door is a sentence."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopkeeper.core.model import Amount, Distance, Funds, MarginMode, Side, TargetWish
from stopkeeper.core.record import Goal, TargetTerms, Terms
from stopkeeper.core.rules import Limits
from stopkeeper.core.sizing import (
    Refusal,
    liquidation_estimate,
    on_grid,
    safe_edge,
    work_out,
    worst_of_stop,
)
from tests.unit.core.scene import MARKET, RULES, D, signal

quick = settings(max_examples=80, deadline=None)
sides = st.sampled_from(list(Side))


def terms(mark: str = "100", **more: Any) -> Terms | Refusal:
    return work_out(signal(**more), MARKET, D(mark), RULES, Funds(D(10_000), D(10_000)))


@quick
@given(
    sides,
    st.decimals("0.5", "90000", places=3),
    st.decimals("0.005", "0.12", places=4),
    st.decimals("5", "500", places=2),
)
def test_risk_is_never_more_than_asked(side: Side, mark: Decimal, away: Decimal, risk: Decimal) -> None:
    wish = signal(side=side, amount=Amount(risk=risk), stop=Distance(fraction=away))
    got = work_out(wish, MARKET, mark, RULES, None)
    if isinstance(got, Refusal):
        return
    fees = MARKET.taker_fee * got.size * (mark + got.stop)
    assert abs(mark - got.stop) * got.size + fees <= risk
    assert got.size % MARKET.size_step == 0
    # rounding moved the stop towards the price, the worst prices never towards more
    assert (got.stop - mark * (1 - side.sign * away)) * side.sign >= 0
    assert (mark - got.stop) * side.sign > 0
    assert (got.worst_price - mark * (1 + side.sign * RULES.entry_worst)) * side.sign <= 0
    assert (got.stop - got.stop_worst) * side.sign > 0
    assert on_grid(got.stop, MARKET, "up") == got.stop  # type: ignore[arg-type]
    edge = safe_edge(mark, liquidation_estimate(mark, side, RULES.leverage, MARKET), RULES)
    assert (got.stop - edge) * side.sign >= 0


@quick
@given(sides, st.decimals("10", "50000", places=2), st.decimals("50", "5000", places=2))
def test_notional_is_never_more_than_asked(side: Side, mark: Decimal, notional: Decimal) -> None:
    wish = signal(side=side, amount=Amount(notional=notional), stop=Distance(fraction=D("0.02")))
    got = work_out(wish, MARKET, mark, RULES, None)
    if isinstance(got, Terms):
        assert notional - MARKET.size_step * mark <= got.size * mark <= notional


def test_a_limit_is_the_worst_price_and_what_size_counts_from() -> None:
    got = terms(limit=D("101.00001"), amount=Amount(notional=D(1010)))
    assert isinstance(got, Terms)
    assert got.worst_price == D(101)
    assert got.size * D("101.00001") <= 1010


def test_a_target_in_percent_counts_from_the_mark() -> None:
    got = terms(targets=(TargetWish(Distance(fraction=D("0.1"))),))
    assert isinstance(got, Terms)
    assert (got.goals, got.targets) == ((Goal(D(110), D(1)),), (TargetTerms(got.size, D(110), D(99)),))


@pytest.mark.parametrize(
    ("what", "changed", "rules", "free", "field", "says"),
    [
        ("stop on the wrong side", {"stop": Distance(price=D(105))}, {}, 10_000, "stop", "must be below the price"),
        (
            "short, stop on the wrong side",
            {"side": Side.SHORT, "stop": Distance(price=D(95))},
            {},
            10_000,
            "stop",
            "must be above the price",
        ),
        ("stop at the price", {"stop": Distance(price=D(100))}, {}, 10_000, "stop", "must be below"),
        ("stop of 100 %", {"stop": Distance(fraction=D(1))}, {}, 10_000, "stop", "must be a price above 0"),
        (
            "stop between limit and mark",
            {"limit": D(94), "stop": Distance(price=D(95))},
            {},
            10_000,
            "stop",
            "must be below",
        ),
        (
            "target below",
            {"targets": (TargetWish(Distance(price=D(99))),)},
            {},
            10_000,
            "target",
            "must be above the price",
        ),
        (
            "target the limit may pass",
            {"limit": D(105), "targets": (TargetWish(Distance(price=D(102))),)},
            {},
            10_000,
            "target",
            "must be above the price",
        ),
        ("too small", {"amount": Amount(size=D("0.05"))}, {}, 10_000, "size", "below the venue's minimum of 10 USD"),
        ("less than a step", {"amount": Amount(size=D("0.0001"))}, {}, 10_000, "size", "below the venue's minimum"),
        ("leverage 0", {"leverage": 0}, {}, 10_000, "leverage", "from 1 to 40, the venue's limit"),
        ("leverage over the venue's", {"leverage": 41}, {}, 10_000, "leverage", "the venue's limit"),
        (
            "leverage over the account's",
            {"leverage": 11},
            {"limits": Limits(max_leverage=10)},
            10_000,
            "leverage",
            "from 1 to 10, the account's limit",
        ),
        ("notional", {}, {"limits": Limits(max_notional=D(99))}, 10_000, "notional", "account's limit of 99 USD"),
        (
            "stop too far",
            {},
            {"limits": Limits(max_stop_distance=D("0.04"))},
            10_000,
            "stop",
            "5.00% away, beyond the account's limit of 4.00%",
        ),
        ("liquidation first", {"leverage": 20}, {}, 10_000, "stop", "at 20x liquidation is near"),
        ("no money", {}, {}, 19, "size", "needs 20.00 USD of margin and 19.00 USD are free"),
    ],
)
def test_refusals_at_the_door(
    what: str, changed: dict[str, Any], rules: dict[str, Any], free: int, field: str, says: str
) -> None:
    got = work_out(signal(**changed), MARKET, D(100), replace(RULES, **rules), Funds(D(free), D(free)))
    assert isinstance(got, Refusal), what
    assert got.field == field
    assert says in got.reason
    assert str(got).startswith(f"{field}: ")


def test_cross_margin_has_no_liquidation_of_its_own_at_the_door() -> None:
    rules = replace(RULES, margin_mode=MarginMode.CROSS)
    assert isinstance(work_out(signal(leverage=20), MARKET, D(100), rules, None), Terms)


@pytest.mark.parametrize(("side", "worst"), [(Side.LONG, "85.5"), (Side.SHORT, "104.5")])
def test_the_worst_price_of_a_stop_lies_beyond_its_trigger(side: Side, worst: str) -> None:
    assert worst_of_stop(D(95), side, RULES, MARKET) == D(worst)


def test_a_refusal_names_what_was_typed_and_what_it_came_to() -> None:
    tiny = work_out(signal(amount=Amount(notional=D(1))), MARKET, D(100), RULES, None)
    assert isinstance(tiny, Refusal)
    assert (tiny.field, tiny.value) == ("notional", "1")
    far = work_out(signal(stop=Distance(fraction=D("0.9"))), MARKET, D(100), RULES, None)
    assert isinstance(far, Refusal)
    assert far.value.startswith("90")
    assert "which is 10" in far.value
