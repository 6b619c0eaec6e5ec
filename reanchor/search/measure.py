"""One method through all conditions: every sentence and every picture is encoded once, then ranked."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reanchor.config.sections.judging import Search
from reanchor.evaluation.measure import sample_rows
from reanchor.evaluation.ranking import Ranking
from reanchor.formats.preprocessing import preprocessing_of, refuse_other_images
from reanchor.formats.searcher import Encoded, Searcher, cut_sentences
from reanchor.search.cost import measure_cost
from reanchor.search.encode import encode_images, encode_sentences, exchange
from reanchor.search.memory import SearchMemory, plan_memory
from reanchor.search.samples import sample_rankings
from reanchor.search.similarities import Similarities, rank
from reanchor.search.study import GalleryCondition, SearchStudy


@dataclass
class Searched:
    """What one method yields: rankings by condition, sample rankings, cost, sentences that lost their end."""

    rankings: dict[str, Ranking] = field(default_factory=dict)
    samples: list[dict] = field(default_factory=list)
    cost: dict = field(default_factory=dict)
    cut: int = 0


def search_method(name: str, searcher: Searcher, study: SearchStudy, config: Search,
                  say: Callable[[str], None] = print) -> Searched:
    """Encode sentences and gallery once, then rank under each condition.

    Raises:
        ReanchorError: the method reads images of another size or resize than the study's, the memory budget is
            too small, or a similarity is not finite.
    """
    refuse_other_images(name, preprocessing_of(searcher), study.preprocessing)
    memory = _plan(searcher, study, config)
    say(f"{name}: {memory.sentence()}")
    searched = Searched(cut=cut_sentences(searcher, study.sentences.texts))
    if searched.cut:
        say(f"warning: {name}: {searched.cut} of {len(study.sentences)} sentences are longer than the context of "
            "its text tower and lose their end")
    sentences = encode_sentences(searcher, study.sentences.texts, config.batch, f"{name} sentences")
    gallery = encode_images(searcher, study.images, study.gallery_rows, config.batch, f"{name} gallery")
    chosen = sample_sentences(study, config)
    for condition in study.conditions:
        _search_condition(name, searcher, condition, sentences, gallery, study, config, memory, chosen, searched)
    searched.cost = measure_cost(searcher, study, sentences, gallery, memory, config)
    return searched


def _plan(searcher: Searcher, study: SearchStudy, config: Search) -> SearchMemory:
    one = encode_sentences(searcher, study.sentences.texts[:1], 1, "one sentence")
    image = encode_images(searcher, study.images, study.gallery_rows[:1], 1, "one image")
    return plan_memory(config, one, image, len(study.sentences), len(study.gallery_rows),
                       max(len(condition.places) for condition in study.conditions))


def _search_condition(name: str, searcher: Searcher, condition: GalleryCondition, sentences: Encoded,
                      gallery: Encoded, study: SearchStudy, config: Search, memory: SearchMemory,
                      chosen: np.ndarray, searched: Searched) -> None:
    replaced = encode_images(searcher, condition.images, np.arange(len(condition.places)), config.batch,
                             f"{name} {condition.name}")
    exchange(gallery, condition.places, replaced)
    similarities = Similarities(searcher, sentences, gallery, memory)
    ranking = rank(similarities, study, memory)
    searched.rankings[condition.name] = ranking
    searched.samples += sample_rankings(name, searcher, condition, similarities, sentences, gallery, study, chosen,
                                        ranking)
    exchange(gallery, condition.places, replaced)


def sample_sentences(study: SearchStudy, config: Search) -> np.ndarray:
    """Numbers of up to `config.sample_queries` sentences with a match, one per identity as far as identities
    reach, drawn by `config.seed`; the first sentence of each drawn image."""
    found = np.isin(study.query.pids, study.gallery.pids)
    rows = sample_rows(study.sentences.rows[found], study.labels.pids, config.seed)[: config.sample_queries]
    return np.flatnonzero(found)[np.searchsorted(study.sentences.rows[found], rows)]
