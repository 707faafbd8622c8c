"""The watch over an account's parts: a gap is told once and its end once; a key is asked for at a pace of its own."""

from dataclasses import replace

import pytest

from stopkeeper.core.actions import Field
from stopkeeper.core.missing import PATIENCE_MS, Clock, Part, Processes, Silence
from stopkeeper.core.model import AccountSeen, Holdings, Known
from stopkeeper.core.outcomes import Accepted, Barred, Throttled, Unknown
from stopkeeper.engine.ports import Permit, Urgency
from stopkeeper.engine.vigil import (
    KEY_MS,
    OF_FEEDS,
    OF_WORKERS,
    PROOF_MS,
    UNLISTED_MS,
    ask_key,
    facts,
    keep,
    missing,
    watch,
)
from tests.unit.core.scene import NOW
from tests.unit.engine.scene import TIMES, Stage

BARRED = Barred("agent expired")


def heard() -> Stage:
    """Return a stage whose streams live."""
    stage = Stage()
    stage.other.prices.hear("main")
    return stage


def shut() -> Stage:
    """Return a stage whose venue refuses the key."""
    stage = heard()
    stage.other.flags.change("main", barred="agent expired")
    return stage


# --- what is known ---------------------------------------------------------------------------------------------


def test_what_this_process_and_the_store_know_is_gathered_and_the_venue_is_not_asked() -> None:
    stage = shut()
    stage.venue.quiet, stage.venue.out_of = Silence("no answer", 700), "weight"
    stage.venue.offset_age_ms, stage.venue.apart_ms = 1_234, 5
    stage.other.looks.save("main", AccountSeen(holdings=Known(Holdings({}, stage.venue.funds), NOW)))
    stage.other.gaps.lack("main", Part.BUDGET, 0)
    stage.now += 300
    known = facts(stage.ports, Processes(42))
    assert known.silence == Silence("no answer", 700)
    assert known.read_ms == 300
    assert known.clock == Clock(1_234, 5)
    assert (known.short, known.barred) == ("weight", "agent expired")
    assert (known.heard_ms, known.processes.beat_ms) == (300, 42)
    assert known.noted_ms == {Part.BUDGET: 300}
    assert known.sweep_ms == TIMES.sweep_ms
    assert stage.reads() == []


def test_what_was_never_read_has_no_age() -> None:
    stage = Stage()
    stage.other.looks.save("main", AccountSeen(orders=Known((), NOW)))
    assert facts(stage.ports, Processes()).read_ms is None
    assert Field.HOLDINGS not in stage.other.looks.load("main")[1]


def test_what_is_missing_is_listed_with_since_when_and_not_noted() -> None:
    stage = shut()
    stage.other.gaps.lack("main", Part.KEY, 0)
    stage.now += 700
    lacks = missing(stage.ports, Processes(20_000))
    assert [(lack.part, lack.for_ms) for lack in lacks] == [(Part.KEY, 700), (Part.BEAT, None)]
    assert "agent expired" in lacks[0].text
    assert set(stage.other.gaps.lacking("main")) == {Part.KEY}
    assert stage.kinds() == []


def test_a_beat_that_was_heard_of_lately_is_not_missing() -> None:
    assert missing(heard().ports, Processes(1_000)) == ()


def test_workers_that_live_and_carry_nothing_out_are_missed_by_the_accounts_own_period() -> None:
    stage = heard()
    stage.ports = replace(stage.ports, times=replace(TIMES, sweep_ms=20_000))
    assert missing(stage.ports, Processes(1_000, 3, "", 59_999)) == ()
    assert [lack.part for lack in missing(stage.ports, Processes(1_000, 3, "", 60_000))] == [Part.WORKER]


# --- telling ---------------------------------------------------------------------------------------------------


def test_a_gap_is_told_once_and_its_end_once() -> None:
    stage = shut()
    for _ in range(3):
        watch(stage.ports, OF_WORKERS)
        stage.now += 1_000
    stage.other.prices.hear("main")
    stage.other.flags.change("main", barred="")
    for _ in range(2):
        watch(stage.ports, OF_WORKERS)
    assert [(line["symbol"], line["kind"]) for line in stage.lines()] == [("", "alarm:barred"), ("", "back:barred")]
    told, back = stage.lines()
    assert "main" in told["text"]
    assert "agent expired" in told["text"]
    assert "main" in back["text"]
    assert " 3 s" in back["text"]


@pytest.mark.parametrize("part", [Part.STREAMS, Part.BUDGET])
def test_a_gap_is_told_when_it_has_lasted_for_as_long_as_is_everyday(part: Part) -> None:
    stage = heard()
    if part is Part.BUDGET:
        stage.venue.out_of = "weight"
    else:
        stage.now += 6_000
    watch(stage.ports, OF_WORKERS)
    stage.now += PATIENCE_MS[part] - 1
    watch(stage.ports, {part})
    assert stage.kinds() == []
    stage.now += 1
    watch(stage.ports, {part})
    assert stage.kinds() == [f"alarm:{part}"]


def test_a_gap_that_was_told_to_nobody_is_not_told_to_have_ended() -> None:
    stage = heard()
    stage.venue.out_of = "weight"
    watch(stage.ports, OF_WORKERS)
    stage.venue.out_of = ""
    watch(stage.ports, OF_WORKERS)
    assert stage.kinds() == []


def test_who_does_not_watch_a_part_neither_notes_its_gap_nor_its_end() -> None:
    stage = shut()
    watch(stage.ports, OF_FEEDS, Processes(1_000))
    assert stage.other.gaps.lacking("main") == {}, "the beat was heard of, the key is another's to watch"
    watch(stage.ports, OF_WORKERS)
    stage.other.flags.change("main", barred="")
    watch(stage.ports, OF_FEEDS, Processes(1_000))
    assert stage.kinds() == ["alarm:barred"]


def test_parts_beside_one_that_is_not_watched_are_watched() -> None:
    stage = Stage()
    watch(stage.ports, OF_FEEDS, Processes(20_000))
    assert set(stage.other.gaps.lacking("main")) == {Part.STREAMS, Part.BEAT}


def test_without_a_beat_it_counts_as_missing() -> None:
    stage = heard()
    watch(stage.ports, OF_FEEDS)
    assert set(stage.other.gaps.lacking("main")) == {Part.BEAT}


def test_a_list_of_perpetuals_that_nobody_has_is_an_alarm() -> None:
    stage = heard()
    known = dict(stage.venue.listed)
    stage.venue.listed.clear()
    for _ in range(2):
        watch(stage.ports, OF_WORKERS)
        stage.now += PATIENCE_MS[Part.VENUE]
    watch(stage.ports, OF_WORKERS)
    assert [line["kind"] for line in stage.lines() if "perpetuals" in line["text"]] == ["alarm:venue"]
    stage.venue.listed = known
    stage.ports.looks.save("main", AccountSeen(holdings=stage.venue.holdings(Urgency.ORDINARY)))
    watch(stage.ports, OF_WORKERS)
    assert stage.kinds()[-1] == "back:venue"


def test_a_feed_misses_workers_and_tells_of_it_once() -> None:
    stage = heard()
    for _ in range(2):
        watch(stage.ports, OF_FEEDS, Processes(20_000, 0))
        stage.now += 10_000
    stage.other.prices.hear("main")
    watch(stage.ports, OF_FEEDS, Processes(20_000, 0))
    stage.other.gaps.back("main", Part.STREAMS)
    assert set(stage.other.gaps.lacking("main")) == {Part.WORKER}, "not of beat, whose ticks they carry out"
    assert [line["kind"] for line in stage.lines() if "worker" in line["kind"]] == ["alarm:worker"]
    assert [lack.part for lack in missing(stage.ports, Processes(20_000, 0))] == [Part.WORKER]


def test_workers_watch_all_but_the_beat_and_feeds_what_they_hear() -> None:
    stage = shut()
    keep(stage.ports)
    assert not {Part.BEAT, Part.WORKER} & set(stage.other.gaps.lacking("main"))
    assert stage.kinds() == ["alarm:barred", "switch"], "and ask for the key"


# --- the key ---------------------------------------------------------------------------------------------------


def test_a_bar_is_lifted_once_the_venue_takes_the_key_again() -> None:
    stage = shut()
    ask_key(stage.ports)
    assert stage.other.flags.read("main").barred == ""
    (line,) = stage.lines()
    assert (line["symbol"], line["kind"]) == ("", "switch")
    assert line["text"]


@pytest.mark.parametrize("answer", [BARRED, Unknown("no answer")])
def test_a_bar_stands_while_the_venue_does_not_take_the_key(answer: Barred | Unknown) -> None:
    stage = shut()
    stage.answers("venue.prove", answer)
    ask_key(stage.ports)
    assert stage.other.flags.read("main").barred == "agent expired"
    assert stage.lines() == []


def test_a_bar_stands_while_the_budget_grants_no_proof() -> None:
    stage = shut()
    stage.answers("venue.permit", Throttled("own rate budget"))
    ask_key(stage.ports)
    assert stage.sent() == []
    assert stage.other.flags.read("main").barred == "agent expired"


def test_a_proof_is_sent_like_anything_that_protects() -> None:
    stage = shut()
    stage.answers("venue.permit", Permit(7, NOW + 1))
    ask_key(stage.ports)
    (asked,) = stage.done("venue.permit")
    assert (asked["urgency"], asked["until_ms"]) == (Urgency.PROTECTIVE, NOW + TIMES.deadline_ms)
    (call,) = stage.done("venue.prove")
    assert call["permit"] == Permit(7, NOW + 1)


@pytest.mark.parametrize(("later_ms", "count"), [(PROOF_MS - 1, 1), (PROOF_MS, 2)])
def test_a_venue_that_bars_is_asked_at_a_pace_by_whoever_asks(later_ms: int, count: int) -> None:
    stage = shut()
    stage.answers("venue.prove", BARRED, BARRED)
    ask_key(stage.ports)
    stage.now += later_ms
    ask_key(stage.ports)
    assert stage.sent() == ["prove"] * count
    assert stage.done("venue.key_trouble") == [], "it is known to be barred"


def test_a_key_that_the_venue_lists_is_not_tried() -> None:
    stage = Stage()
    ask_key(stage.ports)
    assert len(stage.done("venue.key_trouble")) == 1
    assert stage.sent() == []


@pytest.mark.parametrize(("later_ms", "count"), [(KEY_MS - 1, 1), (KEY_MS, 2)])
def test_the_venue_is_asked_for_its_keys_at_a_pace(later_ms: int, count: int) -> None:
    stage = Stage()
    ask_key(stage.ports)
    stage.now += later_ms
    ask_key(stage.ports)
    assert len(stage.done("venue.key_trouble")) == count


def test_a_key_that_is_not_listed_and_not_taken_bars_the_account() -> None:
    stage = Stage()
    stage.venue.trouble = "not listed"
    stage.answers("venue.prove", BARRED)
    ask_key(stage.ports)
    assert stage.other.flags.read("main").barred == "agent expired"


@pytest.mark.parametrize("answer", [Accepted(), Unknown("no answer")])
def test_a_key_that_is_not_listed_is_not_barred_for_that_alone(answer: Accepted | Unknown) -> None:
    stage = Stage()
    stage.venue.trouble = "not listed"
    stage.answers("venue.prove", answer)
    ask_key(stage.ports)
    assert stage.other.flags.read("main").barred == ""
    assert stage.lines() == []


@pytest.mark.parametrize(("later_ms", "count"), [(UNLISTED_MS - 1, 1), (UNLISTED_MS, 2)])
def test_a_key_that_is_not_listed_is_tried_at_a_pace(later_ms: int, count: int) -> None:
    stage = Stage()
    stage.venue.trouble = "not listed"
    ask_key(stage.ports)
    stage.now += later_ms
    ask_key(stage.ports)
    assert stage.sent() == ["prove"] * count


def test_each_account_has_a_pace_of_its_own() -> None:
    stage = shut()
    stage.other.flags.change("other", barred="agent expired")
    ask_key(stage.ports)
    ask_key(replace(stage.ports, account="other"))
    assert stage.sent() == ["prove"] * 2
    assert stage.other.flags.read("other").barred == ""
    stage.venue.trouble = "not listed"
    stage.calls.clear()
    ask_key(stage.ports)
    ask_key(replace(stage.ports, account="other"))
    assert len(stage.done("venue.key_trouble")) == 2
    assert stage.sent() == ["prove"] * 2


def test_each_pace_is_of_one_question() -> None:
    stage = shut()
    stage.venue.trouble = "not listed"
    ask_key(stage.ports)
    ask_key(stage.ports)
    assert stage.sent() == ["prove"] * 2
