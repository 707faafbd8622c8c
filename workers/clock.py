"""Celery's clock, ended by a signal whatever the signal interrupts."""

from collections.abc import Callable
from typing import Any

from celery.apps.beat import Beat
from celery.beat import Service
from celery.platforms import signals


class Clock(Beat):  # type: ignore[misc]  # Celery has no types
    """Celery's beat, but that a signal does nothing except tell it to end.

    Celery's own handler gives the lock back and closes the connections in the middle of whatever is using them, or of
    what is still being imported: of 440 signals in its first 120 ms ten ended in a traceback. The service does all
    that itself where it ends.
    """

    def __init__(self, told: Callable[[], bool], **options: Any) -> None:
        """Make a clock. ``told`` = whether a signal came before it heard any."""
        super().__init__(**options)
        self._told = told

    def install_sync_handler(self, service: Service) -> None:
        """Hear signals from here on, with everything loaded. Raises SystemExit where one came before."""
        _ = service.scheduler  # made by the first who asks for it: here, where no signal can break that off

        def end(*_: object) -> None:
            try:
                service.stop()  # where what is raised is swallowed, the next round is the last
            finally:
                raise SystemExit(0)

        signals.update(SIGTERM=end, SIGINT=end)
        if self._told():
            raise SystemExit(0)
