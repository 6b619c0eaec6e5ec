"""Trainings of the study: every arm and seed in a workspace of its own, finished ones are not repeated."""

import time
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from benchmarks.study.arms import ARMS, Arm
from benchmarks.study.record import keep, record_of, require_same
from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, write_json
from reanchor.methods.clip_reid.prompts import train_prompts
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.clip_reid.train import train_stage2
from reanchor.methods.gate.store import read_gated
from reanchor.methods.gate.train import train_gate
from reanchor.methods.registry import methods
from reanchor.methods.saga.run import train_saga
from stages.compose import composition

SEEDED = ("prompts", "clip_reid", "saga", "gate")  # what an arm may train


class Curve:
    """A recorder that keeps the rows."""

    def __init__(self):
        self.rows: list[dict] = []

    def log(self, step: int, values: dict[str, float]) -> None:
        """One row."""
        self.rows.append(dict(values))


@dataclass(frozen=True)
class Place:
    """Where the study works: its own folder `out`, a workspace `root`, and what its composition is."""

    out: Path
    root: Path  # with conf, data/prepared, data/occluded and models/backbone
    overrides: tuple[str, ...] = ()  # of the default composition, for every arm
    threads: int = 2


def settings(arm: Arm, seed: int, place: Place) -> Params:
    """The composition with this arm's settings and this seed throughout."""
    overrides = [f"method={'gate' if arm.kind == 'gate' else 'saga'}", *place.overrides,
                 *(f"{key}={seed}" for key in sorted({methods()[name].seed for name in SEEDED})),
                 f"runtime.threads={place.threads}", *arm.settings]
    return from_mapping(OmegaConf.to_container(OmegaConf.create(composition(place.root, overrides))))


def workspace(place: Place, base: str, seed: int) -> Path:
    """A folder that looks like a repository to the trainings: data and backbone of `root`, models of its own."""
    folder = workspace_of(place, base, seed)
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name in ("data", "models/backbone"):
        wanted = (place.root / name).resolve()
        if not wanted.exists():
            raise ReanchorError(f"{wanted}: not found; allowed: the default study's workspace as the current folder; "
                                "run `dvc repro`")
        if not (folder / name).exists():
            (folder / name).symlink_to(wanted)
        elif (folder / name).resolve() != wanted:
            raise ReanchorError(f"--out: {folder / name} leads to {(folder / name).resolve()}, this workspace's is "
                                f"{wanted}; give the study of each dataset an --out of its own")
    return folder


def workspace_of(place: Place, base: str, seed: int) -> Path:
    """Where that folder is, made or not."""
    return place.out / f"seed-{seed}-{base}"


def model_folder(place: Place, name: str, seed: int) -> Path:
    """Where an arm's trained model lies."""
    arm = ARMS[name]
    if arm.kind == "clip":
        return place.root / "models/backbone"
    models = workspace_of(place, name if arm.kind == "reid" else arm.base, seed) / "models"
    return models / ("clip_reid" if arm.kind == "reid" else name)


def lay_out(control: Path, folder: Path) -> None:
    """Write the encoder of the arm `control`, without its replay at one weight for every token, which changes nothing,
    as the fine-tuned model that stage 3 reads."""
    model, spec = read_gated(control)
    model.encoder = model.encoder.plain
    with atomic_directory(folder) as made:
        save_reid(model, spec, "clip_reid", made)


def train(place: Place, name: str, seed: int) -> Path:
    """Train an arm, and before it the encoder that it stands on; return its model's folder.

    Raises:
        ReanchorError: it was trained already, with other settings or on other images.
    """
    arm, folder = ARMS[name], model_folder(place, name, seed)
    if arm.kind == "clip":
        return folder
    work, params = workspace(place, name if arm.kind == "reid" else arm.base, seed), settings(arm, seed, place)
    parent = None
    if arm.kind != "reid":
        parent = train(place, "saga" if "gate.source=saga" in arm.settings else arm.base, seed)
    record = record_of(arm.kind, params, work, parent)
    prompts = arm.kind == "reid" and (work / "models/prompts").is_dir()  # of a training that was cut short
    if folder.is_dir() or prompts:
        require_same(folder, record)
    if folder.is_dir():
        return folder
    keep(folder, record)
    if ARMS[arm.base].kind == "gate":
        lay_out(parent, work / "models/clip_reid")
    if arm.kind == "reid" and not prompts:
        train_prompts("prompts", params, work, work / "models/prompts", Curve())
    started, curve = time.perf_counter(), Curve()
    run = {"gate": train_gate, "saga": train_saga, "reid": train_stage2}[arm.kind]
    figures = run("clip_reid" if arm.kind == "reid" else arm.kind, params, work, folder, curve)
    told = {"figures": figures, "curve": curve.rows, "seconds": round(time.perf_counter() - started)}
    write_json(place.out / f"trained/{name}-{seed}.json", told)
    print(f"{name}, seed {seed}: trained in {told['seconds']} s", flush=True)
    return folder
