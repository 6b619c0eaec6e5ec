"""CLIP-ReID's Tables 5, 8 and 10 on the workspace's dataset: presets x seeds, judged on test identities.

    python -m stages.compose render.train_identities=400 && dvc repro occlude backbone
    python -m benchmarks.clip_reid_tables --epochs 4 --seeds 0 1 2

Loss weights are the published ones (no token term); the last epoch is judged, so that nothing is
selected. Finished trainings are kept in --out and not repeated. Intervals: paired bootstrap over query
identities of the mean over seeds.
"""

import argparse
import dataclasses
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from benchmarks.text_tables import input_hashes
from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from reanchor.files import atomic_path
from reanchor.methods.clip_reid.prompts import train_prompts
from reanchor.methods.clip_reid.train import train_stage2
from reanchor.methods.embedders import load_embedder
from reanchor.retrieval.bootstrap import IdentityBootstrap
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.opening import open_study
from reanchor.retrieval.study import Study
from stages.compose import composition

# name -> (model, option of conf/ablation, further settings); the reference of every difference is "two stages".
ARMS = {
    "baseline, ID weight .25": ("baseline", "none", ["finetune.baseline.id=0.25"]),
    "baseline, ID weight 1": ("baseline", "none", ["finetune.baseline.id=1.0"]),
    "one stage": ("clip_reid", "one_stage", []),
    "two stages (instance, M = 4)": ("clip_reid", "none", []),
    "average": ("clip_reid", "prompts_average", []),
    "M = 1": ("clip_reid", "context_1", []),
    "M = 8": ("clip_reid", "context_8", []),
}
REFERENCE = "two stages (instance, M = 4)"
PUBLISHED = ["finetune.clip_reid.id=0.25", "finetune.baseline.token=0.0", "finetune.clip_reid.token=0.0"]
CONDITIONS = ("whole", "ogor")


class Silent:
    """A recorder that forgets."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Nothing."""


def settings(ablation: str, further: list[str], seed: int, epochs: int, threads: int) -> Params:
    """The small recipe with the published loss weights, one preset and one seed."""
    overrides = [*PUBLISHED, *further, f"ablation={ablation}",
                 f"finetune.recipe.epochs={epochs}", f"finetune.recipe.validate_epochs={epochs}",
                 f"prompts.seed={seed}", f"finetune.recipe.seed={seed}", f"runtime.threads={threads}"]
    return from_mapping(OmegaConf.to_container(OmegaConf.create(composition(Path.cwd(), overrides))))


def kept_file(out: Path, arm: list[str], epochs: int, seed: int, root: Path) -> Path:
    """Where the outcome of an arm on the workspace's data lies."""
    data = hashlib.sha256(json.dumps(input_hashes(root)).encode()).hexdigest()[:12]
    return out / f"{'-'.join(arm)}-{epochs}-{seed}-{data}.npz"


def train_and_judge(model: str, params: Params, root: Path, study: Study) -> dict[str, np.ndarray]:
    """Average precision of every query under each condition, {condition: [Q]}."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "models").mkdir()
        (place / "data").symlink_to(root / "data")
        (place / "models/backbone").symlink_to(root / "models/backbone")
        if model == "clip_reid":
            train_prompts("prompts", params, place, place / "models/prompts", Silent())
        train_stage2(model, params, place, place / "out", Silent())
        config = dataclasses.replace(params.evaluate, camera_rule=study.camera_rule("auto"))
        measured = measure_method(model, load_embedder(place / "out", params.runtime.device), study, config)[model]
        return {name: 100 * measured.rankings[name].ap_Q for name in CONDITIONS}


def report(found: dict[tuple[str, int], dict[str, np.ndarray]], seeds: list[int], study: Study) -> None:
    """Mean mAP, its deviation over seeds, and the paired difference from the two-stage training."""
    pids = study.labels.pids[study.query_rows]
    bootstrap = IdentityBootstrap(pids, 2000, 0.95, 0)
    print(f"| | {' | '.join(f'{name} mAP (s.d.) | minus two stages' for name in CONDITIONS)} |")
    print("|---" * (1 + 2 * len(CONDITIONS)) + "|")
    for arm in ARMS:
        cells = []
        for name in CONDITIONS:
            runs, others = (np.stack([found[which, seed][name] for seed in seeds]) for which in (arm, REFERENCE))
            means = np.nanmean(runs, axis=1)
            difference = np.mean(runs - others, axis=0)
            valid = np.isfinite(difference)
            low, high = bootstrap.interval(bootstrap.means(pids[valid], difference[valid]))
            deviation = means.std(ddof=1) if len(seeds) > 1 else float("nan")
            cells += [f"{means.mean():.1f} ({deviation:.1f})",
                      "" if arm == REFERENCE else f"{difference[valid].mean():+.1f} [{low:+.1f}, {high:+.1f}]"]
        print(f"| {arm} | {' | '.join(cells)} |")


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".checkpoints/clip_reid_tables"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    root = Path.cwd()
    study = open_study(root / "data/prepared", root / "data/occluded")
    study = dataclasses.replace(study, suites=[c for c in study.suites if c.name in CONDITIONS])
    found = {}
    for seed in options.seeds:
        for arm, (model, ablation, further) in ARMS.items():
            kept = kept_file(options.out, [model, ablation, *further], options.epochs, seed, root)
            if not kept.is_file():
                params = settings(ablation, further, seed, options.epochs, options.threads)
                precision = train_and_judge(model, params, root, study)
                with atomic_path(kept) as temporary, temporary.open("wb") as file:
                    np.savez(file, **precision)
            with np.load(kept) as arrays:
                found[arm, seed] = {name: arrays[name] for name in CONDITIONS}
            print(f"{arm}, seed {seed}: " + ", ".join(f"{name} {np.nanmean(found[arm, seed][name]):.1f}"
                                                      for name in CONDITIONS), flush=True)
    report(found, options.seeds, study)


if __name__ == "__main__":
    main()
