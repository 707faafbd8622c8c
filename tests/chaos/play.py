"""One run from start to verdict, with its evidence on disk: rounds of chaos, each followed by calm and judgement.

``python -m tests.chaos.play --seed 3 --seconds 200 --accounts 3``
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import judge
from tests.chaos.launch import running
from tests.chaos.machine import Event
from tests.chaos.schedule import play
from tests.chaos.stack import MAIN, Stack
from tests.chaos.story import of_run

ROUND_S = 120.0
NAMES = (MAIN, "second", "third", "fourth")


@dataclass
class Verdict:
    """What was found wrong, every naked interval, and the counts."""

    seed: int
    folder: Path
    wrong: list[str] = field(default_factory=list)
    naked: list[judge.Naked] = field(default_factory=list)
    witness: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    signals: int = 0
    seconds: float = 0.0

    @property
    def entries(self) -> int:
        return sum(judge.entries(book) for book in self.witness.values())

    def __str__(self) -> str:
        told = of_run(self.folder, self.wrong, self.events) if self.wrong else ""
        return "\n".join([f"CHAOS_SEED={self.seed}; the evidence is in {self.folder}", *self.wrong, told])


def run(
    folder: Path,
    *,
    seed: int,
    seconds: float,
    latency_ms: int = 0,
    pause_s: float = 0.7,
    metered: bool = False,
    accounts: int = 1,
) -> Verdict:
    """Break a fresh stack for so long, let it calm down after each round, and judge. It ends with the first fault."""
    verdict, began = Verdict(seed, folder), time.monotonic()
    with contextlib.ExitStack() as held:
        stack = held.enter_context(running(folder, seed=seed, latency_ms=latency_ms, accounts=NAMES[:accounts]))
        if not metered:
            held.enter_context(stack.unmetered())
        try:
            left = seconds
            while left > 0 and not verdict.wrong:
                _round(stack, verdict, min(left, ROUND_S), pause_s)
                verdict.seconds = time.monotonic() - began
                left -= ROUND_S
        finally:
            _keep(stack, verdict.events)
    return verdict


def _round(stack: Stack, verdict: Verdict, seconds: float, pause_s: float) -> None:
    """Break for so long, calm down, close all, judge all that happened until now."""
    verdict.signals += play(stack, verdict.seed + len(verdict.events), seconds, pause_s, verdict.events)
    stack.calm()
    for account in stack.addresses:
        stack.run("resume", account)
    wrong = judge.settle(stack)
    for account in stack.addresses:
        wrong += _close_all(stack, account)
    wrong += judge.hanging(stack)
    verdict.naked = []
    for account in stack.addresses:
        witness = verdict.witness[account] = stack.witness(account)
        found = judge.naked(witness, verdict.events, account)
        wrong += judge.of_orders(witness, verdict.events, account) + judge.of_naked(found, verdict.events)
        wrong += judge.of_ledger(stack, witness, account)
        verdict.naked += found
    verdict.wrong = wrong


def _close_all(stack: Stack, account: str) -> list[str]:
    """Close what is left, as a person would, so that every trade is booked."""
    result = stack.run("flatten", account, "--wait", "25")
    end = time.monotonic() + 15
    while stack.told("positions", account) and time.monotonic() < end:
        time.sleep(0.5)
    left = stack.told("positions", account)
    return [f"flatten {account}: exit {result.returncode}; left: {left}"] if result.returncode or left else []


def _keep(stack: Stack, events: list[Event]) -> None:
    with (stack.folder / "events.json").open("w") as file:
        json.dump([asdict(each) for each in events], file, indent=0)
    for account in stack.addresses:
        told = {"journal": ("journal", account, "--last", "10000"), "trades": ("trades", account)}
        for name, words in told.items():
            result = stack.run(*words, "--json")
            (stack.folder / f"{name}-{account}.json").write_text(result.stdout)
        (stack.folder / f"orders-{account}.json").write_text(json.dumps(stack.orders(account), indent=1))
    (stack.folder / "witness.json").write_text(json.dumps(stack.get("/witness"), indent=1))
    (stack.folder / "stats.json").write_text(json.dumps(stack.get("/stats"), indent=1))


def table(verdict: Verdict) -> str:
    """Return the counts of a run, and naked time by what took the cover and by what stood in the way, as text."""
    done = Counter(judge.fault_class(each) for each in verdict.events)
    counts = f"{verdict.signals} signals, {verdict.entries} entries, {len(verdict.naked)} naked intervals"
    lines = [
        f"seed {verdict.seed}: {verdict.seconds:.0f} s, {counts}, {len(verdict.wrong)} wrong",
        "done: " + ", ".join(f"{count} {kind}" for kind, count in sorted(done.items())),
        f"{'naked because of':<28}{'count':>6}{'median ms':>11}{'worst ms':>11}",
    ]
    causes = sorted({each.cause or "nothing known" for each in verdict.naked})
    lines += [_row(cause, [n.ms for n in verdict.naked if (n.cause or "nothing known") == cause]) for cause in causes]
    lines.append(f"{'while this was in the way':<28}")
    hindered = sorted({kind for each in verdict.naked for kind in each.hindered})
    lines += [_row(kind, [n.ms for n in verdict.naked if kind in n.hindered]) for kind in hindered]
    lines.append(_row("nothing", [n.ms for n in verdict.naked if not n.hindered]))
    return "\n".join(lines)


def _row(name: str, times: list[float]) -> str:
    if not times:
        return f"{name:<28}{0:>6}"
    ordered = sorted(times)
    return f"{name:<28}{len(times):>6}{ordered[len(times) // 2]:>11.0f}{ordered[-1]:>11.0f}"


def main() -> int:
    """Run one seed, print its table and what was wrong; with --sum append the counts to a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--pause-s", type=float, default=0.7)
    parser.add_argument("--accounts", type=int, default=3, choices=range(1, len(NAMES) + 1))
    parser.add_argument("--metered", action="store_true", help="keep to the venue's rate limit, as a user must")
    parser.add_argument("--sum", type=Path, help="a file to append this run's counts and naked times to, as JSON")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{given.seed}-"))
    verdict = run(
        folder,
        seed=given.seed,
        seconds=given.seconds,
        latency_ms=given.latency_ms,
        pause_s=given.pause_s,
        metered=given.metered,
        accounts=given.accounts,
    )
    sys.stdout.write(f"{table(verdict)}\n{verdict}\n")
    if given.sum is not None:
        with given.sum.open("a") as file:
            file.write(json.dumps(_counts(verdict)) + "\n")
    return 1 if verdict.wrong else 0


def _counts(verdict: Verdict) -> dict[str, Any]:
    return {
        "seed": verdict.seed,
        "seconds": round(verdict.seconds),
        "signals": verdict.signals,
        "entries": verdict.entries,
        "done": Counter(judge.fault_class(each) for each in verdict.events),
        "naked": [asdict(each) for each in verdict.naked],
        "wrong": verdict.wrong,
        "folder": str(verdict.folder),
    }


if __name__ == "__main__":
    sys.exit(main())
