"""What a look reads and what it takes from others, what a first look asks for, and what is added for one key."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from stopkeeper.core.actions import ALL_FIELDS, Field
from stopkeeper.core.model import (
    AccountSeen,
    Candle,
    FillPage,
    History,
    Holdings,
    Known,
    Lookup,
    Order,
    OrderKind,
    Resting,
    Role,
    Seen,
    Side,
)
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import CloseAsk, KeyRecord, Outstanding
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.engine import observe
from stopkeeper.engine.ports import Urgency
from tests.unit.core.scene import (
    INST,
    NOW,
    cid,
    found_trade,
    held_trade,
    new_trade,
    position,
    record,
    seen,
    sent,
    signal,
    stop,
)
from tests.unit.engine.scene import TIMES, D, Stage, protected

HO = frozenset({Field.HOLDINGS, Field.ORDERS})
ATR = Policy(Trail(TrailKind.ATR, D(2), bars=2, interval="15m"))
NOTHING = AccountSeen()


def page(at_ms: int, since_ms: int = NOW - 600_000) -> Known[FillPage]:
    return Known(FillPage(since_ms, ()), at_ms)


OPENING = replace(stop(order_id="e1"), kind=OrderKind.LIMIT, trigger=None, reduce_only=False)


def shared(stage: Stage, at_ms: int, since_ms: int = NOW - 600_000) -> AccountSeen:
    """Let another process have looked at a venue time, now."""
    looked = AccountSeen(Known(Holdings({}, stage.venue.funds), at_ms), Known((), at_ms), page(at_ms, since_ms))
    return stage.other.looks.save("main", looked)


def urgencies(stage: Stage) -> set[Urgency]:
    return {call["urgency"] for call in stage.calls if "urgency" in call.given}


# --- the circumstances -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("resting", "age_ms"), [(Resting.NO, None), (Resting.GTC, 700), (Resting.POST_ONLY, 700)])
def test_only_an_entry_that_rests_asks_since_when_the_streams_are_silent(resting: Resting, age_ms: int | None) -> None:
    stage = Stage()
    stage.other.prices.hear("main")
    stage.now += 700
    assert observe.frame(stage.ports, record(new_trade(signal=signal(resting=resting)))).feed_age_ms == age_ms
    assert observe.frame(stage.ports, record(found_trade())).feed_age_ms is None
    assert observe.frame(stage.ports, record()).feed_age_ms is None


@pytest.mark.parametrize(("rec", "age_ms"), [
    (record(new_trade()), 7_000),
    (record(new_trade(sent=(sent(),))), 7_000),
    (record(held_trade()), None),
    (record(found_trade(entered_ms=None)), None),
    (record(), None),
])  # fmt: skip
def test_only_a_signal_that_has_not_entered_asks_what_the_store_forgot(rec: KeyRecord, age_ms: int | None) -> None:
    stage = Stage()
    stage.ports.records.forgot_ms()
    stage.world.go_back(stage.world.save_point())
    stage.other.records.forgot_ms()
    stage.now += 7_000
    assert observe.frame(stage.ports, rec).forgot_age_ms == age_ms


def test_a_decision_knows_how_far_the_clocks_are_apart_and_what_is_switched() -> None:
    stage = Stage()
    stage.venue.apart_ms, stage.venue.offset_age_ms = -70_000, 5
    stage.other.flags.change("main", paused=True)
    now = observe.frame(stage.ports, record())
    assert (now.clock_apart_ms, now.clock_age_ms, now.now_ms) == (-70_000, 5, NOW)
    assert now.switches.paused
    assert (now.installation, now.market.symbol) == (INST, "BTC")


# --- a look ----------------------------------------------------------------------------------------------------


@dataclass
class Alone:
    """A lookout that notes who asks and shares nothing."""

    asked: list[tuple[Any, frozenset[Field], Callable[[], None]]] = field(default_factory=list)

    def share(
        self, lane: Any, fields: frozenset[Field], read: Callable[[Any], Any], between: Callable[[], None]
    ) -> Any:
        self.asked.append((lane, fields, between))
        return read(fields)


@pytest.mark.parametrize("urgency", list(Urgency))
def test_looks_of_one_urgency_are_shared_and_who_waits_looks_after_its_lease(urgency: Urgency) -> None:
    stage, alone = Stage(), Alone()
    beat: Callable[[], None] = lambda: None  # noqa: E731
    observe.look(replace(stage.ports, lookout=alone), HO, NOTHING, urgency, beat)  # type: ignore[arg-type]
    assert alone.asked == [(urgency, HO, beat)]
    assert urgencies(stage) == {urgency}


def test_what_the_budget_does_not_grant_is_not_read_at_all() -> None:
    stage = protected()
    stage.answers("venue.wait_ms", 800)
    found = observe.look(stage.ports, HO, NOTHING, Urgency.ORDINARY)
    assert isinstance(found.holdings, Unknown)
    assert isinstance(found.orders, Unknown)
    assert "800" in found.holdings.why
    assert stage.reads() == []
    assert stage.done("venue.wait_ms")[0]["fields"] == HO


def test_where_the_budget_grants_no_look_that_of_another_process_serves() -> None:
    stage = Stage()
    others = shared(stage, NOW - 100)
    stage.now += TIMES.look_fresh_ms - 1
    stage.answers("venue.wait_ms", 800)
    found = observe.look(stage.ports, ALL_FIELDS, NOTHING, Urgency.ORDINARY)
    assert found == others


def test_a_look_of_another_process_serves_only_for_a_moment() -> None:
    stage = Stage()
    shared(stage, NOW - 100)
    stage.now += TIMES.look_fresh_ms
    stage.answers("venue.wait_ms", 800)
    found = observe.look(stage.ports, ALL_FIELDS, NOTHING, Urgency.ORDINARY)
    assert all(isinstance(each, Unknown) for each in (found.holdings, found.orders, found.fills))


@pytest.mark.parametrize(("at_ms", "serves"), [(NOW - 101, False), (NOW - 100, False), (NOW - 99, True)])
def test_a_look_of_another_process_serves_only_where_it_is_later_than_what_is_known(
    at_ms: int, *, serves: bool
) -> None:
    stage = Stage()
    known = AccountSeen(Known(Holdings({}, stage.venue.funds), NOW - 100), Known((), NOW - 100), page(NOW - 100))
    others = shared(stage, at_ms)
    stage.answers("venue.wait_ms", 800)
    found = observe.look(stage.ports, ALL_FIELDS, known, Urgency.ORDINARY)
    for name in ALL_FIELDS:
        assert (getattr(found, name) == getattr(others, name)) is serves
        assert isinstance(getattr(found, name), Unknown) is not serves


def test_what_no_process_has_read_is_unknown_with_the_reason() -> None:
    stage = Stage()
    stage.other.looks.save("main", AccountSeen(orders=Known((), NOW)))
    stage.answers("venue.wait_ms", 800)
    found = observe.look(stage.ports, ALL_FIELDS, NOTHING, Urgency.ORDINARY)
    assert found.orders == Known((), NOW)
    assert isinstance(found.holdings, Unknown)
    assert isinstance(found.fills, Unknown)
    assert "800" in found.fills.why


def test_only_what_was_asked_for_changes() -> None:
    stage = protected()
    known = AccountSeen(orders=Known((), NOW - 100), fills=page(NOW - 100))
    found = observe.look(stage.ports, frozenset({Field.HOLDINGS}), known, Urgency.ORDINARY)
    assert (found.orders, found.fills) == (known.orders, known.fills)
    assert isinstance(found.holdings, Known)


# --- the shared look -------------------------------------------------------------------------------------------


def test_without_an_age_no_reading_is_young_enough() -> None:
    stage = Stage()
    shared(stage, NOW)
    assert observe.cached(stage.ports, {})[1] == ALL_FIELDS
    assert observe.cached(stage.ports, {Field.ORDERS: 1})[1] == ALL_FIELDS - {Field.ORDERS}


@pytest.mark.parametrize(("age_ms", "stale"), [(None, True), (0, False), (60_000, False), (60_001, True)])
def test_positions_are_read_where_the_venues_clock_was_not_lately(age_ms: int | None, *, stale: bool) -> None:
    stage = Stage()
    shared(stage, NOW)
    stage.venue.offset_age_ms = age_ms
    assert observe.cached(stage.ports, dict.fromkeys(ALL_FIELDS, 1))[1] == ({Field.HOLDINGS} if stale else set())


# --- a first look ----------------------------------------------------------------------------------------------


def test_an_entry_may_lean_on_a_look_that_another_made_a_moment_ago() -> None:
    stage = Stage()
    others = shared(stage, NOW)
    stage.now += TIMES.look_fresh_ms - 1
    assert observe.first_look(record(new_trade()), stage.ports) == others
    assert stage.reads() == []


def test_an_entry_looks_for_itself_where_nobody_looked_and_draws_on_no_protected_share() -> None:
    stage = Stage()
    shared(stage, NOW)
    stage.now += TIMES.look_fresh_ms
    observe.first_look(record(new_trade()), stage.ports)
    assert stage.reads() == ["holdings", "orders"]
    assert urgencies(stage) == {Urgency.ORDINARY}
    stage.calls.clear()
    stage.now += TIMES.sweep_ms
    observe.first_look(record(new_trade()), stage.ports)
    assert stage.reads() == ["holdings", "orders", "fills"]


@pytest.mark.parametrize(
    ("held", "older", "reads"),
    [
        (True, TIMES.look_fresh_ms, ["holdings", "orders", "holdings", "orders", "fills"]),
        (True, 0, []),
        (True, TIMES.sweep_ms, ["holdings", "orders", "fills"]),
        (False, TIMES.look_fresh_ms, ["holdings", "orders"]),
    ],
    ids=["it was read just now", "no look shows it", "all was read just now", "nothing is held"],
)
def test_beside_a_position_an_entry_leans_on_nothing_that_was_read_before(
    held: bool, older: int, reads: list[str]
) -> None:
    """The store may have gone back: fills and orders of a moment ago cannot name what it has forgotten."""
    stage = protected() if held else Stage()
    shared(stage, NOW)
    stage.now += older
    found = observe.first_look(record(new_trade()), stage.ports)
    assert stage.reads() == reads
    assert isinstance(found.orders, Known)
    assert [order.id for order in found.orders.value] == (["s1"] if held and reads else [])
    assert urgencies(stage) == (
        {Urgency.ORDINARY, Urgency.PROTECTIVE} if len(reads) > 3 else {Urgency.ORDINARY} if reads else set()
    )


def test_beside_a_position_that_a_shared_look_shows_an_entry_looks_for_itself() -> None:
    stage = protected()
    looked = AccountSeen(
        Known(Holdings(stage.venue.held, stage.venue.funds), NOW), Known((), NOW), page(NOW, NOW - 600_000)
    )
    stage.other.looks.save("main", looked)
    found = observe.first_look(record(new_trade()), stage.ports)
    assert stage.reads() == ["holdings", "orders", "fills"]
    assert isinstance(found.orders, Known)
    assert [order.id for order in found.orders.value] == ["s1"]
    assert urgencies(stage) == {Urgency.PROTECTIVE}


@pytest.mark.parametrize(
    ("beside", "reads"),
    [
        (OPENING, ["holdings"]),
        (replace(OPENING, symbol="ETH"), []),
        (stop(), []),
    ],
    ids=["an order that may open", "one on another symbol", "one that may only close"],
)
def test_beside_an_order_that_may_open_a_position_none_is_believed_without_a_look(
    beside: Order, reads: list[str]
) -> None:
    """It may be the entry of a trade that a store which went back forgot, and its fill what the key was woken for."""
    stage = Stage()
    looked = AccountSeen(Known(Holdings({}, stage.venue.funds), NOW), Known((beside,), NOW), page(NOW, NOW - 600_000))
    stage.other.looks.save("main", looked)
    observe.first_look(record(new_trade()), stage.ports)
    assert stage.reads() == reads


@pytest.mark.parametrize(("denied", "reads"), [((), []), ((NOW - 700,), ["holdings"])])
def test_where_looks_that_deny_a_position_are_counted_an_old_one_is_none(
    denied: tuple[int, ...], reads: list[str]
) -> None:
    stage = Stage()
    shared(stage, NOW, NOW - 600_000)
    observe.first_look(record(new_trade(), denied=denied), stage.ports)
    assert stage.reads() == reads


@pytest.mark.parametrize(("after_ms", "reads"), [(0, []), (1, ["fills"])])
def test_a_page_of_fills_that_begins_after_a_signal_came_tells_nothing_of_it(after_ms: int, reads: list[str]) -> None:
    stage = Stage()
    trade = new_trade()
    shared(stage, NOW, trade.created_ms + after_ms)
    observe.first_look(record(trade), stage.ports)
    assert stage.reads() == reads


def test_whatever_is_held_is_looked_at_afresh_however_young_a_shared_look_is() -> None:
    stage = protected()
    shared(stage, NOW)
    found = observe.first_look(stage.stored(), stage.ports)
    assert stage.reads() == ["holdings", "orders"]
    assert isinstance(found.orders, Known)
    assert [order.id for order in found.orders.value] == ["s1"]
    assert urgencies(stage) == {Urgency.PROTECTIVE}


def test_whatever_is_held_leans_on_the_look_of_another_where_the_budget_grants_none() -> None:
    stage = protected()
    others = shared(stage, NOW)
    stage.answers("venue.wait_ms", 800, 800)
    found = observe.first_look(stage.stored(), stage.ports)
    assert (found.holdings, found.orders) == (others.holdings, others.orders)


@pytest.mark.parametrize("known", [
    record(held_trade(flat_since_ms=NOW)),
    record(new_trade(sent=(sent(),))),
    record(None, settling=(held_trade(),)),
    record(held_trade(), settling=(held_trade(),)),
])  # fmt: skip
def test_fills_are_read_with_all_else_where_a_proof_or_a_booking_waits_for_them(known: KeyRecord) -> None:
    stage = protected()
    beats = list[str]()
    observe.first_look(known, stage.ports, lambda: beats.append(stage.reads()[-1]))
    assert stage.reads() == ["holdings", "orders", "fills"]
    assert len(stage.done("venue.wait_ms")) == 1
    assert beats == ["holdings", "orders"]
    assert urgencies(stage) == {Urgency.PROTECTIVE}


def test_fills_are_read_where_another_size_is_held_than_they_explain() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position("1.5")
    beats = list[str]()
    found = observe.first_look(stage.stored(), stage.ports, lambda: beats.append(stage.reads()[-1]))
    assert stage.reads() == ["holdings", "orders", "fills"]
    assert isinstance(found.fills, Known)
    assert isinstance(found.holdings, Known)
    assert "BTC" in found.holdings.value.positions
    assert beats == ["holdings", "orders"]
    assert urgencies(stage) == {Urgency.PROTECTIVE}


@pytest.mark.parametrize(("trade", "held", "asks"), [
    (None, position(), False),
    (held_trade(), position(), False),
    (held_trade(), position("1.5"), True),
    (held_trade(), position(side=Side.SHORT), True),
    (held_trade(), None, True),
    (found_trade(explained=D(1)), position(), False),
    (found_trade(explained=D(1), orphan=OrphanPolicy.CLOSE), position(), True),
    (found_trade(explained=D(1), orphan=OrphanPolicy.CLOSE, close=CloseAsk("x", NOW)), position(), False),
])  # fmt: skip
def test_fills_are_asked_for_where_something_changed_or_they_tell_whose_it_is(
    trade: Any, held: Any, *, asks: bool
) -> None:
    positions = {} if held is None else {"BTC": held}
    look = AccountSeen(Known(Holdings(positions, Stage().venue.funds), NOW))
    assert observe.asks_fills(record(trade), look, INST) is asks
    assert not observe.asks_fills(record(trade), NOTHING, INST), (
        "of what cannot be read nothing is known to have changed"
    )


def test_fills_are_asked_for_where_an_order_is_of_a_trade_that_the_guardian_made() -> None:
    look = AccountSeen(Known(Holdings({"BTC": position()}, Stage().venue.funds), NOW))
    others = stop(client_id=cid(Role.STOP, 1, "f0d000000001"))
    assert observe.asks_fills(record(held_trade()), replace(look, orders=Known((others,), NOW)), INST)
    assert not observe.asks_fills(record(held_trade()), replace(look, orders=Known((stop(),), NOW)), INST)


@pytest.mark.parametrize(("trade", "awaits"), [
    (None, False),
    (new_trade(), True),
    (new_trade(sent=(sent(),)), False),
    (new_trade(entered_ms=NOW), False),
    (found_trade(entered_ms=None), False),
])  # fmt: skip
def test_a_signal_of_which_nothing_was_sent_awaits_its_entry(trade: Any, *, awaits: bool) -> None:
    assert bool(observe.awaiting_entry(record(trade))) is awaits


# --- one key ---------------------------------------------------------------------------------------------------


def test_an_order_read_back_alone_takes_the_place_of_what_was_seen_of_it() -> None:
    known = AccountSeen(orders=Known((stop(size="2"), stop(order_id="s2")), NOW - 100))
    found = observe.with_order(known, stop(size="1"))
    assert isinstance(found.orders, Known)
    assert [(order.id, order.size) for order in found.orders.value] == [("s2", D(1)), ("s1", D(1))]
    assert found.orders.at_ms == NOW - 100


def narrowed(stage: Stage, known: KeyRecord, asked: dict[str, Known[Lookup]] | None = None) -> Seen:
    """Look, and cut the look to the record's key."""
    look = observe.look(stage.ports, ALL_FIELDS, NOTHING, Urgency.PROTECTIVE)
    stage.calls.clear()
    return observe.narrow(known, look, stage.ports, {} if asked is None else asked)


def blind(stage: Stage, known: KeyRecord, asked: dict[str, Known[Lookup]]) -> Seen:
    """Narrow a look without orders and fills: only look-ups tell of entries."""
    look = AccountSeen(Known(Holdings({}, stage.venue.funds), NOW))
    stage.calls.clear()
    return observe.narrow(known, look, stage.ports, asked)


def test_an_id_is_looked_up_once_before_its_first_send() -> None:
    stage, asked = Stage(), dict[str, Known[Lookup]]()
    first = blind(stage, record(new_trade()), asked)
    (call,) = stage.done("venue.lookup")
    assert (call["symbol"], call["client_id"], call["urgency"]) == ("BTC", cid(Role.ENTRY, 0), Urgency.ORDINARY)
    assert asked == first.lookups == {cid(Role.ENTRY, 0): Known(Lookup(cid(Role.ENTRY, 0), None), NOW)}
    again = blind(stage, record(new_trade()), asked)
    assert stage.done("venue.lookup") == []
    assert again.lookups == asked


def test_an_id_that_could_not_be_looked_up_is_looked_up_again() -> None:
    stage, asked = Stage(), dict[str, Known[Lookup]]()
    stage.answers("venue.lookup", Unknown("away"))
    first = blind(stage, record(new_trade()), asked)
    assert first.lookups == {cid(Role.ENTRY, 0): Unknown("away")}
    assert asked == {}
    blind(stage, record(new_trade()), asked)
    assert len(stage.done("venue.lookup")) == 1


def test_an_attempt_without_proof_is_looked_up_in_every_turn_and_urgently() -> None:
    stage, asked = Stage(), dict[str, Known[Lookup]]()
    for _ in range(2):
        blind(stage, record(new_trade(sent=(sent(),))), asked)
        (call,) = stage.done("venue.lookup")
        assert (call["client_id"], call["urgency"]) == (cid(Role.ENTRY, 0), Urgency.PROTECTIVE)


def test_the_id_of_the_next_attempt_is_looked_up_once() -> None:
    stage, asked = Stage(), dict[str, Known[Lookup]]()
    known = record(new_trade(sent=(sent(absent=True),)))
    blind(stage, known, asked)
    assert [call["client_id"] for call in stage.done("venue.lookup")] == [cid(Role.ENTRY, 1)]
    blind(stage, known, asked)
    assert stage.done("venue.lookup") == []


def test_an_id_that_was_answered_keeps_no_other_from_being_looked_up() -> None:
    stage = Stage()
    entry = cid(Role.ENTRY, 0)
    old = "abababababab"
    left = (Outstanding(old, Role.STOP, 1, "1", 1), Outstanding(old, Role.STOP, 2, "2", 1))
    known = record(new_trade(), outstanding=left)
    asked = {entry: Known(Lookup(entry, None), NOW), cid(Role.STOP, 1, old): Known(Lookup("", None), NOW)}
    answers = observe.look_ups(known, seen(), stage.ports.venue, INST, asked)
    assert [call["client_id"] for call in stage.done("venue.lookup")] == [cid(Role.STOP, 2, old)]
    assert set(answers) == {entry, cid(Role.STOP, 1, old), cid(Role.STOP, 2, old)}
    assert cid(Role.STOP, 2, old) in asked


@pytest.mark.parametrize(
    ("known", "urgency"),
    [
        (record(new_trade(), history_ms=0), Urgency.ORDINARY),
        (record(found_trade(), since_ms=NOW - 60_000), Urgency.PROTECTIVE),
    ],
)
def test_the_venues_history_is_read_where_a_record_may_follow_one_that_is_lost(
    known: KeyRecord, urgency: Urgency
) -> None:
    stage = Stage()
    stage.venue.endless = (stop(),)
    found = narrowed(stage, known)
    assert found.history == Known(History((stop(),)), NOW)
    (call,) = stage.done("venue.history")
    assert call["urgency"] is urgency


def test_the_venues_history_is_read_no_earlier_than_it_tells_all() -> None:
    stage = Stage()
    narrowed(stage, record(found_trade(), since_ms=NOW - 60_000))
    (call,) = stage.done("venue.history")
    assert NOW - 60_000 < call["after_ms"] < NOW


def test_the_venues_history_is_not_read_where_nothing_hangs_on_it() -> None:
    stage = protected()
    found = narrowed(stage, stage.stored())
    assert isinstance(found.history, Unknown)
    assert stage.done("venue.history") == []


# --- marks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age_ms", "second"), [(TIMES.look_fresh_ms, "101"), (TIMES.look_fresh_ms + 1, None)])
def test_what_the_stream_says_stands_beside_the_positions_mark_while_it_is_fresh(
    age_ms: int, second: str | None
) -> None:
    stage = protected()
    stage.hear("101")
    stage.now += age_ms
    found = narrowed(stage, stage.stored())
    assert found.mark == Price(D(100), Source.POSITION, 0)
    assert (found.second and found.second.value) == (second and D(second))
    assert stage.done("venue.mark") == []


def test_a_mark_on_which_much_hangs_is_confirmed_by_the_venues_own_urgently() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position(mark="94")
    found = narrowed(stage, stage.stored())
    assert found.second == Price(D(100), Source.VENUE, 0)
    (call,) = stage.done("venue.mark")
    assert (call["symbol"], call["urgency"]) == ("BTC", Urgency.PROTECTIVE)


def test_what_the_stream_says_stays_where_the_venue_does_not_answer() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position(mark="94")
    stage.venue.marks.clear()
    stage.hear("100")
    found = narrowed(stage, stage.stored())
    assert found.second is not None
    assert (found.second.value, found.second.source) == (D(100), Source.STREAM)
    assert len(stage.done("venue.mark")) == 1


def test_where_nothing_is_held_an_entry_that_may_leave_has_a_mark_asked_for() -> None:
    stage = Stage()
    stage.venue.marks["BTC"] = D(101)
    assert narrowed(stage, record(new_trade())).mark == Price(D(101), Source.VENUE, 0)
    (call,) = stage.done("venue.settings")
    assert (call["symbol"], call["urgency"]) == ("BTC", Urgency.ORDINARY)
    assert stage.done("venue.mark") == [], "its settings name one"


@pytest.mark.parametrize("known", [
    record(),
    record(new_trade(), prepared=None),  # its leverage will be read back, and names a mark
    record(new_trade(sent=(sent(),))),
    record(held_trade()),
    record(found_trade(entered_ms=None)),
])  # fmt: skip
def test_no_mark_is_asked_for_where_none_is_needed(known: KeyRecord) -> None:
    stage = Stage()
    assert narrowed(stage, known).mark is None
    assert stage.done("venue.settings") == []
    stage.hear("101")
    mark = narrowed(stage, known).mark
    assert mark is not None
    assert mark.value == D(101), "what the feed says costs nothing"


def test_an_entry_whose_attempt_is_proved_absent_needs_a_mark_again() -> None:
    stage = Stage()
    narrowed(stage, record(new_trade(sent=(sent(absent=True),))))
    assert len(stage.done("venue.settings")) == 1


@pytest.mark.parametrize("settings", [Unknown("away"), None])
def test_a_mark_that_the_settings_do_not_name_is_asked_for_alone(settings: Unknown | None) -> None:
    stage = Stage()
    if settings is None:
        stage.venue.marks.clear()
        stage.meanwhile("venue.mark", lambda: stage.venue.marks.update(BTC=D(101)))
    else:
        stage.venue.marks["BTC"] = D(101)
        stage.answers("venue.settings", settings)
    assert observe.mark_of("BTC", stage.ports, ask=True) == Price(D(101), Source.VENUE, 0)
    (call,) = stage.done("venue.mark")
    assert (call["symbol"], call["urgency"]) == ("BTC", Urgency.ORDINARY)


# --- candles ---------------------------------------------------------------------------------------------------


def bars(*ranges: str) -> tuple[Candle, ...]:
    return tuple(Candle(n, D(100) + D(each), D(100), D(100)) for n, each in enumerate(ranges))


def test_the_average_range_is_of_bars_that_are_closed() -> None:
    stage = protected()
    stage.venue.bars = bars("9", "1", "2", "3", "50")  # the last one is still being made
    found = narrowed(stage, record(held_trade(policy=ATR)))
    assert found.atr == (D("1.5") * 1 + 3) / 2
    (call,) = stage.done("venue.candles")
    assert (call["symbol"], call["interval"], call["count"]) == ("BTC", "15m", 6)


def test_candles_that_cannot_be_read_leave_the_range_unknown() -> None:
    stage = protected()
    stage.answers("venue.candles", Unknown("away"))
    assert narrowed(stage, record(held_trade(policy=ATR))).atr is None


@pytest.mark.parametrize("known", [record(), record(held_trade()), record(new_trade(policy=ATR))])
def test_candles_are_read_only_for_a_stop_that_follows_them(known: KeyRecord) -> None:
    stage = protected()
    assert narrowed(stage, known).atr is None
    assert stage.done("venue.candles") == []
