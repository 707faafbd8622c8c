"""Entries: a signal in plain texts becomes a trade, then its key is driven."""

from collections.abc import Mapping, Sequence

from celery import current_task

from stopkeeper.engine import desk
from stopkeeper.engine.desk import Refused
from tasks import queues, runtime
from tasks.edge import task
from tasks.supervise import drain

# What a worker had when it died is handed out again minutes later, and a signal's time begins when it is taken in.
MESSAGE_S = 30


@task(queues.OPEN_TRADE, expires_s=MESSAGE_S)
def open_trade(
    account: str,
    symbol: str,
    side: str,
    *,
    stop: str,
    size: str | None = None,
    notional: str | None = None,
    risk: str | None = None,
    target: str | Sequence[str] | None = None,
    limit: str | None = None,
    rest: bool = False,
    post_only: bool = False,
    leverage: int | None = None,
    trail: str | None = None,
    breakeven: str | None = None,
    expires: str = "30s",
    price: str | None = None,
    max_deviation: str | None = None,
    time_limit: str | None = None,
    signal_id: str | None = None,
) -> str:
    """Submit a signal; amounts are decimal strings, ``stop`` and ``target`` a price or "2%", as on the command line.

    ``target`` may be a list, each "4%:50%" (the part it takes); ``trail`` and ``breakeven`` are rules such as "1%@1R".

    Without ``signal_id`` the message's own id is the signal's, so that a message delivered twice is still one trade.
    """
    amounts = {"stop": stop, "size": size, "notional": notional, "risk": risk, "limit": limit, "trail": trail}
    _texts(amounts | {"price": price, "max_deviation": max_deviation, "breakeven": breakeven})
    for each in target if isinstance(target, Sequence) and not isinstance(target, str) else (target,):
        _texts({"target": each})
    ports = runtime.ports(account)
    signal = desk.parse_signal(
        account=account,
        symbol=symbol.partition("/")[0],
        side=side,
        size=size,
        notional=notional,
        risk=risk,
        stop=stop,
        target=target,
        limit=limit,
        rest=rest,
        post_only=post_only,
        leverage=leverage,
        trail=trail,
        breakeven=breakeven,
        expires=expires,
        price=price,
        max_deviation=max_deviation,
        time_limit=time_limit,
        signal_id=signal_id or (current_task.request.id if current_task else None),
        now_ms=ports.venue.now_ms(),
    )
    done = desk.submit(signal, ports)
    drain(ports)
    return f"{signal.key} {done.state}: trade {done.trade_id} of signal {done.signal_id}"


def _texts(amounts: Mapping[str, object]) -> None:
    """Refuse amounts that are no texts: a float in JSON has already lost what it was."""
    for field, value in amounts.items():
        if value is not None and not isinstance(value, str):
            raise Refused(field, str(value), "amounts are decimal strings", f'write "{value}"')
