"""What a person may ask about what no trade owns: that a position is ours from now on, or a dead installation's orders.

As in desk.py nothing here acts at the venue: a wish is written down and the key woken.
"""

from dataclasses import replace
from decimal import Decimal
from functools import partial

from stopkeeper.core import effects
from stopkeeper.core.actions import ALL_FIELDS
from stopkeeper.core.audit import young
from stopkeeper.core.ids import decode
from stopkeeper.core.model import Distance, Key, Order, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Trade
from stopkeeper.core.report import PositionRow
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.core.sizing import nearer, on_grid
from stopkeeper.engine.desk import check_side, taken_in, wish
from stopkeeper.engine.door import mark_at_door, market_of
from stopkeeper.engine.listing import VenueAway
from stopkeeper.engine.observe import cached, look
from stopkeeper.engine.ports import Ports, Urgency
from stopkeeper.engine.showing import row_of
from stopkeeper.engine.typed import Refused


def check_symbol(key: Key, ports: Ports) -> None:
    """Refuse a symbol that the account does not trade: what stands there is reported, never touched. Raises Refused."""
    market_of(key.symbol, ports)
    if key.symbol not in ports.symbols:
        reason = "the symbol is not among the account's symbols, so nothing would guard it"
        hint = f"add it to accounts.{key.account}.symbols, or act on the venue's own page"
        raise Refused("symbol", key.symbol, reason, hint)


def orphan_of(key: Key, ports: Ports) -> Trade:
    """Return the trade of a position that is nobody's. Raises Refused where it is the account's own, VenueAway."""
    check_symbol(key, ports)
    trade = taken_in(key, ports)
    if trade.orphan is None:
        hint = "stopkeeper stop moves its stop, stopkeeper close closes it"
        raise Refused("symbol", key.symbol, f"it is no orphan: trade {trade.id} is the account's own", hint)
    return trade


def adopt(key: Key, stop: Distance | None, ports: Ports) -> PositionRow:
    """Make an orphan the account's own: its stop where asked for, else where it is, moved by the account's rule.

    Returns the row as it is to become. Raises Refused, VenueAway, StoreGone.
    """
    trade = orphan_of(key, ports)
    row = row_of(key, ports)
    if row is None or row.size is None:
        raise Refused("symbol", key.symbol, "no position is held on it", "see stopkeeper positions")
    if trade.close is not None:
        raise Refused("symbol", key.symbol, "it is being closed", "wait until it is booked")
    policy, trigger = ports.rules.policy, _trigger(key, trade, row, stop, ports)
    change = partial(
        effects.adopt, trigger=trigger, policy=policy, now_ms=ports.venue.now_ms(), by_person=stop is not None
    )
    wish(trade.id, key, ports, change)
    said = f"adopted, stop at {trigger:f}, trail {policy.trail}, break-even {policy.breakeven}"
    ports.journal.write(ports.account, key.symbol, "asked", said)
    row = replace(row, trail=str(policy.trail), breakeven=str(policy.breakeven))
    return replace(row, trade_id=trade.id, stop_price=trigger, orphan=None)


def _trigger(key: Key, trade: Trade, row: PositionRow, stop: Distance | None, ports: Ports) -> Decimal:
    """Return where the stop is to stand: as asked, else where it stands, else as far from the price as any orphan's."""
    side, standing = Side(row.side), row.stop_price if row.stop_order_id is not None else None
    kept = trade.stop if standing is None and trade.orphan is not OrphanPolicy.ALERT else standing
    if stop is None and kept is not None:
        return kept
    mark = mark_at_door(key.symbol, ports).value
    fraction = ports.rules.orphan_stop if stop is None else stop.fraction
    price = stop.price if stop is not None and stop.price is not None else mark * (1 - side.sign * (fraction or 0))
    trigger = on_grid(price, market_of(key.symbol, ports), nearer(side))
    check_side("stop", trigger, side, mark)
    if standing is not None and (trigger - standing) * side.sign < 0:
        reason = f"that would loosen the stop, which stands at {standing:f}"
        hint = "leave --stop out to keep it; stopkeeper stop --to PX --loosen moves a stop of ours away"
        raise Refused("stop", f"{trigger:f}", reason, hint)
    return trigger


def orders_of(installation: str, ports: Ports) -> tuple[Order, ...]:
    """Return the live orders another installation has on the account. Raises Refused where it lives, VenueAway."""
    if installation == ports.installation:
        raise Refused("installation", installation, "it is this very installation", "its orders are ours already")
    seen = look(ports, ALL_FIELDS, cached(ports, {})[0], Urgency.ORDINARY)
    if isinstance(seen.orders, Unknown):
        raise VenueAway(f"the open orders of {ports.account} could not be read: {seen.orders.why}")
    found = [o for o in seen.orders.value if (k := decode(o.client_id)) is not None and k.installation == installation]
    now_ms = ports.venue.now_ms()
    alive = next((order for order in found if young(order.placed_ms, now_ms)), None)
    if alive is not None:
        age_s = max(0, now_ms - alive.placed_ms) // 1000
        reason = f"it is at work: its order {alive.id} on {ports.account}:{alive.symbol} is {age_s} s old"
        raise Refused("installation", installation, reason, "stop it, and ask again two minutes later")
    return tuple(found)


def inherit(installation: str, orders: tuple[Order, ...], ports: Ports) -> None:
    """Take a dead installation's orders for our own: hygiene clears away what no position needs. Raises StoreGone."""
    ports.flags.inherit(ports.account, installation, max(order.placed_ms for order in orders))
    text = f"the orders of installation {installation} are taken for our own: {len(orders)} live"
    ports.journal.write(ports.account, "", "switch", text)
    for symbol in sorted({order.symbol for order in orders}):
        ports.wakes.wake(Key(ports.account, symbol), f"orders of installation {installation} are ours now")
