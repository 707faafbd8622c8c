"""Look at the venue: per account, positions first, then orders, then fills; what is young enough is not read again.

Positions come first because a stale position beside newer orders errs towards a false naked, which is harmless.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from stopkeeper.core.actions import ALL_FIELDS, Field
from stopkeeper.core.asking import another_trades, history_after_ms, left_out, questions, stop_id
from stopkeeper.core.case import Frame, doubtful
from stopkeeper.core.model import (
    AccountSeen,
    FillPage,
    History,
    Known,
    Lookup,
    Order,
    Position,
    Resting,
    Seen,
)
from stopkeeper.core.moving import needs_candles
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.pages import fills_since, still_asked_for
from stopkeeper.core.prices import Price
from stopkeeper.core.record import KeyRecord, Origin, Placed, Trade
from stopkeeper.core.rules import OrphanPolicy, Rules
from stopkeeper.core.sweep import project
from stopkeeper.core.trailing import average_true_range
from stopkeeper.engine.listing import market_named
from stopkeeper.engine.ports import Ports, Urgency, Venue

FILLS_AGAIN_MS = 60_000  # how much of a page that was read before is read again: more than any view may lag


def frame(ports: Ports, record: KeyRecord) -> Frame:
    """Return the circumstances of a decision now. Raises VenueAway for a symbol the venue is not known to list."""
    signal = record.trade.signal if record.trade else None
    watched = signal is not None and signal.resting is not Resting.NO  # only an entry that rests asks for the feed
    return Frame(
        now_ms=ports.venue.now_ms(),
        clock_age_ms=ports.venue.clock_age_ms(),
        rules=ports.rules,
        can=ports.venue.can,
        market=market_named(record.key.symbol, ports.venue),
        switches=ports.flags.read(ports.account),
        installation=ports.installation,
        feed_age_ms=ports.prices.heard_ms(ports.account) if watched else None,
        clock_apart_ms=ports.venue.clock().apart_ms,
        forgot_age_ms=ports.records.forgot_ms() if may_enter(record) else None,
    )


def at_once() -> None:
    """Do nothing between two reads: what a look without a lease does."""


def look(
    ports: Ports,
    fields: frozenset[Field],
    known: AccountSeen,
    urgency: Urgency,
    between: Callable[[], None] = at_once,
) -> AccountSeen:
    """Read fields of an account afresh, in order, and share what was seen with every process.

    All of them or none: many keys that each read the half of a short budget would keep each other blind for ever.
    Threads that ask at the same time share one look; where the budget grants none, that of another process serves.
    ``between`` is called before the orders and the fills are read.
    """
    if not fields:
        return known
    if Field.ORDERS in fields:
        fields |= {Field.HOLDINGS}  # the time of the positions dates them: by those of long ago they would look old

    def records() -> Sequence[KeyRecord]:
        return ports.records.all(ports.account)

    def read(wanted: frozenset[Field]) -> AccountSeen | Unknown:
        found = read_account(ports.venue, wanted, known.fills, urgency, records, between)
        if isinstance(found, AccountSeen):  # only what was read: saving the rest would make it look younger than it is
            ports.looks.save(ports.account, found)
        return found

    found = ports.lookout.share(urgency, fields, read, between)
    return merged(known, _of_others(known, found, ports) if isinstance(found, Unknown) else found, fields)


def _of_others(known: AccountSeen, denied: Unknown, ports: Ports) -> AccountSeen:
    """Return what other processes read in these seconds and is later than what is known, else why there is none."""
    shared, ages = ports.looks.load(ports.account)
    new: dict[str, Known[object] | Unknown] = {}
    for field in ALL_FIELDS:
        before, other = getattr(known, field.value), getattr(shared, field.value)
        young = ages.get(field, ports.times.look_fresh_ms) < ports.times.look_fresh_ms
        later = isinstance(other, Known) and (isinstance(before, Unknown) or other.at_ms > before.at_ms)
        new[field.value] = other if young and later else denied
    return replace(AccountSeen(), **new)  # type: ignore[arg-type]


def read_account(
    venue: Venue,
    fields: frozenset[Field],
    known: Known[FillPage] | Unknown,
    urgency: Urgency,
    records: Callable[[], Sequence[KeyRecord]],
    between: Callable[[], None] = at_once,
) -> AccountSeen | Unknown:
    """Read fields of an account, in order; Unknown where the own rate budget grants no look at all of them."""
    wait_ms = venue.wait_ms(fields, urgency)
    if wait_ms:
        return Unknown(f"own rate budget: a look in {wait_ms} ms")
    read = AccountSeen()
    if Field.HOLDINGS in fields:
        read = replace(read, holdings=venue.holdings(urgency))
    if Field.ORDERS in fields:
        between()
        read = replace(read, orders=venue.orders(urgency))
    if Field.FILLS in fields:
        between()
        read = replace(read, fills=_fills(venue, records(), known, urgency))
    return read


def merged(known: AccountSeen, read: AccountSeen | Unknown, fields: frozenset[Field]) -> AccountSeen:
    """Put what was read, or why it could not be, into what is known."""
    new = {field.value: read if isinstance(read, Unknown) else getattr(read, field.value) for field in fields}
    return replace(known, **new)


def _fills(
    venue: Venue, records: Sequence[KeyRecord], known: Known[FillPage] | Unknown, urgency: Urgency
) -> Known[FillPage] | Unknown:
    """Read the fills of all open trades; of a page known from before only its newest part is read again."""
    now = venue.now_ms()
    since = fills_since(records, now)
    again = None if isinstance(known, Unknown) or known.value.since_ms > since else known
    newest = venue.fills(since if again is None else max(since, again.at_ms - FILLS_AGAIN_MS), urgency)
    if isinstance(newest, Unknown):
        return newest
    before = () if again is None else again.value.fills
    both = {f.id: f for f in (*before, *newest.value.fills) if f.time_ms >= since}
    return Known(FillPage(since, still_asked_for(both.values(), records, now)), newest.at_ms)


def cached(ports: Ports, max_age_ms: Mapping[Field, int]) -> tuple[AccountSeen, frozenset[Field]]:
    """Return the shared look without what is too old, and the fields that must be read."""
    seen, ages = ports.looks.load(ports.account)
    stale = {field for field in ALL_FIELDS if ages.get(field) is None or ages[field] >= max_age_ms.get(field, 0)}
    if ports.venue.clock_age_ms() is None or (ports.venue.clock_age_ms() or 0) > ports.times.offset_max_age_ms:
        stale.add(Field.HOLDINGS)  # its answer carries the venue's clock
    return seen, frozenset(stale)


def first_look(record: KeyRecord, ports: Ports, between: Callable[[], None] = at_once) -> AccountSeen:
    """Observe for a key's first turn: an entry may lean on a fresh shared look, everything else looks for itself."""
    if awaiting_entry(record):
        fresh = ports.times.look_fresh_ms
        ages = {Field.HOLDINGS: fresh, Field.ORDERS: fresh, Field.FILLS: ports.times.sweep_ms}
        seen, stale = cached(ports, ages)
        stale |= _unfit(record, seen) | _may_have_changed(record, seen)
        seen = look(ports, stale, seen, Urgency.ORDINARY, between)
        if stale >= ALL_FIELDS or not _holds(record, seen):
            return seen
        # whose it is, and what stands for it, is told by nothing that was read before it
        return look(ports, ALL_FIELDS, seen, Urgency.PROTECTIVE, between)
    nothing = AccountSeen()
    seen = replace(cached(ports, {})[0], holdings=nothing.holdings, orders=nothing.orders)  # they are read in any case
    if awaits_fills(record):
        return look(ports, ALL_FIELDS, seen, Urgency.PROTECTIVE, between)
    seen = look(ports, frozenset({Field.HOLDINGS, Field.ORDERS}), seen, Urgency.PROTECTIVE, between)
    if not asks_fills(record, seen, ports.installation):
        return seen
    return look(ports, frozenset({Field.FILLS}), seen, Urgency.PROTECTIVE, between)


def _holds(record: KeyRecord, seen: AccountSeen) -> bool:
    return not isinstance(seen.holdings, Unknown) and record.key.symbol in seen.holdings.value.positions


def awaiting_entry(record: KeyRecord) -> bool:
    """Return whether a key's trade is a signal of which nothing was sent yet."""
    trade = record.trade
    return trade is not None and trade.origin is Origin.SIGNAL and not trade.sent and trade.entered_ms is None


def may_enter(record: KeyRecord) -> bool:
    """Return whether a key's trade is a signal that has not entered: its first attempt may leave yet, or the next."""
    trade = record.trade
    return trade is not None and trade.origin is Origin.SIGNAL and trade.entered_ms is None


def _unfit(record: KeyRecord, seen: AccountSeen) -> frozenset[Field]:
    """A page of fills that begins after the trade tells nothing of it."""
    trade, fills = record.trade, seen.fills
    if trade and not isinstance(fills, Unknown) and fills.value.since_ms > trade.created_ms:
        return frozenset({Field.FILLS})
    return frozenset()


def _may_have_changed(record: KeyRecord, seen: AccountSeen) -> frozenset[Field]:
    """Beside an order that may open a position, positions are read anew: its fill may be what the drive is for.

    So they are where looks that deny one are counted: an old one counts once.
    """
    orders = () if isinstance(seen.orders, Unknown) else seen.orders.value
    opens = any(order.symbol == record.key.symbol and not order.reduce_only for order in orders)
    return frozenset({Field.HOLDINGS}) if opens or record.denied else frozenset()


def awaits_fills(record: KeyRecord) -> bool:
    """Return whether fills are asked for whatever is held: an entry without proof, an exit that is not booked."""
    trade = record.trade
    unbooked = trade is not None and (trade.flat_since_ms is not None or any(s.unproven for s in trade.sent))
    return unbooked or bool(record.settling)


def asks_fills(record: KeyRecord, seen: AccountSeen, installation: str) -> bool:
    """Fills are read where something changed, or where they tell whose a position is.

    That is to be told where it is to be closed by the policy, and where an order of ours is of another trade: what is
    held looks like this one's, and the record may have gone back, or the guardian acted while none could be written.
    """
    trade = record.trade
    if trade is None or isinstance(seen.holdings, Unknown):
        return False
    if trade.orphan is OrphanPolicy.CLOSE and trade.close is None:
        return True
    position: Position | None = seen.holdings.value.positions.get(record.key.symbol)
    if position is None or position.side is not trade.side or position.size != trade.explained:
        return True
    return not isinstance(seen.orders, Unknown) and another_trades(trade, seen.orders.value, installation)


def stop_by_id(symbol: str, trade: Trade, placed: Placed, ports: Ports) -> Order | None:
    """Read one acked stop back by its id: the whole order if it is live, else None; a tenth of all orders' weight."""
    answer = ports.venue.lookup(symbol, stop_id(trade, placed, ports.installation), Urgency.PROTECTIVE)
    return None if isinstance(answer, Unknown) else answer.value.order


def with_order(seen: AccountSeen, order: Order) -> AccountSeen:
    """Put an order read back alone into this drive's look; not into the shared one, whose others grow no younger."""
    assert isinstance(seen.orders, Known)
    others = tuple(o for o in seen.orders.value if o.id != order.id)
    return replace(seen, orders=Known((*others, order), seen.orders.at_ms))


def narrow(record: KeyRecord, account: AccountSeen, ports: Ports, asked: dict[str, Known[Lookup]]) -> Seen:
    """Cut an account's look to the record's key; add its mark, and the look-ups that are open.

    ``asked`` keeps this drive's answers, so that an id is asked for once before its first send.
    """
    symbol = record.key.symbol
    seen = project(account, symbol, lookups=dict(asked))
    answers = look_ups(record, seen, ports.venue, ports.installation, asked)
    seen = with_left_out(record, seen, answers, ports.installation)
    seen = replace(seen, lookups=answers, atr=atr_of(record, ports), history=_history(record, seen, ports))
    if seen.mark:
        return with_second(record, seen, ports)
    return replace(seen, mark=mark_of(symbol, ports, ask=needs_mark(record)))


def with_left_out(
    record: KeyRecord, seen: Seen, answers: Mapping[str, Known[Lookup] | Unknown], installation: str
) -> Seen:
    """Put the stop that lives by its own id beside a list that leaves it out: the id's is the later word."""
    for name in left_out(record, seen, installation):
        answer = answers.get(name)  # without a trade nothing was asked yet
        order = answer.value.order if isinstance(answer, Known) else None
        if order is not None and isinstance(seen.orders, Known):
            others = tuple(each for each in seen.orders.value if each.id != order.id)
            seen = replace(seen, orders=Known((*others, order), seen.orders.at_ms))
    return seen


def look_ups(
    record: KeyRecord, seen: Seen, venue: Venue, installation: str, asked: dict[str, Known[Lookup]]
) -> dict[str, Known[Lookup] | Unknown]:
    """Look up the ids that are open, and return all answers; those that are known are put into ``asked`` too."""
    urgency = Urgency.ORDINARY if awaiting_entry(record) else Urgency.PROTECTIVE
    answers: dict[str, Known[Lookup] | Unknown] = dict(asked)
    for client_id in questions(record, seen, installation, venue.can.lag_ms):
        if client_id in asked and urgency is Urgency.ORDINARY:
            continue
        answer = venue.lookup(record.key.symbol, client_id, urgency)
        answers[client_id] = answer
        if isinstance(answer, Known):
            asked[client_id] = answer
    return answers


def _history(record: KeyRecord, seen: Seen, ports: Ports) -> Known[History] | Unknown:
    """Read the venue's history of orders where a record is new: it may follow one that is lost."""
    after_ms = history_after_ms(record, seen, ports.venue.can.lag_ms)
    if after_ms is None:
        return seen.history
    return ports.venue.history(after_ms, Urgency.ORDINARY if awaiting_entry(record) else Urgency.PROTECTIVE)


def with_second(record: KeyRecord, seen: Seen, ports: Ports) -> Seen:
    """Add a mark of another source to that of the position; asked for where one reading must not decide alone."""
    streamed = ports.prices.get(ports.account, record.key.symbol)
    if streamed and streamed.age_ms <= ports.times.look_fresh_ms:
        seen = replace(seen, second=streamed)
    return confirmed(record, seen, ports.venue, ports.rules)


def confirmed(record: KeyRecord, seen: Seen, venue: Venue, rules: Rules) -> Seen:
    """Ask the venue for another mark than the position's where one reading must not decide alone."""
    if not doubtful(record, seen, rules):
        return seen
    asked = venue.mark(record.key.symbol, Urgency.PROTECTIVE)
    return replace(seen, second=asked) if asked else seen


def atr_of(record: KeyRecord, ports: Ports) -> Decimal | None:
    """Return the average true range a trade's policy asks for; the candles are read once a bar, for all who ask."""
    trade = record.trade
    if trade is None or not needs_candles(trade):
        return None
    trail, symbol = trade.policy.trail, record.key.symbol
    candles = ports.venue.candles(symbol, trail.interval, trail.bars * 3)
    if isinstance(candles, Unknown):
        return None
    return average_true_range(candles.value[:-1], trail.bars)


def needs_mark(record: KeyRecord) -> bool:
    """Return whether a mark is worth a request: an entry is coming and its leverage will not be read back anyway."""
    trade = record.trade
    if trade is None or trade.origin is not Origin.SIGNAL or trade.entered_ms is not None:
        return False
    return record.prepared is not None and not any(sent.unproven for sent in trade.sent)


def mark_of(symbol: str, ports: Ports, *, ask: bool) -> Price | None:
    """Return the newest mark: the feed's while it is fresh, else, if asked for, the venue's own answer."""
    price = ports.prices.get(ports.account, symbol)
    if price and price.age_ms <= ports.times.look_fresh_ms:
        return price
    if not ask:
        return None
    settings = ports.venue.settings(symbol, Urgency.ORDINARY)
    mark = None if isinstance(settings, Unknown) else settings.value.mark
    return mark or ports.venue.mark(symbol, Urgency.ORDINARY)
