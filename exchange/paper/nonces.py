"""Which nonces a signer has used: the venue keeps the 100 highest, and a window around its clock.

Rule: venue docs `nonces-and-api-wallets`; per signer, unique, above the lowest kept, within (T - 2 days, T + 1 day).
"""

from __future__ import annotations

from bisect import insort

KEPT = 100
_DAY_MS = 24 * 3600 * 1000


class Nonces:
    """The used nonces of every signer."""

    def __init__(self) -> None:
        self.used: dict[str, list[int]] = {}

    def use(self, signer: str, nonce: int, now_ms: int) -> str | None:
        """Use up a nonce, or return the venue's words for refusing it."""
        if nonce <= now_ms - 2 * _DAY_MS:
            return f"Invalid nonce: nonce too low {nonce}"
        if nonce >= now_ms + _DAY_MS:
            return f"Invalid nonce: nonce too high {nonce}"
        kept = self.used.setdefault(signer, [])
        if nonce in kept:
            return f"Invalid nonce: duplicate nonce {nonce}"
        if len(kept) >= KEPT:
            if nonce < kept[0]:
                return f"Invalid nonce: nonce too low {nonce}"
            kept.pop(0)
        insort(kept, nonce)
        return None
