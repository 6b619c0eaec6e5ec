"""Text-based search on the workspace's dataset: methods, and MGCC's Tables 3, 4 and 6; seeds, both galleries.

    dvc repro occlude backbone
    python -m benchmarks.text_tables --tables methods --seeds 0 1 2
    python -m benchmarks.text_tables --tables granularities selection fusion --set mgcc.epochs=3

Settings are those of `method=text` with --set on top; every model's epoch is chosen on held-out training
identities, as in the study, and judged on test identities. Finished trainings are kept in --out and not repeated;
one that was interrupted goes on from its checkpoint. Intervals: paired bootstrap over described identities of the
mean over seeds.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from reanchor.files import atomic_path
from reanchor.methods.registry import methods
from reanchor.methods.searchers import load_searcher
from reanchor.retrieval.bootstrap import IdentityBootstrap
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.opening import open_search_study
from reanchor.retrieval.study import Study
from reanchor.retrieval.tables import METRICS, per_sentence
from stages.compose import composition

# table -> (the arm that others are compared with, {arm: (model, settings)})
MGCC = ("mgcc", [])
TABLES = {
    "methods": ("TBPS-CLIP", {
        "zero-shot CLIP": ("zero_shot", []), "fine-tuned CLIP": ("clip_tuned", []), "SDM (IRRA's loss)": ("sdm", []),
        "TBPS-CLIP": ("tbps_clip", []), "MGCC": MGCC}),
    "granularities": ("MGCC", {  # Table 3
        **{name: ("mgcc", [f"mgcc.model.granularities=[{','.join(name.split(' + '))}]"]) for name in (
            "image_text", "patch_word", "patch_text", "image_word", "image_text + patch_word",
            "patch_text + image_word")}, "MGCC": MGCC}),
    "selection": ("MGCC", {  # Table 4: (rho_i, rho_t); "MGCC" has (.3, .4), .4, .5 are those of Table 5 and the text
        "no selection": ("mgcc", ["mgcc.model.patch_share=1.0", "mgcc.model.word_share=1.0"]),
        **{f"{patches}, {words}": ("mgcc", [f"mgcc.model.patch_share={patches}", f"mgcc.model.word_share={words}"])
           for patches, words in ((0.5, 0.5), (0.4, 0.5), (0.2, 0.4))},
        "patches only": ("mgcc", ["mgcc.model.word_share=1.0"]),
        "words only": ("mgcc", ["mgcc.model.patch_share=1.0"]), "MGCC": MGCC}),
    "fusion": ("MGCC", {  # Table 6
        **{name.replace("_", "-"): ("mgcc", [f"mgcc.model.fusion={name}"])
           for name in ("mean_mean", "mean_max", "max_mean", "max_max")}, "MGCC": MGCC}),
}
COMPARED = ("R1", "mAP")
INPUTS = ("data/prepared/manifest.parquet", "data/occluded/suites.json", "models/backbone/weights.safetensors",
          "models/backbone/model.json")
COSTS = {"ms_per_image": "ms per image", "ms_per_sentence": "ms per sentence", "ms_per_query": "ms per query",
         "peak_mb_match": "MB while matching", "bytes_per_image": "bytes per image"}
Found = dict[str, np.ndarray]  # "condition/metric" -> [sentences with a match]; "cost" -> values of COSTS


class Silent:
    """A recorder that forgets."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Nothing."""


def settings(further: list[str], seed: int, threads: int) -> Params:
    """The workspace's recipes with one arm's settings and one seed."""
    overrides = ["method=text", *further, f"tbps.recipe.seed={seed}", f"mgcc.seed={seed}", f"runtime.threads={threads}"]
    return from_mapping(OmegaConf.to_container(OmegaConf.create(composition(Path.cwd(), overrides))))


def input_hashes(root: Path) -> list[str]:
    """SHA-256 of what every training of a workspace reads: images, occluded copies (by their own hashes), backbone."""
    return [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in INPUTS]


def kept_file(out: Path, model: str, params: Params, seed: int, study: Study, root: Path) -> Path:
    """Where the outcome of these settings on these data lies; arms of equal settings share it."""
    section = {} if model == "zero_shot" else dataclasses.asdict(params.mgcc if model == "mgcc" else params.tbps)
    told = json.dumps([model, section, input_hashes(root), [suite.sha256 for suite in study.suites]], sort_keys=True)
    return out / f"{model}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.npz"


def train_and_judge(model: str, params: Params, root: Path, place: Path, study: Study) -> Found:
    """Train `model` in the folder `place`, which goes when it is judged; per-sentence values and costs."""
    (place / "models").mkdir(parents=True, exist_ok=True)
    for path in ("data", "models/backbone", "conf"):
        if not (place / path).exists():
            (place / path).symlink_to(root / path)
    folder = place / methods()[model].model
    if not folder.exists():
        if model == "mgcc":
            from reanchor.methods.mgcc.train import train_mgcc

            train_mgcc("mgcc", params, place, folder, Silent())
        else:
            from reanchor.methods.tbps.train import train_tbps

            train_tbps(model, params, place, folder, Silent())
    searched = measure_method(model, load_searcher(folder, params.runtime.device), study, params.search)[model]
    found = {f"{condition}/{metric}": values for condition, ranking in searched.rankings.items()
             for metric, values in per_sentence(ranking).items()}
    shutil.rmtree(place)
    costs = [searched.cost[key] for key in COSTS] if searched.cost else [None] * len(COSTS)
    return found | {"cost": np.array([np.nan if value is None else value for value in costs], np.float64)}


def outcome(model: str, params: Params, seed: int, out: Path, root: Path, study: Study) -> Found:
    """What was kept, or what a training gives now."""
    kept = kept_file(out, model, params, seed, study, root)
    if not kept.is_file():
        found = train_and_judge(model, params, root, out / "work" / kept.stem, study)
        with atomic_path(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, **found)
    with np.load(kept) as arrays:
        return {name: arrays[name] for name in arrays.files}


def report(reference: str, found: dict[str, list[Found]], study: Study) -> None:
    """A table for each gallery: mean over seeds, deviation, paired difference."""
    pids = study.query.pids[np.isin(study.query.pids, study.gallery.pids)]
    bootstrap = IdentityBootstrap(pids, 2000, 0.95, 0)
    for condition in study.conditions():
        head = [*METRICS, *(f"{metric} minus {reference}" for metric in COMPARED)]
        print(f"\n| {condition.name} | {' | '.join(head)} |\n{'|---' * (1 + len(head))}|")
        for arm, runs in found.items():
            cells = [_mean(np.array([run[f"{condition.name}/{metric}"].mean() for run in runs])) for metric in METRICS]
            for metric in COMPARED:
                own, others = (np.mean([run[f"{condition.name}/{metric}"] for run in which], axis=0)
                               for which in (runs, found[reference]))
                low, high = bootstrap.interval(bootstrap.means(pids, own - others))
                cells.append("" if arm == reference else f"{(own - others).mean():+.1f} [{low:+.1f}, {high:+.1f}]")
            print(f"| {arm} | {' | '.join(cells)} |")


def report_costs(found: dict[str, list[Found]]) -> None:
    """Medians over seeds."""
    print(f"\n| cost | {' | '.join(COSTS.values())} |\n{'|---' * (1 + len(COSTS))}|")
    for arm, runs in found.items():
        medians = np.median([run["cost"] for run in runs], axis=0)
        print(f"| {arm} | {' | '.join(f'{value:.3g}' for value in medians)} |")


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.1f}" + (f" ({values.std(ddof=1):.1f})" if len(values) > 1 else "")


def main() -> None:
    """Train what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="rows of the tables, beside the one compared with")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings for all arms")
    parser.add_argument("--out", type=Path, default=Path(".checkpoints/text_tables"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    root = Path.cwd()
    study = open_search_study(root / "data/prepared", root / "data/occluded")
    for table in options.tables:
        reference, arms = TABLES[table]
        arms = {arm: how for arm, how in arms.items() if not options.arms or arm in (*options.arms, reference)}
        found: dict[str, list[Found]] = {}
        for arm, (model, further) in arms.items():
            for seed in options.seeds if model != "zero_shot" else options.seeds[:1]:
                params = settings([*options.set, *further], seed, options.threads)
                found.setdefault(arm, []).append(outcome(model, params, seed, options.out.resolve(), root, study))
                shown = {name: values.mean() for name, values in found[arm][-1].items() if name.endswith("/R1")}
                print(f"{table}: {arm}, seed {seed}: " + ", ".join(f"{name} {value:.1f}" for name, value in
                                                                  shown.items()), flush=True)
        report(reference, found, study)
        report_costs(found)


if __name__ == "__main__":
    main()
