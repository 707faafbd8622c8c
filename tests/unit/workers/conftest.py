"""A configuration that is right, to be made wrong one key at a time."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

KEY = "4646464646464646464646464646464646464646464646464646464646464646"
ADDRESS = "0x" + "1" * 40
RIGHT = {
    "": {"installation": '"a1b2c"'},
    "accounts.main": {
        "venue": '"hyperliquid"',
        "wallet_address": f'"{ADDRESS}"',
        "private_key": f'"{KEY}"',
        "symbols": '["BTC", "ETH"]',
    },
}
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STOPKEEPER__")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the right configuration with keys set (TOML text) or, with None, left out: ``write({"risk.max": "3"})``."""

    def _write(changes: dict[str, str | None] | None = None) -> Path:
        tree = {section: dict(keys) for section, keys in RIGHT.items()}
        for dotted, value in (changes or {}).items():
            section, _, key = dotted.rpartition(".")
            keys = tree.setdefault(section, {})
            if value is None:
                keys.pop(key)
            else:
                keys[key] = value
        lines = []
        for section, keys in tree.items():
            lines += [f"[{section}]"] if section else []
            lines += [f"{key} = {value}" for key, value in keys.items()]
        path = tmp_path / "stopkeeper.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    return _write
