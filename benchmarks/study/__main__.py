"""Train what is missing, judge it on test identities, print the tables.

    python -m benchmarks.study train --arms saga saga_free gated_shared --seeds 0 1 2
    python -m benchmarks.study judge --arms saga saga_free gated_shared --seeds 0 1 2
    python -m benchmarks.study table --arms saga saga_free saga:refined --against clip_reid --seeds 0 1 2

It works in the default study's workspace, from data/prepared, data/occluded and models/backbone; models, figures and
tables stay in --out. Epochs and fusion weights are chosen on validation identities, as in the study itself.
"""

import argparse
import dataclasses
from pathlib import Path

import torch

from benchmarks.study.arms import ARMS
from benchmarks.study.judge import judge
from benchmarks.study.tables import print_tables
from benchmarks.study.train import Place, model_folder, train
from reanchor.errors import ReanchorError
from reanchor.evaluation.conditions import load_study


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("train", "judge", "table"))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), metavar="ARM", help=f"of {', '.join(ARMS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--against", default="clip_reid", help="the row that differences are taken from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of every arm")
    parser.add_argument("--models", type=Path, help="judge the models of another --out on this workspace's images")
    parser.add_argument("--out", type=Path, default=Path(".checkpoints/study"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    root, out = Path.cwd(), given.out.resolve()
    place = Place(out, root, tuple(given.set), given.threads)
    if given.step == "table":
        print_tables(given.arms, given.against, given.seeds, out, root)
        return
    models = dataclasses.replace(place, out=given.models.resolve()) if given.models else place
    study = None if given.step == "train" else load_study(root / "data/prepared", root / "data/occluded")
    for seed in given.seeds:
        for name in given.arms:
            if study is None:
                train(place, name, seed)
            elif (folder := model_folder(models, name, seed)).is_dir():
                judge(name, folder, out / f"judged/{name}-{seed}.npz", study, root)


if __name__ == "__main__":
    try:
        main()
    except ReanchorError as error:
        raise SystemExit(str(error)) from None
