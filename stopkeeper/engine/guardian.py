"""The guardian: while Redis cannot be reached it keeps the promise of one account alone, from copies of the records.

No store and no lease. It observes, learns in memory and decides by the same core as a drive, and does of it what
core/guarding.py allows. Once Redis answers it forgets what it learned: workers learn from the venue.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from stopkeeper.core.actions import ALL_FIELDS, Book, Cancel, Field, Flatten, Found, PlaceStop, Plan
from stopkeeper.core.case import LOOK_AGAIN_MS, Frame
from stopkeeper.core.decide import decide
from stopkeeper.core.effects import announce, conclude
from stopkeeper.core.guarding import alone, copy_of, noted, pressing
from stopkeeper.core.learn import learn
from stopkeeper.core.model import AccountSeen, Key, Seen
from stopkeeper.core.outcomes import Accepted, Barred, EntryOutcome, Outcome, Throttled, Unknown
from stopkeeper.core.policy import FIXED
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import Rules, Switches
from stopkeeper.core.sweep import claimed_symbols, project
from stopkeeper.engine.observe import asks_fills, awaits_fills, confirmed, look_ups, merged, read_account, with_left_out
from stopkeeper.engine.ports import Times, Urgency, Venue
from stopkeeper.engine.sending import permit_for, say, send, to_close, told

CALM_MS = 2_000  # between two rounds while all that is held is covered
FILLS_MS = 5_000  # how often fills are read while the same positions still ask for them
NOTES = 4  # so many changes of a copy at most come before the deed of a round
Say = Callable[[str, str], None]


@dataclass(frozen=True, eq=False)
class Copies:
    """What was known of the account when Redis last answered, at ``mono_ms`` on this process's monotonic clock."""

    records: tuple[KeyRecord, ...]
    switches: Switches
    mono_ms: int


@dataclass
class _Outage:
    """What one outage has taught; nothing of it outlives it."""

    copies: Copies
    records: dict[str, KeyRecord]
    seen: AccountSeen = field(default_factory=AccountSeen)
    looked_ms: int = 0
    held: object = None  # the positions the fills were last read for
    ends: dict[str, str] | None = field(default_factory=dict)  # of the first round, until it is told
    said: set[tuple[str, str]] = field(default_factory=set)


class Guardian:
    """Stands in for the workers of one account. ``take`` may be called while another thread is in ``patrol``.

    ``say`` is told everything it does, as (symbol or "", words). ``spare`` is the venue with the account's own key, for
    when the guardian's is refused.
    """

    def __init__(
        self,
        account: str,
        installation: str,
        symbols: tuple[str, ...],
        rules: Rules,
        times: Times,
        venue: Venue,
        say_: Say,
        spare: Venue | None = None,
        mono_ms: int = 0,
    ) -> None:
        self._account, self._installation, self._symbols = account, installation, symbols
        self._rules = replace(rules, policy=FIXED)  # nor does a policy move the stop of what is found meanwhile
        self._times, self._venue, self._spare = times, venue, spare
        self._say_ = say_
        self._copies = Copies((), Switches(), mono_ms)
        self._outage: _Outage | None = None
        self._gone_s = 0

    def take(self, records: Sequence[KeyRecord], switches: Switches, mono_ms: int) -> None:
        """Take the account's records and switches as Redis tells them now; a round that is under way ends."""
        self._copies = Copies(tuple(records), switches, mono_ms)

    def dismiss(self) -> None:
        """End a round that is under way before its next deed; the copies stay."""
        self._copies = Copies(self._copies.records, self._copies.switches, self._copies.mono_ms)

    def patrol(self, mono_ms: int) -> int:
        """Look at the account once and do what cannot wait; return how many ms may pass until the next round."""
        copies, outage = self._copies, self._outage
        if outage is None or outage.copies is not copies:
            records = {record.key.symbol: copy_of(record) for record in copies.records}
            outage = self._outage = _Outage(copies, records)
        self._gone_s = (mono_ms - copies.mono_ms) // 1000
        fields = frozenset({Field.HOLDINGS, Field.ORDERS})
        wait_ms = self._venue.wait_ms(fields, Urgency.PROTECTIVE)
        if wait_ms:
            return wait_ms + LOOK_AGAIN_MS  # not at the first moment: what is to be done then costs budget too
        self._look(outage)
        markets = set(self._venue.markets())
        if not markets:
            self._once(outage, "", "markets", "nothing can be done: the venue's list of markets cannot be read")
            return CALM_MS
        pause_ms = CALM_MS
        claimed = claimed_symbols(outage.seen, self._installation, copies.switches)
        for symbol in sorted({*self._symbols, *outage.records, *claimed} & markets):
            if self._venue.now_ms() - outage.looked_ms > self._times.http_ms:
                self._look(outage)  # what was done for other keys took long
            if self._is_over(outage):
                return 0
            if self._mind(symbol, outage):
                pause_ms = LOOK_AGAIN_MS
        self._introduce(outage)
        return pause_ms

    def _is_over(self, outage: _Outage) -> bool:
        return self._copies is not outage.copies

    # --- looking ---------------------------------------------------------------------------------------------------

    def _look(self, outage: _Outage) -> None:
        """Read positions and orders, and fills where something asks for them; each may stay Unknown."""

        def records() -> Sequence[KeyRecord]:
            return tuple(outage.records.values())

        def read(fields: frozenset[Field]) -> None:
            found = read_account(self._venue, fields, outage.seen.fills, Urgency.PROTECTIVE, records)
            outage.seen = merged(outage.seen, found, fields)

        read(frozenset({Field.HOLDINGS, Field.ORDERS}))
        if self._wants_fills(outage):
            read(ALL_FIELDS - {Field.HOLDINGS, Field.ORDERS})
        outage.looked_ms = self._venue.now_ms()
        blind = [f"{name}: {got.why}" for name in ALL_FIELDS if isinstance(got := getattr(outage.seen, name), Unknown)]
        if blind:
            self._once(outage, "", "blind", f"not all can be read: {'; '.join(sorted(blind))}")
        else:
            outage.said.discard(("", "blind"))

    def _wants_fills(self, outage: _Outage) -> bool:
        holdings, fills = outage.seen.holdings, outage.seen.fills
        if isinstance(fills, Unknown) or isinstance(holdings, Unknown):
            return isinstance(fills, Unknown)
        held = {symbol: (position.side, position.size) for symbol, position in holdings.value.positions.items()}
        of = self._installation
        asked = any(awaits_fills(each) or asks_fills(each, outage.seen, of) for each in outage.records.values())
        due = asked and (held != outage.held or holdings.at_ms - fills.at_ms >= FILLS_MS)
        if due:
            outage.held = held
        return due

    def _see(self, record: KeyRecord, outage: _Outage) -> tuple[Seen, Frame]:
        venue, symbol = self._venue, record.key.symbol
        seen = project(outage.seen, symbol)
        answers = look_ups(record, seen, venue, self._installation, {})
        seen = with_left_out(record, project(outage.seen, symbol, lookups=answers), answers, self._installation)
        seen = confirmed(record, seen, venue, self._rules)
        now = Frame(
            now_ms=venue.now_ms(),
            clock_age_ms=venue.clock_age_ms(),
            rules=self._rules,
            can=venue.can,
            market=venue.markets()[symbol],
            switches=outage.copies.switches,
            installation=self._installation,
        )  # no age of the feed: an entry that rests is not watched by anybody who could write down that it filled
        return seen, now

    # --- acting ----------------------------------------------------------------------------------------------------

    def _mind(self, symbol: str, outage: _Outage) -> bool:
        """Decide about a key and do what may be done alone; return whether it must be looked at again at once."""
        record = outage.records.get(symbol) or KeyRecord(Key(self._account, symbol))
        seen, now = self._see(record, outage)
        record = learn(record, seen, now)
        plan = decide(record, seen, now, alone)
        for _ in range(NOTES):
            after = noted(record, plan)
            if after is None:
                break
            self._tell_note(symbol, plan)
            record = learn(after, seen, now)
            plan = decide(record, seen, now, alone)
        if record.trade is not None or symbol in outage.records:
            outage.records[symbol] = record
        for alarm in plan.alarms:
            self._once(outage, symbol, alarm.kind, alarm.text.removeprefix(f"{record.key}: "))
        if outage.ends is not None and plan.ends is not None and record.trade is not None:
            outage.ends[symbol] = plan.ends.why
        for action in plan.actions:
            late = self._venue.now_ms() - now.now_ms > self._times.http_ms  # this process froze since it decided
            if self._is_over(outage) or late or not isinstance(action, PlaceStop | Flatten | Cancel):
                break
            outcome = self._do(action, outage.records.get(symbol, record), outage)
            if not isinstance(outcome, Accepted):
                break
        return pressing(plan, now.now_ms)

    def _do(self, action: PlaceStop | Flatten | Cancel, record: KeyRecord, outage: _Outage) -> Outcome:
        """Send one action as a drive does, its notes kept in memory."""
        venue, symbol, closing = self._venue, record.key.symbol, None
        if isinstance(action, Flatten):
            found = to_close(action, symbol, venue, self._rules)
            if not isinstance(found, tuple):
                self._say(symbol, f"flatten ({action.why}): {say(found)}")
                return found
            closing = found
        permit = permit_for(action, record, venue, self._times)
        if isinstance(permit, Throttled):
            self._once(outage, symbol, "throttled", f"{type(action).__name__}: {permit.text}")
            return permit
        record = announce(record, action, permit.deadline_ms, permit.nonce, venue.now_ms())
        outcome = send(action, closing, record, permit, venue, self._installation)
        outage.records[symbol] = conclude(record, action, outcome, venue.now_ms(), venue.can.lag_ms)
        self._say(symbol, told(action, outcome))
        assert not isinstance(outcome, EntryOutcome)
        if isinstance(outcome, Barred) and self._spare is not None:
            self._say("", f"its key is refused ({outcome.text}): it goes on with the account's own")
            self._venue, self._spare = self._spare, None
        return outcome

    # --- telling ---------------------------------------------------------------------------------------------------

    def _tell_note(self, symbol: str, plan: Plan) -> None:
        for action in plan.actions:
            if isinstance(action, Found):
                self._say(symbol, f"{action.why}: {action.trade.side} {action.trade.opening_size:f}")
            elif isinstance(action, Book):
                self._say(symbol, f"closed, to be booked once Redis is back: {action.why}")

    def _introduce(self, outage: _Outage) -> None:
        """Tell once how the first round found what no deed was told of."""
        if outage.ends is not None:
            found = "; ".join(f"{symbol}: {why}" for symbol, why in outage.ends.items())
            self._say("", f"first round done: {found or 'no position was at rest'}")
        outage.ends = None

    def _once(self, outage: _Outage, symbol: str, kind: str, text: str) -> None:
        if (symbol, kind) not in outage.said:
            outage.said.add((symbol, kind))
            self._say(symbol, text)

    def _say(self, symbol: str, text: str) -> None:
        self._say_(symbol, f"Redis is gone for {self._gone_s} s: guardian: {symbol}{': ' if symbol else ''}{text}")
