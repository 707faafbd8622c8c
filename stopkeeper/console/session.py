"""One invocation of the command: its two common options, the configuration read once, and where output goes.

``command`` and ``group`` make every command take ``--json`` and ``--config`` on either side of its name.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stopkeeper.console import shapes, words
from stopkeeper.console.backend import Backend, House, at_work
from stopkeeper.console.failures import Declined, NotFound
from stopkeeper.core.model import Key
from stopkeeper.engine import desk
from stopkeeper.engine.ports import Ports

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
ACT_S = 20.0


@dataclass
class Session:
    """What every command is handed."""

    backend: Backend
    json: bool = False
    config: Path | None = None
    _house: House | None = field(default=None, repr=False)

    @property
    def house(self) -> House:
        """Read the configuration at the first use."""
        if self._house is None:
            self._house = self.backend.load(self.config)
        return self._house

    def account(self, name: str) -> str:
        """Return the name if the configuration has such an account, else raise NotFound."""
        if name in self.house.accounts:
            return name
        known = ", ".join(sorted(self.house.accounts)) or "none"
        raise NotFound("no such account", field="account", value=name, hint=f"the configuration has: {known}")

    def chosen(self, name: str | None) -> tuple[str, ...]:
        """Return the one account named, or all of them."""
        return tuple(self.house.accounts) if name is None else (self.account(name),)

    def ports(self, account: str) -> Ports:
        """Return an account's ports."""
        return self.house.ports(self.account(account))

    def key(self, account: str, symbol: str) -> Key:
        """Return the key for an account and a symbol as typed (BTC, or BTC/USDC:USDC)."""
        facts = self.house.accounts[self.account(account)]
        coin = symbol.partition("/")[0]
        known = {name.partition("/")[0].upper(): name.partition("/")[0] for name in facts.symbols}
        if coin.upper() in known:
            return Key(account, known[coin.upper()])
        if coin in self.house.markets(account):
            return Key(account, coin)  # a position may stand on a symbol the configuration does not trade
        raise Declined(
            "no such symbol",
            field="symbol",
            value=symbol,
            hint=f"{account} trades {', '.join(sorted(known.values()))}",
        )

    def unattended(self) -> bool:
        """Return whether no worker is heard of: what is asked for is carried out from here, or not at all."""
        return at_work(beat.process for beat in self.house.heartbeats()) == 0

    def act_here(self, keys: Iterable[Key], seconds: float = ACT_S) -> bool:
        """Close keys from this process where no worker is heard of; else they are at it already.

        False, with a line on stderr, where some were not seen flat in time and nobody goes on.
        """
        wanted = list(keys)
        if not wanted or not self.unattended():
            return True
        self.note("no worker is heard of: carried out from here")
        left: list[Key] = []
        for account in sorted({key.account for key in wanted}):
            mine = [key for key in wanted if key.account == account]
            left.extend(desk.see_through(mine, self.house.ports(account), seconds))
        if left:
            self.note(f"error: not seen flat, and no worker goes on with it: {', '.join(map(str, left))}")
        return not left

    # --- output ------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a line for a person, as it is; with --json nothing, so that stdout stays one document."""
        if not self.json:
            self.screen().print(text, markup=False, highlight=False, soft_wrap=True)

    def say_styled(self, text: str) -> None:
        """Print a line that holds words.styled pieces; what else is in it must be our own words."""
        if not self.json:
            self.screen().print(text, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line on stderr: for what must be seen, with --json too."""
        click.echo(text, err=True)

    def give(self, value: Any) -> None:
        """Print a value as the command's JSON document."""
        click.echo(shapes.dumps(value))

    def screen(self) -> "Console":
        """Return the terminal, or 100 columns of plain text where there is none."""
        from rich.console import Console

        width = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
        return Console(file=sys.stdout, width=max(width, 60), highlight=False, emoji=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
        """Print rows under their heads; a head that starts with ``>`` is set to the right."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        lines = list(rows)
        if not lines:
            self.say(empty)
            return
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        for name in columns:
            right = name.startswith(">")
            table.add_column(name.removeprefix(">"), justify="right" if right else "left", overflow="fold")
        for row in lines:
            table.add_row(*(Text.from_markup(cell) if isinstance(cell, words.Styled) else Text(cell) for cell in row))
        self.screen().print(table)


def now_ms() -> int:
    """Return this machine's time; for ages shown to a person, never for a rule."""
    return time.time_ns() // 1_000_000


def _note_json(context: click.Context, _param: click.Parameter, value: Any) -> None:
    session = context.find_object(Session)
    if value and session is not None:
        session.json = True


def _note_config(context: click.Context, _param: click.Parameter, value: Any) -> None:
    session = context.find_object(Session)
    if value is not None and session is not None:
        session.config = Path(value)


def common_options() -> list[click.Parameter]:
    """Return the two options every command has, before and after its name."""
    return [
        click.Option(
            ["--config"], metavar="FILE", expose_value=False, callback=_note_config, help="Default: ./stopkeeper.toml"
        ),
        click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_note_json, help="Print JSON, errors included."
        ),
    ]


class Leaf(click.Command):
    """A command with the common options and an example at the end of its help."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(common_options())
        self.example = example

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example under the options, unwrapped, so that it can be copied."""
        if self.example:
            formatter.write("\nExample:\n" + "".join(f"  {line}\n" for line in self.example.splitlines()))


Register = Callable[[click.Group], None]


def command(name: str, *, example: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Leaf]:
    """Declare a command: ``click.command`` with the common options, an example and the session as first argument."""

    def wrap(function: Callable[..., Any]) -> Leaf:
        return click.command(name, cls=Leaf, example=example, **kwargs)(click.pass_obj(function))

    return wrap
