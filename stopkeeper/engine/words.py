"""From text to a signal: the one place where what people and programs type becomes a value, or a refusal."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from stopkeeper.core.model import Amount, Distance, Key, Side, Signal

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Refused(Exception):
    """A value that cannot be accepted: exit code 3. ``str()`` is the sentence."""

    def __init__(self, field: str, value: str, reason: str, hint: str) -> None:
        super().__init__(f"{field}: {reason} (got {value}); {hint}")
        self.field, self.value, self.reason, self.hint = field, value, reason, hint


def number(field: str, text: str, hint: str) -> Decimal:
    """Return a finite number > 0, or refuse it with the hint."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise Refused(field, text or "nothing", "it is not a number", hint) from None
    if not value.is_finite():
        raise Refused(field, text, "it is not a finite number", hint)
    if value <= 0:
        raise Refused(field, text, "it must be above 0", hint)
    if abs(value.adjusted()) > 15:
        raise Refused(field, text, "it is out of all proportion", hint)
    return value


def fraction(field: str, text: str, hint: str) -> Decimal:
    """Return a percentage ("2%") as a fraction below 1, or refuse it."""
    if not text.strip().endswith("%"):
        raise Refused(field, text, "it is not a percentage", hint)
    value = number(field, text.strip()[:-1], hint) / 100
    if value >= 1:
        raise Refused(field, text, "it must be below 100%", hint)
    return value


def distance(field: str, text: str) -> Distance:
    """Return a price ("95000") or a distance from the mark ("2%")."""
    hint = "give a price such as 95000, or a distance such as 2%"
    if text.strip().endswith("%"):
        return Distance(fraction=fraction(field, text, hint))
    return Distance(price=number(field, text, hint))


def duration_ms(field: str, text: str) -> int:
    """Return a duration ("30s", "2m", "1h", "500ms") in ms, or refuse it."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    hint = "give a duration such as 30s, 5m or 2h"
    if match is None:
        raise Refused(field, text, "it is not a duration", hint)
    value = int(Decimal(match[1]) * UNITS_MS[match[2]])
    if value <= 0:
        raise Refused(field, text, "it must be above 0", hint)
    return value


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
        stop=distance("stop", stop),
        target=_target(target),
        limit=None if limit is None else number("limit", limit, "give the worst price of the entry"),
        leverage=None if leverage is None else _whole("leverage", str(leverage)),
        time_limit_ms=None if time_limit is None else duration_ms("time_limit", time_limit),
        expires_ms=now_ms + duration_ms("expires", expires),
        price=None if price is None else number("price", price, "give the price the signal was made at"),
        max_deviation=None if max_deviation is None else fraction("max_deviation", max_deviation, "such as 0.5%"),
    )


def _whole(field: str, text: str) -> int:
    value = number(field, text, "give a whole number such as 5")
    if value != value.to_integral_value():
        raise Refused(field, text, "it is not a whole number", "give a whole number such as 5")
    return int(value)


def _amount(size: str | None, notional: str | None, risk: str | None) -> Amount:
    given = [name for name, value in (("size", size), ("notional", notional), ("risk", risk)) if value is not None]
    if len(given) != 1:
        hint = "give one of --size (coins), --notional (USD) or --risk (USD lost at the stop)"
        raise Refused("size", " and ".join(given) or "nothing", "exactly one amount says how much", hint)
    return Amount(
        size=None if size is None else number("size", size, "give coins such as 0.01"),
        notional=None if notional is None else number("notional", notional, "give USD such as 500"),
        risk=None if risk is None else number("risk", risk, "give the USD to lose at the stop, such as 25"),
    )


def _target(target: str | Sequence[str] | None) -> Distance | None:
    texts = [target] if isinstance(target, str) else list(target or ())
    if not texts:
        return None
    if len(texts) > 1 or ":" in texts[0]:
        reason = "several targets, or a target for a part, are not there yet"
        raise Refused("target", ", ".join(texts), reason, "give one target for the whole position")
    return distance("target", texts[0])
