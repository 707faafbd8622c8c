"""``stopkeeper orphans`` as it is typed, over the real engine and a paper venue; a thread ticks for the workers."""

import json
import threading
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from stopkeeper.console.backend import AccountFacts
from stopkeeper.console.cli import build
from stopkeeper.core import audit
from stopkeeper.core.rules import OrphanPolicy
from stopkeeper.engine.ports import LeaseLost, Urgency
from stopkeeper.engine.sweep import sweep
from tests.integration.engine.test_orphans import orders, reborn
from tests.unit.console.conftest import FakeBackend, FakeHouse


class Typist:
    """A console over a desk's own ports, and a ticker that stands in for workers and beat."""

    def __init__(self, desk):
        self.desk, self._over = desk, threading.Event()
        house = FakeHouse(accounts={"main": AccountFacts("main", "hyperliquid", "paper", desk.ports.symbols)})
        house.ports = lambda _name: desk.ports
        house.markets = lambda _name: desk.ports.venue.markets()
        self.root = build(FakeBackend(house))
        self.thread = threading.Thread(target=self._tick, daemon=True)
        self.thread.start()

    def _tick(self):
        last = 0.0
        while not self._over.wait(0.05):
            if time.monotonic() - last > 0.5:
                sweep(self.desk.ports)
                last = time.monotonic()
            try:
                self.desk.tick()
            except LeaseLost:
                continue

    def end(self):
        self._over.set()
        self.thread.join(10)

    def type(self, *words):
        return CliRunner().invoke(self.root, list(words), catch_exceptions=False)

    def told(self, *words):
        result = self.type(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def until(self, done, seconds=10):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "\n".join(self.desk.story())
            time.sleep(0.1)


@pytest.fixture
def typist(market):
    """An account that leaves strangers' positions alone, with a long of 0.02 BTC opened by hand."""
    market.ports = replace(market.ports, rules=replace(market.ports.rules, orphan_policy=OrphanPolicy.ALERT))
    market.ports.venue.holdings(Urgency.ORDINARY)
    market.hand(side="long", size="0.02")
    person = Typist(market)
    try:
        person.until(lambda: any(row.trade_id for row in market.rows().values()))
        yield person
    finally:
        person.end()


def test_it_is_listed_adopted_and_gone_from_the_list(typist):
    (listed,) = typist.told("orphans", "list", "main")
    assert (listed["symbol"], listed["kind"]) == ("BTC", "position")
    assert listed["what"].startswith("long 0.02, left alone")
    assert listed["since"].endswith("Z")
    (row,) = typist.told("positions")
    assert (row["phase"], row["orphan"], row["stop_price"]) == ("naked", "alert", None)
    assert "naked orphan" in typist.type("positions").stdout
    assert "1 NAKED" in typist.type("status").stdout
    assert typist.type("audit").exit_code == 1
    done = typist.told("orphans", "adopt", "main", "BTC", "--stop", "3%", "--wait", "15")
    assert (done["phase"], done["orphan"], done["stop_price"]) == ("protected", None, "92150")
    assert typist.told("orphans") == []
    assert typist.type("orphans", "list").stdout == "no orphans\n"
    assert typist.type("audit").exit_code == 0
    again = typist.type("orphans", "adopt", "main", "BTC")
    assert again.exit_code == 3
    assert again.stderr == (
        f"error: symbol: it is no orphan: trade {done['trade_id']} is the account's own (got BTC); "
        "stopkeeper stop moves its stop, stopkeeper close closes it\n"
    )
    assert typist.type("orphans", "close", "main", "BTC").exit_code == 3


def test_adopted_without_waiting_it_says_where_the_stop_will_be(typist):
    told = typist.told("orphans", "adopt", "main", "btc")
    assert list(told) == ["trade_id", "account", "symbol", "state", "stop_price", "trail", "breakeven"]
    assert (told["state"], told["stop_price"], told["trail"]) == ("adopted", "90250", "off")
    typist.until(lambda: [order.size for order in orders(typist.desk)] != [])
    assert str(orders(typist.desk)[0].trigger) == "90250.0"


def test_it_is_closed(typist):
    done = typist.told("orphans", "close", "main", "BTC/USDC:USDC", "--wait", "15")
    assert (done["exit_reason"], done["size"]) == ("manual_close", "0.02")
    assert typist.type("orphans", "close", "main", "BTC").exit_code == 2
    assert typist.type("orphans", "adopt", "main", "BTC").exit_code == 2


def test_a_wrong_stop_or_symbol_is_one_line_and_changes_nothing(typist):
    typist.desk.hand("DOGE", side="long", size="1000")
    for words, sentence in (
        (("BTC", "--stop", "99000"), "error: stop: the stop of a long must be below the price 95000"),
        (("DOGE",), "error: symbol: the symbol is not among the account's symbols, so nothing would guard it"),
    ):
        result = typist.type("orphans", "adopt", "main", *words)
        assert result.exit_code == 3
        assert result.stderr.startswith(sentence)
        assert result.stderr.count("\n") == 1
    assert typist.type("orphans", "close", "main", "DOGE").exit_code == 3
    assert {row["orphan"] for row in typist.told("positions")} == {"alert"}
    assert orders(typist.desk) == []


def test_a_live_installation_is_refused_and_a_dead_one_taken_over(typist, monkeypatch):
    other = reborn(typist.desk, "fffff")
    other.submit("ETH", size="0.5")
    other.until_phase("protected", "ETH")
    live = typist.type("orphans", "adopt", "--installation", "fffff", "--json")
    assert live.exit_code == 3
    assert json.loads(live.stdout)["field"] == "installation"
    assert "it is at work: its order" in live.stderr
    assert typist.type("orphans", "adopt", "--installation", "00000").exit_code == 3
    assert typist.type("orphans", "adopt", "main", "--installation", "a1b2c").exit_code == 3
    monkeypatch.setattr(audit, "FOREIGN_LIVE_MS", 500)  # as the table of times is shortened
    time.sleep(0.6)
    told = typist.told("orphans", "adopt", "--installation", "fffff")
    assert told == [{"account": "main", "installation": "fffff", "orders": 1}]
    typist.until(lambda: typist.desk.rows()["ETH"].orphan is None)
    assert typist.desk.phase("ETH") == "protected"
