"""The types of single keys as pydantic reads them, and the base of every section; the parsers are settings_types.py."""

from contextvars import ContextVar
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

from stopkeeper.core.policy import BreakEven, Trail
from workers import settings_types as kinds

#: The directory relative paths are taken from: that of the configuration file.
BASE_DIR: ContextVar[Path] = ContextVar("stopkeeper_base_dir", default=Path())


def _in_base_dir(path: Path) -> Path:
    return BASE_DIR.get() / path.expanduser()


def _prices(source: str) -> str:
    """Resolve a file of prices like any other path, also with a start behind it; the other sources are words."""
    is_word = source in {"walk", "still"} or source.startswith("mirror:")
    return source if is_word else str(_in_base_dir(Path(source)))


Percent = Annotated[Decimal, BeforeValidator(kinds.percent)]
Duration = Annotated[timedelta, BeforeValidator(kinds.duration)]
Day = Annotated[date, BeforeValidator(kinds.day)]
Usd = Annotated[Decimal, BeforeValidator(kinds.usd)]
Whole = Annotated[int, BeforeValidator(kinds.whole)]
Flag = Annotated[bool, BeforeValidator(kinds.flag)]
Url = Annotated[str, AfterValidator(kinds.http_url)]
Address = Annotated[str, BeforeValidator(kinds.address)]
PrivateKey = Annotated[SecretStr, BeforeValidator(kinds.private_key)]
Text = Annotated[str, BeforeValidator(kinds.text)]
Resolved = Annotated[Path, BeforeValidator(kinds.text), AfterValidator(_in_base_dir)]
Prices = Annotated[str, BeforeValidator(kinds.text), AfterValidator(_prices)]
TrailRule = Annotated[Trail, BeforeValidator(kinds.trail_rule)]
EvenRule = Annotated[BreakEven, BeforeValidator(kinds.even_rule)]
Symbols = Annotated[tuple[str, ...], BeforeValidator(kinds.symbols)]


class Section(BaseModel):
    """A section of the file: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
