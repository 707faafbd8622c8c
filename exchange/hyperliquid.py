"""Hyperliquid as a ``Venue``: the right to act and the effects of one account. Quirks only; rules live in core.

Requests are signed here and sent through ccxt, which never gets a key. Facts: the venue's docs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import ccxt

from exchange import hyperliquid_parse as parse
from exchange.account import VenueAccount
from exchange.budget import ADDRESS_FLOOR, ASK_AGAIN_MS, EFFECT_WEIGHT, AddressBudget, IpBudget
from exchange.clock import mono_ms
from exchange.gateway import Ask, Gateway
from exchange.hyperliquid_reads import Reads, parsed
from exchange.hyperliquid_wire import (
    Action,
    Grouping,
    Leg,
    Tif,
    Tpsl,
    cancel_action,
    leverage_action,
    order_action,
    outcomes,
)
from exchange.nonces import Nonces
from exchange.signing import sign_l1_action
from exchange.transport import CcxtTransport, ccxt_options, hearing
from stopkeeper.core.model import MarginMode, Market, Resting, Side
from stopkeeper.core.outcomes import Accepted, EntryOutcome, Outcome, Reason, Rejected, Throttled, Unknown
from stopkeeper.core.record import Terms
from stopkeeper.core.rules import Ability
from stopkeeper.engine.ports import BudgetSource, EntryIds, NonceSource, Permit, TextCache, Times, Urgency

LAG_MS = 3_000
HELD_MS = 10_000
LOOK_WEIGHT = 42  # of positions, orders and fills
_TIF: Mapping[Resting, Tif] = {Resting.NO: "Ioc", Resting.GTC: "Gtc", Resting.POST_ONLY: "Alo"}


def _ccxt(account: VenueAccount, times: Times) -> Callable[[], Any]:
    kind = hearing(ccxt.hyperliquid)
    options = {"options": {"fetchMarkets": {"types": ["swap"]}, "builderFee": False}}
    return lambda: kind(ccxt_options(account.http_url, times.http_ms) | options)


class Hyperliquid(Reads):
    """One account at Hyperliquid, or at any server that speaks its wire. Safe to share between threads."""

    can = Ability(
        whole_stop=False,
        amend_atomic=False,
        attach=False,
        trigger_without_position=True,
        deadline_on=frozenset({"order", "cancel", "updateLeverage"}),
        oversize_covers=True,
        lag_ms=LAG_MS,
    )

    def __init__(
        self, account: VenueAccount, times: Times, nonces: NonceSource, budget: BudgetSource, cache: TextCache
    ) -> None:
        shared = IpBudget(budget, account.host)
        super().__init__(account, Gateway(CcxtTransport(_ccxt(account, times)), shared), shared, cache)
        self._times = times
        self._actions = AddressBudget(cache, account.address)
        self._nonces = Nonces(nonces, account.key.address, self._time)

    # --- the right to act -----------------------------------------------------------------------------------------

    def reserve_nonces(self, count: int) -> tuple[int, ...]:
        """Mint an entry's nonces at admission, one an attempt, rising."""
        return self._nonces.mint(count)

    def permit(self, urgency: Urgency, until_ms: int, *, nonce: int | None = None) -> Permit | Throttled:
        """Reserve rate budget, then mint nonce (unless given) and deadline: the earlier of until_ms and now + 4 s."""
        if urgency is not Urgency.PROTECTIVE:
            left = self._actions.left()
            if left is not None and left < ADDRESS_FLOOR:
                return Throttled(f"{left} actions left for this address: kept for protection", ASK_AGAIN_MS)
        wait_ms = self.budget.reserve(EFFECT_WEIGHT, urgency)
        if wait_ms:
            return Throttled(f"own rate budget: free in {wait_ms} ms", wait_ms)
        number = self._nonces.mint(1)[0] if nonce is None else nonce
        return Permit(number, min(until_ms, self.now_ms() + self._times.deadline_ms))

    def poll_limits(self) -> None:
        """Ask how many actions the address has left, if that was long ago; unanswered, the venue's own count rules."""
        if self._actions.left() is None:
            found = parsed(self._info("userRateLimit", Urgency.ORDINARY), parse.actions_left)
            if not isinstance(found, Unknown):
                self._actions.told(found)

    def short(self) -> str:
        """Return which rate budget has nothing left but what is kept for protection, or ""."""
        left = self._actions.left()
        if left is not None and left < ADDRESS_FLOOR:
            return f"{left} actions are left for this address"
        return self.budget.short(LOOK_WEIGHT)

    def prove(self, permit: Permit) -> Outcome:
        """Send an action that does nothing (venue docs, noop): accepted, the venue takes our key for this account."""
        return self._send({"type": "noop"}, permit, 1)[0]

    # --- effects --------------------------------------------------------------------------------------------------

    def prepare(self, symbol: str, leverage: int, mode: MarginMode, permit: Permit) -> Outcome:
        """Set leverage and margin mode of a symbol: one action."""
        found = self._listed(symbol)
        if isinstance(found, Throttled):
            return found
        return self._send(leverage_action(found[0], leverage, cross=mode is MarginMode.CROSS), permit, 1)[0]

    def enter(self, symbol: str, side: Side, terms: Terms, ids: EntryIds, permit: Permit) -> EntryOutcome:
        """Send entry, stop and targets as one action.

        IOC at terms.worst_price, all orders independent (grouping na); or a limit there that rests, whose stop comes
        alive when it has filled completely (grouping normalTpsl: venue docs, TP/SL).
        """
        found = self._listed(symbol)
        if isinstance(found, Throttled):
            return EntryOutcome(found, found, (found,) * len(terms.targets))
        asset, market = found
        out, size, tif = side.opposite, terms.size, _TIF[terms.resting]
        legs = [
            Leg(asset, market, side, size, terms.worst_price, ids.entry, reduce_only=False, tif=tif),
            Leg(asset, market, out, size, terms.stop_worst, ids.stop, reduce_only=True, trigger=terms.stop),
        ]
        legs += [
            Leg(
                asset,
                market,
                out,
                target.size,
                target.worst,
                name,
                reduce_only=True,
                trigger=target.trigger,
                tpsl=Tpsl.TARGET,
            )
            for target, name in zip(terms.targets, ids.targets, strict=True)
        ]
        entry, stop, *targets = self._order(legs, "na" if terms.resting is Resting.NO else "normalTpsl", permit)
        return EntryOutcome(entry, stop, tuple(targets))

    def place_stop(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome:
        """Place a reduce-only mark-triggered market stop for a position of side ``held``; ``worst`` is a price."""
        return self._reduce(symbol, held, permit, size=size, worst=worst, client_id=client_id, trigger=trigger)

    def place_target(
        self, symbol: str, held: Side, size: Decimal, trigger: Decimal, worst: Decimal, client_id: str, permit: Permit
    ) -> Outcome:
        """Place a reduce-only mark-triggered market target for a position of side ``held``; ``worst`` is a price."""
        return self._reduce(
            symbol, held, permit, size=size, worst=worst, client_id=client_id, trigger=trigger, tpsl=Tpsl.TARGET
        )

    def close(self, symbol: str, held: Side, size: Decimal, worst: Decimal, client_id: str, permit: Permit) -> Outcome:
        """Close ``size`` of a position of side ``held``: reduce-only, immediate, at ``worst`` price or better."""
        return self._reduce(symbol, held, permit, size=size, worst=worst, client_id=client_id)

    def cancel(self, symbol: str, order_id: str, permit: Permit) -> Outcome:
        """Cancel one order by the venue's id."""
        found = self._listed(symbol)
        if isinstance(found, Throttled):
            return found
        if not order_id.isdecimal():
            return Throttled(f"not sent: {order_id!r} is no order id of this venue")
        return self._send(cancel_action(found[0], int(order_id)), permit, 1)[0]

    def _reduce(
        self,
        symbol: str,
        held: Side,
        permit: Permit,
        *,
        size: Decimal,
        worst: Decimal,
        client_id: str,
        trigger: Decimal | None = None,
        tpsl: Tpsl = Tpsl.STOP,
    ) -> Outcome:
        found = self._listed(symbol)
        if isinstance(found, Throttled):
            return found
        leg = Leg(*found, held.opposite, size, worst, client_id, reduce_only=True, trigger=trigger, tpsl=tpsl)
        outcome = self._order([leg], "na", permit)[0]
        if isinstance(outcome, Accepted) and outcome.filled > 0:
            self._held = ({}, 0.0)  # what was seen is no longer so
        sides, at = self._held
        seen = mono_ms() - at < HELD_MS and sides.get(symbol) is held
        if seen and isinstance(outcome, Rejected) and outcome.reason is Reason.NO_POSITION:
            # one text for both: with a position of this side just seen, it is the sum that was too large
            return replace(outcome, reason=Reason.OVERSIZE)
        return outcome

    def _listed(self, symbol: str) -> tuple[int, Market] | Throttled:
        listing = self._markets.known()
        if listing is None:
            return Throttled("not sent: the venue's list of markets could not be read")
        if symbol not in listing.assets:
            return Throttled(f"not sent: {symbol!r} is not on the venue's list")
        return listing.assets[symbol], listing.markets[symbol]

    def _order(self, legs: Sequence[Leg], grouping: Grouping, permit: Permit) -> tuple[Outcome, ...]:
        try:
            action = order_action(legs, grouping)
        except ValueError as error:
            return (Throttled(f"not sent: {error}"),) * len(legs)
        return self._send(action, permit, len(legs))

    def _send(self, action: Action, permit: Permit, count: int) -> tuple[Outcome, ...]:
        """Sign an action and send it once; nothing here ever sends it again."""
        if self.now_ms() >= permit.deadline_ms:
            return (Throttled("not sent: its deadline has passed"),) * count
        vault = self.account.vault
        body: dict[str, Any] = {"action": action, "nonce": permit.nonce, "expiresAfter": permit.deadline_ms}
        body["signature"] = sign_l1_action(
            self.account.key,
            action,
            permit.nonce,
            vault_address=vault,
            expires_after_ms=permit.deadline_ms,
            source=self.account.source,
        )
        if vault is not None:
            body["vaultAddress"] = vault
        ask = Ask(str(action["type"]), "private", "exchange", body, EFFECT_WEIGHT, Urgency.PROTECTIVE, effect=True)
        results = outcomes(self._gateway.call(ask), ask.what, count)
        if any(isinstance(result, Throttled) and "cumulative" in result.text for result in results):
            self._actions.told(0)
        return results
