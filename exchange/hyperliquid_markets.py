"""Hyperliquid's list of perpetuals: asked for once, shared through a text cache, and what people call them."""

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exchange.clock import mono_ms
from exchange.fields import Unreadable, get, integer, rows
from exchange.gateway import Ask, Gateway
from stopkeeper.core.model import Market
from stopkeeper.engine.ports import TextCache, Urgency

CACHED_MS = 6 * 3_600_000
RELOAD_MS = 3_600_000
RETRY_MS = 2_000
WEIGHT = 20
TAKER_FEE = Decimal("0.00045")
MIN_NOTIONAL = Decimal(10)
PRICE_DECIMALS = 6
SIGNIFICANT = 5


def universe(meta: object) -> list[dict[str, Any]]:
    """Return what ``meta`` says of each perpetual, in the order that numbers the assets; only what is used.

    Raises Unreadable, also where it names none: kept for hours, an empty list would leave everything without a stop.
    """
    listed = rows(get(meta, "universe"))
    if not listed:
        raise Unreadable("a list of no perpetuals")
    return [
        {
            "name": str(get(row, "name")),
            "szDecimals": integer(get(row, "szDecimals")),
            "maxLeverage": integer(get(row, "maxLeverage")),
            "isDelisted": row.get("isDelisted") is True,
        }
        for row in listed
    ]


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
    names = [row["name"] for row in universe(meta)]
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


def _listing(text: str) -> Listing:
    found = json.loads(text)
    return Listing(
        assets={row["name"]: number for number, row in enumerate(found)},
        markets={row["name"]: market_of(row) for row in found},
    )


class Markets:
    """Reads the list from memory, else from the cache, else from the venue (one request)."""

    def __init__(self, gateway: Gateway, cache: TextCache, base_url: str) -> None:
        self._gateway, self._cache = gateway, cache
        self._name = f"markets:hyperliquid:{base_url}"
        self._lock = threading.Lock()
        self._held: tuple[Listing, float] | None = None
        self._failed_at: float | None = None

    def listing(self) -> Listing | None:
        """Return the list, an hour old at most unless the venue cannot be read; None where it never could."""
        held = self._held
        if held is not None and mono_ms() - held[1] < RELOAD_MS:
            return held[0]
        # nobody waits for a refresh that somebody else is at
        if self._lock.acquire(blocking=held is None):
            try:
                self._refresh()
            finally:
                self._lock.release()
        return None if self._held is None else self._held[0]

    def known(self) -> Listing | None:
        """Return the list at whatever age, as effects use it: asset numbers never change, and a close does not wait."""
        return self.listing() if self._held is None else self._held[0]

    def _refresh(self) -> None:
        now = mono_ms()
        if self._held is not None and now - self._held[1] < RELOAD_MS:
            return  # another thread was quicker
        if self._failed_at is not None and now - self._failed_at < RETRY_MS:
            return
        fresh = self._load()
        self._held = self._held if fresh is None else (fresh, now)
        self._failed_at = now if fresh is None else None

    def _load(self) -> Listing | None:
        text = self._cache.load(self._name)
        if text is None:
            ask = Ask("meta", "public", "info", {"type": "meta"}, WEIGHT, Urgency.PROTECTIVE)
            reply = self._gateway.call(ask)
            try:
                text = json.dumps(universe(reply.body))
            except Unreadable:
                return None
            self._cache.save(self._name, text, CACHED_MS)
        return _listing(text)
