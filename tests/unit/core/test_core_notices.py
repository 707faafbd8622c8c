"""From journal lines to messages: what is told, when it is told again, how often, and what nothing may lose."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopkeeper.core.notices import LINES, MINUTE_MS, Message, Told, Wants, hear, speak

Line = tuple[str, dict[str, str]]
T0 = 1_790_000_000_000
NOTHING, NEW = Wants(), Told()
ALL = Wants(entries=True, exits=True, stop_moves=True)


def line(kind: str, at_ms: int = 0, symbol: str = "BTC", text: str = "why", **fields: str) -> Line:
    return f"{T0 + at_ms}-0", {"symbol": symbol, "kind": kind, "text": text, **fields}


def say(*lines: Line, wants: Wants = NOTHING, told: Told = NEW, now_ms: int = 0) -> tuple[Told, Message | None]:
    return speak(hear(told, "main", lines, wants), "main", T0 + now_ms, wants)


def texts(*lines: Line, wants: Wants = NOTHING) -> list[str]:
    """Return every line told where each journal line is polled by itself, a second after it was written."""
    told, found = Told(), list[str]()
    for each in lines:
        at_ms = int(each[0].partition("-")[0]) - T0
        told, message = say(each, wants=wants, told=told, now_ms=at_ms + 1_000)
        found += message.text.splitlines() if message else []
    return found


ALWAYS = ["naked", "barred", "blind", "orphan", "halt", "unsafe", "off", "feed", "price", "guardian", "newly_invented"]


@pytest.mark.parametrize("word", ALWAYS)
def test_every_alarm_is_told_though_nothing_is_wanted(word: str) -> None:
    _, message = say(line(f"alarm:{word}", text="main:BTC: it is so"))
    assert message == Message(f"Stopkeeper main: BTC {word}", f"BTC {word}: it is so", alarm=True)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        (line("found", text="no trade owns it: long 0.5"), "BTC found: no trade owns it: long 0.5"),
        (line("watermark", symbol="", text="time went back"), "watermark: time went back"),
        (line("switch", symbol="", text="halted: all is closed"), "halt: halted: all is closed"),
        (line("found", text="main:BTC: no trade owns it"), "BTC found: no trade owns it"),
        (line("switch", symbol="", text="paused: no new entries"), None),
        (line("switch", symbol="", text="resumed"), None),
        (line("Enter"), None),
        (line("booked"), None),
        (line("PlaceStop", moved_by="policy"), None),
        (line("refused"), None),
        (line("protected"), None),
        (line("again"), None),
    ],
)
def test_what_is_told_though_nothing_is_wanted(given_: Line, told: str | None) -> None:
    _, message = say(given_)
    assert (message and message.text) == told


@pytest.mark.parametrize(
    ("given_", "wants", "told"),
    [
        (line("Enter", text="entry accepted"), Wants(entries=True), "BTC entry: entry accepted"),
        (line("Enter", text="main:BTC: entry accepted"), Wants(entries=True), "BTC entry: entry accepted"),
        (line("booked", text="main: stop_loss at 1"), Wants(exits=True), "BTC exit: stop_loss at 1"),
        (
            line("PlaceStop", text="place stop", moved_by="person"),
            Wants(stop_moves=True),
            "BTC stop moved by person: place stop",
        ),
        (line("PlaceStop", text="place stop"), Wants(stop_moves=True), None),
        (line("Enter"), Wants(exits=True, stop_moves=True), None),
        (line("booked"), Wants(entries=True, stop_moves=True), None),
        (line("PlaceStop", moved_by="policy"), Wants(entries=True, exits=True), None),
    ],
)
def test_what_is_wanted_is_told_and_is_no_alarm(given_: Line, wants: Wants, told: str | None) -> None:
    _, message = say(given_, wants=wants)
    assert (message and message.text) == told
    assert message is None or not message.alarm


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "alarm:feed", "text": "the streams are gone"}, "feed: the streams are gone"),
        ({"kind": "alarm:naked", "symbol": "BTC"}, "BTC naked: "),
        ({"symbol": "BTC", "text": "whatever it was"}, None),
    ],
)
def test_a_line_that_lacks_a_field_silences_no_alarm(fields: dict[str, str], told: str | None) -> None:
    """A journal is read for as long as it is kept, and written by any version."""
    _, message = say((f"{T0}-0", fields), wants=ALL)
    assert (message and message.text) == told


def test_an_alarm_that_goes_on_is_told_once_and_again_after_the_time() -> None:
    wants = Wants(repeat_ms=5 * MINUTE_MS)
    lines = [line("alarm:naked", at_ms, text=str(at_ms)) for at_ms in range(0, 11 * MINUTE_MS, 30_000)]
    assert texts(*lines, wants=wants) == [
        "BTC naked: 0",
        "BTC naked: for 5 min now: 300000",
        "BTC naked: for 10 min now: 600000",
    ]


@pytest.mark.parametrize(("silent_ms", "told"), [(NOTHING.repeat_ms - 1, 1), (NOTHING.repeat_ms, 2)])
def test_an_alarm_that_was_silent_for_the_time_is_over(silent_ms: int, told: int) -> None:
    assert texts(line("alarm:naked"), line("alarm:naked", silent_ms)) == ["BTC naked: why"] * told


def test_what_is_told_again_goes_on_from_then() -> None:
    lines = [line("alarm:naked", minute * MINUTE_MS) for minute in (0, 8, 15, 24)]
    assert texts(*lines) == ["BTC naked: why", "BTC naked: for 15 min now: why"]


def test_alarms_of_another_symbol_or_kind_are_others() -> None:
    lines = [line("alarm:naked"), line("alarm:naked", 1, "ETH"), line("alarm:unsafe", 2), line("alarm:naked", 3)]
    assert texts(*lines) == ["BTC naked: why", "ETH naked: why", "BTC unsafe: why"]


@pytest.mark.parametrize(
    ("kind", "end", "again"),
    [
        ("naked", line("protected", 1_000), True),
        ("naked", line("booked", 1_000), True),
        ("naked", line("flat", 1_000), True),
        ("naked", line("protected", 1_000, "ETH"), False),
        ("naked", line("again", 1_000), False),
        ("orphan", line("protected", 1_000), False),
        ("orphan", line("flat", 1_000), True),
        ("blind", line("protected", 1_000), False),  # a venue that answers now and then is one alarm, not hundreds
        ("barred", line("protected", 1_000), False),
        ("barred", line("switch", 1_000, "", "resumed"), True),
        ("barred", line("switch", 1_000, "", "paused: no new entries"), False),
    ],
)
def test_what_was_over_is_told_anew(kind: str, end: Line, again: bool) -> None:
    told = texts(line(f"alarm:{kind}"), end, line(f"alarm:{kind}", 2_000, text="once more"))
    assert told == [f"BTC {kind}: why"] + ([f"BTC {kind}: once more"] if again else [])


def test_a_halt_is_told_again_after_a_resume() -> None:
    halt, resume = "halted: all is closed", "resumed"
    lines = [line("switch", at_ms, "", text) for at_ms, text in enumerate((halt, halt, resume, halt))]
    assert texts(*lines) == ["halt: halted: all is closed"] * 2


def test_news_of_one_poll_is_one_message_with_the_alarms_first() -> None:
    lines = [line("Enter", 0), line("alarm:naked", 1), line("booked", 2, "ETH"), line("found", 3, "SOL")]
    _, message = say(*lines, wants=ALL)
    assert message is not None
    assert message.title == "Stopkeeper main: 2 alarms"
    assert message.text.splitlines() == ["BTC naked: why", "SOL found: why", "BTC entry: why", "ETH exit: why"]


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        ([line("Enter")], "Stopkeeper main: BTC entry"),
        ([line("Enter"), line("booked")], "Stopkeeper main"),
        ([line("Enter"), line("booked"), line("alarm:naked")], "Stopkeeper main: BTC naked"),
    ],
)
def test_a_title_names_what_it_is_about_where_that_is_one_thing_or_an_alarm(lines: list[Line], title: str) -> None:
    _, message = say(*lines, wants=ALL)
    assert message is not None
    assert message.title == title


def test_what_does_not_fit_is_counted_in_one_line() -> None:
    lines = [line("Enter", at_ms) for at_ms in range(LINES + 14)]
    told, message = say(*lines, wants=ALL)
    assert message is not None
    assert message.text.splitlines()[-1] == "and 14 more lines; see stopkeeper journal"
    assert (told.waiting, told.held) == ((), 0)


def test_alarms_that_do_not_fit_come_with_the_next_message() -> None:
    lines = [line("alarm:naked", at_ms, f"COIN{at_ms}") for at_ms in range(LINES + 2)]
    told, first = say(*lines)
    _, second = say(told=told, now_ms=1_000)
    assert first is not None
    assert second is not None
    assert "more" not in first.text
    assert second.text.splitlines() == [f"COIN{LINES} naked: why", f"COIN{LINES + 1} naked: why"]


def test_wishes_leave_a_quarter_of_the_minute_to_alarms() -> None:
    wants, told, sent = replace(ALL, max_per_minute=8), Told(), Counter[str]()
    for second in range(50):
        told, message = say(line("Enter", second * 1_000), wants=wants, told=told, now_ms=second * 1_000)
        sent["wish"] += message is not None
    told, message = say(line("alarm:naked", 50_000), wants=wants, told=told, now_ms=50_000)
    assert sent["wish"] == 6
    assert message is not None
    assert message.title == "Stopkeeper main: BTC naked"
    assert message.text.splitlines()[-1] == "and 25 more lines; see stopkeeper journal"  # 6 + 19 told, of 50


def test_what_waits_for_the_next_minute_keeps_every_alarm_and_counts_wishes() -> None:
    wants = replace(ALL, max_per_minute=1)
    told, _ = say(line("alarm:blind"), wants=wants)
    wishes = [line("Enter", 1_000 + each) for each in range(LINES + 5)]
    alarms = [line("alarm:naked", 2_000 + each, f"COIN{each}") for each in range(LINES + 5)]
    told, message = say(*alarms, *wishes, wants=wants, told=told, now_ms=3_000)
    assert message is None
    assert told.held == 5
    told, first = say(wants=wants, told=told, now_ms=MINUTE_MS)
    told, second = say(wants=wants, told=told, now_ms=2 * MINUTE_MS)
    assert first is not None
    assert second is not None
    assert first.text.splitlines()[:LINES] == [f"COIN{each} naked: why" for each in range(LINES)]
    assert first.text.splitlines()[LINES:] == [f"and {LINES + 5} more lines; see stopkeeper journal"]
    assert second.text.splitlines() == [f"COIN{LINES + each} naked: why" for each in range(5)]


def test_one_a_minute_is_enough_for_wishes_too() -> None:
    _, message = say(line("Enter"), wants=replace(ALL, max_per_minute=1))
    assert message is not None


def test_messages_of_one_ms_count_each() -> None:
    wants = Wants(max_per_minute=1)
    told, _ = say(line("alarm:naked"), wants=wants)
    _, message = say(line("alarm:blind"), wants=wants, told=told)
    assert message is None


def test_no_message_is_remembered_for_longer_than_it_counts() -> None:
    told, message = say(line("alarm:naked"))
    assert message is not None
    assert [say(told=told, now_ms=now_ms)[0].sent_ms for now_ms in (MINUTE_MS - 1, MINUTE_MS)] == [(T0,), ()]


@pytest.mark.parametrize(
    ("age_ms", "told"), [(2 * MINUTE_MS, ""), (2 * MINUTE_MS + 1, " (2 min ago)"), (7 * MINUTE_MS, " (7 min ago)")]
)
def test_an_old_line_says_how_old_it_is(age_ms: int, told: str) -> None:
    _, message = say(line("alarm:naked"), now_ms=age_ms)
    assert message is not None
    assert message.text == f"BTC naked: why{told}"


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    wants = Wants(max_per_minute=1)
    told, _ = say(line("alarm:naked"), wants=wants, now_ms=3_600_000)
    _, message = say(line("alarm:blind"), wants=wants, told=told)
    assert message is not None


# --- the two laws, over any sequence -------------------------------------------------------------------------------

KINDS = ("alarm:naked", "alarm:blind", "alarm:barred", "found", "Enter", "booked", "PlaceStop", "protected", "flat")
EVENTS = st.lists(
    st.tuples(st.integers(0, 20_000), st.sampled_from(KINDS), st.sampled_from(("", "BTC", "ETH"))), max_size=80
)


@given(EVENTS, st.integers(1, 5), st.integers(1, 60))
def test_never_too_many_messages_and_no_first_alarm_lost(
    events: list[tuple[int, str, str]], most: int, poll_s: int
) -> None:
    wants = replace(ALL, max_per_minute=most)
    at_ms, lines = 0, []
    for number, (after_ms, kind, symbol) in enumerate(events):
        at_ms += after_ms
        lines.append(line(kind, at_ms, symbol, f"<{number}>", moved_by="policy"))
    sent, rest = list[tuple[int, str]](), lines
    told, now_ms = Told(), 0
    while rest or told.waiting:
        due = [each for each in rest if int(each[0].partition("-")[0]) <= T0 + now_ms]
        rest = rest[len(due) :]
        told, message = say(*due, wants=wants, told=told, now_ms=now_ms)
        if message is not None:
            sent.append((now_ms, message.text))
        now_ms += poll_s * 1_000
        assert now_ms <= at_ms + 100 * MINUTE_MS, "what waits is told in the end"
    for now, _ in sent:
        assert sum(1 for other, _ in sent if now - MINUTE_MS < other <= now) <= most
    everything = "\n".join(text for _, text in sent)
    firsts: dict[tuple[str, str], str] = {}
    for number, (_, kind, symbol) in enumerate(events):
        if kind.startswith("alarm:"):
            firsts.setdefault((symbol, kind), f"<{number}>")
        elif kind == "found":
            assert everything.count(f"<{number}>") == 1
    for token in firsts.values():
        assert everything.count(token) == 1


def test_the_end_of_a_missing_part_is_told_and_ends_its_alarm_of_every_symbol() -> None:
    lines = [line("alarm:barred", 1_000, "BTC", "no agent"), line("alarm:venue", 1_100, "", "does not answer")]
    told = hear(Told(), "main", [*lines, line("back:barred", 2_000, "", "main: key is there again")], Wants())
    assert [(each.kind, each.text) for each in told.waiting][-1] == ("back:barred", "key is there again")
    assert [each.kind for each in told.going] == ["venue"]
    again = hear(told, "main", [line("alarm:barred", 3_000, "BTC", "no agent")], Wants())
    assert [each.kind for each in again.waiting].count("barred") == 2, "it is news once more"
