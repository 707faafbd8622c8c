"""Put a fault back into a copy of the tree, see its tests fail for its reason, and pass without it.

Nothing here knows a fault: all that is asked for stands in tests/audit/faults and in the tests named after it.
"""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
FAULTS = Path(__file__).parent / "faults"
TREE = ("beat_schedule.py", "exchange", "pyproject.toml", "stopkeeper", "tasks", "tests", "workers")
PATIENCE_S = 240
HEAD = re.compile(r"Fault (\d+): (.+)")
REASON = re.compile(r"^Fails with: (.+)$", re.MULTILINE)


class Broken(Exception):
    """The audit itself cannot be carried out; ``str()`` is the one line that says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its number, what it is, the words its tests fail with, and the patch that puts it back."""

    number: int
    title: str
    reason: str
    patch: Path

    @property
    def module(self) -> str:
        """How the name of the module with its tests begins."""
        return f"test_fault_{self.number}_"


@dataclass(frozen=True, slots=True)
class Ran:
    """One test that ran: its module and name, and what it failed with ("" = it passed)."""

    module: str
    name: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a fault: its tests with it put back, and without."""

    fault: Fault
    with_it: tuple[Ran, ...]
    without: tuple[Ran, ...]

    @property
    def caught(self) -> bool:
        """Whether every test of the fault failed, each for the fault's own reason."""
        return bool(self.with_it) and all(self.fault.reason in ran.failure for ran in self.with_it)

    @property
    def fixed(self) -> bool:
        """Whether the very same tests pass in the tree as it is."""
        return {ran.name for ran in self.with_it} == {ran.name for ran in self.without if not ran.failure}


def faults(where: Path = FAULTS) -> tuple[Fault, ...]:
    """Read all faults in order. Raises Broken where a patch does not say what it is or what its tests fail with."""
    found = []
    for patch in sorted(where.glob("*.patch")):
        text = patch.read_text()
        head, reason = HEAD.match(text), REASON.search(text)
        if head is None or reason is None:
            raise Broken(f'{patch.name} must begin with "Fault N: what it is" and have a line "Fails with: the words"')
        found.append(Fault(int(head[1]), head[2], reason[1], patch))
    return tuple(sorted(found, key=lambda fault: fault.number))


@contextmanager
def copies(root: Path = ROOT) -> Iterator[Path]:
    """Give a temporary folder with a copy of the tree in ``plain``; all of it is gone afterwards."""
    with TemporaryDirectory(prefix="stopkeeper-audit-") as folder:
        plain = Path(folder, "plain")
        plain.mkdir()
        for name in TREE:
            source = root / name
            if source.is_dir():
                shutil.copytree(source, plain / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy2(source, plain / name)
        yield plain


def put_back(fault: Fault, plain: Path) -> Path:
    """Return a further copy with a fault in it. Raises Broken where its patch does not apply to this tree any more."""
    faulty = plain.parent / f"fault-{fault.number}"
    shutil.copytree(plain, faulty)
    # a temporary folder may lie within a repository, and git would then pass over what it does not know there
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(plain.parent)}
    git = shutil.which("git")
    if git is None:
        raise Broken("git is not installed: it applies the patches of tests/audit/faults")
    done = subprocess.run(
        [git, "apply", "--whitespace=nowarn", str(fault.patch)],
        cwd=faulty,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()
        raise Broken(f"{fault.patch.name} no longer applies to this tree: {why[0] if why else 'git says nothing'}")
    return faulty


def run_tests(tree: Path, chosen: Sequence[Fault]) -> tuple[Ran, ...]:
    """Run the tests of faults in a tree, with that tree's own code. Raises Broken where none could be run."""
    found = (path for fault in chosen for path in tree.glob(f"tests/audit/{fault.module}*.py"))
    files = sorted(str(path.relative_to(tree)) for path in found)
    report = tree / "report.xml"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env = {**inherited, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
    try:
        done = subprocess.run(
            command, cwd=tree, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise Broken(f"{tree.name}: the tests did not end within {PATIENCE_S} s") from None
    ran = _read(report) if files and report.exists() else ()
    if not ran:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no word"]
        raise Broken(f"{tree.name}: no test ran: {last[0]}")
    return ran


def _read(report: Path) -> tuple[Ran, ...]:
    """Read pytest's report; what is skipped or breaks outside a test (an import, a fixture) bears no reason."""
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 (our own pytest wrote it)
        failed, other = case.find("failure"), case.find("skipped")
        said = "" if failed is None else failed.get("message") or "it failed without a word"
        if case.find("error") is not None or other is not None:
            said = "skipped" if other is not None else "it could not be run"
        found.append(Ran(case.get("classname", "").rpartition(".")[2], case.get("name", ""), said))
    return tuple(found)


def judge(chosen: Sequence[Fault], plain: Path) -> Iterator[Verdict | Broken]:
    """Run the tests of each fault with it put back, and all of them without; give what came of each, in order."""

    def tried(tree: Callable[[], Path], some: Sequence[Fault]) -> tuple[Ran, ...] | Broken:
        try:
            return run_tests(tree(), some)
        except Broken as broken:
            return broken

    trees = [partial(put_back, fault, plain) for fault in chosen]
    # two at once take hardly longer than one: these tests mostly wait. More would wait for a core, and then too long.
    with ThreadPoolExecutor(2) as pool:
        all_without = pool.submit(tried, lambda: plain, chosen)
        for fault, with_it in zip(chosen, pool.map(tried, trees, [[fault] for fault in chosen]), strict=True):
            without = all_without.result()
            if isinstance(with_it, Broken) or isinstance(without, Broken):
                yield with_it if isinstance(with_it, Broken) else Broken(str(without))
            else:
                yield Verdict(fault, with_it, tuple(ran for ran in without if ran.module.startswith(fault.module)))


def table(verdict: Verdict) -> Sequence[str]:
    """Return the lines that tell of one fault: fault, what it is, caught by which test with which words, fixed."""
    fault, total = verdict.fault, len(verdict.with_it)
    caught = sum(fault.reason in ran.failure for ran in verdict.with_it)
    passed = sum(not ran.failure for ran in verdict.without)
    lines = [f"{fault.number}  {fault.title}"]
    lines.append(f"   {'caught' if verdict.caught else 'NOT CAUGHT'} by {caught} of {total}: ... {fault.reason}")
    for ran in verdict.with_it:
        told = "" if fault.reason in ran.failure else f": {_line(ran.failure) or 'it passed with the fault'}"
        lines.append(f"     {'x' if not told else '!'} {ran.name}{told}")
    lines.append(f"   {'fixed' if verdict.fixed else 'NOT FIXED'}: {passed} of {len(verdict.without)} pass without it")
    lines += [f"     ! {ran.name}: {_line(ran.failure)}" for ran in verdict.without if ran.failure]
    return lines


def summary(verdicts: Sequence[Verdict]) -> Sequence[str]:
    """Return the table of all faults: fault, what it is, caught by how many of its tests and with what, fixed."""
    rows = [("fault", "what it is", "caught by", "fixed")]
    for verdict in verdicts:
        fault, total = verdict.fault, len(verdict.with_it)
        caught = sum(fault.reason in ran.failure for ran in verdict.with_it)
        fixed = sum(not ran.failure for ran in verdict.without)
        how = f"{'' if verdict.caught else 'NOT: '}{caught} of {total}: {fault.reason}"
        good = f"{'' if verdict.fixed else 'NOT: '}{fixed} of {len(verdict.without)}"
        rows.append((str(fault.number), fault.title.rstrip("."), how, good))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _line(text: str) -> str:
    return text.strip().splitlines()[0][:160] if text.strip() else ""
