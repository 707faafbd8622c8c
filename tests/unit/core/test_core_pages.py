"""Which fills are read and kept: those of trades that are open or settle, and the youngest of every symbol."""

from dataclasses import replace

from stopkeeper.core.model import Fill, Key
from stopkeeper.core.pages import FILLS_BEFORE_MS, FILLS_KEPT_MS, fills_since, still_asked_for
from stopkeeper.core.record import KeyRecord
from tests.unit.core.scene import NOW, fill, held_trade, record

WEEK_MS = 7 * 24 * 3600 * 1000
LONG_AGO_MS = NOW - WEEK_MS


def _of(symbol: str, at_ms: int) -> Fill:
    return fill(f"{symbol}-{at_ms}", "1", "100", at_ms, symbol=symbol)


def _held(symbol: str, since_ms: int) -> KeyRecord:
    return record(held_trade(created_ms=since_ms), key=Key("main", symbol))


def test_a_position_of_weeks_keeps_its_own_fills_and_not_those_of_what_was_traded_beside_it() -> None:
    own = [_of("BTC", LONG_AGO_MS + hour * 3_600_000) for hour in range(100)]
    beside = [_of("ETH", LONG_AGO_MS + minute * 60_000) for minute in range(1, WEEK_MS // 60_000, 10)]
    kept = still_asked_for([*beside, *own], [_held("BTC", LONG_AGO_MS)], NOW)
    assert [f for f in kept if f.symbol == "BTC"] == own
    assert all(f.time_ms >= NOW - FILLS_KEPT_MS for f in kept if f.symbol == "ETH")
    assert len(kept) < 110


def test_what_is_young_is_kept_of_every_symbol_oldest_first() -> None:
    young = [_of("ETH", NOW - FILLS_KEPT_MS), _of("SOL", NOW - 1_000), _of("BTC", NOW)]
    assert still_asked_for([*reversed(young), _of("SOL", NOW - FILLS_KEPT_MS - 1)], [], NOW) == tuple(young)


def test_a_trade_keeps_all_fills_since_it_was_admitted() -> None:
    began_ms = NOW - 2 * FILLS_KEPT_MS
    fills = [_of("BTC", began_ms - 1), _of("BTC", began_ms), _of("BTC", began_ms + 1)]
    assert still_asked_for(fills, [_held("BTC", began_ms)], NOW) == tuple(fills[1:])


def test_one_that_settles_keeps_its_fills_beside_a_younger_trade() -> None:
    began_ms = NOW - 4 * FILLS_KEPT_MS
    settling = replace(_held("BTC", NOW - 1_000), settling=(held_trade(created_ms=began_ms),))
    assert still_asked_for([_of("BTC", began_ms)], [settling], NOW) == (_of("BTC", began_ms),)
    assert fills_since([settling], NOW) == began_ms


def test_fills_are_read_since_the_oldest_trade_else_for_a_minute() -> None:
    assert fills_since([_held("BTC", NOW - 5_000), _held("ETH", LONG_AGO_MS)], NOW) == LONG_AGO_MS
    assert fills_since([record()], NOW) == NOW - FILLS_BEFORE_MS
