"""The table of recorded replies and what each counts for: read by the real parser, classified by core.

Where each reply comes from is told in tests/fixtures/hyperliquid/README.md.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exchange import hyperliquid_fills as filled
from exchange import hyperliquid_parse as parse
from stopkeeper.core.actions import Exit
from stopkeeper.core.evidence import classify, exit_of, follow
from stopkeeper.core.model import Fill, FillPage, Key, Known, OrderState, Side
from stopkeeper.core.record import Origin, Trade
from stopkeeper.core.rules import Rules
from tests.contract.exchange.record_exits import INSTALLATION, SCENES, TRADE, record
from tests.unit.exchange.conftest import recorded

STRANGER = "0x" + "11" * 20
NEAR = "0x5c902b2eb0e1d9eb9a232014824ae6247df0a480"
HYPE = "0x193bd350ec838b1e22d6f302da5343b920aa1c2b"
RULES = Rules()


def read(name: str, address: str) -> list[Fill]:
    return filled.fills(recorded(name), address)


def holder(fill: Fill, **more: Any) -> Trade:
    """A trade found a ms before a fill, that held what the fill met."""
    assert fill.start
    base = Trade(
        id=TRADE,
        origin=Origin.FOUND,
        key=Key("main", fill.symbol),
        side=Side.LONG if fill.start > 0 else Side.SHORT,
        created_ms=fill.time_ms - 1,
        opening_size=abs(fill.start),
        opening_price=fill.price,
    )
    return replace(base, **more)


def ended(trade: Trade, fills: list[Fill]) -> Exit:
    page = Known(FillPage(0, tuple(fills)), fills[-1].time_ms if fills else 0)
    return exit_of(trade, follow(trade, page, INSTALLATION), RULES, INSTALLATION)


# --- rows of the venue itself -----------------------------------------------------------------------------------

VENUE = (
    # reply, whose it is, which row (oldest first), the row's dir, what it counts for, does it end the position
    ("fills_close_2024", STRANGER, 0, "Close Long", "external", True),
    ("fills_liquidated", NEAR, 0, "Close Long", "liquidation", True),
    ("fills_liquidated", STRANGER, 0, "Close Long", "external", True),
    ("user_fills", HYPE, 0, "Close Long", "liquidation", True),
)


@pytest.mark.parametrize(("reply", "address", "index", "dir_", "reason", "ends"), VENUE)
def test_the_venues_own_rows(reply: str, address: str, index: int, dir_: str, reason: str, *, ends: bool) -> None:
    fill = read(reply, address)[index]
    assert [row["dir"] for row in recorded(reply) if str(row["tid"]) == fill.id] == [dir_]
    trade = holder(fill)
    assert classify(fill, trade, RULES, INSTALLATION) == reason
    done = ended(trade, [fill])
    assert done.complete is ends
    if ends:
        assert (done.reason, done.size) == (reason, abs(fill.start or 0))


OURS = ("stop_loss", "trailing_stop", "take_profit", "manual_close", "time_limit", "emergency_exit")


@pytest.mark.parametrize("reason", OURS)
def test_a_recorded_close_by_an_order_of_ours_is_what_that_order_was_for(reason: str) -> None:
    (fill,) = read("fills_close_2024", STRANGER)
    done = ended(holder(fill, order_roles=((fill.order_id, reason),)), [fill])
    assert (done.reason, done.shares, done.complete) == (reason, ((reason, Decimal("0.0841")),), True)


@pytest.mark.parametrize("reason", OURS)
def test_a_liquidation_is_one_whatever_an_order_was_for(reason: str) -> None:
    (fill,) = read("fills_liquidated", NEAR)
    assert classify(fill, holder(fill, order_roles=((fill.order_id, reason),)), RULES, INSTALLATION) == "liquidation"


@pytest.mark.parametrize(
    ("stop", "moved_by", "reason"),
    [("2405", "entry", "stop_loss"), ("2405", "policy", "trailing_stop"), ("2357", "entry", "external")],
)
def test_a_recorded_close_at_a_stops_price_is_the_stops_where_no_id_was_learned(
    stop: str, moved_by: str, reason: str
) -> None:
    """2381.1 is 1 % below 2405, as far as a fast market slips, and more than 1 % better than 2357."""
    (fill,) = read("fills_close_2024", STRANGER)
    assert classify(fill, holder(fill, stop=Decimal(stop), stop_moved_by=moved_by), RULES, INSTALLATION) == reason


WORDS = {
    # words of the venue -> what a fill that bears them counts for (sources: the README beside the replies)
    "Open Long": "external",
    "Open Short": "external",
    "Close Long": "external",
    "Close Short": "external",
    "Long > Short": "external",
    "Short > Long": "external",
    "Liquidated Isolated Long": "liquidation",
    "Liquidated Isolated Short": "liquidation",
    "Liquidated Cross Long": "liquidation",
    "Liquidated Cross Short": "liquidation",
    "Auto-Deleveraging": "adl",
    "Settlement": "external",
    "Net Child Vaults": "external",
    "Split Outcome": "external",
    "Merge Outcome": "external",
    "Buy": "external",
    "Sell": "external",
    "Spot Dust Conversion": "external",
    "Backstop Borrow Liquidation": "external",
    "Words Nobody Has Seen Yet": "external",
    "": "external",
}


@pytest.mark.parametrize("words", WORDS)
def test_every_word_of_the_venue_has_a_class_and_none_stops_us(words: str) -> None:
    """A recorded close, under each of the words known from public code: the numbers are the venue's, the words vary."""
    fill = filled.fill(recorded("fills_close_2024")[0] | {"dir": words}, STRANGER)
    done = ended(holder(fill), [fill])
    assert (done.reason, done.complete) == (WORDS[words], True)
    ordinary = words in ("", "Open Long", "Open Short", "Close Long", "Close Short", "Long > Short", "Short > Long")
    assert (f'"{words}" in the venue\'s words' in done.evidence) is (WORDS[words] == "external" and not ordinary)


@pytest.mark.parametrize("dir_", [None, 7, ["Close Long"]])
def test_a_row_whose_words_are_none_is_external(dir_: object) -> None:
    fill = filled.fill(recorded("fills_close_2024")[0] | {"dir": dir_}, STRANGER)
    assert ended(holder(fill), [fill]).reason == "external"


def test_a_row_without_words_is_external() -> None:
    row = {name: value for name, value in recorded("fills_close_2024")[0].items() if name != "dir"}
    fill = filled.fill(row, STRANGER)
    assert ended(holder(fill), [fill]).reason == "external"


def test_spot_dust_and_outcomes_are_no_fills_of_ours() -> None:
    (row,) = recorded("fills_close_2024")
    others = [row | {"coin": coin, "dir": words} for coin, words in (("#118440", "Settlement"), ("@107", "Buy"))]
    assert [fill.symbol for fill in filled.fills([row, *others], STRANGER)] == [row["coin"]]


def test_a_makers_rebate_lowers_the_fees() -> None:
    """A recorded close, with its fee as a maker's at a high tier: below zero."""
    fill = filled.fill(recorded("fills_close_2024")[0] | {"fee": "-0.013017"}, STRANGER)
    done = ended(holder(fill), [fill])
    assert (done.fees, done.complete) == (Decimal("-0.013017"), True)
    assert done.realized_pnl == done.gross_pnl + Decimal("0.013017")


# --- what the paper venue says, for what no public record was found ------------------------------------------------

PAPER = (
    # scene, the closing rows' dirs (oldest first), what our record says of our orders by number, what it counts for
    ("stop_fires", ["Close Long"], {}, {"stop_loss": "0.01"}),
    ("moved_stop_fires", ["Close Long"], {"stop_moved_by": "policy"}, {"trailing_stop": "0.01"}),
    ("target_fires", ["Close Long"], {}, {"take_profit": "0.01"}),
    ("two_targets_then_the_stop", ["Close Long"] * 3, {}, {"take_profit": "0.006", "stop_loss": "0.004"}),
    ("we_close", ["Close Long"], {}, {"manual_close": "0.01"}),
    ("we_close", ["Close Long"], {"order_roles": (("n5", "manual_close"),)}, {"manual_close": "0.01"}),
    ("we_close", ["Close Long"], {"order_roles": (("n5", "time_limit"),)}, {"time_limit": "0.01"}),
    ("we_close", ["Close Long"], {"order_roles": (("n5", "emergency_exit"),)}, {"emergency_exit": "0.01"}),
    ("a_person_closes", ["Close Long"], {}, {"external": "0.01"}),
    ("a_person_flips_the_long", ["Long > Short"], {}, {"external": "0.01"}),
    ("a_person_flips_the_short", ["Short > Long"], {}, {"external": "0.01"}),
    ("isolated_long_is_liquidated", ["Liquidated Isolated Long"], {}, {"liquidation": "0.01"}),
    ("isolated_short_is_liquidated", ["Liquidated Isolated Short"], {}, {"liquidation": "0.01"}),
    ("cross_long_is_liquidated", ["Liquidated Cross Long"], {}, {"liquidation": "0.01"}),
    ("cross_short_is_liquidated", ["Liquidated Cross Short"], {}, {"liquidation": "0.01"}),
    (
        "target_takes_a_part_and_the_rest_is_liquidated",
        ["Close Long", "Liquidated Isolated Long"],
        {},
        {"take_profit": "0.004", "liquidation": "0.006"},
    ),
    ("deleveraged", ["Auto-Deleveraging"], {}, {"adl": "0.01"}),
)


def entered(scene: str, **more: Any) -> tuple[Trade, list[Fill], list[Any]]:
    """A trade that entered as the scene tells, its fills, and their rows oldest first."""
    told = recorded("paper_exits")[scene]
    fills = filled.fills(told["fills"], told["address"])
    side = fills[0].side if fills else Side.LONG
    trade = Trade(TRADE, Origin.SIGNAL, Key("main", "BTC"), side, fills[0].time_ms if fills else 1)
    rows = {str(row["tid"]): row for row in told["fills"]}
    return replace(trade, **more), fills, [rows[fill.id] for fill in fills]


@pytest.mark.parametrize(("scene", "dirs", "record_", "shares"), PAPER)
def test_exits_at_the_paper_venue(scene: str, dirs: list[str], record_: dict[str, Any], shares: dict[str, str]) -> None:
    trade, fills, rows = entered(scene, **record_)
    assert [row["dir"] for row in rows[1:]] == dirs
    done = ended(trade, fills)
    assert done.shares == tuple((why, Decimal(size)) for why, size in shares.items())
    assert done.reason == max(shares, key=lambda why: Decimal(shares[why]))
    assert (done.complete, done.size) == (True, Decimal("0.01"))


def test_an_exit_whose_fills_are_not_shown_is_unknown() -> None:
    trade, fills, _ = entered("closed_and_no_fill_is_shown")
    done = ended(trade, fills)
    assert (fills, done.reason, done.complete) == ([], "unknown", False)


@pytest.mark.parametrize("scene", ["isolated_long_is_liquidated", "cross_short_is_liquidated"])
def test_who_takes_a_position_over_from_a_liquidation_was_not_liquidated(scene: str) -> None:
    """The venue tells a backstop's taker of it in the same words, with the field that names who was liquidated."""
    told = recorded("paper_exits")[scene]
    mine = filled.fills(told["fills"], told["address"].upper().replace("0X", "0x"))
    theirs = filled.fills(told["fills"], STRANGER)
    assert ([f.liquidation for f in mine], [f.liquidation for f in theirs]) == ([False, True], [False, False])


def test_every_class_stands_in_the_table() -> None:
    classes = {reason for *_, reason, _ in VENUE} | {why for *_, shares in PAPER for why in shares} | {"unknown"}
    assert classes == {*OURS, "liquidation", "adl", "external", "unknown"}
    assert {scene for scene, *_ in PAPER} | {"closed_and_no_fill_is_shown"} == {scene.__name__ for scene in SCENES}


def test_the_paper_venue_still_says_what_was_recorded() -> None:
    """What varies between two recordings is left out: times, trade ids and hashes."""
    varies = ("time", "tid", "hash")

    def plain(reply: dict[str, Any]) -> Any:
        return {
            scene: [{name: row[name] for name in row if name not in varies} for row in told["fills"]]
            for scene, told in reply.items()
        }

    assert plain(record()) == plain(recorded("paper_exits"))


# --- what an order's look-up may answer --------------------------------------------------------------------------

STATES = {
    OrderState.LIVE: "open waitingForFill waitingForTrigger",
    OrderState.FIRED: "triggered",
    OrderState.FILLED: "filled",
    OrderState.CANCELED: """canceled marginCanceled vaultWithdrawalCanceled openInterestCapCanceled selfTradeCanceled
        reduceOnlyCanceled siblingFilledCanceled delistedCanceled liquidatedCanceled outcomeSettledCanceled
        scheduledCancel internalCancel""",
    OrderState.REJECTED: """rejected tickRejected minTradeNtlRejected perpMarginRejected reduceOnlyRejected
        badAloPxRejected iocCancelRejected badTriggerPxRejected marketOrderNoLiquidityRejected
        positionIncreaseAtOpenInterestCapRejected positionFlipAtOpenInterestCapRejected
        tooAggressiveAtOpenInterestCapRejected openInterestIncreaseRejected insufficientSpotBalanceRejected
        oracleRejected perpMaxPositionRejected tooManyOpenOrdersRejected""",
}


@pytest.mark.parametrize(("status", "state"), [(word, state) for state in STATES for word in STATES[state].split()])
def test_every_status_of_an_order_has_a_state(status: str, state: OrderState) -> None:
    """A recorded order under each status of the venue's docs; unknownOid is no status, the venue does not know it."""
    raw = recorded("order_status_open")
    raw["order"]["status"] = status
    found = parse.lookup(raw, "ETH", "ab" * 16)
    assert (found.state, found.order_id, found.order is not None) == (state, "3991946565", state is OrderState.LIVE)
    assert found.filled == 0


def test_an_id_the_venue_does_not_know_has_no_state() -> None:
    assert parse.lookup(recorded("unknown_oid"), "ETH", "ab" * 16).state is None


@pytest.mark.parametrize(("index", "state"), [(0, OrderState.REJECTED), (1, OrderState.CANCELED)])
def test_states_of_recorded_orders(index: int, state: OrderState) -> None:
    row = recorded("historical_orders")[index]
    assert parse.lookup({"status": "order", "order": row}, row["order"]["coin"], "ab" * 16).state is state
