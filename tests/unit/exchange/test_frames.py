"""What a stream's messages are made into: prices that may be believed, events told once, silence and a quiet market."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.frames import (
    CALM_MS,
    CONNECTION,
    ECHO_MS,
    FILLS,
    OPEN,
    ORDERS,
    POSITIONS,
    SILENT_MS,
    STATE_SILENT_MS,
    SYMBOL_SILENT_MS,
    Frames,
    News,
)
from stopkeeper.core.prices import CONFIRMATIONS, Flaw, Tape

D = Decimal
JUMP = D("0.05")


def frames(*symbols: str) -> Frames:
    made = Frames(symbols or ("BTC", "ETH"), JUMP)
    made.begin(0)
    return made


def mark(price: object, coin: str = "BTC") -> dict[str, Any]:
    return {"channel": "activeAssetCtx", "data": {"coin": coin, "ctx": {"markPx": price}}}


def order(coin: str = "BTC", status: str = "open") -> dict[str, Any]:
    return {"channel": "orderUpdates", "data": [{"order": {"coin": coin}, "status": status}]}


def fills(*names: int, snapshot: bool | None = None, **more: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"fills": [{"tid": name, "coin": "BTC", **more} for name in names]}
    if snapshot is not None:
        data["isSnapshot"] = snapshot
    return {"channel": "userFills", "data": data}


def position(coin: str, size: str, liquidation: str = "81", mode: str = "isolated") -> dict[str, Any]:
    return {"position": {"coin": coin, "szi": size, "liquidationPx": liquidation, "leverage": {"type": mode}}}


def positions(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"channel": "clearinghouseState", "data": {"clearinghouseState": {"assetPositions": list(rows)}}}


def orders(*rows: tuple[str, int, str]) -> dict[str, Any]:
    data = {"orders": [{"coin": coin, "oid": oid, "sz": size} for coin, oid, size in rows]}
    return {"channel": "openOrders", "data": data}


# --- prices ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [
        ("0", Flaw.ZERO),
        ("0.0", Flaw.ZERO),
        (0, Flaw.ZERO),
        ("-1", Flaw.NEGATIVE),
        ("NaN", Flaw.NOT_FINITE),
        ("sNaN", Flaw.NOT_FINITE),
        ("Infinity", Flaw.NOT_FINITE),
        ("-Infinity", Flaw.NOT_FINITE),
        ("1e999999999", Flaw.NOT_FINITE),
        ("1e-999999999", Flaw.NOT_FINITE),
        (None, Flaw.NOTHING),
        ("", Flaw.NOTHING),
        ("a price", Flaw.NOTHING),
        (True, Flaw.NOTHING),
        ([], Flaw.NOTHING),
        ({"px": "1"}, Flaw.NOTHING),
    ],
)
def test_what_is_no_price_is_counted_by_kind(raw: object, flaw: Flaw) -> None:
    stream = frames()
    stream.take(mark("100"), 0)
    stream.drain()
    stream.take(mark(raw), 1)
    assert stream.drain() == News(flaws={flaw: 1})
    assert stream.ages_ms(10)["BTC"] == 10, "it is no sign of life of its symbol"
    assert stream.ages_ms(10)[CONNECTION] == 9


@pytest.mark.parametrize(("raw", "price"), [("100.5", "100.5"), (100.5, "100.5"), (" 100 ", "100"), (7, "7")])
def test_a_price(raw: object, price: str) -> None:
    stream = frames()
    stream.take(mark(raw), 0)
    assert stream.drain().marks == {"BTC": D(price)}
    assert not stream.drain(), "told once"


def test_the_newest_of_several_is_told() -> None:
    stream = frames()
    for price in ("100", "101", "0", "102"):
        stream.take(mark(price), 0)
    assert stream.drain() == News({"BTC": D(102)}, flaws={Flaw.ZERO: 1})


@pytest.mark.parametrize("data", [{}, None, [], {"coin": "BTC"}, {"coin": "BTC", "ctx": []}])
def test_a_mark_without_its_parts(data: Any) -> None:
    stream = frames()
    stream.take({"channel": "activeAssetCtx", "data": data}, 0)
    assert stream.drain() == News(flaws={Flaw.NOTHING: 1})


@pytest.mark.parametrize("far", ["105.01", "94.99", "1", "100000"])
def test_a_jump_is_believed_once_it_is_said_three_times(far: str) -> None:
    stream = frames()
    stream.take(mark("100"), 0)
    stream.drain()
    for number in range(1, CONFIRMATIONS):
        stream.take(mark(far), number)
        assert stream.drain() == News(doubts=frozenset({"BTC"}), flaws={Flaw.FAR_OFF: 1})
    stream.take(mark(far), 9)
    assert stream.drain() == News({"BTC": D(far)})


@pytest.mark.parametrize("near", ["105", "95", "100"])
def test_what_is_near_is_no_jump(near: str) -> None:
    stream = frames()
    stream.take(mark("100"), 0)
    stream.take(mark(near), 1)
    assert stream.drain() == News({"BTC": D(near)})


def test_a_spike_is_forgotten() -> None:
    stream = frames()
    for number, price in enumerate(("100", "200", "200", "100", "200", "200")):
        stream.take(mark(price), number)
    assert stream.drain().marks == {"BTC": D(100)}


def test_jumps_that_contradict_each_other_confirm_nothing() -> None:
    stream = frames()
    stream.take(mark("100"), 0)
    for number, price in enumerate(("200", "50", "200", "50", "200"), 1):
        stream.take(mark(price), number)
    news = stream.drain()
    assert (news.marks, news.flaws) == ({"BTC": D(100)}, {Flaw.FAR_OFF: 5})


def test_after_a_calm_any_price_may_be_far() -> None:
    stream = frames()
    stream.take(mark("100"), 0)
    stream.take(mark("200"), CALM_MS)
    assert stream.drain().flaws == {Flaw.FAR_OFF: 1}
    stream.take(mark("300"), CALM_MS + 1)
    assert stream.drain() == News({"BTC": D(300)})


def test_the_last_good_price_outlives_a_connection() -> None:
    stream = frames()
    stream.take(mark("100"), 0)
    stream.begin(5_000)
    stream.take(mark("200"), 5_001)
    assert stream.drain().doubts == {"BTC"}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.decimals("1", "1000", places=1), min_size=1, max_size=30))
def test_a_believed_price_is_near_the_last_or_confirmed(prices: list[Decimal]) -> None:
    tape, others = Tape(), 0
    for number, price in enumerate(prices):
        before = tape
        tape, flaw = tape.take(price, number, JUMP, CALM_MS)
        near = before.good is None or abs(price - before.good) <= JUMP * before.good
        others = 0 if near else others + 1
        if flaw is None:
            assert tape == Tape(price, number)
            assert near or others >= CONFIRMATIONS
        else:
            assert (tape.good, tape.good_ms, flaw) == (before.good, before.good_ms, Flaw.FAR_OFF)
            assert not near


# --- events ----------------------------------------------------------------------------------------------------


def test_an_order_is_an_event() -> None:
    stream = frames()
    stream.take(order(status="filled"), 0)
    stream.take(order("ETH", "canceled"), 0)
    stream.take(order(status="filled"), 0)
    assert stream.drain().events == (("BTC", "order filled"), ("ETH", "order canceled"))


@pytest.mark.parametrize("coin", ["@107", "PURR/USDC", "flx:CRCL", "#5160", None, 7, ["BTC"]])
def test_what_is_no_perpetual_is_no_event(coin: Any) -> None:
    stream = frames()
    stream.take(order(coin), 0)
    assert stream.drain().events == ()


def test_a_fill_is_told_once() -> None:
    stream = frames()
    stream.take(fills(1, 2), 0)
    assert stream.drain().events == (("BTC", "fill"),)
    stream.take(fills(2, 1), 1)
    assert not stream.drain()
    stream.take(fills(0), 2)
    assert stream.drain().events == (("BTC", "fill"),), "an older one that comes late is told too"


def test_a_liquidation_is_called_one() -> None:
    stream = frames()
    stream.take(fills(1, liquidation={"method": "market"}), 0)
    assert stream.drain().events == (("BTC", "liquidation"),)


def test_a_snapshot_is_history() -> None:
    stream = frames()
    stream.take(fills(1, 2, snapshot=True), 0)
    assert not stream.drain()
    stream.take(fills(2, snapshot=False), 1)
    assert not stream.drain(), "it stood in the snapshot"
    stream.take(fills(3, snapshot=False), 1)
    assert stream.drain().events == (("BTC", "fill"),)


def test_old_fills_are_forgotten_in_order() -> None:
    stream = frames()
    stream.take(fills(*range(4_001)), 0)
    stream.drain()
    stream.take(fills(4_000), 1)
    assert not stream.drain()
    stream.take(fills(0), 2)
    assert stream.drain().events == (("BTC", "fill"),)


@pytest.mark.parametrize(
    ("what", "before", "after", "news"),
    [
        ("the first is what the look has read", None, positions(position("BTC", "1")), []),
        ("the same again", positions(position("BTC", "1")), positions(position("BTC", "1")), []),
        ("opened", positions(), positions(position("BTC", "1")), ["position"]),
        ("closed", positions(position("BTC", "1")), positions(), ["position"]),
        ("larger", positions(position("BTC", "1")), positions(position("BTC", "2")), ["position"]),
        (
            "its liquidation price moved",
            positions(position("BTC", "1", "81")),
            positions(position("BTC", "1", "90")),
            ["position"],
        ),
        (
            "in cross mode it moves with every price",
            positions(position("BTC", "1", "81", "cross")),
            positions(position("BTC", "1", "90", "cross")),
            [],
        ),
        ("an order more", orders(), orders(("BTC", 1, "1")), ["open orders"]),
        ("an order gone", orders(("BTC", 1, "1"), ("BTC", 2, "1")), orders(("BTC", 1, "1")), ["open orders"]),
        ("an order smaller", orders(("BTC", 1, "1")), orders(("BTC", 1, "0.5")), ["open orders"]),
        (
            "in another order",
            orders(("BTC", 1, "1"), ("BTC", 2, "1")),
            orders(("BTC", 2, "1"), ("BTC", 1, "1")),
            [],
        ),
    ],
)
def test_a_state_that_differs_is_an_event(what: str, before: Any, after: Any, news: list[str]) -> None:
    stream = frames()
    if before:
        stream.take(before, 0)
        assert not stream.drain(), what
    stream.take(after, 10_000)
    assert [said for _, said in stream.drain().events] == news, what


@pytest.mark.parametrize(("later", "told"), [(0, False), (ECHO_MS - 1, False), (ECHO_MS, True)])
def test_what_may_be_an_events_echo_is_told_by_the_next_state_only(later: int, told: bool) -> None:
    stream = frames()
    stream.take(positions(), 0)
    stream.take(fills(1), 50_000)
    stream.drain()
    stream.take(positions(position("BTC", "1"), position("ETH", "1")), 50_000 + later)
    assert set(stream.drain().events) == {("ETH", "position")} | ({("BTC", "position")} if told else set())
    stream.take(positions(position("BTC", "1"), position("ETH", "1")), 90_000)
    late = set() if told else {("BTC", "position")}
    assert set(stream.drain().events) == late, "what may have been more than an echo is told by the next state"
    stream.take(positions(position("BTC", "1"), position("ETH", "1")), 95_000)
    assert not stream.drain()


def test_what_happened_before_a_connection_is_not_compared() -> None:
    stream = frames()
    stream.take(positions(), 0)
    stream.begin(1)
    stream.take(positions(position("BTC", "1")), 2)
    assert not stream.drain()


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=8))
def test_fills_in_any_order_and_number_are_told_once(order_of: list[int], again: list[int]) -> None:
    stream, told = frames(), 0
    for number in (*order_of, *again):
        stream.take(fills(number), 0)
        told += len(stream.drain().events)
    assert told == 8


# --- subscriptions ---------------------------------------------------------------------------------------------


def test_what_was_confirmed_and_refused() -> None:
    stream = frames()
    for kind in ("orderUpdates", "userFills", "clearinghouseState", "openOrders"):
        stream.take({"channel": "subscriptionResponse", "data": {"subscription": {"type": kind, "user": "0x"}}}, 0)
    stream.take(
        {"channel": "subscriptionResponse", "data": {"subscription": {"type": "activeAssetCtx", "coin": "BTC"}}}, 0
    )
    stream.take({"channel": "error", "data": "Invalid subscription " + "x" * 999}, 0)
    assert stream.confirmed == {ORDERS, FILLS, POSITIONS, OPEN, "BTC"}
    assert [len(said) for said in stream.refused] == [300]
    assert not stream.drain()
    stream.begin(1)
    assert (stream.confirmed, stream.refused) == (set(), [])


# --- silence ---------------------------------------------------------------------------------------------------


def test_ages_by_stream() -> None:
    stream = frames()
    assert set(stream.ages_ms(9).values()) == {None}
    for number, message in enumerate((mark("1"), order(), fills(1), positions(), orders())):
        stream.take(message, number)
    assert stream.ages_ms(10) == {
        CONNECTION: 6, ORDERS: 9, FILLS: 8, POSITIONS: 7, OPEN: 6, "BTC": 10, "ETH": None,
    }  # fmt: skip


def test_silence_is_given_up() -> None:
    stream = frames()
    assert stream.silent(SILENT_MS[0]) is None
    assert stream.silent(SILENT_MS[0] + 1) == "no mark of any symbol for 5001 ms"
    stream.take(mark("1"), 7_000)
    assert stream.silent(12_000) is None
    stream.take(order(), 12_001)
    stream.take(mark("0"), 12_001)
    assert stream.silent(12_001) is not None, "neither events nor a price of 0 are a sign that marks come"


def test_one_symbol_of_many_may_be_slow_but_not_for_ever() -> None:
    stream = frames()
    for ms in range(0, SYMBOL_SILENT_MS + 2_000, 1_000):
        stream.take(mark("1"), ms)
        late = ms > SYMBOL_SILENT_MS
        assert stream.silent(ms) == ("no mark of ETH for 60000 ms" if late else None)


def test_a_stream_not_begun_is_not_silent() -> None:
    assert Frames(("BTC",), JUMP).silent(10**9) is None
    assert Frames((), JUMP).silent(10**9) is None


def reconnect(stream: Frames, now: int, **marks: str) -> None:
    stream.begin(now)
    for coin, price in marks.items():
        stream.take(mark(price, coin), now)


def test_a_quiet_market_earns_patience_and_a_deaf_connection_loses_it() -> None:
    """The same prices after a silence: nothing had happened. Others: we were deaf."""
    stream = frames()
    reconnect(stream, 0, BTC="100", ETH="10")
    now, patience = 0, SILENT_MS[0]
    for _ in range(6):
        assert stream.silent(now + patience) is None
        assert stream.silent(now + patience + 1) is not None
        now += patience + 1
        reconnect(stream, now, BTC="100", ETH="10")
        patience = min(2 * patience, SILENT_MS[1])
    assert patience == SILENT_MS[1]
    assert stream.silent(now + patience) is None
    assert stream.silent(now + patience + 1) is not None
    now += patience + 1
    reconnect(stream, now, BTC="100", ETH="10.1")
    assert stream.silent(now + SILENT_MS[0]) is None
    assert stream.silent(now + SILENT_MS[0] + 1) is not None, "one of them had moved while nothing was heard"


def test_patience_waits_for_every_symbol() -> None:
    stream = frames()
    reconnect(stream, 0, BTC="100", ETH="10")
    assert stream.silent(6_000)
    reconnect(stream, 6_000, BTC="100")
    assert stream.silent(11_001), "ETH has not said yet what it knows"
    reconnect(stream, 12_000, BTC="100", ETH="10")
    assert stream.silent(22_000) is None
    assert stream.silent(22_001)


def test_a_first_price_ever_tells_of_no_deafness() -> None:
    stream = frames("BTC")
    assert stream.silent(6_000)
    reconnect(stream, 6_000, BTC="100")
    assert stream.silent(16_000) is None


@pytest.mark.parametrize(
    ("what", "state", "deaf"),
    [
        ("something is held", positions(position("BTC", "1")), "nothing of positions for 60000 ms"),
        ("an order stands", orders(("BTC", 1, "1")), "nothing of open orders for 60000 ms"),
        ("nothing is held", positions(), None),
    ],
)
def test_a_channel_of_states_that_fell_silent(what: str, state: dict[str, Any], deaf: str | None) -> None:
    stream = frames("BTC")
    stream.take(state, 0)
    for ms in range(0, STATE_SILENT_MS + 1, 4_000):
        stream.take(mark("1"), ms)
        assert stream.silent(ms) is None, what
    stream.take(mark("1"), STATE_SILENT_MS + 1)
    assert stream.silent(STATE_SILENT_MS + 1) == deaf, what


# --- whatever comes --------------------------------------------------------------------------------------------

NAMES = "coin ctx markPx order status fills tid isSnapshot liquidation position szi clearinghouseState assetPositions"
words = st.sampled_from([*NAMES.split(), "leverage", "type", "orders", "oid", "sz", "subscription", "BTC", "x"])
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from(["1e999999999", "-1e999999999", "NaN", "sNaN123", "1E-999999999", "100"]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=8), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=5)),
    max_leaves=12,
)
channels = st.sampled_from(
    ["activeAssetCtx", "orderUpdates", "userFills", "clearinghouseState", "openOrders", "subscriptionResponse", "error"]
)
LIKELY = {
    "activeAssetCtx": lambda v: {"coin": "BTC", "ctx": {"markPx": v}},
    "orderUpdates": lambda v: [{"order": {"coin": "BTC"}, "status": v}, {"order": v}],
    "userFills": lambda v: {"fills": [{"tid": v, "coin": "BTC"}, v]},
    "clearinghouseState": lambda v: {"clearinghouseState": {"assetPositions": [{"position": v}]}},
    "openOrders": lambda v: {"orders": [{"coin": v, "oid": v}, {"coin": "BTC", "oid": v, "sz": v}]},
    "subscriptionResponse": lambda v: {"subscription": v},
    "error": lambda v: v,
}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.one_of(channels, values), values, st.booleans()), min_size=1, max_size=6))
def test_no_message_raises(messages: list[tuple[Any, Any, bool]]) -> None:
    stream = frames()
    stream.take(mark("100"), 0)
    for number, (channel, value, likely) in enumerate(messages, 1):
        known = isinstance(channel, str) and channel in LIKELY
        stream.take({"channel": channel, "data": LIKELY[channel](value) if likely and known else value}, number)
        news = stream.drain()
        assert all(price.is_finite() and price > 0 for price in news.marks.values())
        assert all(count > 0 for count in news.flaws.values())
        stream.silent(number)
    stream.take(mark("100"), 9)
    assert stream.drain().marks == {"BTC": D(100)}, "it goes on as before"


def test_what_is_unreadable_is_not_news() -> None:
    stream = frames()
    for message in ({}, {"channel": "pong"}, {"channel": "orderUpdates", "data": [{}]}, {"channel": 7, "data": 7}):
        stream.take(message, 0)
        assert not stream.drain(), message


def test_a_stop_that_goes_silently_right_after_it_was_placed_is_told_by_the_next_state() -> None:
    """It was swallowed as an echo, and then nothing ever differed again."""
    stream = frames("BTC")
    stream.take(orders(("BTC", 1, "1")), 1_000)
    stream.take(order(), 10_000)
    stream.drain()
    stream.take(orders(), 10_300)
    assert not stream.drain().events
    stream.take(orders(), 15_300)
    assert stream.drain().events == (("BTC", "open orders"),)


def test_a_stop_that_comes_and_silently_goes_within_an_echo_is_told_though_nothing_differs() -> None:
    stream = frames("BTC")
    stream.take(orders(), 1_000)
    stream.take(order(), 10_000)
    stream.take(orders(("BTC", 1, "1")), 10_010)
    stream.drain()
    stream.take(orders(), 15_000)
    assert stream.drain().events == (("BTC", "open orders"),)
    stream.take(orders(), 20_000)
    assert not stream.drain().events
