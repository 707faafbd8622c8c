"""The venue's state on disk: one JSON file, replaced atomically. What is not in it: faults, knobs, counters,
connections.

Every value says what it is (`{"$": "Order", ...}`, `{"d": "1.5"}` for a decimal), so nothing is guessed at
loading. Fills and
records never change once made, so their text is kept and a snapshot costs little more than what is new.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.paper.errors import PaperError
from exchange.paper.model import Account, Fill, Funding, Order, Position, Trigger
from exchange.paper.venue import Venue
from exchange.paper.witness import Book, Interval

VERSION = 1
_CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Account, Fill, Funding, Order, Position, Trigger, Book, Interval)
}


def pack(value: Any) -> Any:
    """Turn a value into JSON that says what it is."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Decimal):
        return {"d": str(value)}
    if isinstance(value, tuple):
        return {"t": [pack(item) for item in value]}
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {"m": [[pack(key), pack(item)] for key, item in value.items()]}
    inner = {item.name: pack(getattr(value, item.name)) for item in fields(value)}
    return {"$": type(value).__name__, **inner}


def unpack(value: Any) -> Any:
    """Turn packed JSON back into the value."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$" in value:
        kind = _CLASSES[value["$"]]
        known = {item.name for item in fields(kind)}  # what an older version kept and this one does not need is left
        return kind(**{name: unpack(item) for name, item in value.items() if name in known})
    if "d" in value:
        return Decimal(value["d"])
    if "t" in value:
        return tuple(unpack(item) for item in value["t"])
    return {_key(unpack(key)): unpack(item) for key, item in value["m"]}


def _key(value: Any) -> Any:
    return value


class Store:
    """Writes and reads the state of one venue."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts: dict[int, tuple[Any, str]] = {}

    def _text(self, item: Any) -> str:
        """Return the text of a frozen item, packed once; the item is kept so that its id stays its own."""
        held = self.texts.get(id(item))
        if held is None or held[0] is not item:
            held = self.texts[id(item)] = (item, json.dumps(pack(item), separators=(",", ":")))
        return held[1]

    def _account(self, account: Account) -> str:
        inner = ",".join(
            f'"{item.name}":' + self._member(item.name, getattr(account, item.name)) for item in fields(account)
        )
        return f'{{"$":"Account",{inner}}}'

    def _member(self, name: str, value: Any) -> str:
        if name in ("history", "fills", "fundings"):
            return "[" + ",".join(self._text(item) for item in value) + "]"
        if name == "orders":
            return '{"m":[' + ",".join(f"[{oid},{self._text(order)}]" for oid, order in value.items()) + "]}"
        return json.dumps(pack(value), separators=(",", ":"))

    def save(self, venue: Venue) -> None:
        """Write the whole state beside the file, then put it in its place."""
        market = venue.market
        held = {id(item) for a in market.accounts.values() for item in (*a.history, *a.fills, *a.fundings)}
        if len(self.texts) > 2 * len(held) + 1000:
            self.texts = {key: value for key, value in self.texts.items() if key in held}
        rest = {
            "version": VERSION,
            "listing": list(market.listing),
            "marks": market.marks,
            "last_px": market.last_px,
            "next_oid": market.next_oid,
            "next_tid": market.next_tid,
            "agents": venue.agents,
            "nonces": venue.nonces.used,
            "witness": venue.witness.books,
            "funded_hour": venue.funded_hour,
        }
        parts = [f"{json.dumps(name)}:{json.dumps(pack(value), separators=(',', ':'))}" for name, value in rest.items()]
        accounts = ",".join(self._account(account) for account in market.accounts.values())
        text = "{" + ",".join(parts) + f',"accounts":[{accounts}]' + "}"
        beside = self.path.with_name(self.path.name + ".new")
        try:
            with beside.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise PaperError(f"state file {self.path} cannot be written: {error.strerror}") from error

    def load(self, venue: Venue) -> bool:
        """Fill a fresh venue with the state on disk; return False if there is none. Raise PaperError if it is
        unreadable."""
        if not self.path.exists():
            return False
        try:
            raw = json.loads(self.path.read_text())
            state = {name: unpack(value) for name, value in raw.items()}
            if state["version"] != VERSION:
                raise PaperError(f"state file {self.path} is of version {state['version']}, this venue reads {VERSION}")
            missing = [coin for coin in state["listing"] if coin not in venue.listing]
            if missing:
                raise PaperError(
                    f"state file {self.path} has {missing[0]!r}, which is not listed; add it with --symbols"
                )
            _fill(venue, state)
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            words = f"state file {self.path} cannot be read ({error}); move it away to start anew"
            raise PaperError(words) from error
        return True


def _fill(venue: Venue, state: dict[str, Any]) -> None:
    market = venue.market
    market.marks.update(state["marks"])
    market.last_px.update(state["last_px"])
    market.next_oid, market.next_tid = state["next_oid"], state["next_tid"]
    for account in state["accounts"]:
        market.accounts[account.address] = account
        for order in account.orders.values():
            market.live[order.coin][order.oid] = order
        venue.views.note(account, 0)
    venue.agents = state["agents"]
    venue.nonces.used = state["nonces"]
    venue.witness.books = state["witness"]
    for account in state["accounts"]:
        for coin, held in account.positions.items():
            venue.witness.book(account.address, coin).held = held.size
    venue.funded_hour = state["funded_hour"]
    venue.source.resume(market.marks)
    venue.day_open = dict(market.marks)


__all__ = ["Store", "pack", "unpack"]
