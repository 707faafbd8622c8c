"""What programs read: field names, decimal strings, RFC 3339 times, arrays where the contract says lists."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from stopkeeper.console import rows, shapes
from stopkeeper.console.backend import AccountFacts, Check, Heartbeat
from stopkeeper.core.actions import Exit as Booked
from stopkeeper.core.audit import Breach
from stopkeeper.core.inventory import Orphan, OrphanKind
from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.missing import Silence
from stopkeeper.core.model import Key, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.prices import Flaw
from stopkeeper.core.record import Origin, Trade
from stopkeeper.core.report import Phase, PositionRow
from stopkeeper.core.rules import Switches
from stopkeeper.engine import desk, direct, showing
from tests.unit.console.conftest import FakeHouse, Run

POSITION_FIELDS = [
    "trade_id", "account", "symbol", "side", "phase", "size", "entry_price", "stop_price", "stop_order_id",
    "stop_verified_at", "target_price", "naked_ms", "unrealized_pnl",
]  # fmt: skip
HELD_FIELDS = ["targets", "trail", "breakeven", "stop_moves_last_hour", "stop_off_until", "limit_price", "orphan"]
TRADE_FIELDS = [
    *POSITION_FIELDS, "exit_price", "exit_reason", "exit_evidence", "realized_pnl", "fees", "opened_at", "closed_at",
    "revision", "complete",
]  # fmt: skip
ROW = PositionRow(
    trade_id="0123456789ab",
    account="main",
    symbol="BTC",
    side=Side.LONG,
    phase=Phase.PROTECTED,
    size=Decimal("0.0100"),
    entry_price=Decimal("95000.0"),
    stop_price=Decimal(93100),
    stop_order_id="77",
    stop_verified_at_ms=1_790_000_000_123,
    target_price=None,
    naked_ms=0,
    unrealized_pnl=Decimal("-1.50"),
)
OPEN = ("open", "main", "BTC", "long", "--size", "0.01", "--stop", "2%")
WORKER = [Heartbeat("urgent-orders", "here", 9, 300)]


def booked(number: int = 1, pnl: str = "-2.5", closed_ms: int = 1_790_000_000_000) -> LedgerLine:
    trade = Trade(id=f"{number:012x}", origin=Origin.SIGNAL, key=Key("main", "BTC"), side=Side.LONG, created_ms=1)
    done = Booked(
        reason="stop_loss",
        evidence="fill 1 of our order 2",
        shares=(("stop_loss", Decimal(1)),),
        entry_price=Decimal(100),
        exit_price=Decimal("98.10"),
        size=Decimal(1),
        fees=Decimal("0.60"),
        gross_pnl=Decimal("-1.9"),
        funding=Decimal(0),
        realized_pnl=Decimal(pnl),
        opened_ms=closed_ms - 60_000,
        closed_ms=closed_ms,
        complete=True,
    )
    return LedgerLine(trade, done, 1, closed_ms + 5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+5", "100000"),
        ("0.0100", "0.01"),
        ("0", "0"),
        ("-0", "0"),
        ("0E-8", "0"),
        ("1E-10", "0.0000000001"),
        ("-1.50", "-1.5"),
    ],
)
def test_a_decimal_is_plain_text(value: str, text: str) -> None:
    assert shapes.plain(Decimal(value)) == text


def test_a_time_is_rfc_3339_utc_with_milliseconds() -> None:
    assert shapes.rfc3339(1_790_000_000_007) == "2026-09-21T14:13:20.007Z"


def test_positions_has_exactly_the_fields_of_the_contract(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((ROW,), ""))
    (told,) = json.loads(run("positions", "--json").stdout)
    assert list(told) == [*POSITION_FIELDS, *HELD_FIELDS]
    assert told["size"] == "0.01"
    assert told["stop_verified_at"] == "2026-09-21T14:13:20.123Z"
    assert told["target_price"] is None
    assert told["naked_ms"] == 0
    assert told["phase"] == "protected"


def test_trades_adds_how_it_ended(run: Run, house: FakeHouse) -> None:
    house.ledger = [booked()]
    (told,) = json.loads(run("trades", "main", "--json").stdout)
    assert list(told) == TRADE_FIELDS
    assert (told["realized_pnl"], told["fees"], told["exit_reason"]) == ("-2.5", "0.6", "stop_loss")
    assert told["closed_at"] == "2026-09-21T14:13:20.000Z"


def test_the_newest_trades_only(run: Run, house: FakeHouse) -> None:
    house.ledger = [booked(n, closed_ms=1_790_000_000_000 + n) for n in range(5)]
    told = json.loads(run("trades", "--last", "2", "--json").stdout)
    assert [row["trade_id"][-1] for row in told] == ["3", "4"]


@pytest.mark.parametrize(
    "words", [("positions",), ("trades",), ("locks",), ("journal",), ("orphans", "list"), ("audit",)]
)
def test_a_list_of_nothing_is_an_empty_array(run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((), ""))
    for name in ("orphans", "audit"):
        monkeypatch.setattr(showing, name, lambda _ports: ())
    result = run(*words, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []


def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen: list[Any] = []

    def submit(signal: Any, _ports: Any) -> desk.Submitted:
        seen.append(signal)
        return desk.Submitted("s-1", "0123456789ab", "admitted")

    monkeypatch.setattr(desk, "submit", submit)
    return seen


def test_open_without_wait_prints_ids_and_state_and_nudges(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    (seen, result) = submitted(monkeypatch), run(*OPEN, "--json")
    assert json.loads(result.stdout) == {"signal_id": "s-1", "trade_id": "0123456789ab", "state": "admitted"}
    assert ("nudge", Key("main", "BTC")) in house.asked
    assert seen[0].expires_ms == house.venue.now_ms() + 30_000  # venue time


@pytest.mark.parametrize("symbol", ["BTC", "btc", "BTC/USDC:USDC"])
def test_a_symbol_may_be_typed_in_either_form(run: Run, monkeypatch: pytest.MonkeyPatch, symbol: str) -> None:
    seen = submitted(monkeypatch)
    assert run("open", "main", symbol, *OPEN[3:]).exit_code == 0
    assert seen[0].key == Key("main", "BTC")


def test_open_with_wait_ends_at_protected_with_the_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(monkeypatch)
    monkeypatch.setattr(showing, "position", lambda _trade, _ports: ROW)
    result = run(*OPEN, "--wait", "1", "--json")
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)) == [*POSITION_FIELDS, *HELD_FIELDS]


def test_open_with_wait_ends_at_closed_with_the_row(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(monkeypatch)
    monkeypatch.setattr(showing, "position", lambda _trade, _ports: None)
    house.signal = SimpleNamespace(state="closed", why="")
    told = json.loads(run(*OPEN, "--wait", "1", "--json").stdout)
    assert list(told) == [*POSITION_FIELDS, *HELD_FIELDS]
    assert told["phase"] == "closed"


def test_open_with_wait_refused_exits_3_with_row_and_reason(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(monkeypatch)
    monkeypatch.setattr(showing, "position", lambda _trade, _ports: None)
    house.signal = SimpleNamespace(state="refused", why="the venue refused: not enough margin")
    result = run(*OPEN, "--wait", "1", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 3
    assert list(told) == [*POSITION_FIELDS, *HELD_FIELDS, "error", "field", "value", "hint"]
    assert (told["phase"], told["error"]) == ("refused", "the venue refused: not enough margin")
    assert "not enough margin" in result.stderr


def test_open_with_wait_that_runs_out_exits_5(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(monkeypatch)
    monkeypatch.setattr(rows, "POLL_S", 0.001)
    monkeypatch.setattr(showing, "position", lambda _trade, _ports: None)
    result = run(*OPEN, "--wait", "0.01", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["field"] == "wait"


@pytest.mark.parametrize("state", [Phase.NAKED, Phase.UNPROVEN, Phase.UNSAFE, Phase.CLOSING])
def test_open_does_not_take_less_than_protected_for_an_end(
    run: Run, monkeypatch: pytest.MonkeyPatch, state: Phase
) -> None:
    submitted(monkeypatch)
    monkeypatch.setattr(rows, "POLL_S", 0.001)
    monkeypatch.setattr(showing, "position", lambda _trade, _ports: replace(ROW, phase=state))
    assert run(*OPEN, "--wait", "0.01").exit_code == 5


def test_close_of_nothing_exits_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((), ""))
    for words in (("close", "main", "BTC"), ("stop", "main", "BTC", "--to", "90000")):
        result = run(*words)
        assert result.exit_code == 2
        assert "no open trade (got main:BTC)" in result.stderr


@pytest.mark.parametrize(("part", "keep"), [(None, "0"), ("100%", "0"), ("25%", "0.75"), ("0.5%", "0.995")])
def test_close_a_part_keeps_the_rest(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch, part: str | None, keep: str
) -> None:
    asked: list[Any] = []
    house.beats = WORKER
    house.trade = SimpleNamespace(id="0123456789ab")
    monkeypatch.setattr(desk, "ask_close", lambda key, _ports, keep_fraction: asked.append((key, keep_fraction)))
    result = run("close", "main", "BTC", *(() if part is None else ("--part", part)), "--json")
    assert result.exit_code == 0
    assert asked == [(Key("main", "BTC"), Decimal(keep))]
    assert json.loads(result.stdout)["trade_id"] == "0123456789ab"


@pytest.mark.parametrize(("left", "code"), [((), 0), ((Key("main", "BTC"),), 1)])
def test_a_close_that_no_worker_takes_up_is_carried_out_from_here(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch, left: tuple[Key, ...], code: int
) -> None:
    house.trade = SimpleNamespace(id="0123456789ab")
    monkeypatch.setattr(desk, "ask_close", lambda _key, _ports, keep_fraction: None)
    monkeypatch.setattr(desk, "see_through", lambda _keys, _ports, _seconds: left)
    result = run("close", "main", "BTC")
    assert result.exit_code == code
    assert "carried out from here" in result.stderr
    assert ("error: not seen flat, and no worker goes on with it: main:BTC" in result.stderr) is bool(left)


def test_a_part_that_no_worker_takes_up_is_said_to_wait(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.trade = SimpleNamespace(id="0123456789ab")
    monkeypatch.setattr(desk, "ask_close", lambda _key, _ports, keep_fraction: None)
    assert "nobody carries it out until one runs" in run("close", "main", "BTC", "--part", "50%").stderr
    house.beats = WORKER
    assert run("close", "main", "BTC", "--part", "50%").stderr == ""


BLIND = showing.Survey((), "positions could not be read: HTTP 500")


def test_positions_that_cannot_be_read_are_no_empty_list(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: BLIND)
    result = run("positions")
    assert result.exit_code == 1
    assert "no open positions" not in result.stdout
    assert result.stderr == "error: main: positions could not be read: HTTP 500\n"
    told = run("close", "main", "BTC")
    assert told.exit_code == 1
    assert "main: positions could not be read: HTTP 500" in told.stderr


@pytest.mark.parametrize(
    ("found", "word", "naked"),
    [
        (BLIND, "whether any is naked cannot be told", 0),
        (showing.Survey((replace(ROW, phase=Phase.UNPROVEN),), ""), "whether any is naked cannot be told", 0),
        (showing.Survey((replace(ROW, phase=Phase.NAKED),), "open orders could not be read: x"), "1 NAKED", 1),
        (showing.Survey((ROW,), ""), "none naked", 0),
        (showing.Survey((replace(ROW, phase=Phase.UNPROVEN, size=None),), ""), "none naked", 0),
    ],
)
def test_status_does_not_say_covered_of_what_it_could_not_see(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch, found: showing.Survey, word: str, naked: int
) -> None:
    house.beats = WORKER
    monkeypatch.setattr(showing, "survey", lambda _ports: found)
    shown = run("status").stdout
    assert word in shown
    assert found.unread in shown
    told = json.loads(run("status", "--json").stdout)
    untold = sum(row.phase is Phase.UNPROVEN and row.size is not None for row in found.rows)
    assert (told["naked"], told["untold"], told["unread"]) == (naked, untold, ["main"] if found.unread else [])
    (account,) = told["accounts"]
    assert (account["naked"], account["untold"], account["unread"]) == (naked, untold, found.unread or None)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (BLIND, "error: main: positions could not be read: HTTP 500"),
        (showing.Survey((replace(ROW, phase=Phase.UNPROVEN),), ""), "untold: main:BTC long 0.01: whether a stop"),
    ],
)
def test_protect_exits_1_where_it_could_not_see_the_cover(
    run: Run, monkeypatch: pytest.MonkeyPatch, found: showing.Survey, said: str
) -> None:
    monkeypatch.setattr(desk, "protect", lambda _ports: found)
    result = run("protect")
    assert result.exit_code == 1
    assert said in result.stderr


def test_protect_exits_1_while_something_is_naked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = replace(ROW, symbol="ETH", phase=Phase.NAKED)
    monkeypatch.setattr(desk, "protect", lambda _ports: showing.Survey((ROW, bare), ""))
    result = run("protect")
    assert result.exit_code == 1
    assert "naked: main:ETH long 0.01" in result.stderr
    monkeypatch.setattr(desk, "protect", lambda _ports: showing.Survey((ROW,), ""))
    assert run("protect").exit_code == 0


def test_audit_exits_1_and_names_every_breach(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    breach = Breach("main", "ETH", "naked", "0.5 long has no live stop")
    monkeypatch.setattr(showing, "audit", lambda _ports: (breach,))
    result = run("audit", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [
        {"account": "main", "symbol": "ETH", "kind": "naked", "text": "0.5 long has no live stop"}
    ]
    assert "breach: main:ETH naked" in result.stderr
    monkeypatch.setattr(showing, "audit", lambda _ports: ())
    assert "no breach" in run("audit").stdout


def test_orphans_say_since_when(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = Orphan("main", "ETH", OrphanKind.POSITION, "1 long", 1_790_000_000_000)
    monkeypatch.setattr(showing, "orphans", lambda _ports: (orphan,))
    for words in (("orphans", "--json"), ("orphans", "list", "--json"), ("--json", "orphans", "list", "main")):
        (told,) = json.loads(run(*words).stdout)
        assert told["since"] == "2026-09-21T14:13:20.000Z"


def test_doctor_fails_where_a_symbol_was_delisted(run: Run, house: FakeHouse, monkeypatch: Any) -> None:
    listed = house.venue.markets()
    gone = {**listed, "ETH": replace(listed["ETH"], delisted=True)}
    monkeypatch.setattr(house.venue, "markets", lambda: gone)
    told = {row["check"]: row for row in json.loads(run("doctor", "--json").stdout)}
    assert told["main markets"]["status"] == "fail"
    assert told["main markets"]["detail"] == "delisted, nothing is opened there: ETH"
    monkeypatch.setattr(house.venue, "markets", lambda: {**listed, "OLD": gone["ETH"]})
    told = {row["check"]: row for row in json.loads(run("doctor", "--json").stdout)}
    assert told["main markets"]["detail"] == "BTC, ETH of 2 listed"


def test_flatten_direct_asks_no_store(run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.gone = "Redis is gone"
    results = iter([True, False])
    monkeypatch.setattr(direct, "flatten_direct", lambda *_args: next(results))
    assert run("flatten", "main", "--direct").exit_code == 0
    result = run("flatten", "--all", "--direct", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [{"account": "main", "state": "not flat"}]
    assert house.asked == [("direct", "main"), ("direct", "main")]


def test_flatten_tells_which_keys(run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.beats = [Heartbeat("orders-1", "here", 7, 120)]
    monkeypatch.setattr(desk, "flatten", lambda _ports: (Key("main", "BTC"),))
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((), ""))
    result = run("flatten", "--all", "--wait", "1", "--json")
    assert json.loads(result.stdout) == [{"account": "main", "symbol": "BTC", "state": "flat"}]
    assert ("nudge", Key("main", "BTC")) in house.asked


@pytest.mark.parametrize(("alive", "here"), [((), True), (("beat", "feed", "flower"), True), (("urgent-1",), False)])
def test_what_no_worker_can_carry_out_is_carried_out_from_here(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch, alive: tuple[str, ...], *, here: bool
) -> None:
    house.beats = [Heartbeat(name, "here", 7, 120) for name in alive]
    driven: list[Key] = []
    left: list[Key] = []

    def see_through(keys: Any, _ports: Any, _seconds: float) -> tuple[Key, ...]:
        driven.extend(keys)
        return tuple(left)

    monkeypatch.setattr(desk, "flatten", lambda _ports: (Key("main", "BTC"),))
    monkeypatch.setattr(desk, "see_through", see_through)
    result = run("flatten", "main")
    assert driven == ([Key("main", "BTC")] if here else [])
    assert ("carried out from here" in result.stderr) is here
    assert result.exit_code == 0
    left = [Key("main", "BTC")]
    result = run("flatten", "main")
    assert result.exit_code == (1 if here else 0)
    assert ("error: not seen flat, and no worker goes on with it: main:BTC" in result.stderr) is here


def test_a_halt_that_no_worker_takes_up_is_recorded_for_all_and_carried_out_from_here(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.accounts = {**house.accounts, "other": AccountFacts("other", "hyperliquid", "paper", ("BTC",))}
    recorded: list[tuple[set[str], list[Key]]] = []

    def see_through(keys: Any, ports: Any, _seconds: float) -> tuple[Key, ...]:
        recorded.append(({name for name, each in house.switches.items() if each.halted}, list(keys)))
        return ()

    monkeypatch.setattr(desk, "see_through", see_through)
    monkeypatch.setattr(showing, "survey", lambda ports: showing.Survey((replace(ROW, account=ports.account),), ""))
    assert run("halt").exit_code == 0
    assert recorded == [({"main", "other"}, [Key(name, "BTC")]) for name in ("main", "other")], "held without a record"
    monkeypatch.setattr(showing, "survey", lambda _ports: BLIND)
    assert run("halt", "main").exit_code == 1, "nothing to close was seen, for nothing was seen"
    house.beats = WORKER
    recorded.clear()
    assert run("halt").exit_code == 0
    assert recorded == [], "it is the workers' to do"


def test_status_tells_of_streams_bad_prices_and_stop_moves(run: Run, house: FakeHouse, monkeypatch: Any) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((replace(ROW, stop_moves_last_hour=3),), ""))
    house.flaws = {Flaw.ZERO: 12, Flaw.FAR_OFF: 1}
    (account,) = json.loads(run("status", "--json").stdout)["accounts"]
    assert account["streams_heard_ms_ago"] == 400
    assert account["bad_prices"] == {"zero": 12, "far_off": 1}
    assert account["stop_moves_last_hour"] == 3
    assert "streams: alive, bad prices: zero 12, far_off 1, 3 stop moves in the last hour" in run("status").stdout
    house.heard_ms = 61_000
    assert "streams: silent for 61 s, looks by request only" in run("status").stdout
    house.heard_ms = None
    assert "streams: never heard" in run("status").stdout


def test_status_says_what_is_missing_since_when_and_which_process_is_lost(
    run: Run, house: FakeHouse, monkeypatch: Any
) -> None:
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((), ""))
    assert json.loads(run("status", "--json").stdout)["missing"] == ["worker"]
    assert "missing: worker: no worker is heard of" in run("status").stdout
    house.beats = WORKER
    assert json.loads(run("status", "--json").stdout)["missing"] == []
    house.venue.quiet = Silence("RequestTimeout", 100)
    house.ticked_ms = 21_000
    house.lacking = {"venue": 12_000}
    house.gone_beats = [Heartbeat("beat", "here", 77, 21_000)]
    told = json.loads(run("status", "--json").stdout)
    assert told["missing"] == ["beat", "venue"]
    assert (told["beat_ms_ago"], told["lost_processes"][0]["process"]) == (21_000, "beat")
    lacks = {each["part"]: each for each in told["accounts"][0]["missing"]}
    assert (lacks["venue"]["for_ms"], lacks["beat"]["for_ms"]) == (12_000, None)
    shown = " ".join(run("status").stdout.split())
    assert "missing: venue, for 12 s: the venue does not answer (RequestTimeout" in shown
    assert "missing: beat: no tick of the clock is carried out (the last one was 21 s ago)" in shown
    assert "21 s ago: it ended or hangs" in shown
    assert "last tick of beat carried out: 21 s ago" in shown


@pytest.mark.parametrize(("verb", "paused", "halted"), [("pause", True, False), ("halt", False, True)])
def test_a_switch_is_recorded_and_told(run: Run, house: FakeHouse, verb: str, paused: bool, halted: bool) -> None:
    house.beats = WORKER
    told = json.loads(run(verb, "--json").stdout)
    assert told == [{"account": "main", "paused": paused, "halted": halted, "barred": None}]
    assert house.switches["main"] == Switches(paused=paused, halted=halted)
    assert json.loads(run("resume", "main", "--json").stdout)[0] == {**told[0], "paused": False, "halted": False}


def test_status_counts_the_naked(run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.beats = [Heartbeat("feed", "here", 7, 120)]
    house.ledger = [booked()]
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((ROW, replace(ROW, phase=Phase.NAKED)), ""))
    told = json.loads(run("status", "--json").stdout)
    (account,) = told["accounts"]
    assert (told["installation"], told["naked"], account["naked"]) == ("a1b2c", 1, 1)
    assert account["account_value"] == "10000.5"
    assert list(account["positions"][0]) == [*POSITION_FIELDS, *HELD_FIELDS]
    assert told["processes"] == [{"process": "feed", "host": "here", "pid": 7, "age_ms": 120}]
    shown = run("status")
    assert shown.exit_code == 0
    assert "1 NAKED" in shown.stdout


def test_profit_has_tally_and_days(run: Run, house: FakeHouse) -> None:
    day = 86_400_000
    house.ledger = [booked(1, "-2.5"), booked(2, "4"), booked(3, "1", 1_790_000_000_000 + day)]
    (told,) = json.loads(run("profit", "--json").stdout)
    assert (told["account"], told["trades"], told["wins"], told["realized_pnl"]) == ("main", 3, 2, "2.5")
    assert [(each["day"], each["trades"], each["realized_pnl"]) for each in told["days"]] == [
        ("2026-09-21", 2, "1.5"),
        ("2026-09-22", 1, "1"),
    ]


def test_balance_of_a_silent_venue_is_an_error(run: Run, house: FakeHouse) -> None:
    (told,) = json.loads(run("balance", "--json").stdout)
    assert (told["value"], told["free"], told["unrealized_pnl"]) == ("10000.5", "9000", "0")
    house.venue.holdings_answer = Unknown("timed out")
    result = run("balance")
    assert result.exit_code == 1
    assert "the venue did not answer" in result.stderr


def test_locks_and_journal_rows(run: Run, house: FakeHouse) -> None:
    house.holders = [(Key("main", "BTC"), "boot|7|t", 9, 8_000), (Key("other", "BTC"), "boot|8|t", 1, 1)]
    house.journal = [("1790000000000-0", {"symbol": "BTC", "kind": "Enter", "text": "enter [0.01]", "trade": "t"})]
    assert json.loads(run("locks", "--json").stdout) == [
        {"account": "main", "symbol": "BTC", "owner": "boot|7|t", "fence": 9, "ms_left": 8000}
    ]
    (told,) = json.loads(run("journal", "--json").stdout)
    assert told == {
        "at": "2026-09-21T14:13:20.000Z", "account": "main", "id": "1790000000000-0",
        "symbol": "BTC", "kind": "Enter", "text": "enter [0.01]", "trade": "t",
    }  # fmt: skip
    assert "enter [0.01]" in run("journal").stdout
    assert run("journal", "--symbol", "eth").stdout == "nothing in the journal about ETH\n"


def test_doctor_has_rows_and_fails_when_one_does(run: Run, house: FakeHouse) -> None:
    house.checks = [Check("permissions", "warn", "x")]
    house.venue.holdings_answer = Unknown("timed out")
    result = run("doctor", "--json")
    told = json.loads(result.stdout)
    assert all(list(row) == ["check", "status", "detail"] for row in told)
    assert {row["check"]: row["status"] for row in told} == {
        "configuration": "ok", "permissions": "warn", "table of times": "ok",
        "main venue": "fail", "main clock": "fail", "main markets": "ok", "main switches": "ok",
    }  # fmt: skip
    assert result.exit_code == 1


def test_doctor_names_a_table_of_times_that_does_not_rise(run: Run, house: FakeHouse) -> None:
    from stopkeeper.engine.ports import Times

    house.times = Times(http_ms=5_000)
    told = {row["check"]: row for row in json.loads(run("doctor", "--json").stdout)}
    assert told["table of times"]["status"] == "fail"


def test_doctor_says_what_is_gone(run: Run, house: FakeHouse) -> None:
    house.gone = "Redis is gone"
    told = {row["check"]: row for row in json.loads(run("doctor", "--json").stdout)}
    assert told["main"] == {"check": "main", "status": "fail", "detail": "Redis is gone"}


Tables = Callable[..., Any]


@pytest.mark.parametrize("words", [("positions",), ("trades",), ("status",), ("profit",), ("locks",)])
def test_tables_fit_a_hundred_columns_and_have_no_colour_without_a_terminal(
    run: Run, house: FakeHouse, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    house.ledger, house.beats = [booked()], WORKER
    house.holders = [(Key("main", "BTC"), "0123456789ab|12345|MainThread", 1_790_000_000_000_000, 8_000)]
    monkeypatch.setattr(showing, "survey", lambda _ports: showing.Survey((ROW,), ""))
    shown = run(*words).stdout
    assert "\x1b" not in shown
    assert "[" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 100
