"""The one door to a venue: ``Gateway.call``, through which every request passes, and the one map of ccxt's errors.

Here live rate budget, timing, the retry of reads and the only ``except Exception`` below the task edge.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ccxt
from tenacity import Retrying, retry_if_result, stop_after_attempt

from exchange.budget import IpBudget
from exchange.clock import mono_ms
from exchange.transport import Heard, Sends
from stopkeeper.core.outcomes import Barred, Throttled, Unknown
from stopkeeper.engine.ports import Urgency

logger = logging.getLogger(__name__)
Fault = Throttled | Barred | Unknown  # no Rejected: what a venue refuses it says in words, which stand with the venue
_SECRET = re.compile(r"(0x)?[0-9a-fA-F]{60,}")  # keys and both halves of a signature; ids have 32 digits, addresses 40


def scrub(text: str, limit: int = 300) -> str:
    """Return a text fit to leave the gateway: one line, nothing in it that could be a key or a signature, not long."""
    return " ".join(_SECRET.sub("(hidden)", text).split())[:limit]


# Every class of ccxt's tree stands here, so that a new one fails a test instead of passing for something else.
# Unknown unless the class alone proves more, and asked only where no answer came: ccxt makes a class of the words in
# whatever answers, a proxy's page too.
ERRORS: Mapping[type[BaseException], Callable[[str], Fault]] = {
    ccxt.BaseError: Unknown,
    ccxt.ExchangeError: Unknown,
    ccxt.AuthenticationError: Barred,
    ccxt.PermissionDenied: Barred,
    ccxt.AccountNotEnabled: Barred,
    ccxt.AccountSuspended: Barred,
    ccxt.ArgumentsRequired: Unknown,
    ccxt.BadRequest: Unknown,
    ccxt.BadSymbol: Unknown,
    ccxt.OperationRejected: Unknown,
    ccxt.NoChange: Unknown,
    ccxt.MarginModeAlreadySet: Unknown,
    ccxt.MarketClosed: Unknown,
    ccxt.ManualInteractionNeeded: Unknown,
    ccxt.RestrictedLocation: Barred,
    ccxt.InsufficientFunds: Unknown,
    ccxt.InvalidAddress: Unknown,
    ccxt.AddressPending: Unknown,
    ccxt.InvalidOrder: Unknown,
    ccxt.OrderNotFound: Unknown,
    ccxt.OrderNotCached: Unknown,
    ccxt.OrderImmediatelyFillable: Unknown,
    ccxt.OrderNotFillable: Unknown,
    ccxt.DuplicateOrderId: Unknown,
    ccxt.ContractUnavailable: Unknown,
    ccxt.NotSupported: Unknown,
    ccxt.InvalidProxySettings: Unknown,
    ccxt.ExchangeClosedByUser: Unknown,
    ccxt.OperationFailed: Unknown,
    ccxt.NetworkError: Unknown,
    ccxt.DDoSProtection: Unknown,  # a proxy's page: what lies behind it may have run
    ccxt.RateLimitExceeded: Throttled,
    ccxt.ExchangeNotAvailable: Unknown,
    ccxt.OnMaintenance: Unknown,
    ccxt.InvalidNonce: Unknown,
    ccxt.ChecksumError: Unknown,
    ccxt.RequestTimeout: Unknown,
    ccxt.BadResponse: Unknown,
    ccxt.NullResponse: Unknown,
    ccxt.CancelPending: Unknown,
    ccxt.UnsubscribeError: Unknown,
}

# What the HTTP status of an answer alone proves. 407 and 511 are of something on the way, 403 of either.
STATUSES: Mapping[int, Callable[[str], Fault]] = {401: Barred, 429: Throttled}


def fault_of(error: Exception) -> Fault:
    """Return what an exception proves; the nearest mapped class counts, and anything not ccxt's proves nothing."""
    make = next((ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS), Unknown)
    return make(_told(error))


def _told(error: Exception) -> str:
    return scrub(f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: where it goes, what it says, what it weighs. An ``effect`` is sent at most once, whatever comes."""

    what: str
    section: str
    path: str
    body: Mapping[str, Any]
    weight: int
    urgency: Urgency
    effect: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: the answer's JSON (None where it was none) and what its failure proves, if it failed.

    ``sent`` and ``received`` are monotonic ms. An answer with an error inside has both: a body and a fault.
    """

    body: Any
    fault: Fault | None
    sent: float
    received: float
    again: bool = False  # the connection failed before an answer: a read may be asked once more
    status: int | None = None  # of the HTTP answer; None where none came


class Gateway:
    """The way to one venue for one account."""

    def __init__(self, transport: Sends, budget: IpBudget) -> None:
        self._transport, self._budget = transport, budget

    def call(self, ask: Ask) -> Reply:
        """Send a request: an effect once, a read at most twice. Raises only what the budget's store raises.

        Reads reserve their own weight; an effect's was reserved with its permit.
        """
        if ask.effect:
            return self._once(ask)
        retrying = Retrying(
            stop=stop_after_attempt(2),
            retry=retry_if_result(lambda reply: reply.again),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        reply: Reply = retrying(self._reserved, ask)
        return reply

    def _reserved(self, ask: Ask) -> Reply:
        wait_ms = self._budget.reserve(ask.weight, ask.urgency)
        if wait_ms:
            now = mono_ms()
            return Reply(None, Throttled(f"own rate budget: {ask.what} in {wait_ms} ms"), now, now)
        reply = self._once(ask)
        if isinstance(reply.fault, Throttled):
            self._budget.refused()  # others spend at this address too
        return reply

    def _once(self, ask: Ask) -> Reply:
        sent, failed, again = mono_ms(), None, False
        try:
            self._transport.post(ask.section, ask.path, ask.body)
        except Exception as error:
            failed = fault_of(error)
            # the class itself: a timeout is one too, and asking again then would double the wait
            again = type(error) is ccxt.NetworkError
            if not isinstance(error, ccxt.BaseError):
                logger.error("%s failed in this program: %s", ask.what, _told(error))
        received, heard = mono_ms(), self._transport.heard()
        logger.debug("%s took %.0f ms", ask.what, received - sent)
        return Reply(_body(heard), _fault(failed, heard), sent, received, again, heard.status if heard else None)


def _body(heard: Heard | None) -> Any:
    """Return an answer's JSON. That of a failed HTTP status is a proxy's as likely as the venue's, and is not read."""
    return heard.body if heard is not None and heard.status == 200 else None


def _fault(failed: Fault | None, heard: Heard | None) -> Fault | None:
    """Return what a failure proves: of an answer its status alone, and ccxt's class only where none came."""
    if heard is None:
        return failed or Unknown("no answer")
    if heard.status == 200 and heard.body is not None and failed is None:
        return None
    return STATUSES.get(heard.status, Unknown)(scrub(f"HTTP {heard.status}: {heard.text}"))
