"""How models are trained."""

from dataclasses import dataclass

from reanchor.config.sections.field import field


@dataclass
class Prompts:
    """CLIP-ReID stage 1."""

    train: bool = True  # false: no method needs it
    seed: int = field(0, low=0)
    context: int = field(4, low=1, high=64)  # learnable vectors per identity
    zero_slots: int = field(0, low=0, high=64)  # slots of zeros behind them (SAGA)
    before: str = "a photo of a"
    after: str = "person."
    features: str = field("instance", choices=("instance", "average"))
    epochs: int = field(30, low=0)
    batch: int = field(256, low=2)
    lr: float = field(1e-2, low=1e-9)
    schedule: str = field("clip_reid", choices=("clip_reid", "saga"))  # saga: from warmup_lr on, cosine behind warm-up
    warmup_lr: float = field(1e-5, low=0.0)
    min_lr: float = field(1e-6, low=0.0)
    warmup_epochs: int = field(5, low=0)
    weight_decay: float = field(1e-4, low=0.0)
    temperature: float = field(1.0, low=1e-4)
    normalise: bool = False


@dataclass
class LossWeights:
    """Weights of stage 2's loss terms; the baseline's three text terms are 0."""

    train: bool = True  # false: no method needs this model
    id: float = field(0.25, low=0.0)
    triplet: float = field(1.0, low=0.0)
    i2tce: float = field(1.0, low=0.0)  # image to the texts of all identities
    i2t: float = field(0.0, low=0.0)  # contrast within the batch
    t2i: float = field(0.0, low=0.0)
    token: float = field(0.0, low=0.0)  # ID + triplet on the mean patch token

    @property
    def text(self) -> bool:
        """Whether any term needs the identities' texts."""
        return self.i2tce + self.i2t + self.t2i > 0


@dataclass
class FinetuneRecipe:
    """How CLIP-ReID stage 2 and the no-text baseline are trained."""

    seed: int = field(0, low=0)
    epochs: int = field(12, low=1)
    identities: int = field(16, low=2)  # per batch (P)
    images: int = field(4, low=2)  # per identity (K)
    optimizer: str = field("adamw", choices=("adam", "adamw"))
    lr: float = field(1e-3, low=0.0)
    bias_lr_factor: float = field(1.0, low=0.0)
    head_lr_factor: float = field(5.0, low=0.0)
    weight_decay: float = field(0.05, low=0.0)
    schedule: str = field("cosine", choices=("cosine", "multistep"))
    milestones: list[int] = field([30, 50], low=1)
    warmup_epochs: int = field(1, low=0)
    warmup_steps: int = field(0, low=0)  # of the optimiser, in place of epochs; multistep then falls between steps
    warmup_factor: float = field(0.1, low=0.0, high=1.0)
    label_smoothing: float = field(0.1, low=0.0, high=0.9)
    margin: float = field(0.3, low=0.0)
    soft_margin: bool = False  # true: log(1 + exp(gap)) in place of the margin
    flip: float = field(0.5, low=0.0, high=1.0)
    pad: int = field(4, low=0)
    erase: float = field(0.5, low=0.0, high=1.0)
    occluded: float = field(0.5, low=0.0, high=1.0)  # chance to see an image's OGor copy, where it has one
    one_stage: bool = False  # true: the prompts are learned along with the encoder
    prompt_lr: float = field(3.5e-4, low=0.0)  # of the prompts then
    early_triplet: bool = True  # triplet on the feature before the last block too
    heads: str = field("both", choices=("both", "cls"))  # cls: ID loss and triplet on the last feature alone (SAGA)
    neck_bias: bool = False  # true: the BN necks learn a bias (SAGA)
    sie: str = field("none", choices=("none", "camera", "view", "both"))
    sie_tokens: str = field("cls", choices=("cls", "all"))
    sie_coefficient: float = field(1.0, low=0.0)
    precision: str = field("fp32", choices=("fp32", "bf16", "auto"))
    validate_epochs: int = field(2, low=1)
    token_block: int = field(5, low=1)  # whose mean patch token the term `token` reads, 1-indexed


@dataclass
class Finetune:
    """CLIP-ReID stage 2 and the no-text baseline: one recipe, loss weights for each."""

    recipe: FinetuneRecipe = field(FinetuneRecipe())
    baseline: LossWeights = field(LossWeights(i2tce=0.0))
    clip_reid: LossWeights = field(LossWeights())


@dataclass
class Saga:
    """SAGA stages 3a and 3b, and 4 where it has epochs."""

    train: bool = True  # false: no method needs it
    seed: int = field(0, low=0)
    anchors: str = field("text", choices=("text", "free", "random_frozen", "generic_frozen"))
    text_anchors: int = field(24, low=2)  # K
    context_slots: int = field(16, low=1)
    frozen_slots: int = field(12, low=0)
    domain: str = field("mlp", choices=("mlp", "cam", "clip", "none"))
    domain_anchors: int = field(3, low=1)  # M
    refine_layers: int = field(2, low=0)  # L; 0: tokens are weighted, not refined
    refine_heads: int = field(8, low=1)
    refine_init: str = field("clip", choices=("clip", "random"))
    token_blocks: list[int] = field([5], low=1)  # 1-indexed, one path each; empty: the second to last
    feature_width: int = field(0, low=0)  # of the refined feature; 0: the token width, without a map
    drop_sie: bool = False  # true: no camera embedding from stage 3 on, as the authors' code does
    views: int = field(2, low=1)  # augmented views per image
    cache: str = field("disk", choices=("disk", "none"))
    draw_block: int = field(256, low=1)  # images that share one generator's draws
    classifiers: int = field(1, low=1)
    identities: int = field(16, low=2)
    images: int = field(4, low=2)
    lr_a: float = field(1e-3, low=0.0)
    lr_b: float = field(6e-4, low=0.0)
    epochs_a: int = field(2, low=1)
    epochs_b: int = field(4, low=0)
    warmup_epochs: int = field(1, low=0)
    min_lr_ratio: float = field(0.5, low=0.0, high=1.0)
    classifier_lr_factor: float = field(10.0, low=0.0)
    weight_decay: float = field(1e-4, low=0.0)
    label_smoothing: float = field(0.1, low=0.0, high=0.9)
    margin: float = field(0.3, low=0.0)
    anchor_diversity: float = field(0.05, low=0.0)
    classifier_diversity: float = field(0.5, low=0.0)
    anchor_triplet: float = field(0.0, low=0.0)
    epochs_4: int = field(0, low=0)  # 0: no end-to-end stage
    lr_4: float = field(2e-5, low=0.0)
    lr_4_backbone: float = field(5e-6, low=0.0)
    warmup_epochs_4: int = field(10, low=0)
    stage2_weight: float = field(0.1, low=0.0)
    fusion_grid: list[float] = field([0.0, 0.1, 0.2, 0.5, 1.0, 2.0], low=0.0)
    fusion_weights: list[float] = field([], low=0.0)  # refined, [CLS], projection; empty: chosen from the grid
    fusion_equal_spreads: bool = False  # given weights are divided by the spread of each part's cosines


# Of SAGA's domain anchors those that are made of patch tokens alone: others need the camera, or the [CLS] that a gate
# is yet to act on.
GATING_DOMAINS = ("none", "mlp")


@dataclass
class Gate:
    """The visibility-gated replay of [CLS]."""

    train: bool = False  # true: method=gate needs it
    model: str = field("clip_reid", choices=("clip_reid", "baseline"))  # whose weights, or losses, it stands on
    trained: bool = False  # false: added to the fine-tuned model; true: stage 2 is trained with it
    source: str = field("network", choices=("network", "shared", "saga", "ones"))  # of the patch tokens' weights
    eps: float = field(0.02, low=1e-6, high=1.0)
    blocks: int = field(0, low=0)  # the last so many are gated; 0: all
    plain_weight: float = field(1.0, low=0.0)  # at test time, of the plain [CLS]'s cosine beside the replayed one's
    seed: int = field(0, low=0)
    network_blocks: int = field(1, low=1)  # of the backbone, copied by the visibility network
    shared_blocks: list[int] = field([1, 2, 4], low=1)  # behind which `shared` reads tokens, 1-indexed
    shared_own: int = field(1, low=0)  # blocks of its own
    visibility_weight: float = field(20.0, low=0.0)  # of its loss, while stage 2 is trained with it
    epochs: int = field(22, low=1)
    batch: int = field(96, low=2)
    lr: float = field(1e-3, low=0.0)
    weight_decay: float = field(0.05, low=0.0)
    warmup_epochs: int = field(1, low=0)
    validate_epochs: int = field(2, low=1)
    occluded: float = field(0.9, low=0.05, high=1.0)  # chance of an image to be occluded
    occluded_stage2: float = field(0.5, low=0.0, high=1.0)  # the same while stage 2 is trained with the gate
    masking: float = field(0.2, low=0.0)  # how often each kind, relative to the others
    ogor: float = field(0.25, low=0.0)
    people: float = field(0.55, low=0.0)
    behind_share: float = field(0.25, low=0.0, high=1.0)  # of pasted people, behind the person asked for
