"""The verdict over a run: exits against true marks and the venue's own orders, the books against the witness.

What the journal and the ledger say is compared with what the market itself did. Moves of stops: judging_moves.py.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from benchmarks.evidence import Evidence, mark_at, reached
from benchmarks.judging_moves import late, of_moves, waits_ms
from benchmarks.stories import FLATTEN, STOP, Scene, Story, Wish, role_of, stories, trade_of
from exchange.paper.model import Fill
from stopkeeper.core.actions import Exit

CENT = Decimal("0.01")
AFTER_TIME_UP_MS = 20_000
HALF_SPREAD = Decimal("0.0002")  # half a spread and a tick below the mark
HOUR_MS = 3_600_000


@dataclass
class Verdict:
    """What was wrong, and the figures."""

    wrong: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    by_wish: dict[str, Counter[str]] = field(default_factory=dict)
    told: list[Story] = field(default_factory=list)


def judge(
    scene: Scene,
    wishes: Mapping[str, Wish],
    *,
    by_hand: frozenset[str] = frozenset(),
    allowed: frozenset[str] = frozenset(),
    in_time: bool = True,
) -> Verdict:
    """Judge a run that has ended flat. ``in_time`` = a move that is due may not wait: the feed told of every price.

    ``by_hand`` are the trades closed by command at the end, ``allowed`` exit reasons an arranged fault explains.
    """
    told = stories(scene, wishes)
    verdict = Verdict(told=told)
    waits: list[int] = []
    for story in told:
        verdict.wrong += of_moves(story, scene.evidence)
        verdict.wrong += of_exits(
            story, scene.evidence, allowed | ({"manual_close"} if story.trade in by_hand else set())
        )
        waits += waits_ms(story, scene.evidence)
        tally = verdict.by_wish.setdefault(story.wish.name, Counter())
        tally["trades"] += 1
        tally["moves"] += len(story.moves)
        if story.line is not None:
            tally[story.line.exit.reason] += 1
    verdict.wrong += of_books(scene, told)
    verdict.figures = figures(scene, told, waits)
    if in_time and late(waits):
        verdict.wrong.append(f"{late(waits)} moves that were due came late: {sorted(waits)[-5:]} ms")
    return verdict


# --- exits ------------------------------------------------------------------------------------------------------


def of_exits(story: Story, evidence: Evidence, allowed: frozenset[str]) -> list[str]:
    """Return what is wrong with how a trade ended."""
    if story.line is None or not story.closed:
        return [f"{story}: it is not booked, or its fills do not add up"]
    wrong, shares = [], Counter[str]()
    for fill in story.exits:
        reason, faults = _why(fill, story, evidence)
        wrong += [f"{story}: fill {fill.tid} at {fill.px}: {fault}" for fault in faults]
        shares[reason] += fill.size  # type: ignore[assignment] # sizes, not counts
    booked = story.line.exit
    said = dict(booked.shares)
    if said != dict(shares):
        wrong.append(f"{story}: booked as {said}, its fills say {dict(shares)}")
    if shares[booked.reason] != max(shares.values()):
        wrong.append(f"{story}: booked as {booked.reason}, its fills say {dict(shares)}")
    strange = {"manual_close", "emergency_exit", "external", "unknown", "liquidation", "adl"} - allowed
    wrong += [f"{story}: ended as {reason}: {booked.evidence}" for reason in said if reason in strange]
    return wrong


def _why(fill: Fill, story: Story, evidence: Evidence) -> tuple[str, list[str]]:
    """Return why a closing fill happened, by the venue's order behind it, and what is wrong with its price."""
    order, sign = evidence.orders[fill.oid], story.wish.sign
    mark = mark_at(evidence, story.coin, fill.time_ms)
    if trade_of(order) != story.trade:
        return "external", [f"order {order.oid} is not the trade's"]
    if order.trigger is None:
        return _by_command(fill, story, evidence) if role_of(order) == FLATTEN else ("unknown", ["no order of ours"])
    wrong = []
    if role_of(order) == STOP:
        if not reached(evidence, story.coin, fill.time_ms, order.trigger.px, -sign):
            wrong.append(f"a false exit: the mark was {mark}, the stop at {order.trigger.px}")
        if (fill.px - order.trigger.px) * sign > 0 or (fill.px - order.limit_px) * sign < 0:
            wrong.append(f"outside trigger {order.trigger.px} and worst price {order.limit_px}")
        moved = order.trigger.px in {move.trigger for move in story.moves}
        return "trailing_stop" if moved else "stop_loss", wrong
    there = reached(evidence, story.coin, fill.time_ms, order.trigger.px, sign)
    if not there or order.trigger.px not in story.goals:
        wrong.append(f"a false exit: the mark was {mark}, the target at {order.trigger.px}, of {story.goals}")
    if (fill.px - order.trigger.px * (1 - sign * HALF_SPREAD)) * sign < 0:
        wrong.append(f"worse than the target {order.trigger.px}")
    return "take_profit", wrong


_COMMANDS = {  # how the journal begins to say why we closed -> what the ledger is to call it
    "the trade's time is up": "time_limit",
    "somebody asked": "manual_close",
    "the price is beyond the target": "take_profit",
    "the price has passed": "stop_loss",
    "naked": "emergency_exit",
    "cover was lost": "emergency_exit",
    "the price is beyond the stop": "emergency_exit",
    "the liquidation price": "emergency_exit",
}


def said_of(fill: Fill, story: Story) -> str:
    """Return what the journal says of the close behind a fill; "" where its answer was lost."""
    lines = (said.text for said in story.closes if f"accepted as {fill.oid}," in said.text)
    return next((text.partition(" (")[2] for text in lines), "")


def _by_command(fill: Fill, story: Story, evidence: Evidence) -> tuple[str, list[str]]:
    """Return why we closed by an order of our own, as the journal says, and whether the truth bears it out."""
    why = said_of(fill, story)
    reason = next((name for begin, name in _COMMANDS.items() if why.startswith(begin)), "unknown")
    limit, held_ms = story.wish.time_limit_s, fill.time_ms - story.opened_ms
    if reason == "stop_loss":  # the stop that was due there could not be placed any more
        level = Decimal(why.split()[4].rstrip(","))
        there = reached(evidence, story.coin, fill.time_ms, level, -story.wish.sign)
        moved = bool(story.moves) and story.moves[-1].moved_by == "policy"
        wrong = [] if there else [f"a false exit: {why}"]
        return ("trailing_stop" if moved else reason), wrong
    mark = mark_at(evidence, story.coin, fill.time_ms)
    if reason == "time_limit" and (limit is None or not 0 <= held_ms - limit * 1000 <= AFTER_TIME_UP_MS):
        return reason, [f"after {held_ms} ms, the limit is {limit} s"]
    beyond = (reached(evidence, story.coin, fill.time_ms, goal, story.wish.sign) for goal in story.goals)
    if reason == "take_profit" and not any(beyond):
        return reason, [f"the mark {mark} is at no target of {story.goals}"]
    return reason, []


# --- books ------------------------------------------------------------------------------------------------------


def of_books(scene: Scene, told: Sequence[Story]) -> list[str]:
    """Return where the ledger differs from the venue's own account, and what the witness holds against us."""
    wrong = [f"{line.trade.id} is booked as incomplete" for line in scene.ledger if not line.exit.complete]
    for coin, book in scene.witness.items():
        exits = [line.exit for line in scene.ledger if line.trade.key.symbol == coin]
        count = sum(story.coin == coin for story in told)
        found = _of_sums(exits, book, scene.funding.get(coin, Decimal(0))) + _of_book(book, len(exits), count)
        wrong += [f"{coin}: {fault}" for fault in found]
    return wrong


def _of_sums(exits: Sequence[Exit], book: Mapping[str, Any], paid: Decimal) -> list[str]:
    pnl, fees = Decimal(book["realized_pnl"]), Decimal(book["fees"])
    sums = {
        "gross P&L": (sum((e.gross_pnl for e in exits), Decimal(0)), pnl),
        "fees": (sum((e.fees for e in exits), Decimal(0)), fees),
        "funding": (sum((e.funding for e in exits), Decimal(0)), paid),
        "net": (sum((e.realized_pnl for e in exits), Decimal(0)), pnl - fees + paid),
    }
    return [
        f"{name}: the ledger says {ours:.4f}, the venue {theirs:.4f}"
        for name, (ours, theirs) in sums.items()
        if abs(ours - theirs) >= CENT
    ]


def _of_book(book: Mapping[str, Any], booked: int, told: int) -> list[str]:
    entered, wrong = book["entries_by_signal"], []
    if not booked == len(entered) == told:
        wrong.append(f"{booked} trades are booked, the witness saw {len(entered)} signals enter")
    twice = {signal: count for signal, count in entered.items() if count != 1}
    if twice:
        wrong.append(f"signals that entered more than once: {twice}")
    if book["flips"] or book["non_reduce_only"]:
        wrong.append(f"{book['flips']} flips, {book['non_reduce_only']} orders neither reduce-only nor entries")
    return wrong + [f"a stop was loosened: {each}" for each in book["loosened"]]


@dataclass(frozen=True)
class Naked:
    """A stretch without whole cover, from the witness."""

    coin: str
    from_ms: int
    ms: int


def naked(scene: Scene) -> list[Naked]:
    """Return the stretches without whole cover; one that has not ended counts as an hour."""
    return [
        Naked(coin, int(each["from_ms"]), int((each["to_ms"] or each["from_ms"] + HOUR_MS) - each["from_ms"]))
        for coin, book in scene.witness.items()
        for each in book["naked_intervals"]
    ]


# --- figures ----------------------------------------------------------------------------------------------------


def figures(scene: Scene, told: Sequence[Story], waits: Sequence[int]) -> dict[str, Any]:
    """Return the counts of a run."""
    held_ms = sum(story.closed_ms - story.opened_ms for story in told if story.exits)
    hours = held_ms / HOUR_MS
    books = scene.witness.values()
    moves = sum(len(story.moves) for story in told)
    requests, weight = scene.held
    reasons = Counter(story.line.exit.reason for story in told if story.line is not None)
    spread = sorted(waits)
    return {
        "trades": len(told),
        "exits": dict(reasons.most_common()),
        "hours held": round(hours, 1),
        "moves of stops": moves,
        "moves per hour held": round(moves / hours, 2) if hours else 0.0,
        "stop moves, as the witness counts": sum(book["stop_moves"] for book in books),
        "moves due, ms until made: median / 99 % / longest": _spread(spread),
        "requests per hour held": round(requests / hours, 1) if hours else 0.0,
        "weight per hour held": round(weight / hours, 1) if hours else 0.0,
        "weight per minute held": round(weight / hours / 60, 1) if hours else 0.0,
        **scene.costs,
        "naked ms": sum(each.ms for each in naked(scene)),
        "gross P&L": f"{sum(Decimal(book['realized_pnl']) for book in books):.2f}",
        "fees": f"{sum(Decimal(book['fees']) for book in books):.2f}",
        "funding": f"{sum(scene.funding.values()):.2f}",
        "flips": sum(book["flips"] for book in books),
        "stops loosened": sum(len(book["loosened"]) for book in books),
    }


def _spread(values: Sequence[int]) -> str:
    if not values:
        return "none"
    return f"{values[len(values) // 2]} / {values[min(len(values) - 1, len(values) * 99 // 100)]} / {values[-1]}"
