"""What may be asked of a record without a lease, and how it is folded in."""

from dataclasses import replace
from decimal import Decimal

import pytest

from stopkeeper.core.model import Key, Side
from stopkeeper.core.record import Goal, KeyRecord, Origin, Trade
from stopkeeper.store.asks import Admitted, merge, micro_down, micro_up, wish_between

KEY = Key("main", "BTC")
TRADE = Trade("t1", Origin.SIGNAL, KEY, Side.LONG, 1, stop=Decimal(9), targets=(Goal(Decimal(20), Decimal(1)),))


def test_only_what_changed_is_wished() -> None:
    before = KeyRecord(KEY, trade=TRADE)
    wish = wish_between(
        before, replace(before, trade=replace(TRADE, stop=Decimal(10), stop_moved_by="person", targets=()))
    )
    assert wish is not None
    assert wish.changed == ("stop", "stop_moved_by", "stop_moved_ms", "stop_why", "loosened", "targets")
    trailed = replace(before, trade=replace(TRADE, stop=Decimal("9.5"), widen=4, stop_moved_by="policy"))
    merged = merge(trailed, [wish], 8)
    assert merged.version == 8
    moved = replace(TRADE, stop=Decimal(10), stop_moved_by="person", targets=())
    assert merged.trade == replace(moved, widen=4)


def test_nothing_changed_is_no_wish() -> None:
    assert wish_between(KeyRecord(KEY), KeyRecord(KEY)) is None


@pytest.mark.parametrize(
    "after",
    [
        KeyRecord(KEY),
        KeyRecord(KEY, trade=replace(TRADE, id="t2")),
        KeyRecord(KEY, trade=replace(TRADE, held=Decimal(9))),
        KeyRecord(KEY, trade=TRADE, quiet_ms=1),
    ],
)
def test_what_a_drive_owns_is_not_to_be_wished(after: KeyRecord) -> None:
    with pytest.raises(ValueError, match="wish"):
        wish_between(KeyRecord(KEY, trade=TRADE), after)


def test_an_admitted_trade_waits_for_the_key_to_be_free() -> None:
    other = replace(TRADE, id="t2")
    assert merge(KeyRecord(KEY), [Admitted(other)], 1).trade == other
    assert merge(KeyRecord(KEY, trade=TRADE), [Admitted(other)], 1).trade == TRADE


def test_amounts_are_rounded_against_the_asker() -> None:
    assert micro_up(Decimal("0.0000001")) == 1
    assert micro_up(Decimal("2.5")) == 2_500_000
    assert micro_down(Decimal("0.0000019")) == 1
    assert micro_down(None) == -1
