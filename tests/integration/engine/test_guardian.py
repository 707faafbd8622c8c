"""The guardian: Redis is gone, and nobody but it stands between a position and a market without a stop.

The store is the memory twin, gone; venue, gateway and core are the real ones.
"""

import asyncio
import secrets
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.budget import LocalBudget, LocalCache
from exchange.clock import mono_ms
from exchange.nonces import LocalNonces
from exchange.signing import SecretKey
from exchange.venues import open_venue
from stopkeeper.core.ids import decode
from stopkeeper.core.model import Order, OrderKind, Role, Side
from stopkeeper.core.outcomes import Barred, Unknown
from stopkeeper.core.policy import Trail, TrailKind
from stopkeeper.engine import desk as asks
from stopkeeper.engine.guardian import CALM_MS, Guardian
from stopkeeper.engine.ports import StoreGone, Urgency
from tests.integration.engine.conftest import LAG_MS, RULES, TIMES, Desk
from workers.guarding import Guard
from workers.settings_sections import AlertsSection

D = Decimal


class Post:
    """A guardian at its post beside a desk, and what it said."""

    def __init__(self, desk: Desk, key: SecretKey | None = None) -> None:
        self.desk, rules = desk, desk.ports.rules
        self.said: list[tuple[str, str]] = []
        account = replace(desk.ports.venue.account, guardian_key=key)
        self.signers = Signers()
        self.venue = self._open(account.as_guardian())
        spare = None if key is None else self._open(account)
        self.guardian = Guardian(
            "main", "a1b2c", account.symbols, rules, TIMES, self.venue, lambda *said: self.said.append(said), spare
        )

    def _open(self, account):
        venue = open_venue(account, TIMES, self.signers, LocalBudget(), LocalCache())
        venue.can = replace(venue.can, lag_ms=LAG_MS)
        return venue

    def load(self) -> None:
        """Take the records, as the feed hands them over while Redis answers."""
        records, switches = self.desk.ports.records.all("main"), self.desk.ports.flags.read("main")
        self.guardian.take(records, switches, int(mono_ms()) - 10_000)

    def lose(self) -> None:
        """Let Redis go, ten seconds ago."""
        self.load()
        self.desk.world.gone = True

    def rounds(self, count: int = 1) -> list[int]:
        return [self.guardian.patrol(int(mono_ms())) for _ in range(count)]

    def until(self, done: Callable[[], bool], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pause_ms = self.guardian.patrol(int(mono_ms()))
            if done():
                return
            time.sleep(min(pause_ms, 200) / 1000)
        pytest.fail(
            f"it never came to be; orders {self.orders()}; said:\n" + "\n".join(f"{s}: {t}" for s, t in self.said)
        )

    def orders(self, kind: OrderKind | None = None) -> list[Order]:
        self.venue.holdings(Urgency.PROTECTIVE)  # what is read next carries its time
        live = self.venue.orders(Urgency.PROTECTIVE).value
        return [order for order in live if kind in (None, order.kind)]

    def stops(self) -> list[Order]:
        return self.orders(OrderKind.STOP_MARKET)

    def held(self, symbol: str = "BTC"):
        return self.venue.holdings(Urgency.PROTECTIVE).value.positions.get(symbol)

    def deeds(self, word: str = "") -> list[str]:
        verbs = ("place stop", "flatten", "cancel", "enter", "place target", "set ")
        told = [text.partition("guardian: ")[2].partition(": ")[2] for _, text in self.said]
        return [text for text in told if text.startswith(verbs) and word in text]

    def heal(self) -> None:
        """End all faults."""
        request = urllib.request.Request(self.desk.control + "/faults", method="DELETE")
        urllib.request.urlopen(request, timeout=5).close()

    def back(self) -> None:
        """Let Redis answer again: the guardian stops, workers look."""
        self.desk.world.gone = False
        self.load()
        for symbol in self.desk.ports.symbols:
            self.desk.ports.wakes.wake(self.desk.key(symbol), "Redis is back")


class Signers(LocalNonces):
    """Remembers whose nonces were taken: who signs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def take(self, signer: str, now_ms: int, count: int) -> int:
        self.seen.add(signer)
        return super().take(signer, now_ms, count)


@pytest.fixture
def post(market: Desk) -> Post:
    return Post(market)


@pytest.fixture
def held(post: Post) -> Post:
    """A guardian beside a protected long of 0.01 BTC with its stop at 93100 and its target at 99750."""
    return entered(post, target="5%")


def entered(post: Post, **wish: object) -> Post:
    desk = post.desk
    desk.submit(**wish)
    desk.until_phase("protected")
    desk.until(lambda: desk.ports.venue.now_ms() > desk.ports.records.load(desk.key()).quiet_ms)
    return post


def clean(post: Post) -> None:
    """Close, and see that the venue is empty and the books are right."""
    desk = post.desk
    asks.ask_close(desk.key(), desk.ports)
    line = desk.until_booked()
    empty(post)
    assert line.exit.gross_pnl == D(desk.witness()["realized_pnl"])


def empty(post: Post) -> None:
    post.desk.until(lambda: post.desk.phase() == "none")
    assert post.orders() == []
    assert post.held() is None
    witness = post.desk.witness()
    assert (witness["duplicates"], witness["flips"], witness["non_reduce_only"]) == (0, 0, 0)


# --- what it does


def test_a_stop_cancelled_behind_our_back_is_back(held):
    held.lose()
    held.rounds(2)
    assert held.deeds() == []
    held.desk.hand(cancel="stops")
    held.until(lambda: len(held.stops()) == 1)
    (stop,) = held.stops()
    assert (stop.trigger, stop.size, stop.side, stop.reduce_only) == (D(93100), D("0.01"), Side.SHORT, True)
    assert held.rounds(4)[-1] == CALM_MS
    assert len(held.deeds()) == len(held.deeds("place stop")) == 1
    assert any("Redis is gone for 1" in text and "the position is naked" in text for _, text in held.said)
    held.back()
    held.desk.until_phase("protected")
    assert [order.id for order in held.stops()] == [stop.id]
    clean(held)
    assert held.desk.ports.ledger.lines("main")[0].exit.reason == "manual_close"


def test_a_stop_it_placed_is_known_as_the_trades_own_when_it_fires_later(held):
    held.lose()
    held.desk.hand(cancel="stops")
    held.until(lambda: len(held.stops()) == 1)
    held.desk.mark("93000")
    held.until(lambda: held.held() is None)
    assert held.deeds("flatten") == []
    held.rounds(3)
    held.back()
    line = held.desk.until_booked()
    assert line.exit.reason == "stop_loss"
    assert line.exit.gross_pnl == D(held.desk.witness()["realized_pnl"])
    empty(held)


def test_a_position_opened_by_hand_gets_a_stop_and_is_taken_in_later(post):
    post.lose()
    post.rounds()
    post.desk.hand("ETH", side="short", size="0.5")
    post.until(lambda: len(post.stops()) == 1)
    (stop,) = post.stops()
    assert (stop.symbol, stop.side, stop.size) == ("ETH", Side.LONG, D("0.5"))
    post.rounds(3)
    assert len(post.deeds()) == 1
    assert any(symbol == "ETH" and "no trade owns" in text for symbol, text in post.said)
    post.back()
    row = post.desk.until_phase("protected", "ETH")
    post.desk.until(lambda: post.desk.rows()["ETH"].stop_order_id == stop.id)
    assert row.stop_price == stop.trigger
    assert [order.id for order in post.stops()] == [stop.id]


def test_naked_beyond_the_stop_is_closed_and_booked_for_what_it_was(held):
    held.lose()
    held.rounds()
    held.desk.hand(cancel="stops")
    held.desk.mark("92500")
    held.until(lambda: held.held() is None)
    assert len(held.deeds("flatten")) == 1
    held.rounds(3)
    assert len(held.deeds()) == 1
    assert held.orders(OrderKind.TARGET_MARKET)  # not its business
    held.back()
    line = held.desk.until_booked()
    assert line.exit.reason == "emergency_exit"
    assert line.exit.complete
    assert line.exit.gross_pnl == D(held.desk.witness()["realized_pnl"])
    empty(held)


def test_one_mark_alone_closes_nothing(held, monkeypatch):
    """The position's row is off and the other source says so: a stop is placed, or refused, but nothing is sold."""
    held.lose()
    held.desk.hand(cancel="stops")
    real = held.venue.holdings

    def off(urgency):
        read = real(urgency)
        btc = replace(read.value.positions["BTC"], mark=D(90000))
        return replace(read, value=replace(read.value, positions={"BTC": btc}))

    monkeypatch.setattr(held.venue, "holdings", off)
    held.until(lambda: len(held.stops()) == 1)
    held.rounds(3)
    assert held.deeds("flatten") == []
    assert any("contradict" in text for _, text in held.said)


def test_what_is_held_enlarged_by_hand_is_covered_whole(held):
    held.lose()
    held.rounds()
    held.desk.hand(side="long", size="0.02")
    held.until(lambda: sum(stop.size for stop in held.stops()) >= D("0.03"))
    held.rounds(3)
    assert len(held.deeds()) == 1
    held.back()
    held.desk.until(lambda: len(held.stops()) == 1 and held.desk.phase() == "protected")
    clean(held)


def test_a_flip_by_hand_is_covered_on_its_new_side(held):
    held.lose()
    held.rounds()
    held.desk.hand(side="short", size="0.03")
    held.until(lambda: any(stop.side is Side.LONG for stop in held.stops()))
    stop = next(stop for stop in held.stops() if stop.side is Side.LONG)
    assert stop.size == D("0.02")
    assert stop.trigger > held.held().entry_price
    assert len(held.deeds()) == 1
    held.back()
    assert held.desk.until_booked().exit.reason == "external"
    held.desk.until_phase("protected")
    held.desk.until(lambda: [order.id for order in held.orders()] == [stop.id])


def test_halted_closes_what_is_held_and_paused_keeps_it(held):
    asks.pause(held.desk.ports)
    held.lose()
    held.rounds(2)
    assert held.deeds() == []
    held.desk.world.gone = False
    held.desk.ports.flags.change("main", halted=True)
    held.lose()
    held.until(lambda: held.held() is None)
    held.back()
    assert held.desk.until_booked().exit.reason == "manual_close"
    empty(held)


def test_a_wish_to_close_that_stood_when_redis_went_is_done(held):
    asks.ask_close(held.desk.key(), held.desk.ports)
    held.lose()
    held.until(lambda: held.held() is None)
    held.rounds(3)
    assert len(held.deeds("flatten")) == 1
    held.back()
    assert held.desk.until_booked().exit.reason == "manual_close"
    empty(held)


# --- resting entries


def rest(post: Post) -> None:
    post.desk.ports.prices.hear("main")
    post.desk.submit(limit="94000", rest=True, expires="1h")
    post.desk.until_phase("entry_resting")


def test_a_resting_entry_is_cancelled(post):
    rest(post)
    post.lose()
    post.until(lambda: post.orders() == [])
    assert post.deeds() == post.deeds("cancel entry")
    post.rounds(3)
    assert len(post.deeds()) == 1
    post.back()
    post.desk.until(lambda: post.desk.ports.records.load(post.desk.key()).trade is None)
    assert post.orders() == []
    assert post.desk.ports.ledger.lines("main") == []


def test_a_resting_entry_is_cancelled_that_left_after_the_records_were_taken(post):
    post.load()
    rest(post)
    post.desk.world.gone = True
    post.until(lambda: post.orders() == [])
    assert post.deeds() == post.deeds("cancel entry")


def test_a_part_of_a_resting_entry_that_filled_is_covered_and_the_rest_goes(post):
    post.desk.fault("partial_fill", "resting", fraction="0.5")
    rest(post)
    post.load()
    post.desk.world.gone = True
    post.desk.mark("93900")
    post.until(lambda: post.held() is not None and not post.orders(OrderKind.LIMIT) and bool(post.stops()))
    assert sum(stop.size for stop in post.stops()) >= D("0.005")
    assert not post.deeds("flatten")
    post.back()
    post.desk.until_phase("protected")
    clean(post)


# --- what it never does


def test_it_never_enters(post):
    post.desk.submit()
    post.lose()
    post.rounds(5)
    assert post.deeds() == []
    assert (
        post.desk.get("/witness").get(post.desk.address.lower(), {}).get("BTC", {}).get("entries_by_signal", {}) == {}
    )
    post.back()
    post.desk.until_phase("protected")
    assert post.desk.witness()["duplicates"] == 0


def test_it_never_moves_a_stop_for_a_policy_nor_closes_where_it_would_have_moved_to(market):
    rules, trail = market.ports.rules, Trail(TrailKind.PERCENT, D("0.01"))
    rules = replace(rules, policy=replace(rules.policy, trail=trail), stop_interval_ms=100)
    market.ports = replace(market.ports, rules=rules)
    post = entered(Post(market))
    post.lose()
    before = post.orders()
    for price in ("96500", "98000", "97000", "96000"):  # a trail of 1 % would stand at 97020 and be passed
        market.mark(price)
        post.rounds(2)
        time.sleep(0.12)
    assert post.orders() == before
    assert post.deeds() == []
    assert post.held() is not None


def test_it_never_cancels_a_stop_or_target_and_never_books(held):
    ports = held.desk.ports
    held.lose()
    held.desk.hand(side="short", size="0.01")
    before = {order.id for order in held.orders()}
    assert len(before) == 2
    time.sleep(2 * LAG_MS / 1000)
    held.rounds(5)
    assert {order.id for order in held.orders()} == before
    assert held.deeds() == []
    held.desk.world.gone = False
    assert ports.ledger.lines("main") == []
    held.back()
    assert held.desk.until_booked().exit.reason == "external"
    empty(held)


def test_a_part_is_not_closed_since_whoever_comes_after_would_close_it_again(held):
    asks.ask_close(held.desk.key(), held.desk.ports, keep_fraction=D("0.5"))
    held.lose()
    held.rounds(5)
    assert held.deeds() == []
    held.back()
    held.desk.until(lambda: held.held().size == D("0.005"))
    held.desk.until_phase("protected")
    clean(held)


# --- when things go wrong on the way


def test_lost_answers_lead_to_no_storm(held):
    held.lose()
    held.rounds()
    held.desk.fault("drop_answer", "stop", times=3)
    held.desk.hand(cancel="stops")
    held.until(lambda: len(held.stops()) >= 1)
    for _ in range(6):
        held.rounds()
        time.sleep(0.1)
    assert len(held.deeds("place stop")) <= 2
    assert held.deeds("flatten") == []
    held.back()
    held.desk.until(lambda: len(held.stops()) == 1 and held.desk.phase() == "protected")
    clean(held)


def test_an_accepted_stop_that_is_not_shown_yet_is_waited_for(held):
    held.lose()
    held.rounds()
    held.desk.hand(cancel="stops")
    fault = held.desk.fault("hide_orders", delay_ms=LAG_MS - 100)
    held.until(lambda: bool(held.deeds("place stop")))
    for _ in range(6):
        held.rounds()
        time.sleep(0.05)
    assert len(held.deeds()) == 1
    assert fault


def test_a_venue_that_takes_no_stop_has_the_position_closed(held):
    held.lose()
    held.rounds()
    held.desk.fault("refuse_stop", times=100)
    held.desk.hand(cancel="stops")
    held.until(lambda: held.held() is None)
    assert len(held.deeds("place stop")) <= RULES.naked_limit_ms // 500 + 1
    assert len(held.deeds("flatten")) == 1


def test_a_venue_that_does_not_answer_is_survived(held):
    held.lose()
    held.desk.hand(cancel="stops")
    held.desk.fault("http_502", "any", times=None)
    held.rounds(3)
    blind = [text for _, text in held.said if "not all can be read" in text]
    assert len(blind) == 1
    assert held.deeds("flatten") == []
    held.heal()
    held.until(lambda: len(held.stops()) == 1)


def test_a_venue_whose_markets_were_never_read_is_asked_again(post, monkeypatch):
    post.lose()
    post.rounds()
    post.desk.hand("ETH", side="long", size="0.5")
    with monkeypatch.context() as patch:
        patch.setattr(post.venue, "markets", dict)
        post.rounds(2)
    assert len([text for _, text in post.said if "list of markets" in text]) == 1
    post.until(lambda: len(post.stops()) == 1)


def test_redis_that_answers_again_ends_a_round_before_its_next_deed(held, monkeypatch):
    held.lose()
    held.rounds()
    held.desk.hand(cancel="stops")
    read = held.venue.orders

    def comes_back(urgency):
        held.desk.world.gone = False
        held.load()
        return read(urgency)

    monkeypatch.setattr(held.venue, "orders", comes_back)
    assert held.rounds() == [0]
    assert held.deeds() == []


def test_an_outage_begins_with_what_redis_last_told_and_not_with_what_the_last_one_taught(post):
    post.lose()
    post.rounds()
    post.desk.hand("ETH", side="long", size="0.5")
    post.until(lambda: len(post.stops()) == 1)
    assert "ETH" in post.guardian._outage.records
    post.guardian.dismiss()
    post.rounds()
    assert post.deeds() == post.deeds("place stop")
    assert len(post.deeds()) == 1  # taken in anew, and covered already


def test_a_worker_is_not_in_the_way_of_a_guardian_that_only_lost_the_way_to_redis(held):
    """The feed's own way to Redis is cut: workers act on, and so does the guardian."""
    held.load()
    held.desk.hand(cancel="stops")
    held.desk.ports.wakes.wake(held.desk.key(), "the stop is gone")
    held.rounds()
    held.desk.tick()
    held.rounds()
    held.desk.until(lambda: held.desk.phase() == "protected" and len(held.stops()) == 1)
    held.rounds()
    clean(held)


# --- keys, nonces, budget


def test_its_own_key_signs_where_one_is_configured(market):
    key = SecretKey("0x" + secrets.token_hex(32))
    market.post("/agents", account=market.address, agent=key.address)
    post = entered(Post(market, key))
    post.lose()
    market.hand(cancel="stops")
    post.until(lambda: len(post.stops()) == 1)
    assert post.signers.seen == {key.address.lower()}
    assert key.address.lower() != market.address.lower()


def test_without_one_the_accounts_key_signs(held):
    held.lose()
    held.desk.hand(cancel="stops")
    held.until(lambda: len(held.stops()) == 1)
    assert held.signers.seen == {held.desk.address.lower()}


def test_a_key_of_its_own_that_is_refused_gives_way_to_the_accounts(market, monkeypatch):
    key = SecretKey("0x" + secrets.token_hex(32))
    post = entered(Post(market, key))
    monkeypatch.setattr(post.venue, "place_stop", lambda *_: Barred("User or API Wallet does not exist"))
    post.lose()
    market.hand(cancel="stops")
    post.until(lambda: len(post.stops()) == 1)
    assert any("its key is refused" in text for _, text in post.said)
    assert post.signers.seen == {key.address.lower(), market.address.lower()}


def test_while_all_is_covered_a_round_is_two_requests_every_two_seconds(held):
    held.lose()
    assert held.rounds() == [CALM_MS]
    held.desk.post("/stats/reset")
    assert held.rounds(3) == [CALM_MS] * 3
    spent = held.desk.get("/stats")["requests"]["by_type"]
    assert spent == {"clearinghouseState": 3, "frontendOpenOrders": 3}
    held.desk.hand(cancel="stops")
    assert held.rounds() == [500]


def test_an_empty_budget_is_waited_for_with_room_for_what_is_to_be_done(held):
    held.lose()
    held.rounds()
    while held.venue.budget.wait_ms(22, Urgency.PROTECTIVE) == 0:
        held.venue.budget.add(100)
    held.desk.post("/stats/reset")
    (pause_ms,) = held.rounds()
    assert pause_ms >= 500
    assert held.desk.get("/stats")["requests"]["by_type"] == {}


def test_order_numbers_go_on_after_all_that_is_seen_and_noted(held):
    before = held.desk.ports.records.load(held.desk.key()).n
    held.lose()
    held.desk.hand(cancel="stops")
    held.until(lambda: len(held.stops()) == 1)
    client = decode(held.stops()[0].client_id)
    assert (client.role, client.n > before) == (Role.STOP, True)
    held.back()
    held.desk.until_phase("protected")
    held.desk.until(lambda: held.desk.ports.records.load(held.desk.key()).n >= client.n)


def test_what_it_cannot_know_stays_unknown(held, monkeypatch):
    """Positions and orders unreadable, a stop seen before: nothing is done on a guess."""
    held.lose()
    monkeypatch.setattr(held.venue, "holdings", lambda _: Unknown("no answer"))
    monkeypatch.setattr(held.venue, "orders", lambda _: Unknown("no answer"))
    held.rounds(4)
    assert held.deeds() == []


# --- in its loop


def test_the_guard_lets_it_act_while_redis_is_silent_and_writes_it_down_afterwards(held):
    desk = held.desk
    times, told = replace(TIMES, guardian_ms=400), held.guardian

    def make(say):
        told._say_ = say
        return told

    guard = Guard("main", times, AlertsSection(), desk.ports.journal, make)

    async def feed() -> None:
        while True:
            with suppress(StoreGone):
                guard.note_alive(desk.ports.records.all("main"), desk.ports.flags.read("main"))
            await asyncio.sleep(0.05)

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(true):
                await asyncio.sleep(0.05)

    async def scene() -> None:
        posts = [asyncio.create_task(post) for post in (feed(), guard.run(), guard.report())]
        await asyncio.sleep(0.8)
        assert guard.silent_ms < 400
        desk.world.gone = True
        desk.hand(cancel="stops")
        await until(lambda: len(held.stops()) == 1)
        desk.world.gone = False
        await until(lambda: any("answers again" in line for line in desk.story()))
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)

    asyncio.run(scene())
    lines = [line for line in desk.story() if line.startswith("guardian")]
    assert any("place stop 0.01 at 93100" in line for line in lines)
    assert len([line for line in lines if "place stop" in line]) == 1
    held.back()
    desk.until_phase("protected")
    clean(held)
