"""Hyperliquid's list of perpetuals: asked for once, shared through a text cache, and what people call them."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exchange.clock import mono_ms
from exchange.fields import Unreadable, get, integer, rows
from exchange.gateway import Ask, Gateway
from stopkeeper.core.model import Market
from stopkeeper.engine.ports import TextCache, Urgency

logger = logging.getLogger(__name__)
KNOWN_MS = 30 * 86_400_000  # how long a list is remembered, to hold others against
CACHED_MS = 6 * 3_600_000
FIRST_MS = 5_000  # how long the first list is used, which there was none to hold against
RELOAD_MS = 3_600_000
RETRY_MS = 2_000
WEIGHT = 20
TAKER_FEE = Decimal("0.00045")
MIN_NOTIONAL = Decimal(10)
PRICE_DECIMALS = 6
MAX_SIZE_DECIMALS = 8
SIGNIFICANT = 5
_AGREED, _FIRST = "agreed", "first"


def universe(meta: object) -> list[dict[str, Any] | None]:
    """Return what ``meta`` says of each perpetual, in the order that numbers the assets; only what is used.

    None where a row cannot be used: it takes its own coin away, and no other. Raises Unreadable where none can: kept
    for hours, an empty list would leave everything without a stop.
    """
    found = [_row(row) for row in rows(get(meta, "universe"))]
    if not any(found):
        raise Unreadable("a list of no perpetuals")
    return found


def _row(row: object) -> dict[str, Any] | None:
    try:
        name, decimals, leverage = get(row, "name"), integer(get(row, "szDecimals")), integer(get(row, "maxLeverage"))
    except Unreadable:
        return None
    if not isinstance(name, str) or not name or not 0 <= decimals <= MAX_SIZE_DECIMALS or leverage < 1:
        return None
    delisted = isinstance(row, dict) and row.get("isDelisted") is True
    return {"name": name, "szDecimals": decimals, "maxLeverage": leverage, "isDelisted": delisted}


def market_of(row: Mapping[str, Any]) -> Market:
    """Return the demands on an order (venue docs, tick and lot size; margining: maintenance = half of initial)."""
    decimals, leverage = integer(row["szDecimals"]), integer(row["maxLeverage"])
    return Market(
        symbol=str(row["name"]),
        size_step=Decimal(1).scaleb(-decimals),
        min_notional=MIN_NOTIONAL,
        max_leverage=leverage,
        maintenance_rate=Decimal(1) / (2 * leverage),
        taker_fee=TAKER_FEE,
        decimals=PRICE_DECIMALS - decimals,
        significant=SIGNIFICANT,
        delisted=row.get("isDelisted") is True,
    )


def context_mark(raw: object, symbol: str) -> object:
    """Return the markPx of a coin in ``metaAndAssetCtxs``, as it stands there."""
    meta, contexts = rows(raw)
    names = [get(row, "name") for row in rows(get(meta, "universe"))]
    return get(contexts[names.index(symbol)], "markPx") if symbol in names else None


def coin_of(text: str, coins: Collection[str]) -> str | None:
    """Return the venue's coin for what a person wrote (BTC, BTC/USDC:USDC, KPEPE/USDC:USDC, kpepe), or None."""
    base = text.strip().split("/")[0]
    if base in coins:
        return base
    alike = [coin for coin in coins if coin.lower() == base.lower()]
    return alike[0] if len(alike) == 1 else None


@dataclass(frozen=True, slots=True)
class Listing:
    """The perpetuals, delisted ones too: the asset number of each, and what it demands of an order."""

    assets: Mapping[str, int]
    markets: Mapping[str, Market]

    def contradicts(self, known: "Listing") -> bool:
        """Return whether it has another number, or none, for what is known: asset numbers never change."""
        return any(self.assets.get(name) != number for name, number in known.assets.items())


def _listing(found: Sequence[Mapping[str, Any] | None]) -> Listing:
    named = Counter(row["name"] for row in found if row is not None)
    usable = {number: row for number, row in enumerate(found) if row is not None and named[row["name"]] == 1}
    return Listing(
        assets={row["name"]: number for number, row in usable.items()},
        markets={row["name"]: market_of(row) for row in usable.values()},
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """A list, when it was taken in, and whether two readings agreed on it."""

    listing: Listing
    at: float
    agreed: bool

    @property
    def young(self) -> bool:
        return mono_ms() - self.at < (RELOAD_MS if self.agreed else FIRST_MS)


class Markets:
    """Reads the list from memory, else from the cache, else from the venue (one request).

    With numbers of another list an order would go to another coin. So the first list is kept for seconds only, and one
    with other numbers than were known is believed once the venue has said them twice.
    """

    def __init__(self, gateway: Gateway, cache: TextCache, base_url: str) -> None:
        self._gateway, self._cache = gateway, cache
        self._name = f"markets:hyperliquid:{base_url}"
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._doubted: Mapping[str, int] | None = None
        self._failed_at: float | None = None

    def listing(self) -> Listing | None:
        """Return the list, an hour old at most unless the venue cannot be read; None where it never could."""
        held = self._held
        if held is not None and held.young:
            return held.listing
        # nobody waits for a refresh that somebody else is at
        if self._lock.acquire(blocking=held is None):
            try:
                self._refresh()
            finally:
                self._lock.release()
        return None if self._held is None else self._held.listing

    def known(self) -> Listing | None:
        """Return the list at whatever age, as effects use it: asset numbers never change, and a close does not wait."""
        return self.listing() if self._held is None else self._held.listing

    def _refresh(self) -> None:
        now = mono_ms()
        if self._held is not None and self._held.young:
            return  # another thread was quicker
        if self._failed_at is not None and now - self._failed_at < RETRY_MS:
            return
        fresh = self._load(now)
        self._held = fresh or self._held
        self._failed_at = now if fresh is None else None

    def _load(self, now: float) -> _Held | None:
        kept, young = self._kept(), self._cache.load(self._young)
        known = kept if self._held is None else self._held.listing
        if kept is not None and known is not None and young:
            if not kept.contradicts(known):
                return _Held(kept, now, young == _AGREED)
            self._doubted = kept.assets  # another process was told so
        found = self._asked()
        if found is None:  # a venue that does not answer takes away nothing that is known
            return None if kept is None or self._held is not None else _Held(kept, now, agreed=False)
        fresh = _listing(found)
        agreed = known is not None and (not fresh.contradicts(known) or fresh.assets == self._doubted)
        if known is not None and not agreed:
            self._doubted = fresh.assets
            logger.error("the venue's list of perpetuals has other asset numbers than before: not believed yet")
            return None
        self._doubted = None
        self._cache.save(self._name, json.dumps(found), KNOWN_MS)
        self._cache.save(self._young, _AGREED if agreed else _FIRST, CACHED_MS if agreed else FIRST_MS)
        return _Held(fresh, now, agreed)

    @property
    def _young(self) -> str:
        return f"{self._name}:young"

    def _kept(self) -> Listing | None:
        """Return the list that any process last believed, at whatever age, or None where there is none to be read."""
        try:
            return _listing(universe({"universe": json.loads(self._cache.load(self._name) or "")}))
        except ValueError:
            return None

    def _asked(self) -> list[dict[str, Any] | None] | None:
        ask = Ask("meta", "public", "info", {"type": "meta"}, WEIGHT, Urgency.PROTECTIVE)
        try:
            return universe(self._gateway.call(ask).body)
        except Unreadable:
            return None
