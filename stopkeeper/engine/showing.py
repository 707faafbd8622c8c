"""What an account shows to who asks: its positions, what breaks the promise, what no trade owns. Reads only."""

from dataclasses import dataclass

from stopkeeper.core.actions import ALL_FIELDS, Field
from stopkeeper.core.audit import OTHER_LIVE, Breach, breaches
from stopkeeper.core.inventory import Orphan, orphans_of
from stopkeeper.core.model import AccountSeen, Key
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.report import Phase, PositionRow, position_row
from stopkeeper.engine.door import DOOR_AGE_MS
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.observe import cached, look
from stopkeeper.engine.ports import Ports, Urgency
from stopkeeper.engine.sweep import cases


@dataclass(frozen=True, slots=True)
class Survey:
    """A row for every key with a trade or a position, and what could not be read for it ("" = all was)."""

    rows: tuple[PositionRow, ...]
    unread: str


def survey(ports: Ports) -> Survey:
    """Return the rows of an account from a look of the last seconds.

    Who watches all the time must not spend the budget that protection needs: it may be a little older, and
    fills more. Orders older than a position cannot tell whether it is naked: where that matters they are read again.
    """
    age_ms = 2 * ports.times.look_fresh_ms
    ages = {Field.HOLDINGS: age_ms, Field.ORDERS: age_ms, Field.FILLS: ports.times.sweep_ms}
    seen, stale = cached(ports, ages)
    found = surveyed(ports, look(ports, stale, seen, Urgency.ORDINARY))
    if found.unread or not any(untold(row) for row in found.rows):
        return found
    again = surveyed(ports, look(ports, frozenset({Field.ORDERS}), seen, Urgency.ORDINARY))
    return found if again.unread else again  # what is known already is not lost to a budget that grants no second look


def untold(row: PositionRow) -> bool:
    """Return whether a position is held, and whether stops cover it cannot be told."""
    return row.size is not None and row.phase is Phase.UNPROVEN


def surveyed(ports: Ports, seen: AccountSeen) -> Survey:
    """Return the rows of an account by a look, and what of it could not be read."""
    try:
        return Survey(rows_of(ports, seen), _unread(seen))
    except VenueAway as away:
        return Survey((), str(away))


def _unread(seen: AccountSeen) -> str:
    fields = (("positions", seen.holdings), ("open orders", seen.orders))
    return "; ".join(f"{name} could not be read: {field.why}" for name, field in fields if isinstance(field, Unknown))


def positions(ports: Ports) -> tuple[PositionRow, ...]:
    """Return a row for every key with a trade or a position, as far as they could be read."""
    return survey(ports).rows


def rows_of(ports: Ports, seen: AccountSeen) -> tuple[PositionRow, ...]:
    """Return the rows of an account by a look. Raises VenueAway where nothing can be judged."""
    rows = (position_row(*case) for case in cases(ports, seen))
    return tuple(row for row in rows if row is not None)


def row_of(key: Key, ports: Ports) -> PositionRow | None:
    """Return the row of a key that holds or trades something, or None. Raises VenueAway where that cannot be told."""
    found = survey(ports)
    row = next((row for row in found.rows if row.symbol == key.symbol), None)
    if row is None and found.unread:
        raise VenueAway(f"{ports.account}: {found.unread}")
    return row


def position(trade: str, ports: Ports) -> PositionRow | None:
    """Return the row of an open trade by its id, or None."""
    return next((row for row in positions(ports) if row.trade_id == trade), None)


def audit(ports: Ports) -> tuple[Breach, ...]:
    """Hold the venue, as it is read now, against the promise; returns every breach."""
    seen = look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.PROTECTIVE)
    try:
        return breaches(ports.account, seen, cases(ports, seen), ports.symbols)
    except VenueAway as away:
        return (Breach(ports.account, "", "blind", str(away)),)


def other_installation(ports: Ports) -> str | None:
    """Say which other installation is at work on the account: two would tidy each other's stops away."""
    fields = frozenset({Field.HOLDINGS, Field.ORDERS})
    seen, stale = cached(ports, dict.fromkeys(ALL_FIELDS, DOOR_AGE_MS))
    seen = look(ports, stale & fields, seen, Urgency.ORDINARY)
    try:
        found = next((b for b in breaches(ports.account, seen, cases(ports, seen), ()) if b.kind == OTHER_LIVE), None)
    except VenueAway:
        return None  # as where nothing else could be read: a venue that is away keeps nobody from starting
    return None if found is None else f"{found.account} {found.symbol}: {found.text}, placed within two minutes"


def orphans(ports: Ports) -> tuple[Orphan, ...]:
    """Return all that no trade owns: positions, orders of ours, of other installations, of strangers.

    Raises VenueAway where positions or open orders could not be read: an empty list would say too much.
    """
    seen = look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.ORDINARY)
    for field in (seen.holdings, seen.orders):
        if isinstance(field, Unknown):
            raise VenueAway(f"{ports.account} could not be read: {field.why}")
    return orphans_of(ports.account, seen, cases(ports, seen), ports.symbols)
