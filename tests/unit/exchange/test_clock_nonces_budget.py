"""The venue's time, nonces and rate budgets, without a venue."""

import logging
import threading

import pytest

from exchange import clock as clock_module
from exchange.budget import AddressBudget, IpBudget, LocalBudget, LocalCache, surcharge_of, weight_of
from exchange.clock import VenueClock, wall_ms
from exchange.nonces import LocalNonces, Nonces
from stopkeeper.core.missing import Clock
from stopkeeper.engine.ports import Urgency


class _Mono:
    """A monotonic clock a test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr(clock_module, "mono_ms", lambda: self.now)

    def answer(self, clock: VenueClock, venue_ms: int, took: float = 20) -> int:
        self.now += took
        return clock.measure(self.now - took, self.now, venue_ms)


@pytest.fixture
def mono(monkeypatch: pytest.MonkeyPatch) -> _Mono:
    return _Mono(monkeypatch)


def test_never_measured_is_the_hosts_clock_and_says_so() -> None:
    clock = VenueClock()
    assert (clock.age_ms(), clock.apart_ms(), clock.uncertainty_ms()) == (None, None, None)
    assert abs(clock.now_ms() - wall_ms()) < 1_000


def test_an_answer_sets_the_clock_to_half_its_round_trip(mono: _Mono) -> None:
    clock = VenueClock()
    mono.answer(clock, 5_000_000, took=100)
    assert clock.now_ms() == 5_000_050
    assert 50 <= (clock.uncertainty_ms() or 0) <= 53
    mono.now += 7_000
    assert clock.now_ms() == 5_007_050
    assert clock.age_ms() == 7_000


def test_a_quicker_answer_narrows_it(mono: _Mono) -> None:
    clock = VenueClock()
    mono.answer(clock, 5_000_000, took=1_000)
    mono.answer(clock, 5_000_510, took=10)
    assert (clock.uncertainty_ms() or 0) <= 8


def test_the_time_of_an_old_state_does_not_set_it_back(mono: _Mono) -> None:
    clock = VenueClock()
    mono.answer(clock, 5_000_000)
    before = clock.now_ms()
    mono.answer(clock, 4_997_000)
    assert clock.now_ms() >= before
    for _ in range(4):
        mono.now += 10_000
        mono.answer(clock, int(mono.now) + 3_990_000)
    assert abs(clock.now_ms() - (mono.now + 3_990_000)) < 50  # 30 s of nothing else: the venue did step back


def test_one_answer_from_ahead_moves_nothing_and_proves_nothing(mono: _Mono) -> None:
    clock = VenueClock()
    mono.answer(clock, 5_000_000)
    for _ in range(2):
        mono.now += 1_000
        told_ms = mono.answer(clock, clock.now_ms() + 3_600_000)
        assert 0 <= told_ms - clock.now_ms() < 20, "no reading is later than the venue's time can be"
        assert clock.known().doubted
        mono.now += 1_000
        assert mono.answer(clock, clock.now_ms()) <= clock.now_ms()
        assert not clock.known().doubted
    assert abs(clock.now_ms() - (mono.now - 1_000_020 + 5_000_000)) < 30


def test_what_is_a_little_ahead_is_no_doubt_of_the_clock_yet_held_to_it(mono: _Mono) -> None:
    clock = VenueClock()
    mono.answer(clock, 5_000_000)
    assert mono.answer(clock, clock.now_ms() + 2_500) - clock.now_ms() < 20
    assert not clock.known().doubted


def test_three_answers_in_a_row_that_agree_set_it_forward(mono: _Mono) -> None:
    """As after this host was suspended, which its monotonic clock does not count."""
    clock = VenueClock()
    mono.answer(clock, 5_000_000)
    told = []
    for n in range(3):
        told.append(mono.answer(clock, 5_060_000 + 1_020 * n))
        mono.now += 1_000
    assert told[2] == 5_062_040
    assert max(told[:2]) < 5_003_000
    assert abs(clock.now_ms() - 5_063_050) <= 15
    assert not clock.known().doubted


def test_three_answers_of_one_moment_are_not_three_in_a_row(mono: _Mono) -> None:
    """As three keys are looked at by three workers at once: it may be one server, for one moment."""
    clock = VenueClock()
    mono.answer(clock, 5_000_000)
    told = [mono.answer(clock, 5_060_000 + 20 * n) for n in range(9)]
    assert max(told) < 5_001_000
    assert mono.answer(clock, clock.now_ms()) < 5_001_000
    mono.now += 10_000
    assert mono.answer(clock, 5_060_000 + 10_200) < 5_012_000, "and what agreed meanwhile ends the row"


def test_three_answers_from_ahead_that_contradict_each_other_set_nothing(mono: _Mono) -> None:
    clock = VenueClock()
    mono.answer(clock, 5_000_000)
    for ahead_ms in (60_000, 90_000, 60_000, 10**18, 90_000):
        assert mono.answer(clock, 5_000_000 + ahead_ms) < 5_001_000
    assert clock.now_ms() < 5_001_000


def test_nonces_rise_across_threads() -> None:
    nonces, taken = Nonces(LocalNonces(), "0xAB", VenueClock()), list[int]()
    threads = [threading.Thread(target=lambda: taken.extend(nonces.mint(4))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 80
    first = nonces.mint(3)
    assert first == tuple(range(first[0], first[0] + 3))
    assert abs(first[0] - wall_ms()) < 2_000


def test_a_counter_far_ahead_alarms_once(caplog: pytest.LogCaptureFixture) -> None:
    class Poisoned:
        def take(self, signer: str, now_ms: int, count: int) -> int:
            return now_ms + 3_600_000

    nonces = Nonces(Poisoned(), "0xAB", VenueClock())
    nonces.mint(1)
    nonces.mint(1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "0xab" in caplog.text


def test_a_venue_far_from_the_hosts_clock_alarms(caplog: pytest.LogCaptureFixture) -> None:
    clock = VenueClock()
    now = clock_module.mono_ms()
    clock.measure(now - 5, now, wall_ms() - 20_000)
    Nonces(LocalNonces(), "0xAB", clock).mint(1)
    assert "clocks apart: venue minus host -" in caplog.text


def test_an_answer_much_older_than_it_should_be_makes_the_offset_doubtful_until_one_agrees() -> None:
    clock = VenueClock()
    now = clock_module.mono_ms()
    assert clock.known() == Clock(None)
    clock.measure(now - 5, now, wall_ms())
    clock.measure(now, now + 5, wall_ms() - 9_000)
    assert clock.age_ms() is not None, "an older state of the venue"
    clock.measure(now, now + 5, wall_ms() - 11_000)
    known = clock.known()
    assert (known.age_ms, known.doubted) == (None, True)
    assert abs(clock.now_ms() - wall_ms()) < 2_000, "protection goes on by what was measured"
    clock.measure(now, now + 10, wall_ms())
    assert (clock.age_ms() is not None, clock.known().doubted) == (True, False)


def test_a_clock_that_stepped_back_is_believed_after_half_a_minute() -> None:
    clock = VenueClock()
    now = clock_module.mono_ms()
    clock.measure(now - 31_000, now - 30_995, wall_ms() - 31_000)
    clock.measure(now - 5, now, wall_ms() - 600_000)
    apart_ms = clock.known().apart_ms
    assert not clock.known().doubted
    assert apart_ms is not None
    assert -601_000 < apart_ms < -599_000


def test_what_a_venue_refused_for_weight_leaves_the_last_quarter() -> None:
    budget = IpBudget(LocalBudget(), "h")
    assert budget.short(42) == ""
    budget.refused()
    assert budget.reserve(40, Urgency.ORDINARY) > 0
    assert "900 of 1200 weight of the minute are spent" in budget.short(42)
    assert budget.reserve(200, Urgency.PROTECTIVE) == 0
    used = budget.used()
    budget.refused()
    assert budget.used() in range(used - 3, used + 1), "there is no more to take"


def test_the_last_quarter_is_for_protection() -> None:
    budget = IpBudget(LocalBudget(), "h")
    assert budget.reserve(900, Urgency.ORDINARY) == 0
    assert budget.reserve(20, Urgency.ORDINARY) > 0
    assert budget.reserve(280, Urgency.PROTECTIVE) == 0
    assert 900 < budget.reserve(40, Urgency.PROTECTIVE) < 1_100
    assert budget.used() in range(1170, 1182)


def test_a_surcharge_is_booked_below_zero() -> None:
    budget = IpBudget(LocalBudget(), "h")
    assert budget.reserve(1200, Urgency.PROTECTIVE) == 0
    budget.add(100)
    assert budget.reserve(1, Urgency.PROTECTIVE) > 4_000


def test_weights() -> None:
    assert [weight_of(kind) for kind in ("clearinghouseState", "orderStatus", "frontendOpenOrders", "meta")] == [
        2,
        2,
        20,
        20,
    ]
    assert [surcharge_of("userFillsByTime", rows) for rows in (0, 19, 20, 2000)] == [0, 0, 1, 100]
    assert surcharge_of("frontendOpenOrders", 100) == 0


def test_the_venues_own_count_of_actions() -> None:
    budget = AddressBudget(LocalCache(), "0xAB")
    assert budget.left() is None
    budget.told(5)
    assert budget.left() == 5


def test_a_look_is_told_when_the_whole_of_it_would_be_granted_and_takes_nothing() -> None:
    budget = IpBudget(LocalBudget(), "host")
    assert budget.wait_ms(42, Urgency.PROTECTIVE) == 0
    assert budget.reserve(1_180, Urgency.PROTECTIVE) == 0
    assert 900 <= budget.wait_ms(42, Urgency.PROTECTIVE) <= 1_100
    assert budget.wait_ms(42, Urgency.ORDINARY) > 15_000
    assert budget.wait_ms(15, Urgency.FOLLOWING) == 0
    assert budget.wait_ms(15, Urgency.PROTECTIVE) == 0
    assert budget.used() <= 1_180
