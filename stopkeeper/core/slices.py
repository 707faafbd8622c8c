"""How a position is divided among its targets: the arithmetic of several take-profits."""

from collections.abc import Sequence
from decimal import Decimal

from stopkeeper.core.model import ZERO, Market
from stopkeeper.core.prices import Toward, to_step
from stopkeeper.core.record import Goal

ALL = Decimal("0.999999")  # thirds do not add up to 1


def slices(
    goals: Sequence[Goal], filled: Decimal, taken: Decimal, held: Decimal, market: Market
) -> tuple[Decimal, ...]:
    """Return how much each target, nearest first, is to close now; 0 = nothing is left for it.

    Each takes its fraction of what was entered, ``filled``; what was ``taken`` already was the nearest ones'. Together
    never more than is held. Where the fractions add up to all, the farthest takes the rest. A slice below
    the venue's least order is the next one's.
    """
    sizes = [to_step(filled * goal.fraction, market.size_step, Toward.DOWN) for goal in goals]
    everything = sum((goal.fraction for goal in goals), ZERO) >= ALL
    sizes = _less(sizes, taken)
    room = held
    for index, size in enumerate(sizes):
        sizes[index] = min(size, room)
        room -= sizes[index]
    if everything:
        sizes[-1] += room
    return tuple(_merged(sizes, goals, held, market))


def _less(sizes: list[Decimal], taken: Decimal) -> list[Decimal]:
    left = []
    for size in sizes:
        used = min(taken, size)
        taken -= used
        left.append(size - used)
    return left


def _merged(sizes: list[Decimal], goals: Sequence[Goal], held: Decimal, market: Market) -> list[Decimal]:
    """Give a slice too small for an order of its own to the next farther one, the farthest's to the one before."""
    for index, size in enumerate(sizes):
        if not 0 < size < held or size * goals[index].price >= market.min_notional:
            continue
        others = [i for i, each in enumerate(sizes) if i != index and each > 0]
        heir = next((i for i in others if i > index), max(others, default=None))
        if heir is not None:
            sizes[heir] += size
        sizes[index] = ZERO
    return sizes


def standing(goals: Sequence[Goal], filled: Decimal, taken: Decimal) -> list[Goal]:
    """Return the targets that were not taken yet, nearest first, by what was entered and what targets closed of it."""
    left, found = taken / filled if filled else ZERO, []
    for goal in goals:
        left -= goal.fraction * ALL
        if left < 0:
            found.append(goal)
    return found


def ordered(goals: Sequence[Goal], sign: int) -> tuple[Goal, ...]:
    """Return targets nearest first for a long (sign 1) or short (-1), those of one price as one."""
    fractions: dict[Decimal, Decimal] = {}
    for goal in goals:
        fractions[goal.price] = fractions.get(goal.price, ZERO) + goal.fraction
    return tuple(Goal(price, fractions[price]) for price in sorted(fractions, key=lambda price: price * sign))
