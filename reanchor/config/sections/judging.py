"""How methods are judged and shown."""

from typing import TYPE_CHECKING, Any

from reanchor.config.methods import studied
from reanchor.config.setting import Setting, extended, nested, section, setting
from reanchor.methods.method import IMAGE, SENTENCE
from reanchor.methods.registry import judged


@section
class Rerank:
    """k-reciprocal re-ranking of whole queries, shown beside the plain figures: a test-time extra."""

    enabled: bool = setting(False, "true: adds the row")
    k1: int = setting(50, "neighbours of a reciprocal set; the paper has 20, CLIP-ReID's evaluator 50", low=1,
                      high=1000)
    k2: int = setting(15, "neighbours an encoding is averaged over; the paper has 6, CLIP-ReID's evaluator 15", low=1,
                      high=1000)
    weight: float = setting(0.3, "of the plain distance; the rest is the Jaccard distance of the encodings", low=0.0,
                            high=1.0)


@section
class Nfc:
    """Neighbour feature centralisation, likewise; transductive: queries see one another."""

    enabled: bool = setting(False, "true: adds the row")
    k1: int = setting(2, "neighbours looked at", low=1, high=1000)
    k2: int = setting(2, "of these, an item is taken when the other is among the first k2 of its own list", low=1,
                      high=1000)


def _further(title: str, choices: tuple[str, ...]) -> Setting:
    return Setting([], f"further rows of {title}", choices=choices, kind=list[str])


@section
@extended({name: _further(method.title, method.features) for name, method in judged(IMAGE).items() if method.features})
class Features:
    """Rows beside a method's own test feature, from the same pass."""

    if TYPE_CHECKING:
        def __getattr__(self, method: str) -> Any:
            """Those of one method."""


@section
class Evaluate:
    """Image queries: figures with intervals under every condition (docs/explanation/protocol.md)."""

    seed: int = setting(0, "of the bootstrap, the sample queries and random galleries", low=0)
    methods: list[str] = setting(lambda: studied(IMAGE), "rows of the table", choices=tuple(judged(IMAGE)))
    camera_rule: str = setting("auto", "market: drop gallery images of the query's own identity and camera; none: drop "
                                       "only the query itself; auto: the dataset's own rule; where it has none, "
                                       "market, or none where all images have one camera",
                               choices=("auto", "market", "none"))
    distance: str = setting("cosine", "euclidean: squared, as CLIP-ReID's evaluator; on unit features both rank alike",
                            choices=("cosine", "euclidean"))
    features: Features = nested(Features)
    flip: bool = setting(False, "true: a row METHOD_flip for every method, averaged over an image and its mirror image")
    rerank: Rerank = nested(Rerank)
    nfc: Nfc = nested(Nfc)
    memory_mb: int = setting(2048, "for features and blocks of distances while ranking; a gallery of 82,161 images "
                                   "with a ResNet-50 needs 1116", low=1)
    bootstrap: int = setting(1000, "resamples of the query identities", low=10)
    confidence: float = setting(0.95, "of the intervals", low=0.5, high=0.999)
    batch: int = setting(256, "images embedded at once", low=1)


@section
class Search:
    """Text-based person search: sentences search the gallery (docs/explanation/sentences.md)."""

    seed: int = setting(0, "of the bootstrap and the sample sentences", low=0)
    methods: list[str] = setting(lambda: studied(SENTENCE), "rows of the table", choices=tuple(judged(SENTENCE)))
    memory_mb: int = setting(1024, "for encoded sentences and images and blocks of similarities", low=1)
    bootstrap: int = setting(1000, "resamples of the described identities", low=10)
    confidence: float = setting(0.95, "of the intervals", low=0.5, high=0.999)
    batch: int = setting(256, "images or sentences encoded at once", low=1)
    sample_queries: int = setting(64, "sentences whose first ranks are kept for the report", low=0, high=64)
    cost_repeats: int = setting(3, "runs that times and memory are medians of; 0: not measured", low=0)


@section
class Report:
    """The page of the study."""

    title: str = setting("Streetfolk study", "its heading")
    gallery_queries: int = setting(6, "ranked galleries shown", low=0)
    gallery_ranks: int = setting(8, "images in each", low=1)
    sentence_queries: int = setting(4, "sentences shown with their ranked galleries", low=0)
    token_images: int = setting(8, "images shown with their token weights", low=0)
