"""Ranking metrics, bootstrap intervals and the study's evaluation."""

from reanchor.evaluation.embedder import Embedder, Embedding, embed_rows
from reanchor.evaluation.ranking import Labels, Ranking, rank_distances, rank_features

__all__ = ["Embedder", "Embedding", "Labels", "Ranking", "embed_rows", "rank_distances", "rank_features"]
