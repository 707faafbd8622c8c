"""The Celery app's settings: each assertion is a measured way to lose or repeat a message."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.worker.control import Panel
from kombu.exceptions import OperationalError

from tasks import queues
from tasks.close import close_position, emergency_close
from tasks.entry import open_trade
from workers.app import INSPECTIONS, make_app, prune_remote_control

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def conf() -> Any:
    return make_app("redis://:hidden@127.0.0.1:1/0", flower=True, refresh=timedelta(seconds=20)).conf


def test_messages_are_json_and_acked_early_and_never_retried(conf: Any) -> None:
    assert (conf.task_serializer, conf.result_serializer) == ("json", "json")
    assert (conf.accept_content, conf.result_accept_content) == (["json"], ["json"])
    assert not conf.task_acks_late
    assert not conf.task_publish_retry
    assert conf.task_ignore_result
    assert conf.result_backend is None


def test_no_worker_hoards_and_visibility_outlasts_a_drive(conf: Any) -> None:
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_disable_prefetch
    assert conf.broker_transport_options["visibility_timeout"] == 120
    assert conf.broker_connection_max_retries is None


def test_after_an_outage_of_any_length_a_worker_is_connected_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guardian is gone by then. By default the pauses grow to half a minute, and no setting changes them."""
    app, pauses = make_app("redis://127.0.0.1:1/0", flower=False, refresh=timedelta(seconds=15)), list[float]()
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _seconds: None)

    def note(_error: Exception, pause_s: float) -> None:
        pauses.append(pause_s)

    with app.connection_for_read() as connection, pytest.raises(OperationalError):  # as Celery's consumer asks for it
        connection.ensure_connection(note, 20)
    assert pauses == [1.0] * 20


def test_queues_are_explicit(conf: Any) -> None:
    assert [queue.name for queue in conf.task_queues] == ["urgent", "orders", "scans"]
    assert not conf.task_create_missing_queues
    assert conf.task_default_queue == "orders"


def test_every_task_has_a_route_and_every_route_a_task() -> None:
    app = make_app("redis://127.0.0.1:1/0", flower=True, refresh=timedelta(seconds=15))
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if name.startswith("tasks.")}
    assert ours == set(queues.ROUTES)
    assert {route["queue"] for route in app.conf.task_routes.values()} == set(queues.QUEUES)
    assert all(app.tasks[name].autoretry_for == () for name in ours if hasattr(app.tasks[name], "autoretry_for"))


@pytest.mark.parametrize(("task", "ends_s"), [(open_trade, 30), (close_position, 120), (emergency_close, None)])
def test_what_a_dead_worker_had_taken_enters_and_closes_nothing_minutes_later(
    monkeypatch: pytest.MonkeyPatch, task: Any, ends_s: int | None
) -> None:
    app = make_app("redis://127.0.0.1:1/0", flower=False, refresh=timedelta(seconds=15))
    published: list[dict[str, Any]] = []
    monkeypatch.setattr(type(app), "send_task", lambda *_, **options: published.append(options))
    task.apply_async(("main", "BTC", "long"), {"stop": "2%", "size": "1"} if task is open_trade else {})
    assert [options.get("expires") for options in published] == [ends_s]


def test_redbeat_is_taken_over_within_seconds(conf: Any) -> None:
    assert (conf.redbeat_lock_timeout, conf.beat_max_loop_interval) == (15, 3)
    assert conf.beat_schedule["sweep-all"]["schedule"] == timedelta(seconds=20)
    assert conf.beat_schedule["sweep-all"]["options"] == {"queue": "scans", "expires": 20.0}
    assert conf.beat_schedule["drain-due"]["schedule"] == timedelta(seconds=1)


@pytest.mark.parametrize("wanted", [True, False])
def test_events_and_remote_control_are_only_for_flower(wanted: bool) -> None:
    conf = make_app("redis://127.0.0.1:1/0", flower=wanted, refresh=timedelta(seconds=15)).conf
    assert conf.worker_send_task_events is wanted
    assert conf.worker_enable_remote_control is wanted


def test_remote_control_can_only_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Panel, "data", dict(Panel.data))
    prune_remote_control()
    assert set(Panel.data) == INSPECTIONS
    assert not {"shutdown", "revoke", "conf", "pool_grow", "rate_limit"} & set(Panel.data)


def test_nothing_waits_inside_the_queue() -> None:
    """Countdowns, etas and Celery's own retries bypass the due set: they are lost or run many times over."""
    forbidden = re.compile(r"countdown\s*=|\beta\s*=|autoretry_for\s*=|\.retry\(|retry_backoff|acks_late\s*=\s*True")
    for folder in ("tasks", "workers", "stopkeeper", "exchange"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not forbidden.search(path.read_text()), path
    assert not forbidden.search((ROOT / "beat_schedule.py").read_text())


def test_everything_is_caught_in_one_place() -> None:
    caught = [path.name for folder in ("tasks", "workers") for path in (ROOT / folder).rglob("*.py")
              if "except Exception" in path.read_text()]  # fmt: skip
    assert caught == ["edge.py"]
