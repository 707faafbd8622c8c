"""The verdict: only the venue's witness, its open orders, `audit`, and the ledger against the witness."""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stopkeeper.core.ids import decode
from tests.chaos.machine import Event
from tests.chaos.schedule import OURS
from tests.chaos.stack import MAIN, SYMBOLS, Stack

CALM_S = 40.0
BOUND_MS = 20_000.0  # a lease, a look, the clock of a naked position and a close
ALERT_MS = 3_000.0  # a stop canceled with streams alive and nothing else going on
OVERDUE_MS = 5_000
PATIENT_MS = 45_000.0  # how long a fault that lies in wait is taken to be in the way
STRIPS = frozenset(  # what can leave a position without cover
    ("hand_open", "hand_enlarge", "hand_flip", "hand_cancel", "cancel_stop", "refuse_stop", "stop_no_fill")
)
LYING = frozenset(("cancel_stop", "refuse_stop", "stop_no_fill", "drop_answer", "late_processing", "refuse_before"))
MISFORTUNES = 2  # so many crashes in a row may hit who drives one key; more wants looking at
CRASHES = frozenset(("kill", "freeze", "kill_redis", "restart_redis", "cut", "lost_message"))
HINDERS = (
    CRASHES
    | {"two_beats", "two_feeds", "ws_drop", "ws_silence", "http_429", "http_502", "late", "late_processing"}
    | {"drop_answer", "refuse_before", "hide_position", "hide_orders", "hide_fills", "partial_fill", "zero_price"}
)


@dataclass(frozen=True)
class Naked:
    """A stretch without cover with what explains it."""

    symbol: str
    from_ms: float
    ms: float
    cause: str | None
    hindered: tuple[str, ...]
    crashes: int = 0
    account: str = MAIN


def of_account(events: Iterable[Event], account: str) -> list[Event]:
    """Return what was done to an account, and to all."""
    return [each for each in events if each.account in (None, account)]


def naked(witness: dict[str, dict[str, Any]], events: Iterable[Event], account: str = MAIN) -> list[Naked]:
    """Return every naked interval with its cause (None: nothing done explains it) and what stood in the way."""
    done, struck, found = of_account(events, account), set[int](), []
    intervals = [(symbol, each) for symbol, book in witness.items() for each in book["naked_intervals"]]
    for symbol, each in sorted(intervals, key=lambda pair: float(pair[1]["from_ms"])):
        begin = each["from_ms"]
        end = each["to_ms"] if each["to_ms"] is not None else time.time() * 1000
        cause = _cause([e for e in done if e.symbol == symbol and id(e) not in struck], begin)
        if cause is not None and cause.kind in LYING:
            struck.add(id(cause))  # it strikes once
        at_work = [e for e in done if e.kind in HINDERS and e.symbol in (None, symbol) and _works(e, begin, end)]
        hindered = tuple(sorted({fault_class(e) for e in at_work}))
        crashes = sum(1 for e in at_work if e.kind in CRASHES and e.at_ms >= begin - BOUND_MS / 2)
        found.append(Naked(symbol, begin, end - begin, cause.kind if cause else None, hindered, crashes, account))
    return found


def fault_class(event: Event) -> str:
    """Return the fault class of an event: of a kill, what kind of process it hit."""
    if event.kind not in ("kill", "freeze"):
        return event.kind
    return f"{event.kind} {event.note if event.note in ('beat', 'feed') else 'worker'}"


def _cause(events: list[Event], begin_ms: float) -> Event | None:
    """Return what took the cover away: what was done at that moment, else a fault that lay in wait for its order."""
    now = [e for e in events if abs(begin_ms - e.at_ms) <= 500]
    leap = next((e for e in now if e.kind == "overrun"), None)
    if leap is not None:  # without a stop that hangs: an entry was on its way, and its stop refused as crossed
        hung = next((e for e in now if e.kind == "stop_no_fill"), None) or _lying(events, "stop_no_fill", begin_ms)
        return hung or leap
    at_once = [e for e in now if e.kind in STRIPS and e.kind not in LYING]
    lying = (_lying(events, kind, begin_ms) for kind in ("cancel_stop", "refuse_stop", "stop_no_fill"))
    return at_once[-1] if at_once else next((e for e in lying if e), None)


def _lying(events: list[Event], kind: str, begin_ms: float) -> Event | None:
    return next((e for e in events if e.kind == kind and e.at_ms - 500 <= begin_ms), None)


def _works(event: Event, begin_ms: float, end_ms: float) -> bool:
    reach = event.lasts_ms + (PATIENT_MS if event.kind in LYING else 5_000.0)
    return event.at_ms <= end_ms and begin_ms <= event.at_ms + reach


def of_naked(found: Iterable[Naked], events: Iterable[Event]) -> list[str]:
    """Return what is wrong with the naked intervals."""
    silent = {(e.account, e.symbol) for e in events if e.kind == "cancel_stop" and "announce" not in e.note}
    wrong = []
    for each in found:
        what = f"{each.account} {each.symbol} was naked for {each.ms:.0f} ms at {each.from_ms:.0f}"
        if each.cause is None:
            wrong.append(f"{what}, and nothing that was done explains it (going on: {each.hindered})")
        told = (each.account, each.symbol) not in silent and (None, each.symbol) not in silent
        quick = each.cause in ("cancel_stop", "hand_cancel") and not each.hindered and told
        if each.ms > (ALERT_MS if quick else BOUND_MS * min(MISFORTUNES, max(1, each.crashes))):
            wrong.append(f"{what} after {each.cause}, hindered by {each.hindered}")
    return wrong


def of_orders(witness: dict[str, dict[str, Any]], events: Iterable[Event], account: str = MAIN) -> list[str]:
    """Return what our orders did that they never may."""
    by_hand = {e.symbol for e in of_account(events, account) if e.kind == "hand_flip"}
    wrong = []
    for symbol, book in witness.items():
        if book["duplicates"]:
            wrong.append(f"{symbol}: {book['duplicates']} duplicates: {book['entries_by_signal']}")
        if book["non_reduce_only"]:
            wrong.append(f"{symbol}: {book['non_reduce_only']} orders neither reduce-only nor entries")
        if book["flips"] and symbol not in by_hand:
            wrong.append(f"{symbol}: {book['flips']} flips by us")
    return wrong


def settle(stack: Stack) -> list[str]:
    """Wait until everything is flat or protected and tidy; return what is still wrong when patience ends.

    Of a signal that waits, because Redis was another a moment ago, audit says that nothing can be told yet.
    """
    end = time.monotonic() + CALM_S
    wrong = _untidy(stack) or _audited(stack)
    while wrong and time.monotonic() < end:
        time.sleep(0.5)
        wrong = _untidy(stack) or _audited(stack)
    return wrong


def _audited(stack: Stack) -> list[str]:
    result = stack.run("audit")
    return [f"audit: {result.stdout}{result.stderr}"] if result.returncode else []


def _untidy(stack: Stack) -> list[str]:
    return [f"{account} {what}" for account in stack.addresses for what in _untidy_account(stack, account)]


def _untidy_account(stack: Stack, account: str) -> list[str]:
    held, stops, wrong = stack.held(account), defaultdict(list), []
    for row in stack.orders(account):
        client = decode(row.get("cloid"))
        if client is not None and row["coin"] not in held:
            wrong.append(f"{row['coin']} is flat and our {client.role} {row['oid']} is live")
        if row["orderType"] == "Stop Market":
            stops[row["coin"]].append(row["oid"])
    wrong += [f"{symbol} has more than one stop: {oids}" for symbol, oids in stops.items() if len(oids) > 1]
    for symbol, book in stack.witness(account).items():
        if any(each["to_ms"] is None for each in book["naked_intervals"]):
            wrong.append(f"{symbol} is naked")
    return wrong


def hanging(stack: Stack) -> list[str]:
    """Wait until no key is leased, open or overdue; return what is when patience ends. All must be closed."""
    end = time.monotonic() + CALM_S
    while (wrong := _hanging(stack)) and time.monotonic() < end:
        time.sleep(0.5)
    return wrong


def _hanging(stack: Stack) -> list[str]:
    assert stack.system is not None
    wrong = []
    for account in stack.addresses:
        ports = stack.system.ports(account)
        held = [key for key, _, _, _ in ports.leases.holders() if key.account == account]
        wrong += [f"{account} {key.symbol}: its lease is held" for key in held if key.symbol in SYMBOLS]
        late = [(key, ms) for key, ms in ports.wakes.overdue() if key.account == account and ms < -OVERDUE_MS]
        wrong += [f"{account} {key.symbol} has been due for {-ms} ms" for key, ms in late if key.symbol in SYMBOLS]
        wrong += [f"{account} {r.key.symbol}: a trade is open" for r in ports.records.all(account) if r.trade]
    return wrong


def of_ledger(stack: Stack, witness: dict[str, dict[str, Any]], account: str = MAIN) -> list[str]:
    """Return where the ledger of the symbols nobody touched by hand differs from the witness. All must be closed."""
    gross: dict[str, float] = defaultdict(float)
    fees: dict[str, float] = defaultdict(float)
    wrong = []
    for row in stack.told("trades", account):
        gross[row["symbol"]] += float(row["realized_pnl"]) + float(row["fees"])
        fees[row["symbol"]] += float(row["fees"])
        if row["symbol"] in OURS and not row["complete"]:
            wrong.append(f"{account} {row['symbol']}: trade {row['trade_id']} is booked as incomplete")
    for symbol in OURS:
        book = witness.get(symbol)
        if book is None:
            continue
        for name, ours, theirs in (
            ("pnl", gross[symbol], float(book["realized_pnl"])),
            ("fees", fees[symbol], float(book["fees"])),
        ):
            if abs(ours - theirs) > 0.001:
                wrong.append(f"{account} {symbol}: the ledger's {name} is {ours:.6f}, the witness's {theirs:.6f}")
    return wrong


def entries(witness: dict[str, dict[str, Any]]) -> int:
    """Return how many entries of signals filled."""
    books = (book["entries_by_signal"] for book in witness.values())
    return sum(count for book in books for signal, count in book.items() if signal != "by hand")
