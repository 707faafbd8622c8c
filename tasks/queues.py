"""The queues and which task goes into which: the only place that spells a queue's name.

``urgent`` has worker processes of its own, so that a close never stands behind a scan.
"""

from stopkeeper.core.record import KeyRecord

URGENT = "urgent"
ORDERS = "orders"
SCANS = "scans"
QUEUES = (URGENT, ORDERS, SCANS)

OPEN_TRADE = "tasks.entry.open_trade"
DRIVE = "tasks.supervise.drive"
DRAIN_DUE = "tasks.supervise.drain_due"
REFRESH_STOPS = "tasks.supervise.refresh_stops"
CONFIRM_FILLS = "tasks.supervise.confirm_fills"
SWEEP_ACCOUNT = "tasks.sweep.sweep_account"
SWEEP_ALL = "tasks.sweep.sweep_all"
CLOSE_POSITION = "tasks.close.close_position"
FLATTEN_ACCOUNT = "tasks.close.flatten_account"
EMERGENCY_CLOSE = "tasks.close.emergency_close"

ROUTES = {
    OPEN_TRADE: ORDERS,
    DRIVE: ORDERS,
    DRAIN_DUE: SCANS,
    REFRESH_STOPS: SCANS,
    CONFIRM_FILLS: SCANS,
    SWEEP_ACCOUNT: SCANS,
    SWEEP_ALL: SCANS,
    CLOSE_POSITION: URGENT,
    FLATTEN_ACCOUNT: URGENT,
    EMERGENCY_CLOSE: URGENT,
}


def queue_for(record: KeyRecord) -> str:
    """Return the queue a drive of this key belongs into: urgent while naked or asked to close."""
    trade = record.trade
    return URGENT if trade is not None and (trade.naked_since_ms is not None or trade.close is not None) else ORDERS
