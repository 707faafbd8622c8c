"""[alerts]: its URLs are secrets, read from file, environment or a file of their own; a bad one is told by position."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from stopkeeper.core.notices import Wants
from tests.unit.workers.conftest import Write
from workers.alert_urls import listed, masked, tokens
from workers.settings_load import ConfigError, load, secrets, warnings

GOOD = "json://user:SECRETTOKEN@127.0.0.1:9/"
WORDS = ("SECRETTOKEN", "SECRETPATH")

# changes, the field named, what is said
FAULTS = [
    ({"urls": f'["{GOOD}", "nope://SECRETTOKEN"]'}, "alerts.urls", "number 2 of 2 is no URL that apprise can send to"),
    ({"urls": '["SECRETTOKEN"]'}, "alerts.urls", "number 1 of 1"),
    ({"urls": '"SECRETTOKEN"'}, "alerts.urls", "number 1 of 1"),
    ({"urls": '["tgram://SECRETTOKEN"]'}, "alerts.urls", "number 1 of 1"),
    ({"urls": f'["{GOOD}", 5]'}, "alerts.urls", "number 2 must be a URL in quotes"),
    ({"urls": f'["{GOOD}", ""]'}, "alerts.urls", "number 2 must be a URL in quotes"),
    ({"urls": "5"}, "alerts.urls", "must be a list of URLs"),
    ({"urls": f'["{GOOD}"]', "urls_file": '"urls"'}, "alerts.urls", "not both"),
    ({"urls_file": '"gone"'}, "alerts.urls_file", "cannot be read"),
    ({"urls_file": '"urls"'}, "alerts.urls_file", "number 2 of 2"),
    ({"repeat": '"59s"'}, "alerts.repeat", 'at least "1m"'),
    ({"repeat": "900"}, "alerts.repeat", 'like "15s"'),
    ({"max_per_minute": "0"}, "alerts.max_per_minute", "at least 1"),
    ({"entries": '"yes"'}, "alerts.entries", "true or false"),
    ({"url": '"json://SECRETTOKEN"'}, "alerts.url", "did you mean urls?"),
]


def alerts(**keys: str) -> dict[str, str | None]:
    return {f"alerts.{key}": value for key, value in keys.items()}


@pytest.mark.parametrize(("keys", "field", "sentence"), FAULTS, ids=[f"{f}-{i}" for i, (_, f, _) in enumerate(FAULTS)])
def test_a_fault_names_field_and_position_never_the_value(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture, keys: dict[str, str], field: str, sentence: str
) -> None:
    (tmp_path / "urls").write_text(f"# ours\n\n{GOOD}\nnope://SECRETTOKEN\n")
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as caught:
        load(write(alerts(**keys)))
    (fault,) = caught.value.faults
    assert fault.field == field
    assert sentence in fault.problem
    assert not any(word in f"{caught.value} {caught.value.faults} {caplog.text}" for word in WORDS)


def test_the_environment_gives_a_list_and_its_fault_names_the_variable(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOPKEEPER__ALERTS__URLS", f"{GOOD}, json://127.0.0.1:10/")
    monkeypatch.setenv("STOPKEEPER__ALERTS__STOP_MOVES", "true")
    section = load(write()).alerts
    assert [url.get_secret_value() for url in section.all_urls()] == [GOOD, "json://127.0.0.1:10/"]
    assert section.wants() == Wants(stop_moves=True)
    monkeypatch.setenv("STOPKEEPER__ALERTS__URLS", f"{GOOD},nope://SECRETTOKEN")
    with pytest.raises(ConfigError, match=r"alerts\.urls: from STOPKEEPER__ALERTS__URLS: number 2 of 2") as caught:
        load(write())
    assert "SECRETTOKEN" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("", []),
        ("json://a", ["json://a"]),
        ("json://a,json://b", ["json://a", "json://b"]),
        ('["json://a", "json://[::1]"]', ["json://a", "json://[::1]"]),
        ("json://[::1]", ["json://[::1]"]),
        ("mailto://a@b?to=x,y , json://c", ["mailto://a@b?to=x,y", "json://c"]),
    ],
)
def test_a_comma_divides_only_where_the_next_url_begins(text: str, urls: list[str]) -> None:
    assert [url.get_secret_value() for url in listed(text)] == urls


def test_what_is_wanted_by_default_and_by_word(write: Write) -> None:
    assert load(write()).alerts.wants() == Wants()
    keys = {"entries": "true", "exits": "true", "stop_moves": "true", "repeat": '"1h"', "max_per_minute": "3"}
    section = load(write(alerts(**keys))).alerts
    assert section.repeat == timedelta(hours=1)
    assert section.wants() == Wants(entries=True, exits=True, stop_moves=True, repeat_ms=3_600_000, max_per_minute=3)


def test_a_file_of_urls_is_read_relative_to_the_configuration_and_kept_secret(write: Write, tmp_path: Path) -> None:
    urls = tmp_path / "urls"
    urls.write_text(f"# ours\n\n{GOOD}\n  json://127.0.0.1:9/SECRETPATH-1\n")
    path = write(alerts(urls_file='"urls"'))
    settings = load(path)
    assert settings.alerts.all_urls() == (SecretStr(GOOD), SecretStr("json://127.0.0.1:9/SECRETPATH-1"))
    assert {GOOD, "SECRETTOKEN", "SECRETPATH-1"} <= set(secrets(settings))
    path.chmod(0o600)
    urls.chmod(0o644)
    assert any("alerts.urls_file" in text for text in warnings(settings, path))
    urls.chmod(0o600)
    assert warnings(settings, path) == ()


def test_a_file_that_everybody_can_read_may_hold_no_urls(write: Write, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("46" * 32)
    (tmp_path / "key").chmod(0o600)
    keys = {"accounts.main.private_key": None, "accounts.main.private_key_file": '"key"'}
    path = write({**keys, **alerts(urls="[]")})
    path.chmod(0o644)
    assert warnings(load(path), path) == ()
    path = write({**keys, **alerts(urls=f'["{GOOD}"]')})
    path.chmod(0o644)
    assert "holds a secret" in warnings(load(path), path)[0]


def test_urls_do_not_show(write: Write) -> None:
    settings = load(write(alerts(urls=f'["{GOOD}"]')))
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert "SECRETTOKEN" not in shown
    assert "127.0.0.1:9" not in shown


@pytest.mark.parametrize(
    ("url", "label", "hidden"),
    [
        ("json://user:SECRETTOKEN@127.0.0.1:9/", "json://***", {"SECRETTOKEN"}),
        ("tgram://123456789:abcdefg_hijk/12315544/", "tgram://***", {"123456789:abcdefg_hijk", "abcdefg_hijk"}),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://***", {"JHMHI8qBe7bk2ZwO5U711o3dV_js"}),
        ("jsons://hooks.example.org/services/T00000000?key=abcdef123", "jsons://***", {"T00000000", "abcdef123"}),
        ("mailto://u:p%20ss@example.org", "mailto://***", {"p%20ss", "p ss"}),
        ("ntfy://localhost:80/stopkeeper", "ntfy://***", set()),
        ("json://[broken", "json://***", set()),
        ("no url at all", "***", set()),
    ],
)  # fmt: skip
def test_of_a_url_only_the_scheme_is_shown_and_its_tokens_are_known(url: str, label: str, hidden: set[str]) -> None:
    assert masked(url) == label
    assert set(tokens(url)) == {url, *hidden}
