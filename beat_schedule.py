"""The clock's table, data only: what is published how often, and when a message nobody took stops mattering.

``expires_s`` never exceeds ``period_s``: a worker that was away must not find a heap of old wake-ups when it returns.
Nothing hangs on this clock alone: the feed's ticker drains the same due set, and starts a sweep when none was made.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the clock's table."""

    name: str
    task: str
    period_s: float
    queue: str
    expires_s: float


SCHEDULE = (
    Entry("drain-due", "tasks.supervise.drain_due", 1.0, "scans", 1.0),
    Entry("confirm-fills", "tasks.supervise.confirm_fills", 5.0, "scans", 5.0),
    Entry("refresh-stops", "tasks.supervise.refresh_stops", 15.0, "scans", 15.0),
    Entry("sweep-all", "tasks.sweep.sweep_all", 15.0, "scans", 15.0),
)
#: The lines whose period (and expiry) is the configured [stops] refresh.
REFRESHED = ("refresh-stops", "sweep-all")
