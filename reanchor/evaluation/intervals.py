"""Tables of values with bootstrap intervals, of paired differences, of slopes of leads and of areas under curves."""

from dataclasses import dataclass

import numpy as np

from reanchor.config.sections.judging import Evaluate
from reanchor.evaluation.bootstrap import IdentityBootstrap, area, slope
from reanchor.evaluation.conditions import Study
from reanchor.evaluation.draws import query_pids
from reanchor.evaluation.measure import Measured
from reanchor.methods.registry import global_pooling

DIFFERENCE_METRICS = ("mAP", "R1", "mINP")
Draws = dict[tuple[str, str, str], np.ndarray]  # (method, condition, metric) -> resampled means [B]


@dataclass(frozen=True)
class Tables:
    """Rows of results.parquet, differences.parquet and slopes.json; areas.json."""

    results: list[dict]
    differences: list[dict]
    slopes: list[dict]
    areas: dict[str, list[dict]]


def tabulate(measured: dict[str, Measured], study: Study, config: Evaluate) -> Tables:
    """Values, differences, slopes and areas of all methods from the same resamples of query identities."""
    bootstrap = IdentityBootstrap(query_pids(study, "whole", config.seed), config.bootstrap, config.confidence,
                                  config.seed)
    draws = _draws(measured, study, config.seed, bootstrap)
    values = {(method, condition, metric): value for method, one in measured.items()
              for condition, ranking in one.rankings.items() for metric, value in ranking.metrics().items()}
    return Tables(_results(measured, study, draws, values, bootstrap),
                  _differences(list(measured), draws, values, bootstrap),
                  _slopes(list(measured), study, draws, values, bootstrap),
                  _areas(list(measured), study, draws, values, bootstrap))


def _draws(measured: dict[str, Measured], study: Study, seed: int, bootstrap: IdentityBootstrap) -> Draws:
    draws, ranked = {}, {}
    for method, one in measured.items():
        for condition, ranking in one.rankings.items():
            if condition not in ranked:
                ranked[condition] = query_pids(study, condition, seed)
            pids = ranked[condition][ranking.valid]
            for metric, values in ranking.per_query().items():
                draws[method, condition, metric] = bootstrap.means(pids, values)
    return draws


def _results(measured: dict[str, Measured], study: Study, draws: Draws, values: dict,
             bootstrap: IdentityBootstrap) -> list[dict]:
    kinds = {c.name: (c.kind, c.ratio) for c in study.conditions()}
    rows = []
    for (method, condition, metric), draw in draws.items():
        ranking = measured[method].rankings[condition]
        low, high = bootstrap.interval(draw)
        kind, ratio = kinds.get(condition, (condition, 0.0))  # other rankings of whole queries: a kind of their own
        rows.append(
            {
                "method": method,
                "condition": condition,
                "kind": kind,
                "ratio": ratio,
                "metric": metric,
                "value": values[method, condition, metric],
                "low": low,
                "high": high,
                "queries": len(ranking.first_Q),
                "gallery": ranking.gallery,
                "lost_queries": ranking.lost,
            }
        )
    return rows


def _differences(methods: list[str], draws: Draws, values: dict, bootstrap: IdentityBootstrap) -> list[dict]:
    """method_a minus method_b, for each later against each earlier method."""
    conditions = dict.fromkeys(condition for _, condition, _ in draws)
    rows = []
    for a, b in ((a, b) for i, a in enumerate(methods) for b in methods[:i]):
        for condition in conditions:
            for metric in DIFFERENCE_METRICS:
                low, high = bootstrap.interval(draws[a, condition, metric] - draws[b, condition, metric])
                rows.append({"method_a": a, "method_b": b, "condition": condition, "metric": metric,
                             "value": values[a, condition, metric] - values[b, condition, metric],
                             "low": low, "high": high})
    return rows


def _slopes(methods: list[str], study: Study, draws: Draws, values: dict,
            bootstrap: IdentityBootstrap) -> list[dict]:
    """How each method's lead over global pooling changes, in points per 0.1 of occluded share."""
    reference = global_pooling()
    if reference not in methods:
        return []
    rows = []
    for kind, series in ratio_series(study).items():
        ratios, names = np.array(list(series)), list(series.values())
        for method, metric in ((m, k) for m in methods if m != reference for k in DIFFERENCE_METRICS):
            lead = np.array([values[method, n, metric] - values[reference, n, metric] for n in names])
            lead_BR = np.stack(
                [draws[method, n, metric] - draws[reference, n, metric] for n in names], 1
            )
            low, high = bootstrap.interval(slope(ratios, lead_BR))
            rows.append({"method": method, "reference": reference, "kind": kind, "metric": metric,
                         "slope_per_0.1": float(slope(ratios, lead)), "low": low, "high": high,
                         "ratios": ratios.tolist(), "lead": lead.tolist(),
                         "lead_low": [bootstrap.interval(d)[0] for d in lead_BR.T],
                         "lead_high": [bootstrap.interval(d)[1] for d in lead_BR.T]})
    return rows


def _areas(methods: list[str], study: Study, draws: Draws, values: dict, bootstrap: IdentityBootstrap
           ) -> dict[str, list[dict]]:
    """Areas under accuracy against occluded share, whole bodies at 0 included: {"areas": of each method,
    "differences": of each later minus each earlier method}, with intervals, by kind of occlusion."""
    areas, differences = [], []
    for kind, series in ratio_series(study).items():
        ratios, names = np.array(list(series)), list(series.values())
        for metric in DIFFERENCE_METRICS:
            value = {m: float(area(ratios, np.array([values[m, n, metric] for n in names]))) for m in methods}
            draw = {m: area(ratios, np.stack([draws[m, n, metric] for n in names], axis=1)) for m in methods}
            of = {"kind": kind, "metric": metric, "ratios": ratios.tolist()}
            areas += [{"method": m, **of, "value": value[m], **_ends(bootstrap, draw[m])} for m in methods]
            differences += [{"method_a": a, "method_b": b, **of, "value": value[a] - value[b],
                             **_ends(bootstrap, draw[a] - draw[b])}
                            for i, a in enumerate(methods) for b in methods[:i]]
    return {"areas": areas, "differences": differences}


def ratio_series(study: Study) -> dict[str, dict[float, str]]:
    """Kind of occlusion -> {occluded share: condition}, ascending, "whole" at 0 unless it has a suite of its own there;
    suites that cover another share (`Condition.on_ratio`) and kinds of fewer than two shares are left out."""
    found: dict[str, dict[float, str]] = {}
    for condition in sorted((c for c in study.suites if c.ratio is not None and c.on_ratio), key=lambda c: c.ratio):
        found.setdefault(condition.kind, {0.0: "whole"})[condition.ratio] = condition.name
    return {kind: found[kind] for kind in dict.fromkeys(c.kind for c in study.suites)
            if len(found.get(kind, ())) > 1}


def _ends(bootstrap: IdentityBootstrap, draw: np.ndarray) -> dict[str, float]:
    low, high = bootstrap.interval(draw)
    return {"low": low, "high": high}
