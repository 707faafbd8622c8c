"""Faults on demand: rules that say which requests, orders, reads and feeds go wrong, how, and how often.

A rule only answers questions ("does this request get lost?"); who asks decides what to do. State faults (`zero_price`,
`freeze_price`, `ws_silence`, `clock_skew`) last `delay_ms`, or until deleted when that is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from exchange.paper.errors import PaperError

EDGE = ("refuse_before", "http_429", "http_502", "error", "late_processing", "late", "drop_answer")
MATCHING = ("cancel_stop", "refuse_stop", "partial_fill", "stop_no_fill")
VIEWS = ("hide_fills", "hide_position", "hide_orders")
FEED = ("zero_price", "freeze_price")
STREAMS = ("ws_drop", "ws_silence")
ACTS = ("liquidation", "clock_skew")
KINDS = (*EDGE, *MATCHING, *VIEWS, *FEED, *STREAMS, *ACTS)
LASTING = frozenset((*VIEWS, *FEED, "ws_silence", "clock_skew"))
_MATCH = ("account", "symbol", "action", "nth")
_FIELDS = (
    "kind",
    "match",
    "times",
    "delay_ms",
    "text",
    "shape",
    "fraction",
    "announce",
    "status",
    "then",
    "skew_ms",
    "how",
)
ROLES = ("any", "info", "exchange", "entry", "stop", "target", "close", "post", "get")


@dataclass
class Rule:
    """One fault: what it does, whom it meets, how often, and how often it has."""

    id: str
    kind: str
    account: str | None = None
    symbol: str | None = None
    action: str | None = None
    nth: int | None = None
    times: int | None = 1
    delay_ms: int = 0
    more: dict[str, Any] = field(default_factory=dict)
    created_ms: int = 0
    seen: int = 0
    used: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the rule as it was asked for, with its counters."""
        match = {name: value for name in _MATCH if (value := getattr(self, name)) is not None}
        return {
            "id": self.id,
            "kind": self.kind,
            "match": match,
            "times": self.times,
            "delay_ms": self.delay_ms,
            **self.more,
            "created_ms": self.created_ms,
            "seen": self.seen,
            "used": self.used,
        }


class Faults:
    """The rules in force."""

    def __init__(self, symbols: Iterable[str], actions: Iterable[str]) -> None:
        self.symbols = frozenset(symbols)
        self.actions = frozenset(actions) | frozenset(ROLES)
        self.rules: dict[str, Rule] = {}
        self.made = 0

    def add(self, raw: Any, now_ms: int) -> Rule:
        """Take a rule as posted. Raise PaperError naming the field that is wrong."""
        if not isinstance(raw, dict):
            msg = "a fault is an object: {kind, match{account, symbol, action, nth}, times, delay_ms}"
            raise PaperError(msg)
        for name in raw:
            if name not in _FIELDS:
                raise PaperError(f"unknown field {name!r}: known are {', '.join(_FIELDS)}")
        kind = raw.get("kind")
        if kind not in KINDS:
            raise PaperError(f"unknown kind {kind!r}: known are {', '.join(KINDS)}")
        match = self._match(raw.get("match") or {})
        default = None if kind in LASTING else 1
        times = raw.get("times", default)
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise PaperError(f"times is {times!r}: it must be a whole number above 0, or null for every time")
        delay = raw.get("delay_ms", 0)
        if isinstance(delay, bool) or not isinstance(delay, int) or delay < 0:
            raise PaperError(f"delay_ms is {delay!r}: it must be a whole number of milliseconds, 0 or more")
        more = {name: raw[name] for name in _FIELDS[4:] if name in raw}
        _check_more(kind, more)
        self.made += 1
        rule = Rule(f"f{self.made}", kind, times=times, delay_ms=delay, more=more, created_ms=now_ms, **match)
        self.rules[rule.id] = rule
        return rule

    def _match(self, raw: Any) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise PaperError(f"match is {raw!r}: it must be an object")
        for name in raw:
            if name not in _MATCH:
                raise PaperError(f"unknown match field {name!r}: known are {', '.join(_MATCH)}")
        found = {name: value for name, value in raw.items() if value is not None}
        if "account" in found:
            found["account"] = str(found["account"]).lower()
        if "symbol" in found:
            found["symbol"] = str(found["symbol"]).partition("/")[0]
            found["symbol"] = "kPEPE" if found["symbol"] == "KPEPE" else found["symbol"]
            if found["symbol"] not in self.symbols:
                raise PaperError(f"match.symbol is {found['symbol']!r}: listed are {', '.join(sorted(self.symbols))}")
        if "action" in found and found["action"] not in self.actions:
            raise PaperError(f"match.action is {found['action']!r}: known are {', '.join(sorted(self.actions))}")
        nth = found.get("nth", 1)
        if isinstance(nth, bool) or not isinstance(nth, int) or nth < 1:
            raise PaperError(f"match.nth is {nth!r}: it must be a whole number above 0")
        return found

    def drop(self, rule_id: str) -> bool:
        """Take a rule out of force."""
        return self.rules.pop(rule_id, None) is not None

    def take(self, kind: str, actions: Iterable[str], account: str | None, symbols: Iterable[str]) -> Rule | None:
        """Use up one time of the first rule of a kind that meets this event, or return None."""
        for rule in self.rules.values():
            if rule.kind != kind or not _meets(rule, actions, account, symbols):
                continue
            if rule.times is not None and rule.used >= rule.times:
                continue
            rule.seen += 1
            if rule.nth is not None and rule.seen < rule.nth:
                continue
            rule.used += 1
            return rule
        return None

    def lasting(self, kind: str, now_ms: int) -> list[Rule]:
        """Return the rules of a lasting kind that are in force now."""
        return [
            rule
            for rule in self.rules.values()
            if rule.kind == kind
            and (kind in VIEWS or not rule.delay_ms or now_ms < rule.created_ms + rule.delay_ms)
            and (rule.times is None or rule.used < rule.times)
        ]


def _meets(rule: Rule, actions: Iterable[str], account: str | None, symbols: Iterable[str]) -> bool:
    if rule.account is not None and rule.account != account:
        return False
    if rule.symbol is not None and rule.symbol not in symbols:
        return False
    return rule.action in (None, "any") or rule.action in actions


def _check_more(kind: str, more: dict[str, Any]) -> None:
    """Refuse details of the wrong kind now, instead of failing when the fault strikes."""
    if "fraction" in more:
        try:
            part = Decimal(str(more["fraction"]))
        except InvalidOperation:
            part = Decimal(-1)
        if not 0 < part < 1:
            raise PaperError(f"fraction is {more['fraction']!r}: it must be a number between 0 and 1")
        more["fraction"] = str(part)
    choices = {"then": ("reject", "fill"), "shape": ("err", "statuses"), "how": ("close", "500", "502")}
    for name, allowed in choices.items():
        if name in more and more[name] not in allowed:
            raise PaperError(f"{name} is {more[name]!r}: it must be one of {', '.join(allowed)}")
    if "announce" in more and not isinstance(more["announce"], bool):
        raise PaperError(f"announce is {more['announce']!r}: it must be true or false")
    if "skew_ms" in more and (isinstance(more["skew_ms"], bool) or not isinstance(more["skew_ms"], int)):
        raise PaperError(f"skew_ms is {more['skew_ms']!r}: it must be a whole number, negative for a clock behind")
    if kind == "clock_skew" and "skew_ms" not in more:
        msg = "clock_skew needs skew_ms: by how much the venue's clock is ahead, negative for behind"
        raise PaperError(msg)
    for name in ("text", "status"):
        if name in more and not isinstance(more[name], str):
            raise PaperError(f"{name} is {more[name]!r}: it must be a string")
