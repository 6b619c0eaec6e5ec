"""How MGCC is built and trained."""

from dataclasses import dataclass

from reanchor.config.sections.field import field


@dataclass
class MgccModel:
    """What MGCC's similarity is made of; the defaults are the paper's."""

    patch_share: float = field(0.3, low=0.001, high=1.0)  # rho_i, of the patch tokens; 1: no selection
    word_share: float = field(0.4, low=0.001, high=1.0)  # rho_t, of word_limit
    word_limit: int = field(25, low=1, high=1024)  # m
    temperature: float = field(0.01, low=1e-4)  # tau of the attention-based fusion
    fusion: str = field("attention", choices=("attention", "mean_mean", "mean_max", "max_mean", "max_max"))
    granularities: list[str] = field(["image_text", "patch_word", "patch_text", "image_word"],
                                     choices=("image_text", "patch_word", "patch_text", "image_word"))
    context: int = field(0, low=0, high=1024)  # slots of a sentence; 0: the backbone's
    text_map: str = field("random", choices=("random", "clip"))  # clip: starts at the backbone's two projections
    patch_norm: bool = True  # false: patch tokens without the norm that [CLS] passes (authors' code)
    mask_padding: bool = True  # false: missing words take part as zero vectors (authors' code)
    rank_all_words: bool = False  # true: words beyond word_limit can be selected too (authors' code)
    word_offset: int = field(0, low=0, high=1)  # 1: the word behind the one that was attended to (authors' code)
    matrices: bool = False  # true: learnable square matrices in every similarity (authors' code)


@dataclass
class Mgcc:
    """MGCC (Wu et al., AAAI 2024) on the backbone's two towers."""

    train: bool = False  # false: no method needs it
    seed: int = field(0, low=0)
    epochs: int = field(60, low=1)
    batch: int = field(128, low=2)  # pairs
    lr: float = field(1e-5, low=0.0)  # of the towers
    lr_rest: float = field(1e-4, low=0.0)  # of what MGCC adds, and of CLIP's scale
    schedule: str = field("cosine", choices=("cosine", "multistep"))
    milestones: list[int] = field([20, 40], low=1)  # epochs of multistep's x 0.1
    warmup_epochs: int = field(0, low=0)
    reduction: str = field("sum", choices=("sum", "mean"))  # of the loss's two directions
    same_pid: str = field("negative", choices=("negative", "left_out"))  # other pairs of one person in a batch
    flip: float = field(0.5, low=0.0, high=1.0)  # chance of a mirrored image
    occluded: float = field(1.0, low=0.0, high=1.0)  # chance to see an image's OGor copy, where it has one
    precision: str = field("fp32", choices=("fp32", "bf16", "auto"))
    validate_epochs: int = field(1, low=1)
    model: MgccModel = field(MgccModel())
