"""The small parts over Redis: last marks, switches, nonces, rate budgets, cached texts."""

from collections.abc import Mapping
from decimal import Decimal

from stopkeeper.core.prices import Flaw, Price, Source, parse_price
from stopkeeper.core.rules import Switches
from stopkeeper.store import keys
from stopkeeper.store.wire import Wire, age, time_ms

NONCE_AHEAD_MS = 10_000
ON = "1"
HEIR = "inherited:"


def checked_weight(limit: str, weight: int, capacity: int, reserve: int) -> None:
    """Refuse a weight that no refill could ever grant: waiting for it would last for ever. Raises ValueError."""
    if weight < 0 or weight + reserve > capacity:
        raise ValueError(f"{limit}: a weight of {weight} above a reserve of {reserve} never fits into {capacity}")


def checked_count(count: int) -> None:
    """Refuse to mint no nonce. Raises ValueError."""
    if count < 1:
        raise ValueError(f"cannot mint {count} nonces")


class RedisPrices:
    """Implements ports.Prices."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def put(self, account: str, marks: Mapping[str, Decimal], venue_ms: int | None = None) -> None:
        """Note the last marks; what is no price is not noted. Raises StoreGone."""
        args = [part for symbol, mark in marks.items() if parse_price(mark) for part in (symbol, str(mark))]
        if args:
            told = "" if venue_ms is None else venue_ms
            self._wire.repeatable("marks_put", [keys.marks(account)], [told, *args])

    def get(self, account: str, symbol: str) -> Price | None:
        """Return the last mark with its age by Redis time, or None. Raises StoreGone."""
        now, stored = self._wire.reads(("TIME",), ("HGET", keys.marks(account), symbol))
        if stored is None:
            return None
        value, at_ms, told = str(stored).split("|")
        age_ms = age(time_ms(now), int(at_ms))
        return Price(Decimal(value), Source.STREAM, age_ms, int(told) if told else None)

    def count(self, account: str, flaws: Mapping[Flaw, int]) -> None:
        """Add to the counts of what was no price or not believed. Raises StoreGone."""
        for flaw, times in flaws.items():
            self._wire.write("HINCRBY", keys.flaws(account), flaw.value, times)

    def counts(self, account: str) -> Mapping[Flaw, int]:
        """Return the counts since the first start. Raises StoreGone."""
        stored = self._wire.read("HGETALL", keys.flaws(account)) or {}
        return {flaw: int(stored[flaw]) for flaw in Flaw if flaw in stored}

    def hear(self, account: str) -> None:
        """Note that the account's streams live. Raises StoreGone."""
        self._wire.repeatable("marks_put", [keys.heard()], ["", account, ON])

    def heard_ms(self, account: str) -> int | None:
        """Return how long ago the account's streams last lived; None = never. Raises StoreGone."""
        now, stored = self._wire.reads(("TIME",), ("HGET", keys.heard(), account))
        return None if stored is None else age(time_ms(now), int(str(stored).split("|")[1]))


class RedisFlags:
    """Implements ports.Flags."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def read(self, account: str) -> Switches:
        """Return what is switched; nothing is where nothing was set. Raises StoreGone."""
        stored = self._wire.read("HGETALL", keys.switches(account)) or {}
        inherited = sorted((n.removeprefix(HEIR), int(ms)) for n, ms in stored.items() if n.startswith(HEIR))
        on = (stored.get("paused") == ON, stored.get("halted") == ON)
        return Switches(*on, stored.get("barred", ""), tuple(inherited))

    def change(
        self, account: str, *, paused: bool | None = None, halted: bool | None = None, barred: str | None = None
    ) -> None:
        """Set what is given and leave the rest, confirmed on disk. Raises StoreGone."""
        given = {"paused": paused, "halted": halted, "barred": barred}
        texts = {name: value if isinstance(value, str) else ON if value else "" for name, value in given.items()}
        fields = [part for name, text in texts.items() if given[name] is not None for part in (name, text)]
        if fields:
            self._wire.confirmed("HSET", keys.switches(account), *fields)

    def inherit(self, account: str, installation: str, until_ms: int) -> None:
        """Take the orders another installation placed until then for our own, confirmed on disk. Raises StoreGone."""
        self._wire.confirmed("HSET", keys.switches(account), f"{HEIR}{installation}", until_ms)


class RedisNonces:
    """Implements ports.NonceSource."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def take(self, signer: str, now_ms: int, count: int) -> int:
        """Return the first of ``count`` fresh nonces, confirmed on disk. Raises ValueError on none asked, StoreGone."""
        checked_count(count)
        return int(self._wire.durable("nonce_take", [keys.nonce(signer)], [now_ms, count, NONCE_AHEAD_MS]))


class RedisBudget:
    """Implements ports.BudgetSource."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def take(self, limit: str, weight: int, capacity: int, per_ms: int, reserve: int) -> int:
        """Take ``weight`` if ``reserve`` would stay; return 0, or the ms until it would be granted. Raises StoreGone.

        Raises ValueError for what could never be granted.
        """
        checked_weight(limit, weight, capacity, reserve)
        return int(self._wire.script("budget", [keys.budget(limit)], [weight, capacity, per_ms, reserve])[0])

    def used(self, limit: str, capacity: int, per_ms: int) -> int:
        """Return how much of the capacity is spent now, rounded up. Raises StoreGone."""
        return int(self._wire.repeatable("budget", [keys.budget(limit)], [0, capacity, per_ms, 0])[1])


class RedisTexts:
    """Implements ports.TextCache."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def load(self, name: str) -> str | None:
        """Return the text, or None where there is none or it has expired. Raises StoreGone."""
        text = self._wire.read("GET", keys.text(name))
        return None if text is None else str(text)

    def save(self, name: str, text: str, ttl_ms: int) -> None:
        """Keep the text for ttl_ms. Raises StoreGone."""
        self._wire.write("SET", keys.text(name), text, "PX", ttl_ms)
