"""A signed request before anything is done with it: its form, who signed, for which account, what faults may call
it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exchange.paper.signatures import SOURCES, USER_SIGNED, Commitment, l1_signer, user_signer
from exchange.paper.venue import Venue
from exchange.paper.wire import WireError, address, rows, table, whole

ACTIONS = (
    "order",
    "cancel",
    "cancelByCloid",
    "modify",
    "batchModify",
    "updateLeverage",
    "updateIsolatedMargin",
    "scheduleCancel",
    "approveAgent",
    "approveBuilderFee",
    "setReferrer",
    "noop",
)


@dataclass(frozen=True)
class Signed:
    """A signed request that has the venue's form; whose it is and what it is about, before anything is done."""

    action: dict[str, Any]
    kind: str
    nonce: int
    expires_ms: int | None
    signer: str
    user: str | None  # the account acted for, None if the signer may not
    trouble: str | None  # the venue's words for why not
    names: frozenset[str]  # what faults may call it
    coins: frozenset[str]
    batch: int


def read(venue: Venue, raw: object) -> Signed:
    """Read a signed request and find its account. Raise WireError if it is malformed."""
    body = table(raw)
    action = table(body.get("action"))
    kind = action.get("type")
    nonce = whole(body.get("nonce"))
    vault = address(body["vaultAddress"]) if body.get("vaultAddress") is not None else None
    expires = whole(body["expiresAfter"]) if body.get("expiresAfter") is not None else None
    if not isinstance(kind, str) or kind not in ACTIONS or nonce < 0:
        raise WireError(f"action {kind!r}")
    signer, user, trouble = _who(venue, Commitment(action, nonce, vault, expires), body.get("signature"))
    coins, names, batch = _about(venue, action, kind)
    return Signed(action, kind, nonce, expires, signer, user, trouble, names, coins, batch)


def _who(venue: Venue, what: Commitment, signature: object) -> tuple[str, str | None, str | None]:
    """Return (signer, account, the venue's words if there is none)."""
    if what.action["type"] in USER_SIGNED:
        signer = user_signer(what.action, signature)
        known = signer in venue.market.accounts
        words = None if known else f"Must deposit before performing actions. User: {signer}"
        return signer, signer if known else None, words
    first = ""
    for source in SOURCES:
        signer = l1_signer(what, signature, source)
        first = first or signer
        account = venue.signs_for(signer, venue.now_ms())
        if account is not None:
            return _acting_for(venue, signer, account.address, what.vault)
    return first, None, f"User or API Wallet {first} does not exist."


def _acting_for(venue: Venue, signer: str, own: str, vault: str | None) -> tuple[str, str | None, str | None]:
    """Return (signer, account, words) for a signer's own account or a sub-account of it."""
    if vault is None or vault == own:
        return signer, own, None
    sub = venue.market.accounts.get(vault)
    if sub is None or sub.master != own:
        return signer, None, f"Vault not registered: {vault}"
    return signer, sub.address, None


def _about(venue: Venue, action: dict[str, Any], kind: str) -> tuple[frozenset[str], frozenset[str], int]:
    """Return (coins, names for faults, number of orders) of an action. Raise WireError if its list is malformed."""
    names = {"exchange", kind}
    if kind == "order":
        listed = rows(action.get("orders"))
        for row in listed:
            names.add(_role(table(row)))
        numbers = [table(row).get("a") for row in listed]
    elif kind in ("cancel", "cancelByCloid"):
        listed = rows(action.get("cancels"))
        names.add("cancel")
        numbers = [table(row).get("a", table(row).get("asset")) for row in listed]
    elif kind in ("batchModify", "modify"):
        listed = rows(action.get("modifies")) if kind == "batchModify" else [action]
        names.add("modify")
        numbers = [table(table(row).get("order")).get("a") for row in listed]
    else:
        listed = [action]
        numbers = [action.get("asset")]
    coins = frozenset(venue.coins[n] for n in numbers if isinstance(n, int) and n in venue.coins)
    return coins, frozenset(names), max(1, len(listed))


def _role(row: dict[str, Any]) -> str:
    trigger = table(row.get("t")).get("trigger")
    if isinstance(trigger, dict):
        return "stop" if trigger.get("tpsl") == "sl" else "target"
    return "close" if row.get("r") is True else "entry"
