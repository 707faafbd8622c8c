"""Late reads: the state of then, its time, reads that go back and forth."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from exchange.paper.knobs import Knobs
from exchange.paper.model import Account, Position
from exchange.paper.views import Views
from tests.unit.paper.helpers import USER

HELD = Position("BTC", Decimal(1), Decimal(95000), 5, is_cross=True)


def grown(knobs: Knobs) -> tuple[Views, Account]:
    """An account whose position grew to 1 at 1000, 2 at 2000 and so on up to 9."""
    views = Views(knobs, lambda _kind, _user: {})
    account = Account(USER, Decimal(100))
    views.note(account, 0)
    for number in range(1, 10):
        account.positions["BTC"] = replace(HELD, size=Decimal(number))
        views.note(account, number * 1000)
    return views, account


def test_a_late_read_shows_the_state_of_then_and_by_knob_its_time() -> None:
    views, account = grown(Knobs(position_lag_ms=2500))
    seen, time_ms = views.positions(account, 9000)
    assert (seen.positions["BTC"].size, time_ms) == (Decimal(6), 9000)
    views.knobs.stale_state_tells_time = True
    assert views.positions(account, 9000)[1] == 6500
    assert views.positions(account, 3000)[0].positions == {}


def test_non_monotonic_reads_go_back_in_time() -> None:
    views, account = grown(Knobs(position_lag_ms=8000, lag_non_monotonic=True))
    seen = [views.positions(account, 9000)[0].positions["BTC"].size for _ in range(30)]
    assert seen != sorted(seen)
    assert len(set(seen)) > 3


def test_without_lag_a_read_is_the_account_itself() -> None:
    views, account = grown(Knobs())
    assert views.positions(account, 9000) == (account, 9000)
