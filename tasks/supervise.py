"""Wake-ups: drive one key, and the clocks that find out which keys are due."""

from collections.abc import Collection, Sequence

from stopkeeper.core.model import Key
from stopkeeper.engine import vigil
from stopkeeper.engine.drive import drive as drive_key
from stopkeeper.engine.ports import Ports
from stopkeeper.engine.sweep import sweep
from tasks import queues, runtime
from tasks.edge import task
from tasks.words import ended, listed

CLAIM_LIMIT = 64


@task(queues.DRIVE)
def drive(account: str, symbol: str) -> str:
    """Drive one key until it rests."""
    key = Key(account, symbol)
    return ended(key, drive_key(key, runtime.ports(account)))


@task(queues.DRAIN_DUE)
def drain_due() -> str:
    """Publish a drive for every key that is due."""
    current = runtime.current()
    current.note(runtime.BEAT)
    return listed("published", drain(current.ports_for(current.accounts[0])))


@task(queues.REFRESH_STOPS)
def refresh_stops() -> str:
    """See every stop of every account live by one look an account, however many it has, and wake what is not right.

    The sweep of the same beat makes that look; this one makes its own where the last sweep is missing.
    """
    current = runtime.current()
    woken: list[Key] = []
    for ports in map(current.ports_for, current.accounts):
        woken += [wake.key for wake in sweep(ports, ports.times.sweep_ms * 3 // 2)]
        drain(ports)
    return listed("woken", woken)


@task(queues.CONFIRM_FILLS)
def confirm_fills() -> str:
    """Make every key due whose entry nobody can prove yet, or rests while no stream would tell of a fill.

    On the way every account is asked which of its parts are missing.
    """
    current = runtime.current()
    due: list[Key] = []
    for ports in map(current.ports_for, current.accounts):
        due += _unproven(ports)
        vigil.keep(ports)
    return listed("due", due)


def drain(ports: Ports, *, urgent: Collection[Key] = ()) -> Sequence[Key]:
    """Claim what is due, of all accounts, and publish a drive for each; return the keys.

    A message that is lost, or not taken before its claim runs out, costs one claim: the key comes due again.
    Raises StoreGone, and kombu's OperationalError where the queue cannot be reached.
    """
    keys = [key for key in ports.wakes.claim(CLAIM_LIMIT, ports.times.claim_ms) if not key.symbol.startswith("~")]
    for key in keys:
        queue = queues.URGENT if key in urgent else queues.queue_for(ports.records.load(key))
        drive.apply_async((key.account, key.symbol), queue=queue, expires=ports.times.claim_ms / 1000)
    return keys


def _unproven(ports: Ports) -> list[Key]:
    found, heard_ms = [], ports.prices.heard_ms(ports.account)
    deaf = heard_ms is None or heard_ms >= ports.rules.feed_lost_ms
    for record in ports.records.all(ports.account):
        sent = record.trade.sent if record.trade else ()
        if any(each.unproven or (deaf and each.rests) for each in sent):
            ports.wakes.mark_due(record.key, 0)
            found.append(record.key)
    return found
