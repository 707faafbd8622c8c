"""Limits in the configuration: of all accounts, of one, from the environment; and every way to write them wrong."""

from decimal import Decimal

import pytest

from stopkeeper.core.rules import Limits
from tests.unit.workers.conftest import RIGHT, Write
from workers.settings_load import ConfigError, load

MINE = "accounts.main.risk."
COOLDOWN = {"risk.cooldown_after": "3", "risk.cooldown": '"2h"'}
FAULTS = [
    ({"risk.cooldown_after": "3"}, "risk.cooldown", "is missing"),
    ({"risk.cooldown": '"2h"'}, "risk.cooldown_after", "is missing"),
    ({MINE + "cooldown_after": "3"}, MINE + "cooldown", "is missing"),
    ({MINE + "cooldown": '"2h"'}, MINE + "cooldown_after", "is missing"),
    ({**COOLDOWN, "risk.cooldown_after": "0"}, "risk.cooldown_after", "at least 1"),
    ({**COOLDOWN, "risk.cooldown_after": "2.5"}, "risk.cooldown_after", "whole number"),
    ({**COOLDOWN, "risk.cooldown": "7200"}, "risk.cooldown", 'like "15s"'),
    ({**COOLDOWN, "risk.cooldown": '"0s"'}, "risk.cooldown", 'from "1s" to "24h"'),
    ({**COOLDOWN, "risk.cooldown": '"25h"'}, "risk.cooldown", 'from "1s" to "24h"'),
    ({**COOLDOWN, MINE + "cooldown": '"25h"'}, MINE + "cooldown", 'from "1s" to "24h"'),
    ({"risk.max_drawdown": "0"}, "risk.max_drawdown", "greater than 0"),
    ({"risk.max_drawdown": '"10%"'}, "risk.max_drawdown", "an amount in USD"),
    ({"risk.drawdown_since": '"yesterday"'}, "risk.drawdown_since", 'like "2026-11-01"'),
    ({"risk.drawdown_since": '"2026-02-30"'}, "risk.drawdown_since", 'like "2026-11-01"'),
    ({"risk.drawdown_since": "20261101"}, "risk.drawdown_since", 'like "2026-11-01"'),
    ({"risk.drawdown_since": "2026-11-01T12:00:00Z"}, "risk.drawdown_since", 'like "2026-11-01"'),
    ({MINE + "max_notional": "-5"}, MINE + "max_notional", "greater than 0"),
    ({MINE + "max_leverage": "3"}, "accounts.main.leverage", "must not exceed accounts.main.risk.max_leverage 3"),
    ({MINE + "max_notionl": "5"}, MINE + "max_notionl", "did you mean max_notional?"),
    ({"risk.max_drawdwn": "5"}, "risk.max_drawdwn", "did you mean max_drawdown?"),
    ({"accounts.main.risk": "5"}, "accounts.main.risk", "must be a section of keys"),
]


@pytest.mark.parametrize(
    ("changes", "field", "sentence"), FAULTS, ids=[f"{f}-{i}" for i, (_, f, _) in enumerate(FAULTS)]
)
def test_a_fault_names_its_field_and_what_is_right(
    write: Write, changes: dict[str, str], field: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(changes))
    assert [fault.field for fault in caught.value.faults] == [field]
    assert sentence in str(caught.value)


def test_limits_are_numbers_the_core_counts_with(write: Write) -> None:
    changes = {**COOLDOWN, "risk.max_drawdown": '"500.50"', "risk.drawdown_since": '"2026-11-01"'}
    expected = Limits(
        max_drawdown=Decimal("500.50"),
        drawdown_since_ms=1_793_491_200_000,
        cooldown_after=3,
        cooldown_ms=7_200_000,
    )
    assert load(write(dict(changes))).limits("main") == expected
    assert load(write({**changes, "risk.drawdown_since": "2026-11-01"})).limits("main") == expected, "a TOML date"


def test_an_accounts_own_keys_stand_over_those_of_all(write: Write) -> None:
    twin = {f"accounts.twin.{key}": value for key, value in RIGHT["accounts.main"].items()}
    changes = {
        **COOLDOWN,
        "risk.max_notional": "1000",
        "risk.max_daily_loss": "200",
        "risk.max_leverage": "3",
        MINE + "max_notional": "50",
        MINE + "max_leverage": "5",
        MINE + "cooldown": '"30m"',
        MINE + "entry_worst": '"1%"',
        **twin,
        "accounts.twin.wallet_address": f'"0x{"2" * 40}"',
        "accounts.twin.leverage": "3",
    }
    settings = load(write(dict(changes)))
    mine, others = settings.limits("main"), settings.limits("twin")
    assert (mine.max_notional, mine.max_daily_loss, mine.max_leverage) == (Decimal(50), Decimal(200), 5)
    assert (mine.cooldown_after, mine.cooldown_ms) == (3, 1_800_000)
    assert (others.max_notional, others.max_daily_loss, others.max_leverage) == (Decimal(1000), Decimal(200), 3)
    assert others.cooldown_ms == 7_200_000
    assert settings.rules("main").limits == mine
    assert settings.rules("main").entry_worst == Decimal("0.01")
    assert settings.rules("twin").entry_worst == Decimal("0.02")


def test_an_account_may_be_bound_closer_or_wider_than_all(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"accounts\.main\.leverage: must not exceed risk\.max_leverage 3"):
        load(write({"risk.max_leverage": "3"}))
    assert load(write({"risk.max_leverage": "3", MINE + "max_leverage": "10"})).rules("main").leverage == 5


def test_an_accounts_limit_comes_from_the_environment_too(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPKEEPER__ACCOUNTS__MAIN__RISK__MAX_NOTIONAL", "500")
    monkeypatch.setenv("STOPKEEPER__ACCOUNTS__MAIN__RISK__DRAWDOWN_SINCE", "2026-11-01")
    monkeypatch.setenv("STOPKEEPER__RISK__COOLDOWN_AFTER", "4")
    limits = load(write({**COOLDOWN, MINE + "max_notional": "50", "risk.max_notional": "1000"})).limits("main")
    assert (limits.max_notional, limits.cooldown_after) == (Decimal(500), 4)
    assert limits.drawdown_since_ms == 1_793_491_200_000


def test_a_fault_of_an_accounts_limit_in_the_environment_names_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOPKEEPER__ACCOUNTS__MAIN__RISK__COOLDOWN", "soon")
    with pytest.raises(ConfigError, match=r"from STOPKEEPER__ACCOUNTS__MAIN__RISK__COOLDOWN: write a duration"):
        load(write())
