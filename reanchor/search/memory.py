"""What searching takes of memory, planned from `search.memory_mb` before anything is encoded."""

from dataclasses import dataclass

from reanchor.config.sections.judging import Search
from reanchor.errors import ReanchorError
from reanchor.evaluation.memory import KEYS, MB
from reanchor.evaluation.ranking import MEMORY
from reanchor.formats.searcher import Encoded
from reanchor.search.encode import size_of, tokens_of

TILE = 64 * MB  # of intermediate values within a searcher's similarity, at most
HELD = 3  # intermediate values per pair of tokens: the products, their weights, their product


@dataclass(frozen=True)
class SearchMemory:
    """Bytes of each part."""

    budget: int
    features: int  # sentences and gallery, encoded
    replaced: int  # of the largest occluded gallery, encoded
    rows: int  # a block of similarities of some sentences to the whole gallery
    tile: int  # intermediate values of a searcher's similarity
    pair: int  # of them, for one sentence and one image

    @property
    def total(self) -> int:
        return self.features + self.replaced + self.rows + self.tile + KEYS

    def block(self, gallery: int) -> tuple[int, int]:
        """Sentences and images that a searcher compares at a time."""
        width = max(1, min(gallery, self.tile // self.pair))
        return max(1, self.tile // (self.pair * width)), width

    def sentence(self) -> str:
        """One line for a person."""
        return (f"searching in {_mb(self.total)} of {_mb(self.budget)} MB (search.memory_mb): features "
                f"{_mb(self.features)} MB, occluded images {_mb(self.replaced)} MB, blocks {_mb(self.rows)} MB, "
                f"similarities {_mb(self.tile)} MB")


def plan_memory(config: Search, sentence: Encoded, image: Encoded, sentences: int, gallery: int,
                replaced: int) -> SearchMemory:
    """Block sizes that keep searching within `config.memory_mb`.

    Args:
        sentence, image: one of each, encoded.
        replaced: images of the largest occluded gallery.

    Raises:
        ReanchorError: when the encoded sides and one row of similarities do not fit.
    """
    features = size_of(sentence) * sentences + size_of(image) * gallery
    copies = 2 * size_of(image) * replaced  # they change places with the whole ones
    pair = 4 * HELD * (1 + tokens_of(sentence)) * (1 + tokens_of(image))
    left, least = config.memory_mb * MB - features - copies - KEYS, 4 * gallery + pair
    if left < least:
        needed = -(-(features + copies + KEYS + least) // MB)
        raise ReanchorError(
            f"search.memory_mb: got {config.memory_mb}; allowed here: at least {needed}, for {_mb(features)} MB of "
            f"encoded sentences and images, {_mb(copies)} MB of occluded ones and one block of similarities; raise it")
    tile = max(pair, min(TILE, pair * sentences * gallery, (left - 4 * gallery) // 2))
    rows = max(4 * gallery, min(MEMORY, 4 * gallery * sentences, left - tile))
    return SearchMemory(config.memory_mb * MB, features, copies, rows, tile, pair)


def _mb(size: int) -> int:
    return -(-size // MB)
