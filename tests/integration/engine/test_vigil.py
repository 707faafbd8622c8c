"""What an account lacks is told once and its end once; a key that is refused is asked for at a pace, and comes back."""

import urllib.request
from dataclasses import replace
from time import sleep, time_ns

import pytest
from eth_account import Account

from exchange.clock import BELIEVED_AFTER_MS
from exchange.signing import SecretKey
from exchange.venues import open_venue
from stopkeeper.core.missing import Part, Processes
from stopkeeper.engine import vigil
from stopkeeper.engine.ports import Urgency
from stopkeeper.engine.sweep import sweep
from stopkeeper.engine.typed import Refused
from stopkeeper.store.memory.open import memory_store
from tests.integration.engine.conftest import TIMES, Desk


def kinds(desk_: Desk) -> list[str]:
    read = desk_.ports.journal.read("main", "0", 500)
    return [line["kind"] for _, line in read if line["kind"].startswith(("alarm:", "back:", "switch"))]


def tomorrow_ms() -> int:
    return time_ns() // 1_000_000 + 86_400_000


def calm(desk_: Desk) -> None:
    urllib.request.urlopen(urllib.request.Request(desk_.control + "/faults", method="DELETE"), timeout=5).close()


@pytest.fixture
def held(market: Desk) -> Desk:
    market.submit()
    market.until_phase("protected")
    return market


def watch(desk_: Desk, *parts: Part) -> None:
    sweep(desk_.ports)
    vigil.watch(desk_.ports, parts, Processes(0))


def signed_by_agent(market: Desk) -> tuple[Desk, str]:
    """Return the desk with an agent's key, and the agent's address."""
    agent = Account.create()
    market.post("/agents", account=market.address, agent=agent.address, valid_until_ms=tomorrow_ms())
    account = replace(market.ports.venue.account, key=SecretKey("0x" + bytes(agent.key).hex()))  # type: ignore[attr-defined]
    store = memory_store(market.world, installation=market.ports.installation, boot="agent", times=TIMES)
    venue = open_venue(account, TIMES, store.nonces, store.budget, store.texts)
    return Desk(replace(market.ports, venue=venue), market.url, market.control, market.address, market.world), str(
        agent.address
    )


def test_a_venue_that_does_not_answer_is_told_once_and_its_return_once(market: Desk, monkeypatch) -> None:
    monkeypatch.setattr(vigil, "PATIENCE_MS", {})
    market.fault("refuse_before", "info", times=None)
    watch(market, Part.VENUE)
    watch(market, Part.VENUE)
    assert [lack.part for lack in vigil.missing(market.ports, Processes(0))] == [Part.STREAMS, Part.VENUE]
    assert kinds(market) == ["alarm:venue"]
    calm(market)
    watch(market, Part.VENUE)
    watch(market, Part.VENUE)
    assert kinds(market) == ["alarm:venue", "back:venue"]
    assert Part.VENUE not in {lack.part for lack in vigil.missing(market.ports, Processes(0))}


def test_a_clock_that_leaps_forward_lets_no_entry_in_and_keeps_the_stop(held: Desk) -> None:
    fault = held.post("/faults", kind="clock_skew", skew_ms=3_600_000)
    assert fault
    watch(held, Part.CLOCK)
    assert kinds(held) == ["alarm:clock"]
    with pytest.raises(Refused, match="contradicts the offset"):
        held.submit("ETH")
    for _ in range(3):
        sleep(BELIEVED_AFTER_MS / 2_500)
        watch(held, Part.CLOCK)
    with pytest.raises(Refused, match=r"(3599|3600) s behind"):
        held.submit("ETH")
    held.hand(cancel="stops")
    sweep(held.ports)
    held.until_phase("protected")
    assert held.witness()["naked_intervals"][-1]["to_ms"] is not None


def test_a_venue_that_refuses_for_weight_leaves_the_rest_to_protection(held: Desk) -> None:
    market = held
    assert market.ports.venue.short() == ""
    market.fault("http_429", "clearinghouseState")
    sweep(market.ports)
    assert "weight of the minute are spent" in market.ports.venue.short()
    assert [lack.part for lack in vigil.missing(market.ports, Processes(0))] == [Part.BUDGET, Part.STREAMS]
    market.hand(cancel="stops")
    sweep(market.ports)
    market.until_phase("protected")


def test_an_address_that_has_spent_its_actions_is_told(held: Desk) -> None:
    held.post("/settings", address_initial=10)
    held.world.state.texts.clear()
    sweep(held.ports)
    (budget, _) = vigil.missing(held.ports, Processes(0))
    assert budget.part is Part.BUDGET
    assert "actions are left for this address" in budget.text


def test_a_revoked_agent_is_found_without_an_action_and_asked_for_at_a_pace(market: Desk, monkeypatch) -> None:
    here, agent = signed_by_agent(market)
    here.submit()
    here.until_phase("protected")
    vigil.ask_key(here.ports)
    assert kinds(here) == []
    here.post("/agents", account=here.address, agent=agent, valid_until_ms=1)
    vigil.ask_key(here.ports)
    assert not here.ports.flags.read("main").barred, "it is not asked for that often"
    monkeypatch.setattr(vigil, "KEY_MS", 1)
    here.world.state.turns.clear()
    vigil.keep(here.ports)
    assert "does not exist" in here.ports.flags.read("main").barred
    vigil.keep(here.ports)
    assert [kind for kind in kinds(here) if "barred" in kind] == ["alarm:barred"]
    here.post("/agents", account=here.address, agent=agent, valid_until_ms=tomorrow_ms())
    vigil.ask_key(here.ports)
    assert here.ports.flags.read("main").barred, "it was asked a moment ago"
    here.world.state.turns.clear()
    vigil.keep(here.ports)
    assert not here.ports.flags.read("main").barred
    assert kinds(here)[-1] == "switch"
    vigil.keep(here.ports)
    assert kinds(here)[-1] == "back:barred"


def test_an_agent_that_no_list_names_is_proved_before_anybody_is_barred(market: Desk, monkeypatch) -> None:
    """The venue lists named agents only: the wallet's unnamed one must not be taken for revoked."""
    here, _ = signed_by_agent(market)
    here.ports.venue.holdings(Urgency.ORDINARY)
    monkeypatch.setattr(here.ports.venue, "key_trouble", lambda: "the account lists no such agent")
    vigil.ask_key(here.ports)
    assert not here.ports.flags.read("main").barred
    assert here.get("/stats")["requests"]["by_type"]["noop"] == 1
    here.world.state.turns.pop(("main", "key"))
    vigil.ask_key(here.ports)
    assert here.get("/stats")["requests"]["by_type"]["noop"] == 1, "nor is it tried every time"
