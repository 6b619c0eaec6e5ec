"""What every stage file shares: settings in, metrics and curves out, one line for a user's mistake.

    def body(run: StageRun) -> dict: ...        # returns flat metrics
    if __name__ == "__main__":
        run_stage("prepare", body)
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reanchor.config.load import load
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, remove_leftovers, write_json
from reanchor.interruption import Interrupted
from reanchor.methods.registry import of_stage, trained
from stages.curves import CurveFile
from stages.inputs import Inputs
from stages.stopping import end_stopped, stop_requests
from stages.tracking.judged import log_methods
from stages.tracking.run import ModelRun

Metrics = dict[str, float | int | str]
JUDGING_STAGES = ("evaluate", "search")  # their figures join the runs of the models
USER_ERROR = 2  # exit status


class Recorder:
    """A training curve, to curves.csv and to MLflow (a `reanchor.training.Recorder`)."""

    def __init__(self, curve: CurveFile, run: ModelRun):
        self._curve, self._run = curve, run

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add the values of optimiser step `step`; after a resume, steps may come a second time."""
        self._curve.log(step, values)
        self._run.log(step, values)


@dataclass
class StageRun:
    """What a stage's body may use."""

    name: str  # "saga"
    params: Params
    root: Path  # the workspace
    _tracked: ModelRun | None = None
    _curve: CurveFile | None = None

    @property
    def report(self) -> Path:
        """The stage's report folder."""
        folder = self.root / "reports" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def recorder(self) -> Recorder:
        """Where a training writes its curve: reports/<stage>/curves.csv and MLflow."""
        return Recorder(self._curve_file(), self._model_run())

    def log_model(self, folder: Path) -> None:
        """Log the finished weights in `folder` (read by `reanchor.methods.embedders.load_embedder`) to MLflow."""
        self._model_run().log_model(folder)

    def skip(self, folder: Path, reason: str) -> Metrics:
        """Make the output `folder` hold skipped.json alone; return the metrics of a skipped stage."""
        with atomic_directory(folder) as temporary:
            write_json(temporary / "skipped.json", {"reason": reason})
        return {"skipped": 1}

    def close(self, status: str, metrics: Metrics) -> None:
        """Finish the MLflow run and the curve, drop the checkpoints of what has finished.

        A training stage that recorded nothing leaves an empty curve.
        """
        if status == "FINISHED" and draws_a_curve(self.name):
            self._curve_file().close()
        if self._tracked is not None:
            self._tracked.close(status, metrics)
        if status == "FINISHED":  # last: until here a stage that is stopped goes on from them
            self._drop_checkpoints()

    def _drop_checkpoints(self) -> None:
        """All generations, what was set aside, and what kills left half-written."""
        folder, names = self.root / ".checkpoints", f"{self.name}-*"
        if folder.is_dir():
            remove_leftovers(folder, names)
            for file in folder.glob(names):
                file.unlink()

    def _model_run(self) -> ModelRun:
        if self._tracked is None:
            self._tracked = ModelRun.open(self.root, self.name, self.params)
        return self._tracked

    def _curve_file(self) -> CurveFile:
        if self._curve is None:
            self._curve = CurveFile(self.root, self.name)
        return self._curve


def draws_a_curve(stage: str) -> bool:
    """Whether the stage trains: the method whose model it makes tells the curve's column."""
    method = of_stage(stage)
    return method is not None and bool(method.curve)


def run_stage(name: str, body: Callable[[StageRun], Metrics]) -> None:
    """Run `body` in the current folder and write its metrics to reports/<stage>/metrics.json.

    The process ends with status 2 and one line on stderr after a mistake that the user can put right, and with
    128 + the signal's number and one line where it was told to stop.
    """
    try:
        with stop_requests():
            _refuse_ranks(name)
            _run(StageRun(name, load("params.yaml"), Path.cwd()), body)
    except Interrupted as told:
        end_stopped(name, told)
    except ReanchorError as error:
        _fail(f"{name}: {error}")
    except FileNotFoundError as error:
        missing = error.filename or error
        _fail(f"{name}: {missing}: not found; run `dvc repro {name}` to make what this stage reads")


def _refuse_ranks(name: str) -> None:
    ranks, sharing = os.environ.get("WORLD_SIZE", "1"), [each for each, method in trained().items() if method.ranks]
    if ranks != "1" and name not in sharing:
        module = f"train {name}" if name in trained() else name
        raise ReanchorError(f"WORLD_SIZE: got {ranks}, but this stage would do all its work in each process, into the "
                            f"same files; allowed: 1 (python -m stages.{module}), or a stage that shares its batches "
                            f"({', '.join(sharing)})")


def _run(run: StageRun, body: Callable[[StageRun], Metrics]) -> None:
    limit_threads(run.params.runtime.threads)
    print(f"[{run.name}] started", flush=True)
    started = time.perf_counter()
    inputs = Inputs.of(run.root, run.name, run.params)
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
    print(f"[{run.name}] finished in {metrics['seconds']} s, peak memory {metrics['peak_memory_mb']} MB",
          flush=True)


def peak_memory_mb() -> int:
    """Largest resident set so far, of this process or of its largest worker."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) // 1024  # Linux counts in KiB


def limit_threads(threads: int) -> None:
    torch = sys.modules.get("torch")  # only stages that compute with it have imported it
    if torch is not None:
        torch.set_num_threads(threads)


def _fail(message: str) -> None:
    print(" ".join(message.split()), file=sys.stderr, flush=True)
    sys.exit(USER_ERROR)
