"""protocol.json: the conditions under which every number was made."""

import numpy as np

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.retrieval.draws import gallery_draws, lost_queries
from reanchor.retrieval.extras import extra_sentences, test_time_extras
from reanchor.retrieval.measure import Measured
from reanchor.retrieval.ranking import Ranking
from reanchor.retrieval.study import Study

DISTANCE_SAYS = {"cosine": "1 - dot product of L2-normalised features, fp32",
                 "euclidean": "squared Euclidean distance of L2-normalised features, fp32"}


def protocol(config: Evaluate | Search, study: Study, measured: dict[str, Measured]) -> dict:
    """What has to stand with each number."""
    people = "described" if study.by_sentence else "query"
    return {
        "card": study.card,
        "junk": "pid -1 is dropped",
        "intervals": f"{100 * config.confidence:g} % percentile bootstrap over {people} identities, "
                     f"{config.bootstrap} resamples, the same for all methods",
        **(_of_sentences if study.by_sentence else _of_pictures)(config, study, measured)}


def _of_pictures(config: Evaluate, study: Study, measured: dict[str, Measured]) -> dict:
    return {
        "kind": study.kind,
        "camera_rule": config.camera_rule,
        "camera_rule_says": "gallery images of the query's own identity and camera are dropped"
        if config.camera_rule == "market"
        else "only the query image itself is dropped",
        "camera_rule_costs": lost_queries(study, config),
        "distractors": "pid 0 stays in the gallery, in every condition but one",
        "distance": DISTANCE_SAYS[config.distance],
        "selection": "checkpoints and fusion weights are chosen on validation identities only" if study.held_out
        else "no identities are held out: models are those of their last epoch",
        "test_time_extras": test_time_extras(config),
        "test_time_extra_conditions": sorted(extra_sentences(config)),
        **_picture_counts(config, study, next(iter(measured.values())).rankings["whole"]),
        "off_ratio": off_ratio(study),
        "off_ratio_says": "their mean covered share differs from the ratio by more than the generator's tolerance: "
        "they have rows of their own and are no points of curves, areas and slopes",
        "suites": [
            {"name": c.name, "kind": c.kind, "ratio": c.ratio, "covered": c.covered, "queries": len(c.rows),
             "sha256": c.sha256}
            | ({} if c.gallery is None else {"gallery_occluded": len(c.gallery.rows)})
            for c in study.suites
        ],
    }


def _picture_counts(config: Evaluate, study: Study, whole: Ranking) -> dict:
    """Queries and gallery; with several random galleries those of one of them, and the lost of all."""
    draw = gallery_draws(study, config.seed)[0]
    says = "the dataset's own" if study.galleries == 1 else (
        f"whole-body figures are means over {study.galleries} galleries of one random image per identity, drawn by "
        f"evaluate.seed {config.seed}; occluded queries search the first gallery, drawn by prepare")
    return {"queries": len(draw.query_rows), "galleries": study.galleries, "galleries_says": says,
            "query_identities": len(np.unique(study.labels.pids[draw.query_rows])),
            "lost_queries": whole.lost, "lost_queries_says": whole.lost_sentence(),
            **study.gallery_counts(draw.gallery_rows)}


def off_ratio(study: Study) -> list[str]:
    """Conditions that cover another share than their name says, and are no points of a curve."""
    return [condition.name for condition in study.suites if not condition.on_ratio]


def _of_sentences(config: Search, study: Study, measured: dict[str, Measured]) -> dict:
    counts = sentence_counts(study)
    return {
        **counts,
        "searches": _searches(counts),
        "camera_rule": "none: every image of the described person is a match, the described image itself included "
                       "where it is in the gallery",
        "distractors_says": "pid 0 stays in the gallery and never matches",
        "lost_sentences_says": f"{counts['lost_sentences']} of {counts['sentences']} sentences describe nobody in the "
                               "gallery and are left out",
        "left_out": {name: study.untrainable for name in config.methods if study.untrainable and name not in measured},
        "cut_sentences": {name: one.cut for name, one in measured.items()},
        "ties": "equal similarities go to the earlier gallery image",
        "selection": "checkpoints are chosen on held-out training identities only",
        "test_time_extras": "none",
        "suites": [{"name": c.name, "kind": c.kind, "ratio": c.ratio, "replaced": len(study.places(c)),
                    "sha256": c.sha256} for c in study.suites]}


def sentence_counts(study: Study) -> dict[str, int]:
    """Sizes of a study of sentences."""
    described = np.unique(study.query_rows)
    return {"sentences": len(study.sentences), "described_images": len(described),
            "query_identities": len(np.unique(study.query.pids)), "lost_sentences": study.unmatched,
            "own_images_in_gallery": int(np.isin(described, study.gallery_rows).sum()),
            **study.gallery_counts(study.gallery_rows)}


def _searches(counts: dict[str, int]) -> str:
    own = counts["own_images_in_gallery"]
    which = "gallery images search the gallery they stand in" if own == counts["described_images"] else (
        "query images search the gallery" if not own else
        f"images, {own} of which are in the gallery, search the gallery")
    return f"each caption by itself: those of {which}"
