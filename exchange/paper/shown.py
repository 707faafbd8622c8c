"""What feeds and reads show of prices while faults last. Matching never asks here.

`zero_price` and `freeze_price` replace the market of a coin wherever it is shown; `bad_price` strikes single frames and
answers, with a text or by a factor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from exchange.paper.book import Quote, quote
from exchange.paper.faults import Faults, Rule
from exchange.paper.knobs import Knobs
from exchange.paper.model import ZERO, Instrument
from exchange.paper.symbols import on_tick
from exchange.paper.wire import number

Where = Literal["info", "stream", "position"]
_NOTHING = Quote(ZERO, ZERO, ZERO, ZERO)


@dataclass(frozen=True)
class Shown:
    """The market of a coin as one frame or answer shows it; `text` stands in the place of every price."""

    at: Quote
    text: str | None = None

    def px(self, price: Decimal, places: int = 8) -> str | None:
        """Print one of its prices; the text `null` is JSON's null."""
        if self.text is None:
            return number(price, places)
        return None if self.text == "null" else self.text


class Showcase:
    """The markets of all coins as they are shown."""

    def __init__(
        self, listing: Mapping[str, Instrument], knobs: Knobs, faults: Faults, real: Callable[[str], Quote]
    ) -> None:
        self.listing = listing
        self.knobs = knobs
        self.faults = faults
        self.real = real
        self.frozen: dict[str, Decimal] = {}

    def plain(self, coin: str, now_ms: int) -> Quote:
        """Return the market of a coin: the real one, or zero or frozen by a fault."""
        real = self.real(coin)
        if not self.faults.rules:
            self.frozen.clear()
            return real
        if any(rule.symbol in (None, coin) for rule in self.faults.lasting("zero_price", now_ms)):
            return _NOTHING
        if any(rule.symbol in (None, coin) for rule in self.faults.lasting("freeze_price", now_ms)):
            return quote(self.listing[coin], self.frozen.setdefault(coin, real.mark), self.knobs)
        self.frozen.pop(coin, None)
        return real

    def strikes(
        self, where: Where, key: Hashable, coins: Iterable[str], now_ms: int, account: str | None = None
    ) -> dict[str, Rule]:
        """Count one frame or answer, of the kind `key`, that shows these coins; return the rule that strikes each."""
        if not self.faults.rules:
            return {}
        shown = frozenset(coins)
        named = where == "position"  # a rule that names no place means frames and contexts only
        rules = self.faults.strike("bad_price", (where, key), (where,), account, shown, now_ms, named=named)
        return {coin: rule for rule in reversed(rules) for coin in shown if rule.symbol in (None, coin)}

    def board(self, where: Where, key: Hashable, coins: Iterable[str], now_ms: int) -> dict[str, Shown]:
        """Return what one frame or answer shows of these coins."""
        listed = list(coins)
        struck = self.strikes(where, key, listed, now_ms)
        return {coin: self.struck(coin, self.plain(coin, now_ms), struck.get(coin)) for coin in listed}

    def struck(self, coin: str, at: Quote, rule: Rule | None) -> Shown:
        """Return a market as a rule disfigures it."""
        if rule is None:
            return Shown(at)
        if "factor" not in rule.more:
            return Shown(at, str(rule.more["text"]))
        if at.mark == 0:
            return Shown(at)
        item = self.listing[coin]
        return Shown(quote(item, on_tick(item, at.mark * Decimal(rule.more["factor"])), self.knobs))
