"""``alerts test``: every URL has its row, a failure is exit 1, none configured exit 4."""

import json

from stopkeeper.console.backend import AlertTry
from tests.unit.console.conftest import FakeHouse, Run

TAKEN = AlertTry(1, "tgram://***", ok=True, detail="")
LOST = AlertTry(2, "json://***", ok=False, detail="no answer within 10 s")


def test_all_taken_is_exit_0(run: Run, house: FakeHouse) -> None:
    house.tries = [TAKEN]
    result = run("alerts", "test")
    assert result.exit_code == 0
    assert "tgram://***" in result.stdout
    assert "ok" in result.stdout
    assert result.stderr == ""


def test_one_lost_is_exit_1_and_is_named(run: Run, house: FakeHouse) -> None:
    house.tries = [TAKEN, LOST]
    result = run("alerts", "test")
    assert result.exit_code == 1
    assert "no answer within 10 s" in result.stdout
    assert result.stderr == "error: alerts: 1 of 2 not delivered: 2 (json://***)\n"


def test_json_is_a_row_a_url(run: Run, house: FakeHouse) -> None:
    house.tries = [TAKEN, LOST]
    result = run("alerts", "test", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [
        {"number": 1, "url": "tgram://***", "ok": True, "detail": ""},
        {"number": 2, "url": "json://***", "ok": False, "detail": "no answer within 10 s"},
    ]


def test_no_urls_is_a_fault_of_the_configuration(run: Run) -> None:
    result = run("alerts", "test", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["field"] == "alerts.urls"


def test_help_of_the_verb_shows_an_example(run: Run) -> None:
    result = run("alerts", "test", "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert "stopkeeper alerts test" in result.stdout
    assert "--json" in result.stdout
    assert "--config FILE" in result.stdout
