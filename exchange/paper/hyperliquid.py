"""POST /exchange: who signed, may they, and the venue's actions over the market. Answers in the venue's own shapes.

Order of checks: form (422), signer, IP and faults (server), expiry and nonce (a knob says which first), address budget,
the action itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

from exchange.paper.desk import GroupingError
from exchange.paper.model import Account, Filled, Grouping, NewOrder, Placed, Refused, Resting
from exchange.paper.signed import ACTIONS, Signed, read
from exchange.paper.venue import Venue
from exchange.paper.wire import WireError, address, cloid, flag, new_order, number, order_ref, rows, table, whole

MAX_BATCH = 200
SCHEDULE_VOLUME = Decimal(1_000_000)
_GROUPINGS = get_args(Grouping)


def failed(text: str) -> dict[str, Any]:
    """Return the venue's refusal of a whole action."""
    return {"status": "err", "response": text}


def done(kind: str = "default", data: Any = None) -> dict[str, Any]:
    """Return the venue's acceptance of an action."""
    return {"status": "ok", "response": {"type": kind} | ({} if data is None else {"data": data})}


@dataclass(frozen=True)
class Step:
    """An action that is about to be done: where, for whom, what, when."""

    venue: Venue
    account: Account
    signed: Signed
    details: Any
    now_ms: int


def perform(venue: Venue, signed: Signed) -> dict[str, Any]:
    """Do a signed action as it lands now. Raise WireError if its details are malformed."""
    if signed.trouble is not None or signed.user is None:
        return failed(signed.trouble or "")
    now_ms = venue.now_ms()
    details = _read_details(venue, signed)
    stale = signed.expires_ms is not None and now_ms > signed.expires_ms
    account = venue.market.accounts[signed.user]
    venue.dirty = True
    words: str | None = None
    if not stale or venue.knobs.nonce_before_expiry:
        words = venue.nonces.use(signed.signer, signed.nonce, now_ms)
    if words is None and stale:
        # a stale action costs five requests of the address budget (venue docs: rate limits)
        venue.meter.charge(account, signed.kind, 5, now_ms)
        words = f"Action expired: expiresAfter {signed.expires_ms} is before {now_ms}"
    if words is None and signed.batch > MAX_BATCH:
        words = f"Signed action over weight limit of {MAX_BATCH}."
    words = words or venue.meter.charge(account, signed.kind, signed.batch, now_ms)
    if words is not None:
        return failed(words)
    answer = _HANDLERS[signed.kind](Step(venue, account, signed, details, now_ms))
    venue.settle()
    return answer


def _coin(venue: Venue, value: object) -> str:
    asset = whole(value)
    if asset not in venue.coins:
        raise UnknownAsset(asset)
    return venue.coins[asset]


class UnknownAsset(Exception):
    """An asset number that is not listed: refused as a whole action."""


def _read_details(venue: Venue, signed: Signed) -> Any:
    """Read the body of an action before anything is used up, so that a malformed one costs no nonce."""
    action = signed.action
    if signed.kind == "order":
        grouping = action.get("grouping", "na")
        if not isinstance(grouping, dict) and grouping not in _GROUPINGS:
            msg = "grouping"
            raise WireError(msg)
        builder = table(action["builder"]) if action.get("builder") is not None else None
        listed = [_order(venue, row, builder) for row in rows(action.get("orders"))]
        return listed, "na" if isinstance(grouping, dict) else grouping
    if signed.kind == "cancel":
        found = [table(row) for row in rows(action.get("cancels"))]
        return [(_coin(venue, row.get("a")), whole(row.get("o"))) for row in found]
    if signed.kind == "cancelByCloid":
        found = [table(row) for row in rows(action.get("cancels"))]
        return [(_coin(venue, row.get("asset")), cloid(row.get("cloid"))) for row in found]
    if signed.kind in ("modify", "batchModify"):
        found = [table(row) for row in rows(action.get("modifies"))] if signed.kind == "batchModify" else [action]
        always = action.get("a") is True
        return [
            (order_ref(row.get("oid")), _order(venue, row.get("order"), None), always or row.get("a") is True)
            for row in found
        ]
    return None


def _order(venue: Venue, row: object, builder: dict[str, Any] | None) -> NewOrder:
    _coin(venue, table(row).get("a"))
    return new_order(row, venue.coins, builder)


def _status(placed: Placed) -> Any:
    if isinstance(placed, Refused):
        return {"error": placed.text}
    inner: dict[str, Any] = {"oid": placed.order.oid}
    if placed.order.cloid:
        inner["cloid"] = placed.order.cloid
    if isinstance(placed, Resting):
        return {"resting": inner}
    if isinstance(placed, Filled):
        return {"filled": {"totalSz": number(placed.size), "avgPx": number(placed.avg_px, 6)} | inner}
    return placed.word


def _place(step: Step) -> dict[str, Any]:
    orders, grouping = step.details
    if not orders:
        return failed("Order action must have at least one order.")
    builder = orders[0].builder
    if builder is not None and builder not in step.account.builders:
        return failed("Builder fee has not been approved.")
    try:
        placed = step.venue.market.place(step.account.address, orders, grouping, step.now_ms)
    except GroupingError as error:
        return failed(str(error))
    taken = [o for o, p in zip(orders, placed, strict=True) if not isinstance(p, Refused)]
    if taken:
        entry = {
            "time_ms": step.venue.now_us() / 1000,
            "account": step.account.address,
            "coins": sorted({order.coin for order in taken}),
            "cloids": [order.cloid for order in taken],
        }
        step.venue.meter.orders.append(entry)
    return done("order", {"statuses": [_status(item) for item in placed]})


def _cancel(step: Step) -> dict[str, Any]:
    answers = [step.venue.market.cancel(step.account.address, coin, ref, step.now_ms) for coin, ref in step.details]
    return done("cancel", {"statuses": ["success" if words is None else {"error": words} for words in answers]})


def _modify(step: Step) -> dict[str, Any]:
    placed = [
        step.venue.market.modify(step.account.address, ref, order, step.now_ms, always=always)
        for ref, order, always in step.details
    ]
    if step.signed.kind == "modify":
        first = placed[0]
        return failed(first.text) if isinstance(first, Refused) else done()
    return done("order", {"statuses": [_status(item) for item in placed]})


def _leverage(step: Step) -> dict[str, Any]:
    action = step.signed.action
    coin, value = _coin(step.venue, action.get("asset")), whole(action.get("leverage"))
    is_cross = flag(action.get("isCross"))
    words = step.venue.market.set_leverage(step.account.address, coin, value, is_cross=is_cross)
    return done() if words is None else failed(words)


def _margin(step: Step) -> dict[str, Any]:
    action = step.signed.action
    usdc = Decimal(whole(action.get("ntli"))) / 1_000_000
    words = step.venue.market.move_margin(step.account.address, _coin(step.venue, action.get("asset")), usdc)
    return done() if words is None else failed(words)


def _schedule(step: Step) -> dict[str, Any]:
    """Arm or disarm the dead man's switch, which asks for a traded volume of a million (docs: exchange-endpoint)."""
    at = step.signed.action.get("time")
    if step.account.volume < SCHEDULE_VOLUME:
        traded = round(step.account.volume, 2)
        return failed(
            f"Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: ${traded}."
        )
    if at is not None and whole(at) < step.now_ms + 5000:
        return failed("Scheduled cancel time too early, must be at least 5 seconds from now.")
    step.account.schedule_ms = at
    return done()


def _approve_agent(step: Step) -> dict[str, Any]:
    """Register an agent; a name may end in ` valid_until <ms>`, the default is 90 days (docs: api wallets)."""
    agent = address(step.signed.action.get("agentAddress"))
    text = step.signed.action.get("agentName") or ""
    name, _, until = str(text).partition(" valid_until ")
    if agent in step.venue.market.accounts or agent in step.venue.agents:
        return failed("Extra agent already used.")
    if sum(1 for held, _ in step.account.agents.values() if held is not None) >= 3 and name:
        return failed("Too many extra agents.")
    valid_ms = int(until) if until.isdigit() else step.now_ms + 90 * 24 * 3600 * 1000
    step.venue.add_agent(step.account, agent, name or None, valid_ms)
    return done()


def _approve_builder(step: Step) -> dict[str, Any]:
    step.account.builders[address(step.signed.action.get("builder"))] = str(step.signed.action.get("maxFeeRate"))
    return done()


_Handler = Callable[[Step], dict[str, Any]]
_HANDLERS: dict[str, _Handler] = {
    "order": _place,
    "cancel": _cancel,
    "cancelByCloid": _cancel,
    "modify": _modify,
    "batchModify": _modify,
    "updateLeverage": _leverage,
    "updateIsolatedMargin": _margin,
    "scheduleCancel": _schedule,
    "approveAgent": _approve_agent,
    "approveBuilderFee": _approve_builder,
    "setReferrer": lambda *_: failed("Referrer already set."),
    "noop": lambda *_: done(),
}


__all__ = ["ACTIONS", "Signed", "Step", "UnknownAsset", "done", "failed", "perform", "read"]
