"""Closing by hand without a store: what is closed, how far it goes, when it looks again, and what it says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from stopkeeper.core.ids import ClientId, close_number, decode
from stopkeeper.core.model import Role, Side
from stopkeeper.core.outcomes import Reason, Rejected, Throttled, Unknown
from stopkeeper.engine.direct import DIRECT_TRIES, flatten_direct
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sending import NOBODY
from tests.unit.core.scene import INST, NOW, RULES, position
from tests.unit.engine.scene import D, Stage

THIN = Rejected(Reason.NO_LIQUIDITY, "nothing to match")


@dataclass
class Told:
    """What was said, and how long was waited each time."""

    said: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    flat: bool = False


@contextmanager
def waiting(told: Told) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stopkeeper.engine.direct.time.sleep", told.waited.append)
        yield


def flatten(stage: Stage, *symbols: str, pause_s: float | None = None) -> Told:
    told = Told()
    more = {} if pause_s is None else {"pause_s": pause_s}
    with waiting(told):
        told.flat = flatten_direct(stage.ports.venue, INST, symbols, RULES, told.said.append, **more)
    return told


def holding(**more: Any) -> Stage:
    stage = Stage()
    stage.venue.held["BTC"] = replace(position("2.5"), **more)
    return stage


def test_all_that_is_held_is_closed_and_then_seen_to_be_flat() -> None:
    stage = holding()
    stage.venue.held["ETH"] = replace(position(side=Side.SHORT), symbol="ETH")
    told = flatten(stage)
    assert told.flat
    first, second = stage.done("venue.close")
    assert (first["symbol"], first["held"], first["size"], first["worst"]) == ("BTC", Side.LONG, D("2.5"), D(97))
    assert (second["symbol"], second["held"], second["size"], second["worst"]) == ("ETH", Side.SHORT, D(1), D(103))
    assert told.waited == [], "the first close is looked at at once"
    assert stage.reads() == ["holdings", "holdings"]
    assert told.said[-1] == "flat"
    for each in ("BTC", "2.5", "long", "3%", "accepted"):
        assert each in told.said[0]


def test_nothing_is_sent_where_nothing_is_held() -> None:
    stage = Stage()
    told = flatten(stage)
    assert told.flat
    assert stage.sent() == []
    assert told.said == ["flat"]


def test_only_the_symbols_that_were_named_are_closed() -> None:
    stage = holding()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    assert flatten(stage, "ETH").flat
    assert [call["symbol"] for call in stage.done("venue.close")] == ["ETH"]
    assert "BTC" in stage.venue.held


def test_each_close_is_known_as_ours_and_may_land_within_ten_seconds_at_most() -> None:
    stage = holding()
    stage.answers("venue.close", Unknown("no answer"))
    assert flatten(stage).flat
    clients = [decode(call["client_id"]) for call in stage.done("venue.close")]
    assert clients == [ClientId(INST, Role.FLATTEN, close_number(n, "manual_close"), NOBODY) for n in (0, 1)]
    for asked in stage.done("venue.permit"):
        assert (asked["urgency"], asked["until_ms"]) == (Urgency.PROTECTIVE, NOW + 10_000)
    assert [call["permit"].nonce for call in stage.done("venue.close")] == [1, 2]
    assert {call["urgency"] for call in stage.done("venue.holdings")} == {Urgency.PROTECTIVE}


def test_a_close_that_finds_nothing_to_match_goes_farther_as_far_as_the_rules_say() -> None:
    stage = holding()
    stage.answers("venue.close", THIN, THIN, THIN, THIN)
    told = flatten(stage)
    assert told.flat
    assert [call["worst"] for call in stage.done("venue.close")] == [D(97), D(90), D(70), D(70), D(70)]
    assert told.waited == [1.0] * 4
    assert THIN.text in told.said[0]


@pytest.mark.parametrize("other", [Unknown("no answer"), Rejected(Reason.CAP, "too many")])
def test_what_a_worse_price_does_not_cure_is_tried_at_the_same(other: Unknown | Rejected) -> None:
    stage = holding()
    stage.answers("venue.close", other, other)
    assert flatten(stage, pause_s=0.25).waited == [0.25] * 2
    assert {call["worst"] for call in stage.done("venue.close")} == {D(97)}


def test_once_a_close_was_refused_the_venues_own_mark_counts() -> None:
    stage = holding(mark=D(50))
    stage.answers("venue.close", THIN)
    flatten(stage)
    assert [call["worst"] for call in stage.done("venue.close")] == [D("48.5"), D(90)]


def test_positions_that_cannot_be_read_are_asked_for_again() -> None:
    stage = holding()
    stage.answers("venue.holdings", Unknown("away"))
    told = flatten(stage)
    assert told.flat
    assert "away" in told.said[0]
    assert len(stage.done("venue.close")) == 1


def test_what_is_not_granted_keeps_no_other_position_from_being_closed() -> None:
    stage = holding()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    stage.answers("venue.permit", Throttled("own rate budget"))
    told = flatten(stage)
    assert told.flat
    assert [call["symbol"] for call in stage.done("venue.close")] == ["ETH", "BTC"]
    assert "BTC" in told.said[0]
    assert "own rate budget" in told.said[0]


def test_it_gives_up_after_so_many_tries_and_says_that_it_is_not_flat() -> None:
    stage = holding()
    stage.answers("venue.close", *[Unknown("no answer")] * 20)
    told = flatten(stage)
    assert not told.flat
    assert told.flat is False
    assert len(stage.done("venue.close")) == DIRECT_TRIES
    assert len(told.waited) == DIRECT_TRIES - 2
