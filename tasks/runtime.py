"""What tasks are given: each account's ports, and a place to note that a clock ran. workers installs it at start."""

from collections.abc import Callable
from dataclasses import dataclass

from stopkeeper.engine.desk import Refused
from stopkeeper.engine.ports import Ports


@dataclass(frozen=True, slots=True)
class Runtime:
    """The way from a task's ids to the engine's ports.

    ``ports_for`` is thread-safe and cached. ``note(name)`` leaves the moment of now under a name, for all processes to
    see: so that a second clock starts when the first one stops.
    """

    accounts: tuple[str, ...]
    ports_for: Callable[[str], Ports]
    note: Callable[[str], None]


_installed: list[Runtime] = []


def install(runtime: Runtime) -> None:
    """Give the tasks of this process their runtime; a later one replaces an earlier."""
    _installed[:] = [runtime]


def current() -> Runtime:
    """Return what was installed. Raises RuntimeError in a process that is no worker."""
    if not _installed:
        raise RuntimeError("tasks have no runtime in this process; workers installs it")
    return _installed[0]


def ports(account: str) -> Ports:
    """Return an account's ports. Raises Refused for an account the configuration does not have."""
    runtime = current()
    if account not in runtime.accounts:
        raise Refused("account", account, "is not configured", f"there is: {', '.join(runtime.accounts)}")
    return runtime.ports_for(account)


BEAT = "beat"  # the note a tick of the clock leaves once it was carried out


def swept(account: str) -> str:
    """Return the name of the note a sweep leaves."""
    return f"swept:{account}"
