"""The gateway against the paper venue over real HTTP: what every venue front has to hold."""

import itertools
import secrets
import time
from dataclasses import replace
from decimal import Decimal as Dec
from typing import Any

import pytest

from exchange.hyperliquid import Hyperliquid
from exchange.signing import SecretKey
from stopkeeper.core.model import Holdings, Known, Lookup, MarginMode, Order, OrderKind, OrderState, Side
from stopkeeper.core.outcomes import Accepted, Barred, EntryOutcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.record import TargetTerms, Terms
from stopkeeper.engine.ports import EntryIds, Permit, Urgency
from tests.contract.exchange.conftest import Paper, permit

NOW = Urgency.PROTECTIVE
_numbers = itertools.count(1)
SIZE = Dec("0.01")


def _id() -> str:
    return f"57b{next(_numbers):029x}"


def _ids(*, target: bool = False) -> EntryIds:
    return EntryIds(_id(), _id(), (_id(),) if target else ())


def _mark(venue: Hyperliquid) -> Dec:
    found = venue.settings("BTC", NOW)
    assert isinstance(found, Known)
    assert found.value.mark is not None
    return found.value.mark.value


def _terms(mark: Dec, **changes: Any) -> Terms:
    plain = Terms(SIZE, mark * Dec("1.02"), mark * Dec("0.95"), mark * Dec("0.855"), mark)
    return replace(plain, **changes)


def _enter(venue: Hyperliquid, ids: EntryIds | None = None, **changes: Any) -> EntryOutcome:
    return venue.enter("BTC", Side.LONG, _terms(_mark(venue), **changes), ids or _ids(), permit(venue))


def _held(venue: Hyperliquid) -> Holdings:
    found = venue.holdings(NOW)
    assert isinstance(found, Known)
    return found.value


def _orders(venue: Hyperliquid) -> tuple[Order, ...]:
    found = venue.orders(NOW)
    assert isinstance(found, Known)
    return found.value


def _lookup(venue: Hyperliquid, client_id: str) -> Lookup:
    found = venue.lookup("BTC", client_id, NOW)
    assert isinstance(found, Known)
    return found.value


def test_entry_and_stop_go_out_together_and_read_back(paper: Paper) -> None:
    venue, ids = paper.open(), _ids(target=True)
    mark = _mark(venue)
    terms = _terms(mark, targets=(TargetTerms(SIZE, mark * Dec("1.1"), mark),))
    paper.control("/stats/reset", {})
    outcome = venue.enter("BTC", Side.LONG, terms, ids, permit(venue))
    assert isinstance(outcome.entry, Accepted)
    assert isinstance(outcome.stop, Accepted)
    (target,) = outcome.targets
    assert isinstance(target, Accepted)
    assert (outcome.entry.filled, outcome.stop.live, target.live) == (SIZE, True, True)
    position = _held(venue).positions["BTC"]
    assert (position.side, position.size, position.mark) == (Side.LONG, SIZE, mark)
    stop = next(order for order in _orders(venue) if order.client_id == ids.stop)
    assert (stop.id, stop.kind, stop.side, stop.size) == (
        outcome.stop.order_id,
        OrderKind.STOP_MARKET,
        Side.SHORT,
        SIZE,
    )
    assert (stop.trigger, stop.price, stop.reduce_only, stop.mark_triggered) == (
        mark * Dec("0.95"),
        terms.stop_worst,
        True,
        True,
    )
    fills = venue.fills(0, NOW)
    assert isinstance(fills, Known)
    assert [(fill.client_id, fill.signed, fill.start) for fill in fills.value.fills] == [(ids.entry, SIZE, Dec(0))]


def test_a_refused_stop_leaves_a_filled_entry(paper: Paper) -> None:
    venue = paper.open()
    mark = _mark(venue)
    outcome = venue.enter("BTC", Side.LONG, _terms(mark, stop=mark * Dec("1.01")), _ids(), permit(venue))
    assert isinstance(outcome.entry, Accepted)
    assert isinstance(outcome.stop, Rejected)
    assert outcome.stop.reason is Reason.CROSSED
    assert _held(venue).positions["BTC"].size == SIZE
    assert _orders(venue) == ()


def test_a_part_filled_entry_says_how_much(paper: Paper) -> None:
    venue, ids = paper.open(), _ids()
    paper.fault("partial_fill", fraction="0.4", match={"account": venue.account.address, "action": "entry"})
    outcome = _enter(venue, ids)
    assert isinstance(outcome.entry, Accepted)
    assert outcome.entry.filled == Dec("0.004")
    assert _lookup(venue, ids.entry).filled == Dec("0.004")


def test_look_ups_cancel_and_close(paper: Paper) -> None:
    venue, ids = paper.open(), _ids()
    assert _lookup(venue, ids.entry).state is None
    outcome = _enter(venue, ids)
    assert isinstance(outcome.stop, Accepted)
    assert outcome.stop.order_id is not None
    assert _lookup(venue, ids.entry).state is OrderState.FILLED
    assert _lookup(venue, ids.stop).state is OrderState.LIVE
    assert venue.cancel("BTC", outcome.stop.order_id, permit(venue)) == Accepted()
    assert _lookup(venue, ids.stop).state is OrderState.CANCELED
    again = venue.cancel("BTC", outcome.stop.order_id, permit(venue))
    assert isinstance(again, Rejected)
    assert again.reason is Reason.GONE
    worst = _mark(venue) * Dec("0.97")
    closed = venue.close("BTC", Side.LONG, SIZE, worst, _id(), permit(venue))
    assert isinstance(closed, Accepted)
    assert closed.filled == SIZE
    assert _held(venue).positions == {}
    flat = venue.close("BTC", Side.LONG, SIZE, worst, _id(), permit(venue))
    assert isinstance(flat, Rejected)
    assert flat.reason is Reason.NO_POSITION


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": Dec("0.0001")}, Reason.TOO_SMALL),
        ({"size": Dec(10)}, Reason.MARGIN),
        ({"worst_price": Dec("1.02")}, Reason.BAD_PRICE),
        ({"worst_price": Dec(94000)}, Reason.NO_LIQUIDITY),
    ],
)
def test_refusals_have_their_reasons(paper: Paper, changes: dict[str, Any], reason: Reason) -> None:
    outcome = _enter(paper.open(), **changes)
    assert isinstance(outcome.entry, Rejected)
    assert outcome.entry.reason is reason


def test_leverage_and_margin_mode_are_set_and_read_back(paper: Paper) -> None:
    venue = paper.open()
    assert venue.prepare("BTC", 7, MarginMode.ISOLATED, permit(venue)) == Accepted()
    found = venue.settings("BTC", NOW)
    assert isinstance(found, Known)
    assert (found.value.prepared.leverage, found.value.prepared.margin_mode) == (7, MarginMode.ISOLATED)
    refused = venue.prepare("BTC", 4_000, MarginMode.ISOLATED, permit(venue))
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.CAP
    _enter(venue)
    assert _held(venue).positions["BTC"].margin_mode is MarginMode.ISOLATED
    held = venue.prepare("BTC", 7, MarginMode.CROSS, permit(venue))
    assert isinstance(held, Rejected)
    assert held.reason is Reason.CAP


def test_a_used_nonce_is_stale(paper: Paper) -> None:
    venue = paper.open()
    (nonce,) = venue.reserve_nonces(1)
    mark = _mark(venue)
    first = venue.enter("BTC", Side.LONG, _terms(mark), _ids(), permit(venue, nonce=nonce))
    second = venue.enter("BTC", Side.LONG, _terms(mark), _ids(), permit(venue, nonce=nonce))
    assert isinstance(first.entry, Accepted)
    assert isinstance(second.entry, Rejected)
    assert second.entry.reason is Reason.STALE_NONCE
    assert _held(venue).positions["BTC"].size == SIZE


def test_an_action_that_lands_after_its_deadline_is_refused(paper: Paper) -> None:
    venue = paper.open()
    terms = _terms(_mark(venue))
    paper.fault("late_processing", delay_ms=400, match={"account": venue.account.address, "action": "order"})
    soon = venue.permit(NOW, venue.now_ms() + 200)
    assert isinstance(soon, Permit)
    outcome = venue.enter("BTC", Side.LONG, terms, _ids(), soon)
    assert isinstance(outcome.entry, Rejected)
    assert outcome.entry.reason is Reason.EXPIRED
    assert _held(venue).positions == {}


def test_a_dropped_answer_is_unknown_and_the_look_up_finds_it(paper: Paper) -> None:
    venue, ids = paper.open(), _ids()
    terms = _terms(_mark(venue))
    paper.fault("drop_answer", match={"account": venue.account.address, "action": "order"})
    paper.control("/stats/reset", {})
    outcome = venue.enter("BTC", Side.LONG, terms, ids, permit(venue))
    assert isinstance(outcome.entry, Unknown)
    assert isinstance(outcome.stop, Unknown)
    assert _lookup(venue, ids.entry).state is OrderState.FILLED
    assert _held(venue).positions["BTC"].size == SIZE
    fills = venue.fills(0, NOW)
    assert isinstance(fills, Known)
    assert len(fills.value.fills) == 1


def test_an_answer_later_than_the_timeout_is_unknown(paper: Paper) -> None:
    venue, ids = paper.open(http_ms=300), _ids()
    terms = _terms(_mark(venue))
    paper.fault("late", delay_ms=500, match={"account": venue.account.address, "action": "order"})
    began = time.monotonic()
    assert isinstance(venue.enter("BTC", Side.LONG, terms, ids, permit(venue)).entry, Unknown)
    assert time.monotonic() - began < 0.45
    assert _lookup(venue, ids.entry).state is OrderState.FILLED


@pytest.mark.parametrize(
    ("fault", "kind"), [("http_429", Throttled), ("http_502", Unknown), ("refuse_before", Unknown)]
)
def test_a_failed_edge(paper: Paper, fault: str, kind: type) -> None:
    venue, ids = paper.open(), _ids()
    terms = _terms(_mark(venue))
    paper.fault(fault, match={"account": venue.account.address, "action": "order"})
    assert isinstance(venue.enter("BTC", Side.LONG, terms, ids, permit(venue)).entry, kind)
    assert _lookup(venue, ids.entry).state is None


def test_a_read_survives_one_cut_connection(paper: Paper) -> None:
    venue = paper.open()
    paper.fault("refuse_before", match={"account": venue.account.address, "action": "clearinghouseState"})
    assert isinstance(venue.holdings(NOW), Known)
    paper.fault("refuse_before", times=2, match={"account": venue.account.address, "action": "clearinghouseState"})
    assert isinstance(venue.holdings(NOW), Unknown)


def test_an_agent_signs_for_its_master(paper: Paper) -> None:
    master, agent = SecretKey(secrets.token_hex(32)), SecretKey(secrets.token_hex(32))
    venue = paper.open(paper.account(key=agent, wallet_address=master.address))
    refused = _enter(venue)
    assert isinstance(refused.entry, Barred)
    until_ms = venue.now_ms() + 60_000
    named = {"account": master.address, "agent": agent.address, "valid_until_ms": until_ms, "name": "stopkeeper"}
    paper.control("/agents", named)
    assert isinstance(_enter(venue).entry, Accepted)
    told = venue.signer_valid_until_ms()
    assert isinstance(told, Known)
    assert told.value == until_ms
    assert "BTC" in _held(paper.open(paper.account(key=master))).positions


def test_a_vault_is_traded_by_its_masters_key(paper: Paper) -> None:
    master, vault = SecretKey(secrets.token_hex(32)), "0x" + secrets.token_hex(20)
    paper.control("/subaccounts", {"master": master.address, "address": vault})
    venue = paper.open(paper.account(key=master, vault_address=vault))
    assert isinstance(_enter(venue).entry, Accepted)
    assert "BTC" in _held(venue).positions
    assert _held(paper.open(paper.account(key=master))).positions == {}
    other = paper.open(paper.account(vault_address=vault))
    assert isinstance(_enter(other).entry, Barred)


def test_liquidation_and_adl_are_told_in_the_fills(paper: Paper) -> None:
    venue = paper.open()
    for path in ("/liquidate", "/adl"):
        _enter(venue)
        paper.control(path, {"account": venue.account.address, "symbol": "BTC"})
    found = venue.fills(0, NOW)
    assert isinstance(found, Known)
    opened, liquidated, _, deleveraged = found.value.fills
    assert (opened.liquidation, opened.adl) == (False, False)
    assert liquidated.liquidation
    assert deleveraged.adl


def test_a_whole_trade_asks_no_market_and_sends_no_builder(paper: Paper) -> None:
    paper.open().markets()
    paper.control("/stats/reset", {})
    venue = paper.open()
    _enter(venue)
    _orders(venue)
    text = str(paper.control("/stats"))
    assert "frontendOpenOrders" in text
    for name in ("meta'", "spotMeta", "approveBuilderFee", "setReferrer", "userAbstraction"):
        assert name not in text
