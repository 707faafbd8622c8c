"""How a mutant gets into a running process: its code replaces that of the function, whoever has imported it."""

import importlib
import inspect
import textwrap
from types import FunctionType
from typing import Any

from tests.mutation.mutants import Mutant


def plant(mutant: Mutant) -> None:
    """Make a function of this process do what the mutant says; there is no way back."""
    function = _function(mutant.module, mutant.function)
    *classes, name = mutant.function.split(".")
    source = mutant.source
    for each in reversed(classes):
        source = f"class {each}:\n" + textwrap.indent(source, "    ")
    space: dict[str, Any] = dict(vars(importlib.import_module(mutant.module)))
    exec(compile(source, f"<{mutant.module}>", "exec"), space)  # noqa: S102
    made: Any = space[(classes or [name])[0]]
    for each in [*classes[1:], name] if classes else []:
        made = vars(made)[each]
    function.__code__ = made.__code__
    function.__defaults__ = made.__defaults__
    function.__kwdefaults__ = made.__kwdefaults__


def _function(module: str, qualified: str) -> FunctionType:
    """Return the function itself, from under its property, its class method or its wrapper."""
    found: Any = importlib.import_module(module)
    for name in qualified.split("."):
        found = vars(found)[name]
    found = getattr(found, "fget", None) or getattr(found, "func", None) or getattr(found, "__func__", found)
    found = inspect.unwrap(found)
    assert isinstance(found, FunctionType), f"{module}.{qualified} is no function"
    return found
