"""From ``open`` being enqueued to the entry reaching the venue, under load, with the stack a user runs.

Several accounts, each at a paper venue of its own (a venue's rate limit is per address it is reached at), send signals
for all their symbols at once through ``tasks.entry.open_trade``.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.setting import PaperProcess, login, paper
from stopkeeper.core.ids import decode, trade_id

ACCOUNTS = 4
SYMBOLS = ("BTC", "ETH", "SOL", "DOGE", "AVAX", "LINK", "XRP", "BNB")
INSTALLATION = "be4c2"
SETTLE_S = 12.0  # feeds connect, the first sweeps look


def measure(latency_ms: int, folder: Path) -> list[float]:
    """Return the ms from enqueue to wire of every signal of one burst."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        venues = [stack.enter_context(paper(latency_ms)) for _ in range(ACCOUNTS)]
        symbols = [s for s in SYMBOLS if s in venues[0].marks()]
        config = _configure(folder, venues, symbols)
        stack.enter_context(_up(config))
        time.sleep(SETTLE_S)
        for venue in venues:
            venue.post("/stats/reset")
        sent = _burst(config, symbols)
        return _arrivals(venues, sent)


def _configure(folder: Path, venues: list[PaperProcess], symbols: list[str]) -> Path:
    lines = [f'installation = "{INSTALLATION}"', "[redis]", 'url = "embedded"', f'data_dir = "{folder / "data"}"']
    for i, venue in enumerate(venues):
        address, secret = login()
        venue.post("/accounts", address=address, balance="1000000")
        key = folder / f"key{i}"
        key.touch(mode=0o600)
        key.write_text(secret)
        lines += [f"[accounts.a{i}]", 'venue = "hyperliquid"', 'mode = "live"', f'wallet_address = "{address}"']
        lines += [f'private_key_file = "{key}"', f'base_url = "{venue.url}"', f"symbols = {json.dumps(symbols)}"]
        lines += ["leverage = 5"]
    lines += ["[flower]", "enabled = false"]
    config = folder / "stopkeeper.toml"
    config.write_text("\n".join(lines) + "\n")
    return config


@contextlib.contextmanager
def _up(config: Path) -> Iterator[None]:
    with (config.parent / "up.log").open("w") as log:
        command = [sys.executable, "-m", "workers.main", "up", "--config", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _burst(config: Path, symbols: list[str]) -> dict[str, float]:
    """Enqueue a signal for every account and symbol; return trade id -> when (s)."""
    from tasks.entry import open_trade
    from workers.settings_load import load
    from workers.wiring import opened

    sent: dict[str, float] = {}
    with opened(load(config)) as system:
        system.app.set_default()
        for symbol in symbols:
            for i in range(ACCOUNTS):
                name = f"{symbol}-{i}"
                sent[trade_id(INSTALLATION, f"a{i}", name)] = time.time()
                wish = {"stop": "2%", "notional": "500", "signal_id": name}
                open_trade.apply_async((f"a{i}", symbol, "long"), wish)
    return sent


def _arrivals(venues: list[PaperProcess], sent: dict[str, float]) -> list[float]:
    found: dict[str, float] = {}
    patience = time.monotonic() + float(os.environ.get("PATIENCE_S", "60"))
    while len(found) < len(sent) and time.monotonic() < patience:
        time.sleep(0.5)
        for venue in venues:
            for order in venue.get("/stats")["orders"]:
                for cloid in order["cloids"]:
                    client = decode(cloid)
                    if client and client.role.value == "entry" and client.trade in sent:
                        found.setdefault(client.trade, order["time_ms"] - sent[client.trade] * 1000)
    if len(found) < len(sent):
        print(f"only {len(found)} of {len(sent)} entries arrived", file=sys.stderr)
    return list(found.values())
