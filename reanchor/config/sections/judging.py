"""How they are judged and shown."""

from dataclasses import dataclass

from reanchor.config.sections.field import field


@dataclass
class Rerank:
    """k-reciprocal re-ranking, a test-time extra."""

    enabled: bool = False
    k1: int = field(50, low=1, high=1000)  # neighbours of a reciprocal set
    k2: int = field(15, low=1, high=1000)  # neighbours an encoding is averaged over
    weight: float = field(0.3, low=0.0, high=1.0)  # of the plain distance; the rest is Jaccard's


@dataclass
class Nfc:
    """Neighbour feature centralisation, a transductive test-time extra."""

    enabled: bool = False
    k1: int = field(2, low=1, high=1000)  # neighbours looked at
    k2: int = field(2, low=1, high=1000)  # of whose lists an item has to be among the first so many


# CLIP-ReID's Table 11: before_last, last and projected are its pre_img, img and post_img_feature. Its own test
# feature, last+projected, is always judged; after_neck is the same behind the BN necks.
FEATURES = ("before_last", "last", "projected", "last+before_last", "before_last+last+projected", "after_neck")

# SAGA's, beside its fused and its refined feature, which always are judged.
SAGA_FEATURES = ("cls", "projected", "concat", "orthogonal", "anchors", "anchors_top2")


@dataclass
class Evaluate:
    seed: int = field(0, low=0)
    methods: list[str] = field(["histogram", "zero_shot", "baseline", "clip_reid", "saga"],
                               choices=("histogram", "zero_shot", "baseline", "clip_reid", "saga", "gate", "imported"))
    camera_rule: str = field("auto", choices=("auto", "market", "none"))
    distance: str = field("cosine", choices=("cosine", "euclidean"))  # euclidean: squared
    features: list[str] = field([], choices=FEATURES)  # rows beside CLIP-ReID's own test feature
    saga_features: list[str] = field([], choices=SAGA_FEATURES)  # rows beside SAGA's fused feature
    flip: bool = False  # true: a row of every method with features averaged over an image and its mirror image
    rerank: Rerank = field(Rerank())
    nfc: Nfc = field(Nfc())
    memory_mb: int = field(2048, low=1)  # for features and blocks of distances while ranking
    bootstrap: int = field(1000, low=10)  # resamples of the query identities
    confidence: float = field(0.95, low=0.5, high=0.999)
    batch: int = field(256, low=1)


@dataclass
class Search:
    """Text-based person search: sentences search the gallery."""

    seed: int = field(0, low=0)
    methods: list[str] = field(["zero_shot"], choices=("zero_shot", "clip_tuned", "sdm", "tbps_clip", "mgcc"))
    memory_mb: int = field(1024, low=1)  # for encoded sentences and images and blocks of similarities
    bootstrap: int = field(1000, low=10)  # resamples of the described identities
    confidence: float = field(0.95, low=0.5, high=0.999)
    batch: int = field(256, low=1)
    sample_queries: int = field(64, low=0, high=64)  # sentences whose first ranks are kept for the report
    cost_repeats: int = field(3, low=0)


@dataclass
class Report:
    title: str = "Streetfolk study"
    gallery_queries: int = field(6, low=0)
    gallery_ranks: int = field(8, low=1)
    sentence_queries: int = field(4, low=0)
    token_images: int = field(8, low=0)
