"""What happened to a key, as lines a person can read: what was done to it, and what its journal says, by time."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.machine import Event

BEFORE_MS = 60_000
LINES = 60


def clock(at_ms: float) -> str:
    """Return a time of day."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]


def told(lines: Iterable[tuple[float, str, str]]) -> str:
    """Return (ms, who, what) as text in the order of time, the last lines of it; what repeats itself stands once."""
    rows: list[str] = []
    before = ("", "")
    for at_ms, who, what in sorted(lines):
        if (who, what) != before:
            rows.append(f"  {clock(at_ms)} {who:<9}{what[:200]}")
        before = (who, what)
    return "\n".join(rows[-LINES:])


def of_journal(rows: Iterable[tuple[str, Mapping[str, str]]], symbol: str) -> list[tuple[float, str, str]]:
    """Return the lines of a symbol in a journal as it is read: (id, fields)."""
    mine = ((name, row) for name, row in rows if row.get("symbol") in (symbol, ""))
    return [(float(name.partition("-")[0]), "journal", f"{row['kind']}: {row['text']}") for name, row in mine]


def of_run(folder: Path, wrong: Sequence[str], events: Sequence[Event]) -> str:
    """Return the story of every account and symbol that something wrong of a run names."""
    found = {match.groups() for line in wrong if (match := re.match(r"(\w+) ([A-Z]+)\b", line))}
    stories = []
    for account, symbol in sorted(found):
        journal = json.loads((folder / f"journal-{account}.json").read_text())
        lines = of_journal([(row["id"], row) for row in journal], symbol)
        done = [e for e in events if e.account in (None, account) and e.symbol in (None, symbol)]
        lines += [(e.at_ms, "done", f"{e.kind} {e.note}") for e in done]
        last_ms = max((at for at, who, _ in lines if who == "journal"), default=0.0)
        recent = [line for line in lines if line[0] > last_ms - BEFORE_MS]
        stories.append(f"{account} {symbol}\n{told(recent)}")
    return "\n".join(stories)
