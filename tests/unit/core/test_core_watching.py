"""Which price wakes a key, and how often: by table, and over time."""

from decimal import Decimal
from typing import Any

import pytest

from stopkeeper.core.model import Key, Side
from stopkeeper.core.outcomes import Accepted, Throttled
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.record import Goal, KeyRecord, StopSeen
from stopkeeper.core.watching import ENDED_MS, Watch, why_look
from tests.unit.core.scene import KEY, LAG, NOW, RULES, D, found_trade, held_trade, new_trade, record, sent

PAUSE, FRESH = 1_000, 2_000
STOP, TARGET, BEST = "the price is at the stop", "the price is at a target", "a new best price: the stop may follow"
BEYOND = "the price is beyond the stop"
TRAILS = Policy(Trail(TrailKind.PERCENT, D("0.02")))
AIMS = (Goal(D(110), D("0.5")), Goal(D(120), D("0.5")))

TRIED = (sent(Throttled("busy")), sent(Accepted("e1", D(1), D(100))))


def standing(wanted: str, seen: str) -> KeyRecord:
    return record(held_trade(stop=D(wanted), stop_seen=StopSeen("s1", D(seen), NOW)))


def short(**more: Any) -> KeyRecord:
    return record(held_trade(side=Side.SHORT, stop=D(105), targets=(Goal(D(90), D(1)),), **more))


@pytest.mark.parametrize(
    ("what", "rec", "mark", "why"),
    [
        ("no trade", record(), "1", None),
        ("not entered", record(new_trade(stop=D(95))), "1", None),
        ("flat already", record(held_trade(flat_since_ms=NOW, held=D(0))), "1", None),
        ("in between", record(held_trade(targets=AIMS)), "100", None),
        ("at the stop", record(held_trade()), "95", STOP),
        ("just above the stop", record(held_trade()), "95.01", None),
        ("far below the stop", record(held_trade()), "50", BEYOND),
        ("at the stop that stands, the wanted one is farther", standing("95", "97"), "97", STOP),
        ("at the wanted stop, another stands", standing("97", "95"), "97", STOP),
        ("at a stop that a person lifted", record(held_trade(off_until_ms=NOW + 60_000)), "90", None),
        ("beyond a target that was taken", record(held_trade(targets=AIMS, taken=D("0.5"))), "115", None),
        ("beyond the next target", record(held_trade(targets=AIMS, taken=D("0.5"))), "121", TARGET),
        ("no stop is known", record(held_trade(stop=None)), "1", None),
        ("at a target it is the venue's turn", record(held_trade(targets=AIMS)), "110", None),
        ("beyond a target", record(held_trade(targets=AIMS)), "110.01", TARGET),
        ("a new best price", record(held_trade(policy=TRAILS, peak=D(100))), "100.26", BEST),
        ("not a step better", record(held_trade(policy=TRAILS, peak=D(100))), "100.24", None),
        ("no best price yet", record(held_trade(policy=TRAILS)), "150", None),
        ("a new best price beyond a target", record(held_trade(policy=TRAILS, peak=D(100), targets=AIMS)), "111", BEST),
        ("a stop that does not move", record(held_trade(peak=D(100))), "150", None),
        ("refused first, then entered", record(held_trade(policy=TRAILS, peak=D(100), sent=TRIED)), "100.26", BEST),
        ("entered by a lost record", record(found_trade(policy=TRAILS, peak=D(100))), "100.26", BEST),
        ("entered nobody knows where", record(held_trade(policy=TRAILS, peak=D(100), sent=())), "150", None),
        ("short, in between", short(), "100", None),
        ("short, at the stop", short(), "105", STOP),
        ("short, beyond the target", short(), "89.99", TARGET),
        ("short, a new best price", short(policy=TRAILS, peak=D(100)), "99.74", BEST),
        ("short, not a step better", short(policy=TRAILS, peak=D(100)), "99.76", None),
    ],
)
def test_which_price_is_worth_a_look(what: str, rec: KeyRecord, mark: str, why: str | None) -> None:
    found = why_look(rec, D(mark), RULES)
    assert (found and found[0]) == why, what


def watch(*records: KeyRecord) -> Watch:
    made = Watch(RULES, PAUSE, LAG, FRESH)
    made.load(records)
    return made


def at(mark: str) -> dict[str, Decimal]:
    return {"BTC": D(mark), "ETH": D(1)}


def test_a_key_is_named_once_in_a_pause() -> None:
    seen = watch(record(held_trade()))
    moments = (0, 1, PAUSE - 1, PAUSE, PAUSE + 1, 2 * PAUSE)
    assert [len(seen.look_at(at("94"), ms)) for ms in moments] == [1, 0, 0, 1, 0, 0]


def test_for_the_same_level_a_key_is_named_ever_more_rarely_and_at_least_once_a_minute() -> None:
    seen = watch(record(held_trade()))
    named = [ms for ms in range(0, 200 * PAUSE, 100) if seen.look_at(at("94"), ms)]
    assert named[:6] == [0, 1_000, 3_000, 7_000, 15_000, 31_000]
    assert named[6:] == [63_000, 123_000, 183_000]


def test_a_new_level_is_named_after_one_pause_however_rare_the_old_one_was() -> None:
    seen = watch(record(held_trade(policy=TRAILS, peak=D(100))))
    for ms in range(0, 40 * PAUSE, PAUSE):
        seen.look_at(at("101"), ms)
    seen.load([record(held_trade(policy=TRAILS, peak=D(101)))])
    assert seen.look_at(at("101.5"), 40 * PAUSE) == [(KEY, BEST)]


def test_what_is_not_worth_a_look_spends_no_pause() -> None:
    seen = watch(record(held_trade()))
    assert seen.look_at(at("100"), 0) == []
    assert seen.look_at(at("94"), 1) == [(KEY, BEYOND)]


def test_beyond_a_target_the_stop_is_still_a_reason() -> None:
    seen = watch(record(held_trade(targets=AIMS, policy=TRAILS, peak=D(115))))
    assert seen.look_at(at("114"), 0) == [(KEY, TARGET)]
    assert seen.look_at(at("116"), PAUSE) == [(KEY, BEST)]
    assert seen.look_at(at("94"), 2 * PAUSE) == [(KEY, BEYOND)]


def test_before_records_are_loaded_nothing_is_worth_a_look() -> None:
    bare = Watch(RULES, PAUSE, LAG, FRESH)
    assert (bare.records, bare.look_at(at("94"), 0), bare.doubt("BTC", 0)) == ((), [], None)


def test_a_symbol_that_needs_no_look_hides_no_other() -> None:
    seen = watch(record(held_trade()))
    assert seen.look_at({"ETH": D(1)} | {"BTC": D(94)}, 0) == [(KEY, BEYOND)]


def test_for_another_reason_a_key_is_named_after_a_pause() -> None:
    seen = watch(record(held_trade()))
    assert seen.doubt("BTC", NOW) == KEY
    assert [seen.look_at(at("94"), NOW + ms) for ms in (PAUSE - 1, PAUSE)] == [[], [(KEY, BEYOND)]]


def test_a_price_that_came_far_off_is_asked_for() -> None:
    seen = watch(record(held_trade()))
    assert seen.doubt("ETH", 0) is None
    assert seen.doubt("BTC", 0) == KEY
    assert seen.doubt("BTC", PAUSE - 1) is None
    assert seen.look_at(at("94"), PAUSE - 1) == [], "it was named a moment ago, and looks at all of it"
    assert seen.doubt("BTC", PAUSE) == KEY
    assert seen.doubt("BTC", 2 * PAUSE) is None, "nothing came of it twice"
    assert watch(record()).doubt("BTC", 0) is None


def test_records_are_those_of_the_last_load() -> None:
    seen = watch(record(held_trade()))
    other = KeyRecord(Key("main", "SOL"))
    seen.load([other])
    assert seen.records == (other,)
    assert seen.look_at(at("94"), 0) == []


def test_what_protects_nothing_waits_while_looks_are_short() -> None:
    seen = watch(record(held_trade(policy=TRAILS, peak=D(100))))
    asked: list[None] = []

    def short() -> bool:
        asked.append(None)
        return False

    assert seen.look_at(at("100"), 0, short) == []
    assert asked == [], "it is asked only where a look would be spent"
    assert seen.look_at(at("110"), 0, short) == []
    assert seen.look_at(at("94"), 0, short) == [(KEY, BEYOND)]
    assert seen.look_at(at("110"), PAUSE, lambda: True) == [(KEY, BEST)]


SHOWN_MS = LAG + ENDED_MS


def free() -> bool:
    return True


def test_what_happened_is_looked_at_once_more_when_every_view_shows_it() -> None:
    seen = watch()
    seen.happened("BTC", 0)
    seen.happened("ETH", 100)
    assert seen.again(SHOWN_MS - 1, free) == []
    assert seen.again(SHOWN_MS, free) == ["BTC"]
    assert seen.again(SHOWN_MS + 99, free) == [], "each once"
    seen.happened("ETH", 200)
    assert seen.again(SHOWN_MS + 199, free) == [], "the last event counts: the look it woke was the last"
    assert seen.again(SHOWN_MS + 200, free) == ["ETH"]


def test_where_no_look_can_be_spared_it_is_woken_twice_and_no_more() -> None:
    seen = watch()
    seen.happened("BTC", 0)
    assert seen.again(SHOWN_MS, lambda: False) == ["BTC"]
    assert seen.again(SHOWN_MS + FRESH - 1, lambda: False) == []
    assert seen.again(SHOWN_MS + FRESH, lambda: False) == ["BTC"]
    assert seen.again(SHOWN_MS + 9 * FRESH, lambda: False) == []


def test_who_is_woken_twice_takes_no_other_out_of_turn() -> None:
    seen = watch()
    seen.happened("BTC", 0)
    seen.happened("ETH", 1)
    assert seen.again(SHOWN_MS, lambda: False) == ["BTC"]
    assert seen.again(SHOWN_MS + 1, free) == ["ETH"]
    assert seen.again(SHOWN_MS + FRESH, free) == ["BTC"]


def test_whether_a_look_can_be_spared_is_asked_only_where_one_is_due() -> None:
    def spare() -> bool:
        raise AssertionError

    seen = watch(record(held_trade()))
    seen.happened("BTC", 0)
    seen.load(())
    assert seen.again(SHOWN_MS, spare) == []


@pytest.mark.parametrize(
    ("what", "before", "after", "named"),
    [
        ("nobody's", (), (), True),
        ("a trade that rests", (record(held_trade()),), (record(held_trade()),), True),
        ("a trade that began since", (), (record(held_trade()),), True),
        ("a trade that has ended since", (record(held_trade()),), (), False),
        ("its record is all that is left", (record(held_trade()),), (record(),), False),
        ("a record without a trade", (record(),), (), True),
        ("one that is flat", (record(held_trade()),), (record(held_trade(flat_since_ms=NOW)),), False),
        ("one that is naked", (record(held_trade()),), (record(held_trade(naked_since_ms=NOW)),), False),
    ],
)
def test_what_is_looked_at_in_any_case_is_not_named_for_an_event(
    what: str, before: tuple[KeyRecord, ...], after: tuple[KeyRecord, ...], *, named: bool
) -> None:
    seen = watch(*before)
    seen.happened("BTC", 0)
    seen.load(after)
    assert seen.again(SHOWN_MS, free) == (["BTC"] if named else []), what
