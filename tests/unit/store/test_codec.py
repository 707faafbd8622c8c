"""Values survive JSON exactly, to the last zero of a Decimal."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import FillPage, Funds, Holdings, Known, Order, Position
from stopkeeper.core.outcomes import Accepted, Barred, Outcome, Rejected, Throttled, Unknown
from stopkeeper.core.record import KeyRecord, Trade
from stopkeeper.store.asks import Admitted, Wish
from stopkeeper.store.codec import ASK, LINE, LOOK, RECORD, Codec, as_text


def decimal(digits: int, exponent: int) -> Decimal:
    return Decimal(f"{digits}e{exponent}")


# Any digits and exponents, zeros at the end too; st.decimals makes few of those, and takes four times as long.
st.register_type_strategy(Decimal, st.builds(decimal, st.integers(), st.integers(-60, 20)))
quick = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
OUTCOME: Codec[Outcome] = Codec(Outcome)


def exact(codec: Codec[object], value: object) -> None:
    """repr tells 1.0 from 1.00, which == does not."""
    assert repr(codec.load(codec.dump(value))) == repr(value)


@quick
@given(st.from_type(KeyRecord))
def test_records(value: KeyRecord) -> None:
    exact(RECORD, value)  # type: ignore[arg-type]


@quick
@given(st.from_type(LedgerLine))
def test_ledger_lines(value: LedgerLine) -> None:
    exact(LINE, value)  # type: ignore[arg-type]


@quick
@given(st.one_of(st.builds(Admitted, st.from_type(Trade)), st.from_type(Wish)))
def test_asks(value: Admitted | Wish) -> None:
    exact(ASK, value)  # type: ignore[arg-type]


@quick
@given(st.one_of(*(st.from_type(kind) for kind in (Accepted, Rejected, Throttled, Barred, Unknown))))
def test_outcomes_keep_their_kind(value: Outcome) -> None:
    exact(OUTCOME, value)  # type: ignore[arg-type]


@quick
@given(st.data())
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("holdings", st.builds(Holdings, st.dictionaries(st.text(), st.from_type(Position)), st.from_type(Funds))),
        ("orders", st.from_type(tuple[Order, ...])),
        ("fills", st.from_type(FillPage)),
    ],
)
def test_looks(field: str, values: st.SearchStrategy[object], data: st.DataObject) -> None:
    reading = st.builds(Known, values, st.integers())
    exact(LOOK[field], data.draw(st.one_of(reading, st.from_type(Unknown))))


def test_a_record_of_an_older_release_gets_the_defaults() -> None:
    assert RECORD.load('{"key": {"account": "a", "symbol": "BTC"}, "gone_since": 1}').quiet_ms == 0


def test_journal_fields_are_texts() -> None:
    assert [as_text(v) for v in ("a", Decimal("1E-7"), True, None, [1])] == ["a", "0.0000001", "true", "null", "[1]"]
