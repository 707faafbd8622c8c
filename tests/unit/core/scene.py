"""A small stage for core: one symbol at 100 USD, one trade of size 1 with its stop at 95, and builders for the rest."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from stopkeeper.core.actions import Again, Plan, Rest
from stopkeeper.core.case import Frame
from stopkeeper.core.decide import decide
from stopkeeper.core.ids import ClientId, encode
from stopkeeper.core.learn import learn
from stopkeeper.core.model import (
    Amount,
    Distance,
    Fill,
    FillPage,
    Funds,
    Key,
    Known,
    Lookup,
    MarginMode,
    Market,
    Order,
    OrderKind,
    Position,
    Role,
    Seen,
    Side,
    Signal,
)
from stopkeeper.core.outcomes import Accepted, Outcome, Unknown
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import Goal, KeyRecord, Origin, Prepared, Sent, Terms, Trade
from stopkeeper.core.rules import Ability, Rules, Switches

D = Decimal
NOW = 1_700_000_000_000
LAG = 3_000
TOLD = (NOW - LAG - 1, NOW - 2_000, NOW - 1_000)  # looks that showed no position: enough to believe them
INST = "a1b2c"
KEY = Key("main", "BTC")
TRADE = "0123456789ab"
RULES = Rules()
CAN = Ability(
    whole_stop=False,
    amend_atomic=False,
    attach=False,
    trigger_without_position=True,
    deadline_on=frozenset({"order", "cancel"}),
    oversize_covers=True,
    lag_ms=LAG,
)
MARKET = Market(
    symbol="BTC",
    size_step=D("0.001"),
    min_notional=D(10),
    max_leverage=40,
    maintenance_rate=D("0.0125"),
    taker_fee=D("0.00045"),
    decimals=4,
    significant=5,
)
TERMS = Terms(size=D(1), worst_price=D(102), stop=D(95), stop_worst=D("85.5"), mark=D(100))
AIM = (Goal(D(110), D(1)),)  # one target for the whole position
ENTERED_MS = NOW - 60_000
PREPARED = Prepared(5, MarginMode.ISOLATED, NOW - 1_000)


def frame(now_ms: int = NOW, **more: Any) -> Frame:
    base = Frame(now_ms, 1_000, RULES, CAN, MARKET, Switches(), INST)
    return replace(base, **more)


def cid(role: Role, n: int, trade: str = TRADE, installation: str = INST) -> str:
    return encode(ClientId(installation, role, n, trade))


def signal(**more: Any) -> Signal:
    base = Signal(
        id="s1",
        key=KEY,
        side=Side.LONG,
        amount=Amount(size=D(1)),
        stop=Distance(price=D(95)),
        expires_ms=NOW + 30_000,
    )
    return replace(base, **more)


LOST = Unknown("no answer")


def sent(outcome: Outcome = LOST, **more: Any) -> Sent:
    base = Sent(0, 0, 1, NOW - 500, NOW - 4_500, TERMS, outcome)
    return replace(base, **more)


def new_trade(**more: Any) -> Trade:
    """A signal admitted a moment ago, of which nothing was sent."""
    base = Trade(TRADE, Origin.SIGNAL, KEY, Side.LONG, NOW - 6_000, signal=signal(), nonces=(1, 2, 3, 4))
    return replace(base, **more)


def held_trade(**more: Any) -> Trade:
    """A signal that entered a minute ago: 1 BTC long from 100, stop wanted at 95."""
    done = sent(Accepted("e1", D(1), D(100)), deadline_ms=ENTERED_MS + 4_000, sent_ms=ENTERED_MS)
    base = new_trade(
        created_ms=ENTERED_MS - 5_000,
        sent=(done,),
        stop=D(95),
        entered_ms=ENTERED_MS,
        held=D(1),
        entry_filled=D(1),
        traded=D(1),
        explained=D(1),
        first_stop=D(95),
        covered=True,
        order_roles=(("e1", "entry"), ("s1", "stop_loss")),
    )
    return replace(base, **more)


def found_trade(**more: Any) -> Trade:
    base = Trade(
        "ba9876543210",
        Origin.FOUND,
        KEY,
        Side.LONG,
        ENTERED_MS,
        entered_ms=ENTERED_MS,
        held=D(1),
        stop=D(95),
        opening_size=D(1),
        opening_price=D(100),
    )
    return replace(base, **more)


def record(trade: Trade | None = None, **more: Any) -> KeyRecord:
    base = KeyRecord(
        KEY, n=1, quiet_ms=NOW - 30_000, trade=trade, prepared=PREPARED, since_ms=1, history_ms=NOW - 60_000
    )
    return replace(base, **more)


def position(size: str = "1", side: Side = Side.LONG, mark: str | None = "100", **more: Any) -> Position:
    base = Position(
        symbol="BTC",
        side=side,
        size=D(size),
        entry_price=D(100),
        margin_mode=MarginMode.ISOLATED,
        leverage=D(5),
        liquidation_price=D(81) if side is Side.LONG else D(119),
        mark=None if mark is None else D(mark),
        unrealized_pnl=D(0),
    )
    return replace(base, **more)


def stop(trigger: str = "95", size: str = "1", n: int = 1, order_id: str = "s1", **more: Any) -> Order:
    base = Order(
        id=order_id,
        symbol="BTC",
        client_id=cid(Role.STOP, n),
        side=Side.SHORT,
        kind=OrderKind.STOP_MARKET,
        size=D(size),
        price=D(trigger) * D("0.9"),
        trigger=D(trigger),
        mark_triggered=True,
        reduce_only=True,
        whole=False,
        fired=False,
        placed_ms=ENTERED_MS,
    )
    return replace(base, **more)


def target(trigger: str = "110", size: str = "1", n: int = 2, order_id: str = "t1", **more: Any) -> Order:
    base = stop(trigger, size, n, order_id, kind=OrderKind.TARGET_MARKET, client_id=cid(Role.TARGET, n))
    return replace(base, **more)


def fill(
    name: str, signed: str, price: str, at_ms: int, start: str | None = None, order: str = "x", **more: Any
) -> Fill:
    base = Fill(
        id=name,
        symbol="BTC",
        order_id=order,
        client_id=None,
        side=Side.LONG if D(signed) > 0 else Side.SHORT,
        size=abs(D(signed)),
        price=D(price),
        fee=D("0.05"),
        closed_pnl=D(0),
        time_ms=at_ms,
        start=None if start is None else D(start),
    )
    return replace(base, **more)


ENTRY_FILL = fill("f1", "1", "100", ENTERED_MS, "0", "e1", client_id=cid(Role.ENTRY, 0))


def seen(
    held: Position | Unknown | None = None,
    orders: tuple[Order, ...] | Unknown = (),
    fills: tuple[Fill, ...] | Unknown = (),
    at_ms: int = NOW,
    since_ms: int = NOW - 600_000,
    mark: str | None = "100",
    lookups: dict[str, Lookup] | None = None,
    second: str | None = "same",
    **more: Any,
) -> Seen:
    """``second`` is the mark by another source: that of the position unless said otherwise, None = there is none."""
    own = held.mark if isinstance(held, Position) and held.mark else None if mark is None else D(mark)
    other = own if second == "same" else None if second is None else D(second)
    return Seen(
        position=held if isinstance(held, Unknown) else Known(held, at_ms),
        orders=orders if isinstance(orders, Unknown) else Known(orders, at_ms),
        fills=fills if isinstance(fills, Unknown) else Known(FillPage(since_ms, fills), at_ms),
        mark=None if mark is None else Price(D(mark), Source.VENUE, 0),
        funds=Funds(D(10_000), D(10_000)),
        lookups={name: Known(found, at_ms) for name, found in (lookups or {}).items()},
        second=None if other is None else Price(other, Source.STREAM, 0),
        **more,
    )


def plan(rec: KeyRecord, look: Seen, frm: Frame | None = None) -> Plan:
    """Learn, then decide, as a turn does."""
    frm = frm or frame()
    return decide(learn(rec, look, frm), look, frm)


def told(made: Plan) -> str:
    """Say a plan in short: "concern: Action, Action", or how it ends."""
    if isinstance(made.ends, Rest):
        return f"{made.concern}: rest {made.ends.kind}"
    if isinstance(made.ends, Again):
        return f"{made.concern}: again"
    return f"{made.concern}: " + ", ".join(type(a).__name__ for a in made.actions)
