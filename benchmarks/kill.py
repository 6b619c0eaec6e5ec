"""SIGKILL at random moments of every training stage, then run again: are the weights the same?

    python -m benchmarks.kill [--kills 5] [--profile smoke]

Works in a copy of the repository's code in a temporary folder. Every stage is first run unbroken; then
it is killed `kills` times, each time after a random share of the unbroken run's time, and run to its end.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.case import ROOT, digest, python, start

STAGES = {
    "backbone": (["stages.backbone"], "models/backbone/weights.safetensors"),
    "prompts": (["stages.train", "prompts"], "models/prompts/prompts.safetensors"),
    "baseline": (["stages.train", "baseline"], "models/baseline/weights.safetensors"),
    "clip_reid": (["stages.train", "clip_reid"], "models/clip_reid/weights.safetensors"),
    "saga": (["stages.train", "saga"], "models/saga/weights.safetensors"),
}


@dataclass(frozen=True)
class Broken:
    """A stage that a signal ended."""

    share: float  # of the unbroken run's time, when the signal came
    status: int  # exit status; minus the signal that ended it
    said: str


def finish(folder: Path, *module: str) -> float:
    """Run a module to its end; its seconds."""
    ended = python(folder, "-m", *module, limit=3600)
    if ended.status:
        raise SystemExit(f"{' '.join(module)}: exit code {ended.status}\n{ended.output[-2000:]}")
    return ended.seconds


def begin_anew(folder: Path, weights: str) -> None:
    """Forget checkpoints and the finished weights."""
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    (folder / weights).unlink(missing_ok=True)


def break_often(folder: Path, name: str, seconds: float, times: int, rng: random.Random,
                number: signal.Signals = signal.SIGKILL) -> list[Broken]:
    """End stage `name` by a signal to its process group `times` times, each at a random share of `seconds`."""
    module, weights = STAGES[name]
    broken: list[Broken] = []
    while len(broken) < times:
        share = rng.uniform(0.15, 0.95)
        with tempfile.TemporaryFile() as said:
            process = start(folder, "-m", *module, stdout=said)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(share * seconds)
            if process.poll() is None:
                os.killpg(process.pid, number)
                process.wait()
            said.seek(0)
            words = said.read().decode(errors="replace")
            if "] finished in" in words:
                begin_anew(folder, weights)  # a continued run is quicker: it was done, and is not broken
            else:
                broken.append(Broken(share, process.returncode, words))
    return broken


def kill_and_compare(folder: Path, name: str, kills: int, rng: random.Random) -> bool:
    """One table row; True when the weights are the same."""
    module, weights = STAGES[name]
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    seconds = finish(folder, *module)
    whole = digest(folder / weights)
    begin_anew(folder, weights)
    broken = break_often(folder, name, seconds, kills, rng)
    finish(folder, *module)
    same = digest(folder / weights) == whole
    print(f"{name:<20}{seconds:>8.1f} s{kills:>4} kills at {' '.join(f'{each.share:.0%}' for each in broken):<26}"
          f"{'identical' if same else 'DIFFERENT'}  {whole[:12]}", flush=True)
    return same


def main() -> None:
    """Prepare a workspace, then break every training stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for part in ("conf", "reanchor", "stages", "models/shipped"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        finish(folder, "stages.compose", f"profile={options.profile}", "runtime.checkpoint_steps=1")
        for module in ("render", "prepare", "occlude"):
            finish(folder, f"stages.{module}")
        same = []
        for name, (module, _) in STAGES.items():
            if name in options.stages:
                same.append(kill_and_compare(folder, name, options.kills, rng))
            else:
                finish(folder, *module)  # a later stage reads what it makes
    raise SystemExit(not all(same))


if __name__ == "__main__":
    main()
