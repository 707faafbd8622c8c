"""Look at a whole account once and wake every key that would not stay at rest."""

from dataclasses import replace

from stopkeeper.core.actions import ALL_FIELDS, Field
from stopkeeper.core.case import Frame
from stopkeeper.core.model import AccountSeen, Key, Seen
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.sweep import Wake, claimed_symbols, differences, project
from stopkeeper.engine.listing import VenueAway, listed
from stopkeeper.engine.observe import cached, frame, look, mark_of
from stopkeeper.engine.ports import Ports, Urgency

FORGOT_TOLD_MS = 60_000  # it is told once within so long


def sweep(ports: Ports, max_age_ms: int = 0) -> tuple[Wake, ...]:
    """Observe an account (a look younger than ``max_age_ms`` serves) and wake the keys on which a drive would act.

    Where nothing can be judged, every key is woken: its drive says so, and goes on by itself once something can.
    """
    seen, stale = cached(ports, dict.fromkeys(ALL_FIELDS, max_age_ms))
    unread = {each.value: getattr(AccountSeen(), each.value) for each in stale - {Field.FILLS}}
    # so that where the budget is short a look that a drive made in these seconds serves
    seen = look(ports, stale, replace(seen, **unread), Urgency.PROTECTIVE)
    ports.venue.poll_limits()
    _tell_forgotten(ports)
    try:
        wakes = differences(cases(ports, seen))
    except VenueAway as away:
        wakes = tuple(Wake(key, str(away)) for key in own_keys(ports))
    for wake in wakes:
        ports.wakes.wake(wake.key, wake.why)
    return wakes


def _tell_forgotten(ports: Ports) -> None:
    """Tell the journal of a store that is another than before. Noted now, it holds up no signal that comes later."""
    age_ms = ports.records.forgot_ms()
    if age_ms is None or age_ms >= FORGOT_TOLD_MS or not ports.gaps.turn(ports.account, "forgot", FORGOT_TOLD_MS):
        return
    what = "Redis is another than before (restarted, failed over or emptied): what was said to it last may be gone"
    told = f"{what}; pauses and halts that `stopkeeper status` does not show are to be said again"
    ports.journal.write(ports.account, "", "store", told)


def own_keys(ports: Ports) -> tuple[Key, ...]:
    """Return every key that is configured or has a record."""
    recorded = {record.key for record in ports.records.all(ports.account)}
    return tuple(sorted(recorded | {Key(ports.account, symbol) for symbol in ports.symbols}))


def cases(ports: Ports, seen: AccountSeen) -> list[tuple[KeyRecord, Seen, Frame]]:
    """Return record, look and circumstances of every key that is configured, has a record or an order of ours.

    Raises VenueAway where the venue's list of perpetuals was never read: an empty list of cases would say too much.
    """
    records = {record.key.symbol: record for record in ports.records.all(ports.account)}
    markets = listed(ports.venue)
    result = []
    claimed = claimed_symbols(seen, ports.installation, ports.flags.read(ports.account))
    for symbol in sorted({*ports.symbols, *records, *claimed} & set(markets)):
        record = records.get(symbol) or ports.records.load(Key(ports.account, symbol))
        streamed = mark_of(symbol, ports, ask=False)
        result.append((record, replace(project(seen, symbol, streamed), second=streamed), frame(ports, record)))
    return result
