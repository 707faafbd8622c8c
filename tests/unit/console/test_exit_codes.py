"""The exit code table, and that a refused wish costs no request: neither the store nor the venue is asked anything."""

import json

import pytest

from stopkeeper.console.cli import WITHOUT_REDIS
from stopkeeper.console.failures import BadConfiguration
from tests.unit.console.conftest import FakeBackend, FakeHouse, Run

OPEN = ("open", "main", "BTC", "long")
GOOD = ("--size", "0.01", "--stop", "2%")
ADOPT = ("orphans", "adopt", "main", "BTC")

# description, words, the field named in the sentence
BAD_SIGNALS = [
    ("side unknown", ("open", "main", "BTC", "up", *GOOD), "side"),
    ("side in capitals", ("open", "main", "BTC", "LONG", *GOOD), "side"),
    ("no stop", (*OPEN, "--size", "1"), "stop"),
    ("stop of nothing", (*OPEN, "--size", "1", "--stop", ""), "stop"),
    ("stop of zero", (*OPEN, "--size", "1", "--stop", "0"), "stop"),
    ("stop negative", (*OPEN, "--size", "1", "--stop", "-5"), "stop"),
    ("stop not a number", (*OPEN, "--size", "1", "--stop", "near"), "stop"),
    ("stop NaN", (*OPEN, "--size", "1", "--stop", "nan"), "stop"),
    ("stop infinite", (*OPEN, "--size", "1", "--stop", "inf"), "stop"),
    ("stop of 100 %", (*OPEN, "--size", "1", "--stop", "100%"), "stop"),
    ("stop of 0 %", (*OPEN, "--size", "1", "--stop", "0%"), "stop"),
    ("stop of -2 %", (*OPEN, "--size", "1", "--stop", "-2%"), "stop"),
    ("stop with two signs", (*OPEN, "--size", "1", "--stop", "2%%"), "stop"),
    ("no amount", (*OPEN, "--stop", "2%"), "size"),
    ("two amounts", (*OPEN, "--size", "1", "--notional", "5", "--stop", "2%"), "size"),
    ("three amounts", (*OPEN, "--size", "1", "--notional", "5", "--risk", "5", "--stop", "2%"), "size"),
    ("size of zero", (*OPEN, "--size", "0", "--stop", "2%"), "size"),
    ("size negative", (*OPEN, "--size", "-1", "--stop", "2%"), "size"),
    ("size not a number", (*OPEN, "--size", "a lot", "--stop", "2%"), "size"),
    ("size NaN", (*OPEN, "--size", "NaN", "--stop", "2%"), "size"),
    ("size infinite", (*OPEN, "--size", "Infinity", "--stop", "2%"), "size"),
    ("size of 1e99", (*OPEN, "--size", "1e99", "--stop", "2%"), "size"),
    ("size with a comma", (*OPEN, "--size", "0,01", "--stop", "2%"), "size"),
    ("notional of zero", (*OPEN, "--notional", "0", "--stop", "2%"), "notional"),
    ("notional with a currency", (*OPEN, "--notional", "$500", "--stop", "2%"), "notional"),
    ("risk negative", (*OPEN, "--risk", "-3", "--stop", "2%"), "risk"),
    ("target of nothing", (*OPEN, *GOOD, "--target", ""), "target"),
    ("target negative", (*OPEN, *GOOD, "--target", "-4%"), "target"),
    ("target word", (*OPEN, *GOOD, "--target", "moon"), "target"),
    ("six targets", (*OPEN, *GOOD, *(word for n in range(2, 8) for word in ("--target", f"{n}%"))), "target"),
    ("target for no part", (*OPEN, *GOOD, "--target", "4%:0%"), "target"),
    ("target for more than all", (*OPEN, *GOOD, "--target", "4%:150%"), "target"),
    ("target with a part in coins", (*OPEN, *GOOD, "--target", "4%:0.5"), "target"),
    ("limit of zero", (*OPEN, *GOOD, "--limit", "0"), "limit"),
    ("limit in percent", (*OPEN, *GOOD, "--limit", "2%"), "limit"),
    ("resting entry without a limit", (*OPEN, *GOOD, "--rest"), "rest"),
    ("post-only entry without a limit", (*OPEN, *GOOD, "--post-only"), "post_only"),
    ("trail by nothing", (*OPEN, *GOOD, "--trail", "0%"), "trail"),
    ("trail by words", (*OPEN, *GOOD, "--trail", "close"), "trail"),
    ("trail by half an ATR rule", (*OPEN, *GOOD, "--trail", "atr:3:14"), "trail"),
    ("trail by ATR of unknown candles", (*OPEN, *GOOD, "--trail", "atr:3:14:7m"), "trail"),
    ("trail by ATR of too many candles", (*OPEN, *GOOD, "--trail", "atr:3:900:5m"), "trail"),
    ("trail from nowhere", (*OPEN, *GOOD, "--trail", "2%@"), "trail"),
    ("trail from a price", (*OPEN, *GOOD, "--trail", "2%@95000"), "trail"),
    ("trail off from a gain", (*OPEN, *GOOD, "--trail", "off@1R"), "trail"),
    ("steps without a measure", (*OPEN, *GOOD, "--trail", "step:2"), "trail"),
    ("break-even after a price", (*OPEN, *GOOD, "--breakeven", "95000"), "breakeven"),
    ("break-even after no gain", (*OPEN, *GOOD, "--breakeven", "0R"), "breakeven"),
    ("leverage of zero", (*OPEN, *GOOD, "--leverage", "0"), "leverage"),
    ("leverage broken", (*OPEN, *GOOD, "--leverage", "2.5"), "leverage"),
    ("leverage with an x", (*OPEN, *GOOD, "--leverage", "5x"), "leverage"),
    ("expires without a unit", (*OPEN, *GOOD, "--expires", "30"), "expires"),
    ("expires of zero", (*OPEN, *GOOD, "--expires", "0s"), "expires"),
    ("expires negative", (*OPEN, *GOOD, "--expires", "-5s"), "expires"),
    ("time limit word", (*OPEN, *GOOD, "--time-limit", "soon"), "time_limit"),
    ("price without deviation", (*OPEN, *GOOD, "--price", "95000"), "max_deviation"),
    ("deviation without price", (*OPEN, *GOOD, "--max-deviation", "1%"), "max_deviation"),
    ("deviation not in percent", (*OPEN, *GOOD, "--price", "95000", "--max-deviation", "1"), "max_deviation"),
    ("price NaN", (*OPEN, *GOOD, "--price", "nan", "--max-deviation", "1%"), "price"),
    ("id with a blank", (*OPEN, *GOOD, "--id", "a b"), "id"),
    ("id too long", (*OPEN, *GOOD, "--id", "x" * 65), "id"),
    ("id empty", (*OPEN, *GOOD, "--id", ""), "id"),
    ("wait word", (*OPEN, *GOOD, "--wait", "long"), "wait"),
    ("wait negative", (*OPEN, *GOOD, "--wait", "-1"), "wait"),
    ("wait NaN", (*OPEN, *GOOD, "--wait", "nan"), "wait"),
    ("symbol unknown", ("open", "main", "NOPE", "long", *GOOD), "symbol"),
    ("symbol empty", ("open", "main", "", "long", *GOOD), "symbol"),
    ("close a part of 0 %", ("close", "main", "BTC", "--part", "0%"), "part"),
    ("close a part of 101 %", ("close", "main", "BTC", "--part", "101%"), "part"),
    ("close a part without a sign", ("close", "main", "BTC", "--part", "50"), "part"),
    ("stop to nothing", ("stop", "main", "BTC"), "to"),
    ("stop to zero", ("stop", "main", "BTC", "--to", "0"), "to"),
    ("stop to NaN", ("stop", "main", "BTC", "--to", "NaN"), "to"),
    ("loosen to nowhere", ("stop", "main", "BTC", "--off", "--until", "5m", "--loosen"), "loosen"),
    ("stop lifted without an end", ("stop", "main", "BTC", "--off"), "until"),
    ("stop lifted until a word", ("stop", "main", "BTC", "--off", "--until", "later"), "until"),
    ("an end without lifting", ("stop", "main", "BTC", "--to", "94000", "--until", "5m"), "until"),
    ("stop moved and lifted", ("stop", "main", "BTC", "--to", "94000", "--off", "--until", "5m"), "to"),
    ("stop lifted and placed", ("stop", "main", "BTC", "--off", "--on", "--until", "5m"), "to"),
    ("stop trailed by words", ("stop", "main", "BTC", "--trail", "wide"), "trail"),
    ("adopted with a stop of zero", (*ADOPT, "--stop", "0"), "stop"),
    ("adopted with a stop negative", (*ADOPT, "--stop", "-2%"), "stop"),
    ("adopted with a stop of 100 %", (*ADOPT, "--stop", "100%"), "stop"),
    ("adopted with a stop NaN", (*ADOPT, "--stop", "nan"), "stop"),
    ("adopted with a stop of nothing", (*ADOPT, "--stop", ""), "stop"),
    ("adopted with a stop of words", (*ADOPT, "--stop", "near"), "stop"),
    ("adopted, wait word", (*ADOPT, "--wait", "long"), "wait"),
    ("an installation and a symbol", (*ADOPT, "--installation", "fffff"), "installation"),
    ("an installation and a stop", ("orphans", "adopt", "--installation", "fffff", "--stop", "2%"), "installation"),
    ("an installation and a wait", ("orphans", "adopt", "--installation", "fffff", "--wait", "5"), "installation"),
    ("an installation too short", ("orphans", "adopt", "--installation", "ffff"), "installation"),
    ("an installation in capitals", ("orphans", "adopt", "--installation", "FFFFF"), "installation"),
    ("an installation not hex", ("orphans", "adopt", "main", "--installation", "zzzzz"), "installation"),
    ("an orphan closed, wait negative", ("orphans", "close", "main", "BTC", "--wait", "-1"), "wait"),
    ("an orphan of no symbol", ("orphans", "close", "main", "NOPE"), "symbol"),
    ("adopted, no such symbol", ("orphans", "adopt", "main", "NOPE"), "symbol"),
    ("a queue nobody knows", ("worker", "--queues", "fast"), "queues"),
    ("no threads", ("worker", "--concurrency", "0"), "concurrency"),
    ("a port beyond the last", ("paper", "--port", "70000"), "port"),
    ("one port for two", ("paper", "--port", "8800", "--control-port", "8800"), "control-port"),
    ("a speed of zero", ("paper", "--speed", "0"), "speed"),
    ("a mode nobody knows", ("init", "--mode", "dry"), "mode"),
    ("live without an address", ("init", "--mode", "live", "--private-key-file", "k"), "wallet-address"),
    ("live without a key", ("init", "--mode", "live", "--wallet-address", "0x0"), "private-key-file"),
    ("no symbols", ("init", "--symbols", ","), "symbols"),
    ("the newest none", ("trades", "--last", "0"), "last"),
]


@pytest.mark.parametrize(("words", "field"), [case[1:] for case in BAD_SIGNALS], ids=[case[0] for case in BAD_SIGNALS])
def test_a_value_that_cannot_be_accepted_exits_3_names_its_field_and_asks_nobody(
    run: Run, house: FakeHouse, words: tuple[str, ...], field: str
) -> None:
    result = run(*words)
    assert result.exit_code == 3, result.stderr
    assert result.stderr.startswith(f"error: {field}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert house.asked == []


@pytest.mark.parametrize(("words", "field"), [case[1:] for case in BAD_SIGNALS], ids=[case[0] for case in BAD_SIGNALS])
def test_with_json_the_same_is_an_object_on_stdout(run: Run, words: tuple[str, ...], field: str) -> None:
    result = run("--json", *words)
    told = json.loads(result.stdout)
    assert result.exit_code == 3
    assert set(told) == {"error", "field", "value", "hint"}
    assert told["field"] == field
    assert told["error"]
    assert told["error"] in result.stderr


WRONG_WORDS = [
    ("unknown command", ("opne", "main")),
    ("unknown command without a near one", ("xyzzy",)),
    ("unknown option", (*OPEN, *GOOD, "--lever", "3")),
    ("unknown option before the command", ("--verbose", "status")),
    ("unknown option of a quiet command", ("doctor", "--fast")),
    ("too many words", ("status", "main", "other")),
    ("missing side", ("open", "main", "BTC")),
    ("missing symbol", ("close", "main")),
    ("missing value of an option", (*OPEN, "--size")),
    ("flatten nothing", ("flatten",)),
    ("flatten one and all", ("flatten", "main", "--all")),
    ("unknown verb of orphans", ("orphans", "eat")),
    ("nothing adopted", ("orphans", "adopt")),
    ("an account adopted", ("orphans", "adopt", "main")),
    ("an orphan without a symbol", ("orphans", "close", "main")),
    ("unknown option of orphans", ("orphans", "close", "main", "BTC", "--now")),
]


@pytest.mark.parametrize("words", [case[1] for case in WRONG_WORDS], ids=[case[0] for case in WRONG_WORDS])
def test_a_wrong_word_exits_1_in_one_line(run: Run, house: FakeHouse, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert house.asked == []
    assert set(json.loads(run("--json", *words).stdout)) == {"error", "field", "value", "hint"}


def test_a_misspelt_command_names_the_nearest(run: Run) -> None:
    assert "did you mean open?" in run("opne").stderr


UNKNOWN_ACCOUNTS = [
    ("open", "spare", "BTC", "long", *GOOD),
    ("close", "spare", "BTC"),
    ("stop", "spare", "BTC", "--to", "1"),
    ("flatten", "spare"),
    ("flatten", "spare", "--direct"),
    *(
        (name, "spare")
        for name in ("protect", "status", "positions", "trades", "profit", "balance", "journal", "locks")
    ),
    *((name, "spare") for name in ("pause", "resume", "halt", "audit")),
    ("orphans", "list", "spare"),
    ("orphans", "close", "spare", "BTC"),
    ("orphans", "adopt", "spare", "BTC"),
    ("orphans", "adopt", "spare", "--installation", "fffff"),
]


@pytest.mark.parametrize("words", UNKNOWN_ACCOUNTS, ids=lambda words: " ".join(words[:2]))
def test_an_unknown_account_exits_2_and_names_the_known(run: Run, house: FakeHouse, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr == "error: account: no such account (got spare); the configuration has: main\n"
    assert house.asked == []


CONFIGURED = [
    *UNKNOWN_ACCOUNTS,
    ("up",),
    ("worker",),
    ("beat",),
    ("feed",),
    ("flower",),
    ("doctor",),
]


@pytest.mark.parametrize("words", CONFIGURED, ids=lambda words: " ".join(words[:2]))
def test_a_bad_configuration_exits_4_everywhere(run: Run, backend: FakeBackend, words: tuple[str, ...]) -> None:
    backend.fault = BadConfiguration("must be at most 50", field="accounts.main.leverage", value="99")
    result = run(*words)
    assert result.exit_code == 4
    assert result.stderr == "error: accounts.main.leverage: must be at most 50 (got 99)\n"
    assert backend.house.asked == []


@pytest.mark.parametrize(
    "words",
    [("status",), ("positions",), ("trades",), ("pause",), ("locks",), ("journal",), ("audit",), (*OPEN, *GOOD)],
    ids=lambda words: words[0],
)
def test_a_store_that_is_gone_is_one_sentence_and_exit_1(run: Run, house: FakeHouse, words: tuple[str, ...]) -> None:
    house.gone = "the embedded server is not running"
    result = run(*words)
    assert result.exit_code == 1
    assert result.stderr == f"error: redis: the embedded server is not running; {WITHOUT_REDIS}\n"
    assert json.loads(run(*words, "--json").stdout)["field"] == "redis"


@pytest.mark.parametrize("place", ["before", "after", "both"])
def test_config_and_json_are_taken_on_either_side_of_the_command(run: Run, backend: FakeBackend, place: str) -> None:
    words = {
        "before": ("--config", "a.toml", "--json", "trades"),
        "after": ("trades", "--json", "--config", "a.toml"),
        "both": ("--config", "b.toml", "--json", "trades", "--config", "a.toml"),
    }[place]
    result = run(*words)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert [str(path) for path in backend.loaded] == ["a.toml"]
