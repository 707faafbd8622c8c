"""Rules of the engine broken on purpose, one at a time, to see that the judge of worlds notices.

Which there are, by name, and in which kind of world each is looked for. Only the simulation's own process is touched.
"""

import contextlib
from collections.abc import Callable, Iterator

from tests.simulation import bugs_in_core as core
from tests.simulation import bugs_in_engine as engine
from tests.simulation.bugs_in_core import Swap

KINDS: dict[str, str] = {
    "absence-at-once": "lossy", "new-nonces": "lossy", "no-deadline": "lossy", "two-drivers": "crashing",
    "keeps-lease": "crashing", "no-emergency": "venue", "sends-again": "lossy", "numbers-by-record": "back",
    "writes-after": "dying", "covers-its-own": "people", "cached-size": "people", "any-stop-covers": "people",
    "books-at-sight": "away", "stops-behind-liquidation": "leveraged",
    "no-quiet": "relay", "hanging-forgotten": "hanging", "history-unread": "wiped",
    "child-is-litter": "forgotten", "loss-unnoticed": "wiped",
    "entries-over-litter": "wiped", "forgets-unnoticed": "failover", "ending-last": "turned",
    "no-successor": "turned", "either-side-covers": "turned", "refusal-is-done": "refusing", "loses-wakes": "asked",
    "cancels-foreign": "strangers", "one-reading-closes": "prices", "zero-is-a-price": "prices",
    "waits-beyond": "gapping", "nothing-kept": "metered", "flat-by-one-reading": "denied",
    "flat-by-any-two": "denied", "believes-the-list": "unlisted", "looks-once": "cancelled",
}  # fmt: skip
"""Worlds in which a broken rule can matter, where they are rare among all."""

PLANTED: dict[str, Callable[[], list[Swap]]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        core.flat_as_read, core.absence_at_once, engine.no_quiet, core.ending_last, core.old_stop_first,
        core.tidies_by_number, core.tidies_on_unknown, core.ack_is_cover, core.hanging_forgotten, core.history_unread,
        core.child_is_litter, core.loss_unnoticed, engine.cached_size,
        engine.two_drivers, engine.no_deadline, engine.new_nonces, core.adopted_without_stop, core.unprotected,
        core.no_emergency, core.any_stop_covers, core.either_side_covers, core.loosens, engine.not_reduce_only,
        engine.refusal_is_done, core.books_at_sight, core.no_successor, core.late_signals, core.entries_over_litter,
        engine.sleeps_for_ever, engine.keeps_lease, core.stops_behind_liquidation,
        engine.numbers_by_record, engine.writes_after, engine.loses_wakes, engine.closes_what_it_ordered,
        core.one_reading_closes, engine.zero_is_a_price, engine.sends_again, core.cancels_foreign, core.covers_its_own,
        core.exits_by_price, engine.drives_for_ever, engine.signals_vanish, engine.accepts_the_refused,
        engine.twice_the_size, engine.nothing_kept, core.waits_beyond,
        core.forgets_unnoticed, core.flat_by_one_reading, core.flat_by_any_two, engine.believes_the_list,
        engine.looks_once,
    )
}  # fmt: skip


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Break a rule by its name for a while; None breaks none."""
    swaps = PLANTED[name]() if name else []
    kept = [(where, what, where.__dict__[what]) for where, what, _ in swaps]
    for where, what, new in swaps:
        setattr(where, what, new)
    try:
        yield
    finally:
        for where, what, old in kept:
            setattr(where, what, old)
