"""From text to a signal: the one place where what people and programs type becomes a value, or a refusal."""

import re
from collections.abc import Sequence

from stopkeeper.core.model import Amount, Key, Resting, Side, Signal, TargetWish
from stopkeeper.engine import typed
from stopkeeper.engine.typed import Refused

ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
MOST_TARGETS = 5


def parse_signal(
    *,
    account: str,
    symbol: str,
    side: str,
    stop: str | None,
    now_ms: int,
    size: str | None = None,
    notional: str | None = None,
    risk: str | None = None,
    target: str | Sequence[str] | None = None,
    limit: str | None = None,
    leverage: str | int | None = None,
    expires: str = "30s",
    price: str | None = None,
    max_deviation: str | None = None,
    time_limit: str | None = None,
    signal_id: str | None = None,
    rest: bool = False,
    post_only: bool = False,
    trail: str | None = None,
    breakeven: str | None = None,
) -> Signal:
    """Build a signal from text. ``symbol`` is the venue's coin. Raises Refused on the first value that cannot be."""
    if side not in (Side.LONG, Side.SHORT):
        raise Refused("side", side, "a side is long or short", "say long or short")
    if not stop:
        raise Refused("stop", "nothing", "no position is ever without a stop", "give --stop 95000 or --stop 2%")
    if signal_id is not None and not ID.fullmatch(signal_id):
        raise Refused(
            "id", signal_id, "it must be 1 to 64 letters, digits, dots, dashes, colons", "for example my-bot-17"
        )
    if (price is None) != (max_deviation is None):
        got = f"only a price, {price}" if max_deviation is None else f"only a deviation, {max_deviation}"
        raise Refused("max_deviation", got, "a price and a greatest deviation belong together", "give both or neither")
    return Signal(
        id=signal_id or "",
        key=Key(account, symbol),
        side=Side(side),
        amount=_amount(size, notional, risk),
        stop=typed.distance("stop", stop),
        targets=_targets(target),
        limit=None if limit is None else typed.number("limit", limit, "give the worst price of the entry"),
        resting=_resting(limit, rest=rest, post_only=post_only),
        leverage=None if leverage is None else typed.whole("leverage", str(leverage)),
        time_limit_ms=None if time_limit is None else typed.duration_ms("time_limit", time_limit),
        expires_ms=now_ms + typed.duration_ms("expires", expires),
        price=None if price is None else typed.number("price", price, "give the price the signal was made at"),
        max_deviation=None if max_deviation is None else typed.fraction("max_deviation", max_deviation, "such as 0.5%"),
        trail=None if trail is None else typed.trail("trail", trail),
        breakeven=None if breakeven is None else typed.breakeven("breakeven", breakeven),
    )


def _resting(limit: str | None, *, rest: bool, post_only: bool) -> Resting:
    if not rest and not post_only:
        return Resting.NO
    if limit is None:
        field = "post_only" if post_only else "rest"
        raise Refused(field, "no limit", "only an entry with a limit can rest", "give its price with --limit")
    return Resting.POST_ONLY if post_only else Resting.GTC


def _amount(size: str | None, notional: str | None, risk: str | None) -> Amount:
    given = [name for name, value in (("size", size), ("notional", notional), ("risk", risk)) if value is not None]
    if len(given) != 1:
        hint = "give one of --size (coins), --notional (USD) or --risk (USD lost at the stop)"
        raise Refused("size", " and ".join(given) or "nothing", "exactly one amount says how much", hint)
    return Amount(
        size=None if size is None else typed.number("size", size, "give coins such as 0.01"),
        notional=None if notional is None else typed.number("notional", notional, "give USD such as 500"),
        risk=None if risk is None else typed.number("risk", risk, "give the USD to lose at the stop, such as 25"),
    )


def _targets(target: str | Sequence[str] | None) -> tuple[TargetWish, ...]:
    texts = [target] if isinstance(target, str) else list(target or ())
    if len(texts) > MOST_TARGETS:
        reason = f"at most {MOST_TARGETS} targets are placed beside a stop"
        raise Refused("target", ", ".join(texts), reason, "leave some out")
    return tuple(typed.target(text) for text in texts)
