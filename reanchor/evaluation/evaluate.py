"""Evaluate methods under all conditions and write everything the report shows."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from reanchor.config.sections import Evaluate
from reanchor.evaluation.conditions import Study
from reanchor.evaluation.embedder import Embedder
from reanchor.evaluation.histogram import ColourHistogram
from reanchor.evaluation.intervals import Tables, tabulate
from reanchor.evaluation.measure import Measured, measure_method
from reanchor.evaluation.outputs import write_outputs

EmbedderFactory = Callable[[], Embedder]

# Each configured method, the folder of its model under models/, and the rows it gives:
# row name -> variant of the embedder.
MODELS: dict[str, tuple[str, dict[str, str | None]]] = {
    "zero_shot": ("backbone", {"zero_shot": None}),
    "baseline": ("finetune/baseline", {"baseline": None}),
    "clip_reid": ("finetune/clip_reid", {"clip_reid": None}),
    "saga": ("saga", {"saga": "fused", "saga_refined": "refined"}),
    "gated": ("gate", {"gated": None}),
}


def method_factories(methods: list[str], models: Path, device: str) -> dict[str, EmbedderFactory]:
    """Row name -> function that loads its embedder, in the order of `methods`.

    Models are loaded one at a time, when their turn comes.
    """
    factories: dict[str, EmbedderFactory] = {}
    for method in methods:
        if method == "histogram":
            factories["histogram"] = ColourHistogram
            continue
        folder, rows = MODELS[method]
        factories |= {row: _loader(models / folder, device, variant) for row, variant in rows.items()}
    return factories


def _loader(folder: Path, device: str, variant: str | None) -> EmbedderFactory:
    def load() -> Embedder:
        from reanchor.embedding import load_embedder

        return (
            load_embedder(folder, device)
            if variant is None
            else load_embedder(folder, device, variant=variant)
        )

    return load


def evaluate(config: Evaluate, study: Study, factories: dict[str, EmbedderFactory], out: Path) -> dict:
    """Measure every method, write the tables into `out`, return {"method/condition/metric": value}.

    Writes results.parquet, differences.parquet, slopes.json, rankings.parquet, token_weights.parquet,
    token_shares.json, token_maps.parquet, protocol.json, accuracy.csv and cmc.csv.
    """
    config = dataclasses.replace(config, camera_rule=study.camera_rule(config.camera_rule))
    measured = {name: measure_method(name, load(), study, config) for name, load in factories.items()}
    drop_repeated_tokens(measured)
    tables = tabulate(measured, study, config)
    write_outputs(out, config, study, measured, tables)
    return flat_metrics(measured, tables)


def drop_repeated_tokens(measured: dict[str, Measured]) -> None:
    """Keep equal token weights once: SAGA's features differ in what is fused with the same tokens."""
    seen: list[np.ndarray] = []
    for one in measured.values():
        if one.token_shares:
            weights = np.concatenate([columns["weight_target"] for columns in one.token_shares])
            if any(np.array_equal(weights, other) for other in seen):
                one.token_shares, one.token_maps = [], []
            seen.append(weights)


def flat_metrics(measured: dict[str, Measured], tables: Tables) -> dict[str, float]:
    """Every value of the study under one flat name, slopes of the leads included."""
    metrics = {f"{row['method']}/{row['condition']}/{row['metric']}": round(row["value"], 4)
               for row in tables.results}
    for row in tables.slopes:
        name = f"{row['method']}/lead_slope_{row['kind']}/{row['metric']}"
        metrics[name] = round(row["slope_per_0.1"], 4)
    for name, one in measured.items():
        for columns in one.token_shares:
            if not columns["area_target"].any():  # a dataset without person masks
                continue
            key = f"{name}/{columns['condition'][0]}/token_weight_on_target"
            metrics[key] = round(float(np.mean(columns["weight_target"])), 4)
    return metrics
