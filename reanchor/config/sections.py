"""Every setting, typed: one dataclass per section of `params.yaml`.

A section bears the name of the stage that owns it. `field(...)` states the allowed
values; `reanchor.config.load` checks them before any data is read.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any


def field(default: Any, *, low: float | None = None, high: float | None = None,
          choices: tuple | None = None) -> Any:
    """A dataclass field whose value must lie in [low, high] or among `choices`.

    A list-valued field applies the rule to each of its elements.
    """
    metadata = {"low": low, "high": high, "choices": choices}
    if isinstance(default, (list, dict)) or dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=lambda: _fresh(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _fresh(value: Any) -> Any:
    return dataclasses.replace(value) if dataclasses.is_dataclass(value) else type(value)(value)


@dataclass
class Render:
    """The procedural street. `enabled: false` where a dataset of your own is used."""

    enabled: bool = True
    seed: int = field(1, low=0)
    train_identities: int = field(720, low=4, high=100_000)  # validation identities included
    test_identities: int = field(240, low=4, high=100_000)
    train_images: int = field(8, low=2)  # per identity
    test_images: int = field(12, low=2)  # per identity
    distractors: int = field(200, low=0)  # images with pid 0
    junk: int = field(40, low=0)  # images with pid -1
    height: int = field(96, low=16, high=1024)
    width: int = field(48, low=8, high=1024)
    supersample: int = field(3, low=1, high=8)


@dataclass
class Prepare:
    reader: str = field("market1501", choices=("market1501", "folder", "csv"))
    root: str = "data/streetfolk"
    card: str = field("none", choices=("none", "market1501", "streetfolk"))  # known counts
    height: int = field(96, low=16, high=1024)
    width: int = field(48, low=8, high=1024)
    seed: int = field(0, low=0)
    validation_share: float = field(0.112, low=0.001, high=0.9)  # of training identities
    max_bad_share: float = field(0.02, low=0.0, high=1.0)  # of files; above it the run stops
    max_pixels: int = field(20_000_000, low=1)  # per image


@dataclass
class Occlude:
    seed: int = field(0, low=0)
    library: str = "drawn"  # or a folder of CLASSn.png cut-outs
    variant: str = field("ogor-paper", choices=("ogor-paper", "ogor-literal"))
    train_share: float = field(0.3, low=0.0, high=1.0)  # of training images with an OGor copy
    ratio_low: float = field(0.1, low=0.01, high=0.9)
    ratio_high: float = field(0.6, low=0.01, high=0.9)
    masking_ratios: list[float] = field([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], low=0.01, high=0.9)
    people_ratios: list[float] = field([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], low=0.01, high=0.9)


@dataclass
class Pretrain:
    """The small CLIP made here, and the recipe that makes it."""

    seed: int = field(0, low=0)
    identities: int = field(3000, low=8)
    images: int = field(8, low=2)  # per identity
    cameras: int = field(40, low=2)
    vision_width: int = field(128, low=16)
    vision_layers: int = field(6, low=2)
    heads: int = field(4, low=1)
    patch: int = field(8, low=2)
    text_width: int = field(128, low=16)
    text_layers: int = field(3, low=1)
    context: int = field(40, low=8, high=77)
    embed: int = field(128, low=8)
    steps: int = field(850, low=1)
    batch: int = field(192, low=2)
    lr: float = field(1e-3, low=0.0)
    weight_decay: float = field(0.05, low=0.0)
    patch_dropout: float = field(0.5, low=0.0, high=0.9)
    token_weight: float = field(0.5, low=0.0)  # of the contrast on pooled patch tokens
    token_block: int = field(5, low=1)  # 1-indexed


@dataclass
class Backbone:
    source: str = field("shipped", choices=("shipped", "pretrain", "open_clip", "file"))
    model: str = "ViT-B-16-quickgelu"  # open_clip's name; for `open_clip`, and `file` when not OpenAI's
    tag: str = "openai"
    path: str = "models/shipped/streetfolk.safetensors"  # for `shipped` and `file`
    stride: int = field(0, low=0)  # 0: the patch size (no overlap)
    normalisation: str = field("half", choices=("half", "imagenet", "clip"))  # for `open_clip` and `file`
    pretrain: Pretrain = field(Pretrain())


@dataclass
class Prompts:
    """CLIP-ReID stage 1."""

    train: bool = True  # false: no method needs it
    seed: int = field(0, low=0)
    context: int = field(4, low=1, high=64)  # learnable vectors per identity
    before: str = "a photo of a"
    after: str = "person."
    features: str = field("instance", choices=("instance", "average"))
    epochs: int = field(30, low=0)
    batch: int = field(256, low=2)
    lr: float = field(1e-2, low=1e-9)
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
class Finetune:
    """CLIP-ReID stage 2 and the no-text baseline."""

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
    warmup_factor: float = field(0.1, low=0.0, high=1.0)
    label_smoothing: float = field(0.1, low=0.0, high=0.9)
    margin: float = field(0.3, low=0.0)
    flip: float = field(0.5, low=0.0, high=1.0)
    pad: int = field(4, low=0)
    erase: float = field(0.5, low=0.0, high=1.0)
    occluded: float = field(0.5, low=0.0, high=1.0)  # chance to see an image's OGor copy, where it has one
    one_stage: bool = False  # true: the prompts are learned along with the encoder
    prompt_lr: float = field(3.5e-4, low=0.0)  # of the prompts then
    early_triplet: bool = True  # triplet on the feature before the last block too
    sie: str = field("none", choices=("none", "camera", "view", "both"))
    sie_tokens: str = field("cls", choices=("cls", "all"))
    sie_coefficient: float = field(1.0, low=0.0)
    precision: str = field("fp32", choices=("fp32", "bf16"))
    validate_epochs: int = field(2, low=1)
    token_block: int = field(5, low=1)  # whose mean patch token the term `token` reads, 1-indexed
    baseline: LossWeights = field(LossWeights(i2tce=0.0))
    clip_reid: LossWeights = field(LossWeights())


@dataclass
class Saga:
    """SAGA stages 3a and 3b."""

    train: bool = True  # false: no method needs it
    seed: int = field(0, low=0)
    anchors: str = field("text", choices=("text", "free"))
    text_anchors: int = field(24, low=2)  # K
    context_slots: int = field(16, low=1)
    frozen_slots: int = field(12, low=0)
    domain: str = field("mlp", choices=("mlp", "none"))
    domain_anchors: int = field(3, low=1)  # M
    refine_layers: int = field(2, low=1)  # L
    refine_heads: int = field(8, low=1)
    token_block: int = field(5, low=1)  # 1-indexed
    views: int = field(2, low=1)  # cached augmented views per image
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
    fusion_grid: list[float] = field([0.0, 0.1, 0.2, 0.5, 1.0, 2.0], low=0.0)


@dataclass
class Gate:
    """The visibility-gated replay of [CLS]."""

    train: bool = False  # true: method=gate needs it
    model: str = field("clip_reid", choices=("clip_reid", "baseline"))  # whose weights, or losses, it stands on
    trained: bool = False  # false: added to the fine-tuned model; true: stage 2 is trained with it
    source: str = field("network", choices=("network", "ones"))  # of the patch tokens' weights
    eps: float = field(0.1, low=1e-6, high=1.0)
    blocks: int = field(0, low=0)  # the last so many are gated; 0: all
    seed: int = field(0, low=0)
    network_blocks: int = field(4, low=1)  # of the backbone, copied by the visibility network
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


@dataclass
class Evaluate:
    seed: int = field(0, low=0)
    methods: list[str] = field(["histogram", "zero_shot", "baseline", "clip_reid", "saga"],
                               choices=("histogram", "zero_shot", "baseline", "clip_reid", "saga", "gated"))
    camera_rule: str = field("auto", choices=("auto", "market", "none"))
    bootstrap: int = field(1000, low=10)  # resamples of the query identities
    confidence: float = field(0.95, low=0.5, high=0.999)
    batch: int = field(256, low=1)


@dataclass
class Report:
    title: str = "Streetfolk study"
    gallery_queries: int = field(6, low=0)
    gallery_ranks: int = field(8, low=1)
    token_images: int = field(8, low=0)


@dataclass
class Runtime:
    """How to run, never what comes out: no stage depends on this section."""

    device: str = "auto"  # auto, cpu, cuda, cuda:N
    threads: int = field(2, low=1)
    processes: int = field(2, low=1)
    checkpoint_steps: int = field(100, low=1)


@dataclass
class Params:
    render: Render = field(Render())
    prepare: Prepare = field(Prepare())
    occlude: Occlude = field(Occlude())
    backbone: Backbone = field(Backbone())
    prompts: Prompts = field(Prompts())
    finetune: Finetune = field(Finetune())
    saga: Saga = field(Saga())
    gate: Gate = field(Gate())
    evaluate: Evaluate = field(Evaluate())
    report: Report = field(Report())
    runtime: Runtime = field(Runtime())
