"""The desk of the audit, its tests side by side, and the two faults that every whole run puts back beside them."""

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exchange.paper.inprocess import start_in_thread
from tests.audit.promise import set_lag
from tests.audit.runner import Broken, Fault, Verdict, copies, faults, judge
from tests.audit.side_by_side import SideBySide
from tests.integration.engine.conftest import Desk, open_desk

ROTATING = "test_two_faults_of_the_nine_are_caught_and_fixed"
AT_A_TIME = 2
beside = pytest.StashKey[SideBySide]()


@contextmanager
def quick_desk() -> Iterator[Desk]:
    """A desk on a fresh paper venue whose prices stand still and which shows at once what it did.

    Nearly all that these tests take is waiting until nothing can appear any more, or until patience is over.
    """
    with start_in_thread(prices="still") as (where, _server):
        desk = open_desk(where.url, where.control_url)
        rules = replace(desk.ports.rules, naked_limit_ms=1_200, fired_patience_ms=800)
        desk.ports = replace(desk.ports, rules=rules)
        set_lag(desk, 200)
        yield desk


@pytest.fixture(scope="session", autouse=True)
def side_by_side(request: pytest.FixtureRequest) -> None:
    """Begin all tests of the audit that can run beside each other."""
    here = [item for item in request.session.items if item.path.parent == Path(__file__).parent]
    request.config.stash[beside] = SideBySide(here, quick_desk)


@pytest.fixture
def market(request: pytest.FixtureRequest) -> Iterator[Desk | None]:
    """The desk of a test; None where it has run, or runs, beside others at a desk of its own."""
    under_way = request.config.stash[beside]
    if request.node in under_way:
        yield None
        return
    under_way.join()
    with quick_desk() as desk:
        yield desk


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Take what came of a test that ran beside others; run any other here."""
    under_way = pyfuncitem.config.stash[beside]
    if pyfuncitem not in under_way:
        return None
    under_way.result(pyfuncitem)
    return True


# --- two faults of the nine, by turns


@dataclass(frozen=True)
class Rotation:
    """The faults of this run, and what is coming of them."""

    chosen: tuple[Fault, ...]
    again: str
    verdicts: Future[list[Verdict | Broken]]


def _judged(chosen: tuple[Fault, ...]) -> list[Verdict | Broken]:
    with copies() as plain:
        return list(judge(chosen, plain))


@pytest.fixture(scope="session", autouse=True)
def rotation(request: pytest.FixtureRequest) -> Iterator[Rotation | None]:
    """Begin to judge two faults with the first test, so that they wait while the others do; None where nobody asks."""
    if not any(item.name == ROTATING for item in request.session.items):
        yield None
        return
    seed = int(os.environ.get("AUDIT_SEED") or time.time())
    chosen = tuple(sorted(random.Random(seed).sample(faults(), AT_A_TIME), key=lambda fault: fault.number))
    names = " and ".join(str(fault.number) for fault in chosen)
    again = f"faults {names} put back; AUDIT_SEED={seed} chooses them again, make audit puts back all"
    with ThreadPoolExecutor(1) as pool:
        yield Rotation(chosen, again, pool.submit(_judged, chosen))
