"""What stands in Redis, family by family, and whether any of it grows with the number of trades.

May live here: counting the keys of a server, and the judgement over such counts. A family is a row of store/keys.py, or
one of the queue's own below.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from stopkeeper.core.model import Key as StoredKey
from stopkeeper.core.pages import FILLS_KEPT_MS
from stopkeeper.store import keys
from stopkeeper.store.keys import Bound
from tasks import queues

QUEUE_FAMILIES: Mapping[str, tuple[str, Bound]] = {
    "_kombu.binding.<exchange>": ("set", Bound.NAMED),  # one entry a queue; of remote control one a process
    "_kombu.binding_permanent.<exchange>": ("set", Bound.NAMED),
    "_kombu.binding_deadlines": ("zset", Bound.NAMED),
    "unacked": ("hash", Bound.OPEN),
    "unacked_index": ("zset", Bound.OPEN),
    "unacked_mutex": ("string", Bound.TIME),
    **{f"{queue}{level}": ("list", Bound.OPEN) for queue in queues.QUEUES for level in ("", "\x06\x16<priority>")},
    "redbeat::<name>": ("any", Bound.NAMED),
    "redbeat:<name>": ("hash", Bound.NAMED),
    "<id>.reply.celery.pidbox": ("list", Bound.OPEN),
}
TYPES = {"sorted set": "zset"}
COUNT = {"hash": "HLEN", "set": "SCARD", "zset": "ZCARD", "list": "LLEN", "stream": "XLEN", "string": "STRLEN"}
LEADER = ":~feed"  # whoever leads an account holds its lease, and has it claimed, as long as it lives
SIGNALS = "sk:signal:<trade id>"
WAITING = 50  # messages in a queue, of clocks and of keys that just came due
MESSAGES = frozenset((*queues.QUEUES, "unacked", "unacked_index"))
#: Judged by what is left or lives for ever: their number comes and goes, and budgets are emptied while it soaks.
KEY_BY_KEY = MESSAGES | {SIGNALS, "sk:budget:<limit>"}
SPARE_ITEMS = 2  # a family of fixed names may learn one or two late: a flaw of a price, a symbol's first order
SPARE_PART, SPARE_BYTES = 1.15, 4_096  # records differ in length with what was last done
WINDOWS_S = {"sk:look:<account>": 1.2 * FILLS_KEPT_MS / 1000}  # a family that holds what is younger than this
ENOUGH = 3
CAP_SLACK = 200  # a stream is cut at its nodes, of a hundred lines each


@dataclass
class Tally:
    """How much a family is: keys, entries in them (a string has one), bytes."""

    keys: int = 0
    items: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Key:
    """One key as it was found; ``ttl_ms`` is None where it lives for ever."""

    name: str
    type: str
    items: int
    bytes: int
    ttl_ms: int | None


@dataclass
class Sample:
    """What stood in Redis after so many trades, and seconds, and what was wrong with single keys."""

    trades: int
    at_s: float = 0.0
    families: dict[str, Tally] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def _pattern(spelled: str) -> re.Pattern[str]:
    parts = re.split(r"<[^>]+>", spelled)
    return re.compile(".+".join(map(re.escape, parts)), re.DOTALL)


FAMILIES: Mapping[str, tuple[re.Pattern[str], str, Bound]] = {
    **{kind.pattern: (_pattern(kind.pattern), TYPES.get(kind.type, kind.type), kind.bound) for kind in keys.TABLE},
    **{name: (_pattern(name), *rest) for name, rest in QUEUE_FAMILIES.items()},
}


def family_of(name: str) -> str | None:
    """Return the family a key belongs to, or None where nobody has told of such a key."""
    return next((family for family, (pattern, _, _) in FAMILIES.items() if pattern.fullmatch(name)), None)


def found(redis: "Redis") -> list[Key]:
    """Return every key of a server. The client decodes responses."""
    names = sorted(redis.scan_iter(count=1_000))
    client: Any = redis
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.type(name)
            pipe.pttl(name)
            pipe.memory_usage(name, samples=0)
        told: list[Any] = pipe.execute()
        rows = [(name, *told[3 * n : 3 * n + 3]) for n, name in enumerate(names)]
        rows = [row for row in rows if row[1] != "none" and row[3] is not None]  # gone since it was named
        for name, kind, _, _ in rows:
            pipe.execute_command(COUNT[kind], name)
        counts = pipe.execute()
    return [
        Key(name, kind, 1 if kind == "string" else int(count), int(size), None if ttl < 0 else int(ttl))
        for (name, kind, ttl, size), count in zip(rows, counts, strict=True)
    ]


def sample(redis: "Redis", trades: int, held: Collection[StoredKey] = ()) -> Sample:
    """Count everything after so many trades, none of which is open but those on the keys in ``held``."""
    taken, lasting = Sample(trades), list[str]()
    for key in found(redis):
        family = family_of(key.name)
        if family is None:
            taken.wrong.append(
                f"{key.name!r} ({key.type}) is of no family: ours stand in store/keys.py, the queue's in growth.py"
            )
            continue
        tally = taken.families.setdefault(family, Tally())
        tally.keys += 1
        tally.items += key.items
        tally.bytes += key.bytes
        taken.wrong += [f"{family}: {each}" for each in _of_key(key, family)]
        lasting += [key.name] if family == SIGNALS and key.ttl_ms is None else []
    if len(lasting) > len(held):  # those of the trades that are open
        taken.wrong.append(f"{SIGNALS}: {len(lasting)} live for ever, {len(held)} trades are open: {lasting[:5]}")
    taken.wrong += left(redis, held)
    lines, results = (taken.families.get(f"sk:{name}:<account>", Tally()).items for name in ("ledger", "results"))
    if lines != results:
        taken.wrong.append(f"sk:results:<account>: {results} entries beside {lines} lines of the ledger")
    return taken


def _of_key(key: Key, family: str) -> Iterable[str]:
    _, kind, bound = FAMILIES[family]
    if kind not in ("any", key.type):
        yield f"{key.name} is a {key.type}, not a {kind}"
    if bound is Bound.TIME and key.ttl_ms is None and family != SIGNALS:
        yield f"{key.name} lives for ever"
    if key.ttl_ms is not None and key.ttl_ms > keys.SIGNAL_TTL_MS:
        yield f"{key.name} lives for {key.ttl_ms} ms more"
    if bound is Bound.CAPPED and key.items > keys.JOURNAL_LINES + CAP_SLACK:
        yield f"{key.name} has {key.items} lines"


def left(redis: "Redis", held: Collection[StoredKey] = ()) -> list[str]:
    """Name what is left of trades that are over: leases, due and claimed keys, reservations, asks, messages."""
    members, wrong = {keys.member(key) for key in held}, []
    client: Any = redis
    for name, said in (
        (keys.leases(), client.smembers(keys.leases())),
        (keys.due(), client.zrange(keys.due(), 0, -1)),
        (keys.claimed(), client.zrange(keys.claimed(), 0, -1)),
        ("sk:asks", [name.removeprefix("sk:asks:") for name in client.scan_iter("sk:asks:*")]),
        ("sk:active", [f"{n.split(':')[2]}:{s}" for n in client.scan_iter("sk:active:*") for s in client.smembers(n)]),
    ):
        wrong += [f"{name}: {each} is left" for each in said if each not in members and not each.endswith(LEADER)]
    waiting = {queue: client.llen(queue) for queue in queues.QUEUES}
    wrong += [f"{queue}: {count} messages wait" for queue, count in waiting.items() if count > WAITING]
    for name in client.scan_iter("sk:open:*"):
        open_now, allowed = client.hlen(name), sum(1 for key in held if keys.open_trades(key.account) == name)
        wrong += [f"{name}: {open_now} trades are reserved for, {allowed} are open"] if open_now > allowed else []
    return wrong


def grown(samples: Sequence[Sample]) -> list[str]:
    """Return what grows with the number of trades and may not.

    The first sample is warm-up where there are enough others; of these a third are early, a third late.
    """
    wrong: list[str] = []
    for family in sorted({name for each in samples for name in each.families}):
        bound = FAMILIES[family][2]
        if bound not in (Bound.APPENDED, Bound.CAPPED) and family not in KEY_BY_KEY:
            wrong += _grown(family, _judged(family, samples))
    return wrong


def unjudged(samples: Sequence[Sample]) -> list[str]:
    """Return the families of which too few samples are late enough to tell of growth."""
    return [name for name in WINDOWS_S if len(_judged(name, samples)) < ENOUGH]


def _judged(family: str, samples: Sequence[Sample]) -> list[Sample]:
    warm = samples[1:] if len(samples) > ENOUGH else samples
    return [each for each in warm if each.at_s >= WINDOWS_S.get(family, 0.0)]


def _grown(family: str, samples: Sequence[Sample]) -> Iterable[str]:
    """Tell in what a family is more in every late sample than in any early one."""
    if len(samples) < ENOUGH:
        return
    third = len(samples) // ENOUGH
    early, late = samples[:third], samples[-third:]
    for what in ("keys", "items", "bytes"):
        before = max(_count(each, family, what) for each in early)
        after = min(_count(each, family, what) for each in late)
        limit = before * SPARE_PART + SPARE_BYTES if what == "bytes" else before + SPARE_ITEMS
        if after > limit:
            span = f"{early[-1].trades} and {late[0].trades} trades"
            yield f"{family} grows: {before} {what}, then {after}, between {span}"


def _count(taken: Sample, family: str, what: str) -> int:
    return int(getattr(taken.families.get(family, Tally()), what))
