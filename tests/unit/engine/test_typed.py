"""What people type: a table of what is accepted, one of what is refused, and words that read back as what they say."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopkeeper.core.model import Amount, Distance, Key, Resting, Side, TargetWish
from stopkeeper.core.policy import BreakEven, Gain, Policy, Trail, TrailKind, percent, said
from stopkeeper.core.trailing import INTERVALS_MS
from stopkeeper.engine import typed
from stopkeeper.engine.typed import Refused
from stopkeeper.engine.words import MOST_TARGETS, parse_signal

D = Decimal
R = Gain(r=D(1))
PART = Gain(fraction=D("0.02"))
NOW = 1_700_000_000_000
HUGE = "9" * 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2%", Trail(TrailKind.PERCENT, D("0.02"))),
        ("0.05%", Trail(TrailKind.PERCENT, D("0.0005"))),
        ("2 %", Trail(TrailKind.PERCENT, D("0.02"))),
        ("  2%  ", Trail(TrailKind.PERCENT, D("0.02"))),
        ("500", Trail(TrailKind.ABSOLUTE, D(500))),
        ("0.0003", Trail(TrailKind.ABSOLUTE, D("0.0003"))),
        ("atr:3", Trail(TrailKind.ATR, D(3))),
        ("atr:2.5:20:1h", Trail(TrailKind.ATR, D("2.5"), bars=20, interval="1h")),
        ("atr:1:200:1m", Trail(TrailKind.ATR, D(1), bars=200, interval="1m")),
        ("step:1R", Trail(TrailKind.STEP, step=R)),
        ("step:0.5r", Trail(TrailKind.STEP, step=Gain(r=D("0.5")))),
        ("step:2%", Trail(TrailKind.STEP, step=PART)),
        ("2%@1R", Trail(TrailKind.PERCENT, D("0.02"), start=R)),
        ("500@2%", Trail(TrailKind.ABSOLUTE, D(500), start=PART)),
        ("atr:3:14:5m@1R", Trail(TrailKind.ATR, D(3), start=R)),
        ("step:1R@2%", Trail(TrailKind.STEP, step=R, start=PART)),
        ("off", Trail()),
        (" off ", Trail()),
    ],
)
def test_trails(text: str, expected: Trail) -> None:
    assert typed.trail("trail", text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is not a number (got nothing)"),
        ("0%", "it must be above 0"),
        ("-2%", "it must be above 0"),
        ("100%", "it must be below 100%"),
        ("%", "it is not a number"),
        ("nan", "it is not a finite number"),
        ("NaN%", "it is not a finite number"),
        ("inf", "it is not a finite number"),
        ("-1", "it must be above 0"),
        ("1e99", "it is out of all proportion"),
        ("abc", "it is not a number"),
        ("Off", "it is not a number"),
        ("off@1R", "it is not a number"),
        ("2%@", "it is not a percentage"),
        ("2%@1", "it is not a percentage"),
        ("2%@0R", "it must be above 0"),
        ("2%@off", "it is not a percentage"),
        ("@1R", "it is not a number"),
        ("2%@1R@2R", "it is not a number"),
        ("atr", "it is not a number"),
        ("atr:", "it is not a number"),
        ("atr:0", "it must be above 0"),
        ("atr:3:14", "an ATR has a multiple, or a multiple, bars and an interval"),
        ("atr:3:14:5m:1", "an ATR has a multiple, or a multiple, bars and an interval"),
        ("atr:3:14:7m", "it is no interval of candles"),
        ("atr:3:0:5m", "it must be above 0"),
        ("atr:3:1.5:5m", "it is not a whole number"),
        ("atr:3:201:5m", "so many bars are not asked for"),
        ("atr:3%", "it is not a number"),
        ("step:", "it is not a percentage"),
        ("step:1", "it is not a percentage"),
        ("step:R", "it is not a number"),
        ("step:100%", "it must be below 100%"),
        ("step:off", "it is not a percentage"),
    ],
)
def test_trails_refused(text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        typed.trail("trail", text)
    assert says in str(refused.value)
    assert refused.value.field == "trail"
    assert refused.value.hint, "it says what would be right"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1R", BreakEven(R)),
        ("1.5r", BreakEven(Gain(r=D("1.5")))),
        ("2%", BreakEven(PART)),
        ("target", BreakEven(after_target=True)),
        (" target ", BreakEven(after_target=True)),
        ("off", BreakEven()),
    ],
)
def test_break_evens(text: str, expected: BreakEven) -> None:
    assert typed.breakeven("breakeven", text) == expected


@pytest.mark.parametrize("text", ["", "1", "0R", "-1R", "R", "nanR", "0%", "100%", "Target", "500", "1R@2R", "on"])
def test_break_evens_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        typed.breakeven("breakeven", text)
    assert (refused.value.field, refused.value.hint) == ("breakeven", typed.EVEN_HINT)


amounts = st.decimals("0.0001", "100000", places=4)
gains = st.one_of(
    amounts.map(lambda r: Gain(r=r)), st.decimals("0.0001", "0.99", places=6).map(lambda p: Gain(fraction=p))
)
starts = st.one_of(st.just(Gain()), gains)
trails = st.one_of(
    st.just(Trail()),
    st.builds(Trail, st.just(TrailKind.PERCENT), st.decimals("0.0001", "0.99", places=6), start=starts),
    st.builds(Trail, st.just(TrailKind.ABSOLUTE), amounts, start=starts),
    st.builds(
        Trail,
        st.just(TrailKind.ATR),
        amounts,
        start=starts,
        bars=st.integers(1, 200),
        interval=st.sampled_from(sorted(INTERVALS_MS)),
    ),
    st.builds(Trail, st.just(TrailKind.STEP), step=gains, start=starts),
)
evens = st.one_of(st.just(BreakEven()), st.just(BreakEven(after_target=True)), gains.map(BreakEven))


@settings(max_examples=200, deadline=None)
@given(trails, evens)
def test_what_is_said_reads_back(trail: Trail, even: BreakEven) -> None:
    assert typed.trail("trail", str(trail)) == trail
    assert typed.breakeven("breakeven", str(even)) == even


@pytest.mark.parametrize(
    ("number", "text"), [("500", "500"), ("5E+2", "500"), ("0.50", "0.5"), ("1E-7", "0.0000001"), ("100.000", "100")]
)
def test_a_number_reads_without_exponent(number: str, text: str) -> None:
    assert said(D(number)) == text
    assert percent(D(number) / 100) == f"{text}%"


def test_a_policy_says_whether_anything_moves() -> None:
    assert not Policy().moves
    assert Policy(Trail(TrailKind.PERCENT, D("0.02"))).moves
    assert Policy(breakeven=BreakEven(R)).moves
    assert str(Gain()) == "off"


# --- single values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("99000", TargetWish(Distance(price=D(99000)))),
        ("4%", TargetWish(Distance(fraction=D("0.04")))),
        ("4%:50%", TargetWish(Distance(fraction=D("0.04")), D("0.5"))),
        ("99000:100%", TargetWish(Distance(price=D(99000)), D(1))),
    ],
)
def test_targets(text: str, expected: TargetWish) -> None:
    assert typed.target(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "got nothing"),
        ("0", "above 0"),
        ("100%", "below 100%"),
        ("4%:", "it is not a percentage"),
        ("4%:0%", "above 0"),
        ("4%:0.5", "it is not a percentage"),
        ("4%:101%", "it must not be above 100%"),
        ("4%:50%:50%", "it is not a number"),
        (":50%", "got nothing"),
    ],
)
def test_targets_refused(text: str, says: str) -> None:
    with pytest.raises(Refused, match="target: ") as refused:
        typed.target(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("30s", 30_000), ("2m", 120_000), ("1.5h", 5_400_000), ("500ms", 500), ("1d", 86_400_000), (" 1s ", 1_000)],
)
def test_durations(text: str, ms: int) -> None:
    assert typed.duration_ms("expires", text) == ms


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "0s", "0.5ms", "1e3s", "1 s", "1w", "1S", "NaNs"])
def test_durations_refused(text: str) -> None:
    with pytest.raises(Refused, match="expires: "):
        typed.duration_ms("expires", text)


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("5.0", 5), (" 12 ", 12)])
def test_whole_numbers(text: str, number: int) -> None:
    assert typed.whole("leverage", text) == number


@pytest.mark.parametrize("text", ["1.5", "0", "-1", "x", HUGE])
def test_whole_numbers_refused(text: str) -> None:
    with pytest.raises(Refused, match="leverage: "):
        typed.whole("leverage", text)


@pytest.mark.parametrize(
    ("read", "text", "quoted"),
    [
        (partial(typed.number, hint="such as 5"), "inf", "inf"),
        (partial(typed.number, hint="such as 5"), "-1", "-1"),
        (partial(typed.number, hint="such as 5"), "1e16", "1e16"),
        (typed.whole, "1.5", "1.5"),
        (partial(typed.fraction, hint="such as 5%"), "100%", "100%"),
        (partial(typed.part, hint="such as 5%"), "5", "5"),
        (partial(typed.part, hint="such as 5%"), "101%", "101%"),
        (typed.distance, "100%", "100%"),
        (typed.distance, "0", "0"),
        (typed.duration_ms, "30", "30"),
        (typed.duration_ms, "0s", "0s"),
        (typed.trail, "atr:3:14", "atr:3:14"),
        (typed.trail, "atr:3:14:7m", "7m"),
        (typed.trail, "atr:3:201:5m", "201"),
    ],
)
def test_what_is_refused_is_quoted_with_what_would_be_right(read: Callable[..., Any], text: str, quoted: str) -> None:
    with pytest.raises(Refused) as refused:
        read("field", text)
    assert (refused.value.field, refused.value.value) == ("field", quoted)
    assert refused.value.hint


def test_a_number_is_taken_as_long_as_it_is_in_proportion() -> None:
    assert typed.number("size", "1e15", "") == D("1e15")
    assert typed.number("size", "1e-15", "") == D("1e-15")


def test_the_shortest_duration_is_a_millisecond() -> None:
    assert typed.duration_ms("expires", "1ms") == 1


# --- a signal --------------------------------------------------------------------------------------------------


def parse(**more: Any) -> Any:
    return parse_signal(
        **{"account": "main", "symbol": "BTC", "side": "long", "stop": "2%", "now_ms": NOW, "size": "1", **more}
    )


def test_a_whole_signal() -> None:
    made = parse(
        side="short",
        stop="95000",
        size=None,
        risk="25",
        target=["2%:50%", "4%"],
        limit="94000",
        rest=True,
        leverage=3,
        expires="1h",
        price="94500",
        max_deviation="0.5%",
        time_limit="2d",
        signal_id="my-bot-17",
        trail="atr:3@1R",
        breakeven="target",
    )
    assert (made.key, made.side, made.id, made.leverage) == (Key("main", "BTC"), Side.SHORT, "my-bot-17", 3)
    assert (made.amount, made.stop) == (Amount(risk=D(25)), Distance(price=D(95000)))
    assert made.targets == (
        TargetWish(Distance(fraction=D("0.02")), D("0.5")),
        TargetWish(Distance(fraction=D("0.04"))),
    )
    assert (made.limit, made.resting, made.expires_ms) == (D(94000), Resting.GTC, NOW + 3_600_000)
    assert (made.price, made.max_deviation, made.time_limit_ms) == (D(94500), D("0.005"), 172_800_000)
    assert made.trail == Trail(TrailKind.ATR, D(3), start=R)
    assert made.breakeven == BreakEven(after_target=True)


def test_what_is_not_said_is_the_accounts_own() -> None:
    made = parse(size=None, notional="500", target="4%")
    assert (made.trail, made.breakeven, made.leverage, made.limit) == (None, None, None, None)
    assert (made.amount, made.resting, made.expires_ms) == (Amount(notional=D(500)), Resting.NO, NOW + 30_000)
    assert made.targets == (TargetWish(Distance(fraction=D("0.04"))),)
    assert parse(trail="off").trail == Trail(), "off is said, and overrides the account's"


@pytest.mark.parametrize(
    ("rest", "post_only", "limit", "resting"),
    [
        (False, False, None, Resting.NO),
        (False, False, "94000", Resting.NO),
        (True, False, "94000", Resting.GTC),
        (False, True, "94000", Resting.POST_ONLY),
        (True, True, "94000", Resting.POST_ONLY),
    ],
)
def test_how_an_entry_rests(rest: bool, post_only: bool, limit: str | None, resting: Resting) -> None:
    assert parse(rest=rest, post_only=post_only, limit=limit).resting is resting


@pytest.mark.parametrize(
    ("more", "field", "says"),
    [
        ({"side": "Long"}, "side", "a side is long or short"),
        ({"stop": None}, "stop", "no position is ever without a stop"),
        ({"stop": ""}, "stop", "no position is ever without a stop"),
        ({"stop": "0"}, "stop", "above 0"),
        ({"size": None}, "size", "exactly one amount"),
        ({"notional": "5"}, "size", "got size and notional"),
        ({"size": "nan"}, "size", "not a finite number"),
        ({"signal_id": "a b"}, "id", "1 to 64 letters"),
        ({"signal_id": ""}, "id", "1 to 64 letters"),
        ({"signal_id": "x" * 65}, "id", "1 to 64 letters"),
        ({"price": "1"}, "max_deviation", "only a price, 1"),
        ({"max_deviation": "1%"}, "max_deviation", "only a deviation, 1%"),
        ({"rest": True}, "rest", "only an entry with a limit can rest"),
        ({"post_only": True}, "post_only", "only an entry with a limit can rest"),
        ({"target": ["1%"] * (MOST_TARGETS + 1)}, "target", "at most 5 targets"),
        ({"target": [""]}, "target", "got nothing"),
        ({"target": ["1%", "2%:0%"]}, "target", "above 0"),
        ({"limit": "2%"}, "limit", "it is not a number"),
        ({"leverage": "2.5"}, "leverage", "not a whole number"),
        ({"trail": "x"}, "trail", "it is not a number"),
        ({"breakeven": "x"}, "breakeven", "it is not a percentage"),
        ({"time_limit": "1"}, "time_limit", "it is not a duration"),
        ({"expires": "0s"}, "expires", "above 0"),
    ],
)
def test_signals_refused(more: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(**more)
    assert refused.value.field == field
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("more", "field", "quoted"),
    [
        ({"side": "Long"}, "side", "Long"),
        ({"stop": None}, "stop", "nothing"),
        ({"signal_id": "a b"}, "id", "a b"),
        ({"size": None}, "size", "nothing"),
        ({"risk": "5"}, "size", "size and risk"),
        ({"size": None, "notional": "x"}, "notional", "x"),
        ({"size": None, "risk": "x"}, "risk", "x"),
        ({"price": "x", "max_deviation": "1%"}, "price", "x"),
        ({"price": "1", "max_deviation": "5"}, "max_deviation", "5"),
        ({"target": ["1%", "2%", "3%", "4%", "5%", "6%"]}, "target", "1%, 2%, 3%, 4%, 5%, 6%"),
    ],
)
def test_a_signal_is_refused_with_the_value_that_was_typed(more: dict[str, Any], field: str, quoted: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(**more)
    assert (refused.value.field, refused.value.value) == (field, quoted)
    assert refused.value.hint


def test_a_signal_may_have_as_many_targets_as_are_placed_and_needs_no_id() -> None:
    made = parse(target=["1%"] * MOST_TARGETS)
    assert len(made.targets) == MOST_TARGETS
    assert made.id == ""
