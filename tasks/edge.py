"""The task edge: how a plain function becomes a Celery task, and the one place that catches every exception.

An expected end is a sentence, which Flower shows as the result; a bug is logged and re-raised with its text scrubbed.
No task is retried by Celery: what is due stands in the due set and is driven again from there.
"""

import logging
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, Protocol, cast

from celery import shared_task

from stopkeeper.engine.desk import Refused, VenueAway
from stopkeeper.engine.ports import LeaseLost, StoreGone
from tasks.scrub import scrub

P = ParamSpec("P")
log = logging.getLogger("stopkeeper.tasks")


class TaskFailed(Exception):
    """A bug in a task, with its text scrubbed; the log has the scrubbed traceback."""


class Task(Protocol[P]):
    """A Celery task as this project uses it."""

    name: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> str: ...
    def apply_async(self, args: Sequence[Any] = ..., **options: Any) -> Any:
        """Publish; options are Celery's."""


def task(name: str, expires_s: float | None = None) -> Callable[[Callable[P, str]], Task[P]]:
    """Make a function a task of this name whose result is always one sentence.

    Workers throw a message of it away that is older than ``expires_s`` (None = none is).
    """

    def wrap(body: Callable[P, str]) -> Task[P]:
        return cast(Task[P], shared_task(name=name, expires=expires_s)(edge(name, body)))

    return wrap


def edge(name: str, body: Callable[P, str]) -> Callable[P, str]:
    """Wrap a task's body: expected ends become sentences, bugs are logged and re-raised scrubbed."""

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> str:
        try:
            return scrub(body(*args, **kwargs))
        except Refused as refused:
            return scrub(f"refused: {refused}")
        except (StoreGone, LeaseLost, VenueAway) as left:
            sentence = scrub(f"left: {left or type(left).__name__}")
            log.warning("%s %s", name, sentence)
            return sentence
        except Exception as bug:
            log.error("%s failed: %s", name, scrub(traceback.format_exc()))
            text = scrub(f"{type(bug).__name__}: {bug}")
        raise TaskFailed(text)  # outside the handler: the original, unscrubbed, must not ride along as its context

    return run
