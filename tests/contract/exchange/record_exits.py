"""Record what the paper venue says of every kind of exit: the source of tests/fixtures/hyperliquid/paper_exits.json.

``python -m tests.contract.exchange.record_exits FILE`` records anew; test_exit_table.py holds the file against a fresh
recording. May live here: what happens at the venue, scene by scene, and nothing about what it means.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eth_account import Account as Wallet

from exchange.paper.inprocess import start_in_thread
from exchange.paper.options import PaperOptions, Where
from stopkeeper.core.ids import ClientId, encode
from stopkeeper.core.model import Role
from tests.unit.paper.helpers import Client, row, stop_row

INSTALLATION, TRADE = "a1b2c", "0123456789ab"
COMMAND = "python -m tests.contract.exchange.record_exits tests/fixtures/hyperliquid/paper_exits.json"


class Stage:
    """One account of its own, BTC at 95000: what our orders, a person and the venue do to it."""

    def __init__(self, where: Where, number: int) -> None:
        self.client = Client(where, f"0x{number:064x}")
        self.address = str(Wallet.from_key(self.client.key).address).lower()
        self.client.info("clearinghouseState", user=self.address)
        self.mark(95_000)

    def mark(self, price: int) -> None:
        self._must("/mark", {"symbol": "BTC", "price": price, "hold_ms": None})

    def enter(self, side: str = "buy", *, cross: bool = False) -> None:
        self.client.act({"type": "updateLeverage", "asset": 0, "isCross": cross, "leverage": 10})
        self._order(row(side, "0.01", "99000" if side == "buy" else "91000", c=_id(Role.ENTRY, 0)))

    def stop(self, n: int, trigger: int, size: str = "0.01") -> None:
        self._order(stop_row("sell", size, str(trigger), str(trigger * 9 // 10), c=_id(Role.STOP, n)))

    def target(self, n: int, trigger: int, size: str = "0.01") -> None:
        worst = str(trigger * 9 // 10)
        self._order(stop_row("sell", size, str(trigger), worst, kind="tp", c=_id(Role.TARGET, n)))

    def flatten(self, n: int) -> None:
        self._order(row("sell", "0.01", "91000", ro=True, c=_id(Role.FLATTEN, n)))

    def by_hand(self, **what: Any) -> None:
        self._must("/hand", {"account": self.address, "symbol": "BTC", **what})

    def by_venue(self, path: str) -> None:
        self._must(path, {"account": self.address, "symbol": "BTC"})

    def hide_fills(self) -> None:
        match = {"account": self.address, "symbol": "BTC"}
        self._must("/faults", {"kind": "hide_fills", "match": match, "delay_ms": 60_000})

    def fills(self) -> list[Any]:
        found: list[Any] = self.client.info("userFills", user=self.address)
        return found

    def _order(self, wire: Any) -> None:
        (status,) = self.client.order(wire)
        assert "error" not in status, status

    def _must(self, path: str, body: Any) -> None:
        code, answer = self.client.control(path, body)
        assert code == 200, answer


def _id(role: Role, n: int) -> str:
    return "0x" + encode(ClientId(INSTALLATION, role, n, TRADE))


# --- the scenes: each enters once, in the end nothing of it is held --------------------------------------------


def stop_fires(at: Stage) -> None:
    at.enter()
    at.stop(1, 93_000)
    at.mark(92_900)


def moved_stop_fires(at: Stage) -> None:
    at.enter()
    at.stop(1, 93_000)
    at.mark(99_000)
    at.stop(2, 97_000)
    at.mark(96_900)


def target_fires(at: Stage) -> None:
    at.enter()
    at.target(2, 97_000)
    at.mark(97_100)


def two_targets_then_the_stop(at: Stage) -> None:
    at.enter()
    at.stop(1, 93_000)
    at.target(2, 97_000, "0.003")
    at.target(3, 98_000, "0.003")
    at.mark(97_050)
    at.mark(98_050)
    at.mark(92_900)


def we_close(at: Stage) -> None:
    at.enter()
    at.flatten(5)


def a_person_closes(at: Stage) -> None:
    at.enter()
    at.by_hand(close=True)


def a_person_flips_the_long(at: Stage) -> None:
    at.enter()
    at.by_hand(side="sell", size="0.03")


def a_person_flips_the_short(at: Stage) -> None:
    at.enter("sell")
    at.by_hand(side="buy", size="0.03")


def isolated_long_is_liquidated(at: Stage) -> None:
    at.enter()
    at.by_venue("/liquidate")


def isolated_short_is_liquidated(at: Stage) -> None:
    at.enter("sell")
    at.by_venue("/liquidate")


def cross_long_is_liquidated(at: Stage) -> None:
    at.enter(cross=True)
    at.by_venue("/liquidate")


def cross_short_is_liquidated(at: Stage) -> None:
    at.enter("sell", cross=True)
    at.by_venue("/liquidate")


def target_takes_a_part_and_the_rest_is_liquidated(at: Stage) -> None:
    at.enter()
    at.target(2, 97_000, "0.004")
    at.mark(97_050)
    at.by_venue("/liquidate")


def deleveraged(at: Stage) -> None:
    at.enter()
    at.by_venue("/adl")


def closed_and_no_fill_is_shown(at: Stage) -> None:
    at.enter()
    at.hide_fills()
    at.flatten(5)


SCENES: tuple[Callable[[Stage], None], ...] = (
    stop_fires,
    moved_stop_fires,
    target_fires,
    two_targets_then_the_stop,
    we_close,
    a_person_closes,
    a_person_flips_the_long,
    a_person_flips_the_short,
    isolated_long_is_liquidated,
    isolated_short_is_liquidated,
    cross_long_is_liquidated,
    cross_short_is_liquidated,
    target_takes_a_part_and_the_rest_is_liquidated,
    deleveraged,
    closed_and_no_fill_is_shown,
)


def record() -> dict[str, Any]:
    """Play every scene against a fresh paper venue; return {scene: {"address", "fills": a userFills reply}}."""
    found: dict[str, Any] = {}
    with start_in_thread(PaperOptions(port=0, control_port=0, prices="still", tick_ms=20)) as (where, _server):
        for number, scene in enumerate(SCENES, start=1):
            stage = Stage(where, number)
            scene(stage)
            found[scene.__name__] = {"address": stage.address, "fills": stage.fills()}
    return found


if __name__ == "__main__":
    told = {"source": "exchange.paper, this project's paper venue", "note": COMMAND, "reply": record()}
    Path(sys.argv[1]).write_text(json.dumps(told, indent=1) + "\n")
