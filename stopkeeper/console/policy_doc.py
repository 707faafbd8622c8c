"""docs/policy.md, generated from the rules themselves: the order of the concerns and what each is for.

Run ``python -m stopkeeper.console.policy_doc > docs/policy.md``; a test keeps the file and the code together.
"""

from dataclasses import fields

from stopkeeper.core.concerns import Concern
from stopkeeper.core.decide import ORDER
from stopkeeper.core.guard import never_lower
from stopkeeper.core.policy import Policy
from stopkeeper.core.rules import Rules

HEAD = """# The policy

Generated from `stopkeeper/core`; do not edit. Each turn of a drive asks these concerns in this order. The first whose
actions survive the guard wins; one may also answer "wait". Nothing from anybody is rest.

| # | concern | what it is for |
|---|---|---|
"""


def _sentence(concern: Concern) -> str:
    return (concern.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")


def policy() -> str:
    """Return the text of docs/policy.md."""
    rows = "\n".join(f"| {i} | `{c.__name__}` | {_sentence(c)} |" for i, c in enumerate(ORDER, 1))
    guard = (never_lower.__doc__ or "").replace("\n    ", "\n").strip()
    defaults = Rules()
    numbers = "\n".join(f"| `{f.name}` | `{_plain(getattr(defaults, f.name))}` |" for f in fields(Rules))
    return (
        f"{HEAD}{rows}\n\n## The guard, `never_lower`\n\n{guard}\n\n"
        f"## The numbers the rules lean on\n\nFractions, not percent; durations in ms. `stopkeeper.toml` sets some of "
        f"them.\n\n| rule | default |\n|---|---|\n{numbers}\n"
    )


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, Policy):
        return f"trail {value.trail}, break-even {value.breakeven}"
    return "see docs/configuration.md, [risk]" if type(value).__name__ == "Limits" else str(value)


if __name__ == "__main__":
    print(policy(), end="")
