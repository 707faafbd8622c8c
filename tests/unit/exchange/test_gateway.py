"""The one map of errors, the retry of reads, and that nothing secret leaves in a text."""

import logging
from typing import Any

import ccxt
import pytest
from ccxt.base.errors import error_hierarchy

from exchange.budget import IpBudget, LocalBudget
from exchange.gateway import ERRORS, Ask, Gateway, fault_of, scrub
from exchange.hyperliquid import Hyperliquid
from exchange.transport import Heard
from stopkeeper.core.outcomes import Barred, Throttled, Unknown
from stopkeeper.engine.ports import StoreGone, Urgency
from tests.unit.exchange.conftest import KEY, WireServer


def _tree(level: dict[str, Any]) -> set[str]:
    return set(level) | {name for below in level.values() for name in _tree(below)}


def test_every_class_of_ccxts_tree_is_mapped_and_no_other() -> None:
    names = _tree(error_hierarchy)
    assert {kind.__name__ for kind in ERRORS} == names
    exported = {
        name for name, kind in vars(ccxt).items() if isinstance(kind, type) and issubclass(kind, ccxt.BaseError)
    }
    assert exported <= names


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ccxt.RateLimitExceeded("429"), Throttled),
        (ccxt.AuthenticationError("401"), Barred),
        (ccxt.PermissionDenied("no"), Barred),
        (ccxt.RequestTimeout("late"), Unknown),
        (ccxt.ExchangeNotAvailable("502"), Unknown),
        (ccxt.DDoSProtection("cloudflare 522"), Unknown),
        (ccxt.ExchangeError("51149"), Unknown),
        (ccxt.InvalidOrder("no words of the venue"), Unknown),
        (ccxt.InvalidNonce("x"), Unknown),
        (ccxt.InsufficientFunds("words of whoever answered"), Unknown),
        (ccxt.OrderNotFound("unknownOid"), Unknown),
        (ccxt.DuplicateOrderId("x"), Unknown),
        (RuntimeError("a bug"), Unknown),
    ],
)
def test_a_class_proves_no_more_than_this(error: Exception, kind: type) -> None:
    assert isinstance(fault_of(error), kind)


def test_a_class_ccxt_grows_counts_as_its_parent() -> None:
    class Newer(ccxt.RateLimitExceeded):  # type: ignore[misc]
        pass

    assert fault_of(Newer("x")) == Throttled("Newer: x")


class _Wire:
    """A transport that fails as told, and counts."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors, self.sent = list(errors), 0

    def post(self, section: str, path: str, body: object) -> None:
        self.sent += 1
        if error := self.errors.pop(0):
            raise error

    def heard(self) -> Heard | None:
        return Heard(200, "{}", {})


def _ask(effect: bool = False) -> Ask:
    return Ask("x", "public", "info", {}, 20, Urgency.ORDINARY, effect=effect)


@pytest.mark.parametrize(
    ("errors", "effect", "sent"),
    [
        ([ccxt.NetworkError("reset"), None], False, 2),
        ([ccxt.NetworkError("reset")] * 3, False, 2),
        ([ccxt.RequestTimeout("late"), None], False, 1),
        ([ccxt.ExchangeNotAvailable("502"), None], False, 1),
        ([ccxt.RateLimitExceeded("429"), None], False, 1),
        ([ccxt.NetworkError("reset"), None], True, 1),
        ([ccxt.RequestTimeout("late"), None], True, 1),
    ],
)
def test_only_a_read_is_asked_again_and_only_once(errors: list[Exception | None], effect: bool, sent: int) -> None:
    wire = _Wire(*errors)
    Gateway(wire, IpBudget(LocalBudget(), "h")).call(_ask(effect))
    assert wire.sent == sent


def test_a_read_without_budget_is_not_sent() -> None:
    budget, wire = IpBudget(LocalBudget(), "h"), _Wire()
    assert budget.reserve(890, Urgency.ORDINARY) == 0
    assert isinstance(Gateway(wire, budget).call(_ask()).fault, Throttled)
    assert wire.sent == 0


def test_a_lost_store_is_not_taken_for_a_venues_failure() -> None:
    class Gone(LocalBudget):
        def take(self, *_: object) -> int:
            raise StoreGone

    with pytest.raises(StoreGone):
        Gateway(_Wire(None), IpBudget(Gone(), "h")).call(_ask())


def test_scrubbing_leaves_ids_and_addresses() -> None:
    text = f"key 0x{KEY} or {KEY.upper()} cloid 0x{'ab' * 16} user 0x{'cd' * 20}\n next"
    assert scrub(text) == f"key (hidden) or (hidden) cloid 0x{'ab' * 16} user 0x{'cd' * 20} next"


def test_no_secret_leaves_through_an_outcome_or_a_log(
    venue: Hyperliquid, server: WireServer, caplog: pytest.LogCaptureFixture
) -> None:
    def parrot(path: str, body: dict[str, Any]) -> tuple[int, str]:
        return (
            (200, '{"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]}')
            if path == "/info"
            else (
                422,
                f"cannot read {body} signed with {KEY}",
            )
        )

    server.answer = parrot
    caplog.set_level(logging.DEBUG)
    permit = venue.permit(Urgency.PROTECTIVE, venue.now_ms() + 9_000)
    assert not isinstance(permit, Throttled)
    outcome = venue.cancel("BTC", "1", permit)
    signature = server.asked[-1][1]["signature"]
    assert isinstance(outcome, Unknown)
    for secret in (KEY, signature["r"][2:], signature["s"][2:]):
        assert secret not in outcome.why
        assert secret not in caplog.text
        assert secret not in repr(venue.account)
