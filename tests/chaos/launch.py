"""How a stack begins and ends: a fresh installation written down, ``stopkeeper up`` over it, and its end."""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from eth_account import Account

from tests.chaos.stack import MAIN, PROGRAM, START_S, SYMBOLS, Stack, environment, free_ports
from workers.settings_load import load
from workers.wiring import opened

_ACCOUNT = """
[accounts.{name}]
venue = "hyperliquid"
mode = "paper"
wallet_address = "{address}"
private_key_file = "./stopkeeper-data/secrets/{name}.key"
symbols = [{symbols}]
"""


def installed(folder: Path, *, seed: int, accounts: Sequence[str] = (MAIN,)) -> Stack:
    """Write a fresh installation with these accounts, the first of them ``main``; nothing runs yet."""
    stack = Stack(folder)
    made = stack.run("init")
    assert made.returncode == 0, made.stderr
    path, (port, control) = folder / "stopkeeper.toml", free_ports(2)
    listed = ", ".join(f'"{symbol}"' for symbol in SYMBOLS)
    text = path.read_text().replace("[flower]\n", "[flower]\nenabled = false\n")
    text = text.replace('symbols = ["BTC", "ETH", "SOL"]', f"symbols = [{listed}]")
    text = text.replace("max_open_trades = 3", "max_open_trades = 20\nmax_daily_loss = 100000")
    line = next(line for line in text.splitlines() if line.startswith("wallet_address"))
    stack.addresses[MAIN] = line.split('"')[1].lower()
    for name in accounts[1:]:
        stack.addresses[name] = _fresh_login(folder / "stopkeeper-data" / "secrets" / f"{name}.key")
        text += _ACCOUNT.format(name=name, address=stack.addresses[name], symbols=listed)
    path.write_text(f'{text}\n[paper]\nport = {port}\ncontrol_port = {control}\nprices = "walk"\nseed = {seed}\n')
    stack.url, stack.control = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control}"
    return stack


def _fresh_login(path: Path) -> str:
    """Write a random key and return its address."""
    path.write_text("0x" + secrets.token_hex(32) + "\n")
    path.chmod(0o600)
    return str(Account.from_key(path.read_text().strip()).address).lower()


@contextlib.contextmanager
def running(folder: Path, *, seed: int, latency_ms: int = 0, accounts: Sequence[str] = (MAIN,)) -> Iterator[Stack]:
    """Start the stack of a fresh installation, wait until all of it lives, and end it."""
    stack = installed(folder, seed=seed, accounts=accounts)
    with (folder / "up.log").open("wb") as log:
        stack.process = subprocess.Popen(
            [*PROGRAM, "up"], cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_everything(stack)
        if latency_ms:
            stack.post("/settings", latency_ms=latency_ms)
        with opened(load(folder / "stopkeeper.toml")) as system:
            system.app.set_default()
            stack.system = system
            yield stack
    finally:
        _end(stack)


def _await_everything(stack: Stack) -> None:
    """Wait until the supervisor has said that everything runs."""
    end, log = time.monotonic() + START_S, stack.folder / "up.log"
    while "Everything runs" not in log.read_text():
        assert stack.process is not None
        assert stack.process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def _end(stack: Stack) -> None:
    assert stack.process is not None
    for each in stack.commands:
        if each.poll() is None:
            each.kill()
        each.wait()
    for kind in tuple(stack.extras):
        stack.end_second(kind)
    for pid in stack.children().values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    stack.process.terminate()
    try:
        stack.process.wait(30)
    except subprocess.TimeoutExpired:
        stack.process.kill()  # its children are tied to it and end too
        stack.process.wait()
