"""Recorded fills and funding into the heart's words; anything of another form is Unreadable, never a guess."""

from decimal import Decimal as Dec

import pytest

from exchange import hyperliquid_fills as filled
from exchange.fields import Unreadable
from stopkeeper.core.model import Fill, Side
from tests.unit.exchange.conftest import recorded

LIQUIDATED = "0x193bd350ec838b1e22d6f302da5343b920aa1c2b"


def test_fills_oldest_first_without_other_dexes() -> None:
    liquidated, bought = filled.fills(recorded("user_fills"), LIQUIDATED.upper())
    assert (bought.symbol, bought.fee, bought.start, bought.liquidation) == ("HYPE", Dec("0.012896"), Dec("0.0"), False)
    assert (liquidated.liquidation, liquidated.closed_pnl, liquidated.side) == (True, Dec("-46.0356"), Side.SHORT)


def test_the_other_side_of_a_liquidation_was_not_liquidated() -> None:
    assert not filled.fills(recorded("user_fills"), "0x" + "11" * 20)[0].liquidation


def test_adl_is_told_by_its_direction() -> None:
    row = recorded("user_fills")[0]
    assert filled.fill(row | {"dir": "Auto-Deleveraging"}, LIQUIDATED).adl
    assert filled.fill(row | {"dir": "Liquidated Isolated Long"}, LIQUIDATED).liquidation
    assert not filled.fill(row, LIQUIDATED).adl


def test_fills_of_one_ms_are_chained_by_their_start() -> None:
    # recorded rows of 2023 carry no tid yet: their line in the reply stands in for it
    raw = [row | {"tid": number} for number, row in enumerate(recorded("user_fills_by_time_2023"))]
    for order in (raw, raw[::-1], raw[1:] + raw[:1]):
        sui = [fill for fill in filled.fills(order, LIQUIDATED) if fill.symbol == "SUI"]
        assert [fill.start for fill in sui] == [Dec("4623.5"), Dec("4480.8"), Dec("731.7")]


def test_a_fill_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="tid"):
        filled.fills(recorded("user_fills_by_time_2023"), LIQUIDATED)


def test_chaining_gives_up_where_starts_repeat() -> None:
    row = recorded("user_fills")[0]
    same = [row | {"tid": 1}, row | {"tid": 2}]
    found: list[Fill] = filled.fills(same, LIQUIDATED)
    assert [fill.id for fill in found] == ["1", "2"]


def test_funding_of_one_coin() -> None:
    assert filled.funding(recorded("user_funding"), "APE") == Dec("0.145796")
    assert filled.funding(recorded("user_funding"), "ETH") == 0  # not among the first rows
