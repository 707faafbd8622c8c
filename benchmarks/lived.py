"""The same in real minutes: ``stopkeeper up`` as processes over real HTTP on a file of real prices, judged alike.

What the paper venue did is asked of it: how its marks moved while it runs, orders, fills and the witness at the end.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from benchmarks.evidence import Evidence
from benchmarks.stories import STOP, Scene, journal, role_of
from exchange.paper.model import Fill, Order, Trigger
from exchange.paper.symbols import listing
from stopkeeper.engine.ports import Ports
from workers.settings_load import load
from workers.wiring import opened

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "workers.main"]
ACCOUNT = "main"
START_S, STOP_S, POLL_S = 60.0, 30.0, 0.1
BLUR_MS = 600  # a tick of the venue, a poll, and what lies between
STILL_S = 5.0


class Lived:
    """One installation that runs, and what is asked of its venue."""

    def __init__(self, ports: Ports, url: str, control: str, address: str, symbols: tuple[str, ...]) -> None:
        self.ports, self.symbols = ports, symbols
        self._url, self._control, self._address = url, control, address
        self.evidence = Evidence(blur_ms=BLUR_MS)
        self._marks: dict[str, Decimal] = {}
        self._next = 0
        self._held = [0, 0]
        self._counted = (0, 0)
        self._over = threading.Event()
        self._poller = threading.Thread(target=self._poll, daemon=True)

    def now_ms(self) -> int:
        """Return the time, UTC ms."""
        return time.time_ns() // 1_000_000

    def mark(self, symbol: str) -> Decimal:
        """Return the true mark as last asked for."""
        return self._marks[symbol]

    def let_pass(self) -> None:
        """Let a little time pass."""
        time.sleep(0.25)

    def fault(self, kind: str, symbol: str | None, action: str | None = None, **more: Any) -> None:
        """Arrange a fault of the venue for our account."""
        match: dict[str, Any] = {"symbol": symbol} if symbol else {}
        if action is not None:
            match["action"] = action
        _call(f"{self._control}/faults", {"kind": kind, "match": match, **more})

    def calm(self) -> None:
        """End every fault."""
        _call(f"{self._control}/faults", None, "DELETE")

    def run(self, minutes: float, each_step: Callable[[], None]) -> None:
        """Run for so long, a step twice a second."""
        self._poller.start()
        while not self._marks:
            time.sleep(POLL_S)
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            with contextlib.suppress(urllib.error.URLError, OSError):  # a read of ours met a fault
                each_step()
                self._count()
            time.sleep(0.5)

    def _poll(self) -> None:
        """Ask for the true marks, which no fault disfigures."""
        while not self._over.wait(POLL_S):
            with contextlib.suppress(urllib.error.URLError, OSError):
                told = _call(f"{self._control}/mark/history?from={self._next}", None)
                if not self._marks:
                    now = {name: Decimal(text) for name, text in _call(f"{self._control}/mark", None).items()}
                    self._note(self.now_ms(), now)
                    told["marks"] = []  # they were before
                for at_ms, moves in groupby(told["marks"], key=itemgetter(0)):
                    self._note(at_ms, {**self._marks, **{coin: Decimal(text) for _, coin, text in moves}})
                self._next = told["next"]

    def _note(self, at_ms: int, marks: dict[str, Decimal]) -> None:
        evidence = self.evidence
        evidence.times_ms.append(max([at_ms, *evidence.times_ms[-1:]]))
        for symbol in self.symbols:
            evidence.marks[symbol].append(float(marks[symbol]))
        self._marks = marks

    def _count(self) -> None:
        stats = _call(f"{self._control}/stats", None)
        counted = (stats["requests"]["total"], stats["weight"]["total"])
        if any(r.trade is not None and r.trade.held > 0 for r in self.ports.records.all(ACCOUNT)):
            self._held = [have + new - old for have, new, old in zip(self._held, counted, self._counted, strict=True)]
        self._counted = counted

    def scene(self) -> Scene:
        """Ask the venue for all it knows; return what a judge needs."""
        time.sleep(STILL_S)
        self._over.set()
        self._poller.join()
        lines = journal(self.ports.journal.read(ACCOUNT, "0", 100_000))
        self._ask_orders({said.text.split()[2] for said in lines if said.kind == "Cancel" and "accepted" in said.text})
        rows = self._info("userFunding", startTime=0)
        funding = {
            symbol: sum((Decimal(r["delta"]["usdc"]) for r in rows if r["delta"]["coin"] == symbol), Decimal(0))
            for symbol in self.symbols
        }
        stats = _call(f"{self._control}/stats", None)
        return Scene(
            lines=lines,
            ledger=self.ports.ledger.lines(ACCOUNT),
            evidence=self.evidence,
            decimals={name: item.sz_decimals for name, item in listing().items()},
            witness=_call(f"{self._control}/witness", None).get(self._address, {}),
            funding=funding,
            held=(self._held[0], self._held[1]),
            costs={
                "requests in all": stats["requests"]["total"],
                "weight in all": stats["weight"]["total"],
                "requests by kind": stats["requests"]["by_type"],
            },
        )

    def _ask_orders(self, canceled_by_us: set[str]) -> None:
        evidence = self.evidence
        for row in reversed(self._info("historicalOrders")):
            order = _order(row, self._address)
            evidence.orders[order.oid] = order
            if role_of(order) != STOP:
                continue
            if order.status in {"marketOrderNoLiquidityRejected", "triggered"}:
                evidence.struck.append((order.status_ms, order.coin, "stop_no_fill"))
            if order.status == "canceled" and str(order.oid) not in canceled_by_us:
                evidence.struck.append((order.status_ms, order.coin, "cancel_stop"))
        evidence.fills += [_fill(row, self._address) for row in reversed(self._info("userFills"))]

    def _info(self, kind: str, **more: Any) -> list[dict[str, Any]]:
        return list(_call(f"{self._url}/info", {"type": kind, "user": self._address, **more}))


_TPSL: dict[str, tuple[Literal["sl", "tp"], bool]] = {
    "Stop Market": ("sl", True),
    "Stop Limit": ("sl", False),
    "Take Profit Market": ("tp", True),
    "Take Profit Limit": ("tp", False),
}


def _order(row: dict[str, Any], user: str) -> Order:
    order = row["order"]
    trigger = None
    if order["isTrigger"]:
        tpsl, is_market = _TPSL[order["orderType"]]
        trigger = Trigger(Decimal(order["triggerPx"]).normalize(), is_market, tpsl)
    return Order(
        oid=order["oid"],
        user=user,
        coin=order["coin"],
        is_buy=order["side"] == "B",
        size=Decimal(order["sz"]),
        orig_size=Decimal(order["origSz"]),
        limit_px=Decimal(order["limitPx"]),
        reduce_only=order["reduceOnly"],
        tif=order["tif"],
        trigger=trigger,
        cloid=order["cloid"],
        placed_ms=order["timestamp"],
        status=row["status"],
        status_ms=row["statusTimestamp"],
    )


def _fill(row: dict[str, Any], user: str) -> Fill:
    return Fill(
        user=user,
        coin=row["coin"],
        px=Decimal(row["px"]),
        size=Decimal(row["sz"]),
        is_buy=row["side"] == "B",
        time_ms=row["time"],
        start_position=Decimal(row["startPosition"]),
        direction=row["dir"],
        closed_pnl=Decimal(row["closedPnl"]),
        oid=row["oid"],
        cloid=row.get("cloid"),
        crossed=row["crossed"],
        fee=Decimal(row["fee"]),
        builder_fee=Decimal(0),
        tid=row["tid"],
    )


def _call(url: str, body: dict[str, Any] | None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@contextlib.contextmanager
def living(folder: Path, prices: str, symbols: tuple[str, ...]) -> Iterator[Lived]:
    """Start a fresh installation on a file of prices, give it when all of it lives, and end it."""
    subprocess.run([*PROGRAM, "init"], cwd=folder, env=_env(), check=True, capture_output=True)
    port, control = _free_ports(2)
    path = folder / "stopkeeper.toml"
    text = path.read_text().replace("[flower]\n", "[flower]\nenabled = false\n")
    lines = [line for line in text.splitlines() if not line.startswith("max_")]
    path.write_text("\n".join(lines) + f'\n[paper]\nport = {port}\ncontrol_port = {control}\nprices = "{prices}"\n')
    address = next(line for line in lines if line.startswith("wallet_address")).split('"')[1].lower()
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*PROGRAM, "up"], cwd=folder, env=_env(), stdout=output, stderr=output, start_new_session=True
        )
    try:
        _await(process, log)
        with opened(load(path)) as system:
            system.app.set_default()
            urls = (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control}")
            yield Lived(system.ports(ACCOUNT), *urls, address, symbols)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its children are tied to it and end too
            process.wait()


def _await(process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while "Everything runs" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"the stack did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def _env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOPKEEPER__")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
