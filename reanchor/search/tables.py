"""Values with bootstrap intervals, and paired differences between methods."""

from dataclasses import dataclass

import numpy as np

from reanchor.config.sections.judging import Search
from reanchor.evaluation.bootstrap import IdentityBootstrap
from reanchor.evaluation.ranking import Ranking
from reanchor.search.measure import Searched
from reanchor.search.study import SearchStudy

METRICS = ("R1", "R5", "R10", "Rsum", "mAP", "mINP")
RANKS = METRICS[:3]


def per_sentence(ranking: Ranking) -> dict[str, np.ndarray]:
    """Values whose means over sentences with a match are the metrics, in percent, each [sentences].

    R1, R5, R10: a match among the first ranks. Rsum: their sum (MGCC, "Evaluation Metrics"). mAP. mINP: matches /
    rank of the last match.
    """
    values = ranking.per_query()
    values["Rsum"] = sum(values[name] for name in RANKS)
    return {name: values[name] for name in METRICS}


@dataclass(frozen=True)
class Tables:
    """Rows of results.parquet and differences.parquet."""

    results: list[dict]
    differences: list[dict]


def tabulate(searched: dict[str, Searched], study: SearchStudy, config: Search) -> Tables:
    """Values and differences of all methods from the same resamples of the described identities."""
    pids = study.query.pids[np.isin(study.query.pids, study.gallery.pids)]
    bootstrap = IdentityBootstrap(pids, config.bootstrap, config.confidence, config.seed)
    values = {(method, condition): per_sentence(ranking) for method, one in searched.items()
              for condition, ranking in one.rankings.items()}
    return Tables(_results(values, searched, study, bootstrap, pids),
                  _differences(list(searched), values, study, bootstrap, pids))


def _results(values: dict, searched: dict[str, Searched], study: SearchStudy, bootstrap: IdentityBootstrap,
             pids: np.ndarray) -> list[dict]:
    """`change`: what the occlusion of the gallery costs, a paired difference from the whole one."""
    conditions = {condition.name: condition for condition in study.conditions}
    return [{"method": method, "condition": condition, "kind": conditions[condition].kind,
             "ratio": conditions[condition].ratio, "metric": metric, **_with_interval(each, bootstrap, pids),
             **_with_interval(each - values[method, "whole"][metric], bootstrap, pids, "change"),
             "sentences": len(study.sentences), "gallery": searched[method].rankings[condition].gallery,
             "occluded_images": len(conditions[condition].places), "lost_sentences": study.lost}
            for (method, condition), metrics in values.items() for metric, each in metrics.items()]


def _differences(methods: list[str], values: dict, study: SearchStudy, bootstrap: IdentityBootstrap,
                 pids: np.ndarray) -> list[dict]:
    """method_a minus method_b, for each later against each earlier method."""
    return [{"method_a": a, "method_b": b, "condition": condition.name, "metric": metric,
             **_with_interval(values[a, condition.name][metric] - values[b, condition.name][metric], bootstrap, pids)}
            for i, a in enumerate(methods) for b in methods[:i] for condition in study.conditions
            for metric in METRICS]


def _with_interval(each: np.ndarray, bootstrap: IdentityBootstrap, pids: np.ndarray,
                   name: str = "") -> dict[str, float]:
    low, high = bootstrap.interval(bootstrap.means(pids, each))
    names = (name, f"{name}_low", f"{name}_high") if name else ("value", "low", "high")
    return dict(zip(names, (float(each.mean()), low, high), strict=True))
