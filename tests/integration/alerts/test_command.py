"""``stopkeeper alerts test`` over the real apprise; and no command shows what is secret in a URL."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stopkeeper.console.cli import build
from tests.integration.alerts.conftest import TOKEN, Receiver
from workers.main import Program

ADDRESS = "0x" + "ab" * 20


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(build(Program()), [*words, "--config", str(path)], catch_exceptions=False)


def configured(place: Path, *urls: str) -> Path:
    path = place / "stopkeeper.toml"
    path.write_text(
        f'installation = "a1b2c"\n[alerts]\nurls = {json.dumps(list(urls))}\n[accounts.main]\nvenue = "hyperliquid"\n'
        f'wallet_address = "{ADDRESS}"\nprivate_key = "{"1" * 64}"\nsymbols = ["BTC"]\n'
    )
    return path


def test_every_url_is_tried_once_and_shown_by_its_scheme(tmp_path: Path, receiver: Receiver, nowhere: str) -> None:
    result = run(configured(tmp_path, receiver.url, nowhere), "alerts", "test", "--json")
    assert result.exit_code == 1
    taken, lost = json.loads(result.stdout)
    assert taken == {"number": 1, "url": "json://***", "ok": True, "detail": ""}
    assert (lost["number"], lost["url"], lost["ok"]) == (2, "json://***", False)
    assert "onnection error" in lost["detail"]
    assert len(receiver.got) == 1
    assert TOKEN not in result.output


def test_all_taken_is_exit_0(tmp_path: Path, receiver: Receiver) -> None:
    assert run(configured(tmp_path, receiver.url), "alerts", "test").exit_code == 0
    assert len(receiver.got) == 1


def test_no_url_is_exit_4(tmp_path: Path) -> None:
    result = run(configured(tmp_path), "alerts", "test")
    assert result.exit_code == 4
    assert "alerts.urls" in result.stderr


@pytest.mark.parametrize("words", [("doctor",), ("status",), ("doctor", "--json"), ("status", "--json")])
def test_no_command_shows_a_url(
    tmp_path: Path, receiver: Receiver, words: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    result = run(configured(tmp_path, receiver.url), *words)
    assert result.output
    assert TOKEN not in result.output + caplog.text


def test_a_fault_in_one_url_shows_none(tmp_path: Path, receiver: Receiver) -> None:
    result = run(configured(tmp_path, receiver.url, f"nope://{TOKEN}"), "status", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["field"] == "alerts.urls"
    assert "number 2 of 2" in result.stderr
    assert TOKEN not in result.output
