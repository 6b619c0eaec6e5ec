"""What ranking takes of memory, planned before it starts from `evaluate.memory_mb`."""

from dataclasses import dataclass

from reanchor.config.sections.judging import Evaluate
from reanchor.errors import ReanchorError
from reanchor.evaluation.ranking import CACHE, MEMORY

MB = 2**20
KEYS = 4 * CACHE  # what is sorted out at a time, beside a block of distances


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

    @property
    def total(self) -> int:
        return self.features + self.copies + self.lists + max(self.plain, self.extra) + KEYS

    def sentence(self) -> str:
        """One line for a person."""
        parts = [f"features {_mb(self.features)} MB", f"copies {_mb(self.copies)} MB",
                 f"blocks of {self.queries} queries {_mb(self.plain)} MB"]
        if self.extra:
            parts.append(f"test-time extras {_mb(self.lists + self.extra)} MB")
        return f"ranking in {_mb(self.total)} of {_mb(self.budget)} MB (evaluate.memory_mb): {', '.join(parts)}"


def plan_memory(config: Evaluate, queries: int, gallery: int, widths: list[int], *, copied: int = 0, kept: int = 0,
                pooled: bool = False) -> MemoryPlan:
    """Block sizes that keep ranking within `config.memory_mb`.

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
    features = 4 * sum(widths) * (items + kept)
    copies = item * (copied + 2 * items * pooled + 3 * items * config.nfc.enabled)
    lists = items * _list_bytes(config.rerank.k1, config.rerank.k2) if config.rerank.enabled else 0
    one = 32 * items if config.rerank.enabled or config.nfc.enabled else 4 * gallery
    left = config.memory_mb * MB - features - copies - lists - KEYS
    if left < one:
        needed = -(-(features + copies + lists + KEYS + one) // MB)
        raise ReanchorError(
            f"evaluate.memory_mb: got {config.memory_mb}; allowed here: at least {needed}, for {_mb(features)} MB of "
            f"features, {_mb(copies + lists)} MB of copies and lists and one block of distances; raise it")
    extra = left if config.rerank.enabled or config.nfc.enabled else 0
    plain = min(MEMORY, left, max(one, 4 * gallery * queries))
    return MemoryPlan(config.memory_mb * MB, features, copies, lists, plain, extra,
                      min(queries, max(1, plain // (4 * gallery))))


def _list_bytes(k1: int, k2: int) -> int:
    """Of one item: its neighbours, three sets of k1 + 1 and an encoding of twice as many entries of 8 bytes."""
    return 4 * max(k1 + 1, k2) + 8 * (3 + 2) * (k1 + 1)


def _mb(size: int) -> int:
    return -(-size // MB)
