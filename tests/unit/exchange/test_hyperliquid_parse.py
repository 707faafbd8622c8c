"""Recorded replies into the heart's words; anything of another form is Unreadable, never a guess."""

from decimal import Decimal as Dec
from typing import Any

import pytest

from exchange import hyperliquid_parse as parse
from exchange.fields import Unreadable, integer, number
from exchange.hyperliquid_markets import coin_of, context_mark, market_of, universe
from stopkeeper.core.model import MarginMode, OrderKind, OrderState, Position, Side
from tests.unit.exchange.conftest import recorded

LIQUIDATED = "0x193bd350ec838b1e22d6f302da5343b920aa1c2b"


def test_a_position() -> None:
    held, at_ms = parse.holdings(recorded("clearinghouse_state_position"))
    eth = held.positions["ETH"]
    assert at_ms == 1704261007014
    assert (eth.side, eth.size, eth.entry_price) == (Side.LONG, Dec("0.2259"), Dec("2213.9"))
    assert (eth.margin_mode, eth.leverage) == (MarginMode.ISOLATED, Dec(20))
    assert eth.liquidation_price == Dec("2125.00856238")
    assert eth.mark == Dec("2213.9")  # 500.12001 / 0.2259
    assert (held.funds.value, held.funds.free) == (Dec("100.0"), Dec("100.0"))


def test_nothing_held() -> None:
    held, _ = parse.holdings(recorded("clearinghouse_state"))
    assert held.positions == {}


def test_a_state_without_its_time_is_no_reading() -> None:
    with pytest.raises(Unreadable, match="time"):
        parse.holdings(recorded("clearinghouse_state_2023"))


def test_shorts_cross_and_no_liquidation_price() -> None:
    held, _ = parse.holdings(recorded("clearinghouse_state_2023") | {"time": 5})
    assert held.positions["BTC"].side is Side.SHORT
    assert held.positions["BTC"].margin_mode is MarginMode.CROSS
    assert held.positions["BTC"].mark == Dec("26961.2")  # 211.64542 / 0.00785, rounded by the venue
    assert held.positions["ETH"].liquidation_price is None


def _state(**change: Any) -> Any:
    """Return the recorded state with one position, of whose row some fields say something else."""
    state = recorded("clearinghouse_state_position")
    state["assetPositions"][0]["position"] |= change
    return state


def _eth(**change: Any) -> Position:
    return parse.holdings(_state(**change))[0].positions["ETH"]


@pytest.mark.parametrize("odd", [None, "x", "NaN", [], {}, "1e400"])
@pytest.mark.parametrize(
    ("name", "field", "expected"),
    [
        ("entryPx", "entry_price", Dec("2213.9")),  # the mark: its open P&L is 0
        ("positionValue", "mark", None),
        ("unrealizedPnl", "unrealized_pnl", Dec(0)),
        ("leverage", "leverage", Dec(0)),
        ("liquidationPx", "liquidation_price", None),
    ],
)
def test_no_other_field_than_coin_and_size_hides_a_position(
    name: str, odd: object, field: str, expected: object
) -> None:
    found = _eth(**{name: odd})
    assert (found.side, found.size) == (Side.LONG, Dec("0.2259"))
    value = getattr(found, field)
    assert value == expected or round(value, 1) == expected


def test_a_field_that_is_missing_is_as_one_that_cannot_be_read() -> None:
    state = _state()
    row = state["assetPositions"][0]["position"]
    state["assetPositions"][0]["position"] = {name: row[name] for name in ("coin", "szi", "entryPx")}
    found = parse.holdings(state)[0].positions["ETH"]
    assert (found.entry_price, found.mark, found.unrealized_pnl) == (Dec("2213.9"), None, Dec(0))


def test_an_entry_price_that_cannot_be_read_is_what_mark_and_open_profit_tell() -> None:
    whole = _eth(positionValue="451.8", unrealizedPnl="-45.18")
    assert whole.mark == Dec(2000)
    assert _eth(entryPx=None, positionValue="451.8", unrealizedPnl="-45.18").entry_price == Dec(2200)
    short = _eth(entryPx=None, positionValue="451.8", unrealizedPnl="-45.18", szi="-0.2259")
    assert (short.side, short.entry_price) == (Side.SHORT, Dec(1800))
    assert _eth(entryPx=None, positionValue="451.8", unrealizedPnl=None).entry_price == Dec(2000)
    assert _eth(entryPx="2200", positionValue="451.8", unrealizedPnl=None).unrealized_pnl == Dec("-45.18")


def test_a_position_without_any_price_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="price"):
        parse.holdings(_state(entryPx=None, positionValue=None))


@pytest.mark.parametrize("mode", [{"type": "portfolio", "value": 3}, {"value": 3}])
def test_a_margin_mode_nobody_documented_does_not_pass_for_isolated(mode: Any) -> None:
    found = _eth(leverage=mode)
    assert (found.margin_mode, found.leverage) == (MarginMode.CROSS, Dec(3))


@pytest.mark.parametrize("change", [{"szi": None}, {"szi": "x"}, {"coin": None}, {"coin": 7}])
def test_without_coin_and_size_nothing_is_known(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        parse.holdings(_state(**change))


def test_two_different_rows_of_one_coin_are_unreadable() -> None:
    state = _state()
    (entry,) = state["assetPositions"]
    state["assetPositions"].append(entry)
    assert parse.holdings(state)[0].positions["ETH"].size == Dec("0.2259")  # told twice is told
    for change in ({"szi": "0.1"}, {"szi": "-0.2259"}):
        state["assetPositions"][1] = entry | {"position": entry["position"] | change}
        with pytest.raises(Unreadable, match="ETH"):
            parse.holdings(state)


@pytest.mark.parametrize("odd", [None, "x", [], {}])
def test_money_that_cannot_be_read_hides_no_position_and_opens_none(odd: object) -> None:
    for change in ({"withdrawable": odd}, {"marginSummary": odd}, {"marginSummary": {"accountValue": odd}}):
        held, _ = parse.holdings(_state() | change)
        assert held.positions["ETH"].size == Dec("0.2259")
        assert Dec(0) in (held.funds.value, held.funds.free)
    assert parse.holdings(_state() | {"marginSummary": odd})[0].funds.free == Dec("100.0")


@pytest.mark.parametrize("raw", [None, {}, [], {"assetPositions": None}, {"assetPositions": [{}]}])
def test_other_forms_are_unreadable(raw: Any) -> None:
    with pytest.raises(Unreadable):
        parse.holdings(raw)


@pytest.mark.parametrize(
    "raw", [None, True, 1.5, "x", "", "NaN", "Infinity", [], {}, "1e400", "-1e5000", "1e-400", "0e3000000", 10**31]
)
def test_what_is_no_exact_number_is_unreadable(raw: object) -> None:
    with pytest.raises(Unreadable):
        number(raw)
    with pytest.raises(Unreadable):
        integer(raw)


def test_children_of_a_standing_parent_are_no_cover() -> None:
    # stop and target stand at the top level of the recorded reply as well as under their unfilled parent
    assert [(order.id, order.kind) for order in parse.orders(recorded("frontend_open_orders"))] == [
        ("3184595905", OrderKind.LIMIT)
    ]


def test_children_of_a_filled_parent_are_orders_like_any() -> None:
    raw = [row for row in recorded("frontend_open_orders") if not row["children"]]
    target, stop = parse.orders(raw + raw)  # listed twice: each once
    assert (stop.kind, stop.trigger, stop.price) == (OrderKind.STOP_MARKET, Dec("9.995"), Dec("9.1954"))
    assert (stop.side, stop.size, stop.reduce_only) == (Side.SHORT, Dec("12.5"), True)
    assert stop.mark_triggered
    assert not stop.fired
    assert not stop.whole
    assert (target.kind, target.placed_ms) == (OrderKind.TARGET_MARKET, 1700126022555)


def test_a_stop_limit_is_not_a_market_stop() -> None:
    (order,) = parse.orders(recorded("open_order_stop_limit"))
    assert (order.kind, order.side, order.reduce_only) == (OrderKind.STOP_LIMIT, Side.LONG, False)


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ({"triggerCondition": "Triggered"}, "fired", True),
        ({"orderType": "Something New"}, "kind", OrderKind.STOP_LIMIT),
        ({"isPositionTpsl": True, "sz": "0.0"}, "whole", True),
        ({"isPositionTpsl": True, "sz": "0.0"}, "size", Dec(0)),
        ({"reduceOnly": None}, "reduce_only", False),
        ({"triggerPx": "0.0"}, "trigger", None),
        ({"cloid": "0x57B" + "0" * 29}, "client_id", "57b" + "0" * 29),
    ],
)
def test_an_odd_order_is_never_better_than_it_is(change: dict[str, Any], name: str, expected: object) -> None:
    row = recorded("open_order_stop_limit")[0] | change
    assert getattr(parse.orders([row])[0], name) == expected


@pytest.mark.parametrize("worst", ["0.0", "0", "-1", "NaN", "", None, [], "1e400"])
@pytest.mark.parametrize(("side", "trigger"), [("A", "9.995"), ("B", "10.5")])
def test_a_stop_without_a_readable_worst_price_is_no_market_stop(side: str, trigger: str, worst: object) -> None:
    (stop,) = [
        row for row in recorded("frontend_open_orders") if row["orderType"] == "Stop Market" and not row["children"]
    ]
    assert parse.orders([stop])[0].kind is OrderKind.STOP_MARKET
    changed = stop | {"side": side, "triggerPx": trigger, "limitPx": worst}
    assert parse.orders([changed])[0].kind is OrderKind.STOP_LIMIT


def test_spot_orders_are_left_out() -> None:
    row = recorded("open_order_stop_limit")[0]
    assert parse.orders([row | {"coin": "@107"}, row | {"coin": "PURR/USDC"}]) == ()


def test_look_ups() -> None:
    found = parse.lookup(recorded("order_status_open"), "ETH", "ab" * 16)
    assert (found.state, found.order_id, found.filled) == (OrderState.LIVE, "3991946565", Dec("0.0"))
    assert parse.lookup(recorded("unknown_oid"), "ETH", "ab" * 16).state is None
    with pytest.raises(Unreadable, match="asked for"):
        parse.lookup(recorded("order_status_open"), "BTC", "ab" * 16)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("open", OrderState.LIVE),
        ("triggered", OrderState.FIRED),
        ("filled", OrderState.FILLED),
        ("canceled", OrderState.CANCELED),
        ("scheduledCancel", OrderState.CANCELED),
        ("reduceOnlyCanceled", OrderState.CANCELED),
        ("siblingFilledCanceled", OrderState.CANCELED),
        ("rejected", OrderState.REJECTED),
        ("iocCancelRejected", OrderState.REJECTED),
        ("marketOrderNoLiquidityRejected", OrderState.REJECTED),
    ],
)
def test_states(status: str, state: OrderState) -> None:
    raw = recorded("order_status_open")
    raw["order"]["status"] = status
    assert parse.lookup(raw, "ETH", "ab" * 16).state is state


def test_a_state_nobody_documented_is_unreadable() -> None:
    raw = recorded("order_status_open")
    raw["order"]["status"] = "resurrected"
    with pytest.raises(Unreadable, match="resurrected"):
        parse.lookup(raw, "ETH", "ab" * 16)


def test_recorded_history_has_known_states() -> None:
    states = {
        parse.lookup({"status": "order", "order": row}, row["order"]["coin"], "ab" * 16).state
        for row in recorded("historical_orders")
    }
    assert states == {OrderState.REJECTED, OrderState.CANCELED}


def test_an_id_out_of_all_proportion_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        parse.orders([recorded("open_order_stop_limit")[0] | {"oid": "1e5000"}])


def test_agents_and_actions_left() -> None:
    raw = recorded("extra_agents")
    assert parse.agent_until(raw, "0x286edfa08c04f6899dab3bfdecf2dd133f9733b9") == 1767776120478
    with pytest.raises(Unreadable, match="no agent"):
        parse.agent_until(raw, LIQUIDATED)
    assert parse.actions_left(recorded("user_rate_limit")) == 170043731737 - 36589831368


def test_markets() -> None:
    rows = universe(recorded("meta"))
    btc = market_of(rows[0])
    assert (btc.symbol, btc.size_step, btc.max_leverage) == ("BTC", Dec("0.00001"), 50)
    assert (btc.decimals, btc.significant, btc.tick) == (1, 5, None)
    assert (btc.maintenance_rate, btc.min_notional, btc.taker_fee) == (Dec("0.01"), Dec(10), Dec("0.00045"))


def test_what_people_call_a_coin() -> None:
    coins = ["BTC", "kPEPE", "PEPE2"]
    asked = ("BTC", "btc", "BTC/USDC:USDC", "BTC/USD", "kPEPE", "KPEPE/USDC:USDC", "kPEPE/KPEPE", "PEPE", "", "DOGE")
    assert [coin_of(text, coins) for text in asked] == [*["BTC"] * 4, *["kPEPE"] * 3, None, None, None]


def test_the_mark_of_a_context() -> None:
    meta = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]}
    assert context_mark([meta, [{"markPx": "95000.0"}]], "BTC") == "95000.0"
    assert context_mark([meta, [{"markPx": "95000.0"}]], "ETH") is None


@pytest.mark.parametrize("mark", [None, "0.0", "NaN", "0", ""])
def test_a_mark_that_is_no_price_is_none(mark: str | None) -> None:
    row = {"leverage": {"type": "cross", "value": 20}, "markPx": mark}
    assert parse.settings(row) == (20, MarginMode.CROSS, None)
