"""A fresh configuration: the commented ``stopkeeper.toml`` and, for the paper venue, a key of its own.

Only ``stopkeeper init`` uses it. Nothing here overwrites a file.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

_HEAD = """\
# Stopkeeper's configuration. Every key and its default: docs/configuration.md
# Each key can also be given as STOPKEEPER__SECTION__KEY in the environment, which stands over this file.
# Percentages are written "10%", durations "15s"; relative paths start at this file's directory.

installation = "{installation}"            # this deployment's id: it stands in every order's id, so never change it

[redis]
url = "embedded"                  # our own server, started by `stopkeeper up`; or redis://HOST:6379/0, rediss://...
data_dir = {data_dir}

[accounts.{account}]
venue = "hyperliquid"
mode = "{mode}"                    # paper | testnet | live
{credentials}symbols = [{symbols}]
leverage = 5
margin_mode = "isolated"
"""
_PAPER = """\
wallet_address = "{address}"
private_key_file = {key_file}    # made up for the paper venue; worth nothing elsewhere
"""
_REAL = """\
wallet_address = "{address}"    # the account's own address, not the agent's
private_key_file = {key_file}    # the agent's (API wallet's) private key: chmod 600
"""
_TAIL = """
[risk]                            # refusals at the door, per account; remove a line for no limit
max_open_trades = 3
max_leverage = 10
max_notional = 50000
# max_daily_loss = 200            # set it before live
max_stop_distance = "20%"

[stops]
refresh = "15s"                   # how often every stop is looked at
worst = "10%"                     # worst price of a market stop, off its trigger
orphan_stop = "5%"                # stop of a position nobody gave one

[flower]
port = 5555                       # the task monitor, on this machine only; its password is in the data directory
"""


def write_config(
    path: Path,
    *,
    account: str = "main",
    mode: str = "paper",
    symbols: Sequence[str] = ("BTC", "ETH", "SOL"),
    wallet_address: str | None = None,
    private_key_file: str | None = None,
    base_url: str | None = None,
    data_dir: str = "./stopkeeper-data",
) -> Path:
    """Write a fresh configuration and return its path. Raises FileExistsError.

    Where no ``private_key_file`` is named, one is: for paper it is written too (mode 0600), with the address it gives.
    """
    if path.exists():
        raise FileExistsError(17, "there is a configuration already, it is left as it is", str(path))
    key_file = private_key_file or f"{data_dir}/secrets/{account}.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    address = wallet_address or "0x..."
    if mode == "paper" and private_key_file is None:
        address = _fresh_key(path.parent / key_file)
    text = init_text(
        account=account,
        mode=mode,
        symbols=symbols,
        base_url=base_url,
        data_dir=data_dir,
        key_file=key_file,
        address=address,
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def init_text(
    *,
    account: str,
    mode: str,
    symbols: Sequence[str],
    base_url: str | None,
    data_dir: str,
    key_file: str,
    address: str,
) -> str:
    """Return the text of a fresh configuration with an installation id drawn at random."""
    credentials = (_PAPER if mode == "paper" else _REAL).format(address=address, key_file=_quoted(key_file))
    if base_url is not None:
        credentials += f"base_url = {_quoted(base_url)}\n"
    head = _HEAD.format(
        installation=secrets.token_hex(3)[:5],
        data_dir=_quoted(data_dir),
        account=account,
        mode=mode,
        credentials=credentials,
        symbols=", ".join(_quoted(symbol) for symbol in symbols),
    )
    return head + _TAIL


def _fresh_key(path: Path) -> str:
    """Write a random private key, or keep the one that is there; return its address."""
    from eth_account import Account

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("0x" + secrets.token_hex(32) + "\n")
    return str(Account.from_key(path.read_text(encoding="utf-8").strip()).address)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
