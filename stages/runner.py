"""What every stage file shares: settings in, metrics and curves out, one line for a user's mistake.

    def body(run: StageRun) -> dict: ...        # returns flat metrics
    if __name__ == "__main__":
        run_stage("saga", body)

A stage that DVC runs once per model passes the model too: run_stage("finetune", body, model="baseline").
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reanchor.config.load import load
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, remove_leftovers, write_json
from reanchor.interruption import Interrupted
from stages.curves import CurveFile
from stages.inputs import Inputs
from stages.stopping import end_stopped, stop_requests
from stages.tracking.judged import log_methods
from stages.tracking.run import ModelRun

Metrics = dict[str, float | int | str]
# each has curves and an MLflow run per model
TRAINING_STAGES = ("backbone", "prompts", "finetune", "saga", "gate", "tbps", "mgcc")
SHARING_STAGES = ("tbps",)  # their processes under torchrun share every batch
JUDGING_STAGES = ("evaluate", "search")  # their figures join the runs of the models
USER_ERROR = 2  # exit status


class Recorder:
    """One model's training curve, to curves.csv and to MLflow (a `reanchor.training.Recorder`)."""

    def __init__(self, curve: CurveFile, run: ModelRun):
        self._curve, self._run = curve, run

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add the values of optimiser step `step`; after a resume, steps may come a second time."""
        self._curve.log(step, values)
        self._run.log(step, values)


@dataclass
class StageRun:
    """What a stage's body may use."""

    name: str  # "finetune"
    model: str | None  # "baseline", where DVC runs the stage once per model
    params: Params
    root: Path  # the workspace
    _runs: dict[str, ModelRun] = field(default_factory=dict)
    _curves: dict[str, CurveFile] = field(default_factory=dict)

    @property
    def report(self) -> Path:
        """The stage's report folder (reports/finetune/baseline where it runs once per model)."""
        folder = self.root / "reports" / self.name
        folder = folder / self.model if self.model else folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def recorder(self, model: str) -> Recorder:
        """Where `model`'s training writes its curve: reports/<stage>/<model>/curves.csv and MLflow."""
        return Recorder(self._curve(model), self._run(model))

    def log_model(self, model: str, folder: Path) -> None:
        """Log the finished weights in `folder` (read by `reanchor.embedding.load_embedder`) to MLflow."""
        self._run(model).log_model(folder)

    def skip(self, folder: Path, reason: str) -> Metrics:
        """Make the output `folder` hold skipped.json alone; return the metrics of a skipped stage."""
        with atomic_directory(folder) as temporary:
            write_json(temporary / "skipped.json", {"reason": reason})
        return {"skipped": 1}

    def close(self, status: str, metrics: Metrics) -> None:
        """Finish MLflow runs and curve files, drop the checkpoints of what has finished.

        A training stage that recorded nothing leaves empty curves.
        """
        if status == "FINISHED":
            if self.name in TRAINING_STAGES:
                self._curve(self.model or self.name)
            for curve in self._curves.values():
                curve.close()
        for run in self._runs.values():
            run.close(status, metrics)
        if status == "FINISHED":  # last: until here a stage that is stopped goes on from them
            self._drop_checkpoints()

    def _drop_checkpoints(self) -> None:
        """All generations, what was set aside, and what kills left half-written."""
        folder, names = self.root / ".checkpoints", "-".join(filter(None, (self.name, self.model))) + "-*"
        if folder.is_dir():
            remove_leftovers(folder, names)
            for file in folder.glob(names):
                file.unlink()

    def _run(self, model: str) -> ModelRun:
        if model not in self._runs:
            self._runs[model] = ModelRun.open(self.root, self.name, model, self.params)
        return self._runs[model]

    def _curve(self, model: str) -> CurveFile:
        if model not in self._curves:
            self._curves[model] = CurveFile(self.root, self.name, model)
        return self._curves[model]


def run_stage(name: str, body: Callable[[StageRun], Metrics], model: str | None = None) -> None:
    """Run `body` in the current folder and write its metrics to reports/<stage>[/<model>]/metrics.json.

    The process ends with status 2 and one line on stderr after a mistake that the user can put right, and with
    128 + the signal's number and one line where it was told to stop.
    """
    label = f"{name}@{model}" if model else name
    try:
        with stop_requests():
            _refuse_ranks(name)
            _run(StageRun(name, model, load("params.yaml"), Path.cwd()), body, label)
    except Interrupted as told:
        end_stopped(label, told)
    except ReanchorError as error:
        _fail(f"{label}: {error}")
    except FileNotFoundError as error:
        missing = error.filename or error
        _fail(f"{label}: {missing}: not found; run `dvc repro {label}` to make what this stage reads")


def _refuse_ranks(name: str) -> None:
    ranks = os.environ.get("WORLD_SIZE", "1")
    if ranks != "1" and name not in SHARING_STAGES:
        raise ReanchorError(f"WORLD_SIZE: got {ranks}, but this stage would do all its work in each process, into the "
                            f"same files; allowed: 1 (python -m stages.{name}), or a stage that shares its batches "
                            f"({', '.join(SHARING_STAGES)})")


def _run(run: StageRun, body: Callable[[StageRun], Metrics], label: str) -> None:
    _limit_threads(run.params.runtime.threads)
    print(f"[{label}] started", flush=True)
    started = time.perf_counter()
    inputs = Inputs.of(run.root, label, run.params)
    inputs.require_as_imported()
    try:
        metrics = dict(body(run))
        inputs.require_unchanged()
    except BaseException as error:
        run.close("KILLED" if isinstance(error, Interrupted) else "FAILED", {})
        raise
    metrics["seconds"] = round(time.perf_counter() - started, 1)
    metrics["peak_memory_mb"] = peak_memory_mb()
    write_json(run.report / "metrics.json", metrics)
    if run.name in JUDGING_STAGES:
        log_methods(run.root, metrics, run.name, run.params)
    run.close("FINISHED", metrics)
    inputs.require_unchanged()  # MLflow may have taken its time
    print(f"[{label}] finished in {metrics['seconds']} s, peak memory {metrics['peak_memory_mb']} MB",
          flush=True)


def peak_memory_mb() -> int:
    """Largest resident set so far, of this process or of its largest worker."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) // 1024  # Linux counts in KiB


def _limit_threads(threads: int) -> None:
    torch = sys.modules.get("torch")  # only stages that compute with it have imported it
    if torch is not None:
        torch.set_num_threads(threads)


def _fail(message: str) -> None:
    print(" ".join(message.split()), file=sys.stderr, flush=True)
    sys.exit(USER_ERROR)
