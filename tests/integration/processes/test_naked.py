"""A round of two classes of faults by the command itself: counted by the witness, told with its story, written down."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import naked
from benchmarks.fault_classes import CLASSES
from benchmarks.naked import BEGIN, DOCS, END, HEAD, Told, markdown, written


def test_a_round_is_counted_told_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doc = tmp_path / "operations.md"
    doc.write_text(f"before\n{BEGIN}\nan older table\n{END}\nafter\n")
    monkeypatch.setattr(naked, "DOCS", doc)
    monkeypatch.setattr(naked, "BOUND_MS", 1.0)  # so that what is naked at all is told
    assert naked.main(["--rounds", "1", "--only", "crossed", "part", "--docs", "--json"]) == 1
    out, err = capsys.readouterr()
    crossed, part = json.loads(out)["classes"]
    assert len(crossed["rounds"]) == len(part["rounds"]) == 1
    assert len(crossed["rounds"][0]) == 1, "naked once"
    assert 1.0 < crossed["rounds"][0][0] < naked.LATENCY_MS * 1_000
    assert part["rounds"] == [[]], "never naked"
    assert part["wrong"] == []
    assert "round 0: naked for" in err
    assert "Flatten: flatten" in err, "the journal tells what was done about it"
    text = doc.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| {' | '.join(HEAD)} |\n")
    assert f"| {crossed['title']} | 1 | 1 |" in text
    assert "older" not in text
    assert text.endswith(f"\n{END}\nafter\n")


def _told(number: int, rounds: list[list[float]]) -> Told:
    return Told("x", CLASSES[number].title, "a bound", rounds=rounds)


def test_the_row_adds_up_what_was_naked_in_a_round() -> None:
    told = _told(0, [[], [100.0, 300.0], [50.0]])
    assert told.row == (CLASSES[0].title, "3", "3", "50", "400", "a bound")
    assert markdown([told]).splitlines()[-1] == f"| {CLASSES[0].title} | 3 | 3 | 50 | 400 | a bound |"


def test_a_class_that_was_not_measured_keeps_its_row_and_every_class_its_place() -> None:
    first = markdown([_told(0, [[1.0]]), _told(2, [[3.0]])])
    second = markdown([_told(1, [[2.0]]), _told(2, [[4.0]])], first)
    worst = [line.split(" | ")[4] for line in second.splitlines()[2:]]
    assert worst == ["1", "2", "4"]


@pytest.mark.parametrize("words", [["naked", "--rounds"], ["soak", "--trades"], ["supervision", "--rounds"]])
@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_count_by_which_nothing_would_be_measured_is_refused(words: list[str], count: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{words[0]}", f"{words[1]}={count}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(f"argument {words[1]}: at least 1 (got {count})")


def test_a_document_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        written(f"text\n{BEGIN}\ntext", [])


def test_the_operations_manual_has_a_row_for_each_class() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert written(text, []) == text
    assert all(f"\n| {each.title} | " in text for each in CLASSES)
