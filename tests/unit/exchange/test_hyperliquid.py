"""The venue over a real HTTP server: how many requests, what they carry, and what lost or odd answers become."""

import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal as Dec
from typing import Any

import pytest

from exchange.account import _HTTP, VenueAccount
from exchange.budget import LocalBudget, LocalCache
from exchange.hyperliquid import Hyperliquid
from exchange.nonces import LocalNonces
from exchange.signing import SecretKey, sign_l1_action
from exchange.venues import NoSuchVenue, open_venue
from stopkeeper.core.model import History, Known, MarginMode, OrderState, Side
from stopkeeper.core.outcomes import Accepted, Barred, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.record import TargetTerms, Terms
from stopkeeper.engine.ports import EntryIds, Permit, Times, Urgency, Venue
from tests.unit.exchange.conftest import KEY, WireServer, recorded

NOW, SOON = Urgency.PROTECTIVE, Urgency.ORDINARY
IDS = EntryIds("57b" + "0" * 28 + "1", "57b" + "0" * 28 + "2")
TERMS = Terms(Dec("0.01"), Dec(96000), Dec(90000), Dec(81000), Dec(95000))
FILLED = {"filled": {"totalSz": "0.01", "avgPx": "95001.5", "oid": 77}}

# words that ccxt makes a class of, in bodies that are no answer of the venue to an action
UNKNOWN_OID = '{"status": "unknownOid"}'
NO_MARGIN = '{"error": "Insufficient margin to place order."}'
TOO_MANY = '{"error": "Too many cumulative requests sent"}'


def _statuses(*rows: Any) -> dict[str, Any]:
    return {"status": "ok", "response": {"type": "order", "data": {"statuses": list(rows)}}}


def _permit(venue: Hyperliquid, urgency: Urgency = NOW) -> Permit:
    permit = venue.permit(urgency, venue.now_ms() + 9_000)
    assert isinstance(permit, Permit)
    return permit


def test_it_is_a_venue(account: VenueAccount) -> None:
    venue: Venue = open_venue(account, Times(), LocalNonces(), LocalBudget(), LocalCache())
    assert venue.can.oversize_covers
    assert venue.clock_age_ms() is None


def test_other_venues_are_refused_in_a_sentence(account: VenueAccount) -> None:
    for name in ("okx", "kraken"):
        with pytest.raises(NoSuchVenue, match=name):
            open_venue(replace(account, venue=name), Times(), LocalNonces(), LocalBudget(), LocalCache())


def test_markets_are_asked_for_once_in_all_processes(account: VenueAccount, server: WireServer) -> None:
    cache = LocalCache()
    for _ in range(2):
        venue = Hyperliquid(account, Times(), LocalNonces(), LocalBudget(), cache)
        assert venue.markets()["BTC"].size_step == Dec("0.00001")
        assert venue.symbol("BTC/USDC:USDC") == "BTC"
        assert venue.symbol("NOPE") is None
    assert server.kinds() == ["meta"]


def test_every_effect_is_one_request_and_nothing_goes_with_it(venue: Hyperliquid, server: WireServer) -> None:
    venue.markets()
    server.asked.clear()
    server.by_kind["order"] = lambda body: _statuses(*[FILLED] * len(body["action"]["orders"]))
    server.by_kind["cancel"] = _statuses("success")
    assert venue.prepare("BTC", 5, MarginMode.ISOLATED, _permit(venue)) == Accepted()
    assert venue.enter("BTC", Side.LONG, TERMS, IDS, _permit(venue)).stop == Accepted("77", Dec("0.01"), Dec("95001.5"))
    venue.place_stop("BTC", Side.LONG, Dec("0.01"), Dec(90000), Dec(81000), IDS.stop, _permit(venue))
    venue.place_target("BTC", Side.LONG, Dec("0.01"), Dec(99000), Dec(90000), IDS.stop, _permit(venue))
    venue.close("BTC", Side.LONG, Dec("0.01"), Dec(90000), IDS.stop, _permit(venue))
    assert venue.cancel("BTC", "77", _permit(venue)) == Accepted()
    assert server.kinds() == ["updateLeverage", "order", "order", "order", "order", "cancel"]
    assert server.connections == 1
    text = json.dumps([body for _, body in server.asked])
    assert "builder" not in text
    assert "referr" not in text.lower()
    assert KEY not in text


def test_what_an_entry_carries(venue: Hyperliquid, server: WireServer) -> None:
    server.by_kind["order"] = _statuses(FILLED, {"resting": {"oid": 78}}, {"resting": {"oid": 79}})
    ids = replace(IDS, targets=("57b" + "0" * 28 + "3",))
    terms = replace(TERMS, targets=(TargetTerms(Dec("0.01"), Dec(99000), Dec(90000)),))
    permit = _permit(venue)
    outcome = venue.enter("BTC", Side.LONG, terms, ids, permit)
    assert outcome.targets == (Accepted("79", live=True),)
    body = server.asked[-1][1]
    entry, stop, target = body["action"]["orders"]
    assert body["action"]["grouping"] == "na"
    assert (body["nonce"], body["expiresAfter"]) == (permit.nonce, permit.deadline_ms)
    assert "vaultAddress" not in body
    assert (entry["r"], entry["b"], entry["t"], entry["c"]) == (
        False,
        True,
        {"limit": {"tif": "Ioc"}},
        "0x" + ids.entry,
    )
    assert (stop["r"], stop["b"], stop["p"], stop["c"]) == (True, False, "81000", "0x" + ids.stop)
    assert stop["t"] == {"trigger": {"isMarket": True, "triggerPx": "90000", "tpsl": "sl"}}
    assert target["t"] == {"trigger": {"isMarket": True, "triggerPx": "99000", "tpsl": "tp"}}
    assert body["signature"] == sign_l1_action(
        SecretKey(KEY), body["action"], permit.nonce, expires_after_ms=permit.deadline_ms
    )


def test_a_vault_is_named_in_writes_and_read_by_its_own_address(account: VenueAccount, server: WireServer) -> None:
    vault = "0x" + "Aa" * 20
    venue = Hyperliquid(
        replace(account, vault_address=vault, mode="testnet"), Times(), LocalNonces(), LocalBudget(), LocalCache()
    )
    venue.holdings(NOW)
    venue.prepare("BTC", 5, MarginMode.CROSS, _permit(venue))
    assert server.asked[0][1]["user"] == vault.lower()
    body = server.asked[-1][1]
    assert body["vaultAddress"] == vault.lower()
    assert body["signature"] == sign_l1_action(
        SecretKey(KEY),
        body["action"],
        body["nonce"],
        vault_address=vault,
        expires_after_ms=body["expiresAfter"],
        source="b",
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, Unknown),
        ((200, "<html>cloudflare</html>"), Unknown),
        ((200, "null"), Unknown),
        ((200, '{"status": "ok"}'), Unknown),
        ((200, '{"status": "ok", "response": {"type": "order", "data": {"statuses": [{"filled": NaN}]}}}'), Unknown),
        ((200, ""), Unknown),
        ((502, '{"status": "ok", "response": {"type": "default"}}'), Unknown),
        ((504, "late"), Unknown),
        ((307, ""), Unknown),
        ((302, '{"status": "ok"}'), Unknown),
        ((422, "Failed to deserialize the JSON body"), Unknown),
        ((429, "null"), Throttled),
        ((429, UNKNOWN_OID), Throttled),
        ((401, "who are you"), Barred),
        ((401, TOO_MANY), Barred),
        ((403, "forbidden"), Unknown),
        ((407, "who are you"), Unknown),  # a proxy's, and the next a captive portal's: not the venue's
        ((511, "<html>log in</html>"), Unknown),
        ((504, UNKNOWN_OID), Unknown),
        ((200, UNKNOWN_OID), Unknown),
        ((200, NO_MARGIN), Unknown),
        ((200, TOO_MANY), Unknown),
        ((502, TOO_MANY), Unknown),
        ((302, NO_MARGIN), Unknown),
        ((502, json.dumps({"status": "err", "response": "Insufficient margin to place order."})), Unknown),
        ((500, json.dumps(_statuses({"error": "Order was never placed, already canceled, or filled."}))), Unknown),
        ((302, json.dumps(_statuses({"error": "Insufficient margin to place order."}))), Unknown),
        ((200, json.dumps(recorded("exchange_err_wallet"))), Barred),
        ((200, json.dumps(recorded("exchange_err_cumulative"))), Throttled),
        ((200, json.dumps(_statuses({"error": "Invalid TP/SL price. asset=0"}))), Rejected),
    ],
)
def test_an_effect_is_sent_once_whatever_comes_back(
    venue: Hyperliquid, server: WireServer, answer: tuple[int, str] | None, kind: type
) -> None:
    venue.markets()
    permit = _permit(venue)
    server.answer = lambda _path, _body: answer
    server.asked.clear()
    outcome = venue.enter("BTC", Side.LONG, TERMS, IDS, permit)
    assert isinstance(outcome.entry, kind)
    assert isinstance(outcome.stop, kind)
    assert len(server.asked) == 1


def test_an_effect_past_its_deadline_is_not_sent(venue: Hyperliquid, server: WireServer) -> None:
    venue.markets()
    permit = venue.permit(NOW, venue.now_ms() - 1)
    assert isinstance(permit, Permit)
    assert isinstance(venue.cancel("BTC", "1", permit), Throttled)
    assert server.kinds() == ["meta"]


def test_an_unlisted_symbol_is_not_sent(venue: Hyperliquid, server: WireServer) -> None:
    assert isinstance(venue.cancel("NOPE", "1", _permit(venue)), Throttled)
    assert isinstance(venue.cancel("BTC", "0xab", _permit(venue)), Throttled)
    assert server.kinds() == ["meta"]


def test_what_makes_no_order_is_not_sent(venue: Hyperliquid, server: WireServer) -> None:
    stop = venue.place_stop("BTC", Side.LONG, Dec("0.01"), Dec("NaN"), Dec(80000), IDS.stop, _permit(venue))
    close = venue.close("BTC", Side.SHORT, Dec(0), Dec(90000), IDS.stop, _permit(venue))
    terms = replace(TERMS, size=Dec("0.000001"), targets=(TargetTerms(Dec("0.01"), Dec(99000), Dec(90000)),))
    entry = venue.enter("BTC", Side.LONG, terms, replace(IDS, targets=(IDS.stop,)), _permit(venue))
    for outcome in (stop, close, entry.entry, entry.stop, *entry.targets):
        assert isinstance(outcome, Throttled)
        assert outcome.text.startswith("not sent: ")
    assert len(entry.targets) == 1
    assert server.kinds() == ["meta"]


def test_a_close_at_the_lowest_of_prices_is_sent(venue: Hyperliquid, server: WireServer) -> None:
    server.by_kind["order"] = _statuses(FILLED)
    assert isinstance(venue.close("BTC", Side.LONG, Dec(1), Dec("0.01"), IDS.stop, _permit(venue)), Accepted)
    assert server.asked[-1][1]["action"]["orders"][0]["p"] == "0.1"


def test_a_list_of_no_perpetuals_is_none_and_is_kept_by_nobody(account: VenueAccount, server: WireServer) -> None:
    cache = LocalCache()
    first, second = (Hyperliquid(account, Times(), LocalNonces(), LocalBudget(), cache) for _ in range(2))
    server.by_kind["meta"] = {"universe": []}
    assert first.markets() == {}
    del server.by_kind["meta"]
    assert "BTC" in second.markets()


def test_a_delisted_perpetual_is_told_as_such_and_can_still_be_closed(venue: Hyperliquid, server: WireServer) -> None:
    meta = recorded("meta")
    meta["universe"][0] |= {"isDelisted": True}
    server.by_kind["meta"] = json.loads(json.dumps(meta, default=str))
    name = meta["universe"][0]["name"]
    listed = venue.markets()
    assert listed[name].delisted
    assert not listed[meta["universe"][1]["name"]].delisted
    server.by_kind["order"] = _statuses(FILLED)
    assert isinstance(venue.close(name, Side.LONG, Dec(1), Dec(9), "ab" * 16, _permit(venue)), Accepted)


def test_markets_that_cannot_be_read_send_nothing(venue: Hyperliquid, server: WireServer) -> None:
    server.answer = lambda _path, _body: (502, "")
    assert venue.markets() == {}
    assert isinstance(venue.cancel("BTC", "1", _permit(venue)), Throttled)
    assert server.kinds() == ["meta"]  # asked again after two seconds, not at every call


def test_a_permit_is_the_earlier_deadline_with_the_nonce_given(venue: Hyperliquid) -> None:
    now_ms = venue.now_ms()
    assert venue.permit(NOW, now_ms + 2_000, nonce=17) == Permit(17, now_ms + 2_000)
    full = venue.permit(NOW, now_ms + 60_000)
    assert isinstance(full, Permit)
    assert 3_990 < full.deadline_ms - now_ms < 4_500
    first, second = venue.reserve_nonces(2)
    assert second == first + 1 > full.nonce


def test_no_budget_no_nonce(account: VenueAccount) -> None:
    budget, nonces = LocalBudget(), LocalNonces()
    venue = Hyperliquid(account, Times(), nonces, budget, LocalCache())
    venue.budget.reserve(1_200, NOW)
    assert isinstance(venue.permit(NOW, venue.now_ms() + 9_000), Throttled)
    assert nonces.take(account.key.address, 5, 1) == 5  # nothing was minted


def test_an_address_short_of_actions_keeps_them_for_protection(venue: Hyperliquid, server: WireServer) -> None:
    server.by_kind["userRateLimit"] = {"cumVlm": "0.0", "nRequestsUsed": 9_500, "nRequestsCap": 10_000}
    assert isinstance(venue.permit(SOON, venue.now_ms() + 9_000), Permit)  # not told yet, and no entry waits for it
    assert server.kinds() == []
    for _ in range(3):
        venue.poll_limits()
        assert isinstance(venue.permit(SOON, venue.now_ms() + 9_000), Throttled)
    assert isinstance(venue.permit(NOW, venue.now_ms() + 9_000), Permit)
    assert server.kinds() == ["userRateLimit"]


def test_a_venue_that_says_enough_is_believed(venue: Hyperliquid, server: WireServer) -> None:
    server.by_kind["cancel"] = recorded("exchange_err_cumulative")
    assert isinstance(venue.permit(SOON, venue.now_ms() + 9_000), Permit)
    assert isinstance(venue.cancel("BTC", "1", _permit(venue)), Throttled)
    assert isinstance(venue.permit(SOON, venue.now_ms() + 9_000), Throttled)


def test_readings_carry_the_time_of_the_holdings_before_them(venue: Hyperliquid, server: WireServer) -> None:
    server.by_kind |= {"frontendOpenOrders": recorded("open_order_stop_limit"), "userFillsByTime": []}
    server.by_kind["orderStatus"] = recorded("unknown_oid")
    assert isinstance(venue.orders(NOW), Unknown)
    assert isinstance(venue.fills(0, NOW), Unknown)
    held = venue.holdings(NOW)
    assert isinstance(held, Known)
    for reading in (venue.orders(NOW), venue.fills(0, NOW), venue.lookup("BTC", IDS.entry, NOW)):
        assert isinstance(reading, Known)
        assert reading.at_ms == held.at_ms
    assert server.asked[-1][1]["oid"] == "0x" + IDS.entry
    assert (venue.clock_age_ms() or 0) < 1_000
    assert abs(venue.now_ms() - time.time() * 1_000) < 200


def test_a_look_up_survives_ccxts_exception_for_an_unknown_order(venue: Hyperliquid, server: WireServer) -> None:
    server.by_kind["orderStatus"] = recorded("unknown_oid")
    venue.holdings(NOW)
    found = venue.lookup("BTC", IDS.entry, NOW)
    assert isinstance(found, Known)
    assert found.value.state is None
    server.by_kind["orderStatus"] = recorded("order_status_open")
    known = venue.lookup("ETH", IDS.entry, NOW)
    assert isinstance(known, Known)
    assert known.value.state is OrderState.LIVE


def _on_record(oid: int, *states: str, **more: Any) -> list[dict[str, Any]]:
    row = recorded("historical_orders")[1]["order"] | {"oid": oid, "coin": "BTC", "cloid": "0x" + IDS.stop} | more
    return [{"order": row, "status": state, "statusTimestamp": 1_000 + oid} for state in states]


def test_of_the_history_what_has_not_ended_is_told_once_for_all_keys(venue: Hyperliquid, server: WireServer) -> None:
    server.by_kind["historicalOrders"] = [
        *_on_record(1, "open"),
        *_on_record(2, "triggered", "open"),  # the rows of one moment come in no order
        *_on_record(3, "open", "filled"),
        *_on_record(4, "reduceOnlyCanceled", "open"),
        *_on_record(5, "open", cloid=None),  # a person's
        *_on_record(7, "open", cloid="0x" + "ab" * 16, sz="?"),  # another program's, whatever it says
        *_on_record(6, "open", coin="@107"),
        *_on_record(8, "filled", coin="ETH"),
        *recorded("historical_orders"),
    ]
    assert isinstance(venue.history(0, NOW), Unknown)  # no venue time yet
    held = venue.holdings(NOW)
    assert isinstance(held, Known)
    told = venue.history(0, NOW)
    assert isinstance(told, Known)
    assert [(order.id, order.client_id) for order in told.value.unended] == [("1", IDS.stop), ("2", IDS.stop)]
    assert told.value.symbols == {"BTC", "ETH"}
    assert told.at_ms == held.at_ms
    assert venue.history(held.at_ms - 1, NOW) == told
    assert server.kinds().count("historicalOrders") == 1
    time.sleep(0.002)
    later = venue.holdings(NOW)
    assert isinstance(later, Known)
    anew = venue.history(held.at_ms, NOW)
    assert isinstance(anew, Known)
    assert anew.at_ms == later.at_ms
    assert server.kinds().count("historicalOrders") == 2


def _answering(server: WireServer, kind: str, answer: Any) -> None:
    """Answer one question so, and the others as ever."""
    server.answer = lambda path, body: answer if body.get("type") == kind else server.ordinary(path, body)


ODD = [(200, '{"error": "unknown type"}'), (200, "null"), (500, "no")]
DENIED = [(422, "Failed to deserialize the JSON body"), (404, "none here")]


@pytest.mark.parametrize("answer", DENIED)
def test_a_server_without_a_history_is_asked_once(
    venue: Hyperliquid, server: WireServer, answer: tuple[int, str]
) -> None:
    _answering(server, "historicalOrders", answer)
    venue.holdings(NOW)
    for _ in range(2):
        told = venue.history(0, NOW)
        assert isinstance(told, Known)
        assert told.value == History()
    assert server.kinds().count("historicalOrders") == 1


@pytest.mark.parametrize("answer", ODD)
def test_a_bad_moment_is_no_history_of_nothing(venue: Hyperliquid, server: WireServer, answer: tuple[int, str]) -> None:
    """What hangs unseen must be named by an answer, or by a server that never gives one."""
    venue.holdings(NOW)
    server.by_kind["historicalOrders"] = _on_record(1, "triggered")
    for _ in range(2):
        _answering(server, "historicalOrders", answer)
        assert isinstance(venue.history(0, NOW), Unknown)
    server.answer = server.ordinary
    told = venue.history(0, NOW)
    assert isinstance(told, Known)
    assert [order.id for order in told.value.unended] == ["1"]
    time.sleep(0.002)
    venue.holdings(NOW)
    _answering(server, "historicalOrders", answer)
    for _ in range(2):  # those before the answer do not count
        assert isinstance(venue.history(told.at_ms, NOW), Unknown)
    third = venue.history(told.at_ms, NOW)
    assert isinstance(third, Known)
    assert third.value == History()


@pytest.mark.parametrize(
    "rows", [_on_record(1, "triggered", sz="?"), [{"order": _on_record(1, "triggered")[0]["order"]}]]
)
def test_a_history_of_which_a_row_cannot_be_read_is_never_taken_for_none(
    venue: Hyperliquid, server: WireServer, rows: list[Any]
) -> None:
    venue.holdings(NOW)
    server.by_kind["historicalOrders"] = rows
    for _ in range(5):
        assert isinstance(venue.history(0, NOW), Unknown)


@pytest.mark.parametrize("answer", [*ODD, *DENIED])
def test_the_venues_own_server_is_never_taken_for_one_without_a_history(
    account: VenueAccount, server: WireServer, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str]
) -> None:
    monkeypatch.setitem(_HTTP, ("hyperliquid", "testnet"), server.url)
    named = replace(account, mode="testnet", base_url=None)
    venue = Hyperliquid(named, Times(), LocalNonces(), LocalBudget(), LocalCache())
    venue.holdings(NOW)
    _answering(server, "historicalOrders", answer)
    for _ in range(5):
        assert isinstance(venue.history(0, NOW), Unknown)


def test_a_history_is_as_old_as_the_positions_read_before_it_was_asked_for(
    account: VenueAccount, server: WireServer
) -> None:
    cache = LocalCache()
    first, second = (Hyperliquid(account, Times(), LocalNonces(), LocalBudget(), cache) for _ in range(2))
    held = first.holdings(NOW)
    assert isinstance(held, Known)

    def meanwhile(_body: Any) -> list[Any]:  # another thread of this process reads positions
        time.sleep(0.003)
        assert isinstance(first.holdings(NOW), Known)
        return []

    server.by_kind["historicalOrders"] = meanwhile
    told = first.history(0, NOW)
    assert isinstance(told, Known)
    assert told.at_ms == held.at_ms
    assert second.history(0, NOW) == told, "and nobody takes it for younger"


def test_a_history_that_could_not_be_had_is_unknown(venue: Hyperliquid, server: WireServer) -> None:
    venue.holdings(NOW)
    server.answer = lambda path, body: None
    assert isinstance(venue.history(0, NOW), Unknown)


def test_settings_tell_leverage_mode_and_mark_in_one_request(venue: Hyperliquid, server: WireServer) -> None:
    data = {"user": "0x", "coin": "BTC", "leverage": {"type": "isolated", "value": 5}, "markPx": "95000.0"}
    server.by_kind["activeAssetData"] = data
    found = venue.settings("BTC", SOON)
    assert isinstance(found, Known)
    assert found.value.mark is not None
    assert found.value.prepared is not None
    assert (found.value.prepared.leverage, found.value.mark.value) == (5, Dec("95000.0"))
    assert server.kinds() == ["activeAssetData"]
    server.by_kind["activeAssetData"] = data | {"markPx": "0.0"}
    found = venue.settings("BTC", SOON)
    assert isinstance(found, Known)
    assert found.value.mark is None


def test_a_server_without_that_answer_is_asked_once_and_tells_neither(venue: Hyperliquid, server: WireServer) -> None:
    _answering(server, "activeAssetData", DENIED[0])
    for _ in range(3):
        found = venue.settings("BTC", SOON)
        assert isinstance(found, Known)
        assert (found.value.prepared, found.value.mark) == (None, None)
    assert server.kinds() == ["activeAssetData"]


@pytest.mark.parametrize("answer", ODD)
def test_what_was_set_is_not_believed_after_one_bad_moment(
    venue: Hyperliquid, server: WireServer, answer: tuple[int, str]
) -> None:
    _answering(server, "activeAssetData", answer)
    for _ in range(2):
        assert isinstance(venue.settings("BTC", SOON), Unknown)
    found = venue.settings("BTC", SOON)
    assert isinstance(found, Known)
    assert found.value.prepared is None


def test_the_mark_is_in_the_contexts_and_a_zero_is_none(venue: Hyperliquid, server: WireServer) -> None:
    answer = [recorded("meta"), [{"markPx": "94000"}]]
    server.by_kind["metaAndAssetCtxs"] = json.loads(json.dumps(answer, default=str))
    mark = venue.mark("BTC", SOON)
    assert mark is not None
    assert mark.value == Dec(94000)
    for contexts in ([{"markPx": "0.0"}], []):
        server.by_kind["metaAndAssetCtxs"] = [json.loads(json.dumps(answer[0], default=str)), contexts]
        assert venue.mark("BTC", SOON) is None


@pytest.mark.parametrize("answer", ["[]", "[1]", "[1, 2, 3]", "[{}, []]", "{}", "null", '"x"'])
def test_no_answer_to_a_question_escapes(venue: Hyperliquid, server: WireServer, answer: str) -> None:
    """What escaped from one reading ended the drive, and with it whatever was to close the position."""
    listed = venue.markets()
    venue.holdings(NOW)
    server.answer = lambda _path, _body: (200, answer)
    assert venue.mark("BTC", NOW) is None
    readings = [
        venue.holdings(NOW), venue.orders(NOW), venue.fills(0, NOW), venue.lookup("BTC", IDS.entry, NOW),
        venue.history(0, NOW), venue.settings("BTC", NOW), venue.candles("BTC", "1m", 3), venue.funding("BTC", 0, 1),
        venue.signer_valid_until_ms(),
    ]  # fmt: skip
    assert all(isinstance(reading, Known | Unknown) for reading in readings)
    assert venue.markets() == listed


@pytest.mark.parametrize("row", [{}, {"time": "x"}, {"time": 1}, 1])
def test_an_odd_row_of_funding_is_unknown(venue: Hyperliquid, server: WireServer, row: object) -> None:
    server.by_kind["userFunding"] = [row]
    assert isinstance(venue.funding("BTC", 0, 1), Unknown)


def test_a_time_out_of_all_proportion_is_no_reading(venue: Hyperliquid, server: WireServer) -> None:
    text = json.dumps(recorded("clearinghouse_state"), default=str)
    server.answer = lambda _path, _body: (200, text.removesuffix("}") + ', "time": 1e400}')
    assert isinstance(venue.holdings(NOW), Unknown)


def test_a_reduce_only_refusal_is_oversize_where_a_position_was_just_seen(
    venue: Hyperliquid, server: WireServer
) -> None:
    words = {"error": "Reduce only order would increase position. asset=1"}
    server.by_kind |= {"order": _statuses(words), "clearinghouseState": recorded("clearinghouse_state_position")}

    def place() -> Reason:
        outcome = venue.place_stop("ETH", Side.LONG, Dec(1), Dec(1900), Dec(1700), IDS.stop, _permit(venue))
        assert isinstance(outcome, Rejected)
        return outcome.reason

    assert place() is Reason.NO_POSITION
    server.by_kind["clearinghouseState"] = json.loads(json.dumps(recorded("clearinghouse_state_position"), default=str))
    venue.holdings(NOW)
    assert place() is Reason.OVERSIZE


def test_a_surcharge_of_rows_is_booked(account: VenueAccount, server: WireServer) -> None:
    taken: list[int] = []

    class Counting(LocalBudget):
        def take(self, limit: str, weight: int, capacity: int, per_ms: int, reserve: int) -> int:
            taken.append(weight)
            return 0

    row = recorded("user_fills")[0]
    server.by_kind["userFillsByTime"] = [row | {"tid": number} for number in range(200)]
    venue = Hyperliquid(account, Times(), LocalNonces(), Counting(), LocalCache())
    venue.holdings(NOW)
    venue.fills(0, NOW)
    assert taken == [2, 20, 10]


def test_when_an_agents_approval_ends(account: VenueAccount, server: WireServer) -> None:
    server.by_kind["extraAgents"] = [{"name": "x", "address": account.key.address, "validUntil": 17}]
    venue = Hyperliquid(account, Times(), LocalNonces(), LocalBudget(), LocalCache())
    own = venue.signer_valid_until_ms()
    assert isinstance(own, Known)
    assert own.value is None
    agent = replace(account, wallet_address="0x" + "11" * 20)
    told = Hyperliquid(agent, Times(), LocalNonces(), LocalBudget(), LocalCache()).signer_valid_until_ms()
    assert isinstance(told, Known)
    assert told.value == 17


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"


@pytest.mark.parametrize(
    ("pieces", "drip"),
    [
        ([(0, b"")], b""),
        ([(0, HEAD + b"\r\n")], b" "),
        ([(0, HEAD + b"X-Pad: ")], b" "),
        ([(0, b"HTTP/1.1 100 Continue\r\n\r\n")], b"HTTP/1.1 100 Continue\r\n\r\n"),
        ([(370, HEAD + b"\r\n"), (200, b" ")], b""),  # each in time, and then nothing more
    ],
)
def test_a_silent_or_dripping_server_ends_in_time(
    account: VenueAccount, pieces: list[tuple[int, bytes]], drip: bytes
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, suppress(OSError):
            for after_ms, piece in pieces:
                done.wait(after_ms / 1_000)
                peer.sendall(piece)
            while not done.wait(0.03):
                peer.sendall(drip)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    venue = Hyperliquid(replace(account, base_url=url), Times(http_ms=600), LocalNonces(), LocalBudget(), LocalCache())
    began = time.monotonic()
    assert isinstance(venue.holdings(NOW), Unknown)
    took = time.monotonic() - began
    done.set()
    thread.join(2)
    listener.close()
    assert took < 0.75


def test_threads_do_not_share_a_connection(venue: Hyperliquid, server: WireServer) -> None:
    def read() -> None:
        assert isinstance(venue.holdings(NOW), Known)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.connections == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wallet_address": "0x12"}, "accounts.main.wallet_address"),
        ({"vault_address": "x"}, "accounts.main.vault_address"),
        ({"base_url": None}, "mode paper has no default server"),
    ],
)
def test_an_account_that_cannot_be_is_refused_by_name(
    account: VenueAccount, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(account, **change)


def test_urls(account: VenueAccount) -> None:
    live = replace(account, mode="live", base_url=None)
    assert (live.http_url, live.stream_url, live.source) == (
        "https://api.hyperliquid.xyz",
        "wss://api.hyperliquid.xyz/ws",
        "a",
    )
    test = replace(account, mode="testnet", base_url=None)
    assert (test.host, test.source) == ("api.hyperliquid-testnet.xyz", "b")
    named = replace(account, mode="live", base_url="http://10.0.0.1:3001/")
    assert (named.http_url, named.stream_url) == ("http://10.0.0.1:3001", "ws://10.0.0.1:3001/ws")


def test_an_effect_does_not_wait_for_an_old_list(
    venue: Hyperliquid, server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue.markets()
    monkeypatch.setattr("exchange.hyperliquid_markets.RELOAD_MS", 0)
    monkeypatch.setattr("exchange.hyperliquid_markets.CACHED_MS", 0)
    server.by_kind["cancel"] = _statuses("success")
    assert venue.cancel("BTC", "1", _permit(venue)) == Accepted()
    assert server.kinds() == ["meta", "cancel"]
