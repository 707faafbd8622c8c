"""``python -m tests.mutation core|engine [MODULE…]``, as ``make mutate`` does: change the code, see who notices.

Each mutant must make a check fail. Prints the score of each module at the commit, and every survivor that is not
explained in survivors.toml; exit 1 if there is one, or an explanation of what is none. Goes on where it was stopped.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context

import click
import pytest

from tests.mutation.book import ROOT, Book, commit, explained, is_alive
from tests.mutation.checks import Base, Check, measure, of_pytest, of_worlds, steady
from tests.mutation.hunt import Hunt
from tests.mutation.mutants import Mutant, mutants_of


@dataclass(frozen=True)
class Target:
    """What is changed, and what must notice."""

    package: str
    tests: tuple[str, ...]
    seeds: range = range(0)


TARGETS = {
    "core": Target("stopkeeper.core", ("tests/unit/core",)),
    "engine": Target("stopkeeper.engine", ("tests/unit/engine",), range(54)),
}


def main() -> None:
    """Run the command, with hashes that are the same in every run: sets of the engine are walked in their order."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tests.mutation", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606
    mutate()


@click.command()
@click.argument("target", type=click.Choice(list(TARGETS)))
@click.argument("modules", nargs=-1)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after so long; the next run goes on from there.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Processes.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    help="Ask no more than so many checks of each, the likeliest: a quick first round.",
)
@click.option("--again", is_flag=True, help="Only what survived when it was last run, at whatever commit.")
@click.option("--report", is_flag=True, help="Run nothing: only say what is known at this commit.")
def mutate(
    target: str, modules: tuple[str, ...], minutes: float | None, jobs: int, most: int | None, again: bool, report: bool
) -> None:
    """Change MODULES of TARGET, or all, one small change at a time."""
    mutants = _mutants(TARGETS[target].package, modules)
    book = Book(target, commit())
    if again:
        mutants = [m for m in mutants if is_alive(book.results.get(m.name, book.hints.get(m.name)))]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the next run goes on from here"))
    left = [m for m in mutants if again or m.name not in book.results]
    if left and not report:
        _run(TARGETS[target], left, book, time.monotonic() + 60 * (minutes or 1e6), jobs, most)
    raise SystemExit(_tell(mutants, book))


def _mutants(package: str, modules: Sequence[str]) -> list[Mutant]:
    folder = ROOT / package.replace(".", "/")
    names = modules or sorted(file.stem for file in folder.glob("*.py"))
    missing = [name for name in names if not (folder / f"{name}.py").exists()]
    if missing:
        raise click.BadParameter(f"{package} has no module {missing[0]}")
    return [mutant for name in names for mutant in mutants_of(folder / f"{name}.py", f"{package}.{name}")]


def _run(target: Target, mutants: Sequence[Mutant], book: Book, ends_s: float, jobs: int, most: int | None) -> None:
    """Collect the checks once, and hunt within pytest's own loop, where all its items are alive."""

    broken: list[str] = []

    class Loop:
        def pytest_configure(self) -> None:
            steady()

        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            checks = of_pytest(session.items) | of_worlds(target.seeds)
            base = _measured(checks, target.package)
            broken.extend(base.broken)
            if broken:
                return True
            print(f"{len(mutants)} mutants, {len(checks)} checks of {sum(base.seconds.values()):.0f} s", flush=True)
            Hunt(checks, base, book, jobs, most).run(mutants, ends_s, _say)
            return True

    words = ["-q", "-s", "--no-header", "--no-summary", "-p", "no:cacheprovider"]
    pytest.main([*words, *(str(ROOT / path) for path in target.tests)], plugins=[Loop()])
    if broken:
        raise click.ClickException("these fail without any change: " + ", ".join(broken))


def _measured(checks: dict[str, Check], package: str) -> Base:
    """Measure in a process of its own: what the checks leave behind must not be in the mutants' forks."""
    context = get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=lambda: writer.send(measure(checks, package)))
    process.start()
    writer.close()
    try:
        base: Base = reader.recv()
    finally:
        process.join()
    return base


def _say(mutant: Mutant, what: str) -> None:
    if is_alive(what):
        print(f"{what}: {mutant}", flush=True)


def _tell(mutants: Sequence[Mutant], book: Book) -> int:
    """Print the score of each module and what survived; return the exit code."""
    known, known_by = explained(), Counter[int]()
    total, killed, excused, tried = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    open_ends: list[Mutant] = []
    for mutant in mutants:
        what = book.results.get(mutant.name)
        total[mutant.module] += 1
        tried[mutant.module] += what is not None
        fitting = [number for number, each in enumerate(known) if each.fits(mutant)]
        if what is not None and not is_alive(what):
            killed[mutant.module] += 1
        elif what is not None and fitting:
            excused[mutant.module] += 1
            known_by[fitting[0]] += 1
        elif what is not None:
            open_ends.append(mutant)
    print(f"\nat {book.at}:")
    for module in [*total, "all"]:
        rows = [sum(each.values()) if module == "all" else each[module] for each in (killed, tried, total, excused)]
        score = 100 * rows[0] / rows[1] if rows[1] else 0
        print(f"{module:<32} {score:5.1f} %  {rows[0]} of {rows[1]} killed, {rows[3]} explained, of {rows[2]} in all")
    for mutant in open_ends:
        print(f"{book.results[mutant.name]}: {mutant}")
    wrong = _wrongly_explained(mutants, book)
    for each in wrong:
        print(f"explained, but {each}")
    print(f"{len(open_ends)} survivors without an explanation, {sum((total - tried).values())} mutants not run yet")
    return int(bool(open_ends or wrong))


def _wrongly_explained(mutants: Sequence[Mutant], book: Book) -> list[str]:
    """Return what survivors.toml says of mutants that are killed, or are not there."""
    modules, wrong = {mutant.module for mutant in mutants}, []
    for each in explained():
        module = next((name for name in modules if each.function.startswith(f"{name}.")), None)
        fitting = [mutant for mutant in mutants if each.fits(mutant)]
        said = {book.results.get(mutant.name) for mutant in fitting}
        if module and not fitting:
            wrong.append(f"there is no such change: {each.function}: {each.now}")
        elif module and not any(what is None or is_alive(what) for what in said):
            wrong.append(f"a check notices it: {each.function}: {each.now}")
    return wrong


if __name__ == "__main__":
    main()
