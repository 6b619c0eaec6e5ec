"""Settings of SAGA."""

from typing import TYPE_CHECKING

from reanchor.config.rules import Complaints, ascending, at_most, blocks_exist, needs_patches, needs_training
from reanchor.config.setting import section, setting
from reanchor.config.towers import token_width

if TYPE_CHECKING:
    from reanchor.config.params import Params

GENERIC_ANCHORS = 32  # as many phrases as `reanchor.methods.saga.frozen` has


@section
class Saga:
    """SAGA on CLIP-ReID's encoder: stages 3a and 3b, and 4 where it has epochs (docs/explanation/saga.md)."""

    train: bool = setting(True, "false: no method needs it")
    seed: int = setting(0, "of weights, batches and augmentation", low=0)
    anchors: str = setting("text", "prompts through the text encoder; free: plain learned vectors; the others are "
                                   "never trained", choices=("text", "free", "random_frozen", "generic_frozen"))
    text_anchors: int = setting(24, "K", low=2)
    context_slots: int = setting(16, "prompt slots per anchor", low=1)
    frozen_slots: int = setting(12, "of them held at the body-part phrase's embeddings", low=0)
    domain: str = setting("mlp", "anchors of each image: from the mean token; cam: and the camera; clip: from the "
                                 "projected [CLS] and the text anchors", choices=("mlp", "cam", "clip", "none"))
    domain_anchors: int = setting(3, "M", low=1)
    refine_layers: int = setting(2, "L cross-attention blocks; 0: tokens are weighted, not refined", low=0)
    refine_heads: int = setting(8, "of their attention", low=1)
    refine_init: str = setting("clip", "where they start: the CLIP block at the token layer, or random",
                               choices=("clip", "random"))
    token_blocks: list[int] = setting([5], "whose patch tokens are read, 1-indexed; several: parallel paths; empty: "
                                           "the second to last", low=1)
    feature_width: int = setting(0, "of the refined feature; 0: the token width, without a map", low=0)
    drop_sie: bool = setting(False, "true: no camera embedding from stage 3 on, as in the authors' code")
    views: int = setting(2, "augmented views per image", low=1)
    cache: str = setting("disk", "of their tokens; none: computed for each batch, from the same draws",
                         choices=("disk", "none"))
    draw_block: int = setting(256, "images that share one generator's draws; with cache none set 1, the others are "
                                   "drawn in vain", low=1)
    classifiers: int = setting(1, "1: fresh classifier and BN statistics in 3b; more: kept", low=1)
    identities: int = setting(16, "P per batch", low=2)
    images: int = setting(4, "K per identity", low=2)
    lr_a: float = setting(1e-3, "of AdamW, stage 3a", low=0.0)
    lr_b: float = setting(6e-4, "stage 3b", low=0.0)
    epochs_a: int = setting(2, "stage 3a", low=1)
    epochs_b: int = setting(4, "stage 3b; longer over-fits the small CLIP", low=0)
    warmup_epochs: int = setting(1, "of stage 3b", low=0)
    min_lr_ratio: float = setting(0.5, "of lr_b, where the cosine ends", low=0.0, high=1.0)
    classifier_lr_factor: float = setting(10.0, "on classifiers", low=0.0)
    weight_decay: float = setting(1e-4, "of AdamW", low=0.0)
    label_smoothing: float = setting(0.1, "of the identity cross entropy", low=0.0, high=0.9)
    margin: float = setting(0.3, "of the batch-hard triplet", low=0.0)
    anchor_diversity: float = setting(0.05, "weight of the squared cosines between text anchors", low=0.0)
    classifier_diversity: float = setting(0.5, "and between classifiers, when several", low=0.0)
    anchor_triplet: float = setting(0.0, "of the triplet on each anchor's own feature", low=0.0)
    epochs_4: int = setting(0, "end to end on images; 0: no stage 4", low=0)
    lr_4: float = setting(2e-5, "of the head then", low=0.0)
    lr_4_backbone: float = setting(5e-6, "of the backbone then", low=0.0)
    warmup_epochs_4: int = setting(10, "of stage 4", low=0)
    stage2_weight: float = setting(0.1, "of stage 2's losses in stage 4", low=0.0)
    fusion_grid: list[float] = setting([0.0, 0.1, 0.2, 0.5, 1.0, 2.0], "weights tried on validation identities",
                                       low=0.0)
    fusion_weights: list[float] = setting([], "refined, [CLS], projection; empty: the grid's best", low=0.0)
    fusion_equal_spreads: bool = setting(False, "true: such weights are divided by the spread of each part's cosines "
                                                "(validation)")


def _trained(params: "Params") -> Complaints:
    saga, width = params.saga, token_width(params)
    if not saga.train:
        return
    yield from needs_patches(params, "saga.train")
    yield from needs_training(params, "finetune.clip_reid.train", "saga.train is true")
    if width is not None and width % saga.refine_heads:
        yield (f"saga.refine_heads: got {saga.refine_heads}; allowed: a divisor of {width}, the token width of "
               f"backbone.source {params.backbone.source!r}")
    if saga.anchors == "generic_frozen" and saga.text_anchors > GENERIC_ANCHORS:
        yield f"saga.text_anchors: got {saga.text_anchors}; allowed: at most {GENERIC_ANCHORS} generic anchors"
    if "orthogonal" in params.evaluate.features.saga and width and saga.feature_width not in (0, width):
        yield (f"saga.feature_width: got {saga.feature_width} with 'orthogonal' in evaluate.features.saga; allowed: 0 "
               f"or {width}, the width of [CLS], which it is made orthogonal to")


def _anchors(params: "Params") -> Complaints:
    saga = params.saga
    yield from at_most(params, "saga.frozen_slots", "saga.context_slots")
    yield from ascending(params, "saga.token_blocks", "blocks")
    yield from blocks_exist(params, "saga.token_blocks")
    if len(saga.token_blocks) > saga.text_anchors:
        yield (f"saga.token_blocks: got {len(saga.token_blocks)} blocks, which share the anchors; allowed: at most "
               f"saga.text_anchors, which is {saga.text_anchors}")


def _fusion(params: "Params") -> Complaints:
    if not params.saga.fusion_grid:
        yield "saga.fusion_grid: got []; allowed: at least one weight"
    weights = params.saga.fusion_weights
    if weights and (len(weights) != 3 or not sum(weights)):
        yield (f"saga.fusion_weights: got {weights}; allowed: three weights (refined, [CLS], projection), not all 0, "
               "or [] to choose them on validation identities")


def _stage4(params: "Params") -> Complaints:
    epochs = params.saga.epochs_4
    if epochs and params.finetune.recipe.one_stage:
        yield (f"saga.epochs_4: got {epochs} while finetune.recipe.one_stage is true; allowed: 0, since one-stage "
               "training leaves no texts to go on with")
    if epochs:
        yield from needs_training(params, "prompts.train", f"saga.epochs_4 is {epochs}")


SECTIONS = {"saga": Saga}
RULES = (_trained, _anchors, _fusion, _stage4)
