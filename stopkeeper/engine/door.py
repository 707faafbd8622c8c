"""The door: what is asked of a signal before it is put on disk. Reads only; whatever does not pass is refused here."""

from dataclasses import replace
from decimal import Decimal

from stopkeeper.core.actions import Field
from stopkeeper.core.limits import DAY_MS, Reached, Stance, counts_results, open_pnl_of, stance, switched, unreserved
from stopkeeper.core.missing import clock_trouble
from stopkeeper.core.model import ZERO, Holdings, Market, Signal
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.prices import Price, Source
from stopkeeper.core.record import Terms
from stopkeeper.core.rules import Limits
from stopkeeper.core.sizing import Refusal, work_out
from stopkeeper.engine.listing import VenueAway, listed
from stopkeeper.engine.observe import cached, look, mark_of
from stopkeeper.engine.ports import Ports, Urgency
from stopkeeper.engine.typed import Refused

MAX_WAITING = 50  # entries minted and unanswered; Hyperliquid keeps a signer's 100 highest nonces (venue docs)
DOOR_AGE_MS = 15_000


def market_of(symbol: str, ports: Ports) -> Market:
    """Return the market of a symbol, a delisted one too, or refuse it. Raises Refused, VenueAway."""
    markets = listed(ports.venue)
    if symbol not in markets:
        near = sorted(s for s in markets if s.lower() == symbol.lower()) or sorted(ports.symbols)
        raise Refused("symbol", symbol, "the venue lists no such perpetual", f"try {', '.join(near[:5])}")
    return markets[symbol]


def pass_door(signal: Signal, ports: Ports) -> Terms:
    """Ask all that is asked before a signal is admitted; return its terms. Raises Refused, VenueAway, StoreGone."""
    symbol = signal.key.symbol
    _let_in(switched(ports.flags.read(ports.account)), ports)
    market = market_of(symbol, ports)
    if market.delisted:
        raise Refused("symbol", symbol, "the venue has delisted it: nothing is opened there any more", "trade another")
    if symbol not in ports.symbols:
        reason = "the symbol is not among the account's symbols, so nothing would guard it"
        raise Refused("symbol", symbol, reason, f"add it to accounts.{ports.account}.symbols")
    holdings = _holdings(ports)
    _let_in(_stance(holdings, ports).reached, ports)
    if isinstance(holdings, Unknown):
        raise VenueAway(f"the account could not be read at the venue: {holdings.why}")
    trouble = clock_trouble(ports.venue.clock(), ports.rules)
    if trouble:
        raise Refused("account", ports.account, trouble, "see stopkeeper doctor, and try again")
    if symbol in holdings.positions:
        reason = "a position is held on this symbol"
        raise Refused("symbol", symbol, reason, "close it first: one trade per symbol and account")
    mark = mark_at_door(symbol, ports)
    terms = work_out(signal, market, mark.value, ports.rules, holdings.funds)
    if isinstance(terms, Refusal):
        raise Refused(terms.field, terms.value, terms.reason, terms.hint)
    return terms


def _let_in(reached: tuple[Reached, ...], ports: Ports) -> None:
    if reached:
        raise Refused("account", ports.account, reached[0].reason, reached[0].hint)


def _stance(holdings: Holdings | Unknown, ports: Ports) -> Stance:
    """Hold the books against the limits; without a limit over them they are not read."""
    limits, now_ms = ports.rules.limits, ports.venue.now_ms()
    results = ports.ledger.results(ports.account) if counts_results(limits) else ()
    open_pnl = None if isinstance(holdings, Unknown) else open_pnl_of(holdings)
    return stance(results, open_pnl, now_ms, limits)


def limits_of(ports: Ports) -> Limits:
    """Return the limits a signal is admitted by: its notional finds less room by what is held that no signal reserved.

    Raises VenueAway where positions cannot be read.
    """
    limits = ports.rules.limits
    if limits.max_notional is None:
        return limits
    found = _unreserved(ports, DOOR_AGE_MS) and _unreserved(ports, 0)  # it may have been closed and booked since
    return replace(limits, max_notional=max(ZERO, limits.max_notional - found))


def _unreserved(ports: Ports, age_ms: int) -> Decimal:
    holdings = _holdings(ports, age_ms)
    if isinstance(holdings, Unknown):
        raise VenueAway(f"the account could not be read at the venue: {holdings.why}")
    trades = {record.key.symbol: record.trade.id for record in ports.records.all(ports.account) if record.trade}
    held = ((trades.get(symbol), p.size * p.entry_price) for symbol, p in holdings.positions.items())
    return unreserved(held, ports.records.reserved(ports.account))


def room_for_nonces(ports: Ports) -> None:
    """Refuse a signal while so many wait that the venue would forget the oldest nonces. Raises Refused."""
    waiting = sum(1 for r in ports.records.all(ports.account) if r.trade and r.trade.nonces and not r.trade.entered_ms)
    if waiting >= MAX_WAITING:
        hint = "wait until some have entered: a venue forgets old nonces, and theirs would go stale"
        raise Refused("account", ports.account, f"{waiting} signals wait to enter", hint)


def _holdings(ports: Ports, age_ms: int = DOOR_AGE_MS) -> Holdings | Unknown:
    """Return the account's money and positions from a look of the last seconds."""
    ages = {Field.HOLDINGS: age_ms, Field.ORDERS: DAY_MS, Field.FILLS: DAY_MS}
    seen, stale = cached(ports, ages)
    read = look(ports, stale & {Field.HOLDINGS}, seen, Urgency.ORDINARY).holdings
    return read if isinstance(read, Unknown) else read.value


def mark_at_door(symbol: str, ports: Ports) -> Price:
    """Return a mark the venue named in these seconds. Raises VenueAway."""
    mark = mark_of(symbol, ports, ask=True)
    if mark is None:
        raise VenueAway(f"no mark price of {symbol} is known: the venue named none")
    if mark.source is not Source.STREAM:  # what the stream says must not look younger than it is
        ports.prices.put(ports.account, {symbol: mark.value})
    return mark
