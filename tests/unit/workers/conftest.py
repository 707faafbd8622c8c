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


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the configurations of tests that put nothing beside them: a hundred folders take long to remove."""
    return tmp_path_factory.mktemp("configurations")


@pytest.fixture
def write(request: pytest.FixtureRequest, shared_folder: Path) -> Write:
    """Write the right configuration with keys set (TOML text) or, with None, left out: ``write({"risk.max": "3"})``.

    It stands in the test's own folder where the test asks for one.
    """
    folder: Path = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else shared_folder

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
        path = folder / "stopkeeper.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    return _write
