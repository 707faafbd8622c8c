"""The table of keys: each has a bound, a life that fits it, and a place in the operations manual."""

from pathlib import Path

import pytest

from stopkeeper.store.keys import TABLE, Bound, KeyKind

MANUAL = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.pattern)
def test_the_manual_says_why_a_key_cannot_grow_without_end(kind: KeyKind) -> None:
    section = MANUAL.read_text(encoding="utf-8").partition("## What grows in Redis")[2].partition("\n## ")[0]
    row = next((line for line in section.splitlines() if f"`{kind.pattern}`" in line), None)
    assert row is not None, f"name {kind.pattern} in docs/operations.md"
    assert ("**grow**" in row) == (kind.bound is Bound.APPENDED)


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.pattern)
def test_only_what_expires_is_bounded_by_time(kind: KeyKind) -> None:
    assert (kind.bound is Bound.TIME) == (
        not kind.ttl.startswith("for ever") and kind.bound not in (Bound.CAPPED, Bound.OPEN)
    )


def test_only_the_ledger_grows() -> None:
    grow = [kind.pattern for kind in TABLE if kind.bound is Bound.APPENDED]
    assert grow == ["sk:ledger:<account>", "sk:results:<account>"]
