"""Prices are prices, rounding goes where it is told, and ids can be read back or not at all."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopkeeper.core.ids import N_MAX, ClientId, decode, encode, found_id, trade_id
from stopkeeper.core.model import Role
from stopkeeper.core.prices import Flaw, NotAPrice, Price, Source, Tape, Toward, flaw_of, parse_price, to_grid, to_step
from tests.unit.core.scene import INST, KEY, D

quick = settings(max_examples=60, deadline=None)
prices = st.decimals("0.000123", "987654", places=7).filter(lambda p: p > 0)
hexes = st.text("0123456789abcdef", min_size=12, max_size=12)


@pytest.mark.parametrize("raw", ["0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "", "abc", None, [], True])
def test_what_is_no_price(raw: object) -> None:
    assert parse_price(raw) is None


@pytest.mark.parametrize(("raw", "value"), [("1.5", D("1.5")), (3, D(3)), (2.5, D("2.5")), (D("1E-8"), D("1E-8"))])
def test_what_is_a_price(raw: object, value: Decimal) -> None:
    assert parse_price(raw) == value


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [
        (None, Flaw.NOTHING),
        ("abc", Flaw.NOTHING),
        ("NaN", Flaw.NOT_FINITE),
        ("1E31", Flaw.NOT_FINITE),
        ("1E30", None),
        ("1E-30", None),
        ("1E-31", Flaw.NOT_FINITE),
        ("0", Flaw.ZERO),
        ("0E-40", Flaw.ZERO),
        ("-0.1", Flaw.NEGATIVE),
        (" 0.1 ", None),
    ],
)
def test_what_keeps_a_number_from_being_a_price(raw: object, flaw: Flaw | None) -> None:
    assert flaw_of(raw) is flaw
    assert (parse_price(raw) is None) is (flaw is not None)


CALM = 60_000


@pytest.mark.parametrize(
    ("what", "prices", "believed"),
    [
        ("the first is good", ["100 0"], "100"),
        ("as far as one may be", ["100 0", "105 1"], "105"),
        ("far off, once", ["100 0", "105.1 1"], "100"),
        ("far off, twice", ["100 0", "110 1", "110 2"], "100"),
        ("far off, three times the same", ["100 0", "110 1", "110 2", "110 3"], "110"),
        ("three times the same, as far apart as they may be", ["100 0", "110 1", "115.5 2", "110 3"], "110"),
        ("three times far off, each time elsewhere", ["100 0", "110 1", "120 2", "130 3"], "100"),
        ("a good one in between begins anew", ["100 0", "110 1", "110 2", "100 3", "110 4"], "100"),
        ("far off after as long as it may be calm", ["100 0", f"110 {CALM}"], "100"),
        ("far off after a longer calm", ["100 0", f"110 {CALM + 1}"], "110"),
        ("a calm is counted from the last good one", ["100 5000", f"110 {CALM + 5_000}"], "100"),
    ],
)
def test_which_price_of_a_stream_is_believed(what: str, prices: list[str], believed: str) -> None:
    tape, flaw = Tape(), None
    for each in prices:
        price, at_ms = each.split()
        tape, flaw = tape.take(D(price), 1_000_000 + int(at_ms), D("0.05"), CALM)
    assert tape.good == D(believed), what
    assert flaw is (None if prices[-1].startswith(f"{believed} ") else Flaw.FAR_OFF)


@pytest.mark.parametrize("bad", [D(0), D(-1), D("NaN"), D("Infinity")])
def test_a_price_is_refused_at_birth(bad: Decimal) -> None:
    with pytest.raises(NotAPrice, match="is not a price"):
        Price(bad, Source.STREAM, 0)


def test_a_price_from_the_future_is_refused() -> None:
    with pytest.raises(NotAPrice, match="future"):
        Price(D(1), Source.STREAM, -1)


@quick
@given(prices, st.integers(0, 6), st.sampled_from(list(Toward)))
def test_rounding_stays_on_the_grid_and_on_its_side(price: Decimal, decimals: int, toward: Toward) -> None:
    rounded = to_grid(price, decimals=decimals, significant=5, tick=None, toward=toward)
    assert rounded >= price if toward is Toward.UP else rounded <= price
    assert -rounded.normalize().as_tuple().exponent <= decimals  # type: ignore[operator]
    digits = rounded.normalize().as_tuple().digits
    assert len(digits) <= 5 or rounded == rounded.to_integral_value()
    assert to_grid(rounded, decimals=decimals, significant=5, tick=None, toward=toward) == rounded


@pytest.mark.parametrize(
    ("what", "price", "toward", "expected"),
    [
        ("five figures", "95012.37", Toward.DOWN, "95012"),
        ("five figures up", "95012.37", Toward.UP, "95013"),
        ("whole numbers are always allowed", "123456", Toward.DOWN, "123456"),
        ("decimals bind first", "1.23456", Toward.DOWN, "1.23"),
        ("carry into another digit", "9.99996", Toward.UP, "10"),
    ],
)
def test_hyperliquid_grid(what: str, price: str, toward: Toward, expected: str) -> None:
    assert to_grid(D(price), decimals=2, significant=5, tick=None, toward=toward) == D(expected), what


@quick
@given(prices, st.sampled_from([D("0.1"), D("0.5"), D("25"), D("0.00001")]), st.sampled_from(list(Toward)))
def test_a_tick_is_a_grid(price: Decimal, tick: Decimal, toward: Toward) -> None:
    rounded = to_grid(price, decimals=9, significant=None, tick=tick, toward=toward)
    assert rounded % tick == 0
    assert abs(rounded - price) < tick
    assert rounded == to_step(price, tick, toward)


ids = st.builds(ClientId, st.sampled_from([INST, "00000"]), st.sampled_from(list(Role)), st.integers(0, N_MAX), hexes)


@quick
@given(ids, st.booleans())
def test_ids_read_back(client: ClientId, prefixed: bool) -> None:
    raw = encode(client)
    assert len(raw) == 32
    assert decode(("0x" + raw).upper().replace("X", "x") if prefixed else raw) == client


@quick
@given(ids, st.integers(0, 31), st.sampled_from("0123456789abcdef"))
def test_a_corrupted_id_is_nobodys(client: ClientId, at: int, digit: str) -> None:
    raw = encode(client)
    bad = raw[:at] + digit + raw[at + 1 :]
    assert decode(bad) == (client if bad == raw else None)


@pytest.mark.parametrize("raw", [None, "", "0x", "57b", "x" * 32, "f" * 32, "0x" + "f" * 32, "57b" * 11])
def test_foreign_ids_are_ignored(raw: str | None) -> None:
    assert decode(raw) is None


@pytest.mark.parametrize(
    "client",
    [
        ClientId("abc", Role.STOP, 1, "0" * 12),
        ClientId(INST, Role.STOP, 1, "0" * 11),
        ClientId(INST, Role.STOP, N_MAX + 1, "0" * 12),
        ClientId(INST, Role.STOP, -1, "0" * 12),
    ],
)
def test_parts_of_the_wrong_length_are_refused(client: ClientId) -> None:
    with pytest.raises(ValueError, match="not a client id"):
        encode(client)


@pytest.mark.parametrize(("magic", "role", "known"), [("57b", "2", True), ("57b", "9", False), ("57c", "2", False)])
def test_an_unknown_role_or_another_programs_id_is_none_of_ours(magic: str, role: str, known: bool) -> None:
    from stopkeeper.core.ids import _checksum

    body = magic + INST + role + "00001" + "0" * 12
    assert (decode(body + _checksum(body)) is not None) is known


def test_the_largest_number_stands_in_an_id() -> None:
    last = ClientId(INST, Role.STOP, N_MAX, "0" * 12)
    assert decode(encode(last)) == last


def test_trade_ids_are_functions_of_the_signal() -> None:
    assert trade_id(INST, "main", "s1") == trade_id(INST, "main", "s1")
    assert len({trade_id(INST, a, s) for a in ("main", "b") for s in ("s1", "s2")}) == 4
    assert found_id(INST, KEY, 1) != found_id(INST, KEY, 2)
    assert {len(trade_id(INST, "main", "s1")), len(found_id(INST, KEY, 1))} == {12}, (
        "as many as an order's id has for it"
    )
