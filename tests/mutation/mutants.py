"""What may be changed: every mutation of a module's functions, by mutmut's operators.

Sentences are left alone: a test of wording restates it. So is what runs at import. Properties are changed as well.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

UNTOUCHED = ("isinstance", "len")  # mutmut leaves them alone too: None in their place is a TypeError and no more
Span = tuple[int, int]
CLAUSES = (cst.FunctionDef, cst.If, cst.For, cst.While, cst.With, cst.Match, cst.MatchCase, cst.Try, cst.ExceptHandler)


@dataclass(frozen=True)
class Mutant:
    """One change of one function: ``lines`` of the statement, ``body`` of the whole, ``source`` what it becomes."""

    module: str
    function: str
    lines: Span
    body: Span
    was: str
    now: str
    source: str
    nth: int = 1

    @property
    def name(self) -> tuple[str, str, str, str, int]:
        """Return what identifies it while its function stays as it is around the change."""
        return self.module, self.function, self.was, self.now, self.nth

    def __str__(self) -> str:
        which = f" ({self.nth}.)" if self.nth > 1 else ""
        return f"{self.module}.{self.function}, line {self.lines[0]}:\n    - {self.was}\n    + {self.now}{which}"


def mutants_of(path: Path, module: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
    finder = _Finder()
    wrapper.visit(finder)
    found: list[Mutant] = []
    seen: Counter[tuple[str, str, str]] = Counter()
    plain: dict[cst.FunctionDef, tuple[cst.FunctionDef, str]] = {}
    for function, node, body, lines, old, new in finder.found:
        if node not in plain:
            bare = node.with_changes(decorators=(), leading_lines=())
            plain[node] = bare, wrapper.module.code_for_node(bare)
        source = wrapper.module.code_for_node(plain[node][0].deep_replace(old, new))
        was, now = _changed(plain[node][1], source)
        seen[function, was, now] += 1
        found.append(Mutant(module, function, lines, body, was, now, source, seen[function, was, now]))
    return found


def _changed(before: str, after: str) -> tuple[str, str]:
    """Return the lines that differ, each side joined to one."""
    old, new = ([line.strip() for line in text.splitlines()] for text in (before, after))
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return " ".join(old), " ".join(new)


class _Finder(cst.CSTVisitor):
    """Collect (qualified name, outermost function, its lines, those of the statement, node, changed node)."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, cst.FunctionDef, Span, Span, cst.CSTNode, cst.CSTNode]] = []
        self._classes: list[str] = []
        self._functions: list[cst.FunctionDef] = []
        self._spans: list[Span] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.Annotation, cst.Decorator)) or _is_words(node) or _is_untouched(node):
            return False
        if isinstance(node, cst.ClassDef):
            self._classes.append(node.name.value)
        if isinstance(node, cst.FunctionDef):
            self._functions.append(node)
        if isinstance(node, (cst.SimpleStatementLine, *CLAUSES)):
            self._spans.append(self._lines(node))
        if self._functions:
            outermost = self._functions[0]
            name = ".".join([*self._classes, outermost.name.value])
            for new in _changes(node):
                self.found.append((name, outermost, self._span(outermost), self._spans[-1], node, new))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.ClassDef):
            self._classes.pop()
        if isinstance(original_node, cst.FunctionDef):
            self._functions.pop()
        if isinstance(original_node, (cst.SimpleStatementLine, *CLAUSES)):
            self._spans.pop()

    def _span(self, node: cst.CSTNode) -> Span:
        where = self.get_metadata(PositionProvider, node)
        return where.start.line, where.end.line

    def _lines(self, node: cst.CSTNode) -> Span:
        where = self.get_metadata(PositionProvider, node)
        body = getattr(node, "body", None)
        first = body.body[0] if isinstance(body, cst.IndentedBlock) else None
        if first is None:
            return where.start.line, where.end.line
        return where.start.line, max(where.start.line, self.get_metadata(PositionProvider, first).start.line - 1)


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if not isinstance(node, kind):
            continue
        for number, new in enumerate(operator(node)):
            if isinstance(node, cst.BaseString) and number > 0:
                break  # another word is one change, whatever its letters
            if not (_only_words(node, new) or _is_repeated(node, new) or _is_by_sign(node, new)):
                yield new


def _is_by_sign(old: cst.CSTNode, new: Any) -> bool:
    """Return whether a factor of 1 or -1 has become a divisor, which is the same."""
    if not isinstance(old, cst.BinaryOperation) or not isinstance(new.operator, cst.Divide):
        return False
    return isinstance(old.right, (cst.Name, cst.Attribute)) and "sign" in (
        old.right.value if isinstance(old.right, cst.Name) else old.right.attr.value
    ).split("_")


def _is_repeated(old: cst.CSTNode, new: Any) -> bool:
    """Return whether an argument's other change tells as much: a named one is left out, one in its place is None."""
    if not isinstance(old, cst.Call) or not isinstance(new, cst.Call):
        return False
    if old.func is not new.func or len(old.args) == 1:
        return False
    changed = next(arg for arg, other in zip_longest(old.args, new.args) if arg is not other)
    return (changed.keyword is None) is (len(new.args) < len(old.args))


def _only_words(old: cst.CSTNode, new: Any) -> bool:
    """Return whether all that differs is a sentence, or the name of one."""
    if isinstance(old, cst.Call) and isinstance(new, cst.Call) and old.func is new.func:
        kept = {id(arg) for arg in new.args}
        return all(_is_words(arg.value) for arg in old.args if id(arg) not in kept)
    if isinstance(old, (cst.Assign, cst.AnnAssign)) and old.value is not None:
        return _is_words(old.value)
    return False


def _is_words(node: cst.CSTNode) -> bool:
    """Return whether it is a sentence: a string with a blank in it."""
    if isinstance(node, cst.SimpleString):
        return " " in node.value.strip("\"' ")
    if isinstance(node, cst.FormattedString):
        return any(isinstance(part, cst.FormattedStringText) and " " in part.value.strip() for part in node.parts)
    return isinstance(node, cst.ConcatenatedString)


def _is_untouched(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in UNTOUCHED
