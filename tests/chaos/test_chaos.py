"""The reduced chaos run: twenty seconds of everything at once on real processes, judged by the venue's witness.

Another order of events: CHAOS_SEED=7 pytest tests/chaos. Longer runs: python -m tests.chaos.play --help.
"""

import os
from pathlib import Path

import pytest

from tests.chaos.play import run


@pytest.mark.timeout(300)
def test_whatever_happens_every_position_keeps_its_stop(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", "1"))
    verdict = run(tmp_path, seed=seed, seconds=float(os.environ.get("CHAOS_SECONDS", "20")))
    assert not verdict.wrong, str(verdict)
