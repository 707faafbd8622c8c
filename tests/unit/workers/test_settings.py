"""Settings: what is right loads, every fault is one line with its field and what would be right, secrets never show."""

import logging
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from stopkeeper.core.model import MarginMode
from stopkeeper.core.rules import Limits, Rules
from tests.unit.workers.conftest import ADDRESS, KEY, Write
from workers import settings_doc
from workers.settings_init import write_config
from workers.settings_load import ConfigError, load, secrets, warnings

MAIN = "accounts.main."
# change, field named, sentence contained
FAULTS = [
    ({"installation": '"xyz"'}, "installation", "5 hex digits"),
    ({"installation": None}, "installation", "is missing"),
    ({"instalation": '"a1b2c"'}, "instalation", "did you mean installation?"),
    ({"redis.url": '"http://x"'}, "redis.url", "redis:// or rediss://"),
    ({"redis.ulr": '"embedded"'}, "redis.ulr", "did you mean url?"),
    ({"redis.durability": '"none"'}, "redis.durability", "'local', 'local+1' or 'local+2'"),
    ({"redis.password": '"hunter22"'}, "redis.url", "takes no username or password"),
    ({"redis.data_dir": "3"}, "redis.data_dir", "must be a text"),
    ({MAIN + "venue": '"binance"'}, MAIN + "venue", "must be 'hyperliquid'"),
    ({MAIN + "venue": '"okx"'}, MAIN + "venue", "not there yet"),
    ({MAIN + "venue": None}, MAIN + "venue", "is missing"),
    ({MAIN + "mode": '"real"'}, MAIN + "mode", "'paper', 'testnet' or 'live'"),
    ({MAIN + "wallet_address": '"0x12"'}, MAIN + "wallet_address", "0x and 40 hex digits"),
    ({MAIN + "wallet_address": None}, MAIN + "wallet_address", "is missing"),
    ({MAIN + "vault_address": '"vault"'}, MAIN + "vault_address", "0x and 40 hex digits"),
    ({MAIN + "private_key": '"1234"'}, MAIN + "private_key", "64 hex digits"),
    ({MAIN + "private_key": f'"{"0" * 64}"'}, MAIN + "private_key", "not a possible private key"),
    ({MAIN + "private_key": None}, MAIN + "private_key_file", "is missing"),
    ({MAIN + "private_key_file": '"key"'}, MAIN + "private_key", "not both"),
    ({MAIN + "private_key": None, MAIN + "private_key_file": '"gone"'}, MAIN + "private_key_file", "cannot be read"),
    ({MAIN + "base_url": '"127.0.0.1:8899"'}, MAIN + "base_url", "http:// or https://"),
    ({MAIN + "ws_url": '"http://x"'}, MAIN + "ws_url", "ws:// or wss://"),
    ({MAIN + "symbols": "[]"}, MAIN + "symbols", "not empty"),
    ({MAIN + "symbols": '["BTC-PERP"]'}, MAIN + "symbols", "write BTC or BTC/USDC:USDC"),
    ({MAIN + "symbols": '["BTC/USDT:USDT"]'}, MAIN + "symbols", "write BTC or BTC/USDC:USDC"),
    ({MAIN + "symbols": '["BTC", "BTC/USDC:USDC"]'}, MAIN + "symbols", "twice"),
    ({MAIN + "leverage": "0"}, MAIN + "leverage", "at least 1"),
    ({MAIN + "leverage": "51"}, MAIN + "leverage", "at most 50"),
    ({MAIN + "leverage": "2.5"}, MAIN + "leverage", "whole number"),
    ({MAIN + "leverage": "true"}, MAIN + "leverage", "whole number"),
    ({MAIN + "margin_mode": '"both"'}, MAIN + "margin_mode", "'isolated' or 'cross'"),
    ({MAIN + "orphan_policy": '"ignore"'}, MAIN + "orphan_policy", "protect"),
    ({MAIN + "leverag": "3"}, MAIN + "leverag", "did you mean leverage?"),
    ({"accounts.Main.venue": '"hyperliquid"'}, "accounts.Main.wallet_address", "is missing"),
    ({"risk.max_open_trades": "0"}, "risk.max_open_trades", "at least 1"),
    ({"risk.max_leverage": "3"}, "accounts.main.leverage", "must not exceed risk.max_leverage 3"),
    ({"risk.max_notional": '"much"'}, "risk.max_notional", "an amount in USD"),
    ({"risk.max_notional": "-1"}, "risk.max_notional", "greater than 0"),
    ({"risk.max_notional": "nan"}, "risk.max_notional", "an amount in USD"),
    ({"risk.max_stop_distance": "10"}, "risk.max_stop_distance", 'like "10%"'),
    ({"risk.max_stop_distance": '"100%"'}, "risk.max_stop_distance", "less than 1"),
    ({"stops.refresh": "15"}, "stops.refresh", 'like "15s"'),
    ({"stops.refresh": '"5s"'}, "stops.refresh", 'more than "10s"'),
    ({"stops.worst": "0.1"}, "stops.worst", 'like "10%"'),
    ({"stops.exit_tolerance": '"0.5%"'}, "stops.exit_tolerance", "greater than 0.005"),
    ({"stops.naked_limit": '"2m"'}, "stops.naked_limit", '"1s" to "60s"'),
    ({"stops.trailing": '"two"'}, "stops.trailing", "it is not a number"),
    ({"stops.trailing": '"step:"'}, "stops.trailing", "it is not a percentage"),
    ({"stops.trailing": '"2%@1"'}, "stops.trailing", "it is not a percentage"),
    ({"stops.breakeven": "1"}, "stops.breakeven", "write a rule in quotes"),
    ({"stops.interval": '"1s"'}, "stops.interval", 'at least "5s"'),
    ({"paper.port": "70000"}, "paper.port", "at most 65535"),
    ({"paper.port": "9000", "paper.control_port": "9000"}, "paper.control_port", "must differ"),
    ({"flower.enabled": '"maybe"'}, "flower.enabled", "true or false"),
    ({"flower.password": '"a"', "flower.password_file": '"b"'}, "flower.password", "not both"),
]


@pytest.mark.parametrize(
    ("changes", "field", "sentence"), FAULTS, ids=[f"{f}-{i}" for i, (_, f, _) in enumerate(FAULTS)]
)
def test_a_fault_is_one_line_with_its_field_and_what_is_right(
    write: Write, changes: dict[str, str | None], field: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(changes))
    lines = [str(fault) for fault in caught.value.faults if fault.field.startswith(field)]
    assert any(sentence in line for line in lines), str(caught.value)
    assert all("\n" not in line for line in lines)
    assert "hunter22" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_all_faults_are_told_at_once(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write({"stops.worst": "1", MAIN + "leverage": "99"}))
    assert [fault.field for fault in caught.value.faults] == [MAIN + "leverage", "stops.worst"]


def test_account_names_are_what_an_environment_variable_can_say(write: Write) -> None:
    path = write()
    path.write_text(path.read_text().replace("[accounts.main]", "[accounts.main-eth]"))
    with pytest.raises(ConfigError, match=r"accounts\.main-eth: a name is lower case letters"):
        load(path)


def test_one_login_is_one_account(write: Write) -> None:
    path = write()
    path.write_text(path.read_text() + path.read_text().split("\n", 1)[1].replace("accounts.main", "accounts.twin"))
    with pytest.raises(ConfigError, match=r"accounts\.twin\.wallet_address: is the same account as accounts\.main"):
        load(path)


def test_no_file_and_no_toml_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stopkeeper init"):
        load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[redis\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path / "bad.toml")


def test_what_is_right_loads_with_the_designs_defaults(write: Write) -> None:
    settings = load(write({"risk.max_notional": '"5000.50"', "risk.max_stop_distance": '"12.5 %"'}))
    assert settings.accounts["main"].mode == "paper"
    assert settings.limits("main") == Limits(max_notional=Decimal("5000.50"), max_stop_distance=Decimal("0.125"))
    assert settings.rules("main") == Rules(limits=settings.limits("main"))
    assert settings.rules("main").margin_mode is MarginMode.ISOLATED
    assert settings.times().sweep_ms == 15_000


def test_paper_without_an_address_is_the_local_venue(write: Write) -> None:
    settings = load(write({"paper.port": "9100"}))
    assert settings.base_url("main") == "http://127.0.0.1:9100"
    assert settings.ws_url("main") == "ws://127.0.0.1:9100/ws"
    assert settings.local_paper == ("main",)


def test_a_base_url_gives_its_websocket_and_live_has_none(write: Write) -> None:
    settings = load(write({MAIN + "base_url": '"https://proxy.example/hl/"'}))
    assert settings.ws_url("main") == "wss://proxy.example/hl/ws"
    assert settings.local_paper == ()
    assert load(write({MAIN + "mode": '"live"'})).base_url("main") is None


def test_symbols_are_coins(write: Write) -> None:
    assert load(write({MAIN + "symbols": '["BTC/USDC:USDC", "kPEPE"]'})).accounts["main"].symbols == ("BTC", "kPEPE")


def test_the_environment_stands_over_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "INSTALLATION": "fffff",
        "ACCOUNTS__MAIN__LEVERAGE": "7",
        "ACCOUNTS__MAIN__SYMBOLS": "SOL, BTC",
        "STOPS__REFRESH": "20s",
        "RISK__MAX_NOTIONAL": "10.5",
        "FLOWER__ENABLED": "false",
    }.items():
        monkeypatch.setenv(f"STOPKEEPER__{name}", value)
    settings = load(write({"stops.worst": '"8%"'}))
    assert settings.installation == "fffff"
    assert settings.accounts["main"].leverage == 7
    assert settings.accounts["main"].symbols == ("SOL", "BTC")
    assert settings.accounts["main"].wallet_address == ADDRESS
    assert settings.stops.refresh == timedelta(seconds=20)
    assert settings.stops.worst == Decimal("0.08")
    assert settings.risk.max_notional == Decimal("10.5")
    assert not settings.flower.enabled


def test_a_fault_in_the_environment_names_the_variable(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPKEEPER__STOPS__WORTS", "8%")
    with pytest.raises(
        ConfigError, match=r"stops.worts: from STOPKEEPER__STOPS__WORTS: unknown key; did you mean worst\?"
    ):
        load(write())


@pytest.mark.parametrize(
    "key", ["redis.pasword", "redis.pass", MAIN + "privatekey", MAIN + "private_keyy", "alerts.token", "pasword"]
)
def test_what_was_written_under_an_unknown_key_is_never_shown(
    write: Write, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    with pytest.raises(ConfigError, match=f"{key}: unknown key") as caught:
        load(write({key: '"hunter2-short"'}))
    assert "hunter2" not in str(caught.value) + repr(caught.value.faults)
    monkeypatch.setenv("STOPKEEPER__" + key.upper().replace(".", "__"), "hunter2-short")
    with pytest.raises(ConfigError) as caught:
        load(write())
    assert "hunter2" not in str(caught.value) + repr(caught.value.faults)


def test_a_key_file_is_read_relative_to_the_configuration(write: Write, tmp_path: Path) -> None:
    (tmp_path / "agent.key").write_text(f"0x{KEY.upper()}\n")
    settings = load(write({MAIN + "private_key": None, MAIN + "private_key_file": '"agent.key"'}))
    assert settings.accounts["main"].key().get_secret_value() == "0x" + KEY


@pytest.mark.parametrize(
    ("prices", "wanted"),
    [
        ("walk", "walk"),
        ("still", "still"),
        ("mirror:https://api.hyperliquid.xyz", "mirror:https://api.hyperliquid.xyz"),
        ("bars.csv", "{here}/bars.csv"),
        ("./deep/bars.csv@2022-01-05T10:00", "{here}/deep/bars.csv@2022-01-05T10:00"),
        ("/srv/bars.csv", "/srv/bars.csv"),
        ("~/bars.csv", "{home}/bars.csv"),
    ],
)
def test_a_file_of_prices_is_found_relative_to_the_configuration(
    write: Write, tmp_path: Path, prices: str, wanted: str
) -> None:
    found = load(write({"paper.prices": f'"{prices}"'})).paper.prices
    assert found == wanted.format(here=tmp_path, home=Path.home())


def test_doctor_is_warned_of_secrets_others_can_read(write: Write, tmp_path: Path) -> None:
    key = tmp_path / "agent.key"
    key.write_text(KEY)
    path = write({MAIN + "private_key": None, MAIN + "private_key_file": '"agent.key"'})
    key.chmod(0o644)
    assert re.search(r"accounts.main.private_key_file: .* chmod 600", warnings(load(path), path)[0])
    key.chmod(0o600)
    assert warnings(load(path), path) == ()
    outright = write()
    outright.chmod(0o644)
    assert "holds a secret" in warnings(load(outright), outright)[0]


def test_a_broken_key_file_is_told_without_its_content(write: Write, tmp_path: Path) -> None:
    (tmp_path / "agent.key").write_text("my-very-own-phrase")
    with pytest.raises(ConfigError) as caught:
        load(write({MAIN + "private_key": None, MAIN + "private_key_file": '"agent.key"'}))
    assert "64 hex digits" in str(caught.value)
    assert "agent.key" in str(caught.value)
    assert "phrase" not in str(caught.value)


def test_secrets_do_not_show(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    changes: dict[str, str | None] = {
        "redis.url": '"redis://bob:hunter22@example:6379/1"',
        "flower.password": '"letmein-99"',
        MAIN + "guardian_private_key": f'"{KEY[::-1].replace("6", "7")}"',
    }
    settings = load(write(changes))
    with caplog.at_level(logging.INFO):
        logging.getLogger("x").info("%s %r %s", settings, settings, settings.model_dump())
    shown = f"{settings} {settings!r} {settings.model_dump_json()} {caplog.text}"
    known = secrets(settings)
    assert len(known) == 4
    assert not any(secret.removeprefix("0x") in shown for secret in known)


def test_the_redis_url_takes_its_password_from_a_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "word").write_text("p@ss/word\n")
    changes = {"redis.url": '"rediss://store:6380/2"', "redis.username": '"bob"', "redis.password_file": '"word"'}
    settings = load(write(dict(changes)))
    assert settings.redis.full_url().get_secret_value() == "rediss://bob:p%40ss%2Fword@store:6380/2"
    assert "p@ss/word" in secrets(settings)
    assert load(write({"redis.durability": '"local+1"'})).redis.replicas == 1


@pytest.mark.parametrize("mode", ["paper", "testnet"])
def test_init_writes_what_loads(tmp_path: Path, mode: str) -> None:
    key_file = None
    if mode != "paper":
        (tmp_path / "agent").write_text(KEY)
        key_file = "agent"
    path = write_config(
        tmp_path / "stopkeeper.toml",
        mode=mode,
        wallet_address=None if mode == "paper" else ADDRESS,
        private_key_file=key_file,
    )
    settings = load(path)
    assert settings.accounts["main"].mode == mode
    assert settings.source == path
    assert "# max_daily_loss = 200 " in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    if mode == "paper":
        assert (tmp_path / "stopkeeper-data/secrets/main.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_config(path)


def test_the_document_is_generated_from_the_settings() -> None:
    document = Path(__file__).parents[3] / "docs" / "configuration.md"
    assert document.read_text() == "\n".join(settings_doc.lines()) + "\n", "run python -m workers.settings_doc"
