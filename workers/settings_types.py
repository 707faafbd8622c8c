"""How single values of the configuration are written: parsers that raise ValueError, saying what is right.

The sentence may quote the value only where it cannot be a secret.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from stopkeeper.core.policy import BreakEven, Trail
from stopkeeper.engine import typed

T = TypeVar("T")
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_SYMBOL = re.compile(r"([A-Za-z0-9]{1,20})(?:/([A-Z]{3,5}):([A-Z]{3,5}))?")
_ACCOUNT = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # secp256k1


def percent(raw: object) -> Decimal:
    """Return "10%" as the fraction 0.10. Raises ValueError for anything else: a bare 10 or 0.1 could mean either."""
    if isinstance(raw, Decimal):
        return raw
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError('write a percentage with its sign and in quotes, like "10%"')
    return Decimal(match[1]) / 100


def duration(raw: object) -> timedelta:
    """Return "500ms", "15s", "2m" or "1h" as a duration. Raises ValueError."""
    if isinstance(raw, timedelta):
        return raw
    match = re.fullmatch(r"\s*([0-9]+)\s*(ms|s|m|h)\s*", raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError('write a duration with its unit and in quotes, like "15s" (ms, s, m, h)')
    return timedelta(milliseconds=int(match[1]) * _UNITS[match[2]])


def day(raw: object) -> date:
    """Return a UTC day, a TOML date or its text. Raises ValueError."""
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    try:
        if isinstance(raw, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", raw.strip()):
            return date.fromisoformat(raw.strip())
    except ValueError:
        pass
    raise ValueError('must be a day like "2026-11-01"; it begins at midnight UTC')


def usd(raw: object) -> Decimal:
    """Return a number or decimal string as money. Raises ValueError."""
    try:
        value = Decimal(str(raw)) if isinstance(raw, (int, float, str, Decimal)) and not isinstance(raw, bool) else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        raise ValueError('must be an amount in USD, like 5000 or "5000.50"')
    return value


def whole(raw: object) -> int:
    """Return a whole number, also from its text (environment). Raises ValueError."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"\s*[0-9]+\s*", raw):
        return int(raw)
    raise ValueError("must be a whole number")


def flag(raw: object) -> bool:
    """Return true or false, also from its text (environment). Raises ValueError."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in {"true", "false"}:
        return raw.strip().lower() == "true"
    raise ValueError("must be true or false")


def text(raw: object) -> str:
    """Return a text that is not empty. Raises ValueError."""
    if isinstance(raw, Path):
        raw = str(raw)
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("must be a text that is not empty")
    return raw.strip()


def installation(raw: object) -> str:
    """Return an installation id. Raises ValueError."""
    if not isinstance(raw, str) or not re.fullmatch(r"[0-9a-f]{5}", raw):
        raise ValueError('must be 5 hex digits in quotes, like "a1b2c"; `stopkeeper init` draws one')
    return raw


def address(raw: object) -> str:
    """Return an address in lower case. Raises ValueError; a checksum is not asked for."""
    if not isinstance(raw, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", raw):
        raise ValueError("must be 0x and 40 hex digits: the account's own address, not a key and not the agent's")
    return raw.lower()


def private_key(raw: object, what: str = "") -> SecretStr:
    """Return a private key as 0x and 64 hex digits. Raises ValueError that never holds the value."""
    value = raw.get_secret_value() if isinstance(raw, SecretStr) else raw
    prefix = f"private_key_file: {what} " if what else ""
    if not isinstance(value, str) or not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", value.strip()):
        raise ValueError(prefix + "must be a private key of 64 hex digits, with or without 0x")
    digits = value.strip().removeprefix("0x").lower()
    if not 0 < int(digits, 16) < _CURVE_ORDER:
        raise ValueError(prefix + "is not a possible private key (zero or too large)")
    return SecretStr("0x" + digits)


def read_secret(path: Path) -> str:
    """Return a secret file's content without the line end. Raises ValueError naming the file, never its content."""
    try:
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"the file cannot be read: {reason}") from None
    if not content:
        raise ValueError("the file is empty")
    return content


def http_url(raw: str) -> str:
    """Return an http or https address. Raises ValueError."""
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    return raw.rstrip("/")


def redis_url(raw: str) -> str:
    """Check the address of a server. Raises ValueError that never holds the value."""
    if raw == "embedded":
        return raw
    parts = urlsplit(raw)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ValueError('url: must be "embedded", or begin with redis:// or rediss:// and name a host')
    return raw


def symbols(raw: object) -> tuple[str, ...]:
    """Return the coins of a list (or, from the environment, of "BTC,ETH"). Raises ValueError."""
    items = raw.strip("[] ").split(",") if isinstance(raw, str) else raw
    if not isinstance(items, (list, tuple)) or not items or items == [""]:
        raise ValueError('must be a list that is not empty, like ["BTC", "ETH"]')
    coins = []
    for item in items:
        match = _SYMBOL.fullmatch(item.strip().strip("\"'")) if isinstance(item, str) else None
        if match is None or (match[2] and (match[2], match[3]) != ("USDC", "USDC")):
            raise ValueError(f"{item} is not a symbol; write BTC or BTC/USDC:USDC")
        coins.append(match[1])
    if len(set(coins)) < len(coins):
        raise ValueError("names a symbol twice")
    return tuple(coins)


def refuse_absent_venue(data: Any) -> Any:
    """Say that OKX is not there yet before its own keys are called unknown. Raises ValueError."""
    if isinstance(data, Mapping) and data.get("venue") == "okx":
        raise ValueError("venue: okx is not there yet, OKX comes with a later release; hyperliquid is")
    return data


def trail_rule(raw: object) -> Trail:
    """Return a trailing rule such as "2%" or "atr:3@1R". Raises ValueError."""
    return raw if isinstance(raw, Trail) else _rule(typed.trail, raw, typed.TRAIL_HINT)


def even_rule(raw: object) -> BreakEven:
    """Return a break-even rule such as "1R". Raises ValueError."""
    return raw if isinstance(raw, BreakEven) else _rule(typed.breakeven, raw, typed.EVEN_HINT)


def _rule(read: Callable[[str, str], T], raw: object, hint: str) -> T:
    if not isinstance(raw, str):
        raise ValueError(f"write a rule in quotes; {hint}")
    try:
        return read("rule", raw)
    except typed.Refused as refused:
        raise ValueError(f"{refused.reason}; {refused.hint}") from None


def check_accounts(accounts: Mapping[str, Any]) -> None:
    """Check account names, and that no two accounts are the same login. Raises ValueError."""
    if not accounts:
        raise ValueError("accounts: is empty; add a section like [accounts.main]")
    logins: dict[tuple[str, str, str], str] = {}
    for name, section in accounts.items():
        if not _ACCOUNT.fullmatch(name) or len(name) > 32:
            raise ValueError(
                f"accounts.{name}: a name is lower case letters, digits and single underscores, like main or swing_2"
            )
        login = (section.mode, section.base_url or "", section.vault_address or section.wallet_address)
        if login in logins:
            raise ValueError(f"accounts.{name}.wallet_address: is the same account as accounts.{logins[login]}")
        logins[login] = name
