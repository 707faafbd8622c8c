"""Which parts of an account are missing, over Redis; the rules of telling once are scripts/lack.lua and back.lua."""

from collections.abc import Mapping

from stopkeeper.store import keys
from stopkeeper.store.wire import Wire, time_ms


class RedisGaps:
    """Implements ports.Gaps."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def lack(self, account: str, part: str, patience_ms: int) -> bool:
        """Note that a part is missing; True once, when it has been for so long. Raises StoreGone."""
        return int(self._wire.script("lack", [keys.missing(account)], [part, patience_ms])) == 1

    def back(self, account: str, part: str) -> int | None:
        """Note that a part is there; return the ms it was missing, None if that was not told. Raises StoreGone."""
        gone_ms = int(self._wire.script("back", [keys.missing(account)], [part]))
        return None if gone_ms < 0 else gone_ms

    def lacking(self, account: str) -> Mapping[str, int]:
        """Return each part that is noted as missing, with the ms since. Raises StoreGone."""
        now, stored = self._wire.reads(("TIME",), ("HGETALL", keys.missing(account)))
        return {part: max(0, time_ms(now) - int(str(text).partition("|")[0])) for part, text in stored.items()}

    def turn(self, account: str, what: str, every_ms: int) -> bool:
        """Return True to the first who asks in so many ms. Raises StoreGone."""
        return int(self._wire.script("turn", [keys.turn(account, what)], [every_ms])) == 1
