"""The command line: all commands in one group, and the one place where an end becomes an exit code and a sentence."""

import difflib
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from stopkeeper.console import shapes
from stopkeeper.console.backend import Backend
from stopkeeper.console.commands import (
    accounting,
    alerting,
    inspecting,
    looking,
    orphaning,
    running,
    saving,
    stopping,
    switching,
    trading,
)
from stopkeeper.console.failures import Declined, Exit, Failure
from stopkeeper.console.session import Session, common_options
from stopkeeper.engine.desk import Refused, VenueAway
from stopkeeper.engine.ports import LeaseLost, StoreGone

INTERRUPTED = 130
WITHOUT_REDIS = "stops at the venue stand, after 10 s a feed that runs guards them; stopkeeper doctor says more"
_NO_NUMBER = re.compile(r"'(.*)' is not a valid (integer|float) range\.", re.DOTALL)

SECTIONS = (
    ("Set up and run", ("init", "up", "demo", "worker", "beat", "feed", "flower", "paper")),
    ("Trade", ("open", "close", "stop", "flatten", "protect")),
    ("Look", ("status", "positions", "trades", "profit", "balance", "journal", "locks", "orphans")),
    ("Switches", ("pause", "resume", "halt")),
    ("Check", ("audit", "doctor", "alerts")),
)


class Root(click.Group):
    """The group of all commands; maps every expected end to its exit code."""

    backend: Backend

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 click's signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 click's signature
        **extra: Any,
    ) -> Any:
        """Run a command line; exit with its code unless standalone_mode is off."""
        argv = list(sys.argv[1:] if args is None else args)

        def body() -> Any:
            return super(Root, self).main(
                argv,
                prog_name or "stopkeeper",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                obj=Session(self.backend),
                **extra,
            )

        code = _ended(body, as_json="--json" in argv)
        if standalone_mode:
            sys.exit(code)
        return code

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands, 1)
            hint = f"did you mean {near[0]}?" if near else "stopkeeper --help lists the commands"
            raise Failure("no such command", field="command", value=args[0], hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for."""
        for title, names in SECTIONS:
            rows = [(name, self.commands[name].get_short_help_str(70)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


def build(backend: Backend) -> Root:
    """Return the command ``stopkeeper`` over a backend."""

    @click.group("stopkeeper", cls=Root, params=common_options(), context_settings={"max_content_width": 100})
    @click.version_option(backend.version, message="stopkeeper %(version)s")
    def root() -> None:
        """Trade leveraged perpetuals; no position is ever without a live stop on the exchange."""

    assert isinstance(root, Root)  # for the type checker: click.group returns what cls says
    root.backend = backend
    for module in (running, trading, stopping, saving, looking, orphaning, accounting, switching, inspecting, alerting):
        for item in module.COMMANDS:
            root.add_command(item)
    return root


def _ended(body: Callable[[], Any], *, as_json: bool) -> int:
    try:
        result = body()
        sys.stdout.flush()
    except Failure as failure:
        return _tell(failure, as_json=as_json)
    except click.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence()
        return Exit.OK
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.ERROR
    except click.ClickException as error:
        return _tell(_from_click(error), as_json=as_json)
    except Exception as error:
        expected = _expected(error)
        if expected is None:
            raise
        return _tell(expected, as_json=as_json)
    return int(result) if isinstance(result, int) else Exit.OK


def _tell(failure: Failure, *, as_json: bool) -> int:
    click.echo(failure.sentence(), err=True)
    if as_json:
        click.echo(shapes.dumps(failure.as_json()))
    return failure.code


def _from_click(error: click.ClickException) -> Failure:
    """A wrong value is refused (3); a missing or unknown word of the command line is an error (1)."""
    what = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help shows an example" if context is not None else ""
    if isinstance(error, click.NoSuchOption):
        near = f"did you mean {error.possibilities[0]}?" if error.possibilities else hint
        return Failure("no such option", field="option", value=error.option_name, hint=near)
    if isinstance(error, click.MissingParameter):
        name = error.param.make_metavar(context) if error.param is not None and context is not None else "argument"
        return Failure("is missing", field=name.strip("[]"), hint=hint)
    if isinstance(error, click.BadParameter):
        name = (error.param.name or "").replace("_", "-") if error.param is not None else ""
        no_number = _NO_NUMBER.fullmatch(error.message)
        if no_number:
            kind = "a whole number" if no_number[2] == "integer" else "a number"
            return Declined(f"must be {kind}", field=name, value=no_number[1], hint=hint)
        return Declined(error.message.rstrip("."), field=name, hint=hint)
    return Failure(what, hint=hint)


def _expected(error: Exception) -> Failure | None:
    if isinstance(error, Refused):
        return Declined(error.reason, field=error.field, value=error.value or None, hint=error.hint)
    if isinstance(error, VenueAway):
        return Failure(str(error), field="venue", hint="try again; stopkeeper doctor says more")
    if isinstance(error, StoreGone):
        what, _, hint = (str(error) or "it cannot be reached").partition("; ")
        return Failure(what, field="redis", hint=hint or WITHOUT_REDIS)
    if isinstance(error, LeaseLost):
        return Failure(f"another process holds the key: {error}", hint="try again")
    if isinstance(error, OSError):
        return Failure(error.strerror or str(error), value=str(error.filename) if error.filename else None)
    return None


def _silence() -> None:
    """Point stdout at nothing, or the interpreter complains about the closed pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
