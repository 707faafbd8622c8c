"""Every command explains itself, with an example that its own parser accepts."""

import shlex

import click
import pytest

from stopkeeper.console.cli import SECTIONS, Root, build
from stopkeeper.console.session import Leaf
from tests.unit.console.conftest import FakeBackend, Run

NAMES = [name for _, names in SECTIONS for name in names]


def tree() -> Root:
    return build(FakeBackend())


def test_the_sections_list_every_command_once() -> None:
    assert sorted(NAMES) == sorted(tree().commands)


def test_the_contract_names_every_command() -> None:
    wanted = (
        "init up demo worker beat feed flower paper open close flatten stop protect status positions trades profit "
        "balance journal locks orphans pause resume halt audit doctor alerts"
    )
    assert set(wanted.split()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_it_does_and_shows_an_example(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"stopkeeper {name}" in result.stdout
    assert "--json" in result.stdout
    assert "--config FILE" in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_a_command_line_the_parser_takes(name: str) -> None:
    command = tree().commands[name]
    if not isinstance(command, Leaf):
        return
    for line in command.example.splitlines():
        words = shlex.split(line.partition("&&")[0])
        assert words[:2] == ["stopkeeper", name]
        with click.Context(command) as context:
            context.obj = None
            command.parse_args(context, [word for word in words[2:] if word != "--json"])


def test_help_of_the_whole_fits_a_hundred_columns(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert max(len(line) for line in result.stdout.splitlines()) <= 100
    assert "no position is ever without a live stop" in " ".join(result.stdout.split())


def test_version(run: Run) -> None:
    assert run("--version").stdout == "stopkeeper 9.9.9\n"


def test_without_a_command_help_is_shown_and_the_exit_code_is_an_error(run: Run) -> None:
    result = run()
    assert result.exit_code == 1
    assert result.stderr.startswith("Usage: stopkeeper")
