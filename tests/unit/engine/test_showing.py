"""What an account shows to who asks, and that looking spends and changes nothing."""

from dataclasses import replace

import pytest

from stopkeeper.core.inventory import OrphanKind
from stopkeeper.core.model import Role
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.report import Phase
from stopkeeper.engine import desk, showing
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.ports import Urgency
from tests.unit.core.scene import (
    KEY,
    TRADE,
    cid,
    found_trade,
    position,
    stop,
)
from tests.unit.engine.scene import ETH, TIMES, D, Stage, asks_ordinarily, both, naked, protected


def test_every_key_with_a_trade_or_a_position_has_a_row() -> None:
    stage = both()
    first, second = showing.positions(stage.ports)
    assert (first.symbol, first.phase, first.size) == ("BTC", Phase.PROTECTED, D(1))
    assert (second.symbol, second.phase, second.size) == ("ETH", Phase.ADMITTED, None)
    asks_ordinarily(stage)


@pytest.mark.parametrize(
    ("age_ms", "reads"),
    [
        (2 * TIMES.look_fresh_ms - 1, []),
        (2 * TIMES.look_fresh_ms, ["holdings", "orders"]),
        (TIMES.sweep_ms - 1, ["holdings", "orders"]),
        (TIMES.sweep_ms, ["holdings", "orders", "fills"]),
    ],
)
def test_who_watches_all_the_time_reads_no_more_than_every_few_seconds(age_ms: int, reads: list[str]) -> None:
    stage = protected()
    showing.positions(stage.ports)
    stage.calls.clear()
    stage.now += age_ms
    showing.positions(stage.ports)
    assert stage.reads() == reads


def test_orders_older_than_a_naked_position_are_read_again_before_anybody_says_it_cannot_be_told() -> None:
    stage = naked()
    showing.positions(stage.ports)
    stage.now += 1_000
    stage.venue.offset_age_ms = None  # a command, whose process has not measured the venue's clock yet
    stage.calls.clear()
    (row,) = showing.positions(stage.ports)
    assert row.phase is Phase.NAKED
    assert stage.reads() == ["holdings", "holdings", "orders"]
    asks_ordinarily(stage)


def test_a_second_look_that_is_not_granted_takes_nothing_from_the_first() -> None:
    stage = naked()
    showing.positions(stage.ports)
    stage.now += 1_000
    stage.venue.offset_age_ms = None
    stage.answers("venue.holdings", ..., Unknown("own rate budget"))
    found = showing.survey(stage.ports)
    assert found.unread == ""
    assert [(row.symbol, row.phase) for row in found.rows] == [("BTC", Phase.UNPROVEN)]


def test_what_is_covered_by_older_orders_is_not_asked_for_twice() -> None:
    stage = protected()
    showing.positions(stage.ports)
    stage.now += 1_000
    stage.venue.offset_age_ms = None
    stage.calls.clear()
    (row,) = showing.positions(stage.ports)
    assert row.phase is Phase.PROTECTED
    assert stage.reads() == ["holdings"]


@pytest.mark.parametrize(
    ("fails", "said", "phase"),
    [
        ({"holdings": Unknown("away")}, "positions could not be read: away", Phase.NAKED),  # as its fills tell
        ({"orders": Unknown("away")}, "open orders could not be read: away", Phase.UNPROVEN),
        (
            {"holdings": Unknown("one"), "orders": Unknown("two")},
            "positions could not be read: one; open orders could not be read: two",
            Phase.UNPROVEN,
        ),
    ],
)
def test_what_could_not_be_read_is_said_beside_the_rows(fails: dict[str, Unknown], said: str, phase: Phase) -> None:
    stage = naked()
    for name, answer in fails.items():
        stage.answers(f"venue.{name}", answer)
    found = showing.survey(stage.ports)
    assert found.unread == said
    (row,) = found.rows
    assert row.phase is phase
    assert showing.untold(row) is (phase is Phase.UNPROVEN)
    assert len(stage.done("venue.orders")) == 1, "what cannot be read is not asked for twice"


def test_nothing_is_told_of_positions_while_the_venues_list_is_missing() -> None:
    stage = naked()
    stage.venue.listed.clear()
    away = "the venue's list of perpetuals could not be read"
    assert showing.survey(stage.ports) == showing.Survey((), away)
    with pytest.raises(VenueAway, match=away):
        showing.row_of(KEY, stage.ports)
    with pytest.raises(VenueAway, match=away):
        desk.flatten(stage.ports)
    with pytest.raises(VenueAway, match=away):
        showing.orphans(stage.ports)
    (breach,) = showing.audit(stage.ports)
    assert (breach.account, breach.symbol, breach.kind, breach.text) == ("main", "", "blind", away)
    assert showing.other_installation(stage.ports) is None, "it keeps no worker from starting"
    assert desk.protect(stage.ports) == showing.Survey((), away)
    assert stage.due_ms() == 0, "woken all the same"


def test_that_nothing_is_held_is_not_said_of_what_could_not_be_read() -> None:
    stage = Stage()
    stage.answers("venue.holdings", Unknown("away"))
    with pytest.raises(VenueAway, match="main: positions could not be read: away"):
        showing.row_of(KEY, stage.ports)
    assert showing.row_of(KEY, stage.ports) is None


def test_a_row_is_found_by_its_key_and_by_its_trade() -> None:
    stage = both()
    found = showing.row_of(ETH, stage.ports)
    assert found is not None
    assert found.symbol == "ETH"
    assert showing.row_of(replace(KEY, symbol="SOL"), stage.ports) is None
    by_trade = showing.position("eeeeeeeeeeee", stage.ports)
    assert by_trade == found
    assert showing.position("ffffffffffff", stage.ports) is None


def test_an_audit_is_of_the_venue_as_it_is_read_now() -> None:
    stage = protected()
    assert showing.audit(stage.ports) == ()
    stage.venue.live = []
    stage.calls.clear()
    (breach,) = showing.audit(stage.ports)
    assert (breach.account, breach.symbol, breach.kind) == ("main", "BTC", "naked")
    assert stage.reads() == ["holdings", "orders", "fills"]
    assert {call["urgency"] for call in stage.calls if "urgency" in call.given} == {Urgency.PROTECTIVE}


def test_an_audit_names_a_position_outside_the_accounts_symbols() -> None:
    stage = Stage()
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.held["SOL"] = replace(position(), symbol="SOL")
    (breach,) = showing.audit(stage.ports)
    assert (breach.symbol, breach.kind) == ("SOL", "other_symbol")


def test_another_installation_that_is_at_work_is_named() -> None:
    stage = Stage()
    assert showing.other_installation(stage.ports) is None
    stage.now += 15_000
    stage.venue.live = [stop(symbol="ETH", client_id=cid(Role.STOP, 1, TRADE, "fffff"), placed_ms=stage.now)]
    said = showing.other_installation(stage.ports)
    assert said is not None
    for each in ("main", "ETH", "fffff"):
        assert each in said
    assert stage.reads() == ["holdings", "orders"] * 2, "fills tell nothing of it"
    asks_ordinarily(stage)


def test_a_look_of_these_seconds_tells_whether_another_installation_is_at_work() -> None:
    stage = protected()
    showing.audit(stage.ports)
    stage.calls.clear()
    stage.now += 14_999
    assert showing.other_installation(stage.ports) is None, "its own breaches are no other installation"
    assert stage.reads() == []


def test_all_that_no_trade_owns_is_listed() -> None:
    stage = Stage()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    stage.venue.live = [stop(client_id=None)]
    stage.venue.listed["SOL"] = replace(stage.venue.listed["ETH"], symbol="SOL")
    stage.venue.held["SOL"] = replace(position(), symbol="SOL")
    found = {(orphan.account, orphan.symbol, orphan.kind) for orphan in showing.orphans(stage.ports)}
    assert found == {
        ("main", "ETH", OrphanKind.POSITION),
        ("main", "BTC", OrphanKind.STRANGER_ORDER),
        ("main", "SOL", OrphanKind.STRANGER_POSITION),
    }
    assert stage.reads() == ["holdings", "orders", "fills"]
    asks_ordinarily(stage)


def test_what_a_trade_owns_is_no_orphan() -> None:
    stage = protected()
    assert showing.orphans(stage.ports) == ()
    assert showing.orphans(stage.ports) == ()
    assert len(stage.done("venue.holdings")) == 2, "each list is of a look made now"
    stage.put(replace(stage.stored(), trade=found_trade(orphan=None)))
    assert showing.orphans(stage.ports) == ()


@pytest.mark.parametrize("part", ["holdings", "orders"])
def test_a_list_that_would_say_too_much_is_not_given(part: str) -> None:
    stage = Stage()
    stage.answers(f"venue.{part}", Unknown("away"))
    with pytest.raises(VenueAway, match="away"):
        showing.orphans(stage.ports)


def test_a_list_without_fills_is_given() -> None:
    stage = Stage()
    stage.answers("venue.fills", Unknown("away"))
    assert showing.orphans(stage.ports) == ()
