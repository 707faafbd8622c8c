"""Moving stops, several targets, resting entries and people, in sequence on a toy venue that loses answers and lags.

What must never happen: a second entry, a position that our cancel left naked, a stop we loosened, a target that takes
more than its part, an end that is neither flat and clean nor protected where it is wanted.
"""

from random import Random

import pytest

from stopkeeper.core.actions import Again, Rest, RestKind
from stopkeeper.core.believe import Held
from stopkeeper.core.case import build
from stopkeeper.core.effects import ask_close
from stopkeeper.core.model import Distance, Resting, Side, TargetWish
from stopkeeper.core.policy import BreakEven, Gain, Policy, Trail, TrailKind
from stopkeeper.core.record import CloseAsk
from stopkeeper.core.targets import wanted_targets
from stopkeeper.core.trailing import improves
from tests.unit.core.scene import ENTERED_MS, TRADE, D, new_trade, record, signal
from tests.worlds.toybook import BookToy, BookWorld

POLICIES = (
    Policy(),
    Policy(Trail(TrailKind.PERCENT, D("0.02"))),
    Policy(Trail(TrailKind.ABSOLUTE, D(3), start=Gain(r=D("0.5")))),
    Policy(Trail(TrailKind.STEP, step=Gain(r=D("0.2"))), BreakEven(after_target=True)),
    Policy(breakeven=BreakEven(Gain(fraction=D("0.02")))),
)
AIMS = ((), (("0.03", "0.5"), ("0.06", "0.3"), ("0.1", "0.2")), (("0.02", "0.4"),), (("0.05", None),))


def world(seed: int, *, rests: bool = False) -> BookWorld:
    rng = Random(seed)
    side = rng.choice(list(Side))
    entry = D(99) if side is Side.LONG else D(101)
    wish = signal(
        side=side,
        stop=Distance(price=D(95) if side is Side.LONG else D(105)),
        expires_ms=ENTERED_MS + (60_000 if rests else 30_000),
        targets=tuple(
            TargetWish(Distance(fraction=D(away)), None if part is None else D(part)) for away, part in rng.choice(AIMS)
        ),
        limit=entry if rests else None,
        resting=Resting.GTC if rests else Resting.NO,
    )
    trade = new_trade(created_ms=ENTERED_MS - 5_100, signal=wish, side=side, policy=rng.choice(POLICIES))
    toy = BookToy(Random(seed + 1), hides=bool(seed % 2))
    toy.tick(0)
    parts = sum((goal.fraction or D(1) for goal in wish.targets), D(0))
    return BookWorld(toy, record(trade, quiet_ms=0, prepared=None), parts=parts)


def wander(run: BookWorld, rng: Random) -> None:
    way = D(rng.choice(("0.985", "0.995", "0.998", "1", "1", "1.002", "1.005", "1.015")))
    run.toy.move((run.toy.mark * way).quantize(D("0.01")), thin=rng.random() < 0.2)


def happen(run: BookWorld, rng: Random, *, people: bool) -> None:
    toy, what = run.toy, rng.randrange(16)
    wander(run, rng)
    if what == 0:
        toy.lose_a_stop()
    elif what in (1, 2):
        toy.work()
    elif not people:
        return
    elif what == 3:
        run.lift(rng.choice((5_000, 20_000, 60_000)))
    elif what == 4:
        run.lift(0)
    elif what == 5:
        run.put_stop(D("0.05"), loosened=True)
    elif what == 6:
        run.put_stop(D("0.01"), loosened=False)
    elif what == 7:
        run.record = ask_close(run.record, CloseAsk("manual_close", toy.now, D(rng.choice(("0", "0.5")))))
    elif what == 8 and toy.size:
        toy.hand(toy.size * D(rng.choice(("-1", "-0.5", "0.5"))))


def live(run: BookWorld, steps: int, rng: Random, *, people: bool) -> None:
    """Drive when due, or when something woke the key; after each drive the stop that is wanted is no farther."""
    for _ in range(steps):
        happen(run, rng, people=people)
        before = run.record.trade
        ends = run.drive()
        after = run.record.trade
        if before and after and before.id == after.id and before.stop and after.stop and before.entered_ms:
            assert not improves(before.stop, after.stop, after.side), f"loosened: {before.stop} to {after.stop}"
        assert ends.due_ms is None or ends.due_ms >= run.toy.now - 2_000, f"due in the past: {ends}"
        pause = 15_000 if ends.due_ms is None else max(50, ends.due_ms - run.toy.now)
        run.toy.tick(min(pause, rng.choice((50, 400, 2_000, 15_000))))


def settle(run: BookWorld) -> Rest | Again:
    """No more faults and no more people: everything must come to rest by itself."""
    run.toy.mood, run.toy.lagging, run.second = ("ok",), False, ("1",)
    run.toy.tick(20_000)
    ends: Rest | Again = Again(0, "")
    for _ in range(40):
        run.toy.work()
        ends = run.drive()
        run.toy.tick(5_000)
    return ends


def judge(run: BookWorld, *, people: bool) -> None:
    toy = run.toy
    assert toy.breaches == []
    before = run.tired
    settle(run)
    assert run.tired == before, "a drive without faults took all its turns"
    effects = run.effects
    ends = run.drive()
    assert run.effects == effects, "at rest, and still acting"
    if not people:
        assert sum(toy.taken.values()) <= run.parts * toy.filled(TRADE), "the targets took more than their part"
    assert isinstance(ends, Rest), ends
    assert toy.breaches == []
    assert all(o.reduce_only for o in toy.orders.values()), "an entry still stands"
    if not toy.size:
        assert ends.kind is RestKind.FLAT, ends
        assert not toy.orders
        assert run.record.trade is None
        return
    assert ends.kind is RestKind.PROTECTED, ends
    trade, nearest = run.record.trade, toy.nearest()
    assert trade is not None
    assert trade.stop is not None
    assert nearest is not None
    case = build(run.record, run.look(), run.frame())
    assert isinstance(case.belief, Held)
    assert not improves(trade.stop, nearest, trade.side), "the stop that stands is farther than the one that is wanted"
    wanted = {goal.price: size for goal, size in wanted_targets(case, case.belief)}
    standing = {o.trigger: o.size for o in toy.our_targets()}
    assert set(standing) <= set(wanted), "a target nobody wants stands"
    assert sum(standing.values()) <= abs(toy.size), "the targets take more than is held"


SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("people", [False, True], ids=["alone", "people"])
def test_moving_stops_and_several_targets(seed: int, people: bool) -> None:
    run = world(seed)
    live(run, 24, Random(seed + 2), people=people)
    judge(run, people=people)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("people", [False, True], ids=["alone", "people"])
def test_entries_that_rest(seed: int, people: bool) -> None:
    run = world(seed, rests=True)
    live(run, 24, Random(seed + 2), people=people)
    judge(run, people=people)
