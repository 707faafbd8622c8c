"""Which scene passes which call of a port, and the calls that are struck in a second scene too."""

from tests.chaos.scenes import SCENES, Scene
from tests.chaos.striking import Order

#: Which scene passes a call. Whatever stands nowhere here is passed by an entry.
PLACES = {
    "move": ("announce PlaceStop", "conclude PlaceStop", "venue.place_stop"),
    "trail": ("venue.candles",),
    "close": (
        *("announce Cancel", "conclude Cancel", "announce Flatten", "conclude Flatten", "records.request"),
        *("venue.close", "venue.cancel"),
    ),
    "booking": ("booked",),
    "silent cancel": ("wakes.wake",),
    "lost record": ("venue.history",),
    "found": ("records.save/found",),
    "refused": ("records.save/refused",),
    "resting": ("prices.heard_ms",),
    "target": ("announce PlaceTarget", "conclude PlaceTarget", "venue.place_target"),
    "barred": ("flags.change",),
    "two prices": ("prices.count", "venue.mark"),
    "crowd": ("wakes.mark_due",),
    "stolen lease": ("leases.abandon",),
    "clocks": (
        "venue.poll_limits",
        "venue.short",
        "gaps.back",
        "gaps.lacking",
        "gaps.turn",
    ),
    "deaf": ("prices.put",),
    "funding": ("venue.funding", "gaps.lack"),
    "correction": ("records.save/correcting",),
    "leader": ("prices.hear", "records.confirm"),
}


#: What lies between a lost stop and the next one: struck there too while the position is naked.
WHILE_NAKED = (
    *("leases.acquire", "leases.renew", "records.load", "venue.holdings", "venue.orders", "records.save/learned"),
    *("venue.permit", "records.save/announce PlaceStop", "venue.place_stop", "records.save/conclude PlaceStop"),
)

#: What the feed passes from what it hears to a key that is woken.
WHILE_LEADING = (
    *("leases.renew", "records.all", "flags.read", "prices.put"),
    *("wakes.wake", "wakes.claim", "texts.load"),
)


#: What the guardian of a leading feed passes while Redis is silent.
WHILE_GUARDING = ("venue.wait_ms", "venue.holdings", "venue.orders", "venue.permit", "venue.place_stop")


def scene_of(order: Order) -> Scene:
    """Return the scene in which a process strikes."""
    if order.scene:
        return SCENES[order.scene]
    call = order.point.rpartition(":")[0]
    found = (name for name, places in PLACES.items() if any(call.endswith(place) for place in places))
    return SCENES[next(found, "entry")]
