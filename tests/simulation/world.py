"""One world from its seed to its verdict: a minute in which all goes wrong, then calm, rest, and the closing of all."""

from functools import partial
from random import Random

from stopkeeper.core.model import Key
from stopkeeper.engine import desk
from stopkeeper.engine.ports import Ports
from tests.simulation import actors
from tests.simulation.judge import Judge, Verdict
from tests.simulation.scenes import SCENES, Act, Scene
from tests.simulation.town import ACCOUNT, START_MS, Town
from tests.simulation.trouble import KINDS

ACTIVE_MS = 60_000
STEP_MS = 5_000
ROUNDS = 4
RESTLESS = 12  # drives a step at rest: the sweep's, a refresh's, an event's; who looks again for ever makes more
REST_MS = 180_000  # what lands a minute late, and what settles for another, is over by then


def kind_of(seed: int) -> str:
    """Return what kind of world a seed is; they take turns."""
    return KINDS[seed % len(KINDS)]


def live(seed: int, kind: str | None = None, *, told: bool = False) -> Verdict:
    """Live through the world of a seed and return its verdict; with its story if it is broken or was asked for."""
    town = Town(seed, kind or kind_of(seed))
    verdict = Verdict(seed, kind or kind_of(seed))
    judge = Judge(town, verdict)
    try:
        _live(town, judge, SCENES.get(verdict.kind) or _usual(town, Random(seed)))
    except Exception as bug:
        judge.broke("bug", f"{type(bug).__name__}: {bug}")
    verdict.counts["drives"] += town.drives
    verdict.counts["virtual seconds"] += (town.time.now_ms() - START_MS) // 1000
    if verdict.broken or told:
        town.world.gone = False
        verdict.story = _story(town)
    town.time.end()
    return verdict


def _usual(town: Town, rng: Random) -> Scene:
    """Return who acts in a world that dice make."""
    made, until_ms = town.trouble.profile, START_MS + ACTIVE_MS
    acts: list[Act] = [
        actors.market,
        lambda town: actors.signals(town, rng.randint(4, 8), until_ms - 10_000),
        actors.breakage,
    ]
    acts += [actors.people] if made.people else []
    acts += [actors.backsliding] if made.store_back else []
    return Scene(tuple(acts), ACTIVE_MS)


def _live(town: Town, judge: Judge, scene: Scene) -> None:
    for act in scene.acts:
        town.time.spawn(partial(act, town))
    town.time.run(START_MS + scene.for_ms)
    _calm(town)
    left = _settle(town, judge)
    if left:
        judge.broke("rest", "; ".join(left))
        return
    for _ in range(ROUNDS):  # what was sent long ago may enter still
        for symbol in sorted(town.account.positions):
            town.time.spawn(partial(_close, town, Key(ACCOUNT, symbol)))
        town.time.run(town.time.now_ms() + STEP_MS)
        left = _settle(town, judge)
        if left or not town.account.positions:
            break
    if left or town.account.positions:
        judge.broke("end", "; ".join(left) or f"{sorted(town.account.positions)} are held after they were closed")
    judge.end()


def _calm(town: Town) -> None:
    """End all trouble; what was on its way still arrives."""
    town.trouble.note("world", "calm")
    town.trouble.on, town.world.gone = False, False
    town.trouble.away_until_ms = town.trouble.spent_until_ms = town.ears.deaf_until_ms = 0
    for each in (town.trouble.mute_until_ms, town.trouble.losing, town.trouble.denying):
        each.clear()
    town.paper.knobs.address_limit = False
    town.paper.faults.rules.clear()
    town.ports.flags.change(ACCOUNT, paused=False, halted=False)


def _settle(town: Town, judge: Judge) -> list[str]:
    """Let time pass until all is at rest; return what never comes to it."""
    ends_ms = town.time.now_ms() + REST_MS
    left: list[str] = []
    while town.time.now_ms() < ends_ms:
        before = town.drives
        town.time.run(town.time.now_ms() + STEP_MS)
        left = judge.unrest()
        if (drives := town.drives - before) > RESTLESS:
            left.append(f"{drives} drives in {STEP_MS} ms, and nothing happens")
        if not left:
            return []
    return left


def _close(town: Town, key: Key) -> None:
    def close(ports: Ports) -> None:
        desk.ask_close(key, ports)

    town.command(f"closes {key.symbol}", close)


def _story(town: Town) -> list[str]:
    """Return all that happened, in order: what was done to the world, what the market saw, what the journal says."""
    journal = [
        (int(name.partition("-")[0]), f"journal {said.get('symbol', '')}", f"{said['kind']}: {said['text']}")
        for name, said in town.ports.journal.read(ACCOUNT, "0", 100_000)
    ]
    lines = sorted([*town.trouble.story, *journal], key=lambda line: line[0])
    return [f"{(at_ms - START_MS) / 1000:8.3f}  {who:<14} {what}" for at_ms, who, what in lines]
