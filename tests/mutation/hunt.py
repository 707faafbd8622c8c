"""The hunt: a fork for each mutant, the likeliest checks first, until one fails, none does, or the time is up."""

import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from select import select

from tests.mutation.book import SURVIVED, UNREACHED, Book
from tests.mutation.checks import Base, Check, first_to_fail
from tests.mutation.mutants import Mutant
from tests.mutation.planting import plant


@dataclass
class Hunt:
    """One run over mutants, each put to at most ``most`` checks.

    ``killers`` counts what has killed others of the same function: it is asked first.
    """

    checks: dict[str, Check]
    base: Base
    book: Book
    jobs: int
    most: int | None = None
    killers: defaultdict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def run(self, mutants: Sequence[Mutant], ends_s: float, told: Callable[[Mutant, str], None]) -> None:
        """Put each mutant to the checks until ``ends_s`` of the monotonic clock; results go into the book."""
        waiting = iter(mutants)
        running: dict[int, tuple[Mutant, int]] = {}
        try:
            while True:
                while len(running) < self.jobs and time.monotonic() < ends_s:
                    mutant = next(waiting, None)
                    if mutant is None:
                        break
                    names = self._fit(mutant)
                    if names:
                        running.update([self._begin(mutant, names)])
                    else:
                        self._came(mutant, UNREACHED, told)
                if not running:
                    break
                self._collect(running, told)
        finally:
            for child in running:
                os.kill(child, 9)
            self.book.save()

    def _begin(self, mutant: Mutant, names: Sequence[str]) -> tuple[int, tuple[Mutant, int]]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            _live(mutant, names, self, writer)
        os.close(writer)
        return child, (mutant, reader)

    def _collect(self, running: dict[int, tuple[Mutant, int]], told: Callable[[Mutant, str], None]) -> None:
        ready, _, _ = select([reader for _, reader in running.values()], [], [])
        child = next(
            child for child, (_, reader) in running.items() if reader in ready
        )  # who has said it all has ended
        mutant, reader = running.pop(child)
        with os.fdopen(reader) as said:
            what = said.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) or not what:
            what = f"ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "ended the process"
        self._came(mutant, what, told)

    def _came(self, mutant: Mutant, what: str, told: Callable[[Mutant, str], None]) -> None:
        self.book.note(mutant, what)
        self.killers[mutant.module, mutant.function][what] += 1
        if len(self.book.results) % 50 == 0:
            self.book.save()
        told(mutant, what)

    def _fit(self, mutant: Mutant) -> list[str]:
        """Return the checks that run the line, or the function, in the order in which they are to be asked."""
        lines = self.base.lines.get(mutant.module.replace(".", "/") + ".py", {})
        header = mutant.lines[0] == mutant.body[0]  # whoever imports a module runs it, and no check of the function
        names = set() if header else _within(mutant.lines, lines)
        names = names or _within(mutant.body, lines)
        hint, killers = self.book.hints.get(mutant.name), self.killers[mutant.module, mutant.function]
        own = mutant.module.rpartition(".")[2][:5]  # test_core_learn.py, test_core_learned.py

        def order(name: str) -> tuple[bool, int, bool, float]:
            return name != hint, -killers[name], own not in name, self.base.seconds[name]

        return sorted(names, key=order)


def _within(span: tuple[int, int], lines: dict[int, list[str]]) -> set[str]:
    return {name for line in range(span[0], span[1] + 1) for name in lines.get(line, ())}


def _live(mutant: Mutant, names: Sequence[str], hunt: Hunt, writer: int) -> None:
    """Be the mutant, say which check failed, and end this process whatever happens."""
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, sys.stdout.fileno())
        os.dup2(silent, sys.stderr.fileno())
        plant(mutant)
        failed = first_to_fail(names[: hunt.most], hunt.checks, hunt.base.seconds)
        some = SURVIVED if hunt.most is None or len(names) <= hunt.most else f"{SURVIVED} {hunt.most} checks"
        os.write(writer, (failed or some).encode())
    finally:
        os._exit(0)
