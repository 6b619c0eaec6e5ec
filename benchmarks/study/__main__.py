"""Train what is missing, judge it on test identities, print the tables.

    python -m benchmarks.study train --arms saga saga_free gated_shared --seeds 0 1 2
    python -m benchmarks.study judge --arms saga saga_free gated_shared --seeds 0 1 2
    python -m benchmarks.study table --arms saga saga_free saga:refined --against clip_reid --seeds 0 1 2

It works in the default study's workspace, from data/prepared, data/occluded and models/backbone; models, figures and
tables stay in --out. Epochs and fusion weights are chosen on validation identities, as in the study itself.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from benchmarks.study.arms import ARMS, lacking, require_arms, require_row
from benchmarks.study.judge import judge
from benchmarks.study.tables import print_tables
from benchmarks.study.train import Place, model_folder, train
from reanchor.cli.main import USER_ERROR
from reanchor.errors import ReanchorError
from reanchor.retrieval.opening import open_study


def main(arguments: list[str] | None = None) -> int:
    """Take one step; 2 after a one-line message on stderr."""
    given = _parser().parse_args(arguments)
    try:
        _run(given)
    except ReanchorError as error:
        print(" ".join(f"benchmarks.study {given.step}: {error}".split()), file=sys.stderr)
        return USER_ERROR
    except FileNotFoundError as error:
        print(f"benchmarks.study {given.step}: {error.filename or error}: not found; run this in the default study's "
              "workspace, after `dvc repro`", file=sys.stderr)
        return USER_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("train", "judge", "table"))
    parser.add_argument("--arms", nargs="+", metavar="ARM",
                        help=f"of {', '.join(ARMS)} (default: all; judge: all that are trained)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--against", default="clip_reid", help="the row that differences are taken from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of every arm")
    parser.add_argument("--models", type=Path, help="judge the models of another --out on this workspace's images")
    parser.add_argument("--out", type=Path, default=Path(".checkpoints/study"))
    return parser


def _run(given: argparse.Namespace) -> None:
    arms, place = given.arms or list(ARMS), Place(given.out.resolve(), Path.cwd(), tuple(given.set), given.threads)
    if given.step == "table":
        for option, row in [*(("--arms", row) for row in arms), ("--against", given.against)]:
            require_row(option, row)
    else:
        require_arms(arms)
    torch.set_num_threads(given.threads)
    if given.step == "table":
        print_tables(arms, given.against, given.seeds, place.out, place.root)
    elif given.step == "judge":
        _judge(given, arms, place)
    else:
        for seed in given.seeds:
            for name in arms:
                train(place, name, seed)


def _judge(given: argparse.Namespace, arms: list[str], place: Place) -> None:
    models = dataclasses.replace(place, out=given.models.resolve()) if given.models else place
    folders = {(name, seed): model_folder(models, name, seed) for seed in given.seeds for name in arms}
    trained = {pair: folder for pair, folder in folders.items() if folder.is_dir()}
    if len(trained) < len(folders) and (given.arms or not trained):  # without --arms: what there is
        raise _untrained([pair for pair in folders if pair not in trained], models.out)
    study = open_study(place.root / "data/prepared", place.root / "data/occluded")
    for (name, seed), folder in trained.items():
        judge(name, folder, place.out / f"judged/{name}-{seed}.npz", study, place.root)


def _untrained(pairs: list[tuple[str, int]], out: Path) -> ReanchorError:
    own = [pair for pair in pairs if ARMS[pair[0]].kind != "clip"]
    if own:
        return lacking("trained", own, "train", out)
    return ReanchorError(f"--arms: got {pairs[0][0]}, which is models/backbone and not found; allowed: the default "
                         "study's workspace; run `dvc repro backbone`")


if __name__ == "__main__":
    sys.exit(main())
