"""Looks are shared by those who asked before one began, and by nobody else."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from stopkeeper.core.actions import ALL_FIELDS, Field
from stopkeeper.engine.lookout import Lookout

H = frozenset({Field.HOLDINGS})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopkeeper.engine.lookout.PATIENCE_S", 0.005)


class Venue:
    """Counts looks; each waits until it is let go."""

    def __init__(self) -> None:
        self.looks: list[frozenset[Field]] = []
        self.began, self.go = Event(), Event()

    def read(self, fields: frozenset[Field]) -> int:
        self.looks.append(fields)
        number = len(self.looks)
        self.began.set()
        assert self.go.wait(5)
        return number


def test_who_asks_while_a_look_is_under_way_gets_the_next_one_together() -> None:
    lookout, venue = Lookout(), Venue()
    later = []
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(lookout.share, "urgent", H, venue.read, lambda: None)
        assert venue.began.wait(5)
        for fields in (H, *(frozenset({each}) for each in Field if each in ALL_FIELDS), H, H):
            beat = Event()
            later.append(pool.submit(lookout.share, "urgent", fields, venue.read, beat.set))
            assert beat.wait(5), "who waits looks after its lease"
        venue.go.set()
        assert first.result(5) == 1
        assert {each.result(5) for each in later} == {2}
    assert venue.looks == [H, ALL_FIELDS], "one look at all that was asked for"


def test_two_who_ask_for_the_same_share_one_look() -> None:
    lookout, venue = Lookout(), Venue()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(lookout.share, "urgent", H, venue.read, lambda: None)
        assert venue.began.wait(5)
        beats = [Event(), Event()]
        later = [pool.submit(lookout.share, "urgent", H, venue.read, beat.set) for beat in beats]
        assert all(beat.wait(5) for beat in beats)
        venue.go.set()
        assert [first.result(5), *(each.result(5) for each in later)] == [1, 2, 2]
    assert venue.looks == [H, H]


def test_a_look_that_began_before_the_question_answers_nobody() -> None:
    lookout, venue = Lookout(), Venue()
    venue.go.set()
    assert [lookout.share("urgent", H, venue.read, lambda: None) for _ in range(3)] == [1, 2, 3]


def test_lanes_do_not_answer_for_each_other() -> None:
    lookout, venue = Lookout(), Venue()
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(lookout.share, "urgent", H, venue.read, lambda: None)
        assert venue.began.wait(5)
        venue.began.clear()
        other = pool.submit(lookout.share, "ordinary", H, venue.read, lambda: None)
        assert venue.began.wait(5), "it does not wait for the urgent one"
        venue.go.set()
        assert {one.result(5), other.result(5)} == {1, 2}


def test_a_look_that_fails_fails_for_one_and_the_next_asks_again() -> None:
    lookout, began, go = Lookout(), Event(), Event()

    def fail(_fields: frozenset[Field]) -> int:
        began.set()
        assert go.wait(5)
        raise ConnectionError

    waiting = Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lookout.share, "urgent", H, fail, lambda: None)
        assert began.wait(5)
        second = pool.submit(lookout.share, "urgent", ALL_FIELDS, lambda _fields: 7, waiting.set)
        assert waiting.wait(5)
        go.set()
        with pytest.raises(ConnectionError):
            first.result(5)
        assert second.result(5) == 7
