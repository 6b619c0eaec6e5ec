"""Judge methods under all conditions and write everything the report shows."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.formats.embedder import Embedder
from reanchor.formats.searcher import Searcher
from reanchor.retrieval.draws import lost_queries
from reanchor.retrieval.measure import Measured, measure_method
from reanchor.retrieval.outcomes import Outcomes
from reanchor.retrieval.outputs import write_outputs
from reanchor.retrieval.study import Study
from reanchor.retrieval.tables import Tables, tabulate

Factory = Callable[[], Embedder | Searcher]


def judge(config: Evaluate | Search, study: Study, factories: dict[str, Factory], out: Path,
          say: Callable[[str], None] = print) -> dict[str, float]:
    """Measure every method, write the tables into `out`, return {"method/condition/metric": value}.

    Writes queries.parquet, results.parquet, differences.parquet, rankings.parquet, protocol.json. Of pictures also
    slopes.json, areas.json, token_weights.parquet, token_shares.json, token_maps.parquet, anchor_parts.json,
    accuracy.csv and cmc.csv; of sentences cost.json.

    Args:
        factories: row of the tables -> function that loads the method, called when its turn comes. An embedder with
            variants gives a row for each of them: saga, saga_refined.
        say: takes lines for a person: the plan for memory, queries lost to the camera rule.

    Raises:
        ReanchorError: when no query has a match, or memory does not suffice; before anything is written.
    """
    if not study.by_sentence:
        config = dataclasses.replace(config, camera_rule=study.camera_rule(config.camera_rule))
        if advice := lost_queries(study, config):  # from labels alone, before hours of embedding
            say(f"warning: {advice}")
    measured: dict[str, Measured] = {}
    for name, load in factories.items():
        measured |= measure_method(name, load(), study, config, say)
    outcomes = Outcomes.of(measured, study, config)
    tables = tabulate(outcomes)
    write_outputs(out, config, study, measured, outcomes, tables)
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
