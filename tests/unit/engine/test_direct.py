"""Closing by hand without a store: what is closed, how far it goes, when it looks again, and what it says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from stopkeeper.core.ids import ClientId, close_number, decode, encode
from stopkeeper.core.model import Order, OrderKind, Role, Side
from stopkeeper.core.outcomes import Reason, Rejected, Throttled, Unknown
from stopkeeper.engine.direct import DIRECT_TRIES, flatten_direct
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sending import NOBODY
from tests.unit.core.scene import INST, NOW, RULES, TRADE, position, stop
from tests.unit.engine.scene import D, Stage

THIN = Rejected(Reason.NO_LIQUIDITY, "nothing to match")


@dataclass
class Told:
    """What was said, and how long was waited each time."""

    said: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    flat: bool = False


@contextmanager
def waiting(told: Told, stage: Stage) -> Iterator[None]:
    def wait(seconds: float) -> None:
        told.waited.append(seconds)
        stage.now += int(seconds * 1_000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stopkeeper.engine.direct.time.sleep", wait)
        yield


def flatten(stage: Stage, *symbols: str, pause_s: float | None = None) -> Told:
    told = Told()
    more = {} if pause_s is None else {"pause_s": pause_s}
    with waiting(told, stage):
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
    assert stage.reads() == ["holdings", "orders"] * 4 + ["holdings"]
    assert told.waited == [1.0] * 3, "what was filled just before it began may show a lag later"
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
    sent_ms = list[int]()
    stage.always("venue.close", lambda: sent_ms.append(stage.now))
    assert set(flatten(stage, pause_s=0.25).waited) == {0.25}
    assert sent_ms == [NOW, NOW, NOW + 250], "the first close is looked at at once, then the venue gets time"
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


def resting(*orders: Order, **more: Any) -> Stage:
    stage = Stage(**more)
    stage.venue.live = list(orders)
    return stage


def entry(order_id: str = "e1", *, installation: str = INST, role: Role = Role.ENTRY, symbol: str = "BTC") -> Order:
    client = encode(ClientId(installation, role, 1, TRADE))
    return replace(stop(order_id=order_id, client_id=client), symbol=symbol, kind=OrderKind.LIMIT, reduce_only=False)


def test_an_entry_of_ours_that_rests_is_cancelled_and_seen_to_be_gone_before_it_says_flat() -> None:
    stage = resting(entry())
    told = flatten(stage)
    assert told.flat
    (cancel,) = stage.done("venue.cancel")
    assert (cancel["symbol"], cancel["order_id"], cancel["permit"].nonce) == ("BTC", "e1", 1)
    assert {(call["urgency"], call["until_ms"]) for call in stage.done("venue.permit")} == {
        (Urgency.PROTECTIVE, NOW + 10_000)
    }
    assert {call["urgency"] for call in stage.done("venue.orders")} == {Urgency.PROTECTIVE}
    assert stage.reads() == ["holdings", "orders"] * 4 + ["holdings"]
    assert told.waited == [1.0] * 3, "what it filled just before the cancel may show a lag later"
    assert told.said == ["BTC: cancel entry e1: accepted", "flat"]


def test_what_filled_just_before_it_began_and_shows_a_lag_later_is_closed() -> None:
    stage = Stage()
    stage.meanwhile("venue.holdings", None, None, None, lambda: stage.venue.held.update(BTC=position()))
    assert flatten(stage).flat
    assert stage.sent() == ["close"]


def test_what_fills_while_it_looks_is_seen() -> None:
    stage = resting(entry())

    def fills() -> None:
        stage.venue.live.clear()
        stage.venue.held.update(BTC=position())

    stage.meanwhile("venue.orders", fills)
    assert flatten(stage).flat
    assert stage.sent() == ["close"]


def test_what_filled_before_the_cancel_and_shows_a_lag_later_is_closed() -> None:
    stage = resting(entry())
    stage.meanwhile("venue.holdings", None, None, None, lambda: stage.venue.held.update(BTC=position()))
    assert flatten(stage).flat
    assert stage.sent() == ["cancel", "close"]


def test_what_an_entry_still_filled_is_closed() -> None:
    stage = resting(entry())
    stage.meanwhile("venue.cancel", lambda: stage.venue.held.update(BTC=position()))
    assert flatten(stage).flat
    assert stage.sent() == ["cancel", "close"]


@pytest.mark.parametrize(
    "order",
    [
        entry(installation="fffff"),
        entry(role=Role.STOP),
        replace(entry(), client_id=None),
        entry(symbol="ETH"),
    ],
)
def test_no_other_order_is_touched(order: Order) -> None:
    stage = resting(order)
    assert flatten(stage, "BTC").flat
    assert stage.sent() == []


def test_it_is_not_flat_while_nobody_can_tell_whether_an_entry_rests() -> None:
    stage = resting()
    stage.answers("venue.orders", *[Unknown("away")] * DIRECT_TRIES)
    told = flatten(stage)
    assert not told.flat
    assert told.said == ["open orders could not be read: away"] * DIRECT_TRIES


def test_a_cancel_that_is_not_granted_or_refused_is_tried_again() -> None:
    stage = resting(entry())
    stage.answers("venue.permit", Throttled("own rate budget"))
    stage.answers("venue.cancel", Unknown("no answer"))
    told = flatten(stage)
    assert told.flat
    assert len(stage.done("venue.cancel")) == 2
    assert told.said[:2] == [
        "BTC: cancel entry e1: not processed: own rate budget",
        "BTC: cancel entry e1: unknown: no answer",
    ]


def test_what_is_on_no_list_keeps_no_other_position_from_being_closed_and_uses_up_its_tries() -> None:
    stage = holding()
    stage.venue.held["ETH"] = replace(position(), symbol="ETH")
    del stage.venue.listed["BTC"]
    told = flatten(stage)
    assert told.flat is False
    assert [call["symbol"] for call in stage.done("venue.close")] == ["ETH"]
    assert (
        told.said.count(
            "BTC: close 2.5 long within 3%: not processed: the venue's list of perpetuals could not be read"
        )
        == DIRECT_TRIES
    )
