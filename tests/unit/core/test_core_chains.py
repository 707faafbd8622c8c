"""Chains of fills at their corners: what was found had changed, what a flip costs each side, from when a trade was."""

from dataclasses import replace

import pytest

from stopkeeper.core.evidence import exit_of, follow
from stopkeeper.core.model import Fill, FillPage, Known
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Trade
from tests.unit.core.scene import ENTERED_MS, ENTRY_FILL, INST, NOW, RULES, D, fill, found_trade, held_trade


def page(*fills: Fill) -> Known[FillPage]:
    return Known(FillPage(0, fills), NOW)


def by_hand(signed: str, start: str | None, name: str = "h", at: int = 10, **more: object) -> Fill:
    return fill(name, signed, "95", ENTERED_MS + at, start, "x", **more)


@pytest.mark.parametrize(
    ("what", "trade", "first", "opening", "whole"),
    [
        ("found as it was", found_trade(), by_hand("-0.1", "1"), "1", True),
        ("found, and smaller when the next fill came", found_trade(), by_hand("-0.1", "0.7"), "0.7", True),
        ("small amounts", found_trade(opening_size=D("0.2")), by_hand("-0.1", "0.3"), "0.3", True),
        ("found, and nothing was left of it", found_trade(), by_hand("1", "0"), "0", True),
        ("found, and of the other side when the next came", found_trade(), by_hand("-1", "-0.5"), "1", False),
        ("found, and nothing tells what it began from", found_trade(), by_hand("-0.1", None), "1", True),
    ],
)
def test_what_was_found_may_have_changed_since(what: str, trade: Trade, first: Fill, opening: str, whole: bool) -> None:
    chain = follow(trade, page(first), INST)
    assert (chain.opening, chain.whole, chain.started) == (D(opening), whole, True), what


def test_only_what_was_found_may_begin_from_something() -> None:
    assert not follow(held_trade(), page(replace(ENTRY_FILL, start=D("0.5"))), INST).whole


def test_what_was_found_stays_known_where_fills_are_not() -> None:
    chain = follow(found_trade(), Unknown("down"), INST)
    assert (chain.opening, chain.net, chain.started, chain.whole) == (D(1), D(1), True, False)


def test_each_side_of_a_flip_pays_its_part_of_the_fee() -> None:
    two = replace(ENTRY_FILL, size=D(2))
    chain = follow(held_trade(), page(two, by_hand("-3", "2", fee=D("0.3"))), INST)
    assert (chain.closed, chain.started, chain.remainder) == (True, True, D(-1))
    assert (chain.used[-1].size, chain.used[-1].fee, chain.remainder_fee) == (D(2), D("0.2"), D("0.1"))


def test_from_when_to_when_a_trade_was() -> None:
    closed = follow(held_trade(), page(ENTRY_FILL, by_hand("-1", "1")), INST)
    done = exit_of(held_trade(entered_ms=ENTERED_MS + 400), closed, RULES, INST)  # noted when its ack came
    assert (done.opened_ms, done.closed_ms) == (ENTERED_MS, ENTERED_MS + 10)
    never = replace(held_trade(), entered_ms=None, flat_since_ms=NOW)
    open_ended = exit_of(never, follow(never, page(), INST), RULES, INST)
    assert (open_ended.opened_ms, open_ended.closed_ms) == (never.created_ms, NOW)
    found = found_trade(entered_ms=ENTERED_MS + 400)
    handed = exit_of(found, follow(found, page(by_hand("-1", "1")), INST), RULES, INST)
    assert handed.opened_ms == ENTERED_MS + 400, "who opened it paid until then"
