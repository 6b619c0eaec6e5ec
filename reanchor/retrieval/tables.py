"""Tables of values with bootstrap intervals, of paired differences, of slopes of leads and of areas under curves."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reanchor.methods.registry import global_pooling
from reanchor.retrieval.bootstrap import IdentityBootstrap, area, slope
from reanchor.retrieval.outcomes import Outcomes, Ranked
from reanchor.retrieval.ranking import Ranking
from reanchor.retrieval.study import Condition

DIFFERENCE_METRICS = ("mAP", "R1", "mINP")  # of pictures; sentences are compared by all of theirs
METRICS = ("R1", "R5", "R10", "Rsum", "mAP", "mINP")  # of sentences
Key = tuple[str, str, str]  # (method, condition, metric)


@dataclass(frozen=True)
class Tables:
    """Rows of results.parquet, differences.parquet and slopes.json; areas.json."""

    results: list[dict]
    differences: list[dict]
    slopes: list[dict]
    areas: dict[str, list[dict]]


def tabulate(outcomes: Outcomes) -> Tables:
    """Values and differences of all methods from the same resamples of query identities; of pictures slopes and areas
    too."""
    found = Resampled(outcomes)
    series = {} if outcomes.by_sentence else ratio_series(outcomes.conditions.values())
    return Tables(_results(found), _differences(found), _slopes(found, series), _areas(found, series))


def per_sentence(ranking: Ranking) -> dict[str, np.ndarray]:
    """Values whose means over sentences with a match are the metrics, in percent, each [sentences].

    R1, R5, R10: a match among the first ranks. Rsum: their sum (MGCC, "Evaluation Metrics"). mAP. mINP: matches /
    rank of the last match.
    """
    values = ranking.per_query()
    values["Rsum"] = sum(values[name] for name in METRICS[:3])
    return {name: values[name] for name in METRICS}


class Resampled:
    """Each metric of each method and condition: its mean over queries, and resampled means [B]."""

    def __init__(self, outcomes: Outcomes):
        self.outcomes, self.methods = outcomes, list(outcomes.rankings)
        self._each: dict[Key, np.ndarray] = {}  # of the queries that were not lost
        for method, found in outcomes.rankings.items():
            for condition, ranking in found.items():
                values = per_sentence(ranking) if outcomes.by_sentence else ranking.per_query()
                self._each |= {(method, condition, metric): each for metric, each in values.items()}
        described = outcomes.by_sentence  # people whom only lost sentences describe are nobody's draw
        pids = self._pids(self.methods[0], "whole") if described else outcomes.pids["whole"]
        self.bootstrap = IdentityBootstrap(pids, outcomes.bootstrap, outcomes.confidence, outcomes.seed)
        self.value = {key: float(each.mean()) for key, each in self._each.items()}
        self.draws = {key: self._means(key, each) for key, each in self._each.items()}

    def _pids(self, method: str, condition: str) -> np.ndarray:
        return self.outcomes.pids[condition][self.outcomes.rankings[method][condition].valid]

    def _means(self, key: Key, each: np.ndarray) -> np.ndarray:
        return self.bootstrap.means(self._pids(*key[:2]), each)

    def apart(self, a: Key, b: Key) -> tuple[float, np.ndarray]:
        """a minus b: the value, and resampled values [B].

        The mean of the differences of sentences, and the difference of the means of pictures: equal but for rounding,
        and each kept as its figures have always been made.
        """
        if self.outcomes.by_sentence:
            each = self._each[a] - self._each[b]
            return float(each.mean()), self._means(a, each)
        return self.value[a] - self.value[b], self.draws[a] - self.draws[b]

    def ends(self, draws_B: np.ndarray, name: str = "") -> dict[str, float]:
        """The interval as columns "low" and "high", or "NAME_low" and "NAME_high"."""
        prefix = f"{name}_" if name else ""
        return dict(zip((f"{prefix}low", f"{prefix}high"), self.bootstrap.interval(draws_B), strict=True))


def _results(found: Resampled) -> list[dict]:
    rows = []
    for key, draws in found.draws.items():
        method, condition, metric = key
        ranking, of = found.outcomes.rankings[method][condition], found.outcomes.conditions[condition]
        row = {"method": method, "condition": condition, "kind": of.kind, "ratio": of.ratio, "metric": metric,
               "value": found.value[key], **found.ends(draws), "gallery": ranking.gallery}
        if found.outcomes.by_sentence:  # `change`: what the occlusion of the gallery costs
            change, change_draws = found.apart(key, (method, "whole", metric))
            row |= {"change": change, **found.ends(change_draws, "change"), "sentences": len(ranking.first_Q),
                    "occluded_images": of.occluded_images, "lost_sentences": ranking.lost}
        else:
            row |= {"queries": len(ranking.first_Q), "lost_queries": ranking.lost}
        rows.append(row)
    return rows


def _differences(found: Resampled) -> list[dict]:
    """method_a minus method_b, for each later against each earlier method."""
    metrics, rows = METRICS if found.outcomes.by_sentence else DIFFERENCE_METRICS, []
    for a, b in pairs(found.methods):
        for condition in found.outcomes.conditions:
            for metric in metrics:
                value, draws = found.apart((a, condition, metric), (b, condition, metric))
                rows.append({"method_a": a, "method_b": b, "condition": condition, "metric": metric, "value": value,
                             **found.ends(draws)})
    return rows


def pairs(methods: list[str]) -> list[tuple[str, str]]:
    """Each method with each earlier one."""
    return [(a, b) for i, a in enumerate(methods) for b in methods[:i]]


def _slopes(found: Resampled, series: dict[str, dict[float, str]]) -> list[dict]:
    """How each method's lead over global pooling changes, in points per 0.1 of occluded share."""
    reference = global_pooling()
    if reference not in found.methods:
        return []
    rows = []
    for kind, names in series.items():
        ratios = np.array(list(names))
        for method, metric in ((m, k) for m in found.methods if m != reference for k in DIFFERENCE_METRICS):
            leads = [found.apart((method, name, metric), (reference, name, metric)) for name in names.values()]
            lead, lead_BR = np.array([value for value, _ in leads]), np.stack([draws for _, draws in leads], 1)
            ends = [found.bootstrap.interval(draws) for draws in lead_BR.T]
            rows.append({"method": method, "reference": reference, "kind": kind, "metric": metric,
                         "slope_per_0.1": float(slope(ratios, lead)), **found.ends(slope(ratios, lead_BR)),
                         "ratios": ratios.tolist(), "lead": lead.tolist(),
                         "lead_low": [low for low, _ in ends], "lead_high": [high for _, high in ends]})
    return rows


def _areas(found: Resampled, series: dict[str, dict[float, str]]) -> dict[str, list[dict]]:
    """Areas under accuracy against occluded share, whole bodies at 0 included: {"areas": of each method,
    "differences": of each later minus each earlier method}, with intervals, by kind of occlusion."""
    areas, differences = [], []
    for kind, series_of in series.items():
        ratios, names = np.array(list(series_of)), list(series_of.values())
        for metric in DIFFERENCE_METRICS:
            value = {m: float(area(ratios, np.array([found.value[m, n, metric] for n in names])))
                     for m in found.methods}
            draw = {m: area(ratios, np.stack([found.draws[m, n, metric] for n in names], axis=1))
                    for m in found.methods}
            of = {"kind": kind, "metric": metric, "ratios": ratios.tolist()}
            areas += [{"method": m, **of, "value": value[m], **found.ends(draw[m])} for m in found.methods]
            differences += [{"method_a": a, "method_b": b, **of, "value": value[a] - value[b],
                             **found.ends(draw[a] - draw[b])} for a, b in pairs(found.methods)]
    return {"areas": areas, "differences": differences}


def ratio_series(conditions: Iterable[Condition | Ranked]) -> dict[str, dict[float, str]]:
    """Kind of occlusion -> {occluded share: condition}, ascending, "whole" at 0 unless it has a suite of its own there;
    suites that cover another share (`Condition.on_ratio`) and kinds of fewer than two shares are left out."""
    conditions, found = list(conditions), {}
    for condition in sorted((c for c in conditions if c.ratio is not None and c.on_ratio), key=lambda c: c.ratio):
        found.setdefault(condition.kind, {0.0: "whole"})[condition.ratio] = condition.name
    return {kind: found[kind] for kind in dict.fromkeys(c.kind for c in conditions) if len(found.get(kind, ())) > 1}
