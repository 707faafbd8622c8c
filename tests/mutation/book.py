"""What came of each mutant, by commit, and which survivors are explained.

Results stand in ``.mutation/<commit>/<target>.json``, which git ignores: a run that was stopped goes on where it was,
and at another commit the check that killed a mutant last is asked first. Explanations stand in survivors.toml.
"""

import hashlib
import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".mutation"
EXPLAINED = Path(__file__).parent / "survivors.toml"
SURVIVED, UNREACHED = "survived", "no check runs it"
MATTERS = ("stopkeeper", "exchange", "tests/unit", "tests/simulation", "tests/mutation", "benchmarks")
Name = tuple[str, str, str, str, int]


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def commit() -> str:
    """Return the commit, with a mark of what was changed since in the files that matter."""
    head = _git("rev-parse", "--short=12", "HEAD").strip()
    changed = _git("diff", "HEAD", "--", *MATTERS)
    for file in _git("ls-files", "--others", "--exclude-standard", "--", *MATTERS).splitlines():
        changed += file + (ROOT / file).read_text()
    return f"{head}+{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else head


def is_alive(what: str | None) -> bool:
    """Return whether a result says that nothing has noticed the mutant."""
    return what is not None and (what.startswith(SURVIVED) or what == UNREACHED)


class Book:
    """The results of one target at one commit: "survived", or what killed the mutant."""

    def __init__(self, target: str, at: str) -> None:
        self.at = at
        self._file = FOLDER / at / f"{target}.json"
        self.results: dict[Name, str] = _read(self._file)
        others = [file for file in FOLDER.glob(f"*/{target}.json") if file != self._file]
        self.hints: dict[Name, str] = {}
        for file in sorted(others, key=lambda file: file.stat().st_mtime):
            self.hints |= _read(file)

    def note(self, mutant: Mutant, what: str) -> None:
        """Note what came of a mutant."""
        self.results[mutant.name] = what

    def save(self) -> None:
        """Write the results, so that a later run goes on from them."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps([*name, what]) for name, what in self.results.items()]
        written = self._file.with_suffix(".new")
        written.write_text("\n".join(lines))
        written.replace(self._file)


def _read(file: Path) -> dict[Name, str]:
    if not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return {(row[0], row[1], row[2], row[3], row[4]): row[5] for row in rows}


@dataclass(frozen=True)
class Explained:
    """Why survivors are no gap: the function, the lines as they were and are, which of several such, and the reason."""

    function: str
    was: str
    now: str
    why: str
    nth: int | None = None

    def fits(self, mutant: Mutant) -> bool:
        """Return whether it speaks of a mutant."""
        if self.nth not in (None, mutant.nth):
            return False
        return (f"{mutant.module}.{mutant.function}", mutant.was, mutant.now) == (self.function, self.was, self.now)


def explained(file: Path = EXPLAINED) -> list[Explained]:
    """Return what survivors.toml explains."""
    return [Explained(**each) for each in tomllib.loads(file.read_text()).get("survivor", [])]
