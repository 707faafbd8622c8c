"""The guardian: what it does alone and what it leaves, when it looks, when it ends, and what it says."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from stopkeeper.core.case import LOOK_AGAIN_MS
from stopkeeper.core.guarding import NUMBERS_APART
from stopkeeper.core.ids import decode, found_id
from stopkeeper.core.model import Key, Known, Lookup, Order, OrderKind, OrderState, Resting, Role, Side
from stopkeeper.core.outcomes import Accepted, Barred, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.policy import BreakEven, Gain, Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, KeyRecord, Outstanding, Placed
from stopkeeper.core.rules import Rules, Switches
from stopkeeper.engine.guardian import CALM_MS, FILLS_MS, Guardian
from stopkeeper.engine.ports import Urgency
from tests.unit.core.scene import (
    ENTERED_MS,
    INST,
    NOW,
    RULES,
    TERMS,
    TRADE,
    cid,
    fill,
    held_trade,
    new_trade,
    position,
    record,
    sent,
    signal,
    stop,
)
from tests.unit.engine.scene import ETH, TIMES, D, Stage, naked, protected

OWN = Policy(Trail(TrailKind.PERCENT, D("0.02")), BreakEven(Gain(r=D(1))))
BOUGHT = fill("f1", "1", "100", ENTERED_MS, "0", "e1", client_id=cid(Role.ENTRY, 0))


@dataclass
class Alone:
    """A guardian of a stage whose store is gone, and all that it said."""

    stage: Stage
    rules: Rules = RULES
    switches: Switches = Switches()
    records: tuple[KeyRecord, ...] | None = None
    spare: Stage | None = None
    said: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = tuple(self.stage.other.records.all("main")) if self.records is None else self.records
        self.stage.world.gone = True
        self.guardian = Guardian(
            "main", INST, ("BTC", "ETH"), self.rules, TIMES, self.stage.ports.venue, self._hear,
            self.spare.ports.venue if self.spare else None, 5_000,
        )  # fmt: skip
        self.take(known)

    def take(self, records: tuple[KeyRecord, ...]) -> None:
        self.guardian.take(records, self.switches, 5_000)

    def patrol(self, later_ms: int = 0) -> int:
        """Make a round, so long after the last one."""
        self.stage.now += later_ms
        self.stage.calls.clear()
        return self.guardian.patrol(25_999)

    def _hear(self, symbol: str, text: str) -> None:
        self.said.append((symbol, text))

    def of(self, symbol: str) -> list[str]:
        """Return what was said of a symbol."""
        return [text for about, text in self.said if about == symbol]


def two() -> Stage:
    """Return a stage where positions of BTC and ETH are naked."""
    stage = naked()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    stage.put(record(held_trade(id="eeeeeeeeeeee", key=ETH), key=ETH))
    return stage


# --- what it does ----------------------------------------------------------------------------------------------


def test_a_naked_position_gets_its_stop_and_is_looked_at_again_at_once() -> None:
    alone = Alone(naked())
    assert alone.patrol() == LOOK_AGAIN_MS
    (call,) = alone.stage.done("venue.place_stop")
    assert (call["symbol"], call["size"], call["trigger"]) == ("BTC", D(1), D(95))
    assert call["client_id"] == cid(Role.STOP, NUMBERS_APART + 2)
    assert call["permit"].deadline_ms == NOW + TIMES.deadline_ms
    assert alone.of("BTC")[-1].endswith("accepted as o2")


def test_what_is_covered_is_left_as_it_is_and_looked_at_now_and_then() -> None:
    alone = Alone(protected())
    assert alone.patrol() == CALM_MS
    assert alone.stage.sent() == []
    assert alone.of("BTC") == []


def test_a_stop_that_does_not_show_yet_is_not_placed_twice() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.place_stop", Accepted("o7", live=True))
    alone.patrol()
    assert alone.patrol(1_000) == LOOK_AGAIN_MS
    assert alone.stage.sent() == []


def test_a_stop_that_was_refused_is_tried_again_under_another_id() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.place_stop", Rejected(Reason.BAD_PRICE, "tick"))
    alone.patrol()
    alone.patrol(1_000)
    assert [call["client_id"] for call in alone.stage.done("venue.place_stop")] == [cid(Role.STOP, NUMBERS_APART + 3)]


def test_a_position_that_no_record_knows_is_covered_and_known_from_then_on() -> None:
    stage = Stage()
    stage.venue.held["ETH"] = replace(position("2"), symbol="ETH")
    alone = Alone(stage, rules=replace(RULES, policy=OWN))
    assert alone.patrol() == LOOK_AGAIN_MS
    (call,) = stage.done("venue.place_stop")
    assert (call["symbol"], call["size"], call["trigger"]) == ("ETH", D(2), D(95))
    owner = decode(call["client_id"])
    assert owner is not None
    assert owner.trade == found_id(INST, ETH, NOW)
    assert "long 2" in alone.of("ETH")[0]
    said = len(alone.said)
    alone.patrol(1_000)
    assert [text for _, text in alone.said[said:] if "long 2" in text] == [], "it is found once"


def test_no_policy_moves_the_stop_of_what_it_finds() -> None:
    stage = Stage()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    stage.venue.live = [
        stop(symbol="ETH", client_id=cid(Role.STOP, 3, "0123456789ab"), placed_ms=NOW - 60_000)
    ]  # of a record that is lost: it is the account's own
    alone = Alone(stage, rules=replace(RULES, policy=OWN))
    for mark in ("100", "97", "97"):  # what trailed would be wanted at 98, be passed, and all be closed
        stage.venue.held["ETH"] = replace(position(mark=mark), symbol="ETH")
        stage.venue.marks["ETH"] = D(mark)
        alone.patrol(10_000)
        assert stage.sent() == []
    assert len([text for text in alone.of("ETH") if "long 1" in text]) == 1, "it is found once"


def test_no_policy_moves_the_stop_of_what_was_known() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(policy=OWN)))
    stage.venue.held["BTC"] = position(mark="150")
    stage.venue.marks["BTC"] = D(150)
    alone = Alone(stage)
    for _ in range(5):
        alone.patrol(10_000)
        assert stage.sent() == []


def test_a_wish_to_close_is_done_by_what_the_venue_holds_at_that_moment() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(close=CloseAsk("manual_close", NOW))))
    stage.meanwhile("venue.holdings", None, lambda: stage.venue.held.update(BTC=position("1.5")))
    alone = Alone(stage)
    alone.patrol()
    (call,) = stage.done("venue.close")
    assert (call["size"], call["worst"]) == (D("1.5"), D(97))


def test_a_close_that_could_not_read_the_position_says_so() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(close=CloseAsk("manual_close", NOW))))
    stage.answers("venue.holdings", ..., Unknown("away"))
    alone = Alone(stage)
    assert alone.patrol() == LOOK_AGAIN_MS
    assert stage.sent() == []
    assert "away" in alone.of("BTC")[-1]


def test_a_part_is_not_closed_by_whoever_cannot_write_it_down() -> None:
    stage = protected()
    ask = CloseAsk("manual_close", NOW, D("0.5"), D("0.5"))
    stage.put(replace(stage.stored(), trade=held_trade(close=ask)))
    alone = Alone(stage)
    alone.patrol()
    assert stage.sent() == []


def resting() -> Order:
    base = stop(size="2", order_id="e1", client_id=cid(Role.ENTRY, 0), side=Side.LONG)
    return replace(base, kind=OrderKind.LIMIT, trigger=None, reduce_only=False, price=D(99))


def entering(*, asked: bool) -> Stage:
    """Return a stage with an entry that rests; with ``asked``, a part of it filled and all is to be closed."""
    stage = Stage()
    terms = replace(TERMS, resting=Resting.GTC)
    attempt = sent(Accepted("e1", live=True), terms=terms, deadline_ms=ENTERED_MS, sent_ms=ENTERED_MS - 4_000)
    wish = signal(resting=Resting.GTC, limit=D(99), expires_ms=NOW + 600_000)
    trade = new_trade(signal=wish, sent=(attempt,), created_ms=ENTERED_MS - 9_000)
    stage.venue.live = [resting()]
    if asked:
        close = CloseAsk("manual_close", NOW)
        known = held_trade(signal=wish, sent=(replace(attempt, outcome=Accepted("e1", D(1), D(99), live=True)),))
        trade = replace(known, close=close)
        stage.venue.held["BTC"] = position()
        stage.venue.past = [BOUGHT]
        stage.venue.live.append(stop())
    stage.put(record(trade))
    return stage


def test_an_entry_that_rests_is_cancelled_because_nobody_could_write_down_that_it_filled() -> None:
    alone = Alone(entering(asked=False))
    alone.patrol()
    assert [call["order_id"] for call in alone.stage.done("venue.cancel")] == ["e1"]


def test_what_is_closed_has_its_entry_cancelled_first() -> None:
    alone = Alone(entering(asked=True))
    alone.patrol()
    assert alone.stage.sent() == ["cancel", "close"]


@pytest.mark.parametrize("outcome", [Unknown("no answer"), Rejected(Reason.GONE, "it is gone")])
def test_after_what_did_not_work_it_looks_again_first(outcome: Any) -> None:
    alone = Alone(entering(asked=True))
    alone.stage.answers("venue.cancel", outcome)
    assert alone.patrol() == LOOK_AGAIN_MS
    assert alone.stage.sent() == ["cancel"]


def test_a_cancel_that_does_not_show_yet_is_not_sent_again() -> None:
    alone = Alone(entering(asked=True))
    alone.stage.answers("venue.cancel", Accepted())
    alone.patrol()
    assert alone.stage.sent() == ["cancel", "close"]
    alone.patrol(1_000)
    assert alone.stage.sent() == []


def test_an_entry_of_ours_that_no_record_knows_is_cancelled() -> None:
    stage = Stage()
    stage.venue.live = [resting()]
    alone = Alone(stage)
    alone.patrol()
    assert [call["order_id"] for call in stage.done("venue.cancel")] == ["e1"]


def test_no_entry_leaves() -> None:
    stage = Stage()
    stage.put(record(new_trade()))
    alone = Alone(stage)
    assert alone.patrol() == CALM_MS
    assert stage.sent() == []


def test_no_stop_that_is_too_much_is_taken_away() -> None:
    stage = protected()
    stage.venue.live.append(stop(n=2, order_id="s2"))
    alone = Alone(stage)
    alone.patrol()
    assert stage.sent() == []


def test_a_trade_that_ended_is_said_to_have_ended_once() -> None:
    stage = protected()
    stage.venue.held.clear()
    stage.venue.live = []
    stage.venue.past = [BOUGHT, fill("f2", "-1", "95", NOW - 30_000, "1", "s1")]
    stage.now += 60_000
    alone = Alone(stage)
    for _ in range(3):
        alone.patrol(5_000)
    assert len([text for text in alone.of("BTC") if "closed" in text]) == 1
    assert stage.sent() == []


@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_a_halt_that_was_known_when_the_store_went_is_kept_to(symbol: str) -> None:
    stage = protected()
    alone = Alone(stage, switches=Switches(halted=True))
    alone.patrol()
    assert stage.sent() == ["close"]


# --- which keys ------------------------------------------------------------------------------------------------


def claimed(installation: str) -> Stage:
    """Return a stage where a naked position is held on a symbol nobody trades, beside an order with an id."""
    stage = Stage()
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.marks["SOL"] = D(100)
    stage.venue.held["SOL"] = replace(position("2"), symbol="SOL")
    stage.venue.live = [stop(symbol="SOL", client_id=cid(Role.STOP, 1, TRADE, installation))]
    return stage


def test_a_symbol_on_which_an_order_of_ours_lives_is_looked_after() -> None:
    alone = Alone(claimed(INST))
    alone.patrol()
    assert [call["symbol"] for call in alone.stage.done("venue.place_stop")] == ["SOL"]


@pytest.mark.parametrize(("inherited", "count"), [((), 0), ((("fffff", NOW),), 1)])
def test_an_installation_that_was_taken_over_is_ours(inherited: Any, count: int) -> None:
    alone = Alone(claimed("fffff"), switches=Switches(inherited=inherited))
    alone.patrol()
    assert len(alone.stage.done("venue.place_stop")) == count


def test_a_record_of_a_symbol_that_is_traded_no_more_is_looked_after() -> None:
    stage = claimed("fffff")
    key = Key("main", "SOL")
    stage.put(record(held_trade(key=key), key=key))
    alone = Alone(stage)
    alone.patrol()
    assert [call["symbol"] for call in stage.done("venue.place_stop")] == ["SOL"]


def test_a_symbol_that_the_venue_does_not_list_is_left_out() -> None:
    stage = two()
    del stage.venue.listed["ETH"]
    alone = Alone(stage)
    alone.patrol()
    assert [call["symbol"] for call in stage.done("venue.place_stop")] == ["BTC"]


def test_a_venue_whose_list_cannot_be_read_is_told_once_and_nothing_is_done() -> None:
    stage = two()
    stage.venue.listed.clear()
    alone = Alone(stage)
    assert alone.patrol() == CALM_MS
    alone.patrol(CALM_MS)
    assert len(alone.of("")) == 1
    assert "markets" in alone.of("")[0]
    assert stage.sent() == []


# --- looking ---------------------------------------------------------------------------------------------------


def test_a_round_that_the_budget_does_not_grant_comes_somewhat_later() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.wait_ms", 300)
    assert alone.patrol() == 300 + LOOK_AGAIN_MS
    assert alone.stage.reads() == []
    (asked,) = alone.stage.done("venue.wait_ms")
    assert (sorted(asked["fields"]), asked["urgency"]) == (["holdings", "orders"], Urgency.PROTECTIVE)
    assert alone.said == []


def test_all_reads_are_as_urgent_as_protection() -> None:
    alone = Alone(naked())
    alone.patrol()
    assert alone.stage.reads() == ["holdings", "orders", "fills"]
    assert {call["urgency"] for call in alone.stage.calls if "urgency" in call.given} == {Urgency.PROTECTIVE}
    assert alone.stage.done("venue.fills")[0]["since_ms"] == held_trade().created_ms


def test_fills_are_not_read_again_where_nothing_asks_for_them() -> None:
    alone = Alone(protected())
    alone.patrol()
    alone.patrol(60_000)
    assert alone.stage.reads() == ["holdings", "orders"]


def test_fills_are_asked_for_where_an_order_of_ours_is_of_another_trade() -> None:
    stage = protected()
    stage.venue.live = [stop(), stop(order_id="s9", client_id=cid(Role.STOP, 9, "bbbbbbbbbbbb"))]
    alone = Alone(stage)
    alone.patrol()
    alone.patrol(FILLS_MS)
    assert stage.reads().count("fills") > 0


def test_of_a_stop_that_was_acked_a_moment_ago_its_id_tells_that_it_is_over() -> None:
    young = held_trade(placed=(Placed(Role.STOP, "s1", 1, NOW - 500),))
    ended = Known(Lookup(cid(Role.STOP, 1), OrderState.CANCELED, "s1"), NOW)
    for answers, sends in (((ended,), ["place_stop"]), ((Unknown("away"),), [])):
        stage = naked()
        stage.put(record(young))
        alone = Alone(stage)
        stage.answers("venue.lookup", *answers)
        alone.patrol()
        assert stage.sent() == sends


def test_a_stop_that_the_list_leaves_out_and_its_id_tells_is_not_placed_again() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), outstanding=(Outstanding(TRADE, Role.STOP, 1, "s1", NOW - 60_000, listed=True),)))
    alone = Alone(stage)
    stage.answers("venue.orders", Known((), NOW))
    alone.patrol()
    assert stage.sent() == []


@pytest.mark.parametrize(("later_ms", "reads"), [(FILLS_MS - 1, 0), (FILLS_MS, 1)])
def test_fills_that_something_asks_for_are_read_every_few_seconds(later_ms: int, reads: int) -> None:
    stage = protected()
    stage.venue.held["BTC"] = position("1.5")  # more than its fills explain
    stage.venue.live = [stop(size="2")]
    alone = Alone(stage)
    alone.patrol()
    alone.patrol(1)
    assert stage.reads().count("fills") == 1, "the positions they were last read for are not known"
    alone.patrol(later_ms)
    assert stage.reads().count("fills") == reads


@pytest.mark.parametrize("now_held", [position("1.4"), position("1.5", Side.SHORT)])
def test_fills_are_read_at_once_where_what_is_held_has_changed(now_held: Any) -> None:
    stage = protected()
    stage.venue.held["BTC"] = position("1.5")
    stage.venue.live = [stop(size="2")]
    alone = Alone(stage)
    alone.patrol()
    alone.patrol(1)
    stage.venue.held["BTC"] = now_held
    alone.patrol(1)
    assert "fills" in stage.reads()


def test_fills_are_asked_for_by_an_entry_without_proof() -> None:
    stage = Stage()
    stage.put(record(new_trade(sent=(sent(),))))
    alone = Alone(stage)
    alone.patrol()
    alone.patrol(1)
    alone.patrol(FILLS_MS)
    assert "fills" in stage.reads()


def test_fills_that_could_not_be_read_are_read_in_the_next_round() -> None:
    alone = Alone(protected())
    alone.stage.answers("venue.fills", Unknown("away"))
    alone.patrol()
    alone.patrol(1)
    assert "fills" in alone.stage.reads()


def test_fills_that_the_budget_does_not_grant_keep_no_stop_from_being_placed() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.wait_ms", 0, 0, 800)
    alone.patrol()
    assert alone.stage.reads() == ["holdings", "orders"]
    assert alone.stage.sent() == ["place_stop"]
    assert any("800" in text for text in alone.of(""))


def test_fills_are_not_asked_for_by_positions_that_cannot_be_read() -> None:
    stage = protected()
    stage.put(replace(stage.stored(), trade=held_trade(flat_since_ms=NOW)))
    alone = Alone(stage)
    alone.patrol()
    stage.answers("venue.holdings", Unknown("away"))
    alone.patrol(FILLS_MS)
    assert stage.reads() == ["holdings", "orders"]


def test_an_entry_without_proof_is_looked_up_by_its_id() -> None:
    stage = Stage()
    stage.put(record(new_trade(sent=(sent(),))))
    alone = Alone(stage)
    alone.patrol()
    (asked,) = stage.done("venue.lookup")
    assert (asked["symbol"], asked["client_id"]) == ("BTC", cid(Role.ENTRY, 0))
    alone.patrol(1)
    assert len(stage.done("venue.lookup")) == 1, "each round asks anew"


def test_a_mark_that_would_have_it_closed_is_confirmed_by_the_venues_own() -> None:
    stage = protected()
    stage.venue.held["BTC"] = position(mark="50")
    alone = Alone(stage)
    alone.patrol()
    (asked,) = stage.done("venue.mark")
    assert asked["symbol"] == "BTC"
    assert stage.sent() == []


@pytest.mark.parametrize(("took_ms", "looks"), [(TIMES.http_ms, 1), (TIMES.http_ms + 1, 2)])
def test_what_took_long_for_one_key_has_all_looked_at_again_for_the_next(took_ms: int, looks: int) -> None:
    stage = two()
    stage.meanwhile("venue.place_stop", stage.passes(took_ms))
    alone = Alone(stage)
    alone.patrol()
    assert stage.reads().count("holdings") == looks
    assert [call["symbol"] for call in stage.done("venue.place_stop")] == ["BTC", "ETH"]


@pytest.mark.parametrize(("slept_ms", "count"), [(TIMES.http_ms, 1), (TIMES.http_ms + 1, 0)])
def test_nothing_is_done_by_a_look_of_long_ago(slept_ms: int, count: int) -> None:
    stage = naked()
    alone = Alone(stage)
    real = alone.guardian._say_

    def slow(symbol: str, text: str) -> None:
        real(symbol, text)
        if "naked for" in text:
            stage.now += slept_ms

    alone.guardian._say_ = slow
    assert alone.patrol() == LOOK_AGAIN_MS
    assert len(stage.done("venue.place_stop")) == count


# --- when it ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["take", "dismiss"])
def test_a_round_ends_before_its_next_deed_once_the_store_is_back(how: str) -> None:
    stage = two()
    alone = Alone(stage)
    known = tuple(alone.guardian._copies.records)
    act = alone.guardian.dismiss if how == "dismiss" else lambda: alone.take(known)
    stage.meanwhile("venue.place_stop", act)
    assert alone.patrol() == 0
    assert [call["symbol"] for call in stage.done("venue.place_stop")] == ["BTC"]


def test_a_plan_ends_before_its_next_deed_once_the_store_is_back() -> None:
    alone = Alone(entering(asked=True))
    alone.stage.meanwhile("venue.cancel", alone.guardian.dismiss)
    alone.patrol()
    assert alone.stage.sent() == ["cancel"]


def test_who_is_dismissed_keeps_the_copies_for_the_next_outage() -> None:
    alone = Alone(protected(), switches=Switches(halted=True))
    alone.guardian.dismiss()
    alone.patrol()
    assert alone.stage.sent() == ["close"]
    assert "20 s" in alone.said[-1][1]


def test_what_an_outage_taught_is_forgotten_with_it() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.place_stop", Unknown("no answer"))
    alone.patrol()
    alone.take(alone.guardian._copies.records)
    alone.patrol(1_000)
    assert [call["client_id"] for call in alone.stage.done("venue.place_stop")] == [cid(Role.STOP, NUMBERS_APART + 2)]
    assert len([text for text in alone.of("") if "first round" in text]) == 2


def test_without_any_copy_the_venue_alone_is_gone_by() -> None:
    stage = naked()
    stage.world.gone = True
    said = list[str]()
    guardian = Guardian(
        "main", INST, ("BTC",), RULES, TIMES, stage.ports.venue, lambda _symbol, text: said.append(text), None, 1_000
    )
    guardian.patrol(4_000)
    assert stage.sent() == ["place_stop"]
    assert all(" 3 s" in text for text in said)
    said.clear()
    Guardian("main", INST, ("BTC",), RULES, TIMES, stage.ports.venue, lambda _symbol, text: said.append(text)).patrol(
        4_000
    )
    assert all(" 4 s" in text for text in said)


# --- the right to send -----------------------------------------------------------------------------------------


def test_what_is_not_granted_is_told_once_and_asked_for_again() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.permit", Throttled("own rate budget"), Throttled("own rate budget"))
    assert alone.patrol() == LOOK_AGAIN_MS
    assert alone.patrol(500) == LOOK_AGAIN_MS
    told = [text for text in alone.of("BTC") if "own rate budget" in text]
    assert len(told) == 1
    assert "PlaceStop" in told[0]
    assert alone.stage.sent() == []
    alone.patrol(500)
    assert alone.stage.sent() == ["place_stop"]


def test_a_refused_key_is_replaced_by_the_accounts_own() -> None:
    stage, spare = naked(), naked()
    stage.answers("venue.place_stop", Barred("agent expired"))
    alone = Alone(stage, spare=spare)
    alone.patrol()
    assert "agent expired" in alone.of("")[0]
    spare.now += 1_000
    alone.patrol(1_000)
    assert stage.sent() == []
    assert spare.sent() == ["place_stop"]
    spare.answers("venue.place_stop", Barred("this one too"))
    spare.venue.live = []
    spare.now += 10_000
    alone.patrol(10_000)
    assert not any("this one too" in text for text in alone.of("")), "there is no other"


def test_without_another_key_it_goes_on_with_its_own() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.place_stop", Barred("agent expired"))
    alone.patrol()
    alone.patrol(6_000)
    assert alone.stage.sent() == ["place_stop"]
    assert not any("agent expired" in text for text in alone.of(""))


# --- what it says ----------------------------------------------------------------------------------------------


def test_everything_said_tells_for_how_long_the_store_is_gone_and_of_which_symbol() -> None:
    alone = Alone(naked())
    alone.patrol()
    assert alone.said
    for symbol, text in alone.said:
        assert " 20 s" in text
        about = text.partition("guardian: ")[2]
        assert about.startswith(f"{symbol}: ") if symbol else not about.startswith(("BTC", ":"))


def test_an_alarm_is_said_once_an_outage_and_without_the_account() -> None:
    alone = Alone(naked())
    alone.stage.answers("venue.place_stop", *[Unknown("no answer")] * 3)
    alone.patrol()
    alone.patrol(1_000)
    alarms = [text for text in alone.of("BTC") if "naked for" in text]
    assert len(alarms) == 1
    assert "main" not in alarms[0]


def test_alarms_of_other_kinds_are_said_beside_each_other() -> None:
    alone = Alone(naked(), switches=Switches(barred="agent expired"))
    alone.patrol()
    assert any("naked for" in text for text in alone.of("BTC"))
    assert any("agent expired" in text for text in alone.of("BTC"))


def test_what_cannot_be_read_is_said_once_until_it_can() -> None:
    alone = Alone(protected())
    blind = Unknown("away")
    alone.stage.answers("venue.holdings", blind, blind, ..., blind)
    alone.stage.answers("venue.orders", blind, blind, ..., ...)
    counts = []
    for _ in range(4):
        alone.patrol(1_000)
        counts.append(len([text for text in alone.of("") if "away" in text]))
    assert counts == [1, 1, 1, 2]
    first = next(text for text in alone.of("") if "away" in text)
    assert first.index("holdings: away") < first.index("orders: away")
    assert "; " in first


def test_the_first_round_tells_how_it_found_each_trade_and_no_other_does() -> None:
    stage = protected()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    stage.venue.live.append(stop(symbol="ETH", order_id="s9"))
    stage.put(record(held_trade(id="eeeeeeeeeeee", key=ETH), key=ETH))
    alone = Alone(stage)
    alone.patrol()
    alone.patrol(CALM_MS)
    (told,) = alone.of("")
    for each in ("BTC: 1 long", "s1", "ETH: 1 long", "s9"):
        assert each in told
    assert told.index("BTC") < told.index("; ETH")


def test_the_first_round_tells_also_that_nothing_was_found() -> None:
    alone = Alone(Stage())
    alone.patrol()
    (told,) = alone.of("")
    assert "BTC" not in told
    assert not told.endswith(": ")


def test_a_flat_key_without_a_trade_is_not_introduced() -> None:
    alone = Alone(protected())
    alone.patrol()
    assert "ETH" not in alone.of("")[0]
