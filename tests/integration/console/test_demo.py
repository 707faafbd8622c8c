"""The demo in a hurry: everything that it breaks on purpose, and the witness's verdict."""

import json
from pathlib import Path

from tests.integration.console.test_process import run


def test_the_demo_keeps_the_promise_and_says_so(tmp_path: Path) -> None:
    result = run("demo", "--dir", str(tmp_path / "demo"), "--pace", "0", "--json", cwd=tmp_path, seconds=110)
    assert result.returncode == 0, result.stdout + result.stderr
    told = json.loads(result.stdout)
    assert told["kept"] is True
    assert told["faults"] == []
    assert {symbol: book["duplicates"] for symbol, book in told["witness"].items()} == dict.fromkeys(told["witness"], 0)
    assert told["tally"]["trades"] == 3


def test_the_demo_empties_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear")
    result = run("demo", "--dir", str(tmp_path), cwd=tmp_path)
    assert result.returncode == 3
    assert (tmp_path / "letters").read_text() == "dear"
