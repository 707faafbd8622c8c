"""An empty store before a venue that is not: what is rebuilt, what a policy does, and what a person's hand changes."""

import time
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.budget import LocalBudget, LocalCache
from exchange.clock import mono_ms
from exchange.nonces import LocalNonces
from exchange.venues import open_venue
from stopkeeper.core import audit
from stopkeeper.core.ids import decode
from stopkeeper.core.model import Distance, Known, OrderKind, Role
from stopkeeper.core.policy import Policy, Trail, TrailKind
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.engine import adopting, showing
from stopkeeper.engine import desk as asks
from stopkeeper.engine.guardian import CALM_MS, Guardian
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sweep import sweep
from stopkeeper.store.memory.open import memory_store
from stopkeeper.store.memory.world import MemoryWorld
from tests.integration.engine.conftest import LAG_MS, TIMES, Desk

D = Decimal
P = OrphanPolicy
READS = {"clearinghouseState", "frontendOpenOrders", "userFillsByTime", "orderStatus", "userRateLimit", "meta"}
TRAIL = Policy(Trail(TrailKind.PERCENT, D("0.01")))


def under(desk: Desk, policy: OrphanPolicy, moves: Policy | None = None) -> Desk:
    """Give a desk's account an orphan policy, and a rule by which its stops move."""
    rules = replace(desk.ports.rules, orphan_policy=policy)
    if moves is not None:
        rules = replace(rules, policy=moves, stop_interval_ms=100)
    desk.ports = replace(desk.ports, rules=rules)
    return desk


def reborn(desk: Desk, installation: str = "a1b2c") -> Desk:
    """Return a desk of the same account before an empty store, as after the loss of all of Redis."""
    world = MemoryWorld(clock=lambda: int(time.time() * 1000))
    store = memory_store(world, installation=installation, boot="b2", times=TIMES)
    venue = open_venue(desk.ports.venue.account, TIMES, store.nonces, store.budget, store.texts)
    venue.can = replace(venue.can, lag_ms=LAG_MS)
    parts = {
        name: getattr(store, name)
        for name in ("leases", "records", "wakes", "journal", "ledger", "looks", "prices", "flags")
    }
    ports = replace(desk.ports, installation=installation, venue=venue, **parts)
    return Desk(ports, desk.url, desk.control, desk.address, world)


def eye(desk: Desk):
    """Return a way to the venue with a budget of its own: who watches must not blind who acts."""
    desk.post("/settings", ip_weight_limit=0)
    return open_venue(desk.ports.venue.account, TIMES, LocalNonces(), LocalBudget(), LocalCache())


def orders(desk: Desk, symbol: str = "BTC"):
    looking = eye(desk)
    for _ in range(4):  # a machine that is busy with other tests may keep one waiting longer than a request may take
        looking.holdings(Urgency.PROTECTIVE)
        read = looking.orders(Urgency.PROTECTIVE)
        if isinstance(read, Known):
            return [order for order in read.value if order.symbol == symbol]
    raise AssertionError(read)


def stops(desk: Desk, symbol: str = "BTC"):
    return [order for order in orders(desk, symbol) if order.kind is OrderKind.STOP_MARKET]


def known(desk: Desk) -> Desk:
    """Let the venue hear of the account, which funds it."""
    desk.ports.venue.holdings(Urgency.ORDINARY)
    return desk


def swept(desk: Desk, done, seconds: float = 20) -> None:
    """Sweep every second and a half, and tick, until every position has a trade and something holds."""
    last = [0.0, 0.0]  # the last sweep, the last question

    def sweeping() -> bool:
        if time.monotonic() - last[0] > 1.5:
            sweep(desk.ports)
            last[0] = time.monotonic()
            desk.tick()
        elif time.monotonic() - last[1] < 0.3:
            return False
        last[1] = time.monotonic()
        return all(row.trade_id for row in desk.rows().values()) and done()

    desk.until(sweeping, seconds)


def resting(desk: Desk) -> None:
    """Let a desk come to rest: nothing is due any more."""
    desk.until(lambda: not desk.tick())


@pytest.fixture
def held(market):
    """A desk with a protected BTC long of 0.01 from 95005, stop 93100, target 99750."""
    market.submit(target="5%")
    market.until_phase("protected")
    resting(market)
    return market


# --- an empty store ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", P)
def test_what_is_ours_is_rebuilt_whatever_the_policy_and_a_strangers_goes_by_it(held, policy):
    held.hand("ETH", side="short", size="0.5")
    held.hand("DOGE", side="long", size="1000")
    held.hand("BTC", place={"kind": "limit", "side": "long", "size": "0.02", "price": "80000"})
    held.hand("DOGE", place={"kind": "limit", "side": "short", "size": "500", "price": "0.3"})
    before = {order.id for order in orders(held)}
    again = under(reborn(held), policy)
    kept = {P.PROTECT: "protected", P.ADOPT: "protected", P.CLOSE: "none", P.ALERT: "naked"}[policy]
    swept(again, lambda: again.phase("ETH") == kept and again.phase() == "protected")
    row = again.rows()["BTC"]
    assert (row.stop_price, row.orphan, row.size) == (D(93100), None, D("0.01"))
    assert {order.id for order in orders(again)} == before
    assert len(stops(again, "ETH")) == (1 if kept == "protected" else 0)
    assert again.witness("BTC")["naked_intervals"] == []
    assert again.witness("DOGE")["fills"] == 1
    assert len(orders(again, "DOGE")) == 1
    listed = {(each.symbol, str(each.kind)) for each in showing.orphans(again.ports)}
    strangers = {("BTC", "stranger_order"), ("DOGE", "stranger_order"), ("DOGE", "stranger_position")}
    assert listed == strangers | ({("ETH", "position")} if policy in (P.PROTECT, P.ALERT) else set())
    named = {(each.symbol, each.kind) for each in showing.audit(again.ports)}
    alone = {("ETH", "naked"), ("ETH", "orphan_position")}
    assert named == {("DOGE", "other_symbol")} | (alone if policy is P.ALERT else set())
    told = [line for line in again.story() if line.startswith("found: ")]
    assert len(told) == 2


def test_what_is_rebuilt_goes_on_trailing_and_what_was_found_stays(market):
    under(market, P.PROTECT, TRAIL)
    market.submit()
    known(market).hand("ETH", side="long", size="0.5")
    swept(market, lambda: market.phase("ETH") == "protected" and market.phase() == "protected")
    resting(market)
    again = under(reborn(market), P.PROTECT, TRAIL)
    swept(again, lambda: {again.phase("ETH"), again.phase()} == {"protected"})
    resting(again)
    before = again.rows()["ETH"].stop_price
    again.mark("97000")
    again.mark("3500", "ETH")
    swept(again, lambda: again.rows()["BTC"].stop_price >= D(95900))
    resting(again)
    assert again.rows()["ETH"].stop_price == before
    assert (again.rows()["BTC"].orphan, again.rows()["ETH"].orphan) == (None, "protect")
    assert again.witness()["loosened"] == []


@pytest.mark.parametrize(("price", "reason"), [("93000", "stop_loss"), ("99800", "take_profit")])
def test_what_a_lost_record_had_placed_counts_for_what_it_was(held, price, reason):
    again = reborn(held)
    swept(again, lambda: again.phase() == "protected")
    again.mark(price)
    swept(again, lambda: len(again.ports.ledger.lines("main")) == 1)
    line = again.ports.ledger.lines("main")[0]
    assert (line.exit.reason, line.exit.complete) == (reason, True)
    assert "our order" in line.exit.evidence
    assert orders(again) == []


def test_the_targets_of_a_lost_record_go_on(market):
    market.submit(size="0.03", target=["3%:50%", "6%:25%"])
    market.until_phase("protected")
    resting(market)
    before = {order.id for order in orders(market)}
    assert len(before) == 3
    again = reborn(market)
    swept(again, lambda: again.phase() == "protected")
    resting(again)
    assert {order.id for order in orders(again)} == before
    assert [goal.price for goal in again.rows()["BTC"].targets] == [D(97850), D(100700)]
    assert showing.audit(again.ports) == ()
    again.mark("97900")
    swept(again, lambda: [order.size for order in stops(again)] == [D("0.015")], seconds=25)
    assert [goal.price for goal in again.rows()["BTC"].targets] == [D(100700)]
    assert [order.size for order in orders(again) if order.kind is OrderKind.TARGET_MARKET] == [D("0.0075")]
    again.hand(cancel=next(o.id for o in orders(again) if o.kind is OrderKind.TARGET_MARKET))
    swept(again, lambda: len(orders(again)) == 2, seconds=25)


def test_an_entry_of_ours_whose_stop_is_gone_is_not_taken_for_a_strangers(held):
    held.hand(cancel="all")
    again = under(reborn(held), P.CLOSE)
    swept(again, lambda: again.phase() == "protected")
    resting(again)
    time.sleep(2 * LAG_MS / 1000)
    swept(again, lambda: again.phase() == "protected")
    assert again.rows()["BTC"].orphan is None
    assert not any(line.startswith("Flatten") for line in again.story())


def test_what_was_left_of_an_exit_is_gone_before_the_next_entry_leaves(held):
    held.hand(close=True)
    assert {decode(order.client_id).role for order in orders(held)} == {Role.STOP, Role.TARGET}
    old = {order.id for order in orders(held)}
    again = reborn(held)
    again.submit()
    again.until_phase("protected", seconds=20)
    story = [line.partition(" ")[0] for line in again.story() if line.startswith(("Cancel", "Enter"))]
    assert story.count("Enter:") == 1
    assert story[-1] == "Enter:", "nothing of before was left to cancel once it had left"
    assert story.count("Cancel:") >= len(old)
    assert old.isdisjoint(order.id for order in orders(again))
    assert again.witness()["duplicates"] == 0


def test_orders_of_ours_are_cleared_away_on_a_symbol_that_is_not_configured_any_more(held):
    held.hand(close=True)
    again = reborn(held)
    again.ports = replace(again.ports, symbols=("ETH",))
    swept(again, lambda: orders(again) == [])
    assert showing.orphans(again.ports) == ()


def test_a_position_of_ours_on_a_symbol_that_is_not_configured_any_more_is_kept(held):
    again = under(reborn(held), P.ALERT)
    again.ports = replace(again.ports, symbols=("ETH",))
    swept(again, lambda: again.phase() == "protected")
    again.hand(cancel="stops")
    swept(again, lambda: len(stops(again)) == 1)
    assert showing.audit(again.ports) == ()


# --- the policies ------------------------------------------------------------------------------------------------


def test_close_covers_first_then_closes_and_clears(market):
    known(under(market, P.CLOSE)).hand(side="short", size="0.02")
    swept(market, lambda: len(market.ports.ledger.lines("main")) == 1)
    line = market.ports.ledger.lines("main")[0]
    assert (line.exit.reason, line.exit.complete, line.exit.size) == ("emergency_exit", True, D("0.02"))
    deeds = [line.split(":")[0] for line in market.story() if line.startswith(("PlaceStop", "Flatten", "Cancel"))]
    assert deeds == ["PlaceStop", "Flatten", "Cancel"]
    assert any("to be closed by the policy" in line for line in market.story())
    assert orders(market) == []
    assert market.witness()["flips"] == 0
    assert showing.audit(market.ports) == ()


def test_a_flip_by_hand_is_closed_where_the_policy_says_so_and_told(held):
    under(held, P.CLOSE).hand(side="short", size="0.03")
    swept(held, lambda: len(held.ports.ledger.lines("main")) == 2)
    reasons = [line.exit.reason for line in held.ports.ledger.lines("main")]
    assert reasons == ["external", "emergency_exit"]
    assert any(line.startswith("found: ") and "short 0.02" in line for line in held.story())
    held.until(lambda: orders(held) == [])
    assert showing.audit(held.ports) == ()


def test_alert_places_nothing_stays_visible_and_does_not_spin(market):
    known(under(market, P.ALERT)).hand(side="long", size="0.02")
    swept(market, lambda: market.phase() == "naked")
    market.until(lambda: not market.ports.wakes.claim(10, 400) and "alarm:naked" in " ".join(market.story()))
    time.sleep(2 * LAG_MS / 1000)
    market.tick()  # the look by which an id of ours would show
    market.post("/stats/reset")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        sweep(market.ports)
        market.tick()
        time.sleep(0.25)
    asked = market.get("/stats")["requests"]["by_type"]
    sweeps = asked["frontendOpenOrders"]
    assert sweeps <= 9, "a drive in every sweep, or more"
    assert set(asked) <= READS
    row = market.rows()["BTC"]
    assert (row.phase, row.orphan) == ("naked", "alert")
    assert row.naked_ms > 1_000
    assert orders(market) == []
    sweep(market.ports)
    assert {each.kind for each in showing.audit(market.ports)} == {"naked", "orphan_position"}


def test_what_is_left_alone_is_closed_by_close_and_by_halt(market):
    for act in (lambda: asks.ask_close(market.key(), market.ports), lambda: asks.halt(market.ports)):
        booked = len(market.ports.ledger.lines("main"))
        known(under(market, P.ALERT)).hand(side="long", size="0.02")
        swept(market, lambda: market.phase() == "naked")
        act()
        assert market.until_booked(booked + 1).exit.reason == "manual_close"
        market.until(lambda: market.phase() == "none")


def test_a_stop_asked_for_what_is_left_alone_is_placed(market):
    known(under(market, P.ALERT)).hand(side="long", size="0.02")
    swept(market, lambda: market.phase() == "naked")
    asks.move_stop(market.key(), D(94000), market.ports)
    row = market.until_phase("protected")
    assert (row.stop_price, row.orphan) == (D(94000), "protect")


def at_its_post(desk: Desk, venue):
    """Return a guardian that knows of no record, as after the loss of all of Redis, and what it says."""
    said: list[tuple[str, str]] = []
    guardian = Guardian(
        "main", "a1b2c", desk.ports.symbols, desk.ports.rules, TIMES, venue, lambda *told: said.append(told)
    )
    guardian.take((), desk.ports.flags.read("main"), int(mono_ms()) - 10_000)
    return guardian, said


def test_the_guardian_keeps_what_is_ours_on_a_symbol_that_is_not_configured_any_more(held):
    held.hand(cancel="stops")
    under(held, P.ALERT)
    held.ports = replace(held.ports, symbols=("ETH",))
    guardian, said = at_its_post(held, eye(held))
    guardian.patrol(int(mono_ms()))
    assert len(stops(held)) == 1, said


@pytest.mark.parametrize("policy", P)
def test_the_guardian_goes_by_the_policy_too(market, policy):
    known(under(market, policy, TRAIL)).hand(side="long", size="0.02")
    venue = open_venue(market.ports.venue.account, TIMES, LocalNonces(), LocalBudget(), LocalCache())
    venue.can = replace(venue.can, lag_ms=LAG_MS)
    guardian, said = at_its_post(market, venue)
    end, pause_ms = time.monotonic() + 10, 0
    started = time.monotonic()
    while time.monotonic() < end and (policy is P.CLOSE or time.monotonic() < started + 3):
        pause_ms = guardian.patrol(int(mono_ms()))
        time.sleep(min(pause_ms, 200) / 1000)
        market.mark("96500" if time.monotonic() < started + 1.5 else "95300")  # a trail of 1 % would be passed
        if any("flatten" in text for _, text in said):
            break
    placed = [text for _, text in said if "place stop" in text]
    closed = [text for _, text in said if "flatten" in text]
    assert len(placed) == (0 if policy is P.ALERT else 1)
    assert len(closed) == (1 if policy is P.CLOSE else 0)
    assert policy is P.CLOSE or pause_ms == CALM_MS, "it does not spin"
    if policy is P.ALERT:
        assert any("left alone" in text for _, text in said)


# --- adopt and close by a person ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [P.PROTECT, P.ALERT])
@pytest.mark.parametrize("stop", [None, Distance(price=D(94000)), Distance(fraction=D("0.02"))])
def test_a_person_adopts(market, policy, stop):
    known(under(market, policy, TRAIL)).hand(side="long", size="0.02")
    swept(market, lambda: market.phase() == ("naked" if policy is P.ALERT else "protected"))
    wanted = adopting.adopt(market.key(), stop, market.ports)
    market.until(lambda: market.phase() == "protected" and market.rows()["BTC"].stop_price >= wanted.stop_price)
    row = market.rows()["BTC"]
    assert (row.orphan, row.trail, row.trade_id) == (None, "1%", wanted.trade_id)
    market.mark("97000")
    swept(market, lambda: market.rows()["BTC"].stop_price >= D(95900))
    assert not any(line.startswith("Flatten") for line in market.story())
    resting(market)
    market.until(lambda: showing.audit(market.ports) == ())
    with pytest.raises(asks.Refused, match="the account's own"):
        adopting.adopt(market.key(), None, market.ports)


@pytest.mark.parametrize(
    ("stop", "sentence"),
    [
        (Distance(price=D(96000)), "must be below the price"),
        (Distance(price=D(95000)), "must be below the price"),
        (Distance(price=D(80000)), "would loosen the stop"),
        (Distance(fraction=D("0.2")), "would loosen the stop"),
    ],
)
def test_a_stop_that_cannot_be_is_refused_and_nothing_is_adopted(market, stop, sentence):
    known(market).hand(side="long", size="0.02")
    swept(market, lambda: market.phase() == "protected")
    with pytest.raises(asks.Refused, match=sentence):
        adopting.adopt(market.key(), stop, market.ports)
    assert market.rows()["BTC"].orphan == "protect"


def test_what_is_not_the_accounts_symbol_or_nothing_cannot_be_adopted(market):
    known(market).hand("DOGE", side="long", size="1000")
    with pytest.raises(asks.Refused, match="not among the account's symbols"):
        adopting.adopt(market.key("DOGE"), None, market.ports)
    with pytest.raises(asks.Refused, match="no position"):
        adopting.adopt(market.key(), None, market.ports)
    with pytest.raises(asks.Refused, match="lists no such"):
        adopting.adopt(market.key("NOPE"), None, market.ports)


def test_a_trade_of_ones_own_is_no_orphan(held):
    with pytest.raises(asks.Refused, match="no orphan"):
        adopting.orphan_of(held.key(), held.ports)


def test_what_is_being_closed_is_not_adopted(market):
    known(market).hand(side="long", size="0.02")
    swept(market, lambda: market.phase() == "protected")
    asks.ask_close(market.key(), market.ports)
    with pytest.raises(asks.Refused, match="being closed"):
        adopting.adopt(market.key(), None, market.ports)


# --- a person's hand on a trade of ours --------------------------------------------------------------------------


@pytest.fixture
def busy(market):
    """A desk with a protected BTC long of 0.03 that trails by 1 % and takes a half at 3 %, the rest at 6 %."""
    under(market, P.PROTECT, Policy())
    market.ports = replace(market.ports, rules=replace(market.ports.rules, stop_interval_ms=100))
    market.submit(size="0.03", trail="1%", target=["3%:50%", "6%"])
    market.until_phase("protected")
    swept(market, lambda: len(orders(market)) == 3)
    market.mark("96500")
    swept(market, lambda: market.rows()["BTC"].stop_price >= D(95500) and len(orders(market)) == 3)
    resting(market)
    return market


@pytest.mark.parametrize(("side", "size", "left"), [("long", "0.02", "0.05"), ("short", "0.02", "0.01")])
def test_enlarged_or_reduced_by_hand_the_stop_and_the_targets_follow(busy, side, size, left):
    before = busy.rows()["BTC"]
    busy.hand(side=side, size=size)
    swept(busy, lambda: [order.size for order in stops(busy)] == [D(left)], seconds=25)
    taken = lambda: sum(o.size for o in orders(busy) if o.kind is OrderKind.TARGET_MARKET)  # noqa: E731
    swept(busy, lambda: taken() == D(left))
    row = busy.until_phase("protected")
    assert (row.trade_id, row.size, row.trail) == (before.trade_id, D(left), "1%")
    assert row.stop_price >= before.stop_price
    assert busy.witness()["naked_ms"] < 1_000
    assert busy.witness()["loosened"] == []
    busy.mark("97300")
    swept(busy, lambda: busy.rows()["BTC"].stop_price > before.stop_price)
    resting(busy)
    busy.until(lambda: showing.audit(busy.ports) == ())


def test_closed_by_hand_it_is_external_and_nothing_is_left(busy):
    busy.hand(close=True)
    swept(busy, lambda: len(busy.ports.ledger.lines("main")) == 1)
    line = busy.ports.ledger.lines("main")[0]
    assert (line.exit.reason, line.exit.size) == ("external", D("0.03"))
    assert orders(busy) == []
    busy.submit()
    busy.until_phase("protected")
    assert len(orders(busy)) == 1


def test_flipped_by_hand_it_ends_as_external_and_what_is_left_is_an_orphan(busy):
    busy.hand(side="short", size="0.05")
    swept(busy, lambda: busy.phase() == "protected" and busy.rows()["BTC"].side == "short")
    assert busy.ports.ledger.lines("main")[0].exit.reason == "external"
    row = busy.rows()["BTC"]
    assert (row.size, row.orphan, row.trail) == (D("0.02"), "protect", "off")
    swept(busy, lambda: [order.size for order in orders(busy)] == [D("0.02")])
    assert showing.audit(busy.ports) == ()


def test_strangers_orders_beside_a_trade_are_never_cancelled(busy):
    busy.hand(place={"kind": "stop", "price": "90000"})
    busy.hand(place={"kind": "limit", "side": "short", "size": "0.01", "price": "120000"})
    theirs = {order.id for order in orders(busy) if order.client_id is None}
    assert len(theirs) == 2
    asks.ask_close(busy.key(), busy.ports)
    busy.until_booked()
    assert {order.id for order in orders(busy)} == theirs
    busy.until(lambda: busy.phase() == "none")


# --- a dead installation -----------------------------------------------------------------------------------------


def test_a_dead_installations_orders_are_taken_over_and_a_live_ones_never(held, monkeypatch):
    heir = reborn(held, "fffff")
    with pytest.raises(asks.Refused, match=r"at work: its order \d+ on main:BTC is \d+ s old"):
        adopting.orders_of("a1b2c", heir.ports)
    with pytest.raises(asks.Refused, match="this very installation"):
        adopting.orders_of("fffff", heir.ports)
    assert adopting.orders_of("00000", heir.ports) == ()
    monkeypatch.setattr(audit, "FOREIGN_LIVE_MS", 1_000)  # as the table of times is shortened
    time.sleep(1.1)
    found = adopting.orders_of("a1b2c", heir.ports)
    assert len(found) == 2
    held.hand(close=True)
    sweep(heir.ports)
    resting(heir)
    assert len(orders(heir)) == 2, "before they are taken over they are reported, not touched"
    assert {each.kind for each in showing.audit(heir.ports)} == {"other_installation"}
    adopting.inherit("a1b2c", found, heir.ports)
    heir.until(lambda: orders(heir) == [])
    assert showing.audit(heir.ports) == ()


def test_a_position_under_a_dead_installations_stop_is_ours_once_it_is_taken_over(held, monkeypatch):
    monkeypatch.setattr(audit, "FOREIGN_LIVE_MS", 1_000)
    time.sleep(1.1)
    heir = under(reborn(held, "fffff"), P.ALERT)
    adopting.inherit("a1b2c", adopting.orders_of("a1b2c", heir.ports), heir.ports)
    swept(heir, lambda: heir.phase() == "protected")
    heir.hand(side="long", size="0.02")
    swept(heir, lambda: [order.size for order in stops(heir)] == [D("0.03")])
    assert heir.rows()["BTC"].orphan is None
    assert {decode(order.client_id).installation for order in stops(heir)} == {"fffff"}
    assert heir.witness()["naked_ms"] < 1_000


# --- the audit ---------------------------------------------------------------------------------------------------


def test_an_audit_sends_nothing_signed_and_writes_nothing(held):
    held.hand("ETH", side="short", size="0.5")
    held.hand(cancel="stops")
    record = held.ports.records.load(held.key())
    lines = held.story()
    held.post("/stats/reset")
    kinds = {each.kind for each in showing.audit(held.ports)}
    assert kinds >= {"naked", "orphan_position"}
    showing.orphans(held.ports)
    asked = held.get("/stats")
    assert asked["requests"]["by_type"]
    assert set(asked["requests"]["by_type"]) <= READS
    assert asked["orders"] == []
    assert held.ports.records.load(held.key()) == record
    assert held.story() == lines


def test_a_stop_that_hangs_and_is_shown_nowhere_is_found_by_the_venues_history_before_the_next_entry(market):
    """It fired and found nobody, a person closed its position, and the record that knew of it is lost."""
    market.submit()
    stop = market.until_phase("protected").stop_order_id
    market.fault("stop_no_fill", "stop", delay_ms=60_000)
    market.mark("93000")
    market.hand(side="sell", size="0.01")
    market.mark("95000")
    assert orders(market) == []
    new = reborn(market)
    new.submit()
    new.until_phase("protected", seconds=20)
    told = new.story()
    cancelled = next(n for n, line in enumerate(told) if line.startswith("Cancel: ") and stop in line)
    entered = next(n for n, line in enumerate(told) if line.startswith("Enter: "))
    assert cancelled < entered, told
    assert (
        new.get("/stats")["requests"]["by_type"]["historicalOrders"] == 3
    )  # before the first entry, and twice where a record is lost
