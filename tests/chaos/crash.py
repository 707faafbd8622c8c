"""One strike from start to verdict: a worker dies or freezes at a point, a healthy one takes over, the venue judges.

The times: a frozen worker goes on after its lease has expired, and lives on beside the one that took over.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from stopkeeper.engine.ports import Times
from tasks import queues
from tests.chaos import scenes
from tests.chaos.cell import Cell, until
from tests.chaos.judge import BOUND_MS
from tests.chaos.places import scene_of
from tests.chaos.scenes import Scene, Stage
from tests.chaos.stack import MAIN
from tests.chaos.story import of_journal, told
from tests.chaos.striking import Order, Orders

STRIKE_S = 25.0
REST_S = 70.0  # an entry whose answer is lost is proved within seconds; one that waits for its signal's end, 30 s
FROZEN_S = Times().lease_ms / 1000 + 1.5
CENT = Decimal("0.01")
STORY_LINES = 500


@dataclass
class Strike:
    """What came of one strike."""

    order: Order
    scene: str
    naked_ms: float = 0.0
    entries: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    struck: bool = False
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    story: str = ""

    @property
    def row(self) -> str:
        """Return the strike as a line of the table."""
        verdict = "; ".join(self.wrong) or (
            "kept" if self.struck else "not passed" + " so often" * (self.order.nth > 1)
        )
        point = self.order.point + (f" #{self.order.nth}" if self.order.nth > 1 else "")
        return f"{point:<46}{self.order.how:<8}{self.scene:<15}{self.naked_ms:>9.0f}{self.entries:>4}  {verdict}"


HEAD = f"{'point':<46}{'how':<8}{'scene':<15}{'naked ms':>9}{'in':>4}  verdict"


def strike(cell: Cell, order: Order) -> Strike:
    """Play the scene of a point, let the worker strike there, let another take over, and judge."""
    scene = scene_of(order)
    symbols = scenes.FOR_HAND if scene.by_hand else scenes.FOR_OURS
    cell.played += 1
    began = time.monotonic()
    turn, place = divmod(cell.played, len(symbols))
    stage = Stage(cell, symbols[place], f"signal-{cell.played}", leverage=2 + turn % 5)
    done = Strike(order, scene.name)
    before, began_ms = cell.book(stage.symbol), time.time() * 1000
    try:
        _play(stage, scene, done)
        _finish(stage, done)
    except AssertionError as failed:
        done.wrong.append(str(failed).split("\n", 1)[0])
    finally:
        cell.hear_redis()
        cell.end_workers()
        scenes.calm(cell)
    _judge(stage, scene, done, before, began_ms)
    if done.wrong:
        lines = of_journal(cell.ports.journal.read(MAIN, "", STORY_LINES), stage.symbol)
        done.story = told(line for line in lines if line[0] >= began_ms)
    done.took_s = time.monotonic() - began
    return done


def _play(stage: Stage, scene: Scene, done: Strike) -> None:
    """Let the doomed one strike alone; start the healthy one as soon as it has, and thaw a frozen one in time."""
    cell, folder = stage.cell, stage.cell.folder / f"strike-{stage.cell.played}"
    folder.mkdir()
    orders = Orders(folder)
    if scene.leads:
        cell.worker("healthy")
    doomed = cell.feed(orders) if scene.leads else cell.worker("doomed", orders)
    scene.prepare(stage)
    orders.arm(done.order)
    scene.act(stage)
    done.struck = until(lambda: orders.struck_ms() is not None, STRIKE_S)
    struck = time.monotonic()
    done.passed = orders.counts()
    cell.hear_redis()
    if scene.leads:
        cell.feed()
    else:
        cell.worker("healthy")
    scenes.calm(cell)
    stage.again()
    if done.struck and done.order.how == "freeze":
        time.sleep(max(0.0, struck + FROZEN_S - time.monotonic()))
        doomed.send(scenes.THAW)
    stage.accepted()


def _finish(stage: Stage, done: Strike) -> None:
    """Wait until the key is held and covered, or over; close what is held; wait until nothing is left of it."""
    cell, symbol = stage.cell, stage.symbol
    until(lambda: cell.protected(symbol) or _rests(cell, symbol) or not cell.unrest(symbol), 30)
    end = time.monotonic() + REST_S
    while (left := cell.unrest(symbol)) and time.monotonic() < end:
        if any(symbol in each for each in (cell.stack.held(), {row["coin"] for row in cell.ours(symbol)})):
            cell.publish(queues.CLOSE_POSITION, MAIN, symbol)
        until(lambda: not cell.unrest(symbol), 6, 0.1)
    done.wrong += [f"after {REST_S:.0f} s: {each}" for each in left]


def _rests(cell: Cell, symbol: str) -> bool:
    return symbol not in cell.stack.held() and bool(cell.ours(symbol))


def _judge(stage: Stage, scene: Scene, done: Strike, before: dict[str, Any], began_ms: float) -> None:
    """Hold what the witness saw since the scene began, and the ledger, against the promise."""
    cell, book = stage.cell, stage.cell.book(stage.symbol)
    naked = [each for each in book["naked_intervals"] if each["from_ms"] >= began_ms]
    now_ms = time.time() * 1000
    done.naked_ms = max(((each["to_ms"] or now_ms) - each["from_ms"] for each in naked), default=0.0)
    done.entries = sum(book["entries_by_signal"].values()) - sum(before["entries_by_signal"].values())
    if done.naked_ms > (BOUND_MS if scene.naked else 0):
        done.wrong.append(f"naked for {done.naked_ms:.0f} ms")
    if done.entries > 1:
        done.wrong.append(f"{done.entries} entries")
    for name in ("duplicates", "flips", "non_reduce_only"):
        if book[name] != before[name]:
            done.wrong.append(f"{book[name] - before[name]} {name}")
    done.wrong += _accounts(cell, stage.symbol, book, by_hand=scene.by_hand)


def _accounts(cell: Cell, symbol: str, book: dict[str, Any], *, by_hand: bool) -> list[str]:
    """Return where the ledger of a symbol differs from the witness's account of it."""
    lines, wrong = cell.lines(symbol), []
    gross = sum((line.exit.realized_pnl + line.exit.fees for line in lines), Decimal(0))
    fees = sum((line.exit.fees for line in lines), Decimal(0))
    sums = [("profit", gross, "realized_pnl")] + ([] if by_hand else [("fees", fees, "fees")])
    for what, ours, name in sums:
        if abs(ours - Decimal(book[name])) >= CENT / 2:
            wrong.append(f"{what} {ours:.4f} in the ledger, {book[name]} by the witness")
    if not by_hand and len(lines) != sum(book["entries_by_signal"].values()):
        wrong.append(f"{len(lines)} bookings of {sum(book['entries_by_signal'].values())} entries")
    return wrong + [f"{line.trade.id} is booked as incomplete" for line in lines if not line.exit.complete]
