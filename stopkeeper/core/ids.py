"""Client ids that can be read back: whose order it is and what for, even after a total loss of Redis.

32 hex digits: magic 3, installation 5, role 1, n 5, trade 12, checksum 6.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from stopkeeper.core.model import Key, Role

MAGIC = "57b"
_ROLE_DIGIT = {Role.ENTRY: "1", Role.STOP: "2", Role.TARGET: "3", Role.FLATTEN: "4"}
_DIGIT_ROLE = {digit: role for role, digit in _ROLE_DIGIT.items()}
N_MAX = 0xFFFFF
# These stand in ids at venues: their order is for ever, and there is room for eight.
CLOSE_REASONS = ("manual_close", "emergency_exit", "time_limit", "stop_loss", "take_profit", "trailing_stop")
FOUND = "f0d"  # how the id of a trade begins that was found; a signal's does so once in 4096
_TELLS, _DIGITS = 0x80000, 16  # a close's number: a bit that says it tells its reason, three for the reason, the count


@dataclass(frozen=True, slots=True)
class ClientId:
    """A decoded client id of ours."""

    installation: str
    role: Role
    n: int
    trade: str


def _checksum(body: str) -> str:
    return sha256(body.encode()).hexdigest()[:6]


def encode(client: ClientId) -> str:
    """Return the 32 hex digits of a client id. Raises ValueError on a part of the wrong length."""
    if len(client.installation) != 5 or len(client.trade) != 12 or not 0 <= client.n <= N_MAX:
        raise ValueError(f"not a client id: {client}")
    body = f"{MAGIC}{client.installation}{_ROLE_DIGIT[client.role]}{client.n:05x}{client.trade}"
    return body + _checksum(body)


@lru_cache(maxsize=4096)  # each look names the same orders and fills
def decode(raw: str | None) -> ClientId | None:
    """Return what a client id says, or None where it is not one of Stopkeeper's."""
    if raw is None:
        return None
    text = raw.removeprefix("0x").lower()
    if len(text) != 32 or not text.startswith(MAGIC) or text[26:] != _checksum(text[:26]):
        return None
    role = _DIGIT_ROLE.get(text[8])
    if role is None:
        return None
    return ClientId(text[3:8], role, int(text[9:14], 16), text[14:26])


def close_number(n: int, reason: str) -> int:
    """Return the number in a close's id: with its reason in it, which is then known also where no record noted it."""
    if reason not in CLOSE_REASONS:
        return n
    return _TELLS | CLOSE_REASONS.index(reason) << _DIGITS | n & (1 << _DIGITS) - 1


def close_reason(number: int) -> str | None:
    """Return the reason in the number of a close's id, or None where it tells none."""
    index = (number & ~_TELLS) >> _DIGITS
    return CLOSE_REASONS[index] if number & _TELLS and index < len(CLOSE_REASONS) else None


def trade_id(installation: str, account: str, signal_id: str) -> str:
    """Return the id of the trade a signal leads to: a function of it, so that a repeated signal is one trade."""
    return sha256(f"{installation}|{account}|{signal_id}".encode()).hexdigest()[:12]


def found_id(installation: str, key: Key, seen_ms: int) -> str:
    """Return the id of a trade for a position found at a venue time: it tells that it was, without any record."""
    return FOUND + sha256(f"{installation}|{key}|found|{seen_ms}".encode()).hexdigest()[: 12 - len(FOUND)]
