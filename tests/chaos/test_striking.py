"""The striker itself, in a process of its own: a frozen process goes no further, a dead one neither."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.chaos.cell import until
from tests.chaos.striking import KILLED, Order, Orders

PROGRAM = """
    import sys, threading
    from pathlib import Path
    from tests.chaos.striking import Orders, Striker
    folder = Path(sys.argv[1])
    striker = Striker(Orders(folder))
    others = [threading.Thread(target=threading.Event().wait, args=(20,), daemon=True) for _ in range(8)]
    for other in others:
        other.start()
    def drive():
        striker.passing("p")
        striker.passing("p")
        (folder / "further").touch()
    thread = threading.Thread(target=drive)
    thread.start()
    thread.join()
"""


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders(tmp_path)


def start(orders: Orders) -> "subprocess.Popen[bytes]":
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), str(orders.folder)], env=env)


def test_a_process_that_freezes_goes_no_further_until_it_thaws(orders: Orders) -> None:
    orders.arm(Order("p", 2, "freeze"))
    process = start(orders)
    stat = Path(f"/proc/{process.pid}/stat")
    assert until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 20)
    assert not (orders.folder / "further").exists()
    process.send_signal(signal.SIGCONT)
    assert process.wait(20) == 0
    assert (orders.folder / "further").exists()
    assert orders.counts() == {"p": 2}


def test_a_process_that_dies_leaves_its_mark_and_nothing_after_it(orders: Orders) -> None:
    orders.arm(Order("p", 1, "die"))
    process = start(orders)
    assert process.wait(20) == KILLED
    assert orders.struck_ms() is not None
    assert orders.counts() == {"p": 1}
    assert not (orders.folder / "further").exists()


def test_without_an_order_nothing_is_struck_or_counted(orders: Orders) -> None:
    assert start(orders).wait(20) == 0
    assert orders.struck_ms() is None
    assert not orders.counts()
