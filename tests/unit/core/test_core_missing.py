"""What counts as missing, in tables: the word of the facts, and that nobody says more than it saw."""

from dataclasses import replace

import pytest

from stopkeeper.core.missing import APART_MS, KINDS, Clock, Facts, Part, Processes, Silence, clock_trouble, judge
from stopkeeper.core.rules import Rules

RULES = Rules()
WELL = Facts(
    silence=None, read_ms=1_500, clock=Clock(800, -20), short="", barred="", heard_ms=900, noted_ms={},
    processes=Processes(700, 3, ""),
)  # fmt: skip
TIMEOUT = Silence("RequestTimeout", 200)


def test_of_what_is_there_nothing_is_said() -> None:
    assert judge(WELL, RULES) == dict.fromkeys(Part, "")


@pytest.mark.parametrize(
    ("part", "facts", "words"),
    [
        (Part.VENUE, replace(WELL, silence=TIMEOUT), ("RequestTimeout", "last read 1 s ago", "entries wait")),
        (Part.VENUE, replace(WELL, silence=TIMEOUT, read_ms=None), ("does not answer (RequestTimeout)",)),
        (Part.VENUE, replace(WELL, listed=False), ("list of perpetuals could not be read", "entries wait")),
        (Part.KEY, replace(WELL, barred="no such agent"), ("no such agent", "private_key_file", "by itself")),
        (Part.CLOCK, replace(WELL, clock=Clock(None, 5, doubted=True)), ("contradicts", "protection goes on")),
        (Part.CLOCK, replace(WELL, clock=Clock(61_000, 5), silence=Silence("x", 60_999)), ("is 61 s old",)),
        (Part.CLOCK, replace(WELL, clock=Clock(5, 3_600_000)), ("3600 s behind the venue's",)),
        (Part.CLOCK, replace(WELL, clock=Clock(5, -90_000)), ("90 s ahead of the venue's",)),
        (Part.BUDGET, replace(WELL, short="950 of 1200 spent"), ("950 of 1200 spent", "a share of its own")),
        (Part.STREAMS, replace(WELL, heard_ms=5_000), ("silent for 5 s", "stopkeeper feed")),
        (Part.STREAMS, replace(WELL, heard_ms=None), ("never heard",)),
        (Part.BEAT, replace(WELL, processes=Processes(10_000)), ("10 s ago", "ticker", "stopkeeper beat")),
        (Part.BEAT, replace(WELL, processes=Processes(None)), ("none was ever heard of",)),
        (
            Part.WORKER,
            replace(WELL, processes=Processes(700, 0)),
            ("no worker is heard of", "nothing is", "stopkeeper worker"),
        ),
        (Part.WORKER, replace(WELL, processes=Processes(60_000, 0)), ("only stops at the venue stand",)),
        (
            Part.WORKER,
            replace(WELL, processes=Processes(60_000, 3, "", 45_000)),
            ("3 worker processes live", "carried anything out for 45 s", "only stops at the venue stand", "restart"),
        ),
        (Part.WORKER, replace(WELL, processes=Processes(60_000, 3, "", 60_000), sweep_ms=20_000), ("for 60 s",)),
        (Part.HOSTS, replace(WELL, processes=Processes(700, 3, "a +0.0 s, b +6.0 s")), ("b +6.0 s", "NTP")),
    ],
)
def test_what_is_missing_is_said_alone(part: Part, facts: Facts, words: tuple[str, ...]) -> None:
    found = judge(facts, RULES)
    assert {each for each, text in found.items() if text} == {part}
    assert all(word in found[part] for word in words), found[part]


def test_who_did_not_ask_for_workers_says_nothing_of_them() -> None:
    assert not {Part.WORKER, Part.HOSTS} & set(judge(replace(WELL, processes=Processes(700, None)), RULES))
    assert judge(replace(WELL, processes=Processes(60_000, None)), RULES)[Part.BEAT] != ""


def test_without_a_worker_nobody_can_tell_whether_beat_ticks() -> None:
    assert Part.BEAT not in judge(replace(WELL, processes=Processes(60_000, 0)), RULES)


@pytest.mark.parametrize("idle_ms", [44_999, None])
def test_workers_that_carried_something_out_or_of_which_nobody_can_tell_are_there(idle_ms: int | None) -> None:
    found = judge(replace(WELL, processes=Processes(60_000, 3, "", idle_ms)), RULES)
    assert found[Part.WORKER] == ""
    assert "no tick of the clock" in found[Part.BEAT]


def test_of_beat_nothing_is_said_while_workers_carry_nothing_out() -> None:
    assert Part.BEAT not in judge(replace(WELL, processes=Processes(60_000, 3, "", 45_000)), RULES)


def test_the_newest_word_about_the_venue_counts() -> None:
    assert judge(replace(WELL, silence=Silence("lost", 1_500)), RULES)[Part.VENUE] == "", "somebody has read it since"
    assert judge(replace(WELL, silence=Silence("lost", 1_499)), RULES)[Part.VENUE] != ""


def test_who_may_not_ask_says_nothing_of_the_venue() -> None:
    assert judge(replace(WELL, silence=TIMEOUT, short="all spent"), RULES)[Part.VENUE] == ""


@pytest.mark.parametrize(
    ("silence", "clock", "tells"),
    [
        (None, Clock(15_000, 90_000), True),
        (None, Clock(15_001, 90_000), False),
        (None, Clock(61_000), False),
        (Silence("x", 61_000), Clock(61_000), False),
        (Silence("x", 60_999), Clock(61_000), True),
        (Silence("x", 1), Clock(None), False),
        (None, Clock(None, doubted=True), True),
        (None, Clock(61_000, doubted=True), True),
    ],
)
def test_a_process_that_asked_the_venue_nothing_tells_no_trouble_of_its_clock(
    silence: Silence | None, clock: Clock, *, tells: bool
) -> None:
    """Of several workers one may have nothing to do for a minute: it measures the time with its next question."""
    assert (Part.CLOCK in judge(replace(WELL, silence=silence, clock=clock), RULES)) is tells


def test_without_beat_and_feed_nobody_is_said_to_stand_in() -> None:
    gone = replace(WELL, processes=Processes(20_000, 3, ""))
    assert "ticker drains and sweeps instead" in judge(gone, RULES)[Part.BEAT]
    assert "no feed is heard that would drain" in judge(replace(gone, heard_ms=60_000), RULES)[Part.BEAT]


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        (Part.VENUE, replace(WELL, read_ms=3_000)),
        (Part.VENUE, replace(WELL, read_ms=4_000)),
        (Part.VENUE, replace(WELL, read_ms=None)),
        (Part.CLOCK, replace(WELL, clock=Clock(3_000))),
        (Part.CLOCK, replace(WELL, clock=Clock(4_000))),
        (Part.CLOCK, replace(WELL, clock=Clock(None))),
    ],
)
def test_a_process_that_saw_nothing_since_does_not_say_that_it_is_back(part: Part, facts: Facts) -> None:
    noted = replace(facts, noted_ms={part: 3_000})
    assert part not in judge(noted, RULES)
    assert judge(replace(WELL, noted_ms={part: 3_000}), RULES)[part] == "", "one that saw it since does"


def test_entries_wait_for_a_clock_that_was_never_measured() -> None:
    assert "never measured" in clock_trouble(Clock(None), RULES)
    assert clock_trouble(Clock(RULES.offset_max_age_ms, APART_MS), RULES) == ""


def test_a_bar_is_told_under_the_name_drives_give_it() -> None:
    assert KINDS[Part.KEY] == "barred"
    assert KINDS[Part.VENUE] == "venue"
