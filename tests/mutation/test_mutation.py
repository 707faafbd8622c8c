"""The hunter hunted: what it changes, that it takes hold for whoever imported it, and what comes of it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.book import Book, Explained, is_alive
from tests.mutation.checks import Base
from tests.mutation.hunt import Hunt
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.planting import plant

SOURCE = '''
from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class Pair:
    """Two numbers."""

    one: int
    other: int

    @property
    def larger(self) -> int:
        return self.one if self.one > self.other else self.other

def total(pair: Pair, sign: int = 1) -> int:
    """Add them up."""
    if not isinstance(pair, Pair):
        raise ValueError("this is no pair")
    return (pair.one + pair.other) * sign
'''
NAME = "a_module_to_be_changed"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / f"{NAME}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(NAME)
    del sys.modules[NAME]


def found(module: ModuleType) -> list[Mutant]:
    return mutants_of(Path(str(module.__file__)), NAME)


def test_what_is_changed(module: ModuleType) -> None:
    """Neither sentences, nor annotations, nor a factor of one that becomes a divisor; properties are."""
    assert [(mutant.function, mutant.now) for mutant in found(module)] == [
        ("Pair.larger", "return self.one if (self.one > self.other) and False else self.other"),
        ("Pair.larger", "return self.one if (self.one > self.other) or True else self.other"),
        ("Pair.larger", "return self.one if self.one >= self.other else self.other"),
        ("total", "def total(pair: Pair, sign: int = 2) -> int:"),
        ("total", "if isinstance(pair, Pair):"),
        ("total", "return (pair.one - pair.other) * sign"),
    ]


@pytest.mark.parametrize(("number", "larger", "total"), [(0, 2, 5), (1, 3, 5), (2, 3, 5), (3, 3, 10), (5, 3, 1)])
def test_a_change_takes_hold_where_the_function_was_imported_before(
    module: ModuleType, number: int, larger: int, total: int
) -> None:
    imported, pair = module.total, module.Pair(3, 2)
    assert (pair.larger, imported(pair)) == (3, 5)
    plant(found(module)[number])
    assert (pair.larger, imported(pair)) == (larger, total)


def test_who_notices_and_who_does_not(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutation.book.FOLDER", tmp_path)
    checks = {
        "adds": lambda: module.total(module.Pair(3, 2)) == 5,
        "compares": lambda: module.Pair(2, 3).larger == 3 and module.Pair(3, 2).larger == 3,
        "ends": lambda: True,
    }
    lines = {f"{NAME}.py": {13: ["compares"], 17: ["adds", "ends"], 19: ["adds"]}}
    book = Book("pair", "0123456789ab")
    hunt = Hunt(checks, Base(dict.fromkeys(checks, 0.01), lines, []), book, jobs=2)
    hunt.run(found(module), float("inf"), lambda *_: None)
    assert [book.results[mutant.name] for mutant in found(module)] == [
        "compares", "compares", "survived", "adds", "ended the process", "adds",
    ]  # fmt: skip
    assert Book("pair", "0123456789ab").results == book.results
    assert Book("pair", "another").hints == book.results
    assert (module.total(module.Pair(3, 2)), module.Pair(3, 2).larger) == (5, 3)  # only forks were changed


def test_an_explanation_fits_one_change(module: ModuleType) -> None:
    equal = found(module)[2]
    assert [is_alive(what) for what in ("survived", "survived 250 checks", "adds", None)] == [True, True, False, False]
    assert Explained(f"{NAME}.Pair.larger", equal.was, equal.now, "of two equal ones either is the larger").fits(equal)
    assert not Explained(f"{NAME}.Pair.larger", equal.was, "return 0", "").fits(equal)
