"""Moments in a record that a clock wrote which was wrong, put right. What is learned of the venue stands in learn.py.

One answer of the venue whose own time lies far ahead is enough to set a process's clock wrong, and what it writes down
outlives it: a stop "tried" in a year would be tried again in a year.
"""

from dataclasses import replace
from typing import Any, TypeVar

from stopkeeper.core.case import ADMISSION_MARGIN_MS
from stopkeeper.core.record import Cursor, KeyRecord, Outstanding, Placed, Sent, Sighting, Trade

AHEAD_MS = 10_000  # farther than the clocks of our processes run apart, and than one can fall behind by an old answer
LIFTED_AT_MOST_MS = 24 * 3_600_000  # a person may lift a stop for so long
LANDS_MS = 60_000  # what was sent lands within so long, or never
T = TypeVar("T", Trade, KeyRecord, Placed, Sent, Outstanding)
_OF_TRADE = (
    "entered_ms",
    "naked_since_ms",
    "flat_since_ms",
    "stop_moved_ms",
    "peak_ms",
    "sized_ms",
    "stop_tried_ms",
    "flatten_tried_ms",
    "target_tried_ms",
    "prepare_tried_ms",
    "settle_tried_ms",
)
_OF_RECORD = ("blind_since_ms", "since_ms", "history_ms")


def righted(record: KeyRecord, now_ms: int) -> KeyRecord:
    """Return a record none of whose moments lies farther ahead than it can: what had happened then happened now.

    A deadline is taken for one within which what was sent has landed.
    """
    record = _past(record, _OF_RECORD, now_ms)
    outstanding = tuple(_past(each, ("seen_ms",), now_ms) for each in record.outstanding)
    canceled = tuple((order, _deadline(at_ms, now_ms)) for order, at_ms in record.canceled)
    settling = tuple(_trade(each, now_ms) for each in record.settling)
    if (outstanding, canceled, settling) != (record.outstanding, record.canceled, record.settling):
        record = replace(record, outstanding=outstanding, canceled=canceled, settling=settling)
    ends = (_deadline(record.quiet_ms, now_ms), _deadline(record.pending_ms, now_ms))
    if ends != (record.quiet_ms, record.pending_ms):
        record = replace(record, quiet_ms=ends[0], pending_ms=ends[1])
    if record.denied and _is_ahead(record.denied[-1], now_ms):
        record = replace(record, denied=())  # it is counted again
    if _is_ahead(record.cursor.time_ms, now_ms):
        record = replace(record, cursor=Cursor(now_ms, record.cursor.fill_ids))
    if record.prepared is not None and _is_ahead(record.prepared.at_ms, now_ms):
        record = replace(record, prepared=None)  # it is read back again
    trade = record.trade and _trade(record.trade, now_ms)
    return record if trade is record.trade else replace(record, trade=trade)


def believed_deadline_ms(deadline_ms: int, now_ms: int) -> int:
    """Return a deadline that a dead holder left, or 0 where none of its sends can be under way until then."""
    return deadline_ms if deadline_ms <= now_ms + LANDS_MS else 0


def _trade(trade: Trade, now_ms: int) -> Trade:
    trade = _past(trade, _OF_TRADE, now_ms)
    if _is_ahead(trade.off_until_ms - LIFTED_AT_MOST_MS, now_ms):
        trade = replace(trade, off_until_ms=0)  # for how long is not known: the stop is wanted again
    if _is_ahead(trade.created_ms, now_ms):
        trade = replace(trade, created_ms=now_ms - ADMISSION_MARGIN_MS)
    placed = tuple(_past(each, ("acked_ms",), now_ms) for each in trade.placed)
    sent = tuple(_sent(each, now_ms) for each in trade.sent)
    lost = tuple(ms for ms in trade.lost_ms if not _is_ahead(ms, now_ms))
    moves = tuple(ms for ms in trade.moves_ms if not _is_ahead(ms, now_ms))
    sights = tuple(_sighting(each, now_ms) for each in (trade.beyond, trade.unsafe, trade.pressed))
    before = (trade.placed, trade.sent, trade.lost_ms, trade.moves_ms, (trade.beyond, trade.unsafe, trade.pressed))
    if (placed, sent, lost, moves, sights) == before:
        return trade
    beyond, unsafe, pressed = sights
    trade = replace(trade, beyond=beyond, unsafe=unsafe, pressed=pressed)
    return replace(trade, placed=placed, sent=sent, lost_ms=lost, moves_ms=moves)


def _sent(sent: Sent, now_ms: int) -> Sent:
    sent = _past(sent, ("sent_ms",), now_ms)
    deadline_ms = _deadline(sent.deadline_ms, now_ms)
    return sent if deadline_ms == sent.deadline_ms else replace(sent, deadline_ms=deadline_ms)


def _sighting(sighting: Sighting | None, now_ms: int) -> Sighting | None:
    """Return a sighting unless no reading to come would be later than its last."""
    return None if sighting is not None and _is_ahead(sighting.reading_ms, now_ms) else sighting


def _past(part: T, names: tuple[str, ...], now_ms: int) -> T:
    wrong: dict[str, Any] = {name: now_ms for name in names if _is_ahead(getattr(part, name) or 0, now_ms)}
    return replace(part, **wrong) if wrong else part


def _is_ahead(moment_ms: int, now_ms: int) -> bool:
    return moment_ms > now_ms + AHEAD_MS


def _deadline(deadline_ms: int, now_ms: int) -> int:
    return min(deadline_ms, now_ms + LANDS_MS)
