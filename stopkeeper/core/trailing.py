"""Where a stop should stand: pure functions from what is known to a better trigger.

A stop only moves towards the price unless a person says so. In this release the wanted trigger is the entry's, or the
one a person named, kept inside the liquidation price; moving policies come with the next.
"""

from decimal import Decimal

from stopkeeper.core.model import Side


def improves(wanted: Decimal, standing: Decimal, held: Side) -> bool:
    """Return whether a trigger is nearer to the price than the standing one."""
    return (wanted - standing) * held.sign > 0
