"""SIGKILL at random moments of every training stage, then run again: are the weights the same?

    python -m benchmarks.kill [--kills 5] [--profile smoke]

Works in a copy of the repository's code in a temporary folder. Every stage is first run unbroken; then
it is killed `kills` times, each time after a random share of the unbroken run's time, and run to its end.
"""

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = {
    "backbone": (["stages.backbone"], "models/backbone/weights.safetensors"),
    "prompts": (["stages.prompts"], "models/prompts/prompts.safetensors"),
    "finetune@baseline": (["stages.finetune", "--model", "baseline"], "models/finetune/baseline/weights.safetensors"),
    "finetune@clip_reid": (["stages.finetune", "--model", "clip_reid"],
                           "models/finetune/clip_reid/weights.safetensors"),
    "saga": (["stages.saga"], "models/saga/weights.safetensors"),
}


def start(folder: Path, module: list[str]) -> subprocess.Popen:
    """A stage in the background, quiet."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.Popen([sys.executable, "-m", *module], cwd=folder, env=environment,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(folder: Path, module: list[str]) -> float:
    """Run a stage to its end; its seconds."""
    started = time.perf_counter()
    process = start(folder, module)
    errors = process.communicate()[1].decode()
    if process.returncode:
        raise SystemExit(f"{' '.join(module)}: exit code {process.returncode}\n{errors[-2000:]}")
    return time.perf_counter() - started


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def begin_anew(folder: Path, weights: str) -> None:
    """Forget checkpoints and the finished weights."""
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    (folder / weights).unlink(missing_ok=True)


def kill_and_compare(folder: Path, name: str, kills: int, rng: random.Random) -> bool:
    """One table row; True when the weights are the same."""
    module, weights = STAGES[name]
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    seconds = finish(folder, module)
    whole = digest(folder / weights)
    begin_anew(folder, weights)
    moments = []
    while len(moments) < kills:
        moment = rng.uniform(0.15, 0.95)
        process = start(folder, module)
        try:
            process.wait(moment * seconds)
            begin_anew(folder, weights)  # a continued run is quicker and had ended: no kill
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            moments.append(moment)
    finish(folder, module)
    same = digest(folder / weights) == whole
    print(f"{name:<20}{seconds:>8.1f} s{kills:>4} kills at {' '.join(f'{m:.0%}' for m in moments):<26}"
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
        finish(folder, ["stages.compose", f"profile={options.profile}", "runtime.checkpoint_steps=1"])
        for module in ("render", "prepare", "occlude"):
            finish(folder, [f"stages.{module}"])
        same = []
        for name, (module, _) in STAGES.items():
            if name in options.stages:
                same.append(kill_and_compare(folder, name, options.kills, rng))
            else:
                finish(folder, module)  # a later stage reads what it makes
    raise SystemExit(not all(same))


if __name__ == "__main__":
    main()
