"""Trainings of the study: every arm and seed in a workspace of its own, finished ones are not repeated."""

import time
from pathlib import Path

from omegaconf import OmegaConf

from benchmarks.study.arms import ARMS, Arm
from reanchor.clipreid.prompts import train_prompts
from reanchor.clipreid.train import train_stage2
from reanchor.config import Params, from_mapping
from reanchor.files import write_json
from reanchor.gate.train import train_gate
from reanchor.saga.run import train_saga
from stages.compose import composition


class Curve:
    """A recorder that keeps the rows."""

    def __init__(self):
        self.rows: list[dict] = []

    def log(self, step: int, values: dict[str, float]) -> None:
        """One row."""
        self.rows.append(dict(values))


def settings(arm: Arm, seed: int, threads: int, root: Path) -> Params:
    """The default composition of `root`/conf with this arm's settings and this seed throughout."""
    overrides = [*(f"{section}.seed={seed}" for section in ("prompts", "finetune", "saga", "gate")),
                 f"gate.train={str(arm.kind == 'gate').lower()}", f"runtime.threads={threads}", *arm.settings]
    return from_mapping(OmegaConf.to_container(OmegaConf.create(composition(root, overrides))))


def workspace(out: Path, seed: int, base: str, root: Path) -> Path:
    """A folder that looks like a repository to the trainings: data and backbone of `root`, models of its own."""
    place = out / f"seed-{seed}-{base}"
    (place / "models/finetune").mkdir(parents=True, exist_ok=True)
    for name in ("data", "models/backbone"):
        if not (place / name).exists():
            (place / name).symlink_to((root / name).resolve())
    return place


def model_folder(out: Path, name: str, seed: int, root: Path) -> Path:
    """Where an arm's trained model lies."""
    arm = ARMS[name]
    if arm.kind == "clip":
        return root / "models/backbone"
    place = workspace(out, seed, name if arm.kind == "reid" else arm.base, root) / "models"
    return place / ("finetune/clip_reid" if arm.kind == "reid" else name)


def train(name: str, seed: int, out: Path, root: Path, threads: int) -> Path:
    """Train an arm, and before it the encoder that it stands on; return its model's folder."""
    arm, folder = ARMS[name], model_folder(out, name, seed, root)
    if folder.is_dir():
        return folder
    place, params = workspace(out, seed, name if arm.kind == "reid" else arm.base, root), settings(
        arm, seed, threads, root)
    if arm.kind != "reid":
        train(arm.base, seed, out, root, threads)
    elif not (place / "models/prompts").is_dir():
        train_prompts(params.prompts, place, place / "models/prompts", params.runtime, Curve())
    started, curve = time.perf_counter(), Curve()
    run = {"gate": train_gate, "saga": train_saga}.get(arm.kind)
    figures = (run(params, place, folder, curve) if run else
               train_stage2("clip_reid", params, place, folder, curve))
    told = {"figures": figures, "curve": curve.rows, "seconds": round(time.perf_counter() - started)}
    write_json(out / f"trained/{name}-{seed}.json", told)
    print(f"{name}, seed {seed}: trained in {told['seconds']} s", flush=True)
    return folder
