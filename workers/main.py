"""The entry point of ``stopkeeper``: the console's Backend over settings, wiring and stack.

Everything is imported where it is first needed: ``--help`` and a wrong word on the command line answer at once.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from stopkeeper.console.backend import (
    AccountFacts,
    AlertTry,
    Check,
    Direct,
    Heartbeat,
    InitWish,
    PaperWish,
    StackWish,
    WorkerWish,
)
from stopkeeper.console.failures import BadConfiguration, Declined, Failure
from stopkeeper.core.missing import Processes
from stopkeeper.core.model import Key, Market
from stopkeeper.engine.ports import Ports

if TYPE_CHECKING:
    from workers.settings import Settings
    from workers.settings_load import ConfigError


_LOOKS_LIKE_A_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def _version() -> str:
    try:
        return installed_version("stopkeeper")
    except PackageNotFoundError:
        return "0.1.0"


class Installation:
    """One loaded configuration; implements the console's House."""

    def __init__(self, settings: "Settings", path: Path) -> None:
        from workers.wiring import build

        self.settings = settings
        self.path = path
        self.system = build(settings)
        self.installation = settings.installation
        self.accounts: Mapping[str, AccountFacts] = {
            name: AccountFacts(name, each.venue, each.mode, each.symbols) for name, each in settings.accounts.items()
        }

    def ports(self, account: str) -> Ports:
        """Return an account's ports. Raises StoreGone."""
        return self.system.ports(account)

    def direct(self, account: str) -> Direct:
        """Return an account's venue without touching Redis."""
        return Direct(*self.system.direct(account))

    def markets(self, account: str) -> Mapping[str, Market]:
        """Return the venue's markets."""
        return self.system.venue(account).markets()

    def nudge(self, key: Key) -> None:
        """Publish what is due, this key with it; where that fails a tick publishes it a moment later."""
        from kombu.exceptions import OperationalError

        from tasks.supervise import drain

        try:
            self.system.app.set_current()
            drain(self.system.ports(key.account))
        except (OperationalError, OSError):
            return

    def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the processes that have said they live."""
        from workers.alive import signs

        return [Heartbeat(sign.process, sign.host, sign.pid, sign.age_ms) for sign in signs(self.system.store)]

    def lost(self) -> Sequence[Heartbeat]:
        """Return the processes that have said they live, and say it no more."""
        from workers.alive import lost

        return [Heartbeat(sign.process, sign.host, sign.pid, sign.age_ms) for sign in lost(self.system.store)]

    def processes(self) -> Processes:
        """Return what is heard of the processes."""
        from workers.alive import heard

        return heard(self.system.store, self.system.accounts)

    def examine(self) -> Sequence[Check]:
        """Return doctor's rows on durability, files and keys."""
        from workers.facts import examine

        return examine(self.system, self.path)

    def try_alerts(self) -> Sequence[AlertTry]:
        """Send a test message through every alert URL and return what came of each."""
        from workers.alerts import try_all

        return [AlertTry(number, url, not why, why) for number, url, why in try_all(self.settings.alerts)]

    def run_worker(self, wish: WorkerWish) -> int:
        """Run a worker until it is told to end."""
        from workers.processes import run_worker

        return run_worker(self.settings, wish.queues, wish.concurrency, wish.name)

    def run_beat(self) -> int:
        """Run the scheduler until it is told to end."""
        from workers.processes import run_beat

        return run_beat(self.settings)

    def run_feed(self) -> int:
        """Run streams and ticker until told to end."""
        from workers.processes import run_feed

        return run_feed(self.settings)

    def run_flower(self, port: int | None) -> int:
        """Run the task monitor until told to end."""
        from workers.processes import run_flower

        return run_flower(self.settings, port)

    def run_stack(self, wish: StackWish) -> int:
        """Run everything on this machine until told to end."""
        from workers.stack import run_stack

        return run_stack(self.settings, wish)


class Program:
    """Implements the console's Backend."""

    version = _version()
    command: tuple[str, ...] = (sys.executable, "-m", "workers.main")

    def load(self, path: Path | None) -> Installation:
        """Read the configuration. Raises BadConfiguration naming the first fault, and how many more there are."""
        from workers.settings_load import DEFAULT, ConfigError, load

        try:
            return Installation(load(path), path or DEFAULT)
        except ConfigError as error:
            raise _as_failure(error) from None

    def init(self, wish: InitWish) -> Path:
        """Write a fresh configuration file; one that would not load is taken away again.

        A key file may come later. Raises Failure, BadConfiguration.
        """
        from workers.settings_init import write_config

        try:
            path = write_config(
                wish.path,
                account=wish.account,
                mode=wish.mode,
                symbols=wish.symbols,
                base_url=wish.base_url,
                data_dir=wish.data_dir,
            )
        except FileExistsError:
            hint = "remove it, or name another with --config FILE"
            raise Failure(
                "there is a configuration already, it is left as it is", field="config", value=str(wish.path), hint=hint
            ) from None
        _adjust(path, wish)
        _check(path)
        return path

    def run_paper(self, wish: PaperWish) -> int:
        """Run the paper venue until it is told to end."""
        from exchange.paper.errors import PaperError
        from exchange.paper.server import PaperOptions
        from workers.processes import run_paper

        options = PaperOptions(**asdict(wish))
        try:
            return run_paper(options)
        except PaperError as error:
            raise Declined(str(error), field="paper") from None


def _as_failure(error: "ConfigError") -> BadConfiguration:
    """Tell the first fault as the command's own sentence, the others below; a key pasted anywhere stays hidden."""
    first, *others = error.faults
    what, _, hint = first.problem.partition("; ")
    value = None if first.value is None else _hidden(first.value)
    below = "".join(f"\n  also {_hidden(str(fault))}" for fault in others)
    return BadConfiguration(what, field=first.field, value=value, hint=hint, below=below)


def _hidden(text: str) -> str:
    return _LOOKS_LIKE_A_KEY.sub("(not shown)", text)


def _check(path: Path) -> None:
    from workers.settings_load import ConfigError, load

    try:
        load(path)
    except ConfigError as error:
        faults = [each for each in error.faults if not each.field.endswith(".private_key_file")]
        if faults:
            path.unlink()
            raise _as_failure(ConfigError(faults)) from None


def _line(text: str, _found: re.Match[str]) -> str:
    return text  # as it is: a template would read the backslashes of a path


def _adjust(path: Path, wish: InitWish) -> None:
    """Write into a fresh file what its template has no place for."""
    text = path.read_text(encoding="utf-8")
    for key, value in (("wallet_address", wish.wallet_address), ("private_key_file", wish.private_key_file)):
        if value is not None:
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            text = re.sub(rf"(?m)^{key} = .*$", partial(_line, f'{key} = "{quoted}"'), text)
    if not wish.flower:
        text = text.replace("[flower]\n", "[flower]\nenabled = false\n")
    paper = {"port": wish.paper_port, "control_port": wish.control_port, "seed": wish.seed}
    lines = [f"{key} = {value}\n" for key, value in paper.items() if value is not None]
    path.write_text(text + ("\n[paper]\n" + "".join(lines) if lines else ""), encoding="utf-8")


def main() -> None:
    """Run the command line."""
    from stopkeeper.console.cli import build

    build(Program()).main()


if __name__ == "__main__":
    main()
