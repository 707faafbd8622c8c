"""Every point in every way, over several cells side by side; what no scene passes is a failure."""

import contextlib
import itertools
import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos.cell import cell
from tests.chaos.crash import Strike, strike
from tests.chaos.nursery import Nursery
from tests.chaos.places import WHILE_GUARDING, WHILE_LEADING, WHILE_NAKED, scene_of
from tests.chaos.points import ELSEWHERE, points
from tests.chaos.scenes import LAST
from tests.chaos.striking import Order

HOW = ("die", "freeze")
PASSED = Path(__file__).with_name("passed.json")  # point -> how often the last recorded run passed it


def strike_all(
    folder: Path, orders: Sequence[Order], cells: int, *, seed: int, tell: Callable[[Strike], object] = lambda _: None
) -> list[Strike]:
    """Strike by every order, each cell one at a time; return what came of each."""
    waiting: queue.SimpleQueue[Order] = queue.SimpleQueue()
    for order in orders:
        waiting.put(order)
    done: list[Strike] = []
    failed: list[BaseException] = []

    def play(place: Path, nursery: Nursery, number: int) -> None:
        place.mkdir()
        with cell(place, nursery, seed=seed + number) as home:
            while not failed:
                order = waiting.get_nowait()
                done.append(strike(home, order))
                tell(done[-1])
                if scene_of(order).name in LAST:
                    return

    def serve(nursery: Nursery, number: int) -> None:
        try:
            with contextlib.suppress(queue.Empty):
                for turn in itertools.takewhile(lambda _: not failed, itertools.count()):
                    play(folder / f"cell-{number}-{turn}", nursery, number)
        except BaseException as error:  # handed to whoever waits
            failed.append(error)

    with contextlib.ExitStack() as held:
        threads = [
            threading.Thread(target=serve, args=(held.enter_context(Nursery()), number)) for number in range(cells)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    return done


def passages(done: Sequence[Strike]) -> Counter[str]:
    """Return how often each point was passed by armed workers."""
    return sum((each.passed for each in done), Counter[str]())


def unpassed(done: Sequence[Strike]) -> list[str]:
    """Return what is wrong with the list of points: those never passed, and those passed that stand nowhere."""
    passed, known = passages(done), points()
    return [f"{point} was never passed" for point in known if not passed[point]] + [
        f"{point} is no point"
        for point in sorted(set(passed) - set(known))
        if point.rpartition(":")[0] not in ELSEWHERE
    ]


def orders_of(names: Sequence[str], how: Sequence[str], *, nth: int = 1, seed: int = 0) -> list[Order]:
    """Return the orders for these points in every way, shuffled.

    Those that matter there are for a worker at a naked key, for a feed that leads and for its guardian too.
    """
    orders = [Order(name, nth, way) for name in names for way in how]
    for scene, calls in (("stripped", WHILE_NAKED), ("leader", WHILE_LEADING), ("guardian", WHILE_GUARDING)):
        there = [name for name in names if name.rpartition(":")[0] in calls]
        orders += [Order(name, nth, way, scene) for name in there for way in how]
    random.Random(seed).shuffle(orders)
    return orders


def summary(done: Sequence[Strike]) -> str:
    """Return how many strikes there were of each kind, with the worst and median naked time where there was any."""
    lines = []
    for how in sorted({each.order.how for each in done}):
        mine = [each for each in done if each.order.how == how]
        bare = sorted(each.naked_ms for each in mine if each.naked_ms > 0)
        times = f", naked in {len(bare)}: median {bare[len(bare) // 2]:.0f} ms, worst {bare[-1]:.0f} ms" if bare else ""
        lines.append(f"{how}: {len(mine)} strikes, {sum(each.struck for each in mine)} struck{times}")
    return "\n".join(lines)
