"""Sweeps: hold a whole account against all trades and wake what does not agree. Nothing is done at the venue here."""

from stopkeeper.engine import vigil
from stopkeeper.engine.sweep import sweep
from tasks import queues, runtime
from tasks.edge import task
from tasks.supervise import drain


@task(queues.SWEEP_ACCOUNT)
def sweep_account(account: str, max_age_ms: int = 0) -> str:
    """Sweep one account; a look no older than ``max_age_ms`` serves, so that periodic tasks share one."""
    ports = runtime.ports(account)
    wakes = sweep(ports, max_age_ms)
    drain(ports)
    runtime.current().note(runtime.swept(account))
    vigil.keep(ports)
    return f"{account}: " + ("; ".join(f"{wake.key.symbol} woken: {wake.why}" for wake in wakes) or "nothing to wake")


@task(queues.SWEEP_ALL)
def sweep_all() -> str:
    """Publish a sweep of every account."""
    current = runtime.current()
    for account in current.accounts:
        times = current.ports_for(account).times
        sweep_account.apply_async((account, times.look_fresh_ms), expires=times.sweep_ms / 1000)
    return f"published {len(current.accounts)}: {', '.join(current.accounts)}"
