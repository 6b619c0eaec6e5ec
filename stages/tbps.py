"""Stage `tbps`: text-based person search with both towers of the backbone (`--model tbps_clip`).

Several GPUs: `torchrun --nproc-per-node 4 -m stages.tbps --model tbps_clip`; then `dvc commit tbps@tbps_clip`.
"""

import argparse
import os
import sys
from pathlib import Path

import torch

from reanchor.config.load import load
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.formats.sentences import untrainable
from reanchor.interruption import Interrupted
from reanchor.methods.tbps.train import train_tbps
from stages.runner import USER_ERROR, StageRun, run_stage
from stages.stopping import stop_requests

MODELS = ("clip_tuned", "sdm", "tbps_clip")


def body(run: StageRun) -> dict:
    out = run.root / "models/tbps" / run.model
    if not getattr(run.params.tbps, run.model).train:
        return run.skip(out, f"tbps.{run.model}.train is false")
    if reason := untrainable(Manifest.read(run.root / "data/prepared/manifest.parquet")):
        return run.skip(out, reason)
    figures = train_tbps(run.model, run.params, run.root, out, run.recorder(run.model))
    run.log_model(run.model, out)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, required=True, help="which model to train")
    model = parser.parse_args().model
    if int(os.environ.get("RANK", "0")):  # torchrun's further processes train along and report nothing
        follow(model)
    else:
        run_stage("tbps", body, model=model)


def follow(model: str) -> None:
    """Train along; what is wrong, or told to stop, is said by the first process, which meets the same."""
    try:
        with stop_requests():  # a step is ended by all ranks or by none
            run = SilentRun("tbps", model, load("params.yaml"), Path.cwd())
            torch.set_num_threads(run.params.runtime.threads)
            body(run)
    except (ReanchorError, FileNotFoundError):
        sys.exit(USER_ERROR)
    except Interrupted as told:
        sys.exit(128 + told.number)


class SilentRun(StageRun):
    """A run whose curve and whose skipping another process reports."""

    def recorder(self, model: str) -> "SilentRun":
        return self

    def log(self, step: int, values: dict[str, float]) -> None:
        """The other process does."""

    def log_model(self, model: str, folder: Path) -> None:
        """The other process does."""

    def skip(self, folder: Path, reason: str) -> dict:
        return {}


if __name__ == "__main__":
    main()
