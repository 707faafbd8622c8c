"""``make chaos``: a worker dies, and one freezes, at every named point; then the random load for some minutes.

``python -m tests.chaos --cells 4 --how die,freeze --only leases --minutes 0`` for a part of it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.setting import at_least_one
from tests.chaos import play
from tests.chaos.all_points import HOW, PASSED, orders_of, passages, strike_all, summary, unpassed
from tests.chaos.crash import HEAD, Strike
from tests.chaos.points import points

DAY_MINUTES = 24 * 60


def main() -> int:
    """Run what is asked for and print its tables; return 1 where something was violated or a point never passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=_minutes, default=0, help="of random load, after the points")
    parser.add_argument("--cells", type=at_least_one, default=4, help="installations that play scenes side by side")
    parser.add_argument("--how", default=",".join(HOW))
    parser.add_argument("--only", default="", help="a part of a point's name; - for none")
    parser.add_argument("--nth", type=at_least_one, default=1, help="at which passing to strike")
    parser.add_argument("--record", action="store_true", help="write down how often each point was passed")
    parser.add_argument("--accounts", type=int, default=3, choices=range(1, len(play.NAMES) + 1))
    parser.add_argument("--pause-s", type=float, default=0.25, help="between two things done, on average")
    given = parser.parse_args()
    if given.only != "-" and not any(given.only in point for point in points()):
        parser.error(f"argument --only: no point has this in its name (got {given.only}); - strikes none")
    if unknown := set(given.how.split(",")) - set(HOW):
        parser.error(f"argument --how: {', '.join(HOW)} or both (got {', '.join(sorted(unknown))})")
    _say(f"seed {given.seed}")
    kept = _points(given) if given.only != "-" else True
    return 0 if kept and _load(given) else 1


def _minutes(text: str) -> float:
    """Return a length of time given on the command line; 0 = no load."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1
    if not 0 <= minutes < DAY_MINUTES:
        raise argparse.ArgumentTypeError(f"minutes from 0 on, less than a day of them (got {text})")
    return minutes


def _points(given: argparse.Namespace) -> bool:
    orders = orders_of(
        [point for point in points() if given.only in point], given.how.split(","), nth=given.nth, seed=given.seed
    )
    folder, began = Path(tempfile.mkdtemp(prefix=f"points-{given.seed}-")), time.monotonic()
    _say(f"{len(orders)} strikes; the evidence is in {folder}\n{HEAD}")
    done = strike_all(folder, orders, given.cells, seed=given.seed, tell=_tell)
    complete = not given.only and given.nth == 1
    missing = unpassed(done) if complete else []
    if given.record:
        _record(passages(done), complete=complete)
    wrong = [each for each in done if each.wrong or not (each.struck or given.nth > 1)]
    _say("\n".join([*missing, summary(done)]))
    _say(f"{time.monotonic() - began:.0f} s, {len(wrong)} strikes not as promised, {len(missing)} points not passed")
    return not wrong and not missing


def _record(passed: Counter[str], *, complete: bool) -> None:
    """Write down how often each point was passed; a run of some points only adds what no earlier one found."""
    before = json.loads(PASSED.read_text()) if PASSED.exists() and not complete else {}
    counts = {point: before.get(point) or passed[point] for point in points()}
    PASSED.write_text(json.dumps(counts, indent=1) + "\n")


def _load(given: argparse.Namespace) -> bool:
    if given.minutes <= 0:
        return True
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{given.seed}-"))
    verdict = play.run(
        folder, seed=given.seed, seconds=given.minutes * 60, pause_s=given.pause_s, accounts=given.accounts
    )
    _say(f"{play.table(verdict)}\n{verdict}")
    return not verdict.wrong


def _tell(done: Strike) -> None:
    _say(f"{done.row}  ({done.took_s:.0f} s)" + (f"\n{done.story}" if done.story else ""))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
