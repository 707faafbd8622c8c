"""Which parts an account cannot do without are missing, as sentences: what is gone, what goes on, what cures it.

May live here: judging facts that others gathered. What they say nothing about is in no answer. Ages are ms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from stopkeeper.core.rules import Rules

APART_MS = 60_000  # a clock that is so far off is set wrong; less is drift, and no rule leans on it
BEAT_LOST_MS = 10_000
IDLE_SWEEPS = 3  # where beat asks for no sweep, a feed does so once there was none for two periods


class Part(StrEnum):
    """What may be missing of an account while its processes and Redis run."""

    VENUE = "venue"
    KEY = "key"
    CLOCK = "clock"
    BUDGET = "budget"
    STREAMS = "streams"
    BEAT = "beat"
    WORKER = "worker"
    HOSTS = "hosts"


#: How long a part is missing before anybody is told: a lost answer, a burst of requests, a start are everyday.
PATIENCE_MS: Mapping[Part, int] = {
    Part.VENUE: 2_000, Part.BUDGET: 4_000, Part.STREAMS: 3_000, Part.BEAT: 3_000, Part.WORKER: 10_000, Part.HOSTS: 3_000
}  # fmt: skip
#: What the alarm of a part is called: of a bar, drives tell by the same name.
KINDS: Mapping[Part, str] = {**{part: str(part) for part in Part}, Part.KEY: "barred"}


_STANDS = "stops at the venue stand, entries wait, it is asked again by itself"
_STILL = "nothing is entered, placed, moved or closed, only stops at the venue stand"
_NO_WORKER = f"no worker is heard of: {_STILL}"
_EXPIRED = "messages have expired where they arrive, drives come late or never; set the clocks, and keep them (NTP)"


@dataclass(frozen=True, slots=True)
class Clock:
    """What a process knows of the venue's time: the age of its offset (None = unknown), and venue minus this machine.

    ``doubted`` = the venue's last answers contradict the offset.
    """

    age_ms: int | None
    apart_ms: int | None = None
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """A request that the venue left without a usable answer, how long ago, and why."""

    why: str
    age_ms: int


@dataclass(frozen=True, slots=True)
class Processes:
    """What is heard of an installation's processes: the age of beat's last tick (None = none was ever heard of).

    ``workers`` is how many worker processes live, ``apart`` says which hosts' clocks are apart ("" = none); of both
    None = nobody asked. ``idle_ms`` is for how long they have lived and none has carried out a tick or a sweep; None =
    nobody lives who would ask for one.
    """

    beat_ms: int | None = None
    workers: int | None = None
    apart: str | None = None
    idle_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What one process sees of an account's parts. None = it has never seen any.

    ``read_ms`` is the age of the newest reading of the positions by any process, ``noted_ms`` for how long each part
    has been noted as missing, ``listed`` whether the venue's list of perpetuals is known, ``sweep_ms`` the period of
    sweeps.
    """

    silence: Silence | None
    read_ms: int | None
    clock: Clock
    short: str
    barred: str
    heard_ms: int | None
    processes: Processes
    noted_ms: Mapping[str, int]
    listed: bool = True
    sweep_ms: int = 15_000


def judge(facts: Facts, rules: Rules) -> Mapping[Part, str]:
    """Return a sentence for each part that is missing and "" for each that is there; what cannot be told is left out.

    A process that saw nothing since a part was noted as missing cannot tell that it is back.
    """
    found = {
        Part.KEY: _key(facts.barred),
        Part.BUDGET: facts.short and f"{facts.short}; entries wait, protection has a share of its own",
        Part.STREAMS: _streams(facts.heard_ms, rules),
    }
    heard, idle = facts.processes, _idle(facts)
    if heard.workers is not None:
        found[Part.WORKER] = idle if heard.workers else f"{_NO_WORKER}; see stopkeeper worker"
    if heard.apart is not None:
        found[Part.HOSTS] = heard.apart and f"the hosts' clocks are apart ({heard.apart}): {_EXPIRED}"
    if heard.workers != 0 and not idle:  # a worker carries out a tick: without one beat's silence tells nothing of it
        found[Part.BEAT] = _beat(heard.beat_ms, fed=not found[Part.STREAMS])
    venue, clock = _venue(facts), clock_trouble(facts.clock, rules)
    if venue or _since(facts.read_ms, Part.VENUE, facts):
        found[Part.VENUE] = venue
    if _has_asked(facts) if clock else _since(facts.clock.age_ms, Part.CLOCK, facts):
        found[Part.CLOCK] = clock
    return found


def _since(age_ms: int | None, part: Part, facts: Facts) -> bool:
    """Return whether something so old was seen after the part was noted as missing."""
    return age_ms is not None and (part not in facts.noted_ms or age_ms < facts.noted_ms[part])


def _has_asked(facts: Facts) -> bool:
    """Return whether a process whose clock may be in trouble asked the venue since it was right.

    One that had nothing to ask for a minute does not know the time, and measures it with its first question.
    """
    clock, silence = facts.clock, facts.silence
    if clock.doubted or clock.age_ms is None:
        return clock.doubted
    return clock.age_ms <= facts.sweep_ms or (silence is not None and silence.age_ms < clock.age_ms)


def _venue(facts: Facts) -> str:
    """The newest word counts: a silence younger than the newest reading of anybody. Who may not ask says nothing."""
    silence, read_ms = facts.silence, facts.read_ms
    if not facts.listed:
        return f"the venue's list of perpetuals could not be read: nothing can be judged or sent, {_STANDS}"
    if silence is None or facts.short or (read_ms is not None and read_ms <= silence.age_ms):
        return ""
    since = "" if read_ms is None else f", last read {read_ms // 1000} s ago"
    return f"the venue does not answer ({silence.why}{since}): {_STANDS}"


def _key(barred: str) -> str:
    if not barred:
        return ""
    stands = "no entries, stops that stand stand, it is asked again every 10 s"
    cure = "approve a new agent on the venue's page, put its key into private_key_file, restart: it goes on by itself"
    return f"the venue refuses the key ({barred}): {stands}; {cure}"


def clock_trouble(clock: Clock, rules: Rules) -> str:
    """Return why no entry may leave by this clock, or ""; protection needs none."""
    waits = "no entries until it is measured, protection goes on"
    if clock.doubted:
        return f"the venue's time contradicts the offset to its clock as measured before: {waits}"
    if clock.age_ms is None:
        return f"the offset to the venue's clock was never measured: {waits}"
    if clock.age_ms > rules.offset_max_age_ms:
        return f"the offset to the venue's clock is {clock.age_ms // 1000} s old: {waits}"
    if clock.apart_ms is not None and abs(clock.apart_ms) > APART_MS:
        where = "behind" if clock.apart_ms > 0 else "ahead of"
        far = round(abs(clock.apart_ms) / 1000)
        return f"this machine's clock is {far} s {where} the venue's: no entries until it is set, protection goes on"
    return ""


def _streams(heard_ms: int | None, rules: Rules) -> str:
    if heard_ms is not None and heard_ms < rules.feed_lost_ms:
        return ""
    since = "were never heard" if heard_ms is None else f"are silent for {heard_ms // 1000} s"
    goes_on = "looks by request go on, resting entries are cancelled"
    return f"the account's streams {since}: {goes_on}; see stopkeeper feed"


def _idle(facts: Facts) -> str:
    """Workers that live may take no messages: refused by the queue, or cut off from it."""
    heard = facts.processes
    if not heard.workers or heard.idle_ms is None or heard.idle_ms < IDLE_SWEEPS * facts.sweep_ms:
        return ""
    live = f"{heard.workers} worker processes live and none has carried anything out for {heard.idle_ms // 1000} s"
    return f"{live}: {_STILL}; their log says why they take no messages, else restart them"


def _beat(beat_ms: int | None, *, fed: bool) -> str:
    if beat_ms is not None and beat_ms < BEAT_LOST_MS:
        return ""
    since = "none was ever heard of" if beat_ms is None else f"the last one was {beat_ms // 1000} s ago"
    goes_on = "the feed's ticker drains and sweeps instead" if fed else "and no feed is heard that would drain instead"
    return f"no tick of the clock is carried out ({since}): {goes_on}; see stopkeeper beat"
