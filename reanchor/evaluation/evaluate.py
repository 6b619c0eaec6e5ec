"""Evaluate methods under all conditions and write everything the report shows."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from reanchor.config.sections.judging import Evaluate
from reanchor.evaluation.conditions import Study
from reanchor.evaluation.draws import lost_queries
from reanchor.evaluation.flip import FlipBeside
from reanchor.evaluation.intervals import Tables, tabulate
from reanchor.evaluation.measure import Measured, measure_method
from reanchor.evaluation.outputs import write_outputs
from reanchor.formats.embedder import Embedder
from reanchor.methods.embedders import load_embedder
from reanchor.methods.method import IMAGE, Method, code
from reanchor.methods.registry import judged

EmbedderFactory = Callable[[], Embedder]

def method_factories(config: Evaluate, workspace: Path, device: str) -> dict[str, EmbedderFactory]:
    """Method -> function that loads its embedder, in the order of `config.methods`, with the further rows asked for.

    Models are loaded one at a time, when their turn comes.
    """
    return {name: _loader(judged(IMAGE)[name], workspace, device, config) for name in config.methods}


def _loader(method: Method, workspace: Path, device: str, config: Evaluate) -> EmbedderFactory:
    def load() -> Embedder:
        features = getattr(config.features, method.name) if method.features else ()
        if method.model:
            embedder = load_embedder(workspace / method.model, device, features=features)
        else:
            embedder = code(method.embed)()
        return FlipBeside(embedder) if config.flip else embedder

    return load


def evaluate(config: Evaluate, study: Study, factories: dict[str, EmbedderFactory], out: Path,
             say: Callable[[str], None] = print) -> dict:
    """Measure every method, write the tables into `out`, return {"method/condition/metric": value}.

    Writes results.parquet, differences.parquet, slopes.json, areas.json, rankings.parquet,
    token_weights.parquet, token_shares.json, token_maps.parquet, anchor_parts.json, protocol.json,
    accuracy.csv and cmc.csv.

    Args:
        say: takes lines for a person: the plan for memory, queries lost to the camera rule.

    Raises:
        ReanchorError: when no query has a match, or memory does not suffice; before anything is written.
    """
    config = dataclasses.replace(config, camera_rule=study.camera_rule(config.camera_rule))
    if advice := lost_queries(study, config):  # from labels alone, before hours of embedding
        say(f"warning: {advice}")
    measured: dict[str, Measured] = {}
    for name, load in factories.items():
        measured |= measure_method(name, load(), study, config, say)
    tables = tabulate(measured, study, config)
    write_outputs(out, config, study, measured, tables)
    return flat_metrics(measured, tables)


def flat_metrics(measured: dict[str, Measured], tables: Tables) -> dict[str, float]:
    """Every value of the study under one flat name, slopes of the leads and areas under the curves included."""
    metrics = {f"{row['method']}/{row['condition']}/{row['metric']}": round(row["value"], 4)
               for row in tables.results}
    for row in tables.slopes:
        name = f"{row['method']}/lead_slope_{row['kind']}/{row['metric']}"
        metrics[name] = round(row["slope_per_0.1"], 4)
    for row in tables.areas["areas"]:
        metrics[f"{row['method']}/area_{row['kind']}/{row['metric']}"] = round(row["value"], 4)
    for name, one in measured.items():
        for columns in one.token_shares:
            if not columns["area_target"].any():  # a dataset without person masks
                continue
            key = f"{name}/{columns['condition'][0]}/token_weight_on_target"
            metrics[key] = round(float(np.mean(columns["weight_target"])), 4)
    return metrics
