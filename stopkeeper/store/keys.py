"""Every Redis key of Stopkeeper: its type, its life and its meaning. No other module spells a key.

May live here: the table, and functions that build names from it. Keys of Celery and RedBeat are theirs, not ours.
Key names are never hash-tagged: Celery's Redis transport has no cluster mode, so neither has the store.
"""

from dataclasses import dataclass
from enum import StrEnum

from stopkeeper.core.model import Key

SIGNAL_TTL_MS = 30 * 24 * 3600 * 1000
JOURNAL_LINES = 100_000

HEARTBEAT_PREFIX = "sk:hb:"
SIGNAL_PREFIX = "sk:signal:"


class Bound(StrEnum):
    """Why a kind of key cannot grow without end. Only what is appended grows; docs/operations.md says it for each."""

    NAMED = "as many as there are names: installation, accounts, symbols, signers, kinds of flaws"
    OPEN = "by what is open, driven or asked now: nothing of it is left once all is closed"
    TIME = "each has a time to live, but a signal's only once its trade has left the key"
    CAPPED = "cut to a length"
    APPENDED = "grows: one entry a booked trade and correction"


@dataclass(frozen=True, slots=True)
class KeyKind:
    """One row of the table: how the key is spelled, what it is in Redis, how long it lives, its bound, its meaning."""

    pattern: str
    type: str
    ttl: str
    bound: Bound
    meaning: str


TABLE = (
    KeyKind("sk:installation", "string", "for ever", Bound.NAMED, "id of the one installation that may use this Redis"),
    KeyKind(
        "sk:server",
        "hash",
        "for ever",
        Bound.NAMED,
        "id (the server's run_id), born (Redis ms of the first), forgot (Redis ms when it was last another, or gone)",
    ),
    KeyKind("sk:probe", "string", "1 s", Bound.TIME, "written by doctor and feeds to see a write confirmed on disk"),
    KeyKind(
        "sk:hb:<boot>", "string", "heartbeat_lost_ms", Bound.TIME, "a process is alive: without it its leases are free"
    ),
    KeyKind(
        "sk:lease:<account>:<symbol>",
        "hash",
        "for ever, one a key",
        Bound.NAMED,
        "owner, boot, fence (survives release), until (Redis ms), noted and inherited (latest deadlines, venue ms)",
    ),
    KeyKind("sk:leases", "set", "for ever", Bound.OPEN, "the keys that have a holder"),
    KeyKind(
        "sk:record:<account>:<symbol>",
        "hash",
        "for ever, one a key",
        Bound.NAMED,
        "doc (KeyRecord), version, base (the version doc was saved as), trade (its id in doc), "
        "admitted and admitted_at (a trade admitted but in no doc yet, and the version that did it)",
    ),
    KeyKind(
        "sk:asks:<account>:<symbol>",
        "hash",
        "until a save saw them",
        Bound.OPEN,
        "version -> Ask, merged into doc at load",
    ),
    KeyKind(
        "sk:active:<account>", "set", "for ever", Bound.OPEN, "symbols whose record holds, settles or awaits a trade"
    ),
    KeyKind(
        "sk:open:<account>", "hash", "for ever", Bound.OPEN, "trade id -> notional reserved, in millionths of a USD"
    ),
    KeyKind(
        "sk:signal:<trade id>",
        "hash",
        "30 days after its trade left the key",
        Bound.TIME,
        "signal_id, account, symbol, body (digest), state, why, asked (Redis ms)",
    ),
    KeyKind(
        "sk:ledger:<account>", "hash", "for ever, append-only", Bound.APPENDED, "<trade id>:<revision> -> LedgerLine"
    ),
    KeyKind(
        "sk:results:<account>",
        "hash",
        "for ever, written with the ledger",
        Bound.APPENDED,
        "<trade id>:<revision> -> trade id, revision, closed (venue ms) and realized P&L: the ledger as limits read it",
    ),
    KeyKind("sk:wakes", "hash", "for ever", Bound.NAMED, "<account>:<symbol> -> wake counter"),
    KeyKind(
        "sk:due", "sorted set", "for ever", Bound.OPEN, "<account>:<symbol>, score = Redis ms when it must be driven"
    ),
    KeyKind(
        "sk:claimed",
        "sorted set",
        "for ever",
        Bound.OPEN,
        "what is being driven, score = Redis ms when it comes due again",
    ),
    KeyKind(
        "sk:claimed-at",
        "string",
        "for ever",
        Bound.NAMED,
        "Redis ms of the last claims, to a second: did its clock go back?",
    ),
    KeyKind(
        "sk:journal:<account>", "stream", "~100,000 lines", Bound.CAPPED, "symbol, kind, text and fields of an event"
    ),
    KeyKind(
        "sk:look:<account>",
        "hash",
        "for ever, one an account",
        Bound.NAMED,
        "per field f: f (reading), f:at (venue ms), f:seen (Redis ms), f:older (readings > 10 s older in a row)",
    ),
    KeyKind(
        "sk:marks:<account>", "hash", "for ever", Bound.NAMED, "symbol -> price|Redis ms when it came|venue ms, if told"
    ),
    KeyKind("sk:flaws:<account>", "hash", "for ever", Bound.NAMED, "flaw -> how often a price had it"),
    KeyKind(
        "sk:heard", "hash", "for ever", Bound.NAMED, "account -> 1|Redis ms when the feed last found its streams alive|"
    ),
    KeyKind(
        "sk:switches:<account>",
        "hash",
        "for ever",
        Bound.NAMED,
        "paused, halted: 1 or empty; barred: the venue's words; "
        "inherited:<installation>: venue ms until which its orders are ours",
    ),
    KeyKind(
        "sk:missing:<account>",
        "hash",
        "for ever, a field until its part is back",
        Bound.NAMED,
        "part -> Redis ms since when|1 once it was told",
    ),
    KeyKind("sk:turn:<account>:<what>", "string", "its period", Bound.TIME, "Redis ms when somebody did this for all"),
    KeyKind("sk:nonce:<signer>", "string", "for ever", Bound.NAMED, "the last nonce minted for a signer address"),
    KeyKind("sk:budget:<limit>", "hash", "twice its period", Bound.TIME, "tokens left, at (Redis ms)"),
    KeyKind("sk:text:<name>", "string", "as the writer says", Bound.TIME, "a cached text, like a venue's market list"),
)


def member(key: Key) -> str:
    """Return how a key stands in sets and hashes. Raises ValueError where it could not be read back."""
    if ":" in key.account or not key.account or not key.symbol:
        raise ValueError(f"an account name has no colon and neither part is empty: {key!r}")
    return f"{key.account}:{key.symbol}"


def parse_member(text: str) -> Key:
    """Return the key that ``member`` spelled."""
    account, _, symbol = text.partition(":")
    return Key(account, symbol)


def installation() -> str:
    return "sk:installation"


def server() -> str:
    return "sk:server"


def probe() -> str:
    return "sk:probe"


def heartbeat(boot: str) -> str:
    return f"{HEARTBEAT_PREFIX}{boot}"


def lease(key: Key) -> str:
    return f"sk:lease:{member(key)}"


def leases() -> str:
    return "sk:leases"


def record(key: Key) -> str:
    return f"sk:record:{member(key)}"


def asks(key: Key) -> str:
    return f"sk:asks:{member(key)}"


def active(account: str) -> str:
    return f"sk:active:{account}"


def open_trades(account: str) -> str:
    return f"sk:open:{account}"


def signal(trade_id: str) -> str:
    return f"{SIGNAL_PREFIX}{trade_id}"


def ledger(account: str) -> str:
    return f"sk:ledger:{account}"


def results(account: str) -> str:
    return f"sk:results:{account}"


def wakes() -> str:
    return "sk:wakes"


def due() -> str:
    return "sk:due"


def claimed() -> str:
    return "sk:claimed"


def claimed_at() -> str:
    return "sk:claimed-at"


def journal(account: str) -> str:
    return f"sk:journal:{account}"


def look(account: str) -> str:
    return f"sk:look:{account}"


def marks(account: str) -> str:
    return f"sk:marks:{account}"


def flaws(account: str) -> str:
    return f"sk:flaws:{account}"


def heard() -> str:
    return "sk:heard"


def switches(account: str) -> str:
    return f"sk:switches:{account}"


def missing(account: str) -> str:
    return f"sk:missing:{account}"


def turn(account: str, what: str) -> str:
    return f"sk:turn:{account}:{what}"


def nonce(signer: str) -> str:
    return f"sk:nonce:{signer.lower()}"


def budget(limit: str) -> str:
    return f"sk:budget:{limit}"


def text(name: str) -> str:
    return f"sk:text:{name}"
