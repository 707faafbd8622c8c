"""What becomes of a websocket frame before it is sent: lost, late, twice, or said to nobody. Sends nothing itself.

`every` counts the frames of one subscription of one connection, so that two clients do not share the losses between
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.paper.faults import Faults, Rule
from exchange.paper.topics import BY_COIN, BY_USER, PRIVATE


@dataclass(frozen=True)
class Fate:
    """How often a frame is sent, and how late."""

    copies: int = 1
    delay_ms: int = 0


@dataclass(frozen=True)
class _About:
    names: tuple[str, str]
    account: str | None
    coins: tuple[str, ...]


class Frames:
    """The faults of frames and subscriptions."""

    def __init__(self, faults: Faults, now_ms: Callable[[], int]) -> None:
        self.faults = faults
        self.now_ms = now_ms

    def fate(self, connection: int, sub: tuple[str, ...]) -> Fate:
        """Say what becomes of the next frame of a subscription of a connection."""
        if not self.faults.rules:
            return Fate()
        if self._struck("ws_deaf", connection, sub) or self._struck("drop_frames", connection, sub):
            return Fate(copies=0)
        late = self._struck("late_frames", connection, sub)
        repeated = self._struck("repeat_frames", connection, sub)
        return Fate(copies=1 + len(repeated), delay_ms=max((rule.delay_ms for rule in late), default=0))

    def refusal(self, sub: tuple[str, ...]) -> Rule | None:
        """Return the fault that refuses a subscription, if any."""
        about = _about(sub)
        return self.faults.take("refuse_subscription", about.names, about.account, about.coins)

    def _struck(self, kind: str, connection: int, sub: tuple[str, ...]) -> list[Rule]:
        about = _about(sub)
        key = (connection, sub)
        return self.faults.strike(kind, key, about.names, about.account, about.coins, self.now_ms())


def _about(sub: tuple[str, ...]) -> _About:
    """Return what faults are matched against: the channel and its group, the account of a private one, its coin."""
    kind = sub[0]
    account = sub[1] if kind in BY_USER else sub[2] if kind == "activeAssetData" else None
    coins = (sub[1],) if kind in BY_COIN or kind == "activeAssetData" else ()
    return _About((kind, "private" if kind in PRIVATE else "prices"), account, coins)
