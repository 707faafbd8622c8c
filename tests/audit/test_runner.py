"""Who audits the audit: a fault that nobody catches, or catches for another reason, must not pass for caught."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit.conftest import Rotation
from tests.audit.runner import ROOT, Broken, Verdict, copies, faults, judge, put_back, table

PATCH = """Fault 1: a number is another.

Fails with: it is not one

--- a/stopkeeper/number.py
+++ b/stopkeeper/number.py
@@ -1,2 +1,2 @@
 '''A product.'''
-ONE = 1
+ONE = 2
"""
TEST = """
from stopkeeper.number import ONE

def test_it_is_one():
    assert ONE == 1, "it is not one"
"""
BAD_TESTS = """
import pytest
from stopkeeper.number import ONE

def test_passes():
    assert ONE, "it is not one"

def test_says_something_else():
    assert ONE == 1, "something else"

def test_breaks():
    assert {1: 1}[ONE], "it is not one"

def test_is_skipped():
    pytest.skip("it is not one")

def test_fails_without_the_fault():
    assert ONE == 3, "it is not one"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A product of one line, with one fault and one test of it."""
    for name, text in {
        "stopkeeper/number.py": "'''A product.'''\nONE = 1\n",
        "stopkeeper/__init__.py": "",
        "tests/audit/test_fault_1_a_number.py": TEST,
        "tests/audit/faults/1-a-number.patch": PATCH,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def change(tree: Path, name: str, old: str, new: str) -> None:
    path = tree / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def verdict(tree: Path) -> Verdict | Broken:
    with copies(tree) as plain:
        (came,) = judge(faults(tree / "tests/audit/faults"), plain)
    return came


@pytest.mark.timeout(300)
def test_two_faults_of_the_nine_are_caught_and_fixed(rotation: Rotation, record_property):
    came = rotation.verdicts.result()
    tables = [table(each) if isinstance(each, Verdict) else [f"error: {each}"] for each in came]
    record_property("told", "\n".join([rotation.again, *(line for lines in tables for line in lines)]))
    assert [each.fault if isinstance(each, Verdict) else each for each in came] == list(rotation.chosen)
    for each in came:
        assert isinstance(each, Verdict)
        assert each.caught, "\n".join(table(each))
        assert each.fixed, "\n".join(table(each))


def test_there_are_nine_faults_and_each_has_its_tests():
    found = faults()
    assert [fault.number for fault in found] == list(range(1, 10))
    for fault in found:
        (module,) = (ROOT / "tests/audit").glob(f"{fault.module}*.py")
        assert module.stem.removeprefix(fault.module).replace("_", "-") == fault.patch.stem.partition("-")[2]
        assert f'LOST = "{fault.reason}"' in module.read_text()


def test_a_fault_that_is_caught_and_fixed_is_told_so_and_nothing_is_left_behind(tree, tmp_path_factory):
    with copies(tree) as plain:
        (came,) = judge(faults(tree / "tests/audit/faults"), plain)
    assert isinstance(came, Verdict)
    assert (came.caught, came.fixed) == (True, True)
    assert table(came)[1] == "   caught by 1 of 1: ... it is not one"
    assert not plain.parent.exists()
    assert not list(tree.rglob("__pycache__"))
    assert not list(tree.rglob("report.xml"))


def test_what_does_not_fail_for_the_faults_own_reason_does_not_catch_it(tree):
    (tree / "tests/audit/test_fault_1_a_number.py").write_text(BAD_TESTS)
    came = verdict(tree)
    assert isinstance(came, Verdict)
    assert (came.caught, came.fixed) == (False, False)
    assert table(came) == [
        "1  a number is another.",
        "   NOT CAUGHT by 1 of 5: ... it is not one",
        "     ! test_passes: it passed with the fault",
        "     ! test_says_something_else: AssertionError: something else",
        "     ! test_breaks: KeyError: 2",
        "     ! test_is_skipped: skipped",
        "     x test_fails_without_the_fault",
        "   NOT FIXED: 3 of 5 pass without it",
        "     ! test_is_skipped: skipped",
        "     ! test_fails_without_the_fault: AssertionError: it is not one",
    ]


def test_tests_that_cannot_be_imported_catch_nothing(tree):
    (tree / "tests/audit/test_fault_1_a_number.py").write_text(f"assert 0, 'it is not one'\n{TEST}")
    came = verdict(tree)
    assert isinstance(came, Verdict)
    assert (came.caught, came.fixed) == (False, False)


def test_a_patch_that_no_longer_applies_is_named_in_one_line(tree):
    change(tree, "stopkeeper/number.py", "ONE = 1", "ONE = 1.0")
    with copies(tree) as plain, pytest.raises(Broken) as broken:
        put_back(faults(tree / "tests/audit/faults")[0], plain)
    assert str(broken.value).startswith("1-a-number.patch no longer applies to this tree: error: patch failed")
    assert "\n" not in str(broken.value)


def test_a_patch_applies_also_where_the_temporary_folder_lies_in_a_repository(tree, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tree))
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    with copies(tree) as plain:
        faulty = put_back(faults(tree / "tests/audit/faults")[0], plain)
        assert "ONE = 2" in (faulty / "stopkeeper/number.py").read_text()


def test_a_patch_without_its_head_is_refused(tree):
    change(tree, "tests/audit/faults/1-a-number.patch", "Fails with", "Ends with")
    with pytest.raises(Broken, match=r'1-a-number\.patch must begin with "Fault N'):
        faults(tree / "tests/audit/faults")


def test_an_unknown_fault_is_one_line_and_exit_1():
    done = subprocess.run(
        [sys.executable, "-m", "tests.audit", "10"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no fault 10: there are 1, 2, 3, 4, 5, 6, 7, 8, 9\n"
