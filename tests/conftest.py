"""How tests share processes, and what a run has to tell: seeds that choose the same again, tables.

The tests of a file share a process, for what they set up together; those of the audit do so all, for they wait side by
side. What a test records as the property ``told`` is printed once all have run, whichever process ran it.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOGETHER = ("audit",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the process of each test."""
    for item in items:
        where = item.path.relative_to(HERE)
        item.add_marker(pytest.mark.xdist_group(where.parts[0] if where.parts[0] in TOGETHER else str(where)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests recorded to be told."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for report in reports:
        for name, text in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.section(report.nodeid.partition("@")[0])
                terminalreporter.write_line(str(text))
