"""The same small grid for the baseline and for CLIP-ReID, judged on validation identities only.

    python -m benchmarks.search [--epochs 4]

Reads the workspace's data, backbone and prompts (`dvc repro prompts occlude` makes them) and the settings
of params.yaml; models go to a temporary folder. Prints one row per training.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

from reanchor.config.load import load
from reanchor.config.params import Params
from reanchor.methods.clip_reid.train import train_stage2

GRID = (  # learning rate, weight of the ID loss, weight of the token loss
    (1e-3, 0.25, 0.0),
    (1e-3, 1.0, 0.0),
    (5e-4, 1.0, 0.0),
    (1e-3, 1.0, 0.5),
)


class Silent:
    """A recorder that forgets."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Nothing."""


def settings(params: Params, model: str, epochs: int, point: tuple[float, float, float]) -> Params:
    """`params` at one point of the grid."""
    lr, identity, token = point
    weights = dataclasses.replace(getattr(params.finetune, model), id=identity, token=token)
    finetune = dataclasses.replace(
        params.finetune, recipe=dataclasses.replace(params.finetune.recipe, epochs=epochs, lr=lr), **{model: weights})
    return dataclasses.replace(params, finetune=finetune)


def main() -> None:
    """Train every point for both models; print validation figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    params, root = load("params.yaml"), Path.cwd()
    print(f"{'model':<11}{'lr':>8}{'id':>6}{'token':>7}{'val score':>11}{'images/s':>10}")
    for model in ("baseline", "clip_reid"):
        for point in GRID:
            with tempfile.TemporaryDirectory() as scratch:
                figures = train_stage2(model, settings(params, model, options.epochs, point), root,
                                       Path(scratch) / model, Silent())
            lr, identity, token = point
            print(f"{model:<11}{lr:>8g}{identity:>6g}{token:>7g}{figures['val_score']:>11.2f}"
                  f"{figures['images_per_second']:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
