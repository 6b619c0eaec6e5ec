"""Break the product on purpose and see what it does: a table case -> outcome.

    python -m benchmarks.faults                      # all of it
    python -m benchmarks.faults --only checkpoints   # one topic
    python -m benchmarks.faults --list

Everything happens in copies of the repository in a temporary folder. Exit status 1 when a case did not hold: a
traceback, a silent difference, or code of a file that was run. A case that this machine does not allow is "not tried".
"""

import argparse
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from benchmarks.faults import checkpoints, flows, settings, tracking, weights, workshop
from benchmarks.faults.case import Case, NotTried, Outcome

TOPICS: dict[str, list[Case]] = {
    topic.CASES[0].topic: topic.CASES for topic in (checkpoints, weights, tracking, settings, flows)}
MARKS = {True: "held", False: "FAILED", None: "not tried"}


def _attempt(case: Case, folder: Path) -> Outcome:
    """A case that itself breaks has not held."""
    try:
        return case.run(folder)
    except NotTried as reason:
        return Outcome(None, str(reason))
    except Exception as error:
        traceback.print_exc()
        return Outcome(False, f"the case itself broke: {type(error).__name__}: {error}")


def main() -> int:
    """Run the chosen cases; 0 when all held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(TOPICS), default=sorted(TOPICS), metavar="TOPIC",
                        help=f"topics to run (default: all): {', '.join(sorted(TOPICS))}")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    given = parser.parse_args()
    cases = [case for topic in given.only for case in TOPICS[topic]]
    if given.list:
        print("\n".join(f"{case.topic:<12}{case.name}" for case in cases))
        return 0
    return _run(cases)


def _run(cases: list[Case]) -> int:
    came = Counter()
    with tempfile.TemporaryDirectory(prefix="reanchor-faults-") as scratch:
        made = workshop.make(Path(scratch) / "made")
        for number, case in enumerate(tqdm(cases, unit="case", disable=None)):
            folder = workshop.copy(made, Path(scratch) / f"case-{number}")
            outcome = _attempt(case, folder)
            shutil.rmtree(folder, ignore_errors=True)
            came[outcome.held] += 1
            said = " ".join(outcome.said.split())[:200]
            tqdm.write(f"{MARKS[outcome.held]:<9} {case.topic:<12}{case.name:<52} {said}")
    print(f"{came[True]} of {len(cases)} held" + (f", {came[None]} not tried" if came[None] else ""))
    return 1 if came[False] else 0


if __name__ == "__main__":
    sys.exit(main())
