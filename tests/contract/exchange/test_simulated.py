"""The simulated venue against the gateway: one story told to both, and everything they say compared.

The gateway speaks over real HTTP to a paper venue, the simulated venue to a paper market of its own in this process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Context, setcontext
from decimal import Decimal as Dec
from typing import Any

import pytest

from exchange.budget import LocalBudget, LocalCache
from exchange.hyperliquid import Hyperliquid
from exchange.nonces import LocalNonces
from exchange.paper.inprocess import start_in_thread
from exchange.paper.knobs import Knobs
from exchange.paper.prices import Still
from exchange.paper.signed import ACTIONS
from exchange.paper.symbols import listing
from exchange.paper.venue import Venue as PaperVenue
from exchange.simulated import SimulatedVenue
from exchange.simulated_reads import Answer
from stopkeeper.core.model import (
    Fill,
    FillPage,
    History,
    Holdings,
    Known,
    Lookup,
    MarginMode,
    Order,
    OrderState,
    Resting,
    Side,
)
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.prices import Price
from stopkeeper.core.record import Prepared, TargetTerms, Terms
from stopkeeper.engine.ports import EntryIds, Permit, Settings, Urgency, Venue
from tests.contract.exchange.conftest import Paper

NOW = Urgency.PROTECTIVE
SIZE, MARK = Dec("0.01"), Dec(95000)
ADDRESS = "0x" + "ab" * 20


def _id(number: int) -> str:
    return f"57b{number:029x}"


@dataclass
class Told:
    """A venue, how its mark is moved and its faults arranged, and everything it said, without times and order ids."""

    venue: Venue
    move: Callable[[Dec], None]
    fault: Callable[[str, dict[str, Any]], None]
    weights: Callable[[], dict[str, int]]
    said: list[tuple[str, Any]] = field(default_factory=list)

    def note(self, what: str, answer: Any) -> Any:
        self.said.append((what, plain(answer)))
        return answer

    def look(self, what: str) -> None:
        for name, read in (("holdings", self.venue.holdings), ("orders", self.venue.orders)):
            self.note(f"{what}: {name}", read(NOW))
        self.note(f"{what}: fills", self.venue.fills(0, NOW))

    def permit(self, **more: Any) -> Permit:
        found = self.venue.permit(NOW, self.venue.now_ms() + 9_000, **more)
        assert isinstance(found, Permit)
        return found


def plain(answer: Any) -> Any:
    """Return what two venues must agree on: not the times, the ids of orders and fills, nor the words of a refusal."""
    match answer:
        case Known(value):
            return ("known", plain(value))
        case Unknown():
            return "unknown"
        case Throttled():
            return "throttled"
        case Rejected(reason):
            return ("rejected", str(reason))
        case Accepted(order_id):
            return replace(answer, order_id=order_id and "named")
        case EntryOutcome():
            return [plain(each) for each in (answer.entry, answer.stop, *answer.targets)]
        case History(unended, symbols):
            return plain(unended), symbols
        case Order():
            return replace(answer, id="", placed_ms=0)
        case Fill():
            return replace(answer, id="", order_id="", time_ms=0)
        case FillPage():
            return [plain(fill) for fill in answer.fills]
        case Lookup():
            return (answer.state, answer.filled, plain(answer.order))
        case Holdings():
            return (dict(answer.positions), answer.funds)
        case Settings():
            return (plain(answer.prepared), plain(answer.mark))
        case Prepared():
            return (answer.leverage, answer.margin_mode)
        case Price():
            return (answer.value, answer.source)
        case tuple():
            return [plain(each) for each in answer]
        case _:
            return answer


def _gateway() -> Iterator[Told]:
    with start_in_thread(prices="still") as (where, _server):
        paper = Paper(where.url, where.control_url)
        venue = paper.open()

        def move(mark: Dec) -> None:
            paper.control("/mark", {"symbol": "BTC", "price": str(mark), "hold_ms": None})

        def weights() -> dict[str, int]:
            return dict(paper.control("/stats")["weight"]["by_type"])

        paper.control("/stats/reset", {})
        yield Told(venue, move, lambda kind, more: paper.fault(kind, **more), weights)


def _simulated(**more: Any) -> SimulatedVenue:
    market = PaperVenue(listing(), Knobs(), Still(), frozenset(ACTIONS))
    return SimulatedVenue(market, ADDRESS, LocalNonces(), LocalBudget(), LocalCache(), **more)


def _beside_it(**more: Any) -> Told:
    venue = _simulated(**more)

    def fault(kind: str, more: dict[str, Any]) -> None:
        venue.paper.faults.add({"kind": kind, **more}, venue.now_ms())

    venue.holdings(NOW)
    venue.weight.clear()
    return Told(venue, lambda mark: venue.paper.push_mark("BTC", mark, None), fault, lambda: dict(venue.weight))


def _terms(**changes: Any) -> Terms:
    parts = [TargetTerms(Dec("0.004"), MARK * Dec(f) / 100, MARK * Dec("0.92")) for f in ("102", "104")]
    plain_ = Terms(SIZE, MARK * Dec("1.02"), MARK * Dec("0.95"), MARK * Dec("0.855"), MARK, targets=tuple(parts))
    return replace(plain_, **changes)


def _ids(first: int, targets: int = 2) -> EntryIds:
    return EntryIds(_id(first), _id(first + 1), tuple(_id(first + 2 + n) for n in range(targets)))


def _enter(told: Told, first: int, *, symbol: str = "BTC", **changes: Any) -> EntryOutcome:
    terms = _terms(**changes)
    return told.venue.enter(symbol, Side.LONG, terms, _ids(first, len(terms.targets)), told.permit())


def _states(told: Told, *numbers: int) -> None:
    for number in numbers:
        told.note(f"look-up of {number}", told.venue.lookup("BTC", _id(number), NOW))


def _order_id(outcome: object) -> str:
    assert isinstance(outcome, Accepted)
    assert outcome.order_id is not None
    return outcome.order_id


def entry_targets_and_stop(told: Told) -> None:
    venue = told.venue
    told.note("prepare", venue.prepare("BTC", 7, MarginMode.ISOLATED, told.permit()))
    told.note("too much leverage", venue.prepare("BTC", 4_000, MarginMode.ISOLATED, told.permit()))
    told.note("settings", venue.settings("BTC", NOW))
    told.note("mark", venue.mark("BTC", NOW))
    _states(told, 1)
    outcome = told.note("enter", _enter(told, 1))
    told.look("entered")
    _states(told, 1, 2, 3, 4)
    told.note("cross mode while held", venue.prepare("BTC", 7, MarginMode.CROSS, told.permit()))
    long = ("BTC", Side.LONG, SIZE)
    told.note("new stop", venue.place_stop(*long, MARK * Dec("0.97"), MARK * Dec("0.873"), _id(6), told.permit()))
    told.note("old one away", venue.cancel("BTC", _order_id(outcome.stop), told.permit()))
    told.note("and again", venue.cancel("BTC", _order_id(outcome.stop), told.permit()))
    told.look("stop moved")
    _states(told, 2, 6)
    told.note("part closed", venue.close("BTC", Side.LONG, Dec("0.002"), MARK * Dec("0.97"), _id(7), told.permit()))
    told.look("part closed")
    told.move(MARK * Dec("1.02"))
    told.look("first target")
    told.note("what stands is on record", venue.history(0, NOW))
    told.note("and is read anew for who asks for later", venue.history(venue.now_ms() - 1, NOW))
    _states(told, 3)
    told.move(MARK * Dec("0.969"))
    told.look("stopped out")
    _states(told, 6, 4)
    told.note("nothing left", venue.close("BTC", Side.LONG, SIZE, MARK * Dec("0.9"), _id(8), told.permit()))
    told.note("funding", venue.funding("BTC", 0, venue.now_ms()))
    venue.poll_limits()


def refusals(told: Told) -> None:
    venue = told.venue
    for name, changes in {
        "too small": {"size": Dec("0.0001"), "targets": ()},
        "margin": {"size": Dec(10), "targets": ()},
        "far off": {"worst_price": Dec("1.02"), "targets": ()},
        "no liquidity": {"worst_price": Dec(94000), "targets": ()},
    }.items():
        told.note(
            name, _enter(told, 100 + 10 * len(told.said), symbol="ETH" if name == "far off" else "BTC", **changes)
        )
    told.note("a crossed stop", _enter(told, 200, stop=MARK * Dec("1.01"), targets=()))
    told.look("its entry stands")
    told.note("stop", venue.place_stop("BTC", Side.LONG, SIZE, MARK * Dec("1.01"), MARK / 2, _id(210), told.permit()))
    told.note(
        "target", venue.place_target("BTC", Side.LONG, SIZE, MARK * Dec("0.99"), MARK / 2, _id(211), told.permit())
    )
    told.note("wrong side", venue.close("BTC", Side.SHORT, SIZE, MARK * Dec("1.03"), _id(212), told.permit()))
    (nonce,) = venue.reserve_nonces(1)
    used = told.permit(nonce=nonce)
    told.note("a nonce", venue.place_stop("BTC", Side.LONG, SIZE, MARK * Dec("0.9"), MARK / 2, _id(213), used))
    told.note("used again", venue.place_stop("BTC", Side.LONG, SIZE, MARK * Dec("0.9"), MARK / 2, _id(214), used))
    told.note("unlisted", venue.cancel("NOSUCH", "1", told.permit()))
    late = replace(told.permit(), deadline_ms=venue.now_ms() - 1)
    told.note("too late", venue.cancel("BTC", "1", late))


def a_resting_entry(told: Told) -> None:
    lower = MARK * Dec("0.99")
    rests: dict[str, Any] = {"worst_price": lower, "resting": Resting.GTC, "targets": ()}
    outcome = told.note("rests", _enter(told, 300, **rests))
    told.look("resting")
    _states(told, 300, 301)
    told.note("taken back", told.venue.cancel("BTC", _order_id(outcome.entry), told.permit()))
    told.look("taken back")
    _states(told, 300, 301)
    told.note("post only", _enter(told, 310, **(rests | {"resting": Resting.POST_ONLY})))
    told.note(
        "post only, would match",
        _enter(told, 320, **(rests | {"resting": Resting.POST_ONLY, "worst_price": MARK * Dec("1.01")})),
    )
    told.move(lower)
    told.look("filled")
    _states(told, 310, 311)


def a_stop_that_fires_and_waits(told: Told) -> None:
    told.fault("stop_no_fill", {"delay_ms": 60_000})
    told.fault("partial_fill", {"fraction": "0.4"})
    told.note("part filled", _enter(told, 400, targets=()))
    told.move(MARK * Dec("0.94"))
    told.look("fired")
    _states(told, 400, 401)
    told.note("what hangs is on record", told.venue.history(0, NOW))
    told.note("a reading serves who asks for no later one", told.venue.history(0, NOW))


@pytest.mark.parametrize(
    "story", [entry_targets_and_stop, refusals, a_resting_entry, a_stop_that_fires_and_waits], ids=lambda s: s.__name__
)
def test_both_say_the_same(story: Callable[[Told], None]) -> None:
    setcontext(Context(prec=28))  # ccxt leaves another rounding to the thread that called it
    told = _beside_it()
    story(told)
    for gateway in _gateway():
        assert isinstance(gateway.venue, Hyperliquid)
        story(gateway)
        for ours, theirs in zip(told.said, gateway.said, strict=True):
            assert ours == theirs
    assert len(told.said) > 4


def test_candles_are_the_venues_own() -> None:
    told = _beside_it()
    told.move(MARK)  # a market that never ticked has no bar yet
    ours = told.venue.candles("BTC", "5m", 20)
    for gateway in _gateway():
        theirs = gateway.venue.candles("BTC", "5m", 20)
        assert isinstance(ours, Known)
        assert isinstance(theirs, Known)
        assert [bar.close for bar in ours.value][-1] == [bar.close for bar in theirs.value][-1]
        assert abs(len(ours.value) - len(theirs.value)) <= 1  # a minute may have begun between the two


@pytest.mark.parametrize(
    ("answer", "kind", "filled"),
    [("lost_before", Unknown, False), ("lost_after", Unknown, True), ("refused", Rejected, False)],
)
def test_answers_can_be_lost(answer: Answer, kind: type, filled: bool) -> None:
    struck: list[tuple[str, str]] = []

    def fault(name: str, symbol: str) -> Answer | None:
        struck.append((name, symbol))
        return answer if name == "enter" else None

    told = _beside_it(fault=fault)
    venue = told.venue
    outcome = _enter(told, 1, targets=())
    assert isinstance(outcome.entry, kind)
    state = venue.lookup("BTC", _id(1), NOW)
    assert isinstance(state, Known)
    assert state.value.state is (OrderState.FILLED if filled else None)
    assert struck == [("holdings", ""), ("enter", "BTC"), ("lookup", "BTC")]


def test_a_price_off_the_grid_is_refused() -> None:
    outcome = _enter(_beside_it(), 1, worst_price=MARK * Dec("1.0200001"), targets=())
    assert isinstance(outcome.entry, Rejected)
    assert outcome.entry.reason is Reason.BAD_PRICE


def test_a_request_that_lands_after_its_deadline_is_refused_by_the_venue() -> None:
    clock_us = [1_700_000_000_000_000]

    def slow() -> None:
        clock_us[0] += 3_000_000

    market = PaperVenue(listing(), Knobs(), Still(), frozenset(ACTIONS), clock_us=lambda: clock_us[0])
    venue = SimulatedVenue(market, ADDRESS, LocalNonces(), LocalBudget(), LocalCache(), latency=slow)
    soon = venue.permit(NOW, venue.now_ms() + 2_000)
    assert isinstance(soon, Permit)
    terms = _terms(targets=())
    outcome = venue.enter("BTC", Side.LONG, terms, _ids(1, 0), soon)
    assert isinstance(outcome.entry, Rejected)
    assert outcome.entry.reason is Reason.EXPIRED
    assert venue.account.positions == {}
