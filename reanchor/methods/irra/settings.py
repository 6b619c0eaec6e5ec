"""Settings of IRRA. The defaults suit the small CLIP and its study; train=irra_vit_b16 holds the published recipe."""

from typing import TYPE_CHECKING

from reanchor.config.rules import Complaints, at_most, needs_patches
from reanchor.config.setting import section, setting

if TYPE_CHECKING:
    from reanchor.config.params import Params

TERMS = ("sdm", "id", "mlm")  # a loss weight each


@section
class Irra:
    """IRRA (Jiang and Ye, CVPR 2023) on the backbone's two towers (docs/explanation/irra.md)."""

    train: bool = setting(False, "false: no method needs it")
    seed: int = setting(0, "of weights, batches, masks and augmentation", low=0)
    epochs: int = setting(2, "each pair once an epoch", low=1)
    batch: int = setting(128, "pairs; the last one of an epoch may hold fewer", low=2)
    lr: float = setting(1e-3, "of Adam, of the towers", low=0.0)
    new_lr_factor: float = setting(1.0, "on what starts at random", low=0.0)
    bias_lr_factor: float = setting(1.0, "on biases, but for those of classifier and vocabulary", low=0.0)
    weight_decay: float = setting(4e-5, "as a part of the gradient; none on biases", low=0.0)
    adam_eps: float = setting(1e-8, "of Adam; the authors' 1e-3 lets the size of small gradients count", low=1e-12)
    warmup_epochs: int = setting(0, "from a tenth of the rate; a half cosine to 0 behind it", low=0)
    sdm: float = setting(1.0, "weight of similarity distribution matching", low=0.0)
    id: float = setting(1.0, "weight of the identity cross entropy of both features", low=0.0)
    mlm: float = setting(1.0, "weight of the masked words, read with the image", low=0.0)
    temperature: float = setting(0.02, "of sdm; not trained", low=1e-4)
    blocks: int = setting(4, "of self-attention behind the cross-attention", low=1, high=64)
    sentence: str = setting("whole", "which one sdm and id read; masked: the authors' code",
                            choices=("whole", "masked"))
    context: int = setting(0, "slots of a sentence; 0: the backbone's", low=0, high=1024)
    flip: float = setting(0.5, "chance of a mirrored image", low=0.0, high=1.0)
    pad: int = setting(4, "pixels of black around the image before the random crop", low=0)
    erase: float = setting(0.5, "chance of random erasing", low=0.0, high=1.0)
    occluded: float = setting(1.0, "chance to see an image's OGor copy, where it has one", low=0.0, high=1.0)
    precision: str = setting("fp32", "bf16: autocast; auto: bf16 where the processor has it",
                             choices=("fp32", "bf16", "auto"))
    validate_epochs: int = setting(1, "epochs between validations; the best epoch is kept", low=1)


def _training(params: "Params") -> Complaints:
    config = params.irra
    yield from at_most(params, "irra.warmup_epochs", "irra.epochs")
    if not config.lr:
        yield "irra.lr: got 0; allowed: above 0"
    if config.context in (1, 2):
        yield f"irra.context: got {config.context}; allowed: 0 (the backbone's), or at least 3"


def _terms(params: "Params") -> Complaints:
    config = params.irra
    if not any(getattr(config, term) for term in TERMS):
        yield f"irra.sdm: got 0, and so is every loss weight; allowed: at least one of {', '.join(TERMS)} above 0"
    if config.sentence == "masked" and not config.mlm:
        yield "irra.sentence: got 'masked' with irra.mlm 0; allowed: whole, since only mlm masks words"
    if config.mlm:  # who reads masked words, reads patch tokens
        yield from needs_patches(params, "irra.train")


SECTIONS = {"irra": Irra}
RULES = (_training, _terms)
