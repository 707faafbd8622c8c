"""Faults on demand: rules that say which requests, orders, reads and feeds go wrong, how, and how often.

A rule only answers questions ("does this request get lost?"); who asks decides what to do. State faults (`zero_price`,
`freeze_price`, `bad_price`, `ws_silence`, `ws_deaf`, `drop_frames`, `repeat_frames`, `ignore_stops`, `clock_skew`) last
`delay_ms`, or until deleted when that is 0; for those that hide or are late, `delay_ms` is how late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from exchange.paper.errors import PaperError
from exchange.paper.topics import CHANNELS

EDGE = ("refuse_before", "http_429", "http_502", "error", "late_processing", "late", "drop_answer", "false_answer")
MATCHING = ("cancel_stop", "refuse_stop", "partial_fill", "stop_no_fill", "ignore_stops")
VIEWS = ("hide_fills", "hide_position", "hide_orders")
FEED = ("zero_price", "freeze_price", "bad_price")
FRAMES = ("ws_deaf", "drop_frames", "repeat_frames", "late_frames")
STREAMS = ("ws_drop", "ws_silence", *FRAMES, "refuse_subscription")
ACTS = ("liquidation", "clock_skew")
KINDS = (*EDGE, *MATCHING, *VIEWS, *FEED, *STREAMS, *ACTS)
LASTING = frozenset((*VIEWS, *FEED, *FRAMES, "ws_silence", "ignore_stops", "clock_skew"))
_LATE = frozenset((*VIEWS, "late_frames"))  # their delay_ms is how late, not how long
_MATCH = ("account", "symbol", "action", "nth")
_MORE = (
    "text", "factor", "every", "shape", "fraction", "announce", "status", "then", "skew_ms", "how",
    "path", "value", "code",
)  # fmt: skip
_FIELDS = ("kind", "match", "times", "delay_ms", *_MORE)
ROLES = ("any", "info", "exchange", "entry", "stop", "target", "close", "resting", "post", "get")
_PLACES = ("any", "stream", "info", "position")
_CHANNELS = ("any", "prices", "private", *CHANNELS)


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
    counts: Counter[Hashable] = field(default_factory=Counter)  # frames and answers met, by kind of them

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
        match = self._match(kind, raw.get("match") or {})
        default = None if kind in LASTING else 1
        times = raw.get("times", default)
        if times is not None and (not _is_whole(times) or times < 1):
            raise PaperError(f"times is {times!r}: it must be a whole number above 0, or null for every time")
        delay = raw.get("delay_ms", 0)
        if not _is_whole(delay) or delay < 0:
            raise PaperError(f"delay_ms is {delay!r}: it must be a whole number of milliseconds, 0 or more")
        more = {name: raw[name] for name in _MORE if name in raw}
        _check_more(kind, more)
        self.made += 1
        rule = Rule(f"f{self.made}", kind, times=times, delay_ms=delay, more=more, created_ms=now_ms, **match)
        self.rules[rule.id] = rule
        return rule

    def _match(self, kind: str, raw: Any) -> dict[str, Any]:
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
        channels = kind in FRAMES or kind == "refuse_subscription"
        known = _CHANNELS if channels else _PLACES if kind == "bad_price" else sorted(self.actions)
        if "action" in found and found["action"] not in known:
            raise PaperError(f"match.action is {found['action']!r}: for {kind} known are {', '.join(known)}")
        nth = found.get("nth", 1)
        if not _is_whole(nth) or nth < 1:
            raise PaperError(f"match.nth is {nth!r}: it must be a whole number above 0")
        return found

    def drop(self, rule_id: str) -> bool:
        """Take a rule out of force."""
        return self.rules.pop(rule_id, None) is not None

    def take(
        self, kind: str, actions: Container[str], account: str | None, symbols: Container[str], *, named: bool = False
    ) -> Rule | None:
        """Use up one time of the first rule of a kind that meets this event, or return None.

        With `named`, only a rule that names the action does.
        """
        for rule in self.rules.values():
            if rule.kind != kind or not _meets(rule, actions, account, symbols, named=named):
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
            and (kind in _LATE or not rule.delay_ms or now_ms < rule.created_ms + rule.delay_ms)
            and (rule.times is None or rule.used < rule.times)
        ]

    def strike(
        self,
        kind: str,
        key: Hashable,
        actions: Container[str],
        account: str | None,
        symbols: Container[str],
        now_ms: int,
        *,
        named: bool = False,
    ) -> list[Rule]:
        """Count one frame or answer of the kind `key`; return the lasting rules that strike it.

        From the `nth` on each `every`-th is struck, counted for each key on its own.
        """
        found: list[Rule] = []
        for rule in self.lasting(kind, now_ms):
            if not _meets(rule, actions, account, symbols, named=named):
                continue
            rule.seen += 1
            rule.counts[key] += 1
            number = rule.counts[key] - (rule.nth or 1) + 1
            if number >= 1 and number % int(rule.more.get("every", 1)) == 0:
                rule.used += 1
                found.append(rule)
        return found


def _meets(
    rule: Rule, actions: Container[str], account: str | None, symbols: Container[str], *, named: bool = False
) -> bool:
    if rule.account is not None and rule.account != account:
        return False
    if rule.symbol is not None and rule.symbol not in symbols:
        return False
    return rule.action in actions or (not named and rule.action in (None, "any"))


def _check_more(kind: str, more: dict[str, Any]) -> None:
    """Refuse details of the wrong kind now, instead of failing when the fault strikes."""
    if "fraction" in more:
        part = _decimal(more["fraction"])
        if not 0 < part < 1:
            raise PaperError(f"fraction is {more['fraction']!r}: it must be a number between 0 and 1")
        more["fraction"] = str(part)
    if kind in _CHECKS:
        _CHECKS[kind](more)
    choices = {"then": ("reject", "fill"), "shape": ("err", "statuses"), "how": ("close", "500", "502")}
    for name, allowed in choices.items():
        if name in more and more[name] not in allowed:
            raise PaperError(f"{name} is {more[name]!r}: it must be one of {', '.join(allowed)}")
    if "announce" in more and not isinstance(more["announce"], bool):
        raise PaperError(f"announce is {more['announce']!r}: it must be true or false")
    if not _is_whole(more.get("every", 1)) or more.get("every", 1) < 1:
        raise PaperError(f"every is {more['every']!r}: it must be a whole number above 0; 2 = each second frame")
    if not _is_whole(more.get("skew_ms", 0)):
        raise PaperError(f"skew_ms is {more['skew_ms']!r}: it must be a whole number, negative for a clock behind")
    for name in ("text", "status", "path"):
        if name in more and not isinstance(more[name], str):
            raise PaperError(f"{name} is {more[name]!r}: it must be a string")


def _check_clock_skew(more: dict[str, Any]) -> None:
    if "skew_ms" not in more:
        msg = "clock_skew needs skew_ms: by how much the venue's clock is ahead, negative for behind"
        raise PaperError(msg)


def _check_false_answer(more: dict[str, Any]) -> None:
    if "value" not in more:
        msg = "false_answer needs value: what is said in the place of the answer, or of the part of it that path names"
        raise PaperError(msg)
    code = more.get("code", 200)
    if not _is_whole(code) or not 200 <= code <= 599:
        raise PaperError(f"code is {code!r}: it must be an HTTP status from 200 to 599")


def _check_bad_price(more: dict[str, Any]) -> None:
    if ("text" in more) == ("factor" in more):
        msg = 'bad_price needs either text (what is shown, for example "NaN") or factor (times the true price)'
        raise PaperError(msg)
    if "factor" in more:
        factor = _decimal(more["factor"])
        if not factor > 0:
            raise PaperError(f"factor is {more['factor']!r}: it must be a number above 0, or use text")
        more["factor"] = str(factor)


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "bad_price": _check_bad_price,
    "clock_skew": _check_clock_skew,
    "false_answer": _check_false_answer,
}


def _decimal(value: object) -> Decimal:
    """Read a finite number; -1 for anything else."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return Decimal(-1)
    return number if number.is_finite() and not isinstance(value, bool) else Decimal(-1)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
