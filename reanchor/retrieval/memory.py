"""What ranking takes of memory, planned from `evaluate.memory_mb` or `search.memory_mb` before anything is ranked."""

from dataclasses import dataclass

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.errors import ReanchorError
from reanchor.formats.searcher import Encoded
from reanchor.retrieval.encode import size_of, tokens_of
from reanchor.retrieval.ranking import CACHE, MEMORY

MB = 2**20
KEYS = 4 * CACHE  # what is sorted out at a time, beside a block of distances
TILE = 64 * MB  # of intermediate values within a searcher's similarity, at most
HELD = 3  # intermediate values per pair of tokens: the products, their weights, their product


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of each part; `plain` and `extra` size the blocks of plain and of extra distances."""

    budget: int
    features: int  # of one query set, the gallery and what is kept beside them, for all rows of a method
    copies: int  # parts of them held a second time
    lists: int  # of re-ranking: neighbours and sparse encodings, as they mostly are
    plain: int
    extra: int
    queries: int  # whose distances to the gallery are in one block
    tile: int = 0  # intermediate values while a searcher compares a sentence's tokens with an image's
    pair: int = 0  # of them, for one sentence and one image
    setting: str = "evaluate.memory_mb"

    @property
    def total(self) -> int:
        return self.features + self.copies + self.lists + max(self.plain, self.extra) + self.tile + KEYS

    def block(self, gallery: int) -> tuple[int, int]:
        """Sentences and images that a searcher compares at a time."""
        width = max(1, min(gallery, self.tile // self.pair))
        return max(1, self.tile // (self.pair * width)), width

    def sentence(self) -> str:
        """One line for a person."""
        parts = [f"features {_mb(self.features)} MB", f"copies {_mb(self.copies)} MB",
                 f"blocks of {self.queries} queries {_mb(self.plain)} MB"]
        if self.tile:
            parts.append(f"similarities {_mb(self.tile)} MB")
        if self.extra:
            parts.append(f"test-time extras {_mb(self.lists + self.extra)} MB")
        return f"ranking in {_mb(self.total)} of {_mb(self.budget)} MB ({self.setting}): {', '.join(parts)}"


def plan_memory(config: Evaluate, queries: int, gallery: int, widths: list[int], *, copied: int = 0, kept: int = 0,
                pooled: bool = False) -> MemoryPlan:
    """Block sizes that keep ranking by features within `config.memory_mb`.

    Args:
        queries: of the largest query set.
        widths: feature width of each row of the method.
        copied: gallery items held twice while others are left out (distractors, junk) or replaced.
        kept: items of further sets that are held beside the query set and the gallery.
        pooled: whether queries and gallery are drawn anew from both, and so held twice more.

    Raises:
        ReanchorError: when not even the distances of one query fit.
    """
    items, item = queries + gallery, 4 * max(widths)
    extras = config.rerank.enabled or config.nfc.enabled
    features = 4 * sum(widths) * (items + kept)
    copies = item * (copied + 2 * items * pooled + 3 * items * config.nfc.enabled)
    lists = items * _list_bytes(config.rerank.k1, config.rerank.k2) if config.rerank.enabled else 0
    one = 32 * items if extras else 4 * gallery
    left = _left("evaluate.memory_mb", config.memory_mb, features, copies + lists, one)
    plain = min(MEMORY, left, max(one, 4 * gallery * queries))
    return MemoryPlan(config.memory_mb * MB, features, copies, lists, plain, left if extras else 0,
                      min(queries, max(1, plain // (4 * gallery))))


def plan_search(config: Search, sentence: Encoded, image: Encoded, sentences: int, gallery: int, replaced: int
                ) -> MemoryPlan:
    """Block sizes that keep ranking by a searcher's similarities within `config.memory_mb`.

    Args:
        sentence, image: one of each, encoded.
        replaced: images of the largest occluded gallery; they change places with the whole ones.

    Raises:
        ReanchorError: when the encoded sides and one row of similarities do not fit.
    """
    features, copies = size_of(sentence) * sentences + size_of(image) * gallery, 2 * size_of(image) * replaced
    pair = 4 * HELD * (1 + tokens_of(sentence)) * (1 + tokens_of(image))
    left = _left("search.memory_mb", config.memory_mb, features, copies, 4 * gallery + pair)
    tile = max(pair, min(TILE, pair * sentences * gallery, (left - 4 * gallery) // 2))
    plain = max(4 * gallery, min(MEMORY, 4 * gallery * sentences, left - tile))
    return MemoryPlan(config.memory_mb * MB, features, copies, 0, plain, 0, min(sentences, plain // (4 * gallery)),
                      tile, pair, "search.memory_mb")


def _left(setting: str, budget_mb: int, features: int, copies: int, least: int) -> int:
    """Bytes that are left for blocks of distances, `least` at the least."""
    left = budget_mb * MB - features - copies - KEYS
    if left < least:
        needed = -(-(features + copies + KEYS + least) // MB)
        raise ReanchorError(
            f"{setting}: got {budget_mb}; allowed here: at least {needed}, for {_mb(features)} MB of features, "
            f"{_mb(copies)} MB of copies and lists and one block of distances; raise it")
    return left


def _list_bytes(k1: int, k2: int) -> int:
    """Of one item: its neighbours, three sets of k1 + 1 and an encoding of twice as many entries of 8 bytes."""
    return 4 * max(k1 + 1, k2) + 8 * (3 + 2) * (k1 + 1)


def _mb(size: int) -> int:
    return -(-size // MB)
