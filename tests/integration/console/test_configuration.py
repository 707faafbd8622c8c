"""Configurations that cannot be: each exits 4, in a sentence that names the key, and nothing is started or sent."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stopkeeper.console.cli import build
from workers.main import Program

KEY = "1" * 64
ADDRESS = "0x" + "ab" * 20
ACCOUNT = {
    "venue": '"hyperliquid"',
    "mode": '"paper"',
    "wallet_address": f'"{ADDRESS}"',
    "private_key": f'"{KEY}"',
    "symbols": '["BTC"]',
}


OPEN = ("open", "main", "BTC", "long", "--size", "1", "--stop", "2%")


def text_of(account: dict[str, str | None], rest: str = "", installation: str = '"a1b2c"') -> str:
    lines = [f"{name} = {value}" for name, value in {**ACCOUNT, **account}.items() if value is not None]
    return f"installation = {installation}\n{rest}\n[accounts.main]\n" + "\n".join(lines) + "\n"


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(build(Program()), [*words, "--config", str(path)], catch_exceptions=False)


BAD = [
    ("unknown venue", text_of({"venue": '"binance"'}), "venue"),
    ("venue not there yet", text_of({"venue": '"okx"'}), "venue"),
    ("no venue", text_of({"venue": None}), "venue"),
    ("unknown mode", text_of({"mode": '"real"'}), "mode"),
    ("no address", text_of({"wallet_address": None}), "wallet_address"),
    ("address too short", text_of({"wallet_address": '"0xabc"'}), "wallet_address"),
    ("a key for an address", text_of({"wallet_address": f'"0x{KEY}"'}), "wallet_address"),
    ("no key", text_of({"private_key": None}), "private_key_file"),
    ("key too short", text_of({"private_key": '"abc"'}), "private_key"),
    ("key of zeros", text_of({"private_key": f'"{"0" * 64}"'}), "private_key"),
    (
        "key file that is not there",
        text_of({"private_key": None, "private_key_file": '"gone"'}),
        "accounts.main.private_key_file",
    ),
    ("key twice", text_of({"private_key_file": '"gone"'}), "private_key"),
    ("no symbols", text_of({"symbols": "[]"}), "symbols"),
    ("symbol twice", text_of({"symbols": '["BTC", "BTC/USDC:USDC"]'}), "symbols"),
    ("symbol of a spot market", text_of({"symbols": '["BTC/USDC"]'}), "symbols"),
    ("leverage of zero", text_of({"leverage": "0"}), "leverage"),
    ("leverage beyond", text_of({"leverage": "51"}), "leverage"),
    ("leverage broken", text_of({"leverage": "2.5"}), "leverage"),
    ("unknown margin mode", text_of({"margin_mode": '"both"'}), "margin_mode"),
    ("unknown orphan policy", text_of({"orphan_policy": '"ignore"'}), "orphan_policy"),
    ("url without a scheme", text_of({"base_url": '"localhost:80"'}), "base_url"),
    ("stream url over http", text_of({"ws_url": '"http://x"'}), "ws_url"),
    ("a key nobody knows", text_of({"leverge": "5"}), "leverge"),
    ("a section nobody knows", text_of({}, "[stop]\nworst = 1"), "stop"),
    ("installation too long", text_of({}, installation='"a1b2c3"'), "installation"),
    ("installation not hex", text_of({}, installation='"zzzzz"'), "installation"),
    ("percent without its sign", text_of({}, "[stops]\nworst = 10"), "stops.worst"),
    ("percent of a hundred", text_of({}, '[stops]\nworst = "100%"'), "stops.worst"),
    ("tolerance too narrow", text_of({}, '[stops]\nexit_tolerance = "0.5%"'), "stops.exit_tolerance"),
    ("refresh too slow", text_of({}, '[stops]\nrefresh = "5m"'), "stops.refresh"),
    ("refresh without a unit", text_of({}, "[stops]\nrefresh = 15"), "stops.refresh"),
    ("a trailing rule nobody knows", text_of({}, '[stops]\ntrailing = "two"'), "stops.trailing"),
    ("a trailing rule without its measure", text_of({}, '[stops]\ntrailing = "atr:"'), "stops.trailing"),
    ("a break-even that is no gain", text_of({}, '[stops]\nbreakeven = "1"'), "stops.breakeven"),
    ("stops moved all the time", text_of({}, '[stops]\ninterval = "1s"'), "stops.interval"),
    ("a trailing rule as a number", text_of({"trailing": "2"}), "accounts.main.trailing"),
    ("no open trades at all", text_of({}, "[risk]\nmax_open_trades = 0"), "risk.max_open_trades"),
    ("negative notional", text_of({}, "[risk]\nmax_notional = -5"), "risk.max_notional"),
    ("cooldown after nothing", text_of({}, '[risk]\ncooldown = "1h"'), "risk.cooldown_after"),
    ("cooldown for no time", text_of({}, "[risk]\ncooldown_after = 3"), "risk.cooldown"),
    ("a curve from no day", text_of({}, '[risk]\ndrawdown_since = "May"'), "risk.drawdown_since"),
    ("account limit", text_of({}) + "[accounts.main.risk]\nmax_drawdown = -1\n", "accounts.main.risk.max_drawdown"),
    ("leverage above the limit", text_of({"leverage": "9"}, "[risk]\nmax_leverage = 5"), "leverage"),
    ("redis over http", text_of({}, '[redis]\nurl = "http://x"'), "redis.url"),
    ("durability nobody knows", text_of({}, '[redis]\ndurability = "none"'), "redis.durability"),
    ("embedded with a password", text_of({}, '[redis]\npassword = "x"'), "redis"),
    ("alert url nobody knows", text_of({}, f'[alerts]\nurls = ["nope://{KEY}"]'), "alerts.urls"),
    ("alert repeated at once", text_of({}, '[alerts]\nrepeat = "1s"'), "alerts.repeat"),
    ("one port for two", text_of({}, "[paper]\nport = 9\ncontrol_port = 9"), "paper"),
    ("a port beyond the last", text_of({}, "[paper]\nport = 70000"), "paper.port"),
    ("not TOML", "installation = [", ""),
    ("empty", "", "installation"),
    ("no account", 'installation = "a1b2c"\n', "accounts"),
    ("account name with a blank", text_of({}).replace("accounts.main", 'accounts."my account"'), "accounts"),
]


@pytest.mark.parametrize(("text", "key"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
@pytest.mark.parametrize("words", [("doctor",), OPEN], ids=["doctor", "open"])
def test_it_exits_4_and_names_the_key(tmp_path: Path, text: str, key: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "stopkeeper.toml"
    path.write_text(text)
    result = run(path, *words, "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 4, result.stderr
    assert key in told["field"]
    assert told["error"]
    assert result.stderr.startswith("error: ")
    assert KEY not in result.stderr + result.stdout
    assert sorted(tmp_path.iterdir()) == [path]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "stopkeeper.toml"
    path.write_text(text_of({"leverage": "99", "symbols": "[]"}))
    result = run(path, "status")
    assert result.exit_code == 4
    assert "leverage" in result.stderr
    assert "symbols" in result.stderr


def test_no_configuration_says_how_to_get_one(tmp_path: Path) -> None:
    result = run(tmp_path / "none.toml", "status")
    assert result.exit_code == 4
    assert "stopkeeper init" in result.stderr


def test_what_init_writes_can_be_loaded_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "stopkeeper.toml"
    assert run(path, "init", "--symbols", "ETH,SOL").exit_code == 0
    house = Program().load(path)
    assert house.accounts["main"].symbols == ("ETH", "SOL")
    assert house.accounts["main"].mode == "paper"
    before = path.read_text()
    again = run(path, "init")
    assert again.exit_code == 1
    assert "there is a configuration already" in again.stderr
    assert path.read_text() == before


def test_init_for_testnet_keeps_address_and_key_file_as_given(tmp_path: Path) -> None:
    path, key = tmp_path / "stopkeeper.toml", tmp_path / "a \\ key"
    key.write_text(KEY)
    key.chmod(0o600)
    words = ("init", "--mode", "testnet", "--wallet-address", ADDRESS, "--private-key-file", str(key))
    assert run(path, *words).exit_code == 0
    section = Program().load(path).settings.accounts["main"]
    assert (section.mode, section.wallet_address, section.private_key_file) == ("testnet", ADDRESS, key)


@pytest.mark.parametrize(
    ("words", "field"), [(("--wallet-address", "0x12"), "wallet_address"), (("--symbols", "BTC,E TH"), "symbols")]
)
def test_init_leaves_no_file_behind_that_would_not_load(tmp_path: Path, words: tuple[str, ...], field: str) -> None:
    path = tmp_path / "stopkeeper.toml"
    given = {"--wallet-address": ADDRESS, "--private-key-file": "./later", "--mode": "testnet", words[0]: words[1]}
    result = run(path, "init", *(word for pair in given.items() for word in pair))
    assert result.exit_code == 4
    assert f"accounts.main.{field}" in result.stderr
    assert not path.exists()


def test_init_may_come_before_the_key_and_says_what_is_next(tmp_path: Path) -> None:
    path = tmp_path / "stopkeeper.toml"
    result = run(path, "init", "--mode", "testnet", "--wallet-address", ADDRESS, "--private-key-file", "./later")
    assert result.exit_code == 0
    assert (
        "put the agent's key into ./later, chmod 600, then stopkeeper up, and stopkeeper doctor beside it"
        in result.stdout
    )


def test_a_store_that_does_not_run_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "stopkeeper.toml"
    path.write_text(text_of({}))
    result = run(path, "status")
    assert result.exit_code == 1
    assert "stopkeeper up" in result.stderr
