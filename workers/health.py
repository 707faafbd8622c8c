"""``python -m workers.health``: exit 0 if a process on this host has said within the last 10 s that it lives.

For a container's health check, but not the feed's: while Redis is away it guards, and nobody may replace it. Reads
./stopkeeper.toml and the environment like every command.
"""

import socket
import sys

from stopkeeper.engine.ports import StoreGone
from workers.alive import signs
from workers.settings_load import ConfigError, load
from workers.wiring import open_store


def main() -> int:
    """Print what lives here and return the exit code."""
    try:
        store = open_store(load())
        here = [sign.process for sign in signs(store) if sign.host == socket.gethostname()]
        store.close()
    except (ConfigError, StoreGone) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"alive: {', '.join(here) or 'nothing'}\n")
    return 0 if here else 1


if __name__ == "__main__":
    sys.exit(main())
