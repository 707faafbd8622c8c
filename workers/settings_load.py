"""Where settings are read from, and how a fault in them is told: one line each, naming field, value and what is right.

The environment stands over the file. Every key is also ``STOPKEEPER__SECTION__KEY``; a secret's value is never shown.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from workers.alert_urls import tokens
from workers.settings import Settings
from workers.settings_fields import BASE_DIR
from workers.settings_sections import AccountSection

PREFIX = "STOPKEEPER__"
DEFAULT = Path("stopkeeper.toml")
HIDDEN = "(not shown)"
_SECRET_WORDS = ("private_key", "password", "secret", "passphrase", "api_key", "url")
_FILE: ContextVar[Path | None] = ContextVar("stopkeeper_file", default=None)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: ``value`` is None where there is none or it may be a secret."""

    field: str
    value: str | None
    problem: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f" (is {self.value})"
        return f"{self.field}: {self.problem}{shown}"


class ConfigError(Exception):
    """The configuration cannot be used; ``faults`` lists everything wrong with it, each line names its field."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class _Source(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self().get(field_name), field_name, False


class FileSource(_Source):
    """The TOML file being loaded."""

    def __call__(self) -> dict[str, Any]:
        path = _FILE.get()
        return {} if path is None else _read(path)


class EnvironmentSource(_Source):
    """``STOPKEEPER__SECTION__KEY`` as a tree; unlike with pydantic's own, a key nobody knows is kept and so refused."""

    def __call__(self) -> dict[str, Any]:
        return _tree(os.environ)


def load(path: Path | None = None) -> Settings:
    """Return the settings of a file (None = ./stopkeeper.toml) with the environment over it. Raises ConfigError."""
    file = (path or DEFAULT).absolute()
    if not file.is_file():
        hint = "write one with `stopkeeper init`, or name it with --config FILE"
        raise ConfigError([Fault("--config", str(path or DEFAULT), f"there is no such configuration file; {hint}")])
    tokens = _FILE.set(file), BASE_DIR.set(file.parent)
    try:
        settings = Settings()  # type: ignore[call-arg]  # its sources fill it
        return settings.from_file(file)
    except ValidationError as error:
        raise ConfigError(_faults(error)) from None
    finally:
        _FILE.reset(tokens[0])
        BASE_DIR.reset(tokens[1])


def warnings(settings: Settings, file: Path | None = None) -> tuple[str, ...]:
    """Return what doctor should warn of: secrets that others on this machine can read."""
    found = []
    for name, path in _secret_files(settings):
        if path.stat().st_mode & 0o004:
            found.append(f"{name}: {path} can be read by everybody on this machine; chmod 600 {path}")
    if file is not None and file.exists() and file.stat().st_mode & 0o004 and _holds_secret(_read(file)):
        found.append(f"{file} holds a secret and can be read by everybody on this machine; chmod 600 {file}")
    return tuple(found)


def secrets(settings: Settings) -> tuple[str, ...]:
    """Return the secret texts themselves, for the filters that keep them out of logs and results."""
    words = []
    for account in settings.accounts.values():
        guardian = account.guardian_key()
        words += [account.key().get_secret_value(), guardian.get_secret_value() if guardian else ""]
    for section in (settings.redis, settings.flower):
        if section.password is not None:
            words.append(section.password.get_secret_value())
        if section.password_file is not None:
            words.append(section.password_file.read_text(encoding="utf-8").strip())
    url = settings.redis.full_url().get_secret_value()
    words.append(url.rpartition("@")[0].rpartition(":")[2] if "@" in url else "")
    for each in settings.alerts.all_urls():
        words += tokens(each.get_secret_value())
    return tuple(word for word in words if word)


def _secret_files(settings: Settings) -> list[tuple[str, Path]]:
    candidates: list[tuple[str, Path | None]] = [
        ("redis.password_file", settings.redis.password_file),
        ("flower.password_file", settings.flower.password_file),
        ("alerts.urls_file", settings.alerts.urls_file),
    ]
    for name, account in settings.accounts.items():
        candidates.append((f"accounts.{name}.private_key_file", account.private_key_file))
        candidates.append((f"accounts.{name}.guardian_private_key_file", account.guardian_private_key_file))
    return [(name, path) for name, path in candidates if path is not None and path.exists()]


def _holds_secret(tree: Mapping[str, Any]) -> bool:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if _holds_secret(value):
                return True
        elif _is_secret(key, value):
            return True
    return False


def _is_secret(key: str, value: Any) -> bool:
    if key in {"private_key", "guardian_private_key", "password"}:
        return True
    return (key == "url" and "@" in str(value)) or (key == "urls" and bool(value))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(str(path), None, f"is not valid TOML: {error}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), None, f"cannot be read: {error}")]) from None


def _tree(environment: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.upper().startswith(PREFIX):
            continue
        *sections, key = name[len(PREFIX) :].lower().split("__")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise ConfigError([Fault(name, None, f"{section} is given both as a value and as a section")])
        node[key] = environment[name]
    return tree


# --- faults --------------------------------------------------------------------------------------------------------


def _faults(error: ValidationError) -> list[Fault]:
    return [_fault(str(each["type"]), each["loc"], each["msg"], each.get("input"), each.get("ctx", {}))
            for each in error.errors(include_url=False)]  # fmt: skip


def _fault(kind: str, where: tuple[int | str, ...], message: str, value: Any, context: Mapping[str, Any]) -> Fault:
    path = [str(part) for part in where]
    problem = _PROBLEMS[kind].format(**context) if kind in _PROBLEMS else message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        problem, value = "unknown key; " + _near(path), None  # whatever it was to be, it may be a secret
    elif kind == "value_error" and isinstance(value, Mapping | BaseModel):
        # a rule over a whole section begins its sentence with the key it is about
        key, _, rest = problem.partition(": ")
        path, problem, value = [*path, *key.split(".")], rest, _deep(value, key)
    field = ".".join(path)
    variable = PREFIX + "__".join(part.upper() for part in path)
    if variable in os.environ:
        problem = f"from {variable}: {problem}"
    return Fault(field, _shown(path[-1] if path else "", value), problem)


_PROBLEMS = {
    "missing": "is missing",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be greater than {gt}",
    "less_than": "must be less than {lt}",
    "model_type": "must be a section of keys",
    "dict_type": "must be a section of keys",
    "string_type": "must be a text in quotes",
    "tuple_type": "must be a list",
}


def _deep(value: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value


def _shown(key: str, value: Any) -> str | None:
    if not isinstance(value, str | int | float | bool) or value == "":
        return None
    secret = any(word in key for word in _SECRET_WORDS) and not key.endswith("_file")
    return HIDDEN if secret else str(value)


def _near(path: list[str]) -> str:
    in_account = path[0] == "accounts" and len(path) > 2  # accounts.NAME.KEY
    model: type[BaseModel] = AccountSection if in_account else Settings
    for part in path[2:-1] if in_account else path[:-1]:
        annotation = model.model_fields[part].annotation
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
    close = difflib.get_close_matches(path[-1], list(model.model_fields), 1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(model.model_fields)}"
