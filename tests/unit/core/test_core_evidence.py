"""What fills prove: whose they are, whether they add up to a close, why it closed, and what it earned."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopkeeper.core.evidence import Chain, classify, exit_of, follow, in_order
from stopkeeper.core.ids import FOUND, close_number
from stopkeeper.core.model import Fill, FillPage, Known, Role, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Goal, Trade
from stopkeeper.core.sizing import worst_of_stop
from tests.unit.core.scene import (
    ENTERED_MS,
    ENTRY_FILL,
    INST,
    MARKET,
    NOW,
    RULES,
    TRADE,
    D,
    cid,
    fill,
    found_trade,
    held_trade,
)

T = ENTERED_MS
quick = settings(max_examples=60, deadline=None)


def chain_of(*fills: Fill, trade: Trade | None = None, since_ms: int = 0) -> Chain:
    return follow(trade or held_trade(), Known(FillPage(since_ms, fills), NOW), INST)


def goals(*prices: str) -> tuple[Goal, ...]:
    return tuple(Goal(D(price), D(1) / len(prices)) for price in prices)


def close(name: str, size: str, price: str, at: int, start: str | None = None, order: str = "s1") -> Fill:
    return fill(name, f"-{size}", price, at, start, order)


HAND = fill("h0", "0.5", "99", T - 900, "0")
JOINS = replace(ENTRY_FILL, start=D("0.5"))
IN_PARTS = tuple(
    replace(ENTRY_FILL, id=f"f{n}", size=D(size), start=D(start))
    for n, (size, start) in enumerate((("0.3", "-0.4"), ("0.3", "-0.1"), ("0.4", "0.2")), 1)
)


@pytest.mark.parametrize(
    ("what", "fills", "used", "net"),
    [
        ("a hand was there before", (HAND, JOINS), ["h0", ENTRY_FILL.id], "1.5"),
        ("what the hand did earlier is its own", (fill("a", "1", "99", T - 990, "0"),
         fill("b", "-1", "98", T - 950, "1"), HAND, JOINS), ["h0", ENTRY_FILL.id], "1.5"),
        ("a hand turned its position round, and the entry joins the rest",
         (fill("h", "0.7", "99", T - 900, "-0.2"), JOINS), ["h", ENTRY_FILL.id], "1.5"),
        ("the entry reduces what a hand holds", (fill("h", "-3", "99", T - 900, "0"), replace(ENTRY_FILL, start=D(-3))),
         ["h", ENTRY_FILL.id], "-2"),
        ("the entry turns round what a hand holds", (fill("h", "-0.4", "99", T - 900, "0"),
         replace(ENTRY_FILL, start=D("-0.4"))), [ENTRY_FILL.id], "0.6"),
        ("the entry turns it round in several fills", (fill("h", "-0.4", "99", T - 900, "0"), *IN_PARTS),
         ["f2", "f3"], "0.6"),
        ("the entry closes it and then opens", (fill("h", "-0.3", "99", T - 900, "0"),
         replace(IN_PARTS[0], start=D("-0.3")), replace(IN_PARTS[1], start=D(0))), ["f2"], "0.3"),
        ("a hand closes what both hold, and the entry opens once more", (HAND, replace(JOINS, size=D("0.3")),
         close("c", "0.8", "95", T + 1, "0.8"), replace(JOINS, id="f2", size=D("0.7"), start=D(0), time_ms=T + 2)),
         ["h0", ENTRY_FILL.id, "c"], "0"),
        ("the entry reduces it in several fills", (fill("h", "-3", "99", T - 900, "0"),
         *(replace(f, start=D(f.start or 0) - D("2.6")) for f in IN_PARTS)), ["h", "f1", "f2", "f3"], "-2"),
    ],
)  # fmt: skip
def test_an_entry_that_joins_a_position_takes_it_in(
    what: str, fills: tuple[Fill, ...], used: list[str], net: str
) -> None:
    chain = chain_of(*fills)
    assert ([f.id for f in chain.used], chain.net, chain.whole) == (used, D(net), True), what


def test_of_a_fill_that_turned_a_position_round_only_the_rest_is_counted() -> None:
    whole = replace(ENTRY_FILL, start=D("-0.4"), fee=D(1))
    chain = chain_of(fill("h", "-0.4", "99", T - 900, "0"), whole, close("c", "0.6", "110", T + 9, "0.6"))
    out = exit_of(held_trade(), chain, RULES, INST)
    assert (out.size, out.gross_pnl, out.fees) == (D("0.6"), D(6), D("0.65"))
    going = exit_of(
        held_trade(), chain_of(fill("h", "-0.4", "99", T - 900, "0"), replace(whole, closed_pnl=D(7))), RULES, INST
    )
    assert going.gross_pnl == 0, "what the turn earned is whose it was before"


LATE = found_trade(created_ms=T - 3_000)  # read at T, by a view that may be that late


@pytest.mark.parametrize(
    ("what", "fills", "used", "net", "closed"),
    [
        ("nothing since", (), [], "1", False),
        ("closed while the read was on its way", (close("c", "1", "95", T - 300, "1"),), ["c"], "0", True),
        ("opened and closed within it", (fill("o", "1", "99", T - 900, "0"), close("c", "1", "95", T - 300, "1")),
         ["o", "c"], "0", True),
        ("what was held before of the other side is nobody's", (fill("a", "0.5", "99", T - 990, "-0.5"),
         fill("o", "1", "99", T - 900, "0")), ["o"], "1", False),
        ("turned round", (fill("o", "1.5", "99", T - 900, "-0.5"), close("c", "0.4", "95", T + 9, "1")), ["o", "c"],
         "0.6", False),
        ("turned round, and then closed in parts", (fill("a", "0.5", "99", T - 990, "-1"),
         fill("o", "1.5", "99", T - 900, "-0.5"), close("c", "0.4", "95", T + 9, "1"),
         close("d", "0.3", "95", T + 10, "0.6")), ["o", "c", "d"], "0.3", False),
        ("what opened it is not shown yet", (fill("a", "0.5", "99", T - 990, "-1"),), [], "1", False),
        ("and was not at the ms of the read", (fill("a", "0.5", "99", T, "-1"),), [], "1", False),
        ("closed in part while the read was on its way", (close("c", "0.2", "95", T - 300, "0.5"),), ["c"], "0.3",
         False),
        ("a venue that names no start", (close("c", "0.2", "95", T - 300),), ["c"], "0.8", False),
    ],
)  # fmt: skip
def test_what_is_found_begins_before_it_was_read(
    what: str, fills: tuple[Fill, ...], used: list[str], net: str, closed: bool
) -> None:
    chain = chain_of(*fills, trade=LATE)
    assert ([f.id for f in chain.used], chain.net if not closed else D(0), chain.closed, chain.whole) == (
        used, D(net), closed, True
    ), what  # fmt: skip


def test_an_entry_beside_which_a_fill_is_missing_is_not_whole() -> None:
    assert not chain_of(JOINS).whole
    then = (close("c", "1.5", "95", T + 9, "1.5"), fill("h", "1", "96", T + 20, "0"))
    chain = chain_of(JOINS, *then)
    assert ([f.id for f in chain.used], chain.whole) == ([ENTRY_FILL.id, "c"], False), (
        "what was opened later is not its"
    )


@pytest.mark.parametrize(
    ("what", "fills", "net", "order"),
    [
        ("in a ring that begins nowhere", ("2 1 -1", "1 0 1"), "5", "12"),
        ("begun where the one before ended", ("1 0.5 -0.5", "2 0 1", "3 1 -0.5"), "0", "231"),
        ("what they began from is not known", ("1 0.5 -0.5", "2 0.8 -0.3"), "1", "21"),
        ("closed and opened again and again", ("1 1 -1", "2 0 1", "3 1 -1", "4 0 1"), "0", "2143"),
        (
            "that, and what they began from is not known",
            ("1 2 -1", "2 1 1", "3 2 -1", "4 1 1", "9 0.5 0.5"),
            "3",
            "92143",
        ),
    ],
)
def test_fills_of_one_ms_follow_each_other(what: str, fills: tuple[str, ...], net: str, order: str) -> None:
    made = [fill(name, signed, "95", T, start) for name, start, signed in (each.split() for each in fills)]
    found = in_order(made, D(net))
    assert "".join(f.id for f in found) == order, what


def test_what_is_of_another_symbol_or_from_before_the_signal_is_another_trades() -> None:
    admitted = held_trade().created_ms
    before = fill("h", "0.5", "99", admitted - 1, "0")
    assert [f.id for f in chain_of(before, replace(ENTRY_FILL, symbol="ETH", id="e"), JOINS).used] == [ENTRY_FILL.id]
    within = replace(before, time_ms=admitted)
    assert [f.id for f in chain_of(within, JOINS).used] == ["h", ENTRY_FILL.id], "of the very ms it is its own"


def test_a_page_that_begins_with_the_trade_tells_all_of_it() -> None:
    assert chain_of(ENTRY_FILL, since_ms=held_trade().created_ms).whole
    assert not chain_of(ENTRY_FILL, since_ms=held_trade().created_ms + 1).whole


def test_a_position_of_unknown_size_begins_as_its_first_fill_says() -> None:
    """The successor of a flip that was seen late: nothing told how large it was, or what it cost."""
    trade = found_trade(opening_size=D(0), opening_price=None)
    chain = chain_of(close("c", "0.5", "95", T + 9, "0.5", "x"), trade=trade)
    assert (chain.opening, chain.closed, chain.whole) == (D("0.5"), True, True)
    assert exit_of(trade, chain, RULES, INST).entry_price is None


def test_of_a_larger_turn_the_fee_is_shared_by_size() -> None:
    whole = fill("f1", "2", "100", T, "-0.5", "e1", client_id=cid(Role.ENTRY, 0), fee=D(1))
    chain = chain_of(fill("h", "-0.5", "99", T - 900, "0"), whole)
    assert [(f.size, f.fee) for f in chain.used] == [(D("1.5"), D("0.75"))]


@pytest.mark.parametrize(
    ("what", "fills", "net", "closed", "whole", "remainder"),
    [
        ("nothing yet", (), "0", False, True, "0"),
        ("an entry", (ENTRY_FILL,), "1", False, True, "0"),
        ("a close in one", (ENTRY_FILL, close("c", "1", "95", T + 9, "1")), "0", True, True, "0"),
        (
            "a close in three, two of one ms out of order",
            (
                ENTRY_FILL,
                close("c1", "0.2", "95", T + 9, "1"),
                close("c0", "0.3", "94", T + 10, "0.3"),
                close("c9", "0.5", "94", T + 10, "0.8"),
            ),
            "0",
            True,
            True,
            "0",
        ),
        ("part closed", (ENTRY_FILL, close("c", "0.4", "95", T + 9, "1")), "0.6", False, True, "0"),
        (
            "a hand adds, the stop takes all",
            (ENTRY_FILL, fill("h", "1", "98", T + 5, "1"), close("c", "2", "95", T + 9, "2")),
            "0",
            True,
            True,
            "0",
        ),
        ("a gap: a fill is missing", (ENTRY_FILL, close("c", "0.5", "95", T + 9, "0.5")), "0", True, False, "0"),
        ("a flip", (ENTRY_FILL, close("c", "3", "95", T + 9, "1")), "0", True, True, "-2"),
        (
            "venue that names no start",
            (replace(ENTRY_FILL, start=None), close("c", "1", "95", T + 9)),
            "0",
            True,
            True,
            "0",
        ),
        (
            "older fills of the symbol are another's",
            (fill("o", "5", "90", T - 4_000, "0", "o9"), ENTRY_FILL, close("c", "1", "95", T + 9, "1")),
            "0",
            True,
            True,
            "0",
        ),
        ("other fills, no entry of ours", (fill("h", "1", "98", T + 5, "0"),), "0", False, True, "0"),
    ],
)
def test_chains(what: str, fills: tuple[Fill, ...], net: str, closed: bool, whole: bool, remainder: str) -> None:
    chain = chain_of(*fills)
    assert (chain.net, chain.closed, chain.whole, chain.remainder) == (D(net), closed, whole, D(remainder)), what


@pytest.mark.parametrize("fills", [Unknown("down"), Known(FillPage(T, ()), NOW)])
def test_unknown_fills_or_a_page_that_begins_late_prove_nothing(fills: Known[FillPage] | Unknown) -> None:
    assert follow(held_trade(), fills, INST) == Chain(whole=False)
    assert follow(None, fills, INST) == Chain()
    late = follow(found_trade(created_ms=T - 1), fills, INST)
    assert (late.whole, late.started, late.net) == (False, True, D(1))


def test_a_crossing_fill_is_shared_between_the_trade_and_what_follows() -> None:
    after = fill("a", "-1", "90", T + 20, "-2")
    chain = chain_of(ENTRY_FILL, close("c", "3", "95", T + 9, "1"), after)
    assert chain.used[-1].size == 1
    assert chain.used[-1].fee == D("0.05") / 3
    assert (chain.after, chain.left, chain.last_ms) == ((after,), D(-3), T + 20)
    assert chain.carried() == (D(-2), D(95), D("0.05") - D("0.05") / 3)


def test_what_a_flip_leaves_counts_every_fill_of_its_moment() -> None:
    same = fill("d", "-2", "94", T + 9, "-2")
    chain = chain_of(ENTRY_FILL, close("c", "3", "95", T + 9, "1"), same)
    assert chain.carried() == (D(-4), D("94.5"), D("0.05") - D("0.05") / 3 + D("0.05"))
    assert chain.left == -4


def test_left_without_start_is_summed() -> None:
    chain = chain_of(ENTRY_FILL, close("c", "1", "95", T + 9, "1"), fill("d", "2", "94", T + 12))
    assert (chain.left, chain_of(ENTRY_FILL).left, Chain().left, Chain().last_ms) == (D(2), D(1), D(0), 0)


EMERGENCY = close_number(5, "emergency_exit")
CLOSERS = {
    "our stop by order id": (close("c", "1", "93", T + 9), "stop_loss"),
    "our stop by client id": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.STOP, 7)),
        "stop_loss",
    ),
    "our target": (replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.TARGET, 7)), "take_profit"),
    "our close, its reason noted by number": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.FLATTEN, 5)),
        "time_limit",
    ),
    "our close, nothing noted": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.FLATTEN, 6)),
        "manual_close",
    ),
    "liquidation before any id": (replace(close("c", "1", "93", T + 9), liquidation=True), "liquidation"),
    "ADL before any id": (replace(close("c", "1", "93", T + 9), adl=True), "adl"),
    "a stranger's order, even at the stop's price": (close("c", "1", "95", T + 9, order="z"), "external"),
    "another installation's": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.STOP, 7, TRADE, "fffff")),
        "external",
    ),
    "another trade's": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.STOP, 7, "f" * 12)),
        "external",
    ),
    "a close of ours under another trade's name, which tells why": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.FLATTEN, EMERGENCY, "f" * 12)),
        "emergency_exit",
    ),
    "a close of ours under another trade's name, which tells nothing": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.FLATTEN, 5, "f" * 12)),
        "external",
    ),
    "a stop of ours under a found trade's name": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.STOP, 7, FOUND + "f" * 9)),
        "stop_loss",
    ),
    "a target of ours under a found trade's name": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.TARGET, EMERGENCY, FOUND + "f" * 9)),
        "external",
    ),
    "a stop of another installation under such a name": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.STOP, 7, FOUND + "f" * 9, "fffff")),
        "external",
    ),
    "such a close of another installation": (
        replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.FLATTEN, EMERGENCY, "f" * 12, "fffff")),
        "external",
    ),
    "an entry order that closes is no exit of ours": (close("c", "1", "93", T + 9, order="e1"), "external"),
    "a target by price where no target's id was learned": (close("c", "1", "109.2", T + 9, order="z"), "take_profit"),
    "beyond what a target may fill at": (close("c", "1", "98.9", T + 9, order="z"), "external"),
}


@pytest.mark.parametrize("what", CLOSERS)
def test_why_it_closed(what: str) -> None:
    closer, reason = CLOSERS[what]
    trade = held_trade(targets=goals("110"))
    trade = replace(trade, order_roles=(*trade.order_roles, ("n5", "time_limit")))
    assert classify(closer, trade, RULES, INST) == reason


SHORT, POLICY = {"side": Side.SHORT, "stop": D(105)}, {"stop_moved_by": "policy"}
BOTH = {"targets": goals("110", "120")}
TIGHT = {"exit_tolerance": D("0.001"), "stop_worst": D("0.001")}


@pytest.mark.parametrize(
    ("what", "price", "trade", "rules", "reason"),
    [
        ("at the trigger", "95", {}, {}, "stop_loss"),
        ("a bit better", "95.95", {}, {}, "stop_loss"),
        ("better than any stop slips", "95.96", {}, {}, "external"),
        ("slipped by 4 %", "91.2", {}, {}, "stop_loss"),
        ("at the worst price", "85.5", {}, {}, "stop_loss"),
        ("at the worst price as the grid may round it", "85.481", {}, {}, "stop_loss"),
        ("beyond the worst price", "85.4", {}, {}, "external"),
        ("a short's stop slips up", "109.2", SHORT, {}, "stop_loss"),
        ("a short's stop, better", "103.95", SHORT, {}, "stop_loss"),
        ("a short's stop, too good", "103.9", SHORT, {}, "external"),
        ("a short's stop, beyond the worst", "115.6", SHORT, {}, "external"),
        ("never narrower than half a percent: worse", "94.53", {}, TIGHT, "stop_loss"),
        ("never narrower than half a percent: better", "95.47", {}, TIGHT, "stop_loss"),
        ("narrow rules are kept beyond that", "94.5", {}, TIGHT, "external"),
        ("a policy moved it last", "94", POLICY, {}, "trailing_stop"),
        ("a person moved it last", "94", {"stop_moved_by": "person"}, {}, "stop_loss"),
        ("a moved stop's id is known", "94", {**POLICY, "order_roles": (("s1", "trailing_stop"),)}, {}, "external"),
        ("a target slips towards the entry", "101", BOTH, {}, "take_profit"),
        ("a target, better", "121.2", BOTH, {}, "take_profit"),
        ("better than any target", "121.3", BOTH, {}, "external"),
        ("both would take it: the stop is nearer", "106.5", {**BOTH, "stop": D(106)}, {}, "stop_loss"),
        (
            "both would take it: the target is nearer",
            "108",
            {**BOTH, "stop": D(107), "targets": goals("108.9")},
            {},
            "take_profit",
        ),
        ("both are as near: the stop", "108", {**BOTH, "stop": D(107), "targets": goals("109")}, {}, "stop_loss"),
        (
            "both are as near: the stop, also one that a policy moved",
            "108",
            {**BOTH, **POLICY, "stop": D(107), "targets": goals("109")},
            {},
            "trailing_stop",
        ),
        ("a short's target slips up", "98", {**SHORT, "targets": goals("90")}, {}, "take_profit"),
        ("a target's id is known", "110", {**BOTH, "order_roles": (("t1", "take_profit"),)}, {}, "external"),
        ("nothing was wanted", "95", {"stop": None}, {}, "external"),
    ],
)
def test_price_speaks_only_where_ids_are_lost(
    what: str, price: str, trade: dict[str, Any], rules: dict[str, Any], reason: str
) -> None:
    lost = held_trade(**{"order_roles": (("e1", "entry"),), **trade})
    out = fill("c", str(-lost.side.sign), price, T + 9, order="z")
    assert classify(out, lost, replace(RULES, **rules), INST) == reason, what


@quick
@given(st.sampled_from(list(Side)), st.decimals("0.01", 99_999, places=2), st.sampled_from(["0.01", "0.1", "0.3"]))
def test_a_stop_that_fills_at_its_worst_price_is_a_stop(side: Side, trigger: Decimal, worst: str) -> None:
    """However the venue's grid rounds the worst price that goes out with the order."""
    rules = replace(RULES, stop_worst=D(worst))
    market = replace(MARKET, decimals=6)
    out = fill("c", str(-side.sign), str(worst_of_stop(trigger, side, rules, market)), T + 9, order="z")
    assert classify(out, held_trade(side=side, stop=trigger, order_roles=()), rules, INST) == "stop_loss"


@pytest.mark.parametrize(("moved_by", "reason"), [("entry", "stop_loss"), ("policy", "trailing_stop")])
def test_a_stop_known_by_its_client_id_alone_is_what_moved_it_last(moved_by: str, reason: str) -> None:
    """The answer to a move was lost and no look showed the order before it filled."""
    out = replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.STOP, 7))
    assert classify(out, held_trade(stop_moved_by=moved_by), RULES, INST) == reason


def test_a_second_attempts_number_is_not_a_closes() -> None:
    trade = held_trade(order_roles=(("n2", "manual_close"),))
    late = fill("f", "1", "100", T, "0", "e3", client_id=cid(Role.ENTRY, 2))
    assert chain_of(late, trade=trade).started


def test_the_largest_share_names_the_exit_and_all_shares_are_kept() -> None:
    chain = chain_of(ENTRY_FILL, close("a", "0.4", "95", T + 9, "1"), close("b", "0.6", "96", T + 11, "0.6", "z"))
    done = exit_of(held_trade(), chain, RULES, INST)
    assert done.reason == "external"
    assert done.shares == (("stop_loss", D("0.4")), ("external", D("0.6")))
    assert done.evidence == "fill a of our order s1: 0.4 at 95; fill b of order z: 0.6 at 96"
    assert (done.entry_price, done.exit_price, done.size) == (D(100), D("95.6"), D(1))
    assert done.realized_pnl == done.gross_pnl - D("0.15") == D("-4.4") - D("0.15")
    assert done.complete


def test_evidence_names_liquidation_and_is_cut_short() -> None:
    fills = [replace(close(f"c{i}", "0.1", "95", T + 9 + i), liquidation=i == 0, adl=i == 1) for i in range(10)]
    done = exit_of(held_trade(), chain_of(ENTRY_FILL, *fills), RULES, INST)
    assert "by liquidation" in done.evidence
    assert "by ADL" in done.evidence
    assert done.evidence.endswith("2 more fills")


@pytest.mark.parametrize(("fills", "named", "rest"), [(8, 8, 0), (9, 8, 1), (10, 8, 2)])
def test_evidence_names_eight_fills_and_counts_the_rest(fills: int, named: int, rest: int) -> None:
    outs = [close(f"c{i}", "0.1", "95", T + 9 + i) for i in range(fills)]
    *told, last = exit_of(held_trade(), chain_of(ENTRY_FILL, *outs), RULES, INST).evidence.split("; ")
    assert len(told) + (rest == 0) == named
    assert (f"{rest} more" in last) is (rest > 0)


def test_evidence_knows_an_order_of_ours_by_its_client_id() -> None:
    told = []
    for client in (cid(Role.STOP, 7), None):
        out = replace(close("c", "1", "93", T + 9, order="z"), client_id=client)
        told.append("our order" in exit_of(held_trade(), chain_of(ENTRY_FILL, out), RULES, INST).evidence)
    assert told == [True, False]


def test_an_exit_without_fills_is_unknown() -> None:
    done = exit_of(held_trade(flat_since_ms=NOW), chain_of(), RULES, INST)
    assert (done.reason, done.complete, done.size, done.realized_pnl) == ("unknown", False, D(0), D(0))
    assert (done.evidence, done.closed_ms) == ("no closing fill was seen", NOW)


def test_with_a_fill_missing_the_venues_own_sum_is_booked_as_incomplete() -> None:
    gap = replace(close("c", "0.5", "95", T + 9, "0.5"), closed_pnl=D("-2.5"))
    done = exit_of(held_trade(), chain_of(ENTRY_FILL, gap), RULES, INST)
    assert (done.complete, done.gross_pnl) == (False, D("-2.5"))


@pytest.mark.parametrize(("side", "pnl"), [(Side.LONG, "10"), (Side.SHORT, "-10")])
def test_a_found_position_counts_from_its_entry_price(side: Side, pnl: str) -> None:
    trade = found_trade(side=side)
    out = fill("c", str(-side.sign), "110", T + 9, str(side.sign))
    done = exit_of(trade, chain_of(out, trade=trade), RULES, INST)
    assert (done.complete, done.gross_pnl, done.entry_price) == (True, D(pnl), D(100))


def test_a_found_position_that_had_grown_before_it_was_recorded_is_booked_by_the_venues_sum() -> None:
    trade = found_trade()
    out = fill("c", "-2", "110", T + 9, "2", closed_pnl=D(20))
    done = exit_of(trade, chain_of(out, trade=trade), RULES, INST)
    assert (done.complete, done.gross_pnl, done.size) == (True, D(20), D(2))


def test_a_found_trade_opened_by_fills_counts_each_once() -> None:
    """A successor whose fills tell how it was opened does not also count what the venue shows."""
    trade = found_trade(opening_size=D(0), opening_price=None)
    chain = chain_of(fill("a", "1", "90", T + 5, "0"), fill("b", "-1", "91", T + 9, "1"), trade=trade)
    assert chain.whole
    assert exit_of(trade, chain, RULES, INST).gross_pnl == 1


@pytest.mark.parametrize(
    ("what", "trade"),
    [
        ("it had grown", found_trade(opening_size=D("0.5"))),
        ("nothing tells what it cost", found_trade(opening_price=None)),
    ],
)
def test_where_a_price_is_not_known_the_venues_sum_is_booked(what: str, trade: Trade) -> None:
    out = close("c", "1", "110", T + 9, "1")
    done = exit_of(trade, chain_of(replace(out, closed_pnl=D(7)), trade=trade), RULES, INST)
    assert (done.complete, done.gross_pnl) == (True, D(7)), what


@quick
@given(st.data(), st.sampled_from(list(Side)))
def test_pnl_is_the_cash_flow(data: st.DataObject, side: Side) -> None:
    """However a trade is entered, added to and closed, in whatever order its fills arrive."""
    cents = st.integers(9_000, 11_000).map(lambda c: Decimal(c) / 100)
    sizes = data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=6))
    total, net, fills, cash = sum(sizes), 0, [], Decimal(0)
    moves = [(s, True) for s in sizes]
    left = total
    while left:
        part = data.draw(st.integers(1, left))
        moves.append((part, False))
        left -= part
    for i, (size, opens) in enumerate(moves):
        signed = size * side.sign * (1 if opens else -1)
        price = data.draw(cents)
        order = {"order": "e1", "client_id": cid(Role.ENTRY, 0)} if opens else {"order": "s1"}
        fills.append(fill(f"f{i}", str(signed), str(price), T + i // 2, str(net), **order))
        net, cash = net + signed, cash - signed * price
    shuffled = data.draw(st.permutations(fills))
    chain = chain_of(*shuffled, trade=held_trade(side=side))
    assert (chain.closed, chain.whole, chain.net) == (True, True, 0)
    done = exit_of(held_trade(side=side), chain, RULES, INST)
    assert done.gross_pnl == cash
    assert done.realized_pnl == cash - D("0.05") * len(fills)


def test_an_order_of_another_installation_is_not_called_ours() -> None:
    out = replace(close("c", "1", "93", T + 9, order="z"), client_id=cid(Role.STOP, 7, TRADE, "fffff"))
    done = exit_of(held_trade(), chain_of(ENTRY_FILL, out), RULES, INST)
    assert done.reason == "external"
    assert "our order" not in done.evidence
