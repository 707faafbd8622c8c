"""The desk of the audit, and the two faults that every whole run puts back beside the other tests."""

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from tests.audit.promise import set_lag
from tests.audit.runner import Broken, Fault, Verdict, copies, faults, judge, table
from tests.integration.engine.conftest import Desk
from tests.integration.engine.conftest import market as desk_market

__all__ = ["desk_market"]

ROTATING = "test_two_faults_of_the_nine_are_caught_and_fixed"
AT_A_TIME = 2
told = pytest.StashKey[list[str]]()


@pytest.fixture
def market(desk_market: Desk) -> Desk:
    """A desk on a fresh paper venue whose prices stand still and which shows at once what it did.

    Nearly all that these tests take is waiting until nothing can appear any more, or until patience is over.
    """
    rules = replace(desk_market.ports.rules, naked_limit_ms=1_200, fired_patience_ms=800)
    desk_market.ports = replace(desk_market.ports, rules=rules)
    set_lag(desk_market, 200)
    return desk_market


@dataclass(frozen=True)
class Rotation:
    """The faults of this run, and what is coming of them."""

    chosen: tuple[Fault, ...]
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
    lines = [f"faults {names} put back; AUDIT_SEED={seed} chooses them again, make audit puts back all"]
    request.config.stash[told] = lines
    with ThreadPoolExecutor(1) as pool:
        verdicts = pool.submit(_judged, chosen)
        yield Rotation(chosen, verdicts)
        for verdict in verdicts.result():
            lines += table(verdict) if isinstance(verdict, Verdict) else [f"error: {verdict}"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which faults were put back in this run, and what came of them."""
    lines = config.stash.get(told, [])
    if lines:
        terminalreporter.section("audit")
        for line in lines:
            terminalreporter.write_line(line)
