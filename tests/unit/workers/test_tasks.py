"""Tasks as plain functions: one engine call, one sentence, and an edge that lets no secret and no surprise through."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from stopkeeper.core.actions import Again, Rest, RestKind
from stopkeeper.core.model import Key
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import Rules
from stopkeeper.engine import vigil
from stopkeeper.engine.ports import LeaseLost, StoreGone, Times
from stopkeeper.engine.typed import Refused
from tasks import close, edge, entry, queues, runtime, scrub, supervise, sweep
from tasks.edge import TaskFailed

BTC, ETH = Key("main", "BTC"), Key("main", "ETH")


@dataclass
class World:
    """Fake ports that note what is asked of them."""

    due: list[Key]
    records: dict[Key, KeyRecord]
    published: list[tuple[str, tuple[Any, ...], dict[str, Any]]]
    notes: list[str]
    marked: list[tuple[Key, int]]
    fed: bool = True
    kept: list[str] = field(default_factory=list)


def _trade(**facts: Any) -> Any:
    return SimpleNamespace(**{"naked_since_ms": None, "close": None, "sent": ()} | facts)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(due=[], records={}, published=[], notes=[], marked=[])
    ports = SimpleNamespace(
        account="main",
        times=Times(),
        rules=Rules(),
        prices=SimpleNamespace(heard_ms=lambda _account: 500 if made.fed else None),
        venue=SimpleNamespace(now_ms=lambda: 1_000),
        wakes=SimpleNamespace(
            claim=lambda limit, lease_ms: made.due, mark_due=lambda key, after: made.marked.append((key, after))
        ),
        records=SimpleNamespace(
            load=lambda key: made.records.get(key, KeyRecord(key)), all=lambda account: list(made.records.values())
        ),
    )
    monkeypatch.setattr(vigil, "keep", lambda ports: made.kept.append(ports.account))
    monkeypatch.setattr(runtime, "_installed", [])
    runtime.install(runtime.Runtime(("main",), lambda account: ports, made.notes.append))  # type: ignore[arg-type, return-value]
    for each in (supervise.drive, sweep.sweep_account):
        name = each.name
        monkeypatch.setattr(
            each, "apply_async", lambda args, name=name, **options: made.published.append((name, args, options))
        )
    return made


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (Rest(RestKind.PROTECTED, None, "covered by 7"), "main:BTC protected: covered by 7"),
        (Again(5, "naked"), "main:BTC again: naked"),
        (None, "main:BTC left: another process is driving it; it is due again"),
    ],
)
def test_drive_says_how_it_ended(world: World, monkeypatch: pytest.MonkeyPatch, end: Any, sentence: str) -> None:
    asked: list[Key] = []
    monkeypatch.setattr(supervise, "drive_key", lambda key, ports: asked.append(key) or end)
    assert supervise.drive("main", "BTC") == sentence
    assert asked == [BTC]


def test_drain_publishes_what_is_due_once_each_with_the_claim_as_expiry(world: World) -> None:
    world.due += [BTC, ETH, Key("main", "~feed")]
    world.records[ETH] = replace(KeyRecord(ETH), trade=_trade(naked_since_ms=3))
    assert supervise.drain_due() == "published 2: main:BTC, main:ETH"
    assert world.published == [
        (queues.DRIVE, ("main", "BTC"), {"queue": "orders", "expires": 5.0}),
        (queues.DRIVE, ("main", "ETH"), {"queue": "urgent", "expires": 5.0}),
    ]
    assert world.notes == ["beat"]


def test_a_key_asked_to_close_is_urgent() -> None:
    assert queues.queue_for(replace(KeyRecord(BTC), trade=_trade(close=object()))) == "urgent"
    assert queues.queue_for(KeyRecord(BTC)) == "orders"


def test_refresh_looks_once_an_account_and_drives_what_is_not_right(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    wakes = (SimpleNamespace(key=BTC, why="no stop is live"),)
    monkeypatch.setattr(supervise, "sweep", lambda ports, max_age_ms: looks.append(max_age_ms) or wakes)
    world.due.append(BTC)
    assert supervise.refresh_stops() == "woken 1: main:BTC"
    assert looks == [22_500]
    assert [args for _, args, _ in world.published] == [("main", "BTC")]


def test_confirm_makes_only_the_unproven_due(world: World) -> None:
    world.records[BTC] = replace(KeyRecord(BTC), trade=_trade())
    world.records[ETH] = replace(KeyRecord(ETH), trade=_trade(sent=(SimpleNamespace(unproven=True, rests=False),)))
    assert supervise.confirm_fills() == "due 1: main:ETH"
    assert world.marked == [(ETH, 0)]
    assert world.kept == ["main"]


@pytest.mark.parametrize(("fed", "told"), [(True, "due none"), (False, "due 1: main:ETH")])
def test_an_entry_that_rests_is_due_when_no_stream_would_tell_of_a_fill(world: World, *, fed: bool, told: str) -> None:
    world.fed = fed
    world.records[ETH] = replace(KeyRecord(ETH), trade=_trade(sent=(SimpleNamespace(unproven=False, rests=True),)))
    assert supervise.confirm_fills() == told


def test_sweep_says_what_it_woke_and_leaves_its_note(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wake = SimpleNamespace(key=BTC, why="no stop is live")
    monkeypatch.setattr(sweep, "sweep", lambda ports, max_age_ms: (wake,))
    assert sweep.sweep_account("main") == "main: BTC woken: no stop is live"
    assert world.notes == ["swept:main"]
    assert world.kept == ["main"]
    assert sweep.sweep_all() == "published 1: main"
    assert world.published == [(queues.SWEEP_ACCOUNT, ("main", 2_000), {"expires": 15.0})]


@pytest.mark.parametrize(
    ("task", "reason"), [(close.close_position, "manual_close"), (close.emergency_close, "emergency_exit")]
)
def test_a_close_is_asked_and_driven(
    world: World, monkeypatch: pytest.MonkeyPatch, task: Callable[..., str], reason: str
) -> None:
    asked: list[tuple[Key, dict[str, Any]]] = []
    monkeypatch.setattr(close.desk, "ask_close", lambda key, ports, **how: asked.append((key, how)))
    monkeypatch.setattr(close, "drive", lambda key, ports: Rest(RestKind.FLAT, None, "closed"))
    assert task("main", "BTC") == "main:BTC flat: closed"
    assert asked == [(BTC, {"reason": reason, "keep_fraction": Decimal(0)})]


def test_flatten_publishes_to_urgent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(close.desk, "flatten", lambda ports: (BTC,))
    world.due.append(BTC)
    assert close.flatten_account("main") == "closing 1: main:BTC"
    assert world.published[0][2]["queue"] == "urgent"


def test_open_trade_takes_texts_and_coins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = SimpleNamespace(signal_id="s-1", trade_id="t-1", state="admitted")
    signals: list[Any] = []
    monkeypatch.setattr(entry.desk, "submit", lambda signal, ports: signals.append(signal) or submitted)
    sentence = entry.open_trade("main", "BTC/USDC:USDC", "long", size="0.01", stop="2%", signal_id="s-1")
    assert sentence == "main:BTC admitted: trade t-1 of signal s-1"
    assert (signals[0].key, signals[0].amount.size) == (BTC, Decimal("0.01"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"size": 0.01, "stop": "2%"}, 'refused: size: amounts are decimal strings (got 0.01); write "0.01"'),
        ({"size": "0", "stop": "2%"}, "refused: size: it must be above 0"),
        ({"size": "1", "stop": ""}, "refused: stop: no position is ever without a stop"),
        ({"size": "1", "stop": "2%", "account": "other"}, "refused: account: is not configured (got other)"),
    ],
)
def test_what_cannot_be_accepted_is_a_sentence(world: World, words: dict[str, Any], sentence: str) -> None:
    account = words.pop("account", "main")
    assert entry.open_trade(account, "BTC", "long", **words).startswith(sentence)


# --- the edge --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [StoreGone("Redis is away"), LeaseLost("another holds it")])
def test_a_store_gone_and_a_lease_lost_are_left(left: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def body() -> str:
        raise left

    assert edge.edge("t", body)() == f"left: {left}"
    assert f"left: {left}" in caplog.text


def test_a_refusal_is_a_result() -> None:
    def body() -> str:
        raise Refused("stop", "0", "must be above 0", "give one")

    assert edge.edge("t", body)() == "refused: stop: must be above 0 (got 0); give one"


def test_a_bug_is_raised_and_logged_without_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    key = "0x" + "ab" * 32
    scrub.register(["pass-phrase-of-mine"])

    def body() -> str:
        try:
            raise KeyError(key)
        except KeyError as first:
            raise ValueError(f"pass-phrase-of-mine at redis://u:secretword@h {key}") from first

    with caplog.at_level(logging.ERROR), pytest.raises(TaskFailed) as caught:
        edge.edge("t", body)()
    assert str(caught.value) == "ValueError: *** at redis://u:***@h ***"
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "Traceback" in caplog.text
    assert not any(secret in caplog.text for secret in ("pass-phrase", "secretword", key))


def test_a_result_is_scrubbed_too() -> None:
    assert edge.edge("t", lambda: "key " + "cd" * 32)() == "key ***"


def test_without_a_runtime_a_task_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_installed", [])
    with pytest.raises(RuntimeError, match="no runtime"):
        runtime.current()
