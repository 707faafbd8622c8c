"""How the demo looks: a live table with the last events on a terminal, timestamped lines elsewhere."""

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from stopkeeper.console import words
from stopkeeper.console.rows import BARE
from stopkeeper.console.session import Session, now_ms
from stopkeeper.core.report import Phase, PositionRow

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

EVENTS = 14
STANDING = frozenset({Phase.PROTECTED, Phase.UNSAFE})  # a new stop in these is news


class View:
    """Shows positions and events as they come."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.started = time.monotonic()
        self.events: deque[str] = deque(maxlen=EVENTS)
        self.everything: list[str] = []
        self.held: Sequence[PositionRow] = ()
        self.marks: Mapping[str, Decimal] = {}
        self.phases: dict[str, tuple[str, str | None]] = {}
        self.live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and not self.session.json:
            from rich.live import Live

            self.live = Live(self._render(), console=self.session.screen(), refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """End the live table and leave the events as lines behind."""
        if self.live is not None:
            self.live.stop()
            self.live = None
            for line in self.everything:
                self.session.say_styled(line)

    def title(self, text: str) -> None:
        """Say what is about to happen."""
        self._add(f"[bold]{text}[/]")

    def event(self, text: str) -> None:
        """Say what happened."""
        self._add(text)

    def look(self, held: Sequence[PositionRow], marks: Mapping[str, Decimal]) -> None:
        """Take the newest positions; a change of phase is an event."""
        self.held, self.marks = held, marks
        for row in held:
            now = (row.phase, row.stop_order_id if row.phase in STANDING else None)
            if self.phases.get(row.symbol) != now:
                self.phases[row.symbol] = now
                self._add(_phase_line(row))
        for symbol in set(self.phases) - {row.symbol for row in held}:
            del self.phases[symbol]
            self._add(f"  {symbol}: flat")
        if self.live is not None:
            self.live.update(self._render())

    def _add(self, text: str) -> None:
        line = f"{time.monotonic() - self.started:6.1f} s  {text}"
        self.events.append(line)
        self.everything.append(line)
        if self.live is None:
            self.session.say_styled(line)
            sys.stdout.flush()
        else:
            self.live.update(self._render())

    def _render(self) -> "RenderableType":
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=box.SIMPLE_HEAD, pad_edge=False, title="positions as the venue shows them", title_justify="left"
        )
        for name in ("symbol", "side", "phase", "size", "entry", "mark", "stop", "seen live", "P&L"):
            table.add_column(name, justify="right" if name in ("size", "entry", "mark", "stop", "P&L") else "left")
        now = now_ms()
        for row in self.held:
            phase = f"[bold red]{row.phase}[/]" if row.phase in BARE else f"[green]{row.phase}[/]"
            table.add_row(
                row.symbol,
                row.side,
                phase,
                words.amount(row.size),
                words.average(row.entry_price),
                words.amount(self.marks.get(row.symbol)),
                words.amount(row.stop_price),
                words.ago(row.stop_verified_at_ms, now),
                words.gain(row.unrealized_pnl),
            )
        return Group(table, Text.from_markup("\n".join(self.events)))


def _phase_line(row: PositionRow) -> str:
    size = f" {words.amount(row.size)}" if row.size is not None else ""
    stop = f", stop {words.amount(row.stop_price)}" if row.stop_price is not None else ""
    verified = f" seen live as order {row.stop_order_id}" if row.stop_order_id else ""
    colour = "red" if row.phase in BARE else "green" if row.phase == "protected" else "yellow"
    return f"  {row.symbol}: {row.side}{size} [{colour}]{row.phase}[/]{stop}{verified}"
