"""The Celery app: every queue setting, each with its reason, measured on Celery 5.7.

A message is a wake-up and never the record, so delivery is kept simple: early acks, no retries, no countdowns. What is
due stands in the store and is published again until it has been driven.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.worker.control import Panel
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from redis.exceptions import RedisError

from beat_schedule import REFRESHED, SCHEDULE
from tasks import queues

TASK_MODULES = ("tasks.entry", "tasks.supervise", "tasks.sweep", "tasks.close")
VISIBILITY_S = 120  # longer than a drive's own budget of 60 s; only matters for messages between broker and worker
#: What Flower asks workers. Everything else that remote control offers (shutdown, revoke, rate limits, the
#: configuration with its URLs) is taken away: whoever reaches Redis could use it.
INSPECTIONS = frozenset({"active", "active_queues", "ping", "registered", "reserved", "revoked", "scheduled", "stats"})


class Steady(Connection):
    """A connection to the broker that is tried again every second, however long it is away.

    By default the pauses grow to half a minute, and the feed's guardian has ended by then: nobody would act.
    """

    def ensure_connection(self, *words: Any, **options: Any) -> Any:
        """Connect, as kombu does."""
        pauses = {"interval_start": 1, "interval_step": 0, "interval_max": 1}
        return super().ensure_connection(*words, **pauses | options)  # type: ignore[no-untyped-call]


class Wakes(Celery):  # type: ignore[misc]  # Celery has no types
    """An app whose queues stay short where no worker runs: only workers throw expired messages away.

    The oldest go. What is due stands in the store, so that a lost wake-up costs a tick.
    """

    most, every_s = 10_000, 60.0
    _cut_s = 0.0

    def send_task(self, *words: Any, **options: Any) -> Any:
        """Publish a message, and once a minute cut the queues to their newest ``most``."""
        sent = super().send_task(*words, **options)
        if time.monotonic() >= self._cut_s + self.every_s:
            self._cut_s = time.monotonic()
            with suppress(RedisError), self.connection_for_write() as connection:
                for name in queues.QUEUES:
                    connection.default_channel.client.ltrim(name, 0, self.most - 1)
        return sent


def make_app(broker_url: str, *, flower: bool, refresh: timedelta) -> Celery:
    """Return the app over a broker, as the current one. ``flower`` = workers send events and answer inspections."""
    app = Wakes("stopkeeper", include=TASK_MODULES, set_as_current=True)
    app.conf.update(
        _delivery(broker_url) | _workers(flower=flower) | _beat(broker_url, refresh),
    )
    app.amqp.Connection = Steady
    app.set_default()
    return app


def _delivery(broker_url: str) -> dict[str, Any]:
    exchange = Exchange("stopkeeper", type="direct")  # type: ignore[no-untyped-call]
    return {
        "broker_url": broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "max_connections": 64,
        },
        # a task's end stands in its event, for Flower, and in the store; never in a result key
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        # JSON only: a pickle in the queue would be code
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_queues": [
            Queue(name, exchange, routing_key=name)  # type: ignore[no-untyped-call]
            for name in queues.QUEUES
        ],
        "task_default_queue": queues.ORDERS,
        "task_default_exchange": exchange.name,
        "task_default_routing_key": queues.ORDERS,
        "task_routes": {task: {"queue": queue} for task, queue in queues.ROUTES.items()},
        "task_create_missing_queues": False,  # a typing error in a queue's name must not swallow messages
        "task_publish_retry": False,  # the due set publishes again; a publisher must not hang on a dead broker
        "task_acks_late": False,  # the due set redelivers; two ways would run a drive twice
        "task_reject_on_worker_lost": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _workers(*, flower: bool) -> dict[str, Any]:
    return {
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,  # no worker sits on a message another could take
        "worker_soft_shutdown_timeout": 0,  # threads end by SIGTERM (warm), never by SIGQUIT
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # a drive goes on without the broker
        "worker_enable_remote_control": flower,
        "worker_send_task_events": flower,  # events halve a worker's throughput
        "task_send_sent_event": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _beat(broker_url: str, refresh: timedelta) -> dict[str, Any]:
    return {
        "beat_schedule": schedule(refresh),
        "beat_scheduler": "redbeat.RedBeatScheduler",
        "beat_max_loop_interval": 3,
        "redbeat_redis_url": broker_url,
        "redbeat_lock_timeout": 15,  # a standby takes over 16 s after the holder died
        "redbeat_redis_options": {"socket_timeout": 5, "socket_connect_timeout": 5, "socket_keepalive": True},
    }


def schedule(refresh: timedelta) -> Mapping[str, dict[str, Any]]:
    """Return beat_schedule.py's table as Celery wants it, with the configured refresh period."""
    table = {}
    for entry in SCHEDULE:
        refreshed = entry.name in REFRESHED
        period_s = refresh.total_seconds() if refreshed else entry.period_s
        expires_s = period_s if refreshed else entry.expires_s
        table[entry.name] = {
            "task": entry.task,
            "schedule": timedelta(seconds=period_s),
            "options": {"queue": entry.queue, "expires": expires_s},
        }
    return table


def prune_remote_control() -> None:
    """Take every remote command from this process's workers but the inspections Flower shows."""
    for name in set(Panel.data) - INSPECTIONS:
        del Panel.data[name]
