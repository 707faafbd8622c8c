"""Live through worlds by their seeds: ``python -m tests.simulation START:COUNT``, as ``make simulate`` does.

Prints what was lived through and what was broken, with the story of the first broken world; appends a line a range to
the file of ``--results``. Exit 1 where anything was broken. With ``--plant`` the rules of the engine are broken, one at
a time, and each must be caught.
"""

import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import click

from tests.simulation.judge import Verdict
from tests.simulation.planted import KINDS as WHERE
from tests.simulation.planted import PLANTED, planted
from tests.simulation.trouble import KINDS, SCENES
from tests.simulation.world import live

CHUNK = 50
FEW = 10  # seeds a process takes at a time where the first that shows something ends the search
SHOWN = 20
COLLECTED = 50_000  # objects until the collector looks: a world makes many that live as long as itself
SCENE_SHARE = 50  # of so many seeds that take turns one more is lived through in each scene


def main() -> None:
    """Run the command, with hashes that are the same in every run: sets of the engine are walked in their order."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606
    simulate()


@click.command()
@click.argument("seeds", default="0:1000")
@click.option(
    "--kind",
    type=click.Choice((*KINDS, *SCENES)),
    help=f"Only this kind of world; {KINDS[0]} to {KINDS[-1]} take turns otherwise, and each scene has its share.",
)
@click.option("--plant", help="Break a rule of the engine by name, or all of them one by one.")
@click.option("--story", is_flag=True, help="Print the story of every world, not only of the first broken one.")
@click.option("--results", type=click.Path(path_type=Path), help="Append a line of figures to this file.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Processes.")
def simulate(seeds: str, kind: str | None, plant: str | None, story: bool, results: Path | None, jobs: int) -> None:
    """Live through COUNT worlds from seed START on."""
    start, _, count = seeds.partition(":")
    if not start.isdecimal() or not (count or "1").isdecimal() or int(count or "1") < 1:
        raise click.BadParameter(f"seeds are START:COUNT, for example 0:1000 (got {seeds})")
    span = range(int(start), int(start) + int(count or "1"))
    if plant:
        raise SystemExit(_plant(plant, span, kind, jobs, stories=story))
    raise SystemExit(_live(span, kind, jobs, results, stories=story))


def _live(span: range, kind: str | None, jobs: int, results: Path | None, *, stories: bool) -> int:
    began, counts, naked, broken = time.monotonic(), Counter[str](), list[float](), list[Verdict]()
    for verdict in _verdicts(span, kind, jobs, told=stories):
        counts += verdict.counts
        naked += verdict.naked_ms
        if verdict.broken:
            broken.append(verdict)
        if stories:
            print("\n".join(verdict.story))
    seconds = time.monotonic() - began
    ordered = sorted(naked)
    worst = (
        f"naked {len(ordered)} times, median {median(ordered):.0f} ms, longest {ordered[-1]:.0f}"
        if ordered
        else "never naked"
    )
    worlds = len(span) + (len(span) // SCENE_SHARE * len(SCENES) if kind is None else 0)
    pace = 1000 * seconds * jobs / max(1, worlds)
    line = (
        f"seeds {span.start}:{len(span)}: {worlds} worlds, {len(broken)} broken; {counts['entries']} entries, "
        f"{counts['exits']} exits, {counts['our orders']} orders, {counts['drives']} drives, "
        f"{counts['virtual seconds'] / 3600:.0f} virtual hours; {worst}; {seconds:.0f} s, {pace:.0f} ms a world"
    )
    print(line)
    if results is not None:
        with results.open("a") as file:
            file.write(f"{line}\n")
    for verdict in broken[:SHOWN]:
        print(f"seed {verdict.seed} ({verdict.kind}): " + "; ".join(f"{rule}: {what}" for rule, what in verdict.broken))
    if broken and not stories:
        first = broken[0]
        said = f" ARGS='--kind {first.kind}'" if kind is not None or first.kind in SCENES else ""
        print(f"\nthe story of seed {first.seed}; again: make simulate SEEDS={first.seed}:1{said}")
        print("\n".join(broken[0].story))
    return int(bool(broken))


def _verdicts(span: range, kind: str | None, jobs: int, *, told: bool) -> Iterator[Verdict]:
    chunks = [(chunk, kind) for chunk in _chunks(span)]
    scenes = range(span.start, span.start + len(span) // SCENE_SHARE) if kind is None else range(0)
    chunks += [(chunk, scene) for scene in SCENES for chunk in _chunks(scenes)]
    if jobs == 1 or len(chunks) == 1:
        _collect_seldom()
        for chunk, each in chunks:
            yield from _chunk((chunk, each, told))
        return
    with ProcessPoolExecutor(jobs, initializer=_collect_seldom) as pool:
        for found in pool.map(_chunk, [(chunk, each, told) for chunk, each in chunks]):
            yield from found


def _collect_seldom() -> None:
    gc.set_threshold(COLLECTED)


def _chunks(span: range, size: int = CHUNK) -> list[range]:
    return [range(at, min(at + size, span.stop)) for at in range(span.start, span.stop, size)]


def _chunk(what: tuple[range, str | None, bool]) -> Sequence[Verdict]:
    span, kind, told = what
    return [live(seed, kind, told=told) for seed in span]


def _shown(what: tuple[range, str | None, str]) -> Verdict | None:
    """Return the first world that is broken by a rule that is, and unbroken without."""
    span, kind, plant = what
    for seed in span:
        with planted(plant):
            verdict = live(seed, kind)
        if verdict.broken and not live(seed, kind).broken:
            return verdict
    return None


def _plant(name: str, span: range, kind: str | None, jobs: int, *, stories: bool) -> int:
    """Break rules and see each caught; print which judge caught it, and after how many seeds."""
    names = list(PLANTED) if name == "all" else [name]
    unknown = [each for each in names if each not in PLANTED]
    if unknown:
        raise click.BadParameter(f"--plant: {unknown[0]} is none of {', '.join(PLANTED)}")
    missed = 0
    for each in names:
        found = _caught(each, span, kind or WHERE.get(each), jobs)
        missed += found is None
        said = (
            "NOT CAUGHT"
            if found is None
            else f"seed {found.seed} ({found.kind}) {found.broken[0][0]}: {found.broken[0][1]}"
        )
        after = len(span) if found is None else found.seed - span.start + 1
        print(f"{each:<34} after {after:>5} seeds: {said[:150]}", flush=True)
        if stories and found is not None:
            print("\n".join(found.story))
    print(f"{len(names) - missed} of {len(names)} planted bugs caught")
    return int(bool(missed))


def _caught(name: str, span: range, kind: str | None, jobs: int) -> Verdict | None:
    with ProcessPoolExecutor(jobs, initializer=_collect_seldom) as pool:
        waiting = [pool.submit(_shown, (chunk, kind, name)) for chunk in _chunks(span, FEW)]
        for each in waiting:
            shown = each.result()
            if shown is not None:
                for other in waiting:
                    other.cancel()
                return shown
    return None


if __name__ == "__main__":
    main()
