"""The first ranks of some sentences, with what a method kept of sentence and images, for the report."""

import numpy as np
import torch

from reanchor.evaluation.ranking import Ranking
from reanchor.formats.searcher import Encoded, Searcher
from reanchor.search.encode import part_of
from reanchor.search.similarities import Similarities, first_ranks
from reanchor.search.study import GalleryCondition, SearchStudy
from reanchor.search.words import kept_spans

RANKS = 20


def sample_rankings(name: str, searcher: Searcher, condition: GalleryCondition, similarities: Similarities,
                    sentences: Encoded, gallery: Encoded, study: SearchStudy, chosen: np.ndarray,
                    ranking: Ranking) -> list[dict]:
    """Rows of `rankings.parquet`, one per chosen sentence."""
    if not len(chosen):
        return []
    pids, grid = study.labels.pids, searcher.grid
    records = []
    for sentence, places in zip(chosen, first_ranks(similarities, study, chosen, RANKS), strict=True):
        row, text = int(study.sentences.rows[sentence]), study.sentences.texts[sentence]
        shown = study.gallery_rows[places]
        records.append({
            "method": name, "condition": condition.name, "sentence": int(sentence), "text": text, "query_row": row,
            "places": places.tolist(), "gallery_rows": shown.tolist(), "right": (pids[shown] == pids[row]).tolist(),
            "occluded": np.isin(places, condition.places).tolist(), "first_match": int(ranking.first_Q[sentence]),
            "average_precision": float(ranking.ap_Q[sentence]), "matches": int((study.gallery.pids == pids[row]).sum()),
            "kept_spans": _words(searcher, sentences, int(sentence), text),
            "kept_patches": _kept(gallery, "patch_index", places),
            "grid_rows": grid[0] if grid else 0, "grid_cols": grid[1] if grid else 0})
    return records


def _kept(encoded: Encoded, name: str, items: np.ndarray) -> list[list[int]]:
    """Which tokens of some items were kept; nothing for a method that keeps all."""
    if name not in encoded:
        return []
    return torch.sort(part_of({name: encoded[name]}, items)[name], dim=1).values.tolist()


def _words(searcher: Searcher, sentences: Encoded, sentence: int, text: str) -> list[list[int]]:
    kept = _kept(sentences, "word_index", np.array([sentence]))
    return [list(span) for span in kept_spans(searcher, text, kept[0])] if kept else []
