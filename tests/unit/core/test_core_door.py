"""What a signal comes to at the door: the terms to the last step, and each refusal with what it names, at its edge."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from stopkeeper.core.model import Amount, Distance, Funds, Side, TargetWish
from stopkeeper.core.record import Terms
from stopkeeper.core.rules import Limits, Rules
from stopkeeper.core.sizing import Refusal, liquidation_estimate, work_out, worst_of_stop
from tests.unit.core.scene import MARKET, RULES, D, signal

SHORT: dict[str, Any] = {"side": Side.SHORT, "stop": Distance(price=D(105))}
LEVERED = Distance(price=D("99.5"))


def at(price: str) -> Distance:
    return Distance(price=D(price))


def of(fraction: str) -> Distance:
    return Distance(fraction=D(fraction))


def targets(*wishes: tuple[Distance, str | None]) -> tuple[TargetWish, ...]:
    return tuple(TargetWish(where, None if part is None else D(part)) for where, part in wishes)


def limited(**limits: Any) -> Rules:
    return replace(RULES, limits=Limits(**limits))


def door(mark: str = "100", rules: Rules = RULES, free: str = "10000", **wish: Any) -> Terms | Refusal:
    return work_out(signal(**wish), MARKET, D(mark), rules, Funds(D(free), D(free)))


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"price": D(100), "max_deviation": D("0.01"), "mark": "101"},
    {"price": D(90)},
    {"stop": LEVERED},
    {"limit": D(99), "stop": at("98.5")},
    {"targets": targets((at("104"), "0.6"), (at("108"), "0.4"))},
    {"targets": targets((at("100.5"), None))},
    {"limit": D(99), "targets": targets((at("100.5"), None))},
    SHORT | {"targets": targets((at("0.5"), None))},
    {"amount": Amount(size=D("0.1"))},
    {"leverage": 1},
    {"leverage": 40, "stop": LEVERED},
    {"leverage": 10, "stop": LEVERED, "rules": limited(max_leverage=10)},
    {"rules": limited(max_notional=D(100))},
    {"rules": limited(max_stop_distance=D("0.05"))},
    {"stop": at("86")},
    {"mark": "1.02", "stop": at("1"), "amount": Amount(size=D(100))},
    {"mark": "1.02", "stop": at("0.99"), "amount": Amount(size=D(100))},
    {"free": "20"},
]


@pytest.mark.parametrize("wish", ACCEPTED, ids=str)
def test_what_is_accepted_at_the_very_edge(wish: dict[str, Any]) -> None:
    found = door(**wish)
    assert isinstance(found, Terms), str(found)


@pytest.mark.parametrize(("stop", "accepted"), [("85", True), ("84.99", False)])
def test_a_stop_may_stand_at_the_very_edge_of_the_liquidation(stop: str, accepted: bool) -> None:
    """A market without maintenance margin, so that 5x is liquidated at 80, and the edge is a quarter nearer."""
    plain = replace(MARKET, maintenance_rate=D(0))
    found = work_out(signal(stop=at(stop), leverage=5), plain, D(100), RULES, None)
    assert isinstance(found, Terms) is accepted, str(found)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"price": D(100), "max_deviation": D("0.01"), "mark": "101.01"},
        "price: the price 101.01 is 1.01% away from it, more than 1.00% (got 100); send a signal at today's price",
    ),
    ({"stop": of("1")}, "stop: a stop must be a price above 0 (got 100%); give a price or a percentage below 100"),
    ({"stop": at("100")}, "stop: the stop of a long must be below the price 100 (got 100); give a stop below it"),
    (
        {"limit": D(99), "stop": at("99")},
        "stop: the stop of a long must be below both the limit 99 and the price 100 (got 99); give a stop below it",
    ),
    (
        {"limit": D(97), "stop": of("0.02")},
        (
            "stop: the stop of a long must be below both the limit 97 and the price 100"
            " (got 2.00%, which is 98.00); give a stop below it"
        ),
    ),
    (
        SHORT | {"stop": at("100")},
        "stop: the stop of a short must be above the price 100 (got 100); give a stop above it",
    ),
    (
        {"mark": "95", "limit": D(96)},
        ("stop: the stop of a long must be below both the limit 96 and the price 95 (got 95); give a stop below it"),
    ),
    (
        {"limit": D(99), "targets": targets((at("100"), None))},
        "target: the target of a long must be above the price 100 (got 100); give one above it",
    ),
    (
        {"targets": targets((at("104"), "0.6"), (at("108"), "0.5"))},
        "target: the targets take more than the whole position (got 60.0%, 50.0%); let the parts add up to 100%",
    ),
    (
        {"targets": targets((at("104"), "1"), (at("108"), None))},
        "target: the targets take more than the whole position (got 100%); let the parts add up to 100%",
    ),
    (
        {"targets": targets((at("100"), None))},
        "target: the target of a long must be above the price 100 (got 100); give one above it",
    ),
    (
        {"limit": D(101), "targets": targets((at("101"), None))},
        "target: the target of a long must be above the price 100 (got 101); give one above it",
    ),
    (
        SHORT | {"targets": targets((of("1"), None))},
        "target: the target of a short must be below the price 100 (got 100%, which is 0); give one below it",
    ),
    (
        {"amount": Amount(size=D("0.15")), "targets": targets((at("104"), "0.5"))},
        (
            "target: no target is worth the venue's minimum of 10 USD (got 50.0% of 0.15);"
            " let a target take a larger part, or ask for more"
        ),
    ),
    (
        {"amount": Amount(size=D("0.099"))},
        (
            "size: the order is worth 9.90 USD, below the venue's minimum of 10 USD (got 0.099);"
            " ask for at least 10 USD; BTC trades in steps of 0.001"
        ),
    ),
    (
        {"amount": Amount(notional=D("9.99"))},
        (
            "notional: the order is worth 9.90 USD, below the venue's minimum of 10 USD (got 9.99);"
            " ask for at least 10 USD; BTC trades in steps of 0.001"
        ),
    ),
    (
        {"amount": Amount(risk=D("0.1"))},
        (
            "risk: the order is worth 1.90 USD, below the venue's minimum of 10 USD (got 0.1);"
            " ask for at least 10 USD; BTC trades in steps of 0.001"
        ),
    ),
    ({"leverage": 0}, "leverage: leverage must be from 1 to 40, the venue's limit (got 0); use 40 or less"),
    (
        {"leverage": 41, "rules": limited(max_leverage=50)},
        "leverage: leverage must be from 1 to 40, the venue's limit (got 41); use 40 or less",
    ),
    (
        {"leverage": 11, "rules": limited(max_leverage=10)},
        "leverage: leverage must be from 1 to 10, the account's limit (got 11); use 10 or less",
    ),
    (
        {"amount": Amount(size=D("1.001")), "rules": limited(max_notional=D(100))},
        (
            "notional: the order is above the account's limit of 100 USD (got 100.10);"
            " ask for less, or raise risk.max_notional"
        ),
    ),
    (
        {"stop": of("0.051"), "rules": limited(max_stop_distance=D("0.05"))},
        (
            "stop: the stop is 5.10% away, beyond the account's limit of 5.00% (got 5.100%, which is 94.900);"
            " bring the stop nearer, or raise risk.max_stop_distance"
        ),
    ),
    (
        {"stop": at("85")},
        (
            "stop: at 5x liquidation is near 81.0127, so a stop must stand within 85.7595 (got 85);"
            " bring the stop nearer or use less leverage"
        ),
    ),
    (
        {"free": "19.99"},
        (
            "size: it needs 20.00 USD of margin and 19.99 USD are free (got 1);"
            " ask for less, or use more leverage with a nearer stop"
        ),
    ),
]


@pytest.mark.parametrize(("wish", "says"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_refused_and_how(wish: dict[str, Any], says: str) -> None:
    found = door(**wish)
    assert isinstance(found, Refusal), str(found)
    assert str(found) == says


def test_a_market_without_a_minimum_refuses_nothing_all_the_same() -> None:
    free = replace(MARKET, min_notional=D(0))
    nothing = work_out(signal(amount=Amount(size=D("0.0009"))), free, D(100), RULES, None)
    assert isinstance(nothing, Refusal)
    assert nothing.field == "size"


@pytest.mark.parametrize(
    ("amount", "size"),
    [
        (Amount(size=D("1.2349")), "1.234"),
        (Amount(notional=D("123.49")), "1.234"),
        (Amount(risk=D(100)), "19.655"),  # 100 / (5 + 0.00045 * 195)
    ],
)
def test_how_much(amount: Amount, size: str) -> None:
    found = door(amount=amount)
    assert isinstance(found, Terms)
    assert found.size == D(size)


@pytest.mark.parametrize(
    ("side", "stop", "worst", "target"),
    [(Side.LONG, "95.124", "85.611", "104.12"), (Side.SHORT, "104.87", "115.36", "95.877")],
)
def test_prices_are_rounded_so_that_no_more_is_lost(side: Side, stop: str, worst: str, target: str) -> None:
    found = door(
        side=side, stop=of("0.048766" if side is Side.LONG else "0.048785"), targets=targets((of("0.041234"), None))
    )
    assert isinstance(found, Terms)
    assert (found.stop, found.stop_worst, found.goals[0].price) == (D(stop), D(worst), D(target))
    assert worst_of_stop(found.stop, side, RULES, MARKET) == D(worst)


@pytest.mark.parametrize(("side", "leverage", "near"), [
    (Side.LONG, 5, "81.0127"), (Side.SHORT, 5, "118.5185"), (Side.LONG, 1, "0.0000"), (Side.LONG, 40, "98.7342"),
])  # fmt: skip
def test_where_liquidation_is_near(side: Side, leverage: int, near: str) -> None:
    assert liquidation_estimate(D(100), side, leverage, MARKET).quantize(Decimal("0.0001")) == D(near)
