"""Key records: accepted once, saved under fence and version, wishes that race a drive, lines booked once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from stopkeeper.core.effects import adopt
from stopkeeper.core.model import Key, Resting
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk, Goal, KeyRecord, Origin, Sent, TargetTerms, Terms, Trade
from stopkeeper.core.rules import Limits, OrphanPolicy
from stopkeeper.engine.ports import AdmitResult, Lease, LeaseLost
from stopkeeper.store.bundle import Store

BTC = Key("main", "BTC")
USD = Decimal(100)
FREE = Limits()


def driving(store: Store, key: Key = BTC) -> tuple[Lease, KeyRecord]:
    lease = store.leases.acquire(key)
    assert lease is not None
    return lease, store.records.load(key)


def close(record: KeyRecord) -> KeyRecord:
    assert record.trade is not None
    return replace(record, trade=replace(record.trade, close=CloseAsk("manual_close", 7)))


def held(record: KeyRecord) -> Trade:
    assert record.trade is not None
    return record.trade


def test_a_signal_is_accepted_once(rig: Any, store: Store) -> None:
    trade = rig.trade()
    assert store.records.admit(trade, "body", USD, FREE) is AdmitResult.ADMITTED
    assert store.records.admit(trade, "body", USD, FREE) is AdmitResult.REPEATED
    assert store.records.admit(trade, "other", USD, FREE) is AdmitResult.CONFLICT
    assert store.records.admit(rig.trade("t2"), "b2", USD, FREE) is AdmitResult.BUSY
    assert store.wakes.counter(BTC) == 1
    assert [key for key, _ in store.wakes.overdue()] == [BTC]
    record = store.records.load(BTC)
    assert (record.trade, record.version) == (trade, 1)
    assert store.records.all("main") == [record]
    state = store.records.signal("t1")
    assert state is not None
    assert (state.signal_id, state.key, state.state) == ("signal-t1", BTC, "open")
    assert store.records.signal("t2") is None


def test_limits_are_counted_with_what_is_open(rig: Any, store: Store) -> None:
    limits = Limits(max_open_trades=2, max_notional=Decimal("0.3"))
    admit = store.records.admit
    assert admit(rig.trade("t1", "BTC"), "b", Decimal("0.1"), limits) is AdmitResult.ADMITTED
    assert admit(rig.trade("t2", "ETH"), "b", Decimal("0.2000001"), limits) is AdmitResult.TOO_MUCH
    assert admit(rig.trade("t3", "ETH"), "b", Decimal("0.2"), limits) is AdmitResult.ADMITTED, "0.1 + 0.2 is 0.3"
    assert admit(rig.trade("t4", "SOL"), "b", Decimal(0), limits) is AdmitResult.TOO_MANY
    assert admit(rig.trade("t5", "SOL", "second"), "b", USD, FREE) is AdmitResult.ADMITTED, "limits are an account's"


def test_ten_at_once_and_room_for_three(rig: Any, store: Store) -> None:
    trades = [rig.trade(f"t{n}", f"S{n}") for n in range(10)]
    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda trade: store.records.admit(trade, "b", USD, Limits(max_open_trades=3)), trades))
    assert results.count(AdmitResult.ADMITTED) == 3
    assert results.count(AdmitResult.TOO_MANY) == 7
    assert len(store.records.all("main")) == 3


def test_a_save_moves_the_version_and_is_what_is_loaded(rig: Any, store: Store) -> None:
    store.records.admit(rig.trade(), "b", USD, FREE)
    lease, record = driving(store)
    price = Decimal("1.50")
    aim = TargetTerms(price, price, price)
    terms = Terms(*(price,) * 5, goals=(Goal(price, Decimal(1)),), targets=(aim,), resting=Resting.GTC)
    sent = Sent(1, 3, 99, 5_000, 1_000, terms, Unknown("not answered"))
    changed = replace(record, n=4, quiet_ms=9, trade=replace(held(record), sent=(sent,)))
    saved = store.records.save(changed, lease)
    assert saved == replace(changed, version=record.version + 1)
    assert store.records.load(BTC) == saved
    assert store.records.save(saved, lease).version == saved.version + 1


def test_a_store_that_keeps_what_it_takes_confirms_it_and_changes_nothing(rig: Any, store: Store) -> None:
    store.records.admit(rig.trade(), "body", USD, FREE)
    before = store.records.all("main")
    store.records.confirm()
    assert store.records.all("main") == before


def test_an_old_version_and_an_old_fence_are_refused(rig: Any, store: Store) -> None:
    lease, record = driving(store)
    store.records.save(replace(record, n=1), lease)
    with pytest.raises(LeaseLost):
        store.records.save(replace(record, n=2), lease)
    with pytest.raises(LeaseLost):
        store.records.save(replace(record, version=50, n=2), lease)
    rig.kill(store)
    rig.pass_ms(rig.times.heartbeat_lost_ms + 30)
    other = rig.process()
    taken, seen = driving(other)
    with pytest.raises(LeaseLost):
        store.records.save(replace(seen, n=3), lease)
    assert other.records.save(replace(seen, n=4), taken).n == 4
    assert other.records.load(BTC).n == 4


def test_a_wish_that_races_a_drive_loses_neither(rig: Any, store: Store) -> None:
    store.records.admit(rig.trade(), "b", USD, FREE)
    person = rig.process()
    lease, record = driving(store)
    counter = store.wakes.counter(BTC)
    asked = person.records.request(BTC, close)
    assert held(asked).close is not None
    assert held(asked) == held(person.records.load(BTC))

    saved = store.records.save(replace(record, n=9, trade=replace(held(record), widen=5)), lease)
    assert (saved.n, held(saved).widen) == (9, 5), "the drive's outcome is kept"
    assert held(saved).close is not None, "and the wish arrives with it"
    assert saved == store.records.load(BTC)
    assert store.leases.release(lease, counter, None) is False, "the drive goes on because it was woken"

    done = store.records.save(replace(saved, trade=replace(held(saved), close=None)), lease)
    assert held(done).close is None, "a wish that was seen is consumed"
    assert store.records.load(BTC) == done


def test_a_drive_that_saves_during_a_wish_makes_it_start_over(rig: Any, store: Store) -> None:
    store.records.admit(rig.trade(), "b", USD, FREE)
    lease, record = driving(store)
    calls: list[int] = []

    def wish(seen: KeyRecord) -> KeyRecord:
        if not calls:
            store.records.save(replace(record, n=5), lease)
        calls.append(seen.n)
        return replace(seen, trade=replace(held(seen), stop=Decimal("8.50"), stop_moved_by="person"))

    asked = rig.process().records.request(BTC, wish)
    assert calls == [0, 5]
    assert (asked.n, held(asked).stop) == (5, Decimal("8.50"))
    assert store.records.load(BTC) == asked


def test_a_wish_touches_wishes_only_and_dies_with_its_trade(rig: Any, store: Store) -> None:
    with pytest.raises(ValueError, match="trade"):
        store.records.request(BTC, lambda record: replace(record, trade=rig.trade()))
    assert store.records.request(BTC, lambda record: record).version == 0
    assert store.wakes.counter(BTC) == 1, "a wish without a change still wakes"
    store.records.admit(rig.trade(), "b", USD, FREE)
    with pytest.raises(ValueError, match="nothing else"):
        store.records.request(BTC, lambda record: replace(record, n=7))
    lease, record = driving(store)
    rig.process().records.request(BTC, close)
    successor = Trade("f1", Origin.FOUND, BTC, held(record).side, 5)
    saved = store.records.save(replace(record, trade=successor), lease)
    assert held(saved) == successor, "the wish was about the trade that ended"


def test_a_person_adopts_what_was_found_while_it_is_driven(rig: Any, store: Store) -> None:
    store.records.admit(rig.trade(), "b", USD, FREE)
    lease, record = driving(store)
    orphan = Trade("f1", Origin.FOUND, BTC, held(record).side, 5, orphan=OrphanPolicy.ALERT)
    found = store.records.save(replace(record, trade=orphan), lease)
    policy = Policy(Trail(TrailKind.PERCENT, Decimal("0.01")))
    wish = partial(adopt, trigger=Decimal("9.50"), policy=policy, now_ms=7, by_person=True)
    asked = rig.process().records.request(BTC, wish)
    saved = store.records.save(replace(found, n=9), lease)
    assert saved == store.records.load(BTC)
    assert (saved.n, held(saved)) == (9, held(asked))
    told = held(saved)
    assert (told.orphan, told.policy, told.stop, told.stop_moved_by) == (None, policy, Decimal("9.50"), "person")


def test_booking_ends_the_trade_in_the_same_write(rig: Any, store: Store) -> None:
    limits = Limits(max_open_trades=1)
    trade = rig.trade()
    store.records.admit(trade, "b", USD, limits)
    lease, record = driving(store)
    saved = store.records.save(replace(record, trade=None), lease, booked=rig.line(trade))
    assert saved.trade is None
    assert store.ledger.lines("main") == [rig.line(trade)]
    assert store.records.all("main") == []
    state = store.records.signal("t1")
    assert state is not None
    assert (state.state, state.why) == ("closed", "stop_loss")
    assert store.records.admit(trade, "b", USD, limits) is AdmitResult.REPEATED, "the registry outlives the trade"
    assert store.records.admit(rig.trade("t2"), "b", USD, limits) is AdmitResult.ADMITTED, "its room is free"


def test_a_refused_trade_says_why(rig: Any, store: Store) -> None:
    store.records.admit(rig.trade(), "b", USD, FREE)
    lease, record = driving(store)
    store.records.save(replace(record, trade=None), lease, refused="the signal was 31 s old")
    state = store.records.signal("t1")
    assert state is not None
    assert (state.state, state.why) == ("refused", "the signal was 31 s old")


def test_settling_trades_keep_the_record_listed_and_free_the_room(rig: Any, store: Store) -> None:
    store.records.admit(rig.trade(), "b", USD, FREE)
    lease, record = driving(store)
    saved = store.records.save(
        replace(record, trade=None, settling=(held(record),)), lease, booked=rig.line(rig.trade())
    )
    assert store.records.all("main") == [saved]
    assert store.records.admit(rig.trade("t2"), "b", USD, Limits(max_open_trades=1)) is AdmitResult.ADMITTED


def test_a_line_is_written_once_and_corrected_by_the_next_revision(rig: Any, store: Store) -> None:
    first, second = rig.trade("t1"), rig.trade("t2")
    lease, record = driving(store)
    record = store.records.save(record, lease, booked=rig.line(second, booked_ms=9))
    record = store.records.save(record, lease, booked=rig.line(first, booked_ms=5))
    record = store.records.save(record, lease, booked=rig.line(first, booked_ms=5, reason="external"))
    assert store.ledger.lines("main") == [rig.line(first, booked_ms=5), rig.line(second, booked_ms=9)]
    store.records.save(record, lease, booked=rig.line(first, revision=1, booked_ms=99, reason="adl"))
    assert [line.exit.reason for line in store.ledger.lines("main")] == ["adl", "stop_loss"]
    assert store.ledger.lines("other") == []


def test_an_admission_during_a_drive_reaches_the_drive(rig: Any, store: Store) -> None:
    lease, record = driving(store)
    assert store.records.admit(rig.trade(), "b", USD, FREE) is AdmitResult.ADMITTED
    saved = store.records.save(replace(record, quiet_ms=8), lease)
    assert (saved.quiet_ms, saved.trade) == (8, rig.trade())
    assert store.records.load(BTC) == saved


def test_an_admitted_trade_waits_behind_a_position_found_at_that_moment(rig: Any, store: Store) -> None:
    lease, record = driving(store)
    store.records.admit(rig.trade(), "b", USD, FREE)
    found = Trade("f1", Origin.FOUND, BTC, rig.trade().side, 5)
    saved = store.records.save(replace(record, trade=found), lease)
    assert held(saved).id == "f1"
    saved = store.records.save(replace(saved, n=2), lease)
    assert held(saved).id == "f1"
    assert store.records.admit(rig.trade("t9", "ETH"), "b", USD, Limits(max_open_trades=2)) is AdmitResult.TOO_MANY
    saved = store.records.save(replace(saved, trade=None), lease, booked=rig.line(found))
    assert held(saved).id == "t1", "now it is the key's"
    saved = store.records.save(replace(saved, trade=None), lease, refused="too late")
    assert saved.trade is None
    state = store.records.signal("t1")
    assert state is not None
    assert state.state == "refused"
    assert store.records.all("main") == []
