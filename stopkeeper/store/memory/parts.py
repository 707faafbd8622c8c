"""The other parts in memory: journal, looks, marks, switches, nonces, budgets, texts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from stopkeeper.core.model import AccountSeen, Known
from stopkeeper.core.prices import Flaw, Price, Source, parse_price
from stopkeeper.core.rules import Switches
from stopkeeper.engine.ports import Journal
from stopkeeper.store import keys
from stopkeeper.store.codec import LOOK, as_text
from stopkeeper.store.looks import OLDER_BY_MS, OLDER_TIMES, alarm_reset
from stopkeeper.store.memory.world import LookRow, MemoryWorld
from stopkeeper.store.small import NONCE_AHEAD_MS, checked_count, checked_weight
from stopkeeper.store.wire import age


class MemoryJournal:
    """Implements ports.Journal."""

    def __init__(self, world: MemoryWorld, max_lines: int = keys.JOURNAL_LINES) -> None:
        self._world = world
        self._max_lines = max_lines

    def write(self, account: str, symbol: str, kind: str, text: str, **fields: Any) -> None:
        """Append one line. Raises StoreGone."""
        line = {"symbol": symbol, "kind": kind, "text": text, **{name: as_text(v) for name, v in fields.items()}}
        with self._world.using() as state:
            stream = state.journal.setdefault(account, [])
            last = _order(stream[-1][0]) if stream else (0, 0)
            now = self._world.clock()
            stamp = (now, 0) if now > last[0] else (last[0], last[1] + 1)
            stream.append((f"{stamp[0]}-{stamp[1]}", line))
            del stream[: -self._max_lines]

    def read(self, account: str, after: str, limit: int) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Return (id, fields) of lines after an id ("0" = from the start, "" = the last ``limit``), oldest first."""
        with self._world.using() as state:
            stream = list(state.journal.get(account, []))
        if not after:
            return stream[-limit:]
        return [row for row in stream if _order(row[0]) > _order(after)][:limit]


def _order(line_id: str) -> tuple[int, int]:
    time, _, number = line_id.partition("-")
    return int(time), int(number or 0)


class MemoryLooks:
    """Implements ports.Looks."""

    def __init__(self, world: MemoryWorld, journal: Journal) -> None:
        self._world = world
        self._journal = journal

    def load(self, account: str) -> tuple[AccountSeen, Mapping[str, int]]:
        """Return the look and each field's age in ms; unread fields are Unknown and have no age."""
        now = self._world.clock()
        with self._world.using() as state:
            rows = {field: state.looks[account, field] for field in LOOK if (account, field) in state.looks}
            values = {field: row.reading for field, row in rows.items()}
            return AccountSeen(**values), {field: age(now, row.seen_ms) for field, row in rows.items()}

    def save(self, account: str, seen: AccountSeen) -> AccountSeen:
        """Merge the Known fields into the stored look and return it; an older venue time than stored is dropped.

        Three times in a row older by > 10 s resets the watermark, with a journal line of kind ``watermark``.
        """
        reset = []
        with self._world.using() as state:
            for field in LOOK:
                reading = getattr(seen, field)
                if not isinstance(reading, Known):
                    continue
                row = state.looks.get((account, field))
                behind = 0 if row is None else row.at_ms - reading.at_ms
                older = 0 if row is None or behind <= OLDER_BY_MS else row.older + 1
                if row is None or behind <= 0 or older >= OLDER_TIMES:
                    state.looks[account, field] = LookRow(reading, reading.at_ms, self._world.clock())
                    reset += [field] if behind > 0 else []
                else:
                    row.older = older
        if reset:
            alarm_reset(self._journal, account, reset)
        return self.load(account)[0]


class MemoryPrices:
    """Implements ports.Prices."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def put(self, account: str, marks: Mapping[str, Decimal], venue_ms: int | None = None) -> None:
        """Note the last marks; what is no price is not noted. Raises StoreGone."""
        with self._world.using() as state:
            for symbol, mark in marks.items():
                if parse_price(mark):
                    state.marks[account, symbol] = (mark, self._world.clock(), venue_ms)

    def get(self, account: str, symbol: str) -> Price | None:
        """Return the last mark with its age, or None. Raises StoreGone."""
        with self._world.using() as state:
            stored = state.marks.get((account, symbol))
        if stored is None:
            return None
        return Price(stored[0], Source.STREAM, age(self._world.clock(), stored[1]), stored[2])

    def count(self, account: str, flaws: Mapping[Flaw, int]) -> None:
        """Add to the counts of what was no price or not believed. Raises StoreGone."""
        with self._world.using() as state:
            for flaw, times in flaws.items():
                state.flaws[account, flaw] = state.flaws.get((account, flaw), 0) + times

    def counts(self, account: str) -> Mapping[Flaw, int]:
        """Return the counts since the first start. Raises StoreGone."""
        with self._world.using() as state:
            return {flaw: state.flaws[account, flaw] for flaw in Flaw if (account, flaw) in state.flaws}

    def hear(self, account: str) -> None:
        """Note that the account's streams live. Raises StoreGone."""
        with self._world.using() as state:
            state.heard[account] = self._world.clock()

    def heard_ms(self, account: str) -> int | None:
        """Return how long ago the account's streams last lived; None = never. Raises StoreGone."""
        with self._world.using() as state:
            heard = state.heard.get(account)
        return None if heard is None else age(self._world.clock(), heard)


class MemoryFlags:
    """Implements ports.Flags."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def read(self, account: str) -> Switches:
        """Return what is switched; nothing is where nothing was set. Raises StoreGone."""
        with self._world.using() as state:
            return state.switches.get(account, Switches())

    def change(
        self, account: str, *, paused: bool | None = None, halted: bool | None = None, barred: str | None = None
    ) -> None:
        """Set what is given and leave the rest. Raises StoreGone."""
        with self._world.using() as state:
            now = state.switches.get(account, Switches())
            state.switches[account] = Switches(
                now.paused if paused is None else paused,
                now.halted if halted is None else halted,
                now.barred if barred is None else barred,
                now.inherited,
            )

    def inherit(self, account: str, installation: str, until_ms: int) -> None:
        """Take the orders another installation placed until then for our own. Raises StoreGone."""
        with self._world.using() as state:
            now = state.switches.get(account, Switches())
            inherited = {**dict(now.inherited), installation: until_ms}
            state.switches[account] = replace(now, inherited=tuple(sorted(inherited.items())))


class MemoryGaps:
    """Implements ports.Gaps."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def lack(self, account: str, part: str, patience_ms: int) -> bool:
        """Note that a part is missing; True once, when it has been for so long. Raises StoreGone."""
        now = self._world.clock()
        with self._world.using() as state:
            since, told = state.missing.get((account, part), (now, False))
            since = min(since, now)
            tell = not told and now - since >= patience_ms
            state.missing[account, part] = (since, told or tell)
        return tell

    def back(self, account: str, part: str) -> int | None:
        """Note that a part is there; return the ms it was missing, None if that was not told. Raises StoreGone."""
        with self._world.using() as state:
            since, told = state.missing.pop((account, part), (0, False))
        return max(0, self._world.clock() - since) if told else None

    def lacking(self, account: str) -> Mapping[str, int]:
        """Return each part that is noted as missing, with the ms since. Raises StoreGone."""
        now = self._world.clock()
        with self._world.using() as state:
            return {part: max(0, now - since) for (name, part), (since, _) in state.missing.items() if name == account}

    def turn(self, account: str, what: str, every_ms: int) -> bool:
        """Return True to the first who asks in so many ms. Raises StoreGone."""
        now = self._world.clock()
        with self._world.using() as state:
            given = state.turns.get((account, what))
            if given is not None and given <= now < given + every_ms:
                return False
            state.turns[account, what] = now
        return True


class MemoryNonces:
    """Implements ports.NonceSource."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def take(self, signer: str, now_ms: int, count: int) -> int:
        """Return the first of ``count`` fresh nonces. Raises ValueError on none asked, StoreGone."""
        checked_count(count)
        with self._world.using() as state:
            last = min(state.nonces.get(signer.lower(), 0), now_ms + NONCE_AHEAD_MS)
            first = max(now_ms, last + 1)
            state.nonces[signer.lower()] = first + count - 1
            return first


class MemoryBudget:
    """Implements ports.BudgetSource."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def take(self, limit: str, weight: int, capacity: int, per_ms: int, reserve: int) -> int:
        """Take ``weight`` if ``reserve`` would stay; return 0, or the ms until it would be granted. Raises StoreGone.

        Raises ValueError for what could never be granted.
        """
        checked_weight(limit, weight, capacity, reserve)
        with self._world.using() as state:
            tokens = self._tokens(limit, capacity, per_ms)
            short = weight + reserve - tokens
            if weight > 0 and short > 0:
                return math.ceil(short * per_ms / capacity)
            state.budgets[limit] = (tokens - weight, self._world.clock())
        return 0

    def used(self, limit: str, capacity: int, per_ms: int) -> int:
        """Return how much of the capacity is spent now, rounded up. Raises StoreGone."""
        return math.ceil(capacity - self._tokens(limit, capacity, per_ms))

    def _tokens(self, limit: str, capacity: int, per_ms: int) -> float:
        now = self._world.clock()
        with self._world.using() as state:
            tokens, at = state.budgets.get(limit, (float(capacity), now))
            if at > now:
                state.budgets[limit] = (tokens, now)
        return min(float(capacity), tokens + max(0, now - at) * capacity / per_ms)


class MemoryTexts:
    """Implements ports.TextCache."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def load(self, name: str) -> str | None:
        """Return the text, or None where there is none or it has expired. Raises StoreGone."""
        with self._world.using() as state:
            text, until = state.texts.get(name, ("", 0))
            return text if until > self._world.clock() else None

    def save(self, name: str, text: str, ttl_ms: int) -> None:
        """Keep the text for ttl_ms. Raises StoreGone."""
        with self._world.using() as state:
            state.texts[name] = (text, self._world.clock() + ttl_ms)
