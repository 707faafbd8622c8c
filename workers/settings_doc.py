"""docs/configuration.md, generated from the settings: ``python -m workers.settings_doc > docs/configuration.md``."""

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workers import settings, settings_risk, settings_sections

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("redis", settings_sections.RedisSection),
    ("accounts.NAME", settings_sections.AccountSection),
    ("risk", settings_risk.RiskSection),
    ("accounts.NAME.risk", settings_risk.AccountRiskSection),
    ("stops", settings_sections.StopsSection),
    ("alerts", settings_sections.AlertsSection),
    ("paper", settings_sections.PaperSection),
    ("flower", settings_sections.FlowerSection),
)
_INTRO = """\
# Configuration

<!-- Generated from workers/settings.py, settings_sections.py and settings_risk.py by
     `python -m workers.settings_doc > docs/configuration.md`; a test keeps it up to date. -->

Stopkeeper reads `./stopkeeper.toml`, or the file named with `--config FILE`. `stopkeeper init` writes a fresh one.

- **Every key is also an environment variable**, `STOPKEEPER__SECTION__KEY`, which stands over the file:
  `STOPKEEPER__ACCOUNTS__MAIN__LEVERAGE=3`. Lists are written `BTC,ETH`.
- **Secrets** can be given as a file: `private_key_file`, `guardian_private_key_file`, `password_file`, `urls_file`.
  They are read when a process starts; `stopkeeper doctor` warns of files everybody on the machine can read. No command,
  log line or task result shows a secret, but for Flower's generated login, which `stopkeeper up` prints once.
- **Percentages** are written with their sign and in quotes, `"10%"`: a bare `10` or `0.1` is refused, because it could
  mean either. **Durations** carry their unit: `"500ms"`, `"15s"`, `"2m"`, `"1h"`. **Money** is in USD, a number or a
  decimal string.
- **Relative paths** start at the directory of the configuration file.
- **Unknown keys are refused**, with the nearest known one named. Every fault is told in one line with its field; the
  exit code is 4.
"""


def lines() -> Iterator[str]:
    """Yield the document's lines."""
    yield from _INTRO.splitlines()
    yield ""
    yield "## Top level"
    yield ""
    yield from _table("", {"installation": settings.Settings.model_fields["installation"]})
    for name, model in SECTIONS:
        yield ""
        yield f"## `[{name}]`"
        yield ""
        yield " ".join((model.__doc__ or "").split())
        yield ""
        yield from _table(name, model.model_fields)


def _table(section: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield "| key | default | meaning | environment |"
    yield "|---|---|---|---|"
    for name, field in fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue  # a section of its own
        variable = "__".join(["STOPKEEPER", *(part.upper() for part in section.split(".") if part), name.upper()])
        yield f"| `{name}` | {_default(section, field)} | {field.description} | `{variable}` |"


def _default(section: str, field: FieldInfo) -> str:
    if section == "accounts.NAME.risk":
        return "that of `[risk]`"
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value == ():
        return "none"
    return f"`{_written(value)}`"


def _written(value: Any) -> str:
    match value:
        case bool() | int():
            return str(value).lower()
        case SecretStr():
            return f'"{value.get_secret_value()}"'
        case timedelta():
            return f'"{value // timedelta(seconds=1)}s"'
        case Decimal():
            return f'"{(value * 100).normalize():f}%"'
        case PurePath():
            return f'"./{value}"'
    return f'"{value}"'


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
