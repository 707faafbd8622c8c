"""A worker that is real in all but one thing: its ports strike where the folder in STRIKE_FOLDER says.

It is started with the words of ``stopkeeper``: ``python -m tests.chaos.dying_worker worker --name doomed …``. The
product's own composition makes every part; only what the engine is handed is wrapped.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from exchange import venues
from stopkeeper.engine import ports
from stopkeeper.store.bundle import Store
from tests.chaos.points import PORTS
from tests.chaos.striking import Orders, Passing, Striker
from workers import main as program
from workers import wiring

VARIABLE = "STRIKE_FOLDER"


def wrap(striker: Striker) -> None:
    """Let the composition root hand out ports that strike."""
    open_store, open_venue = wiring.open_store, venues.open_venue

    def passing(inner: Any, protocol: Any) -> Any:
        return Passing(inner, PORTS[protocol], protocol, striker)

    def store_that_strikes(*args: Any) -> Store:
        store = open_store(*args)
        parts = {PORTS[each]: each for each in PORTS if each is not ports.Venue}
        return replace(store, **{name: passing(getattr(store, name), each) for name, each in parts.items()})

    def venue_that_strikes(*args: Any) -> ports.Venue:
        return passing(open_venue(*args), ports.Venue)  # type: ignore[no-any-return]

    wiring.open_store = store_that_strikes
    venues.open_venue = venue_that_strikes


def main() -> None:
    """Run the command line with ports that strike, where a folder is named."""
    folder = os.environ.get(VARIABLE)
    if folder:
        wrap(Striker(Orders(Path(folder))))
    program.main()


if __name__ == "__main__":
    main()
