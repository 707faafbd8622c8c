"""docs/policy.md says what the code does."""

from pathlib import Path

from stopkeeper.console.policy_doc import policy

ROOT = Path(__file__).parents[3]


def test_the_written_policy_is_the_one_in_force() -> None:
    written = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    assert written == policy(), "run .venv/bin/python -m stopkeeper.console.policy_doc > docs/policy.md"
