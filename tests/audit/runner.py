"""Put a fault back into a copy of the tree, see its tests fail for its reason, and pass without it.

Nothing here knows a fault: all that is asked for stands in tests/audit/faults and in the tests named after it.
"""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
FAULTS = Path(__file__).parent / "faults"
TREE = ("beat_schedule.py", "exchange", "pyproject.toml", "stopkeeper", "tasks", "tests", "workers")
AT_ONCE = 2  # these tests mostly wait: two at once take hardly longer than one on two cores
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
    def tests(self) -> str:
        """Where its tests stand, as a pattern from the root of a tree."""
        return f"tests/audit/test_fault_{self.number}_*.py"


@dataclass(frozen=True, slots=True)
class Ran:
    """One test that ran: its name, and what it failed with ("" = it passed)."""

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


def run_tests(tree: Path, pattern: str) -> tuple[Ran, ...]:
    """Run tests of a tree with that tree's own code. Raises Broken where none could be run."""
    files = sorted(str(path.relative_to(tree)) for path in tree.glob(pattern))
    report = tree / f"report-{len(list(tree.glob('report-*')))}.xml"
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
    try:
        done = subprocess.run(
            command, cwd=tree, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise Broken(f"{pattern} did not end within {PATIENCE_S} s") from None
    ran = _read(report) if files and report.exists() else ()
    if not ran:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no word"]
        raise Broken(f"no test of {pattern} ran: {last[0]}")
    return ran


def _read(report: Path) -> tuple[Ran, ...]:
    """Read pytest's report; an error outside a test (an import, a fixture) is a failure that bears no reason."""
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314: written by our own pytest just now
        bad = next((each for each in case if each.tag in ("failure", "error", "skipped")), None)
        said = "" if bad is None else f"{bad.tag if bad.tag != 'failure' else ''} {bad.get('message', '')}".strip()
        found.append(Ran(case.get("name", ""), said or ("" if bad is None else "it failed without a word")))
    return tuple(found)


def judge(fault: Fault, plain: Path) -> Verdict:
    """Put one fault back, run its tests, and run them without it. Raises Broken."""
    return Verdict(fault, run_tests(put_back(fault, plain), fault.tests), run_tests(plain, fault.tests))


def judge_all(chosen: Iterable[Fault], plain: Path) -> Iterator[Verdict | Broken]:
    """Judge faults, some at once, and give what came of each in their order."""

    def judged(fault: Fault) -> Verdict | Broken:
        try:
            return judge(fault, plain)
        except Broken as broken:
            return broken

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(judged, chosen)


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


def _line(text: str) -> str:
    return text.strip().splitlines()[0][:160] if text.strip() else ""
