"""Logs: nothing secret in any part of a record, and the clock's successes left out."""

import io
import logging
from collections.abc import Iterator

import pytest

from tasks import queues
from workers import logs


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.set_up(["very-own-word", "0x" + "5f" * 32], stream=stream)
    yield stream
    root.handlers[:], root.level = kept, level
    logging.captureWarnings(capture=False)


def test_message_arguments_and_traceback_are_scrubbed(out: io.StringIO) -> None:
    log = logging.getLogger("stopkeeper.test")
    try:
        raise RuntimeError("very-own-word")
    except RuntimeError:
        log.exception("failed with %s and %s", "5f" * 32, {"key": "very-own-word"})
    text = out.getvalue()
    assert "very-own-word" not in text
    assert "5f5f" not in text
    assert text.count("***") >= 3
    assert "Z ERROR   stopkeeper.test: failed with *** and" in text


def test_a_password_in_a_url_is_scrubbed_without_being_registered(out: io.StringIO) -> None:
    logging.getLogger("x").info("connected to redis://:topsecret@host:1/0")
    assert "redis://:***@host:1/0" in out.getvalue()


def test_the_clock_is_quiet_when_it_goes_well_and_loud_when_not(out: io.StringIO) -> None:
    trace = logging.getLogger("celery.app.trace")
    trace.info("Task %(name)s ok", {"name": queues.DRAIN_DUE})
    trace.info("Task %(name)s ok", {"name": queues.DRIVE})
    trace.error("Task %(name)s bad", {"name": queues.DRAIN_DUE})
    logging.getLogger("celery.beat").info("Scheduler: Sending due task %s (%s)", "drain-due", queues.DRAIN_DUE)
    lines = out.getvalue().splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == [f"Task {queues.DRIVE} ok", f"Task {queues.DRAIN_DUE} bad"]
