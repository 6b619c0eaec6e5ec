"""Test-time extras: ways of measuring distances that stand beside the plain one, never in its place."""

import functools
from collections.abc import Sequence

import numpy as np

from reanchor.config.sections.judging import Evaluate
from reanchor.retrieval.distance import BlockDistance, Measure, block_distance
from reanchor.retrieval.nfc import centralise
from reanchor.retrieval.rerank import reranked_distance

RERANKED, CENTRALISED = "whole-reranked", "whole-nfc"  # names of their conditions


def extra_measures(config: Evaluate, memory: int, parts: Sequence[int] = ()) -> dict[str, Measure]:
    """Condition name -> how its distances are made, for the extras that are switched on.

    Args:
        memory: bytes for their blocks.
        parts: widths of what a fused feature is made of; empty: it is one.
    """
    found: dict[str, Measure] = {}
    if config.rerank.enabled:
        found[RERANKED] = functools.partial(reranked_distance, settings=config.rerank, kind=config.distance,
                                            memory=memory // 2)
    if config.nfc.enabled:
        found[CENTRALISED] = functools.partial(_centralised, config=config, memory=memory // 2, parts=tuple(parts))
    return found


def _centralised(query_QD: np.ndarray, gallery_GD: np.ndarray, config: Evaluate, memory: int,
                 parts: tuple[int, ...]) -> BlockDistance:
    sides = (centralise_parts(side, parts, config.nfc.k1, config.nfc.k2, memory) for side in (query_QD, gallery_GD))
    return block_distance(*sides, kind=config.distance)


def centralise_parts(features_ND: np.ndarray, parts: Sequence[int], k1: int, k2: int, memory: int) -> np.ndarray:
    """`centralise`, each part by itself where a feature is made of several: SAGA-ReID's code does so before it fuses.

    Args:
        features_ND: unit features, the parts side by side, each scaled by the root of its weight.
        parts: their widths; empty: the feature is one.
    """
    if not parts:
        return centralise(features_ND, k1, k2, memory)
    blocks = np.split(features_ND, np.cumsum(parts)[:-1], axis=1)
    return np.concatenate([np.linalg.norm(block, axis=1, keepdims=True) * centralise(block, k1, k2, memory)
                           for block in blocks], axis=1)


def extra_sentences(config: Evaluate) -> dict[str, str]:
    """Condition name -> what was done, in words."""
    rerank, nfc, found = config.rerank, config.nfc, {}
    if rerank.enabled:
        found[RERANKED] = (f"k-reciprocal re-ranking (k1 {rerank.k1}, k2 {rerank.k2}, weight {rerank.weight:g}; "
                           "transductive)")
    if nfc.enabled:
        found[CENTRALISED] = f"neighbour feature centralisation (k1 {nfc.k1}, k2 {nfc.k2}; transductive)"
    return found


def test_time_extras(config: Evaluate) -> str:
    """All extras of a study in words, those that are rows and not conditions included; "none" where there are none."""
    said = [f"{name}: {says}" for name, says in extra_sentences(config).items()]
    if config.flip:
        said.append("rows METHOD_flip: features averaged over an image and its mirror image")
    return "; ".join(said) or "none"
