"""The stages that make models: `python -m stages.train saga`; each method's own code does the work.

Several GPUs, for methods whose processes share every batch: `torchrun --nproc-per-node 4 -m stages.train tbps_clip`;
then `dvc commit tbps_clip`.
"""

import argparse
import os
import sys
from pathlib import Path

from reanchor.config.load import load
from reanchor.config.rules import value_of
from reanchor.errors import ReanchorError, Skipped
from reanchor.interruption import Interrupted
from reanchor.methods.method import code
from reanchor.methods.registry import trained
from stages.runner import USER_ERROR, StageRun, limit_threads, run_stage
from stages.stopping import stop_requests


def body(run: StageRun) -> dict:
    """Train the stage's method, or say in its folder why not."""
    method = trained()[run.name]
    out = run.root / method.model
    try:
        if method.switch and not value_of(run.params, method.switch):
            raise Skipped(f"{method.switch} is false")
        figures = code(method.train)(method.name, run.params, run.root, out, run.recorder())
    except Skipped as why:
        return run.skip(out, str(why))
    run.log_model(out)
    return figures


def main() -> None:
    """Run one training stage of the current folder."""
    parser = argparse.ArgumentParser(prog="python -m stages.train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=tuple(trained()))
    name = parser.parse_args().method
    code(trained()[name].train)  # imported now: what computes is told its threads before the body runs
    if int(os.environ.get("RANK", "0")) and trained()[name].ranks:  # torchrun's further processes report nothing
        follow(name)
    else:
        run_stage(name, body)


def follow(name: str) -> None:
    """Train along; what is wrong, or told to stop, is said by the first process, which meets the same."""
    try:
        with stop_requests():  # a step is ended by all ranks or by none
            run = SilentRun(name, load("params.yaml"), Path.cwd())
            limit_threads(run.params.runtime.threads)
            body(run)
    except (ReanchorError, FileNotFoundError):
        sys.exit(USER_ERROR)
    except Interrupted as told:
        sys.exit(128 + told.number)


class SilentRun(StageRun):
    """A run whose curve and whose skipping another process reports."""

    def recorder(self) -> "SilentRun":
        return self

    def log(self, step: int, values: dict[str, float]) -> None:
        """The other process does."""

    def log_model(self, folder: Path) -> None:
        """The other process does."""

    def skip(self, folder: Path, reason: str) -> dict:
        return {}


if __name__ == "__main__":
    main()
