"""Watch the parts an account cannot do without: the journal tells once what is missing, and once that it is back.

Nothing here decides about a position. What counts as missing stands in core/missing.py.
"""

from collections.abc import Collection
from dataclasses import dataclass

from stopkeeper.core.actions import Field
from stopkeeper.core.missing import KINDS, PATIENCE_MS, Facts, Part, Processes, judge
from stopkeeper.core.outcomes import Accepted, Barred, Outcome, Throttled
from stopkeeper.engine.ports import Ports, Urgency

PROOF_MS = 10_000  # how often a venue that bars the account is asked whether it still does
KEY_MS = 30_000  # how often it is asked for the keys it takes
UNLISTED_MS = 300_000  # it does not list every key it takes: one that is not listed is tried so often
NOTHING_HEARD = Processes()
OF_FEEDS = frozenset({Part.STREAMS, Part.BEAT, Part.WORKER, Part.HOSTS})
OF_WORKERS = frozenset(Part) - OF_FEEDS | {Part.STREAMS}


@dataclass(frozen=True, slots=True)
class Lack:
    """A part that is missing, the sentence that says so, and since when (ms; None = it was not noted yet)."""

    part: Part
    text: str
    for_ms: int | None


def facts(ports: Ports, heard: Processes) -> Facts:
    """Gather what this process and the store know of an account's parts. Raises StoreGone.

    The venue is asked for nothing, but for its list of perpetuals where nobody has it.
    """
    return Facts(
        silence=ports.venue.silence(),
        read_ms=ports.looks.load(ports.account)[1].get(Field.HOLDINGS),
        clock=ports.venue.clock(),
        short=ports.venue.short(),
        barred=ports.flags.read(ports.account).barred,
        heard_ms=ports.prices.heard_ms(ports.account),
        processes=heard,
        listed=bool(ports.venue.markets()),
        noted_ms=ports.gaps.lacking(ports.account),
        sweep_ms=ports.times.sweep_ms,
    )


def missing(ports: Ports, heard: Processes) -> tuple[Lack, ...]:
    """Return what is missing now, by what this process knows; notes nothing. Raises StoreGone."""
    known = facts(ports, heard)
    found = judge(known, ports.rules)
    return tuple(Lack(part, text, known.noted_ms.get(part)) for part, text in found.items() if text)


def watch(ports: Ports, parts: Collection[Part], heard: Processes = NOTHING_HEARD) -> None:
    """Note which of these parts are missing and which are there; tell the journal what is new. Raises StoreGone."""
    account = ports.account
    for part, text in judge(facts(ports, heard), ports.rules).items():
        if part not in parts:
            continue
        if text:
            if ports.gaps.lack(account, part, PATIENCE_MS.get(part, 0)):
                ports.journal.write(account, "", f"alarm:{KINDS[part]}", f"{account}: {text}")
            continue
        gone_ms = ports.gaps.back(account, part)
        if gone_ms is not None:
            told = f"{account}: {part} is there again after {gone_ms / 1000:.0f} s"
            ports.journal.write(account, "", f"back:{KINDS[part]}", told)


def keep(ports: Ports) -> None:
    """Do what a worker does from time to time for an account: watch its parts, ask for its key. Raises StoreGone."""
    watch(ports, OF_WORKERS)
    ask_key(ports)


def ask_key(ports: Ports) -> None:
    """Find out whether the venue takes our key, at a pace of its own: set the bar, or lift it. Raises StoreGone."""
    account = ports.account
    if ports.flags.read(account).barred:
        if ports.gaps.turn(account, "proof", PROOF_MS) and isinstance(_proof(ports), Accepted):
            ports.flags.change(account, barred="")
            ports.journal.write(account, "", "switch", "the venue takes the key again: the bar is lifted")
        return
    if not ports.gaps.turn(account, "key", KEY_MS) or not ports.venue.key_trouble():
        return
    if ports.gaps.turn(account, "unlisted", UNLISTED_MS):
        outcome = _proof(ports)
        if isinstance(outcome, Barred):
            ports.flags.change(account, barred=outcome.text)


def _proof(ports: Ports) -> Outcome:
    permit = ports.venue.permit(Urgency.PROTECTIVE, ports.venue.now_ms() + ports.times.deadline_ms)
    return permit if isinstance(permit, Throttled) else ports.venue.prove(permit)
