"""What may notice a mutant: tests that pytest has collected, and worlds of the simulation, each a check with a name.

All is imported and collected once. Every mutant lives in a fork of that process, so that it costs what its checks cost.
"""

import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from coverage import Coverage

Check = Callable[[], bool]
ROOM = 2 << 30  # bytes a mutant may take beyond what the process has
EXAMPLES = 15  # of a property, where a mutant is put to it
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Base:
    """What the checks do without any mutant: how long each takes, which of them runs a line, which fail."""

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]
    broken: list[str]


def steady() -> None:
    """Have Hypothesis draw the same in every run, and not spend time on making a failure small."""
    from hypothesis import HealthCheck, Phase, settings  # pytest wants to be the first to import it

    settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    settings.load_profile("mutation")


def of_pytest(items: Sequence[pytest.Item]) -> dict[str, Check]:
    """Return the collected tests as checks, those of Hypothesis with few examples: what they find, they find early."""
    from hypothesis import settings

    for item in items:
        function = getattr(item, "function", None)
        drawn = getattr(function, "_hypothesis_internal_use_settings", None)
        if drawn is not None:
            few = settings(drawn, max_examples=min(EXAMPLES, drawn.max_examples))
            function._hypothesis_internal_use_settings = few  # type: ignore[union-attr]  # no other way to change it
    return {item.nodeid: partial(_passes, item) for item in items}


def _parameters(item: pytest.Function) -> dict[str, Any]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def _called(item: pytest.Function) -> bool:
    """Call a plain test: pytest's protocol around it costs ten times as much as most of them."""
    try:
        item.obj(**_parameters(item))
    except Exception:
        return False
    except BaseException as raised:
        if isinstance(raised, SystemExit | KeyboardInterrupt):
            raise
        return isinstance(raised, pytest.skip.Exception)
    return True


def _passes(item: pytest.Item) -> bool:
    if isinstance(item, pytest.Function) and item._fixtureinfo.name2fixturedefs.keys() <= _parameters(item).keys():
        return _called(item)  # a function of its parameters, without any fixture
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def of_worlds(seeds: range) -> dict[str, Check]:
    """Return worlds of the simulation as checks."""
    if not seeds:
        return {}
    from tests.simulation.world import live

    return {f"seed {seed}": partial(lambda number: not live(number).broken, seed) for seed in seeds}


def measure(checks: dict[str, Check], package: str) -> Base:
    """Run all checks once with no mutant planted."""
    seconds: dict[str, float] = {}
    broken: list[str] = []
    cover = Coverage(data_file=None, include=[f"{ROOT}/{package.replace(chr(46), chr(47))}/*"], config_file=False)
    cover.start()
    for name, check in checks.items():
        cover.switch_context(name)
        began = time.process_time()
        if not check():
            broken.append(name)
        seconds[name] = time.process_time() - began
    cover.stop()
    data = cover.get_data()
    lines = {
        str(Path(file).relative_to(ROOT)): {
            line: [each for each in names if each] for line, names in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    return Base(seconds, lines, broken)


def first_to_fail(names: Sequence[str], checks: dict[str, Check], seconds: dict[str, float]) -> str | None:
    """Return the first check that fails, or None; each has so much time that only what never ends is ended."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    for name in names:
        limit = 2 + 20 * seconds[name]
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.alarm(60 + int(10 * limit))
        if not checks[name]():
            return name
    return None
