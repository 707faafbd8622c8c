"""Fault 5: the flow that confirmed an entry held the order lock and called the fill handler, which takes it again."""

from threading import Event, Thread
from typing import Any

import pytest

from stopkeeper.core.actions import Rest, RestKind
from stopkeeper.engine.drive import drive
from stopkeeper.engine.ports import Reentered
from tests.audit.promise import SIZES, ends, kept, over

LOST = "the drive waits for itself and never ends"


@pytest.mark.parametrize("symbol", SIZES)
@pytest.mark.parametrize("answer", ["an ack", "a look"])
def test_an_entry_is_confirmed_and_its_fill_handled_in_one_drive(market, symbol, answer):
    """Lost: ETH entered, the fill was confirmed, and the executor hung: no stop, no watching, no exit."""
    if answer == "a look":
        market.fault("drop_answer", "entry")
    market.submit(symbol, size=SIZES[symbol])
    end = ends(lambda: drive(market.key(symbol), market.ports), f"{symbol}: {LOST}")
    assert isinstance(end, Rest), end
    assert end.kind is RestKind.PROTECTED
    kept(market, symbol)


def test_a_drive_from_within_a_drive_is_refused_and_the_key_goes_on(market, monkeypatch):
    """Lost: a lock that is not reentrant waits for its own holder; the position is there, and the engine is not."""
    write, journal = market.ports.journal.write, market.ports.journal

    def writes(account: str, symbol: str, kind: str, text: str, **fields: Any) -> None:
        write(account, symbol, kind, text, **fields)
        if kind == "Enter":
            drive(market.key(), market.ports)

    market.submit()
    with monkeypatch.context() as patch:
        patch.setattr(journal, "write", writes)
        end = ends(lambda: drive(market.key(), market.ports), LOST)
    assert isinstance(end, Reentered), end
    market.until_phase("protected")
    market.until(lambda: market.ports.records.load(market.key()).trade.entered_ms is not None)
    kept(market)


def test_who_finds_a_key_taken_leaves_and_does_not_wait(market, monkeypatch):
    """Lost: while one flow hung in the lock, every other that needed it hung behind it."""
    venue, inside, go = market.ports.venue, Event(), Event()
    enter = venue.enter

    def enters(*args: Any) -> Any:
        inside.set()
        assert go.wait(10)
        return enter(*args)

    market.submit()
    monkeypatch.setattr(venue, "enter", enters)
    first = Thread(target=drive, args=(market.key(), market.ports), daemon=True)
    first.start()
    try:
        assert inside.wait(5)
        assert ends(lambda: drive(market.key(), market.ports), LOST) is None
    finally:
        go.set()
        first.join(5)
    market.until_phase("protected")
    kept(market)


def test_a_fill_told_of_in_the_middle_of_a_drive_is_handled_after_it(market, monkeypatch):
    """Lost: what came while the lock was held was to be handled under it, by a handler that could not get it."""
    send = market.ports.venue.enter

    def enters(*args: Any) -> Any:
        answer = send(*args)
        market.ports.wakes.wake(market.key(), "a fill")
        return answer

    monkeypatch.setattr(market.ports.venue, "enter", enters)
    market.submit(time_limit="1ms")
    assert not isinstance(ends(lambda: drive(market.key(), market.ports), LOST), Exception)
    over(market, "time_limit")
