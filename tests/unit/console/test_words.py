"""How numbers and times read for a person."""

from decimal import Decimal

import pytest

from stopkeeper.console import words


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (9_999, "10.0 s"),
        (10_000, "10 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h 00"),
        (172_800_000, "2 d"),
    ],
)
def test_a_duration(ms: int, text: str) -> None:
    assert words.duration(ms) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0.00"),
        ("0.004", "0.00"),
        ("-0.004", "0.00"),
        ("1234.5", "[green]+1,234.50[/]"),
        ("-0.5", "[red]-0.50[/]"),
    ],
)
def test_a_gain_has_its_sign(value: str, text: str) -> None:
    assert words.gain(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("95000.123456789", "95000.123"),
        ("0.000012345678912", "0.000012345679"),
        ("100", "100"),
        ("123456789.1", "123456789"),
    ],
)
def test_an_average_keeps_eight_figures(value: str, text: str) -> None:
    assert words.average(Decimal(value)) == text


def test_nothing_is_a_dash() -> None:
    said = (words.amount(None), words.money(None), words.gain(None), words.percent(None), words.moment(None))
    assert set(said) == {"-"}


def test_percent_has_its_sign() -> None:
    assert words.percent(Decimal("0.0123")) == "+1.23 %"
    assert words.percent(Decimal("-0.5")) == "-50.00 %"
