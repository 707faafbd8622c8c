"""One case for each kind of breach an audit names, what is none, and the list of what no trade owns."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stopkeeper.core.audit import KINDS, breaches
from stopkeeper.core.case import Frame, build
from stopkeeper.core.inventory import OrphanKind, orphans_of
from stopkeeper.core.learn import learn
from stopkeeper.core.model import AccountSeen, FillPage, Funds, Holdings, Known, MarginMode, OrderKind, Role, Seen, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import KeyRecord
from stopkeeper.core.rules import OrphanPolicy, Switches
from stopkeeper.core.sweep import claimed_symbols
from tests.unit.core.scene import (
    AIM,
    ENTERED_MS,
    ENTRY_FILL,
    INST,
    KEY,
    NOW,
    RULES,
    TOLD,
    D,
    cid,
    fill,
    found_trade,
    frame,
    held_trade,
    new_trade,
    plan,
    position,
    record,
    seen,
    signal,
    stop,
    target,
    told,
)

DOWN = Unknown("down")
OLD = NOW - 120_000
THEIRS = cid(Role.STOP, 1, installation="fffff")
HEIR = frame(switches=Switches(inherited=(("fffff", OLD),)))
PLAIN = AccountSeen(Known(Holdings({}, Funds(D(9), D(8))), NOW), Known((), NOW), Known(FillPage(0, ()), NOW))


@dataclass
class Breached:
    what: str
    kinds: list[str]
    rec: KeyRecord
    look: Seen
    frm: Frame = field(default_factory=frame)


HELD, GONE = record(held_trade()), NOW - 200_000
OPENS = replace(stop(), kind=OrderKind.LIMIT, side=Side.LONG, reduce_only=False, trigger=None, price=D(90))
RESTING = replace(OPENS, id="e0", client_id=cid(Role.ENTRY, 0))
SECOND = replace(OPENS, id="e9", client_id=cid(Role.ENTRY, 1))
BREACHED = [
    Breached("no stop", ["naked"], HELD, seen(position())),
    Breached("a stop over a part", ["part_cover"], HELD, seen(position(), (stop(size="0.4"),))),
    Breached("liquidation first", ["unsafe"], HELD, seen(position(liquidation_price=D(96)), (stop(),))),
    Breached("a stop that buys", ["naked", "wrong_side"], HELD, seen(position(), (stop(side=Side.LONG),))),
    Breached(
        "our stop of the other side beside a good one",
        ["wrong_side"],
        HELD,
        seen(position(), (stop(), stop(order_id="s2", n=2, side=Side.LONG))),
    ),
    Breached("not reduce-only", ["naked", "not_reduce_only"], HELD, seen(position(), (stop(reduce_only=False),))),
    Breached(
        "our target is not reduce-only",
        ["not_reduce_only"],
        HELD,
        seen(position(), (stop(), target(reduce_only=False))),
    ),
    Breached("by last price", ["naked", "not_mark_triggered"], HELD, seen(position(), (stop(mark_triggered=False),))),
    Breached("worst price at its trigger", ["naked", "worst_too_near"], HELD, seen(position(), (stop(price=D(95)),))),
    Breached("a stop-limit", ["naked", "not_market"], HELD, seen(position(), (stop(kind=OrderKind.STOP_LIMIT),))),
    Breached("no trigger", ["naked", "no_trigger"], HELD, seen(position(), (replace(stop(), trigger=None),))),
    Breached("it has fired", ["naked", "fired"], HELD, seen(position(), (stop(fired=True),))),
    Breached("a target is gone", ["no_target"], record(held_trade(targets=AIM)), seen(position(), (stop(),))),
    Breached("no trade", ["orphan_position"], record(), seen(position(), (stop(),))),
    Breached(
        "left alone",
        ["naked", "orphan_position"],
        record(found_trade(orphan=OrphanPolicy.ALERT, stop=None)),
        seen(position()),
    ),
    Breached("flat, and a stop of ours", ["orphan_order"], record(), seen(None, (stop(),))),
    Breached(
        "an entry of a trade that has ended",
        ["orphan_order"],
        HELD,
        seen(position(), (stop(), replace(RESTING, client_id=cid(Role.ENTRY, 0, "f" * 12)))),
    ),
    Breached(
        "a stop of another trade on the wrong side, named once",
        ["wrong_side"],
        HELD,
        seen(position(), (stop(), stop(order_id="o", client_id=cid(Role.STOP, 3, "f" * 12), side=Side.LONG))),
    ),
    Breached("two entries", ["duplicate_entry"], HELD, seen(position(), (stop(), RESTING, SECOND))),
    Breached(
        "long on record, short at the venue",
        ["naked", "other_side"],
        HELD,
        seen(position(side=Side.SHORT)),
    ),
    Breached("gone, and nothing tells when", ["no_position"], HELD, seen()),
    Breached(
        "closed long ago, never booked",
        ["no_position"],
        record(held_trade(created_ms=GONE - 9_000, entered_ms=GONE)),
        seen(None, (), (replace(ENTRY_FILL, time_ms=GONE), fill("c", "-1", "95", GONE + 1, "1"))),
    ),
    Breached(
        "closed so long ago that it must have been booked",
        ["no_position"],
        record(held_trade(flat_since_ms=NOW - 2 * RULES.incomplete_after_ms)),
        seen(),
    ),
    Breached("cross", ["margin_mode"], HELD, seen(position(margin_mode=MarginMode.CROSS), (stop(),))),
    Breached("another leverage", ["leverage"], HELD, seen(position(leverage=D(20)), (stop(),))),
    Breached("it may still appear", ["unknown"], record(quiet_ms=NOW), seen()),
    Breached(
        "it may still appear, and then a stop of ours is needed",
        ["unknown"],
        record(quiet_ms=NOW),
        seen(None, (stop(),)),
    ),
    Breached("another lives", ["other_installation_live"], record(), seen(None, (stop(client_id=THEIRS),))),
    Breached("one that was", ["other_installation"], record(), seen(None, (stop(client_id=THEIRS, placed_ms=OLD),))),
    Breached(
        "one that was taken over lives again",
        ["other_installation_live"],
        record(),
        seen(None, (stop(client_id=THEIRS, placed_ms=OLD + 1),)),
        HEIR,
    ),
    Breached(
        "the order of one that was taken over",
        ["orphan_order"],
        record(),
        seen(None, (stop(client_id=THEIRS, placed_ms=OLD),)),
        HEIR,
    ),
]
WELL = [
    Breached("protected", [], HELD, seen(position(), (stop(),))),
    Breached("with its target", [], record(held_trade(targets=AIM)), seen(position(), (stop(), target()))),
    Breached(
        "an orphan that is protected", [], record(found_trade(orphan=OrphanPolicy.PROTECT)), seen(position(), (stop(),))
    ),
    Breached(
        "found cross, at any leverage",
        [],
        record(found_trade()),
        seen(position(margin_mode=MarginMode.CROSS, leverage=D(9)), (stop(),)),
    ),
    Breached(
        "a leverage of its own",
        [],
        record(held_trade(signal=signal(leverage=9))),
        seen(position(leverage=D(9)), (stop(),)),
    ),
    Breached("a stop of a record that is lost", [], record(found_trade()), seen(position(), (stop(),))),
    Breached(
        "a stranger's odd stop beside ours",
        [],
        HELD,
        seen(position(), (stop(), stop(order_id="x", client_id=None, reduce_only=False))),
    ),
    Breached("one entry that rests", [], HELD, seen(position(), (stop(), RESTING))),
    Breached("closed a moment ago", [], HELD, seen(None, (stop(),), (ENTRY_FILL, fill("c", "-1", "95", NOW - 9, "1")))),
    Breached(
        "closed, and not so long ago that it must have been booked",
        [],
        record(held_trade(flat_since_ms=NOW - 2 * RULES.incomplete_after_ms + 1)),
        seen(),
    ),
    Breached(
        "closed a moment ago: a stop of an earlier trade is cleared away with it",
        [],
        record(held_trade(flat_since_ms=NOW - 9)),
        seen(None, (stop(client_id=cid(Role.STOP, 1, "f" * 12)),)),
    ),
    Breached("a signal that waits", [], record(new_trade()), seen()),
    Breached("flat", [], record(), seen()),
    Breached("positions that cannot be read are a breach of the account, not of the key", [], record(), seen(DOWN)),
]


@pytest.mark.parametrize("case", [*BREACHED, *WELL], ids=lambda case: case.what)
def test_what_is_a_breach(case: Breached) -> None:
    found = breaches("main", PLAIN, [(case.rec, case.look, case.frm)], ("BTC",))
    assert [each.kind for each in found] == case.kinds, [each.text for each in found]
    assert all(each.text and (each.account, each.symbol) == ("main", "BTC") for each in found)


@pytest.mark.parametrize("case", BREACHED, ids=lambda case: case.what)
def test_a_breach_of_a_position_says_what_is_held(case: Breached) -> None:
    of_position = {
        "naked",
        "part_cover",
        "unsafe",
        "no_target",
        "orphan_position",
        "other_side",
        "margin_mode",
        "leverage",
    }
    read = case.look.position
    held = f"{read.value.side} 1" if isinstance(read, Known) and read.value else None
    for each in breaches("main", PLAIN, [(case.rec, case.look, case.frm)], ("BTC",)):
        assert held is None or each.kind not in of_position or held in each.text


def test_what_is_wrong_with_each_stop_is_said_where_there_is_no_cover() -> None:
    look = seen(position(), (stop(fired=True), stop(order_id="s2", n=2, reduce_only=False)))
    (naked, *_) = breaches("main", PLAIN, [(HELD, look, frame())], ("BTC",))
    wrong = build(HELD, look, frame()).cover.wrong
    assert len(wrong) == 2
    assert naked.text.endswith(f": {wrong[0]}; {wrong[1]}")


def test_each_kind_has_its_case_and_its_line_in_the_docs() -> None:
    tried = {kind for case in BREACHED for kind in case.kinds} | {"blind", "other_symbol"}
    assert tried == {str(kind) for kind in KINDS}
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    for kind, meaning in KINDS.items():
        assert f"| `{kind}` | {meaning} |" in text


def account(positions: Mapping[str, object] | None = None, orders: tuple[object, ...] = ()) -> AccountSeen:
    held = Holdings(positions or {}, Funds(D(9), D(8)))  # type: ignore[arg-type]
    return AccountSeen(Known(held, NOW), Known(orders, NOW), Known(FillPage(0, ()), NOW))  # type: ignore[arg-type]


def test_a_position_elsewhere_and_what_cannot_be_read_are_breaches_of_the_account() -> None:
    found = breaches("main", account({"DOGE": position(symbol="DOGE")}), [], ("BTC",))
    assert [(each.account, each.symbol, each.kind) for each in found] == [("main", "DOGE", "other_symbol")]
    (away,) = found
    assert away.text == "long 1 is held outside the account's symbols"
    (unlisted,) = breaches("main", account({"DOGE": position(symbol="DOGE")}), [], ("DOGE",))
    assert (unlisted.symbol, unlisted.kind) == ("DOGE", "other_symbol")
    assert unlisted.text == "long 1 is held on a symbol the venue's list does not name: nothing can be sent"
    blind = breaches("main", AccountSeen(DOWN, DOWN, DOWN), [], ())
    assert [(each.account, each.symbol, each.kind) for each in blind] == [("main", "", "blind")] * 3
    assert [[word in each.text for word in ("positions ", "orders ", "fills ")] for each in blind] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ], "each says what could not be read"
    both = replace(account({"DOGE": position(symbol="DOGE")}), fills=DOWN)
    assert [each.kind for each in breaches("main", both, [], ("BTC",))] == ["blind", "other_symbol"]


@pytest.mark.parametrize(("trade", "kinds"), [(True, []), (False, ["other_symbol"])])
def test_a_symbol_with_a_trade_is_guarded_though_it_is_not_configured_any_more(trade: bool, kinds: list[str]) -> None:
    key = replace(KEY, symbol="DOGE")
    rec = replace(record(held_trade(key=key) if trade else None), key=key)
    look = account({"DOGE": position(symbol="DOGE")})
    found = breaches("main", look, [(rec, seen(position(symbol="DOGE"), (stop(symbol="DOGE"),)), frame())], ("BTC",))
    assert [each.kind for each in found if each.kind != "orphan_position"] == kinds


# --- the list ----------------------------------------------------------------------------------------------------

STRAY = stop(order_id="o", client_id=cid(Role.STOP, 3, "f" * 12), side=Side.LONG)
BY_HAND = replace(OPENS, id="h", client_id=None)


@pytest.mark.parametrize(
    ("what", "rec", "look", "kinds"),
    [
        ("nobody's", record(), seen(position()), [("position", None)]),
        (
            "kept",
            record(found_trade(orphan=OrphanPolicy.PROTECT)),
            seen(position(), (stop(),)),
            [("position", ENTERED_MS)],
        ),
        ("adopted, or rebuilt by its ids", record(found_trade()), seen(position(), (stop(),)), []),
        ("a trade's", HELD, seen(position(), (stop(),)), []),
        ("a stray stop of ours", HELD, seen(position(), (stop(), STRAY)), [("order", ENTERED_MS)]),
        ("flat, a stop of ours", record(), seen(None, (stop(),)), [("order", ENTERED_MS)]),
        ("another's", record(), seen(None, (stop(client_id=THEIRS),)), [("other_installation", ENTERED_MS)]),
        ("a person's order", HELD, seen(position(), (stop(), BY_HAND)), [("stranger_order", ENTERED_MS)]),
        ("flat", record(), seen(), []),
    ],
)
def test_what_no_trade_owns(what: str, rec: KeyRecord, look: Seen, kinds: list[tuple[str, int | None]]) -> None:
    found = orphans_of("main", PLAIN, [(rec, look, frame())], ("BTC",))
    assert [(each.kind, each.since_ms) for each in found] == kinds, what
    assert all(each.what and (each.account, each.symbol) == ("main", KEY.symbol) for each in found)


def test_a_position_that_is_nobodys_says_whether_it_was_taken_in_and_how_it_is_kept() -> None:
    said = set()
    for trade in (None, *(found_trade(orphan=policy) for policy in (OrphanPolicy.PROTECT, OrphanPolicy.CLOSE))):
        (orphan,) = orphans_of("main", PLAIN, [(record(trade), seen(position()), frame())], ("BTC",))
        assert orphan.what.startswith("long 1")
        said.add(orphan.what)
    assert len(said) == 3


def test_what_stands_on_symbols_that_are_not_the_accounts_is_listed_and_not_claimed() -> None:
    orders = (replace(BY_HAND, symbol="DOGE"), stop(symbol="PEPE", client_id=THEIRS), stop(symbol="SOL"))
    look = account({"DOGE": position(symbol="DOGE")}, orders)
    found = orphans_of("main", look, [(replace(record(), key=replace(KEY, symbol="SOL")), seen(), frame())], ("BTC",))
    assert [(each.symbol, each.kind) for each in found] == [
        ("DOGE", OrphanKind.STRANGER_POSITION),
        ("DOGE", OrphanKind.STRANGER_ORDER),
        ("PEPE", OrphanKind.OTHER_INSTALLATION),
    ]
    assert "buy 1 at 90" in found[1].what
    blind = replace(look, holdings=DOWN)
    assert [each.symbol for each in orphans_of("main", blind, [], ("BTC",))] == ["DOGE", "PEPE", "SOL"]
    assert [each.symbol for each in orphans_of("main", replace(look, orders=DOWN), [], ("BTC",))] == ["DOGE"]
    own = account({"BTC": position()})
    assert [
        each.kind for each in orphans_of("main", own, [(HELD, seen(position(), (stop(),)), frame())], ("BTC",))
    ] == []
    assert claimed_symbols(look, INST, Switches()) == {"SOL"}
    assert claimed_symbols(look, INST, Switches(inherited=(("fffff", NOW),))) == {"SOL", "PEPE"}
    assert claimed_symbols(AccountSeen(), INST, Switches()) == frozenset()


# --- a dead installation's orders --------------------------------------------------------------------------------


def test_hygiene_takes_away_what_was_taken_over_and_nothing_younger() -> None:
    old, alive = stop(client_id=THEIRS, placed_ms=OLD), stop(order_id="s2", client_id=THEIRS, placed_ms=OLD + 1)
    assert told(plan(record(), seen(None, (old,)))) == "rest: rest flat"
    made = plan(record(denied=TOLD), seen(None, (old, alive)), HEIR)
    assert [action.order_id for action in made.actions] == ["s1"]  # type: ignore[union-attr]


def test_of_two_installations_targets_of_one_number_one_goes() -> None:
    theirs = target(order_id="t9", client_id=cid(Role.TARGET, 2, installation="fffff"), placed_ms=OLD)
    made = plan(record(held_trade(targets=AIM)), seen(position(), (stop(), target(), theirs)), HEIR)
    assert told(made) == "hygiene: Cancel"


def test_a_position_under_a_stop_that_was_taken_over_is_ours_and_numbers_go_on_from_its() -> None:
    cover = stop(client_id=cid(Role.STOP, 40, installation="fffff"), placed_ms=OLD)
    harsh = replace(RULES, orphan_policy=OrphanPolicy.CLOSE)
    made = plan(record(), seen(position(), (cover,)), replace(HEIR, rules=harsh))
    assert made.actions[0].trade.orphan is None  # type: ignore[union-attr]
    kept = record(made.actions[0].trade)  # type: ignore[union-attr]
    half = seen(position("2"), (cover,))
    assert told(plan(kept, half, HEIR)) == "protection: PlaceStop"
    assert learn(kept, half, HEIR).n == 40


def test_of_targets_nothing_is_said_where_open_orders_could_not_be_read() -> None:
    unread = [(record(held_trade(targets=AIM)), seen(position(), DOWN), frame())]
    assert breaches("main", PLAIN, unread, ("BTC",)) == (), "the account itself is named blind"
