"""One run from start to verdict, with its evidence on disk; also as a command for runs of many minutes.

``python -m tests.chaos.play --seed 3 --seconds 200 --latency-ms 50``
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos import judge
from tests.chaos.schedule import Event, play
from tests.chaos.stack import Stack, running


@dataclass
class Verdict:
    """What was found wrong, and every naked interval."""

    seed: int
    wrong: list[str]
    naked: list[judge.Naked]
    witness: dict[str, dict[str, Any]]
    folder: Path

    def __str__(self) -> str:
        return "\n".join([f"CHAOS_SEED={self.seed}; the evidence is in {self.folder}", *self.wrong])


def run(
    folder: Path, *, seed: int, seconds: float, latency_ms: int = 0, pause_s: float = 0.7, metered: bool = False
) -> Verdict:
    """Break a fresh stack for so long, let it calm down, and judge."""
    with contextlib.ExitStack() as held:
        stack = held.enter_context(running(folder, seed=seed, latency_ms=latency_ms))
        if not metered:
            held.enter_context(stack.unmetered())
        events: list[Event] = []
        try:
            play(stack, seed, seconds, pause_s, events)
            stack.calm()
            stack.run("resume", "main")
            wrong = judge.settle(stack)
            wrong += _close_all(stack)
            witness = stack.witness()
            found = judge.naked(witness, events)
            wrong += judge.of_orders(witness, events) + judge.of_naked(found, events) + judge.of_ledger(stack, witness)
            return Verdict(seed, wrong, found, witness, folder)
        finally:
            _keep(stack, events)


def _close_all(stack: Stack) -> list[str]:
    """Close what is left, as a person would, so that every trade is booked."""
    result = stack.run("flatten", "main", "--wait", "25")
    end = time.monotonic() + 15
    while stack.told("positions", "main") and time.monotonic() < end:
        time.sleep(0.5)
    left = stack.told("positions", "main")
    return [f"flatten: exit {result.returncode}; left: {left}"] if result.returncode or left else []


def _keep(stack: Stack, events: list[Event]) -> None:
    with (stack.folder / "events.json").open("w") as file:
        json.dump([asdict(each) for each in events], file, indent=0)
    for name, words in {"journal": ("journal", "main", "--last", "10000"), "trades": ("trades", "main")}.items():
        result = stack.run(*words, "--json")
        (stack.folder / f"{name}.json").write_text(result.stdout)
    (stack.folder / "witness.json").write_text(json.dumps(stack.witness(), indent=1))
    (stack.folder / "stats.json").write_text(json.dumps(stack.get("/stats"), indent=1))
    (stack.folder / "orders.json").write_text(json.dumps(stack.orders(), indent=1))


def main() -> int:
    """Run one seed and print the verdict as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--pause-s", type=float, default=0.7)
    parser.add_argument("--metered", action="store_true", help="keep to the venue's rate limit, as a user must")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{given.seed}-"))
    verdict = run(
        folder,
        seed=given.seed,
        seconds=given.seconds,
        latency_ms=given.latency_ms,
        pause_s=given.pause_s,
        metered=given.metered,
    )
    naked = [asdict(each) for each in verdict.naked]
    sys.stdout.write(
        json.dumps({"seed": given.seed, "folder": str(folder), "wrong": verdict.wrong, "naked": naked}, indent=1)
    )
    sys.stdout.write("\n")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
