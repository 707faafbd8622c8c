"""Closing: a wish is written to the record, then the key is driven at once in the urgent queue."""

from decimal import Decimal

from stopkeeper.core.model import Key
from stopkeeper.engine import desk
from stopkeeper.engine.drive import drive
from stopkeeper.engine.ports import Times
from tasks import queues, runtime
from tasks.edge import task
from tasks.supervise import drain
from tasks.words import ended, listed

# What a worker had taken when it died is handed out again after that time: it is not to close the next trade.
MESSAGE_S = Times().visibility_ms / 1000


@task(queues.CLOSE_POSITION, expires_s=MESSAGE_S)
def close_position(account: str, symbol: str, keep_fraction: str = "0") -> str:
    """Close a position, or leave a fraction of it standing ("0.5" = half)."""
    return _close(Key(account, symbol), "manual_close", Decimal(keep_fraction))


@task(queues.EMERGENCY_CLOSE)
def emergency_close(account: str, symbol: str) -> str:
    """Close a position because something is wrong; it is booked as emergency_exit."""
    return _close(Key(account, symbol), "emergency_exit", Decimal(0))


@task(queues.FLATTEN_ACCOUNT)
def flatten_account(account: str) -> str:
    """Ask to close everything an account holds and publish the drives."""
    ports = runtime.ports(account)
    keys = desk.flatten(ports)
    drain(ports, urgent=keys)
    return listed("closing", keys)


def _close(key: Key, reason: str, keep_fraction: Decimal) -> str:
    ports = runtime.ports(key.account)
    desk.ask_close(key, ports, reason=reason, keep_fraction=keep_fraction)
    return ended(key, drive(key, ports))
