"""One round of the measurements of supervision on real processes: it ends protected or flat, and the witness saw it."""

from pathlib import Path

from benchmarks import breached, cover_lost


def test_a_stop_that_is_taken_away_is_replaced(tmp_path: Path) -> None:
    ways = tuple(way for way in cover_lost.WAYS if way.account in ("told", "cut"))
    found = cover_lost.measure(tmp_path / "up", 1, 10, symbols=("BTC",), delay_ms=(4_000, 4_000), ways=ways)
    assert [lost.title for lost in found] == [way.title for way in ways]
    for lost in found:
        assert len(lost.naked_ms) == 1
        assert lost.naked_ms[0] > 0
        assert lost.closed == 0
        assert lost.journal["PlaceStop"] == 1


def test_a_breached_stop_that_fails_ends_flat(tmp_path: Path) -> None:
    found = breached.measure(tmp_path / "up", 1, 10, settle_s=(2.5, 3.0))
    assert [closed.title for closed in found] == [way.title for way in breached.WAYS]
    for closed in found:
        assert closed.closed_by == {"Limit": 1}, "not the venue's stop but our close"
        assert closed.flat_ms[0] > 0
        assert closed.journal["Flatten"] >= 1
