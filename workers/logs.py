"""How processes log: one line a record, UTC, every secret scrubbed from the finished text, tracebacks included."""

import logging
import sys
import time
import warnings
from collections.abc import Iterable
from typing import TextIO

from celery.exceptions import SecurityWarning

from tasks import queues
from tasks.scrub import register, scrub

#: Tasks that end well once a second: their successes would bury everything else.
QUIET_TASKS = frozenset({queues.DRAIN_DUE, queues.CONFIRM_FILLS})


class ScrubbedFormatter(logging.Formatter):
    """Formats a record, then scrubs the whole text."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's scrubbed text."""
        return scrub(super().format(record))


class _NotTheClock(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.INFO:
            return True
        named = record.args.values() if isinstance(record.args, dict) else record.args or ()
        return not any(isinstance(name, str) and name in QUIET_TASKS for name in named)


def set_up(secrets: Iterable[str] = (), *, stream: TextIO | None = None) -> None:
    """Send all logging of this process to a stream (stderr), and keep these secrets out of it. May be called again."""
    register(secrets)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(ScrubbedFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("celery.worker.strategy", "urllib3", "tornado.access", "kombu", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("celery.app.trace", "celery.beat"):
        logging.getLogger(name).filters[:] = [_NotTheClock()]
    logging.captureWarnings(capture=True)
    # it fears pickled messages, which this app refuses, and says so in eight lines; docker/ runs as nobody anyway
    warnings.filterwarnings("ignore", category=SecurityWarning)


def keep(**_: object) -> None:
    """Receive Celery's setup_logging signal: that somebody listens keeps it from setting up logging of its own."""
