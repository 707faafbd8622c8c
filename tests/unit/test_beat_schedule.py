"""The clock's table: names that exist, queues that exist, and messages that do not outlive their period."""

import pytest

from beat_schedule import REFRESHED, SCHEDULE, Entry
from tasks import queues


@pytest.mark.parametrize("entry", SCHEDULE, ids=lambda entry: entry.name)
def test_an_entry_names_a_task_and_a_queue_and_expires_within_its_period(entry: Entry) -> None:
    assert queues.ROUTES[entry.task] == entry.queue
    assert 0 < entry.expires_s <= entry.period_s


def test_the_clock_does_what_the_design_says() -> None:
    periods = {entry.task.rpartition(".")[2]: entry.period_s for entry in SCHEDULE}
    assert periods == {"drain_due": 1.0, "confirm_fills": 5.0, "refresh_stops": 15.0, "sweep_all": 15.0}
    names = [entry.name for entry in SCHEDULE]
    assert len(set(names)) == len(names)
    assert set(REFRESHED) < set(names)
