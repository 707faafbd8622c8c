"""Single scenes on real processes, a symbol each, judged by the witness: how long was it naked, was it closed?

They are what longer runs of chaos found, each alone and with nothing else in its way.
"""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.chaos.launch import running
from tests.chaos.stack import Stack

HUNG_S = 20.0  # a lease of 10 s, a claim of 5 s, and time to act


@dataclass
class Seen:
    """What the witness saw."""

    naked_ms: dict[str, float]
    held: dict[str, float]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Play the scenes; the last two while the worker of the urgent queue hangs."""
    with running(tmp_path_factory.mktemp("scenes"), seed=1) as stack:
        for symbol in ("BTC", "ETH", "SOL"):
            stack.signal(symbol, "long", notional="300", stop="2%", signal_id=f"scene-{symbol}")
        assert _until(lambda: len(stack.held()) == 3, 20)
        time.sleep(3.2)  # longer than the venue's lag: what was placed is old
        _young_stop(stack)
        assert stack.strike("urgent-1", signal.SIGSTOP)
        try:
            stack.ask("close", "main", "BTC")
            stack.fault("refuse_stop", "ETH", text="Order could not be placed. asset=1")
            assert stack.hand(symbol="ETH", cancel="stops")
            _until(lambda: "BTC" not in stack.held() and not _naked(stack, "ETH"), HUNG_S)
            yield Seen({symbol: book["naked_ms"] for symbol, book in stack.witness().items()}, stack.held())
        finally:
            stack.strike("urgent-1", signal.SIGCONT)


def _young_stop(stack: Stack) -> None:
    """The stop of SOL is canceled, and the one that replaces it too, a second after it came."""
    for pause in (1.0, 0.0):
        assert stack.hand(symbol="SOL", cancel="stops")
        assert _until(lambda: not _naked(stack, "SOL"), 6)
        time.sleep(pause)


def _naked(stack: Stack, symbol: str) -> bool:
    return any(each["to_ms"] is None for each in stack.witness()[symbol]["naked_intervals"])


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def test_a_stop_canceled_a_second_after_it_was_seen_is_replaced_as_fast_as_an_old_one(seen: Seen) -> None:
    """`Case.unseen` waits for a stop that was seen live as if it had never been shown, for the whole lag of 3 s."""
    assert seen.naked_ms["SOL"] < 1_500


def test_a_close_does_not_wait_for_a_worker_that_hangs(seen: Seen) -> None:
    """A key that somebody asked to close is published to the urgent queue alone, which one process takes from."""
    assert "BTC" not in seen.held


def test_a_naked_position_does_not_wait_for_a_worker_that_hangs(seen: Seen) -> None:
    """So is a naked one, from its first refused stop on."""
    assert seen.naked_ms["ETH"] < 15_000
