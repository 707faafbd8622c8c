"""``send_now``, the guardian's way to send: no journal, no store, and nobody waits for it."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.alerts.conftest import PACE, TOKEN, Receiver, go, until
from workers.alerts import Immediate
from workers.settings_sections import AlertsSection

ROOT = Path(__file__).parents[3]


def section(*urls: str, most: int = 20) -> AlertsSection:
    return AlertsSection(urls=tuple(SecretStr(url) for url in urls), max_per_minute=most)


def test_send_now_returns_at_once_and_is_limited_by_itself(receiver: Receiver, other: Receiver) -> None:
    receiver.gate.clear()
    clock = [100.0]
    sender = Immediate(monotonic=lambda: clock[0], pace=PACE)
    both = section(receiver.url, other.url, most=2)
    assert [sender.send(both, "guardian", str(number)) for number in range(3)] == [True, True, False]
    clock[0] += 60
    assert sender.send(both, "guardian", "3")
    go(until(lambda: sorted(other.texts) == ["0", "1", "3"]))
    assert receiver.got == []
    assert other.got[0]["title"] == "guardian"
    assert not sender.send(section(), "guardian", "nobody is configured")


def test_send_now_logs_a_loss_without_the_secret(nowhere: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert Immediate(pace=PACE).send(section(nowhere), "guardian", "text")
        go(until(lambda: "alerts: json://***: not delivered after 3 tries" in caplog.text))
    assert TOKEN not in caplog.text


def test_a_process_ends_though_a_service_hangs(receiver: Receiver) -> None:
    receiver.gate.clear()
    code = (
        "from pydantic import SecretStr\nfrom workers.alerts import send_now\n"
        "from workers.settings_sections import AlertsSection\n"
        f"print(send_now(AlertsSection(urls=(SecretStr('{receiver.url}?rto=300'),)), 'guardian', 'text'))\n"
        "import time, threading\n"
        "while threading.active_count() < 3: time.sleep(0.01)\n"  # the one that tries, and the one that waits
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True, cwd=ROOT
    )
    assert ended.stdout == "True\n"
    assert ended.stderr == ""


@pytest.mark.parametrize("text", [None, ""])
def test_a_file_of_urls_that_is_lost_ends_nobody_who_sends(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    urls = tmp_path / "urls"
    urls.write_text(receiver.url)
    urls.chmod(0o600)
    told = AlertsSection(urls_file=urls)
    urls.unlink()
    if text is not None:
        urls.write_text(text)
    assert not Immediate(pace=PACE).send(told, "guardian", "text")
    assert "alerts: not sent: " in caplog.text
    assert TOKEN not in caplog.text
