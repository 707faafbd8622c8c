"""What goes wrong between two lines of a drive: a worker that freezes, a store that blinks, a look that is older."""

import time
from dataclasses import replace
from decimal import Decimal
from threading import Event, Thread

import pytest

from stopkeeper.core.actions import ALL_FIELDS, Enter, Field
from stopkeeper.core.model import Known
from stopkeeper.core.outcomes import Unknown
from stopkeeper.engine import desk as asks
from stopkeeper.engine import drive as drives
from stopkeeper.engine import observe
from stopkeeper.engine.ports import StoreGone, Urgency


def test_a_worker_that_froze_after_it_decided_looks_again_before_it_enters(market, monkeypatch):
    decide, frozen = drives.decide, []

    def freezes(*case):
        plan = decide(*case)
        if not frozen and any(isinstance(action, Enter) for action in plan.actions):
            frozen.append(plan)
            time.sleep(1.3)
        return plan

    monkeypatch.setattr(drives, "decide", freezes)
    market.submit(expires="1s")
    market.until(lambda: market.ports.records.load(market.key()).trade is None)
    assert frozen
    assert market.ports.venue.holdings(Urgency.PROTECTIVE).value.positions == {}
    assert any("expired" in line for line in market.story())


def test_a_store_that_blinks_after_a_send_does_not_keep_the_key_from_the_next_drive(market, monkeypatch):
    records, venue = market.ports.records, market.ports.venue
    send, save, blink = venue.enter, records.save, []

    def sends(*args, **more):
        blink.append(1)
        return send(*args, **more)

    def saves(*args, **more):
        if blink and blink.pop():
            raise StoreGone("the write was not confirmed")
        return save(*args, **more)

    monkeypatch.setattr(venue, "enter", sends)
    monkeypatch.setattr(records, "save", saves)
    market.submit()
    with pytest.raises(StoreGone):
        drives.drive(market.key(), market.ports)
    assert drives.drive(market.key(), market.ports) is not None
    market.until_phase("protected")
    assert market.witness()["duplicates"] == 0
    assert len(market.witness()["entries_by_signal"]) == 1
    assert market.witness()["naked_intervals"] == []


def test_what_was_sent_is_told_also_by_who_lost_the_lease_while_it_was_on_its_way(market, monkeypatch):
    venue, leases = market.ports.venue, market.world.state.leases
    market.submit()
    market.until_phase("protected")
    place, lost = venue.place_stop, []

    def places(*args, **more):
        outcome = place(*args, **more)
        if not lost:
            lost.append(outcome)
            row = leases[market.key()]
            leases[market.key()] = replace(row, fence=row.fence + 1, owner="another", until_ms=0)
        return outcome

    monkeypatch.setattr(venue, "place_stop", places)
    asks.move_stop(market.key(), Decimal(94000), market.ports)
    market.until(lambda: market.rows()["BTC"].stop_price == Decimal(94000) and market.phase() == "protected")
    told = [line for line in market.story() if line.startswith("PlaceStop")]
    assert f"accepted as {lost[0].order_id}" in told[0]
    assert len(told) == 1


def test_a_look_makes_nothing_younger_that_it_did_not_read(market):
    ports = market.ports
    seen = observe.look(ports, ALL_FIELDS, ports.looks.load("main")[0], Urgency.ORDINARY)
    time.sleep(0.3)
    observe.look(ports, frozenset({Field.HOLDINGS}), seen, Urgency.ORDINARY)
    ages = ports.looks.load("main")[1]
    assert ages[Field.HOLDINGS] < 250 <= min(ages[Field.ORDERS], ages[Field.FILLS])


def test_a_look_of_this_very_moment_is_not_young_enough_where_none_may_be_old(market, monkeypatch):
    ports = market.ports
    observe.look(ports, ALL_FIELDS, ports.looks.load("main")[0], Urgency.ORDINARY)
    seen, ages = ports.looks.load("main")
    monkeypatch.setattr(ports.looks, "load", lambda _account: (seen, dict.fromkeys(ages, 0)))
    assert observe.cached(ports, {})[1] == ALL_FIELDS


def test_flatten_asks_for_every_position_also_where_one_cannot_be_asked_for(market):
    assert market.rows() == {}
    for symbol in ("BTC", "ETH"):
        market.hand(symbol, side="long", size="0.02")
    held, done = Event(), Event()

    def hold():
        lease = market.ports.leases.acquire(market.key("BTC"))
        held.set()
        done.wait(5)
        market.ports.leases.abandon(lease, 0)

    busy = Thread(target=hold)
    busy.start()
    held.wait(5)
    with pytest.raises(asks.VenueAway, match="main:BTC"):
        asks.flatten(market.ports)
    done.set()
    busy.join()
    assert market.ports.records.load(market.key("ETH")).trade.close is not None


def test_flatten_says_that_it_cannot_see_what_is_held(market, monkeypatch):
    assert market.rows() == {}
    monkeypatch.setattr(market.ports.venue, "holdings", lambda _urgency: Unknown("no answer"))
    with pytest.raises(asks.VenueAway, match="no answer"):
        asks.flatten(market.ports)


def test_flatten_draws_on_the_share_that_is_kept_for_protection(market, monkeypatch):
    holdings = market.ports.venue.holdings

    def drained(urgency):
        return holdings(urgency) if urgency is Urgency.PROTECTIVE else Unknown("own rate budget")

    assert market.rows() == {}
    market.hand(side="long", size="0.02")
    monkeypatch.setattr(market.ports.venue, "holdings", drained)
    assert asks.flatten(market.ports) == (market.key(),)


def test_flatten_also_ends_an_entry_that_nobody_has_proved_yet(market, monkeypatch):
    market.fault("drop_answer", "entry")
    market.fault("hide_position", delay_ms=1_500)
    venue, send = market.ports.venue, market.ports.venue.enter

    def sends(*args, **more):
        for read in ("lookup", "fills"):
            monkeypatch.setattr(venue, read, lambda *_: Unknown("no answer"))
        return send(*args, **more)

    monkeypatch.setattr(venue, "enter", sends)
    market.submit()
    market.tick()
    assert market.phase() == "unproven"
    assert asks.flatten(market.ports) == (market.key(),)
    monkeypatch.undo()
    assert market.until_booked().exit.reason == "manual_close"


def test_fills_of_a_long_lived_trade_are_not_read_from_its_beginning_every_time(market, monkeypatch):
    market.submit()
    market.until_phase("protected")
    ports, spans = market.ports, []
    read = ports.venue.fills

    def reads(since_ms, urgency):
        spans.append(since_ms)
        return read(since_ms, urgency)

    monkeypatch.setattr(ports.venue, "fills", reads)
    monkeypatch.setattr(observe, "FILLS_AGAIN_MS", 300)
    time.sleep(0.4)
    seen = observe.look(ports, ALL_FIELDS, ports.looks.load("main")[0], Urgency.ORDINARY)
    time.sleep(0.4)
    market.hand(side="long", size="0.01")
    seen = observe.look(ports, ALL_FIELDS, seen, Urgency.ORDINARY)
    created = ports.records.load(market.key()).trade.created_ms
    assert isinstance(seen.fills, Known)
    assert spans[-1] > created
    assert seen.fills.value.since_ms <= created
    assert [str(fill.size) for fill in seen.fills.value.fills if fill.time_ms >= created] == ["0.01", "0.01"]
    assert len({fill.id for fill in seen.fills.value.fills}) == len(seen.fills.value.fills)


def test_a_venue_so_slow_that_its_reads_outlast_a_lease_still_gets_the_stop_placed(market):
    market.submit()
    market.until_phase("protected")
    market.until(lambda: market.ports.venue.now_ms() > market.ports.records.load(market.key()).quiet_ms)
    market.hand(cancel="stops")
    reads = []
    for name in ("holdings", "orders", "fills"):
        real = getattr(market.ports.venue, name)

        def slow(*args, real=real):
            reads.append(real)
            time.sleep(1.1)  # three of them are longer than a lease, each is shorter than what a send needs
            return real(*args)

        setattr(market.ports.venue, name, slow)
    market.hand(side="long", size="0.01")  # another size than we last knew, so that fills are read as well
    market.ports.wakes.wake(market.key(), "the stop is gone")
    market.tick()
    assert len(reads) >= 3
    assert [line for line in market.story() if line.startswith("PlaceStop")]
