"""What the demo may empty: a directory of its own, and nothing else."""

from pathlib import Path

import pytest

from stopkeeper.console import demo
from stopkeeper.console.failures import Declined
from tests.unit.console.conftest import FakeBackend


def test_the_demo_empties_no_installation(tmp_path: Path, backend: FakeBackend) -> None:
    for name in ("stopkeeper.toml", "agent_key", "stopkeeper-data/appendonly.aof"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("dear")
    with pytest.raises(Declined, match="not a demo's"):
        demo._prepare(backend, tmp_path, 7)
    kept = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"stopkeeper.toml", "agent_key", "stopkeeper-data/appendonly.aof"}
    assert backend.wishes == []


@pytest.mark.parametrize("there", [True, False], ids=["an empty directory", "a new directory"])
def test_the_demo_empties_what_a_demo_left(tmp_path: Path, backend: FakeBackend, *, there: bool) -> None:
    place = tmp_path / "demo"
    if there:
        place.mkdir()
    demo._prepare(backend, place, 7)
    (place / "up.log").write_text("of the first")
    demo._prepare(backend, place, 7)
    assert not (place / "up.log").exists()
    assert [wish.path for wish in backend.wishes] == [place / "stopkeeper.toml"] * 2
