"""How tests share processes, and what a run has to tell: seeds that choose the same again, tables.

The tests of a file share a process, for what they set up together; those of the audit do so all, for they wait side by
side. What a test records as the property ``told`` is printed once all have run, whichever process ran it.
"""

from typing import Any

import pytest

TOGETHER = ("tests/audit/",)


def process_of(test: str) -> str:
    """Return a name for the process in which a test runs beside those it sets something up with."""
    path = test.partition("::")[0]
    return next((folder for folder in TOGETHER if path.startswith(folder)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand tests out by ``process_of``; marked groups of xdist 3.8 are lost on pytest 9, which names a test once."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = process_of  # the way its own subclasses differ by
    return scheduler


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests recorded to be told."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for report in reports:
        for name, text in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.section(report.nodeid)
                terminalreporter.write_line(str(text))
