"""Log to MLflow what could not be logged while models were trained and judged.

    python -m stages.log_pending

The files lie in mlruns/pending and .checkpoints/pending. Each is removed when MLflow has it; what fails stays, and the
command can be run again. Exit status 1 when something stays.
"""

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from stages.tracking.address import EXPERIMENT
from stages.tracking.pending import key_of, pending_files
from stages.tracking.resend import send
from stages.tracking.store import Store, Unreachable

AFTER_ANOTHER = "stays, since an earlier file of a training with these settings does"  # whose run it might else join


def main(arguments: list[str] | None = None) -> int:
    """Send every kept file of the current folder's workspace; 0 when none stays."""
    argparse.ArgumentParser(prog="python -m stages.log_pending", description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(arguments)
    root, stay = Path.cwd(), 0
    stuck: set[str] = set()  # keys of trainings
    files = pending_files(root)
    store = _connected(root)
    if not files:
        print("; ".join(["log_pending: nothing is kept", *filter(None, [store.reason])]))
    for file in files:
        key = key_of(file)
        sent, said = (False, AFTER_ANOTHER) if key in stuck else send(store, file)
        if not sent:
            stay += 1
            stuck |= {key} if key else set()
        store = _connected(root) if store.reason else store  # was it this file, or is it MLflow?
        print(f"{file.name}: {said}", file=sys.stdout if sent else sys.stderr, flush=True)
    return 1 if stay else 0


def _connected(root: Path) -> Store:
    """A store that has been asked once; connecting also mends the addresses of a moved workspace."""
    store = Store(root)
    with suppress(Unreachable):
        store.ask(lambda client: client.get_experiment_by_name(EXPERIMENT))
    return store


if __name__ == "__main__":
    sys.exit(main())
