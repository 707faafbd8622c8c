"""Every move of a stop held against its policy, worked out anew from the texts of wish and journal and the true marks.

Nothing of the engine's own arithmetic is used here.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from benchmarks.evidence import Evidence, marks_between
from benchmarks.stories import Move, Story

FEE = Decimal("0.00045")
STEP, INTERVAL_MS = Decimal("0.0025"), 30_000
SLACK_MS = 1_000  # a move is decided a request or two before its line is written
STOOD_MS = 4_000
LATE_MS = 25_000  # a sweep, a look, the venue's lag after the move before
_WIDTHS_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000}
_BEST = re.compile(r"(?:the best price|behind the best price) ([0-9.]+)")
_ATR = re.compile(r"ATR of ([0-9.]+)")
_STEPS = re.compile(r"(\d+) steps of")


def on_grid(price: Decimal, size_decimals: int, *, up: bool) -> Decimal:
    """Round a price to five figures, at most 6 - size_decimals decimals, whole numbers always."""
    places = min(6 - size_decimals, max(0, 4 - price.adjusted()))
    return price.quantize(Decimal(1).scaleb(-places), ROUND_CEILING if up else ROUND_FLOOR)


@dataclass(frozen=True)
class Rule:
    """A wish's policy with the prices of its trade."""

    story: Story
    entry: Decimal
    risk: Decimal

    def distance(self, text: str) -> Decimal:
        """Return a gain ("1R", "0.5%") as a price difference."""
        if text.endswith("R"):
            return Decimal(text[:-1]) * self.risk
        return Decimal(text[:-1]) / 100 * self.entry

    def trail(self, best: Decimal, atr: Decimal | None) -> Decimal | None:
        """Return where the trailing rule wants the stop at a best price; None while it is not at work."""
        sign, (rule, _, start) = self.story.wish.sign, self.story.wish.trail.partition("@")
        if rule == "off" or (start and (best - self.entry) * sign < self.distance(start)):
            return None
        if rule.startswith("atr:"):
            return None if atr is None else best - sign * Decimal(rule.split(":")[1]) * atr
        if rule.startswith("step:"):
            step = self.distance(rule.removeprefix("step:"))
            steps = (best - self.entry) * sign // step
            return self.story.first_stop + sign * steps * step if steps >= 1 else None
        if rule.endswith("%"):
            return best * (1 - sign * Decimal(rule[:-1]) / 100)
        return best - sign * Decimal(rule)

    def even(self, best: Decimal, *, hit: bool) -> Decimal | None:
        """Return the price at which nothing is lost, where the wish wants the stop there."""
        sign, when = self.story.wish.sign, self.story.wish.breakeven
        due = hit if when == "target" else when != "off" and (best - self.entry) * sign >= self.distance(when)
        if not due:
            return None
        return self.entry * (1 + FEE) / (1 - FEE) if sign > 0 else self.entry * (1 - FEE) / (1 + FEE)

    def wanted(self, best: Decimal, atr: Decimal | None, *, hit: bool) -> Decimal | None:
        """Return the nearer of both wishes on the grid, rounded away from the price."""
        found = [price for price in (self.trail(best, atr), self.even(best, hit=hit)) if price is not None]
        sign = self.story.wish.sign
        return on_grid(max(found, key=lambda price: price * sign), self.story.decimals, up=sign < 0) if found else None


def rule_of(story: Story) -> Rule:
    """Return the policy of a trade with its own entry price and first risk."""
    return Rule(story, story.entry, abs(story.entry - story.first_stop))


def of_moves(story: Story, evidence: Evidence) -> list[str]:
    """Return what is wrong with the moves of one trade's stop."""
    rule, wrong = rule_of(story), []
    standing, last_ms, sign = story.first_stop, None, story.wish.sign
    for move in (each for each in story.moves if each.answer.startswith("accepted")):
        what = f"{story}: stop from {move.before} to {move.trigger} ({move.why})"
        again = [price for at_ms, price in story.again if (last_ms or 0) < at_ms <= move.at_ms]
        if again and (again[-1] - standing) * sign >= 0:
            standing = again[-1]  # it was gone, and was placed again where it was wanted by then
        if move.moved_by != "policy":
            wrong.append(f"{what}: moved by {move.moved_by or 'nobody'}")
        if move.before != standing:
            wrong.append(f"{what}: {standing} stood")
        if (move.trigger - standing) * sign < standing * STEP:
            wrong.append(f"{what}: it is loosened, or less than a step")
        if last_ms is not None and move.at_ms - last_ms < INTERVAL_MS - SLACK_MS:
            wrong.append(f"{what}: {move.at_ms - last_ms} ms after the last one")
        wrong += [f"{what}: {fault}" for fault in _explained(move, rule, evidence)]
        standing, last_ms = move.trigger, move.at_ms
    return wrong


def _explained(move: Move, rule: Rule, evidence: Evidence) -> list[str]:
    """Return why a move does not follow from its policy and the true marks up to then."""
    story, wrong = rule.story, []
    _, seen = marks_between(evidence, story.coin, story.opened_ms, move.at_ms)
    hit = any(fill.time_ms <= move.at_ms and fill.px for fill in story.exits)
    best, atr = _BEST.search(move.why), _ATR.search(move.why)
    extreme = Decimal(str(max(seen) if story.wish.sign > 0 else min(seen)))
    named = Decimal(best[1]) if best else extreme
    if (float(named) - float(extreme)) * story.wish.sign > 0 or not _was(named, story, move, evidence):
        wrong.append(
            f"the best mark was {extreme}, and it was never {named} since the feed's last word before the entry"
        )
    if atr is not None:
        mine = true_ranges(evidence, story, move.at_ms)
        if not any(abs(float(atr[1]) - each) < 1e-6 * each for each in mine):
            wrong.append(f"the ATR was one of {mine}, not {atr[1]}")
    steps = _STEPS.search(move.why)
    if steps is not None:  # no best price is named: the steps are held against the farthest the mark ever went
        step = rule.distance(story.wish.trail.partition("@")[0].removeprefix("step:"))
        there = on_grid(
            story.first_stop + story.wish.sign * int(steps[1]) * step, story.decimals, up=story.wish.sign < 0
        )
        enough = (extreme - rule.entry) * story.wish.sign >= int(steps[1]) * step
        return wrong if there == move.trigger and enough else [*wrong, f"the best mark was {extreme}"]
    wanted = rule.wanted(named, Decimal(atr[1]) if atr else None, hit=hit)
    if "break-even" in move.why:
        even = rule.even(named, hit=hit)
        wanted = even and on_grid(even, story.decimals, up=story.wish.sign < 0)
    if wanted != move.trigger:
        wrong.append(f"the policy says {wanted}")
    return wrong


def _was(price: Decimal, story: Story, move: Move, evidence: Evidence) -> bool:
    """Return whether a price was the mark since the trade began, or what the feed may still have told at that time."""
    _, seen = marks_between(evidence, story.coin, story.opened_ms - evidence.stale_ms, move.at_ms)
    return min(seen) <= float(price) <= max(seen) if evidence.blur_ms else float(price) in seen


def true_ranges(evidence: Evidence, story: Story, at_ms: int) -> list[float]:
    """Return Wilder's average true range of the true marks, by the bars closed now and by those a bar ago."""
    _, _, bars, interval = story.wish.trail.split("@")[0].split(":")
    count, width = int(bars), _WIDTHS_MS[interval]
    newest = at_ms - at_ms % width
    return [_wilder(evidence, story.coin, newest - back * width, width, count) for back in (0, 1)]


def _wilder(evidence: Evidence, coin: str, ends_ms: int, width: int, count: int) -> float:
    begins_ms = ends_ms - (3 * count - 1) * width
    ranges, before = [], None
    for opens_ms in range(begins_ms, ends_ms, width):
        span, marks = marks_between(evidence, coin, opens_ms, opens_ms + width - 1)
        inside = marks[1:] if span and evidence.times_ms[span[0]] < opens_ms else marks
        opened = marks[0]  # a bar opens where the one before closed
        high, low = max(opened, *inside), min(opened, *inside)
        if before is not None:
            ranges.append(max(high - low, abs(high - before), abs(low - before)))
        before = marks[-1]
    average = sum(ranges[:count]) / count
    for each in ranges[count:]:
        average = (average * (count - 1) + each) / count
    return average


def waits_ms(story: Story, evidence: Evidence) -> list[int]:
    """Return how long each move that was due stayed due: the policy wanted it, the step and the interval allowed it.

    A best price counts where the mark stood there, or beyond, for as long as a look takes to come: what it touched for
    a moment nobody need have read. Rules on an ATR are left out: their wish changes with every bar.
    """
    if story.wish.trail.startswith("atr:") or not story.exits:
        return []
    rule, sign, found = rule_of(story), story.wish.sign, list[int]()
    moves = [move for move in story.moves if move.answer.startswith("accepted")]
    triggers = [float(story.first_stop), *(float(move.trigger) for move in moves)]
    ends = [*(move.at_ms for move in moves), story.closed_ms]
    begins = [story.opened_ms, *(move.at_ms + INTERVAL_MS for move in moves)]
    span, marks = marks_between(evidence, story.coin, story.opened_ms, story.closed_ms)
    hits = [fill.time_ms for fill in story.exits]
    best, stage, since, wanted, hit = marks[0], 0, None, None, False
    stood: deque[tuple[int, float]] = deque()
    for index, mark in zip(span, marks, strict=True):
        at_ms = evidence.times_ms[index]
        stood.append((at_ms, mark))
        while stood[0][0] < at_ms - STOOD_MS:
            stood.popleft()
        least = min((each for _, each in stood), key=lambda each: each * sign)
        while stage < len(ends) - 1 and at_ms > ends[stage]:
            _note(found, since, ends[stage])
            stage, since = stage + 1, None
        better = (least - best) * sign > 0
        if better or wanted is None or (not hit and hits[0] <= at_ms):
            best, hit = (least if better else best), hits[0] <= at_ms
            wish = rule.wanted(Decimal(str(best)), None, hit=hit)
            wanted = float("nan") if wish is None else float(wish)
        standing = triggers[stage]
        worth = (wanted - standing) * sign >= standing * float(STEP) and (mark - wanted) * sign > 0
        if not worth or at_ms < begins[stage]:
            since = None
        elif since is None:
            since = at_ms
    _note(found, since, story.closed_ms)
    return found


def _note(found: list[int], since: int | None, moved_ms: int) -> None:
    if since is not None:
        found.append(moved_ms - since)


def late(waits: Sequence[int]) -> int:
    """Return how many of these moves came later than a sweep and a look explain."""
    return sum(wait > LATE_MS for wait in waits)
