"""``python -m tests.audit``: the nine faults put back one after the other; exit 1 unless all are caught and fixed."""

import argparse
import sys
import time

from tests.audit.runner import Broken, Verdict, copies, faults, judge, summary, table


def main() -> int:
    """Judge the faults named on the command line, or all, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__)
    parser.add_argument("fault", nargs="*", type=int, help="the numbers of the faults to put back; none = all")
    asked = parser.parse_args().fault
    began = time.monotonic()
    judged: list[Verdict] = []
    try:
        known = faults()
        chosen = [fault for fault in known if not asked or fault.number in asked]
        unknown = sorted(set(asked) - {fault.number for fault in known})
        if unknown:
            raise Broken(f"there is no fault {unknown[0]}: there are {', '.join(str(f.number) for f in known)}")
        with copies() as plain:
            for came in judge(chosen, plain):
                if isinstance(came, Verdict):
                    judged.append(came)
                    print("\n".join(table(came)), flush=True)
                else:
                    print(f"error: {came}", file=sys.stderr, flush=True)
    except Broken as broken:
        print(f"error: {broken}", file=sys.stderr)
        return 1
    good = sum(verdict.caught and verdict.fixed for verdict in judged)
    print("", *summary(judged), "", sep="\n")
    print(f"{good} of {len(chosen)} faults caught and fixed in {time.monotonic() - began:.0f} s")
    return 0 if good == len(chosen) else 1


sys.exit(main())
