"""A ``Venue`` directly over the paper market, without a wire: no HTTP, no signing, no ccxt, no clock but the market's.

For the simulation: months of a market in minutes, and days of lost answers. Here are the right to act and the effects;
the reads stand in simulated_reads.py. Requests and weight are counted as the venue would, and the engine is refused
what the gateway would refuse it.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

from exchange import simulated_words as words
from exchange.budget import ADDRESS_FLOOR, ASK_AGAIN_MS, EFFECT_WEIGHT
from exchange.paper.model import NewOrder, Tif, Tpsl, Trigger
from exchange.paper.venue import Venue as PaperVenue
from exchange.simulated_reads import Fault, SimulatedReads
from stopkeeper.core.model import MarginMode, Resting, Side
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Outcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.record import Terms
from stopkeeper.core.rules import Ability
from stopkeeper.engine.ports import BudgetSource, EntryIds, NonceSource, Permit, TextCache, Urgency

DEADLINE_MS = 4_000
HELD_MS = 10_000
_TIF: Mapping[Resting, Tif] = {Resting.NO: "Ioc", Resting.GTC: "Gtc", Resting.POST_ONLY: "Alo"}


class SimulatedVenue(SimulatedReads):
    """One account at the paper market. Numbers must be on the market's grid: off it the market refuses them.

    ``latency`` is called on the way there and on the way back, so that the market may move between any two requests.
    ``fault`` is asked before each request, by the name of the method and the symbol ("" for the whole account):
    "lost_before" = it never arrives, "lost_after" = it is done and its answer is lost, "refused" = it is refused,
    "throttled" = the venue says that too much was asked of it.
    """

    can = Ability(
        whole_stop=False,
        amend_atomic=False,
        attach=False,
        trigger_without_position=True,
        deadline_on=frozenset({"order", "cancel", "updateLeverage"}),
        oversize_covers=True,
        lag_ms=3_000,
    )

    def __init__(
        self,
        paper: PaperVenue,
        address: str,
        nonces: NonceSource,
        budget: BudgetSource,
        cache: TextCache,
        *,
        latency: Callable[[], None] = lambda: None,
        fault: Fault = lambda _name, _symbol: None,
    ) -> None:
        super().__init__(paper, address, budget, cache, latency=latency, fault=fault)
        self._nonces = nonces

    def reserve_nonces(self, count: int) -> tuple[int, ...]:
        """Mint an entry's nonces at admission, one an attempt, rising."""
        first = self._nonces.take(self.address, self.now_ms(), count)
        return tuple(range(first, first + count))

    def permit(self, urgency: Urgency, until_ms: int, *, nonce: int | None = None) -> Permit | Throttled:
        """Reserve rate budget, then mint nonce (unless given) and deadline: the earlier of until_ms and now + 4 s."""
        left = self._actions.left()
        if urgency is not Urgency.PROTECTIVE and left is not None and left < ADDRESS_FLOOR:
            return Throttled(f"{left} actions left for this address: kept for protection", ASK_AGAIN_MS)
        wait_ms = self._budget.reserve(EFFECT_WEIGHT, urgency)
        if wait_ms:
            return Throttled(f"own rate budget: free in {wait_ms} ms", wait_ms)
        number = self.reserve_nonces(1)[0] if nonce is None else nonce
        return Permit(number, min(until_ms, self.now_ms() + DEADLINE_MS))

    def prove(self, _permit: Permit) -> Outcome:
        """Accept: nothing is signed here."""
        return Accepted()

    def prepare(self, symbol: str, leverage: int, mode: MarginMode, permit: Permit) -> Outcome:
        """Set leverage and margin mode of a symbol."""

        def act() -> tuple[Outcome, ...]:
            cross = mode is MarginMode.CROSS
            refused = self.paper.market.set_leverage(self.address, symbol, leverage, is_cross=cross)
            return (Accepted() if refused is None else words.refusal_of(refused),)

        return self._act("prepare", symbol, "updateLeverage", permit, 1, act)[0]

    def enter(self, symbol: str, side: Side, terms: Terms, ids: EntryIds, permit: Permit) -> EntryOutcome:
        """Send entry, stop and targets as one action: all independent, or a bracket that rests."""
        out, rests = side.opposite, terms.resting is not Resting.NO
        tif = _TIF[terms.resting]
        legs = [
            NewOrder(symbol, side is Side.LONG, terms.worst_price, terms.size, False, tif, cloid=f"0x{ids.entry}"),  # noqa: FBT003
            _closing(symbol, out, terms.size, terms.stop_worst, ids.stop, terms.stop, "sl"),
        ]
        legs += [
            _closing(symbol, out, target.size, target.worst, name, target.trigger, "tp")
            for target, name in zip(terms.targets, ids.targets, strict=True)
        ]
        entry, stop, *targets = self._place("enter", symbol, legs, permit, rests=rests)
        return EntryOutcome(entry, stop, tuple(targets))

    def place_stop(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome:
        """Place a reduce-only market stop for a position of side ``held``."""
        leg = _closing(symbol, held.opposite, size, worst, client_id, trigger, "sl")
        return self._reduce("place_stop", symbol, held, leg, permit)

    def place_target(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome:
        """Place a reduce-only market target for a position of side ``held``."""
        leg = _closing(symbol, held.opposite, size, worst, client_id, trigger, "tp")
        return self._reduce("place_target", symbol, held, leg, permit)

    def close(self, symbol: str, held: Side, size: Decimal, worst: Decimal, client_id: str, permit: Permit) -> Outcome:
        """Close ``size`` of a position of side ``held``: reduce-only, immediate, at ``worst`` price or better."""
        return self._reduce("close", symbol, held, _closing(symbol, held.opposite, size, worst, client_id), permit)

    def cancel(self, symbol: str, order_id: str, permit: Permit) -> Outcome:
        """Cancel one order by the venue's id."""

        def act() -> tuple[Outcome, ...]:
            refused = self.paper.market.cancel(self.address, symbol, int(order_id), self.paper.now_ms())
            return (Accepted() if refused is None else words.refusal_of(refused),)

        return self._act("cancel", symbol, "cancel", permit, 1, act)[0]

    def _reduce(self, name: str, symbol: str, held: Side, leg: NewOrder, permit: Permit) -> Outcome:
        outcome = self._place(name, symbol, [leg], permit, rests=False)[0]
        if isinstance(outcome, Accepted) and outcome.filled > 0:
            self._held = ({}, 0)  # what was seen is no longer so
        sides, at_ms = self._held
        seen = self.now_ms() - at_ms < HELD_MS and sides.get(symbol) is held
        if seen and isinstance(outcome, Rejected) and outcome.reason is Reason.NO_POSITION:
            return Rejected(Reason.OVERSIZE, outcome.text)  # as the gateway reads the venue's one text for both
        return outcome

    def _place(
        self, name: str, symbol: str, legs: list[NewOrder], permit: Permit, *, rests: bool
    ) -> tuple[Outcome, ...]:
        def act() -> tuple[Outcome, ...]:
            grouping: Literal["normalTpsl", "na"] = "normalTpsl" if rests else "na"
            answers = self.paper.market.place(self.address, legs, grouping, self.paper.now_ms())
            return tuple(words.outcome_of(answer) for answer in answers)

        return self._act(name, symbol, "order", permit, len(legs), act)

    def _act(
        self, name: str, symbol: str, kind: str, permit: Permit, count: int, what: Callable[[], tuple[Outcome, ...]]
    ) -> tuple[Outcome, ...]:
        """Send one action: refused at home past its deadline; at the venue by deadline, nonce and budget, in order."""
        if symbol not in self.paper.listing:
            return (Throttled(f"not sent: {symbol!r} is not on the venue's list"),) * count
        if self.now_ms() >= permit.deadline_ms:
            return (Throttled("not sent: its deadline has passed"),) * count
        verdict = self._fault(name, symbol)
        self._latency()
        if verdict == "throttled":
            return (Throttled("HTTP 429"),) * count
        self._count(kind, EFFECT_WEIGHT)
        if verdict == "lost_before":
            return (Unknown("lost before it arrived"),) * count
        if verdict == "refused":
            return (Rejected(Reason.CAP, "refused by a fault"),) * count
        outcomes = self._at_the_venue(kind, permit, count, what)
        self._latency()
        return (Unknown("its answer was lost"),) * count if verdict == "lost_after" else outcomes

    def _at_the_venue(
        self, kind: str, permit: Permit, count: int, what: Callable[[], tuple[Outcome, ...]]
    ) -> tuple[Outcome, ...]:
        now = self.paper.now_ms()
        refused = self.paper.nonces.use(self.address, permit.nonce, now)
        if refused is None and now > permit.deadline_ms:
            refused = f"Action expired: expiresAfter {permit.deadline_ms} is before {now}"
        refused = refused or self.paper.meter.charge(self.account, kind, count, now)
        if refused is not None:
            return (words.refusal_of(refused),) * count
        outcomes = what()
        self.paper.settle()
        return outcomes


def _closing(
    symbol: str,
    side: Side,
    size: Decimal,
    worst: Decimal,
    client_id: str,
    trigger: Decimal | None = None,
    tpsl: Tpsl = "sl",
) -> NewOrder:
    """Return a reduce-only order: immediate, or at the market once its trigger is reached."""
    waits = None if trigger is None else Trigger(trigger, is_market=True, tpsl=tpsl)
    return NewOrder(
        coin=symbol,
        is_buy=side is Side.LONG,
        limit_px=worst,
        size=size,
        reduce_only=True,
        tif="Ioc" if waits is None else None,
        trigger=waits,
        cloid=f"0x{client_id}",
    )
